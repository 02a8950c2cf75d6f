# SPDX-License-Identifier: MIT
"""storms.py - whatever may happen to models that do not all fit, at random and at once, and what holds all the while.

One seed is one list of events. Whoever asks must be served, or told the truth, however many of us are killed meanwhile."""
import collections
import contextlib
import hashlib
import http.client
import json
import random
import re
import threading
import time

from machines import DEMO_MODEL, INFERENCE, MODELS, PATIENCE
from web import CHAT

CARD, CARD_MIB, MIB = "/srv/card", 23, 1024 * 1024
QUEUE, TURNSTILES = "/run/home-lab-services/queue", "/run/home-lab-services/turnstile"
CAST = {"s0": (8460, 5), "s1": (8461, 7), "s2": (8462, 8), "s3": (8463, 9), "s4": (8464, 10), "s5": (8465, 12)}
GUEST = 8466  # a model that comes and goes, and needs nothing
KILL_ROUTER = "systemctl kill --kill-whom=main --signal=KILL model-router.service"
DEEDS = {
    "start_by_hand": "systemctl start --no-block model@{name}.service",
    "stop_by_hand": "systemctl stop model@{name}.service",
    "sweep": "systemctl start model-idle-sweep.service",
    "restart_router": "systemctl restart model-router.service",
    "restart_services": "systemctl restart inference-service.service model-monitor-service.service",
    "restart_all": "systemctl restart home-lab-services.service",
    "reload_nginx": "systemctl reload nginx.service",
    "kill_router": KILL_ROUTER,
}
# How often each comes, of 100.
KINDS = {"by_body": 22, "by_path": 22, "by_start": 10, "directly": 10, "start_by_hand": 6, "stop_by_hand": 4, "sweep": 6, "resize": 4, "guest": 3,
         "restart_router": 2, "restart_services": 2, "restart_all": 1, "reload_nginx": 3, "kill_router": 1, "kill_evicting": 4}
OURS_ENDS = {"restart_router", "restart_services", "restart_all", "kill_router", "kill_evicting"}
STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"  # systemd's, of a unit
MOMENT_SECONDS = 1  # in which a stop is decided and carried out; who asks directly is answered in more
CUT_SECONDS = 3  # after such a stop
LAG_SECONDS = 10  # in which what was ended is up again
Event = collections.namedtuple("Event", "pause kind name dice")


def events_of(seed, count, pause):
    dice = random.Random(seed)
    return [Event(dice.uniform(0, 2 * pause), dice.choices(list(KINDS), KINDS.values())[0], dice.choice(list(CAST)), dice.random())
            for _ in range(count)]


def model_file(name, dice=0):
    """What it needs, or a little more: then it has what it needs all the same."""
    port, mebibytes = CAST[name]
    command = f"{DEMO_MODEL} --name {name} --port {port} --load-seconds 0 --card {CARD} --card-bytes {mebibytes * MIB}"
    return f'PORT="{port}"\nCOMMAND="{command}"\nGPU_MEMORY="{mebibytes + (dice > 0.5)}M"\n'


class Doer(threading.Thread):
    """One event on its way, and what became of it."""

    def __init__(self, storm, event):
        super().__init__(daemon=True)
        self.storm, self.site, self.event, self.name = storm, storm.site, event, event.name
        self.began, self.how, self.ended, self.said = time.monotonic(), None, None, ""
        self.start()

    def run(self):
        try:
            self.how = getattr(self, self.event.kind, self.deed)()
        except (OSError, EOFError, http.client.HTTPException) as error:
            self.how = f"cut: {error!r}"
        except Exception as error:
            self.how = f"{type(error).__name__}: {error}"
        self.ended = time.monotonic()

    def __repr__(self):
        return f"{self.event.kind} {self.name} at {self.began - self.storm.began:.2f} for " \
               f"{(self.ended or time.monotonic()) - self.began:.2f} s: {self.how} {self.said}"

    # ---- who asks ----

    def judge(self, answer, error):
        if answer.status in (200, 202):
            return "served"
        code = error.get("code")
        if answer.status == 503 and int(answer.headers["Retry-After"]) > 0:
            if code == "no_capacity":
                self.said = error["message"]
                return "told"
            if code in ("router_unavailable", "service_unavailable", "router_restarted"):
                return "ours was gone"
        if code in ("model_ended", "job_canceled", "start_failed"):
            return f"cut: {answer}"
        return repr(answer)

    def by_body(self):
        body = {"model": self.name, "max_tokens": int(1 + self.event.dice * 39)}
        answer = self.site.post(CHAT, body, timeout=100)
        return self.judge(answer, answer.json.get("error", {}))

    def by_path(self):
        body = {"model": self.name, "stream": True, "max_tokens": int(1 + self.event.dice * 39), "token_interval_ms": 30}
        answer = self.site.post(f"/{self.name}{CHAT}", body, timeout=100)
        if answer.status == 200:
            return "served" if answer.body.rstrip().endswith(b"[DONE]") else f"cut: {answer.body[-80:]}"
        return self.judge(answer, answer.json.get("error", {}))

    def by_start(self):
        try:
            answer = self.site.http("POST", INFERENCE, f"/models/{self.name}/start?wait=ready", timeout=100)
        except ConnectionRefusedError:
            return "ours was gone"
        return self.judge(answer, answer.json)

    def directly(self):
        """To its port, if it is there."""
        try:
            answer = self.site.http("POST", CAST[self.name][0], CHAT, {"max_tokens": int(60 + self.event.dice * 40)}, timeout=100)
        except ConnectionRefusedError:
            return "was not there"
        return "served" if answer.status in (200, 503) else repr(answer)

    # ---- who does something ----

    def deed(self):
        self.site.run(DEEDS[self.event.kind].format(name=self.name))  # what is not there cannot be killed
        return "done"

    def resize(self):
        self.site.put(f"{MODELS}/{self.name}", model_file(self.name, self.event.dice))
        return "done"

    def guest(self):
        if self.event.dice > 0.5:
            self.site.model("guest", GUEST)
        else:
            self.site.path(f"{MODELS}/guest").unlink(missing_ok=True)
        return "done"

    def kill_evicting(self):
        """As soon as a turnstile is up: before the stop, or in the middle of it."""
        while self.storm.goes_on():
            if any(self.site.path(TURNSTILES).iterdir()):
                time.sleep(self.event.dice * 0.2)
                self.began = time.monotonic()  # the router was there until now
                self.site.run(KILL_ROUTER)
                return "done"
            time.sleep(0.01)
        return "done"


class Storm:
    def __init__(self, site, seed, count, queue, residency, pause=0.25):
        self.site, self.queue, self.residency = site, queue, residency
        self.events = events_of(seed, count, pause)
        self.doers, self.problems, self.began = [], [], time.monotonic()
        digest = hashlib.sha256(repr(self.events).encode()).hexdigest()[:12]
        print(f"STORM_SEED={seed} STORM_EVENTS={count}: {digest}")

    def run(self):
        over = threading.Event()
        watcher = threading.Thread(target=self.watch, args=[over], daemon=True)
        watcher.start()
        for event in self.events:
            time.sleep(event.pause)
            self.doers.append(Doer(self, event))
        for doer in self.doers:
            doer.join(self.queue + 3 * PATIENCE)  # who waits for longer has not ended
        over.set()
        watcher.join()

    def watch(self, over):
        """Nobody stands in the queue for longer than he waits, loads and is answered."""
        while not over.wait(0.05):
            for ticket in self.site.path(QUEUE).iterdir():
                with contextlib.suppress(ValueError):
                    age = time.monotonic() - int(ticket.name.split("-")[0]) / 1e6
                    if age > self.queue + PATIENCE:
                        self.problems.append(f"{ticket.name} waits for {age:.0f} s")

    def goes_on(self):
        """Whether somebody may have to leave still."""
        return len(self.doers) < len(self.events) or any(doer.ended is None for doer in self.asked())

    def asked(self):
        return [doer for doer in self.doers if doer.event.kind in ("by_body", "by_path", "by_start", "directly")]

    def happened(self, kinds, doer, lag=0, name=None):
        """Whether something like that was done while somebody was asking."""
        return any(other.event.kind in kinds and name in (None, other.name) and other.began <= doer.ended and
                   doer.began <= (other.ended or other.began) + lag for other in self.doers)

    def is_right(self, doer):
        if doer.how == "told":
            return self.is_true(doer)
        if doer.how == "ours was gone":
            return self.happened(OURS_ENDS, doer, LAG_SECONDS)
        return self.may_be_cut(doer) if str(doer.how).startswith("cut") else doer.how in ("served", "was not there")

    def may_be_cut(self, doer):
        if doer.event.kind == "by_start" and self.happened({"restart_services", "restart_all"}, doer):
            return True  # the service was restarted itself
        if doer.event.kind == "directly" and doer.ended - doer.began < MOMENT_SECONDS:
            return True  # nobody holds up who comes past NGINX, between the last look and the stop
        if doer.how.startswith(("cut: 503", "cut: 409")):  # it was told that its start was called off
            return self.happened({"stop_by_hand"}, doer, 1, doer.name)
        return any(stop.event.kind == "stop_by_hand" and stop.name == doer.name and stop.began <= doer.ended <= stop.ended + CUT_SECONDS
                   for stop in self.doers if stop.ended)  # by somebody who may cut what he likes

    def is_true(self, doer):
        """The numbers are those of the files, as many as fit beside each other, and too many with the one more."""
        found = re.match(r"gpu 0 has 23 MiB(.*); (\S+) needs (\d+) MiB(; s. came first and waits, too)?$", doer.said)
        if not found:
            return bool(re.match(r"s. came first and waits, too|there was no room for s. when it was to start", doer.said))
        holders = [(name, int(size), state) for name, size, state in re.findall(r"(s.) \((\d+) MiB(.*?)\)", found[1])]
        used = sum(size for _, size, state in holders if "at the gate" not in state)
        is_size = all(size - CAST[name][1] in (0, 1) for name, size, _ in [*holders, (doer.name, int(found[3]), "")])
        is_full = sum(size for _, size, _ in holders) + int(found[3]) > CARD_MIB
        return found[2] == doer.name and is_size and used <= CARD_MIB + len(holders) and (is_full or found[4])

    def judge(self, mark):
        """What was wrong."""
        wrong = [repr(doer) for doer in self.doers if doer.ended is None or
                 not (self.is_right(doer) if doer in self.asked() else doer.how == "done")]
        late = [repr(doer) for doer in self.asked() if doer.ended and doer.ended - doer.began > self.queue + PATIENCE]
        entries = [json.loads(line) for line in self.site.sh(
            ["journalctl", "--quiet", "--no-pager", "--output=json", "--after-cursor", mark]).splitlines()]
        return wrong + late + self.problems + self.deaths(entries) + self.thrashing(entries)

    @staticmethod
    def deaths(entries):
        return [f"out of memory: {entry.get('_SYSTEMD_UNIT')}" for entry in entries if "out of memory" in str(entry.get("MESSAGE"))]

    @staticmethod
    def sent_at(entry):
        return int(entry.get("_SOURCE_REALTIME_TIMESTAMP", entry["__REALTIME_TIMESTAMP"])) / 1e6

    def thrashing(self, entries):
        """No model leaves for another one before its time."""
        found, since = [], {}
        for entry in entries:
            if entry.get("MESSAGE_ID") == STARTING:
                since[entry.get("UNIT")] = self.sent_at(entry)
            model = entry.get("HL_MODEL")
            if str(entry.get("MESSAGE")).startswith("stopping ") and f"model@{model}.service" in since:
                age = self.sent_at(entry) - since[f"model@{model}.service"]
                if age < self.residency - 0.1:
                    found.append(f"{model} left after {age:.3f} s: {entry['MESSAGE']}")
        return found

    def tally(self):
        return dict(collections.Counter(f"{doer.event.kind} {str(doer.how)[:13]}" for doer in self.doers))
