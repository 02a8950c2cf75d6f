# SPDX-License-Identifier: MIT
"""programs.py - the built programs without a machine, and requests to them by each door.

BUILD (default: build) is where the programs are. Folders are temporary, and there is no system bus: what needs one
answers 503. Nothing here can schedule a shutdown or start a unit.
"""
import functools
import json
import os
import re
import socket
import subprocess
from pathlib import Path

import fastcgi
import openapi
import pytest

BUILD = Path(os.environ.get("BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
TIMEOUT = int(os.environ.get("DOORS_TIMEOUT", 20))  # seconds
SERVICES = ["shutdown-service", "inference-service", "model-monitor-service"]


this_process = fastcgi.Client()


def peer_variables(address):
    """Who asks, as a web server tells it. On loopback that is this process."""
    return this_process.variables if address == "127.0.0.1" else {"REMOTE_ADDR": address}


class Lab:
    """Folders of a lab of its own, and the environment that names them."""

    def __init__(self, folder):
        self.folder = folder
        self.models = folder / "models"
        self.activity = folder / "state" / "activity"
        self.models.mkdir()
        self.activity.mkdir(parents=True)
        (folder / "turnstile").mkdir()
        (self.models / "tiny").write_text('PORT="18191"\n')
        (self.models / "qwen2.5:0.5b").write_text('PORT="18192"\nIDLE_TIMEOUT=never\n')
        (self.models / "no-port").write_text("COMMAND=x\n")
        (self.models / ".hidden").write_text("PORT=1\n")
        self.env = {
            "PATH": os.environ["PATH"],
            "TZ": "Europe/Berlin",
            "CONFIGURATION_DIRECTORY": str(folder),
            "STATE_DIRECTORY": str(folder / "state"),
            "MODELS_CONFIG_DIR": str(self.models),
            "HL_TURNSTILE_DIRECTORY": str(folder / "turnstile"),
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/no-bus",
        }

    def config(self, **sections):
        (self.folder / "config.json").write_text(json.dumps(sections))

    def tool(self, *arguments, status=0):
        done = subprocess.run([BUILD / "home-lab-services", *arguments], env=self.env, capture_output=True, text=True,
                              timeout=TIMEOUT, stdin=subprocess.DEVNULL)
        assert done.returncode == status, done
        return done

    def token(self, name, scope):
        return self.tool("token", "add", name, "--scope", scope).stdout.strip()

    def state(self):
        """All that a request could change here."""
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
                for path in sorted(self.folder.rglob("*"))}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body!r}>"


def parse_headers(lines):
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} stands twice"
        headers[name.lower()] = value
    return headers


def described(ask):
    """An answer of a service is as its /openapi.json says."""
    @functools.wraps(ask)
    def checked(lab, service, method, target, *more, **options):
        answer = ask(lab, service, method, target, *more, **options)
        if service in SERVICES:
            found = openapi.description(BUILD / service).problems(
                method, target, answer.status, answer.headers.get("content-type"), answer.body, codes=True)
            assert not found, (service, method, target, answer, found)
        return answer
    return checked


@described
def by_cgi(lab, service, method, target, headers=(), body=b"", peer="127.0.0.1"):
    path, _, query = target.partition("?")
    env = dict(lab.env, GATEWAY_INTERFACE="CGI/1.1", SERVER_PROTOCOL="HTTP/1.1", REQUEST_METHOD=method,
               REQUEST_URI=target, QUERY_STRING=query, **peer_variables(peer))
    for name, value in {"Host": "localhost:5001", **dict(headers)}.items():
        variable = name.upper().replace("-", "_")
        if value is not None:
            env[variable if name in ("Content-Type", "Content-Length") else f"HTTP_{variable}"] = value
    if body:
        env.setdefault("CONTENT_LENGTH", str(len(body)))
    done = subprocess.run([BUILD / service], env=env, input=body, capture_output=True, timeout=TIMEOUT)
    assert done.returncode == 0, done
    head, _, answer = done.stdout.partition(b"\r\n\r\n")
    parsed = parse_headers(head.decode().split("\r\n"))
    return Answer(int(parsed.pop("status").split()[0]), parsed, answer)


@described
def by_port(lab, service, method, target, headers=(), body=b"", peer="127.0.0.1"):
    """As systemd does with Accept=yes: standard input and output are one connection on loopback."""
    assert peer == "127.0.0.1"
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {"Host": "localhost:5001", **dict(headers)}.items()
              if value is not None]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    raw = exchange(lab, service, "\r\n".join(lines + ["Connection: close", "", ""]).encode() + body)
    head, _, answer = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return Answer(int(first.split()[1]), parse_headers(rest), answer)


def exchange(lab, service, sent):
    with socket.create_server(("127.0.0.1", 0)) as server, \
         socket.create_connection(server.getsockname(), timeout=TIMEOUT) as client:
        accepted, _ = server.accept()
        process = subprocess.Popen([BUILD / service], env=lab.env, stdin=accepted, stdout=accepted,
                                   stderr=subprocess.DEVNULL)
        accepted.close()
        try:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            received = b""
            while piece := client.recv(65536):
                received += piece
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
            process.wait()
    return received


class Listener:
    """A program that a listening socket was handed to, as systemd does; until the end of the block that has it."""

    def __init__(self, program, path, env, backlog=16):
        self.path = str(path)
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        self.listening.listen(backlog)
        self.process = subprocess.Popen([BUILD / program], stdin=self.listening, stderr=subprocess.DEVNULL, env=env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.listening.close()
        Path(self.path).unlink()


@described
def by_fastcgi(lab, service, method, target, headers=(), body=b"", peer="127.0.0.1"):
    path, _, query = target.partition("?")
    variables = {"REQUEST_METHOD": method, "REQUEST_URI": target, "QUERY_STRING": query, **peer_variables(peer)}
    for name, value in {"Host": "localhost:5001", **dict(headers)}.items():
        variable = name.upper().replace("-", "_")
        if value is not None:
            variables[variable if name in ("Content-Type", "Content-Length") else f"HTTP_{variable}"] = value
    if body:
        variables.setdefault("CONTENT_LENGTH", str(len(body)))
    with Listener(service, lab.folder / "worker.sock", lab.env) as worker:
        status, answered, content = fastcgi.request(worker.path, variables, body, TIMEOUT)
    return Answer(status, {name.lower(): value for name, value in answered.items() if name != "Status"}, content)


DOORS = {"cgi": by_cgi, "port": by_port}
both_doors = pytest.mark.parametrize("ask", DOORS.values(), ids=DOORS.keys())

JSON = {"Content-Type": "application/json"}
# What moves with the clock is written out of both answers before they are compared.
CLOCKED = re.compile(rb'"(days|hours|minutes|seconds|total_seconds)":\d+|"(boot_time|last_activity)":"[^"]*"')
