# SPDX-License-Identifier: MIT
"""Who may use a model by NGINX: model-router is asked about everybody who is not plainly of this host."""
import json
import subprocess

import pytest

from programs import BUILD
from router import Router, goes

CHAT = "/v1/chat/completions"
BODY = b'{"model":"tiny"}'
LAN = {"REMOTE_ADDR": "192.0.2.7", "HTTP_HOST": "192.0.2.1:8080"}
OWN, APP, OTHER = "http://localhost", "https://app.example", "https://evil.example"
PREFLIGHT = {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST",
             "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "authorization,content-type,x-stainless-lang"}


class Admitting(Router):
    def configure(self, **auth):
        (self.folder / "config.json").write_text(json.dumps({"auth": auth}))

    def token(self, name, scope):
        done = subprocess.run([BUILD / "home-lab-services", "token", "add", name, "--scope", scope], check=True,
                              capture_output=True, text=True, env={"CONFIGURATION_DIRECTORY": str(self.folder)})
        return next(word for word in done.stdout.split() if word.startswith("hls_"))

    def chat(self, **more):
        return self.ask("POST", CHAT, BODY, CONTENT_TYPE="application/json", CONTENT_LENGTH=str(len(BODY)), **more)

    def visit(self, method="GET", path="/tiny/x", **more):
        return self.ask(method, path, HL_CALL="admit", HL_MODEL="tiny", **more)


@pytest.fixture
def router(tmp_path):
    with Admitting(tmp_path) as one:
        yield one


def passes(answer):
    return answer[1] == goes("model", "tiny")


def refusal(answer):
    """OpenAI's shape, whoever asks."""
    error = json.loads(answer[2])["error"]
    assert set(error) >= {"message", "type", "param", "code"} and error["message"]
    return answer[0], error["code"]


# ---- keys ----

def test_open_models_ask_nobody_for_a_key(router):
    for answer in router.chat(**LAN), router.visit(**LAN), router.chat(**LAN, HTTP_AUTHORIZATION="Bearer sk-any"):
        assert passes(answer)


def test_models_with_keys(router):
    router.configure(models="token")
    use, read = router.token("user", "use"), router.token("reader", "read")
    for ask in router.chat, router.visit:
        assert refusal(ask(**LAN)) == (401, "token_required")
        assert ask(**LAN)[1]["WWW-Authenticate"].startswith("Bearer")
        assert refusal(ask(**LAN, HTTP_AUTHORIZATION="Bearer hls_wrong")) == (401, "token_invalid")
        assert refusal(ask(**LAN, HTTP_X_API_KEY="sk-any")) == (401, "token_invalid")
        assert refusal(ask(**LAN, HTTP_API_KEY=read)) == (403, "scope_too_small")
        for header, value in ("HTTP_AUTHORIZATION", f"Bearer {use}"), ("HTTP_X_API_KEY", use), ("HTTP_API_KEY", use):
            assert passes(ask(**LAN, **{header: value})), header
        assert passes(ask(**LAN, HTTP_AUTHORIZATION="Bearer sk-the-models-own", HTTP_X_API_KEY=use))
        assert passes(ask()), "this host is trusted"
        assert refusal(ask(HTTP_X_FORWARDED_FOR="192.0.2.7")) == (401, "token_required")


@pytest.mark.parametrize("scope", ["control", "power"])
def test_larger_scopes_include_the_use_of_models(router, scope):
    router.configure(models="token")
    assert passes(router.chat(**LAN, HTTP_API_KEY=router.token("it", scope)))


def test_who_distrusts_this_host_asks_it_too(router):
    router.configure(models="token", loopback="token")
    assert refusal(router.chat()) == (401, "token_required")


def test_a_waiting_request_is_asked_again(router):
    router.configure(models="token")
    answer = router.ask("POST", "/tiny/x", HL_CALL="wake", HL_MODEL="tiny", HL_UPSTREAM_STATUS="502",
                        HL_UPSTREAM_CONNECT_TIME="-", **LAN)
    assert refusal(answer) == (401, "token_required")


# ---- names ----

@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example"])
def test_a_name_that_is_not_ours_reaches_no_model(router, host):
    for answer in router.chat(HTTP_HOST=host), router.visit(HTTP_HOST=host):
        assert refusal(answer) == (403, "host_not_allowed")
    router.configure(allowed_hosts=[host.split(":")[0]])
    assert passes(router.visit(HTTP_HOST=host))


# ---- pages ----

@pytest.mark.parametrize("path", [CHAT, "/v1/models/x/y", "/tiny/v1/chat/completions"])
def test_the_preflight_of_a_named_page(router, path):
    router.configure(allowed_origins=[APP], models="token")
    call = {} if path.startswith("/v1") else {"HL_CALL": "admit", "HL_MODEL": "cold"}
    status, headers, body = router.ask("OPTIONS", path, HTTP_ORIGIN=APP, **PREFLIGHT, **LAN, **call)
    assert (status, body) == (204, b"") and headers["Access-Control-Allow-Origin"] == APP
    assert "POST" in headers["Access-Control-Allow-Methods"] and "Origin" in headers["Vary"]
    allowed = headers["Access-Control-Allow-Headers"].replace(" ", "").split(",")
    assert {"authorization", "content-type", "x-stainless-lang"} <= set(allowed)


@pytest.mark.parametrize("origin", [OTHER, "null", APP + ":444", "http://app.example", APP + ".evil.example"])
def test_a_page_that_is_not_named_is_shut_out(router, origin):
    router.configure(allowed_origins=[APP])
    answer = router.ask("OPTIONS", CHAT, HTTP_ORIGIN=origin, **PREFLIGHT)
    assert refusal(answer) == (403, "foreign_origin") and "Access-Control-Allow-Origin" not in answer[1]
    for answer in router.chat(HTTP_ORIGIN=origin, HL_FORGED="1"), router.visit(HTTP_ORIGIN=origin, HL_FORGED="1"):
        assert refusal(answer) == (403, "foreign_origin") and "Access-Control-Allow-Origin" not in answer[1]


def test_errors_can_be_read_by_a_named_page(router):
    router.configure(allowed_origins=[APP], models="token")
    for answer in (router.chat(HTTP_ORIGIN=APP, **LAN),
                   router.ask("POST", CHAT, b"{}", HTTP_ORIGIN=APP, CONTENT_TYPE="application/json", CONTENT_LENGTH="2")):
        assert answer[0] in (400, 401) and answer[1]["Access-Control-Allow-Origin"] == APP


def test_a_named_pages_request_waits_until_its_model_is_ready(router):
    """It goes to the location that says what browsers want to know: never to the one that does not."""
    router.configure(allowed_origins=[APP])
    assert router.chat(HTTP_ORIGIN=APP, HL_FORGED="1")[1] == goes("wake", "tiny", **{"X-HL-Again": "0"})


def test_our_own_pages_are_as_before(router):
    for ask in router.chat, router.visit:
        assert passes(ask(HTTP_ORIGIN=OWN)) and passes(ask(HTTP_SEC_FETCH_SITE="same-origin"))
