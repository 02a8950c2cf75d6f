# SPDX-License-Identifier: MIT
"""The shell blocks of the documents as they stand, in a machine: first README.md's, which installs the product as a newcomer
does, and then those of each other document. tests/documents.py says which blocks are run elsewhere."""
import re
import subprocess

import pytest

import documents
from machines import BUILD, ETC, MODELS, PATIENCE, PORTS, SOURCE, TOOL, wait_until

FIRST = "README.md"
OTHERS = [document for document in documents.names() if document != FIRST and documents.blocks_to_run(document)]
ADDRESS = "192.168.1.10"  # of the documents' machine
# What a newcomer has, and a machine has not: sudo, a model server, the network.
PROGRAMS = {
    "/usr/local/bin/sudo": '#!/bin/sh\nexec "$@"\n',
    "/usr/local/bin/llama-server":  # --port PORT …
        f'#!/bin/sh\nexec {SOURCE}/tests/demo/demo-model --name tiny-llama --port "$2"\n',
    # A request that is refused is a failure. "-s" for the terminal alone.
    "/root/.curlrc": "silent\nshow-error\nfail-with-body\nmax-time = 60\n",
}


class Newcomer:
    """Types what stands in a document."""

    def __init__(self, machine):
        self.machine, self.token = machine, None

    def locations_are_written(self):
        """Seconds after a model's file; a person is slower than that."""
        locations = self.machine.path("/var/lib/home-lab-services/nginx/models.conf")
        for name in self.machine.run(["ls", MODELS]).stdout.split():
            wait_until(lambda: f"location /{name}/ " in locations.read_text(), PATIENCE, f"NGINX knows {name}")

    def types(self, block):
        if self.token:
            block = block.replace("hls_…", self.token)
        done = self.machine.run(["bash", "-ec", f"cd {SOURCE}\n{block}"], env={"MAKEFLAGS": f" -- BUILD={BUILD}"})
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        tokens = re.findall(r"\bhls_[0-9a-f]{64}\b", done.stdout)
        self.token = tokens[-1] if tokens else self.token
        return done.stdout


@pytest.fixture(scope="module")
def newcomer(make_machine):
    """On a machine where NGINX runs, as Debian's package has it."""
    machine = make_machine("--bare")
    for path, text in PROGRAMS.items():
        machine.put(path, text, 0o755)
    machine.put("/srv/models/tiny-llama.gguf", "GGUF")
    machine.sh(f"ip address add {ADDRESS}/32 dev lo")
    machine.sh("rm -f /etc/nginx/sites-enabled/default && systemctl enable --now nginx")
    newcomer = Newcomer(machine)
    newcomer.said = ""
    for block in documents.blocks_to_run(FIRST):
        newcomer.said += newcomer.types(block)
        newcomer.locations_are_written()
    return newcomer


def test_readme_leads_to_a_model_that_answers(newcomer):
    assert "Model tiny-llama is ready." in newcomer.said
    assert '"object":"chat.completion"' in newcomer.said.replace(" ", "")
    assert "Shutdown cancelled" in newcomer.said and newcomer.machine.scheduled() is None
    assert newcomer.machine.ports_open() == list(PORTS) and newcomer.machine.failed_units() == ""


@pytest.mark.parametrize("document", OTHERS)
def test_the_commands_of(newcomer, document):
    newcomer.machine.sh("home-lab-services start tiny-llama")
    for block in documents.blocks_to_run(document):
        newcomer.types(block)
    newcomer.machine.run(f"shutdown -c; rm -f {ETC}/tokens {ETC}/config.json")
    assert newcomer.machine.failed_units() == ""


def test_the_tour(machine):
    """What "make run" shows: each answer is as it should be."""
    done = subprocess.run([TOOL.parent / "tour", machine.name], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.endswith("\nEverything answered as it should.\n"), done
    assert machine.name in subprocess.run([TOOL, "list"], capture_output=True, text=True, timeout=10).stdout
