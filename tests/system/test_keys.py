# SPDX-License-Identifier: MIT
"""With "auth": {"models": "token"} nobody on the network uses a model without a key, whichever way it asks; this host's own
programs do as before."""
import contextlib
import json
import statistics
import time

import pytest

from machines import ETC, PATIENCE, on_trixie_alone, wait_until
from neighbours import HERE, THERE, neighbour_of
from web import CHAT, NGINX, Web

MODEL = "plain"
BODY = {"model": MODEL, "messages": []}


@pytest.fixture(scope="module")
def open_site(make_machine):
    """A site that the network reaches, and a neighbour who asks it."""
    machine = make_machine(kind=Web)
    machine.field_model(MODEL, 8401)
    site = machine.path("/etc/nginx/sites-available/home-lab-services")
    with neighbour_of(machine) as machine.neighbour:
        site.write_text(site.read_text().replace("listen 127.0.0.1:8080;", "listen 8080;"))
        machine.sh("systemctl start nginx.service")
        machine.update()

        def reached():
            with contextlib.suppress(OSError):
                return machine.neighbour.http("GET", NGINX, "/", host=HERE).status
        wait_until(reached, PATIENCE, "the neighbour reaches the site")
        wait_until(lambda: machine.routes(MODEL), PATIENCE, "NGINX knows the model")
        yield machine


@pytest.fixture
def keys(open_site):
    made = {scope: open_site.sh(f"home-lab-services token add t-{scope} --scope {scope}").strip()
            for scope in ("read", "use", "control", "power")}
    open_site.config(auth={"models": "token"})
    yield made
    open_site.sh(f"rm -f {ETC}/tokens {ETC}/config.json; systemctl stop model@{MODEL}.service")
    open_site.update()


def ask(site, method, path, key=None, body=None, header="Authorization"):
    headers = {header: f"Bearer {key}" if header == "Authorization" else key} if key else {}
    return site.neighbour.http(method, NGINX, path, body, headers, host=HERE)


def refused(answer, status, code):
    error = answer["error"]
    assert answer.status == status and error["code"] == code and error["message"] and error["type"], answer


WAYS = [("POST", CHAT), ("POST", f"/{MODEL}{CHAT}"), ("GET", f"/{MODEL}/"), ("GET", f"/{MODEL}/health"), ("GET", f"/{MODEL}/v1/models"),
        ("GET", f"/v1/any?model={MODEL}"), ("PUT", f"/{MODEL}/x"), ("POST", f"//{MODEL}//x")]


@on_trixie_alone
@pytest.mark.parametrize("method, path", WAYS)
def test_no_key_no_model(open_site, keys, method, path):
    """Neither a cold one nor one that runs; and nothing of it starts for who has none."""
    body = BODY if method == "POST" else None
    for runs in False, True:
        refused(ask(open_site, method, path, body=body), 401, "token_required")
        refused(ask(open_site, method, path, "hls_wrong", body), 401, "token_invalid")
        refused(ask(open_site, method, path, "sk-any", body, "x-api-key"), 401, "token_invalid")
        refused(ask(open_site, method, path, keys["read"], body), 403, "scope_too_small")
        assert open_site.runs(MODEL) == runs
        if not runs:
            open_site.post(CHAT, BODY)
    assert open_site.seen(8401, CHAT) and all(it["headers"].get("X-Forwarded-For") != THERE for it in open_site.seen(8401))


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "api-key"])
def test_a_use_key_uses_and_lists_and_no_more(open_site, keys, header):
    key = keys["use"]
    for path in CHAT, f"/{MODEL}{CHAT}":
        answer = ask(open_site, "POST", path, key, BODY, header)
        assert answer.status == 200 and key not in json.dumps(answer.json), answer
    assert MODEL in [it["id"] for it in ask(open_site, "GET", "/v1/models", key, header=header)["data"]]
    assert ask(open_site, "GET", f"/v1/models/{MODEL}", key, header=header).status == 200
    for method, path in (("POST", f"/api/inference/models/{MODEL}/stop"), ("POST", f"/api/inference/models/{MODEL}/start"),
                         ("POST", "/models/unload"), ("POST", "/models/load"), ("GET", f"/api/inference/models/{MODEL}/logs"),
                         ("GET", f"/api/inference/models/{MODEL}"), ("GET", "/api/monitor/metrics"), ("GET", "/models"),
                         ("POST", "/api/shutdown/shutdown/schedule"), ("GET", "/api/shutdown/shutdown/next")):
        answer = ask(open_site, method, path, key, {"model": MODEL} if method == "POST" and "models/" in path[:9] else None, header)
        assert answer.status == 403 and "scope_too_small" in answer.body.decode(), (path, answer)
    assert open_site.runs(MODEL) and open_site.scheduled() is None


@pytest.mark.parametrize("scope", ["control", "power"])
def test_larger_scopes_use_models_too(open_site, keys, scope):
    assert ask(open_site, "POST", CHAT, keys[scope], BODY).status == 200


def test_this_host_needs_no_key(open_site, keys):
    for path in CHAT, f"/{MODEL}{CHAT}":
        assert open_site.post(path, BODY).status == 200
    assert open_site.post(CHAT, BODY, {"X-Forwarded-For": THERE}).status == 401, "unless it asks for somebody else"


def test_a_host_that_trusts_nobody(open_site, keys):
    open_site.config(auth={"models": "token", "loopback": "token"})
    open_site.update()
    wait_until(lambda: open_site.post(f"/{MODEL}{CHAT}", BODY).status == 401, PATIENCE, "NGINX knows it")
    assert open_site.post(CHAT, BODY).status == 401
    assert open_site.post(f"/{MODEL}{CHAT}", BODY, {"x-api-key": keys["use"]}).status == 200


def test_a_revoked_key_is_none(open_site, keys):
    assert ask(open_site, "POST", CHAT, keys["use"], BODY).status == 200
    open_site.sh("home-lab-services token revoke t-use")
    refused(ask(open_site, "POST", CHAT, keys["use"], BODY), 401, "token_invalid")


def test_what_a_key_costs(open_site, keys, figure):
    """The same request, from this host and from the network with a key, in turn."""
    def took(ask_once):
        began = time.perf_counter()
        assert ask_once().status == 200
        return time.perf_counter() - began

    ways = {"from this host": lambda: open_site.post(f"/{MODEL}{CHAT}", BODY),
            "from the network with a key": lambda: ask(open_site, "POST", f"/{MODEL}{CHAT}", keys["use"], BODY),
            "by /v1 from the network with a key": lambda: ask(open_site, "POST", CHAT, keys["use"], BODY)}
    times = {way: [] for way in ways}
    for once in ways.values():
        once()
    for _ in range(40):
        for way, once in ways.items():
            times[way].append(took(once))
    figure("a request to a warm model: " + ", ".join(f"{statistics.median(each) * 1000:.2f} ms {way}" for way, each in times.items()))
