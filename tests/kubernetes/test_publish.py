# SPDX-License-Identifier: MIT
"""The updater against a real API server with RBAC, as the service account that nginx/kubernetes gives it."""
import calendar
import os
import signal
import subprocess
import time

import pytest

from clusters import (ACCOUNT, CONFIGMAP, CONFLICT, FORBIDDEN, NAMESPACE, NO_CONFIGMAP, OK, POD_FILES, UNAVAILABLE,
                      WRONG_CONFIGURATION, Updater, names, wait_until, write_kubeconfig)

KEYS = {"upstreams.conf", "locations.conf", "models.json"}


def test_first_publish_then_no_write_then_each_change(cluster, hosts, updater):
    hosts[0].models = {"tiny-llama": 8198}
    said = updater.ok()
    assert "resourceVersion " + cluster.version() in said
    data = cluster.data()
    assert set(data) == KEYS
    assert "server 127.0.0.2:8198 max_fails=0;" in data["upstreams.conf"]
    assert "location /tiny-llama/ {" in data["locations.conf"]

    version = cluster.version()
    assert updater.ok() == ""
    assert cluster.version() == version

    for change in ({"tiny-llama": 8199}, {"tiny-llama": 8199, "qwen2.5:q4": 8300}, {"qwen2.5:q4": 8300}, {}):
        hosts[0].models = change
        updater.ok()
        assert cluster.version() != version
        version = cluster.version()
        assert names(cluster)[0] == sorted(change)
        for name, port in {"tiny-llama": 8199, "qwen2.5:q4": 8300}.items():
            assert (f"location /{name}/ {{" in cluster.data()["locations.conf"]) == (name in change)
            assert (f":{port} " in cluster.data()["upstreams.conf"]) == (name in change)


def test_the_comment_says_who_made_it_from_what_and_when_it_changed(cluster, hosts, updater):
    hosts[0].models, hosts[1].models = {"m": 8198}, {"n": 8199, "o": 8200}
    before = int(time.time())
    updater.ok()
    for key in ("upstreams.conf", "locations.conf"):
        lines = cluster.data()[key].splitlines()
        assert lines[0].startswith("# Made by nginx-config-updater of Home Lab Services")
        changed = time.strptime(lines[1], "# Changed: %Y-%m-%dT%H:%M:%S+00:00")
        assert before <= calendar.timegm(changed) <= time.time()
        assert lines[2:4] == [f"# From:    {hosts[0].url}, 1 models", f"# From:    {hosts[1].url}, 2 models"]


def test_a_model_on_two_hosts_is_one_upstream_with_both(cluster, hosts, updater):
    hosts[0].models, hosts[1].models = {"shared": 8198}, {"shared": 8300}
    updater.ok()
    assert ("upstream hl_model_shared {\n    server 127.0.0.2:8198 max_fails=0;\n    server 127.0.0.3:8300 max_fails=0;\n}\n"
            in cluster.data()["upstreams.conf"])
    assert cluster.data()["locations.conf"].count("location /shared/ {") == 1


def test_other_keys_stay(cluster, hosts, updater):
    cluster.patch({"etcnginx.conf": "# somebody's own\n"})
    hosts[0].models = {"m": 8198}
    updater.ok()
    assert set(cluster.data()) == KEYS | {"etcnginx.conf"}
    cluster.install()  # the manifests once more
    assert set(cluster.data()) == KEYS | {"etcnginx.conf"}
    assert updater.ok() == ""


def test_a_host_that_is_down_keeps_its_models(cluster, hosts, updater):
    hosts[0].models, hosts[1].models = {"a": 8198}, {"b": 8199}
    updater.ok()
    version = cluster.version()
    hosts[1].stop()
    said = updater.ok()
    assert hosts[1].url in said and "cannot be reached" in said and "its 1 models stay" in said
    assert cluster.version() == version

    hosts[0].models = {"a": 8198, "c": 8200}
    updater.ok()
    assert names(cluster) == [["a", "c"], ["b"]]
    hosts[1].start()
    hosts[1].models = {}
    updater.ok()
    assert names(cluster) == [["a", "c"], []]


def test_nothing_is_published_when_nobody_answers(cluster, hosts, updater):
    for host in hosts:
        host.stop()
    version = cluster.version()
    done = updater.run()
    assert done.returncode == UNAVAILABLE and "no inference service could be asked" in done.stderr
    assert cluster.version() == version and cluster.data() == {}

    hosts[0].start()
    hosts[0].models = {"a": 8198}
    updater.ok()
    hosts[0].stop()
    version = cluster.version()
    assert updater.run().returncode == UNAVAILABLE
    assert cluster.version() == version and names(cluster) == [["a"], []]


def test_a_host_that_is_no_longer_named_goes(cluster, hosts, updater):
    hosts[0].models, hosts[1].models = {"a": 8198}, {"b": 8199}
    updater.ok()
    updater.environment["INFERENCE_SERVICE_URL"] = hosts[0].url
    updater.ok()
    assert names(cluster) == [["a"]]


def test_another_managers_change_is_a_conflict_until_it_is_taken_over(cluster, hosts, updater):
    hosts[0].models = {"a": 8198}
    updater.ok()
    cluster.patch({"upstreams.conf": "# mine now\n"}, manager="somebody-else")
    version = cluster.version()
    done = updater.run()
    assert done.returncode == CONFLICT and "somebody-else" in done.stderr and "--force" in done.stderr
    assert cluster.version() == version
    updater.ok("--force")
    assert "hl_model_a" in cluster.data()["upstreams.conf"]
    assert updater.ok() == ""


def test_a_damaged_record_is_no_reason_to_forget_a_host(cluster, hosts, updater):
    hosts[0].models, hosts[1].models = {"a": 8198}, {"b": 8199}
    updater.ok()
    for damage in ("{", "{}", '{"hosts":[{"url":"%s","address":"x;","models":[]}]}' % hosts[1].url):
        cluster.patch({"models.json": damage})
        hosts[1].stop()
        version = cluster.version()
        done = updater.run("--force")
        assert done.returncode != OK and "somebody has changed it" in done.stderr
        assert cluster.version() == version
        hosts[1].start()
    updater.ok("--force")
    assert names(cluster) == [["a"], ["b"]]


def test_a_configmap_that_is_missing(cluster, hosts, updater):
    cluster.kubectl("-n", NAMESPACE, "delete", "configmap", CONFIGMAP)
    done = updater.run()
    assert done.returncode == NO_CONFIGMAP and "kubectl apply -k" in done.stderr


def test_401(cluster, hosts, updater, tmp_path):
    updater.kubeconfig = write_kubeconfig(tmp_path / "k", cluster.server, cluster.ca, {"token": "nobody"})
    done = updater.run()
    assert done.returncode == FORBIDDEN and "(401)" in done.stderr and "kubeconfig" in done.stderr


def test_403_the_role_allows_one_configmap_by_its_name(cluster, hosts, updater):
    done = updater.run("--configmap", "inference-service-config")
    assert done.returncode == FORBIDDEN and "(403)" in done.stderr
    assert 'cannot get resource "configmaps"' in done.stderr and "kubectl apply -k" in done.stderr
    cluster.kubectl("-n", NAMESPACE, "delete", "rolebinding", "nginx-config-updater")
    try:
        assert updater.run().returncode == FORBIDDEN
    finally:
        cluster.install()
    for verb, what in (("list", "configmaps"), ("delete", "configmaps/" + CONFIGMAP), ("get", "secrets"), ("get", "pods")):
        asked = cluster.kubectl("auth", "can-i", verb, what, "-n", NAMESPACE, f"--as=system:serviceaccount:{NAMESPACE}:{ACCOUNT}",
                                check=False)
        assert asked.stdout.strip() == "no", (verb, what)


def test_too_many_models_are_told_before_the_api_server_refuses(cluster, hosts, updater):
    hosts[0].models = {"model-with-a-rather-long-name-%05d" % number: 1024 + number for number in range(3000)}
    version = cluster.version()
    done = updater.run()
    assert done.returncode == WRONG_CONFIGURATION and "a ConfigMap takes 1048576" in done.stderr
    assert cluster.version() == version


def test_an_address_that_is_none_is_refused_with_its_name(updater):
    for urls in ("", "gpu-box:5002", "https://gpu-box", "http://a;b", "http://a/path", "http://[::1", "http://a:0",
                 "http://a,http://a"):
        updater.environment["INFERENCE_SERVICE_URL"] = urls
        done = updater.run()
        assert done.returncode == WRONG_CONFIGURATION and "INFERENCE_SERVICE_URL" in done.stderr, urls


# ---- who we are ----

def test_a_client_certificate_and_files_beside_the_kubeconfig(cluster, hosts):
    hosts[0].models = {"a": 8198}
    Updater(cluster.admin, hosts.urls).ok()
    assert names(cluster)[0] == ["a"]


class Pod:
    """The updater with a pod's own files: a mount namespace of its own has them where a pod has them."""

    def __init__(self, cluster, folder, updater):
        self.folder, self.updater = folder, updater
        folder.mkdir()
        (folder / "ca.crt").write_bytes(cluster.ca.read_bytes())
        (folder / "namespace").write_text(NAMESPACE)
        updater.kubeconfig = None
        host, port = cluster.server.removeprefix("https://").split(":")
        updater.environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

    def token(self, text):
        (self.folder / "new").write_text(text)
        (self.folder / "new").rename(self.folder / "token")

    def argv(self, *options):
        script = f'mount -t tmpfs none /var/run && mkdir -p {POD_FILES} && mount --bind "$0" {POD_FILES} && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, self.folder, *self.updater.argv(*options)]

    def start(self, *options):
        environment = self.updater.environment | {"PATH": os.environ["PATH"]}
        return subprocess.Popen(self.argv(*options), env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def pod(cluster, updater, tmp_path):
    return Pod(cluster, tmp_path / "pod", updater)


def test_in_a_pod(cluster, hosts, pod):
    hosts[0].models = {"a": 8198}
    pod.token(cluster.token())
    process = pod.start()
    _, said = process.communicate(timeout=30)
    assert process.returncode == OK, said
    assert names(cluster)[0] == ["a"]


def test_a_token_that_expires_in_mid_run_and_has_a_successor(cluster, hosts, pod):
    """The ConfigMap is read with one token; while the hosts are asked that one expires, and another is put there. The API
    server takes a token for a minute longer than it says, and for ten seconds more if it has just seen it; a host may take
    ten seconds at most, so it takes two of them."""
    pod.token(cluster.token(seconds=-57))

    def slow(host, seconds, then=lambda: None):
        def answer(handler):
            time.sleep(seconds)
            then()
            host.list(handler)
        return answer

    hosts[0].models, hosts[0].answer = {"a": 8198}, slow(hosts[0], 6)
    hosts[1].answer = slow(hosts[1], 6, then=lambda: pod.token(cluster.token()))
    process = pod.start()
    _, said = process.communicate(timeout=30)
    assert process.returncode == OK, said
    assert names(cluster)[0] == ["a"]


def test_a_token_that_expires_without_successor_is_reported_and_the_next_run_takes_the_new_one(cluster, hosts, pod, tmp_path):
    hosts[0].models = {"a": 8198}
    pod.token(cluster.token(seconds=-120))
    health = tmp_path / "health"
    process = pod.start("--interval", "1s", "--health-file", str(health))
    try:
        wait_until(lambda: health.exists() and "(401)" in health.read_text(), 10, "it says that the token is refused")
        assert health.read_text().startswith("failing: ")
        pod.token(cluster.token())
        wait_until(lambda: health.read_text() == "ok\n", 20, "it takes the new token")
        assert names(cluster)[0] == ["a"]
    finally:
        process.terminate()
        _, said = process.communicate(timeout=10)
    assert process.returncode == 0 and said.count("(401)") == 1, said  # once, not on each run


# ---- again and again ----

def test_interval_follows_changes_and_ends_at_once_when_told(cluster, hosts, updater, tmp_path):
    health = tmp_path / "health"
    hosts[0].models = {"a": 8198}
    process = updater.start("--interval", "1s", "--health-file", str(health))
    try:
        wait_until(lambda: health.exists(), 10, "a first run")
        hosts[0].models = {"b": 8198}
        wait_until(lambda: names(cluster)[0] == ["b"], 10, "the change is published")
        hosts[0].answer = lambda handler: time.sleep(5)
        asked = hosts[0].asked
        wait_until(lambda: hosts[0].asked > asked, 10, "it waits for the host")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=2) == 0 and time.monotonic() - began < 1
    finally:
        process.kill()
        process.communicate()


def test_a_hundred_models_cost_little(cluster, hosts, updater, figure):
    hosts[0].models = {f"model-{number}": 8000 + number for number in range(100)}
    updater.ok()
    process = updater.start("--interval", "1s")
    try:
        asked = hosts[0].asked
        wait_until(lambda: hosts[0].asked >= asked + 4, 15, "runs")
        with open(f"/proc/{process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        with open(f"/proc/{process.pid}/smaps_rollup") as rollup:
            memory = dict(line.split()[:2] for line in rollup if line.split()[0].endswith(":"))
    finally:
        process.kill()
        process.communicate()
    cpu_ms = (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK") / 4
    own_mb = int(memory["Pss_Dirty:"]) / 1024
    figure(f"the updater with 100 models: {cpu_ms:.1f} ms of CPU a run, its start counted in; {own_mb:.1f} MB of its own, "
           f"{int(memory['Rss:']) / 1024:.1f} MB with all that it shares")
    assert cpu_ms < 50 and own_mb < 10
