# SPDX-License-Identifier: MIT
"""What an API server and inference services can do to the updater. The API server is a false one here, with TLS: a real
one cannot be made to hang, to end in the middle of an answer, or to be too busy. The services' faults meet a real one."""
import contextlib
import http.server
import json
import signal
import ssl
import struct
import socket
import subprocess
import threading
import time

import pytest

from clusters import (CONFLICT, FORBIDDEN, NO_CONFIGMAP, OTHER, UNAVAILABLE, WRONG_CONFIGURATION, Updater, names, send, wait_until,
                      write_kubeconfig)

EMPTY = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "nginx-config-map", "resourceVersion": "1"}}


def status(code, reason, message, **details):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "details": details, "code": code}


def cut(handler):
    """The connection ends, with a reset, in the middle of an answer."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"kind\":")
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


class FalseApiServer:
    """Answers GET with an empty ConfigMap, and PATCH with it too, unless `get` and `patch` say otherwise."""

    def __init__(self, folder):
        outer = self
        self.get = self.patch = lambda handler: send(handler, 200, EMPTY)
        self.gets = self.patches = 0
        self.ended = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.gets += 1
                self.answer(outer.get)

            def do_PATCH(self):
                outer.patches += 1
                outer.body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.path, outer.type = self.path, self.headers["Content-Type"]
                self.answer(outer.patch)

            def answer(self, function):
                outer.authorization = self.headers["Authorization"]
                with contextlib.suppress(OSError):
                    function(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        self.ca = folder / "api.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=false",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "api.key", "-out", self.ca],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, folder / "api.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def hang(self, handler):
        self.ended.wait(60)

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api(tmp_path):
    with contextlib.closing(FalseApiServer(tmp_path)) as one:
        yield one


@pytest.fixture
def runs(api, hosts, tmp_path):
    hosts[0].models = {"a": 8198}
    return Updater(write_kubeconfig(tmp_path / "false.kubeconfig", api.url, api.ca, {"token": "hls"}), hosts.urls)


def test_what_is_sent_is_a_server_side_apply(api, runs):
    runs.ok()
    assert api.path == "/api/v1/namespaces/inference-manager/configmaps/nginx-config-map?fieldManager=nginx-config-updater"
    assert api.type == "application/apply-patch+yaml" and api.authorization == "Bearer hls"
    body = json.loads(api.body)
    assert (body["apiVersion"], body["kind"]) == ("v1", "ConfigMap")
    assert set(body["data"]) == {"upstreams.conf", "locations.conf", "models.json"}
    runs.ok("--force")
    assert api.path.endswith("&force=true")


def test_tls_is_always_verified(api, runs, tmp_path):
    user = {"token": "hls"}
    by_nobody = write_kubeconfig(tmp_path / "1", api.url, None, user)
    by_another_name = write_kubeconfig(tmp_path / "2", api.url.replace("127.0.0.1", "localhost"), api.ca, user)
    for kubeconfig in (by_nobody, by_another_name):
        runs.kubeconfig = kubeconfig
        done = runs.run()
        assert done.returncode == OTHER and "does not prove who it is" in done.stderr, done.stderr
    runs.kubeconfig = write_kubeconfig(tmp_path / "3", api.url, None, user, **{"insecure-skip-tls-verify": "true"})
    done = runs.run()
    assert done.returncode == WRONG_CONFIGURATION and "insecure-skip-tls-verify" in done.stderr
    assert api.gets == 0


@pytest.mark.parametrize("code,body,expected,says", [
    (400, status(400, "BadRequest", "no"), WRONG_CONFIGURATION, "(400): no"),
    (401, status(401, "Unauthorized", "Unauthorized"), FORBIDDEN, "put a new token"),
    (403, status(403, "Forbidden", "user x cannot patch"), FORBIDDEN, "(403): user x cannot patch"),
    (404, status(404, "NotFound", "gone"), NO_CONFIGMAP, "kubectl apply -k nginx/kubernetes"),
    (409, status(409, "Conflict", 'conflict with "kubectl-edit"',
                 causes=[{"reason": "FieldManagerConflict", "message": "x", "field": ".data"}]), CONFLICT, "kubectl-edit"),
    (409, status(409, "Conflict", "the object has been modified"), UNAVAILABLE, "try again"),
    (422, status(422, "Invalid", "Too long: must have at most 1048576 bytes"), WRONG_CONFIGURATION, "Too long"),
    (429, status(429, "TooManyRequests", "later"), UNAVAILABLE, "(429): later"),
    (500, b"<html>\x1b[31m", UNAVAILABLE, "(500)"),
    (503, b"", UNAVAILABLE, "(503)"),
    (302, b"", UNAVAILABLE, "302 is not understood"),
    (200, b"<html>", UNAVAILABLE, "not with a ConfigMap"),
    (200, b'{"kind":"Status"}', UNAVAILABLE, "not with a ConfigMap"),
    pytest.param(200, b"x" * 10_000_000, UNAVAILABLE, "more than 4194305 bytes", id="10 MB"),
])
@pytest.mark.parametrize("method", ("get", "patch"))
def test_answers_of_the_api_server(api, runs, method, code, body, expected, says):
    setattr(api, method, lambda handler: send(handler, code, body, Location="https://127.0.0.1:9/"))
    done = runs.run()
    assert done.returncode == expected and says in done.stderr, done.stderr
    assert "\x1b" not in done.stderr
    assert api.patches == (method == "patch")


@pytest.mark.parametrize("method", ("get", "patch"))
def test_an_api_server_that_dies_in_the_middle_of_an_answer(api, runs, method):
    setattr(api, method, cut)
    done = runs.run()
    assert done.returncode == UNAVAILABLE and "no whole answer" in done.stderr, done.stderr


def test_an_api_server_that_hangs(api, runs):
    api.patch = api.hang
    began = time.monotonic()
    done = runs.run()
    assert done.returncode == UNAVAILABLE and "did not answer in time" in done.stderr
    assert 19 < time.monotonic() - began < 25


def test_an_api_server_that_is_not_there(api, runs):
    api.server.shutdown()
    api.server.server_close()
    done = runs.run()
    assert done.returncode == UNAVAILABLE and "cannot be reached" in done.stderr


def test_sigterm_while_the_api_server_hangs(api, runs):
    api.patch = api.hang
    process = runs.start("--interval", "1s")
    try:
        wait_until(lambda: api.patches, 10, "it applies")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=1) == 0
    finally:
        process.kill()
        process.communicate()


def test_retry_after_is_waited_for(api, runs):
    """Its own back-off would come back after two seconds."""
    times = []

    def busy(handler):
        times.append(time.monotonic())
        send(handler, 429, status(429, "TooManyRequests", "later"), Retry_After="4")

    api.get = busy
    process = runs.start("--interval", "1s")
    try:
        wait_until(lambda: len(times) > 1, 10, "it tries again")
    finally:
        process.kill()
        process.communicate()
    assert 4 <= times[1] - times[0] < 5.5


def test_failures_are_tried_again_ever_more_slowly(api, runs):
    times = []

    def failing(handler):
        times.append(time.monotonic())
        send(handler, 500, b"")

    api.get = failing
    process = runs.start("--interval", "1s")
    try:
        wait_until(lambda: len(times) > 2, 15, "it tries twice again")
    finally:
        process.kill()
        _, said = process.communicate()
    assert 2 <= times[1] - times[0] < 3 and 4 <= times[2] - times[1] < 5.5
    assert said.count("(500)") == 1  # what is the same again is not repeated


# ---- inference services, and a real API server ----

def slow(handler):
    """A byte a second: never silent, never done."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
    for _ in range(30):
        handler.wfile.write(b" ")
        time.sleep(1)


def answers(body, code=200):
    return lambda handler: send(handler, code, body)


def models(*entries):
    return answers({"status": "success", "models": list(entries)})


@pytest.mark.parametrize("answer,says", [
    (answers(b"nonsense"), "not a list of models"),
    (answers(b""), "not a list of models"),
    (answers({"models": {}}), "not a list of models"),
    (models({"model_name": "b;}", "port": 8199}), "not a list of models"),
    (models({"model_name": "b/../c", "port": 8199}), "not a list of models"),
    (models({"model_name": "b", "port": "8199"}), "not a list of models"),
    (models({"model_name": "b", "port": 65536}), "not a list of models"),
    (models({"model_name": "b"}), "not a list of models"),
    (models({"model_name": "b", "port": 1}, {"model_name": "b", "port": 2}), "not a list of models"),
    (answers(b'{"models":[' + b'"x",' * 2_500_000 + b'"x"]}'), "more than 4194304 bytes"),
    (answers({"message": "not now"}, 500), "answered 500 instead of its models: not now"),
    (answers({"message": "not you"}, 403), "token add nginx-updater --scope read"),
    (cut, "no whole answer"),
    (slow, "did not answer in time"),
])
def test_a_service_that_talks_nonsense_changes_nothing(cluster, hosts, updater, answer, says):
    hosts[0].models, hosts[1].models = {"a": 8198}, {"b": 8199}
    updater.ok()
    version = cluster.version()
    hosts[1].answer = answer
    said = updater.ok()
    assert hosts[1].url in said and says in said and "its 1 models stay as they are" in said, said
    assert cluster.version() == version
    hosts[0].models = {"c": 8200}  # the others are followed all the same
    hosts[1].answer = answers(b"nonsense") if answer is slow else answer
    updater.ok()
    assert names(cluster) == [["c"], ["b"]]


def test_models_without_a_port_are_left_out(cluster, hosts, updater):
    hosts[0].answer = models({"model_name": "a", "port": None}, {"model_name": "b", "port": 8199, "new_key": 1})
    updater.ok()
    assert names(cluster)[0] == ["b"]


def test_the_token_for_the_services(cluster, hosts, updater, tmp_path):
    hosts[0].models, hosts[0].token = {"a": 8198}, "hls_right"
    file = tmp_path / "token"
    updater.environment["INFERENCE_SERVICE_TOKEN_FILE"] = str(file)
    said = updater.ok()
    assert f"{hosts[0].url} wants a token (403)" in said and "--scope read" in said
    file.write_text("hls_wrong\n")
    said = updater.ok()
    assert f"{hosts[0].url} does not know our token (401)" in said and "Secret home-lab-services-token" in said
    assert "hls_wrong" not in said
    file.write_text("hls_right\n")
    assert "changed" in updater.ok()
    assert names(cluster)[0] == ["a"]
    file.write_text("hls_right\r\nX-Header: y")
    done = updater.run()
    assert done.returncode == WRONG_CONFIGURATION and "a token is one word" in done.stderr
