# SPDX-License-Identifier: MIT
"""What breaks on a host: each fault has its defined outcome, and nothing is lost that need not be."""
import pytest

from machines import ACTIVITY, INFERENCE, MONITOR, PATIENCE, PORTS, SHUTDOWN, UP, wait_until
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
    """The next request has them started anew; so may what NGINX tells of the last one."""
    def ended():
        for unit in WORKERS:
            site.run(f"systemctl kill --signal=TERM {unit}")
        return not any(map(site.is_active, WORKERS))
    wait_until(ended, PATIENCE, "the workers have ended")


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


def test_the_coordinator_starts_without_the_folder_of_their_use(site):
    site.sh(f"rm -rf {ACTIVITY} && systemctl restart home-lab-services.service")
    wait_until(lambda: site.is_active(*UP), PATIENCE, "all units are up")
    assert site.post("/served" + CHAT, {"model": "served"}).status == 200
    done = site.run("home-lab-services check")
    assert done.returncode == 77 and f"error: {ACTIVITY}: No such file or directory: " \
        "systemd-tmpfiles --create home-lab-services.conf && systemctl restart home-lab-services" in done.stdout
    site.sh("systemd-tmpfiles --create home-lab-services.conf && systemctl restart home-lab-services")
    wait_until(lambda: site.is_active(*UP), PATIENCE, "all units are up")
    check(site)
    # Each worker of NGINX loses its first line of each log to a socket that is new.
    wait_until(lambda: site.post("/served" + CHAT, {"model": "served"}).status == 200 and site.last_used("served"), PATIENCE,
               "its use is noted")


def test_a_use_that_cannot_be_noted_is_said_once(site):
    site.sh(f"systemctl stop model@served.service && mount --bind {ACTIVITY} {ACTIVITY} && mount -o remount,bind,ro {ACTIVITY}")
    end_workers(site)  # their own file systems
    mark = site.mark()
    try:
        held = [site.hold("/served" + CHAT, '{"model": "served"}') for _ in range(3)]
        assert [each.answer().status for each in held] == [200] * 3
    finally:
        site.sh(f"umount {ACTIVITY}")
        end_workers(site)
    site.sh("journalctl --sync")
    assert site.journal("--after-cursor", mark, "--identifier=model-router").count("Read-only file system") == 1


# ---- check, status and /health say what is true now ----

def check(site, status=None):
    done = site.run("home-lab-services check")
    assert done.returncode == 0 if status is None else done.returncode != 0, done.stdout
    return done.stdout


def status(site):
    return site.sh("home-lab-services status")


def health(site, port):
    """Of a service by its port: its status, and what it says."""
    answer = site.http("GET", port, "/health")
    return answer.status, answer.body.decode()


def all_is_well(site):
    check(site)
    for port in PORTS:
        assert health(site, port)[0] == 200, health(site, port)


def test_they_see_a_logind_that_does_not_answer(site):
    check(site)
    site.sh("systemctl kill --signal=STOP systemd-logind.service")
    try:
        assert "no shutdown can be scheduled or seen: systemctl restart systemd-logind" in check(site, "wrong")
        assert "not known: asking logind" in status(site)
        code, said = health(site, SHUTDOWN)
        assert code == 503 and "if it stays so: systemctl restart systemd-logind" in said
    finally:
        site.sh("systemctl kill --signal=CONT systemd-logind.service")
    all_is_well(site)


def test_they_see_a_polkit_that_does_not_answer(site):
    site.sh("systemctl mask --runtime --now polkit.service")
    try:
        assert "no model can be started or stopped: systemctl restart polkit" in check(site, "wrong")
        assert "no model can be started or stopped: systemctl restart polkit" in status(site)
        code, said = health(site, INFERENCE)
        assert code == 503 and "asking polkit for its version failed" in said
    finally:
        site.sh("systemctl unmask --runtime polkit.service && systemctl start polkit.service")
    all_is_well(site)


def test_they_see_a_socket_whose_file_is_gone(site):
    site.sh("rm /run/home-lab-services/model-router.sock")
    advice = "systemctl restart model-router.socket"
    assert f"model-router.socket: its file /run/home-lab-services/model-router.sock is gone, so NGINX cannot reach it: {advice}" \
        in check(site, "wrong")
    assert advice in status(site)
    code, said = health(site, INFERENCE)
    assert code == 503 and advice in said
    site.sh(advice)
    all_is_well(site)
    assert site.post("/served" + CHAT, {"model": "served"}).status == 200


def test_they_see_that_nothing_can_be_written(site):
    site.sh(f"mount --bind {ACTIVITY} {ACTIVITY} && mount -o remount,bind,ro {ACTIVITY}")
    try:
        assert "mounted read-only, so no use of a model is noted" in check(site, "wrong")
        assert "mounted read-only, so no use of a model is noted" in status(site)
        code, said = health(site, MONITOR)
        assert code == 503 and "Read-only file system" in said
    finally:
        site.sh(f"umount {ACTIVITY}")
    all_is_well(site)


def test_they_see_a_timer_that_has_failed(site):
    timer = "model-idle-sweep.timer"
    with site.drop_in(timer, "[Timer]\nOnActiveSec=1s\nOnUnitInactiveSec=1s\nAccuracySec=1ms\n"):
        site.sh(f"systemctl restart {timer} && systemctl mask --runtime model-idle-sweep.service")
        try:
            wait_until(lambda: timer in site.failed_units(), PATIENCE, "the timer fails: what it starts may not be started")
            assert f"{timer} has failed" in site.run("home-lab-services check").stdout
            assert f"({timer} has failed)" in status(site)
            code, said = health(site, MONITOR)
            assert code == 503 and f"no idle model is stopped: systemctl restart {timer}" in said
        finally:
            site.sh("systemctl unmask --runtime model-idle-sweep.service")
    site.sh(f"systemctl restart {timer}")
    all_is_well(site)


# ---- the bus ----

def test_a_worker_whose_bus_was_restarted_opens_another(site):
    def worker():
        return site.properties("inference-service.service", "MainPID")["MainPID"]

    site.sh("systemctl stop model@served.service")
    assert site.fastcgi("inference-service", "GET", "/models/running")[0] == 200
    before = worker()
    site.sh("systemctl restart dbus.service")
    try:
        wait_until(lambda: site.run("busctl status org.freedesktop.systemd1").returncode == 0, PATIENCE, "systemd is back there")
        assert site.fastcgi("inference-service", "GET", "/models/running")[0] == 200
        assert worker() == before
        assert site.post("/served" + CHAT, {"model": "served"}).status == 200
    finally:
        site.sh("systemctl restart systemd-logind.service polkit.service")  # not all of them find the new bus
    all_is_well(site)
