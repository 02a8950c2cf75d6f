# SPDX-License-Identifier: MIT
"""Who reaches a model and the services through NGINX: by which name of this host, from whose page, and with how many requests."""
import contextlib

import pytest

import fastcgi
from machines import Answer
from web import CHAT, NGINX, ROUTER_SOCKET

JSON = {"Content-Type": "application/json"}
OWN = f"127.0.0.1:{NGINX}"
EVIL = f"evil.example:{NGINX}"
WAITING_MAX = 128  # of one client: wait.conf, and HL_ROUTER_WAITING_PER_CLIENT_MAX


@pytest.fixture
def running(web):
    """The model "mirror" runs, and was seen ready: a plain request for it goes to it at once."""
    assert web.post("/mirror/x", "x").status == 200
    return web


def refused(answer, status, code):
    value = answer.json
    assert answer.status == status and value.get("error", value)["code"] == code, answer
    return value.get("error", value)["message"]


# ---- names of this host ----

FOREIGN = [EVIL, "evil.example", "EVIL.example.", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "1.2.3.4.5",
           "evil.example:127.0.0.1", "[evil]", "0x7f.1", "localhost:8080:8080"]
WAYS = [("GET", "/mirror/x", None), ("GET", "/mirror/", None), ("HEAD", "/mirror/x", None), ("POST", "/mirror/x", "{}"), ("DELETE", "/mirror/x", None),
        ("OPTIONS", "/mirror/x", None), ("GET", "//mirror//x", None), ("GET", "/mirr%6fr/x?a=b", None), ("POST", CHAT, '{"model": "mirror"}'),
        ("GET", "/v1/any?model=mirror", None), ("GET", "/mirror/v1/models", None), ("GET", "/mirror/health", None)]


@pytest.mark.parametrize("host", FOREIGN)
def test_a_running_model_is_reached_by_no_other_name(running, host):
    for method, path, body in WAYS:
        for page in {}, {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}:
            answer = running.ask(method, path, body, {"Host": host} | page)
            assert answer.status in (400, 403) and "X-Seen" not in answer.headers, (method, path, answer)
            if method != "HEAD" and answer.status == 403:
                message = refused(answer, 403, "host_not_allowed")
                assert "auth.allowed_hosts" in message


def test_a_running_model_is_reached_by_every_name_of_this_host(running):
    name = running.sh("hostname").strip()
    for host in OWN, "localhost", "LOCALHOST", "[::1]:8080", "192.168.1.10:8080", name, f"{name}.local:8080", "localhost.":
        for method, path, body in ("POST", "/mirror/x", "{}"), ("POST", CHAT, '{"model": "mirror"}'):
            assert running.ask(method, path, body, {"Host": host}).status == 200, host
    def asks_all(host):
        for path in "/mirror/x", "/api/shutdown/health", "/v1/models":
            assert running.ask("GET", path, None, {"Host": host}).status == 200, path
    asks_all(f"{name}.local")
    running.sh("hostname renamed")  # by DHCP, say: who has answered under the old name lives on
    try:
        asks_all("renamed.local")
    finally:
        running.sh(f"hostname {name}")
    assert running.ask("GET", "/mirror/x", None, {"Host": "llm.home.arpa"}).status == 403
    running.config(auth={"allowed_hosts": ["llm.home.arpa"]})
    for path in "/mirror/x", "/api/shutdown/health":
        assert running.ask("GET", path, None, {"Host": f"llm.home.arpa:{NGINX}"}).status == 200


@pytest.mark.parametrize("path", ["/mirror/x", "/api/shutdown/health", "/v1/models", "/v1/x?model=mirror"])
def test_the_name_in_the_target_counts_before_the_header(running, path):
    """As at the ports: RFC 9112 3.2.2."""
    for target, host, status in (("http://evil.example", "127.0.0.1", 403), ("HTTP://evil.example:8080", "localhost", 403),
                                 (f"http://{OWN}", "evil.example", 200), ("http://localhost", "evil.example", 200)):
        answer = running.raw(f"GET {target}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert answer.status == status, (target, answer)


# ---- pages ----

CHANGES = [("POST", "/api/shutdown/shutdown/schedule", '{"minutes": 90}'), ("POST", "/api/shutdown/schedule", '{"minutes": 90}'),
           ("PUT", "/api/shutdown/shutdown", '{"scheduled": true}'), ("PATCH", "/api/shutdown/shutdown", '{"scheduled": true}'),
           ("POST", "/api/inference/models/quick/start", ""), ("POST", "/api/inference/models/mirror/stop", ""),
           ("DELETE", "/api/inference/models/mirror", None), ("POST", "/api/monitor/models/quick/report", ""),
           ("POST", "/models/load", '{"model": "quick"}'), ("POST", "/models/unload", '{"model": "mirror"}')]
MODELS_PAGE = [{"Origin": f"http://{OWN}"}, {"Origin": f"http://{OWN}", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "same-origin"},
               {"Origin": f"http://{OWN}", "Sec-Fetch-Site": "same-origin", "Referer": f"http://{OWN}/", "X-Requested-With": "x"},
               {"Origin": f"http://{OWN}", "Authorization": "Basic dTpw"}]


@pytest.mark.parametrize("page", MODELS_PAGE, ids=str)
def test_a_models_page_changes_nothing_at_the_services(running, page):
    """What it sends looks as what the site's own page sends. Only a token tells them apart."""
    for method, path, body in CHANGES:
        answer = running.ask(method, path, body, JSON | page)
        assert answer.status in (401, 403), (method, path, answer)
        assert "token" in refused(answer, answer.status, "token_invalid" if "Authorization" in page else "token_required")
    assert running.scheduled() is None and running.runs("mirror") and not running.runs("quick")
    assert running.last_used("quick") is None
    for path in "/api/inference/models", "/api/shutdown/shutdown/next", "/v1/models":
        assert running.ask("GET", path, None, {name: value for name, value in page.items() if name != "Authorization"}).status == 200


def test_a_page_with_a_token_changes_what_that_may(running):
    tokens = {scope: running.sh(f"home-lab-services token add page-{scope} --scope {scope}").strip() for scope in ("read", "control", "power")}
    page = JSON | {"Origin": f"http://{OWN}", "Sec-Fetch-Site": "same-origin"}
    try:
        for scope, expected in ("read", (403, 403)), ("control", (403, 200)), ("power", (200, 200)):
            key = page | {"Authorization": f"Bearer {tokens[scope]}"}
            assert running.ask("POST", "/api/shutdown/shutdown/schedule", {"minutes": 90}, key).status == expected[0]
            assert running.ask("POST", "/api/monitor/models/quick/report", "", key).status == expected[1]
        assert running.ask("POST", "/api/shutdown/shutdown/cancel", "", key).status == 200
    finally:
        for scope in tokens:
            running.run(["home-lab-services", "token", "revoke", f"page-{scope}"])


def test_programs_change_things_as_before(running):
    for headers in {}, {"Sec-Fetch-Site": "none"}:
        assert running.ask("POST", "/api/monitor/models/quick/report", "", headers).status == 200


FRAMES = ["iframe", "frame", "fencedframe", "embed", "object"]


@pytest.mark.parametrize("dest", FRAMES)
def test_a_frame_on_another_page_starts_nothing(web, dest):
    frame = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest}
    for path in "/mirror/", "/v1/x?model=mirror":
        refused(web.ask("GET", path, None, frame), 403, "foreign_origin")
    assert not web.runs("mirror")
    for headers in frame | {"Sec-Fetch-Dest": "document"}, frame | {"Sec-Fetch-Site": "same-origin"}:
        assert web.ask("GET", "/mirror/", None, headers).status == 200


def test_a_preflight_starts_nothing(web):
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for headers in asked, asked | {"Origin": f"http://{OWN}"}, {}:
        for path in "/mirror/x", "/mirror" + CHAT, CHAT:
            web.ask("OPTIONS", path, None, headers)
    assert not web.runs("mirror")


@pytest.mark.parametrize("key, status", [("Basic dTpw", 403), ("basic  dTpw", 403), ("Digest username=u", 403), ("Bearer x", 200), ("bearer x", 200)])
def test_what_a_browser_adds_by_itself_is_no_key(web, key, status):
    form = {"Origin": "http://evil.example", "Content-Type": "text/plain", "Authorization": key}
    for path in "/mirror/x", CHAT:
        assert web.ask("POST", path, '{"model": "mirror"}', form).status == status


# ---- how many requests one client lets wait ----

def wake(web, address):
    """A request for the model "slow" as NGINX gives it to the router."""
    with web.network.entered():  # else its kernel tells the machine nothing of the connection
        return fastcgi.ask(str(web.path(ROUTER_SOCKET)), {
            "REQUEST_METHOD": "POST", "REQUEST_URI": "/slow/x", "REMOTE_ADDR": address, "HTTP_HOST": "localhost", "HL_CALL": "wake",
            "HL_MODEL": "slow", "HL_UPSTREAM_STATUS": "502", "HL_UPSTREAM_CONNECT_TIME": "-"})


def test_the_router_holds_just_so_many_of_one_client(web):
    with web.loading(), contextlib.ExitStack() as connections:
        for number in range(WAITING_MAX):
            connections.enter_context(wake(web, f"2001:db8::{number:x}"))
        web.wait_for_waiting(WAITING_MAX)
        with wake(web, "2001:db8::ffff:1") as one_more:
            answer = b"".join(iter(lambda: one_more.recv(65536), b""))
            assert b"Status: 503" in answer and b"too_many_waiting" in answer and b"2001:db8::ffff:1" in answer, answer
        for address in "127.0.0.1", "2001:db8:0:1::7", "192.0.2.7":  # this host, and others
            connections.enter_context(wake(web, address))
        web.wait_for_waiting(WAITING_MAX + 3)
    web.wait_for_waiting(0)


def test_one_clients_waiting_requests_leave_room_for_others(web, network):
    assert web.chat("quick").status == 200
    with web.loading(), contextlib.ExitStack() as held:
        waiting = []
        for _ in range(WAITING_MAX):
            connection = held.enter_context(contextlib.closing(web.open(NGINX, "192.0.2.5", timeout=50)))
            connection.request("POST", "/slow/echo", "{}", JSON)
            waiting.append(connection)
        web.wait_for_waiting(WAITING_MAX)
        for path in "/slow/echo", CHAT:
            answer = network("POST", path, {"model": "slow", "messages": []})
            assert "your address" in refused(answer, 503, "too_many_waiting") and answer.headers["Retry-After"]
        assert web.ask("GET", "/api/shutdown/health").status == 200
        assert web.chat("quick").status == 200 and network("POST", CHAT, {"model": "quick", "messages": []}).status == 200
        here = web.hold("/slow/echo")
        web.wait_for_waiting(WAITING_MAX + 1)
        web.path("/run/slow-is-loading").unlink()
        assert here.answer().status == 200
        assert [Answer(connection.getresponse()).status for connection in waiting] == [200] * WAITING_MAX
        web.put("/run/slow-is-loading", "")
    web.wait_for_waiting(0)
