# SPDX-License-Identifier: MIT
"""The bench's own tools: what they count is so. tests/bench/bench needs a machine, and is run by hand."""
import http.server
import json
import pathlib
import subprocess
import sys
import threading

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench"
sys.path.append(str(BENCH))

import blocks


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(body)
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for byte in body:
                self.wfile.write(b"1\r\n%c\r\n" % byte)
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        self.close_connection = self.path == "/closes"

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    program = tmp_path_factory.mktemp("bench") / "load"
    subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, BENCH / "load.c"], check=True)
    return program


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path, keep", [("/", True), ("/", False), ("/chunked", True), ("/closes", True)])
def test_load_asks_so_often_and_counts_each_answer(load, server, tmp_path, path, keep):
    body = tmp_path / "body"
    body.write_text("0123456789\n")
    done = subprocess.run([load, "-c", "3", "-n", "20", "-b", body, *(["-k"] if keep else []), str(server.server_port), "POST",
                           path], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert (result["requests"], result["failed"], result["status"]) == (20, 0, 200)
    assert 0 < result["first_us"] <= result["p50_us"] <= result["p99_us"] <= result["max_us"] <= result["seconds"] * 1e6 + 1
    assert len(server.seen) >= 20 and set(server.seen) == {b"0123456789\n"}
    if path != "/chunked":
        assert result["bytes"] == 11


def test_a_row_is_compared_within_its_round():
    class Cpu:
        used = 0

        def read(self):
            self.used += 500
            return {"all": self.used}

    def row(*times):
        blocks_left = iter(times)
        return blocks.Row("a row", lambda: {"requests": 10, "seconds": 2, "p50_us": next(blocks_left)})
    base, other = blocks.measure([row(10, 100, 20), row(20, 300, 20)], Cpu(), rounds=3)
    assert other.ratio(base) == 2 and other.spread("p50_us") == 15
    assert other.median("rate") == 5 and other.median("cpu all") == 50


def test_growth_is_an_exponent():
    assert blocks.exponent((1, 10, 100), (5, 5, 5)) == pytest.approx(0)
    assert blocks.exponent((1, 10, 100), (3, 30, 300)) == pytest.approx(1)


def test_a_target_says_whether_it_is_met():
    targets = blocks.Targets()
    targets.most("slow", 3, 2, " ms", floor=2.5)
    targets.least("fast", 3, 2)
    assert targets.table().splitlines()[2:] == ["| slow | 3 ms | at most 2 ms | MISSED | 2.5 ms |", "| fast | 3 | at least 2 | met |  |"]


def test_the_bench_is_whole():
    """Each of its parts can be read, and each section that it names is there."""
    sys.path.append(str(BENCH.parent / "system"))
    import answers
    import models
    import peers
    source = (BENCH / "bench").read_text()
    compile(source, "bench", "exec")
    assert callable(answers.ports) and callable(models.hold) and peers.LLAMA_SWAP_VERSION.startswith("v")
