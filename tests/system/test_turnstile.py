# SPDX-License-Identifier: MIT
"""While somebody stops a model, or pauses it, nothing that comes by NGINX goes to it: neither from before a body was whole,
nor from the router's hands, nor in the moments in which it ends. A process that is held at the point in question shows it."""
import collections
import contextlib
import json
import os
import random
import subprocess
import threading
import time

import pytest

from machines import INFERENCE, MONITOR, PATIENCE, wait_until
from web import CHAT, LOADING, NGINX

SWEEP = "model-idle-sweep.service"
FOLDER = "/run/home-lab-services/turnstile"
# name: its port, and its habits.
CAST = {
    "gate": (8451, "--logs"),
    "lengthy": (8452, "--logs --answer-seconds 0.5"),
    "loader": (8453, f"--logs --lock-file {LOADING}"),
    "dying": (8454, "--logs --stop-seconds 1"),
    "leaving": (8455, f"--logs --stop-seconds 1 --lock-file {LOADING}"),
    "rival": (8456, "--logs"),
}
GROUPED = {"leaving", "rival"}  # one of them runs
IDLE_SECONDS = 0.1
REQUESTS = int(os.environ.get("TURNSTILE_REQUESTS", 40))  # of the storm
CLIENTS = int(os.environ.get("TURNSTILE_CLIENTS", 6))
ROUND_SECONDS = 4  # of a storm with sweeps: until a stop and a start are over, and the model is idle once more


@pytest.fixture
def site(web):
    """The machine of the tests of NGINX, with these models besides."""
    for name, (port, options) in CAST.items():
        web.field_model(name, port, options, 'GROUP="pair"\n' if name in GROUPED else "")
    web.update()
    wait_until(lambda: web.routes(*CAST), PATIENCE, "NGINX knows the models")
    web.began = web.mark()
    return web


def use(site, name="gate"):
    assert site.ask("GET", f"/{name}/x").status == 200


def is_in(site, state, name):
    return site.properties(f"model@{name}.service", "ActiveState")["ActiveState"] == state


def was_read(site, name="gate"):
    """How often the model's processes have read each POST since the test began, by its path."""
    site.sh("journalctl --sync")
    lines = site.journal("--after-cursor", site.began, f"--unit=model@{name}.service").splitlines()
    return collections.Counter(line.split()[1] for line in lines if line.startswith("POST "))


@contextlib.contextmanager
def raised(site, name="gate"):
    """As its owner raises it; yields how to kill him. A lock of flock(1) is the same."""
    file = f"{FOLDER}/{name}"
    site.sh(f"setsid runuser -u home-lab-services -- flock --shared {file} sleep 1000 >/dev/null 2>&1 & echo $! >/run/owner")
    wait_until(lambda: site.run(["flock", "--nonblock", file, "true"]).returncode == 1, PATIENCE, "it is held")

    def die():
        site.run("pkill -KILL --session $(cat /run/owner)")
    try:
        yield die
    finally:
        die()


def is_up(site, name="gate"):
    return site.path(f"{FOLDER}/{name}").exists()


# ---- a request that comes while it is up ----

def test_requests_wait_with_their_bodies_and_go_on_when_its_owner_has_died(site):
    use(site)
    large = "x" * 3_000_000
    with raised(site) as die:
        held = [site.hold("/gate/direct", json.dumps({"text": large})),
                site.hold(CHAT, json.dumps({"model": "gate", "messages": [], "text": large})),
                site.hold("/gate/page", headers={"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{NGINX}"}),
                site.hold("/gate/get", b"", "GET")]
        site.wait_for_waiting(len(held))
        assert not was_read(site) and not any(each.done() for each in held)
        look = site.ask("GET", "/gate/health")  # who only looks is told, and does not wait
        assert (look.status, look["error"]["code"]) == (503, "model_paused"), look
        die()
        answers = [each.answer() for each in held]
    assert [answer.status for answer in answers] == [200] * len(held), answers
    assert [answer["length"] > len(large) for answer in answers] == [True, True, False, False]
    assert not is_up(site)
    assert was_read(site) == {"/direct": 1, CHAT: 1, "/page": 1}


def test_it_opens_within_a_second_of_its_owners_death(site):
    """The best of three counts: a slow machine is no slow turnstile."""
    use(site)

    def opened_after():
        with raised(site) as die:
            held = site.hold("/gate/get", b"", "GET")
            site.wait_for_waiting(1)
            die()
            died = time.monotonic()
            assert held.answer().status == 200
            return time.monotonic() - died
    assert any(opened_after() < 1 for _ in range(3))


def test_one_that_was_left_is_removed_by_the_next_request(site):
    """Nobody waited when its owner died."""
    with raised(site) as die:
        die()
        assert is_up(site)
        assert site.post("/gate/x", {}).status == 200
    assert not is_up(site)


# ---- a request that was on its way when it was raised ----

def test_a_body_that_comes_slowly_is_asked_about_when_it_is_whole(site):
    use(site)
    before = site.last_used("gate")
    with contextlib.closing(site.connect(NGINX, timeout=PATIENCE)) as client:
        client.sendall(b"POST /gate/late HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       b"Content-Length: 4\r\nConnection: close\r\n\r\n{}")
        wait_until(lambda: site.last_used("gate") != before, PATIENCE, "NGINX has taken it up, and has told so")
        with raised(site):
            client.sendall(b"  ")
            site.wait_for_waiting(1)
            site.sh("systemctl stop model@gate.service")
            assert not was_read(site)
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert was_read(site) == {"/late": 1}


def test_a_request_is_not_handed_on_to_a_model_that_is_stopped_before_it(site):
    """It waited for the model, and that was ready; in this moment somebody else makes room."""
    site.put(LOADING, "")
    held = site.hold("/loader/first")
    site.wait_for_waiting(1)
    wait_until(lambda: site.runs("loader"), PATIENCE, "it loads")
    with raised(site, "loader"):
        site.path(LOADING).unlink()
        wait_until(lambda: site.path("/run/home-lab-services/ready/loader").exists(), PATIENCE, "the router knows that it is ready")
        site.wait_for_waiting(1)  # it was handed on, and is back
        site.sh("systemctl stop model@loader.service")
    assert held.answer().status == 200
    assert was_read(site, "loader") == {"/first": 1} and len(site.seen(CAST["loader"][0], "/first")) == 1  # by the fresh start


@pytest.mark.parametrize("way", ["sweep", "drain", "eviction"])
def test_nothing_goes_into_a_dying_model(site, way):
    """It takes requests for a second after it was told to end, and answers none of them."""
    name = "leaving" if way == "eviction" else "dying"
    use(site, name)
    with {"sweep": idle_at_once, "drain": contextlib.nullcontext, "eviction": leaves_at_once}[way](*[site] * (way != "drain")):
        time.sleep(IDLE_SECONDS * 2)  # it is to be idle
        site.sh({"sweep": ["systemctl", "start", "--no-block", SWEEP],
                 "drain": f"setsid curl -sX POST 'http://127.0.0.1:{INFERENCE}/models/dying/stop?drain=60' >/dev/null 2>&1 &",
                 "eviction": f"setsid curl -sX POST http://127.0.0.1:{NGINX}/rival/x >/dev/null 2>&1 &"}[way])
        wait_until(lambda: is_in(site, "deactivating", name), PATIENCE, "it is told to stop")
        held = [site.hold(f"/{name}/direct"), site.hold(CHAT, json.dumps({"model": name, "messages": []}))]
        answers = [each.answer() for each in held]
    assert [answer.status for answer in answers] == [200, 200], answers
    assert was_read(site, name) == {"/direct": 1, CHAT: 1}


@contextlib.contextmanager
def one_worker(site):
    """Of several workers of NGINX each watches its listeners anew now and then, which would be counted."""
    def use_as_many_as(number):
        before = site.nginx_workers()
        site.sh(f"sed -i 's/^worker_processes .*/worker_processes {number};/' /etc/nginx/nginx.conf; systemctl reload nginx")
        wait_until(lambda: site.nginx_workers() and not before & site.nginx_workers(), PATIENCE, "NGINX has other workers")
    use_as_many_as(1)
    try:
        yield
    finally:
        use_as_many_as("auto")


@contextlib.contextmanager
def held_before_it_connects(site):
    """NGINX between its look at the turnstile and the connection to the model, for as long as this lasts. What its worker
    watches first is the client's connection, and then what it has for the model."""
    with one_worker(site):
        worker = subprocess.run(["pgrep", "--ns", str(site.leader), "--nslist", "pid", "--full", "nginx: worker process$"],
                                capture_output=True, text=True, check=True).stdout.strip()
        with subprocess.Popen(["strace", "--trace=epoll_ctl", "--inject=epoll_ctl:delay_enter=60s:when=2", "--attach", worker],
                              stderr=subprocess.PIPE, text=True) as strace:
            try:
                assert " attached" in strace.stderr.readline()
                yield
            finally:
                strace.terminate()  # which lets it go on


@pytest.mark.parametrize("way, name", [("sweep", "gate"), ("drain", "gate"), ("drain", "dying")])
def test_what_passed_the_turnstile_long_before_it_connects_is_answered(site, way, name):
    """Longer before than whoever raises it waits for such. The sweep knows that the request has begun. After a drain the model
    has ended, or is ending, and if it reads the request then, the next start does so, too: that one answers."""
    use(site, name)
    before = site.last_used(name)
    with held_before_it_connects(site):
        held = site.hold(f"/{name}/direct")
        wait_until(lambda: site.last_used(name) != before, PATIENCE, "it has begun")
        time.sleep(0.1)  # it is at its connection
        if way == "sweep":
            site.config(monitoring={"idle_threshold_minutes": 1})
            site.sh(["systemctl", "start", SWEEP])
            site.path("/etc/home-lab-services/config.json").unlink()
        else:
            site.sh(f"setsid curl -sX POST 'http://127.0.0.1:{INFERENCE}/models/{name}/stop?drain=60' >/dev/null 2>&1 &")
            wait_until(lambda: not is_in(site, "active", name), PATIENCE, "it is told to stop")
        assert not held.done() and not was_read(site, name)
    assert held.answer().status == 200
    assert len(site.seen(CAST[name][0], "/direct")) == 1
    assert was_read(site, name)["/direct"] == (2 if name == "dying" else 1)


def test_no_model_leaves_before_it_had_its_own_first_request(site):
    """Somebody else wants its place from the moment on in which it is started."""
    with leaves_at_once(site):
        site.put(LOADING, "")
        first = [site.hold("/leaving/direct"), site.hold(CHAT, json.dumps({"model": "leaving", "messages": []}))]
        wait_until(lambda: site.runs("leaving"), PATIENCE, "it loads")
        rival = site.hold("/rival/x")
        site.wait_for_waiting(3)
        site.path(LOADING).unlink()
        assert [each.answer().status for each in (*first, rival)] == [200, 200, 200]
    assert was_read(site, "leaving") == {"/direct": 1, CHAT: 1} and was_read(site, "rival") == {"/x": 1}


def test_without_sizes_and_groups_no_file_is_made(site):
    """There is no queue, and nobody who had to leave."""
    made = "find /run/home-lab-services/queue /run/home-lab-services/evicted ! -type d"
    before = site.sh(made)
    use(site)
    for wait in "ready", "job", "none":
        site.sh("systemctl stop model@gate.service")
        assert site.http("POST", INFERENCE, f"/models/gate/start?wait={wait}").status in (200, 202)
    assert site.sh(made) == before and not is_up(site)


# ---- who raises it ----

@contextlib.contextmanager
def idle_at_once(site):
    site.config(monitoring={"idle_threshold_minutes": IDLE_SECONDS / 60})
    try:
        yield
    finally:
        site.path("/etc/home-lab-services/config.json").unlink()


@contextlib.contextmanager
def leaves_at_once(site):
    """For another model, as soon as it has nothing to do."""
    site.config(capacity={"min_residency_seconds": 0})
    try:
        yield
    finally:
        site.path("/etc/home-lab-services/config.json").unlink()


class Load:
    """Clients that ask without a pause between two requests. Each request has a path of its own."""

    def __init__(self, site, name, pause=lambda: 0):
        self.site, self.name, self.pause = site, name, pause
        self.answers, self.over = {}, threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=[number]) for number in range(CLIENTS)]

    def ask(self, number):
        count = 0
        while not self.over.is_set():
            path = f"/{number}-{count}"
            time.sleep(self.pause())
            try:
                answer = self.site.post(f"/{self.name}{path}", {})
                self.answers[path] = 200 if answer.status == 200 else answer
            except Exception as error:
                self.answers[path] = error
            count += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def is_whole(self):
        """Each request was answered, and the model has read each once."""
        assert not {path: it for path, it in self.answers.items() if it != 200}
        assert was_read(self.site, self.name) == dict.fromkeys(self.answers, 1)
        return True


def test_a_drain_ends_however_many_ask(site):
    """Who comes meanwhile waits, and starts the model again."""
    use(site, "lengthy")
    with Load(site, "lengthy") as load:
        wait_until(lambda: len(load.answers) > CLIENTS, PATIENCE, "there is a load")
        answer = site.http("POST", INFERENCE, "/models/lengthy/stop?drain=60", timeout=PATIENCE)
        assert (answer.status, answer["cut_requests"]) == (200, 0), answer
        done = len(load.answers)
        wait_until(lambda: len(load.answers) > done + CLIENTS, PATIENCE, "and it goes on")
    assert load.is_whole()


def drain(site, load):
    stop = site.http("POST", INFERENCE, "/models/dying/stop?drain=60", timeout=PATIENCE)
    assert (stop.status, stop["cut_requests"]) == (200, 0), stop
    done = len(load.answers)
    wait_until(lambda: len(load.answers) > done, PATIENCE, "it goes on")


def sweep(site, _):
    """After a silence, in which the model has become idle."""
    time.sleep(until_round())
    site.sh(["systemctl", "start", SWEEP])


def until_round():
    return ROUND_SECONDS - time.monotonic() % ROUND_SECONDS


def until_sweep():
    """All of them come in about the same moment: in one round before the sweep looks, in another while the model dies."""
    start = until_round()
    offset = random.Random(round((time.monotonic() + start) / ROUND_SECONDS)).uniform(0, 1.2)
    return start + offset + random.uniform(0, 0.6)


PAUSES = {drain: lambda: random.uniform(0, CLIENTS / 20), sweep: until_sweep}


@pytest.mark.seconds(120 + REQUESTS)
@pytest.mark.parametrize("way, requests", [(drain, REQUESTS), (sweep, REQUESTS if REQUESTS > 1000 else 1)])
def test_a_storm_of_requests_against_one_of_stops(site, way, requests):
    """No request is cut, and none is sent twice. TURNSTILE_REQUESTS says how many there are; at the least, there is a stop."""
    random.seed(7)
    def stops():
        return site.journal("--after-cursor", site.began, "--unit=model@dying.service").count("Stopped model@dying.service")
    with idle_at_once(site), Load(site, "dying", PAUSES[way]) as load:
        while len(load.answers) < requests or not stops():
            way(site, load)
    assert load.is_whole()
    print(len(load.answers), "requests,", stops(), "stops")


# ---- a pause ----

def pause(site, query="", name="gate"):
    answer = site.http("POST", INFERENCE, f"/models/{name}/pause{query}")
    assert answer.status == 200, answer
    return answer


def paused_until(site, name="gate"):
    said = [site.http("GET", INFERENCE, f"/models/{name}")["paused_until"], site.http("GET", MONITOR, f"/models/{name}/why")["paused_until"]]
    assert [it is None for it in said] in ([True, True], [False, False]), said
    return said[0]


@pytest.mark.parametrize("end", ["pause?seconds=0", "start", "start?wait=ready"])
def test_a_pause_holds_what_is_new_and_lets_finish_what_runs(site, end):
    use(site, "lengthy")
    assert paused_until(site, "lengthy") is None
    running = site.hold("/lengthy/running")
    wait_until(lambda: was_read(site, "lengthy"), PATIENCE, "it runs")
    assert pause(site, "?seconds=600", "lengthy")["paused_until"]
    held = site.hold("/lengthy/held")
    site.wait_for_waiting(1)
    assert running.answer().status == 200
    assert paused_until(site, "lengthy") and site.runs("lengthy")
    assert site.waiting() == 1 and was_read(site, "lengthy") == {"/running": 1}
    assert site.http("POST", INFERENCE, f"/models/lengthy/{end}").status == 200
    assert held.answer().status == 200 and paused_until(site, "lengthy") is None
    assert was_read(site, "lengthy") == {"/running": 1, "/held": 1}


def test_a_pause_ends_by_itself(site):
    use(site)
    pause(site, "?seconds=1")
    site.sh("systemctl stop model@gate.service")  # which a pause does not mind
    assert site.hold("/gate/held").answer().status == 200
    assert not is_up(site) and was_read(site) == {"/held": 1}


@pytest.mark.parametrize("query", ["?seconds=601", "?seconds=-1", "?seconds=", "?minutes=1"])
def test_what_is_no_pause(site, query):
    assert site.http("POST", INFERENCE, f"/models/gate/pause{query}").status == 400
    assert site.http("POST", INFERENCE, "/models/nobody/pause").status == 404


def test_no_model_raises_one(site):
    assert site.properties("model@gate.service", "User")["User"] != "home-lab-services"
    assert site.run(["touch", f"{FOLDER}/gate"], user="nobody").returncode != 0
