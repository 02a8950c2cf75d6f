# SPDX-License-Identifier: MIT
"""The built programs, without a machine: the same request through the CGI door and through the port's door."""

import re
import socket
import subprocess
from pathlib import Path

import pytest

from programs import BUILD, CLOCKED, DOORS, JSON, SERVICES, TIMEOUT, both_doors, by_cgi, exchange

NEEDS_NO_BUS = [
    # service, method, target, headers, body, status, code
    ("shutdown-service", "GET", "/", {}, b"", 200, None),
    ("shutdown-service", "HEAD", "/", {}, b"", 200, None),
    ("shutdown-service", "GET", "/shutdown/system", {}, b"", 200, None),
    ("shutdown-service", "OPTIONS", "/shutdown/schedule", {}, b"", 204, None),
    ("shutdown-service", "GET", "/shutdown/schedule", {}, b"", 405, "method_not_allowed"),
    ("shutdown-service", "DELETE", "/shutdown/next", {}, b"", 405, "method_not_allowed"),
    ("shutdown-service", "GET", "/shut", {}, b"", 404, "unknown_route"),
    ("shutdown-service", "POST", "/shutdown", {}, b"", 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown", JSON, b'{"minutes":5}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown", JSON, b'{"scheduled":"on"}', 400, "invalid_body"),
    ("shutdown-service", "DELETE", "/shutdown", {}, b"", 405, "method_not_allowed"),
    ("shutdown-service", "PUT", "/shutdown/schedule", JSON, b"{}", 405, "method_not_allowed"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"minutes":0}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"minutes":-1}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"minutes":525601}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"minutes":"ten"}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"minute":10}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"minutes":1,"at":"2030-01-01T00:00:00Z"}', 400,
     "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"at":"tomorrow"}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"at":"9999-01-01T00:00:00Z"}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"action":"sleep"}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"message":"a\\nb"}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"minutes":1', 400, "invalid_json"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"minutes":1}{}', 400, "invalid_json"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"minutes":1,"minutes":2}', 400, "duplicate_key"),
    ("shutdown-service", "POST", "/shutdown/schedule", JSON, b'\xff', 400, "invalid_json"),
    ("shutdown-service", "POST", "/shutdown/schedule", {}, b'{"minutes":1}', 415, "unsupported_media_type"),
    ("shutdown-service", "POST", "/shutdown/schedule", {"Content-Type": "text/plain"}, b'{"minutes":1}', 415,
     "unsupported_media_type"),
    ("shutdown-service", "POST", "/shutdown/cancel", JSON, b'{"x":1}', 400, "invalid_body"),
    ("shutdown-service", "POST", "/shutdown/cancel?force=1", {}, b"", 400, "unknown_parameter"),
    ("inference-service", "GET", "/", {}, b"", 200, None),
    ("inference-service", "GET", "/models", {}, b"", 200, None),
    ("inference-service", "HEAD", "/models", {}, b"", 200, None),
    ("inference-service", "GET", "/models?x=1", {}, b"", 400, "unknown_parameter"),
    ("inference-service", "GET", "/models?reload=1", {}, b"", 200, None),
    ("inference-service", "POST", "/models/tiny", {}, b"", 400, "invalid_body"),
    ("inference-service", "POST", "/models/tiny", JSON, b'{"running":"True"}', 400, "invalid_body"),
    ("inference-service", "POST", "/models/tiny", JSON, b'{"running":true,"wait":"maybe"}', 400, "invalid_body"),
    ("inference-service", "POST", "/models/tiny", JSON, b'{"running":true,"minutes":1}', 400, "invalid_body"),
    ("inference-service", "POST", "/models/tiny?wait=none", JSON, b'{"running":true}', 400, "unknown_parameter"),
    ("inference-service", "PUT", "/models/absent", JSON, b'{"running":true}', 404, "model_not_found"),
    ("inference-service", "DELETE", "/models/tiny", {}, b"", 405, "method_not_allowed"),
    ("inference-service", "POST", "/models/load", {}, b"", 400, "invalid_body"),
    ("inference-service", "POST", "/models/unload", JSON, b'{"model":null}', 400, "invalid_body"),
    ("inference-service", "GET", "/models/tiny/logs", {}, b"", 200, None),
    ("inference-service", "GET", "/models/tiny/logs?lines=0", {}, b"", 400, "invalid_parameter"),
    ("inference-service", "GET", "/models/tiny/logs?lines=10001", {}, b"", 400, "invalid_parameter"),
    ("inference-service", "GET", "/models/tiny/logs?format=xml", {}, b"", 400, "invalid_parameter"),
    ("inference-service", "GET", "/models/nobody/logs", {}, b"", 404, "model_not_found"),
    ("inference-service", "OPTIONS", "/models/tiny/start", {}, b"", 204, None),
    ("inference-service", "GET", "/models/tiny/start", {}, b"", 405, "method_not_allowed"),
    ("inference-service", "GET", "/models/absent", {}, b"", 404, "model_not_found"),
    ("inference-service", "POST", "/models/absent/start", {}, b"", 404, "model_not_found"),
    ("inference-service", "POST", "/models/tiny/start?wait=maybe", {}, b"", 400, "invalid_parameter"),
    ("inference-service", "POST", "/models/tiny/stop?drain=soon", {}, b"", 400, "invalid_parameter"),
    ("inference-service", "POST", "/models/tiny/stop?drain=3001", {}, b"", 400, "invalid_parameter"),
    ("inference-service", "POST", "/models/tiny/pause?seconds=0", {}, b"", 200, None),
    ("inference-service", "POST", "/models/tiny/pause?seconds=601", {}, b"", 400, "invalid_parameter"),
    ("inference-service", "POST", "/models/tiny/pause?seconds=", {}, b"", 400, "invalid_parameter"),
    ("inference-service", "POST", "/models/absent/pause", {}, b"", 404, "model_not_found"),
    ("inference-service", "POST", "/models/tiny/keep?seconds=0", {}, b"", 200, None),
    ("inference-service", "POST", "/models/tiny/keep?seconds=604801", {}, b"", 400, "invalid_parameter"),
    ("inference-service", "POST", "/models/absent/keep", {}, b"", 404, "model_not_found"),
    ("inference-service", "POST", "/models/tiny/start", JSON, b'{"port":1}', 400, "invalid_body"),
    ("inference-service", "POST", "/models/no-port/start?wait=ready", {}, b"", 409, "model_without_port"),
    ("model-monitor-service", "GET", "/", {}, b"", 200, None),
    ("model-monitor-service", "POST", "/models/tiny/report", {}, b"", 200, None),
    ("model-monitor-service", "POST", "/models/absent/report", {}, b"", 404, "model_not_found"),
    ("model-monitor-service", "GET", "/models/tiny/report", {}, b"", 405, "method_not_allowed"),
    ("model-monitor-service", "POST", "/models/tiny/report", JSON, b'{"when":1}', 400, "invalid_body"),
    ("model-monitor-service", "GET", "/nothing", {}, b"", 404, "unknown_route"),
]


def row_id(row):
    return f"{row[0]} {row[1]} {row[2]} {row[4].decode(errors='replace')}".strip()


@pytest.mark.parametrize("row", NEEDS_NO_BUS, ids=row_id)
def test_both_doors_answer_the_same(lab, row):
    service, method, target, headers, body, status, code = row
    answers = [ask(lab, service, method, target, headers, body) for ask in DOORS.values()]
    for answer in answers:
        assert answer.status == status, answer
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
        if status == 204:
            assert answer.body == b"" and "content-type" not in answer.headers
            continue
        assert answer.headers["content-type"] == "application/json"
        if method == "HEAD":
            assert answer.body == b"" and int(answer.headers["content-length"]) > 0
            continue
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert answer.json["status"] == ("success" if status == 200 else "error"), answer
        if code:
            assert answer.json["code"] == code and answer.json["message"]
    cgi, port = answers
    assert CLOCKED.sub(b"", cgi.body) == CLOCKED.sub(b"", port.body)
    assert cgi.headers.get("allow") == port.headers.get("allow")
    assert ("allow" in cgi.headers) == (status in (204, 405))


NEEDS_THE_BUS = [
    ("shutdown-service", "GET", "/shutdown"),
    ("shutdown-service", "GET", "/shutdown/next"),
    ("shutdown-service", "GET", "/shutdown/status"),
    ("shutdown-service", "POST", "/shutdown/schedule"),
    ("shutdown-service", "POST", "/shutdown/cancel"),
    ("shutdown-service", "GET", "/health"),
    ("inference-service", "GET", "/models/running"),
    ("inference-service", "GET", "/capacity"),
    ("inference-service", "GET", "/models/tiny"),
    ("inference-service", "POST", "/models/tiny/start"),
    ("inference-service", "POST", "/models/tiny/stop"),
    ("inference-service", "POST", "/models/tiny/restart"),
    ("inference-service", "POST", "/models/tiny/start?wait=none"),
    ("inference-service", "GET", "/v1/models"),
    ("inference-service", "GET", "/v1/models/tiny"),
    ("inference-service", "GET", "/health"),
    ("model-monitor-service", "GET", "/models/active"),
    ("model-monitor-service", "GET", "/models/idle"),
    ("model-monitor-service", "GET", "/models/activity"),
    ("model-monitor-service", "GET", "/models/tiny/why"),
    ("model-monitor-service", "GET", "/models/tiny/history"),
    ("model-monitor-service", "GET", "/events"),
    ("model-monitor-service", "GET", "/metrics"),
    ("model-monitor-service", "GET", "/health"),
]


@pytest.mark.parametrize("service,method,target", NEEDS_THE_BUS)
def test_without_a_bus_503_says_when_to_retry(lab, service, method, target):
    answers = [ask(lab, service, method, target) for ask in DOORS.values()]
    for answer in answers:
        assert answer.status == 503, answer
        assert int(answer.headers["retry-after"]) > 0
        if target.startswith("/v1/"):  # OpenAI's shape
            assert answer.json["error"]["type"] == "server_error" and answer.json["error"]["message"]
        else:
            assert answer.json["status"] == "error" and answer.json["message"]
    assert answers[0].body == answers[1].body


@pytest.mark.parametrize("target, accept, content_type", [
    ("", None, "application/json"), ("", "*/*", "application/json"), ("", "text/plain", "text/plain; charset=utf-8"),
    ("", "text/plain, application/json", "application/json"), ("?format=json", "text/plain", "application/json"),
    ("?format=text", None, "text/plain; charset=utf-8")])
@both_doors
def test_logs_are_text_for_who_wants_text(lab, ask, target, accept, content_type):
    answer = ask(lab, "inference-service", "GET", "/models/tiny/logs" + target, {"Accept": accept})
    assert answer.status == 200 and answer.headers["content-type"] == content_type, answer


def test_every_route_is_tried_here(lab):
    """The list of GET / and the tables above say the same: a new route does not go untested."""
    tried = {(row[0], row[1], row[2].partition("?")[0]) for row in NEEDS_NO_BUS + NEEDS_THE_BUS}
    tried |= {(service, "GET", "/openapi.json") for service in SERVICES}  # tests/doors/test_openapi.py
    for service in SERVICES:
        for endpoint in by_cgi(lab, service, "GET", "/").json["endpoints"]:
            method, path = endpoint.split()
            assert (service, method, re.sub(r"{model(\.\.\.)?}", "tiny", path)) in tried, f"{service}: {endpoint}"


def test_models_lists_what_is_there(lab):
    models = by_cgi(lab, "inference-service", "GET", "/models").json["models"]
    assert [(m["model_name"], m["port"], m["unit"]) for m in models] == [
        ("no-port", None, "model@no-port.service"),
        ("qwen2.5:0.5b", 18192, "model@qwen2.5:0.5b.service"),
        ("tiny", 18191, "model@tiny.service"),
    ]
    assert models[2]["file_path"] == str(lab.models / "tiny")


@both_doors
def test_a_report_is_the_files_time(lab, ask):
    answer = ask(lab, "model-monitor-service", "POST", "/models/qwen2.5:0.5b/report")
    assert answer.status == 200 and answer.json["model_name"] == "qwen2.5:0.5b"
    assert [path.name for path in lab.activity.iterdir()] == ["qwen2.5:0.5b"]


HOSTILE = ["..%2F..%2Fetc%2Fpasswd", "%2e%2e", ".hidden", "a%2Fb", "-rf", "%24%28id%29", "a%20b", "a%0Ab", "%C3%A9",
           "a" * 129, "tiny.service%20x", "%25s", "@", "tiny@x"]


@both_doors
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_touch_nothing(lab, ask, name):
    before = lab.state()
    for service, method, target in [("inference-service", "GET", f"/models/{name}"),
                                    ("inference-service", "POST", f"/models/{name}/start"),
                                    ("model-monitor-service", "POST", f"/models/{name}/report")]:
        answer = ask(lab, service, method, target)
        assert answer.status == 400, answer
        assert answer.json["code"] == "invalid_model_name"
    assert lab.state() == before


@both_doors
@pytest.mark.parametrize("target", ["/models/../models", "//models", "/models/", "/models/tiny/", "/models/tiny/report/x",
                                    "/models/%zz", "/models/%00", "/models/%ff"])
def test_hostile_paths_lead_nowhere(lab, ask, target):
    answer = ask(lab, "model-monitor-service", "POST", target)
    assert answer.status in (400, 404), answer
    assert answer.json["code"] in ("unknown_route", "invalid_target")


def report(lab, ask, headers=(), body=b"", peer="127.0.0.1"):
    return ask(lab, "model-monitor-service", "POST", "/models/tiny/report", headers, body, peer)


@both_doors
@pytest.mark.parametrize("headers,status,code", [
    ({"Host": "evil.example"}, 403, "host_not_allowed"),
    ({"Host": "localhost.evil.example"}, 403, "host_not_allowed"),
    ({"Host": "127.0.0.1.nip.io:5003"}, 403, "host_not_allowed"),
    ({"Origin": "http://evil.example"}, 403, "foreign_origin"),
    ({"Origin": "http://localhost"}, 403, "foreign_origin"),
    ({"Origin": "null"}, 403, "foreign_origin"),
    ({"Sec-Fetch-Site": "cross-site"}, 403, "foreign_origin"),
    ({"Sec-Fetch-Site": "same-site"}, 403, "foreign_origin"),
    ({"X-Forwarded-For": "192.0.2.7"}, 403, "token_required"),
    ({"Forwarded": "for=192.0.2.7"}, 403, "token_required"),
    ({"X-Real-IP": "127.0.0.1"}, 403, "token_required"),
    ({"Via": "1.1 proxy"}, 403, "token_required"),
    ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415, "unsupported_content_encoding"),
    ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
])
def test_the_guard_refuses_and_nothing_changes(lab, ask, headers, status, code):
    assert report(lab, ask).status == 200
    before = lab.state()
    answer = report(lab, ask, headers, b"{}")
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert lab.state() == before


@both_doors
def test_what_the_guard_lets_pass(lab, ask):
    lab.config(auth={"allowed_hosts": ["lab.example"]})
    for headers in [{"Host": "127.0.0.1:5003"}, {"Host": "[::1]"}, {"Host": socket.gethostname()},
                    {"Host": "lab.example:80"}, {"Origin": "http://localhost:5001"}, {"Sec-Fetch-Site": "same-origin"},
                    {"Sec-Fetch-Site": "none"}, {"Forwarded": ""}, {"X-Forwarded-For": "", "X-Real-IP": "", "Via": ""}]:
        assert report(lab, ask, headers).status == 200, headers


@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::7", "", "unknown"])
def test_a_remote_peer_needs_a_token(lab, peer):
    before = lab.state()
    answer = report(lab, by_cgi, peer=peer)
    assert (answer.status, answer.json["code"]) == (403, "token_required")
    assert "home-lab-services token add" in answer.json["message"]
    assert lab.state() == before


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_tokens_of_a_remote_peer(lab):
    read, control, power = (lab.token(scope, scope) for scope in ("read", "control", "power"))
    before = lab.state()
    for wrong in ({"Authorization": "Bearer hls_" + "0" * 64}, {"Authorization": "Basic " + control}, bearer(""),
                  bearer(control + "0"), bearer(control[:-1])):
        answer = report(lab, by_cgi, wrong, peer="192.0.2.7")
        assert (answer.status, answer.json["code"]) == (401, "token_invalid"), answer
        assert answer.headers["www-authenticate"].startswith("Bearer")
    answer = report(lab, by_cgi, bearer(read), peer="192.0.2.7")
    assert (answer.status, answer.json["code"]) == (403, "scope_too_small")
    answer = by_cgi(lab, "shutdown-service", "POST", "/shutdown/schedule", bearer(control), peer="192.0.2.7")
    assert (answer.status, answer.json["code"]) == (403, "scope_too_small")
    assert lab.state() == before

    assert by_cgi(lab, "inference-service", "GET", "/models", bearer(read), peer="192.0.2.7").status == 200
    assert report(lab, by_cgi, bearer(control), peer="192.0.2.7").status == 200
    assert report(lab, by_cgi, bearer(power), peer="192.0.2.7").status == 200  # a scope includes the ones before it
    assert by_cgi(lab, "shutdown-service", "POST", "/shutdown/cancel", bearer(power), peer="192.0.2.7").status == 503
    # A token does not make a foreign page ours.
    assert report(lab, by_cgi, {**bearer(power), "Origin": "http://evil.example"}, peer="192.0.2.7").status == 403

    lab.tool("token", "revoke", "control")
    assert report(lab, by_cgi, bearer(control), peer="192.0.2.7").status == 401
    assert report(lab, by_cgi, bearer(power), peer="192.0.2.7").status == 200


@both_doors
def test_loopback_may_be_asked_for_a_token_too(lab, ask):
    lab.config(auth={"loopback": "token"})
    token = lab.token("me", "control")
    assert report(lab, ask).status == 403
    assert report(lab, ask, bearer("x")).status == 401
    assert report(lab, ask, bearer(token)).status == 200


def test_a_broken_token_file_lets_nobody_in(lab):
    token = lab.token("me", "power")
    with open(lab.folder / "tokens", "a") as file:
        file.write("nonsense\n")
    before = lab.state()
    answer = report(lab, by_cgi, bearer(token), peer="192.0.2.7")
    assert answer.status == 500 and "nonsense" not in answer.body.decode()
    assert lab.state() == before
    assert report(lab, by_cgi).status == 200  # loopback needs none


@both_doors
def test_a_broken_configuration_is_500_for_all(lab, ask):
    (lab.folder / "config.json").write_text('{"auth":{"loopback":"trust"},"oops":1}')
    answers = [ask(lab, service, "GET", "/") for service in SERVICES]
    assert {answer.status for answer in answers} == {500}
    assert {answer.json["code"] for answer in answers} == {"configuration_invalid"}


def test_the_token_command(lab):
    added = lab.tool("token", "add", "--scope", "read", "laptop")
    assert re.fullmatch(r"hls_[0-9a-f]{64}\n", added.stdout)
    assert "only time" in added.stderr
    assert added.stdout.strip() not in (lab.folder / "tokens").read_text()
    assert (lab.folder / "tokens").stat().st_mode & 0o777 == 0o640
    assert "there is a token" in lab.tool("token", "add", "laptop", "--scope", "power", status=65).stderr
    lab.token("phone", "power")
    listed = lab.tool("token", "list").stdout
    assert [line.split()[:2] for line in listed.splitlines()] == [["laptop", "read"], ["phone", "power"]]
    assert "hls_" not in listed
    lab.tool("token", "revoke", "laptop")
    assert "there is no token" in lab.tool("token", "revoke", "laptop", status=65).stderr
    assert lab.tool("token", "list").stdout.split()[0] == "phone"
    assert "scope" in lab.tool("token", "add", "x", "--scope", "admin", status=64).stderr
    assert "name" in lab.tool("token", "add", "a b", "--scope", "read", status=64).stderr
    for wrong in [("token",), ("token", "add"), ("nonsense",), ()]:
        assert "Usage" in lab.tool(*wrong, status=64).stderr
    assert "--scope is missing" in lab.tool("token", "add", "x", status=64).stderr
    assert "Usage" in lab.tool("--help").stdout


def test_the_port_keeps_a_connection(lab):
    received = exchange(lab, "inference-service",
                        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
                        b"POST /models/absent/start HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
                        b"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n"
                        b"garbage\r\n\r\n")
    assert re.findall(rb"HTTP/1\.1 (\d+) ", received) == [b"404", b"415", b"200", b"400"]


def test_the_port_ends_a_connection_of_who_is_not_let_in(lab):
    received = exchange(lab, "inference-service", b"GET /models HTTP/1.1\r\nHost: a.invalid\r\n\r\n"
                                                  b"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert re.findall(rb"HTTP/1\.1 (\d+) ", received) == [b"403"] and b"Connection: close\r\n" in received


def test_the_log_has_the_request_id_and_no_secret(lab):
    secret = lab.token("me", "power")
    env = dict(lab.env, GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD="GET", REQUEST_URI="/models", REMOTE_ADDR="192.0.2.7",
               HTTP_AUTHORIZATION=f"Bearer {secret}")
    done = subprocess.run([BUILD / "inference-service"], env=env, capture_output=True, timeout=TIMEOUT)
    request_id = re.search(rb"X-Request-Id: ([0-9a-f]{16})", done.stdout)[1]
    assert secret.encode() not in done.stdout + done.stderr
    if not Path("/run/systemd/journal/socket").exists():
        assert request_id in done.stderr and b"with token me" in done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_started_by_hand_it_says_how_it_is_started(lab, service):
    done = subprocess.run([BUILD / service], env=lab.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT)
    assert done.returncode == 64 and f"{service}.socket" in done.stderr
