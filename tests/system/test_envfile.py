# SPDX-License-Identifier: MIT
"""One reading of a model file: ours is that of the systemd that runs. Thousands of files, made by chance from a seed, are
read by both: by systemd as the EnvironmentFile= of a unit that prints its environment, and by common/base/envfile.c."""
import os
import pathlib
import random
import subprocess

import pytest

FILES = 1500
SEED = 20260131
AT_ONCE = 250
SOURCE = pathlib.Path(__file__).resolve().parents[2]
UNIT = """[Unit]
DefaultDependencies=no
StartLimitIntervalSec=0
CollectMode=inactive-or-failed
[Service]
Type=oneshot
EnvironmentFile=/run/envprobe/in/%i
ExecStart=/usr/bin/env -0
StandardOutput=truncate:/run/envprobe/out/%i
"""
# systemd's own, in the environment of every unit
OWN = (b"LANG", b"PATH", b"INVOCATION_ID", b"JOURNAL_STREAM", b"SYSTEMD_EXEC_PID", b"MEMORY_PRESSURE_WATCH",
       b"MEMORY_PRESSURE_WRITE", b"USER", b"HOME", b"LOGNAME", b"SHELL", b"container", b"container_uuid")
PIECES = [b"A", b"B_2", b"PORT", b"COMMAND", b"=", b"=", b"=", b" ", b"  ", b"\t", b"\n", b"\n", b"\r\n", b"\r", b'"', b'"', b"'", b"\\",
          b"\\\n", b"\\\r\n", b'\\"', b"\\'", b"\\$", b"\\`", b"\\n", b"#", b";", b"# c\n", b"; c \\\n", b"export ", b"8198", b"llama-server -m x",
          b"$HOME", b"${X}", b"\xef\xbb\xbf", b"\xc3\xa9", b"\xf0\x9f\xa6\x99", b"\v", b"\f", b"\x01", b"\x7f", b"{\"a\": 1}", b"9", b"-", b"x=y"]
RARE = [b"\xff", b"\xc3", b"\xef\xbf\xbe", b"\xef\xb7\x90", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\xbf\xbf", b"\0", b"\xc0\x80"]
# What people write; mutated, too.
WRITTEN = [
    b'PORT="8198"\nCOMMAND="llama-server --port 8198 -m /srv/models/tiny.gguf"\n',
    b"PORT=8198\r\nCOMMAND=llama-server \\\r\n  --port 8198\r\n",
    b'# a model \\\nPORT=8198\n; more\n\nCOMMAND="vllm serve \\\n --port 8198"\n',
    b"export PORT=8198\nPORT = 8199 # mine\nPORT='8200' # mine\n",
    b'PORT="8198\nCOMMAND="x --y \\"z\\""\n',
    b"COMMAND=x --chat-template-kwargs \"{\\\"enable_thinking\\\": false}\"\nPORT=1",
    b"COMMAND='x --override-kv '\\''{\"a\": 1}'\\'\nPORT=1\n",
    b"\xef\xbb\xbfPORT=8198\nCOMMAND=x\n",
    b"=x\n==y\nA B=c\nA=\nB=\"\"\nC=''\nD=\\\n\nE= \\ \n",
]


def make_file(chance):
    kind = chance.random()
    if kind < 0.4:
        text = bytearray(chance.choice(WRITTEN))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(text) + 1)
            text[at:at + chance.choice((0, 0, 1, 3))] = chance.choice(PIECES)
    else:
        text = bytearray()
        for _ in range(chance.randrange(1, 5)):
            text += chance.choice((b"A", b"B_2", b" PORT", b"COMMAND ")) + b"=" if chance.random() < 0.7 else b""
            text += b"".join(chance.choice(PIECES) for _ in range(chance.randrange(12)))
            text += chance.choice((b"\n", b"\n", b"\r\n", b""))
    if chance.random() < 0.05:
        at = chance.randrange(len(text) + 1)
        text[at:at] = chance.choice(RARE)
    return bytes(text)


def read_by_systemd(machine, count):
    """For each file its variables, or None where systemd refuses it."""
    machine.put("/run/systemd/system/envprobe@.service", UNIT)
    machine.sh("systemctl daemon-reload; mkdir -p /run/envprobe/out")
    for first in range(0, count, AT_ONCE):
        units = [f"envprobe@{number}.service" for number in range(first, min(first + AT_ONCE, count))]
        machine.run(["systemctl", "start", *units], timeout=300)
    out = machine.path("/run/envprobe/out")
    return [variables((out / str(number)).read_bytes()) if (out / str(number)).exists() else None for number in range(count)]


def variables(text):
    return dict(line.split(b"=", 1) for line in text.split(b"\0") if line)


def read_by_us(version, paths, program):
    done = subprocess.run([program, str(version), *paths], capture_output=True, check=True)
    readings = []
    for text in done.stdout.split(b"\0\0"):
        *assignments, result = (part for part in text.split(b"\0") if part) if text else (b"",)
        if result:
            readings.append(dict(each.split(b"=", 1) for each in assignments) if result == b"result 0" else None)
    return readings


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("envfile") / "envfile_reading"
    sources = ["tests/system/envfile_reading.c", "common/base/envfile.c", *(f"common/base/{name}.c" for name in ("buf", "io", "mem", "str", "clock"))]
    subprocess.run(["cc", "-D_GNU_SOURCE", "-std=gnu17", "-O1", "-Icommon", "-o", path, *sources, "-lmd"], cwd=SOURCE, check=True)
    return path


@pytest.mark.seconds(600)
def test_ours_is_systemds_own_reading(machine, program):
    count = int(os.environ.get("ENVFILES", FILES))
    chance = random.Random(int(os.environ.get("SEED", SEED)))
    texts = (WRITTEN + [make_file(chance) for _ in range(count)])[:count]
    folder = machine.path("/run/envprobe/in")
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts):
        (folder / str(number)).write_bytes(text)
    theirs = read_by_systemd(machine, count)
    version = int(machine.sh("systemctl --version").split()[1])
    ours = read_by_us(version, [folder / str(number) for number in range(count)], program)
    assert len(ours) == count
    different, refused = [], 0
    for text, we, they in zip(texts, ours, theirs):
        refused += they is None
        if (we is None) != (they is None) or (we is not None and any(
                they.get(name) != value for name, value in we.items()) or they is not None and we is not None and set(they) - set(we) - set(OWN)):
            different.append((text, we, they))
    print(f"systemd {version}: {count} files, {refused} refused, {len(different)} read differently")
    assert 0 < refused < count / 2
    assert not different, different[:5]
