# SPDX-License-Identifier: MIT
"""model-router without NGINX and without a bus: where it sends a request of the OpenAI API by its body, and what it
refuses."""
import json
import os
import socket
import time

import fastcgi
import pytest

from router import Router, goes


@pytest.fixture
def router(tmp_path):
    with Router(tmp_path) as one:
        yield one


def form(*parts):
    return b"".join(b"--b\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n"
                    for head, content in parts) + b"--b--\r\n"


@pytest.mark.parametrize("body, kind", [
    (b'{"model":"tiny","messages":[]}', "application/json"),
    (b'{"model":"tiny"}', "text/plain"),
    (b'{"messages":[{"model":"other"}],"\\u006dodel":"t\\u0069ny"}', "application/json; charset=utf-8"),
    (b'{"image":"' + b"A" * 5_000_000 + b'","model":"tiny"}', "application/json"),
    (form((b'name="file"; filename="model"', b"RIFF\0\r\n"), (b'name="model"', b"tiny")),
     "multipart/form-data; boundary=b"),
], ids=["json", "any type", "escapes", "5 MB", "form"])
def test_the_body_says_where_a_request_goes(router, body, kind):
    status, headers, content = router.post(body, kind)
    assert (status, headers, content) == (200, goes("model", "tiny"), b"")


@pytest.mark.parametrize("named, model", [
    ("Qwen/Qwen3-8B", "strict"), ("gpt-4", "strict"), ("strict", "strict")])
def test_an_alias_is_its_models_name(router, named, model):
    assert router.post(json.dumps({"model": named}).encode())[1] == goes("model", model)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
@pytest.mark.parametrize("uri, model", [
    ("/v1/audio/voices?model=tiny", "tiny"), ("/v1/realtime?x=1&model=Qwen%2FQwen3-8B", "strict"),
    ("/v1/deployments/gpt-4/chat/completions?api-version=2024-10-21", "strict")])
def test_the_query_says_it_where_no_body_does(router, method, uri, model):
    assert router.ask(method, uri)[1] == goes("model", model)


def test_a_body_comes_before_the_query(router):
    body = b'{"model":"tiny"}'
    assert router.post(body, REQUEST_URI="/v1/x?model=strict")[1] == goes("model", "tiny")


def test_a_model_that_does_not_run_is_not_sent_anything(router):
    """What listens on its port is another program: the request waits for the model, where NGINX keeps it."""
    waits = goes("wake", "cold", **{"X-HL-Again": "0"})
    assert router.post(b'{"model":"cold/one"}')[1] == waits
    assert router.ask("GET", "/cold/x", HL_CALL="admit", HL_MODEL="cold")[1] == waits
    router.start("cold")
    assert router.post(b'{"model":"cold/one"}')[1] == goes("model", "cold")


def test_what_nobody_had_may_be_sent(router):
    """NGINX counts its visit to the router as a try: by the header that sent the request here it is none."""
    status, _, body = router.ask("POST", "/cold/x", HL_CALL="wake", HL_MODEL="cold", HL_UPSTREAM_STATUS="200",
                                 HL_UPSTREAM_CONNECT_TIME="0.000", HL_AGAIN="0")
    assert (status, json.loads(body)["error"]["code"]) == (503, "bus_unavailable")


@pytest.mark.parametrize("sent, cut, code", [(0.1, 0.4, "bus_unavailable"), (-0.5, -0.1, "model_ended"), (0.7, 0.9, "model_ended")],
                         ids=["in it", "before it", "after it"])
def test_what_was_cut_by_a_stop_for_being_idle_waits(router, sent, cut, code):
    """However long ago the stop was, which took half a second: only such a request goes on to wait for its model."""
    began_seconds_ago = 20
    file = router.folder / "stopped" / "cold"
    file.touch()
    began = time.monotonic() - began_seconds_ago
    os.utime(file, (began + 0.5, began))
    cut_at = time.time() - began_seconds_ago + cut
    _, _, body = router.ask("POST", "/cold/x", HL_CALL="wake", HL_MODEL="cold", HL_UPSTREAM_STATUS="502",
                            HL_UPSTREAM_CONNECT_TIME="0.000", HL_UPSTREAM_RESPONSE_TIME=f"{cut - sent:.3f}",
                            HL_FAILED_AT=f"{cut_at:.3f}")
    assert json.loads(body)["error"]["code"] == code


def test_options_says_what_there_is(router):
    status, headers, body = router.ask("OPTIONS", "/v1/chat/completions")
    assert (status, body) == (204, b"") and "POST" in headers["Allow"]


@pytest.mark.parametrize("body, kind, expected", [
    (b"", "application/json", (400, "model_missing")),
    (b"[]", "application/json", (400, "invalid_json")),
    (b'{"model":"tiny"', "application/json", (400, "invalid_json")),
    (b'{"a":' + b"[" * 100_000, "application/json", (400, "invalid_json")),
    (b"{}", "application/json", (400, "model_missing")),
    (b'{"":{"model":"tiny"}}', "application/json", (400, "model_missing")),
    (b'{"model":null}', "application/json", (400, "invalid_value")),
    (b'{"model":"tiny","model":"other"}', "application/json", (404, "model_not_found")),
    (b'{"model":"other"}', "application/json", (404, "model_not_found")),
    (b'{"model":""}', "application/json", (404, "model_not_found")),
    (b'{"model":"../models/tiny"}', "application/json", (404, "model_not_found")),
    (b'{"model":"tiny\\r\\nX-Accel-Redirect: @hl_run"}', "application/json", (404, "model_not_found")),
    (b'{"model":"no-port"}', "application/json", (503, "model_without_port")),
    (b'{"model":"tiny"}', "multipart/form-data; boundary=b", (400, "invalid_form")),
    (form((b'name="model"', b"tiny"), (b'name="model"', b"other")), "multipart/form-data; boundary=b",
     (404, "model_not_found")),
    (form((b'name="file"', b"tiny")), "multipart/form-data; boundary=b", (400, "model_missing")),
])
def test_a_body_is_refused_with_its_reason(router, body, kind, expected):
    assert router.refusal(body, kind) == expected


def test_requests_that_are_no_posts_or_not_for_us(router):
    assert router.refusal(b"", REQUEST_METHOD="GET") == (404, "not_found")
    assert router.refusal(b'{"model":"tiny"}', HTTP_HOST="evil.example") == (403, "host_not_allowed")
    assert router.refusal(b"x" * 5_000_000, HTTP_HOST="evil.example") == (403, "host_not_allowed")
    assert router.refusal(b'{"model":"tiny"}', CONTENT_LENGTH="99") == (400, "incomplete_request")
    assert router.refusal(b"", CONTENT_LENGTH="67108865") == (400, "incomplete_request")
    assert router.refusal(b"", CONTENT_LENGTH="-1") == (400, "bad_request")


def test_a_wait_without_a_bus_is_told_so(router):
    status, headers, body = router.post(b"", HL_CALL="wake", HL_MODEL="tiny", HL_UPSTREAM_STATUS="502",
                                        HL_UPSTREAM_CONNECT_TIME="-")
    assert (status, json.loads(body)["error"]["code"]) == (503, "bus_unavailable")
    assert headers["Retry-After"] == "10"


def test_clients_that_leave_hold_nobody_up(router):
    for sent in (b"", fastcgi.record(fastcgi.BEGIN_REQUEST, b"\0\1\0\0\0\0\0\0"), b"\1\1\0"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(router.path)
            connection.sendall(sent)
    assert router.post(b'{"model":"tiny"}')[1] == goes("model", "tiny")


def test_a_long_body_holds_nobody_up(router):
    body = b'{"image":"' + b"A" * 100_000 + b'","model":"tiny"}'
    variables = {"REQUEST_METHOD": "POST", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost",
                 "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
    sent = (fastcgi.record(fastcgi.BEGIN_REQUEST, b"\0\1\0\0\0\0\0\0") +
            fastcgi.stream(fastcgi.PARAMS, fastcgi.parameters(variables)) + fastcgi.stream(fastcgi.STDIN, body))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(router.path)
        connection.sendall(sent[:-50_000])
        assert router.post(b'{"model":"tiny"}')[1] == goes("model", "tiny")
        connection.sendall(sent[-50_000:])
        assert b"X-HL-Model: tiny" in connection.recv(65536)


def test_a_broken_configuration_is_told(router):
    (router.folder / "config.json").write_text("{")
    status, _ = router.refusal(b'{"model":"tiny"}')
    assert status == 503


def test_it_ends_when_nobody_asks(tmp_path):
    with Router(tmp_path, HL_IDLE_SECONDS="100ms") as router:
        assert router.post(b'{"model":"tiny"}')[0] == 200
        assert router.process.wait(timeout=20) == 0
