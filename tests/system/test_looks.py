# SPDX-License-Identifier: MIT
"""What looking costs everybody: systemd reads no unit that nobody asked about, a worker reads a model's file once, and the
bus is opened once a worker."""
import contextlib
import ctypes
import json
import os
import re
import struct
import time

import pytest

from followers import Follower
from machines import INFERENCE, MODELS, MONITOR, PATIENCE, libc, wait_until

CROWD = [f"crowd-{i}" for i in range(30)]
CLOSED = "crowd-999"
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


# ---- files ----

class Opened:
    """Which files of a folder somebody has opened since: the kernel's word (inotify)."""
    IN_OPEN, IN_ISDIR, IN_NONBLOCK = 0x20, 0x40000000, 0o4000

    def __init__(self, folder):
        self.fd = libc.inotify_init1(self.IN_NONBLOCK)
        assert libc.inotify_add_watch(self.fd, os.fsencode(folder), self.IN_OPEN) >= 0, os.strerror(ctypes.get_errno())

    def files(self):
        """Those since the last call, each as often as it was opened; the same one in a row is told once."""
        found = []
        try:
            while events := os.read(self.fd, 1 << 20):
                while events:
                    _, mask, _, length = struct.unpack_from("iIII", events)
                    if mask & self.IN_OPEN and not mask & self.IN_ISDIR:
                        found.append(events[16:16 + length].rstrip(b"\0").decode())
                    events = events[16 + length:]
        except BlockingIOError:
            return found

    def close(self):
        os.close(self.fd)


@pytest.fixture
def thousand(machine):
    """So many that nobody asks about, one of which only root may read."""
    machine.sh("systemctl stop nginx-config-updater.path nginx-config-updater.timer "
               "nginx-config-updater.service nginx-models.service")
    machine.sh(f"cd {MODELS} && for i in $(seq 1000); do echo PORT=$((20000 + i)) >crowd-$i; done && "
               f"echo MEMORY=1G >>crowd-7 && chmod 0600 {CLOSED}")
    opened = Opened(machine.path(MODELS))
    yield machine, opened
    opened.close()
    machine.sh(f"rm -f {MODELS}/crowd-*; systemctl start nginx-config-updater.path nginx-config-updater.timer")


def test_a_thousand_models_cost_nothing_that_nobody_asks_about(thousand):
    machine, opened = thousand
    settled = machine.path(f"{MODELS}/{CLOSED}").stat().st_ctime + 1.01  # of what may not be read, only the time tells a change
    wait_until(lambda: time.time() > settled, PATIENCE, "a change of it would have another time")
    for service, paths in WORKERS.items():
        for _ in range(2):  # from its second request on a worker keeps what it has read
            machine.fastcgi(service, "GET", paths[1])
        assert {"crowd-1", "crowd-1000"} <= set(opened.files())
        for path in paths * 2:
            status, _, body = machine.fastcgi(service, "GET", path)
            assert status == 200 and body, path
        assert opened.files() == []
    assert len(machine.http("GET", INFERENCE, "/models").json["models"]) >= 1000
    assert sorted(opened.files()) == sorted(set(os.listdir(machine.path(MODELS))) - {CLOSED})
    assert machine.http("GET", INFERENCE, "/models/crowd-7").json["port"] == 20007
    assert opened.files() == ["crowd-7"]
    machine.fastcgi("inference-service", "GET", "/models/crowd-8")
    assert opened.files() == ["crowd-8"]
    with contextlib.closing(Follower(machine)) as follower:
        machine.sh("systemctl start model@tiny-llama.service")
        follower.find("model", model_name="tiny-llama", state="loading")
        opened.files()
        machine.sh("systemctl stop model@tiny-llama.service")
        follower.find("model", model_name="tiny-llama", state="unloaded", stopping=False)
        assert not [name for name in opened.files() if name in CROWD]
    wait_until(lambda: not machine.sh("systemctl list-units --no-legend 'model-monitor-service@*'"), PATIENCE,
               "the follower's process, which reads all for a new configuration, has ended")
    machine.config(capacity={"memory": "64G"})
    for _ in range(3):
        opened.files()
        why = json.loads(machine.fastcgi("model-monitor-service", "GET", "/models/crowd-7/why")[2])
        assert why["start"]["fits"] == "now"
    assert opened.files() == ["crowd-7"]


def test_what_a_worker_has_read_is_never_stale(thousand):
    machine, _ = thousand
    file = machine.path(f"{MODELS}/crowd-500")

    def port():
        models = machine.fastcgi("inference-service", "GET", "/models", timeout=60)[2]
        found = re.search(rb'"crowd-500",[^}]*?"port": ?(\d+|null)', models)
        return found and found[1].decode()
    for _ in range(2):
        assert port() == "20500"
    for new in range(40001, 40011):
        file.write_text(f"PORT={new}\n")  # in place
        assert port() == str(new)
    for new in range(40011, 40021):
        machine.put(f"{MODELS}/crowd-500", f"PORT={new}\n")  # another file in its place
        assert port() == str(new)
    file.unlink()
    assert port() is None


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
