# SPDX-License-Identifier: MIT
"""nginx-config-updater: what NGINX knows of the models is what their files say, seconds later, and nothing else."""
import concurrent.futures
import contextlib
import threading
import time

from machines import DEMO_MODEL, ETC, MODELS, PATIENCE, wait_until
from web import LOCATIONS, UPDATER


def locations(web):
    return web.path(LOCATIONS).read_text()


@contextlib.contextmanager
def no_request_fails(web, model):
    """While this lasts, four clients ask for a model all the time, each time on a new connection."""
    over, answers = threading.Event(), []

    def client():
        while not over.is_set():
            try:
                answers.append(web.post(f"/{model}/echo", "x" * 1000).status)
            except OSError as error:
                answers.append(repr(error))
    assert web.post(f"/{model}/echo", "x").status == 200
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client) for _ in range(4)]
        try:
            yield
        finally:
            over.set()
    for one in clients:
        one.result()
    assert set(answers) == {200} and len(answers) > 50, {answer: answers.count(answer) for answer in set(answers)}


def answered_by(web, port):
    """What /fresh/ leads to. A list of a model that does not run would be ours, so it is made to work first."""
    web.post("/fresh/echo", "x")
    answer = web.ask("GET", "/fresh/v1/models", headers={"X": "1"})
    return answer.status == 200 and answer["data"][0]["id"] == f"on-{port}"


def test_a_model_comes_moves_and_goes(web, figure):
    """Live within seconds, under load, and nobody who uses another model notices."""
    def fresh(port):
        web.model("fresh", port, command=f"{DEMO_MODEL} --name on-{port} --port {port} --load-seconds 0")
        return time.monotonic()

    def gone():
        return web.ask("GET", "/fresh/v1/models").status == 404

    assert gone() and web.post("/v1/x", {"model": "fresh"}).status == 404
    with no_request_fails(web, "quick"):
        began = fresh(8331)
        wait_until(lambda: answered_by(web, 8331), PATIENCE, "the new model answers")
        took = [time.monotonic() - began]
        web.sh("systemctl stop model@fresh.service")
        began = fresh(8332)
        wait_until(lambda: answered_by(web, 8332), PATIENCE, "it answers on its other port")
        took.append(time.monotonic() - began)
        assert "8331" not in locations(web)
        web.path(f"{MODELS}/fresh").unlink()
        began = time.monotonic()
        wait_until(gone, PATIENCE, "it is gone")
        took.append(time.monotonic() - began)
    figure("a model file is live in NGINX: added after {:.2f} s, changed {:.2f} s, removed {:.2f} s".format(*took))
    assert web.post("/v1/x", {"model": "fresh"}).status == 404
    wait_until(gone, PATIENCE, "it stays gone: NGINX's old worker takes its last connections beside the new one")


def test_a_port_that_changes_while_the_model_runs(web):
    """NGINX goes where the file says; the one that still runs elsewhere is not ready there. A restart puts it right."""
    command = f"{DEMO_MODEL} --name fresh --port $PORT --load-seconds 0"
    web.model("fresh", 8331, command=command, extra='START_TIMEOUT="3s"\n')
    wait_until(lambda: web.ask("GET", "/fresh/stats").status == 200, PATIENCE, "the new model answers")
    web.model("fresh", 8332, command=command, extra='START_TIMEOUT="3s"\n')
    wait_until(lambda: " 8332; " in locations(web), PATIENCE, "NGINX has the other port")
    web.update()
    answer = wait_until(lambda: (answer := web.ask("GET", "/fresh/stats")).status != 200 and answer, PATIENCE, "NGINX looks there")
    assert (answer.status, answer["error"]["code"]) == (503, "not_ready") and "8332" in answer["error"]["message"], answer
    web.sh("systemctl restart model@fresh.service")
    assert web.ask("GET", "/fresh/stats").status == 200


def test_nothing_changed_is_nothing_done(web):
    """Models that start and stop, files that say the same, a comment: none of it is worth a reload."""
    web.update()
    mark, workers, file = web.mark(), web.nginx_workers(), web.path(LOCATIONS).stat()
    assert web.post("/quick/echo", "x").status == 200
    web.sh("systemctl stop model@quick.service; systemctl start model@slow.service")
    own = web.path(f"{MODELS}/quick").read_text()
    web.put(f"{MODELS}/quick", own)
    web.put(f"{MODELS}/quick", own + "# a comment\nIDLE_TIMEOUT=1h\nTHREADS=7\n")
    web.put(f"{MODELS}/portless", 'COMMAND="sleep infinity"\n')
    for _ in range(3):
        web.sh(["systemctl", "start", UPDATER])
    after = web.path(LOCATIONS).stat()
    assert (after.st_ino, after.st_mtime_ns) == (file.st_ino, file.st_mtime_ns)
    assert web.nginx_workers() == workers
    assert "Reload" not in web.journal("--after-cursor", mark, "--unit=nginx.service")


def test_many_changes_at_once(web):
    """Each is seen in the end, however they fall."""
    for number in range(40):
        web.model(f"many-{number}", 8400 + number, command="sleep infinity")
    wait_until(lambda: web.routes("many-0", "many-39"), PATIENCE, "NGINX knows them all")
    for number in range(40):
        web.path(f"{MODELS}/many-{number}").unlink()
    wait_until(lambda: "many-" not in locations(web), PATIENCE, "they are gone")
    wait_until(lambda: not web.routes("many-0"), PATIENCE, "NGINX has forgotten them")


def test_a_change_between_a_run_s_last_look_and_its_end_is_seen(web):
    """systemd watches nothing while the unit that it has started for a change is up. The timer would be a minute late."""
    with web.drop_in(UPDATER, "[Service]\nExecStartPost=/bin/sleep 3\n"):
        web.sh(["systemctl", "start", "--no-block", UPDATER])
        wait_until(lambda: web.properties(UPDATER, "SubState")["SubState"] == "start-post", PATIENCE, "it has looked")
        web.model("fresh", 8331)
        wait_until(lambda: "location /fresh/" in locations(web), PATIENCE, "the next run has it")
        web.put(f"{MODELS}/quick", web.path(f"{MODELS}/quick").read_text() + "# a change that only starts a run\n")
        wait_until(lambda: web.properties(UPDATER, "SubState")["SubState"] == "start-post", PATIENCE, "it has looked again")
        web.path(f"{MODELS}/fresh").unlink()
        wait_until(lambda: "location /fresh/" not in locations(web), PATIENCE, "the run after that one forgets it")


HOSTILE_NAMES = ["a;b", "a b", "x{}", "$host", "a\nlocation", "#", '"', "'", "..x", "-x", "@wake_quick", "a/b", "ä", "x" * 129,
                 "*.conf", "a\\b", "%2f", "{", "}", "a;return 200;"]
HOSTILE_PORTS = ["80; return 200", "0", "-1", "65536", "99999999999999999999", "8198}", "8198 #", "0x50", "1e3", "８１９８",
                 "$PORT", "127.0.0.1:80", "8198\n}", "", " 8198", "08198;"]


def test_hostile_files_cannot_break_it(web):
    web.update()
    before = locations(web)
    for number, name in enumerate(HOSTILE_NAMES):
        if "/" not in name:
            web.put(f"{MODELS}/{name}", f'PORT="{8500 + number}"\nCOMMAND="sleep infinity"\n')
    for number, port in enumerate(HOSTILE_PORTS):
        web.put(f"{MODELS}/port-{number}", f'PORT="{port}"\nCOMMAND="sleep infinity"\n')
    web.sh(f"mkdir {MODELS}/folder && ln -s /etc/shadow {MODELS}/link && mkfifo {MODELS}/pipe && "
           f"head -c 3000000 /dev/urandom >{MODELS}/noise && chmod 0 {MODELS}/noise")
    web.model("good", 8331, command="sleep infinity")
    try:
        wait_until(lambda: web.routes("good"), PATIENCE, "a good one beside them is taken")
        web.update()
        added = [line for line in locations(web).splitlines() if line not in before.splitlines()]
        places = {line.split()[1] for line in added if line.startswith("location ")}
        assert {place.lstrip("/@").removesuffix("/").split("_")[-1] for place in places} == {"good"}, places
        assert web.run("nginx -t").returncode == 0
        assert web.chat("quick").status == 200
        assert web.ask("GET", "/v1/models").status == 200
    finally:
        web.path(f"{MODELS}/folder").rmdir()


def test_models_named_as_places_of_the_server(web):
    for name, port in ("api", 8331), ("v1", 8332), ("hl_error", 8333):
        web.model(name, port)
    wait_until(lambda: web.routes("hl_error"), PATIENCE, "NGINX knows them")
    web.update()
    for name in "api", "v1", "hl_error":
        assert web.chat(name)["model"] == name
    assert web.ask("GET", "/api/inference/models").status == 200 and web.ask("GET", "/v1/models")["object"] == "list"
    assert web.ask("GET", "/api/nothing").status == 404
    assert web.ask("GET", "/hl_error/health").status == 200


# ---- when NGINX does not want it ----

def test_a_site_that_is_broken_keeps_the_old_locations(web):
    """What else NGINX has is not ours: it refuses the reload, keeps what it has, and the updater says so."""
    web.update()
    before, mark = locations(web), web.mark()
    web.put("/etc/nginx/conf.d/broken.conf", "nonsense;\n")
    try:
        web.model("fresh", 8331)
        wait_until(lambda: web.run(["systemctl", "is-failed", UPDATER]).returncode == 0, PATIENCE, "it fails")
        assert locations(web) == before
        assert "its last run         FAILED" in web.sh("home-lab-services status")
        assert f"note: {UPDATER} has failed" in web.run("home-lab-services check").stdout
        assert "nginx" in web.journal("--after-cursor", mark, "--identifier=nginx-config-updater"), "it says why"
        assert web.chat("quick").status == 200 and web.ask("GET", "/fresh/health").status == 404
    finally:
        web.sh("rm /etc/nginx/conf.d/broken.conf")
    web.sh(["systemctl", "start", UPDATER])
    wait_until(lambda: web.ask("GET", "/fresh/v1/models").status == 200, PATIENCE, "the next run makes up for it")
    assert web.failed_units() == ""


def test_locations_that_nginx_refuses_are_not_put_in_place(web):
    web.update()
    before, mark, include = locations(web), web.mark(), "/etc/nginx/home-lab-services/named.conf"
    text = web.path(include).read_text()
    web.put(include, text + "nonsense;\n")
    try:
        web.model("fresh", 8331)
        wait_until(lambda: web.run(["systemctl", "is-failed", UPDATER]).returncode == 0, PATIENCE, "it fails")
        said = web.journal("--after-cursor", mark, "--identifier=nginx-config-updater")
        assert "the old ones stay" in said and 'unknown directive "nonsense"' in said and "named.conf" in said, said
        assert locations(web) == before
        assert web.journal("--after-cursor", mark, "--unit=nginx.service").count("Reloading") == 0
        assert web.chat("quick").status == 200
    finally:
        web.put(include, text)
    web.sh(["systemctl", "start", UPDATER])
    assert "fresh" in locations(web)
    assert web.run("ls -A /tmp/nginx-config-updater*; ls -A /var/lib/home-lab-services/nginx").stdout.split() == ["models.conf", "upstreams"]


def test_what_is_lost_is_made_again(web):
    web.update()
    before = locations(web)
    web.path(LOCATIONS).unlink()
    web.sh(["systemctl", "start", UPDATER])
    assert locations(web) == before
    status = web.path(LOCATIONS).stat()
    assert status.st_mode & 0o777 == 0o644
    assert web.sh(["stat", "-c", "%U", LOCATIONS]).strip() == "root"
    assert "nginx-config-updater.timer" in web.sh("systemctl list-timers --no-legend")


def test_another_address_of_the_models(web):
    web.config(nginx={"upstream_host": "127.0.0.2"})
    try:
        wait_until(lambda: "hl_127.0.0.2" in locations(web), PATIENCE, "a change of the configuration is seen, too")
    finally:
        web.path(ETC + "/config.json").unlink()
        wait_until(lambda: "127.0.0.2" not in locations(web), PATIENCE, "and that it was taken back")
        web.update()
    wait_until(lambda: web.chat("quick").status == 200, PATIENCE, "all is as it was")


def test_a_model_that_is_too_new_for_nginx(web):
    """The router reads the folder; NGINX may be a moment behind."""
    web.sh("systemctl stop nginx-config-updater.path nginx-config-updater.timer")
    try:
        web.model("fresh", 8339)  # no model before it had this port
        answer = web.post("/v1/chat/completions", {"model": "fresh", "messages": []})
        assert (answer.status, answer["error"]["code"]) == (503, "model_not_routed"), answer
        assert 0 < int(answer.headers["Retry-After"]) <= 60
    finally:
        web.sh("systemctl start nginx-config-updater.path nginx-config-updater.timer")
    wait_until(lambda: web.chat("fresh").status == 200, PATIENCE, "then it is there")
