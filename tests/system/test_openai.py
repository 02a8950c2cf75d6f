"""The official OpenAI client speaks to /v1/. It runs on this host, in the machine's network."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from machines import TOOL
from web import NGINX, PORTS_OF

CLIENT = TOOL.parent / "openai"
CACHE = pathlib.Path(os.environ.get("HOME_LAB_SERVICES_CACHE", "/var/cache/home-lab-services-machines")) / "openai"


@pytest.fixture(scope="session")
def client():
    """The client with what the lock file names, from the npm registry. What was installed for the same lock file stays."""
    done, lock = CACHE / "installed.json", (CLIENT / "package-lock.json").read_text()
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in "package.json", "package-lock.json", "client.mjs":
        shutil.copy(CLIENT / name, CACHE)
    if not done.exists() or done.read_text() != lock:
        try:
            npm = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=CACHE, capture_output=True,
                                 text=True, timeout=50)
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"the OpenAI client is NOT TESTED: npm cannot install it: {error}")
        if npm.returncode != 0:
            pytest.skip(f"the OpenAI client is NOT TESTED: npm cannot install it: {npm.stderr.strip()[-300:]}")
        done.write_text(lock)
    return CACHE / "client.mjs"


@pytest.mark.parametrize("model", ["slow", "qwen2.5-0.5b:q4"])
def test_the_official_client(web, client, model):
    """From the list to a stream, with a model that is stopped."""
    assert not web.runs(model)
    done = subprocess.run([TOOL, "exec", web.name, "--net", "--", "node", client, f"http://127.0.0.1:{NGINX}/v1", model],
                          capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done
    got = json.loads(done.stdout)
    assert sorted(got["models"]) == sorted(PORTS_OF) and got["retrieved"] == model
    assert got["chat"] == "word1 word2 word3 word4 word5 " and got["usage"] == 5
    assert [piece for piece in got["pieces"] if piece] == [f"word{number} " for number in range(1, 6)]
    assert got["error"].pop("message").startswith("404 ")
    assert got["error"] == {"type": "NotFoundError", "status": 404, "code": "model_not_found"}
