# SPDX-License-Identifier: MIT
"""GET /openapi.json by programs of a registry: a validator, and a tester that makes requests of what is described."""
import json
import os
import subprocess

import pytest

import real
from machines import PORTS, SERVICES, on_trixie_alone

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", 3))  # of each kind for each route; the same ones each time
PHASES = os.environ.get("OPENAPI_PHASES", "coverage,fuzzing")
MODEL = "tiny-llama"
SECONDS = 280  # at most, for each service
# logind powers nothing off, whatever is scheduled for the next second.
TARGETS = "poweroff.target reboot.target halt.target"
pytestmark = on_trixie_alone  # Debian 12's llhttp, besides, does not know the method QUERY: 400 where the tester wants a 405
every_service = pytest.mark.parametrize("port, service", list(zip(PORTS, SERVICES)), ids=SERVICES)


@pytest.fixture(scope="module")
def python():
    try:
        return real.openapi_tools()
    except real.NotHere as reason:
        pytest.skip(f"the descriptions are NOT TESTED: {reason}")


@pytest.fixture
def stays_up(machine):
    machine.sh(f"systemctl mask --runtime {TARGETS}")
    yield
    machine.sh("busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager CancelScheduledShutdown")
    machine.sh(f"systemctl unmask --runtime {TARGETS}")
    machine.sh("systemctl stop 'model@*.service'; systemctl reset-failed 'model@*.service'")


def validate(python, document):
    return subprocess.run([python, "-m", "openapi_spec_validator", "-"], input=json.dumps(document), capture_output=True,
                          text=True, timeout=SECONDS)


def test_a_validator_takes_the_documents(machine, python):
    for port in PORTS:
        document = machine.http("GET", port, "/openapi.json").json
        done = validate(python, document)
        assert done.returncode == 0, done
    document["paths"]["no slash"] = {}
    assert validate(python, document).returncode != 0


@pytest.mark.seconds(SECONDS + 20)
@every_service
def test_a_tester_finds_nothing(machine, python, stays_up, tmp_path, port, service):
    """Positive and negative requests of each route: statuses, types and schemas of answers, 405 with Allow, and no 5xx."""
    done = subprocess.run(
        ["nsenter", "--target", str(machine.leader), "--net", "--", python, "-m", "schemathesis.cli", "--no-color", "run",
         f"http://127.0.0.1:{port}/openapi.json", "--phases", PHASES, "--exclude-method", "PATCH",  # as PUT
         "--exclude-path", "/events",  # which goes on for an hour
         "--max-examples", str(EXAMPLES), "--continue-on-failure", "--request-timeout", str(SECONDS),
         "--generation-allow-x00", "false", "--generation-deterministic", "--no-shrink"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "MODEL": MODEL,
                           "PYTHONPATH": str(real.CLIENTS), "SCHEMATHESIS_HOOKS": "openapi_hooks"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, "\n".join(line[:500] for line in done.stdout.splitlines()) + done.stderr
