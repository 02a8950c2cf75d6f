# SPDX-License-Identifier: MIT
"""What clients of other APIs and of Home Assistant send, through all three doors: a request that is understood gets as far as
systemd, which is not here (503); one that is not says what is wrong with it."""
import json

import pytest

from programs import JSON, by_cgi, by_fastcgi, by_port

DOORS = [by_cgi, by_port, by_fastcgi]
UNDERSTOOD = 503  # there is no bus


def ask(lab, service, method, target, headers=(), body=b""):
    """The same answer by each door."""
    answers = [door(lab, service, method, target, headers, body) for door in DOORS]
    assert len({(answer.status, answer.body) for answer in answers}) == 1, answers
    return answers[0]


RESOURCES = [("inference-service", "/models/tiny", b'{"running": true}'),
             ("inference-service", "/models/tiny", b'{"running": false, "wait": "none"}'),
             ("shutdown-service", "/shutdown", b'{"scheduled": true, "minutes": 30}'),
             ("shutdown-service", "/shutdown", b'{"scheduled": false}'),
             ("inference-service", "/models/load", b'{"model": "tiny"}'),
             ("inference-service", "/models/unload", b'{"model": "tiny", "extra_args": ["--x"], "n": 1}')]
TYPES = [None, "text/plain", "text/plain; charset=utf-8", "application/octet-stream", "application/json",
         "application/x-www-form-urlencoded"]


@pytest.mark.parametrize("service, path, body", RESOURCES)
@pytest.mark.parametrize("content_type", TYPES)
def test_a_switch_s_body_is_read_whatever_its_type_says(lab, service, path, body, content_type):
    assert ask(lab, service, "POST", path, {"Content-Type": content_type}, body).status == UNDERSTOOD


@pytest.mark.parametrize("service, path, body", RESOURCES)
@pytest.mark.parametrize("page", [{"Origin": "http://localhost:5001"}, {"Sec-Fetch-Site": "same-origin"},
                                  {"Sec-Fetch-Site": "none"}], ids=str)
def test_a_page_s_body_is_not(lab, service, path, body, page):
    for content_type in (None, "text/plain", "application/x-www-form-urlencoded"):
        answer = ask(lab, service, "POST", path, {"Content-Type": content_type, **page}, body)
        assert answer.status == 415 and answer.json["code"] == "unsupported_media_type"
    assert ask(lab, service, "POST", path, {**JSON, **page}, body).status == UNDERSTOOD


@pytest.mark.parametrize("service, path, body", RESOURCES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_foreign_page_changes_nothing_by_any_method(lab, service, path, body, method):
    for page in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = ask(lab, service, method, path, {"Content-Type": "text/plain", **page}, body)
        assert answer.status == 403 and answer.json["code"] == "foreign_origin"


@pytest.mark.parametrize("service, path, body", RESOURCES[:4])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_resource_is_set_by_put_and_patch_too(lab, service, path, body, method):
    assert ask(lab, service, method, path, JSON, body).status == UNDERSTOOD
    allow = by_cgi(lab, service, "DELETE", path)
    assert allow.status == 405 and allow.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, OPTIONS"


def test_other_routes_know_neither_put_nor_loose_types(lab):
    assert by_cgi(lab, "inference-service", "PUT", "/models/tiny/start").status == 405
    for content_type in (None, "text/plain", "application/x-www-form-urlencoded"):
        answer = by_cgi(lab, "shutdown-service", "POST", "/shutdown/schedule", {"Content-Type": content_type},
                        b'{"minutes": 30}')
        assert answer.status == 415
    # aiohttp's word for bytes of which nobody said what they are: no page can send it unasked. Nor the other names of JSON.
    for content_type in ("application/octet-stream", "text/json", "application/vnd.api+json", "application/json, charset=utf-8"):
        assert by_cgi(lab, "shutdown-service", "POST", "/shutdown/schedule", {"Content-Type": content_type},
                      b'{"minutes": 30}').status == UNDERSTOOD


def test_a_byte_order_mark_is_no_part_of_a_body(lab):
    mark, body = b"\xef\xbb\xbf", b'{"minutes": 30}'
    assert ask(lab, "shutdown-service", "POST", "/shutdown/schedule", JSON, mark + body).status == UNDERSTOOD
    for wrong in (mark, mark + mark + body, mark[:2] + body, body + mark):
        assert ask(lab, "shutdown-service", "POST", "/shutdown/schedule", JSON, wrong).json["code"] == "invalid_json"


# ---- numbers and times as templates and people write them ----

@pytest.mark.parametrize("minutes", ["30", "0.5", " 30 ", "30.0", "\n30\n", "1e2", "+5", "05", "525600"])
def test_a_number_in_a_string_is_the_number(lab, minutes):
    body = json.dumps({"minutes": minutes}).encode()
    assert ask(lab, "shutdown-service", "POST", "/shutdown/schedule", JSON, body).status == UNDERSTOOD
    body = json.dumps({"scheduled": True, "minutes": minutes}).encode()
    assert ask(lab, "shutdown-service", "POST", "/shutdown", JSON, body).status == UNDERSTOOD


@pytest.mark.parametrize("minutes", ["", " ", "nan", "inf", "Infinity", "-inf", "0x1e", "30m", "3 0", "1,5", "٣٠", "30.", ".5",
                                     "1e", "--1", "unknown", "None", "0", "-1", "525601", "1e9", "0.001", "30\u0000"])
def test_a_string_that_is_no_number_in_range_is_told(lab, minutes):
    body = json.dumps({"minutes": minutes}).encode()
    answer = ask(lab, "shutdown-service", "POST", "/shutdown/schedule", JSON, body)
    assert answer.status == 400 and '"minutes" must be a number of minutes' in answer.json["message"], answer


@pytest.mark.parametrize("body", [{"replace": "true"}, {"minutes": True}, {"minutes": ["30"]}, {"at": 1900000000}, {"action": 1}])
def test_nothing_else_is_taken_for_what_it_is_not(lab, body):
    answer = ask(lab, "shutdown-service", "POST", "/shutdown/schedule", JSON, json.dumps(body).encode())
    assert answer.status == 400 and answer.json["code"] == "invalid_body"


@pytest.mark.parametrize("at", ["2001-01-01 00:00", "2001-01-01T00:00:00", "2001-01-01 00:00:00.123456+01:00", "2001-01-01T00:00:00+0100",
                                "2001-01-01T00:00+01", "2001-01-01T00:00Z", " 2001-01-01 00:00:00\n", "2001-01-01 00:00:00 +0100",
                                "2001-01-01T00:00:00,123456789+01:00"])
def test_a_time_as_programs_write_it_is_understood(lab, at):
    """It is in the past, and is not told to be no time."""
    answer = ask(lab, "shutdown-service", "POST", "/shutdown/schedule", JSON, json.dumps({"at": at}).encode())
    assert answer.status in (400, UNDERSTOOD) and "must be a time" not in answer.json["message"], answer


@pytest.mark.parametrize("at", ["tomorrow", "23:00", "2001-01-01", "01/01/2001 10:00", "2001-02-30T00:00:00", "2001-01-01T25:00",
                                "2001-01-01T00:00:00 Europe/Berlin", "2001-01-01T00:00:00+", "2001-01-01T00:", ""])
def test_what_is_no_time_is_told(lab, at):
    answer = ask(lab, "shutdown-service", "POST", "/shutdown/schedule", JSON, json.dumps({"at": at}).encode())
    assert answer.status == 400 and '"at" must be a time such as' in answer.json["message"], answer


def test_a_local_time_that_never_comes_is_told(lab):
    answer = ask(lab, "shutdown-service", "POST", "/shutdown/schedule", JSON, b'{"at": "2026-03-29T02:30:00"}')
    assert answer.status == 400 and "never show" in answer.json["message"], answer


# ---- /v1, and llama.cpp's router ----

@pytest.mark.parametrize("target", [
    "/v1/models?limit=1000", "/v1/models?after_id=tiny", "/v1/models?before_id=x&limit=20", "/v1/models?api-version=2024-10-21",
    "/v1/models?beta=true", "/v1/models?limit=abc", "/v1/models?limit=1&limit=2", "/v1/models?x", "/v1/models?&=&", "/v1/models?a=%zz",
    "/v1/models?after=%zz", "/v1/models/", "/v1/models//", "//v1/models", "/v1//models", "/v1/models/tiny?beta=true",
    "/v1/models/tiny/"])
def test_a_list_s_parameters_and_slashes_are_its_client_s(lab, target):
    assert ask(lab, "inference-service", "GET", target).status == UNDERSTOOD
    assert by_port(lab, "inference-service", "HEAD", target).status == UNDERSTOOD


@pytest.mark.parametrize("target, name", [
    ("/v1/models/gpt-4", "gpt-4"), ("/v1/models/Qwen%2FQwen3-8B", "Qwen/Qwen3-8B"), ("/v1/models/Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
    ("/v1/models/mod%C3%A8le", "modèle"), ("/v1/models/a%20b", "a b"), ("/v1/models/..%2F..%2Fetc%2Fpasswd", "../../etc/passwd"),
    ("/v1/models/%3Cscript%3E", "<script>")])
def test_an_id_of_nobody_s_is_not_found_in_openai_s_shape(lab, target, name):
    answer = ask(lab, "inference-service", "GET", target)
    assert answer.status == 404 and answer.json["error"]["code"] == "model_not_found", answer
    assert f'"{name}"' in answer.json["error"]["message"]


@pytest.mark.parametrize("name", ["gpt-4", "Qwen/Qwen3-8B", "modèle", "100%", "a?b#c"])
def test_an_alias_of_any_text_is_found(lab, name):
    from urllib.parse import quote
    (lab.models / "tiny").write_text(f'PORT="18191"\nALIASES="{name}"\n')
    assert ask(lab, "inference-service", "GET", "/v1/models/" + quote(name, safe="")).status == UNDERSTOOD
    assert ask(lab, "inference-service", "GET", "/v1/models/" + quote(name, safe="/")).status == UNDERSTOOD
    for verb in "load", "unload":
        body = json.dumps({"model": name}).encode()
        assert ask(lab, "inference-service", "POST", f"/models/{verb}", JSON, body).status == UNDERSTOOD


@pytest.mark.parametrize("body, status, code", [
    (b'{"model": "nobody"}', 404, "model_not_found"), (b'{"model": ""}', 404, "model_not_found"),
    (b'{"model": "../config.json"}', 404, "model_not_found"), (b'{"model": 5}', 400, "invalid_body"), (b"{}", 400, "invalid_body"),
    (b"", 400, "invalid_body")])
@pytest.mark.parametrize("verb", ["load", "unload"])
def test_a_router_s_error_has_both_shapes(lab, verb, body, status, code):
    answer = ask(lab, "inference-service", "POST", f"/models/{verb}", JSON, body)
    got = answer.json
    assert answer.status == status and got["status"] == "error" and got["code"] == code, got
    assert got["error"] == {"message": got["message"], "type": "invalid_request_error", "param": None, "code": code}


def test_models_without_a_bus_keeps_its_shape(lab):
    assert set(ask(lab, "inference-service", "GET", "/models").json) == {"status", "models"}
