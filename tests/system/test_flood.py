# SPDX-License-Identifier: MIT
"""A thousand connections in a second: some are refused, and nothing is closed or broken for those who come after."""
import contextlib
import errno
import resource
import select
import socket
import time

import pytest

from machines import PATIENCE, PORTS, SOCKETS, on_trixie_alone, wait_until

CONNECTIONS = 1000
REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def enough_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def flood(machine, port, seconds):
    """Opens the connections, each with its request as soon as it stands; returns how many were answered by the deadline."""
    with contextlib.ExitStack() as stack:
        poll, waiting, answered = select.epoll(), {}, 0
        stack.callback(poll.close)
        with machine.network.entered():
            sockets = [socket.socket() for _ in range(CONNECTIONS)]
        for connection in sockets:
            stack.callback(connection.close)
            connection.setblocking(False)
        began = time.monotonic()
        for connection in sockets:
            assert connection.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS)
            waiting[connection.fileno()] = connection
            poll.register(connection, select.EPOLLOUT)
        while waiting and time.monotonic() - began < seconds:
            for number, event in poll.poll(0.2):
                connection = waiting[number]
                with contextlib.suppress(OSError):
                    if event == select.EPOLLOUT:
                        connection.send(REQUEST)
                        poll.modify(number, select.EPOLLIN)
                        continue
                    answered += connection.recv(65536).startswith(b"HTTP/1.1 200 ")
                poll.unregister(number)
                del waiting[number]
        return answered


@on_trixie_alone
def test_a_thousand_connections(machine, figure):
    for port in PORTS:
        began = time.monotonic()
        answered = flood(machine, port, seconds=2)

        def answers():
            with contextlib.suppress(OSError):
                return machine.http("GET", port, "/health", timeout=10).status == 200
        wait_until(answers, PATIENCE, "the next request is answered")
        figure(f"{CONNECTIONS} connections at once to port {port}: {answered} answered in 2 s, the next one after "
               f"{time.monotonic() - began:.1f} s")
        assert machine.is_active(*SOCKETS)
        assert machine.failed_units() == ""
    wait_until(lambda: not machine.pids_of(), 40, "the handlers have ended")
    assert machine.failed_units() == ""
    assert "Too many incoming connections" not in machine.sh("journalctl --boot")
