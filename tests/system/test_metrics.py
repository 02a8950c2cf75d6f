# SPDX-License-Identifier: MIT
"""GET /metrics: what it counts and where that is known from; and what Prometheus and Grafana are given to read it with."""
import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

from documents import ROOT
from machines import MODELS, MONITOR, PATIENCE, wait_until
from pages import RULES, blocks
from sweeps import sweep

RULE_TESTS = ROOT / "tests/system/home-lab-services.rules.test.yml"
DASHBOARD = ROOT / "units/grafana/home-lab-services.json"
TALLY = "/run/home-lab-services/limits/model-monitor-service/tally"
NAME = "counted"  # of these tests alone: what was counted stays


def metrics(web):
    answer = web.http("GET", MONITOR, "/metrics")
    assert answer.status == 200, answer
    return answer.body.decode()


def numbers(text):
    """Each sample's value, by its name and labels as they are written."""
    return {name: float(value) for name, value in re.findall(r"^(hls_\S+) (\S+)$", text, re.M)}


@pytest.fixture(scope="session")
def promtool():
    """Prometheus's own check, from Debian's package. Nothing of it is installed on this host."""
    cache = pathlib.Path(os.environ.get("HOME_LAB_SERVICES_CACHE", "/var/cache/home-lab-services-machines")) / "promtool"
    program = cache / "root/usr/bin/promtool"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run("apt-get -q download prometheus && dpkg-deb -x prometheus_*.deb root && rm prometheus_*.deb", shell=True,
                           cwd=cache, check=True, capture_output=True, text=True, timeout=50)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"the rules are NOT TESTED by promtool: Debian's package cannot be had: {getattr(error, 'stderr', error)}")

    def run(*arguments, folder=None, text=None):
        done = subprocess.run([program, *arguments], cwd=folder, input=text, capture_output=True, text=True, timeout=50)
        assert done.returncode == 0, done
        return done.stdout + done.stderr
    return run


def test_starts_and_why_they_ended(web, promtool):
    def told():
        return numbers(metrics(web))

    def stops():
        now = told()
        return {reason: now[f'hls_model_stops_total{{model="{NAME}",reason="{reason}"}}']
                for reason in ("idle", "drained", "asked", "evicted", "failed", "other")}

    def counts(now):
        return {name: value for name, value in now.items() if NAME in name and "_total" in name and "cpu_seconds" not in name}

    def ends_as(reason, act):
        before = stops()
        if not web.runs(NAME):
            web.sh(f"systemctl start model@{NAME}.service")
        act()
        wait_until(lambda: stops()[reason] == before[reason] + 1, PATIENCE, f"it has ended: {reason}")
        assert stops() == before | {reason: before[reason] + 1}

    def swept():
        def is_stopped():
            sweep(web)
            return not web.runs(NAME)
        wait_until(is_stopped, PATIENCE, "it is stopped for being idle")

    def says_so_too_late():
        """As the lab does where its model ends faster than it writes. A stand-in: the line of an eviction."""
        web.sh(f"systemctl stop model@{NAME}.service")
        web.sh(f"printf 'MESSAGE=it leaves\\nHL_MODEL={NAME}\\nMESSAGE_ID=5f0c7d5be1f94ae5a1b44f6e0c8c2d91\\n' | logger --journald",
               user="home-lab-services")

    of_model = f'{{model="{NAME}"}}'
    web.sh("systemctl stop model-idle-sweep.timer")
    try:
        web.model(NAME, 8347, options="--load-seconds 0.3", extra='IDLE_TIMEOUT="1s"\n')
        web.update()
        before = told()
        assert web.chat(NAME).status == 200  # cold, so it is held
        assert web.chat(NAME).status == 200
        wait_until(lambda: told()["hls_model_cold_start_seconds_count" + of_model] == 1, PATIENCE, "the journal has it")
        now = told()
        assert before["hls_model_held_requests_total" + of_model] == 0 and now["hls_model_held_requests_total" + of_model] == 1
        assert 0.2 < now["hls_model_cold_start_seconds_sum" + of_model] < PATIENCE
        ends_as("idle", swept)
        ends_as("drained", lambda: web.post(f"/api/inference/models/{NAME}/stop?drain=9", None))
        ends_as("asked", lambda: web.post(f"/api/inference/models/{NAME}/stop", None))
        ends_as("asked", lambda: web.post(f"/api/inference/models/{NAME}/restart", None))
        ends_as("evicted", says_so_too_late)
        ends_as("failed", lambda: web.sh(f"systemctl kill --signal=KILL model@{NAME}.service"))
        ends_as("other", lambda: web.sh(f"systemctl stop model@{NAME}.service"))
        # Lines of others, who only say that they are about it, count nothing.
        web.sh(f"printf 'MESSAGE=x\\nUNIT=model@{NAME}.service\\nHL_MODEL={NAME}\\nMESSAGE_ID=39f53479d3a045ac8e11786248231fbf\\n'"
               " | logger --journald")
        known = told()
        assert known["hls_model_starts_total" + of_model] == 7  # the restart is one, and its run the next one's

        # However many wait for a load, it is one.
        held = [web.hold(f"/api/inference/models/{NAME}/start?wait=ready", None) for _ in range(2)]
        assert [each.answer().status for each in held] == [200, 200]
        web.sh("journalctl --sync")
        known = told()
        assert known["hls_model_cold_start_seconds_count" + of_model] == 2

        # The file only saves reading: without it, or with one that makes no sense, the journal says the same.
        for text in None, "", "nonsense", f"s=1\n{NAME} 1 2\n":
            file = web.path(TALLY)
            file.unlink() if text is None else file.write_text(text)
            now = told()
            assert counts(now) == counts(known), text

        assert now["hls_configuration_valid"] == 1
        web.put(f"{MODELS}/wrong", 'PORT="none"\n')
        assert told()["hls_configuration_valid"] == 0
    finally:
        web.sh("systemctl start model-idle-sweep.timer")
    assert promtool("check", "metrics", text=metrics(web)) == ""


def test_promtool_takes_the_rules_and_the_configuration(promtool, tmp_path):
    """And the rules speak when they should."""
    for file in RULES, RULE_TESTS:
        (tmp_path / file.name).write_text(file.read_text())
    configuration = yaml.safe_load("".join(text for text in blocks("Prometheus", "yaml")))
    configuration["scrape_configs"][0]["authorization"]["credentials_file"] = str(tmp_path / "token")
    (tmp_path / "token").write_text("hls_x\n")
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    promtool("check", "config", "prometheus.yml", folder=tmp_path)
    rules = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert f"{len(rules)} rules found" in promtool("check", "rules", RULES.name, folder=tmp_path)
    promtool("test", "rules", RULE_TESTS.name, folder=tmp_path)
    tested = {case["alertname"] for test in yaml.safe_load(RULE_TESTS.read_text())["tests"] for case in test["alert_rule_test"]}
    assert tested == set(rules)


def test_grafana_s_dashboard_asks_for_what_there_is(web, promtool, tmp_path):
    web.config(capacity={"gpus": {"0": "24G"}})
    there = set(re.findall(r"^# TYPE (\w+) ", metrics(web), re.M)) | {"up"}
    there |= {"hls_model_cold_start_seconds_sum", "hls_model_cold_start_seconds_count"}
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["schemaVersion"] >= 36 and dashboard["uid"] and dashboard["title"] and dashboard["id"] is None
    source, = dashboard["templating"]["list"]
    assert source["type"] == "datasource" and source["query"] == "prometheus"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = set()
    for panel in panels:
        at = panel["gridPos"]
        assert 0 <= at["x"] and at["x"] + at["w"] <= 24 and panel["title"] and panel["description"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places, f"{panel['title']} lies on another"
        places |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${" + source["name"] + "}"} and panel["targets"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    # promtool knows no dashboards: it reads each expression as a rule's.
    rules = [{"record": f"x:{number}", "expr": expr.replace("$__rate_interval", "5m").replace("$__range", "1d")}
             for number, expr in enumerate(asked)]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    promtool("check", "rules", "asked.yml", folder=tmp_path)
    names = {name for expr in asked for name in re.findall(r"\b(?:hls_\w+|up)\b", expr)}
    assert names - there == set()
    assert there - names == {"hls_model_last_request_timestamp_seconds", "hls_model_idle_timeout_seconds", "hls_model_kept_seconds",
                             "hls_model_cold_start_seconds"}  # of no use as lines
