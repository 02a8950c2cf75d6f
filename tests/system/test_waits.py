# SPDX-License-Identifier: MIT
"""Who waits for a model, for how long, and for whose answer."""
import socket

from machines import INFERENCE, MODELS, PATIENCE, wait_until

START = "POST /models/{}/start?wait=ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
PORT = 8211


def handlers(machine):
    units = machine.sh("systemctl list-units --plain --no-legend 'inference-service@*'")
    return len(units.splitlines())


def test_nothing_waits_for_clients_that_are_gone(machine):
    machine.model("slow", PORT, command="sleep 1000", extra='START_TIMEOUT="1h"\n')
    clients = [machine.connect(INFERENCE) for _ in range(20)]
    for client in clients:
        client.sendall(START.format("slow").encode())
    wait_until(lambda: handlers(machine) == 20, PATIENCE, "twenty handlers wait")
    for client in clients:
        client.close()
    wait_until(lambda: handlers(machine) == 0, 10, "no handler waits")
    wait_until(lambda: machine.is_active("model@slow.service"), PATIENCE, "what they asked for goes on")
    assert machine.http("POST", INFERENCE, "/models/slow/stop").status == 200
    assert machine.failed_units() == ""


def test_a_half_closed_client_gets_its_answer(machine):
    machine.model("quick", PORT, options="--load-seconds 1")
    with machine.connect(INFERENCE, timeout=30) as client:
        client.sendall(START.format("quick").encode())
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n"), answer
    assert b"is ready" in answer


def test_another_program_on_the_port_is_not_the_model(machine):
    machine.model("late", PORT)
    machine.sh(f"cd /tmp && setsid runuser -u nobody -- python3 -m http.server {PORT} --bind 127.0.0.1 "
               ">/dev/null 2>&1 & echo $! >/run/other.pid")
    try:
        wait_until(lambda: machine.sh(f"ss -Hltn 'sport = :{PORT}'"), PATIENCE, "the other program listens")
        answer = machine.http("POST", INFERENCE, "/models/late/start?wait=ready")
        assert (answer.status, answer["code"]) == (409, "port_in_use"), answer
        assert not machine.is_active("model@late.service")
    finally:
        machine.sh("pkill -u nobody -f http.server")


def test_our_own_ports_are_no_models(machine):
    machine.model("bad", INFERENCE, command="sleep 100")
    answer = machine.http("POST", INFERENCE, "/models/bad/start?wait=ready")
    assert answer.status == 409 and answer["code"] == "port_in_use", answer


def test_a_named_pipe_is_no_model(machine):
    machine.sh(f"mkfifo {MODELS}/pipe")
    answer = machine.http("POST", INFERENCE, "/models/pipe/start")
    assert (answer.status, answer["code"]) == (404, "model_not_found")
    assert machine.http("GET", INFERENCE, "/models/running").status == 200  # and systemd waits for nothing
