# SPDX-License-Identifier: MIT
"""What counts as use of a model: requests that make it work, when they end and, by the kernel, while they run."""
import contextlib
import socket

from machines import ACTIVITY, MONITOR, PATIENCE, wait_until
from web import CHAT, NGINX, Stream

SOCKET = "/run/home-lab-services/model-activity.sock"


def tell(web, text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(text.encode(), str(web.path(SOCKET)))


def touched(web, model):
    """Whether a request that has ended is noted. It is forgotten for the next one: two notes of the same model within 50 ms
    are one, so another model's comes between."""
    try:
        wait_until(lambda: web.last_used(model), PATIENCE, "it is noted")
    except AssertionError:
        return False
    web.ask("GET", "/v1/models")  # the router may have noted it already: NGINX's line comes after the answer
    tell(web, "home_lab: tiny-llama")
    wait_until(lambda: web.last_used("tiny-llama"), PATIENCE, "the other one is noted")
    web.sh(f"cd {ACTIVITY} && rm {model} tiny-llama")
    return True


def touched_soon(web, model):
    """The same where the answer should be no: a request that counts is sent behind it, and noted after it."""
    assert web.post("/quick/echo", "x").status == 200
    assert touched(web, "quick")
    return web.last_used(model) is not None


def test_work_counts(web):
    name = "qwen2.5-0.5b:q4"
    for path, model in (CHAT, "quick"), ("/quick" + CHAT, "quick"), (f"/{name}/v1/completions", name), ("/v1/completions", name):
        assert web.post(path, {"model": model}).status == 200
        assert touched(web, model), path
    assert web.post("/mirror/models/load", "x").status == 200  # a path like one that is only looked at
    assert not touched_soon(web, "mirror")
    for path in "/mirror/modelsize", "/mirror/v1/models/x:predict", "/mirror/models/generate":
        assert web.post(path, "x").status == 200
        assert touched(web, "mirror"), path
    for method in "PUT", "PATCH":
        assert web.ask(method, "/mirror/x", "x").status == 200
        assert touched(web, "mirror"), method


def test_a_look_does_not_count(web):
    web.chat("slow")
    assert touched(web, "slow")
    for path in ("/slow/health", "/slow/v1/models", "/slow/metrics", "/slow/", "/v1/models", "/v1/models/slow",
                 "/api/inference/models/slow", "/api/monitor/models/activity"):
        assert web.ask("GET", path).status in (200, 404)
    for path in "/slow/health", "/slow/v1/models", "/slow/metrics?x=1", "/slow/props", "/slow/slots/0?action=save":
        web.post(path, "{}")
    web.ask("OPTIONS", "/slow" + CHAT)
    assert not touched_soon(web, "slow")


def test_what_a_client_says_of_itself_changes_nothing(web):
    web.chat("quick")
    assert touched(web, "quick")
    headers = {"Referer": "http://x/ home_lab: whisper.cpp", "User-Agent": "home_lab: whisper.cpp \" ' %s",
               "Cookie": "home_lab: whisper.cpp"}
    assert web.post("/quick/echo?home_lab:%20whisper.cpp", "x", headers).status == 200
    assert touched(web, "quick")
    assert web.last_used("whisper.cpp") is None
    assert web.post("/quick/echo", "x", {"Upgrade": "h2c /health /models "}).status == 200
    assert touched(web, "quick")


def test_a_client_that_leaves_in_the_middle(web):
    web.chat("quick")
    assert touched(web, "quick")
    stream = Stream(web, CHAT, words=2000, interval_ms=20)
    assert stream.first.wait(10)
    stream.connection.sock.shutdown(socket.SHUT_RDWR)
    assert touched(web, "quick")


def test_while_it_runs_the_kernel_says_so(web):
    def activity():
        return web.http("GET", MONITOR, "/models/activity")["activity_status"]["quick"]

    web.chat("quick")
    assert touched(web, "quick")
    streams = [Stream(web, path, words=60, interval_ms=50) for path in (CHAT, "/quick/v1/completions")]
    assert all(stream.first.wait(10) for stream in streams)
    assert touched(web, "quick")  # that they have begun
    now = activity()
    assert now["in_flight"] == 2 and now["is_active"] and not now["is_idle"], now
    assert web.last_used("quick") is None  # NGINX has said nothing of their ends yet
    for stream in streams:
        stream.whole()
    assert touched(web, "quick")
    wait_until(lambda: activity()["in_flight"] == 0, PATIENCE, "it is over")


def test_websockets_count(web):
    with contextlib.closing(web.connect(NGINX)) as connection:
        connection.sendall(b"GET /mirror/x HTTP/1.1\r\nHost: localhost\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 101")
    assert touched(web, "mirror")


def test_lines_that_are_none(web):
    """Whoever may write to the socket can name models, and nothing else."""
    lines = ["", "x", "home_lab: ", "home_lab: ../../../etc/x", "home_lab: nobody", "home_lab: /etc/passwd",
             "home_lab: " + "x" * 3000, "home_lab: -x", "<190>Nov 23 13:00:00 home_lab: slow\n"]
    for line in lines:
        tell(web, line)
    assert touched(web, "slow")
    assert web.sh(["ls", ACTIVITY]) == ""


def test_without_its_socket_requests_are_served(web):
    web.chat("quick")
    web.sh("systemctl stop home-lab-services.target model-activity.socket")
    try:
        assert [web.post("/quick/echo", "x").status for _ in range(5)] == [200] * 5
    finally:
        web.sh("systemctl start home-lab-services.target")
    wait_until(lambda: web.is_active("model-activity.socket"), PATIENCE, "it is up again")
    web.sh(f"rm -f {ACTIVITY}/quick")
    wait_until(lambda: web.post("/quick/echo", "x").status == 200 and web.last_used("quick"), PATIENCE, "NGINX finds it again")
