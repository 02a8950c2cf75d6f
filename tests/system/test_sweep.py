# SPDX-License-Identifier: MIT
"""The sweep of idle models: what nobody uses is stopped, what is in use never is, and it says why."""
import contextlib
import json
import os
import re
import threading
import time

from machines import ACTIVITY, INFERENCE, MODELS, MONITOR, PATIENCE, Stream, wait_until
from sweeps import PROGRAM, start, sweep, thresholds

LATE = 'START_TIMEOUT="1s"\n'  # of a program that never answers: after a second it does not count as loading any more


def dry_run(machine):
    """{model: (word, reason)} of the table that a person sees."""
    rows = [re.match(r"(\S+) .* (STOP|keep): (.*)", line) for line in machine.sh([PROGRAM, "--dry-run"], user="www-data").splitlines()]
    return {row[1]: (row[2], row[3]) for row in rows if row}


def why(machine, model):
    answer = machine.http("GET", MONITOR, f"/models/{model}/why")
    assert answer.status == 200, answer
    return answer.json


def decisions(machine, model):
    return [(each["decision"], each["reason"]) for each in why(machine, model)["decisions"]]


def wait_for_decisions(machine, model, *expected):
    """journald has them a moment after the sweep has ended."""
    wait_until(lambda: decisions(machine, model)[-len(expected):] == list(expected), 5, f"{model}: {expected}")


def idle(machine):
    return machine.http("GET", MONITOR, "/models/idle")["idle_models"]


def runs(machine, model):
    return machine.is_active(f"model@{model}.service")


def active_since(machine, model):
    """Seconds, on a clock that this program has too."""
    return int(machine.properties(f"model@{model}.service", "ActiveEnterTimestampMonotonic")
               ["ActiveEnterTimestampMonotonic"]) / 1e6


# ---- its life ----

def test_it_is_a_timer(machine):
    assert "model-idle-sweep.timer" in machine.sh("systemctl list-timers")
    assert machine.sh("systemctl is-enabled model-idle-sweep.timer").strip() == "enabled"
    unit = machine.sh("cat /usr/local/lib/systemd/system/model-idle-sweep.timer")
    assert "OnActiveSec=1min\nOnUnitInactiveSec=1min\n" in unit
    assert "Next sweep of idle models\n  in 23h" in machine.sh("home-lab-services status")
    machine.sh("systemctl stop home-lab-services.service")
    assert not machine.is_active("model-idle-sweep.timer")  # it comes and goes with the lab
    machine.sh("systemctl start home-lab-services.service")
    wait_until(lambda: machine.is_active("model-idle-sweep.timer"), 5, "the timer runs again")
    wait_until(lambda: len(machine.ports_open()) == 3, 10, "the ports are open again")


def test_idle_models_are_stopped_within_a_period(machine):
    thresholds(machine, 2)
    machine.model("lazy", 8310, extra=LATE)  # it has loaded: one that has not is looked at for a second
    machine.model("busy", 8311, command="sleep infinity", extra=LATE)
    start(machine, "lazy", "busy")
    since = active_since(machine, "lazy")
    machine.sweep_every("1s")
    try:
        while runs(machine, "lazy"):
            assert time.monotonic() < since + 2 + 1 + 1.5, "a threshold, a period, and a slow machine"
            machine.http("POST", MONITOR, "/models/busy/report")
            time.sleep(0.1)
        assert time.monotonic() > since + 2
        assert runs(machine, "busy")
    finally:
        machine.sweep_every("1d")
    assert decisions(machine, "lazy") == [("stop", "idle")]


def test_a_restart_of_ours_changes_no_clock(machine):
    thresholds(machine, 2)
    machine.model("lazy", 8310, command="sleep infinity", extra=LATE)
    start(machine, "lazy")
    since = active_since(machine, "lazy")
    machine.sh("systemctl restart home-lab-services.service; rm -rf /run/home-lab-services/model-idle-sweep")
    sweep(machine)
    time.sleep(max(0, since + 2.05 - time.monotonic()))
    sweep(machine)
    assert not runs(machine, "lazy")


def test_all_tell_the_same_at_every_moment(machine):
    """The dry run, /idle, /active and /why, while models become idle one by one."""
    thresholds(machine, 1)
    for number, span in enumerate(("500ms", "1s", "2s", "4s", "never")):
        machine.model(f"m{number}", 8320 + number, extra=f'IDLE_TIMEOUT="{span}"\n')
    models = [f"m{number}" for number in range(5)]
    start(machine, *models)
    machine.http("POST", MONITOR, "/models/m2/report")
    seen = set()
    ends = time.monotonic() + PATIENCE
    while ("m0", "m1", "m2", "m3") not in seen:
        assert time.monotonic() < ends, seen
        before = idle(machine)
        table = dry_run(machine)
        active = machine.http("GET", MONITOR, "/models/active")["active_models"]
        reasons = {model: why(machine, model) for model in models}
        if idle(machine) != before:
            continue  # one became idle in between
        assert [model for model in models if table[model][0] == "STOP"] == before
        assert [model for model in models if reasons[model]["decision"] == "stop"] == before
        assert not set(active) & set(before)
        seen.add(tuple(before))
    assert len(seen) >= 2, seen
    sweep(machine)
    assert [model for model in models if runs(machine, model)] == ["m4"]


# ---- in use, or not ----

class Unanswered(threading.Thread):
    """A request whose answer comes late, and all at once."""

    def __init__(self, machine, port, seconds):
        super().__init__(daemon=True)
        self.machine, self.port, self.seconds, self.status = machine, port, seconds, None
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            self.status = self.machine.http("POST", self.port, "/v1/completions",
                                            {"max_tokens": 2, "gap_seconds": self.seconds}).status


def test_what_is_in_use_is_never_stopped_and_what_is_not_is(machine):
    """All of them at once, with a threshold of a second, and clients that go past NGINX."""
    thresholds(machine, 1)
    ports = {name: 8330 + number for number, name in enumerate(
        ("streams", "pauses", "thinks", "connected", "kept-alive", "half-asked", "polled"))}
    for name, port in ports.items():
        machine.model(name, port)
        start(machine, name, query="?wait=none")
    for port in ports.values():
        machine.ready(port)
    streams = Stream(machine, ports["streams"], words=500, interval_ms=20)
    pauses = machine.open(ports["pauses"])
    pauses.request("POST", "/v1/completions", '{"stream": true, "max_tokens": 2, "gap_seconds": 8}')
    pauses = pauses.getresponse()
    assert pauses.readline().startswith(b"data: ")  # answered, and nothing moves: the model alone knows that it works
    thinks = Unanswered(machine, ports["thinks"], 8)
    connected = machine.connect(ports["connected"])
    kept_alive = machine.open(ports["kept-alive"])
    kept_alive.request("GET", "/v1/models")
    assert kept_alive.getresponse().read()
    half_asked = machine.connect(ports["half-asked"])
    half_asked.send(b"POST /v1/completions HTTP/1.1\r\n")

    began, stopped = time.monotonic(), {}
    while streams.is_alive():
        ends = time.monotonic()  # or later
        sweep(machine)
        machine.http("GET", INFERENCE, "/models/polled")  # which asks its health path
        for name in ports:
            if name not in stopped and not runs(machine, name):
                stopped[name] = time.monotonic() - began
        if thinks.is_alive():
            assert runs(machine, "thinks") and runs(machine, "pauses")
    over = time.monotonic()
    assert b"[DONE]" in streams.text and over - began > 9
    assert b"[DONE]" in pauses.read() and thinks.status == 200
    assert runs(machine, "streams") and "streams" not in stopped
    assert "connected" in stopped and stopped["connected"] < 4, stopped
    assert "polled" in stopped and stopped["polled"] < 4, stopped  # who asks after a model does not use it
    assert "half-asked" in stopped and "kept-alive" in stopped, stopped
    while runs(machine, "streams"):
        assert time.monotonic() < over + 1 + 3, "stopped one threshold after its end"
        sweep(machine)
    assert time.monotonic() > ends + 1
    assert {name for name in ports if ("keep", "in_flight") in decisions(machine, name)} >= {"pauses", "thinks"}
    assert [each for each in decisions(machine, "thinks")].count(("keep", "in_flight")) == 1  # said once
    for connection in connected, kept_alive, half_asked:
        connection.close()


def test_a_file_that_names_another_port_cuts_nothing(machine):
    """A server listens where its file told it at its start, whatever the file says now, and of whatever age it is."""
    thresholds(machine, 1)
    patient = 'START_TIMEOUT="5s"\n'  # enough for both to load, and over when the stream is
    machine.model("moved", 8338, extra=patient)
    machine.model("other", 8339, extra=patient)
    start(machine, "moved", "other", query="?wait=ready")
    stream = Stream(machine, 8338, words=300, interval_ms=20)
    machine.sh(f"cd {MODELS} && mv moved was && mv other moved && mv was other && touch --date=yesterday moved other")
    assert machine.http("GET", INFERENCE, "/models/moved")["in_flight"] == why(machine, "moved")["in_flight"] == 1
    for _ in range(5):
        sweep(machine)
        stream.join(0.3)
    assert stream.is_alive() and runs(machine, "moved")
    answer = machine.http("POST", INFERENCE, "/models/moved/stop?drain=20")
    stream.join(PATIENCE)
    assert answer["cut_requests"] == 0 and b"[DONE]" in stream.text

    def is_stopped():
        sweep(machine)
        return not runs(machine, "other")
    wait_until(is_stopped, PATIENCE, "nobody uses it")


def test_a_server_that_talks_to_itself_is_idle(machine):
    thresholds(machine, 1)
    machine.model("several", 8337, "--load-seconds 0 --inner-traffic")
    start(machine, "several", query="?wait=ready")
    time.sleep(1.05)
    sweep(machine)
    assert not runs(machine, "several")


def test_a_start_in_that_very_moment_is_served(machine):
    thresholds(machine, 1)
    machine.model("wanted", 8340)
    for _ in range(5):
        start(machine, "wanted", query="?wait=ready")
        time.sleep(1.05)
        running = machine.run("systemctl start --no-block model-idle-sweep.service")
        assert running.returncode == 0
        machine.http("POST", MONITOR, "/models/wanted/report")  # as whoever hands on a request does
        start(machine, "wanted", query="?wait=ready")
        assert machine.http("POST", 8340, "/v1/completions", {"max_tokens": 1}).status == 200
        wait_until(lambda: not machine.is_active("model-idle-sweep.service"), 5, "the sweep is over")
        assert runs(machine, "wanted")


def test_a_model_that_loads_is_not_idle(machine):
    """However short its IDLE_TIMEOUT is; but one that hangs is waited for no longer than its START_TIMEOUT."""
    thresholds(machine, 2)
    machine.model("loads", 8341, "--load-seconds 8", extra='START_TIMEOUT="30s"\n')
    machine.model("never", 8342, command="sleep 1000", extra='START_TIMEOUT="1s"\n')
    answers = []
    waits = threading.Thread(target=lambda: answers.append(machine.http("POST", INFERENCE, "/models/loads/start?wait=ready")))
    waits.start()
    start(machine, "never", query="?wait=none")
    while waits.is_alive():
        sweep(machine)
        waits.join(0.3)
    assert answers[0].status == 200, answers
    assert not runs(machine, "never") and not decisions(machine, "loads")

    def is_stopped():  # nobody has asked it anything
        sweep(machine)
        return not runs(machine, "loads")
    wait_until(is_stopped, 10, "it is idle once it has loaded")


# ---- what goes wrong ----

def test_one_bad_model_stops_nothing_for_the_others(machine):
    thresholds(machine, 600)
    names = ("deaf", "failed", "future", "gone", "good", "no-port", "pinned", "refused", "secret", "wrong")
    for number, name in enumerate(names):
        machine.model(name, None if name == "no-port" else 8350 + number, command="sleep infinity", extra=LATE)
    # It does nothing at all: who is busy, be it with the start of other programs, is taken for one that loads.
    machine.model("deaf", 8350, command="sh -c 'trap \\\"\\\" TERM; exec sleep infinity'", extra=LATE)
    machine.model("failed", 8351, command="false")
    machine.model("pinned", 8356, command="sleep infinity", extra='IDLE_TIMEOUT="never"\n')
    machine.model("wrong", 8359, command="sleep infinity", extra='IDLE_TIMEOUT="soon"\nPORT="x"\n')
    drop_ins = {"deaf": "[Service]\nTimeoutStopSec=2\n", "refused": "[Unit]\nRefuseManualStop=yes\n"}
    for name, text in drop_ins.items():
        machine.put(f"/run/systemd/system/model@{name}.service.d/tests.conf", text)
    machine.sh("systemctl daemon-reload")
    try:
        for name in names:
            machine.http("POST", INFERENCE, f"/models/{name}/start?wait=none")
        wait_until(lambda: machine.is_active(*(f"model@{name}.service" for name in names if name != "failed")), 10, "they run")
        wait_until(lambda: why(machine, "failed")["reason"] == "failed", 5, "it has failed")
        machine.path(f"{MODELS}/secret").chmod(0)
        tomorrow = time.time() + 86400
        machine.path(f"{ACTIVITY}/future").touch()
        os.utime(machine.path(f"{ACTIVITY}/future"), (tomorrow, tomorrow))  # a clock was set back
        machine.sh(f"chown home-lab-services: {ACTIVITY}/future")
        sweep(machine)  # and from now on it ages
        machine.path(f"{MODELS}/gone").unlink()
        thresholds(machine, 0.5)
        wait_until(lambda: {name for name, (word, _) in dry_run(machine).items() if word == "STOP"} ==
                   {"deaf", "future", "good", "refused"}, 20, "nobody has used them for so long, and they do not load")
        sweep(machine)
        assert {name for name in names if runs(machine, name)} == {"gone", "no-port", "pinned", "refused", "secret", "wrong"}
        for name in "good", "future", "deaf":
            wait_for_decisions(machine, name, ("stop", "idle"))
        assert decisions(machine, "good") == decisions(machine, "future") == [("stop", "idle")]
        wait_for_decisions(machine, "refused", ("stop_failed", "idle"))
        for name, reason in (("failed", "failed"), ("no-port", "no_port"), ("pinned", "pinned"), ("secret", "unreadable"),
                             ("wrong", "no_port"), ("good", "stopped")):
            now = why(machine, name)
            assert (now["decision"], now["reason"]) == ("keep", reason), now
        assert machine.properties("model-idle-sweep.service", "Result")["Result"] == "success"
    finally:
        for name in drop_ins:
            machine.path(f"/run/systemd/system/model@{name}.service.d/tests.conf").unlink()
        machine.sh("systemctl daemon-reload")


def test_a_wrong_configuration_stops_nothing(machine):
    machine.model("lazy", 8310, command="sleep infinity", extra=LATE + 'IDLE_TIMEOUT="10ms"\n')
    start(machine, "lazy")
    machine.put("/etc/home-lab-services/config.json", "{")
    assert machine.run("systemctl start model-idle-sweep.service").returncode != 0
    assert machine.run([PROGRAM, "--dry-run"]).returncode == 78
    assert runs(machine, "lazy")
    machine.sweep_every("300ms")
    try:
        wait_until(lambda: "nothing is stopped" in machine.sh("journalctl -t model-idle-sweep -n 1"), 5, "it has failed by itself")
        machine.path("/etc/home-lab-services/config.json").unlink()
        wait_until(lambda: not runs(machine, "lazy"), 5, "it comes again, and does its work")
    finally:
        machine.sweep_every("1d")
    assert machine.run([PROGRAM, "--help"]).stdout.startswith("Usage: model-idle-sweep")
    assert machine.run([PROGRAM, "--wet-run"]).returncode == 64
    assert machine.run([PROGRAM]).returncode == 64  # by root its files would be root's


def test_a_stop_that_could_not_be_queued_is_not_queued_later(machine):
    """polkit hangs when the sweep wants to stop two models. When it wakes up again, one of them is in use."""
    for name, port in ("first", 8360), ("second", 8361):
        machine.model(name, port, extra='IDLE_TIMEOUT="100ms"\n')
        start(machine, name, query="?wait=ready")
    polkitd = int(machine.sh("pidof polkitd"))
    time.sleep(0.2)  # they are idle
    machine.sh(f"kill -STOP {polkitd}")
    try:
        machine.sh("systemctl start --no-block model-idle-sweep.service")
        wait_until(lambda: decisions(machine, "first") == [("stop_failed", "idle")], 20, "the sweep gives up the first one")
        stream = Stream(machine, 8360, words=60, interval_ms=50)
    finally:
        machine.sh(f"kill -CONT {polkitd}")
    stream.join(20)
    wait_until(lambda: not machine.is_active("model-idle-sweep.service"), 20, "the sweep is over")
    assert b"[DONE]" in stream.text and runs(machine, "first")


# ---- what it says ----

def test_why(machine):
    thresholds(machine, 600)
    machine.model("lone", 8360, command="sleep infinity", extra=LATE)
    assert machine.http("GET", MONITOR, "/models/nobody/why").status == 404
    start(machine, "lone")
    time.sleep(1.1)
    now = why(machine, "lone")
    assert (now["state"], now["decision"], now["reason"]) == ("loading", "keep", "recently_used")  # it answers nobody
    assert now["idle_seconds"] <= 2 and now["threshold_seconds"] == 600 and now["in_flight"] == 0 and now["stops_at"]
    assert "not longer than 10min" in now["explanation"] and now["decisions"] == []
    thresholds(machine, 0.1)
    sweep(machine)
    now = why(machine, "lone")
    assert (now["state"], now["reason"], now["stops_at"]) == ("unloaded", "stopped", None)
    decision, = now["decisions"]
    assert (decision["decision"], decision["reason"], decision["in_flight"]) == ("stop", "idle", 0)
    assert decision["message"].startswith("lone: stop: unused for") and decision["time"]

    entry = json.loads(machine.sh("journalctl -t model-idle-sweep -o json -n 1 HL_MODEL=lone"))
    assert len(entry["MESSAGE_ID"]) == 32 and entry["HL_DECISION"] == "stop" and entry["HL_REASON"] == "idle"
    assert entry["HL_IN_FLIGHT"] == "0" and entry["HL_IDLE_SECONDS"].isdigit() and entry["HL_THRESHOLD_SECONDS"] == "0"
    lie = "\n".join(f"{key}={entry[key]}" for key in ("MESSAGE_ID", "HL_MODEL", "HL_DECISION")) + "\nMESSAGE=a lie\n"
    machine.run(["sh", "-c", f"printf %s '{lie}' | logger --journald"])  # by root: no decision of ours
    assert len(why(machine, "lone")["decisions"]) == 1


def test_a_quiet_sweep_says_nothing(machine):
    marker = machine.sh("journalctl --no-pager -n 1 --show-cursor | sed -n 's/^-- cursor: //p'").strip()
    sweep(machine)
    assert machine.sh(["journalctl", "--no-pager", "--quiet", f"--after-cursor={marker}", "-u", "model-idle-sweep.service"]) == ""


def test_metrics(machine):
    machine.model("m", 8361)
    start(machine, "m", query="?wait=ready")
    machine.http("POST", MONITOR, "/models/m/report")
    stats = machine.http("GET", 8361, "/stats")["requests"]
    thresholds(machine, 0.1)  # over its time: elsewhere it may be asked now
    held = machine.connect(8361)
    answer = machine.http("GET", MONITOR, "/metrics")
    held.close()
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    assert 'hls_model_state{model="m",state="loaded"} 1\n' in text and 'hls_model_state{model="tiny-llama",state="unloaded"} 1\n' in text
    assert 'hls_model_inflight{model="m"} 0\n' in text and 'hls_model_idle_seconds{model="m"} ' in text
    assert 'hls_model_idle_seconds{model="tiny-llama"}' not in text
    assert "\nhls_shutdown_scheduled_timestamp_seconds{" not in text
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) hls_\w+ .+|hls_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [0-9.e+]+', line), line
    assert machine.http("GET", 8361, "/stats")["requests"] == stats | {"/stats": stats["/stats"] + 1}  # it noticed nothing


# ---- the logs of a model ----

# ---- what it costs ----

def test_a_thousand_models(machine, figure):
    """1,000 files, of which 100 run and were never used: nothing of the activity folder helps."""
    machine.put("/run/systemd/system/crowd@.service", "[Service]\nExecStart=sleep infinity\n")
    machine.sh("systemctl daemon-reload")
    machine.config(inference={"unit_template": "crowd@%s.service"})
    machine.sh(f"cd {MODELS} && for i in $(seq 1000); do echo \"PORT=$((20000 + i))\" >crowd-$i; done")
    machine.sh("systemctl start $(seq -f 'crowd@crowd-%g.service' 100)")
    try:
        assert len(idle(machine)) == 0
        for _ in range(2):
            sweep(machine)
            said = machine.properties("model-idle-sweep.service", "StatusText", "CPUUsageNSec")
            count, calls, own_ms = map(int, re.findall(r"\d+", said["StatusText"]))
            all_ms = int(said["CPUUsageNSec"]) / 1e6
            figure(f"a sweep over {count} models, 100 of them running: {calls} calls of the bus, {own_ms} ms of CPU, "
                   f"{all_ms:.0f} ms with systemd's making of its sandbox")
            assert count == 1003 and calls <= 5 and own_ms < 100 and all_ms < 200
        assert why(machine, "crowd-1")["reason"] == "recently_used"
    finally:
        machine.sh("systemctl stop 'crowd@*.service'; rm /run/systemd/system/crowd@.service; systemctl daemon-reload")


def test_where_no_model_is_up_no_process_is_started(machine):
    """But where somebody has said something of how to sweep."""
    def starts_one():
        sweep(machine)
        return machine.properties("model-idle-sweep.service", "ConditionResult")["ConditionResult"] == "yes"

    machine.run("systemctl stop 'model@*.service'; rm -f /etc/home-lab-services/config.json")
    assert not starts_one()
    start(machine, "tiny-llama")
    assert starts_one()
    machine.sh("systemctl stop model@tiny-llama.service")
    assert not starts_one()
    machine.config(monitoring={"host_idle_minutes": 600})
    assert starts_one()
