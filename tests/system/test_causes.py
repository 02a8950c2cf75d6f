# SPDX-License-Identifier: MIT
"""What is told of a model that failed, or that is not ready: the cause, at every door; and how long it is waited for."""
import json
import time

import pytest

from machines import INFERENCE, MODELS, MONITOR, PATIENCE, wait_until

PORT, OTHER = 8231, 8299
SERVER = "/usr/local/libexec/home-lab-services-demo/server.py"

# server.py PORT…: listens on each after the seconds in front of it ("5:8231"), answers 200 to everything.
SERVER_TEXT = '''#!/usr/bin/python3
import http.server, socketserver, sys, threading, time

class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass

for word in sys.argv[1:]:
    seconds, _, port = word.rpartition(":")
    time.sleep(float(seconds or 0))
    threading.Thread(target=Server(("127.0.0.1", int(port)), Handler).serve_forever).start()
'''


def model(machine, name, command, port=PORT, extra=""):
    """A model file as somebody writes it."""
    machine.put(f"{MODELS}/{name}", (f"PORT={port}\n" if port else "") + f"COMMAND='{command}'\n{extra}")


def server(machine):
    machine.put(SERVER, SERVER_TEXT, 0o755)
    return SERVER


def start(machine, name, wait="ready", timeout=30):
    return machine.http("POST", INFERENCE, f"/models/{name}/start?wait={wait}", timeout=timeout)


def cause(machine, name):
    return machine.http("GET", INFERENCE, f"/models/{name}").json.get("cause")


# What a newcomer writes, and what the answer must say; most of it is said by the programs that he runs.
MISTAKES = {
    "no COMMAND": ("", "COMMAND is missing, so there is nothing to run"),
    "a typo in the program": ("lama-server --port 8231", "there is no program lama-server that home-lab-models may run"),
    "a program behind another command": ("cd /srv && lama-server", "lama-server: not found"),
    "an unclosed quote": ('python3 -m "http.server', "COMMAND is not what a shell can read"),
    "weights that are not there": (
        "python3 -c \"open(\\\"/srv/models/tinny.gguf\\\")\"", "No such file or directory: '/srv/models/tinny.gguf'"),
    "a module that is missing": ("python3 -m vllm.entrypoints", "No module named"),
    "an option that it does not know": ("python3 -m http.server --prt 1", "unrecognized arguments: --prt"),
    "an address that is not this host's": (
        "python3 -m http.server --bind 192.168.77.5 8231", "Cannot assign requested address"),
    "a port below 1024": ("python3 -m http.server --bind 127.0.0.1 80", "Permission denied"),
    "a crash": ("sh -c \"kill -SEGV \\$\\$\"", "SEGV"),
    "no word at all": ("sh -c \"exit 7\"", "status 7"),
    "a last word": ("sh -c \"echo this box has 4 GB; exit 7\"", "this box has 4 GB"),
}


@pytest.mark.parametrize("condition, told", (
    ("[Unit]\nConditionPathExists=/mnt/weights", "ConditionPathExists=/mnt/weights"),
    ("[Unit]\nConditionPathExists=|/mnt/weights\nConditionPathExists=|/mnt/more", "no trigger condition checks were met"),
    ("[Service]\nExecCondition=/bin/false", "being skipped")))
def test_a_start_that_its_unit_skips_tells_that(machine, condition, told):
    """systemd's job is done then, and nothing has failed."""
    model(machine, "held", "sleep 60")
    with machine.drop_in("model@held.service", condition + "\n"):
        answer = start(machine, "held")
    assert answer.status == 502 and "a condition of its unit kept it from its start: " in answer["cause"], answer
    assert told in answer["cause"], answer


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_failed_start_tells_its_cause(machine, mistake):
    command, said = MISTAKES[mistake]
    model(machine, "m", command)
    answer = start(machine, "m")
    assert answer.status == 502, answer
    assert said in answer["cause"], answer
    assert said in answer["message"], "an SDK shows no more than the message"
    if machine.http("GET", INFERENCE, "/models/m")["state"] == "failed":
        assert said in cause(machine, "m")
        assert said in machine.http("GET", MONITOR, "/models/m/why")["cause"]
        assert said in machine.sh("home-lab-services status")


def test_the_cause_is_that_of_the_last_start(machine):
    model(machine, "m", "sh -c \"echo error: the first; exit 1\"")
    assert start(machine, "m")["cause"] == "error: the first"
    model(machine, "m", "sh -c \"exit 1\"")
    assert "the first" not in start(machine, "m")["cause"]
    model(machine, "m", f"{server(machine)} {PORT}")
    answer = start(machine, "m")
    assert answer.status == 200 and "cause" not in answer.json
    assert cause(machine, "m") is None
    assert machine.http("GET", MONITOR, "/models/m/why")["cause"] is None


def test_one_that_systemd_starts_again_and_again_tells_why(machine):
    model(machine, "m", "sh -c \"sleep 1; echo CUDA error: out of memory; exit 1\"", extra="START_TIMEOUT=6s\n")
    with machine.drop_in("model@m.service", "[Service]\nRestart=always\nRestartSec=20\n"):
        answer = start(machine, "m")
        assert answer.status == 504 and answer["cause"] == "CUDA error: out of memory", answer
        assert cause(machine, "m") == "CUDA error: out of memory"
        machine.sh("systemctl stop model@m.service")


def test_out_of_memory_is_told(machine):
    """As the program says it. What the kernel kills is in tests/unit/test_cause.c: machines have no memory controller."""
    model(machine, "m", "python3 -c \"x = bytearray(1 << 30)\"")
    with machine.drop_in("model@m.service", "[Service]\nLimitAS=200M\n"):
        assert start(machine, "m")["cause"] == "MemoryError"


# ---- where it listens ----

def test_a_wrong_port_is_named_at_once(machine):
    model(machine, "m2", f"{server(machine)} {OTHER}", extra="START_TIMEOUT=2min\n")
    began = time.monotonic()
    answer = start(machine, "m2")
    took = time.monotonic() - began
    assert answer.status == 502 and answer["code"] == "wrong_port", answer
    assert answer["cause"].startswith(f"m2 listens on {OTHER}, but PORT is {PORT}"), answer
    assert f'PORT="{OTHER}"' in answer["message"]
    assert took < 5, took  # at most 3 s after it listens
    assert f"m2 listens on {OTHER}, but PORT is {PORT}" in cause(machine, "m2")
    assert machine.http("GET", INFERENCE, "/models/m2")["state"] == "loading"
    assert f"m2 listens on {OTHER}" in machine.sh("home-lab-services status")


@pytest.mark.parametrize("arguments", [f"9001 5:{PORT}", f"9001 1:9002 4:{PORT}", "9001 5:$PORT"])
def test_a_server_may_open_other_ports_first(machine, arguments):
    model(machine, "m", f"{server(machine)} {arguments}", extra="START_TIMEOUT=30s\n")
    assert start(machine, "m").status == 200


def test_a_port_that_command_does_not_name_is_a_hint(machine):
    """The program knows its ports from elsewhere, and comes to the right one."""
    machine.put("/usr/local/libexec/home-lab-services-demo/hidden", f"#!/bin/sh\nexec {server(machine)} 9001 5:{PORT}\n", 0o755)
    model(machine, "m", "/usr/local/libexec/home-lab-services-demo/hidden", extra="START_TIMEOUT=30s\n")
    assert start(machine, "m", "none").status == 202
    wait_until(lambda: "listens on 9001" in (cause(machine, "m") or ""), 4, "the hint")
    assert start(machine, "m").status == 200
    assert cause(machine, "m") is None


def test_one_that_listens_on_the_other_loopback_alone(machine):
    model(machine, "m", f"python3 -m http.server --bind ::1 {PORT}", extra="START_TIMEOUT=2min\n")
    answer = start(machine, "m")
    assert answer.status == 502 and "listens on ::1 alone" in answer["cause"], answer


def test_one_that_listens_on_a_unix_socket_alone(machine):
    code = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind(\\\"/var/lib/home-lab-models/m.sock\\\"); " \
           "s.listen(); time.sleep(100)"
    machine.sh("rm -f /var/lib/home-lab-models/m.sock")
    model(machine, "m", f"python3 -c \"{code}\" --uds /var/lib/home-lab-models/m.sock", extra="START_TIMEOUT=2min\n")
    answer = start(machine, "m")
    assert answer.status == 502 and "unix socket /var/lib/home-lab-models/m.sock" in answer["cause"], answer


def test_a_wrong_health_path(machine):
    machine.field_model("m", PORT, "--health-status 404", extra="START_TIMEOUT=2s\n")
    answer = start(machine, "m")
    assert answer.status == 504 and "/health: status 404" in answer["cause"], answer


# ---- whose it is ----

def stranger(machine, unit, port=PORT, user="nobody"):
    machine.sh(f"systemd-run --quiet --unit={unit} --uid={user} {server(machine)} {port}")
    wait_until(lambda: machine.sh(f"ss -Hltn 'sport = :{port}'"), PATIENCE, "the stranger listens")


def test_the_port_of_another_model(machine):
    model(machine, "n2a", f"{server(machine)} {PORT}")
    model(machine, "n2b", f"{server(machine)} {PORT}")
    assert start(machine, "n2a").status == 200
    answer = start(machine, "n2b", "job")
    assert (answer.status, answer["code"]) == (409, "port_in_use"), answer
    assert f"port {PORT} is used by the model n2a" in answer["cause"]
    assert f"port {PORT} is used by the model n2a" in answer["message"]


def test_the_port_of_another_program(machine):
    model(machine, "m", f"{server(machine)} {PORT}")
    stranger(machine, "stranger")
    try:
        pid = machine.properties("stranger.service", "MainPID")["MainPID"]
        answer = start(machine, "m")
        assert (answer.status, answer["code"]) == (409, "port_in_use"), answer
        assert "unit stranger.service" in answer["cause"] and f"pid {pid}" in answer["cause"]
    finally:
        machine.sh("systemctl stop stranger.service")
    assert start(machine, "m").status == 200


def test_a_strangers_answer_is_not_the_models(machine):
    """It answers where the model, which runs, does not."""
    model(machine, "m", "sleep 1000", extra="START_TIMEOUT=3s\n")
    assert start(machine, "m", "job").status == 200
    stranger(machine, "stranger")
    try:
        assert machine.http("GET", INFERENCE, "/models/m")["state"] == "loading"
        assert "unit stranger.service" in cause(machine, "m")
        answer = start(machine, "m")
        assert answer.status == 504 and "unit stranger.service" in answer["cause"], answer
    finally:
        machine.sh("systemctl stop stranger.service")


def test_a_port_that_root_holds_for_the_model_is_the_models(machine):
    """As docker-proxy does: as root, in another unit."""
    model(machine, "m", "sleep 1000", extra="START_TIMEOUT=10s\n")
    machine.sh(f"systemd-run --quiet --unit=proxy {server(machine)} {PORT}")
    try:
        wait_until(lambda: machine.sh(f"ss -Hltn 'sport = :{PORT}'"), PATIENCE, "the proxy listens")
        assert start(machine, "m").status == 200
    finally:
        machine.sh("systemctl stop proxy.service")


# ---- how long it loads ----

def test_a_health_path_may_be_slow(machine):
    machine.field_model("m", PORT, "--health-seconds 4", extra="START_TIMEOUT=20s\n")
    began = time.monotonic()
    assert start(machine, "m").status == 200
    assert time.monotonic() - began < 10


def test_a_silent_server_that_dies_is_not_waited_for(machine):
    code = "import socket, time; s = socket.create_server((\\\"127.0.0.1\\\", 8231)); time.sleep(3); " \
           "raise SystemExit(\\\"error: no GPU is there\\\")"
    model(machine, "m", f"python3 -c \"{code}\"", extra="START_TIMEOUT=60s\n")
    began = time.monotonic()
    answer = start(machine, "m")
    assert time.monotonic() - began < 10
    assert answer.status == 502 and answer["cause"] == "error: no GPU is there", answer


def test_a_containers_port_is_waited_for(machine):
    machine.field_model("m", PORT, "--close-seconds 2", extra="START_TIMEOUT=20s\n")
    assert start(machine, "m").status == 200


def sweep_until(machine, seconds):
    """Sweeps for so long, as the timer does, and says whether the model was stopped."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        machine.sh("systemctl start model-idle-sweep.service")
        if not machine.is_active("model@m.service"):
            return True
        time.sleep(0.5)
    return False


@pytest.mark.parametrize("load", ["it says so", "it works"])
@pytest.mark.seconds(180)
def test_a_model_that_loads_is_not_idle(machine, load):
    """Ten times its START_TIMEOUT and its IDLE_TIMEOUT, and nobody waits for it."""
    limits = "START_TIMEOUT=500ms\nIDLE_TIMEOUT=500ms\n"
    if load == "it says so":
        machine.field_model("m", PORT, "--load-seconds 8", extra=limits)
    else:
        code = "import time, os\nend = time.monotonic() + 8\nwhile time.monotonic() < end:\n    sum(range(20000))\n" \
               f"os.execv(\"{server(machine)}\", [\"server.py\", \"{PORT}\"])\n"
        machine.put("/usr/local/libexec/home-lab-services-demo/works.py", code)
        model(machine, "m", "python3 /usr/local/libexec/home-lab-services-demo/works.py", extra=limits)
    machine.sh("systemctl start model@m.service")
    assert not sweep_until(machine, 5)
    machine.ready(PORT)
    pid = machine.properties("model@m.service", "MainPID")["MainPID"]
    assert machine.http("GET", INFERENCE, "/models/m").json["pid"] == int(pid)
    assert sweep_until(machine, 20), "once it has loaded, nobody uses it"


@pytest.mark.parametrize("hang", ["sleep 1000", "python3 -c \"import socket, time; "
                                  "s = socket.create_server((\\\"127.0.0.1\\\", 8231)); time.sleep(1000)\""])
@pytest.mark.seconds(180)
def test_a_model_that_hangs_while_it_loads_is_stopped(machine, hang):
    model(machine, "m", hang, extra="START_TIMEOUT=1s\nIDLE_TIMEOUT=2s\n")
    machine.sh("systemctl start model@m.service")
    assert sweep_until(machine, 30)


# ---- through the router ----

def test_the_routers_answer_has_the_cause(machine):
    """As NGINX asks for a model that does not run."""
    model(machine, "m", "python3 -c \"raise OSError(28, \\\"No space left on device\\\")\"")
    status, _, body = machine.fastcgi("model-router", "POST", "/m/v1/chat/completions", HL_CALL="wake", HL_MODEL="m",
                                      HL_UPSTREAM_STATUS="502", HL_UPSTREAM_CONNECT_TIME="-", HL_COUNTS="1")
    error = json.loads(body)["error"]
    assert status == 503 and error["cause"] == "OSError: [Errno 28] No space left on device", body
    assert error["cause"] in error["message"]


def test_a_model_that_dies_with_a_request_tells_why(machine):
    code = "import socket, sys, time; s = socket.create_server((\\\"127.0.0.1\\\", 8231)); c, a = s.accept(); c.recv(99); " \
           "c.send(b\\\"HTTP/1.1 200 OK\\\\r\\\\nContent-Length: 0\\\\r\\\\n\\\\r\\\\n\\\"); c.close(); c, a = s.accept(); " \
           "c.recv(99); sys.exit(\\\"CUDA error: out of memory\\\")"
    machine.put("/usr/local/libexec/home-lab-services-demo/dies.py", code.replace('\\"', '"').replace("\\\\", "\\"))
    model(machine, "m", "python3 /usr/local/libexec/home-lab-services-demo/dies.py")
    assert start(machine, "m").status == 200
    with machine.connect(PORT) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(10) == b""
    status, _, body = machine.fastcgi("model-router", "POST", "/m/v1/chat/completions", HL_CALL="wake", HL_MODEL="m",
                                      HL_UPSTREAM_STATUS="502", HL_UPSTREAM_CONNECT_TIME="0.001", HL_COUNTS="1")
    error = json.loads(body)["error"]
    assert status == 502 and error["cause"] == "CUDA error: out of memory", body
