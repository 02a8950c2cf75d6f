# SPDX-License-Identifier: MIT
"""What clients and servers of the field do, by NGINX: each case comes from a bug report of somebody who runs model servers
at home (a habit of field-model's, or of a client's), with the answer that a good front gives."""
import contextlib
import json

import pytest

from machines import ACTIVITY, INFERENCE, PATIENCE, on_trixie_alone, wait_until
from web import CHAT, NGINX, Web

# name: its port, its habits, what its file says besides. "seen" of each tells what reached it.
CAST = {
    "plain": (8401, "", 'ALIASES="gpt-4 Qwen/Qwen3-8B hf.co/unsloth/GLM-4.7:Q4_K_M"\n'),
    "dock": (8402, "--close-seconds 2", ""),
    "strict": (8403, "--only-name Qwen/Qwen3-VL", 'ALIASES="Qwen/Qwen3-VL"\n'),
    "loses": (8404, "--h2c lose", ""),
    "lists": (8405, "--lists", ""),
    "open": (8406, "--cors", ""),
    "drops": (8407, "--drop", ""),
    "busy": (8408, "--status 503 --retry-after 7", ""),
    "loads": (8409, "--load-seconds 1.5", ""),
    "mute": (8418, "", 'IDLE_TIMEOUT="1h"\n'),
    "moved": (8420, "--redirects", ""),
    "images": (8421, "", ""),
    "slowly": (8419, "--answer-seconds 3", 'IDLE_TIMEOUT="1h"\n'),
} | {f"says{status}": (status + 7950, f"--status {status}", "") for status in (502, 504)}

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def field(make_machine):
    machine = make_machine(kind=Web)
    for name, (port, options, extra) in CAST.items():
        machine.field_model(name, port, options, extra)
    machine.sh("systemctl start nginx.service")
    machine.update()
    wait_until(lambda: machine.routes(*CAST), PATIENCE, "NGINX knows the models")
    return machine


@pytest.fixture(autouse=True)
def stopped(field):
    """Each test finds all models stopped, and leaves no configuration."""
    yield
    field.sh(["systemctl", "stop", *(f"model@{name}.service" for name in CAST)])
    field.run("systemctl reset-failed; rm -f /etc/home-lab-services/config.json")


def chat(field, model, path=CHAT, headers={}, **more):
    return field.post(path, {"model": model, "messages": []} | more, headers)


def seen(field, name, path=None):
    return field.seen(CAST[name][0], path)


# ---- a server that is not ready ----

@on_trixie_alone
@pytest.mark.parametrize("path", [CHAT, "/dock" + CHAT])
def test_a_published_port_that_closes_while_its_server_loads_is_waited_for(field, path):
    """The first request starts it, the others come while its port accepts and closes: each is answered, and once."""
    held = [field.hold(path, json.dumps({"model": "dock", "n": number})) for number in range(2)]
    wait_until(lambda: field.run("curl -s http://127.0.0.1:8402/").returncode not in (0, 7), PATIENCE, "its port closes")
    held += [field.hold(path, json.dumps({"model": "dock", "n": number})) for number in range(2, 6)]
    for request in held:
        answer = request.answer()
        assert answer.status == 200 and answer["who"] == "dock", answer
    assert sorted(json.loads(it["body"])["n"] for it in seen(field, "dock", CHAT)) == list(range(6))


def test_one_that_systemd_started_is_waited_for(field):
    field.sh("systemctl start model@dock.service")
    wait_until(lambda: field.run("curl -s http://127.0.0.1:8402/").returncode not in (0, 7), PATIENCE, "its port closes")
    assert chat(field, "dock").status == 200 and len(seen(field, "dock", CHAT)) == 1


def test_a_server_that_was_ready_and_closes_had_the_request(field):
    """To send it again could do twice what was asked for once."""
    assert field.ask("GET", "/drops/page").status == 200
    answer = chat(field, "drops")
    assert answer.status == 502 and answer["error"]["code"] == "model_ended", answer
    assert len(seen(field, "drops", CHAT)) == 1

    # What changes nothing is sent once more, if it was closed at once: the connection may have been one that the server has
    # just given up. The best of three counts, where the server took its time.
    for method in "GET", "HEAD":
        paths = [f"/once/{method}/{i}" for i in range(3)]
        path = next(path for path in paths if field.ask(method, f"/drops{path}").status == 200)
        assert len(seen(field, "drops", path)) == 2


def test_a_server_that_says_503_while_it_loads_is_waited_for(field):
    field.sh("systemctl start model@loads.service")
    wait_until(lambda: field.run("curl -s http://127.0.0.1:8409/").returncode == 0, PATIENCE, "it says 503")
    assert chat(field, "loads").status == 200


# ---- what a model says ----

@pytest.mark.parametrize("status", [502, 504])
@pytest.mark.parametrize("path", ["/says%d" + CHAT, CHAT])
def test_a_models_own_gateway_errors_reach_the_client(field, status, path):
    """A model may be a gateway itself. Its answer has a body, and the request is not sent twice."""
    name = f"says{status}"
    for tries in 1, 2:  # it starts for it; it runs
        answer = chat(field, name, path % status if "%d" in path else path)
        assert answer.status == status and answer["who"] == name, answer
        assert len(seen(field, name, CHAT)) == tries


def test_a_model_that_is_busy_says_so_itself(field):
    answer = chat(field, "busy")
    assert answer.status == 503 and answer["who"] == "busy" and answer.headers["Retry-After"] == "7", answer


# ---- names ----

@pytest.mark.parametrize("name", ["gpt-4", "Qwen/Qwen3-8B", "hf.co/unsloth/GLM-4.7:Q4_K_M", "plain"])
def test_an_alias_reaches_its_model_with_the_body_as_it_is(field, name):
    answer = chat(field, name)
    assert answer.status == 200 and json.loads(answer["body"])["model"] == name, answer


def test_a_server_that_knows_only_its_own_name(field):
    assert chat(field, "Qwen/Qwen3-VL").status == 200
    assert chat(field, "strict").status == 404, "the server's own word: /NAME/ and the alias are for it"


@pytest.mark.parametrize("target", [
    "/v1/audio/voices?model=gpt-4", "/v1/audio/voices?lang=de&model=Qwen%2FQwen3-8B", "/v1/files?model=plain&limit=2",
    "/v1/responses/resp_1?model=plain", "/v1/deployments/gpt-4/anything?api-version=2024-10-21"])
def test_the_query_names_the_model_where_there_is_no_body(field, target):
    answer = field.ask("GET", target)
    assert answer.status == 200 and answer["who"] == "plain", answer


def test_a_realtime_websocket_names_its_model_in_the_query(field):
    with contextlib.closing(field.connect(NGINX)) as connection:
        connection.sendall(b"GET /v1/realtime?model=gpt-4 HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n"
                           b"Upgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        connection.recv(4096)
    assert seen(field, "plain", "/v1/realtime")[0]["headers"]["Upgrade"] == "WebSocket"


# ---- paths, as clients join them ----

@pytest.mark.parametrize("sent, arrives", [
    ("//v1/chat/completions", CHAT), ("/v1//chat/completions", CHAT), ("//v1//chat/completions", CHAT),
    ("/v1/chat/completions/", CHAT), ("///v1/chat/completions?a=//b/", CHAT + "?a=//b/"), ("/v1/x?y=/z/", "/v1/x?y=/z/"),
    ("/v1/deployments/gpt-4/chat/completions?api-version=1", CHAT + "?api-version=1"), ("/v1/a%2Fb/c", "/v1/a%2Fb/c")])
def test_slashes_of_base_urls(field, sent, arrives):
    answer = chat(field, "plain", sent)
    assert (answer.status, answer["path"]) == (200, arrives), answer


@pytest.mark.parametrize("sent, arrives", [
    ("//plain/v1/chat/completions", CHAT), ("/plain//v1/chat/completions", CHAT), ("/plain/v1//chat/completions", CHAT),
    ("/plain//x", "/x"), ("/plain/a//b/", "/a//b/"), ("/plain/v1/x/", "/v1/x/")])
def test_slashes_before_a_models_own_paths(field, sent, arrives):
    answer = field.post(sent, {})
    assert (answer.status, answer["path"]) == (200, arrives), answer


@pytest.mark.parametrize("sent, arrives", [
    (path, "/v1" + path) for path in ("/chat/completions", "/completions", "/embeddings", "/responses", "/moderations",
                                      "/audio/speech", "/audio/transcriptions", "/responses/r1/cancel",
                                      "/messages", "/messages/count_tokens", "/realtime/sessions")
] + [(path, CHAT) for path in ("/chat/completions/", "//chat/completions", "/v1/v1/chat/completions", "/v1//v1/chat/completions/",
                               "/openai/v1/chat/completions", "/openai/chat/completions", "/api/v1/chat/completions",
                               "/api/chat/completions", "/plain/v1/v1/chat/completions")
     ] + [("/anthropic/v1/messages?beta=true", "/v1/messages?beta=true"), ("/anthropic/messages", "/v1/messages")
          ] + [("/openai/deployments/plain/chat/completions?api-version=2024-10-21", CHAT + "?api-version=2024-10-21"),
          ("/openai/deployments/plain/audio/transcriptions", "/v1/audio/transcriptions")
          ] + [(path, path) for path in ("/completion", "/infill", "/tokenize", "/detokenize", "/apply-template", "/embedding",
                                         "/rerank", "/reranking", "/v2/rerank", "/score", "/pooling", "/classify")])
def test_base_urls_as_people_write_them(field, sent, arrives):
    """Without "v1", with it twice, as others' begin, or as llama-server itself has its paths. Cold and warm."""
    for _ in range(2):
        answer = chat(field, "plain", sent)
        assert (answer.status, answer["who"], answer["path"]) == (200, "plain", arrives), answer
        if "deployments" in sent:
            assert field.post(sent, {"messages": []})["who"] == "plain"


def test_a_models_own_paths_come_before_these(field):
    answer = chat(field, "plain", "/images/generations")
    assert (answer["who"], answer["path"]) == ("images", "/generations")


@pytest.mark.parametrize("path", ["/props?model=lists", "/slots?model=lists", "/metrics?model=lists"])
def test_looks_at_a_model_by_the_query_start_nothing(field, path):
    assert field.ask("GET", path).status == 503 and not field.runs("lists")


def test_the_sites_health(field):
    assert field.ask("GET", "/health")["status"] == "success"


@pytest.mark.parametrize("name", [" plain", "plain\n", "plain:latest", "openai/plain", "openai/gpt-4", "ollama/Qwen/Qwen3-8B:latest"])
def test_a_model_is_found_by_its_name_as_clients_write_it(field, name):
    answer = chat(field, name)
    assert answer.status == 200 and json.loads(answer["body"])["model"] == name, answer


@on_trixie_alone
@pytest.mark.parametrize("where, told", [
    ("/ui/", "{prefix}/ui/"), ("/moved/ui/", "{there}/ui/"), ("http://{host}/v1/x/", "{prefix}/v1/x/"), ("x/", "x/"),
    ("https://{host}/x", "{prefix}/x"), ("http://127.0.0.1:{port}/x/?a=/b", "{prefix}/x/?a=/b"), ("http://localhost:{port}/x", "{prefix}/x"),
    ("http://0.0.0.0:{port}/", "{prefix}/"), ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x"),
    ("https://huggingface.co/x", "https://huggingface.co/x"), ("http://{host}/moved/x", "{there}/x")])
@pytest.mark.parametrize("path", ["/moved/redirect", "/v1/redirect"])
def test_where_a_model_sends_a_client_is_said_as_the_client_has_to_ask(field, path, where, told):
    """Its own root is below /NAME/, and nobody else reaches its port. Cold and warm."""
    prefix = "/moved" if path.startswith("/moved") else ""
    for _ in range(2):
        answer = field.post(f"{path}?{where}", {"model": "moved"})
        assert (answer.status, answer.headers["Location"]) == (307, told.format(prefix=prefix, there="/moved")), answer


@pytest.mark.parametrize("path", [CHAT, "/plain" + CHAT])
def test_who_sends_long_headers_hears_what_to_do(field, path):
    """A browser sends the cookies of all that is on a host, on any port."""
    answer = chat(field, "plain", path, {"Cookie": "a" * 40_000})
    assert answer.status == 431 and "large_client_header_buffers" in answer["error"]["message"], answer


@pytest.mark.parametrize("path", ["/v1/v1/models", "/openai/v1/models", "/openai/models", "/anthropic/v1/models", "/api/v1/models",
                                  "/v1/v1/models/gpt-4", "/openai/v1/models/gpt-4", "/openai/models/gpt-4?api-version=1", "/v1/models/openai%2Fgpt-4"])
def test_lists_below_such_base_urls(field, path):
    answer = field.ask("GET", path)
    assert answer.status == 200 and answer["object"] in ("list", "model"), answer


@pytest.mark.parametrize("path", ["/v1/models", "//v1/models", "/v1//models", "/v1/models/", "/v1/models?limit=1000",
                                  "/v1/models?api-version=2024-02-01", "/v1/models?after_id=plain", "/models", "//models", "/models/"])
def test_lists_bear_slashes_and_parameters(field, path):
    answer = field.ask("GET", path)
    assert answer.status == 200, answer


@pytest.mark.parametrize("path", ["/v1/models/Qwen%2FQwen3-8B", "/v1/models/Qwen/Qwen3-8B", "/v1/models/gpt-4"])
def test_an_entry_by_an_alias_of_any_characters(field, path):
    assert field.ask("GET", path)["id"] in ("Qwen/Qwen3-8B", "gpt-4")


@pytest.mark.parametrize("path", ["/api/shutdown/next", "/api/shutdown/shutdown/next", "//api/shutdown/next", "/api//shutdown//status"])
def test_the_short_way_to_the_shutdown(field, path):
    assert field.ask("GET", path).status == 200


@pytest.mark.parametrize("path", ["/api/shutdown", "/api/inference", "/api/monitor", "/v1"])
def test_a_post_without_the_slash_stays_a_post(field, path):
    """After a 301 clients ask by GET, are answered 200, and nothing was done."""
    answer = field.post(path + "?a=1", {"scheduled": True})
    assert (answer.status, answer.headers["Location"]) == (308, path + "/?a=1"), answer
    assert field.post(path + "/", {"scheduled": True}).status in (400, 405)


# ---- upgrades ----

@pytest.mark.parametrize("headers", [
    {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"},
    {"Upgrade": "TLS/1.0", "Connection": "Upgrade"}, {"Upgrade": "websocketx", "Connection": "upgrade"},
    {"Upgrade": "h2c, websocket", "Connection": "Upgrade"}])
@pytest.mark.parametrize("path", [CHAT, "/loses" + CHAT])
def test_only_websockets_are_upgraded(field, headers, path):
    """Every HttpClient of Java's offers h2c with each request; uvicorn then loses the body."""
    for _ in range(2):  # cold, warm
        answer = chat(field, "loses", path, headers)
        assert answer.status == 200 and json.loads(answer["body"])["model"] == "loses", answer
        got = {name.lower() for name in answer["headers"]}
        assert "upgrade" not in got and "http2-settings" not in got


# ---- looks ----

@on_trixie_alone
@pytest.mark.parametrize("method, path", [
    ("GET", path) for path in ("/health", "/v1/health", "/metrics", "/props", "/slots", "/version", "/api/tags", "/api/version",
                               "/api/ps", "/v1/model", "/v1/model/list", "/system_stats", "/queue", "/object_info", "/ping",
                               "/info", "/favicon.ico")
] + [("HEAD", "/"), ("OPTIONS", CHAT)])
def test_a_look_starts_nothing_and_keeps_nothing(field, method, path):
    answer = field.ask(method, "/lists" + path)
    assert answer.status == 503 and not field.runs("lists"), answer
    chat(field, "lists")
    field.sh("systemctl start model-activity.service; rm -f /var/lib/home-lab-services/activity/lists")
    assert field.ask(method, "/lists" + path).status in (200, 404)
    assert field.post("/plain/x", {}).status == 200
    wait_until(lambda: field.last_used("plain"), PATIENCE, "a use that came later is noted")
    assert field.last_used("lists") is None


@pytest.mark.parametrize("path", ["/lists/v1/models", "/lists//v1/models", "/lists/models", "/lists/v1/models?limit=20"])
def test_the_list_of_a_cold_model_is_ours(field, path):
    answer = field.ask("GET", path)
    assert answer.status == 200 and [it["id"] for it in answer["data"]] == ["lists"], answer
    assert answer["data"][0]["status"]["value"] == "unloaded" and not field.runs("lists")
    chat(field, "lists")
    assert field.ask("GET", path).status == 200, "the model's own word, now that it runs"
    assert [it["path"].split("?")[0] for it in seen(field, "lists")].count("/v1/models" if "v1" in path else "/models") == 1


def test_models_of_llamacpps_router(field):
    """What Open WebUI's buttons send, at the site's root."""
    answer = field.post("/models/load", {"model": "gpt-4"})
    assert answer.status == 200 and answer["success"] is True, answer
    wait_until(lambda: field.ask("GET", "/v1/models/plain")["status"]["value"] == "loaded", PATIENCE, "it is loaded")
    answer = field.post("/models/unload", {"model": "plain"})
    assert answer.status == 200 and answer["success"] is True, answer
    wait_until(lambda: not field.runs("plain"), PATIENCE, "it is unloaded")


# ---- keys ----

@pytest.mark.parametrize("headers", [
    {"Authorization": "Bearer hls_secret"}, {"x-api-key": "hls_secret"}, {"api-key": "hls_secret"},
    {"X-API-Key": "hls_secret", "Authorization": "Bearer sk-1"}, {"Authorization": "hls_secret"}])
@pytest.mark.parametrize("path", [CHAT, "/plain" + CHAT])
def test_our_tokens_reach_no_model(field, headers, path):
    for _ in range(2):
        answer = chat(field, "plain", path, headers)
        assert answer.status == 200 and "hls_" not in json.dumps(answer["headers"]), answer


def test_other_keys_are_the_models(field):
    headers = {"Authorization": "Bearer sk-hls_1", "x-api-key": "sk-2", "api-key": "3"}
    got = {name.lower(): value for name, value in chat(field, "plain", headers=headers)["headers"].items()}
    assert all(got[name.lower()] == value for name, value in headers.items()), got


# ---- strangers ----

def test_another_program_on_a_stopped_models_port_gets_no_request(field):
    stranger = f"import http.server as h; h.ThreadingHTTPServer(('127.0.0.1', {CAST['plain'][0]}), h.SimpleHTTPRequestHandler).serve_forever()"
    field.sh(["systemd-run", "--quiet", "--unit=stranger", "--uid=nobody", "python3", "-c", stranger])
    try:
        wait_until(lambda: field.sh("ss -Hltn 'sport = :8401'"), PATIENCE, "it listens")
        for path in CHAT, "/plain/", "/plain" + CHAT:
            answer = chat(field, "plain", path)
            assert answer.status == 503 and answer["error"]["code"] == "port_in_use", answer
        assert "POST" not in field.journal("--unit=stranger")
    finally:
        field.sh("systemctl stop stranger.service")
    assert chat(field, "plain").status == 200


# ---- the user's own site ----

@pytest.fixture
def silent(field):
    site = field.path("/etc/nginx/sites-available/home-lab-services")
    text = site.read_text()
    site.write_text(text.replace("access_log /var/log/nginx/access.log;", "access_log off;"))
    assert "access_log off;" in site.read_text()
    field.sh("systemctl reload nginx")
    yield
    site.write_text(text)
    field.sh("systemctl reload nginx")


def forget_use(field, model):
    """NGINX's notes are behind those that others made: one of another model's comes last."""
    assert field.post("/plain/x", {}).status == 200
    wait_until(lambda: field.last_used("plain"), PATIENCE, "a use that came later is noted")
    field.sh(f"rm -f {ACTIVITY}/plain {ACTIVITY}/{model}")


def test_use_is_counted_where_the_site_logs_nothing(field, silent):
    field.post("/mute/x", {})
    for path in "/mute/x", CHAT:
        forget_use(field, "mute")
        assert field.post(path, {"model": "mute"}).status == 200
        wait_until(lambda: field.last_used("mute"), PATIENCE, f"{path} is noted")


def test_the_end_of_a_long_request_is_counted_where_the_site_logs_nothing(field, silent):
    """Its beginning was long ago, and NGINX says nothing: the sweep saw it, and sees it gone."""
    field.ask("GET", "/slowly/page")
    held = field.hold("/slowly/x")
    wait_until(lambda: field.http("GET", INFERENCE, "/models/slowly")["in_flight"] == 1, PATIENCE, "it is in flight")
    field.sh("systemctl start model-idle-sweep.service")
    assert held.answer().status == 200
    forget_use(field, "slowly")
    field.sh("systemctl start model-idle-sweep.service")
    assert field.last_used("slowly")


# ---- pages ----

APP, OTHER = "app://obsidian.md", "https://evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os"}
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture
def named(field):
    field.config(auth={"allowed_origins": [APP]})


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/open" + CHAT, "/plain/anything", "/models/load", "/api/inference/models",
                                  "/api/shutdown/shutdown/next", "/api/monitor/models/activity"])
def test_the_preflight_of_a_named_page_is_answered_here(field, named, path):
    answer = field.ask("OPTIONS", path, None, {"Origin": APP} | PREFLIGHT)
    assert answer.status == 204 and answer.headers.get_all(ALLOWED) == [APP], answer
    assert "x-stainless-os" in answer.headers["Access-Control-Allow-Headers"] and "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert not field.runs("open") and not field.runs("plain")


@pytest.mark.parametrize("method, path", [("POST", CHAT), ("POST", "/open" + CHAT), ("GET", "/open/x"), ("GET", "/v1/models"),
                                          ("GET", "/api/inference/models"), ("POST", "/v1/nothing?model=open"), ("GET", "/open/v1/models")])
def test_a_named_page_reads_every_answer(field, named, method, path):
    """One header, ours, also where the model has one of its own."""
    for _ in range(2):
        answer = field.ask(method, path, {"model": "open"} if method == "POST" else None, {"Origin": APP})
        assert answer.status == 200 and answer.headers.get_all(ALLOWED) == [APP] and "Origin" in answer.headers["Vary"], answer
    assert field.ask("POST", path, "{", {"Origin": APP} | JSON).headers.get_all(ALLOWED) == [APP]


@pytest.mark.parametrize("origin", [OTHER, "null", "app://obsidian.md.evil.example"])
def test_a_page_that_is_not_named_is_shut_out(field, named, origin):
    for path in CHAT, "/v1/models", "/api/inference/models", "/plain/x":
        answer = field.ask("OPTIONS", path, None, {"Origin": origin} | PREFLIGHT)
        assert ALLOWED not in answer.headers, answer
        answer = field.ask("POST", path, b'{"model": "plain"}', {"Origin": origin, "Content-Type": "text/plain"})
        assert answer.status in (403, 405) and ALLOWED not in answer.headers, answer
    assert not field.runs("plain")


def test_errors_below_v1_are_openais(field):
    for method, path, body, status in (("GET", "/v1/nothing", None, 404), ("POST", CHAT, {"model": "nobody"}, 404), ("POST", CHAT, {}, 400),
                                       ("GET", "/v1/models/nobody", None, 404), ("POST", "/v1/models", {}, 405),
                                       ("POST", CHAT, b"x" * (65 << 20), 413)):
        answer = field.ask(method, path, body)
        error = answer["error"]
        assert answer.status == status and error["message"] and error["type"] and error["code"] and "param" in error, answer
