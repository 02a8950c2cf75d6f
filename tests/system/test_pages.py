# SPDX-License-Identifier: MIT
"""The pages for Home Assistant, Open WebUI and Prometheus, handlers/CLIENTS.md: what stands there is sent as those programs
send it, through NGINX, by somebody who needs a token."""
import contextlib
import datetime
import json
import pathlib
import re

import pytest
import yaml

from machines import ETC, PATIENCE, wait_until
from pages import PAGE, RULES, SITE, blocks
from web import NGINX



class Loader(yaml.SafeLoader):
    """YAML with Home Assistant's !secret, and without a key that stands twice."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key stands twice: {keys}"
        return super().construct_mapping(node, deep)


Loader.add_constructor("!secret", lambda loader, node: ("secret", node.value))


SECRETS, PACKAGE = (yaml.load(text, Loader) for text in blocks("Home Assistant", "yaml"))
PROMETHEUS, = (yaml.load(text, Loader) for text in blocks("Prometheus", "yaml"))


@pytest.fixture
def guarded(web):
    """Even who is on this machine needs a token, made as the page says: what a client from elsewhere does."""
    def token(title):
        command, = blocks(title, "sh")
        return web.sh(command.strip().removeprefix("sudo ")).strip()
    web.config(auth={"loopback": "token"})
    yield token
    web.sh(f"rm -f {ETC}/tokens")


def send(web, method, url, token, body=None, headers={}):
    """As httpx and aiohttp do: of the body's type nothing is said unless the page says it."""
    assert url.startswith(SITE + "/"), url
    with contextlib.closing(web.open(NGINX, timeout=10)) as connection:  # Home Assistant's own timeout
        connection.request(method, url.removeprefix(SITE), None if body is None else body.encode(),
                           {"Authorization": token, **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def bearer(resource, token):
    """The Authorization header that a part of the package asks for."""
    kind, name = resource["headers"]["Authorization"]
    assert kind == "secret" and list(resource["headers"]) == ["Authorization"]
    return SECRETS[name].replace("hls_…", token)


def render(template, value):
    """The templates that the package has: {{ value_json.KEY }}, and its length."""
    key, length = re.fullmatch(r"{{ value_json\.(\w+)( \| length)? }}", template).groups()
    return len(value[key]) if length else value[key]


@pytest.mark.parametrize("switch", PACKAGE["switch"], ids=lambda switch: switch["name"])
def test_home_assistant_s_switches(web, guarded, switch):
    token = bearer(switch, guarded("Home Assistant"))

    def is_on():
        status, value = send(web, "GET", switch["resource"], token)
        assert status == 200, value
        return render(switch["is_on_template"], value)
    assert is_on() is False
    for _ in range(2):
        status, answer = send(web, "POST", switch["resource"], token, switch["body_on"])
        assert status == 200, answer
        assert is_on() is True
    for _ in range(2):
        status, answer = send(web, "POST", switch["resource"], token, switch["body_off"])
        assert status == 200, answer
    wait_until(lambda: is_on() is False, PATIENCE, "it is off")
    assert web.scheduled() is None


@pytest.mark.parametrize("rest", PACKAGE["rest"], ids=lambda rest: rest["resource"].removeprefix(SITE))
def test_home_assistant_s_sensors(web, guarded, rest):
    token = bearer(rest, guarded("Home Assistant"))
    status, value = send(web, "GET", rest["resource"], token)
    assert status == 200, value
    for sensor in rest.get("sensor", []) + rest.get("binary_sensor", []):
        assert render(sensor["value_template"], value) in ("unloaded", 0, False)
        assert set(sensor.get("json_attributes", [])) <= set(value)
    assert send(web, "GET", rest["resource"], "Bearer hls_nobody")[0] == 401


COMMANDS = {
    "home_lab_shutdown_in": ({"minutes": "45"}, lambda answer: 2690 < answer["shutdown"]["remaining_seconds"] <= 2700),
    "home_lab_shutdown_at": ({"at": "AT"}, lambda answer: answer["shutdown"]["action"] == "reboot"),
    "home_lab_model": ({"model": "tiny-llama", "running | lower": "true"}, lambda answer: answer["running"] is True),
}


@pytest.mark.parametrize("name", PACKAGE["rest_command"])
@pytest.mark.parametrize("content_type", ["as the page says", "aiohttp's own"])
def test_home_assistant_s_commands(web, guarded, name, content_type):
    command = PACKAGE["rest_command"][name]
    values, right = COMMANDS[name]
    later = web.sh(["date", "--date=+2 hours", "+%Y-%m-%d %H:%M:%S"]).strip()

    def fill(template):
        for key, value in values.items():
            template = template.replace("{{ %s }}" % key, later if value == "AT" else value)
        assert "{{" not in template
        return template
    kind = command["content_type"] if content_type == "as the page says" else "application/octet-stream"
    status, answer = send(web, command["method"].upper(), fill(command["url"]), bearer(command, guarded("Home Assistant")),
                          fill(command["payload"]), {"Content-Type": kind})
    try:
        assert status == 200 and right(answer), answer
        if name == "home_lab_shutdown_at":
            at = datetime.datetime.fromisoformat(answer["shutdown"]["scheduled_time"])
            assert at.strftime("%Y-%m-%d %H:%M:%S") == later
    finally:
        web.run("shutdown -c")
    weak = web.sh("home-lab-services token add weak --scope read").strip()
    assert send(web, command["method"].upper(), fill(command["url"]), f"Bearer {weak}", fill(command["payload"]),
                {"Content-Type": kind})[0] == 403


def test_open_webui_s_token_lists_loads_and_unloads(web, guarded):
    token = "Bearer " + guarded("Open WebUI")
    assert SITE + "/v1" in PAGE
    status, listed = send(web, "GET", SITE + "/v1/models", token)
    assert status == 200 and "tiny-llama" in [entry["id"] for entry in listed["data"]]
    for root in SITE, SITE + "/api/inference":
        def state():
            status, answer = send(web, "GET", root + "/models", token)
            assert status == 200, answer
            return {entry["id"]: entry["status"]["value"] for entry in answer["data"]}["quick"]
        for verb, last in ("load", "loaded"), ("unload", "unloaded"):
            status, answer = send(web, "POST", f"{root}/models/{verb}", token, '{"model": "quick"}',
                                  {"Content-Type": "application/json"})
            assert status == 200 and answer["success"] is True, answer
            wait_until(lambda: state() == last, PATIENCE, f"it is {last}")


# ---- Prometheus ----

def test_prometheus_gets_the_metrics_that_the_page_names(web, guarded):
    token = "Bearer " + guarded("Prometheus")
    job, = PROMETHEUS["scrape_configs"]
    assert job["static_configs"] == [{"targets": [SITE.removeprefix("http://")]}]
    web.config(auth={"loopback": "token"}, capacity={"gpus": {"0": "24G"}})
    web.sh("shutdown -r +90")
    web.sh("systemctl start model@quick.service")
    try:
        answer = web.ask("GET", job["metrics_path"], headers={"Authorization": token})
        assert answer.status == 200, answer
        text = answer.body.decode()
        there = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
        assert there == set(re.findall(r"^\| `(hls_\w+)`", PAGE, re.M))
        rules = yaml.load(RULES.read_text(), Loader)["groups"][0]["rules"]
        asked = {name for rule in rules for name in re.findall(r"hls_\w+", rule["expr"])}
        assert asked and asked <= there
        for name, label, value in (match.groups() for rule in rules for match in re.finditer(r'(hls_\w+){(\w+)="(\w+)"}', rule["expr"])):
            assert re.search(rf'^{name}{{.*{label}="{value}"', text, re.M), rule
    finally:
        web.run("shutdown -c")
    assert [pathlib.Path(path).name for path in PROMETHEUS["rule_files"]] == [RULES.name]
