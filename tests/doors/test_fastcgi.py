# SPDX-License-Identifier: MIT
"""The FastCGI door: a listening socket as systemd hands it over, real requests, the end of a worker."""
import concurrent.futures
import signal
import socket
import subprocess

import fastcgi
import pytest

from programs import BUILD, Listener, this_process


def variables(method, path, **more):
    return {"REQUEST_METHOD": method, "REQUEST_URI": path, "HTTP_HOST": "localhost", **this_process.variables, **more}


class Worker(Listener):
    def __init__(self, folder):
        (folder / "models").mkdir()
        (folder / "activity").mkdir()
        (folder / "models" / "m").write_text("PORT=9\n")
        super().__init__("model-monitor-service", folder / "worker.sock", backlog=256, env={
            "CONFIGURATION_DIRECTORY": str(folder), "STATE_DIRECTORY": str(folder), "MODELS_CONFIG_DIR": str(folder / "models")})

    def request(self, method, path, body=b"", **more):
        return fastcgi.request(self.path, variables(method, path, **more), body)


@pytest.fixture
def worker(tmp_path):
    with Worker(tmp_path) as one:
        yield one


def test_the_same_bytes_as_through_cgi(worker, tmp_path):
    environment = {**variables("GET", "/"), "GATEWAY_INTERFACE": "CGI/1.1", "CONFIGURATION_DIRECTORY": str(tmp_path)}
    for path, status in (("/", 200), ("/nothing", 404), ("/models/%zz/report", 400)):
        by_cgi = subprocess.run([BUILD / "model-monitor-service"], env={**environment, "REQUEST_URI": path},
                                stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
        by_fastcgi = worker.request("GET", path)
        assert by_fastcgi[0] == status
        assert by_fastcgi[2] == by_cgi.partition(b"\r\n\r\n")[2]


def test_a_body_arrives_whole_and_a_short_one_is_refused(worker):
    json = {"CONTENT_TYPE": "application/json"}
    assert worker.request("POST", "/models/m/report", b"{}", CONTENT_LENGTH="2", **json)[0] == 200
    status, _, body = worker.request("POST", "/models/m/report", b"{}", CONTENT_LENGTH="3", **json)
    assert (status, b"incomplete_request" in body) == (400, True)
    for size in (65537, 5_000_000):  # the answer arrives though nothing of it was wanted
        status, _, body = worker.request("POST", "/models/m/report", b"x" * size, CONTENT_LENGTH=str(size), **json)
        assert (status, b"body_too_large" in body) == (413, True)


def test_a_silent_connection_holds_up_nobody(worker):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(worker.path)
        assert worker.request("GET", "/")[0] == 200


def test_many_requests_at_once(worker):
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: worker.request("GET", "/")[0], range(1000)))
    assert answers == [200] * 1000


def test_garbage_is_dropped_and_the_next_request_answered(worker):
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64, fastcgi.record(fastcgi.PARAMS, b"\xff" * 32)):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(worker.path)
            client.sendall(garbage)
    assert worker.request("GET", "/")[0] == 200


def test_sigterm_ends_it_and_the_socket_stays(worker):
    assert worker.request("GET", "/")[0] == 200
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(10) == 0
    with socket.socket(socket.AF_UNIX) as waiting:  # systemd's socket still takes connections: the next worker's
        waiting.connect(worker.path)
