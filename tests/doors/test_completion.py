# SPDX-License-Identifier: MIT
"""What bash offers for home-lab-services, asked of bash itself."""
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "units/bash-completion/home-lab-services"
TIMEOUT = 10


@pytest.fixture
def models(tmp_path):
    for name in "tiny-llama", "qwen2.5:0.5b", "qwen2.5:7b", ".hidden", "no model", "bad$(touch pwned)":
        (tmp_path / name).write_text("PORT=1\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


def offered(models, line, wordbreaks=" \t\n\"'@><=;|&(:"):
    script = f'source {SCRIPT}; COMP_WORDBREAKS=$1; COMP_LINE=$2; COMP_POINT=${{#2}}; _home_lab_services; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", wordbreaks, line], cwd=models, capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], "MODELS_CONFIG_DIR": str(models)}, timeout=TIMEOUT)
    assert done.returncode == 0 and done.stderr == "", done
    return sorted(done.stdout.split())


@pytest.mark.parametrize("line, words", [
    ("", "check keep list logs restart start status stop token why"), ("st", "start status stop"), ("--v", "--version"),
    ("start ", "qwen2.5:0.5b qwen2.5:7b tiny-llama"), ("why t", "tiny-llama"), ("logs -f t", "tiny-llama"),
    ("logs -n 20 t", "tiny-llama"), ("--host box logs t", "tiny-llama"), ("stop tiny-llama ", ""), ("list ", ""), ("check x", ""),
    ("stop tiny-llama --", "--drain --host --json --no-wait"), ("stop --drain ", ""),
    ("keep --for 2h t", "tiny-llama"), ("keep t --", "--for --host --json"), ("token ", "add list revoke"),
    ("token add phone --scope ", "control power read use"), ("foo ", "")])
def test_it_offers_what_fits(models, line, words):
    assert offered(models, "home-lab-services " + line) == words.split()


def test_a_name_with_a_colon_is_completed_behind_it(models):
    assert offered(models, "home-lab-services why qwen2.5:") == ["0.5b", "7b"]
    assert offered(models, "home-lab-services why qwen2.5:7") == ["7b"]
    assert offered(models, "home-lab-services why qwen2.5:7", wordbreaks=" \t\n") == ["qwen2.5:7b"]


def test_nothing_in_a_folder_is_run(models):
    offered(models, "home-lab-services start b")
    assert not (models / "pwned").exists()


def test_tab_writes_the_name(models):
    """In an interactive bash: what readline makes of it."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"],
                  {"PATH": os.environ["PATH"], "MODELS_CONFIG_DIR": str(models), "TERM": "dumb", "PS1": "$ ", "HISTFILE": ""})
    shown = b""

    def wait_for(pattern):
        nonlocal shown
        deadline = time.monotonic() + TIMEOUT
        while not re.search(pattern, shown):
            assert time.monotonic() < deadline, shown
            if select.select([fd], [], [], 0.1)[0]:
                shown += os.read(fd, 4096)
    try:
        os.write(fd, f"bind 'set enable-bracketed-paste off'; home-lab-services() {{ echo \"got<$*>\"; }}; source {SCRIPT}; echo rea''dy\n".encode())
        wait_for(rb"\nready")
        os.write(fd, b"home-lab-services why qwen2.5:7\t\n")
        wait_for(rb"got<why qwen2\.5:7b ?>")
        os.write(fd, b"home-lab-services sto\ttin\t\n")
        wait_for(rb"got<stop tiny-llama ?>")
    finally:
        os.write(fd, b"exit\n")
        os.close(fd)
        os.waitpid(pid, 0)
