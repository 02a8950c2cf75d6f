# SPDX-License-Identifier: MIT
"""Which packages tests/install-dependencies asks for on which system. apt and dpkg are stand-ins: nothing is installed."""
import os
import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[1] / "install-dependencies"
APT = """#!/bin/bash
[[ " $* " != *" update "* ]] || { cp "$0.new" "$0.known" 2>/dev/null; exit 0; }
echo "$*" >>"$0.log"
"""
DPKG = """#!/bin/bash
while read -r name; do echo "installed $name"; done <"$0.installed"
"""
APT_CACHE = """#!/bin/bash
grep -qxF "$2" "${0%/*}/apt-get.known" 2>/dev/null
"""

DEBIAN = 'ID=debian\nVERSION_ID="{}"\nVERSION_CODENAME={}\n'
SYSTEMS = {
    "Debian 12": (DEBIAN.format(12, "bookworm"), "node-llhttp"),
    "Debian 13": (DEBIAN.format(13, "trixie"), "libllhttp-dev"),
    "Ubuntu 24.04": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n', "libllhttp-dev"),
    "Ubuntu 26.04": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="26.04"\nVERSION_CODENAME=resolute\nUBUNTU_CODENAME=resolute\n',
                     "libllhttp-dev"),
    "Linux Mint 22": ('ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n', "libllhttp-dev"),
    "LMDE 6": ("ID=linuxmint\nID_LIKE=debian\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm\n", "node-llhttp"),
    "Pop!_OS 24.04": ('ID=pop\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n', "libllhttp-dev"),
    "Raspberry Pi OS": ("ID=raspbian\nID_LIKE=debian\nVERSION_CODENAME=bookworm\n", "node-llhttp"),
    "Debian testing": ("ID=debian\nVERSION_CODENAME=forky\n", "libllhttp-dev"),
}
REFUSED = {
    "Ubuntu 22.04": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy\n',
    "Debian 11": DEBIAN.format(11, "bullseye"),
    "Linux Mint 21": 'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=victoria\nUBUNTU_CODENAME=jammy\n',
    "Fedora": 'ID=fedora\nVERSION_ID=42\n',
    "a clone that has a known codename": "ID=arch\nVERSION_CODENAME=noble\n",
    "nothing": "",
}


class Host:
    def __init__(self, folder, os_release):
        self.folder = folder
        for name, text in {"apt-get": APT, "dpkg-query": DPKG, "apt-cache": APT_CACHE, "systemctl": "#!/bin/sh\n", "node": "#!/bin/sh\n",
                           "npm": "#!/bin/sh\n"}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        (folder / "os-release").write_text(os_release)
        self.has()

    def has(self, *packages):
        (self.folder / "dpkg-query.installed").write_text("".join(name + "\n" for name in packages))

    def apt_knows(self, *packages, only_after_update=False):
        (self.folder / ("apt-get.new" if only_after_update else "apt-get.known")).write_text("".join(name + "\n" for name in packages))

    def run(self, *sets, status=0, **env):
        log = self.folder / "apt-get.log"
        log.unlink(missing_ok=True)
        done = subprocess.run([TOOL, *sets], capture_output=True, text=True, timeout=30,
                              env={"PATH": f"{self.folder}:{os.environ['PATH']}", "OS_RELEASE": str(self.folder / "os-release"), **env})
        assert done.returncode == status, done
        done.installed = set(log.read_text().split("--no-install-recommends ")[1].split()) if log.exists() else set()
        return done


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs")


@needs_root
@pytest.mark.parametrize("os_release, llhttp", SYSTEMS.values(), ids=SYSTEMS.keys())
def test_each_system_has_its_own_names(tmp_path, os_release, llhttp):
    host = Host(tmp_path, os_release)
    host.apt_knows("node-llhttp" if llhttp == "node-llhttp" else "libllhttp-dev", only_after_update=True)
    installed = host.run("build").installed
    assert llhttp in installed and {"gcc", "libsystemd-dev", "libfcgi-dev"} <= installed and "clang" not in installed
    assert not {"node-llhttp", "libllhttp-dev"} - {llhttp} & installed
    assert host.run("package").installed == installed | {"debhelper"}
    assert "mmdebstrap" in host.run("test").installed and llhttp in host.run("check").installed
    assert not {"node-llhttp", "libllhttp-dev"} & host.run("run").installed


@needs_root
def test_where_the_library_is_no_package_its_sources_are_taken(tmp_path):
    host = Host(tmp_path, SYSTEMS["Ubuntu 24.04"][0])
    host.apt_knows("node-llhttp", only_after_update=True)
    assert "node-llhttp" in host.run("build").installed


@needs_root
def test_where_no_package_has_it_a_release_of_its_own_is_asked_for(tmp_path):
    host = Host(tmp_path, SYSTEMS["Ubuntu 24.04"][0])
    done = host.run("build", status=1)
    assert "LLHTTP=DIR" in done.stderr and "libllhttp-dev node-llhttp" in done.stderr and not done.installed
    assert "gcc" in host.run("build", LLHTTP="/srv/llhttp").installed


@pytest.mark.parametrize("os_release", REFUSED.values(), ids=REFUSED.keys())
def test_another_system_is_told_what_is_needed(tmp_path, os_release):
    done = Host(tmp_path, os_release).run("build", status=1)
    assert "Ubuntu 24.04" in done.stderr and "libsystemd-dev" in done.stderr and "libllhttp-dev" in done.stderr
    assert not done.installed


def test_what_is_there_needs_nothing(tmp_path):
    host = Host(tmp_path, SYSTEMS["Linux Mint 22"][0])
    packages = "gcc make pkg-config libc6-dev libsystemd-dev libjson-c-dev libmd-dev libfcgi-dev libcurl4-openssl-dev libyaml-dev"
    for llhttp in "node-llhttp", "libllhttp-dev":
        host.has(*packages.split(), llhttp)
        assert host.run("build").installed == set()
    host.has(*packages.split())
    assert host.run("build", LLHTTP="/srv/llhttp").installed == set()
