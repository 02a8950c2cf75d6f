# SPDX-License-Identifier: MIT
"""Clients on another machine, where "auth.models" is "token": with a key of the scope "use" they chat and list, and with none
they are told so in words that their libraries show. All that can be told apart is where the key is and what it opens."""
import contextlib
import os
import subprocess

import pytest

from clients import CLIENTS, NAMES, TOKENS, Refused
from clients import HERE as WITH
from machines import ETC, INFERENCE, PATIENCE, Network, wait_until
from web import NGINX

HERE, THERE = "198.18.78.1", "198.18.78.2"  # the machine, the neighbour
BASE = f"http://{HERE}:{NGINX}"
CHATTING = [name for name in WITH if "chat" in CLIENTS[name][1]]


@pytest.fixture(scope="module")
def open_lab(lab):
    """The site listens for the neighbour too, and models want a key."""
    name = f"hlk-{os.getpid()}"
    site = lab.sh("grep -lrs home-lab-services/server.conf /etc/nginx/sites-available /etc/nginx/conf.d").split()[0]
    text = lab.path(site).read_text()

    def ip(*arguments, check=True):
        subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)

    try:
        ip("netns", "add", name)
        ip("-netns", name, "link", "set", "lo", "up")
        ip("-netns", name, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(lab.leader))
        ip("-netns", name, "address", "add", f"{THERE}/24", "dev", "near")
        ip("-netns", name, "link", "set", "near", "up")
        lab.sh(f"ip address add {HERE}/24 dev far && ip link set far up")
        lab.put(site, text.replace(f"listen 127.0.0.1:{NGINX};", f"listen {NGINX};"))
        lab.config(auth={"models": "token"})
        lab.sh("systemctl restart nginx.service && systemctl restart home-lab-services.service")
        lab.neighbour = Network(f"/run/netns/{name}")
        lab.neighbour.name = name

        def reached():
            with contextlib.suppress(OSError):
                return lab.neighbour.http("GET", NGINX, "/v1/models", host=HERE).status
        wait_until(reached, PATIENCE, "the neighbour reaches the site")
        yield lab
    finally:
        ip("netns", "delete", name, check=False)
        lab.put(site, text)
        lab.sh(f"rm -f {ETC}/config.json {ETC}/tokens; systemctl restart nginx.service home-lab-services.service")


@pytest.fixture(scope="module")
def keys(open_lab):
    return {scope: open_lab.sh(f"home-lab-services token add key-{scope} --scope {scope}").strip()
            for scope in ("read", "use", "control")}


@pytest.fixture
def away(request, open_lab, client, tmp_path):
    """A client in the neighbour's network. (Its process here, "client", says whether it can be had at all.)"""
    class There:
        enter = ["ip", "netns", "exec", open_lab.neighbour.name]
    one = CLIENTS[client.name][0](There, tmp_path)
    one.name = client.name
    yield one
    one.close()


@pytest.mark.column("key")
@pytest.mark.seconds(180)
@pytest.mark.parametrize("client", CHATTING, indirect=True)
def test_a_key_of_the_scope_use(open_lab, keys, away):
    """Chat and stream from a cold model, the list, by name and by /v1; without it, and with another, a refusal in words."""
    for base in BASE + "/v1", BASE + "/llama/v1":
        for verb in "chat", "stream":
            open_lab.stop("llama")
            assert len("".join(away.ask(verb, "llama", base, keys["use"]))) == TOKENS
        for key in "none", "hls_" + "0" * 64, keys["read"]:
            open_lab.stop("llama")
            with pytest.raises(Refused) as refused:
                away.ask("chat", "llama", base, key)
            assert refused.value.status in (401, 403), (key, refused.value)
            assert "token" in refused.value.message, (key, refused.value)
            assert not open_lab.runs("llama"), "whoever is refused wakes nobody"
    if "models" in away.verbs:
        assert set(away.ask("models", "", BASE + "/v1", keys["use"])) >= set(NAMES)


def test_use_is_no_control(open_lab, keys):
    """What the key does not open, through NGINX as at any other door."""
    headers = {"Authorization": f"Bearer {keys['use']}"}
    for method, path in (("POST", "/api/inference/models/llama/start"), ("POST", "/api/inference/models/llama/stop"),
                         ("GET", "/api/inference/models/llama/logs"), ("POST", "/api/shutdown/shutdown/schedule")):
        body = {} if method == "POST" else None
        assert open_lab.neighbour.http(method, NGINX, path, body, headers, host=HERE).status == 403, path


def test_no_key_reaches_a_model(open_lab, keys):
    """Whichever header it came in."""
    for header, value in (("Authorization", f"Bearer {keys['use']}"), ("x-api-key", keys["use"]), ("api-key", keys["use"])):
        for path in "/v1/chat/completions", "/ear/v1/chat/completions":
            answer = open_lab.neighbour.http("POST", NGINX, path, {"model": "ear"}, {header: value}, host=HERE)
            assert answer.status == 200 and "hls_" not in answer.body.decode(), (header, path)


def test_this_host_needs_no_key(open_lab, keys):
    assert open_lab.post("/v1/chat/completions", {"model": "ear"}).status == 200
    assert open_lab.http("GET", INFERENCE, "/models").status == 200
