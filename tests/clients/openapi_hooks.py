# SPDX-License-Identifier: MIT
"""openapi_hooks.py - what schemathesis cannot know from a description, because JSON Schema cannot say it.

MODEL is the name of one that there is: every third request is for it.
"""
import datetime
import os
import re
import zlib

import schemathesis

MODEL = os.environ["MODEL"]
TEXT_MAX = 255  # of "at"
NUMBER = r"[ \t\n\r]*[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?[ \t\n\r]*"


def known(name):
    """Every third name becomes that one; always the same, and none that is too long."""
    return MODEL if len(name) <= 128 and zlib.crc32(name.encode(errors="replace")) % 3 == 0 else name


@schemathesis.hook
def before_call(context, case, kwargs):
    model = (case.path_parameters or {}).get("model")
    if isinstance(model, str) and model[:1].isalnum():
        case.path_parameters["model"] = known(model)
    if (case.query or {}).get("follow") == "true":  # which goes on for an hour
        case.query["follow"] = "false"
    if isinstance(case.body, dict):
        change(case.body)


def change(body):
    at, message, minutes, model = body.get("at"), body.get("message"), body.get("minutes"), body.get("model")
    if isinstance(at, str) and len(at) <= TEXT_MAX:  # it lies ahead, and within a year
        body["at"] = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat(timespec="seconds")
    if isinstance(message, str) and len(message) <= 200:  # which are bytes
        body["message"] = message.encode("ascii", errors="ignore").decode()
    if isinstance(minutes, str) and re.fullmatch(NUMBER, minutes):  # whose bounds are a number's
        body["minutes"] = "30"
    if isinstance(model, str):
        body["model"] = known(model)
