# SPDX-License-Identifier: MIT
"""llama-server itself behind our site: what it serves besides chat, how it comes and goes, and its router mode."""
import threading

import pytest

from clients import EMBEDDING, TOKENS
from machines import INFERENCE, PATIENCE, on_trixie_alone, wait_until

MESSAGES = [{"role": "user", "content": "Say a few words."}]


@on_trixie_alone
def test_what_it_says_reaches_the_client(lab):
    """A cold start is a fraction of a second, and what llama-server answers while it loads (503) nobody sees."""
    lab.stop()
    answer = lab.post("/v1/chat/completions", {"model": "llama", "messages": MESSAGES, "max_tokens": TOKENS})
    assert answer.status == 200 and answer["usage"]["completion_tokens"] == TOKENS
    assert answer["system_fingerprint"].startswith("b"), "of llama-server, not of a stand-in"


def test_many_ask_a_cold_model_at_once(lab):
    lab.stop("llama")
    before = lab.mark()
    answers = []

    def ask():
        answers.append(lab.post("/v1/completions", {"model": "llama", "prompt": "a", "max_tokens": TOKENS}).status)
    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert answers == [200] * 10
    assert lab.journal("--unit=model@llama.service", f"--after-cursor={before}", "--grep=model loaded").count("model loaded") == 1


@pytest.mark.parametrize("path, body, key", [
    ("/v1/completions", {"prompt": "a"}, "choices"),
    ("/v1/responses", {"input": "a"}, "output"),
    ("/v1/messages", {"messages": MESSAGES}, "content"),
    ("/v1/messages/count_tokens", {"messages": MESSAGES}, "input_tokens"),
])
def test_each_of_its_v1_paths_is_routed(lab, path, body, key):
    lab.stop("llama")
    answer = lab.post(path, {"model": "llama", "max_tokens": TOKENS} | body)
    assert answer.status == 200 and answer[key], answer


def test_its_own_paths_below_its_name(lab):
    """/tokenize, /props, /slots: not under /v1, so by the model's name."""
    lab.start("llama")
    assert lab.post("/llama/tokenize", {"content": "abc"})["tokens"]
    assert lab.ask("GET", "/llama/props")["total_slots"] == 2
    assert len(lab.ask("GET", "/llama/slots").json) == 2


def test_its_errors_are_the_clients(lab):
    """What llama-server refuses is refused in its own words."""
    lab.start("llama", "embedder")
    answer = lab.post("/v1/chat/completions", {"model": "llama", "messages": "none"})
    assert answer.status == 400 and "messages" in answer["error"]["message"], answer
    answer = lab.post("/v1/embeddings", {"model": "llama", "input": "a"})
    assert answer.status in (400, 501) and "embeddings" in answer["error"]["message"], answer


def test_embeddings_start_the_model_that_makes_them(lab):
    lab.stop("embedder")
    answer = lab.post("/v1/embeddings", {"model": "embedder", "input": "a"})
    assert answer.status == 200 and len(answer["data"][0]["embedding"]) == EMBEDDING


def test_its_router_mode_is_a_model_of_ours(lab):
    """By its own name it is asked for any of its models; it starts a process for each, which go with it."""
    lab.stop("zoo")
    names = [each["id"] for each in lab.post("/zoo/v1/completions", {"model": "tiny", "prompt": "a", "max_tokens": 1})
             and lab.ask("GET", "/zoo/v1/models")["data"]]
    assert sorted(names) == ["other", "tiny"]
    for name in names:
        answer = lab.post("/zoo/v1/chat/completions", {"model": name, "messages": MESSAGES, "max_tokens": TOKENS})
        assert answer.status == 200 and answer["model"] == name, answer
    assert lab.sh(["pgrep", "--count", "--full", "bin/llama-server.*--alias"]).strip() == "2"
    lab.stop("zoo")
    assert lab.run(["pgrep", "--full", "llama-server.*8403"]).returncode == 1


def test_it_is_idle_once_it_has_answered(lab):
    """Its own queue is empty, and nothing of its own keeps it awake."""
    lab.start("llama")
    lab.post("/v1/completions", {"model": "llama", "prompt": "a", "max_tokens": 1})
    wait_until(lambda: lab.http("GET", INFERENCE, "/models/llama")["in_flight"] == 0, PATIENCE, "no request in flight")


def test_a_model_file_that_is_none(lab):
    """The cause is what llama-server itself said."""
    lab.put("/opt/llama/models/broken.gguf", "not a model")
    lab.model("broken", 8409, command="/opt/llama/llama-server --port 8409 -m /opt/llama/models/broken.gguf")
    lab.update()
    try:
        answer = lab.post("/v1/chat/completions", {"model": "broken", "messages": MESSAGES})
        assert answer.status in (502, 503) and "broken" in answer["error"]["message"], answer
    finally:
        lab.run("rm -f /etc/home-lab-services/models/broken /opt/llama/models/broken.gguf; systemctl reset-failed")
        lab.update()
