# SPDX-License-Identifier: MIT
"""Shutdowns: logind is the one truth, whoever schedules or cancels."""
import datetime
import time

import pytest

from machines import INFERENCE, PATIENCE, SHUTDOWN, tool, wait_until

AT_MOST_SECONDS = 2  # between a request and logind's clock


def schedule(machine, **body):
    return machine.http("POST", SHUTDOWN, "/shutdown/schedule", body)


def cancel(machine):
    return machine.http("POST", SHUTDOWN, "/shutdown/cancel")


def upcoming(machine):
    return machine.http("GET", SHUTDOWN, "/shutdown/next").json.get("shutdown")


def at(text):
    time_with_offset = datetime.datetime.fromisoformat(text)
    assert time_with_offset.tzinfo is not None
    return time_with_offset.timestamp()


def soon(seconds):
    now = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
    return (now + datetime.timedelta(seconds=seconds)).isoformat(timespec="seconds")


def test_scheduled_here_is_scheduled_in_logind(machine):
    answer = schedule(machine, minutes=90)
    assert answer.status == 200, answer
    assert answer["message"] and "replaced" not in answer.json
    action, usec = machine.scheduled()
    assert action == "poweroff"
    assert abs(usec / 1e6 - time.time() - 90 * 60) < AT_MOST_SECONDS
    for shutdown in answer["shutdown"], upcoming(machine), machine.http("GET", SHUTDOWN, "/shutdown/status")["next_shutdown"]:
        assert abs(at(shutdown["scheduled_time"]) - usec / 1e6) <= 1
        assert abs(shutdown["remaining_seconds"] - 90 * 60) < AT_MOST_SECONDS
        assert abs(shutdown["minutes_from_now"] - 90) < 0.1
        assert abs(at(shutdown["created_at"]) - time.time()) < 60
        assert (shutdown["action"], shutdown["source"]) == ("poweroff", "api")

    show = machine.run("shutdown --show")
    stamp = machine.sh(["date", "-d", f"@{usec // 1000000}", "+%Y-%m-%d %H:%M:%S"]).strip()
    assert show.returncode == 0 and stamp in show.stdout + show.stderr, show


def test_shutdown_c_cancels_ours(machine):
    assert schedule(machine, minutes=90).status == 200
    machine.sh("shutdown -c")
    assert machine.scheduled() is None
    answer = machine.http("GET", SHUTDOWN, "/shutdown/next")
    assert answer["message"] == "No shutdown scheduled" and "shutdown" not in answer.json
    status = machine.http("GET", SHUTDOWN, "/shutdown/status").json
    assert status["has_shutdown"] is False and status["next_shutdown"] is None
    assert cancel(machine).status == 404


def test_cancelled_here_is_cancelled_in_logind(machine):
    schedule(machine, minutes=90)
    answer = cancel(machine)
    assert answer.status == 200 and answer["cancelled_shutdown"]["source"] == "api", answer
    assert machine.scheduled() is None
    assert machine.run("shutdown --show").returncode != 0


def test_survives_our_processes_and_logind(machine):
    schedule(machine, minutes=90)
    before = machine.scheduled()
    machine.sh("systemctl restart home-lab-services.service systemd-logind.service")
    assert machine.scheduled() == before
    wait_until(lambda: len(machine.ports_open()) == 3, PATIENCE, "the ports are open again")
    assert upcoming(machine)["source"] == "api"


def test_of_a_terminal_is_external_and_not_replaced_by_accident(machine):
    machine.on_terminal("shutdown +5")
    before = machine.scheduled()
    assert upcoming(machine)["source"] == "external"

    answer = schedule(machine, minutes=90)
    assert answer.status == 409 and answer["code"] == "scheduled_by_others", answer
    assert answer["shutdown"]["source"] == "external" and answer["shutdown"]["action"] == "poweroff"
    assert machine.scheduled() == before
    assert schedule(machine, minutes=90, replace=False).status == 409
    assert machine.scheduled() == before

    answer = schedule(machine, minutes=90, replace=True)
    assert answer.status == 200 and answer["replaced"]["source"] == "external", answer
    assert machine.scheduled()[1] > before[1]
    assert upcoming(machine)["source"] == "api"


@pytest.mark.parametrize("command, action", [("shutdown +5", "poweroff"), ("shutdown -r +5", "reboot")])
def test_of_a_terminal_is_cancelled_here(machine, command, action):
    machine.on_terminal(command)
    answer = cancel(machine)
    assert answer.status == 200, answer
    assert answer["cancelled_shutdown"]["source"] == "external" and answer["cancelled_shutdown"]["action"] == action
    assert machine.scheduled() is None


def test_our_own_is_replaced_and_said_so(machine):
    first = schedule(machine, minutes=90)["shutdown"]
    answer = schedule(machine, minutes=60, action="reboot")
    assert answer.status == 200, answer
    assert answer["replaced"]["scheduled_time"] == first["scheduled_time"] and answer["replaced"]["source"] == "api"
    action, usec = machine.scheduled()
    assert action == "reboot" and abs(usec / 1e6 - time.time() - 3600) < AT_MOST_SECONDS


def test_no_body_means_the_configured_defaults(machine):
    machine.config(shutdown={"default_minutes": 33.5, "default_action": "halt"})
    assert machine.http("POST", SHUTDOWN, "/shutdown/schedule").status == 200
    action, usec = machine.scheduled()
    assert action == "halt" and abs(usec / 1e6 - time.time() - 33.5 * 60) < AT_MOST_SECONDS
    assert machine.http("GET", SHUTDOWN, "/shutdown/system")["service_config"] == {"default_minutes": 33.5,
                                                                                  "default_action": "halt"}


@pytest.mark.parametrize("action", ["poweroff", "reboot", "halt"])
def test_the_action_is_what_logind_schedules(machine, action):
    assert schedule(machine, minutes=90, action=action)["shutdown"]["action"] == action
    assert machine.scheduled()[0] == action


def test_a_time_of_day_is_scheduled_to_the_second(machine):
    when = soon(7200)
    answer = schedule(machine, at=when)
    assert answer.status == 200, answer
    assert at(answer["shutdown"]["scheduled_time"]) == at(when)
    assert machine.scheduled()[1] == int(at(when)) * 1000000


@pytest.mark.parametrize("minutes, status", [
    (0, 400), (-1, 400), (0.01, 400), (1e300, 400), (525600.1, 400),  # not one second; above a year
    (1, 200), (90.5, 200), (525600, 200)])
def test_minutes_have_bounds(machine, minutes, status):
    answer = schedule(machine, minutes=minutes)
    assert answer.status == status, answer
    if status == 400:
        assert "minutes" in answer["message"]
        assert machine.scheduled() is None
    else:
        assert abs(machine.scheduled()[1] / 1e6 - time.time() - minutes * 60) < AT_MOST_SECONDS


@pytest.mark.parametrize("when", ["2001-01-01T00:00:00+00:00", "1970-01-01T00:00:00Z", "just now", "9999-12-31T23:59:59Z"])
def test_a_time_that_is_not_ahead_is_an_error_and_no_power_off(machine, when):
    assert schedule(machine, at=soon(-1) if when == "just now" else when).status == 400
    assert machine.scheduled() is None
    assert machine.http("GET", SHUTDOWN, "/health").status == 200


@pytest.mark.parametrize("body, named", [
    ('{"minutes": "ten"}', "minutes"), ('{"minutes": "inf"}', "minutes"), ('{"minutes": true}', "minutes"), ('{"minutes": null}', "minutes"),
    ('{"minutes": 10, "minutes": 20}', "minutes"), ('{"minute": 10}', "minute"), ('{"at": 5}', "at"),
    ('{"at": "tomorrow"}', "at"), ('{"at": "2040-01-31T23:00:00"}', "at"), ('{"at": "2040-02-30T23:00:00Z"}', "at"),
    ('{"minutes": 1, "at": "2040-01-01T00:00:00Z"}', "at"), ('{"action": "explode"}', "action"),
    ('{"action": "suspend"}', "action"), ('{"message": 1}', "message"), ('{"message": "%s"}' % ("x" * 201), "message"),
    ('{"message": "a\\nb"}', "message"), ('{"message": "\\u001b[2J"}', "message"), ('{"replace": "yes"}', "replace"),
    ('{"minutes": 10} x', ""), ('[10]', ""), ('{"minutes": 10', ""), ('{"minutes": 01}', ""), ('{"minutes": NaN}', ""),
    (b'{"message": "\xff"}', ""), ("null", "")], ids=str)
def test_a_bad_body_is_refused_by_its_field(machine, body, named):
    answer = machine.http("POST", SHUTDOWN, "/shutdown/schedule", body)
    assert answer.status == 400, answer
    assert answer["status"] == "error" and (not named or f'"{named}"' in answer["message"]), answer
    assert machine.scheduled() is None


def test_the_message_is_what_users_are_told(machine):
    text = "Saving power; back at 8 – “ask” Ann"
    assert schedule(machine, minutes=90, message=text)["shutdown"]["message"] == text
    wall = ["busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
            "WallMessage"]
    assert "Saving power; back at 8" in machine.sh(wall)
    cancel(machine)
    machine.sh("shutdown +60")  # inherits nothing of it
    assert "Saving" not in machine.sh(wall)


def test_an_inhibitor_is_respected(machine):
    machine.sh("systemd-run --quiet --unit=holder systemd-inhibit --what=shutdown --mode=block --who=backup sleep 60")
    try:
        machine.sh("until systemd-inhibit --list | grep -q backup; do sleep 0.02; done", timeout=10)
        answer = schedule(machine, minutes=90)
        assert answer.status == 403 and answer["code"] == "refused_by_policy", answer
        assert machine.scheduled() is None
    finally:
        machine.sh("systemctl stop holder.service")
    assert schedule(machine, minutes=90).status == 200


def test_unprivileged_and_without_sudo(machine):
    assert machine.run("command -v sudo").returncode != 0
    for port, service, user in (SHUTDOWN, "shutdown-service", "home-lab-power"), (INFERENCE, "inference-service", "home-lab-services"):
        uid = int(machine.sh(["id", "-u", user]))
        assert uid != 0
        said = machine.properties(f"{service}@x.service", "User", "NoNewPrivileges", "CapabilityBoundingSet")
        assert said == {"User": user, "NoNewPrivileges": "yes", "CapabilityBoundingSet": ""}

        connection = machine.open(port)  # the process itself, while it waits for a second request
        connection.request("GET", "/health")
        assert connection.getresponse().read()
        pids = machine.sh(["pgrep", "--exact", service[:15]]).split()
        status = dict(line.split(":", 1) for line in machine.sh(["cat", f"/proc/{pids[0]}/status"]).splitlines())
        connection.close()
        assert status["Uid"].split() == [str(uid)] * 4
        assert status["NoNewPrivs"].strip() == "1"
        assert {status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}


@pytest.mark.parametrize("body", [{"minutes": 0.01667}, {"at": None}])
def test_it_really_powers_off(make_machine, body):
    machine = make_machine()
    if "at" in body:
        body = {"at": soon(3)}
    assert schedule(machine, **body).status == 200
    tool("wait-off", machine.name, "20")
    machine.down()
