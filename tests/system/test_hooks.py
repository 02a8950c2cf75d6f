# SPDX-License-Identifier: MIT
"""Models that are loaded at boot, and what runs before and after a load and an unload: the page's commands as they stand."""
import http.server
import re
import socket
import threading
import urllib.parse

import pytest

import documents
from machines import INFERENCE, PATIENCE, wait_until

PAGE = "handlers/MODELS.md", "At boot, and around a load"
SECTION = documents.section(*PAGE).replace("sudo ", "")
UNIT = "model@tiny-llama.service"


def commands(*, starting):
    """The commands in the text that begin so."""
    return [command.replace("\n", " ") for command in re.findall(r"(?<!`)`([^`]+)`(?!`)", SECTION) if command.startswith(starting)]


@pytest.fixture
def webhook(machine):
    """Home Assistant, in the machine: what it was told."""
    told = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told.append((self.path.rpartition("/")[2], dict(urllib.parse.parse_qsl(body))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = machine.network.socket()
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.socket.bind(("127.0.0.1", 8123))
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (_, block), = documents.blocks(*PAGE)
    machine.sh(block.replace("sudo ", "").replace("homeassistant.local", "127.0.0.1"))
    yield told
    server.shutdown()
    server.server_close()
    machine.sh(f"systemctl stop {UNIT}; rm -r /etc/systemd/system/{UNIT}.d && systemctl daemon-reload")


def hooks_logged(machine):
    return machine.sh("journalctl -t model-hooks -o cat").splitlines()


def test_hooks_run_around_a_load(machine, webhook):
    before = len(hooks_logged(machine))
    machine.model("tiny-llama", 8198, "--load-seconds 1")
    assert machine.http("POST", INFERENCE, "/models/tiny-llama/start").status == 200
    # "started" is "ready" then, though nobody waited for that.
    assert machine.http("GET", 8198, "/health").status == 200
    wait_until(lambda: webhook == [("model-loaded", {"model": "tiny-llama"})], PATIENCE, "Home Assistant knows")
    assert machine.http("POST", INFERENCE, "/models/tiny-llama/stop").status == 200
    assert webhook[1:] == [("model-unloaded", {"model": "tiny-llama", "result": "success"})]
    assert hooks_logged(machine)[before:] == ["tiny-llama: before its load", "tiny-llama: before its unload"]


def test_a_model_that_crashes_while_it_loads_does_not_hang_in_its_hook(machine, webhook):
    machine.model("tiny-llama", 8198, command="sh -c 'sleep 1; exit 3'")
    answer = machine.http("POST", INFERENCE, "/models/tiny-llama/start")
    assert answer.status == 502, answer
    assert machine.http("GET", INFERENCE, "/models/tiny-llama")["state"] == "failed"
    wait_until(lambda: [event for event, _ in webhook] == ["model-unloaded"], PATIENCE, "Home Assistant knows")
    assert webhook[0][1]["result"] == "exit-code"


def test_a_hook_that_fails_stops_nothing(machine, webhook):
    machine.sh(f"sed -i s/:8123/:9/ /etc/systemd/system/{UNIT}.d/hooks.conf && systemctl daemon-reload")
    machine.model("tiny-llama", 8198)
    assert machine.http("POST", INFERENCE, "/models/tiny-llama/start").status == 200
    assert machine.http("POST", INFERENCE, "/models/tiny-llama/stop").status == 200
    assert webhook == [] and not machine.is_active(UNIT)
    assert machine.http("GET", INFERENCE, "/models/tiny-llama")["state"] == "unloaded"


@pytest.mark.seconds(180)
def test_an_enabled_model_is_loaded_at_boot_and_stays_so(make_machine):
    machine = make_machine()
    enable, disable = commands(starting="systemctl enable")[0], commands(starting="systemctl disable")[0]
    machine.model("tiny-llama", 8198, command="sleep infinity")
    machine.model("other", 8199, command="sleep infinity")
    machine.sh(enable)
    assert machine.is_active(UNIT)

    def reboot():
        before = machine.leader
        machine.sh("systemctl --no-block reboot")

        def is_back():
            try:
                machine.find()
            except (AssertionError, ValueError):
                return False
            return machine.leader != before and machine.run("systemctl is-system-running --wait").stdout.strip()
        assert wait_until(is_back, 60, "it has booted again") == "running"
    reboot()
    assert machine.is_active(UNIT) and not machine.is_active("model@other.service")
    install = ["/usr/src/home-lab-services/units/install-services.sh"]
    build = {"BUILD": "/usr/src/home-lab-services-build"}
    assert machine.run(install, env=build).returncode == 0  # an upgrade
    assert machine.is_active(UNIT) and machine.sh(f"systemctl is-enabled {UNIT}") == "enabled\n"
    assert machine.run([*install, "uninstall"]).returncode == 0
    reboot()
    assert not machine.is_active(UNIT) and machine.failed_units() == ""
    assert machine.run(install, env=build).returncode == 0
    assert machine.sh(f"systemctl is-enabled {UNIT}") == "enabled\n"
    machine.sh(disable)
    reboot()
    assert not machine.is_active(UNIT)
