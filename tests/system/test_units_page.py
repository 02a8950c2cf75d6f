# SPDX-License-Identifier: MIT
"""units/README.md: the commands of its tables and sentences, as they stand there; those of "When something is wrong" when that is
wrong. Its blocks are run with those of all documents."""
import re
import subprocess

import pytest

import documents
from machines import ETC, PATIENCE, PORTS, UP, tool, wait_until

PAGE = "units/README.md"
WRONG = documents.rows(PAGE, "When something is wrong")
STARTS = documents.rows(PAGE, "Start, stop, restart")
BAD_NGINX = "/etc/nginx/conf.d/broken.conf"
CHAT = '{"model": "tiny-llama", "messages": []}'


@pytest.fixture(scope="module")
def host(make_machine):
    made = make_machine()
    tool("demo", made.name)
    made.sweep_every("1d")
    made.sh("systemctl start nginx.service")
    return made


@pytest.fixture(autouse=True)
def all_up(host):
    host.reset()
    yield
    host.run(f"rm -f {ETC}/config.json {BAD_NGINX}; "
             "systemctl is-active --quiet home-lab-services || systemctl stop home-lab-services; "  # a start waits for its next check
             "systemctl start home-lab-services.service home-lab-services.target")
    wait_until(lambda: host.ports_open() == list(PORTS) and host.is_active(*UP), 30, "all is up again")


def typed(command):
    """What root types: no sudo."""
    return command.strip("`").replace("sudo ", "")


# ---- the tables ----

def rendered(*arguments):
    return subprocess.run([documents.ROOT / "units/render", *arguments], capture_output=True, text=True, check=True).stdout


def test_the_units_are_there():
    """Those that the table names, and in the table those that can be enabled."""
    named = {name for row in documents.rows(PAGE, "The units") for name in re.findall(r"`([^`]+)`", row[0])}
    units = {name.replace("@.", "@NAME."): name for name in rendered("--list").split()}
    assert named <= set(units)
    assert {name for name, unit in units.items() if "\n[Install]\n" in rendered(unit)} <= named


def test_users_and_rights(host):
    users, paths = [], []
    for first, *_ in documents.rows(PAGE, "Users and rights"):
        (paths if "/" in first else users).append(first.strip("`"))
    assert host.http("POST", 5002, "/models/tiny-llama/start").status == 200  # which makes the models' home
    host.sh(["id", *users])
    host.sh(["ls", "-d", *paths])


def others(*closed):
    return [port for port in PORTS if port not in closed]


OPEN = {"stop shutdown-service.service": others(5001), "start shutdown-service.service": others(),
        "restart shutdown-service.service": others(), "disable --now shutdown-service.service": others(5001),
        "enable --now shutdown-service.service": others(), "stop home-lab-services.service": [],
        "restart home-lab-services.service": others()}


def test_start_stop_restart(host):
    """In this order."""
    assert [typed(command).removeprefix("systemctl ") for command, _ in STARTS] == list(OPEN)
    for command, _ in STARTS:
        host.sh(typed(command))
        wait_until(lambda: host.ports_open() == OPEN[typed(command).removeprefix("systemctl ")], PATIENCE, command)
    host.sh("systemctl kill shutdown-service.service || true; systemctl stop shutdown-service.service")
    host.sh("systemctl start shutdown-service.service")


# ---- when something is wrong ----

def bad_config(host):
    host.put(ETC + "/config.json", '{ "shutdown": { "default_minutes": "soon" } }')


def starts_nothing(host):
    bad_config(host)
    host.run("systemctl restart home-lab-services.service")
    assert host.ports_open() == []


def answers_500(host):
    bad_config(host)
    assert host.http("GET", 5002, "/models").status == 500


def at_rest(host):
    host.run("systemctl kill shutdown-service.service")
    wait_until(lambda: not host.is_active("shutdown-service.service"), PATIENCE, "the process has ended")


def port_taken(host):
    host.sh("systemctl stop inference-service.service")
    host.sh("systemd-run --quiet --unit=squatter python3 -m http.server --bind 127.0.0.1 5002")
    wait_until(lambda: host.run("ss -Hltn 'sport = :5002'").stdout, PATIENCE, "somebody has the port")
    yield
    host.sh("systemctl stop squatter.service && systemctl start inference-service.service")


def refused(host):
    answer = host.http("POST", 5001, "/shutdown/schedule", '{"minutes": -1}')
    assert answer.status == 400
    yield rf"\[{answer.headers['X-Request-Id']}\]"


def no_program(host):
    host.model("tiny-llama", 8198, command="/nowhere/server")
    assert host.http("POST", 5002, "/models/tiny-llama/start?wait=ready").status >= 400


def model_ended(host):
    host.model("tiny-llama", 8198, command="sh -c 'echo error: out of memory >&2; exit 3'")
    assert host.http("POST", 5002, "/models/tiny-llama/start?wait=ready").status >= 400


def model_ended_services_down(host):
    model_ended(host)
    host.sh("systemctl stop home-lab-services.service")
    yield
    host.sh("systemctl restart home-lab-services.service")


def swept(host):
    host.model("tiny-llama", 8198, extra='IDLE_TIMEOUT="1s"\n')
    assert host.http("POST", 5002, "/models/tiny-llama/start?wait=ready").status == 200
    wait_until(lambda: host.http("GET", 5003, "/models/idle")["idle_models"], PATIENCE, "it is idle")
    host.sh("systemctl start model-idle-sweep.service")
    assert not host.is_active("model@tiny-llama.service")


def makes_room(host):
    """For one that shares its group."""
    host.config(capacity={"min_residency_seconds": 0})
    for name, port in ("tiny-llama", 8198), ("other", 8298):
        host.model(name, port, extra='GROUP="one"\n')
        answer = host.http("POST", 5002, f"/models/{name}/start?wait=ready")
        assert answer.status == 200, answer
    assert not host.is_active("model@tiny-llama.service")


def runs(host):
    host.model("tiny-llama", 8198, extra='IDLE_TIMEOUT="never"\n')
    assert host.http("POST", 5002, "/models/tiny-llama/start?wait=ready").status == 200


def no_sweep(host):
    host.sh("systemctl disable --now model-idle-sweep.timer")
    yield
    host.sh("systemctl enable --now model-idle-sweep.timer")


def scheduled(host):
    assert host.http("POST", 5001, "/shutdown/schedule", '{"minutes": 30}').status == 200


def nginx_refuses(host):
    host.sh("systemctl stop nginx-config-updater.path nginx-config-updater.timer")  # which would start it again at once
    host.put(BAD_NGINX, "nonsense;\n")
    host.model("tiny-llama", 8298)
    host.run("systemctl start nginx-config-updater.service")


def asked_by_nginx(host):
    host.run("systemctl start nginx-config-updater.service")
    host.model("tiny-llama", 8198, command="/nowhere/server")
    answer = host.http("POST", 8080, "/v1/chat/completions", CHAT, {"Content-Type": "application/json"})
    assert answer.status == 503


CAUSES = {  # what you see: how it comes to be, and what the command then shows
    "nothing answers on any port": (starts_nothing, r"config\.json"),
    "a service answers 500": (answers_500, r"config\.json:1: shutdown\.default_minutes"),
    "one port does not answer": (lambda host: host.sh("systemctl stop shutdown-service.service"),
                                 r"(?s)^(?!.* shutdown-service\.socket).* inference-service\.socket"),
    "a service is `inactive (dead)`": (at_rest, r"^active$"),
    "a port is said to be taken": (port_taken, r"python3"),
    "a change was refused, or failed": (refused, None),
    "a service ended": (at_rest, r"shutdown-service"),
    "a model does not come up": (no_program, r"/nowhere/server"),
    "a model has ended": (model_ended, r"out of memory"),
    "a model has ended, and the services are down": (model_ended_services_down, r"(?s)out of memory.*status=3"),
    "a model was stopped": (swept, r"tiny-llama"),
    "a model made room for another": (makes_room, r"stopping tiny-llama, unused for .*, for other: "),
    "a model is never stopped": (runs, r"tiny-llama .* keep: "),
    "no model is ever stopped": (no_sweep, r"^0 timers listed"),
    "the machine will be switched off": (scheduled, r'"source":'),
    "NGINX does not know a model": (nginx_refuses, r"reloading nginx\.service failed"),
    "NGINX answers 502, 503 or 404": (asked_by_nginx, r"tiny-llama"),
    "NGINX does not start": (nginx_refuses, r"nonsense"),
    "a token is not accepted": (lambda host: host.sh("home-lab-services token add mine --scope read"), r"^mine +read"),
}


def test_all_that_can_be_wrong_is_tried():
    assert [row[0] for row in WRONG] == list(CAUSES)


@pytest.mark.parametrize("seen, command", [row[:2] for row in WRONG], ids=[row[0] for row in WRONG])
def test_when_something_is_wrong(host, seen, command):
    cause, shows = CAUSES[seen]
    begun = cause(host)
    shows = (next(begun) if hasattr(begun, "__next__") else None) or shows

    def is_shown():  # the journal may be a moment late
        done = host.run(typed(command))
        return re.search(shows, done.stdout + done.stderr, re.M)
    try:
        wait_until(is_shown, 10, f"{command} shows {shows}")
    finally:
        if hasattr(begun, "__next__"):
            next(begun, None)


# ---- commands in sentences ----

def test_commands_in_sentences(host):
    text = "\n".join(line.text for line in documents.lines(PAGE) if line.kind == "prose")
    commands = set(re.findall(r"`((?:sudo |systemctl |home-lab-services |man )[^`]+)`", text))
    for page in [command for command in commands if re.match(r"man |systemctl help ", command)]:
        commands.remove(page)  # a minimal Debian has no man
    assert host.path("/usr/local/share/man/man1/home-lab-services.1").exists()
    assert "Docs: man:shutdown-service(8)" in host.run("systemctl status shutdown-service.socket").stdout
    for command in commands:
        if " edit " in command:
            host.on_terminal("EDITOR=true " + typed(command))
        else:
            host.sh(typed(command))
    assert len(commands) >= 5
