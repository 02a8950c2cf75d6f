# SPDX-License-Identifier: MIT
"""What fits starts, and what does not stays inactive and says why: the gate, whoever starts a model.

A tmpfs is the card. The kernel gives no more of it than there is, so a model that is let in by mistake dies."""
import contextlib
import re

import pytest

import documents
from machines import DEMO_MODEL, ETC, INFERENCE, MODELS, MONITOR, PATIENCE, wait_until

CARD = "/srv/card"
MIB = 1024 * 1024
CAPACITY = {"gpus": {"0": "23M"}, "queue_seconds": 0}


@pytest.fixture
def card(machine):
    machine.reset()
    machine.sh(f"mkdir -p {CARD} && mount -t tmpfs -o size=23M,mode=1777 card {CARD}")
    machine.config(capacity=CAPACITY)
    try:
        with machine.drop_in("model@.service", f"[Service]\nReadWritePaths=-{CARD}\n"):
            yield machine
            machine.sh("systemctl stop 'model@*.service'")
    finally:
        machine.sh(f"umount --lazy {CARD}")
        machine.reset()


def model(machine, name, port, mebibytes, extra=""):
    machine.model(name, port, options=f"--load-seconds 0 --card {CARD} --card-bytes {mebibytes * MIB}",
                  extra=f'GPU_MEMORY="{mebibytes}M"\n{extra}')


def unit(name):
    return f"model@{name}.service"


def measure(name):
    return f"model-measure@model@{name}.service"


def running(machine, *names):
    return [name for name in names if machine.is_active(unit(name))]


def reason(machine, name):
    """What its status says, once the journal has it."""
    def said():
        text = machine.run(["systemctl", "status", "--no-pager", unit(name)]).stdout
        return text if f"{name} is not started: " in text else None
    text = wait_until(said, PATIENCE, f"the status of {name} says why it does not run")
    return text.split(f"{name} is not started: ")[-1].split("\n")[0]


def refused(machine, name):
    return machine.properties(unit(name), "ActiveState") == {"ActiveState": "inactive"}


def test_what_does_not_fit_stays_inactive_and_says_why(card):
    model(card, "large", 8401, 20)
    model(card, "middle", 8402, 18)
    model(card, "small", 8403, 2, 'KEEP="yes"\n')
    model(card, "huge", 8404, 22)
    card.sh(["systemctl", "start", unit("large"), unit("small")])
    card.sh(["systemctl", "start", unit("middle")])
    words = "gpu 0 has 23 MiB: large (20 MiB), small (2 MiB, kept); middle needs 18 MiB"
    assert refused(card, "middle") and reason(card, "middle") == words
    assert card.failed_units() == ""
    answer = card.http("POST", INFERENCE, "/models/middle/start")
    assert (answer.status, answer["code"]) == (503, "no_capacity"), answer
    assert answer["message"].startswith("gpu 0 has 23 MiB: large (20 MiB") and "middle needs 18 MiB" in answer["message"]

    never = "huge does not fit, whatever else is stopped: gpu 0 has 23 MiB: small (2 MiB, kept); huge needs 22 MiB"
    answer = card.http("POST", INFERENCE, "/models/huge/start")
    assert (answer.status, answer["code"]) == (409, "model_does_not_fit"), answer
    assert never in answer["message"]
    card.sh(["systemctl", "start", unit("huge")])
    assert refused(card, "huge") and reason(card, "huge") == never

    assert running(card, "large", "small") == ["large", "small"]
    assert card.is_active(measure("large"), measure("small")) and not card.is_active(measure("middle"))  # of what never ran
    card.sh(["systemctl", "stop", unit("large")])
    assert card.http("POST", INFERENCE, "/models/middle/start?wait=ready").status == 200
    assert running(card, "large", "middle", "small", "huge") == ["middle", "small"]
    card.sh(["systemctl", "restart", unit("middle")])  # its own place is free for it
    assert running(card, "middle", "small") == ["middle", "small"]


def test_who_holds_what_can_be_seen(card):
    card.config(capacity=CAPACITY | {"queue_seconds": 1.5})
    model(card, "large", 8401, 20, 'MEMORY="1G"\n')
    model(card, "middle", 8402, 18, 'GROUP="a b"\n')
    card.model("plain", 8403)
    card.sh(["systemctl", "start", unit("large"), unit("plain")])
    seen = card.http("GET", INFERENCE, "/capacity").json
    assert (seen["limited"], seen["min_residency_seconds"], seen["queue_seconds"]) == (True, 30, 1.5)
    assert seen["resources"] == [
        {"resource": "gpu 0", "capacity_bytes": 23 * MIB, "claimed_bytes": 20 * MIB, "free_bytes": 3 * MIB},
        {"resource": "memory", "capacity_bytes": None, "claimed_bytes": 1024 * MIB, "free_bytes": None}]
    large, middle = seen["models"]
    assert (large["model_name"], large["holds_as"], large["fits"]) == ("large", "running", "now") and large["holds_since"]
    words = "gpu 0 has 23 MiB: large (20 MiB); middle needs 18 MiB"
    assert middle == {"model_name": "middle", "claims": [{"resource": "gpu 0", "bytes": 18 * MIB}], "groups": ["a", "b"], "keep": False,
                      "holds_as": None, "holds_since": None, "measured": [], "measured_at": None, "in_use": [], "fits": "later",
                      "explanation": words}
    assert card.http("GET", MONITOR, "/models/middle/why")["start"] == {"fits": "later", "explanation": words}
    assert card.http("GET", MONITOR, "/models/plain/why")["start"] == {"fits": "now", "explanation": None}
    metrics = card.http("GET", MONITOR, "/metrics").body.decode()
    assert f'hls_capacity_bytes{{resource="gpu 0",kind="capacity"}} {23 * MIB}\n' in metrics
    assert f'hls_capacity_bytes{{resource="gpu 0",kind="claimed"}} {20 * MIB}\n' in metrics
    assert "gpu 0                  20 MiB of 23 MiB: large (20 MiB)\n" in card.sh("home-lab-services status")


def test_check_names_what_can_never_be(card):
    model(card, "huge", 8401, 24)
    card.model("odd", 8402, extra='GPU_MEMORY="1:2M"\nGROUP="alone"\nKEEP="yes"\n')
    model(card, "kept", 8403, 12, 'KEEP="yes"\n')
    model(card, "kept-too", 8404, 12, 'KEEP="yes"\n')
    done = card.run("home-lab-services check")
    assert done.returncode == 65, done
    assert f"error: {MODELS}/huge: GPU_MEMORY: it needs 24 MiB of gpu 0, which has 23 MiB, so it never starts\n" in done.stdout
    assert f'note: {MODELS}/odd: GPU_MEMORY of gpu 1, of which "capacity" in config.json says nothing' in done.stdout
    assert f"note: {MODELS}/odd: GROUP alone has no other member" in done.stdout
    assert "note: models with KEEP=yes need 24 MiB of gpu 0, which has 23 MiB: they never run together\n" in done.stdout
    assert "has no gate" not in done.stdout
    card.config(inference={"unit_template": "llm@%s.service"}, capacity=CAPACITY)
    assert "note: llm@.service has no gate" in card.run("home-lab-services check").stdout


def test_of_those_that_start_at_once_as_many_run_as_fit(card):
    names = ["one", "two", "three"]
    for number, name in enumerate(names):
        model(card, name, 8401 + number, 10)
    for _ in range(6):
        card.sh(" & ".join(f"systemctl start {unit(name)}" for name in names) + " & wait")
        runs = running(card, *names)
        assert len(runs) == 2, runs
        (left,) = set(names) - set(runs)
        assert refused(card, left)
        for name in runs:  # the kernel has given them what they asked for
            card.ready(8401 + names.index(name))
        card.sh(["systemctl", "stop", *map(unit, names)])


def test_a_group_has_one_that_runs(card):
    card.config(capacity={"queue_seconds": 0})
    for number, name in enumerate(["one", "two"]):
        card.model(name, 8401 + number, extra='GROUP="big other"\n' if number else 'GROUP="big"\n')
    card.model("apart", 8403, extra='GROUP="bigger"\n')
    for _ in range(3):
        card.sh(f"systemctl start {unit('one')} & systemctl start {unit('two')} & systemctl start {unit('apart')} & wait")
        assert running(card, "apart") and len(running(card, "one", "two")) == 1
        card.sh("systemctl stop 'model@*.service'")
    card.sh(["systemctl", "start", unit("one")])
    answer = card.http("POST", INFERENCE, "/models/two/start")
    assert (answer.status, answer["code"]) == (503, "no_capacity"), answer
    assert "group big is one's (running" in answer["message"] and "), and two is in it, too" in answer["message"]


@contextlib.contextmanager
def own_unit(machine):
    file = "/etc/systemd/system/model@.service"
    machine.put(file, f"[Service]\nType=exec\nEnvironmentFile={MODELS}/%i\nExecStart=/bin/sh -c 'exec $COMMAND'\n")
    machine.sh("systemctl daemon-reload")
    try:
        yield
    finally:
        machine.sh(f"systemctl stop 'model@*.service'; rm {file} && systemctl daemon-reload")


def test_a_unit_of_the_users_own_has_the_gate_too(card):
    model(card, "large", 8401, 20)
    model(card, "middle", 8402, 18)
    with own_unit(card):
        card.sh(["systemctl", "start", unit("large")])
        card.sh(["systemctl", "start", unit("middle")])
        assert running(card, "large", "middle") == ["large"] and refused(card, "middle")
        assert "middle needs 18 MiB" in reason(card, "middle")


def test_a_template_of_another_name_has_the_gate_by_the_link_that_check_names(card):
    card.config(inference={"unit_template": "llm@%s.service"}, capacity=CAPACITY)
    card.model("large", 8401, extra='GPU_MEMORY="20M"\n')
    card.model("middle", 8402, extra='GPU_MEMORY="18M"\n')
    files = "/etc/systemd/system/llm@.service", "/etc/systemd/system/llm@.service.d"
    card.sh(f"systemctl cat model@.service | sed '/gate.conf$/,$d' >{files[0]}")
    try:
        command, = re.findall("gets past the capacity: (mkdir .*)", card.run("home-lab-services check").stdout)
        card.sh(command)
        card.sh(["systemctl", "start", "llm@large.service"])
        card.sh(["systemctl", "start", "llm@middle.service"])
        assert card.is_active("llm@large.service", "model-measure@llm@large.service") and not card.is_active("llm@middle.service")
    finally:
        card.sh(f"systemctl stop 'llm@*.service'; rm -rf {' '.join(files)}; systemctl daemon-reload")


@contextlib.contextmanager
def ungated(machine):
    """The gate also removes the mark of the start before. Without it another process has to."""
    file = "/run/systemd/system/model@.service.d/gate.conf"
    machine.put(file, "[Service]\nExecStartPre=-+/bin/rm -f -- /run/home-lab-services/ready/%i\n")
    machine.sh("systemctl daemon-reload")
    try:
        yield
    finally:
        machine.sh(f"rm {file} && systemctl daemon-reload")


def processes(machine, verb, units):
    """How many begin meanwhile, by the kernel's numbers. Others may begin in the same moment, so the least of some tries."""
    other = {"start": "stop", "stop": "start"}[verb]
    return min(int(machine.sh(f"systemctl {other} {units}; read -r _ _ _ _ before </proc/loadavg; "
                              f"systemctl {verb} {units}; read -r _ _ _ _ after </proc/loadavg; echo $((after - before))"))
               for _ in range(5))


def test_without_a_capacity_no_process_is_added(machine):
    """The gate has taken the place of one, at a start, and nothing is measured."""
    machine.model("plain", command="sleep 60")
    machine.put("/run/home-lab-services/ready/plain", "")
    gated = [processes(machine, verb, f"{unit('plain')} {measure('plain')}") for verb in ("start", "stop")]
    assert not machine.path("/run/home-lab-services/ready/plain").exists()
    with ungated(machine):
        assert gated == [processes(machine, verb, unit("plain")) for verb in ("start", "stop")]


@contextlib.contextmanager
def undecided(machine, name):
    """One whose own condition has not said yet whether it starts. Gives the function that lets it say."""
    answer = "/run/answer"
    machine.sh(f"rm -f {answer}")
    with machine.drop_in(unit(name), "[Service]\nExecCondition=/bin/sh -c "
                         f"'until test -e {answer}; do sleep 0.05; done; exec cat {answer} | grep -q yes'\n"):
        machine.sh(["systemctl", "start", "--no-block", unit(name)])
        wait_until(lambda: machine.properties(unit(name), "SubState") == {"SubState": "condition"}, PATIENCE,
                   f"{name} is undecided")
        yield lambda word: machine.put(answer, word)
        machine.sh(f"rm -f {answer}")


@pytest.mark.parametrize("answer", ["no", "yes"])
def test_who_began_earlier_and_is_undecided_is_waited_for(card, answer):
    model(card, "one", 8401, 20)
    model(card, "two", 8402, 20)
    with undecided(card, "one") as decide:
        card.sh(["systemctl", "start", "--no-block", unit("two")])
        pid = wait_until(lambda: card.run(["pgrep", "-f", "/model-gate two$"]).stdout.strip(), PATIENCE, "its gate waits")
        if answer == "no":
            the_gate_is_nobody(card, pid)
        decide(answer)
        winner, loser = ("two", "one") if answer == "no" else ("one", "two")
        wait_until(lambda: running(card, winner), PATIENCE, f"{winner} runs")
        wait_until(lambda: refused(card, loser), PATIENCE, f"{loser} does not")
        if answer == "yes":
            assert reason(card, "two").startswith("gpu 0 has 23 MiB: one (20 MiB")
        card.sh("systemctl stop 'model@*.service'")


def the_gate_is_nobody(machine, pid):
    lines = machine.sh(["cat", f"/proc/{pid}/status"]).splitlines()
    status = {key: value.split() for key, value in (line.split(":", 1) for line in lines)}
    group = machine.sh(["getent", "group", "home-lab-services"]).split(":")[2]
    assert status["Uid"] == ["65534"] * 4 and status["Gid"] == [group] * 4 and status["Groups"] == []
    assert status["NoNewPrivs"] == ["1"] and set("".join(status["CapEff"] + status["CapPrm"])) == {"0"}
    assert machine.sh(f"tr '\\0' '\\n' </proc/{pid}/environ") == ""


def on_the_page(title, language):
    """An example of handlers/CAPACITY.md, as it stands there."""
    ((_, text),) = documents.blocks("handlers/CAPACITY.md", title, language)
    return text


def test_the_examples_of_the_page(machine):
    machine.reset()
    for name, port in (("a", 8401), ("b", 8402)):
        machine.model(name, port, extra=on_the_page("The smallest file that helps", "ini"))
    machine.sh(["systemctl", "start", unit("a")])
    machine.sh(["systemctl", "start", unit("b")])
    assert running(machine, "a", "b") == ["a"]
    machine.model("a", 8401)
    machine.model("b", 8402)
    with machine.drop_in(unit("a"), on_the_page("Conflicts= is something else", "ini")):
        for name in "b", "a", "b":
            machine.sh(["systemctl", "start", unit(name)])
            assert running(machine, "a", "b") == [name]

    machine.put(f"{ETC}/config.json", on_the_page("With sizes", "json"))
    machine.model("gemma-27b", 8403, extra=on_the_page("With sizes", "ini"))
    machine.model("qwen3-32b", 8404, extra='GPU_MEMORY="20G"\n')
    machine.model("whisper", 8405, extra='GPU_MEMORY="2G"\nKEEP="yes"\n')
    machine.sh(["systemctl", "start", unit("qwen3-32b"), unit("whisper")])
    machine.sh(["systemctl", "start", unit("gemma-27b")])
    command, unit_line, state, words = (line.strip() for line in on_the_page("The gate", "").splitlines())
    assert reason(machine, "gemma-27b") == words.removeprefix("gemma-27b is not started: ")
    shown = machine.run(command.removeprefix("$ ")).stdout
    assert shown.startswith(unit_line) and state in shown, shown
    with machine.drop_in(unit("gemma-27b"), "[Service]\nExecCondition=\n"):  # one start without the gate
        machine.sh(["systemctl", "start", unit("gemma-27b")])
        assert running(machine, "gemma-27b", "qwen3-32b", "whisper") == ["gemma-27b", "qwen3-32b", "whisper"]
        machine.sh("systemctl stop 'model@*.service'")
    machine.reset()


NVIDIA_CALLS = "/run/nvidia-calls"
MEASURED = "/var/lib/home-lab-services/measured"


@contextlib.contextmanager
def nvidia_card(machine):
    """A card as /sys and /dev show it. What nvidia-smi says of it is that each model holds 20 MiB, and it counts its calls."""
    machine.sh(f"mkdir -p /run/bus/pci/drivers/nvidia/0000:01:00.0 && mount --bind /run/bus /sys/bus && touch /dev/nvidia0"
               f" && : >{NVIDIA_CALLS} && chmod 666 {NVIDIA_CALLS}")
    machine.put("/usr/bin/nvidia-smi", f"#!/bin/sh\necho \"$(id -un) $(grep NoNewPrivs /proc/self/status)\" >>{NVIDIA_CALLS}\n"
                "for pid in $(pgrep --euid home-lab-models); do echo \"$pid, 00000000:01:00.0, 20\"; done\n", 0o755)
    try:
        yield lambda: machine.sh(f"cat {NVIDIA_CALLS}").splitlines()
    finally:
        machine.sh(f"umount /sys/bus && rm -rf /run/bus /dev/nvidia0 /usr/bin/nvidia-smi {NVIDIA_CALLS}")


def check_says_what_to_write(machine):
    """Of a claim that is far too large, of one that is missing, and of one that is about right."""
    machine.config(capacity={"gpus": {"0": "64G", "1": "64G"}, "memory": "64G"})
    machine.model("wide", 8402, extra='GPU_MEMORY="0:18G 1:6G"\nMEMORY="8G"\n')
    gib = 1024 * MIB
    machine.put(f"{MEASURED}/wide", f"gpu 0 {9 * gib + 1}\ngpu 1 {6 * gib + MIB}\nmemory {7 * gib}\nto the end\n")
    machine.model("bare", 8403)
    machine.put(f"{MEASURED}/bare", f"gpu 1 {3 * gib + 100 * MIB}\n")
    machine.model("fresh", 8404, extra='GPU_MEMORY="0:18G"\n')
    machine.put(f"{MEASURED}/fresh", f"gpu 0 {9 * gib}\n")  # it has become ready, and may use more
    text = machine.run("home-lab-services check").stdout
    notes = [line for line in text.splitlines() if re.search(f"{MODELS}/(wide|bare|fresh)", line)]
    assert notes == [
        f"note: {MODELS}/bare: GPU_MEMORY: it claims nothing of gpu 1 and used 3 GiB, so what does not fit beside it may be "
        'started: write GPU_MEMORY="1:3184M"',
        f"note: {MODELS}/wide: GPU_MEMORY: it claims 18 GiB of gpu 0 and used 9 GiB at most, so others wait that would fit "
        'beside it: write GPU_MEMORY="0:9.5G 1:6G"'], text
    machine.sh(f"rm {MODELS}/wide {MODELS}/bare {MODELS}/fresh {MEASURED}/*")


def test_what_was_used_is_learned(card):
    card.config(capacity=CAPACITY | {"memory": "4G"})
    card.model("large", 8401, extra='GPU_MEMORY="2M"\n', command='bash -c \'exec 7</dev/nvidia0; exec '
               f'{DEMO_MODEL} --name large --port 8401 --load-seconds 0 --card {CARD} --card-bytes {20 * MIB}\'')
    counted = "memory" in card.sh("cat /sys/fs/cgroup/cgroup.controllers || true").split()
    with nvidia_card(card) as calls:
        use_and_measure(card)
        (large,) = card.http("GET", INFERENCE, "/capacity").json["models"]
        assert {"resource": "gpu 0", "bytes": 20 * MIB} in large["measured"] and large["measured_at"]
        assert bool(large["in_use"]) == counted and calls() == ["home-lab-services NoNewPrivs:\t1"]
        card.sh(["systemctl", "stop", unit("large")])
        assert calls() == ["home-lab-services NoNewPrivs:\t1"] * 2
        (large,) = card.http("GET", INFERENCE, "/capacity").json["models"]
        used = {one["resource"]: one["bytes"] for one in large["measured"]}
        assert used["gpu 0"] == 20 * MIB and ("memory" in used) == counted
        assert not counted or used["memory"] > 20 * MIB  # a tmpfs is memory
        assert large["measured_at"] and large["in_use"] == []
        logged = card.sh(["journalctl", "-o", "cat", "-t", "model@large", "--grep", "^large .*use[ds] "])
        assert re.match("large is ready and uses 20 MiB of gpu 0.*\nlarge used 20 MiB of gpu 0", logged), logged
        words = f"note: {MODELS}/large: GPU_MEMORY: it claims 2 MiB of gpu 0 and used 20 MiB, so what does not fit beside it " \
                'may be started: write GPU_MEMORY="32M"\n'
        assert words in card.run("home-lab-services check").stdout
        check_says_what_to_write(card)
        measures_with_each_stop_and_no_crash(card, calls)
        card.config()  # without a capacity nothing is measured, and nothing is there for it
        assert card.http("POST", INFERENCE, "/models/large/start?wait=ready").status == 200
        assert not card.is_active(measure("large")) and not card.path("/run/home-lab-services/gate/capacity").exists()
        before = len(calls())
        card.sh(["systemctl", "stop", unit("large")])
        assert len(calls()) == before


def use_and_measure(machine):
    assert machine.http("POST", INFERENCE, "/models/large/start?wait=ready").status == 200
    wait_until(lambda: machine.properties(measure("large"), "SubState")["SubState"] == "exited", PATIENCE, "it is ready, and measured")


def measures_with_each_stop_and_no_crash(machine, calls):
    """Also where a unit has an ExecStop= of its own, which ends the model."""
    def up():
        use_and_measure(machine)
        return len(calls())
    with machine.drop_in(unit("large"), f"[Service]\nReadWritePaths=-{CARD}\nExecStop=/bin/kill $MAINPID\n"):
        before = up()
        machine.sh(["systemctl", "restart", unit("large")])
        assert len(calls()) == before + 1
        before = up()
        machine.sh(["systemctl", "kill", "--signal=KILL", unit("large")])
        wait_until(lambda: not machine.is_active(measure("large")), PATIENCE, "it ends with the model")
        machine.sh(["systemctl", "reset-failed", unit("large")])
        assert len(calls()) == before and up() == before + 1
        machine.sh(["systemctl", "stop", unit("large")])
        assert len(calls()) == before + 2 and machine.failed_units() == ""
