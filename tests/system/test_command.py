# SPDX-License-Identifier: MIT
"""COMMAND as people type it: it works, or the start fails before anything runs, with the sentence that says what to write."""
import pytest

from machines import DEMO_MODEL, INFERENCE, PATIENCE, wait_until

PORT = 8391
SERVER = f"{DEMO_MODEL} --name typed --load-seconds 0"


def write(machine, text):
    machine.put("/etc/home-lab-services/models/typed", f"PORT={PORT}\nDIR=/srv/typed\n{text}\n")


@pytest.fixture(autouse=True)
def folder(machine):
    machine.sh(f"""install -d /srv/typed/venv/bin && cd /srv/typed && ln -sf {DEMO_MODEL} server
        echo 'export ACTIVE=yes PATH=/srv/typed/venv/bin:$PATH' >venv/bin/activate
        ln -sf {DEMO_MODEL} venv/bin/venv-server""")


@pytest.mark.parametrize("text, has", [
    (f"COMMAND='{SERVER} --port $PORT'", "--port 8391"),
    (f'COMMAND="{SERVER}\n  --port\n  8391\n"', "--port 8391"),
    (f'COMMAND="{SERVER} \\\n  --port \\\n  8391"', "--port 8391"),
    (f"COMMAND='{SERVER} \\\n  --port \\\n  8391'", "--port 8391"),
    (f'COMMAND="{SERVER}\r\n  --port 8391\r\n"\r', "--port 8391"),
    (f"COMMAND={SERVER} \\\n --port 8391", "--port 8391"),
    (f'COMMAND="CUDA_VISIBLE_DEVICES=0 {SERVER} --port 8391"', "--port 8391"),
    (f'COMMAND="env CUDA_VISIBLE_DEVICES=0 {SERVER} --port 8391"', "--port 8391"),
    (f'COMMAND="cd $DIR && ./server --name typed --load-seconds 0 --port 8391"', "typed/server"),
    ('COMMAND="cd ${DIR}; ./server --name typed --load-seconds 0 --port 8391"', "typed/server"),
    ('COMMAND="source /srv/typed/venv/bin/activate && venv-server --name typed --load-seconds 0 --port 8391"', "venv-server"),
    ('COMMAND=". /srv/typed/venv/bin/activate; exec venv-server --name typed --load-seconds 0 --port 8391"', "venv-server"),
    ('COMMAND="\ncd /srv/typed\nsource venv/bin/activate\nvenv-server\n  --name typed --load-seconds 0\n  # --slow\n  --port 8391\n"', "venv-server"),
    ('COMMAND="PATH=/srv/typed/venv/bin:$PATH venv-server --name typed --load-seconds 0 --port 8391"', "venv-server"),
    ('PATH=/srv/typed/venv/bin:/usr/bin:/bin\nCOMMAND="venv-server --name typed --load-seconds 0 --port 8391"', "venv-server"),
    (f"BASH_ENV=/nowhere\nENV=/nowhere\nIFS=x\nSHELLOPTS=noexec\nPOSIXLY_CORRECT=1\nCOMMAND={SERVER} --port 8391", "--port 8391"),
    (f"COMMAND=nohup {SERVER} --port 8391 2>&1", "--port 8391"),
    (f"COMMAND=sh -c 'cd / && exec {SERVER} --port 8391'", "--port 8391"),
    (f"COMMAND=exec {SERVER} --port 8391", "--port 8391"),
])
def test_it_works_and_the_server_is_the_units_own_process(machine, text, has):
    write(machine, text)
    answer = machine.http("POST", INFERENCE, "/models/typed/start?wait=ready")
    assert answer.status == 200, answer
    pid = machine.http("GET", INFERENCE, "/models/typed")["pid"]
    line = machine.sh(f"tr '\\0' ' ' </proc/{pid}/cmdline")
    assert has in line and "bash" not in line, line
    assert machine.pids_of("home-lab-models") == [pid]


def test_arguments_arrive_as_they_are_typed(machine):
    """Quotes, JSON, globs, ~ and variables; nothing else is touched."""
    for text, expected in (
            ("""COMMAND=printf '<%s>' --override-kv '{"a": 1, "b": [2]}'""", '<--override-kv><{"a": 1, "b": [2]}>'),
            (r"""COMMAND='printf "<%s>" --kwargs "{\"enable_thinking\": false}"'""", '<--kwargs><{"enable_thinking": false}>'),
            (r'''COMMAND="printf '<%s>' --kwargs '{\"enable_thinking\": false}'"''', '<--kwargs><{"enable_thinking": false}>'),
            ("COMMAND=printf '<%s>' {a,b} ~/x /srv/typ?d $PORT \"$DIR/x y\"", "<{a,b}></var/lib/home-lab-models/x></srv/typed><8391></srv/typed/x y>"),
            ("COMMAND=\"printf '<%s>'\n  one\n  'two\n  lines'\"", "<one><two"),
            ("COMMAND=printf '<%s>' piped | tr a-z A-Z", "<PIPED>"),
            ("COMMAND=printf '<%s>' \"$(basename /srv/typed)\"", "<typed>")):
        write(machine, text)
        cursor = machine.sh("journalctl -n0 --show-cursor | sed -n 's/^-- cursor: //p'").strip()
        machine.http("POST", INFERENCE, "/models/typed/start")
        wait_until(lambda: expected in machine.sh(["journalctl", "-u", "model@typed", "-o", "cat", "--after-cursor", cursor]), PATIENCE, (text, expected))


@pytest.mark.parametrize("text, sentence", [
    ("", "COMMAND is missing, so there is nothing to run"),
    ("COMAND=x", "COMMAND is missing, so there is nothing to run"),
    (f"COMMAND={SERVER} --port 8391 &", "COMMAND ends with &"),
    (f"COMMAND=nohup {SERVER} --port 8391 >/dev/null 2>&1 &", "COMMAND ends with &"),
    (f"COMMAND=sudo {SERVER}", "sudo"),
    ("COMMAND=setsid sleep 10", "setsid goes to the background"),
    ("COMMAND=A=1", "COMMAND only sets variables"),
    ("COMMAND=sleep 'x", "COMMAND is not what a shell can read"),
    ("COMMAND=sleep “10”", "typographic quote"),
    ("COMMAND=lama-server --x", "there is no program lama-server that home-lab-models may run"),
    ("COMMAND=FOO=1 lama-server --x", "there is no program lama-server that home-lab-models may run"),
    ("COMMAND=/srv/none/server", "there is no folder /srv/none"),
    ("COMMAND=/root/server", "the user home-lab-models may not enter /root"),
    ("COMMAND=./server", "there is no program ./server that home-lab-models may run"),
    ("COMMAND=conda activate x && vllm serve", "conda run"),
    ("COMMAND=if true; then", "COMMAND is not what a shell can read"),
    ('COMMAND="printf hello\nexec sleep 10"', "put && between commands"),
])
def test_it_is_refused_before_anything_runs(machine, text, sentence):
    write(machine, text)

    def log():  # by its name: of a process that is gone already, journald does not always know the unit
        return machine.sh(["journalctl", "-t", "model@typed", "-p", "err", "-o", "cat"]).splitlines()
    before = len(log())
    answer = machine.http("POST", INFERENCE, "/models/typed/start")
    assert answer.status == 502, answer
    wait_until(lambda: any(sentence in line and "/etc/home-lab-services/models/typed: " in line for line in log()[before:]), PATIENCE, sentence)
    assert machine.properties("model@typed", "Result")["Result"] == "exit-code"
