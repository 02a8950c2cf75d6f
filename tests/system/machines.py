# SPDX-License-Identifier: MIT
"""machines.py - what the system tests hold a throwaway machine (tests/machine) by.

Everything here works on the machine from outside: sockets are opened in its network namespace by this very process
(a thread enters the namespace, opens a socket, and leaves again; the socket stays there), files are written through
/proc/PID/root, and commands run by nsenter. So a request costs what the product costs, and no curl.
"""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

import pytest

import fastcgi
import openapi

TOOL = pathlib.Path(__file__).resolve().parents[1] / "machine"
SHUTDOWN, INFERENCE, MONITOR = PORTS = (5001, 5002, 5003)
SERVICES = ("shutdown-service", "inference-service", "model-monitor-service")
SOCKETS = tuple(f"{service}{kind}.socket" for service in SERVICES for kind in ("", "-fastcgi"))
# What is active while the product is up. A service's own .service is not among them: it is a process.
UP = ("home-lab-services.service", "home-lab-services.target", *SOCKETS, "model-router.socket", "model-activity.socket",
      "nginx-config-updater.path", "nginx-config-updater.timer")
ETC = "/etc/home-lab-services"
MODELS = ETC + "/models"
ACTIVITY = "/var/lib/home-lab-services/activity"
SOURCE = "/usr/src/home-lab-services"
BUILD = "/usr/src/home-lab-services-build"
INSTALL = SOURCE + "/units/install-services.sh"
DEMO_MODEL = "/usr/local/libexec/home-lab-services-demo/demo-model"
FIELD_MODEL = "/usr/local/libexec/home-lab-services-demo/field-model"

# Seconds for what must happen, also on a machine that is slow today. Less than nginx-config-updater.timer's minute: what only
# the timer would see is to be missed here. Where the time is what a test promises, the test says its own.
PATIENCE = 30

# Of what depends on no release, and takes long: once is enough.
on_trixie_alone = pytest.mark.skipif(os.environ.get("RELEASE") == "bookworm", reason="trixie has these")

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def wait_until(condition, seconds, what):
    """Asks until the answer is true, and returns it."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def tool(*arguments, check=True):
    done = subprocess.run([TOOL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"tests/machine {' '.join(arguments)}: {done.returncode}\n{done.stderr}"
    return done


def install(machine, *arguments, **options):
    """Installs the build that the machine has, or, with "uninstall", takes it off again."""
    return machine.run([INSTALL, *arguments], env={"BUILD": BUILD}, **options)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __getitem__(self, key):
        return self.json[key]

    def __repr__(self):
        return f"{self.status} {self.body.decode(errors='replace')}"


class Network:
    """A network namespace: sockets of this process, opened in there."""

    def __init__(self, path):
        self.path = path
        self.descriptions = {}  # of the services behind ports: each answer must fit

    @contextlib.contextmanager
    def entered(self):  # this thread alone
        with open("/proc/thread-self/ns/net") as home, open(self.path) as there:
            self.set(there)
            try:
                yield
            finally:
                self.set(home)

    @staticmethod
    def set(namespace):
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def socket(self):
        with self.entered():
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def connect(self, port, host="127.0.0.1", timeout=15):
        connection = self.socket()
        connection.settimeout(timeout)
        try:
            connection.connect((host, port))
        except OSError:
            connection.close()
            raise
        return connection

    def open(self, port, host="127.0.0.1", timeout=15):
        """A connection that speaks HTTP, and is kept alive."""
        connection = http.client.HTTPConnection(host, port)
        connection.sock = self.connect(port, host, timeout)
        connection.auto_open = 0
        return connection

    def http(self, method, port, path, body=None, headers={}, host="127.0.0.1", timeout=30):
        """One request on a connection of its own. A body that is no text becomes JSON."""
        if body is not None:
            headers = {"Content-Type": "application/json"} | headers
            body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        with contextlib.closing(self.open(port, host, timeout)) as connection:
            connection.request(method, path, body, headers)
            answer = Answer(connection.getresponse())
        if port in self.descriptions:
            found = self.descriptions[port].problems(method, path, answer.status, answer.headers["Content-Type"], answer.body)
            assert not found, f"{method} {path}: {answer}: not as /openapi.json says: {found}"
        return answer


class Machine:
    is_shared = False  # by all tests of a run

    def __init__(self, name, *options):
        self.name = name
        if os.environ.get("RELEASE"):
            options += ("--release", os.environ["RELEASE"])
        self.down()
        tool("up", name, *options)
        self.find()

    def find(self):
        self.leader = int(tool("leader", self.name).stdout)
        self.network = Network(f"/proc/{self.leader}/ns/net")
        self.people = self.group_for_people()
        self.http = self.network.http
        self.connect = self.network.connect
        self.open = self.network.open
        self.client = fastcgi.Client(self.network.socket)

    def group_for_people(self):
        """A control group of the machine's for commands of its users: what comes from outside, the machine cannot see."""
        group = pathlib.Path(f"/proc/{self.leader}/cgroup").read_text().split("0::")[1].strip()
        roots = [pathlib.Path("/sys/fs/cgroup/unified"), pathlib.Path("/sys/fs/cgroup")]
        root = next(folder for folder in roots if (folder / "cgroup.procs").exists())
        people = root / group.removeprefix("/").removesuffix("/init.scope") / "people"
        people.mkdir(exist_ok=True)
        return people

    def down(self):
        tool("down", self.name)

    def learn_descriptions(self):
        """From now on each answer of a service must be as the service says in /openapi.json."""
        for port, service in zip(PORTS, SERVICES):
            self.network.descriptions[port] = openapi.Description(self.http("GET", port, "/openapi.json").json)

    # ---- commands ----

    def argv(self, command, user=None, env={}):
        arguments = ["nsenter", "--target", str(self.leader), "--all", "--", "/usr/bin/env", "-i", "LANG=C.UTF-8", "TERM=dumb",
                     "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        arguments += [f"{name}={value}" for name, value in env.items()]
        if user:
            arguments = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self.people)] + arguments
            arguments += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        return arguments + (["sh", "-c", command] if isinstance(command, str) else list(command))

    def run(self, command, user=None, env={}, timeout=120, **options):
        """What a command did, whatever that is: .returncode, .stdout, .stderr."""
        return subprocess.run(self.argv(command, user, env), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, **options)

    def sh(self, command, user=None, env={}, timeout=120):
        """The output of a command that succeeds."""
        done = self.run(command, user, env, timeout)
        assert done.returncode == 0, f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def on_terminal(self, command):
        """Runs a command on a terminal of its own."""
        master, slave = os.openpty()
        try:
            subprocess.run(self.argv(command), stdin=slave, stdout=slave, stderr=slave, start_new_session=True, check=True,
                           timeout=60)
        finally:
            os.close(slave)
            os.close(master)

    def is_active(self, *units):
        return self.run(["systemctl", "is-active", *units]).stdout.split() == ["active"] * len(units)

    def failed_units(self):
        return self.sh("systemctl --failed --plain --no-legend")

    def properties(self, unit, *names):
        text = self.sh(["systemctl", "show", unit, *(f"--property={name}" for name in names)])
        return dict(line.split("=", 1) for line in text.splitlines())

    def pids_of(self, user="home-lab-services,home-lab-power"):
        return [int(pid) for pid in self.run(["pgrep", "-u", user]).stdout.split()]

    # ---- files ----

    def path(self, path):
        return pathlib.Path(f"/proc/{self.leader}/root{path}")

    def put(self, path, text, mode=0o644):
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(file.name + "~")  # never half a file
        new.write_text(text)
        new.chmod(mode)
        new.rename(file)

    def config(self, **sections):
        self.put(ETC + "/config.json", json.dumps(sections, indent=2))

    def model(self, name, port=None, options="--load-seconds 0", command=None, extra=""):
        """A model file: the demo model's, unless there is a command."""
        if command is None:
            command = f"{DEMO_MODEL} --name {name} --port {port} {options}"
        self.put(f"{MODELS}/{name}", (f'PORT="{port}"\n' if port else "") + f'COMMAND="{command}"\n{extra}')

    def field_model(self, name, port, options="", extra=""):
        """A model with habits of the field: tests/system/field-model says which options there are."""
        if not self.path(FIELD_MODEL).exists():
            self.put(FIELD_MODEL, (pathlib.Path(__file__).parent / "field-model").read_text(), 0o755)
        self.model(name, port, command=f"{FIELD_MODEL} {port} --who {name} {options}".rstrip(), extra=extra)

    def seen(self, port, path=None):
        """What a field model got since it was started: all of it, or the requests for a path, whatever their query."""
        requests = self.http("GET", port, "/seen")["requests"]
        return [each for each in requests if path is None or each["path"].split("?")[0] == path]

    def reset(self):
        """As it was after its installation and "tests/machine demo"."""
        self.run(f"""
            systemctl stop 'model@*.service'
            shutdown -c
            systemctl reset-failed
            rm -f /run/home-lab-services/model-idle-sweep/memory /run/home-lab-services/model-idle-sweep-host/memory
            rm -f /run/home-lab-services/turnstile/* /run/home-lab-services/keep/*
            rm -f /var/lib/home-lab-services/measured/*
            cd {ETC} && rm -rf config.json tokens models/* {ACTIVITY}/*
            chmod 0755 models && install -m 0644 -t models {SOURCE}/tests/demo/models/*
        """)

    @contextlib.contextmanager
    def drop_in(self, unit, text):
        """Changes a unit for a while."""
        file = f"/run/systemd/system/{unit}.d/test.conf"
        self.put(file, text)
        self.sh("systemctl daemon-reload")
        try:
            yield
        finally:
            self.sh(f"rm {file} && systemctl daemon-reload")

    # ---- the product ----

    def sweep_every(self, period):
        """How often the sweep comes by itself."""
        self.put("/run/systemd/system/model-idle-sweep.timer.d/tests.conf",
                 f"[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec={period}\nOnUnitInactiveSec={period}\nAccuracySec=1ms\n")
        self.sh("systemctl daemon-reload && systemctl restart model-idle-sweep.timer")

    def fastcgi(self, socket, method, path, body=b"", timeout=30, send=fastcgi.request, **variables):
        """One request as NGINX sends it, to a socket in /run/home-lab-services: (status, headers, body)."""
        variables = {"REQUEST_METHOD": method, "REQUEST_URI": path, "HTTP_HOST": "localhost", "GATEWAY_INTERFACE": "CGI/1.1",
                     **self.client.variables, **variables}
        if body:
            variables |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
        return send(str(self.path(f"/run/home-lab-services/{socket}.sock")), variables, body, timeout)

    def ready(self, port, seconds=PATIENCE):
        """Waits until a model answers its health path."""
        def answers():
            try:
                return self.http("GET", port, "/health").status == 200
            except OSError:
                return False
        wait_until(answers, seconds, f"a model answers on port {port}")

    def ports_open(self):
        """Which of the three ports answer."""
        found = []
        for port in PORTS:
            with contextlib.suppress(OSError):
                if self.http("GET", port, "/health").status == 200:
                    found.append(port)
        return found

    def scheduled(self):
        """logind's own word: (action, microseconds since the epoch), or None."""
        text = self.sh(["busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
                        "org.freedesktop.login1.Manager", "ScheduledShutdown"])
        _, action, usec = text.split()
        return (action.strip('"'), int(usec)) if action != '""' else None

    def log(self):
        return self.run("systemctl --failed --no-legend; journalctl --no-pager --output=short-monotonic --lines=60").stdout


class Stream(threading.Thread):
    """A streamed completion, asked of the model's own port."""

    def __init__(self, machine, port, words, interval_ms):
        super().__init__(daemon=True)
        self.connection = machine.open(port, timeout=60)
        self.connection.request("POST", "/v1/completions", json.dumps(
            {"stream": True, "max_tokens": words, "token_interval_ms": interval_ms}))
        self.response = self.connection.getresponse()
        assert self.response.readline().startswith(b"data: ")
        self.text = b""
        self.start()

    def run(self):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            while piece := self.response.readline():
                self.text += piece
        self.connection.close()
