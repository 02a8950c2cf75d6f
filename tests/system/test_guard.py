# SPDX-License-Identifier: MIT
"""Who is not on this machine needs a token; pages of other origins get nothing done, wherever they are sent from."""
import contextlib
import re

import pytest

from machines import ETC, INFERENCE, MODELS, MONITOR, PORTS, SHUTDOWN
from neighbours import HERE, neighbour_of, open_ports


@pytest.fixture(scope="module")
def guarded(make_machine):
    """A machine whose ports also listen on an address that a neighbour reaches, and that neighbour's network."""
    machine = make_machine()
    with neighbour_of(machine) as machine.neighbour:
        open_ports(machine)
        yield machine


@pytest.fixture
def tokens(guarded):
    """One token of each scope."""
    made = {scope: guarded.sh(f"home-lab-services token add t-{scope} --scope {scope}").strip()
            for scope in ("read", "use", "control", "power")}
    yield made
    guarded.sh(f"rm -f {ETC}/tokens {ETC}/config.json")


def ask(machine, method, port, path, token=None, body=None, **headers):
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return machine.neighbour.http(method, port, path, body, headers, host=HERE)


def test_without_a_token(guarded):
    for port in PORTS:
        for method, path in ("GET", "/"), ("GET", "/health"), ("POST", "/shutdown/schedule"), ("POST", "/models/x/start"):
            answer = ask(guarded, method, port, path)
            assert answer.status == 403 and answer["code"] == "token_required", answer
            assert "home-lab-services token add" in answer["message"]
    assert guarded.scheduled() is None


def test_a_wrong_token(guarded, tokens):
    for wrong in "hls_" + "0" * 64, tokens["power"][:-1], tokens["power"] + "0", tokens["power"].upper(), "x" * 5000:
        answer = ask(guarded, "GET", SHUTDOWN, "/health", wrong)
        assert answer.status == 401 and answer["code"] == "token_invalid", answer
    assert ask(guarded, "GET", SHUTDOWN, "/health", Authorization="Basic dTpw").status == 401
    assert ask(guarded, "GET", SHUTDOWN, "/health", Authorization="Bearer").status == 401
    assert ask(guarded, "GET", SHUTDOWN, "/health", Authorization="Bearer ").status == 401


@pytest.mark.parametrize("scope, answers", [("read", (200, 403, 403)), ("use", (403, 403, 403)), ("control", (200, 404, 403)), ("power", (200, 404, 200))])
def test_a_token_opens_what_its_scope_says_and_no_more(guarded, tokens, scope, answers):
    token = tokens[scope]
    for port in PORTS:
        assert ask(guarded, "GET", port, "/health", token).status == answers[0]
    assert ask(guarded, "POST", INFERENCE, "/models/nobody/start", token).status == answers[1]
    assert ask(guarded, "POST", MONITOR, "/models/nobody/report", token).status == answers[1]
    assert ask(guarded, "POST", SHUTDOWN, "/shutdown/schedule", token, {"minutes": 90}).status == answers[2]
    assert (guarded.scheduled() is not None) == (scope == "power")
    if scope == "power":
        assert ask(guarded, "POST", SHUTDOWN, "/shutdown/cancel", token).status == 200


def test_a_wrong_or_missing_key_is_told_as_openais_clients_show_it(guarded, tokens):
    for path in "/v1/models", "/v1/models/nobody", "/v1/nothing", "//v1/models":
        for headers in ({}, {"Authorization": "Bearer sk-other"}, {"x-api-key": "sk-other"}, {"api-key": tokens["use"] + "0"},
                        {"Authorization": "Basic dTpw"}):
            answer = ask(guarded, "GET", INFERENCE, path, **headers)
            error = answer["error"]
            assert answer.status == 401 and error["type"] == "authentication_error" and "token" in error["message"], answer
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    answer = ask(guarded, "GET", INFERENCE, "/v1/models", Host="evil.example")
    assert answer.status == 403 and answer["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "api-key"])
def test_a_use_token_lists_models_and_no_more(guarded, tokens, header):
    key = {header: ("Bearer " if header == "Authorization" else "") + tokens["use"]}
    guarded.model("bystander", 8190)
    try:
        listed = ask(guarded, "GET", INFERENCE, "/v1/models", **key)
        assert listed.status == 200 and "bystander" in [model["id"] for model in listed["data"]]
        assert ask(guarded, "GET", INFERENCE, "/v1/models/bystander", **key)["id"] == "bystander"
        for port, method, path in [
                (INFERENCE, "GET", "/models"), (INFERENCE, "GET", "/models/bystander"), (INFERENCE, "GET", "/models/running"),
                (INFERENCE, "POST", "/models/bystander/start"), (INFERENCE, "POST", "/models/bystander/stop"),
                (INFERENCE, "POST", "/models/bystander/restart"), (INFERENCE, "GET", "/models/bystander/logs"),
                (MONITOR, "POST", "/models/bystander/report"), (MONITOR, "GET", "/metrics"),
                (SHUTDOWN, "GET", "/shutdown/next"), (SHUTDOWN, "POST", "/shutdown/schedule"), (SHUTDOWN, "POST", "/shutdown/cancel")]:
            answer = ask(guarded, method, port, path, **key)
            assert answer.status == 403 and answer["code"] == "scope_too_small", (path, answer)
        assert not guarded.is_active("model@bystander.service") and guarded.scheduled() is None
        guarded.sh("home-lab-services token revoke t-use")
        assert ask(guarded, "GET", INFERENCE, "/v1/models", **key).status == 401
    finally:
        guarded.path(MODELS + "/bystander").unlink()


PAGE = "app://obsidian.md"


def test_a_named_page_elsewhere_does_what_its_token_may(guarded, tokens):
    guarded.config(auth={"allowed_origins": [PAGE, "vscode-webview://*"]})
    for page in PAGE, "vscode-webview://1b2c3d":
        asked = {"Origin": page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization",
                 "Access-Control-Request-Private-Network": "true", "Sec-Fetch-Site": "cross-site"}
        for port, path in zip(PORTS, ("/shutdown/schedule", "/models/x/start", "/models/x/report")):
            answer = ask(guarded, "OPTIONS", port, path, **asked)
            assert answer.status == 204 and answer.headers["Access-Control-Allow-Origin"] == page
            assert answer.headers["Access-Control-Allow-Headers"] == "authorization"
            assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
        for scope, status in (None, 403), ("read", 403), ("control", 403), ("power", 200):
            answer = ask(guarded, "POST", SHUTDOWN, "/shutdown/schedule", scope and tokens[scope], {"minutes": 90}, Origin=page)
            assert answer.status == status and answer.headers["Access-Control-Allow-Origin"] == page, answer
        assert ask(guarded, "POST", SHUTDOWN, "/shutdown/cancel", tokens["power"], Origin=page).status == 200
    for page in "null", "app://obsidian", "http://obsidian.md":
        answer = ask(guarded, "POST", SHUTDOWN, "/shutdown/schedule", tokens["power"], {"minutes": 90}, Origin=page)
        assert answer.status == 403 and "auth.allowed_origins" in answer["message"]
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert guarded.scheduled() is None


def test_a_request_for_h2c_is_a_request(guarded):
    upgrade = ("Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
               "Upgrade: h2c\r\n")
    body = '{"minutes": 90}'
    posted = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with contextlib.closing(guarded.connect(SHUTDOWN)) as connection:
        connection.sendall((f"GET /health HTTP/1.1\r\n{upgrade}\r\nPOST /shutdown/schedule HTTP/1.1\r\n{upgrade}{posted}"
                            f"POST /shutdown/cancel HTTP/1.1\r\n{upgrade}Content-Length: 0\r\nConnection: close\r\n\r\n").encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200", b"200", b"200"], received
    assert b'"cancelled_shutdown"' in received and guarded.scheduled() is None


def test_revoked_at_once_and_never_shown(guarded, tokens):
    with contextlib.closing(guarded.neighbour.open(SHUTDOWN, HERE)) as connection:  # also on a connection that stands
        for expected in 200, 401:
            connection.request("GET", "/health", headers={"Authorization": "Bearer " + tokens["read"]})
            response = connection.getresponse()
            response.read()
            assert response.status == expected
            if expected == 200:
                guarded.sh("home-lab-services token revoke t-read")
    assert ask(guarded, "GET", SHUTDOWN, "/health", tokens["power"]).status == 200
    listed = guarded.sh("home-lab-services token list")
    assert "t-power" in listed and "t-read" not in listed
    for secret in tokens.values():
        assert secret not in guarded.sh(f"cat {ETC}/tokens") and secret not in listed
        assert secret not in guarded.sh("journalctl --boot --output=json")
    assert "with token t-power" in guarded.sh("journalctl --boot -t shutdown-service") or \
        ask(guarded, "POST", SHUTDOWN, "/shutdown/cancel", tokens["power"]).status == 404


def test_the_file_of_tokens(guarded, tokens):
    assert guarded.sh(f"stat --format='%U %G %a' {ETC}/tokens").split() == ["root", "home-lab-services", "640"]
    guarded.put(ETC + "/tokens", guarded.path(ETC + "/tokens").read_text() + "broken line\n", 0o644)
    assert ask(guarded, "GET", SHUTDOWN, "/health", tokens["power"]).status == 500  # nobody is let in by a broken file
    assert guarded.http("GET", SHUTDOWN, "/health").status == 200


def test_loopback_may_need_a_token_too(guarded, tokens):
    guarded.config(auth={"loopback": "token"})
    assert guarded.http("GET", SHUTDOWN, "/health").status == 403
    assert guarded.http("GET", SHUTDOWN, "/health", headers={"Authorization": "Bearer " + tokens["read"]}).status == 200


def test_the_machines_own_address_is_the_machine(guarded):
    # From the machine to its own outer address: not loopback, so it needs a token.
    assert guarded.network.http("GET", SHUTDOWN, "/health", host=HERE).status == 403


FOREIGN = [{"Host": "evil.example"}, {"Host": "evil.example:5001"}, {"Host": "127.0.0.1.evil.example"}, {"Host": "localhost.evil"},
           {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:8080"}, {"Origin": "file://"},
           {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example", "Sec-Fetch-Site": "none"}]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("place", ["loopback", "neighbour"])
def test_foreign_pages_change_nothing(guarded, tokens, place, headers):
    def send(port, path, body=None, media="application/json"):
        extra = headers | {"Content-Type": media}
        if place == "neighbour":
            return guarded.neighbour.http("POST", port, path, body, extra | {"Authorization": "Bearer " + tokens["power"]}, HERE)
        return guarded.http("POST", port, path, body, extra)

    guarded.model("bystander", command="sleep infinity")
    assert guarded.http("POST", SHUTDOWN, "/shutdown/schedule", {"minutes": 90}).status == 200
    before = guarded.scheduled(), guarded.http("GET", MONITOR, "/models/activity")["activity_status"]
    for answer in (send(SHUTDOWN, "/shutdown/schedule", {"minutes": 10, "replace": True}), send(SHUTDOWN, "/shutdown/cancel"),
                   send(SHUTDOWN, "/shutdown/schedule", '{"minutes": 10}', "text/plain"),
                   send(INFERENCE, "/models/bystander/start"), send(MONITOR, "/models/bystander/report")):
        assert answer.status == 403 and answer["code"] in ("host_not_allowed", "foreign_origin"), answer
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert (guarded.scheduled(), guarded.http("GET", MONITOR, "/models/activity")["activity_status"]) == before
    assert guarded.http("GET", INFERENCE, "/models/running")["running_models"] == []
    if "Host" in headers:  # not even read
        assert guarded.http("GET", SHUTDOWN, "/shutdown/next", headers=headers).status == 403


def test_names_that_are_ours(guarded):
    for host in "localhost", "LOCALHOST:5001", "127.0.0.1", "[::1]:5001", HERE, guarded.name, guarded.name + ".local":
        assert guarded.http("GET", SHUTDOWN, "/health", headers={"Host": host}).status == 200, host
    assert guarded.http("GET", SHUTDOWN, "/health", headers={"Host": "lab.example"}).status == 403
    guarded.config(auth={"allowed_hosts": ["lab.example"]})
    assert guarded.http("GET", SHUTDOWN, "/health", headers={"Host": "lab.example:5001"}).status == 200
    guarded.path(ETC + "/config.json").unlink()


def test_a_page_of_our_own(guarded):
    headers = {"Host": "127.0.0.1:5001", "Origin": "http://127.0.0.1:5001", "Sec-Fetch-Site": "same-origin"}
    assert guarded.http("POST", SHUTDOWN, "/shutdown/schedule", {"minutes": 90}, headers).status == 200
    assert guarded.http("POST", SHUTDOWN, "/shutdown/cancel", headers=headers).status == 200
