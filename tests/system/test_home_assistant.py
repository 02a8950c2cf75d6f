# SPDX-License-Identifier: MIT
"""Home Assistant's own code, on another machine, with the configuration of the page: what the page promises, it does."""
import contextlib
import datetime
import itertools
import json
import re
import time

import pytest

import real
from clients import Program
from machines import PATIENCE, on_trixie_alone, tool, wait_until
from neighbours import HERE, neighbour_of
from pages import SITE, blocks
from web import NGINX

MODEL_SWITCH, SHUTDOWN_SWITCH = "switch.tiny_llama", "switch.home_lab_shutdown"
STATE, IDLE, SHUTS_DOWN = "sensor.tiny_llama_state", "sensor.idle_models", "binary_sensor.home_lab_shuts_down"
ENTITIES = (MODEL_SWITCH, SHUTDOWN_SWITCH, STATE, IDLE, SHUTS_DOWN)
pytestmark = [pytest.mark.column("key"), pytest.mark.parametrize("client", ["Home Assistant"])]  # its row in the table
AT_ONCE = 5  # seconds; Home Assistant's own limit is 10

# What a user has besides, for "at" and "minutes". Another time zone than that of the machine with the models.
CONFIGURATION = """
homeassistant:
  time_zone: Asia/Tokyo
  packages: !include_dir_named packages
http:
  server_port: %d
input_datetime:
  machine_off:
    has_date: true
    has_time: true
input_number:
  minutes:
    min: 1
    max: 600
"""


class HomeAssistant(Program):
    ports = itertools.count(8123)  # of its own pages: there may be two of them beside each other

    def __init__(self, neighbour, folder, token):
        secrets, package = blocks("Home Assistant", "yaml")
        assert SITE in package and "hls_…" in secrets
        (folder / "packages").mkdir(parents=True)
        (folder / "configuration.yaml").write_text(CONFIGURATION % next(self.ports))
        (folder / "secrets.yaml").write_text(secrets.replace("hls_…", token))
        (folder / "packages/home_lab.yaml").write_text(package.replace(SITE, f"http://{HERE}:{NGINX}"))

        class There:
            enter = ["nsenter", f"--net={neighbour.path}", "--"]
        super().__init__(There, real.home_assistant(), real.CLIENTS / "home_assistant.py", folder)

    def call(self, service, **data):
        return self.say("call", service, json.dumps(data))

    def at_once(self, service, **data):
        began = time.monotonic()
        answer = self.call(service, **data)
        assert time.monotonic() - began < AT_ONCE, f"{service} waits for something"
        return answer

    def states(self, *entities):
        return [each and each["state"] for each in self.say("states", *entities)]

    def attributes(self, entity):
        return self.say("states", entity)[0]["attributes"]

    def log(self):
        return self.say("log")


@pytest.fixture(scope="module")
def house(make_machine):
    """A machine with models, and its neighbour: the machine on which Home Assistant runs."""
    try:
        real.home_assistant()
    except real.NotHere as reason:
        pytest.skip(f"Home Assistant's own code is NOT TESTED: {reason}")
    house = make_machine()
    tool("demo", house.name)
    house.sweep_every("1d")
    house.model("tiny-llama", 8198)
    site = house.sh("grep -lrs home-lab-services/server.conf /etc/nginx/sites-available /etc/nginx/conf.d").split()[0]
    text = house.path(site).read_text()
    house.put(site, text.replace(f"listen 127.0.0.1:{NGINX};", f"listen {NGINX};"))
    with neighbour_of(house) as house.neighbour:
        house.sh("systemctl start nginx.service")

        def reached():
            with contextlib.suppress(OSError):
                return house.neighbour.http("GET", NGINX, "/api/inference/models", host=HERE).status == 403
        wait_until(reached, PATIENCE, "the neighbour reaches the site, and needs a token")
        yield house


@pytest.fixture(scope="module")
def with_token(house, tmp_path_factory):
    """One Home Assistant for each scope; None is the token that the page makes."""
    made = {}

    def get(scope=None):
        if scope not in made:
            command, = blocks("Home Assistant", "sh")
            command = command.strip().removeprefix("sudo ")
            if scope:
                command = re.sub(r"add \S+ --scope \w+$", f"add ha-{scope} --scope {scope}", command)
            token = house.sh(command).strip()
            made[scope] = HomeAssistant(house.neighbour, tmp_path_factory.mktemp("home-assistant") / "config", token)
        return made[scope]
    yield get
    for one in made.values():
        one.close()


@pytest.fixture
def house_as_it_was(house):
    yield
    house.run("systemctl stop 'model@*.service'; systemctl reset-failed; shutdown -c")
    house.model("tiny-llama", 8198)


@pytest.fixture
def home(client, with_token, house_as_it_was):
    """With the token that the page makes."""
    return with_token()


def scheduled(house):
    """What logind has: its action, and in how many seconds."""
    action, usec = house.scheduled()
    return action, usec / 1e6 - time.time()


@on_trixie_alone
def test_the_page_is_taken_without_a_complaint(home):
    assert set(home.verbs["components"]) >= {"rest", "rest.switch", "rest_command", "switch", "sensor", "binary_sensor"}
    assert home.states(*ENTITIES) == ["off", "off", "unloaded", "0", "off"]
    assert home.log() == []


def test_the_switch_of_a_model(home, house):
    """Each way twice, and what it is switched to is seen."""
    for _ in range(2):
        home.at_once("switch.turn_on", entity_id=MODEL_SWITCH)
        assert home.states(MODEL_SWITCH) == ["on"]
    wait_until(lambda: home.states(STATE) == ["loaded"], PATIENCE, "Home Assistant sees that the model is ready")
    assert house.is_active("model@tiny-llama.service")
    attributes = home.attributes(STATE)
    assert attributes["in_flight"] == 0 and datetime.datetime.fromisoformat(attributes["since"])
    for _ in range(2):
        home.at_once("switch.turn_off", entity_id=MODEL_SWITCH)
    wait_until(lambda: home.states(MODEL_SWITCH, STATE) == ["off", "unloaded"], PATIENCE, "Home Assistant sees that it has stopped")
    assert not house.is_active("model@tiny-llama.service")
    assert home.log() == []


def test_a_model_that_loads_for_longer_than_home_assistant_waits(home, house):
    house.model("tiny-llama", 8198, options="--load-seconds 60")
    home.at_once("switch.turn_on", entity_id=MODEL_SWITCH)
    assert home.states(MODEL_SWITCH, STATE) == ["on", "loading"]
    home.at_once("switch.turn_off", entity_id=MODEL_SWITCH)
    wait_until(lambda: home.states(MODEL_SWITCH, STATE) == ["off", "unloaded"], PATIENCE, "it is off")
    assert home.log() == []


def test_a_model_that_fails(home, house):
    house.model("tiny-llama", 8198, options="--exit-code-at-start 3")
    home.at_once("switch.turn_on", entity_id=MODEL_SWITCH)
    wait_until(lambda: home.states(MODEL_SWITCH, STATE) == ["off", "failed"], PATIENCE, "Home Assistant sees it")
    assert home.attributes(STATE)["last_result"] == "exit-code"
    assert home.log() == []


def test_a_model_that_is_idle(home, house):
    house.model("tiny-llama", 8198, extra='IDLE_TIMEOUT="1s"\n')
    home.at_once("switch.turn_on", entity_id=MODEL_SWITCH)
    wait_until(lambda: home.states(IDLE) == ["1"], PATIENCE, "Home Assistant sees it")
    assert home.attributes(IDLE)["idle_models"] == ["tiny-llama"]
    assert home.log() == []


def test_the_switch_of_the_machine(home, house):
    for _ in range(2):
        home.at_once("switch.turn_on", entity_id=SHUTDOWN_SWITCH)
        assert home.states(SHUTDOWN_SWITCH, SHUTS_DOWN) == ["on", "on"]
        action, seconds = scheduled(house)
        assert action == "poweroff" and 570 < seconds <= 600
    for _ in range(2):
        home.at_once("switch.turn_off", entity_id=SHUTDOWN_SWITCH)
        assert home.states(SHUTDOWN_SWITCH, SHUTS_DOWN) == ["off", "off"]
        assert house.scheduled() is None
    assert home.log() == []


MINUTES = {
    "number": 45,
    "text": "45",
    "input_number": "{{ states('input_number.minutes') }}",  # "45.0"
    "int": "{{ states('input_number.minutes') | int }}",
}


@pytest.mark.parametrize("minutes", MINUTES.values(), ids=MINUTES)
def test_a_shutdown_in_minutes(home, house, minutes):
    home.call("input_number.set_value", entity_id="input_number.minutes", value=45)
    answer = home.at_once("rest_command.home_lab_shutdown_in", minutes=minutes)
    assert answer["status"] == 200, answer
    action, seconds = scheduled(house)
    assert action == "poweroff" and 2670 < seconds <= 2700
    assert home.states(SHUTDOWN_SWITCH, SHUTS_DOWN) == ["on", "on"]
    assert home.log() == []


TIMES = {
    "input_datetime": "{{ states('input_datetime.machine_off') }}",
    "isoformat": "{{ (now() + timedelta(hours=2)).isoformat() }}",
    "str": "{{ now() + timedelta(hours=2) }}",
    "utc": "{{ (utcnow() + timedelta(hours=2)).isoformat() }}",
    "timestamp": "{{ as_timestamp(now() + timedelta(hours=2)) | timestamp_utc }}",
}


@pytest.mark.parametrize("at", TIMES.values(), ids=TIMES)
def test_a_shutdown_at_a_time(home, house, at):
    """With an offset it is Home Assistant's time, without one the time of the machine with the models."""
    later = house.sh(["date", "--date=+2 hours", "+%Y-%m-%d %H:%M:%S"]).strip()
    home.call("input_datetime.set_datetime", entity_id="input_datetime.machine_off", datetime=later)
    answer = home.at_once("rest_command.home_lab_shutdown_at", at=at)
    assert answer["status"] == 200, answer
    action, seconds = scheduled(house)
    assert action == "reboot" and 7140 < seconds <= 7201
    understood = datetime.datetime.fromisoformat(answer["content"]["shutdown"]["scheduled_time"])
    assert abs(understood.timestamp() - time.time() - seconds) < 2
    assert home.log() == []


def test_a_model_by_its_name(home, house):
    for running in "{{ true }}", True, "true":
        assert home.at_once("rest_command.home_lab_model", model="whisper.cpp", running=running)["status"] == 200
        wait_until(lambda: house.is_active("model@whisper.cpp.service"), PATIENCE, "it runs")
        assert home.at_once("rest_command.home_lab_model", model="whisper.cpp", running=False)["status"] == 200
        wait_until(lambda: not house.is_active("model@whisper.cpp.service"), PATIENCE, "it does not run")
    assert home.log() == []


def test_a_shutdown_that_somebody_else_scheduled(home, house):
    """It is seen and can be called off, and is replaced by none."""
    house.sh("shutdown -r +90")
    assert home.states(SHUTDOWN_SWITCH, SHUTS_DOWN) == ["on", "on"]
    answer = home.at_once("rest_command.home_lab_shutdown_in", minutes=10)
    assert answer["status"] == 409 and "replace" in answer["content"]["message"], answer
    assert scheduled(house)[0] == "reboot" and home.log() != []
    home.at_once("switch.turn_off", entity_id=SHUTDOWN_SWITCH)
    assert home.states(SHUTDOWN_SWITCH, SHUTS_DOWN) == ["off", "off"] and house.scheduled() is None


def test_control_is_enough_for_the_models(client, with_token, house, house_as_it_was):
    home = with_token("control")
    assert home.states(*ENTITIES) == ["off", "off", "unloaded", "0", "off"]
    home.at_once("switch.turn_on", entity_id=MODEL_SWITCH)
    wait_until(lambda: home.states(MODEL_SWITCH, STATE) == ["on", "loaded"], PATIENCE, "it runs")
    assert home.log() == []
    home.at_once("switch.turn_on", entity_id=SHUTDOWN_SWITCH)
    assert home.states(SHUTDOWN_SWITCH, SHUTS_DOWN) == ["off", "off"] and house.scheduled() is None
    answer = home.at_once("rest_command.home_lab_shutdown_in", minutes=10)
    assert answer["status"] == 403 and "power" in answer["content"]["message"], answer
    assert len(home.log()) == 2


def test_read_is_enough_for_the_states(client, with_token, house, house_as_it_was):
    home = with_token("read")
    assert home.states(*ENTITIES) == ["off", "off", "unloaded", "0", "off"] and home.log() == []
    home.at_once("switch.turn_on", entity_id=MODEL_SWITCH)
    home.at_once("switch.turn_on", entity_id=SHUTDOWN_SWITCH)
    assert home.states(*ENTITIES) == ["off", "off", "unloaded", "0", "off"]
    assert house.scheduled() is None and not house.is_active("model@tiny-llama.service") and len(home.log()) == 2


def test_a_machine_that_is_off(home, house):
    """What cannot be asked is unavailable, but a switch stays what it was. It comes back with the machine."""
    home.at_once("switch.turn_on", entity_id=MODEL_SWITCH)
    house.sh("systemctl stop nginx.service")
    try:
        assert home.states(*ENTITIES) == ["on", "off", "unavailable", "unavailable", "unavailable"]
    finally:
        house.sh("systemctl start nginx.service")
    wait_until(lambda: home.states(*ENTITIES) == ["on", "off", "loaded", "0", "off"], PATIENCE, "it is back")
    home.log()
