# SPDX-License-Identifier: MIT
"""model-measure on the trees that kernels have: cards of AMD, Intel and NVIDIA, a processor with graphics, and dmem.

What the drivers write is as in the kernel's drm-usage-stats and cgroup-v2. nvidia-smi is a script that counts its calls."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from programs import BUILD, TIMEOUT

UNIT = "/system.slice/system-model.slice/model@m.service"
MIB = 1024 * 1024
GIB = 1024 * MIB
STAT = "anon 3221225472\nfile 9663676416\nkernel 1048576\nshmem 0\nfile_mapped 1073741824\ninactive_anon 0\n" \
       "inactive_file 8589934592\nactive_file 1073741824\nunevictable 0\n"
FILE = "pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t{0}\n"


class Host:
    def __init__(self, folder):
        self.folder = folder
        self.put("config.json", '{"capacity": {"gpus": {"0": "23G"}, "memory": "56G"}}')
        self.put("models/m", "PORT=1\n")
        os.utime(folder / "models/m", (1000, 1000))
        self.put(f"cgroup{UNIT}/memory.current", f"{12 * GIB}\n")
        self.put(f"cgroup{UNIT}/memory.stat", STAT)
        (folder / "measured").mkdir()
        (folder / "started").mkdir()
        (folder / "started/invocation:model@m.service").symlink_to("0" * 32)
        self.ready(time.monotonic())
        self.pids = []

    def put(self, name, text, mode=0o644):
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)

    def ready(self, at):
        """The mark of who has seen it ready, on the clock of this boot."""
        self.put("ready/m", "")
        os.utime(self.folder / "ready/m", (at, at))

    def process(self, *infos, opens=(), below=""):
        """One of the unit's, with files of which the kernel says this, and links to what it has open."""
        pid = str(1000 + len(self.pids))
        self.pids.append((pid, below))
        group = f"cgroup{UNIT}{below}/cgroup.procs"
        self.put(group, "".join(f"{pid}\n" for pid, place in self.pids if place == below))
        (self.folder / f"proc/{pid}/fd").mkdir(parents=True)
        self.put(f"proc/{pid}/fdinfo/0", FILE.format(1))
        for number, info in enumerate(infos, 3):
            self.put(f"proc/{pid}/fdinfo/{number}", FILE.format(number) + info)
        for number, target in enumerate(opens, 3):
            (self.folder / f"proc/{pid}/fd/{number}").symlink_to(target)
        return pid

    def card(self, driver, address, status=None, metrics=None):
        (self.folder / f"sys/bus/pci/drivers/{driver}/{address}").mkdir(parents=True)
        (self.folder / f"sys/bus/pci/drivers/{driver}/module").mkdir(exist_ok=True)
        if status:
            self.put(f"sys/bus/pci/devices/{address}/power/runtime_status", f"{status}\n")
        if metrics:
            self.put(f"sys/bus/pci/devices/{address}/gpu_metrics", metrics)

    def nvidia_smi(self, answer, last="exit 0"):
        self.put("bin/nvidia-smi", f"#!/bin/sh\necho \"$*\" >>{self.folder}/calls\ncat {self.folder}/answer\n{last}\n", 0o755)
        self.put("answer", answer)

    def calls(self):
        return (self.folder / "calls").read_text().splitlines()

    def begin(self, *options):
        return subprocess.Popen([BUILD / "model-measure", *options, "model@m"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, user=NOBODY, group=NOBODY, extra_groups=(), env={
            "CONFIGURATION_DIRECTORY": str(self.folder), "MODELS_CONFIG_DIR": f"{self.folder}/models",
            "STATE_DIRECTORY": str(self.folder), "HL_READY_DIRECTORY": f"{self.folder}/ready",
            "HL_STARTED_DIRECTORY": f"{self.folder}/started", "HL_CGROUP_ROOT": f"{self.folder}/cgroup",
            "HL_PROC_ROOT": f"{self.folder}/proc", "HL_SYS_ROOT": f"{self.folder}/sys",
            "PATH": f"{self.folder}/bin:/usr/bin:/bin"})

    def measure(self, *options):
        with self.begin(*options) as process:
            said = process.communicate(timeout=TIMEOUT)[0]
        assert process.returncode == 0, said
        return said

    def lines(self):
        file = self.folder / "measured/m"
        return file.read_text().splitlines() if file.exists() else []

    def measured(self):
        """What is written down: bytes by resource."""
        found = (line.rpartition(" ") for line in self.lines())
        return {name: int(number) for name, _, number in found if number.isdigit()}

    def gpus(self):
        self.measure()
        return {name: bytes_ for name, bytes_ in self.measured().items() if name != "memory"}


NOBODY = 65534 if os.geteuid() == 0 else None


@pytest.fixture
def host(tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    host = Host(folder)
    for place in (folder, *folder.parents[:2]):
        place.chmod(0o755)
    host.put("calls", "", 0o666)
    (folder / "measured").chmod(0o777)
    return host


def amdgpu(address, client, vram, gtt, word="resident"):
    """As of Linux 6.13 and later; word="memory": as before, with a blank more behind "gtt"."""
    other = "drm-memory-vram:\t%d KiB\ndrm-memory-gtt: \t%d KiB\ndrm-memory-cpu: \t0 KiB\n" % (vram // 1024, gtt // 1024)
    now = "" if word == "memory" else f"drm-total-vram:\t{vram // 1024 + 4096} KiB\ndrm-resident-vram:\t{vram // 1024} KiB\n" \
        f"drm-resident-gtt:\t{gtt // 1024} KiB\ndrm-resident-cpu:\t64 KiB\n"
    return f"pasid:\t32770\ndrm-driver:\tamdgpu\ndrm-client-id:\t{client}\ndrm-pdev:\t{address}\n{now}{other}" \
        "amd-evicted-vram:\t0 KiB\ndrm-engine-compute:\t1278 ns\n"


def xe(address, client, regions):
    lines = "".join(f"drm-total-{name}:\t{value}\ndrm-resident-{name}:\t{value}\n" for name, value in regions.items())
    return f"drm-driver:\txe\ndrm-client-id:\t{client}\ndrm-pdev:\t{address}\n{lines}drm-cycles-ccs:\t0\n"


def test_host_memory_is_what_ends_with_the_model(host):
    host.process()
    assert host.measure() == "<5>m used 4 GiB of memory\n"  # 12, without the 9 of the cache of which it maps 1
    assert host.measured() == {"memory": 4 * GIB}
    assert host.calls() == []


def test_cards_of_amd_count_each_client_once(host):
    host.card("amdgpu", "0000:0a:00.0", metrics=bytes([120, 0, 1, 3]))
    host.card("amdgpu", "0000:03:00.0", metrics=bytes([120, 0, 1, 3]))
    first, second = amdgpu("0000:0a:00.0", 7, 18 * GIB, GIB), amdgpu("0000:03:00.0", 7, 2 * GIB, 0, "memory")
    host.process(first, first, second, "drm-driver:\tvgem\n")
    host.process(first, amdgpu("0000:0a:00.0", 8, GIB, 0), below="/payload")
    assert host.gpus() == {"gpu 0": 2 * GIB, "gpu 1": 19 * GIB}
    assert "2 GiB of gpu 0, 19 GiB of gpu 1, 4 GiB of memory" in host.measure()


@pytest.mark.parametrize("revision", [2, 3])
def test_of_a_processor_with_graphics_the_hosts_memory_counts(host, revision):
    host.card("amdgpu", "0000:c4:00.0", metrics=bytes([128, 0, revision, 4]))
    host.process(amdgpu("0000:c4:00.0", 12, 512 * MIB, 20 * GIB))
    assert host.gpus() == {"gpu 0": 20 * GIB + 512 * MIB}


def test_cards_of_intel_by_both_drivers(host):
    host.card("xe", "0000:03:00.0")
    host.card("i915", "0000:00:02.0")
    host.process(xe("0000:03:00.0", 3, {"system": "0", "gtt": "192 KiB", "vram0": "10 GiB"}),  # no unit of the kernel's
                 xe("0000:03:00.0", 4, {"system": "0", "gtt": "192 KiB", "vram0": "9000 MiB", "stolen": "0"}),
                 "drm-driver:\ti915\ndrm-client-id:\t9\ndrm-pdev:\t0000:00:02.0\n"
                 "drm-resident-system0:\t3 GiB\ndrm-resident-system0:\t2048 MiB\ndrm-resident-stolen-system0:\t0\n")
    assert host.gpus() == {"gpu 0": 2 * GIB, "gpu 1": 9000 * MIB}


def test_a_card_of_intels_has_its_own_memory(host):
    host.card("i915", "0000:03:00.0")
    host.process("drm-driver:\ti915\ndrm-client-id:\t9\ndrm-pdev:\t0000:03:00.0\n"
                 "drm-resident-system0:\t4096 KiB\ndrm-resident-local0:\t4194304 KiB\n")
    assert host.gpus() == {"gpu 0": 4 * GIB}


def test_dmem_counts_what_no_file_says(host):
    host.card("amdgpu", "0000:03:00.0", metrics=bytes([120, 0, 1, 3]))
    host.card("amdgpu", "0000:0a:00.0", metrics=bytes([120, 0, 1, 3]))
    host.put(f"cgroup{UNIT}/dmem.current", f"drm/0000:03:00.0/vram {5 * GIB}\ndrm/0000:03:00.0/stolen 8650752\n"
             f"drm/0000:0a:00.0/vram0 {GIB}\ndrm/0000:0a:00.0/vram1 {GIB}\ndrm/0000:0b:00.0/vram {GIB}\nodd\n")
    host.process(amdgpu("0000:03:00.0", 1, 4 * GIB, 0))
    assert host.gpus() == {"gpu 0": 5 * GIB, "gpu 1": 2 * GIB}


def nvidia(host, *statuses):
    for number, status in enumerate(statuses, 1):
        host.card("nvidia", f"0000:0{number}:00.0", status=status)
    pid = host.process(opens=["/dev/null", "/dev/nvidiactl", "/dev/nvidia0"])
    host.nvidia_smi(f"{pid}, 00000000:02:00.0, 18000\n{pid}, 00000000:01:00.0, 6\n999, 00000000:01:00.0, 4000\n"
                    f"{pid}, 00000000:01:00.0, [N/A]\n")


def test_nvidia_smi_is_called_once(host):
    nvidia(host, "active", "active")
    assert host.gpus() == {"gpu 0": 6 * MIB, "gpu 1": 18000 * MIB}
    assert host.calls() == ["--query-compute-apps=pid,gpu_bus_id,used_memory --format=csv,noheader,nounits"]


@pytest.mark.parametrize("statuses", [("suspended",), ("active", "suspended"), ("suspending", "active")])
def test_no_card_of_nvidias_is_waked(host, statuses):
    nvidia(host, *statuses)
    assert host.gpus() == {} and host.calls() == []


def test_of_what_uses_no_card_of_nvidias_nvidia_smi_is_not_asked(host):
    host.card("nvidia", "0000:01:00.0", status="active")
    host.nvidia_smi("")
    host.process(opens=["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia"])
    assert host.gpus() == {} and host.calls() == []


def test_nvidia_smi_that_hangs_or_is_not_there_holds_nothing_up(host):
    nvidia(host, "active")
    host.nvidia_smi("", last="exec sleep 60")
    began = time.monotonic()
    assert host.gpus() == {} and host.measured() == {"memory": 4 * GIB}
    assert time.monotonic() - began < TIMEOUT / 2
    (host.folder / "bin/nvidia-smi").unlink()
    assert host.gpus() == {}


def test_the_most_counts_until_the_models_file_is_changed(host):
    def now(current):
        host.put(f"cgroup{UNIT}/memory.current", f"{current}\n")
        host.measure()
        return host.measured()["memory"] + 8 * GIB
    host.process()
    assert now(12 * GIB) == 12 * GIB
    assert now(11 * GIB) == 12 * GIB
    assert now(13 * GIB) == 13 * GIB
    os.utime(host.folder / "models/m")
    os.utime(host.folder / "measured/m", (1000, 1000))
    assert now(11 * GIB) == 11 * GIB


def test_without_a_capacity_nothing_is_measured(host):
    nvidia(host, "active")
    for text in '{}', '{', None:
        (host.folder / "config.json").unlink()
        if text:
            host.put("config.json", text)
        else:
            host.put("config.jso", "")
        assert host.measure() == "" and host.measured() == {} and host.calls() == []
        host.put("config.json", "{}")


def test_what_was_not_ready_is_not_measured(host):
    nvidia(host, "active")
    os.utime(host.folder / "ready/m", (0, 0))
    os.utime(host.folder / "started/invocation:model@m.service", follow_symlinks=False)
    assert host.measure() == "" and host.measured() == {} and host.calls() == []
    host.ready(time.monotonic())
    assert host.measure() != ""


def watches(process):
    with contextlib.suppress(FileNotFoundError):  # what the loader has had open
        return "anon_inode:inotify" in [os.readlink(fd) for fd in pathlib.Path(f"/proc/{process.pid}/fd").iterdir()]
    return False


def test_what_has_become_ready_is_measured(host):
    """What it uses then is no reason to claim less."""
    host.process()
    started, mark = host.folder / "started/invocation:model@m.service", host.folder / "ready/m"
    os.utime(started, follow_symlinks=False)
    os.utime(mark, (0, 0))
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(host.begin("--ready"))
        stack.callback(process.kill)
        while not watches(process):
            assert process.poll() is None
        os.utime(mark, (1, 1))  # of another start
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=0.05)
        os.utime(mark, (time.monotonic(),) * 2)
        assert process.communicate(timeout=TIMEOUT)[0] == "<5>m is ready and uses 4 GiB of memory\n"
    assert host.lines() == [f"memory {4 * GIB}"]
    host.measure()
    assert host.lines() == [f"memory {4 * GIB}", "to the end"]
    host.measure("--ready")
    assert host.lines() == [f"memory {4 * GIB}", "to the end"]
    started.unlink()  # it has ended
    assert host.measure("--ready") == ""


def test_what_cannot_be_told_is_no_failure(host):
    (host.folder / f"cgroup{UNIT}/memory.stat").unlink()
    assert host.measure() == ""
    shutil.rmtree(host.folder / f"cgroup{UNIT}")  # it has ended
    assert host.measure() == "" and host.measured() == {}
