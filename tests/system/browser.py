# SPDX-License-Identifier: MIT
"""browser.py - Debian's Chromium without a screen, in a network namespace, by the DevTools protocol over a pipe.

A page is clicked and typed at as by a person: real events at the place where an element is seen. What is waited for is
asked again until it is so. https://chromedevtools.github.io/devtools-protocol/
"""
import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

from machines import PATIENCE, wait_until
from real import NotHere

PROGRAMS = ("chromium-headless-shell", "chromium")
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), " ": (32, " ")}  # codes and texts of what is no letter


def program():
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if not found:
        raise NotHere("there is no Chromium: apt-get install chromium-headless-shell")
    return found


class Refused(Exception):
    """The page that was asked has gone, for one."""


def pipe():
    """Neither end is 3 or 4."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high


class Browser:
    """One process, and the one page in it. Each request that the page makes is noted."""

    def __init__(self, network):
        self.profile = tempfile.mkdtemp(prefix="hls-browser-")
        commands, answers = pipe(), pipe()
        # 3 and 4 are where Chromium has its ends.
        self.process = subprocess.Popen(
            ["nsenter", f"--net={network.path}", "bash", "-c", f'exec "$@" 3<&{commands[0]} 4>&{answers[1]}', "bash", program(),
             "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync",
             "--hide-scrollbars", "--force-color-profile=srgb", "--lang=en-GB", f"--user-data-dir={self.profile}"],
            pass_fds=(commands[0], answers[1]), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": self.profile, "TZ": "UTC"}, start_new_session=True)
        os.close(commands[0])
        os.close(answers[1])
        self.to, self.answers = commands[1], answers[0]
        self.number, self.session, self.received = 0, None, b""
        self.requests, self.complaints = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Network", "Log":
            self.call(domain + ".enable")

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.to)
        os.close(self.answers)
        shutil.rmtree(self.profile, ignore_errors=True)

    # ---- the protocol ----

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        deadline = time.monotonic() + PATIENCE * 2
        while True:
            answer = self.next_message(deadline, method)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise Refused(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def next_message(self, deadline, what):
        while b"\0" not in self.received:
            assert select.select([self.answers], [], [], max(0, deadline - time.monotonic()))[0], f"Chromium does not answer {what}"
            piece = os.read(self.answers, 1 << 20)
            assert piece, f"Chromium has ended: {what}"
            self.received += piece
        message, self.received = self.received.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        parameters = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            request = parameters["request"]
            self.requests.append((request["method"], request["url"], request["headers"]))
        elif event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"])
        elif event["method"] == "Log.entryAdded" and parameters["entry"]["source"] != "network":
            if "Opener-Policy header has been ignored" not in parameters["entry"]["text"]:  # as without TLS, elsewhere
                self.complaints.append(parameters["entry"])

    # ---- what is there ----

    def js(self, text):
        """The value of an expression in the page, or of a promise."""
        got = self.call("Runtime.evaluate", expression=text, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, (text, got["exceptionDetails"])
        return got["result"].get("value")

    def until(self, text, what=None):
        def so():
            with contextlib.suppress(Refused):  # a page may come in its place, meanwhile
                return self.js(text)
        return wait_until(so, PATIENCE, what or text)

    def text(self, selector):
        """What is seen of an element; "" where there is none."""
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def says(self, selector, words):
        text = f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(words)})"
        self.until(text, f"{selector} says {words}")

    # ---- what a person does ----

    def open(self, url, width=1280, height=900, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url=url)
        self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def picture(self, file):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        file.write_bytes(base64.b64decode(shot["data"]))

    def click(self, selector, twice=False):
        x, y = self.js(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{ block: "center", behavior: "instant" }});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for count in range(1, 3 if twice else 2):
            for kind in "mousePressed", "mouseReleased":
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)

    def press(self, key, shift=False):
        code, text = KEYS[key]
        for kind in "keyDown", "keyUp":
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=8 if shift else 0,
                      **({"text": text} if text and kind == "keyDown" else {}))

    def type(self, text):
        self.call("Input.insertText", text=text)

    def tab_to(self, selector, presses=60):
        """By the keyboard alone."""
        for _ in range(presses):
            if self.js(f"document.activeElement?.matches({json.dumps(selector)}) ?? false"):
                return
            self.press("Tab")
        raise AssertionError(f"Tab does not come to {selector}: it is at {self.js('document.activeElement.outerHTML')}")


@contextlib.contextmanager
def browser_in(network):
    browser = Browser(network)
    try:
        yield browser
    finally:
        browser.close()
