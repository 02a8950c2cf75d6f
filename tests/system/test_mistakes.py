# SPDX-License-Identifier: MIT
"""The mistakes that people make with model files, and what they are told: by check, by the API, by status; as root and as
somebody. Each message names the mistake, where it is, and what mends it."""
import re

import pytest

from machines import DEMO_MODEL, ETC, INFERENCE, MODELS, PATIENCE, on_trixie_alone, wait_until

GOOD = f"{DEMO_MODEL} --name m --load-seconds 0 --port"


@pytest.fixture(autouse=True)
def folders(machine):
    machine.sh("""install -d -m 0755 /srv/weights /home/bob && chmod 0700 /home/bob
        echo x >/srv/weights/tiny.gguf; echo x >/home/bob/tiny.gguf; install -m 0600 /dev/null /srv/weights/secret.gguf""")


def check(machine, user=None):
    done = machine.run(["home-lab-services", "check"], user=user)
    return done.returncode, done.stdout


# The file m, and what check says of it, whoever asks.
@on_trixie_alone
@pytest.mark.parametrize("text, said", [
    ('PORT=8401\nPORT=8402\nCOMMAND="x --port 8402"', "m:2: PORT once more: line 1 is ignored"),
    ("CUDA_VISIBLE_DEVICES=0 # mine\nPORT=8401\nCOMMAND=x", 'm:1: CUDA_VISIBLE_DEVICES is read as "0 # mine"'),
    ('PORT="8401\nCOMMAND=x', "m:1: PORT has a quote that is not closed, and is read as \"8401 COMMAND=x"),
    ('COMMAND="x --port 8401\nPORT="8401"', "m:1: COMMAND is read as \"x --port 8401 PORT=8401\"\": its quote is closed some lines below"),
    ('COMMAND="x\nPORT=8401', "m: PORT is missing"),
    ("#PORT=8401\nCOMMAND=x", "m: PORT is missing"),
    ("port=8401\nCOMMAND=x", "m:1: port means nothing to us: did you mean PORT?"),
    ("export PORT=8401\nCOMMAND=x", 'm:1: expected NAME=VALUE, so "export PORT" is ignored: write it without "export"'),
    ("PORT: 8401\nCOMMAND=x", 'm:1: expected NAME=VALUE, so "PORT: 8401" is ignored'),
    ("\ufeffPORT=8401\nCOMMAND=x", "m:1: begins with a byte order mark"),
    ("PORT=8401 # mine\nCOMMAND=x", 'm:1: PORT must be a port number from 1 to 65535, not "8401 # mine": a comment needs a line of its own'),
    ('PORT="8401" # mine\nCOMMAND=x', 'm:1: PORT is read as "8401# mine", because more follows its closing quote'),
    ("PORT=8401\nCOMMAND=\"x --kw \"{\\\"a\\\": 1}\"\"", "m:2: COMMAND is read as"),
    ("PORT=8401\nCOMMAND=x --kw \"{\\\"a\\\": 1}\"", "because a backslash outside of quotes is dropped: put the whole value in '…'"),
    ("PORT=8401\nPATH=/opt/x/bin:$PATH\nCOMMAND=x", "m:2: PATH has a $ or ~, and nothing is expanded in this file"),
    ("PORT=8401\nCOMAND=x", "m:2: COMAND means nothing to us: did you mean COMMAND?"),
    ("PORT=8401\nCommand=x", "m:2: Command means nothing to us: did you mean COMMAND?"),
    ("PORT=8401\nCMD=x", "m:2: CMD means nothing to us: did you mean COMMAND?"),
    ("PORT=8401", "m: COMMAND is missing, so there is nothing to run"),
    ("", "m: PORT is missing"),
    ("PORT=80\nCOMMAND=x --port 80", "m: PORT 80 is root's, as all below 1024"),
    ("PORT=5002\nCOMMAND=x", "m: PORT 5002 is that of inference-service.socket"),
    ("PORT=8198\nCOMMAND=x", "PORT 8198 is also "),
    (f"PORT=8401\nCOMMAND={GOOD} 8299", "m: COMMAND says port 8299, and PORT is 8401: write --port $PORT in COMMAND"),
    (f"PORT=8401\nCOMMAND={GOOD}=8299", "m: COMMAND says port 8299, and PORT is 8401"),
    ("PORT=8401\nCOMMAND=x --port {{PORT}}", "m: COMMAND says port {{PORT}}, and PORT is 8401: write --port $PORT in COMMAND"),
    ("PORT=8401\nCOMMAND=x --port=%PORT%", "m: COMMAND says port %PORT%, and PORT is 8401"),
    ("PORT=8401\nCOMMAND=x -p 8299", "m: COMMAND says port 8299, and PORT is 8401"),
    ("PORT=8401\nCOMMAND=docker run -p 127.0.0.1:8299:8080 x", "m: COMMAND says port 8299, and PORT is 8401"),
    (f"PORT=8401\nCOMMAND={GOOD} 8401 --host 192.168.1.5", "m: COMMAND says --host 192.168.1.5, and the model is asked at 127.0.0.1"),
    (f"PORT=8401\nCOMMAND={GOOD} 8401 -m $MODLE", "m: COMMAND uses $MODLE, which this file does not set"),
    ("PORT=8401\nCOMMAND=x &", "m: COMMAND ends with &"),
    ("PORT=8401\nIDLE_TIMEOUT=0\nCOMMAND=x", 'm:2: IDLE_TIMEOUT must be a time span such as "45min", or "never", not "0"'),
    ("PORT=8401\nSTART_TIMEOUT=2h\nCOMMAND=x", 'm:2: START_TIMEOUT must be a time span from 1s to 1h, not "2h"'),
])
def test_check_names_the_mistake_in_the_file(machine, text, said):
    machine.put(f"{MODELS}/m", text + "\n")
    for user in None, "daemon":
        status, output = check(machine, user)
        assert status == 65 and any("error: " in line and said in line for line in output.splitlines()), (user, output)


# What only the model's user can tell: root asks as that user.
@on_trixie_alone
@pytest.mark.parametrize("command, said", [
    ("lama-server --port 8401", "m: there is no program lama-server that home-lab-models may run: write its full path"),
    ("/home/bob/server --port 8401", "the user home-lab-models may not enter /home/bob"),
    (f"{GOOD} 8401 -m /srv/weights/tinny.gguf", "m: COMMAND: there is no /srv/weights/tinny.gguf"),
    (f"{GOOD} 8401 -m /srv/wieghts/tiny.gguf", "m: COMMAND: there is no folder /srv/wieghts"),
    (f"{GOOD} 8401 --model=/home/bob/tiny.gguf", 'm: COMMAND: the user home-lab-models may not enter /home/bob: "sudo chmod o+x /home/bob"'),
    (f"{GOOD} 8401 -m /srv/weights/secret.gguf", 'may not read /srv/weights/secret.gguf: "sudo chmod o+r /srv/weights/secret.gguf"'),
    (f"{GOOD} 8401 -m ~/tiny.gguf", "~ is /var/lib/home-lab-models"),
    (f"{GOOD} 8401 --model=~/tiny.gguf", "m: COMMAND says ~/tiny.gguf, and ~ is no home in quotes or behind a =: write $HOME/tiny.gguf"),
    (f"{GOOD} 8401 -m /srv/weights/*.onnx", "m: COMMAND names /srv/weights/*.onnx, and no file matches it"),
    (f"{GOOD} 8401 -m /tmp/tiny.gguf", "a model has a /tmp of its own"),
    (f"sudo {GOOD} 8401", "m: "),
    (f"{GOOD} 8401 >/var/log/m.log 2>&1", "m: COMMAND writes to /var/log/m.log, where a model may not: leave that away"),
    (f"{GOOD} 8401 --api-prefix /srv/%i", "m: COMMAND says /srv/%i: %i is systemd's, and stays as it is here: write m"),
    (f"{GOOD} 8401 )", "m: COMMAND is not what a shell can read: syntax error near unexpected token `)'"),
])
def test_check_tries_what_a_start_would(machine, command, said):
    machine.put(f"{MODELS}/m", f"PORT=8401\nCOMMAND='{command}'\n")
    status, output = check(machine)
    assert status == 65 and f"error: {MODELS}/" in output and said in output, output
    status, output = check(machine, "daemon")
    assert "only root sees: sudo home-lab-services check" in output, output


def test_check_finds_nothing_where_nothing_is_wrong(machine):
    machine.put(f"{MODELS}/m", f"""# a good one
PORT="8401"
COMMAND="CUDA_VISIBLE_DEVICES=0 {GOOD} $PORT
  -m /srv/weights/tiny.gguf --host 127.0.0.1 --log-file /var/lib/home-lab-models/new.log --lock-file /run/tiny.lock
  --api-prefix /llm --glob /srv/weights/*.gguf --hf-repo ggml-org/models --hf-file tinyllamas/stories260K.gguf -hff x.gguf
  --alias tiny.gguf --served-model-name x.gguf --lora-scaled /srv/weights/tiny.gguf:0.5 --uds /run/tiny"
""")
    machine.put(f"{MODELS}/n", f"PORT=8402\nCOMMAND='bash -lc \"{GOOD} 8402\" </srv/weights/tiny.gguf >/var/lib/home-lab-models/n.log 2>/dev/null'\n")
    machine.put(f"{MODELS}/o", f"""PORT=8403
COMMAND='[ -f /srv/weights/none.env ] && source /srv/weights/none.env
mkdir -p /srv/weights/new || exit 1
exec 2>&1
{GOOD} $PORT -p 8404 --state $STATE_DIRECTORY --user $USER --dir /srv/weights/new --temp-directory /srv/weights/none'
""")
    status, output = check(machine)
    assert status == 0 and "error: " not in output and not any(f"{MODELS}/{name}" in output for name in "mno"), output


def test_check_knows_what_a_drop_in_sets(machine):
    """Another PATH, a secret in a file that only root may read, and a folder for logs."""
    machine.put(f"{MODELS}/m", "PORT=8401\nCOMMAND='my-server --port $PORT --key $KEY >/var/log/m/log'\n")
    machine.sh(f"install -d /srv/bin; ln -sf {DEMO_MODEL} /srv/bin/my-server; echo KEY=secret >/srv/key; chmod 0600 /srv/key")
    assert "there is no program my-server" in check(machine)[1]
    with machine.drop_in("model@m.service", "[Service]\nEnvironment=PATH=/srv/bin:/usr/bin:/bin\nEnvironmentFile=/srv/key\n"
                                             "LogsDirectory=m\nWorkingDirectory=/srv/bin\n"):
        assert f"{MODELS}/m" not in check(machine)[1]
        assert f"{MODELS}/m" not in check(machine, "daemon")[1]
        machine.sh("rm -r /srv/key /srv/bin")
        text = check(machine)[1]
        assert "error: model@m.service: EnvironmentFile=/srv/key of its unit is not there" in text, text
        assert f"error: {MODELS}/m: WorkingDirectory= of its unit: there is no /srv/bin" in text, text
    with machine.drop_in("model@m.service", "[Service]\nEnvironmentFile=/srv/*.env\n"):  # which need not match
        assert "/srv/*.env" not in check(machine)[1]


@pytest.mark.parametrize("text, said", [
    ("Environment=A=1\n", "note: /run/systemd/system/model@tiny-llama.service.d/test.conf:1: Assignment outside of section"),
    ("[Service]\nMemoryMax=24Gb\n", "note: /run/systemd/system/model@tiny-llama.service.d/test.conf:2: Invalid memory limit '24Gb'"),
    ("[Service]\nExecStart=/bin/sleep 9\n", "error: model@tiny-llama.service cannot be used, it is bad-setting: systemctl status"),
])
def test_check_says_what_systemd_does_not_take_of_a_drop_in(machine, text, said):
    with machine.drop_in("model@tiny-llama.service", text):
        for user in None, "daemon":
            assert said in check(machine, user)[1]
    assert "model@tiny-llama" not in check(machine)[1]


def test_check_says_what_keeps_a_unit_from_its_start(machine):
    machine.sh("systemctl mask --runtime model@tiny-llama.service")
    try:
        assert "note: model@tiny-llama.service is masked, so nobody can start it: systemctl unmask" in check(machine)[1]
    finally:
        machine.sh("systemctl unmask --runtime model@tiny-llama.service")
    machine.sh("systemctl enable model@gone.service model@tiny-llama.service")
    try:
        said = f"note: model@gone.service is started at boot, and has no file in {MODELS}: systemctl disable model@gone.service"
        assert said in check(machine)[1] and "tiny-llama.service is started at boot" not in check(machine, "daemon")[1]
    finally:
        machine.sh("systemctl disable model@gone.service model@tiny-llama.service")
    machine.http("POST", INFERENCE, "/models/tiny-llama/start")
    machine.put("/run/systemd/system/model@tiny-llama.service.d/late.conf", "[Service]\nNice=1\n")
    try:
        assert "note: model@tiny-llama.service was changed, and systemd has not read that: systemctl daemon-reload" in check(machine)[1]
    finally:
        machine.sh("rm /run/systemd/system/model@tiny-llama.service.d/late.conf; systemctl daemon-reload")


def test_check_notes_what_may_be_meant_otherwise(machine):
    for name in "api", "v1", "models", "active", "x.conf", "y.bak":
        machine.put(f"{MODELS}/{name}", "PORT=84%02d\nCOMMAND='sleep 1'\n" % (10 + len(name) * 7 % 80))
    machine.put(f"{MODELS}/meta/llama", "PORT=8405\n")
    machine.path(f"{MODELS}/z~").write_text("PORT=1\n")
    machine.path(f"{MODELS}/.z.swp").write_text("PORT=1\n")
    machine.model("gone", 8407)
    machine.model("broken", 8408, command="false")
    machine.sh("systemctl start model@gone")
    machine.path(f"{MODELS}/gone").unlink()
    machine.run("systemctl start model@broken")
    wait_until(lambda: "failed" in machine.properties("model@broken", "ActiveState")["ActiveState"], PATIENCE, "it has failed")
    for user in None, "daemon":
        notes = "\n".join(line for line in check(machine, user)[1].splitlines() if line.startswith("note: "))
        for said in (f"{MODELS}/api: /api/ is the site's own path", f"{MODELS}/v1: /v1/ is", f"{MODELS}/models: /models/ is",
                     f"{MODELS}/active: /models/active means something else", f'{MODELS}/x.conf is a model called "x.conf"', f"{MODELS}/y.bak is a model",
                     f"{MODELS}/meta: folders are not read, and names of models have no /", f"{MODELS}/z~ is skipped", f"{MODELS}/.z.swp is skipped",
                     "model@gone.service runs, but has no file", "systemctl stop model@gone.service",
                     "model@broken.service has failed (exit-code, status 1): journalctl -u model@broken.service"):
            assert said in notes, (user, said, notes)


def test_a_file_that_the_services_may_not_read_is_said_at_every_door(machine):
    machine.put(f"{MODELS}/m", f"PORT=8401\nCOMMAND={GOOD} 8401\n", 0o600)
    sentence = f"{MODELS}/m cannot be read by the user home-lab-services: \"sudo chmod 0644 {MODELS}/m\"; secrets belong"
    for query in "", "?wait=ready", "?wait=none":
        answer = machine.http("POST", INFERENCE, f"/models/m/start{query}")
        assert answer.status == 409 and answer["code"] == "model_file_unreadable" and sentence in answer["message"], answer
    assert sentence in machine.http("GET", INFERENCE, "/models/m")["file_error"]
    listed = {each["model_name"]: each for each in machine.http("GET", INFERENCE, "/models")["models"]}
    assert sentence in listed["m"]["file_error"] and "file_error" not in listed["tiny-llama"]
    for user in None, "home-lab-services", "daemon":
        status, output = check(machine, user)
        assert status in (65, 77) and f"error: {MODELS}/m" in output and f"chmod 0644 {MODELS}/m" in output, (user, output)
    rows = [line.split() for line in machine.sh("home-lab-services status").splitlines() if line.split()[:1] == ["m"]]
    assert rows[0][1:3] == ["-", "unloaded"] and rows[0][-3:] == ["cannot", "be", "read"], rows
    status, _, body = machine.fastcgi("model-router", "GET", "/m/x", HL_MODEL="m", HL_CALL="wake")
    assert b"PORT" not in body, body


# Who has written a PORT is not told to add one.
@pytest.mark.parametrize("text, said", [
    ("PORT=8401 # mine\nCOMMAND=x", 'm:1: PORT must be a port number from 1 to 65535, not "8401 # mine": a comment needs a line of its own'),
    ("\ufeffPORT=8401\nCOMMAND=x", "m:1: begins with a byte order mark"),
    ("export PORT=8401\nCOMMAND=x", 'm:1: expected NAME=VALUE, so "export PORT" is ignored'),
    ("PORT=127.0.0.1:8401\nCOMMAND=x", 'not "127.0.0.1:8401"'),
])
def test_a_start_says_what_is_wrong_with_the_port(machine, text, said):
    machine.put(f"{MODELS}/m", text + "\n")
    answer = machine.http("POST", INFERENCE, "/models/m/start?wait=ready")
    assert answer.status == 409 and answer["code"] == "model_without_port" and said in answer["message"], answer
    status, _, body = machine.fastcgi("model-router", "GET", "/m/x", HL_MODEL="m", HL_CALL="wake")
    assert status == 503 and said.encode() in body.replace(b'\\"', b'"'), body


def test_a_file_that_systemd_refuses_is_refused_with_its_reason(machine):
    for text in b"PORT=8401\nCOMMAND=x\nNAME=M\xfcller\n", b"PORT=8401\nCOMMAND=x\n\0":
        machine.path(f"{MODELS}/m").write_bytes(text)
        answer = machine.http("POST", INFERENCE, "/models/m/start")
        assert answer.status == 409 and "systemd starts nothing with it" in answer["message"], answer
        assert "and so systemd refuses the whole file" in check(machine)[1]


def test_units_of_ones_own_need_a_rule(machine):
    machine.config(inference={"unit_template": "llm@%s.service"})
    status, output = check(machine)
    assert status == 77 and 'no rule in /etc/polkit-1/rules.d names "llm@"' in output, output
    machine.sh("sed s/model@/llm@/ /etc/polkit-1/rules.d/60-home-lab-services.rules >/etc/polkit-1/rules.d/50-my-models.rules")
    try:
        assert "unit_template" not in check(machine)[1]
    finally:
        machine.sh("rm /etc/polkit-1/rules.d/50-my-models.rules")


@pytest.mark.parametrize("text, said", [
    ('{\n  "auth": { "loopback": "trust", },\n}', ": line 2 has a comma too many"),
    ('{\n  // the port\n  "auth": {}\n}', ": line 2 has a comment, and JSON has none"),
    ('{\n  # x\n}', ": line 2 has a comment, and JSON has none"),
    ("{ 'auth': {} }", ": line 1 has single quotes"),
])
def test_json_as_people_write_it(machine, text, said):
    machine.put(f"{ETC}/config.json", text)
    status, output = check(machine)
    assert status == 78 and said in output, output
    shown = machine.run(["home-lab-services", "status"])
    assert shown.returncode == 78 and "Services" in shown.stdout and "Shutdown" in shown.stdout and "config.json" in shown.stderr, shown


def test_check_says_why_a_model_is_not_ready(machine):
    machine.put(f"{MODELS}/m", f"PORT=8401\nSTART_TIMEOUT=1s\nHEALTH_PATH=/healthy\nCOMMAND='{GOOD} 8401'\n")
    assert machine.http("POST", INFERENCE, "/models/m/start?wait=ready").status == 504
    said = "is not ready: port 8401, /healthy: status 404: is HEALTH_PATH right?"
    for user in None, "daemon":
        wait_until(lambda: said in check(machine, user)[1], PATIENCE, "its START_TIMEOUT is over, and check says why")


def test_status_names_what_runs_without_a_file(machine):
    machine.model("gone", 8407)
    machine.sh("systemctl start model@gone")
    machine.path(f"{MODELS}/gone").unlink()
    for user in None, "daemon":
        text = machine.run(["home-lab-services", "status"], user=user).stdout
        assert "model@gone.service runs, but has no file" in text, text


def test_who_may_not_read_the_journal_is_not_told_that_nothing_was_logged(machine):
    machine.model("broken", 8408, command="sh -c 'echo error: no GPU is there; exit 3'")
    machine.run("systemctl start model@broken")
    wait_until(lambda: "failed" in machine.properties("model@broken", "ActiveState")["ActiveState"], PATIENCE, "it has failed")
    assert "error: no GPU is there" in machine.sh("home-lab-services status")
    text = machine.run(["home-lab-services", "status"], user="daemon").stdout
    assert "ended with status 3; what it logged is not to be seen here: \"home-lab-services logs NAME\"" in text, text


def test_tokens_are_roots(machine):
    machine.sh("home-lab-services token add m --scope read")
    for words in ["list"], ["add", "x", "--scope", "read"], ["revoke", "m"]:
        done = machine.run(["home-lab-services", "token", *words], user="daemon")
        assert done.returncode != 0 and "only root may, use sudo" in done.stderr, done


def test_status_says_why_and_since_when(machine):
    machine.model("broken", 8408, command="false")
    machine.put(f"{MODELS}/m", "PORT=x\nCOMMAND=x\n")
    machine.run("systemctl start model@broken")
    wait_until(lambda: "failed" in machine.properties("model@broken", "ActiveState")["ActiveState"], PATIENCE, "it has failed")
    for user in None, "daemon":
        text = machine.run(["home-lab-services", "status"], user=user).stdout
        assert "NAME" in text and "IN FLIGHT" in text and " USE\n" in text, text
        assert "ago: exit-code, status 1; journalctl -u model@broken.service" in text, text
        assert "1 error in model files: home-lab-services check" in text, text
        assert re.search(r"site listens on +127.0.0.1:8080\n", text), text
