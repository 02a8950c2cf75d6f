# SPDX-License-Identifier: MIT
"""What a model, a client or a neighbour may try by NGINX, and does not get: a second run of a request, another's token, a
request that is the model's."""
import base64
import contextlib
import json
import pathlib

import pytest

from machines import FIELD_MODEL, PATIENCE, wait_until
from web import CHAT, Web

EVIL = "/usr/local/libexec/home-lab-services-demo/evil-model"
PORT, LATE, PLAIN, SLOW = 8431, 8432, 8433, 8434
TOKEN = "hls_" + "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def site(make_machine):
    machine = make_machine(kind=Web)
    machine.put(EVIL, (pathlib.Path(__file__).parent / "evil-model").read_text(), 0o755)
    machine.model("evil", PORT, command=f"{EVIL} {PORT}")
    machine.field_model("plain", PLAIN)
    machine.field_model("slow", SLOW, "--answer-seconds 40")
    machine.model("late", LATE, command=f"sh -c 'while [ ! -e /run/late ]; do sleep 0.1; done; exec {FIELD_MODEL} {LATE} --who late'")
    machine.sh("systemctl start nginx.service")
    machine.update()
    wait_until(lambda: machine.routes("evil", "plain", "late", "slow"), PATIENCE, "NGINX knows the models")
    return machine


def ways(name):
    return pytest.mark.parametrize("path", [f"/{name}{CHAT}", CHAT])


# ---- a model's answers ----

@ways("evil")
@pytest.mark.parametrize("said", ["HTTP/1.1 200 OK\r\nX-HL-Again: 0\r\n", "HTTP/1.1 503 Busy\r\nX-HL-Again: 3\r\n", ""])
def test_a_model_that_ends_in_its_headers_gets_a_request_once(site, path, said):
    """Whatever those headers said: to NGINX they are a client's as little as the router's."""
    assert site.ask("GET", "/evil/ready").status == 200
    before = len(site.seen(PORT))
    answer = site.post(path, {"model": "evil", "say": said})
    assert answer.status == 502 and answer["error"]["code"] == "model_ended", answer
    assert len(site.seen(PORT)) == before + 1


@ways("evil")
@pytest.mark.parametrize("status", ["200 OK", "503 Busy"])
def test_a_models_headers_steer_nothing(site, path, status):
    site.ask("GET", "/plain/ready")
    before = len(site.seen(PLAIN))
    orders = "X-Accel-Redirect: @hl_page\r\nX-HL-Port: %d\r\nX-HL-Model: plain\r\nX-HL-Origin: http://evil.example\r\n"
    said = f"HTTP/1.1 {status}\r\n{orders % PLAIN}Content-Length: 3\r\n\r\nown"
    answer = site.post(path, {"model": "evil", "say": said})
    assert answer.status == int(status[:3]) and answer.body == b"own", answer
    assert "Access-Control-Allow-Origin" not in answer.headers and len(site.seen(PLAIN)) == before


# As model-router, but it says what the test wants said, whoever asks.
TAKEN_OVER = """
import pathlib, socket
with socket.socket(fileno=0) as door:
    while True:
        with door.accept()[0] as nginx:
            nginx.recv(65536)
            said = b"X-Accel-Redirect: @hl_%b\\r\\n\\r\\n" % pathlib.Path("/run/said").read_bytes()
            nginx.sendall(b"\\1\\6\\0\\1" + len(said).to_bytes(2, "big") + b"\\0\\0" + said + b"\\1\\3\\0\\1\\0\\x08\\0\\0" + bytes(8))
"""


def test_the_router_sends_no_request_elsewhere(site):
    site.ask("GET", "/plain/ready")
    site.put("/run/taken-over.py", TAKEN_OVER)
    try:
        with site.drop_in("model-router.service", "[Service]\nType=exec\nExecStart=\nExecStart=/usr/bin/python3 /run/taken-over.py\n"):
            site.sh("systemctl restart model-router.service")
            for place in "run", "page":
                for port in "5002", f"127.0.0.1:{PLAIN}/", f"{PLAIN}/", f"{PLAIN} 5002", "-1", "$hl_port", "":
                    site.put("/run/said", f"{place}\r\nX-HL-Model: plain\r\nX-HL-Port: {port}\r\nX-HL-Origin: x")
                    answer = site.post(CHAT, {"model": "plain"})
                    assert (answer.status, answer["error"]["code"]) == (503, "model_not_routed"), (place, port, answer)
                site.put("/run/said", f"{place}\r\nX-HL-Model: plain\r\nX-HL-Port: {PLAIN}\r\nX-HL-Origin: x")
                assert site.post(CHAT, {"model": "plain"}).status == 200
    finally:
        site.sh("systemctl restart model-router.service")


@pytest.mark.parametrize("said, path", [("/", "/evil/"), ("/own", "/evil/own"), ("/evil/x", "/evil/x")])
def test_a_model_leaves_nothing_in_a_browser_for_the_whole_site(site, said, path):
    site.ask("GET", "/evil/ready")
    orders = (f"Service-Worker-Allowed: /\r\nClear-Site-Data: \"*\"\r\nCross-Origin-Opener-Policy: same-origin\r\n"
              f"Set-Cookie: a=b; Path={said}; HttpOnly\r\n")
    answer = site.post("/evil" + CHAT, {"say": f"HTTP/1.1 200 OK\r\n{orders}Content-Length: 3\r\n\r\nown"})
    assert answer.status == 200 and answer.body == b"own", answer
    assert not {"Service-Worker-Allowed", "Clear-Site-Data", "Cross-Origin-Opener-Policy"} & set(answer.headers)
    assert answer.headers["Set-Cookie"] == f"a=b; Path={path}; HttpOnly"


@ways("slow")
def test_a_request_dies_with_the_model_that_had_it(site, path):
    """What runs in its place, and has not been ready yet, is another: the request may have done its work."""
    def start():
        site.sh("systemctl start model@slow.service")
        wait_until(lambda: site.sh(f"ss -Hltn 'sport = :{SLOW}'"), PATIENCE, "it listens")

    site.run("systemctl kill --signal=KILL model@slow.service")
    wait_until(lambda: not site.runs("slow"), PATIENCE, "it has ended")
    start()
    held = site.hold(path, json.dumps({"model": "slow"}))
    wait_until(lambda: site.seen(SLOW, CHAT), PATIENCE, "it has the request")
    site.sh("systemctl kill --signal=STOP model-router.service")
    try:
        site.sh("systemctl kill --signal=KILL model@slow.service")
        wait_until(lambda: not site.runs("slow"), PATIENCE, "it has ended")
        start()
    finally:
        site.sh("systemctl kill --signal=CONT model-router.service")
    answer = held.answer()
    assert answer.status == 502 and answer["error"]["code"] == "model_ended", answer
    assert not site.seen(SLOW, CHAT)


# ---- tokens ----

def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@ways("plain")
@pytest.mark.parametrize("header, value, arrives", [
    ("Authorization", f"bearer  {TOKEN}", None), ("Authorization", f"Bearer\t{TOKEN}", None), ("Authorization", f"token={TOKEN}", None),
    ("Authorization", basic(f":{TOKEN}"), None), ("Authorization", basic(f"u:{TOKEN}"), None), ("Authorization", basic(f"me:{TOKEN}"), None),
    ("Authorization", basic(f"{TOKEN}:"), None), ("Authorization", basic("me:secret"), basic("me:secret")),
    ("x-api-key", f"'{TOKEN}'", None), ("x-goog-api-key", TOKEN, None), ("Proxy-Authorization", f"Bearer {TOKEN}", None),
    ("Cookie", f"a=1; key={TOKEN}; b=2", "a=1; key=; b=2"), ("Cookie", "a=1; b=2", "a=1; b=2"),
    ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{TOKEN}, v1", "realtime, openai-insecure-api-key., v1")])
def test_a_token_reaches_no_model_however_it_is_sent(site, path, header, value, arrives):
    for _ in range(2):
        answer = site.post(path, {"model": "plain"}, {header: value})
        got = {name.lower(): text for name, text in answer["headers"].items()}
        assert answer.status == 200 and got.get(header.lower()) == arrives, answer


@pytest.mark.parametrize("query, arrives", [("key=%s", "key="), ("a=1&api_key=%s&b=2", "a=1&api_key=&b=2"), ("a=hls_1", "a=hls_1")])
def test_a_token_in_a_query_reaches_no_model(site, query, arrives):
    for way in "/plain/v1/any?", "/v1/any?model=plain&":
        query_sent = query % TOKEN if "%s" in query else query
        assert site.ask("GET", way + query_sent)["path"] == (way + arrives).removeprefix("/plain")


# ---- strangers ----

@ways("late")
@pytest.mark.parametrize("began", ["by hand", "again"])
def test_who_listens_before_the_model_does_gets_no_request(site, path, began):
    """It runs and has not got to its port yet: another program's server there is not it."""
    site.sh("systemctl stop model@late.service; touch /run/late")
    if began == "again":
        assert site.ask("GET", "/late/ready").status == 200
        site.sh("systemctl stop model@late.service")
    site.sh("rm -f /run/late")
    site.sh(["systemd-run", "--quiet", "--unit=stranger", "--uid=nobody", FIELD_MODEL, str(LATE), "--who", "stranger", "--health-status", "503"])
    try:
        wait_until(lambda: site.sh(f"ss -Hltn 'sport = :{LATE}'"), PATIENCE, "the stranger listens")
        site.sh("systemctl start model@late.service")
        held = site.hold(path, json.dumps({"model": "late"}))
        site.wait_for_waiting(1)
        assert not site.seen(LATE, CHAT), "the stranger has it"
    finally:
        with contextlib.suppress(AssertionError):
            site.sh("systemctl stop stranger.service")
    site.sh("touch /run/late")
    answer = held.answer()
    assert answer.status == 200 and answer["who"] == "late", answer
