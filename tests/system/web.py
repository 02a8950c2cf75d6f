# SPDX-License-Identifier: MIT
"""web.py - a machine whose NGINX serves our site, with models for every occasion, and requests to them."""
import contextlib
import http.client
import json
import pathlib
import select
import threading
import time

from machines import ACTIVITY, DEMO_MODEL, ETC, MODELS, PATIENCE, SOURCE, Answer, Machine, tool, wait_until

NGINX = 8080
CHAT = "/v1/chat/completions"
ROUTER_SOCKET = "/run/home-lab-services/model-router.sock"
LOCATIONS = "/var/lib/home-lab-services/nginx/models.conf"
UPDATER = "nginx-config-updater.service"
LOADING = "/run/slow-is-loading"
MIRROR = "/usr/local/libexec/home-lab-services-demo/mirror-model"

# name: its port, and what its file says besides. The demo models take 3 s to load, these none but where it is said.
CAST = {
    "quick": (8311, "", ""),
    "slow": (8312, f"--load-seconds 2 --lock-file {LOADING}", ""),
    "crasher": (8313, "--crash-on /v1/chat/completions", ""),
    "dreamer": (8314, "--never-ready", 'START_TIMEOUT="1500ms"\n'),
    "stillborn": (8315, "--exit-code-at-start 3", ""),
    "fleeting": (8319, "--deaf-when-ready", ""),
    "endless": (8316, "--never-ready", 'START_TIMEOUT="1h"\n'),
    "patient": (8317, "", ""),
    "mirror": (8318, None, 'HEALTH_PATH="/anything?at=all"\n'),
}
PORTS_OF = {"tiny-llama": 8198, "qwen2.5-0.5b:q4": 8199, "whisper.cpp": 8200} | {name: it[0] for name, it in CAST.items()}


class Web(Machine):
    """As a user's machine is: NGINX as Debian installs it, and our site in it. No test may restart NGINX: a stream that
    lasts as long as all the tests goes through it."""

    def prepare(self):
        tool("demo", self.name)
        self.put(MIRROR, (pathlib.Path(__file__).parent / "mirror-model").read_text(), 0o755)
        self.reset()
        self.sh("systemctl start nginx.service")
        self.update()
        wait_until(lambda: self.routes(*PORTS_OF), PATIENCE, "NGINX knows the models")
        self.gap = Stream(self, "/patient/v1/completions", words=4, gap_seconds=70)

    def reset(self):
        self.put_models()
        units = self.sh("systemctl list-units --plain --no-legend 'model@*' | cut -d' ' -f1").split()
        others = [unit for unit in units if unit != "model@patient.service"]
        if others:
            self.sh(["systemctl", "stop", *others])
        self.run(f"systemctl reset-failed; rm -f {ETC}/config.json {ACTIVITY}/* {LOADING} /run/home-lab-services/turnstile/* /run/home-lab-services/keep/*")

    def put_models(self):
        """The same files as ever are not written: NGINX would be asked to reload for nothing."""
        wanted = {file.name: file.read_text() for file in (self.path(SOURCE) / "tests/demo/models").iterdir()}
        for name, (port, options, extra) in CAST.items():
            options = "--load-seconds 0 " + options if options is not None else None
            command = f"{DEMO_MODEL} --name {name} --port {port} {options}" if options else f"{MIRROR} {port}"
            wanted[name] = f'PORT="{port}"\nCOMMAND="{command}"\n{extra}'
        for file in self.path(MODELS).iterdir():
            if file.name not in wanted:
                file.unlink()
        for name, text in wanted.items():
            file = self.path(f"{MODELS}/{name}")
            if not file.exists() or file.read_text() != text:
                self.put(f"{MODELS}/{name}", text)

    def update(self):
        """What the files say now is what NGINX has."""
        self.run(["systemctl", "start", UPDATER])  # one that runs already may have looked too early
        self.sh(["systemctl", "start", UPDATER])

    # ---- requests through NGINX ----

    def ask(self, method, path, body=None, headers={}, **options):
        return self.http(method, NGINX, path, body, headers, **options)

    def post(self, path, body, headers={}, **options):
        return self.ask("POST", path, body, headers, **options)

    def chat(self, model, **more):
        """A whole completion, by the body's model."""
        return self.post("/v1/chat/completions", {"model": model, "messages": []} | more, timeout=50)

    def raw(self, text):
        """The answer to these bytes."""
        with contextlib.closing(self.connect(NGINX)) as connection:
            connection.sendall(text)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response)

    def hold(self, path, body=b"{}", method="POST", headers={}):
        return Held(self, method, path, body, headers)

    @contextlib.contextmanager
    def loading(self):
        """The model "slow" is not ready before this ends, however long its clients take to come."""
        self.put(LOADING, "")
        yield
        self.path(LOADING).unlink()

    def routes(self, *models):
        """Whether NGINX knows all of these. A Host that is not ours wakes nobody."""
        strange = {"Host": "elsewhere.example"}
        return all(self.ask("GET", f"/{name}/health", headers=strange).status != 404 for name in models)

    # ---- what is so ----

    def runs(self, model):
        return self.is_active(f"model@{model}.service")

    def journal(self, *arguments):
        return self.sh(["journalctl", "--quiet", "--no-pager", "--output=cat", *arguments])

    def mark(self):
        """Where the journal ends now: what is logged from here on is journal("--after-cursor", mark)."""
        return self.sh("journalctl --quiet --lines=0 --show-cursor").split("cursor: ")[1].strip()

    def waiting(self):
        """How many requests the router has in its hands."""
        return len(self.sh(["ss", "-Hxn", "state", "established", "src", ROUTER_SOCKET]).splitlines())

    def wait_for_waiting(self, count):
        wait_until(lambda: self.waiting() == count, PATIENCE, f"{count} requests wait")

    def router_sockets(self):
        """All that it has open."""
        pid = self.properties("model-router.service", "MainPID")["MainPID"]
        return self.sh(f"ls -l /proc/{pid}/fd").count("socket:")

    def nginx_workers(self):
        """Those that take new requests."""
        return set(self.sh("ps -eo pid=,args= | grep '[n]ginx: worker process$' || true").splitlines())

    def last_used(self, model):
        with contextlib.suppress(FileNotFoundError):
            return self.path(f"{ACTIVITY}/{model}").stat().st_mtime_ns
        return None


class Held:
    """A request that was sent, and whose answer is read later."""

    def __init__(self, web, method, path, body, headers):
        self.connection = web.open(NGINX, timeout=50)
        self.connection.request(method, path, body, {"Content-Type": "application/json"} | headers)

    def done(self):
        """Whether something has come."""
        return bool(select.select([self.connection.sock], [], [], 0)[0])

    def answer(self):
        with contextlib.closing(self.connection):
            return Answer(self.connection.getresponse())

    def leave(self):
        self.connection.close()


class Stream(threading.Thread):
    """A streamed completion; when each of its events came, in seconds since it was asked for."""

    def __init__(self, web, path, port=NGINX, words=8, interval_ms=20, gap_seconds=0, model="quick"):
        super().__init__(daemon=True)
        self.events, self.times, self.error = [], [], None
        self.connection = web.open(port, timeout=100)
        self.body = json.dumps({"model": model, "stream": True, "max_tokens": words, "token_interval_ms": interval_ms,
                                "gap_seconds": gap_seconds})
        self.began = time.monotonic()
        self.first = threading.Event()
        self.path = path
        self.start()

    def run(self):
        try:
            self.connection.request("POST", self.path, self.body, {"Content-Type": "application/json"})
            with contextlib.closing(self.connection):
                response = self.connection.getresponse()
                self.status = response.status
                while line := response.readline():
                    if line.startswith(b"data: "):
                        self.times.append(time.monotonic() - self.began)
                        self.events.append(line[6:].strip())
                        self.first.set()
        except Exception as error:  # for whoever asks how it went
            self.error = error

    def whole(self, seconds=50):
        """It ended as it should, with each of its events."""
        self.join(seconds)
        assert not self.is_alive() and self.error is None, (self.events, self.error)
        assert self.events[-1:] == [b"[DONE]"], self.events
        return self
