# SPDX-License-Identifier: MIT
"""What polkit's rule says on a host whose bus does not tell who calls, and to who hides on one whose bus does.

Ubuntu 24.04 is such a host: polkit 124 with dbus-daemon 1.14. Here it is Debian 13 with Debian 12's dbus-daemon."""
import os
import shutil

import pytest

from machines import INFERENCE, SHUTDOWN, tool, wait_until

MANAGER = "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
START = f"{MANAGER} StartUnit ss model@tiny-llama.service replace"
OLD = "/opt/dbus"
# One call on the system bus by a process that has ended when polkit looks for it: the child sends, the parent keeps the
# connection open and reads what comes back.
HIDDEN = r"""
import os, socket, struct, sys
def text(value):
    return struct.pack("<I", len(value)) + value.encode() + b"\0"
def pad(data, to=8):
    return data + b"\0" * (-len(data) % to)
def message(serial, path, interface, member, destination, signature="", body=b""):
    fields = b""
    for code, kind, value in ((1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", destination)):
        fields = pad(fields) + bytes([code, 1]) + kind.encode() + b"\0" + text(value)
    if signature:
        fields = pad(fields) + bytes([8, 1]) + b"g\0" + bytes([len(signature)]) + signature.encode() + b"\0"
    return pad(b"l\x01\x00\x01" + struct.pack("<III", len(body), serial, len(fields)) + fields) + body
body = pad(text("model@tiny-llama.service"), 4) + text("replace")
bus = "org.freedesktop.DBus"
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(20)
child = os.fork()
if child == 0:
    connection.connect("/run/dbus/system_bus_socket")
    connection.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
    assert connection.recv(512).startswith(b"OK"), "no OK"
    connection.sendall(b"BEGIN\r\n" + message(1, "/org/freedesktop/DBus", bus, "Hello", bus))
    connection.recv(64)
    os._exit(0)
os.waitpid(child, 0)
systemd = "org.freedesktop.systemd1"
connection.sendall(message(2, "/org/freedesktop/systemd1", systemd + ".Manager", "StartUnit", systemd, "ss", body))
got = b""
while b"/job/" not in got and b"ccess" not in got and b"Authorization" not in got:
    part = connection.recv(4096)
    assert part, "the bus has closed the connection"
    got += part
print(got)
sys.exit(0 if b"/job/" in got else 1)
"""


def stopped(machine):
    machine.sh("systemctl stop model@tiny-llama.service")
    return not machine.is_active("model@tiny-llama.service")


def as_unit(machine, unit, command):
    return machine.run(["systemd-run", "--wait", "--pipe", "--quiet", "--collect", "--uid=home-lab-services", f"--unit={unit}",
                        "--", *(command if isinstance(command, list) else ["sh", "-c", command])])


@pytest.fixture(scope="module")
def modern(make_machine):
    machine = make_machine()
    if machine.run("grep -q VERSION_CODENAME=bookworm /etc/os-release").returncode == 0:
        pytest.skip("polkit 122 knows nobody's unit")
    tool("demo", machine.name)
    return machine


@pytest.fixture(scope="module")
def old_bus(modern):
    """The same machine, with Debian 12's dbus-daemon."""
    donor = f"system-{os.getpid()}-bookworm"
    tool("up", donor, "--release", "bookworm", "--bare", "--no-build")
    try:
        root = f"/proc/{tool('leader', donor).stdout.strip()}/root"
        modern.path(OLD).mkdir()
        shutil.copy(f"{root}/usr/bin/dbus-daemon", modern.path(OLD))
        for library in ("libdbus-1.so.3", "libsystemd.so.0", "libgcrypt.so.20", "libgpg-error.so.0", "liblzma.so.5",
                        "libzstd.so.1", "liblz4.so.1"):
            shutil.copy(f"{root}/usr/lib/{os.uname().machine}-linux-gnu/{library}", modern.path(OLD))
    finally:
        tool("down", donor)
    modern.put("/etc/systemd/system/dbus.service.d/old.conf", f"[Service]\nEnvironment=LD_LIBRARY_PATH={OLD}\nExecStart=\n"
               f"ExecStart={OLD}/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only\n")
    reboot(modern)
    return modern


def reboot(machine):
    before = machine.leader
    machine.sh("systemctl --no-block reboot")

    def is_back():
        done = tool("leader", machine.name, check=False)
        return done.returncode == 0 and int(done.stdout) != before
    wait_until(is_back, 60, "the machine has rebooted")
    machine.find()
    wait_until(lambda: machine.run("systemctl is-system-running").stdout.strip() in ("running", "degraded"), 60, "it is up")


def test_where_the_bus_tells_a_foreign_unit_is_refused(modern):
    assert "ProcessFD" in modern.sh("busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus "
                                    "GetConnectionCredentials s org.freedesktop.systemd1")
    assert stopped(modern)
    for unit in "foreign.service", "inference-service-x.service", "inference-service.x.service":
        done = as_unit(modern, unit, START)
        assert done.returncode != 0 and "denied" in done.stderr.lower(), done
    assert modern.http("POST", INFERENCE, "/models/tiny-llama/start").status == 200
    assert modern.http("POST", INFERENCE, "/models/tiny-llama/stop").status == 200


def test_and_so_is_who_has_no_unit(modern):
    assert stopped(modern)
    done = modern.run(START, user="home-lab-services")
    assert done.returncode != 0 and "denied" in done.stderr.lower(), done
    assert not modern.is_active("model@tiny-llama.service")


def test_and_who_has_ended_since(modern):
    assert stopped(modern)
    done = as_unit(modern, "hidden.service", ["python3", "-c", HIDDEN])
    assert done.returncode == 1 and "AccessDenied" in done.stdout, done
    assert not modern.is_active("model@tiny-llama.service")


def test_where_it_cannot_be_asked_null_is_refused(modern):
    modern.sh("mount --bind /bin/false /usr/bin/busctl && systemctl restart polkit.service")
    try:
        done = as_unit(modern, "hidden.service", ["python3", "-c", HIDDEN])
        assert done.returncode == 1 and "AccessDenied" in done.stdout, done
        # Who has a unit needs no busctl.
        assert modern.http("POST", INFERENCE, "/models/tiny-llama/start").status == 200
    finally:
        modern.sh("umount /usr/bin/busctl && systemctl restart polkit.service")
    assert modern.http("POST", INFERENCE, "/models/tiny-llama/stop").status == 200


@pytest.mark.seconds(180)
def test_where_the_bus_does_not_tell_the_user_has_the_rights_of_its_services(old_bus):
    answer = old_bus.sh("busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus "
                        "GetConnectionCredentials s org.freedesktop.systemd1")
    assert "ProcessID" in answer and "ProcessFD" not in answer, answer
    for action in "start", "restart", "stop":
        answer = old_bus.http("POST", INFERENCE, f"/models/tiny-llama/{action}")
        assert answer.status == 200, answer
    assert old_bus.http("POST", SHUTDOWN, "/shutdown/schedule", {"minutes": 90}).status == 200
    assert old_bus.http("POST", SHUTDOWN, "/shutdown/cancel").status == 200


def test_and_no_others(old_bus):
    for call in "StopUnit ss dbus.service replace", "StartUnit ss poweroff.target replace", "Reload":
        done = as_unit(old_bus, "some.service", f"{MANAGER} {call}")
        assert done.returncode != 0 and "denied" in done.stderr.lower(), done
    done = old_bus.run(START, user="www-data")
    assert done.returncode != 0, done
    done = old_bus.run("home-lab-services check")
    assert done.returncode == 0 and "ok: polkit" in done.stdout, done
