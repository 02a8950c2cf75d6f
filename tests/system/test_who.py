# SPDX-License-Identifier: MIT
"""Who asks, on this machine: a user, and no address."""
import json
import socket
import time

import pytest

from machines import ETC, INFERENCE, MONITOR, PATIENCE, SHUTDOWN, wait_until
from web import NGINX

LATER = {"minutes": 600}
# What asks for something, by each door: the port, and NGINX.
DOORS = {"port": {SHUTDOWN: (SHUTDOWN, ""), INFERENCE: (INFERENCE, ""), MONITOR: (MONITOR, "")},
         "nginx": {SHUTDOWN: (NGINX, "/api/shutdown"), INFERENCE: (NGINX, "/api/inference"), MONITOR: (NGINX, "/api/monitor")}}
doors = pytest.mark.parametrize("door", DOORS)
OTHER = "quick"
CHANGES = [(SHUTDOWN, "/shutdown/schedule"), (SHUTDOWN, "/shutdown/cancel"), (SHUTDOWN, "/shutdown"),
           (INFERENCE, f"/models/{OTHER}/start"), (INFERENCE, f"/models/{OTHER}/stop"), (INFERENCE, f"/models/{OTHER}/restart"),
           (INFERENCE, f"/models/{OTHER}")]
UNITS = {"home-lab-services": "inference-service", "home-lab-power": "shutdown-service", "home-lab-nginx": "nginx-config-updater"}
LOOKS = [(SHUTDOWN, "/shutdown/status"), (SHUTDOWN, "/health"), (INFERENCE, "/models"), (INFERENCE, "/v1/models"),
         (INFERENCE, f"/models/{OTHER}"), (MONITOR, "/models/activity"), (MONITOR, "/metrics")]
BODIES = {"/shutdown/schedule": LATER, "/shutdown": {"scheduled": True, **LATER}, f"/models/{OTHER}": {"running": True}}


class User:
    """Requests of a user of the machine, from a unit of systemd's, as a job of cron's would be."""

    def __init__(self, machine, name, *options):
        self.machine, self.name, self.options = machine, name, options

    def ask(self, door, *requests, headers={}):
        """For each (method, service, path): (status, body)."""
        asked = []
        for method, service, path in requests:
            port, prefix = DOORS[door][service]
            asked.append((port, method, prefix + path, json.dumps(BODIES.get(path, {})) if method == "POST" else None))
        script = f"""
import http.client, json
answers = []
for port, method, path, body in {asked!r}:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {dict(headers) | {"Content-Type": "application/json"}!r})
    answer = connection.getresponse()
    answers.append((answer.status, answer.read().decode(errors="replace")))
print(json.dumps(answers))
"""
        return json.loads(self.machine.sh(["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--uid={self.name}",
                                           *self.options, "python3", "-c", script]))

    def statuses(self, *arguments, **options):
        return [status for status, _ in self.ask(*arguments, **options)]


@pytest.fixture(autouse=True)
def as_before(web):
    yield
    web.run(f"shutdown -c; rm -f {ETC}/tokens")


@pytest.fixture(params=["home-lab-models", "games"])
def model(request, web):
    """A model, as it is installed and as another user's."""
    return User(web, request.param, "--slice=system-model.slice")


@doors
def test_a_model_changes_nothing(web, model, door):
    """Neither the host's power nor another model, by no door; nor does it read what others said."""
    said = "POST /shutdown/schedule from 127.0.0.1, user home-lab-models: 403"

    def count():
        return web.journal("-t", "shutdown-service").count(said)

    before = count()
    for status, text in model.ask(door, *(("POST", *it) for it in CHANGES), ("GET", INFERENCE, f"/models/{OTHER}/logs")):
        assert status == 403 and json.loads(text)["code"] == "scope_too_small" and "home-lab-services token add" in text, text
    assert web.scheduled() is None and not web.runs(OTHER)
    wait_until(lambda: count() > before, PATIENCE, "it is logged")


@doors
def test_a_model_looks_and_reports(model, door):
    asked = [("GET", *it) for it in LOOKS] + [("POST", MONITOR, f"/models/{OTHER}/report")]
    assert model.statuses(door, *asked, headers={"Authorization": "Bearer sk-1"}) == [200] * len(asked)


@doors
def test_a_models_token_is_one(web, model, door):
    asked = ("POST", INFERENCE, "/models/none/start"), ("POST", SHUTDOWN, "/shutdown/schedule")
    for scope, expected in ("control", [404, 403]), ("power", [404, 200]):
        secret = web.sh(f"home-lab-services token add {scope} --scope {scope} 2>/dev/null").strip()
        assert model.statuses(door, *asked, headers={"Authorization": f"Bearer {secret}"}) == expected
    assert web.scheduled()


@doors
@pytest.mark.parametrize("user", UNITS)
def test_a_program_of_ours_has_no_rights_of_anothers(web, door, user):
    """Nor has the one that may shut down: it does so by logind."""
    who = User(web, user, f"--unit={UNITS[user]}-{time.monotonic_ns()}.service")
    asked = ("POST", SHUTDOWN, "/shutdown/schedule"), ("POST", INFERENCE, f"/models/{OTHER}/start"), ("GET", SHUTDOWN, "/shutdown/status")
    assert who.statuses(door, *asked) == [403, 403, 200]
    assert web.scheduled() is None and not web.runs(OTHER)


@doors
@pytest.mark.parametrize("user", ["root", "games", "www-data"])
def test_people_are_trusted_as_ever(web, door, user):
    asked = ("POST", SHUTDOWN, "/shutdown/schedule"), ("POST", SHUTDOWN, "/shutdown/cancel"), ("GET", INFERENCE, f"/models/{OTHER}/logs")
    assert User(web, user).statuses(door, *asked) == [200] * len(asked)


def test_a_model_in_its_unit_is_that_user(web):
    """All of its sandbox is around it."""
    urls = "5001/shutdown/schedule", "8080/api/shutdown/schedule", f"5002/models/{OTHER}/start"
    web.put("/usr/local/bin/asks", "#!/bin/sh\n" + "".join(
        f"curl -s -o /dev/null -w '%{{http_code}}\\n' -d '' http://127.0.0.1:{url}\n" for url in urls), 0o755)
    web.model("asks", command="/usr/local/bin/asks")
    web.sh("systemctl start model@asks.service")
    said = wait_until(lambda: (text := web.sh("journalctl --quiet --no-pager --output=cat -t model@asks").split()) and
                      len([line for line in text if line.isdigit()]) == 3 and text, PATIENCE, "it has asked")
    assert [line for line in said if line.isdigit()] == ["403"] * 3, said
    assert web.scheduled() is None and not web.runs(OTHER)


def request(path, body=b"{}"):
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


@pytest.mark.parametrize("with_reset", [False, True])
def test_who_has_left_is_nobody(web, with_reset):
    """The kernel says of a socket that is closed that it is root's."""
    connection = web.connect(SHUTDOWN)
    if with_reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.sendall(request("/shutdown/schedule", json.dumps(LATER).encode()))
    connection.close()
    wait_until(lambda: not web.sh("systemctl list-units --plain --no-legend 'shutdown-service@*'"), PATIENCE, "its handler has ended")
    assert web.scheduled() is None


@pytest.mark.parametrize("unsaid", ["REMOTE_PORT", "SERVER_ADDR"])
def test_a_web_server_that_speaks_plain_cgi_vouches_for_all(web, unsaid):
    """Neither is of CGI/1.1."""
    status, _, body = web.fastcgi("shutdown-service", "POST", "/shutdown/schedule", json.dumps(LATER).encode(), **{unsaid: ""})
    assert status == 200 and web.scheduled(), body


@pytest.mark.parametrize("address", ["0.0.0.0:5001", "[::]:5001", "5001", "[::1]:5001"])
def test_a_drop_in_may_name_an_address_that_has_ours_in_it(web, address):
    drop_in = "/etc/systemd/system/shutdown-service.socket.d/lan.conf"
    web.put(drop_in, f"[Socket]\nListenStream={address}\n")
    try:
        web.sh("systemctl daemon-reload && systemctl restart shutdown-service.socket")
        for host in "127.0.0.1", "[::1]":
            web.sh(f"for i in 1 2 3 4; do curl -sf http://{host}:5001/shutdown/next || exit 1; done")
        noted = "shutdown-service-lan@ADDRESS.socket" in web.run("home-lab-services check").stdout
        assert noted == (address != "[::1]:5001")
    finally:
        web.sh(f"rm {drop_in}; systemctl daemon-reload && systemctl restart shutdown-service.socket")
