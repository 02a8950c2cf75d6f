# SPDX-License-Identifier: MIT
"""model-gate where there is no bus to be asked, and that it asks nobody where nobody needs to be."""
import os
import shutil
import socket
import subprocess
import tempfile

import pytest

from programs import BUILD

NOT_NOW, NEVER, UNTOLD = 1, 2, 3


class Host:
    """A configuration, models' files, systemd's marks, and a bus that only notes who comes."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("models", "started", "gate", "ready"):
            os.mkdir(f"{folder}/{name}")
        for name in ("gate", "ready"):
            os.chmod(f"{folder}/{name}", 0o777)
        self.bus = socket.socket(socket.AF_UNIX)
        self.bus.bind(f"{folder}/bus")
        self.bus.listen()
        self.bus.setblocking(False)
        self.address = f"unix:path={folder}/nowhere"

    def model(self, name, text):
        self.put(f"models/{name}", f"PORT=1\n{text}\n")

    def put(self, name, text):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)

    def started(self, name, at):
        """The link that systemd makes, with its time."""
        link = f"{self.folder}/started/invocation:model@{name}.service"
        os.symlink("0" * 32, link)
        os.utime(link, (at, at), follow_symlinks=False)

    def gate(self, name):
        done = subprocess.run([BUILD / "model-gate", name], capture_output=True, text=True, timeout=60,
                              user=NOBODY, group=NOBODY, extra_groups=(), env={
            "CONFIGURATION_DIRECTORY": self.folder, "MODELS_CONFIG_DIR": f"{self.folder}/models",
            "HL_STARTED_DIRECTORY": f"{self.folder}/started", "HL_GATE_DIRECTORY": f"{self.folder}/gate",
            "HL_READY_DIRECTORY": f"{self.folder}/ready", "DBUS_SYSTEM_BUS_ADDRESS": self.address})
        return done.returncode, done.stderr

    def was_asked(self):
        try:
            self.bus.accept()[0].close()
            return True
        except BlockingIOError:
            return False


NOBODY = 65534 if os.geteuid() == 0 else None


@pytest.fixture
def host():
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    yield Host(folder)
    shutil.rmtree(folder)


def test_without_a_claim_or_a_group_nobody_is_asked(host):
    host.model("plain", "")
    host.model("claims", "GPU_MEMORY=1T")
    host.address = f"unix:path={host.folder}/bus"
    assert host.gate("plain") == host.gate("claims") == host.gate("unknown") == (0, "")
    host.put("config.json", '{"capacity": {"gpus": {"1": "8G"}, "memory": "8G"}}')
    assert host.gate("plain") == host.gate("claims") == (0, "")
    assert not host.was_asked()


def test_who_starts_anew_is_not_ready(host):
    host.model("large", "GPU_MEMORY=9G")
    host.put("config.json", '{"capacity": {"gpus": {"0": "8G"}}}')
    for name in "large", "other":
        host.put(f"ready/{name}", "")
    assert host.gate("large")[0] == NEVER
    assert os.listdir(f"{host.folder}/ready") == ["other"]


def test_that_there_is_a_capacity_is_left_for_the_measures(host):
    host.model("plain", "")
    for config, files in (None, []), ('{"capacity": {"memory": "8G"}}', ["capacity"]), ("{", ["capacity"]), ("{}", []):
        if config:
            host.put("config.json", config)
        assert host.gate("plain") == (0, "") and os.listdir(f"{host.folder}/gate") == files, config


def test_without_a_bus_the_marks_of_systemd_say_what_runs(host):
    host.put("config.json", '{"capacity": {"gpus": {"0": "8G"}}}')
    for name in "a", "b", "c":
        host.model(name, "GPU_MEMORY=4G")
    host.model("large", "GPU_MEMORY=9G")
    host.started("b", 1000)
    assert host.gate("b") == (0, "")
    host.started("a", 1000)
    host.started("c", 1001)
    assert host.gate("a") == host.gate("b") == (0, "")
    assert host.gate("c") == (NOT_NOW, "<4>c is not started: gpu 0 has 8 GiB: a (4 GiB), b (4 GiB); c needs 4 GiB\n")
    status, words = host.gate("large")
    assert status == NEVER and "large does not fit, whatever else is stopped: gpu 0 has 8 GiB; large needs 9 GiB" in words


def test_of_two_that_began_at_once_the_name_decides(host):
    host.model("a", "GROUP=x")
    host.model("b", "GROUP=x")
    host.started("a", 1000)
    host.started("b", 1000)
    assert host.gate("a") == (0, "")
    assert host.gate("b") == (NOT_NOW, "<4>b is not started: group x is a's (running), and b is in it, too\n")


def test_where_nothing_can_be_told_what_claims_nothing_starts(host):
    host.model("claims", "GPU_MEMORY=4G")
    host.model("plain", "")
    host.put("config.json", "{")
    assert host.gate("plain") == (0, "")
    status, words = host.gate("claims")
    assert status == UNTOLD and "nobody can tell whether it fits" in words and "config.json is not valid" in words
    host.put("config.json", '{"capacity": {"gpus": {"0": "8G"}}}')
    shutil.rmtree(f"{host.folder}/started")
    assert host.gate("plain") == (0, "")
    status, words = host.gate("claims")
    assert status == UNTOLD and "nobody can tell what runs beside it: there is no bus, and" in words
