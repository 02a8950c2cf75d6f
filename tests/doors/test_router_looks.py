# SPDX-License-Identifier: MIT
"""Which requests only look at a model, and what model-router says of one that is not ready: none of them starts it."""
import json

import pytest

from router import Router, goes


@pytest.fixture(scope="module")
def router(tmp_path_factory):
    with Router(tmp_path_factory.mktemp("router")) as one:
        yield one


def code(answer):
    return json.loads(answer[2])["error"]["code"]


WAKE = {"HL_CALL": "wake", "HL_MODEL": "cold", "HL_UPSTREAM_STATUS": "502", "HL_UPSTREAM_CONNECT_TIME": "-"}
ADMIT = {"HL_CALL": "admit", "HL_MODEL": "cold"}

LOOKS = """
    /health /health/ //health /health?x=1 /v1/health /v1//health /v1/health/ready /healthz /livez /readyz /ping
    /metrics /version /props /slots /slots/0 /load /info /server_info /get_model_info /is_sleeping /lora-adapters
    /api/tags /api/version /api/ps /v1/model /v1/model/list /v1/lora/list /v1/template/list /.well-known/serviceinfo
    /system_stats /queue /object_info /object_info/KSampler /prompt /history /history/7 /api/system_stats /api/queue
    /api/v1/model /api/v1/info/version /api/extra/version /sdapi/v1/progress /v2/health/ready /favicon.ico
    /api/v1/models /v1/internal/health-check /v1/internal/model/info
""".split()
NO_LOOKS = """
    / /index.html /v1/audio/voices /healthy /metricsx /v1/chat/completions /slotsx /view?filename=health /ui/health
    /api/generate /api/chat /embeddings/x /loading /modelsize
""".split()


@pytest.mark.parametrize("call", [WAKE, ADMIT], ids=["wake", "admit"])
@pytest.mark.parametrize("path", LOOKS)
def test_a_look_starts_nothing(router, call, path):
    answer = router.ask("GET", "/cold" + path, **call)
    assert (answer[0], code(answer)) == (503, "model_not_loaded") and int(answer[1]["Retry-After"]) > 0


@pytest.mark.parametrize("path", NO_LOOKS)
def test_what_is_no_look_would_start_it(router, path):
    assert code(router.ask("GET", "/cold" + path, **WAKE)) == "bus_unavailable"


@pytest.mark.parametrize("path", LOOKS)
def test_what_makes_it_work_is_no_look(router, path):
    assert code(router.ask("POST", "/cold" + path, **WAKE)) == "bus_unavailable"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/v1/chat/completions", "/anything"])
def test_head_and_options_start_nothing(router, method, path):
    assert router.ask(method, "/cold" + path, **WAKE)[0] == 503


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/", "//v1//models", "/models", "/v1/models?limit=1000"])
def test_a_cold_models_list_is_ours(router, path):
    status, headers, body = router.ask("GET", "/cold" + path, **WAKE)
    value = json.loads(body)
    assert status == 200 and value["object"] == "list"
    assert [(it["id"], it["object"], it["status"]["value"]) for it in value["data"]] == [
        ("cold", "model", "unloaded"), ("cold/one", "model", "unloaded")]
    assert router.ask("HEAD", "/cold" + path, **WAKE)[0] == 200


@pytest.mark.parametrize("path, name", [
    ("/v1/models/cold", "cold"), ("/v1/models/cold%2Fone", "cold/one"), ("/v1/models/cold/one", "cold/one")])
def test_an_entry_of_that_list(router, path, name):
    status, _, body = router.ask("GET", "/cold" + path, **WAKE)
    assert (status, json.loads(body)["id"]) == (200, name)


@pytest.mark.parametrize("path", ["/v1/models/other", "/v1/models/%ff", "/models/tiny"])
def test_no_other_models_entry(router, path):
    answer = router.ask("GET", "/cold" + path, **WAKE)
    assert (answer[0], code(answer)) == (404, "model_not_found")


def test_a_look_at_a_model_that_runs_goes_to_it(router):
    for path in "/health", "/v1/models", "/api/tags":
        assert router.ask("GET", "/tiny" + path, **ADMIT | {"HL_MODEL": "tiny"})[1] == goes("model", "tiny")
