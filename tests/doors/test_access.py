# SPDX-License-Identifier: MIT
"""Who is let in, by which header and from which page: the same through each of the three doors."""
import json
import re
import subprocess

import pytest

from programs import BUILD, CLOCKED, DOORS, SERVICES, TIMEOUT, by_cgi, by_fastcgi, by_port, exchange

PAGE, OTHER = "app://obsidian.md", "http://evil.example"
DOORS = {**DOORS, "fastcgi": by_fastcgi}


def told(answer):
    """What of an answer does not change with the clock, the request's number, or the kind of connection."""
    return answer.status, CLOCKED.sub(b"", answer.body), {name: value for name, value in answer.headers.items()
                                        if name not in ("date", "x-request-id", "connection")}


def ask(lab, *arguments, **options):
    """The one answer of all three doors."""
    answers = [door(lab, *arguments, **options) for door in DOORS.values()]
    assert told(answers[0]) == told(answers[1]) == told(answers[2])
    return answers[0]


@pytest.fixture
def keys(lab):
    lab.config(auth={"loopback": "token", "allowed_origins": [PAGE, "null"]})
    return {scope: lab.token(scope, scope) for scope in ("read", "use", "control", "power")}


def test_a_token_opens_by_each_of_three_headers(lab, keys):
    for headers in ({"Authorization": "Bearer " + keys["read"]}, {"x-api-key": keys["read"]}, {"api-key": keys["read"]},
                    {"Authorization": "Bearer sk-other", "x-api-key": keys["read"]},
                    {"Authorization": "Basic dTpw", "api-key": keys["read"]}):
        assert ask(lab, "inference-service", "GET", "/models", headers).status == 200, headers


@pytest.mark.parametrize("headers, status, code, words", [
    ({}, 403, "token_required", 'as "Authorization: Bearer TOKEN", x-api-key or api-key'),
    ({"x-api-key": "sk-other"}, 401, "token_invalid", "this token is not known"),
    ({"api-key": "hls_" + "0" * 64}, 401, "token_invalid", "this token is not known"),
    ({"Authorization": "Basic dTpw"}, 401, "token_invalid", 'as "Authorization: Bearer TOKEN", x-api-key or api-key'),
    ({"Authorization": "Token x"}, 401, "token_invalid", 'as "Authorization: Bearer TOKEN", x-api-key or api-key')], ids=str)
def test_what_is_no_token_opens_nothing(lab, keys, headers, status, code, words):
    answer = ask(lab, "inference-service", "GET", "/models", headers)
    assert (answer.status, answer.json["code"]) == (status, code) and words in answer.json["message"]
    assert ("www-authenticate" in answer.headers) == (status == 401)
    # OpenAI's clients show the sentence only in OpenAI's shape, and take 401 alone for a matter of the key.
    answer = ask(lab, "inference-service", "GET", "/v1/models", headers)
    assert answer.status == 401 and answer.headers["www-authenticate"]
    assert answer.json == {"error": {"message": answer.json["error"]["message"], "type": "authentication_error", "param": None,
                                     "code": code}}
    assert words in answer.json["error"]["message"]


def test_a_use_token_lists_for_the_openai_api_and_no_more(lab, keys):
    key = {"x-api-key": keys["use"]}
    for target in "/v1/models", "/v1/models/tiny":
        assert ask(lab, "inference-service", "GET", target, key).status == 503  # let in: there is no bus here
    before = lab.state()
    for service, method, target in [
            ("inference-service", "GET", "/models"), ("inference-service", "GET", "/models/tiny/logs"),
            ("inference-service", "POST", "/models/tiny/start"), ("inference-service", "POST", "/models/tiny/stop"),
            ("model-monitor-service", "POST", "/models/tiny/report"), ("model-monitor-service", "GET", "/metrics"),
            ("shutdown-service", "GET", "/shutdown/next"), ("shutdown-service", "POST", "/shutdown/schedule")]:
        answer = by_cgi(lab, service, method, target, key)
        assert (answer.status, answer.json["code"]) == (403, "scope_too_small"), (target, answer)
        assert 'yours has "use"' in answer.json["message"]
    assert lab.state() == before
    for scope in "read", "control", "power":
        assert by_cgi(lab, "inference-service", "GET", "/v1/models", {"api-key": keys[scope]}).status == 503
    assert [line.split()[1] for line in lab.tool("token", "list").stdout.splitlines()] == ["read", "use", "control", "power"]


def readable(answer, page):
    return (answer.headers.get("access-control-allow-origin") == page and answer.headers.get("vary") == "Origin"
            and answer.headers.get("access-control-expose-headers") == "X-Request-Id, Retry-After")


def cors(answer):
    return [name for name in answer.headers if name.startswith("access-control-") or name == "vary"]


@pytest.mark.parametrize("site", [None, "cross-site", "same-site"])
@pytest.mark.parametrize("page", [PAGE, "null"])
def test_a_named_page_does_what_its_token_may(lab, keys, page, site):
    headers = {"Origin": page, **({"Sec-Fetch-Site": site} if site else {})}
    cases = [("model-monitor-service", "POST", "/models/tiny/report", "control", 200),
             ("model-monitor-service", "POST", "/models/tiny/report", "read", 403),
             ("inference-service", "GET", "/models", "read", 200), ("inference-service", "GET", "/models", None, 403),
             ("inference-service", "GET", "/v1/models", None, 401), ("inference-service", "GET", "/v1/models", "use", 503),
             ("inference-service", "GET", "/nothing", "read", 404), ("shutdown-service", "PUT", "/", "power", 405)]
    for service, method, target, scope, status in cases:
        key = {"Authorization": "Bearer " + keys[scope]} if scope else {}
        answer = by_cgi(lab, service, method, target, headers | key)
        assert answer.status == status and readable(answer, page), (target, answer)
    assert readable(ask(lab, "inference-service", "GET", "/models", headers | {"api-key": keys["read"]}), page)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("target", ["/", "/v1/models", "/models/tiny/start", "/shutdown/schedule", "/nothing"])
def test_a_named_pages_preflight_needs_no_token(lab, keys, service, target):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    answer = ask(lab, service, "OPTIONS", target, asked | {
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
        "Access-Control-Request-Private-Network": "true"})
    assert answer.status == 204 and answer.body == b"" and readable(answer, PAGE), answer
    assert {"GET", "POST"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type,x-stainless-os"
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert int(answer.headers["access-control-max-age"]) > 0
    answer = by_cgi(lab, service, "OPTIONS", target, asked | {"Access-Control-Request-Headers": "a;b"})
    assert answer.status == 204 and "access-control-allow-headers" not in answer.headers
    assert "access-control-allow-private-network" not in answer.headers


@pytest.mark.parametrize("page", [OTHER, "http://obsidian.md", PAGE + "/", PAGE + ".evil", "file://", "", "app://obsidian"])
def test_a_page_that_is_not_named_stays_shut_out(lab, keys, page):
    lab.config(auth={"allowed_origins": [PAGE]})
    before = lab.state()
    asked = {"Origin": page, "Access-Control-Request-Method": "POST"}
    for service, target in [("model-monitor-service", "/models/tiny/report"), ("inference-service", "/v1/models"),
                            ("shutdown-service", "/shutdown/schedule")]:
        for method, headers in [("OPTIONS", asked), ("POST", {"Origin": page}), ("POST", {"Sec-Fetch-Site": "cross-site"}),
                                ("POST", {"Origin": page, "Authorization": "Bearer " + keys["power"]})]:
            if page == "" and method == "OPTIONS":
                continue
            answer = by_port(lab, service, method, target, headers)
            told_by = answer.json.get("error", answer.json)
            assert (answer.status, told_by["code"]) == (403, "foreign_origin") and not cors(answer), answer
            assert "auth.allowed_origins" in told_by["message"]
    assert not cors(ask(lab, "inference-service", "GET", "/models", {"Origin": page} if page else {}))
    assert lab.state() == before


def test_no_page_is_named_at_first(lab):
    for page in PAGE, "null", "http://localhost:3000":
        answer = ask(lab, "model-monitor-service", "POST", "/models/tiny/report", {"Origin": page})
        assert answer.status == 403 and not cors(answer)
    assert not cors(ask(lab, "model-monitor-service", "POST", "/models/tiny/report", {"Origin": "http://localhost:5001"}))


def test_a_named_page_cannot_choose_our_name(lab):
    lab.config(auth={"allowed_origins": [PAGE]})
    answer = ask(lab, "model-monitor-service", "POST", "/models/tiny/report", {"Host": "evil.example", "Origin": PAGE})
    assert (answer.status, answer.json["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize("method, target, headers, status, kind, code", [
    ("GET", "/v1", {}, 404, "invalid_request_error", "unknown_route"),
    ("GET", "//v1/models/x/y", {}, 404, "invalid_request_error", "model_not_found"),
    ("GET", "/v1/models/absent", {}, 404, "invalid_request_error", "model_not_found"),
    ("DELETE", "/v1/models/tiny", {}, 405, "invalid_request_error", "method_not_allowed"),
    ("GET", "/v1/models", {"Host": "evil.example"}, 403, "permission_error", "host_not_allowed"),
    ("GET", "/v1/models", {}, 503, "server_error", None)])
def test_errors_below_v1_are_openais(lab, method, target, headers, status, kind, code):
    answer = ask(lab, "inference-service", method, target, headers)
    error = answer.json["error"]
    assert answer.status == status and list(answer.json) == ["error"]
    assert list(error) == ["message", "type", "param", "code"] and error["message"] and error["param"] is None
    assert error["type"] == kind and (not code or error["code"] == code)


def test_what_a_door_finds_wrong_is_told_in_the_same_shape(lab):
    long = {"Content-Type": "application/json", "Content-Length": "65537"}
    for target in "/v1/models", "/v1/nothing":
        for door in by_cgi, by_fastcgi:
            answer = door(lab, "inference-service", "POST", target, long)
            assert answer.status == 413 and answer.json["error"]["code"] == "body_too_large"
    for head, code in [(b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n", "body_too_large"),
                       (b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "duplicate_header"),
                       (b"GET /v1/models HTTP/1.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n", "headers_too_large")]:
        answer = json.loads(exchange(lab, "inference-service", head).partition(b"\r\n\r\n")[2])
        assert answer["error"]["code"] == code and answer["error"]["param"] is None
    (lab.folder / "config.json").write_text("{")
    assert ask(lab, "inference-service", "GET", "/v1/models").json["error"]["type"] == "server_error"


def test_a_named_page_reads_what_a_door_finds_wrong(lab):
    lab.config(auth={"allowed_origins": [PAGE]})
    long = {"Content-Type": "application/json", "Content-Length": "65537"}
    for door in by_cgi, by_fastcgi:
        for page, allowed in (PAGE, True), (OTHER, False):
            answer = door(lab, "model-monitor-service", "POST", "/models/tiny/report", long | {"Origin": page})
            assert answer.status == 413 and readable(answer, page) == allowed and bool(cors(answer)) == allowed, answer
    for head, status in [(b"Content-Length: 65537\r\n\r\n", b"413"), (b"Transfer-Encoding: gzip\r\n\r\n", b"400"),
                         (b"Content-Length: 2\r\n\r\n{", b"400")]:
        head = b"POST /models/tiny/report HTTP/1.1\r\nHost: localhost\r\nOrigin: app://obsidian.md\r\n" + head
        received = exchange(lab, "model-monitor-service", head)
        assert received.split()[1] == status and b"Access-Control-Allow-Origin: app://obsidian.md\r\n" in received


def test_a_wrong_origin_in_the_configuration_lets_nobody_in(lab):
    lab.config(auth={"allowed_origins": ["https://chat.example/"]})
    assert ask(lab, "inference-service", "GET", "/models").json["code"] == "configuration_invalid"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_compressed_body_is_refused_by_name(lab, encoding):
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = ask(lab, "model-monitor-service", "POST", "/models/tiny/report", headers, b"\x1f\x8b{}")
    assert (answer.status, answer.json["code"]) == (415, "unsupported_content_encoding"), answer


H2C = (b"Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
       b"Upgrade: h2c\r\nUser-Agent: Java-http-client/21\r\n")


def test_an_upgrade_is_answered_as_if_it_was_not_asked_for(lab):
    report, models = b"POST /models/tiny/report HTTP/1.1\r\n", b"GET /models/tiny/report HTTP/1.1\r\n"
    typed = b"Content-Type: application/json\r\n"
    received = exchange(lab, "model-monitor-service",
                        models + H2C + b"\r\n"
                        + report + H2C + typed + b"Content-Length: 2\r\n\r\n{}"
                        + report + H2C + typed + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nX-T: 1\r\n\r\n"
                        + report + H2C + b"Content-Length: 0\r\n\r\n"
                        + report + H2C + typed + b"Content-Length: 1\r\n\r\nx"
                        + b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert re.findall(rb"HTTP/1\.1 (\d+) ", received) == [b"405", b"200", b"200", b"200", b"400", b"200"]


def test_a_secret_is_nowhere_but_in_the_request(lab, keys):
    for header in "HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_API_KEY":
        secret = keys["read"] if header != "HTTP_AUTHORIZATION" else "Bearer " + keys["read"]
        for path in "/models", "/v1/models", "/models/tiny/start", "/nothing":
            env = dict(lab.env, GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD="POST", REQUEST_URI=path, REMOTE_ADDR="192.0.2.7",
                       **{header: secret})
            done = subprocess.run([BUILD / "inference-service"], env=env, capture_output=True, timeout=TIMEOUT)
            assert keys["read"].encode() not in done.stdout + done.stderr and b"X-Request-Id" in done.stdout
