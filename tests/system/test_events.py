# SPDX-License-Identifier: MIT
"""GET /events: what changes is told when it changes, by each door, and nobody notices who listens."""
import contextlib

import pytest

import documents
from followers import EVENTS, FOLLOWERS, MONITOR, Follower
from machines import MODELS, PATIENCE, on_trixie_alone, wait_until
from sweeps import sweep
from web import CAST, NGINX

DOORS = {"port": (MONITOR, EVENTS), "nginx": (NGINX, "/api/monitor" + EVENTS)}


@pytest.fixture
def follow(web):
    with contextlib.ExitStack() as stack:
        def begin(*arguments, **options):
            follower = Follower(web.network, *arguments, **options)
            stack.callback(follower.close)
            return follower
        yield begin


def handlers(web):
    return len(web.sh("systemctl list-units --plain --no-legend 'model-monitor-service@*'").splitlines())


def read_all(follower):
    """What is told at first: each model, and the shutdown behind them."""
    models = {}
    while (told := follower.next())[0] == "model":
        models[told[1]["model_name"]] = told[1]
    assert told[0] == "shutdown"
    return models, told[1]


@pytest.mark.parametrize("door", DOORS)
def test_what_changes_is_told(web, follow, door):
    follower = follow(*DOORS[door])
    assert follower.status == 200 and follower.response.headers["Content-Type"] == "text/event-stream"
    assert follower.block() == ["retry: 3000"]
    models, shutdown = read_all(follower)
    assert set(CAST) <= set(models)
    assert models["quick"] == {"time": models["quick"]["time"], "model_name": "quick", "state": "unloaded", "cause": None,
                               "running": False, "stopping": False}
    assert shutdown["scheduled"] is False and shutdown["shutdown"] is None

    for verb in "start", "restart":
        with web.loading():
            web.sh(f"systemctl {verb} model@slow.service")  # whoever does it
            assert follower.find("model", model_name="slow", state="loading")["running"]
        assert follower.find("model", model_name="slow", state="loaded")["cause"] is None
    web.sh("systemctl stop model@slow.service")
    follower.find("model", model_name="slow", state="unloaded", stopping=False)
    web.post("/api/inference/models/stillborn/start", None)
    failed = follower.find("model", model_name="stillborn", state="failed")
    while "failing at the start" not in (failed["cause"] or ""):  # the journal may have it a moment later
        failed = follower.find("model", model_name="stillborn", state="failed")

    web.http("POST", 5001, "/shutdown/schedule", {"minutes": 600, "action": "reboot"})
    told = follower.find("shutdown", scheduled=True)["shutdown"]
    shown = web.http("GET", 5001, "/shutdown")["shutdown"]
    assert set(told) == set(shown) and told["scheduled_time"] == shown["scheduled_time"] and told["action"] == "reboot"
    web.http("POST", 5001, "/shutdown/schedule", {"minutes": 500})
    assert follower.find("shutdown", scheduled=True)["shutdown"]["action"] == "poweroff"
    web.sh("shutdown -c")
    follower.find("shutdown", scheduled=False, shutdown=None)

    web.model("another", 8341)
    follower.find("model", model_name="another", state="unloaded")
    web.path(f"{MODELS}/another").unlink()
    follower.find("model", model_name="another", state=None)


def idle_model(web, name="brief"):
    """One that the next sweeps stop."""
    web.model(name, 8328, extra='IDLE_TIMEOUT="1s"\n')
    web.post(f"/api/inference/models/{name}/start?wait=ready", None)


def sweep_until_stopped(web, name="brief"):
    def is_stopped():
        sweep(web)
        return not web.runs(name)
    wait_until(is_stopped, PATIENCE, f"{name} is stopped for being idle")


def test_decisions_are_told_and_listening_is_no_use(web, follow):
    web.sh("systemctl stop model-idle-sweep.timer")
    try:
        follower = follow()
        idle_model(web)
        before = [web.last_used(name) or None for name in ("brief", "quick")]
        follower.find("model", model_name="brief", state="loaded")
        sweep_until_stopped(web)
        decision = follower.find("decision", model_name="brief")
        assert decision["decision"] == "stop" and decision["reason"] == "idle" and decision["threshold_seconds"] == 1
        assert decision == web.http("GET", MONITOR, "/models/brief/why")["decisions"][-1]
        assert [web.last_used(name) or None for name in ("brief", "quick")] == before and not web.runs("quick")

        # Who was away is told what it has missed, and nothing twice.
        seen = follower.id
        follower.close()
        idle_model(web)
        sweep_until_stopped(web)
        for door in DOORS.values():
            decisions = web.http("GET", MONITOR, "/models/brief/why")["decisions"]
            missed = decisions[decisions.index(decision) + 1:]
            follower = follow(*door, after=seen)
            assert [follower.find("decision", model_name="brief") for _ in missed] == missed, door
            last = follow(*door, after=follower.id)
            idle_model(web)
            sweep_until_stopped(web)
            new = last.find("decision", model_name="brief")
            assert new == follower.find("decision", model_name="brief") and new not in missed
        assert follow(after="nonsense").find("decision")  # there are none that it has had
    finally:
        web.sh("systemctl start model-idle-sweep.timer")


def test_so_many_at_once_and_none_for_who_has_left(web, follow):
    followers = []

    def all_are_there():  # those of the tests before may still be leaving
        follower = follow(*list(DOORS.values())[len(followers) % 2])
        followers.extend([follower] if follower.status == 200 else [])
        return len(followers) == FOLLOWERS
    wait_until(all_are_there, PATIENCE, f"{FOLLOWERS} listen")
    for port, path in DOORS.values():
        answer = web.http("GET", port, path)
        assert answer.status == 503 and answer["code"] == "too_many_followers" and answer.headers["Retry-After"], answer
    assert web.http("GET", MONITOR, "/models/active").status == 200
    assert web.ask("GET", "/api/inference/models/quick/logs")["lines"] is not None  # others' places are others
    for follower in followers:
        follower.close()
    wait_until(lambda: handlers(web) == 0, PATIENCE, "their processes have ended, though nothing was told")

    def there_is_room():
        followers.append(follow(*DOORS["nginx"]))
        return followers[-1].status == 200
    wait_until(there_is_room, PATIENCE, "there is room again")
    mark = web.mark()
    web.sh("systemctl restart model-monitor-service.service")
    assert followers[-1].ends() and "cuts off" not in web.journal("--after-cursor", mark)


RECEIVER = """
import http.server
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print(self.headers["X-Event"], self.headers["Content-Type"], body, flush=True)
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("192.168.1.20", 8123), Receiver).serve_forever()
"""


def test_the_webhook_of_the_document(web):
    """As it stands there, with a receiver at its address."""
    document, title = "handlers/CLIENTS.md", "Events"
    (script,), (unit,), (commands,) = ([text for _, text in documents.blocks(document, title, language)] for language in ("bash", "ini", "sh"))
    web.put("/usr/local/bin/home-lab-events", script)
    web.put("/etc/systemd/system/home-lab-events.service", unit)
    web.put("/run/receiver.py", RECEIVER)
    web.sh("ip address add 192.168.1.20/32 dev lo; systemd-run --unit=receiver /usr/bin/python3 /run/receiver.py")

    def received(*words):
        lines = web.journal("--unit", "receiver", "--boot").splitlines()
        return any(all(word in line for word in words) for line in lines)
    try:
        web.sh(commands.replace("sudo ", ""))
        wait_until(lambda: received("shutdown application/json {", '"shutdown":null'), PATIENCE, "it has sent how everything is")
        web.post("/api/inference/models/quick/start", None)
        wait_until(lambda: received("model application/json {", '"model_name":"quick","state":"loaded"'), PATIENCE, "a model is ready")
    finally:
        web.sh("systemctl disable --now home-lab-events.service; systemctl stop receiver; ip address del 192.168.1.20/32 dev lo; "
               "rm /usr/local/bin/home-lab-events /etc/systemd/system/home-lab-events.service")


def test_a_head_is_no_follower(web):
    for port, path in DOORS.values():
        answer = web.http("HEAD", port, path)
        assert answer.status == 200 and answer.body == b""
        assert web.http("GET", port, path + "?follow=true")["code"] == "unknown_parameter"


def test_it_ends_with_its_token(web, follow):
    token = web.sh("home-lab-services token add listener --scope read").strip()
    web.config(auth={"loopback": "token"})
    try:
        assert [follow(*door).status for door in DOORS.values()] == [403, 403]
        followers = [follow(*door, token=token) for door in DOORS.values()]
        for follower in followers:
            assert follower.status == 200
            read_all(follower)
        web.sh("home-lab-services token revoke listener")
        assert all(follower.ends() for follower in followers)
    finally:
        web.sh("rm /etc/home-lab-services/tokens /etc/home-lab-services/config.json")


@on_trixie_alone
def test_who_hears_nothing_is_told_that_there_is_nothing(follow):
    follower = follow()
    read_all(follower)
    lines = follower.block()
    while not lines[0].startswith(":"):
        lines = follower.block()
    assert lines == [": nothing new"]
