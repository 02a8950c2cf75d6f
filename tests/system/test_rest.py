# SPDX-License-Identifier: MIT
"""No process of ours waits for anybody; whatever a client does, the next one is served."""
import contextlib
import json
import select
import socket
import struct
import time

import pytest

from machines import INFERENCE, MONITOR, PATIENCE, PORTS, SHUTDOWN, SOCKETS, UP, on_trixie_alone, wait_until


def nobody_left(machine, seconds=40):
    wait_until(lambda: not machine.pids_of(), seconds, "the last handler has ended")


def reply(connection):
    """All that comes until the other side closes; None where it resets."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionError:
        return data or None
    return data


def served(machine, port):
    answer = machine.http("GET", port, "/health")
    assert answer.status == 200, answer
    assert machine.failed_units() == ""
    assert machine.is_active(*SOCKETS)


def test_no_process_without_requests_and_nothing_forgotten(machine):
    machine.model("steady", command="sleep infinity")
    assert machine.http("POST", INFERENCE, "/models/steady/start").status == 200
    assert machine.http("POST", MONITOR, "/models/tiny-llama/report").status == 200
    assert machine.http("POST", SHUTDOWN, "/shutdown/schedule", {"minutes": 90, "action": "reboot"}).status == 200
    kept_alive = [machine.open(port) for port in PORTS]  # idle clients do not keep a process
    for connection in kept_alive:
        connection.request("GET", "/health")
        assert connection.getresponse().read()
    activity = machine.http("GET", MONITOR, "/models/activity")["activity_status"]["tiny-llama"]["last_activity"]
    pid = machine.http("GET", INFERENCE, "/models/steady")["pid"]
    scheduled = machine.http("GET", SHUTDOWN, "/shutdown/next")["shutdown"]["scheduled_time"]
    assert machine.pids_of()

    nobody_left(machine, 30)
    for connection in kept_alive:
        connection.close()
    assert machine.is_active(*UP)
    for port in PORTS:
        began = time.monotonic()
        assert machine.http("GET", port, "/health").status == 200
        assert time.monotonic() - began < 2
    assert machine.http("GET", INFERENCE, "/models/running")["running_models"] == ["steady"]
    assert machine.http("GET", INFERENCE, "/models/steady")["pid"] == pid
    assert machine.http("GET", MONITOR, "/models/activity")["activity_status"]["tiny-llama"]["last_activity"] == activity
    after = machine.http("GET", SHUTDOWN, "/shutdown/next")["shutdown"]
    assert (after["scheduled_time"], after["action"], after["source"]) == (scheduled, "reboot", "api")
    wait_until(lambda: not machine.sh("find /run/systemd/units -name '*-service@*'"), PATIENCE, "systemd has forgotten each connection")


def test_who_connects_and_says_nothing_gets_no_process(machine):
    nobody_left(machine)
    with contextlib.ExitStack() as stack:
        for port in PORTS:
            for _ in range(10):
                stack.enter_context(contextlib.closing(machine.connect(port)))
        for port in PORTS:
            assert machine.http("GET", port, "/health").status == 200
        nobody_left(machine, 5)


@pytest.mark.parametrize("port", PORTS)
def test_killed_in_the_middle_of_a_request(machine, port):
    nobody_left(machine)
    with contextlib.closing(machine.connect(port)) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")

        def killed():  # all there are: the first may be another connection's
            machine.run(["pkill", "-KILL", "-u", "home-lab-services,home-lab-power"])
            return select.select([connection], [], [], 0.1)[0]
        wait_until(killed, 5, "its handler is killed")
        assert not reply(connection)
    served(machine, port)


def test_killed_while_it_waits_for_a_model(machine):
    machine.model("dreamer", 8302, "--never-ready")
    nobody_left(machine)
    connection = machine.open(INFERENCE)
    connection.request("POST", "/models/dreamer/start?wait=ready")
    wait_until(lambda: machine.is_active("model@dreamer.service"), PATIENCE, "the model runs")
    machine.sh(["kill", "-9", *map(str, machine.pids_of())])
    with pytest.raises(OSError):
        connection.getresponse()
    served(machine, INFERENCE)
    assert machine.http("GET", INFERENCE, "/models/running")["running_models"] == ["dreamer"]


WHOLE = (b"POST /shutdown/schedule HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
         b"Content-Length: 15\r\n\r\n{\"minutes\": 90}")


@pytest.mark.parametrize("length", [1, 4, 20, 34, 60, WHOLE.index(b"\r\n\r\n"), WHOLE.index(b"{"), len(WHOLE) - 1])
def test_a_body_that_is_cut_short_changes_nothing(machine, length):
    with contextlib.closing(machine.connect(SHUTDOWN)) as connection:  # says that there is no more
        connection.sendall(WHOLE[:length])
        connection.shutdown(socket.SHUT_WR)
        answer = reply(connection)
        assert answer.startswith(b"HTTP/1.1 400 ") and b'"code":"incomplete_request"' in answer, answer
    with contextlib.closing(machine.connect(SHUTDOWN)) as connection:  # is gone
        connection.sendall(WHOLE[:length])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    served(machine, SHUTDOWN)
    assert machine.scheduled() is None


@on_trixie_alone
def test_a_request_that_is_too_slow_is_given_up(machine):
    with contextlib.closing(machine.connect(SHUTDOWN, timeout=20)) as connection:
        began = time.monotonic()
        connection.sendall(WHOLE[:-1])
        assert reply(connection).startswith(b"HTTP/1.1 408 ")
        assert 8 < time.monotonic() - began < 14
    served(machine, SHUTDOWN)


@pytest.mark.parametrize("garbage", [
    bytes(range(256)) * 8, b"\0", b"\r\n" * 1000, b"GET", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200,
    b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"A" * 100000, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
    b"POST /shutdown/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /shutdown/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /shutdown/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /shutdown/cancel HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
], ids=lambda garbage: repr(garbage[:30]))
def test_garbage_is_refused_and_changes_nothing(machine, garbage):
    assert machine.http("POST", SHUTDOWN, "/shutdown/schedule", {"minutes": 90}).status == 200
    before = machine.scheduled()
    for port in PORTS:
        with contextlib.closing(machine.connect(port)) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
            answer = reply(connection)
            if answer:
                assert answer.startswith(b"HTTP/1.1 4") or garbage.startswith(b"GET / HTTP/1.1\r\n\r\n"), answer
                assert b'{"status":' in answer
        served(machine, port)
    assert machine.scheduled() == before


@pytest.mark.parametrize("port, path", [(SHUTDOWN, "/shutdown/schedule"), (INFERENCE, "/models/tiny-llama/stop"),
                                        (MONITOR, "/models/tiny-llama/report")])
def test_a_body_that_is_one_byte_too_long(machine, port, path):
    largest = b"{}" + b" " * (65536 - 2)
    assert machine.http("POST", port, path, largest).status == 200
    answer = machine.http("POST", port, path, largest + b" ")
    assert answer.status == 413 and answer["status"] == "error", answer
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (largest, b" ")) + b"0\r\n\r\n"
    with contextlib.closing(machine.connect(port)) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n".encode() + chunked)
        assert reply(connection).startswith(b"HTTP/1.1 413 ")
    served(machine, port)


def test_many_requests_on_one_connection(machine):
    with contextlib.closing(machine.connect(SHUTDOWN)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 49 +
                           b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert reply(connection).count(b"HTTP/1.1 200 OK\r\n") == 50


def test_nothing_of_a_request_is_lost_in_the_journal(machine):
    with contextlib.closing(machine.open(SHUTDOWN)) as connection:
        connection.request("POST", "/shutdown/cancel")
        response = connection.getresponse()
        assert response.status == 404
        request_id = response.headers["X-Request-Id"]
    line = wait_until(lambda: machine.run(f"journalctl --output=json -t shutdown-service HL_REQUEST_ID={request_id}").stdout,
                      PATIENCE, "the journal has it")
    fields = json.loads(line)
    assert (fields["HL_STATUS"], fields["HL_PATH"], fields["HL_PEER"]) == ("404", "/shutdown/cancel", "127.0.0.1")
