# SPDX-License-Identifier: MIT
"""GET /models/NAME/history: when a model ran, from what systemd wrote into the journal."""
import datetime

import pytest

from followers import MONITOR
from machines import PATIENCE, wait_until

MODEL = "chronicle"  # of these tests alone: the journal forgets nothing
PORT = 8342


def history(machine, query="", model=MODEL):
    answer = machine.http("GET", MONITOR, f"/models/{model}/history{query}")
    assert answer.status == 200, answer
    return answer


def runs(machine, count):
    """All of them, once the journal has so many, and the ends of all that have ended."""
    def are_there():
        found = history(machine)["runs"]
        is_running = machine.is_active(f"model@{MODEL}.service")
        return len(found) == count and all(run["result"] for run in found[:count - is_running]) and found
    return wait_until(are_there, PATIENCE, f"{count} runs")


def wait_until_failed(machine):
    unit = f"model@{MODEL}.service"
    wait_until(lambda: machine.properties(unit, "ActiveState")["ActiveState"] == "failed", PATIENCE, f"{unit} has failed")


def test_when_a_model_ran(machine):
    unit = f"model@{MODEL}.service"
    machine.model(MODEL, PORT)
    empty = history(machine)
    assert empty["runs"] == [] and empty["model_name"] == MODEL and empty["complete"] is True
    times = [datetime.datetime.fromisoformat(empty[key]) for key in ("from", "to")]
    assert times[1] - times[0] == datetime.timedelta(hours=24)

    machine.sh(f"systemctl start {unit}")
    (run,) = runs(machine, 1)
    assert run["started"] and run["ended"] is None and run["result"] is None
    machine.sh(f"systemctl restart {unit}")
    first, second = runs(machine, 2)
    assert first["started"] == run["started"] <= first["ended"] <= second["started"] and first["result"] == "success"
    assert second["ended"] is None
    machine.sh(f"systemctl kill --signal=KILL {unit}")
    wait_until_failed(machine)
    _, second = runs(machine, 2)
    assert second["result"] == "signal" and second["ended"] >= second["started"]
    machine.model(MODEL, PORT, options="--exit-code-at-start 3")
    machine.run(f"systemctl start {unit}")
    wait_until_failed(machine)
    third = runs(machine, 3)[-1]
    assert third["result"] == "exit-code" and third["started"] <= third["ended"]

    # Lines of others, who only say that they are about it, are none of systemd's.
    machine.sh(f"printf 'MESSAGE=x\nUNIT={unit}\nMESSAGE_ID=39f53479d3a045ac8e11786248231fbf\n' | logger --journald")
    assert len(history(machine)["runs"]) == 3


@pytest.mark.parametrize("query", ["?hours=0", "?hours=169", "?hours=", "?hours=x", "?days=1"])
def test_hours_have_bounds(machine, query):
    assert machine.http("GET", MONITOR, f"/models/tiny-llama/history{query}").status == 400
    assert history(machine, "?hours=168", "tiny-llama")
    assert machine.http("GET", MONITOR, "/models/nobody/history").status == 404
