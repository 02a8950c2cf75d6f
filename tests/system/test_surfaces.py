# SPDX-License-Identifier: MIT
"""The surfaces that clients know already: lists of models with their further names, llama.cpp's router, Home Assistant's
switches, and numbers and times as templates write them."""
import contextlib
import datetime
import json
import urllib.parse

import pytest

from machines import INFERENCE, MODELS, PATIENCE, SHUTDOWN, wait_until

ODD = ["Qwen/Qwen3-8B", "modèle:8b", "100%", "a?b#c&d=e", "../../etc/passwd", "\"quoted\"", "gpt-4"]


def get(machine, path, status=200, **options):
    answer = machine.http("GET", INFERENCE, path, **options)
    assert answer.status == status, answer
    return answer.json


def entries(machine, query=""):
    return {entry["id"]: entry for entry in get(machine, "/v1/models" + query)["data"]}


def post(machine, path, body, port=INFERENCE, **headers):
    return machine.http("POST", port, path, body, headers, timeout=50)


def runs(machine, model):
    return machine.is_active(f"model@{model}.service")


@pytest.fixture
def named(machine):
    """Two models with further names."""
    quoted = " ".join(ODD).replace('"', '\\"')
    machine.model("eager", 8341, extra=f'ALIASES="{quoted}"\n')
    machine.model("idler", 8342, "--load-seconds 2", extra="ALIASES='z-last shared'\n")
    return machine


# ---- /v1/models ----

def test_every_name_of_a_model_is_listed(named):
    listed = get(named, "/v1/models")
    ids = [entry["id"] for entry in listed["data"]]
    assert ids == sorted(["tiny-llama", "qwen2.5-0.5b:q4", "whisper.cpp", "eager", "idler", "z-last", "shared", *ODD],
                         key=str.encode)
    assert listed["object"] == "list" and listed["has_more"] is False
    assert (listed["first_id"], listed["last_id"]) == (ids[0], ids[-1])
    found = entries(named)
    assert found["eager"]["aliases"] == ODD and "alias_of" not in found["eager"]
    for alias in ODD:
        assert found[alias]["alias_of"] == "eager" and "aliases" not in found[alias]
    for name, entry in found.items():
        assert entry["object"] == entry["type"] == "model" and entry["owned_by"] and entry["display_name"] == name
        assert datetime.datetime.fromisoformat(entry["created_at"]).timestamp() == entry["created"] > 1.6e9
        assert entry["status"] == {"value": "unloaded"}


def test_an_alias_has_its_model_s_state(named):
    assert named.http("POST", INFERENCE, "/models/idler/start").status == 200
    found = entries(named)
    assert [found[name]["status"]["value"] for name in ("idler", "z-last", "shared")] == ["loading"] * 3
    assert named.http("POST", INFERENCE, "/models/idler/start?wait=ready").status == 200
    found = entries(named)
    assert [found[name]["status"]["value"] for name in ("idler", "z-last", "shared")] == ["loaded"] * 3
    assert found["gpt-4"]["status"]["value"] == "unloaded"
    named.model("broken", command="/bin/false", extra="ALIASES=bust\n")
    named.http("POST", INFERENCE, "/models/broken/start")
    wait_until(lambda: entries(named)["bust"]["status"].get("failed"), PATIENCE, "it has failed")
    for name in "broken", "bust":
        assert entries(named)[name]["status"] == {"value": "unloaded", "failed": True, "exit_code": 1}


@pytest.mark.parametrize("name", ["eager", *ODD])
@pytest.mark.parametrize("safe", ["", "/"])
def test_a_model_is_retrieved_by_any_of_its_names(named, name, safe):
    path = "/v1/models/" + urllib.parse.quote(name, safe=safe)
    entry = get(named, path)
    assert entry == entries(named)[name]
    head = named.http("HEAD", INFERENCE, path)
    assert head.status == 200 and head.body == b""


def pages(machine, limit, cursor="after_id"):
    """As Anthropic's client goes through them: until has_more is false."""
    got, query, asked = [], f"?limit={limit}", 0
    while True:
        page = get(machine, "/v1/models" + query)
        asked += 1
        assert asked < 50 and len(page["data"]) <= limit
        ids = [entry["id"] for entry in page["data"]]
        assert not ids or (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        got = ids + got if cursor == "before_id" else got + ids
        if not page["has_more"]:
            return got, asked
        last = page["first_id" if cursor == "before_id" else "last_id"]
        query = f"?limit={limit}&{cursor}={urllib.parse.quote(last, safe='')}"


@pytest.mark.parametrize("cursor", ["after_id", "after"])
@pytest.mark.parametrize("limit", [1, 2, 5, 13, 14, 1000])
def test_pages_are_whole_and_end(named, limit, cursor):
    ids = [entry["id"] for entry in get(named, "/v1/models")["data"]]
    assert len(ids) == 14
    assert pages(named, limit, cursor) == (ids, -(-len(ids) // limit))


def test_a_page_before_an_id(named):
    ids = [entry["id"] for entry in get(named, "/v1/models")["data"]]
    page = get(named, f"/v1/models?before_id={urllib.parse.quote(ids[5], safe='')}&limit=2")
    assert [entry["id"] for entry in page["data"]] == ids[3:5] and page["has_more"] is True
    page = get(named, f"/v1/models?before_id={urllib.parse.quote(ids[2], safe='')}&limit=5")
    assert [entry["id"] for entry in page["data"]] == ids[:2] and page["has_more"] is False
    assert [entry["id"] for entry in get(named, f"/v1/models?before_id={urllib.parse.quote(ids[0], safe='')}")["data"]] == []


def test_paging_goes_on_behind_a_model_that_is_gone(named):
    first = get(named, "/v1/models?limit=20&after_id=eager")
    named.sh(f"rm {MODELS}/eager")
    again = get(named, "/v1/models?limit=20&after_id=eager")
    gone = {"gpt-4", "modèle:8b"}
    assert [entry["id"] for entry in again["data"]] == [e["id"] for e in first["data"] if e["id"] not in gone]


@pytest.mark.parametrize("query", ["?limit=abc", "?limit=0", "?limit=1001", "?limit=-1", "?limit=", "?after_id=", "?beta=true",
                                   "?api-version=2024-10-21", "?x", "?limit", "?a=%zz", "?after_id=%zz", "/", "//", "/?beta=true"])
def test_what_means_nothing_here_is_ignored(named, query):
    assert get(named, "/v1/models" + query) == get(named, "/v1/models")


def test_check_says_who_has_a_name_that_two_claim(named):
    named.model("thief", 8343, extra="ALIASES='gpt-4 idler thief mine'\n")
    named.model("load", 8344)
    done = named.run("home-lab-services check")
    for expected in (f'{MODELS}/thief:3: ALIASES "gpt-4" is an alias of the model eager ({MODELS}/eager), which keeps it',
                     f'{MODELS}/thief:3: ALIASES "idler" is the name of the model idler ({MODELS}/idler), which keeps it',
                     f'{MODELS}/thief:3: ALIASES "thief" is the model\'s own name', f"{MODELS}/load: /models/load is a path"):
        assert expected in done.stdout, done.stdout
    assert entries(named)["thief"]["aliases"] == ["mine"] and entries(named)["gpt-4"]["alias_of"] == "eager"
    assert get(named, "/v1/models/thief") == entries(named)["thief"]


# ---- llama.cpp's router ----

def test_a_router_s_buttons(named):
    """What Open WebUI and llama.cpp's own page send, and what they look at afterwards."""
    answer = post(named, "/models/load", {"model": "z-last", "extra_args": ["-c", "4096"]})
    assert answer.status == 200 and answer["success"] is True and answer["status"] == "success"
    assert answer["model_name"] == "idler"

    def status():
        return {entry["id"]: entry["status"]["value"] for entry in get(named, "/models?reload=1")["data"]}["idler"]
    assert status() in ("loading", "loaded")
    wait_until(lambda: status() == "loaded", PATIENCE, "it is loaded")
    for _ in range(2):
        answer = post(named, "/models/load", {"model": "idler"})
        assert answer.status == 200 and answer["success"] is True
    for _ in range(2):
        answer = post(named, "/models/unload", {"model": "shared"})
        assert answer.status == 200 and answer["success"] is True
    wait_until(lambda: status() == "unloaded" and not runs(named, "idler"), PATIENCE, "it is unloaded")


def test_a_start_by_the_router_s_api_waits_for_nothing(named):
    named.model("snail", 8345, "--never-ready")
    answer = named.http("POST", INFERENCE, "/models/load", {"model": "snail"}, timeout=5)
    assert answer.status == 200 and answer["success"] is True


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_a_router_s_error_says_why_where_its_clients_look(named, verb):
    answer = post(named, f"/models/{verb}", {"model": "nobody"})
    assert answer.status == 404 and '"nobody"' in answer["error"]["message"] and answer["code"] == "model_not_found"


def test_models_has_our_shape_and_llama_cpp_s(named):
    answer = get(named, "/models")
    assert [set(model) for model in answer["models"]] == [{"model_name", "file_path", "port", "unit"}] * 5
    assert answer["object"] == "list"
    assert {entry["id"]: entry["aliases"] for entry in answer["data"]} == {
        "tiny-llama": [], "qwen2.5-0.5b:q4": [], "whisper.cpp": [], "eager": ODD, "idler": ["z-last", "shared"]}


# ---- one URL for a switch ----

# Content types as these send a text: httpx, aiohttp, and whoever sets one.
SWITCHES = {"httpx": {}, "aiohttp": {"Content-Type": "application/octet-stream"}, "text": {"Content-Type": "text/plain"},
            "json": {"Content-Type": "application/json"}}


def switch(machine, method, port, path, body, headers):
    with contextlib.closing(machine.open(port, timeout=50)) as connection:
        connection.request(method, path, body.encode(), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("client", SWITCHES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_model_is_a_switch(named, client, method):
    def turn(on, status=200):
        got = switch(named, method, INFERENCE, "/models/eager", json.dumps({"running": on, "wait": "none"}), SWITCHES[client])
        assert got[0] == status and got[1]["running"] is on, got
    assert get(named, "/models/eager")["running"] is False
    for _ in range(2):
        turn(True)
    assert get(named, "/models/eager")["running"] is True
    for _ in range(2):
        turn(False)
    wait_until(lambda: get(named, "/models/eager")["running"] is False, PATIENCE, "it is off")
    turn(False)


def test_who_asks_right_behind_a_switch_sees_the_new_state(named):
    """On one connection, so that nothing is faster; a stop may take as long as it likes."""
    named.model("clinging", command="/bin/sh -c 'trap : TERM; while :; do sleep 0.1; done'")
    with contextlib.closing(named.open(INFERENCE, timeout=50)) as connection:
        def ask(method, path, body=None):
            connection.request(method, path, body and json.dumps(body))
            return json.loads(connection.getresponse().read())
        for model in "eager", "clinging":
            for _ in range(5 if model == "eager" else 1):
                for on in True, False:
                    assert ask("POST", f"/models/{model}", {"running": on, "wait": "none"})["running"] is on
                    assert ask("GET", f"/models/{model}")["running"] is on
        for verb, values in ("load", ("loading", "loaded")), ("unload", ("unloaded",)):
            assert ask("POST", f"/models/{verb}", {"model": "gpt-4"})["success"] is True
            data = {entry["id"]: entry["status"]["value"] for entry in ask("GET", "/models")["data"]}
            assert data["eager"] in values
    named.run("systemctl kill --signal=KILL model@clinging.service")


def test_a_switch_may_wait(named):
    assert post(named, "/models/idler", {"running": True, "wait": "ready"}).status == 200
    assert get(named, "/models/idler")["state"] == "loaded"
    assert post(named, "/models/idler", {"running": False, "wait": "ready"}).status == 200  # until it is stopped
    assert get(named, "/models/idler")["state"] == "unloaded"
    assert post(named, "/models/idler", {"running": True}).status == 200
    assert get(named, "/models/idler")["running"] is True
    assert runs(named, "idler")


@pytest.mark.parametrize("client", SWITCHES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_the_shutdown_is_a_switch(machine, client, method):
    def turn(body):
        status, answer = switch(machine, method, SHUTDOWN, "/shutdown", body, SWITCHES[client])
        assert status == 200 and answer["status"] == "success", answer
        return answer

    def shown():
        return machine.http("GET", SHUTDOWN, "/shutdown").json
    assert (shown()["scheduled"], shown()["shutdown"]) == (False, None)
    answer = turn('{"scheduled": true, "minutes": "90", "action": "reboot"}')
    assert answer["scheduled"] is True and 5300 < answer["shutdown"]["remaining_seconds"] <= 5400
    assert shown()["scheduled"] is True and shown()["shutdown"]["action"] == "reboot" and machine.scheduled()[0] == "reboot"
    assert turn('{"scheduled": true, "minutes": 120}')["replaced"]["action"] == "reboot"
    assert turn('{"scheduled": false}')["cancelled_shutdown"]["action"] == "poweroff"
    assert machine.scheduled() is None
    assert turn('{"scheduled": false}')["cancelled_shutdown"] is None
    assert shown()["scheduled"] is False
    assert machine.http("POST", SHUTDOWN, "/shutdown/cancel").status == 404  # the verb says that there was none


def test_somebody_else_s_shutdown_is_shown_and_called_off(machine):
    machine.sh("shutdown -r +60")
    assert machine.http("GET", SHUTDOWN, "/shutdown")["shutdown"]["source"] == "external"
    answer = post(machine, "/shutdown", {"scheduled": True, "minutes": 5}, SHUTDOWN)
    assert answer.status == 409 and answer["shutdown"]["action"] == "reboot"
    answer = post(machine, "/shutdown", {"scheduled": False}, SHUTDOWN)
    assert answer.status == 200 and answer["cancelled_shutdown"]["source"] == "external" and machine.scheduled() is None


# ---- numbers and times ----

@pytest.mark.parametrize("minutes, seconds", [("30", 1800), ("0.5", 30), (" 30 ", 1800), ("90.0", 5400)])
def test_a_number_in_a_string_is_that_number(machine, minutes, seconds):
    answer = post(machine, "/shutdown/schedule", {"minutes": minutes, "action": "halt"}, SHUTDOWN)
    assert answer.status == 200 and seconds - 5 < answer["shutdown"]["remaining_seconds"] <= seconds
    assert machine.http("POST", SHUTDOWN, "/shutdown/cancel").status == 200


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def zone(machine, request):
    was = machine.sh("readlink /etc/localtime || true").strip()
    if not machine.path(f"/usr/share/zoneinfo/{request.param}").exists():
        pytest.skip(f"{request.param} is NOT TESTED: the machine has no tzdata")
    machine.sh(f"ln -sfn /usr/share/zoneinfo/{request.param} /etc/localtime")
    yield request.param
    machine.sh(f"ln -sfn {was} /etc/localtime" if was else "rm /etc/localtime")


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S.%f"])
def test_a_time_without_offset_is_this_host_s(machine, zone, form):
    text = machine.sh(["date", "--date=+90 minutes", "+%Y-%m-%dT%H:%M:00 %s"]).strip()
    local, epoch = text.split()
    at = datetime.datetime.fromisoformat(local).strftime(form)
    answer = post(machine, "/shutdown/schedule", {"at": at, "action": "reboot"}, SHUTDOWN)
    assert answer.status == 200, answer
    understood = datetime.datetime.fromisoformat(answer["shutdown"]["scheduled_time"])
    assert understood.tzinfo and understood.timestamp() == int(epoch) // 60 * 60
    assert understood.isoformat() == answer["shutdown"]["scheduled_time"] and local in answer["message"]
    assert machine.scheduled()[1] == understood.timestamp() * 1e6
