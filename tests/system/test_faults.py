# SPDX-License-Identifier: MIT
"""What breaks on a host: each fault has its defined outcome, and nothing is lost that need not be."""
import pytest

from machines import ACTIVITY, INFERENCE, MONITOR, PATIENCE, wait_until
from web import CHAT, Web

PORT = 8451


@pytest.fixture(scope="module")
def site(make_machine):
    machine = make_machine(kind=Web)
    machine.field_model("served", PORT)
    machine.sh("systemctl start nginx.service")
    machine.update()
    wait_until(lambda: machine.routes("served"), PATIENCE, "NGINX knows the model")
    return machine


WORKERS = ("model-router.service", "model-activity.service", "inference-service.service", "model-monitor-service.service")


def end_workers(site):
    """The next request has them started anew."""
    for unit in WORKERS:
        site.run(f"systemctl kill --signal=TERM {unit}")
    wait_until(lambda: not any(map(site.is_active, WORKERS)), PATIENCE, "the workers have ended")


def test_models_are_served_without_the_folder_of_their_use(site):
    """Somebody has cleaned up, or the disk is gone."""
    site.sh(f"systemctl stop model@served.service && mv {ACTIVITY} {ACTIVITY}.away")
    end_workers(site)
    try:
        assert site.post("/served" + CHAT, {"model": "served"}).status == 200
        assert site.http("GET", INFERENCE, "/models").status == 200
        assert site.ask("GET", "/api/inference/models").status == 200
        health = site.http("GET", MONITOR, "/health")
        assert health.status == 503 and "activity" in str(health.json), health
    finally:
        site.sh(f"mv {ACTIVITY}.away {ACTIVITY}")
        end_workers(site)
    assert site.http("GET", MONITOR, "/health").status == 200
    assert site.failed_units() == ""


def test_a_worker_that_crashes_is_back_at_once(site):
    answer = site.ask("GET", "/api/shutdown/shutdown/next")
    assert answer.status == 200, answer
    site.sh("systemctl kill --signal=KILL shutdown-service.service")
    assert site.ask("GET", "/api/shutdown/shutdown/next", timeout=5).status == 200
