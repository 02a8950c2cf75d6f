# SPDX-License-Identifier: MIT
"""sweeps.py - what the tests of the sweep of idle models have in common."""
from machines import INFERENCE

PROGRAM = "/usr/local/libexec/home-lab-services/model-idle-sweep"
SECOND = 1 / 60  # of a minute


def sweep(machine):
    machine.sh("systemctl start model-idle-sweep.service")


def start(machine, *models, query=""):
    for model in models:
        answer = machine.http("POST", INFERENCE, f"/models/{model}/start{query}")
        assert answer.status in (200, 202), answer


def thresholds(machine, idle_seconds, **monitoring):
    machine.config(monitoring={"active_threshold_minutes": 0.01, "idle_threshold_minutes": idle_seconds * SECOND} | monitoring)
