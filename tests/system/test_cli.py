# SPDX-License-Identifier: MIT
"""The command line for people, on the services as they are: as root and as anybody. Every command that the page names."""
import json
import pathlib
import re
import subprocess

import pytest

import documents
from machines import MODELS, MONITOR, PATIENCE, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = documents.section("handlers/README.md", "Command line")
VERSION = re.search(r'^#define HL_VERSION "(.*)"$', (ROOT / "common/base/version.h").read_text(), re.M)[1]
USERS = pytest.mark.parametrize("user", [None, "games"], ids=["root", "user"])


@pytest.fixture
def quick(machine):
    machine.model("tiny-llama", 8198)
    return machine


def cli(machine, line, user=None, status=0, env={}):
    done = machine.run(f"home-lab-services {line}", user=user, env=env)
    assert done.returncode == status, done
    return done


def test_the_page_lists_what_there_is(machine):
    named = re.findall(r"^home-lab-services (.*?) *#", PAGE, re.M)
    assert len(named) >= 8
    usage = cli(machine, "--help").stdout
    for line in named:
        assert line.split()[0] in ("status", "check", *re.findall(r"^  ([a-z]+) ", usage, re.M)), line


@USERS
def test_a_day_with_a_model(quick, user):
    """The page's commands, in their order."""
    said = {}
    for line in re.findall(r"^home-lab-services (.*?) *#", PAGE, re.M):
        if "-f" not in line.split() and line.split()[0] not in ("check", "token"):
            said[line] = cli(quick, line, user).stdout
        if line.startswith("why"):
            said["list"] = cli(quick, "list", user).stdout
    assert said["start tiny-llama"] == "Model tiny-llama is ready.\n"
    assert re.search(r"^tiny-llama +8198 +loaded +\d\d:\d\d +\d+ s +0$", said["list"], re.M), said["list"]
    assert re.search(r"^tiny-llama is loaded and runs since \d\d:\d\d, unused for \d+ s\. Unless it is used it is stopped at",
                     said["why tiny-llama"]), said
    assert "Started" in said["logs tiny-llama"] and said["restart tiny-llama"] == "Model tiny-llama is ready.\n"
    assert said["keep tiny-llama --for 2h"].startswith("Model tiny-llama is kept until ")
    assert said["stop tiny-llama --drain 60"] == "Model tiny-llama stopped.\n"
    assert not quick.is_active("model@tiny-llama.service")
    assert cli(quick, "why tiny-llama", user).stdout.startswith("tiny-llama is stopped since ")


@USERS
def test_who_is_not_there_and_what_is_not_ready(quick, user):
    assert cli(quick, "start tiny-lama", user, 66).stderr == 'error: there is no model "tiny-lama"; did you mean tiny-llama?\n'
    quick.model("broken", 8297, command="sh -c 'exit 3'")
    assert cli(quick, "start broken", user, 70).stderr.startswith("error: ")
    assert "broken has failed at " in cli(quick, "why broken", user).stdout
    quick.model("slow", 8298, "--load-seconds 60", extra="START_TIMEOUT=1\n")
    assert "error: " in cli(quick, "start slow", user, 75).stderr
    assert "slow is loading since " in cli(quick, "why slow", user).stdout
    quick.model("portless", command="sleep infinity")
    assert cli(quick, "start portless", user).stdout == "Model portless started.\n"
    assert "stays until somebody stops it" in cli(quick, "why portless", user).stdout
    assert cli(quick, "start slow --no-wait", user).stdout == "Model slow is starting.\n"


def test_never_started_and_stopped_by_the_sweep(quick):
    quick.model("fresh", 8296)
    assert "fresh is stopped: the journal knows of no start of it." in cli(quick, "why fresh").stdout
    quick.model("tiny-llama", 8198, extra="IDLE_TIMEOUT=1\n")
    cli(quick, "start tiny-llama")
    wait_until(lambda: "The next sweep stops it." in cli(quick, "why tiny-llama").stdout, PATIENCE, "it is idle")
    quick.sh("systemctl start model-idle-sweep.service")
    wait_until(lambda: not quick.is_active("model@tiny-llama.service"), PATIENCE, "it is stopped")
    assert re.match(r"tiny-llama is stopped: it was idle for \d+ s \(IDLE_TIMEOUT 1 s\), stopped at \d\d:\d\d\. A request",
                    cli(quick, "why tiny-llama").stdout)


def test_json_is_what_the_services_answer(quick):
    cli(quick, "start tiny-llama")
    assert json.loads(cli(quick, "start tiny-llama --json").stdout)["model_name"] == "tiny-llama"
    states = {model["model_name"]: model["state"] for model in map(json.loads, cli(quick, "list --json").stdout.splitlines())}
    assert states["tiny-llama"] == "loaded" and states["whisper.cpp"] == "unloaded"
    assert json.loads(cli(quick, "why tiny-llama --json").stdout)["reason"] == "recently_used"
    assert json.loads(cli(quick, "stop nobody --json", status=66).stdout)["code"] == "model_not_found"


def test_a_log_is_followed(quick):
    """Until its reader has had enough."""
    argv = quick.argv("home-lab-services logs -f tiny-llama | grep -m 1 --line-buffered 'Stopped'", user="games")
    follower = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        cli(quick, "start tiny-llama")
        wait_until(lambda: quick.run("pgrep -f 'home-lab-services logs'").stdout, PATIENCE, "it follows")
        cli(quick, "stop tiny-llama")
        out, err = follower.communicate(timeout=20)
        assert "Stopped" in out and err == "", (out, err)
    finally:
        follower.kill()
    wait_until(lambda: not quick.run("pgrep -x home-lab-servic").stdout, PATIENCE, "it has ended")


def test_ctrl_c_leaves_the_model_loading(machine):
    machine.model("slow", 8298, "--load-seconds 8")
    starter = subprocess.Popen(machine.argv(["home-lab-services", "start", "slow"]), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: machine.is_active("model@slow.service"), PATIENCE, "it loads")
    machine.sh("pkill -INT -f '^home-lab-services start slow'")
    assert starter.wait(20) == 130 and "slow goes on loading" in starter.stderr.read()
    machine.ready(8298)
    assert machine.is_active("model@slow.service")


def test_a_port_that_is_closed(quick):
    quick.sh("systemctl stop inference-service.service")
    try:
        done = cli(quick, "list", status=69)
        command = re.search(r'"(sudo systemctl start [a-z-]+)"', done.stderr)[1]
    finally:
        quick.sh("systemctl start inference-service.service")
    quick.sh("systemctl stop inference-service.service")
    quick.sh(command.removeprefix("sudo "))
    cli(quick, "list")


def test_another_machine_asks_with_a_token(quick):
    """By NGINX's address or the services' own, from a client that is not this host's: a token is needed."""
    quick.config(auth={"loopback": "token"})
    done = cli(quick, "list", status=77)
    assert "HOME_LAB_SERVICES_TOKEN" in done.stderr and done.stdout == ""
    token = cli(quick, "token add cli --scope read").stdout.strip()
    known = {"HOME_LAB_SERVICES_TOKEN": token}
    assert "tiny-llama" in cli(quick, "list --host 127.0.0.1", env=known).stdout
    assert "control" in cli(quick, "start tiny-llama", status=77, env=known).stderr


def test_the_version_is_the_same_everywhere(machine):
    assert cli(machine, "--version").stdout == f"home-lab-services {VERSION}\n"
    for program in machine.sh("ls /usr/local/libexec/home-lab-services").split():
        assert machine.sh(f"/usr/local/libexec/home-lab-services/{program} --version") == f"{program} {VERSION}\n"
    for port in 5001, 5002, 5003:
        assert machine.http("GET", port, "/")["version"] == VERSION
    assert f'\nhls_build_info{{version="{VERSION}"}} 1\n' in machine.http("GET", MONITOR, "/metrics").body.decode()


def test_bash_finds_the_completion(quick):
    quick.put(f"{MODELS}/only:one", "PORT=8295\n")
    script = "source /usr/local/share/bash-completion/completions/home-lab-services; COMP_LINE='home-lab-services start on'; " \
             "COMP_POINT=${#COMP_LINE}; _home_lab_services; echo ${COMPREPLY[@]}"
    assert quick.sh(["bash", "-c", script], user="games") == "only:one\n"
