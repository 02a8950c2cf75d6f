# SPDX-License-Identifier: MIT
"""The FastCGI sockets that NGINX reaches the services by, and the workers behind them."""
import concurrent.futures
import contextlib
import json
import re
import socket
import threading
import time

import fastcgi
import pytest

from machines import INFERENCE, PATIENCE, PORTS, SERVICES, SHUTDOWN, SOCKETS, on_trixie_alone, wait_until
from web import NGINX

PROGRAMS = "/usr/local/libexec/home-lab-services"
FOLDER = "/run/home-lab-services"
WAITERS = 24
RESTING = 8  # threads that wait for the next request

REQUESTS = [
    ("shutdown-service", "GET", "/", b""), ("shutdown-service", "GET", "/shutdown/next", b""),
    ("shutdown-service", "GET", "/shutdown/status?x", b""), ("shutdown-service", "POST", "/shutdown/cancel", b""),
    ("shutdown-service", "POST", "/shutdown/schedule", b'{"minutes": "soon"}'), ("shutdown-service", "PUT", "/shutdown/next", b""),
    ("shutdown-service", "POST", "/shutdown/schedule", b'{"minutes": 1, "minutes": 2}'),
    ("inference-service", "GET", "/models", b""), ("inference-service", "GET", "/models/qwen2.5-0.5b%3Aq4", b""),
    ("inference-service", "GET", "/models/unheard-of", b""), ("inference-service", "GET", "/models/%zz", b""),
    ("inference-service", "GET", "/models/running", b""), ("inference-service", "GET", "/health", b""),
    ("model-monitor-service", "POST", "/models/tiny-llama/report", b"{}"), ("model-monitor-service", "GET", "/nothing", b""),
    ("model-monitor-service", "GET", "/health", b""),
]


@pytest.fixture(scope="module")
def wrapped(machine):
    """fcgiwrap, a server of plain CGI programs."""
    machine.sh(f"systemd-run --quiet --unit=wrap --uid=home-lab-services --service-type=exec --property=RuntimeDirectory=wrap "
               f"fcgiwrap -s unix:/run/wrap/wrap.sock && ln -s ../wrap/wrap.sock {FOLDER}/wrap.sock")
    wait_until(lambda: machine.path("/run/wrap/wrap.sock").exists(), PATIENCE, "fcgiwrap listens")
    yield "wrap"
    machine.sh(f"systemctl stop wrap; rm {FOLDER}/wrap.sock")


@pytest.mark.parametrize("service, method, path, body", REQUESTS, ids=lambda value: str(value))
def test_the_same_answer_through_each_door(machine, wrapped, service, method, path, body):
    by_port = machine.http(method, PORTS[SERVICES.index(service)], path, body or None)
    by_fastcgi = machine.fastcgi(service, method, path, body)
    by_cgi = machine.fastcgi(wrapped, method, path, body, SCRIPT_FILENAME=f"{PROGRAMS}/{service}", SERVER_PROTOCOL="HTTP/1.1")
    bodies = [re.sub(rb'"last_activity":"[^"]*"', b"", text) for text in (by_port.body, by_fastcgi[2], by_cgi[2])]  # now
    assert bodies[0] == bodies[1] == bodies[2] and by_port.status == by_fastcgi[0] == by_cgi[0]
    assert by_fastcgi[1]["Content-Type"] == by_cgi[1]["Content-Type"] == by_port.headers["Content-Type"]


def test_what_the_worker_may_do(machine):
    """In its sandbox: start a model and wait for it, schedule, report."""
    status, _, body = machine.fastcgi("inference-service", "POST", "/models/tiny-llama/start?wait=ready")
    assert status == 200, body
    assert machine.http("GET", INFERENCE, "/models/running")["running_models"] == ["tiny-llama"]
    assert machine.fastcgi("inference-service", "POST", "/models/tiny-llama/stop")[0] == 200
    assert machine.fastcgi("shutdown-service", "POST", "/shutdown/schedule", b'{"minutes": 90, "action": "reboot"}')[0] == 200
    assert machine.scheduled()[0] == "reboot"
    assert machine.fastcgi("shutdown-service", "POST", "/shutdown/cancel")[0] == 200
    assert machine.fastcgi("model-monitor-service", "POST", "/models/tiny-llama/report")[0] == 200
    status, _, body = machine.fastcgi("model-monitor-service", "GET", "/models/active")
    assert json.loads(body)["active_models"] == ["tiny-llama"]


def test_only_nginx_may_connect(machine):
    sockets = [*SERVICES, "model-router", "model-activity"]
    for name in sockets:
        assert machine.sh(f"stat --format='%U %G %a %F' {FOLDER}/{name}.sock").strip() == "root www-data 660 socket"
    connect = ("import socket, sys\nfor name in sys.argv[1:]:\n"
               "    kind = socket.SOCK_DGRAM if 'activity' in name else socket.SOCK_STREAM\n"
               f"    socket.socket(socket.AF_UNIX, kind).connect('{FOLDER}/' + name + '.sock')\n")
    machine.sh(["python3", "-c", connect, *sockets], user="www-data")
    for user in "daemon", "home-lab-services", "home-lab-models", "home-lab-nginx":
        for name in sockets:
            done = machine.run(["python3", "-c", connect, name], user=user)
            assert "PermissionError" in done.stderr, (user, name, done)


def end_worker(machine, service):
    """So that the next one is started by what its unit says now."""
    machine.run(f"systemctl kill {service}.service")  # it may have ended by itself
    wait_until(lambda: not machine.is_active(f"{service}.service"), PATIENCE, "the worker has ended")


def test_a_worker_that_nobody_asks_ends_by_itself(machine):
    with machine.drop_in("shutdown-service.service", "[Service]\nEnvironment=HL_IDLE_SECONDS=1\n"):
        end_worker(machine, "shutdown-service")
        assert machine.fastcgi("shutdown-service", "GET", "/")[0] == 200
        assert machine.is_active("shutdown-service.service")
        wait_until(lambda: not machine.is_active("shutdown-service.service"), PATIENCE, "it has ended")
        shown = machine.properties("shutdown-service.service", "Result", "ActiveState", "NRestarts")
        assert shown == {"Result": "success", "ActiveState": "inactive", "NRestarts": "0"}
        assert machine.is_active(*SOCKETS)
        assert "ended by itself" in machine.run("systemctl status --no-pager shutdown-service.service").stdout


@on_trixie_alone
def test_no_request_is_lost_in_the_moment_of_its_end(machine):
    """Neither one by a connection of its own nor one by a connection that NGINX has kept since the last."""
    idle = 0.05
    machine.sh("systemctl start nginx.service")
    with machine.drop_in("shutdown-service.service", f"[Service]\nEnvironment=HL_IDLE_SECONDS={idle}\n"):
        end_worker(machine, "shutdown-service")
        pids = set()
        for i in range(200):
            if i % 2:
                assert machine.fastcgi("shutdown-service", "GET", "/shutdown/next")[0] == 200
            for _ in range(2):
                assert machine.http("GET", NGINX, "/api/shutdown/shutdown/next").status == 200
            assert machine.http("POST", NGINX, "/api/shutdown/shutdown/cancel")["code"] == "no_shutdown"
            if i % 20 == 0:
                pids.add(machine.properties("shutdown-service.service", "InvocationID")["InvocationID"])
            time.sleep(idle + (i % 20 - 8) / 2000)  # from 4 ms before that moment to 6 ms after it
        assert len(pids) > 5  # it did end in between
    assert machine.is_active(*SOCKETS) and machine.failed_units() == ""


def test_many_at_once(machine):
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: machine.fastcgi("inference-service", "GET", "/models")[0], range(500)))
    assert answers == [200] * 500


@contextlib.contextmanager
def slow_start(machine, port, seconds=3):
    """Somebody waits, through FastCGI, for a model that loads for so long; gives where the answer will be."""
    machine.model("slow", port, f"--load-seconds {seconds}")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(
        machine.fastcgi("inference-service", "POST", "/models/slow/start?wait=ready")))
    thread.start()
    wait_until(lambda: machine.is_active("model@slow.service"), PATIENCE, "the model loads")
    try:
        yield answers
    finally:
        thread.join(40)


def test_a_slow_start_holds_up_nobody(machine):
    with slow_start(machine, 8320) as answers:
        for _ in range(10):
            began = time.monotonic()
            assert machine.fastcgi("inference-service", "GET", "/models/running")[0] == 200
            assert time.monotonic() - began < 1
        assert not answers
    assert answers[0][0] == 200


def test_nobody_waits_for_clients_that_have_left(machine):
    """As many as may, for a model that is never ready; NGINX closes a connection whose client has gone."""
    def threads():
        pid = machine.properties("inference-service.service", "MainPID")["MainPID"]
        return len(machine.sh(f"ls /proc/{pid}/task").split())

    machine.model("dreamer", 8323, "--never-ready", extra='START_TIMEOUT="1h"\n')
    waiting = [machine.fastcgi("inference-service", "POST", "/models/dreamer/start?wait=ready", send=fastcgi.ask)
               for _ in range(WAITERS)]
    wait_until(lambda: threads() > WAITERS, 10, "all of them wait")
    for connection in waiting:
        connection.close()
    assert machine.fastcgi("inference-service", "GET", "/models/running")[2]
    wait_until(lambda: threads() <= 1 + RESTING, 10, "nobody waits any more")
    wait_until(lambda: machine.is_active("model@dreamer.service"), PATIENCE, "that goes on")


def test_told_to_stop_it_answers_what_it_has_begun_to(machine):
    with slow_start(machine, 8321) as answers:
        machine.sh("systemctl kill inference-service.service")
        assert machine.fastcgi("inference-service", "GET", "/models/running")[0] == 200  # by its successor
        assert answers[0][0] == 200
    machine.sh("systemctl stop model@slow.service")
    with slow_start(machine, 8322) as answers:
        machine.sh("systemctl stop inference-service.service")
        assert answers[0][0] == 200
    assert machine.failed_units() == "" and not machine.is_active("inference-service.socket")
    machine.sh("systemctl start inference-service.service")


def test_a_restart_turns_nobody_away(machine):
    """Neither whom the worker has begun to answer, nor who comes in the meantime, to the port or to the FastCGI socket."""
    with slow_start(machine, 8323) as answers, concurrent.futures.ThreadPoolExecutor(2) as pool:
        restart = pool.submit(machine.sh, "systemctl restart inference-service.service")
        waiting = pool.submit(machine.fastcgi, "inference-service", "GET", "/models/running")
        while not restart.done():
            assert machine.http("GET", INFERENCE, "/models/running").status == 200
        restart.result()
        assert waiting.result()[0] == 200
    assert answers[0][0] == 200


@on_trixie_alone
def test_what_takes_too_long_is_cut_off_and_the_start_goes_on(machine):
    machine.model("slow", 8324, "--load-seconds 25")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(machine.fastcgi, "inference-service", "POST", "/models/slow/start?wait=ready")
        wait_until(lambda: machine.is_active("model@slow.service"), PATIENCE, "the model loads")
        began = time.monotonic()
        machine.sh("systemctl restart inference-service.service")
        assert 15 < time.monotonic() - began < 25
        with pytest.raises(OSError):
            waiting.result()
    assert machine.fastcgi("inference-service", "GET", "/models/running")[0] == 200
    machine.ready(8324)
    assert machine.failed_units() == ""


def test_a_crash_closes_nothing(machine):
    fast = "[Service]\nRestartSec=100ms\n"
    with machine.drop_in("shutdown-service.service", fast), machine.drop_in("model-router.service", fast):
        for unit, socket in (("shutdown-service", "shutdown-service"), ("model-router", "model-router")):
            for _ in range(15):  # more than any start limit
                assert machine.fastcgi(socket, "GET", "/shutdown/next")[0] in (200, 400, 404)
                machine.sh(f"systemctl kill --signal=KILL {unit}.service")
            assert machine.is_active(*SOCKETS, "model-router.socket")
            wait_until(lambda: machine.failed_units() == "", PATIENCE, "it has started again")
            assert machine.fastcgi(socket, "GET", "/shutdown/next")[0] in (200, 400, 404)
            assert machine.http("GET", SHUTDOWN, "/shutdown/next").status == 200


BEGIN = fastcgi.record(fastcgi.BEGIN_REQUEST, b"\0\1\0\0\0\0\0\0")
BROKEN = {
    "lengths whose sum is no int": BEGIN + fastcgi.stream(fastcgi.PARAMS, b"\xff\xff\xff\xf0" * 2 + b"x" * 40),
    "the longest lengths": BEGIN + fastcgi.stream(fastcgi.PARAMS, b"\xff\xff\xff\xff" * 2 + b"x" * 40),
    "a name without an end": BEGIN + fastcgi.stream(fastcgi.PARAMS, b"\x80\0\xff\xff\1" + b"x" * 40),
    "no beginning": fastcgi.stream(fastcgi.PARAMS, b"\1\1ab") * 2,
    "another version": b"\2" + BEGIN[1:],
    "no records": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
    "half a head": BEGIN[:5],
}


@pytest.mark.parametrize("service", [*SERVICES, "model-router"])
def test_records_that_are_none_leave_the_next_request_its_answer(machine, figure, service):
    """libfcgi aborts at some that a program of NGINX's group may send."""
    def ask():
        return machine.fastcgi(service, "GET", "/v1/models")[0]
    expected = ask()
    for text in BROKEN.values():
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(machine.path(f"{FOLDER}/{service}.sock")))
            with contextlib.suppress(ConnectionError):
                connection.sendall(text)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        assert ask() == expected
    figure(f"{service}: restarted {machine.properties(f'{service}.service', 'NRestarts')['NRestarts']} times by {len(BROKEN)} broken requests")
    assert machine.is_active(*SOCKETS, "model-router.socket") and machine.failed_units() == ""


def test_after_a_crash_who_asks_waits_ten_seconds_at_most(machine):
    assert machine.fastcgi("model-monitor-service", "GET", "/")[0] == 200
    machine.sh("systemctl kill --signal=KILL model-monitor-service.service")
    began = time.monotonic()
    assert machine.fastcgi("model-monitor-service", "GET", "/")[0] == 200
    assert time.monotonic() - began < 12
    assert machine.failed_units() == ""


@pytest.mark.parametrize("kind", ["", "-fastcgi"])
def test_a_socket_that_fails_is_opened_again(machine, kind):
    """By the other one of the pair. Its trigger limit, which is off, is what makes one fail here."""
    socket = f"shutdown-service{kind}.socket"

    def opened():
        return machine.properties(socket, "ActiveEnterTimestampMonotonic")

    def restart():  # a connection that is being handed over has the port for a moment longer
        wait_until(lambda: machine.run(["systemctl", "restart", socket]).returncode == 0, PATIENCE, "it is opened anew")
    with machine.drop_in(socket, "[Socket]\nTriggerLimitIntervalSec=10s\nTriggerLimitBurst=3\n"), \
            machine.drop_in("shutdown-service.service", "[Service]\nEnvironment=HL_IDLE_SECONDS=0\n"):
        end_worker(machine, "shutdown-service")
        restart()
        before = opened()
        for _ in range(8):
            with contextlib.suppress(OSError):
                if kind:
                    machine.fastcgi("shutdown-service", "GET", "/", timeout=1)
                    machine.run("systemctl kill shutdown-service.service")  # the next request is for another worker
                else:
                    machine.http("GET", SHUTDOWN, "/", timeout=1)
        wait_until(lambda: machine.is_active(*SOCKETS) and opened() != before, 40, "it was opened again")
    restart()
    assert machine.http("GET", SHUTDOWN, "/").status == 200 and machine.fastcgi("shutdown-service", "GET", "/")[0] == 200
