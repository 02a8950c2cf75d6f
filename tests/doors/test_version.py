# SPDX-License-Identifier: MIT
"""One version in the tree, and every place that shows it shows that one."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from programs import BUILD, SERVICES, TIMEOUT, both_doors, this_process

ROOT = Path(__file__).resolve().parents[2]
VERSION = re.search(r'^#define HL_VERSION "(.*)"$', (ROOT / "common/base/version.h").read_text(), re.M)[1]
PROGRAMS = re.search(r"^PROGRAMS := \$\(SERVICES\) (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split() + SERVICES


def run(program, env=None):
    return subprocess.run([BUILD / program, "--version"], env=env, capture_output=True, text=True, timeout=TIMEOUT,
                          stdin=subprocess.DEVNULL)


def test_it_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert len(PROGRAMS) >= 8, PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_tells_it(program):
    done = run(program, env={"PATH": os.environ["PATH"]})
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{program} {VERSION}\n", "")


@pytest.mark.parametrize("service", SERVICES)
@both_doors
def test_every_service_tells_it(lab, ask, service):
    assert ask(lab, service, "GET", "/").json["version"] == VERSION


@pytest.mark.parametrize("service", SERVICES)
def test_a_query_is_not_a_command_line(lab, service):
    """A CGI server gives a query without "=" to the program as its argument."""
    env = dict(lab.env, GATEWAY_INTERFACE="CGI/1.1", SERVER_PROTOCOL="HTTP/1.1", REQUEST_METHOD="GET", REQUEST_URI="/",
               QUERY_STRING="", HTTP_HOST="localhost", **this_process.variables)
    done = run(service, env=env)
    head, _, body = done.stdout.partition("\n\n")
    assert head.startswith("Status: 200") and json.loads(body)["version"] == VERSION, done
