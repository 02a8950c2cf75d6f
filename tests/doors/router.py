# SPDX-License-Identifier: MIT
"""router.py - model-router without NGINX and without a bus, and requests to it as NGINX makes them."""
import json

import fastcgi

from programs import Listener

PORTS = {"tiny": 18191, "strict": 18192, "cold": 18193}


def goes(place, model, **more):
    """The headers that send a request on."""
    return {"X-Accel-Redirect": f"@hl_{place}", "X-HL-Model": model, "X-HL-Port": str(PORTS[model]), **more}


class Router(Listener):
    def __init__(self, folder, **environment):
        self.folder = folder
        (folder / "models").mkdir()
        (folder / "started").mkdir()
        (folder / "stopped").mkdir()
        (folder / "models" / "tiny").write_text("PORT=18191\n")
        (folder / "models" / "no-port").write_text("COMMAND=x\n")
        (folder / "models" / "strict").write_text('PORT=18192\nALIASES="Qwen/Qwen3-8B gpt-4"\n')
        (folder / "models" / "cold").write_text('PORT=18193\nALIASES="cold/one"\n')
        for name in "tiny", "strict":
            self.start(name)
        super().__init__("model-router", folder / "router.sock", {
            "CONFIGURATION_DIRECTORY": str(folder), "STATE_DIRECTORY": str(folder),
            "MODELS_CONFIG_DIR": str(folder / "models"), "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/no-bus",
            "HL_STARTED_DIRECTORY": str(folder / "started"), "HL_READY_DIRECTORY": str(folder),
            "HL_STOPPED_DIRECTORY": str(folder / "stopped"), "HL_TURNSTILE_DIRECTORY": str(folder / "turnstile"), **environment})

    def start(self, name):
        """As if systemd ran it: there is its mark."""
        (self.folder / "started" / f"invocation:model@{name}.service").symlink_to("0" * 32)

    def ask(self, method, uri, body=b"", **more):
        variables = {"REQUEST_METHOD": method, "REQUEST_URI": uri, "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", **more}
        return fastcgi.request(self.path, variables, body)

    def post(self, body, kind="application/json", **more):
        variables = {"REQUEST_METHOD": "POST", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost",
                     "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), **more}
        return fastcgi.request(self.path, variables, body)

    def refusal(self, *arguments, **more):
        status, headers, body = self.post(*arguments, **more)
        assert "X-Accel-Redirect" not in headers
        assert headers["Content-Type"].startswith("application/json")
        return status, json.loads(body)["error"]["code"]
