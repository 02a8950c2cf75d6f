# SPDX-License-Identifier: MIT
"""Models: units of systemd's, started and stopped by a user who may do nothing else."""
import contextlib
import json
import subprocess
import tempfile
import time

import pytest

from machines import INFERENCE, MODELS, PATIENCE, Stream, wait_until


def post(machine, model, verb, query=""):
    return machine.http("POST", INFERENCE, f"/models/{model}/{verb}{query}", timeout=60)


def detail(machine, model):
    answer = machine.http("GET", INFERENCE, f"/models/{model}")
    assert answer.status == 200, answer
    return answer.json


def running(machine):
    return machine.http("GET", INFERENCE, "/models/running")["running_models"]


def model_units(machine):
    return machine.sh("systemctl list-units --all --plain --no-legend 'model@*'")


# ---- the catalogue ----

def test_the_catalogue_has_each_model_with_its_port_and_unit(machine):
    models = {model["model_name"]: model for model in machine.http("GET", INFERENCE, "/models")["models"]}
    assert {name: model["port"] for name, model in models.items()} == {"tiny-llama": 8198, "qwen2.5-0.5b:q4": 8199,
                                                                       "whisper.cpp": 8200}
    assert models["tiny-llama"] == {"model_name": "tiny-llama", "file_path": f"{MODELS}/tiny-llama", "port": 8198,
                                    "unit": "model@tiny-llama.service"}
    assert running(machine) == []


def test_a_file_is_a_model_at_once_and_no_longer(machine):
    machine.model("fresh", command="sleep infinity")
    assert detail(machine, "fresh")["port"] is None
    machine.path(f"{MODELS}/fresh").unlink()
    assert machine.http("GET", INFERENCE, "/models/fresh").status == 404


def test_an_unknown_model(machine):
    for method, path in ("GET", ""), ("POST", "/start"), ("POST", "/stop"), ("POST", "/restart"):
        answer = machine.http(method, INFERENCE, "/models/nobody" + path)
        assert answer.status == 404 and answer["code"] == "model_not_found", answer
    assert model_units(machine) == ""


def test_a_unit_without_a_file_is_none_of_ours(machine):
    machine.put("/run/systemd/system/model@ghost.service", "[Service]\nExecStart=sleep infinity\n")
    machine.sh("systemctl daemon-reload && systemctl start model@ghost.service")
    try:
        assert machine.http("GET", INFERENCE, "/models/ghost").status == 404
        for verb in "start", "stop", "restart":
            assert post(machine, "ghost", verb).status == 404
        assert running(machine) == []
        assert machine.is_active("model@ghost.service")
    finally:
        machine.sh("systemctl stop model@ghost.service; rm /run/systemd/system/model@ghost.service; systemctl daemon-reload")


@pytest.mark.parametrize("name, status", [
    ("ssh.service", 404), ("x" * 128, 404),  # names like any other, of no model
    ("..%2fx", 400), ("..%2F..%2Fetc%2Fpasswd", 400), ("%2e%2e", 400), ("..", 400), ("x@y", 400), ("model%40x", 400),
    ("x" * 129, 400), ("x%00y", 400), ("x%0ay", 400), ("x%5cx2f", 400), ("-x", 400), ("%25n", 400), ("x%20y", 400),
    ("x;id", 400), ("$(id)", 400), ("%c3%a4", 400), ("tiny-llama%00", 400), ("tiny-llama.service%20", 400),
    ("%2e%2e/x", 404), ("../x", 404), ("x/../tiny-llama", 404)])  # no route
def test_names_that_try_to_escape(machine, name, status):
    for method, path in ("GET", ""), ("POST", "/start"), ("POST", "/stop"):
        answer = machine.http(method, INFERENCE, f"/models/{name}{path}")
        assert answer.status == status and answer["status"] == "error", answer
        if "/" not in name and "%00" not in name:
            assert answer["code"] == ("model_not_found" if status == 404 else "invalid_model_name"), answer
    assert model_units(machine) == ""


def test_what_a_request_may_not_say(machine):
    for path in ("start?wait=maybe", "start?wiat=none", "stop?drain=-1", "stop?drain=1e3", "stop?drain=", "stop?drain=999999",
                 "stop?wait=ready", "start?drain=1",
                 "start?wait=none&wait=job", "stop?drain"):
        answer = machine.http("POST", INFERENCE, f"/models/tiny-llama/{path}")
        assert answer.status == 400, (path, answer)
    assert machine.http("POST", INFERENCE, "/models/tiny-llama/start", {"now": True}).status == 400
    assert machine.http("GET", INFERENCE, "/models/tiny-llama/start").status == 405
    assert running(machine) == []


# ---- a model's life ----

def test_from_start_to_stop(machine):
    assert detail(machine, "tiny-llama")["state"] == "unloaded"
    assert post(machine, "tiny-llama", "start").status == 200
    assert running(machine) == ["tiny-llama"]
    loading = detail(machine, "tiny-llama")
    assert loading["state"] == "loading" and loading["port"] == 8198 and loading["in_flight"] == 0
    assert loading["pid"] == int(machine.properties("model@tiny-llama.service", "MainPID")["MainPID"]) > 1
    assert machine.sh(["ps", "-o", "user:32=", "-p", str(loading["pid"])]).strip() == "home-lab-models"

    wait_until(lambda: detail(machine, "tiny-llama")["state"] == "loaded", PATIENCE, "tiny-llama is loaded")
    assert post(machine, "tiny-llama", "start").status == 200  # runs already: nothing happens
    assert detail(machine, "tiny-llama")["pid"] == loading["pid"]

    assert post(machine, "tiny-llama", "restart").status == 200
    again = detail(machine, "tiny-llama")
    assert again["pid"] != loading["pid"] and again["state"] == "loading"

    assert post(machine, "tiny-llama", "stop").status == 200
    over = detail(machine, "tiny-llama")
    assert over["state"] == "unloaded" and over["pid"] is None and over["last_result"] == "success"
    assert running(machine) == []
    assert post(machine, "tiny-llama", "stop").status == 200
    assert machine.failed_units() == ""


def test_names_with_dots_colons_and_dashes(machine):
    for name in "qwen2.5-0.5b:q4", "whisper.cpp", "A" + "b" * 127, "a-b_c.d:e":
        machine.model(name, command="sleep infinity")
        assert post(machine, name, "start").status == 200
        assert running(machine) == [name]
        assert detail(machine, name)["state"] == "loaded"  # no port: runs is all there is to know
        assert post(machine, name.replace("-", "%2D"), "stop").status == 200
    assert running(machine) == []


def test_what_others_do_is_seen(machine):
    machine.model("own", command="sleep infinity")
    machine.sh("systemctl start model@own.service")
    assert running(machine) == ["own"]
    machine.sh("systemctl stop model@own.service")
    assert running(machine) == []


def test_wait_until_ready(machine):
    machine.model("slow", 8301, "--load-seconds 1.5")
    began = time.monotonic()
    answer = post(machine, "slow", "start", "?wait=ready")
    assert answer.status == 200 and time.monotonic() - began > 1.4, answer
    assert machine.http("GET", 8301, "/health").status == 200
    assert detail(machine, "slow")["state"] == "loaded"
    assert machine.http("GET", 8301, "/stats")["requests"].keys() <= {"/health", "/stats"}


def test_never_ready_is_a_timeout_and_goes_on(machine):
    machine.model("dreamer", 8302, "--never-ready", extra='START_TIMEOUT="1500ms"\n')
    began = time.monotonic()
    answer = post(machine, "dreamer", "start", "?wait=ready")
    assert answer.status == 504 and answer["code"] == "not_ready" and "dreamer" in answer["message"], answer
    assert 1 < time.monotonic() - began < 6
    assert running(machine) == ["dreamer"] and detail(machine, "dreamer")["state"] == "loading"


def test_exits_at_the_start(machine):
    machine.model("stillborn", 8303, "--exit-code-at-start 3")
    answer = post(machine, "stillborn", "start", "?wait=ready")
    assert answer.status == 502 and answer["code"] == "start_failed", answer
    assert "exit-code, status 3" in answer["message"], answer
    after = detail(machine, "stillborn")
    assert (after["state"], after["last_result"], after["last_exit_status"]) == ("failed", "exit-code", 3)
    assert running(machine) == []


def test_cannot_start_at_all(machine):
    machine.model("empty", command="")
    machine.model("missing", command="/no/such/program --port 1")
    for name in "empty", "missing":
        answer = post(machine, name, "start")
        assert answer.status == 502 and answer["code"] == "start_failed" and f"model@{name}" in answer["message"], answer
    assert "COMMAND is missing" in machine.sh("journalctl -u model@empty.service")


def test_a_model_that_crashed_is_failed_and_starts_again(machine):
    machine.model("fragile", 8304)
    assert post(machine, "fragile", "start", "?wait=ready").status == 200
    with pytest.raises(OSError):
        machine.http("POST", 8304, "/crash")
    wait_until(lambda: detail(machine, "fragile")["state"] == "failed", PATIENCE, "the crash is seen")
    assert detail(machine, "fragile")["last_result"] == "exit-code"
    assert post(machine, "fragile", "start", "?wait=ready").status == 200  # and it can be started again


def test_who_waits_for_nothing_is_answered_at_once(machine):
    began = time.monotonic()
    answer = post(machine, "tiny-llama", "start", "?wait=none")
    assert answer.status == 202 and time.monotonic() - began < 2.5, answer
    wait_until(lambda: running(machine) == ["tiny-llama"], PATIENCE, "it starts all the same")
    assert post(machine, "tiny-llama", "stop", "?wait=none").status == 202
    wait_until(lambda: running(machine) == [], PATIENCE, "it stops all the same")


def test_drain_lets_a_stream_finish(machine):
    machine.model("speaker", 8305)
    assert post(machine, "speaker", "start", "?wait=ready").status == 200
    stream = Stream(machine, 8305, words=30, interval_ms=50)
    assert detail(machine, "speaker")["in_flight"] == 1
    answer = post(machine, "speaker", "stop", "?drain=20")
    assert answer.status == 200 and answer["cut_requests"] == 0, answer
    stream.join(5)
    assert b"word30" in stream.text and b"[DONE]" in stream.text
    assert running(machine) == []


def test_a_drain_ends_in_time_and_cuts_what_is_left(machine):
    machine.model("speaker", 8305)
    assert post(machine, "speaker", "start", "?wait=ready").status == 200
    stream = Stream(machine, 8305, words=2000, interval_ms=50)
    began = time.monotonic()
    answer = post(machine, "speaker", "stop", "?drain=1")
    assert answer.status == 200 and answer["cut_requests"] == 1, answer
    assert 0.8 < time.monotonic() - began < 5
    stream.join(5)
    assert b"[DONE]" not in stream.text
    assert running(machine) == []


def test_in_flight_counts_requests_and_not_connections(machine):
    machine.model("speaker", 8305)
    assert post(machine, "speaker", "start", "?wait=ready").status == 200
    with contextlib.closing(machine.connect(8305)):  # says nothing
        assert detail(machine, "speaker")["in_flight"] == 0
        streams = [Stream(machine, 8305, words=1000, interval_ms=20) for _ in range(3)]
        assert detail(machine, "speaker")["in_flight"] == 3
    post(machine, "speaker", "stop")
    for stream in streams:
        stream.join(5)


FORGER = """
import socket, time
def connect(source, said):
    connection = socket.socket()
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", 8305))
    connection.send(said)
    return connection
connections = [connect("127.110.103.120", b"")]  # NGINX's
connections += [connect("127.104.108.115", b"GET / HTTP/1.1\\r\\nX-Slow: ") for _ in range(2)]  # where our own questions come from
time.sleep(1000)
"""


def test_a_model_passes_neither_for_nginx_nor_for_us(machine):
    """A silent connection of NGINX's is a request, and our own questions are none. Who connects is seen by the services of both
    doors, one of which knows no users."""
    machine.model("speaker", 8305)
    machine.put("/opt/forger.py", FORGER)
    machine.model("forger", command="python3 /opt/forger.py")
    assert post(machine, "speaker", "start", "?wait=ready").status == 200
    post(machine, "forger", "start")
    wait_until(lambda: len(machine.sh("ss -Htn state established 'dst 127.0.0.1:8305'").splitlines()) == 3, PATIENCE, "it connects")
    assert detail(machine, "speaker")["in_flight"] == 2
    assert json.loads(machine.fastcgi("inference-service", "GET", "/models/speaker")[2])["in_flight"] == 2
    for source, in_flight in ("127.110.103.120", 3), ("127.104.108.115", 2):  # of another program they count as what they say
        with contextlib.closing(machine.network.socket()) as connection:
            connection.bind((source, 0))
            connection.connect(("127.0.0.1", 8305))
            connection.send(b"GET / HTTP/1.1\r\nX-Slow: ")
            assert detail(machine, "speaker")["in_flight"] == in_flight


# ---- what the services' user may do ----

MANAGER = "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager "
FORBIDDEN = [
    "StartUnit ss ssh.service replace", "StopUnit ss ssh.service replace", "StopUnit ss nginx.service replace",
    "RestartUnit ss nginx.service replace", "StartUnit ss poweroff.target replace", "StartUnit ss reboot.target replace",
    "StopUnit ss home-lab-services.service replace", "StopUnit ss dbus.service replace",
    "StopUnit ss model@tiny-llama.socket replace", "StartUnit ss 'model@a\\x2fb.service' replace",
    "StartUnit ss model@a@b.service replace", "KillUnit ssi model@victim.service all 9",
    "KillUnit ssi dbus.service all 9", "ReloadUnit ss model@victim.service replace", "ResetFailed",
    "ResetFailedUnit s model@victim.service", "FreezeUnit s model@victim.service",
    "SetUnitProperties 'sba(sv)' model@victim.service true 1 MemoryMax t 1000000",
    "StartTransientUnit 'ssa(sv)a(sa(sv))' model@evil.service replace 1 ExecStart 'a(sasb)' 1 /bin/id 1 id false 0",
    "StartTransientUnit 'ssa(sv)a(sa(sv))' evil.service replace 1 ExecStart 'a(sasb)' 1 /bin/id 1 id false 0",
    "Reload", "Reexecute", "PowerOff", "SetEnvironment as 1 A=b", "EnableUnitFiles asbb 1 nginx.service false false",
    "MaskUnitFiles asbb 1 nginx.service false false", "LinkUnitFiles asbb 1 /tmp/evil.service false false"]


def as_the_user(machine, script):
    """As the user, in no unit of systemd's."""
    return machine.run(script, user="home-lab-services")


def in_a_unit_of_its_own(machine, script):
    return machine.run(["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--uid=home-lab-services", "sh", "-c", script])


def in_the_handlers_unit(machine, script):
    """As what a handler could do that somebody took over: the same user in the same unit."""
    connection = machine.open(INFERENCE)
    try:
        connection.request("GET", "/health")
        connection.getresponse().read()
        group = machine.sh("cat /proc/$(pgrep --exact --newest inference-servi)/cgroup").strip().split("::")[1]
        assert "inference-service@" in group
        return machine.run(["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "sh", "-c",
                            f"echo 0 >'/sys/fs/cgroup{group}/cgroup.procs' && "
                            "exec setpriv --reuid=home-lab-services --regid=home-lab-services --init-groups --no-new-privs "
                            'sh -c "$1"', "sh", script])
    finally:
        connection.close()


@pytest.mark.parametrize("place", [as_the_user, in_a_unit_of_its_own, in_the_handlers_unit])
def test_polkit_alone_refuses(machine, place):
    machine.model("victim", command="sleep infinity")
    post(machine, "victim", "start")
    done = place(machine, "\n".join(f'echo "> $({MANAGER}{call} 2>&1)"' for call in FORBIDDEN))
    answers = [line for line in done.stdout.splitlines() if line.startswith("> ")]
    assert len(answers) == len(FORBIDDEN), done
    assert {call: answer for call, answer in zip(FORBIDDEN, answers) if "Access denied" not in answer} == {}
    assert "evil" not in machine.sh("systemctl list-units --all")
    assert place(machine, "systemctl daemon-reload").returncode != 0
    assert running(machine) == ["victim"]
    assert machine.is_active("home-lab-services.service", "dbus.service")


def test_what_the_rule_gives_it_gives_to_the_inference_service(machine):
    machine.model("meek", command="sleep infinity")
    done = in_the_handlers_unit(machine, MANAGER + "StartUnit ss model@meek.service replace")
    assert done.returncode == 0, done
    wait_until(lambda: running(machine) == ["meek"], PATIENCE, "the model runs")


# ---- many models ----

def method_calls(machine, path):
    """A request's answer and the bus calls that it makes, as {member: count}."""
    with tempfile.TemporaryFile("w+") as output:
        monitor = subprocess.Popen(machine.argv(["setpriv", "--pdeathsig=KILL", "stdbuf", "-oL", "busctl", "--system", "monitor",
                                                 "--json=short"]), stdin=subprocess.DEVNULL, stdout=output)

        def seen(name):
            machine.run(f"busctl call org.freedesktop.DBus / org.freedesktop.DBus NameHasOwner s {name}")
            output.seek(0)
            return name in output.read()
        try:
            wait_until(lambda: seen("it.begins"), PATIENCE, "the monitor listens")
            answer = machine.http("GET", INFERENCE, path)
            assert answer.status == 200, answer
            wait_until(lambda: seen("it.ends"), PATIENCE, "the monitor has heard it all")
        finally:
            monitor.kill()
            monitor.wait()
        output.seek(0)
        senders = {}
        for line in output.read().splitlines():
            with contextlib.suppress(ValueError):  # the last line may be cut
                message = json.loads(line)
                if message["type"] == "method_call":
                    calls = senders.setdefault(message["sender"], {})
                    calls[message["member"]] = calls.get(message["member"], 0) + 1
    handlers = [calls for calls in senders.values() if "ListUnitsByPatterns" in calls]
    assert len(handlers) == 1, senders
    return answer, handlers[0]


@pytest.fixture
def no_updater(machine):
    """It looks at models, too, when they change."""
    machine.sh("systemctl stop nginx-config-updater.path nginx-config-updater.timer nginx-config-updater.service")
    yield
    machine.sh("systemctl start nginx-config-updater.path nginx-config-updater.timer")


def test_fifty_models_cost_no_more_bus_calls_than_five(machine, no_updater):
    machine.sh(f"rm {MODELS}/*")
    for number in range(5):
        machine.model(f"m{number:02}", command="sleep infinity")
    _, few = method_calls(machine, "/models/running")

    names = [f"m{number:02}" for number in range(50)]
    for name in names[5:]:
        machine.model(name, command="sleep infinity")
    connection = machine.open(INFERENCE)  # one handler starts them all
    for name in names[:20]:
        connection.request("POST", f"/models/{name}/start?wait=none")
        response = connection.getresponse()
        response.read()
        assert response.status == 202
        if response.headers["Connection"] == "close":
            connection = machine.open(INFERENCE)
    connection.close()
    wait_until(lambda: running(machine) == names[:20], PATIENCE, "twenty models run")
    answer, many = method_calls(machine, "/models/running")
    assert answer["running_models"] == names[:20]
    assert few == many and sum(many.values()) <= 3, (few, many)

    assert len(machine.http("GET", INFERENCE, "/models")["models"]) == 50
