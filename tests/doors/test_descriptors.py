# SPDX-License-Identifier: MIT
"""Programs without a file descriptor left: they say so, call nothing invalid, and rest without using the CPU."""
import concurrent.futures
import contextlib
import json
import os
import re
import resource
import time

import fastcgi
import pytest

from programs import TIMEOUT, Listener
from router import Router

VARIABLES = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}


@contextlib.contextmanager
def monitor(folder):
    (folder / "models").mkdir()
    (folder / "activity").mkdir()
    (folder / "models" / "tiny").write_text("PORT=9\n")
    with Listener("model-monitor-service", folder / "worker.sock", {
            "CONFIGURATION_DIRECTORY": str(folder), "STATE_DIRECTORY": str(folder),
            "MODELS_CONFIG_DIR": str(folder / "models")}) as one:
        yield one, lambda **more: fastcgi.request(one.path, {**VARIABLES, "REQUEST_URI": "/models/tiny/report",
                                                             "REQUEST_METHOD": "POST", **more})


@contextlib.contextmanager
def router(folder):
    (folder / "activity").mkdir()
    with Router(folder) as one:
        yield one, lambda: one.post(b'{"model":"tiny"}')


PROGRAMS = pytest.mark.parametrize("program", [monitor, router])


def connections(process):
    """Those that it has taken: proc_pid_net(5), "unix"."""
    open_files = set()
    for link in os.scandir(f"/proc/{process.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed by now
            open_files.add(os.readlink(link.path))
    with open("/proc/net/unix") as file:
        sockets = [line.split() for line in file][1:]
    return [each for each in sockets if each[4:6] == ["0001", "03"] and f"socket:[{each[6]}]" in open_files]


@contextlib.contextmanager
def descriptors_left(process, count):
    """It may open so many files at once, beside those that it has open at rest."""
    deadline = time.monotonic() + TIMEOUT
    while connections(process):
        assert time.monotonic() < deadline, "the connection of the request before stays open"
        time.sleep(0.01)
    taken = {int(name) for name in os.listdir(f"/proc/{process.pid}/fd")}
    free = [number for number in range(len(taken) + count + 1) if number not in taken]
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (free[count], hard))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))


def sleeps(process):
    """How often it has gone to sleep: a loop that spins never does."""
    with open(f"/proc/{process.pid}/status") as file:
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.M)[1])


@PROGRAMS
def test_who_cannot_be_taken_yet_waits_and_nothing_spins(program, tmp_path):
    with program(tmp_path) as (one, ask), concurrent.futures.ThreadPoolExecutor() as pool:
        assert ask()[0] == 200
        with descriptors_left(one.process, 0):
            before, deadline = sleeps(one.process), time.monotonic() + TIMEOUT
            asked = pool.submit(ask)
            while sleeps(one.process) < before + 5:
                assert time.monotonic() < deadline, "it spins"
                time.sleep(0.01)
            assert not asked.done()
        assert asked.result()[0] == 200
        assert one.process.poll() is None


@PROGRAMS
@pytest.mark.parametrize("left, configured, code", [(1, True, "configuration_unreadable"), (1, False, "models_unreadable"),
                                                    (2, True, "models_unreadable")])
def test_what_cannot_be_read_for_the_moment_is_not_called_invalid(program, left, configured, code, tmp_path):
    with program(tmp_path) as (one, ask):
        assert ask()[0] == 200
        if configured:
            (tmp_path / "config.json").write_text("{}")  # nobody has read it yet
        with descriptors_left(one.process, left):
            status, _, body = ask()
        answer = json.loads(body)
        answer = answer.get("error", answer) if isinstance(answer.get("error"), dict) else answer
        assert (status, answer["code"]) == (503, code), body
        assert b"Too many open files" in body
        assert ask()[0] == 200
