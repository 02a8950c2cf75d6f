# SPDX-License-Identifier: MIT
"""clients.py - the clients that people use, as processes of this host in a machine's network; and that machine, with real
model servers behind our site.

A client's process (tests/clients) takes one line for each thing that it is to ask, and says what it got.
"""
import json
import os
import select
import shutil
import subprocess
import time

import real
from machines import INFERENCE, MODELS, PATIENCE, wait_until
from real import LLAMA
from web import NGINX, Web

SITE = f"http://127.0.0.1:{NGINX}"
TOKENS = 16           # what each client asks for; the tiny model says one character a token
EMBEDDING = 64        # numbers in one of the tiny model's
SOUND_BYTES = 3_000_000
ANSWER_SECONDS = 40
LLAMA_OPTIONS = "--threads 1 --no-webui"

# name: its port, and what it runs. "zoo" is llama-server's router mode: a server of servers behind our own.
SERVERS = {
    "llama": (8401, f"{LLAMA}/llama-server --port 8401 -m {LLAMA}/models/tiny.gguf --temp 0 --parallel 2 {LLAMA_OPTIONS}"),
    "embedder": (8402, f"{LLAMA}/llama-server --port 8402 -m {LLAMA}/models/tiny.gguf --embeddings --pooling mean "
                       f"{LLAMA_OPTIONS}"),
    "zoo": (8403, f"{LLAMA}/llama-server --port 8403 --models-dir {LLAMA}/models --temp 0 {LLAMA_OPTIONS}"),
}
FIELD = {"ear": (8404, ""), "tags": (8405, "--lists")}
NAMES = sorted([*SERVERS, *FIELD])


class Lab(Web):
    """Its models are real servers. Tests find it as the one before left it, and stop what they want to be stopped."""

    @property
    def enter(self):
        """How a program of this host is run in its network."""
        return ["nsenter", "--target", str(self.leader), "--net", "--"]

    def prepare(self):
        self.sh(f"rm -f {MODELS}/*")
        shutil.copytree(real.llama_server(), self.path(LLAMA))
        for name, (port, command) in SERVERS.items():
            self.model(name, port, command=command)
        for name, (port, options) in FIELD.items():
            self.field_model(name, port, options)
        self.sh("systemctl start nginx.service")
        self.update()
        wait_until(lambda: self.routes(*NAMES), PATIENCE, "NGINX knows the models")

    def stop(self, *models):
        for model in models or self.running():
            answer = self.http("POST", INFERENCE, f"/models/{model}/stop")
            assert answer.status == 200, answer
            assert not self.runs(model)

    def start(self, *models):
        for model in models:
            answer = self.http("POST", INFERENCE, f"/models/{model}/start?wait=ready")
            assert answer.status == 200, answer

    def running(self):
        return self.http("GET", INFERENCE, "/models/running")["running_models"]


class Refused(Exception):
    """What a client's user is told."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class Program:
    """A client that stays, so that its start is paid for once. "lab" is whose network it is in."""

    def __init__(self, lab, *command):
        self.process = subprocess.Popen([*lab.enter, *map(str, command)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.verbs = self.line()

    def ask(self, what, model="", base=SITE + "/v1", key="none"):
        return self.say(what, base, model, key)

    def say(self, *fields):
        self.process.stdin.write("\t".join(fields).encode() + b"\n")
        self.process.stdin.flush()
        return self.line()

    def line(self):
        text, deadline = b"", time.monotonic() + ANSWER_SECONDS
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(deadline - time.monotonic(), 0))
            piece = os.read(self.process.stdout.fileno(), 1 << 20) if ready else b""
            if not piece:
                self.process.kill()
                raise AssertionError(f"the client {'is silent' if not ready else 'ended'}: {self.process.stderr.read()[-2000:]}")
            text += piece
        answer = json.loads(text)
        if "error" in answer:
            raise Refused(**answer["error"])
        return answer["got"]

    def close(self):
        self.process.kill()
        self.process.communicate()


class Curl:
    """curl, as scripts call it."""
    verbs = ["models", "chat", "stream", "embed", "upload"]

    def __init__(self, lab, folder):
        self.lab = lab
        self.sound = folder / "speech.wav"
        self.sound.write_bytes(bytes(SOUND_BYTES))

    def ask(self, what, model="", base=SITE + "/v1", key="none"):
        chat = {"model": model, "max_tokens": TOKENS, "messages": [{"role": "user", "content": "Say a few words."}]}
        if what == "models":
            return [each["id"] for each in json.loads(self.curl(f"{base}/models", key))["data"]]
        if what == "chat":
            answer = self.curl(f"{base}/chat/completions", key, "--json", json.dumps(chat))
            return json.loads(answer)["choices"][0]["message"]["content"]
        if what == "stream":
            lines = self.curl(f"{base}/chat/completions", key, "--no-buffer", "--json", json.dumps(chat | {"stream": True}))
            events = [json.loads(line[6:]) for line in lines.splitlines() if line.startswith("data: {")]
            return [text for each in events for choice in each["choices"] if (text := choice["delta"].get("content"))]
        if what == "embed":
            body = json.dumps({"model": model, "input": ["Say a few words.", "And more."]})
            return [len(each["embedding"]) for each in json.loads(self.curl(f"{base}/embeddings", key, "--json", body))["data"]]
        assert what == "upload", what
        return json.loads(self.curl(f"{base}/audio/transcriptions", key, "-F", f"file=@{self.sound}", "-F", f"model={model}"))

    def curl(self, url, key, *more):
        done = subprocess.run([*self.lab.enter, "curl", "--silent", "--show-error", "--header",
                               f"Authorization: Bearer {key}", "--write-out", "\n%{http_code}", *more, url],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_SECONDS)
        assert done.returncode == 0, done
        text, status = done.stdout.rsplit("\n", 1)
        if status != "200":
            raise Refused(int(status), text)
        return text

    def close(self):
        pass


def npm(name):
    return lambda lab, folder: Program(lab, "node", real.npm() / "npm.mjs", name)


def pypi(name):
    return lambda lab, folder: Program(lab, real.pypi(), real.CLIENTS / "pypi.py", name)


# name: how it is made, and what it can be asked.
HTTP = ("models", "chat", "stream", "embed", "upload")
CLIENTS = {
    "curl": (Curl, HTTP),
    "npm openai": (npm("openai"), (*HTTP, "retrieve", "completion", "response")),
    "npm @anthropic-ai/sdk": (npm("@anthropic-ai/sdk"), ("models", "retrieve", "chat", "stream", "count")),
    "npm ai-sdk": (npm("ai + @ai-sdk/openai-compatible"), ("chat", "stream", "embed")),
    "npm @langchain/openai": (npm("@langchain/openai"), ("chat", "stream", "embed")),
    "npm ollama": (npm("ollama"), ("models",)),
    "npm axios": (npm("axios"), (*HTTP, "retrieve")),
    "npm undici": (npm("undici"), (*HTTP, "retrieve")),
    "node fetch": (npm("node's fetch"), (*HTTP, "retrieve")),
    "PyPI openai": (pypi("openai"), (*HTTP, "retrieve", "completion", "response")),
    "PyPI anthropic": (pypi("anthropic"), ("models", "retrieve", "chat", "stream", "count")),
    "PyPI langchain-openai": (pypi("langchain-openai"), ("chat", "stream", "embed")),
    "PyPI ollama": (pypi("ollama"), ("models",)),
    "PyPI httpx": (pypi("httpx"), (*HTTP, "retrieve")),
    "PyPI requests": (pypi("requests"), (*HTTP, "retrieve")),
    "PyPI aiohttp": (pypi("aiohttp"), (*HTTP, "retrieve")),
    "JDK HttpClient": (lambda lab, folder: Program(lab, "java", "-cp", real.jdk(), "Jdk"), HTTP),
    "Go net/http": (lambda lab, folder: Program(lab, real.go()), HTTP),
}

# No client depends on a release's systemd. Where both are tested, bookworm has these, and trixie has all.
RELEASE = os.environ.get("RELEASE")
HERE = [name for name in CLIENTS if RELEASE != "bookworm" or name in ("curl", "npm openai", "PyPI openai")]


# ---- the table at the end of a run ----

COLUMNS = ("cold", "cold stream", "warm", "warm stream", "by name", "models", "retrieve", "embed", "upload", "more", "refusal",
           "key")
matrix = {}  # client: {column: "ok", "FAILED" or "skipped"}
reasons = {}  # client: why it was skipped


def note(client, column, outcome, why=""):
    """A cell of more than one test is as good as the worst of them."""
    order = ("ok", "skipped", "FAILED")
    row = matrix.setdefault(client, {})
    row[column] = max(row.get(column, "ok"), outcome, key=order.index)
    if why:
        reasons[client] = why


def table():
    widths = [max(len(column), 7) for column in COLUMNS]
    yield "".join([f"{'client':28}", *(f"  {column:{width}}" for column, width in zip(COLUMNS, widths))])
    for client in [*(name for name in CLIENTS if name in matrix), *(name for name in matrix if name not in CLIENTS)]:
        cells = (matrix[client].get(column, "-") for column in COLUMNS)
        yield "".join([f"{client:28}", *(f"  {cell:{width}}" for cell, width in zip(cells, widths))]).rstrip()
    for client, why in reasons.items():
        yield f"skipped: {client}: {why}"
    yield "-: the client has no such call, or this run did not ask"
    if len(HERE) < len(CLIENTS):
        yield "on trixie alone: " + ", ".join(name for name in CLIENTS if name not in HERE)
