# SPDX-License-Identifier: MIT
"""openapi.py - whether answers of a service are as its /openapi.json says.

JSON Schema as far as our documents use it; a validator of a registry checks the documents themselves
(tests/system/test_openapi.py). Here a key that is not described is wrong, too, but in an error's answer.
"""
import datetime
import functools
import json
import os
import re
import subprocess

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None)}
KNOWN = {"$ref", "additionalProperties", "anyOf", "const", "description", "enum", "format", "items", "properties", "required",
         "type"}
TIMEOUT = 20


def is_a(value, name):
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


class Description:
    def __init__(self, document):
        self.document = document
        self.paths = [(re.compile(re.sub(r"\{\w+\}", ".+" if path.startswith("/v1/") else "[^/]+", path)), item)
                      for path, item in document["paths"].items()]

    def operation(self, method, target):
        """What is said of a request; None: nothing."""
        path = target.partition("?")[0]
        if path.startswith("/v1/"):
            path = path.rstrip("/")  # which mean nothing there
        item = next((item for pattern, item in self.paths if pattern.fullmatch(path)), {})
        return item.get("get" if method == "HEAD" else method.lower())

    def problems(self, method, target, status, content_type, body, codes=False):
        """One sentence for each thing that is not as described. codes: an error's code must be one of those that are named."""
        operation = self.operation(method, target)
        if operation is None or status == 405:
            return []
        described = operation["responses"].get(str(status))
        if described is None:
            return [f"status {status} is not described"]
        if content_type not in described["content"]:
            return [f"content type {content_type} is not described"]
        if content_type != "application/json" or method == "HEAD":
            return []
        answer = json.loads(body)
        schema = described["content"][content_type]["schema"]
        found = list(self.differences(answer, schema, "", strict=status < 400))
        code = answer.get("code") if "code" in answer else answer.get("error", {}).get("code")
        if codes and status >= 400 and code not in described["x-codes"]:
            found.append(f"the code {code} is not described for status {status}")
        return found

    def differences(self, value, schema, at, strict):
        assert set(schema) <= KNOWN, schema
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            yield from self.differences(value, self.document["components"]["schemas"][name], at, strict)
        if "anyOf" in schema and all(list(self.differences(value, each, at, strict)) for each in schema["anyOf"]):
            yield f"{at}: {value!r} fits none of {schema['anyOf']}"
        if "const" in schema and value != schema["const"] or value not in schema.get("enum", [value]):
            yield f"{at}: {value!r} is none of the values"
        types = schema.get("type", list(TYPES))
        if not any(is_a(value, name) for name in ([types] if isinstance(types, str) else types)):
            yield f"{at}: {value!r} is no {types}"
        elif isinstance(value, dict):
            yield from self.in_object(value, schema, at, strict)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.differences(item, schema.get("items", {}), f"{at}[{index}]", strict)
        elif schema.get("format") == "date-time" and value is not None:
            try:
                datetime.datetime.fromisoformat(value)
            except ValueError:
                yield f"{at}: {value!r} is no time"

    def in_object(self, value, schema, at, strict):
        known = schema.get("properties", {})
        for key in schema.get("required", []):
            if key not in value:
                yield f"{at}: there is no {key!r}"
        for key, item in value.items():
            if key in known:
                yield from self.differences(item, known[key], f"{at}.{key}", strict)
            elif "additionalProperties" in schema:
                yield from self.differences(item, schema["additionalProperties"], f"{at}.{key}", strict)
            elif strict and known:
                yield f"{at}: {key!r} is not described"


@functools.cache
def description(program):
    """Of a built service, as it describes itself."""
    env = {"PATH": os.environ["PATH"], "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "GET",
           "REQUEST_URI": "/openapi.json", "REMOTE_ADDR": "unix:", "HTTP_HOST": "localhost", "CONFIGURATION_DIRECTORY": "/nowhere"}
    done = subprocess.run([program], env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=True)
    return Description(json.loads(done.stdout.partition(b"\r\n\r\n")[2]))
