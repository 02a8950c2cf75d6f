# SPDX-License-Identifier: MIT
"""A storm: requests, streams, starts, stops, sweeps and restarts of ours, all at once and at random. STORM_SEED=N repeats
one; it is in the output."""
import concurrent.futures
import http.client
import json
import os
import random
import time

import pytest

from machines import INFERENCE, MONITOR, wait_until

pytestmark = pytest.mark.slow
SEED = int(os.environ.get("STORM_SEED", "20260131"))
ACTIONS, AT_ONCE = 200, 6
MODELS = {"storm-a": 8410, "storm-b": 8411, "storm-c": 8412, "storm-d": 8413}
THRESHOLD_SECONDS = 1.5
OURS = ("home-lab-services.service", "inference-service.service", "model-monitor-service.service", "model-idle-sweep.timer")
PATIENCE_SECONDS, DRAIN_SECONDS = 25, 110


class Cut(Exception):
    """A request that had reached a running model was not answered to its end."""


def ask(machine, method, port, path, timeout=PATIENCE_SECONDS):
    """A request to a service of ours, whose port is closed while it is restarted."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return machine.http(method, port, path, timeout=timeout)
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < ends, f"{path} is not answered"
            time.sleep(0.05)


def complete(connection, body, path="/v1/completions"):
    """A completion on a connection that is open; False where it was told to come again."""
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Cut(repr(error)) from error
    finally:
        connection.close()
    if response.status == 503:
        return False
    if response.status != 200:
        raise Cut(f"{response.status} {text}")
    if body.get("stream") and b"[DONE]" not in text:
        raise Cut(f"{text[-100:]}")
    return True


# ---- ways in which a request comes to a model, running or not: each returns when it was answered ----

def directly(machine, model, body):
    """Past NGINX, to the model's own port, as somebody does who announces his request, and starts the model."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert time.monotonic() < ends, f"{model} cannot be started"
        announced = time.monotonic()
        ask(machine, "POST", MONITOR, f"/models/{model}/report")
        started = ask(machine, "POST", INFERENCE, f"/models/{model}/start?wait=ready")
        if started.status != 200:  # another request stops it at this moment, or systemd has too much to do
            assert started["code"] in ("job_canceled", "start_failed", "bus_busy"), started
            continue
        try:
            connection = machine.open(MODELS[model], timeout=PATIENCE_SECONDS)
        except ConnectionRefusedError:  # it was stopped meanwhile, and nothing has reached it
            continue
        if time.monotonic() > announced + 0.5:  # too slow for this to be "that very moment": once more
            connection.close()
            continue
        assert complete(connection, body)
        return


def through_nginx(machine, model, body):
    """To NGINX, which has the model started where it does not run. Only a router that is restarted just now says 503."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not complete(machine.open(8080, timeout=PATIENCE_SECONDS), body, f"/{model}/v1/completions"):
        assert time.monotonic() < ends, f"{model} is not served"
        time.sleep(0.05)


WAYS = [directly, through_nginx]


# ---- the actions ----

def request(machine, dice, model):
    dice.choice(WAYS)(machine, model, {"max_tokens": dice.randint(1, 20), "gap_seconds": dice.choice((0, 0, 0.5, 2))})


def stream(machine, dice, model):
    dice.choice(WAYS)(machine, model, {"stream": True, "max_tokens": dice.randint(5, 150),
                                       "gap_seconds": dice.choice((0, 0, 2))})


def start(machine, dice, model):
    ask(machine, "POST", INFERENCE, f"/models/{model}/start?wait={dice.choice(('job', 'ready', 'none'))}")


def stop(machine, dice, model):
    answer = ask(machine, "POST", INFERENCE, f"/models/{model}/stop?drain=100", DRAIN_SECONDS)  # others go on asking it
    assert answer.status in (200, 409) or answer["code"] == "bus_busy", answer  # 409: it was started again
    assert answer.json.get("cut_requests", 0) == 0, answer


def sweep(machine, dice, model):
    machine.run("systemctl start model-idle-sweep.service")


def look(machine, dice, model):
    assert ask(machine, "GET", MONITOR, dice.choice(("/models/idle", "/models/activity", f"/models/{model}/why", "/metrics"))).status == 200
    assert ask(machine, "GET", INFERENCE, f"/models/{model}").status == 200


def restart(machine, dice, model):
    machine.sh(["systemctl", "restart", dice.choice(OURS)])


def kill(machine, dice, model):
    machine.run("systemctl start --no-block model-idle-sweep.service; systemctl kill --signal=KILL model-idle-sweep.service")


WEIGHTS = {request: 38, stream: 20, sweep: 14, stop: 9, start: 7, look: 6, restart: 4, kill: 2}


@pytest.mark.seconds(150)
def test_a_storm(machine, figure):
    dice = random.Random(SEED)
    plan = [(action, random.Random(dice.random()), dice.choice(list(MODELS)))
            for action in dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=ACTIONS)]
    machine.config(monitoring={"active_threshold_minutes": 0.01, "idle_threshold_minutes": THRESHOLD_SECONDS / 60})
    for model, port in MODELS.items():
        machine.model(model, port, "--load-seconds 0.2")
    machine.sh("systemctl start nginx-config-updater.service && systemctl start nginx.service")
    marker = machine.sh("journalctl --no-pager -n 1 --show-cursor | sed -n 's/^-- cursor: //p'").strip()
    machine.sweep_every("700ms")
    began = time.monotonic()
    try:
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            done = [(action, pool.submit(action, machine, its_dice, model)) for action, its_dice, model in plan]
        took = time.monotonic() - began
        failures = [f"{action.__name__}: {result.exception()!r}" for action, result in done if result.exception()]
        assert not failures, f"STORM_SEED={SEED}\n" + "\n".join(failures)

        over = time.monotonic()
        wait_until(lambda: not machine.run("systemctl list-units --plain --no-legend --state=active 'model@*'").stdout,
                   THRESHOLD_SECONDS + 4, "no model is left running beyond its time")
        left = time.monotonic() - over
        words = machine.sh(["sh", "-c", f"journalctl -t model-idle-sweep --after-cursor='{marker}' -o cat --no-pager"])
        figure(f"a storm, STORM_SEED={SEED}: {ACTIONS} actions in {took:.0f} s, none cut; {words.count(': stop: ')} stops by "
               f"the sweep, the last one {left:.1f} s after the end")
        assert words.count(": stop: ") > 3 and "failed" not in words
        assert "model@" not in machine.failed_units()
    finally:
        machine.run("systemctl stop nginx.service; systemctl reset-failed model-idle-sweep.service")
        machine.sweep_every("1d")


@pytest.mark.seconds(90)
def test_requests_that_come_as_the_model_is_stopped(machine, figure):
    """Before the sweep's last look, and after it: both are aimed at until both were seen."""
    dice = random.Random(SEED)
    machine.config(monitoring={"idle_threshold_minutes": 0.1 / 60})
    machine.model("storm-a", MODELS["storm-a"], "--load-seconds 0")
    machine.sh("systemctl start nginx-config-updater.service && systemctl start nginx.service")
    served = starts = 0
    try:
        ends = time.monotonic() + 15
        while time.monotonic() < ends or not 0 < starts < served:
            through_nginx(machine, "storm-a", {"max_tokens": 1, "token_interval_ms": 0})
            pid = machine.http("GET", INFERENCE, "/models/storm-a")["pid"]
            time.sleep(0.15)  # it is idle
            machine.run("systemctl start --no-block model-idle-sweep.service")
            time.sleep(dice.uniform(0.02, 0.6))
            through_nginx(machine, "storm-a", {"max_tokens": 1, "token_interval_ms": 0})
            served += 1
            starts += machine.http("GET", INFERENCE, "/models/storm-a")["pid"] != pid
            wait_until(lambda: not machine.is_active("model-idle-sweep.service"), 10, "the sweep is over")
        figure(f"{served} requests around the moment of a stop, all served: {starts} by a fresh start")
    finally:
        machine.run("systemctl stop nginx.service")
