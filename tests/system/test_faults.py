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


# ---- check says what is true now ----

def check(site, status=None):
    done = site.run("home-lab-services check")
    assert done.returncode == 0 if status is None else done.returncode != 0, done.stdout
    return done.stdout


def test_check_sees_a_logind_that_does_not_answer(site):
    check(site)
    site.sh("systemctl kill --signal=STOP systemd-logind.service")
    try:
        assert "no shutdown can be scheduled or seen: systemctl restart systemd-logind" in check(site, "wrong")
    finally:
        site.sh("systemctl kill --signal=CONT systemd-logind.service")
    check(site)


def test_check_sees_a_polkit_that_does_not_answer(site):
    site.sh("systemctl mask --runtime --now polkit.service")
    try:
        assert "no model can be started or stopped: systemctl restart polkit" in check(site, "wrong")
    finally:
        site.sh("systemctl unmask --runtime polkit.service && systemctl start polkit.service")
    check(site)


def test_check_sees_a_socket_whose_file_is_gone(site):
    site.sh("rm /run/home-lab-services/model-router.sock")
    advice = "systemctl restart model-router.socket"
    assert f"model-router.socket: its file /run/home-lab-services/model-router.sock is gone, so NGINX cannot reach it: {advice}" \
        in check(site, "wrong")
    site.sh(advice)
    check(site)
    assert site.post("/served" + CHAT, {"model": "served"}).status == 200


def test_check_sees_that_nothing_can_be_written(site):
    site.sh(f"mount --bind {ACTIVITY} {ACTIVITY} && mount -o remount,bind,ro {ACTIVITY}")
    try:
        assert "mounted read-only, so no use of a model is noted" in check(site, "wrong")
    finally:
        site.sh(f"umount {ACTIVITY}")
    check(site)
