# SPDX-License-Identifier: MIT
"""What looking costs everybody: systemd reads no unit that nobody asked about, and the bus is opened once a worker."""
import re

import pytest

from machines import INFERENCE, MODELS, MONITOR, PATIENCE, wait_until

CROWD = [f"crowd-{i}" for i in range(30)]
WORKERS = {"inference-service": ("/models", "/models/running", "/v1/models"),
           "model-monitor-service": ("/models/active", "/models/idle", "/models/activity", "/metrics")}


class Reads:
    """Which units systemd has read since: it warns of a word in their drop-in that it does not know, in each."""

    def __init__(self, machine):
        self.machine = machine
        self.cursor = machine.sh("journalctl --sync; journalctl --quiet --lines=0 --show-cursor").split("cursor: ")[1].strip()

    def units(self):
        text = self.machine.sh(f"journalctl --sync; journalctl --quiet --output=export --after-cursor '{self.cursor}' _PID=1")
        entries = [entry for entry in text.split("\n\n") if "Trace" in entry]
        return {unit for entry in entries for unit in re.findall(r"^UNIT=(.*)$", entry, re.M)}


@pytest.fixture
def crowd(machine):
    for name in CROWD:
        machine.put(f"{MODELS}/{name}", f"PORT={20000 + CROWD.index(name)}\n")
    machine.sh("systemctl start model@tiny-llama.service")
    with machine.drop_in("model@.service", "[Service]\nTrace=read\n"):
        yield machine


def test_systemd_reads_no_unit_that_nobody_asked_about(crowd):
    reads = Reads(crowd)
    for service, paths in WORKERS.items():
        for path in paths:
            status, _, body = crowd.fastcgi(service, "GET", path)
            assert status == 200 and (b"crowd-7" in body or path not in ("/models", "/v1/models", "/models/activity")), body
            assert crowd.http("GET", INFERENCE if service == "inference-service" else MONITOR, path).status == 200
    crowd.sh("systemctl start model-idle-sweep.service nginx-config-updater.service")
    assert not reads.units() & {f"model@{name}.service" for name in CROWD}
    assert crowd.http("GET", INFERENCE, "/models/running").json["running_models"] == ["tiny-llama"]

    def read_on_demand():
        crowd.http("GET", INFERENCE, f"/models/{CROWD[3]}")  # somebody asks about this one
        return reads.units() & {f"model@{name}.service" for name in CROWD} == {f"model@{CROWD[3]}.service"}
    wait_until(read_on_demand, PATIENCE, "systemd says that it has read it")


@pytest.mark.parametrize("trouble, state", [
    ("systemctl mask --runtime model@tiny-llama.service", "unloaded"),
    ("mkdir -p /run/systemd/system/model@tiny-llama.service.d && "
     "printf '[Service]\\nExecStart=\\n' >/run/systemd/system/model@tiny-llama.service.d/broken.conf", "unloaded"),
])
def test_units_that_systemd_cannot_start_are_listed_as_ever(machine, trouble, state):
    """What such a unit is, no answer depends on whether systemd has read it."""
    machine.sh(trouble + " && systemctl daemon-reload")
    try:
        for _ in range(2):  # before and after it was read
            listed = {each["id"]: each["status"]["value"] for each in machine.http("GET", INFERENCE, "/v1/models").json["data"]}
            assert listed["tiny-llama"] == state and set(listed.values()) == {"unloaded"}
            assert machine.http("GET", INFERENCE, "/models/running").json["running_models"] == []
            assert machine.http("GET", INFERENCE, "/models/tiny-llama").json["state"] == state
    finally:
        machine.sh("rm -rf /run/systemd/system/model@tiny-llama.service*; systemctl daemon-reload")


def test_a_model_that_failed_is_listed_so(machine):
    machine.model("broken", 8399, options="--exit-code-at-start 3")
    machine.run("systemctl start model@broken.service")
    wait_until(lambda: machine.properties("model@broken.service", "ActiveState")["ActiveState"] == "failed", PATIENCE, "it fails")
    listed = {each["id"]: each["status"] for each in machine.http("GET", INFERENCE, "/v1/models").json["data"]}
    assert listed["broken"] == {"value": "unloaded", "failed": True, "exit_code": 3}
    assert 'hls_model_state{model="broken",state="failed"} 1' in machine.http("GET", MONITOR, "/metrics").body.decode()


# ---- the bus ----

def connections(machine, service):
    """The names on the bus of a service's worker."""
    pid = machine.properties(f"{service}.service", "MainPID")["MainPID"]
    lines = map(str.split, machine.sh("busctl list --unique --no-legend").splitlines())
    return pid, [line[0] for line in lines if pid != "0" and line[1] == pid]


def test_a_worker_has_one_connection_to_the_bus(machine):
    for service, paths in WORKERS.items():
        assert machine.fastcgi(service, "GET", paths[0])[0] == 200
        before = connections(machine, service)
        assert len(before[1]) == 1
        for path in paths * 3:
            assert machine.fastcgi(service, "GET", path)[0] == 200
        assert machine.fastcgi(service, "GET", "/health")[0] == 200
        assert connections(machine, service) == before
        machine.sh(f"systemctl stop {service}.service && systemctl start {service}.service")  # and none without one
