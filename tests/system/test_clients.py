# SPDX-License-Identifier: MIT
"""The clients that people use, unmodified, against a real llama-server behind our site: from a cold model and a warm one,
streamed and not. The table at the end of the run says which client did what."""
import pytest

from clients import CLIENTS, EMBEDDING, HERE, NAMES, SITE, SOUND_BYTES, TOKENS, Refused

BESIDES = {"completion", "response", "count"}


def with_each(*verbs):
    """Each client that can be asked one of these."""
    pairs = [(name, verb) for name in HERE for verb in CLIENTS[name][1] if verb in verbs]
    return pytest.mark.parametrize("client, verb", pairs, indirect=["client"], ids=[f"{name}-{verb}" for name, verb in pairs])


def said(answer):
    """What the tiny model says: as many characters as it was asked for tokens, whole or in as many pieces."""
    text = "".join(answer)
    assert len(text) == TOKENS and text.isascii() and text.isprintable(), answer
    return True


@pytest.mark.column("models")
@pytest.mark.parametrize("client", HERE, indirect=True)
def test_clients_can_be_asked_what_the_table_says(client, lab):
    assert sorted(client.verbs) == sorted(CLIENTS[client.name][1])


@pytest.mark.column("cold")
@with_each("chat")
def test_chat_from_a_cold_model(lab, client, verb):
    lab.stop("llama")
    assert said(client.ask(verb, "llama")) and lab.running() == ["llama"]


@pytest.mark.column("warm")
@with_each("chat")
def test_chat_with_a_warm_model(lab, client, verb):
    lab.start("llama")
    assert said(client.ask(verb, "llama"))


@pytest.mark.column("cold stream")
@with_each("stream")
def test_stream_from_a_cold_model(lab, client, verb):
    lab.stop("llama")
    pieces = client.ask(verb, "llama")
    assert said(pieces) and len(pieces) > 1


@pytest.mark.column("warm stream")
@with_each("stream")
def test_stream_from_a_warm_model(lab, client, verb):
    lab.start("llama")
    pieces = client.ask(verb, "llama")
    assert said(pieces) and len(pieces) > 1


@pytest.mark.column("by name")
@with_each("chat", "stream")
def test_a_model_by_its_own_address(lab, client, verb):
    """With whatever name the client thinks it has."""
    lab.stop("llama")
    assert said(client.ask(verb, "a-name-of-its-own", SITE + "/llama/v1"))


@pytest.mark.column("models")
@with_each("models")
def test_the_list_wakes_nobody(lab, client, verb):
    if client.name.endswith("ollama"):  # of one model, which runs: its list is its own
        lab.start("tags")
        assert client.ask(verb, base=SITE + "/tags") == ["tags"]
        return
    lab.stop()
    assert set(client.ask(verb)) >= set(NAMES)
    assert lab.running() == []


@pytest.mark.column("retrieve")
@with_each("retrieve")
def test_one_of_the_list(lab, client, verb):
    assert client.ask(verb, "llama") == "llama"


@pytest.mark.column("embed")
@with_each("embed")
def test_embeddings_from_a_cold_model(lab, client, verb):
    lab.stop("embedder")
    assert client.ask(verb, "embedder") == [EMBEDDING, EMBEDDING]


@pytest.mark.column("upload")
@with_each("upload")
def test_a_file_for_a_cold_model(lab, client, verb):
    """A form in the client's own manner, larger than what is kept in memory: it arrives whole, and once."""
    lab.stop("ear")
    got = client.ask(verb, "ear")
    assert got["who"] == "ear" and got["path"] == "/v1/audio/transcriptions" and got["length"] > SOUND_BYTES
    assert len(lab.seen(8404, "/v1/audio/transcriptions")) == 1


@pytest.mark.column("more")
@with_each(*BESIDES)
def test_what_else_the_sdk_has(lab, client, verb):
    lab.stop("llama")
    got = client.ask(verb, "llama")
    assert got > TOKENS if verb == "count" else said(got)


@pytest.mark.column("refusal")
@with_each("chat", "stream")
def test_a_refusal_tells_the_user_why(lab, client, verb):
    """The SDKs show what is where OpenAI's errors have it; a body that they do not understand is lost."""
    with pytest.raises(Refused) as refused:
        client.ask(verb, "nobody")
    assert refused.value.status in (404, None) and "nobody" in refused.value.message, refused.value


@pytest.mark.column("cold")
@pytest.mark.parametrize("client", [".NET HttpClient, PowerShell"])
def test_dotnet_is_reported_as_not_tested(client):
    pytest.skip("NOT TESTED: neither is a package of Debian")
