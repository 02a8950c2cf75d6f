# SPDX-License-Identifier: MIT
"""flask_app.py - three answers as services in Flask have them: files are read and systemctl is asked for each of them."""
import pathlib
import re
import subprocess
import time

import flask

MODELS = pathlib.Path("/etc/home-lab-services/models")
app = flask.Flask(__name__)
began = time.time()


def models():
    for file in sorted(MODELS.iterdir()):
        port = re.search(r'^PORT="?(\d+)', file.read_text(), re.MULTILINE)
        yield {"model_name": file.name, "file_path": str(file), "port": int(port[1]) if port else None,
               "unit": f"model@{file.name}.service"}


def runs(unit):
    return subprocess.run(["systemctl", "is-active", "--quiet", unit]).returncode == 0


@app.get("/health")
def health():
    return {"status": "ok"}


@app.get("/models")
def list_models():
    return {"models": list(models())}


@app.get("/models/running")
def running():
    return {"running_models": [model["model_name"] for model in models() if runs(model["unit"])]}


@app.get("/models/activity")
def activity():
    return {"models": [{"model_name": model["model_name"], "running": runs(model["unit"]),
                        "idle_minutes": (time.time() - began) / 60} for model in models()]}
