# SPDX-License-Identifier: MIT
"""model-router: requests that wait for their model, and requests whose body names it."""
import collections
import concurrent.futures
import contextlib
import fcntl
import hashlib
import json
import os
import statistics
import threading
import time

import pytest

from machines import ACTIVITY, PATIENCE, wait_until
from web import CHAT, NGINX, PORTS_OF, Stream


def refused(answer, status, code):
    """An error as the OpenAI API tells it; a client that may come again is told when."""
    assert answer.status == status and answer.headers["Content-Type"] == "application/json", answer
    error = answer["error"]
    assert error["code"] == code and error["message"] and error["type"], answer
    if status == 503:
        assert 0 < int(answer.headers["Retry-After"]) <= 60
    return error


def starts(web, model, mark):
    """How often systemd has started it since."""
    return web.journal("--after-cursor", mark, f"--unit=model@{model}.service").count("listening on")


# ---- requests that wait ----

def test_fifty_clients_with_five_megabytes_each(web, figure):
    mark, size, clients = web.mark(), 5_000_000, 50
    blocks = [bytes([number]) * 1000 for number in range(clients)]
    ready = threading.Barrier(clients)

    def client(number):
        body = blocks[number] * (size // 1000)
        ready.wait(30)
        began = time.time()
        answer = web.post("/tiny-llama/echo?n=1", body, timeout=50)
        return answer, began, time.time(), hashlib.sha256(body).hexdigest()

    def all_of_them():
        """When the first began, and when the last had its answer."""
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            results = list(pool.map(client, range(clients)))
        for answer, _, _, digest in results:
            assert answer.status == 200 and (answer["bytes"], answer["sha256"]) == (size, digest), answer
        return min(began for _, began, _, _ in results), max(at for _, _, at, _ in results)

    _, last = all_of_them()
    loaded = web.sh(f"journalctl --quiet --after-cursor '{mark}' --output=short-unix --unit=model@tiny-llama.service "
                    "| grep 'model loaded'").split()
    assert starts(web, "tiny-llama", mark) == 1
    held = last - float(loaded[0])
    began, last = all_of_them()
    figure(f"the last of {clients} clients with {size / 1e6:.0f} MB each had its answer {held:.2f} s after the model that they "
           f"had to wait for was ready; {last - began:.2f} s after they asked the model that runs")
    assert held < 2 * (last - began) + 0.3  # the model reads 250 MB, each time


@pytest.mark.parametrize("method, path", [("POST", "/slow/echo"), ("GET", "/slow/stats"), ("POST", CHAT)])
def test_one_waits_no_longer_than_the_model_needs(web, figure, method, path):
    mark = web.mark()
    answer = web.ask(method, path, {"model": "slow"} if method == "POST" else None)
    at = time.time()
    loaded = web.sh(f"journalctl --quiet --after-cursor '{mark}' --output=short-unix --unit=model@slow.service "
                    "| grep 'model loaded'").split()
    assert answer.status == 200
    figure(f"{method} {path} to a stopped model was answered {at - float(loaded[0]):.3f} s after the model was ready")
    assert at - float(loaded[0]) < 2


def test_a_port_that_is_open_is_no_model_that_is_ready(web):
    """The demo model listens at once, and says 503 until it has loaded: none of that reaches a client."""
    with web.loading():
        first = web.hold("/slow/echo")
        wait_until(lambda: web.sh("ss -Hltn 'sport = :8312'"), PATIENCE, "it listens")
        second = web.hold("/slow/echo")  # the model itself answers this one's first try
        web.wait_for_waiting(2)
    assert first.answer().status == second.answer().status == 200


def test_nobody_is_asked_while_systemd_starts_the_model(web):
    """Who comes then waits with the others at once: NGINX does not try a port on which nobody listens yet."""
    errors = web.path("/var/log/nginx/error.log")
    with web.drop_in("model@quick.service", "[Service]\nExecStartPre=+/bin/sh -c 'while [ -e /run/begun ]; do sleep 0.02; done'\n"):
        web.sh("touch /run/begun; rm -f /run/home-lab-services/ready/quick")  # whose path NGINX tries once it was ready
        first = web.hold("/quick/echo")
        wait_until(web.path("/run/systemd/units/invocation:model@quick.service").is_symlink, PATIENCE, "systemd has begun")
        before = errors.stat().st_size
        others = [web.hold(path, body) for path, body in (("/quick/echo", b"{}"), (CHAT, b'{"model": "quick", "messages": []}'))]
        web.wait_for_waiting(3)
        assert errors.stat().st_size == before
        web.sh("rm /run/begun")
        assert [request.answer().status for request in (first, *others)] == [200] * 3


def test_two_models_wake_at_once(web):
    mark = web.mark()
    held = [(model, web.hold(CHAT, json.dumps({"model": model, "messages": []})))
            for _ in range(3) for model in ("slow", "quick", "tiny-llama")]
    for model, request in held:
        assert request.answer()["model"] == model
    assert [starts(web, model, mark) for model in ("slow", "quick", "tiny-llama")] == [1, 1, 1]


def test_two_hundred_wait_and_nobody_else_does(web, figure):
    def ask():
        began = time.monotonic()
        assert web.ask("GET", "/api/inference/models").status == 200
        return time.monotonic() - began

    ask()
    alone = [ask() for _ in range(15)]
    held = [web.hold("/endless/echo") for _ in range(200)]
    web.wait_for_waiting(200)
    wait_until(lambda: web.runs("endless"), PATIENCE, "the model has been started")
    beside = [ask() for _ in range(15)]
    figure(f"GET /api/inference/models: {statistics.median(alone) * 1000:.1f} ms alone, "
           f"{statistics.median(beside) * 1000:.1f} ms while 200 requests wait")
    assert statistics.median(beside) < statistics.median(alone) * 3 + 0.05
    web.sh("systemctl stop model@endless.service")
    for request in held:
        refused(request.answer(), 503, "start_failed")


def test_who_leaves_is_forgotten_and_the_start_goes_on(web):
    mark = web.mark()
    with web.loading():
        last = web.hold("/slow/echo")
        web.wait_for_waiting(1)
        before = web.router_sockets()
        held = [web.hold("/slow/echo") for _ in range(50)]
        web.wait_for_waiting(51)
        for request in held:
            request.leave()
        web.wait_for_waiting(1)
        assert web.router_sockets() <= before + 1
        last.leave()
        web.wait_for_waiting(0)
    wait_until(lambda: web.run("curl -sf http://127.0.0.1:8312/health").returncode == 0, PATIENCE, "the model starts for nobody")
    assert starts(web, "slow", mark) == 1


@pytest.mark.parametrize("how", [
    "systemctl restart model-router.service", "systemctl stop model-router.service",
    "systemctl kill --kill-whom=main model-router.service", "systemctl kill --kill-whom=main --signal=KILL model-router.service"])
def test_the_router_ends_while_three_hundred_wait(web, how):
    """They wait on with the next one, and find out nothing of it."""
    mark = web.mark()
    with web.loading():
        held = [web.hold("/slow/echo" if number % 2 else "/v1/echo", json.dumps({"model": "slow", "n": 1000 + number}))
                for number in range(300)]
        web.wait_for_waiting(300)
        web.sh(how)
    answers = [request.answer() for request in held]
    assert collections.Counter(answer.status for answer in answers) == {200: 150, 404: 150}  # it has no /v1/echo
    assert {answer["bytes"] for answer in answers[1::2]} == {len('{"model": "slow", "n": 1000}')}
    assert all(answer["error"]["message"] == "File Not Found" for answer in answers[::2])
    assert web.post("/slow/echo", "x").status == 200
    assert starts(web, "slow", mark) == 1
    web.wait_for_waiting(0)


def test_the_router_is_killed_three_times_in_one_wait(web):
    def router():
        return web.properties("model-router.service", "MainPID")["MainPID"]

    with web.loading():
        held = web.hold("/slow/echo", "{}")
        web.wait_for_waiting(1)
        wait_until(lambda: web.last_used("slow"), PATIENCE, "the router holds it")
        for _ in range(3):
            old = router()
            web.sh("systemctl kill --kill-whom=main --signal=KILL model-router.service")
            wait_until(lambda: router() != old, PATIENCE, "the router is gone")
            gone_ns = time.time_ns()
            wait_until(lambda: held.done() or web.last_used("slow") > gone_ns, PATIENCE, "the next router holds it")
            assert not held.done(), held.answer()
    assert held.answer().status == 200


# ---- models that do not come up, or go down ----

def test_a_router_that_is_restarted_again_and_again(web):
    """NGINX follows ten redirections, and a router that hands a request back too often says so before that."""
    held = web.hold("/endless/echo")
    web.wait_for_waiting(1)
    for _ in range(12):
        if held.done():
            break
        web.sh("systemctl restart model-router.service")
        wait_until(lambda: held.done() or web.waiting() == 1, PATIENCE, "it waits on, or is answered")
    refused(held.answer(), 503, "router_restarted")


@pytest.mark.parametrize("path", ["/quick/health", "/quick/metrics?x", "/quick/props", "/quick/slots/0"])
def test_who_only_looks_wakes_nobody(web, path):
    refused(web.ask("GET", path), 503, "model_not_loaded")
    assert not web.runs("quick")
    web.post("/quick/echo", "x")
    assert web.ask("GET", path).status in (200, 404)


def test_a_model_that_never_gets_ready(web):
    began = time.monotonic()
    held = [web.hold(path, json.dumps({"model": "dreamer"})) for path in ("/dreamer/echo", CHAT)]
    for request in held:
        error = refused(request.answer(), 503, "not_ready")
        assert "START_TIMEOUT" in error["message"] and error["model"] == "dreamer"
    assert 1 < time.monotonic() - began < 10
    assert web.runs("dreamer")  # it goes on loading


def test_a_model_that_fails_to_start(web):
    mark = web.mark()
    for path in "/stillborn/echo", CHAT:
        error = refused(web.post(path, {"model": "stillborn"}), 503, "start_failed")
        assert "exit-code, status 3" in error["message"], error
    assert web.journal("--after-cursor", mark, "--unit=model@stillborn.service").count("failing at the start") == 2


@pytest.mark.parametrize("path", ["/crasher" + CHAT, CHAT])
def test_a_request_that_was_begun_is_not_run_again(web, path):
    web.post("/crasher/echo", "x")
    mark = web.mark()
    error = refused(web.post(path, {"model": "crasher"}), 502, "model_ended")
    assert "journalctl -u model@crasher.service" in error["message"], error  # and how it ended, once systemd knows
    wait_until(lambda: not web.runs("crasher"), PATIENCE, "systemd has seen its end")
    assert web.journal("--after-cursor", mark, "--unit=model@crasher.service").count("crashing") == 1
    assert starts(web, "crasher", mark) == 0

    # And when it had to be started for the request.
    error = refused(web.post(path, {"model": "crasher"}), 502, "model_ended")
    assert web.journal("--after-cursor", mark, "--unit=model@crasher.service").count("crashing") == 2
    assert starts(web, "crasher", mark) == 1
    wait_until(lambda: not web.runs("crasher"), PATIENCE, "systemd has seen its end")
    assert web.post("/crasher/echo", "x").status == 200


@pytest.mark.parametrize("path", ["/fleeting/echo", CHAT])
def test_a_model_that_was_gone_before_it_had_the_request(web, path):
    """Its client may ask again: nothing was done for it."""
    error = refused(web.post(path, {"model": "fleeting"}), 503, "model_ended")
    assert "before it had the request" in error["message"]


def test_an_error_of_the_models_own_is_passed_on(web):
    for _ in range(2):
        answer = web.ask("GET", "/quick/nothing/here")
        assert answer.status == 404 and answer["error"]["type"] == "not_found_error", answer
    answer = web.post("/quick" + CHAT, "{")
    assert answer.status == 400 and answer["error"]["message"] == "the body is not JSON", answer


def test_a_model_that_is_stopped_while_it_is_waited_for(web):
    held = [web.hold("/endless/echo") for _ in range(10)]
    web.wait_for_waiting(10)
    wait_until(lambda: web.runs("endless"), PATIENCE, "the model has been started")
    began = time.monotonic()
    web.sh("systemctl stop model@endless.service")
    for request in held:
        refused(request.answer(), 503, "start_failed")
    assert time.monotonic() - began < 10


def test_a_model_that_is_stopped_while_it_answers(web):
    web.chat("quick")
    stream = Stream(web, CHAT, words=1000, interval_ms=20)
    assert stream.first.wait(10)
    mark = web.mark()
    web.sh("systemctl stop model@quick.service")
    stream.join(10)
    assert stream.error is not None or b"[DONE]" not in stream.events
    assert starts(web, "quick", mark) == 0  # not run again for half an answer
    assert web.chat("quick").status == 200


def test_a_request_that_comes_as_the_model_is_stopped_for_being_idle(web):
    """Whoever stops an idle model writes down its begin, and waits for its end: what is cut then came too late to be seen."""
    web.post("/quick/echo", "x")
    mark = web.mark()
    with open(web.path("/run/home-lab-services/stopped/quick"), "w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        os.utime(file.fileno(), ns=(0, time.monotonic_ns()))
        held = web.hold("/quick" + CHAT, json.dumps({"max_tokens": 20, "token_interval_ms": 100}).encode())
        wait_until(lambda: web.http("GET", PORTS_OF["quick"], "/stats")["in_flight"], PATIENCE, "the model works on it")
        web.sh("systemctl stop model@quick.service")
        assert held.answer().status == 200
    assert starts(web, "quick", mark) == 1


def test_without_polkit_no_model_starts_and_the_request_is_told_so(web):
    """No model can be started, and the request is told so."""
    web.sh("systemctl mask --runtime --now polkit.service")
    try:
        refused(web.post("/slow/echo", "x", timeout=40), 503, "unit_unusable")
    finally:
        web.sh("systemctl unmask --runtime polkit.service && systemctl start polkit.service")
    assert web.post("/slow/echo", "x").status == 200


def test_a_polkit_that_hangs_keeps_only_starts(web):
    web.chat("quick")
    web.sh("systemctl kill --signal=STOP polkit.service")
    try:
        held = web.hold("/slow/echo")
        web.wait_for_waiting(1)
        began = time.monotonic()
        assert web.post(CHAT, {"model": "quick", "messages": []}).status == 200
        assert time.monotonic() - began < 2, "systemd answers the start after 5 s"
    finally:
        web.sh("systemctl kill --signal=CONT polkit.service")
    assert held.answer().status in (200, 503)


def test_polkit_comes_when_it_is_asked(web):
    web.sh("systemctl stop polkit.service")
    assert web.post("/quick/echo", "x").status == 200


# ---- whose request it is ----

ROUTED = [
    b'{"model": "mirror"}', b'\n\t{"messages":[],"model":"mirror"}\r\n', b'{"model":"mirr\\u006fr"}',
    b'{"a":{"model":"tiny-llama"},"messages":[{"model":"x"}],"model":"mirror"}',
    b'{"messages":[{"content":"\\"model\\":\\"x\\", {\\"model\\""}],"model":"mirror","n":1e9,"x":[null,true,-0.5]}']


@pytest.mark.parametrize("text", ROUTED, ids=range(len(ROUTED)))
def test_the_body_says_which_model(web, text):
    answer = web.post("/v1/any/thing%2F?a=b", text)
    assert (answer.status, answer["target"], answer["body"]) == (200, "/v1/any/thing%2F?a=b", text.decode()), answer


def test_the_model_behind_five_megabytes(web):
    text = json.dumps({"messages": [{"role": "user", "content": "\\\"model\": é" * 300_000}], "model": "quick"})
    answer = web.post("/v1/completions", text)
    assert answer.status == 200 and answer["model"] == "quick", answer.status
    with contextlib.closing(web.open(NGINX)) as connection:  # in chunks
        pieces = [text[at:at + 400_000].encode() for at in range(0, len(text), 400_000)]
        connection.request("POST", "/v1/completions", iter(pieces), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        assert json.loads(connection.getresponse().read())["model"] == "quick"


def test_a_form_says_which_model(web):
    """As a recording that is to be written down is sent."""
    form = (b"--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
            + os.urandom(3_000_000) + b"\r\n--limit\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nquick\r\n--limit--\r\n")
    headers = {"Content-Type": 'multipart/form-data; boundary="limit"'}
    mark = web.mark()
    answer = web.post("/v1/audio/transcriptions", form, headers)
    assert answer.status == 404 and answer["error"]["type"] == "not_found_error", answer  # the demo model's own word
    assert starts(web, "quick", mark) == 1
    refused(web.post("/v1/audio/transcriptions", form.replace(b'"model"', b'"other"'), headers), 400, "model_missing")


@pytest.mark.parametrize("text, status, code", [
    (b"", 400, None), (b"{}", 400, "model_missing"), (b"[]", 400, None), (b"model=quick", 400, None), (b'{"model":', 400, None),
    (b'{"model":"quick"', 400, None), (b'{"model":"quick"} x', 400, None), (b'{"model":7}', 400, None),
    (b'{"model":null}', 400, None), (b'{"model":["quick"]}', 400, None), (b'{"model":"quick","model":7}', 400, None),
    (b'{"model":"\xff"}', 400, None), (b"{'model':'quick'}", 400, None),
    (b'{"model":""}', 404, "model_not_found"), (b'{"model":"nobody"}', 404, "model_not_found"),
    (b'{"model":"../quick"}', 404, "model_not_found"), (b'{"model":"Quick"}', 404, "model_not_found"),
    (b'{"model":"quick\\u0000"}', None, None), (b'{"model":"%s"}' % (b"x" * 5000), 404, "model_not_found")])
def test_bodies_that_name_no_model(web, text, status, code):
    answer = web.post(CHAT, text)
    assert answer.status in ([status] if status else [400, 404]), answer
    error = answer["error"]
    assert error["message"] and error["type"] == "invalid_request_error" and error["code"] == (code or error["code"]), answer
    assert not web.runs("quick")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_what_names_no_model_is_not_routed(web, method):
    answer = web.ask(method, CHAT, '{"model":"quick"}' if method == "PUT" else None)
    assert answer.status == 404, answer
    assert not web.runs("quick")


def test_options_are_told_here(web):
    answer = web.ask("OPTIONS", CHAT)
    assert answer.status == 204 and "POST" in answer.headers["Allow"], answer
    assert not web.runs("quick")


@pytest.mark.parametrize("host", ["elsewhere.example", "localhost.elsewhere.example", "quick"])
def test_under_a_name_that_is_not_ours(web, host):
    """A page in a browser, whose name was bound to this address, starts nothing."""
    for path in "/quick/echo", CHAT:
        refused(web.post(path, {"model": "quick"}, {"Host": host}), 403, "host_not_allowed")
    assert web.ask("GET", "/v1/models", headers={"Host": host}).status == 403
    assert not web.runs("quick")
    web.config(auth={"allowed_hosts": [host]})
    assert web.post(CHAT, {"model": "quick", "messages": []}, {"Host": host}).status == 200


def test_a_model_without_a_port(web):
    web.model("portless", command="sleep infinity")
    refused(web.post(CHAT, {"model": "portless"}), 503, "model_without_port")
    assert not web.runs("portless")
