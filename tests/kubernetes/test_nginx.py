# SPDX-License-Identifier: MIT
"""NGINX as the manifests run it, on the ConfigMap that the updater has published, in front of two real hosts."""
import concurrent.futures
import hashlib
import json
import os
import time

import pytest

from clusters import NAMESPACE, Updater, write_kubeconfig
from pods import Bridge, Machine, Pod, tool, wait_until

NGINX, INFERENCE, MONITOR = 8080, 5002, 5003


class GpuBox(Machine):
    """A machine whose services the network reaches, with a token, as the README says."""

    def __init__(self, number, bridge, tokens=None):
        super().__init__(f"kube-{os.getpid()}-{number}")
        tool("demo", self.name)
        self.sh("rm /etc/home-lab-services/models/*")
        self.address, self.link = bridge.connect(self.leader)
        for port, name in ((INFERENCE, "inference-service"), (MONITOR, "model-monitor-service")):
            self.put(f"/etc/systemd/system/{name}.socket.d/lan.conf", f"[Socket]\nListenStream={self.address}:{port}\n")
        self.sh("systemctl daemon-reload")
        for name in ("inference-service", "model-monitor-service"):
            # A child that systemd has just forked may still hold the old socket.
            wait_until(lambda: self.run(["systemctl", "restart", f"{name}.socket"]).returncode == 0, 10, f"{name} is open")
        self.url = f"http://{self.address}:{INFERENCE}"
        if tokens:  # the same ones, as the README says
            self.put("/etc/home-lab-services/tokens", tokens, 0o640)
            self.sh("chgrp home-lab-services /etc/home-lab-services/tokens")

    def serve(self, name, port, options="--load-seconds 0.5"):
        self.model(name, port, f"--host 0.0.0.0 {options}")

    def state(self, name):
        return self.http("GET", INFERENCE, f"/models/{name}")["state"]

    def sources(self, name):
        return self.http("GET", MONITOR, "/models/activity")["activity_status"][name]["sources"]

    def cold(self, *names):
        self.sh(["systemctl", "stop", *(f"model@{name}.service" for name in names)])


@pytest.fixture(scope="module")
def bridge(api_server):
    one = Bridge()
    yield one
    one.close()


@pytest.fixture(scope="module")
def boxes(bridge, request):
    first = GpuBox(0, bridge)
    request.addfinalizer(first.down)
    secrets = {scope: first.sh(f"home-lab-services token add cluster-{scope} --scope {scope} 2>/dev/null").strip()
               for scope in ("read", "control")}
    second = GpuBox(1, bridge, first.path("/etc/home-lab-services/tokens").read_text())
    request.addfinalizer(second.down)
    first.secrets = secrets
    first.serve("alpha", 8101)
    second.serve("Beta:q4", 8102)
    first.serve("shared", 8103)
    second.serve("shared", 8104)
    return first, second


@pytest.fixture(scope="module")
def world(api_server, bridge, boxes, tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("world")
    api_server.fresh()
    api_server.kubectl("-n", NAMESPACE, "delete", "secret", "home-lab-services-token", "--ignore-not-found")
    secret(api_server, boxes[0].secrets)
    token = folder / "token"
    token.write_text(boxes[0].secrets["read"])
    one = World()
    one.boxes, one.cluster = boxes, api_server
    one.updater = Updater(
        write_kubeconfig(folder / "kubeconfig", api_server.server, api_server.ca, {"token": api_server.token(3600)}),
        ",".join(box.url for box in boxes), INFERENCE_SERVICE_TOKEN_FILE=str(token))
    one.updater.ok()
    one.settings(ALLOWED_HOSTS="models.example,LLM.home.arpa  nginx */bin/sh;,evil\"x", INFERENCE_SERVICE_URL=",".join(box.url for box in boxes))
    one.pod = Pod(api_server, "nginx", folder)
    request.addfinalizer(one.pod.stop)
    bridge.connect(one.pod.machine.leader)
    one.pod.start()
    try:
        wait_until(one.ready, 10, "NGINX answers")
    except AssertionError:
        print(one.pod.said())
        raise
    return one


def secret(cluster, tokens):
    cluster.kubectl("apply", "-f", "-", input=json.dumps({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "home-lab-services-token", "namespace": NAMESPACE},
        "stringData": tokens}))


class World:
    def http(self, method, path, body=None, **options):
        return self.pod.network.http(method, NGINX, path, body, **options)

    def settings(self, **values):
        self.cluster.kubectl("-n", NAMESPACE, "patch", "configmap", "inference-service-config", "--type=merge", "-p", json.dumps({"data": values}))

    def ready(self):
        try:
            return self.http("GET", "/healthz").status == 200
        except OSError:
            return False

    def reload(self, what="NGINX has taken up what has changed"):
        """Kubelet's part, and NGINX's."""
        before = self.pod.said().count(what)
        self.pod.sync()
        wait_until(lambda: self.pod.said().count(what) > before, 10, f"NGINX says: {what}")


@pytest.fixture(autouse=True)
def all_cold(world):
    for box, names in zip(world.boxes, (("alpha", "shared"), ("Beta:q4", "shared"))):
        box.cold(*names)
        box.sh("rm -f /var/lib/home-lab-services/activity/*")


def test_models_of_both_hosts_are_woken_and_get_the_whole_request(world):
    body = os.urandom(5_000_000)
    for path, box, name in (("/alpha/echo?x=1%2F2", 0, "alpha"), ("/Beta:q4/echo?x=1%2F2", 1, "Beta:q4")):
        assert world.boxes[box].state(name) == "unloaded"
        for _ in range(2):  # cold, warm
            answer = world.http("PUT", path, body, headers={"Content-Type": "application/octet-stream", "X-Mine": "y"})
            assert answer.status == 200, answer
            assert answer["bytes"] == len(body) and answer["sha256"] == hashlib.sha256(body).hexdigest()
            assert answer["method"] == "PUT" and answer["path"] == "/echo?x=1%2F2"
            assert answer["headers"]["X-Mine"] == "y" and "Authorization" not in answer["headers"]
        assert world.boxes[box].state(name) == "loaded"


def test_many_cold_requests_at_once(world):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: world.http("POST", "/alpha/v1/completions", {"max_tokens": 1}).status, range(20)))
    assert answers == [200] * 20


def test_a_model_on_two_hosts_survives_the_loss_of_either(world):
    for lost in (0, 1):
        other = world.boxes[1 - lost]
        os.system(f"ip link set {world.boxes[lost].link} down")
        try:
            other.cold("shared")
            for _ in range(3):
                assert world.http("POST", "/shared/v1/completions", {"max_tokens": 1}).status == 200
            assert other.state("shared") == "loaded"
        finally:
            os.system(f"ip link set {world.boxes[lost].link} up")


def test_use_is_reported_to_the_host_and_looking_is_not(world):
    assert world.http("GET", "/alpha/health").status == 200  # wakes it
    assert not world.boxes[0].sources("alpha").get("report")
    assert world.http("POST", "/alpha/v1/completions", {"max_tokens": 1}).status == 200
    wait_until(lambda: world.boxes[0].sources("alpha").get("report"), 5, "the host knows of the use")


def test_a_stream_outlives_a_change_which_new_requests_see(world):
    assert world.http("POST", "/alpha/v1/completions", {"max_tokens": 1}).status == 200
    connection = world.pod.network.open(NGINX)
    connection.request("POST", "/alpha/v1/completions", json.dumps(
        {"stream": True, "max_tokens": 300, "token_interval_ms": 50}), {"Content-Type": "application/json"})
    stream = connection.getresponse()
    first = stream.readline()
    began = time.monotonic()
    assert b"word1 " in first
    world.boxes[0].serve("late", 8105)
    world.updater.ok()
    assert world.http("POST", "/late/v1/completions", {"max_tokens": 1}).status == 404
    world.reload()
    wait_until(lambda: world.http("POST", "/late/v1/completions", {"max_tokens": 1}).status == 200, 10, "the new model")
    assert time.monotonic() - began < 14, "the stream was over before"
    rest = stream.read()
    assert b"word300 " in rest and rest.rstrip().endswith(b"data: [DONE]")
    world.boxes[0].sh("rm /etc/home-lab-services/models/late && systemctl stop model@late.service")
    world.updater.ok()
    world.reload()
    wait_until(lambda: world.http("GET", "/late/health").status == 404, 10, "the model is gone")


def test_a_configuration_that_nginx_refuses_changes_nothing(world):
    world.cluster.patch({"locations.conf": "location /alpha/ { nonsense; }\n"})
    world.reload("NGINX refuses what has changed")
    assert world.http("POST", "/alpha/v1/completions", {"max_tokens": 1}).status == 200
    assert world.updater.run("--force").returncode == 0
    world.reload()
    assert world.http("POST", "/alpha/v1/completions", {"max_tokens": 1}).status == 200


@pytest.mark.parametrize("key, text", [
    ("locations.conf", "location /steal/ { alias /run/secrets/home-lab-services/; }\n"),
    ("upstreams.conf", "upstream hl_start_evil {\n    server 10.255.255.1:5002 max_fails=0;\n}\n")], ids=["it is shown", "it is sent elsewhere"])
def test_who_may_change_the_configmap_does_not_get_the_token(world, key, text):
    """NGINX is not even asked. tests/doors/test_cluster_models.py has more of what is refused."""
    published, said = world.cluster.data()[key], len(world.pod.said())
    try:
        world.cluster.patch({key: published + text})
        world.reload("NGINX refuses what has changed")
        assert f"/models/{key}:" in world.pod.said()[said:] and "nginx: [emerg]" not in world.pod.said()[said:]
        assert world.http("GET", "/steal/control").status == 404
        assert world.http("POST", "/alpha/v1/completions", {"max_tokens": 1}).status == 200
    finally:
        world.cluster.patch({key: published})
        world.reload()


def test_further_keys_are_nothing_to_nginx(world):
    for key in "locations-mine.conf", "upstreams-mine.conf", "mine.conf":
        world.cluster.patch({key: "location /steal/ { alias /run/secrets/home-lab-services/; }\n"})
    world.reload()
    assert world.http("GET", "/steal/control").status == 404
    world.cluster.patch({key: None for key in ("locations-mine.conf", "upstreams-mine.conf", "mine.conf")})
    world.reload()


def test_a_host_that_is_named_no_more_gets_nothing(world):
    """Whatever was published of it."""
    first, second = world.boxes
    world.settings(INFERENCE_SERVICE_URL=second.url)
    try:
        world.reload("NGINX refuses what has changed")
        assert "none of INFERENCE_SERVICE_URL" in world.pod.said()
    finally:
        world.settings(INFERENCE_SERVICE_URL=f"{first.url}/, http://localhost:5002\n{second.url}")
        world.reload()


def test_a_model_that_falls_over_a_request_does_not_get_it_again(world):
    assert world.http("POST", "/alpha/v1/completions", {"max_tokens": 1}).status == 200
    answer = world.http("POST", "/alpha/crash", {})
    assert answer.status == 502 and answer["error"]["code"] == "model_ended"
    assert world.boxes[0].state("alpha") == "failed"
    assert world.boxes[0].sh("journalctl --unit model@alpha --output cat").count("crashing, as asked") == 1
    world.boxes[0].sh("systemctl reset-failed")


def test_a_page_of_another_origin_cannot_use_a_model_unasked(world):
    headers = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    answer = world.http("POST", "/alpha/v1/completions", b"{}", headers=headers)
    assert answer.status == 403 and answer["error"]["code"] == "foreign_origin"


@pytest.mark.parametrize("host", ["evil.example:8080", "nginx.evil.example", "nginx.inference-manager.svc.evil.example", "127.0.0.1.evil.example",
                                  "bin", "sh", "nginx.com", "evil\"x"])
def test_a_name_that_is_not_this_ones_reaches_nothing(world, host):
    """A page that has its own host's name lead here reads nothing, of a model that runs neither."""
    assert world.http("POST", "/alpha/v1/completions", {"max_tokens": 1}).status == 200
    for method, path in ("GET", "/alpha/health"), ("POST", "/alpha/v1/completions"), ("GET", "/healthz"), ("GET", "/nothing"):
        for page in {}, {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}:
            answer = world.http(method, path, {"max_tokens": 1} if method == "POST" else None, headers={"Host": host} | page)
            assert answer.status in (400, 403), answer
            if answer.status == 403:
                assert answer["code"] == answer["error"]["code"] == "host_not_allowed" and "ALLOWED_HOSTS" in answer["message"]


def test_the_names_that_nginx_goes_by(world):
    for host in ("nginx", "nginx:8080", "NGINX.inference-manager:8080", "nginx.inference-manager.svc", "nginx.inference-manager.svc.cluster.local.",
                 "models.example", "llm.home.arpa:80", "localhost", "127.0.0.1:8080", "10.1.2.3:8080", "[fd00::1]:8080"):
        assert world.http("GET", "/healthz", headers={"Host": host}).status == 200, host
    for word in "*/bin/sh;", 'evil"x':
        assert f"no name of a host, and left out: {word}" in world.pod.said()


def test_a_browser_starts_no_model_by_itself(world):
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = world.http("OPTIONS", "/alpha/v1/completions", headers=asked)
    assert answer.status == 503 and answer["error"]["code"] == "model_not_loaded"
    for dest in "iframe", "frame", "fencedframe", "embed", "object":
        frame = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest}
        assert world.http("GET", "/alpha/", headers=frame).status == 403
    form = {"Origin": "http://evil.example", "Content-Type": "text/plain", "Authorization": "Basic dTpw"}
    assert world.http("POST", "/alpha/v1/completions", b"{}", headers=form).status == 403
    assert world.boxes[0].state("alpha") == "unloaded"
    assert world.http("POST", "/alpha/v1/completions", {"max_tokens": 1}).status == 200
    assert world.http("OPTIONS", "/alpha/v1/completions", headers=asked).status != 503


def test_a_model_that_cannot_start(world):
    world.boxes[0].model("alpha", 8101, "--exit-code-at-start 3")
    try:
        answer = world.http("POST", "/alpha/v1/completions", {"max_tokens": 1})
        assert answer.status == 503 and answer["error"]["code"] == "model_not_started"
        assert answer.headers["Retry-After"]
    finally:
        world.boxes[0].serve("alpha", 8101)
        world.boxes[0].sh("systemctl reset-failed")


@pytest.mark.parametrize("tokens", ({}, {"control": "hls_wrong"}, {"control": "a\";b"}))
def test_a_token_that_is_missing_or_wrong(world, tokens):
    world.cluster.kubectl("-n", NAMESPACE, "delete", "secret", "home-lab-services-token")
    secret(world.cluster, tokens)
    world.reload()
    try:
        def refused():
            world.boxes[0].cold("alpha")  # a worker that is about to end may have woken it
            answer = world.http("POST", "/alpha/v1/completions", {"max_tokens": 1})
            return answer.status == 503 and answer["error"]["code"] == "token_refused" and answer
        answer = wait_until(refused, 5, "the old workers are gone")
        assert "Secret home-lab-services-token" in answer["error"]["message"]
        if tokens.get("control") != "hls_wrong":
            assert "the Secret home-lab-services-token" in world.pod.said()
        assert world.boxes[0].state("alpha") == "unloaded"
    finally:
        secret(world.cluster, world.boxes[0].secrets)
        world.reload()
    assert world.boxes[0].secrets["control"] not in world.pod.said()


def test_what_is_internal_stays_so(world):
    for path in ("/_home-lab-services/start/alpha", "/_home-lab-services/report/0/alpha", "/", "/nothing/"):
        answer = world.http("POST", path, {})
        assert answer.status == 404 and answer["code"] == "not_found"
    assert world.boxes[0].state("alpha") == "unloaded"
