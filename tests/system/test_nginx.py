# SPDX-License-Identifier: MIT
"""NGINX in front, as Debian installs it: what is reachable where, and what is answered by whom."""
import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import signal

import pytest

from machines import INFERENCE, MONITOR, PATIENCE, SERVICES, SHUTDOWN, wait_until
from web import CHAT, NGINX, ROUTER_SOCKET, Stream

PREFIXES = {SHUTDOWN: "/api/shutdown", INFERENCE: "/api/inference", MONITOR: "/api/monitor"}
JSON = {"Content-Type": "application/json"}



def is_error(answer, status, code):
    """One of ours: JSON, and never NGINX's page."""
    assert answer.status == status and answer.headers["Content-Type"].startswith("application/json"), answer
    value = answer.json
    assert value.get("error", value)["code"] == code and value.get("error", value)["message"], answer
    return answer


# ---- the services ----

# (port, method, path, body, headers): each has one answer, whenever it is asked.
SAME = [
    (SHUTDOWN, "GET", "/", None, {}), (SHUTDOWN, "GET", "/health", None, {}), (SHUTDOWN, "HEAD", "/shutdown/next", None, {}),
    (SHUTDOWN, "GET", "/shutdown/status", None, {}), (SHUTDOWN, "POST", "/shutdown/cancel", "", {}),
    (SHUTDOWN, "POST", "/shutdown/schedule", '{"minutes": -1}', JSON), (SHUTDOWN, "POST", "/shutdown/schedule", "{", JSON),
    (SHUTDOWN, "POST", "/shutdown/schedule", '{"minutes": 5, "minutes": 6}', JSON),
    (SHUTDOWN, "POST", "/shutdown/schedule", "minutes=5", {"Content-Type": "text/plain"}),
    (SHUTDOWN, "POST", "/shutdown/schedule", '{"minutes": 5}', JSON | {"Origin": "http://elsewhere.example"}),
    (SHUTDOWN, "GET", "/shutdown/next", None, {"Host": "elsewhere.example"}),
    (SHUTDOWN, "GET", "/shutdown/next", None, {"X-Forwarded-For": "192.0.2.7"}),
    (SHUTDOWN, "GET", "/shutdown/next", None, {"X-Forwarded-For": "", "Forwarded": "", "X-Real-IP": "", "Via": ""}),
    (SHUTDOWN, "GET", "/shutdown/next", None, {"Authorization": "Bearer hls_wrong", "Via": "1.1 elsewhere"}),
    (INFERENCE, "GET", "/models", None, {}), (INFERENCE, "GET", "/models/tiny-llama", None, {}),
    (INFERENCE, "GET", "/models/nobody", None, {}), (INFERENCE, "GET", "/v1/models/mirror", None, {}),
    (INFERENCE, "POST", "/models/tiny-llama/start?wait=maybe", "", {}), (INFERENCE, "PUT", "/models", "x", {}),
    (INFERENCE, "OPTIONS", "/models/tiny-llama/start", None, {}), (INFERENCE, "DELETE", "/models/tiny-llama", None, {}),
    (MONITOR, "GET", "/models/idle?verbose=1", None, {}), (MONITOR, "GET", "/nothing/here", None, {}),
    (MONITOR, "POST", "/models/nobody/report", "", {}), (MONITOR, "GET", "/" + "x" * 3000, None, {}),
]

FCGIWRAP = """
server {
    listen 127.0.0.1:8090;
    location ~ ^/cgi/([a-z-]+)(/.*)$ {
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME /usr/local/libexec/home-lab-services/$1;
        fastcgi_param PATH_INFO $2;
        fastcgi_param HTTP_HOST $http_host;
        fastcgi_pass unix:/run/fcgiwrap.socket;
    }
}
"""


@pytest.fixture(scope="module")
def fcgiwrap(web):
    """The programs once more, as CGI programs of any web server's: Debian's fcgiwrap, as the services' user."""
    web.put("/etc/systemd/system/fcgiwrap.service.d/user.conf",
            "[Service]\nUser=home-lab-services\nGroup=home-lab-services\n")
    web.put("/etc/nginx/conf.d/cgi.conf", FCGIWRAP)
    web.sh("systemctl daemon-reload && systemctl start fcgiwrap.socket && systemctl reload nginx")

    def listens():
        with contextlib.suppress(OSError):
            web.connect(8090).close()
            return True
    wait_until(listens, PATIENCE, "NGINX listens there, too")
    yield
    web.sh("systemctl stop fcgiwrap.socket fcgiwrap.service && rm /etc/nginx/conf.d/cgi.conf && systemctl reload nginx")


def comparable(answer):
    """What must not depend on the door. A date, an id and how long the connection lives may."""
    body = answer.body
    if answer.status == 200 and b'"timestamp"' in body:
        body = body.split(b'"timestamp"')[0]
    kept = {name: answer.headers[name] for name in ("Content-Type", "Allow", "Cache-Control", "WWW-Authenticate")}
    return answer.status, body, kept


@pytest.mark.parametrize("port, method, path, body, headers", SAME, ids=range(len(SAME)))
def test_every_door_gives_the_same_answer(web, fcgiwrap, port, method, path, body, headers):
    program = SERVICES[(SHUTDOWN, INFERENCE, MONITOR).index(port)]
    direct = web.http(method, port, path, body, headers)
    assert comparable(web.ask(method, PREFIXES[port] + path, body, headers)) == comparable(direct)
    assert comparable(web.http(method, 8090, f"/cgi/{program}{path}", body, headers)) == comparable(direct)


def test_a_body_that_is_too_long_for_a_service(web):
    direct = web.http("POST", SHUTDOWN, "/shutdown/schedule", "x" * 70000)
    assert direct.status == 413
    assert comparable(web.post("/api/shutdown/shutdown/schedule", "x" * 70000)) == comparable(direct)
    assert web.scheduled() is None


def test_a_shutdown_by_nginx_is_a_shutdown(web):
    answer = web.post("/api/shutdown/shutdown/schedule", {"minutes": 90, "action": "reboot"})
    assert answer.status == 200 and web.scheduled()[0] == "reboot", answer
    assert web.http("GET", SHUTDOWN, "/shutdown/next")["shutdown"]["source"] == "api"
    assert web.post("/api/shutdown/shutdown/cancel", "").status == 200
    assert web.scheduled() is None


def test_who_comes_through_another_proxy_needs_a_token(web):
    token = web.sh("home-lab-services token add proxy --scope control").split("hls_")[1].split()[0]
    try:
        assert web.ask("GET", "/api/inference/models", headers={"X-Forwarded-For": "192.0.2.7"}).status == 403
        admitted = {"X-Forwarded-For": "192.0.2.7", "Authorization": f"Bearer hls_{token}"}
        assert web.ask("GET", "/api/inference/models", headers=admitted).status == 200
        assert web.ask("POST", "/api/shutdown/shutdown/cancel", "", admitted).status == 403  # another scope
    finally:
        web.sh("home-lab-services token revoke proxy")


def test_open_to_the_network(web, network):
    """As the README says: the services want a token, which an OpenAI client sends as its key; the models do not."""
    token = web.sh("home-lab-services token add client --scope read").split("hls_")[1].split()[0]
    key = {"Authorization": f"Bearer hls_{token}"}
    try:
        for path, status in ("/v1/models", 401), ("/api/shutdown/shutdown/next", 403):
            assert network("GET", path).status == status
            assert network("GET", path, headers=key).status == 200
        assert network("POST", "/api/shutdown/shutdown/cancel", "", key).status == 403
        assert network("POST", "/v1/chat/completions", {"model": "quick", "messages": []}).status == 200
        assert network("POST", "/mirror/x", "x")["headers"]["X-Forwarded-For"] == "192.0.2.5"
    finally:
        web.sh("home-lab-services token revoke client")


def test_the_list_of_models(web):
    wait_until(lambda: web.http("GET", INFERENCE, "/v1/models/patient")["status"]["value"] == "loaded", PATIENCE, "the one that runs is loaded")
    by_nginx, by_port = web.ask("GET", "/v1/models"), web.http("GET", INFERENCE, "/v1/models")
    assert (by_nginx.status, by_nginx.body) == (200, by_port.body)
    assert {"tiny-llama", "qwen2.5-0.5b:q4", "patient"} <= {model["id"] for model in by_nginx["data"]}
    states = {model["id"]: model["status"]["value"] for model in by_nginx["data"]}
    assert (states["tiny-llama"], states["patient"]) == ("unloaded", "loaded")
    with web.loading():
        held = web.hold("/slow/echo")
        wait_until(lambda: web.ask("GET", "/v1/models/slow")["status"]["value"] == "loading", PATIENCE, "it loads")
    assert held.answer().status == 200
    assert web.ask("GET", "/v1/models/slow")["status"]["value"] == "loaded"
    assert web.ask("GET", "/v1/models/nobody").status == 404


# ---- the way to a model ----

@pytest.mark.parametrize("sent, arrives", [
    ("/mirror/", "/"), ("/mirror/a/b?c=d", "/a/b?c=d"), ("/mirror/v1/models/org%2Fname", "/v1/models/org%2Fname"),
    ("/mirror/a//b/", "/a//b/"), ("/mirror/%2e%2e/x", None), ("/mirror/%c3%a4+%20?q=%20+%2f&&x=%00", "/%c3%a4+%20?q=%20+%2f&&x=%00"),
    ("/mirror/?a=/x/../y", "/?a=/x/../y"), ("/mirror/%25?%25", "/%25?%25"), ("/mirr%6fr/a%3Fb", "/a%3Fb"),
    ("/mirror/" + "x" * 4000, "/" + "x" * 4000)])
def test_paths_and_queries_arrive_as_they_were_sent(web, sent, arrives):
    web.post("/mirror/x", "x")  # the list of a model that does not run is ours
    answer = web.ask("GET", sent)
    if arrives is None:  # another place of the server's
        is_error(answer, 404, "not_found")
    else:
        assert (answer.status, answer["target"]) == (200, arrives), answer


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_and_bodies_arrive(web, method):
    """To a model that had to be started, and to one that runs. HEAD and OPTIONS start none."""
    for runs in False, True:
        answer = web.ask(method, "/mirror/x", "a body" if method in ("POST", "PUT", "PATCH") else None,
                         headers={"Authorization": "Bearer secret", "X-Own": "thing"})
        if method in ("HEAD", "OPTIONS") and not runs:
            assert answer.status == 503 and not web.runs("mirror")
            web.post("/mirror/x", "x")
            continue
        assert (answer.status, answer.headers["X-Seen"]) == (200, method), answer
        if method == "HEAD":
            assert answer.body == b""
        else:
            assert answer["body"] == ("a body" if method in ("POST", "PUT", "PATCH") else "")
            assert answer["headers"]["Authorization"] == "Bearer secret" and answer["headers"]["X-Own"] == "thing"
            assert answer["headers"]["Host"] == f"127.0.0.1:{NGINX}" and answer["headers"]["X-Forwarded-For"] == "127.0.0.1"


PAGE = {"Origin": "http://evil.example"}
TEXT, FORM = ({"Content-Type": kind} for kind in ("text/plain", "multipart/form-data; boundary=x"))


@pytest.mark.parametrize("path", ["/mirror/x", CHAT])
def test_a_page_of_another_origin_cannot_use_a_model_unasked(web, path):
    beacon = {"Content-Type": "text/ping"}
    for headers in PAGE | TEXT, PAGE | FORM, PAGE | {"Content-Type": ""}, {"Origin": "null"} | TEXT, PAGE | beacon:
        answer = web.ask("POST", path, b'{"model": "mirror"}', headers)
        assert answer.status == 403 and answer["error"]["code"] == "foreign_origin", headers
    for headers in PAGE, PAGE | {"Upgrade": "websocket", "Connection": "Upgrade"}:
        assert web.ask("GET", "/mirror/x", None, headers).status == 403
    assert not web.runs("mirror")
    assert web.ask("OPTIONS", "/mirror/x", None, PAGE).status == 503 and not web.runs("mirror")
    own = {"Origin": f"http://127.0.0.1:{NGINX}"}
    for headers in PAGE | JSON, own | TEXT, TEXT, {}, PAGE | TEXT | {"Authorization": "Bearer x"}:
        assert web.ask("POST", path, b'{"model": "mirror"}', headers).status == 200, headers


def test_a_picture_on_a_page_wakes_nothing(web):
    unasked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert web.ask("GET", "/mirror/x.png", None, unasked).status == 403 and not web.runs("mirror")
    for headers in unasked | {"Sec-Fetch-Site": "same-origin"}, unasked | {"Sec-Fetch-Mode": "navigate"}:
        assert web.ask("GET", "/mirror/x.png", None, headers).status == 200


def test_our_own_tokens_are_none_for_a_model(web):
    for word, arrives in ("Bearer hls_abc", None), ("bearer  hls_abc", None), ("Bearer sk-hls_abc", "Bearer sk-hls_abc"):
        assert web.ask("GET", "/mirror/x", None, {"Authorization": word})["headers"].get("Authorization") == arrives, word


def test_a_chunked_body_arrives(web):
    """To a model that had to be started, and to one that runs."""
    for path in "/quick/echo", "/quick/echo":
        pieces = [os.urandom(700_000) for _ in range(3)]
        with contextlib.closing(web.open(NGINX)) as connection:
            connection.request("POST", path, iter(pieces), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
            echo = json.loads(connection.getresponse().read())
        assert (echo["bytes"], echo["sha256"]) == (2_100_000, hashlib.sha256(b"".join(pieces)).hexdigest())


def test_names_with_dots_and_colons(web):
    name = "qwen2.5-0.5b:q4"
    assert web.chat(name)["model"] == name
    for path in f"/{name}/v1/models", "/qwen2.5-0.5b%3Aq4/v1/models", "/qwen2%2E5-0.5b:q4/v1/models":
        assert web.ask("GET", path)["data"][0]["id"] == name
    for path in "/qwen2x5-0.5b:q4/v1/models", "/qwen2.5-0.5b/v1/models", "/QWEN2.5-0.5b:q4/v1/models":
        is_error(web.ask("GET", path), 404, "not_found")


def websocket(web, path):
    connection = web.connect(NGINX)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    assert head.startswith(b"HTTP/1.1 101 ") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head
    return connection


def test_websockets_go_both_ways_and_start_their_model(web):
    for _ in range(2):  # the model starts for it; the model runs
        with contextlib.closing(websocket(web, "/mirror/live?x=1")) as connection:
            for frame in b"\x81\x85\x01\x02\x03\x04iglhn", os.urandom(300):
                connection.sendall(frame)
                received = b""
                while len(received) < len(frame):
                    received += connection.recv(4096)
                assert received == frame


# ---- connections to models ----

NGINX_SOURCE, ESTABLISHED, TIME_WAIT = "78676E7F", "01", "06"  # 127.110.103.120, as /proc/net/tcp has it


def test_a_connection_to_a_model_is_kept_for_what_follows_at_once(web):
    """And for no longer: while it stands, the model is taken to work."""
    def connections(state):
        lines = [line.split() for line in pathlib.Path(f"/proc/{web.leader}/net/tcp").read_text().splitlines()]
        return sum(line[1].startswith(NGINX_SOURCE) and line[2].endswith(f":{8311:04X}") and line[3] == state for line in lines)

    def twenty():
        before = connections(TIME_WAIT)
        with contextlib.closing(web.open(NGINX)) as connection:
            for _ in range(20):
                connection.request("POST", "/quick/echo", "x")
                assert connection.getresponse().read()
        wait_until(lambda: connections(ESTABLISHED) == 0, 5, "NGINX closes its connections to the model")
        return connections(TIME_WAIT) - before

    web.chat("quick")
    wait_until(lambda: twenty() < 10, PATIENCE, "of 20 requests most have a connection that was there")


# ---- streams ----

def test_events_come_as_they_are_made(web, figure):
    web.chat("quick")
    options = {"words": 20, "interval_ms": 50}
    direct, by_nginx, by_body = (Stream(web, path, port, **options).whole() for path, port in (
        ("/v1/completions", 8311), ("/quick/v1/completions", NGINX), ("/v1/completions", NGINX)))
    for stream in by_nginx, by_body:
        assert len(stream.events) == len(direct.events) == 22
        assert stream.times[0] < 0.6 and stream.times[-1] > 0.9  # the last word is made after a second
        lateness = max(a - b for a, b in zip(stream.times, direct.times))
        figure(f"a stream's first event: after {direct.times[0] * 1000:.1f} ms from the model, {stream.times[0] * 1000:.1f} ms "
               f"through NGINX {stream.path}; none later than {lateness * 1000:.1f} ms")
        assert lateness < 0.5


OURS = ("home-lab-services.service", "home-lab-services.target", "model-router.socket", "model-router.service",
        "model-activity.socket", "model-activity.service", "nginx-config-updater.path", "nginx-config-updater.timer",
        "nginx-config-updater.service", *(f"{service}{kind}" for service in SERVICES
                                          for kind in (".service", ".socket", "-fastcgi.socket")))


def test_a_stream_outlives_all_of_us(web):
    web.chat("quick")
    streams = [Stream(web, path, words=70, interval_ms=100) for path in ("/quick/v1/completions", "/v1/completions")]
    assert all(stream.first.wait(10) for stream in streams)
    for unit in OURS:
        web.sh(["systemctl", "restart", unit])
    web.sh("systemctl reload nginx.service")
    assert all(stream.is_alive() for stream in streams), "the streams were to last longer than all this"
    assert web.chat("quick").status == 200
    for stream in streams:
        assert len(stream.whole().events) == 72
    assert web.failed_units() == ""


@pytest.mark.slow
@pytest.mark.last
def test_a_stream_with_a_long_gap_is_whole(web):
    """It began before the first test here, and sees all of them come and go, NGINX's reloads too."""
    signal.alarm(100)
    gap = web.gap.whole(90)
    assert len(gap.events) == 6
    assert max(after - before for before, after in zip(gap.times, gap.times[1:])) > 69.5


# ---- errors ----

@pytest.mark.parametrize("method, path, status, code", [
    ("GET", "/", 404, "not_found"), ("POST", "/nothing/at/all", 404, "not_found"), ("GET", "/api/", 404, "not_found"),
    ("GET", "/api/nothing/", 404, "not_found"), ("GET", "/api/shutdown/nothing", 404, "unknown_route"),
    ("GET", "/..%2f..%2fetc/passwd", 400, "bad_request"),
    ("GET", "/v1/nothing", 404, "not_found"), ("GET", "/v1/chat/completions", 404, "not_found"),
    ("PUT", "/v1/files", 404, "not_found"), ("GET", "/" + "x" * 9000, 414, "target_too_long")])
def test_what_is_not_there_is_json(web, method, path, status, code):
    is_error(web.ask(method, path), status, code)


def test_what_is_too_much_for_nginx_is_refused_in_our_words(web):
    for path, length in ("/quick/echo", 65 << 20), ("/v1/chat/completions", 65 << 20), ("/api/shutdown/shutdown/cancel", 2 << 20):
        is_error(web.raw(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()),
                 413, "body_too_large")
    is_error(web.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: %s\r\n\r\n" % (b"x" * 40000)), 431, "headers_too_large")
    is_error(web.raw(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400, "bad_request")
    for line, status, code in ((b"TRACE / HTTP/1.1", 405, "method_not_allowed"), (b"GET / HTTP/3.0", 505, "version_not_supported"),
                               (b"POST /quick/echo HTTP/1.1\r\nTransfer-Encoding: gzip", 501, "not_implemented")):
        is_error(web.raw(line + b"\r\nHost: localhost\r\n\r\n"), status, code)
    assert not web.runs("quick")


@pytest.mark.parametrize("status", [400, 401, 404, 405, 413, 422, 429, 500, 501, 502, 504])
def test_a_models_own_errors_are_its_own(web, status):
    for _ in range(2):  # it starts for it; it runs
        answer = web.post("/mirror/x", "words", {"X-Status": str(status)})
        assert answer.status == status and answer["body"] == "words"


def test_no_page_of_nginx_but_redirects(web):
    for method, path in itertools.product(("GET", "POST"), ("/quick", "/api/shutdown", "/v1")):
        answer = web.ask(method, path + "?a=b")
        assert answer.status == 308 and answer.headers["Location"] == path + "/?a=b", answer


# ---- without us ----

def test_without_our_sockets(web):
    """Everything of ours is down: NGINX says so, goes on with the models that run, and starts like this, too."""
    web.chat("quick")
    web.sh("systemctl stop home-lab-services.service")
    try:
        for path in "/api/shutdown/", "/api/inference/models", "/api/monitor/health", "/v1/models":
            answer = is_error(web.ask("GET", path), 503, "service_unavailable")
            assert 0 < int(answer.headers["Retry-After"]) <= 60
        for path in "/v1/chat/completions", "/slow/v1/chat/completions":
            answer = is_error(web.post(path, {"model": "slow"}), 503, "router_unavailable")
            assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert web.post("/quick/echo", "x").status == 200
        assert web.run("nginx -t").returncode == 0
    finally:
        web.sh("systemctl start home-lab-services.service")
    wait_until(lambda: web.chat("quick").status == 200, PATIENCE, "the router's socket is up again")
    assert web.ask("GET", "/api/shutdown/").status == 200


def test_who_may_speak_to_the_sockets(web):
    """The kernel asks who connects: NGINX's user, and nobody else's."""
    names = [ROUTER_SOCKET.replace("model-router", name) for name in ("model-router", "model-activity", *SERVICES)]
    program = ("import socket, sys\nfor name in sys.argv[1:]:\n"
               " kind = socket.SOCK_DGRAM if 'activity' in name else socket.SOCK_STREAM\n"
               " try: socket.socket(socket.AF_UNIX, kind).connect(name); print('in')\n"
               " except PermissionError: print('out')")
    command = ["python3", "-c", program, *names]
    assert web.sh(command, user="www-data").split() == ["in"] * 5
    for user in "nobody", "home-lab-models", "home-lab-nginx":
        gid = web.sh(["id", "-g", user]).strip()
        done = web.run(["setpriv", f"--reuid={user}", f"--regid={gid}", "--clear-groups", "--", *command])
        assert done.stdout.split() == ["out"] * 5, (user, done)
