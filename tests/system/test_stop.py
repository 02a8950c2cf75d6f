# SPDX-License-Identifier: MIT
"""The last moments of a model that is stopped for being idle. A request that comes in them is served by a fresh start,
whenever NGINX and the router get round to it; one that another end cuts is never run again."""
import contextlib
import json
import time

import fastcgi
import pytest

from machines import INFERENCE, wait_until
from web import CHAT, Web

SWEEP, ROUTER = "model-idle-sweep.service", "model-router.service"
PORT, LONG, SLOW = 8441, 8442, 8443
IDLE_SECONDS, STOP_SECONDS = 0.2, 1


@pytest.fixture(scope="module")
def site(make_machine):
    machine = make_machine(kind=Web)
    machine.sweep_every("1d")
    machine.config(monitoring={"idle_threshold_minutes": IDLE_SECONDS / 60})
    machine.field_model("last", PORT, f"--stop-seconds {STOP_SECONDS}")
    machine.field_model("long", LONG, f"--stop-seconds {STOP_SECONDS} --answer-seconds 30")
    machine.field_model("slow", SLOW, "--answer-seconds 3")
    machine.sh("systemctl start nginx.service")
    machine.update()
    wait_until(lambda: machine.routes("last", "long", "slow"), 15, "NGINX knows the models")
    return machine


def is_in(site, state, name="last"):
    return site.properties(f"model@{name}.service", "ActiveState")["ActiveState"] == state


def is_told_to_stop(site, name="last"):
    """It takes requests, and answers none. Before that, its unit's commands run, and it answers."""
    return site.properties(f"model@{name}.service", "SubState") == {"SubState": "stop-sigterm"}


def use(site, name="last"):
    """It runs, was ready, and has answered."""
    assert site.ask("GET", f"/{name}/x").status == 200


def begin_to_sweep(site, name="last"):
    """Until the model was told to stop. It takes requests all the same."""
    use(site, name)
    time.sleep(IDLE_SECONDS + 0.1)
    site.sh(f"systemctl start --no-block {SWEEP}")
    wait_until(lambda: is_told_to_stop(site, name), 10, "it is told to stop")
    let_through(site, name)


def let_through(site, name="last"):
    """What comes now is as a request that NGINX has let through a moment before, and that comes to the model this late."""
    site.path(f"/run/home-lab-services/turnstile/{name}").unlink()


def send(site, name="last", port=PORT):
    """A request that the model has, and does not answer."""
    held = site.hold(f"/{name}{CHAT}", json.dumps({"model": name}))
    wait_until(lambda: site.seen(port, CHAT), 10, "it has the request")
    return held


def kill_the_sweep(site):
    site.run(f"systemctl kill --signal=KILL {SWEEP}")
    wait_until(lambda: not site.is_active(SWEEP), 10, "it is dead")
    site.run(f"systemctl reset-failed {SWEEP}")


class Late:
    """The router gets round to nothing for a while, as on a host that is busy with something else."""

    def __init__(self, site):
        self.site = site
        site.sh(f"systemctl start {ROUTER}")

    def __enter__(self):
        self.site.sh(f"systemctl kill --signal=STOP {ROUTER}")

    def __exit__(self, *_):
        self.site.sh(f"systemctl kill --signal=CONT {ROUTER}")


def is_served_by_a_fresh_start(site, held):
    answer = held.answer()
    assert answer.status == 200 and answer["who"] == "last", answer
    assert len(site.seen(PORT, CHAT)) == 1  # of the one that runs now
    return True


# ---- a request that comes as the model is stopped for being idle ----

@pytest.mark.parametrize("late_seconds", [0, 1.5])
def test_it_is_served_however_late_the_router_is(site, late_seconds):
    begin_to_sweep(site)
    held = send(site)
    with Late(site):
        wait_until(lambda: is_in(site, "inactive"), 10, "it has ended")
        wait_until(lambda: not site.is_active(SWEEP), 10, "the sweep is over")
        time.sleep(late_seconds)
    assert is_served_by_a_fresh_start(site, held)


@pytest.mark.parametrize("late_seconds", [0, 1.5])
def test_it_is_served_though_the_sweep_was_killed(site, late_seconds):
    """In the moment in which its stop was queued: nobody sees that stop's end."""
    begin_to_sweep(site)
    kill_the_sweep(site)
    held = send(site)
    with Late(site):
        wait_until(lambda: is_in(site, "inactive"), 10, "it has ended")
        time.sleep(late_seconds)
    assert is_served_by_a_fresh_start(site, held)


@pytest.mark.parametrize("wait", ["job", "none"])
def test_it_is_served_as_well_when_the_model_was_drained(site, wait):
    use(site)
    time.sleep(1.1)  # nobody has announced a request for a second
    with Late(site):
        draining = site.open(INFERENCE)
        draining.request("POST", f"/models/last/stop?drain=5&wait={wait}")
        wait_until(lambda: is_told_to_stop(site), 10, "it is told to stop")
        if wait == "job":
            let_through(site)
        held = send(site)
        answer = draining.getresponse()
        assert answer.status == (202 if wait == "none" else 200) and json.loads(answer.read())["cut_requests"] == 0
        wait_until(lambda: is_in(site, "inactive"), 10, "it has ended")
        time.sleep(1)
    assert is_served_by_a_fresh_start(site, held)


# ---- what is cut by another end ----

def crash(site):
    site.sh("systemctl kill --signal=KILL model@long.service")
    wait_until(lambda: is_in(site, "failed", "long"), 10, "it has crashed")


def stop(site):
    assert site.http("POST", INFERENCE, "/models/long/stop").status == 200


@pytest.mark.parametrize("end", [crash, stop])
@pytest.mark.parametrize("is_sweep_killed", [False, True])
@pytest.mark.parametrize("is_router_late", [False, True])
def test_a_later_end_is_no_stop_for_being_idle(site, is_router_late, is_sweep_killed, end):
    """Whether the end of the stop before it was seen or not."""
    begin_to_sweep(site, "long")
    if is_sweep_killed:
        kill_the_sweep(site)
    wait_until(lambda: is_in(site, "inactive", "long") and not site.is_active(SWEEP), 10, "it has ended")
    use(site, "long")
    held = send(site, "long", LONG)
    with Late(site) if is_router_late else contextlib.nullcontext():
        end(site)
        time.sleep(is_router_late)
    answer = held.answer()
    assert answer.status == 502 and answer["error"]["code"] == "model_ended", answer
    assert is_in(site, "failed" if end is crash else "inactive", "long")  # and it is not started for that


def test_a_stop_by_somebody_is_told_at_once(site):
    """It ended as it was told to: there is no cause to look for."""
    use(site)
    site.run("systemctl stop --no-block model@last.service")
    wait_until(lambda: is_told_to_stop(site), 10, "it is told to stop")
    held = send(site)
    wait_until(lambda: is_in(site, "inactive"), 10, "it has ended")
    began = time.monotonic()
    answer = held.answer()
    took = time.monotonic() - began
    assert answer.status == 502 and "it ended with success" in answer["error"]["message"], answer
    assert took < 0.7, took


# ---- whoever waits ----

def ask_by_http(site, path):
    connection = site.open(INFERENCE)
    connection.request("POST", path)
    return connection


def ask_by_fastcgi(site, path):
    return site.fastcgi("inference-service", "POST", path, send=fastcgi.ask)


@pytest.mark.parametrize("ask", [ask_by_http, ask_by_fastcgi])
def test_a_drain_whose_client_has_left_ends(site, ask):
    """What it asked for is not done later, when nobody expects it any more."""
    use(site, "slow")
    held = site.hold("/slow" + CHAT)
    wait_until(lambda: site.seen(SLOW, CHAT), 10, "it has the request")
    draining = ask(site, "/models/slow/stop?drain=60")
    time.sleep(0.3)
    draining.close()
    assert held.answer().status == 200
    time.sleep(1.5)  # a drain stops a model that nobody has announced a request to for a second
    assert site.is_active("model@slow.service")
    site.sh("systemctl stop model@slow.service")
