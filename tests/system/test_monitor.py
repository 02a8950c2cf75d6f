# SPDX-License-Identifier: MIT
"""The model monitor: what is in use, what is idle, and how it is known."""
import datetime
import time

import pytest

from machines import ACTIVITY, INFERENCE, MODELS, MONITOR, PATIENCE, Stream, on_trixie_alone, wait_until


def report(machine, model):
    return machine.http("POST", MONITOR, f"/models/{model}/report")


def active(machine):
    return machine.http("GET", MONITOR, "/models/active")["active_models"]


def idle(machine):
    return machine.http("GET", MONITOR, "/models/idle")["idle_models"]


def activity(machine, model):
    return machine.http("GET", MONITOR, "/models/activity")["activity_status"][model]


def start(machine, model, query=""):
    answer = machine.http("POST", INFERENCE, f"/models/{model}/start{query}")
    assert answer.status == 200, answer


def activity_files(machine):
    return sorted(file.name for file in machine.path(ACTIVITY).iterdir())


def test_nothing_is_active_by_itself(machine):
    assert active(machine) == [] and idle(machine) == []
    for model in "tiny-llama", "whisper.cpp", "qwen2.5-0.5b:q4":
        assert activity(machine, model) == {"last_activity": None, "is_active": False, "is_idle": False, "idle_seconds": None,
                                            "threshold_seconds": 1800, "reason": "stopped", "kept_until": None, "in_flight": 0,
                                            "sources": {"report": None, "traffic": None, "start": None}}


def test_one_that_is_kept_is_told_apart_from_the_others(machine):
    """Of those that nobody has used, much is the same."""
    answer = machine.http("POST", INFERENCE, "/models/whisper.cpp/keep?seconds=600")
    kept = {model: activity(machine, model)["kept_until"] for model in ("qwen2.5-0.5b:q4", "tiny-llama", "whisper.cpp")}
    assert kept.pop("whisper.cpp")[:16] == answer["kept_until"][:16] and set(kept.values()) == {None}


def test_a_report_makes_active(machine):
    answer = report(machine, "tiny-llama")
    assert answer.status == 200 and answer["model_name"] == "tiny-llama", answer
    assert active(machine) == ["tiny-llama"]
    now = activity(machine, "tiny-llama")
    assert now["is_active"] and not now["is_idle"] and now["idle_seconds"] <= 2
    stamp = datetime.datetime.fromisoformat(now["last_activity"])
    assert abs(stamp.timestamp() - time.time()) < 3
    assert abs(machine.path(f"{ACTIVITY}/tiny-llama").stat().st_mtime - stamp.timestamp()) <= 1
    assert activity_files(machine) == ["tiny-llama"]


@pytest.mark.parametrize("name, status", [("nobody", 404), ("..%2fnobody", 400), ("x@y", 400), ("%2e%2e", 400)])
def test_a_report_of_no_model_leaves_nothing(machine, name, status):
    assert report(machine, name).status == status
    assert activity_files(machine) == [] and active(machine) == []


def test_activity_survives_a_restart(machine):
    report(machine, "tiny-llama")
    before = activity(machine, "tiny-llama")["last_activity"]
    machine.sh("systemctl restart home-lab-services.service")
    wait_until(lambda: len(machine.ports_open()) == 3, PATIENCE, "the ports are open again")
    assert activity(machine, "tiny-llama")["last_activity"] == before
    assert active(machine) == ["tiny-llama"]


def test_active_no_longer(machine):
    machine.config(monitoring={"active_threshold_minutes": 0.01})  # 0.6 s
    report(machine, "tiny-llama")
    wait_until(lambda: active(machine) == [], PATIENCE, "it is active no longer")
    assert activity(machine, "tiny-llama")["last_activity"] is not None


@on_trixie_alone
def test_idle_lists_the_models_that_nobody_used_for_their_time(machine):
    machine.config(monitoring={"active_threshold_minutes": 0.01, "idle_threshold_minutes": 0.05})  # 3 s
    machine.model("lazy", 8304, command="sleep infinity", extra='START_TIMEOUT="3s"\n')  # until then it may be loading
    machine.model("pinned", command="sleep infinity", extra='IDLE_TIMEOUT="never"\n')
    machine.model("own-time", command="sleep infinity", extra='IDLE_TIMEOUT="1h"\n')
    for name in "pinned", "own-time", "lazy":
        start(machine, name)
    assert idle(machine) == []  # started just now
    wait_until(lambda: idle(machine) == ["lazy"], PATIENCE, "it is idle")
    assert activity(machine, "lazy")["is_idle"] and activity(machine, "lazy")["sources"]["start"]
    report(machine, "lazy")
    assert idle(machine) == []
    wait_until(lambda: idle(machine) == ["lazy"], PATIENCE, "it is idle again")
    machine.sh("systemctl stop model@lazy.service")
    assert idle(machine) == []  # what does not run is not idle


def test_a_stream_past_everything_is_seen(machine):
    machine.config(monitoring={"active_threshold_minutes": 0.01, "idle_threshold_minutes": 0.02})
    machine.model("speaker", 8305)
    start(machine, "speaker", "?wait=ready")
    wait_until(lambda: idle(machine) == ["speaker"], PATIENCE, "nobody uses it")
    stream = Stream(machine, 8305, words=125, interval_ms=20)
    while stream.is_alive():
        now = activity(machine, "speaker")
        if not stream.is_alive():
            break
        assert now["in_flight"] == 1 and now["is_active"] and not now["is_idle"] and now["sources"]["traffic"], now
    assert b"[DONE]" in stream.text
    assert activity(machine, "speaker")["in_flight"] == 0
    assert activity_files(machine) == []  # the monitor only looked
    wait_until(lambda: not activity(machine, "speaker")["is_active"], PATIENCE, "it is active no longer")


@on_trixie_alone
def test_a_pause_within_an_answer_is_still_in_flight(machine):
    machine.config(monitoring={"active_threshold_minutes": 0.01, "idle_threshold_minutes": 0.02})
    machine.model("thinker", 8306)
    start(machine, "thinker", "?wait=ready")
    connection = machine.open(8306)
    connection.request("POST", "/v1/completions", '{"max_tokens": 2, "gap_seconds": 7}')  # silent for longer than "recent"
    ends = time.monotonic() + 6.5
    while time.monotonic() < ends:
        now = activity(machine, "thinker")
        assert now["in_flight"] == 1 and now["is_active"] and not now["is_idle"], now
        time.sleep(0.5)
    assert connection.getresponse().status == 200
    connection.close()
    assert activity(machine, "thinker")["in_flight"] == 0


def test_times_agree_across_the_services(machine):
    report(machine, "whisper.cpp")
    there = machine.http("GET", INFERENCE, "/models/whisper.cpp")["last_activity"]
    assert there == activity(machine, "whisper.cpp")["last_activity"]
    machine.path(f"{MODELS}/whisper.cpp").unlink()
    assert active(machine) == []  # no model, no activity
