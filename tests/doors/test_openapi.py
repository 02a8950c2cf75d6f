# SPDX-License-Identifier: MIT
"""GET /openapi.json: every route is there, and what is said of it is what the tables say and the programs do.

That answers fit is tested with every answer of these tests: programs.described().
"""
import json
import re

import pytest

from documents import ROOT
from openapi import description
from programs import BUILD, DOORS, JSON, SERVICES, both_doors, by_cgi

every_service = pytest.mark.parametrize("service", SERVICES)
SITES = {"shutdown-service": "/api/shutdown", "inference-service": "/api/inference", "model-monitor-service": "/api/monitor"}
RESOURCES = {"shutdown-service": ["/shutdown"], "inference-service": ["/models/{model}"], "model-monitor-service": []}


def operations(document):
    return {(method, path): operation for path, item in document["paths"].items() for method, operation in item.items()}


@every_service
def test_every_door_answers_the_same(lab, service):
    answers = [ask(lab, service, "GET", "/openapi.json") for ask in DOORS.values()]
    assert [answer.status for answer in answers] == [200, 200] and answers[0].body == answers[1].body
    assert answers[0].headers["content-type"] == "application/json" and answers[0].json["openapi"].startswith("3.1.")


@every_service
def test_every_route_is_described(lab, service):
    """A route without a description of its answer fails here: its row lacks .reply or .types."""
    document = by_cgi(lab, service, "GET", "/openapi.json").json
    listed = {tuple(route.split()) for route in by_cgi(lab, service, "GET", "/").json["endpoints"]} | {("GET", "/")}
    listed |= {(method, path) for path in RESOURCES[service] for method in ("PUT", "PATCH")}
    known = operations(document)
    assert {(method.upper(), path) for method, path in known} == {(method, path.replace("...", "")) for method, path in listed}
    assert len({operation["operationId"] for operation in known.values()}) == len(known)
    for (method, path), operation in known.items():
        assert operation["summary"] and operation["responses"]["200"]["content"], (method, path)
        assert ("requestBody" in operation) == (method != "get"), (method, path)
        for parameter in operation["parameters"]:
            assert parameter["in"] == "path" or parameter["description"], (method, path)


@every_service
def test_what_is_behind_nginx_says_so(lab, service):
    assert by_cgi(lab, service, "GET", "/openapi.json").json["servers"] == [{"url": "/"}]
    lab.env["HL_SHARES_ORIGIN"] = "1"
    assert by_cgi(lab, service, "GET", "/openapi.json").json["servers"] == [{"url": SITES[service]}]


@both_doors
def test_any_token_reads_it_and_nobody_without_one(lab, ask):
    lab.config(auth={"loopback": "token"})
    token = lab.token("reader", "use")
    assert ask(lab, "shutdown-service", "GET", "/openapi.json").status == 403
    assert ask(lab, "shutdown-service", "GET", "/openapi.json", {"Authorization": f"Bearer {token}"}).status == 200


@every_service
def test_codes_are_those_of_the_page(lab, service):
    """Each code that is described stands in the page's table, with this status."""
    rows = re.findall(r"^\| `(\w+)` \| ([\d, ]+) \|", (ROOT / "handlers/README.md").read_text(), re.M)
    page = {code: {int(each) for each in told.split(", ")} for code, told in rows}
    for operation in operations(by_cgi(lab, service, "GET", "/openapi.json").json).values():
        for status, answer in operation["responses"].items():
            codes = answer.get("x-codes", [])
            assert len(set(codes)) == len(codes) and (int(status) < 400) == (not codes), (operation["operationId"], status)
            for code in codes:
                assert int(status) in page[code], (operation["operationId"], code)


@pytest.mark.parametrize("key, values", [
    ("minutes", [(1, 200), (1 / 60, 200), (525600, 200), ("30", 200), (" 0.5 ", 200), (0.016, 400), (525601, 400), ("ten", 400),
                 (True, 400), (None, 400)]),
    ("action", [("halt", 200), ("sleep", 400)]), ("message", [("x" * 200, 200), ("x" * 201, 400)]),
    ("replace", [(False, 200), ("false", 400)])])
def test_a_body_is_read_as_it_is_described(lab, key, values):
    """A 503 is what a valid one gets here, where there is no bus."""
    document = by_cgi(lab, "shutdown-service", "GET", "/openapi.json").json
    body = document["paths"]["/shutdown/schedule"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"minutes", "at", "action", "message", "replace"} and not body["additionalProperties"]
    for value, status in values:
        answer = by_cgi(lab, "shutdown-service", "POST", "/shutdown/schedule", JSON, json.dumps({key: value}).encode())
        assert answer.status == (400 if status == 400 else 503), answer
        assert fits(value, body["properties"][key]) == (status == 200), (value, body["properties"][key])


def fits(value, schema):
    """JSON Schema's words of bodies."""
    if "anyOf" in schema:
        return any(fits(value, each) for each in schema["anyOf"])
    kinds = {"number": (int, float), "string": str, "boolean": bool}[schema["type"]]
    if not isinstance(value, kinds) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if isinstance(value, str):
        return value in schema.get("enum", [value]) and len(value) <= schema.get("maxLength", len(value)) and \
            bool(re.search(schema.get("pattern", ""), value))
    return schema.get("minimum", value) <= value <= schema.get("maximum", value)


@every_service
def test_parameters_are_checked_as_they_are_described(lab, service):
    document = by_cgi(lab, service, "GET", "/openapi.json").json
    for (method, path), operation in operations(document).items():
        if path.startswith("/v1/"):
            continue  # other APIs' clients send what we do not know
        target = path.replace("{model}", "tiny")
        for parameter in operation["parameters"]:
            schema = parameter["schema"]
            wrong = [f"{schema['maximum'] + 1}", f"{schema['minimum'] - 1}", "x"] if "maximum" in schema else \
                ["other", ""] if "enum" in schema else []
            if parameter["in"] == "query":
                for value in wrong:
                    answer = by_cgi(lab, service, method.upper(), f"{target}?{parameter['name']}={value}")
                    assert answer.status == 400 and answer.json["code"] == "invalid_parameter", (path, parameter, answer)
        if any(parameter["name"] == "model" for parameter in operation["parameters"]):
            pattern = next(each["schema"]["pattern"] for each in operation["parameters"] if each["name"] == "model")
            for name in "tiny", "a" * 128, "a" * 129, "-x", "x@y":
                answer = by_cgi(lab, service, method.upper(), path.replace("{model}", name), JSON if method != "get" else {},
                                b'{"running":true}' if method != "get" and path == "/models/{model}" else b"")
                invalid = answer.status == 400 and answer.json["code"] == "invalid_model_name"
                assert invalid == (not re.search(pattern, name)), (path, name, answer)


@every_service
def test_the_checker_of_these_tests_sees_what_differs(service):
    """An unknown status, a key too many, one too few, and another type."""
    said = description(BUILD / service)
    good = {"status": "success", "service": "x", "endpoints": {}, "version": "1"}
    for body, count in [(good, 0), (good | {"more": 1}, 1), ({**good, "version": None}, 1), ({**good, "endpoints": {"a": 1}}, 1),
                        ({key: value for key, value in good.items() if key != "service"}, 1)]:
        assert len(said.problems("GET", "/", 200, "application/json", json.dumps(body))) == count, body
    assert said.problems("GET", "/", 299, "application/json", "{}") and said.problems("GET", "/", 200, "text/plain", "")
    error = {"status": "error", "code": "token_required", "message": "x", "more": 1}
    assert not said.problems("GET", "/", 403, "application/json", json.dumps(error), codes=True)
    assert said.problems("GET", "/", 403, "application/json", json.dumps(error | {"code": "other"}), codes=True)
