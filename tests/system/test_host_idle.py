# SPDX-License-Identifier: MIT
"""The host: switched off when nobody uses it, with a warning, once, and never under somebody's hands."""
import json
import time

import pytest

from machines import ACTIVITY, ETC, INFERENCE, MODELS, MONITOR, PATIENCE, SHUTDOWN, SOURCE, on_trixie_alone, tool, wait_until
from sweeps import PROGRAM, SECOND, start, sweep, thresholds

pytestmark = pytest.mark.slow  # a host that is idle is waited for again and again
HOST_IDLE_SECONDS = 6
STATE = "/run/home-lab-services/model-idle-sweep/memory"
HOST_STATE = "/run/home-lab-services/model-idle-sweep-host/memory"


@pytest.fixture(scope="module")
def host(make_machine):
    """A machine that may be switched off."""
    own = make_machine()
    tool("demo", own.name)
    own.sh(f"cc -o /usr/local/bin/session {SOURCE}/tests/system/session.c -lsystemd")
    own.sweep_every("1d")
    return own


def host_decisions(machine):
    text = machine.sh("journalctl -t model-idle-sweep -o json --no-pager --quiet | cat")
    entries = [json.loads(line) for line in text.splitlines()]
    return [(entry["HL_DECISION"], entry["HL_REASON"]) for entry in entries if "HL_DECISION" in entry and "HL_MODEL" not in entry]


def after_idle(machine):
    """The host has been idle for long enough, by the sweep's own memory; then one sweep, which goes on looking until the
    end, because that is so near."""
    def unused():
        machine.sh("systemctl start --no-block model-idle-sweep.service")
        return machine.scheduled()
    return wait_until(unused, HOST_IDLE_SECONDS + 6, "it is scheduled")


def called_off(machine, decision, reason):
    """By the sweep that runs, in the last moments."""
    wait_until(lambda: host_decisions(machine)[-1] == (decision, reason), PATIENCE, f"{decision}: {reason}")
    assert machine.scheduled() is None
    wait_until(lambda: not sweeping(machine), PATIENCE, "that sweep is over")


def sweeping(machine):
    return machine.properties("model-idle-sweep.service", "ActiveState")["ActiveState"] == "activating"


def stays_on(machine, reason):
    assert reason in machine.sh([PROGRAM, "--dry-run"]).splitlines()[-1]
    sweep(machine)
    assert machine.scheduled() is None


@on_trixie_alone
def test_the_host_is_switched_off_once_and_cancelled(host):
    thresholds(host, 600)
    sweep(host)
    assert "never switched off" in host.sh([PROGRAM, "--dry-run"])
    thresholds(host, 600, host_idle_minutes=HOST_IDLE_SECONDS * SECOND, host_idle_action="reboot")
    began = time.monotonic()
    action, usec = after_idle(host)
    assert action == "reboot" and time.monotonic() - began > 1
    assert 0 < usec / 1e6 - time.time() <= HOST_IDLE_SECONDS
    time.sleep(2.5)  # it has looked again
    assert sweeping(host) and host.scheduled() == (action, usec) and host_decisions(host) == [("schedule", "idle")]  # once
    following = host.http("GET", SHUTDOWN, "/shutdown/next")["shutdown"]
    assert following["action"] == "reboot" and following["source"] == "api"
    assert host.http("POST", SHUTDOWN, "/shutdown/cancel").status == 200
    called_off(host, "keep", "called_off")
    time.sleep(HOST_IDLE_SECONDS)
    stays_on(host, "called_off")  # however long nobody uses it, until somebody does
    assert host_decisions(host)[1:] == [("keep", "called_off")]


@on_trixie_alone
def test_the_host_stays_on(host):
    """While somebody is logged in, inhibits it, or uses a model; what was scheduled is called off then, to the last moment."""
    thresholds(host, 600, host_idle_minutes=HOST_IDLE_SECONDS * SECOND)
    host.http("POST", MONITOR, "/models/tiny-llama/report")
    stays_on(host, "in_use")
    after_idle(host)
    host.http("POST", MONITOR, "/models/tiny-llama/report")
    called_off(host, "cancel", "in_use")

    host.sh("systemd-run --quiet --unit=inhibitor systemd-inhibit --what=shutdown --who=backup --why=nightly sleep infinity")
    wait_until(lambda: "backup" in host.sh("systemd-inhibit --list"), PATIENCE, "it is inhibited")
    time.sleep(HOST_IDLE_SECONDS)
    stays_on(host, "inhibited: backup inhibits it: nightly")
    host.sh("systemctl stop inhibitor.service")
    after_idle(host)
    host.sh("systemd-run --quiet --unit=login /usr/local/bin/session")
    wait_until(lambda: host.run("loginctl --no-legend").stdout, PATIENCE, "root is logged in")
    called_off(host, "cancel", "user_logged_in")
    stays_on(host, "user_logged_in: root is logged in")
    host.sh("systemctl stop login.service")
    wait_until(lambda: "user_logged_in" not in host.sh([PROGRAM, "--dry-run"]), PATIENCE, "nobody is logged in")

    host.on_terminal("shutdown +5")
    before = host.scheduled()
    sweep(host)
    assert host.scheduled() == before  # somebody else's stays
    host.sh("shutdown -c")
    host.model("unknown", command="sleep infinity")
    start(host, "unknown")
    stays_on(host, "in_use")  # nobody can tell whether a model without a port is in use
    host.http("POST", INFERENCE, "/models/unknown/stop")


def test_who_has_left_a_process_behind_is_not_there(host):
    """To logind, whoever switches a host off while there is such a session needs another right."""
    thresholds(host, 600, host_idle_minutes=HOST_IDLE_SECONDS * SECOND)
    host.sh("systemd-run --quiet --unit=login /usr/local/bin/session 1000")
    wait_until(lambda: host.run("pgrep -f '^sleep 1000$'").stdout, PATIENCE, "root is logged in, and has started a process")
    host.sh("systemctl stop login.service")
    wait_until(lambda: "closing" in host.sh("loginctl show-session $(loginctl --no-legend | awk '{ print $1 }') --property=State"),
               PATIENCE, "root has logged out")
    after_idle(host)
    host.http("POST", MONITOR, "/models/tiny-llama/report")
    called_off(host, "cancel", "in_use")
    host.sh("pkill -f '^sleep 1000$'")


def test_a_suspend_calls_it_off(host):
    """Machines like this one cannot be suspended: so much of it as there is."""
    hook = "model-idle-sweep-before-sleep.service"
    assert hook in host.properties("sleep.target", "Wants")["Wants"] and "sleep.target" in host.properties(hook, "Before")["Before"]
    host.sh(["systemctl", "start", hook])  # nothing is scheduled
    thresholds(host, 600, host_idle_minutes=HOST_IDLE_SECONDS * SECOND)
    after_idle(host)
    host.sh(["systemctl", "start", hook])
    called_off(host, "cancel", "goes_to_sleep")
    after_idle(host)  # and not for good
    host.http("POST", MONITOR, "/models/tiny-llama/report")
    called_off(host, "cancel", "in_use")
    assert host.failed_units() == ""


@pytest.fixture
def scheduled(host):
    """It is to be switched off in a minute, by a sweep that believes it unused since it was booted, and stays on in the end."""
    thresholds(host, 600, host_idle_minutes=1)
    sweep(host)
    host.sh(f"sed -i 's/^USED_US=.*/USED_US=1/' {STATE}; rm -f {HOST_STATE} {ACTIVITY}/*; "
            "systemctl start --no-block model-idle-sweep.service")
    wait_until(lambda: host.scheduled() and host.path(HOST_STATE).exists(), PATIENCE, "it is scheduled")
    yield host
    wait_until(lambda: not sweeping(host), PATIENCE, "the sweep is over")
    host.run("shutdown -c; systemctl reset-failed model-idle-sweep.service")
    host.http("POST", MONITOR, "/models/tiny-llama/report")
    sweep(host)


def test_what_cannot_be_seen_is_taken_for_use(scheduled):
    """Somebody sees the message, logs in to change the configuration, and mistypes."""
    config = scheduled.path(f"{ETC}/config.json")
    text = config.read_text()
    config.write_text("{")
    try:
        called_off(scheduled, "cancel", "unknown")
    finally:
        config.write_text(text)


def test_a_folder_that_cannot_be_read_calls_it_off(scheduled):
    scheduled.path(MODELS).chmod(0)
    try:
        called_off(scheduled, "cancel", "unknown")
    finally:
        scheduled.path(MODELS).chmod(0o755)


@pytest.mark.parametrize("meanwhile", ["", "systemctl restart systemd-logind.service"])
def test_it_is_known_by_logind_where_the_sweeps_state_is_lost(scheduled, meanwhile):
    scheduled.sh(["sh", "-c", f"rm {STATE} {HOST_STATE}; {meanwhile}"])
    scheduled.http("POST", MONITOR, "/models/tiny-llama/report")
    called_off(scheduled, "cancel", "in_use")


def test_a_sweep_that_is_killed_in_the_last_minute_comes_back(scheduled):
    scheduled.sh("systemctl kill --signal=KILL model-idle-sweep.service")
    scheduled.http("POST", MONITOR, "/models/tiny-llama/report")
    called_off(scheduled, "cancel", "in_use")


def test_who_cannot_be_asked_is_told_and_is_asked_again(scheduled):
    """The sweep says what to do."""
    advice = "systemctl restart model-idle-sweep-host.socket"
    scheduled.sh("rm /run/home-lab-services/model-idle-sweep-host.seqpacket")
    wait_until(lambda: f"does not answer: No such file or directory: {advice}" in
               scheduled.sh("journalctl --quiet -t model-idle-sweep --output=cat"), 4, "the sweep says so")
    scheduled.sh(f"shutdown -c && {advice}")
    wait_until(lambda: not sweeping(scheduled), PATIENCE, "that sweep is over")
    sweep(scheduled)
    assert scheduled.scheduled() is None and host_decisions(scheduled)[-1] == ("keep", "called_off")


def test_a_model_without_a_file_keeps_the_host_on(host):
    """What runs is asked of systemd, and not of a folder."""
    thresholds(host, 600, host_idle_minutes=HOST_IDLE_SECONDS * SECOND)
    host.model("moved", 8377, command="sleep infinity")
    start(host, "moved")
    host.path(f"{MODELS}/moved").unlink()
    try:
        time.sleep(HOST_IDLE_SECONDS + 1)
        assert "running without a file, so taken for in use: model@moved.service" in host.sh([PROGRAM, "--dry-run"])
        stays_on(host, "in_use")
    finally:
        host.sh("systemctl stop model@moved.service")


def test_the_host_is_switched_off(host):
    thresholds(host, 600, host_idle_minutes=HOST_IDLE_SECONDS * SECOND)
    host.path(STATE).unlink()
    stays_on(host, "in_use")  # what is not known counts as use
    assert after_idle(host)[0] == "poweroff"
    assert tool("wait-off", host.name, "20", check=False).returncode == 0
