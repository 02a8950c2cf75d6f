# SPDX-License-Identifier: MIT
"""What a model logged, and what it logs from now on."""
import contextlib
import json
import re
import time

import pytest

from machines import INFERENCE, PATIENCE, wait_until
from web import NGINX


def logs(machine, query="", headers={}):
    return machine.http("GET", INFERENCE, f"/models/talker/logs{query}", headers=headers)


def test_logs_have_the_models_words_and_systemds(machine):
    machine.model("talker", command="printf 'line %s of it\\\\n' 1 2 3 4 5")
    start_at = time.time()
    machine.http("POST", INFERENCE, "/models/talker/start?wait=none")
    wait_until(lambda: "line 5 of it" in logs(machine, "?format=text").body.decode(), PATIENCE, "it has spoken")
    lines = logs(machine)["lines"]
    assert logs(machine)["unit"] == "model@talker.service"
    assert [line["message"] for line in lines if line["message"].startswith("line")] == [f"line {n} of it" for n in range(1, 6)]
    assert any("Started" in line["message"] for line in lines)  # systemd's words are there, too
    assert all(line["time"] and line["priority"] in range(8) for line in lines)
    wait_until(lambda: logs(machine)["lines"] == logs(machine)["lines"], PATIENCE, "it is quiet")
    assert len(logs(machine, "?lines=2")["lines"]) == 2
    assert logs(machine, "?lines=2")["lines"] == logs(machine)["lines"][-2:]
    text = logs(machine, "?lines=10000", {"Accept": "text/plain"})
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert re.search(r"^\d{4}-\d\d-\d\dT\S+ line 1 of it$", text.body.decode(), re.M)
    assert logs(machine, headers={"Accept": "application/json, text/plain"}).json["status"] == "success"
    for query in "?lines=0", "?lines=10001", "?lines=x", "?lines=", "?format=xml", "?since=1":
        assert logs(machine, query).status == 400, query
    assert machine.http("GET", INFERENCE, "/models/nobody/logs").status == 404
    assert machine.http("GET", INFERENCE, "/models/tiny-llama/logs")["lines"] == [] or start_at  # others' are not mixed in
    assert "line 1" not in machine.http("GET", INFERENCE, "/models/tiny-llama/logs").body.decode()


# ---- ?follow=true ----

class Follower:
    """A client that reads a log as it grows."""

    def __init__(self, machine, port, path, query="&format=text"):
        self.connection = machine.open(port, timeout=15)
        self.connection.request("GET", f"{path}?lines=1&follow=true{query}")
        self.response = self.connection.getresponse()

    def find(self, words):
        """The first of the lines to come that has these words."""
        while words not in (line := self.response.readline().decode()):
            assert line, f"the log ended before {words}"
        return line

    def ends(self):
        while self.response.readline():
            pass
        return True

    def leave(self):
        self.response.close()
        self.connection.close()


DOORS = {"port": (INFERENCE, "/models/quick/logs"), "nginx": (NGINX, "/api/inference/models/quick/logs")}


@pytest.fixture
def quick(web):
    """A model that runs, and logs each request."""
    assert web.post("/quick/echo", "x").status == 200
    return web


def say(web, words):
    assert web.post(f"/quick/{words}", "x").status == 404


@pytest.mark.parametrize("port, path", DOORS.values(), ids=DOORS)
def test_a_log_is_followed(quick, port, path):
    follower = Follower(quick, port, path)
    with contextlib.closing(follower.connection):
        assert follower.response.status == 200 and follower.response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert follower.response.readline()  # the last one of before
        for number in range(3):
            say(quick, f"word-{number}")
            assert re.match(r"\d{4}-\d\d-\d\dT\S+ ", follower.find(f"/word-{number}"))
        quick.sh("systemctl stop model@quick.service")
        follower.find("Stopped")  # systemd's words, too, and the log goes on behind a stop
        quick.sh("systemctl start model@quick.service")
        follower.find("listening on")


@pytest.mark.parametrize("port, path", DOORS.values(), ids=DOORS)
def test_as_lines_of_json(quick, port, path):
    follower = Follower(quick, port, path, "")
    with contextlib.closing(follower.connection):
        assert follower.response.headers["Content-Type"] == "application/x-ndjson"
        say(quick, "in-json")
        line = json.loads(follower.find("/in-json"))
        assert set(line) == {"time", "priority", "message"}


def test_of_a_model_that_has_said_nothing_yet(web):
    web.model("mute", 8340, command="sleep infinity")
    follower = Follower(web, INFERENCE, "/models/mute/logs")
    with contextlib.closing(follower.connection):
        web.http("POST", INFERENCE, "/models/mute/start")
        follower.find("Started")


def test_a_head_is_no_follower(quick):
    for port, path in DOORS.values():
        answer = quick.http("HEAD", port, path + "?follow=true")
        assert answer.status == 200 and answer.body == b""
        assert quick.http("GET", port, path + "?follow=maybe").status == 400
        assert quick.http("GET", port, path + "?follow=false")["lines"]


def test_nobody_follows_for_a_client_that_has_left(quick):
    def handlers():
        return len(quick.sh("systemctl list-units --plain --no-legend 'inference-service@*'").splitlines())

    followers = [Follower(quick, INFERENCE, DOORS["port"][1]) for _ in range(3)]
    assert handlers() >= 3
    for follower in followers:
        follower.leave()
    wait_until(lambda: handlers() == 0, 10, "their processes have ended, though nothing was logged")


def test_many_followers_leave_room_for_others(quick):
    """Behind NGINX each has a thread of the worker's, which gives them some of these; and a restart waits for none."""
    port, path = DOORS["nginx"]
    with contextlib.ExitStack() as stack:
        followers = [Follower(quick, port, path) for _ in range(16)]
        for follower in followers:
            stack.callback(follower.leave)
        answer = quick.http("GET", port, path + "?follow=true")
        assert answer.status == 503 and answer["code"] == "too_many_followers" and answer.headers["Retry-After"], answer
        assert quick.http("GET", port, path)["lines"]
        followers.pop().leave()
        wait_until(lambda: Follower(quick, port, path).response.status == 200, PATIENCE, "there is room for another")
        began = time.monotonic()
        quick.sh("systemctl restart inference-service.service")
        assert time.monotonic() - began < 10
        assert all(follower.ends() for follower in followers)
    assert quick.http("GET", port, path)["lines"]
