# SPDX-License-Identifier: MIT
"""What a client without trust may take: some connections, some lines of the journal, some memory, and no place of those that
this machine's own clients and holders of tokens are served by."""
import collections
import concurrent.futures
import contextlib
import json
import os
import re
import select
import socket
import threading
import time

import fastcgi
import pytest

from machines import ETC, INFERENCE, MONITOR, PATIENCE, PORTS, SHUTDOWN, SOCKETS, on_trixie_alone, wait_until
from neighbours import HERE, THERE, ip, neighbour_of, open_ports

OTHER = "198.18.77.3"  # a second neighbour
LIMITS = "/run/home-lab-services/limits"
ATTACK_SECONDS = 5
# FLOOD=10000, on a machine that does nothing else: an attack goes on until it has made so many connections, and answers have
# their times. Shared machines only print those.
FLOOD = int(os.environ.get("FLOOD", 0))
ANSWER_SECONDS, SYSTEMCTL_SECONDS, HANDLERS_MB = 1, 0.5, 512
FOLLOWERS, WAITERS = 16, 24
LINES_AT_ONCE, PATH_LOGGED = 100, 200
LOG_BYTES = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def opened(machine):
    """The machine, whose ports also listen on an address that neighbours reach."""
    with neighbour_of(machine) as machine.neighbour:
        ip("-netns", machine.neighbour.path.rsplit("/", 1)[1], "address", "add", f"{OTHER}/24", "dev", "near")
        units = open_ports(machine)
        yield machine
        machine.sh(["systemctl", "disable", "--runtime", "--now", *units])
        machine.sh("ip link delete far")


@pytest.fixture
def token(opened):
    yield opened.sh("home-lab-services token add reader --scope read").strip()
    opened.sh(f"rm -f {ETC}/tokens")


class Attack(threading.Thread):
    """A neighbour's connections to one port, so many at once, for ATTACK_SECONDS and FLOOD. Each sends `first`, and then `more` each
    second. One that was refused is opened again, after a second if it is `patient`."""

    def __init__(self, machine, port, count, first=b"", more=b"", patient=True):
        super().__init__(daemon=True)
        self.network, self.port, self.count, self.first, self.more, self.patient = machine.neighbour, port, count, first, more, patient
        self.made, self.over = 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        with self.network.entered(), contextlib.closing(select.epoll()) as poll:
            live, due = {}, collections.deque((0, None) for _ in range(self.count))
            now = time.monotonic()
            ends = now + ATTACK_SECONDS
            while (now < ends or (self.made < FLOOD and not self.patient)) and not self.over.is_set():
                now = time.monotonic()
                while due and due[0][0] <= now:
                    _, number = due.popleft()
                    if number is None:
                        connection = socket.socket()
                        connection.setblocking(False)
                        connection.connect_ex((HERE, self.port))
                        self.made += 1
                        number = connection.fileno()
                        live[number] = connection
                        poll.register(number, select.EPOLLOUT)
                    elif number in live:
                        with contextlib.suppress(OSError):
                            live[number].send(self.more)
                        due.append((now + 1, number))
                for number, event in poll.poll(0.02):
                    try:
                        if event == select.EPOLLOUT:
                            live[number].send(self.first)
                            poll.modify(number, select.EPOLLIN)
                            if self.more:
                                due.append((now + 1, number))
                            continue
                        if live[number].recv(4096):
                            continue
                    except OSError:
                        pass
                    poll.unregister(number)
                    live.pop(number).close()
                    due.append((now + 1 if self.patient else now, None))
            for connection in live.values():
                connection.close()


def from_other(machine, port, path, token):
    """A request of the second neighbour's."""
    connection = machine.neighbour.socket()
    connection.settimeout(PATIENCE)
    connection.bind((OTHER, 0))
    with contextlib.closing(connection):
        connection.connect((HERE, port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HERE}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode())
        return int(b"".join(iter(lambda: connection.recv(65536), b""))[9:12])


def timed(ask):
    began = time.monotonic()
    assert ask()
    return time.monotonic() - began


def processes_of(machine, instance):
    return machine.sh(f"cat /sys/fs/cgroup/homelab.slice/*{instance.replace('.socket', '.service')}/cgroup.procs 2>/dev/null || true").split()


def memory_of_handlers(machine):
    """What the services have of their own, in MB, and how many processes they are."""
    text = machine.sh("cat $(pgrep -u home-lab-services,home-lab-power | sed 's|.*|/proc/&/smaps_rollup|') 2>/dev/null || true")
    return sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB", text, re.M))) / 1024, text.count("[rollup]")


SLOW = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
QUICK = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
ATTACKS = {"silent and slow": [(200, b"", b"", True), (200, SLOW, b"x", True)], "as fast as it can": [(400, QUICK, b"", False)]}


@on_trixie_alone
@pytest.mark.parametrize("kind", ATTACKS)
def test_a_neighbour_keeps_nobody_out(opened, token, figure, kind):
    """Whoever asks from this machine, and who has a token on another, is answered all the same."""
    port, network = "inference-service.socket", f"inference-service-lan@{HERE}.socket"
    local, others, states, memory = [], [], [], []
    taken = int(opened.properties(port, "NAccepted")["NAccepted"])
    with contextlib.ExitStack() as stack:
        attacks = [stack.enter_context(Attack(opened, INFERENCE, *attack)) for attack in ATTACKS[kind]]
        while any(attack.is_alive() for attack in attacks):
            local.append(timed(lambda: opened.http("GET", INFERENCE, "/models", timeout=PATIENCE).status == 200))
            others.append(timed(lambda: from_other(opened, INFERENCE, "/models", token) == 200))
            states.append(timed(lambda: opened.is_active(*SOCKETS)))
            memory.append(memory_of_handlers(opened))
    wait_until(lambda: len(processes_of(opened, network)) <= 1, PATIENCE, "they have ended")
    assert opened.is_active(*SOCKETS, network) and opened.failed_units() == ""
    assert int(opened.properties(port, "NAccepted")["NAccepted"]) == taken + len(local)  # systemd has taken no other
    figure(f"{kind}: {sum(attack.made for attack in attacks)} connections from the network; {len(local)} requests from this machine, "
           f"at most {max(local):.1f} s; {len(others)} with a token, {max(others):.1f} s; systemctl is-active {max(states):.1f} s; "
           f"{max(memory)[0]:.0f} MB in {max(memory)[1]} processes")
    if FLOOD:
        assert max(local + others) < ANSWER_SECONDS and max(states) < SYSTEMCTL_SECONDS and max(memory)[0] < HANDLERS_MB


def test_one_source_has_a_part_of_the_places(opened):
    shown = opened.properties("inference-service.socket", "MaxConnections", "MaxConnectionsPerSource", "Backlog")
    assert {name: int(value) for name, value in shown.items()} == {"MaxConnections": 128, "MaxConnectionsPerSource": 48, "Backlog": 16}
    assert FOLLOWERS + WAITERS < 48


def test_many_addresses_take_no_place_of_this_machines(opened, token):
    sources = [f"198.18.77.{number}" for number in range(11, 14)]
    namespace = opened.neighbour.path.rsplit("/", 1)[1]
    with contextlib.ExitStack() as stack:
        for source in sources:
            ip("-netns", namespace, "address", "add", f"{source}/24", "dev", "near")
            stack.callback(ip, "-netns", namespace, "address", "delete", f"{source}/24", "dev", "near")
            for _ in range(48):
                connection = stack.enter_context(opened.neighbour.socket())
                connection.bind((source, 0))
                connection.connect((HERE, SHUTDOWN))
                connection.sendall(SLOW)
        wait_until(lambda: len(processes_of(opened, f"shutdown-service-lan@{HERE}.socket")) == 1 + 128, PATIENCE, "all places are taken")
        assert opened.http("GET", SHUTDOWN, "/shutdown/next").status == 200
    wait_until(lambda: opened.neighbour.http("GET", SHUTDOWN, "/shutdown/next", headers={"Authorization": f"Bearer {token}"}, host=HERE)
               .status == 200, PATIENCE, "they are free again")


def test_the_networks_port_goes_up_and_down_with_its_service(opened):
    unit = f"shutdown-service-lan@{HERE}.socket"
    for stop, start in ("stop shutdown-service.service", "start shutdown-service.service"), \
                       ("stop home-lab-services.service", "start home-lab-services.target"):
        opened.sh(f"systemctl {stop}")
        wait_until(lambda: not opened.is_active(unit) and not opened.is_active("shutdown-service.socket"), PATIENCE, stop)
        opened.sh(f"systemctl {start}")
        wait_until(lambda: opened.is_active(unit, *SOCKETS), PATIENCE, start)
    opened.sh("systemctl restart shutdown-service.service home-lab-services.service")
    wait_until(lambda: opened.is_active(unit, *SOCKETS), PATIENCE, "it is restarted")
    assert f"{HERE}:5001" in opened.sh("home-lab-services status")


# ---- the journal ----

def test_who_is_not_let_in_fills_no_journal(opened):
    tries = 2 * LINES_AT_ONCE

    def refused(_):
        with contextlib.closing(opened.neighbour.open(SHUTDOWN, HERE, timeout=PATIENCE)) as connection:
            connection.request("GET", "/" + "a" * 7000)
            response = connection.getresponse()
            return response.status == 403 and response.headers["Connection"] == "close" and response.read()

    opened.sh(f"rm -f {LIMITS}/shutdown-service/refusals")
    mark = opened.sh("journalctl --quiet --lines=0 --show-cursor").split("cursor: ")[1].strip()
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(refused, range(tries)))
    opened.sh("journalctl --sync")
    told = [json.loads(line) for line in opened.sh(
        ["journalctl", "--quiet", "--output=json", "-t", "shutdown-service", "--after-cursor", mark]).splitlines()]
    lines = [line for line in told if "HL_PATH" in line]  # others are of a start of the service
    most = LINES_AT_ONCE + (time.monotonic() - began) + 8
    assert 0 < len(lines) < most
    assert all("from " + THERE in line["MESSAGE"] for line in lines)
    assert max(len(line["HL_PATH"]) for line in lines) <= PATH_LOGGED + 3
    assert max(len(line["MESSAGE"]) for line in lines) < PATH_LOGGED + 300


@contextlib.contextmanager
def hanging(machine, unit):
    machine.sh(f"systemctl kill --signal=STOP {unit}")
    try:
        yield
    finally:
        machine.sh(f"systemctl kill --signal=CONT {unit}")


def test_a_journald_that_hangs_stops_nobody(machine):
    """Each of these reports would be a line; its socket holds some hundreds."""
    machine.model("talker", command="true")

    def report(_):
        return machine.fastcgi("model-monitor-service", "POST", "/models/talker/report", timeout=PATIENCE)[0]

    with hanging(machine, "systemd-journald.service"), concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(report, range(700))) == {200}
        for port, path in zip(PORTS, ("/shutdown/next", "/models/running", "/models/activity")):
            assert machine.http("GET", port, path, timeout=PATIENCE).status == 200
        assert machine.http("POST", MONITOR, "/models/talker/report", timeout=PATIENCE).status == 200
    wait_until(lambda: machine.http("POST", MONITOR, "/models/talker/report").status == 200 and
               "/report from" in machine.sh("journalctl --lines=20 -t model-monitor-service"), PATIENCE, "lines are there again")


# ---- logs ----

def test_a_log_has_a_limit_in_bytes_and_the_newest_lines_win(machine, figure):
    lines = 600
    machine.model("talker", command=f"python3 -c 'for i in range({lines}): print(i, 16000 * chr(120))'")
    machine.http("POST", INFERENCE, "/models/talker/start?wait=none")
    wait_until(lambda: f"{lines - 1} xxx" in machine.http("GET", INFERENCE, "/models/talker/logs?lines=5&format=text").body.decode(),
               PATIENCE, "it has spoken")
    for query in "", "&format=text":
        body = machine.http("GET", INFERENCE, f"/models/talker/logs?lines=10000{query}").body
        assert LOG_BYTES * 0.9 < len(body) < LOG_BYTES * 1.1
        assert f"{lines - 1} xxx".encode() in body and b" 0 xxx" not in body and b'"0 xxx' not in body
    before = machine.fastcgi("inference-service", "GET", "/models")[0]
    answer = machine.fastcgi("inference-service", "GET", "/models/talker/logs?lines=10000", timeout=PATIENCE)
    pid = machine.properties("inference-service.service", "MainPID")["MainPID"]
    most = int(re.search(r"VmHWM:\s+(\d+)", machine.sh(f"cat /proc/{pid}/status"))[1]) / 1024
    figure(f"a log of {lines * 16 // 1024} MB as JSON: {len(answer[2]) / 1e6:.1f} MB, and its worker had {most:.0f} MB")
    assert before == answer[0] == 200


def test_a_log_as_text_steers_no_terminal(machine):
    orders = "\\x1b]0;owned\\x07", "\\xc2\\x9b31m", "\\xc2\\x9d0;owned", "\\xe2\\x80\\xae", "\\xe2\\x81\\xa6"
    said = "".join(f"{number} {order} end\\n" for number, order in enumerate(orders)).replace("\\", "\\\\")
    machine.model("talker", command=f"printf '{said}'")
    machine.http("POST", INFERENCE, "/models/talker/start?wait=none")

    def lines():
        text = machine.http("GET", INFERENCE, "/models/talker/logs?format=text").body.decode()
        return re.findall(r"^\S+ (\d .* end)$", text, re.M)
    wait_until(lambda: len(lines()) == len(orders), PATIENCE, "it has spoken")
    assert lines() == ["0 ?]0;owned? end", "1 ?31m end", "2 ?0;owned end", "3 ? end", "4 ? end"]


class Port:
    """Somebody who follows a log at the port."""

    def __init__(self, network, host, token=None):
        self.connection = network.open(INFERENCE, host, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.connection.request("GET", "/models/tiny-llama/logs?follow=true", headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def ended(self):
        with contextlib.closing(self.response):
            return self.response.read() is not None


def test_followed_logs_leave_the_port_open(machine):
    with contextlib.ExitStack() as stack:
        for _ in range(FOLLOWERS):
            follower = Port(machine.network, "127.0.0.1")
            stack.callback(follower.response.close)
            assert follower.status == 200
        answer = machine.http("GET", INFERENCE, "/models/tiny-llama/logs?follow=true")
        assert answer.status == 503 and answer["code"] == "too_many_followers", answer
        assert machine.fastcgi("inference-service", "GET", "/models/tiny-llama/logs?follow=true")[0] == 503
        assert machine.http("GET", INFERENCE, "/models/running").status == 200

    def one_more():
        follower = Port(machine.network, "127.0.0.1")
        follower.response.close()
        return follower.status == 200
    wait_until(one_more, PATIENCE, "there is room again")


def test_a_followed_log_ends_when_its_token_is_revoked(opened, token):
    at_port = Port(opened.neighbour, HERE, token)
    behind_nginx = fastcgi.ask(str(opened.path("/run/home-lab-services/inference-service.sock")), {
        "REQUEST_METHOD": "GET", "REQUEST_URI": "/models/tiny-llama/logs?follow=true", "REMOTE_ADDR": THERE, "HTTP_HOST": "localhost",
        "GATEWAY_INTERFACE": "CGI/1.1", "HTTP_AUTHORIZATION": f"Bearer {token}"}, timeout=PATIENCE)
    with contextlib.closing(behind_nginx):
        assert at_port.status == 200 and b"Status: 200" in behind_nginx.recv(65536)
        opened.sh("home-lab-services token revoke reader")
        assert at_port.ended()
        assert list(iter(lambda: behind_nginx.recv(65536), b"")) is not None


# ---- who waits ----

def test_who_waits_leaves_room_for_others(machine):
    """For a model that is never ready."""
    more, path = 4, "/models/dreamer/start?wait=ready"
    machine.model("dreamer", 8441, "--never-ready", extra='START_TIMEOUT="1h"\n')
    with contextlib.ExitStack() as stack:
        waiting = [machine.fastcgi("inference-service", "POST", path, send=fastcgi.ask) for _ in range(WAITERS + more)]
        for connection in waiting:
            stack.callback(connection.close)

        def answered():
            return select.select(waiting, [], [], 0)[0]
        wait_until(lambda: len(answered()) >= more, PATIENCE, "those are refused that are too many")
        assert len(answered()) == more and all(b"too_many_waiters" in connection.recv(65536) for connection in answered())
        answer = machine.http("POST", INFERENCE, path)
        assert answer.status == 503 and answer["code"] == "too_many_waiters" and answer.headers["Retry-After"], answer
        for look in "/models", "/models/running", "/v1/models":
            assert machine.fastcgi("inference-service", "GET", look)[0] == machine.http("GET", INFERENCE, look).status == 200


def test_what_answers_has_a_limit_of_memory_and_models_have_their_own(machine):
    assert machine.properties("homelab.slice", "MemoryMax") == {"MemoryMax": str(2 * 1024 ** 3)}
    for unit in "shutdown-service@x.service", "inference-service.service", "model-router.service":
        assert machine.properties(unit, "Slice") == {"Slice": "homelab.slice"}
    assert machine.properties("model@x.service", "Slice") != {"Slice": "homelab.slice"}
