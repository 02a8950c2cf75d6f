# SPDX-License-Identifier: MIT
"""The page at / of the site, in a real browser: what it shows, what can be done on it, and what it leaves alone."""
import contextlib
import json
import re
import time

import pytest

import real
from browser import browser_in, program
from followers import Follower
from machines import ETC, MODELS, PATIENCE, SOURCE, on_trixie_alone, wait_until
from neighbours import HERE, neighbour_of, wait_until_reached
from web import NGINX

LOCAL = f"http://127.0.0.1:{NGINX}/"
AWAY = f"http://{HERE}:{NGINX}/"
SITE = "/etc/nginx/sites-enabled/zz-neighbours"  # read behind ours
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGE_BYTES_MAX = 60_000
ROW = "document.querySelectorAll('.model')"
FOCUSED = "document.activeElement.getAttribute('aria-label')"
PLACES = "/run/home-lab-services/limits/model-monitor-service/follower-"
DIALOG = "document.getElementById('token-dialog').open"
LEAVER = """#!/usr/bin/python3
import http.server, os, sys
class Leaver(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            os._exit(1)
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Leaver).serve_forever()
"""
NASTY = "<img src=x onerror=document.title=1><b>bold</b>"


@pytest.fixture(scope="module")
def office(web):
    """The machine's site also has an address that a neighbour reaches."""
    with neighbour_of(web) as web.neighbour:
        web.put(SITE, f"server {{ listen {HERE}:{NGINX}; include home-lab-services/server.conf; }}\n")
        web.sh("systemctl reload nginx")
        wait_until_reached(web, NGINX)
        yield web
        web.sh(f"rm {SITE} && systemctl reload nginx")


def launch(network):
    try:
        program()
    except real.NotHere as reason:
        pytest.skip(f"the page in a browser is NOT TESTED: {reason}")
    return browser_in(network)


@pytest.fixture(scope="module")
def here(web):
    with launch(web.network) as browser:
        yield browser


@pytest.fixture(scope="module")
def away(office):
    with launch(office.neighbour) as browser:
        yield browser


@pytest.fixture(scope="module")
def axe():
    try:
        return (real.npm() / "node_modules/axe-core/axe.min.js").read_text()
    except real.NotHere as reason:
        pytest.skip(f"whether everybody can use the page is NOT TESTED: {reason}")


@pytest.fixture
def token(office):
    yield office.sh("home-lab-services token add page --scope power").strip()
    office.sh(f"rm {ETC}/tokens")


def row(name, inside=""):
    """A selector for a model's row; its link and its button say the model's name."""
    return f".model:has([aria-label='Log of {name}']) {inside}".strip()


def see(browser, url=LOCAL, **options):
    browser.open(url, **options)
    browser.until(f"{ROW}.length > 0", "the models are shown")


def see_with(browser, token):
    """From elsewhere: the token is asked for, and typed."""
    browser.open(AWAY)
    browser.until(DIALOG, "the page asks for a token")
    assert "home-lab-services token add" in browser.text("#token-dialog")
    browser.type(token)
    browser.press("Enter")
    browser.until(f"{ROW}.length > 0", "the models are shown")


# ---- what is served, and to whom ----

@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/event-stream"])
def test_who_asks_for_no_page_is_told_what_there_is(web, accept):
    answer = web.ask("GET", "/", headers={"Accept": accept} if accept else {})
    assert answer.status == 404 and answer["code"] == "not_found", answer


def test_a_browser_gets_the_page(web):
    answer = web.ask("GET", "/", headers=HTML)
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert web.ask("HEAD", "/?a=b", headers=HTML).status == 200
    assert answer.headers["Vary"] == "Accept" and answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert web.ask("POST", "/", "x", headers=HTML)["code"] == "method_not_allowed"
    files = [file for file in (web.path(SOURCE) / "nginx/www").iterdir()]
    assert sum(file.stat().st_size for file in files) < PAGE_BYTES_MAX
    for file in files:
        assert web.path(f"/usr/local/share/home-lab-services/www/{file.name}").read_bytes() == file.read_bytes()
        got = web.ask("GET", f"/-/home-lab/{file.name}")
        if file.suffix == ".html":
            assert got.status == 404
        else:
            assert got.status == 200 and got.body == file.read_bytes() and "Content-Security-Policy" in got.headers
    for path in "/-", "/-/", "/-/home-lab/nothing.js", "/-/home-lab/wait", "/-/home-lab/wait-page", "/-/home-lab/x/../index.html":
        assert web.ask("GET", path, headers=HTML).status in (400, 404), path


@pytest.mark.parametrize("host, source", [("127.0.0.1:8080", "http://127.0.0.1:8080/-/home-lab/"), ("localhost", "http://localhost/-/home-lab/"),
                                          ("[::1]:8080", "'self'")])
def test_only_its_own_files_are_a_part_of_it(web, host, source):
    policy, frames = web.ask("GET", "/", headers=HTML | {"Host": host}).headers.get_all("Content-Security-Policy")
    assert policy.startswith(f"default-src 'none'; script-src {source}; style-src {source};"), policy
    assert "unsafe" not in policy and frames == "frame-ancestors 'none'"


# ---- how it looks ----

@on_trixie_alone
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everybody_can_read_it(web, here, axe, width, dark):
    """axe-core finds nothing, in all that can be opened, and nothing is wider than the screen."""
    web.config(capacity={"gpus": {"0": "24G"}})
    web.model("quick", 8311, extra='GPU_MEMORY="20G"\n')
    web.model("broad", 8349, extra='GPU_MEMORY="8G"\n')
    web.post("/api/inference/models/stillborn/start", None)
    web.post("/api/inference/models/quick/start?wait=ready", None)
    web.post("/api/shutdown/shutdown", {"scheduled": True, "minutes": 600})
    waits = web.hold("/api/inference/models/broad/start", None)
    try:
        here.call("Page.setBypassCSP", enabled=True)  # for axe-core, which makes elements from text
        see(here, width=width, dark=dark)
        here.says(row("quick", ".word"), "Ready")
        here.says(row("stillborn", ".word"), "Failed")
        here.says("#waiting", "broad waits for room")
        here.js("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        here.says(row("quick", ".log"), "quick")
        here.until(f"document.querySelectorAll(`{row('quick', '.ran')}`).length > 0", "its bar")
        assert here.js("document.documentElement.scrollWidth") == width
        for step in "", "document.getElementById('token').click()":
            here.js(step)
            found = here.js(f"""{axe}; axe.run(document, {{ resultTypes: ["violations", "incomplete"] }}).then((got) =>
                got.violations.map((each) => [each.id, each.nodes.map((node) => node.html + node.failureSummary)]))""")
            assert found == [], json.dumps(found, indent=1)
    finally:
        waits.leave()
        here.call("Page.setBypassCSP", enabled=False)
        web.http("POST", 5001, "/shutdown/cancel")


# ---- what it shows and does ----

def test_by_clicking_from_another_machine(office, away, token):
    away.requests.clear()
    see_with(away, token)
    away.says("#uptime", "Up since")
    assert away.text("#host") == office.name
    away.says(row("quick", ".word"), "Stopped")
    models = office.http("GET", 5002, "/models").json["models"]
    away.until(f"{ROW}.length === {len(models)}", "no row goes any more, and moves the others")
    away.click(row("quick", ".act"))
    away.says(row("quick", ".word"), "Ready")
    assert office.runs("quick")
    away.says(row("quick"), "Idle 0 of 30 min")
    assert away.js(f"document.querySelector(`{row('quick', '.open')}`).href") == AWAY + "quick/"
    away.click(row("quick", "summary"))
    away.says(row("quick", ".log"), "Started model@quick.service")
    away.says(row("quick", ".why"), "not longer than")
    away.click(row("quick", ".act"))
    away.says(row("quick", ".word"), "Stopped")
    assert not office.runs("quick")

    away.click("#shutdown-button", twice=True)  # by who is used to it: the second one would cancel
    away.says("#scheduled", "Power off")
    action, at = office.scheduled()
    assert action == "poweroff" and 29 * 60 < at / 1e6 - time.time() <= 30 * 60
    assert re.fullmatch(r"in 0:(29|30):\d\d", away.text("#left")), away.text("#left")
    away.click("#shutdown-button")
    away.says("#unscheduled", "No shutdown is scheduled.")
    assert office.scheduled() is None

    kept = away.js("[sessionStorage.length, localStorage.length, document.cookie, location.href]")
    assert kept == [0, 0, "", AWAY]
    assert {url for _, url, _ in away.requests if not url.startswith(AWAY)} == set()
    assert not [url for _, url, _ in away.requests if not re.match(r"/(-/home-lab/|api/|$)", url.removeprefix(AWAY[:-1]))]
    assert away.complaints == []


def test_by_the_keyboard_alone(office, away, token):
    see_with(away, token)
    away.tab_to("#minutes")
    away.type("45")
    away.tab_to("#shutdown-button")
    away.press(" ")
    away.says("#left", "in 0:4")
    away.press("Enter")  # the same button
    away.says("#unscheduled", "No shutdown is scheduled.")
    away.tab_to("[aria-label='Start quick']")
    away.press("Enter")
    away.says(row("quick", ".word"), "Ready")
    assert away.js(FOCUSED) == "Stop quick"
    assert away.text("#news") == "quick: Ready"
    away.tab_to(row("quick", "summary"))
    away.press("Enter")
    away.says(row("quick", ".log"), "Started model@quick.service")
    for _ in range(60):
        if away.js(FOCUSED) == "Stop quick":
            break
        away.press("Tab", shift=True)
    away.press(" ")
    away.says(row("quick", ".word"), "Stopped")
    assert not office.runs("quick")


def test_a_token_that_is_none_or_too_small_is_told_so(office, away):
    reader = office.sh("home-lab-services token add page-reader --scope read").strip()
    try:
        away.open(AWAY)
        away.until(DIALOG, "the page asks for a token")
        away.type("hls_" + "0" * 64)
        away.press("Enter")
        away.says("#token-why", "not known")
        away.type(reader)
        away.click("#token-take")
        away.says(row("quick", ".word"), "Stopped")
        away.click(row("quick", ".act"))
        away.says("#token-why", "control")
        away.press("Escape")
        away.says(row("quick", ".error"), "control")
        assert not away.js(DIALOG) and not office.runs("quick")
    finally:
        office.sh(f"rm {ETC}/tokens")


def test_a_change_wants_a_token_on_this_machine_too(web, here):
    """Looks do not. Models' pages have the same origin, and are trusted as little."""
    see(here)
    here.click(row("quick", ".act"))
    here.says("#token-why", "models have pages of the same origin")
    here.type(web.sh("home-lab-services token add page-here --scope control").strip())
    here.press("Enter")
    try:
        here.says(row("quick", ".word"), "Ready")
    finally:
        web.sh(f"rm {ETC}/tokens")


@on_trixie_alone
def test_a_request_in_flight_may_finish(office, away, token):
    see_with(away, token)
    office.post("/api/inference/models/quick/start?wait=ready", None)
    with contextlib.closing(office.open(8311)) as connection:  # the model's own port
        connection.request("POST", "/v1/completions", json.dumps({"stream": True, "max_tokens": 2000, "token_interval_ms": 100}))
        assert connection.getresponse().readline()
        away.says(row("quick"), "1 request in flight")
        away.click(row("quick", ".act"))
        away.says(row("quick", ".usage"), "may end")
        assert away.text(row("quick", ".act")) == "Stop now" and office.runs("quick")
        away.click(row("quick", ".act"))
        away.says(row("quick", ".word"), "Stopped")


def test_why_a_model_failed(web, here):
    web.post("/api/inference/models/stillborn/start", None)
    see(here)
    here.says(row("stillborn", ".word"), "Failed")
    here.says(row("stillborn", ".cause"), "failing at the start")
    here.until(f"document.querySelector(`{row('stillborn', '.day svg')}`).getAttribute('aria-label').includes('failed ')")
    here.until(f"document.querySelectorAll(`{row('stillborn', '.fell')}`).length > 0")


def test_what_a_model_takes_and_when_it_ran(web, here):
    web.post("/api/inference/models/quick/start?wait=ready", None)
    see(here)
    is_known = web.http("GET", 5002, "/models/quick")["memory_bytes"] is not None  # not in each machine
    shown = r"/^Idle .* min · [0-9]+ MB · Loads in [0-9]+ s$/" if is_known else "/^Idle .* min · Loads in [0-9]+ s$/"
    here.until(f"{shown}.test(document.querySelector(`{row('quick', '.usage')}`).innerText)", "its memory is shown")
    here.until(f"document.querySelectorAll(`{row('quick', '.ran')}`).length > 0", "its bar")
    assert "quick ran for " in here.js(f"document.querySelector(`{row('quick', '.day svg')}`).getAttribute('aria-label')")
    assert here.complaints == []


def test_what_a_model_says_is_text(web, here):
    """Its log and its cause; its name can have nothing of the kind."""
    web.put("/usr/local/libexec/nasty", f"#!/bin/sh\necho 'error: {NASTY}' >&2\nexit 1\n", 0o755)
    web.model("nasty", 8329, command="/usr/local/libexec/nasty")
    web.post("/api/inference/models/nasty/start", None)
    here.complaints.clear()
    see(here)
    here.says(row("nasty", ".cause"), NASTY)
    here.js(f"document.querySelector(`{row('nasty', 'details')}`).open = true")
    here.says(row("nasty", ".log"), NASTY)
    assert here.js("document.querySelectorAll('main img, main b').length") == 0
    assert here.complaints == []


# ---- a model that does not run ----

def test_a_browser_sees_a_cold_model_start_and_then_its_page(web, here):
    web.sh("install -o home-lab-services -d /var/lib/home-lab-services/load && touch --date=@2.5 /var/lib/home-lab-services/load/slow")
    with web.loading():
        here.open(LOCAL + "slow/")
        assert here.js("document.title") == "slow is starting" and here.text("#name") == "slow"
        here.says("#log", "loading the model")
        here.says("#usual", "Usually ready after 3 s")
        assert here.js("performance.getEntriesByType('navigation')[0].responseStatus") == 503
    here.says("body", "File Not Found")  # the model's own page
    assert web.runs("slow")


def test_a_browser_sees_why_a_cold_model_does_not_start(web, here):
    here.open(LOCAL + "stillborn/")
    here.says("#cause", "failing at the start")
    here.says("#word", "Not started")
    web.put(f"{MODELS}/stillborn", web.path(f"{MODELS}/stillborn").read_text().replace("--exit-code-at-start 3", ""))
    here.press("Enter")  # "Try again" has the focus
    here.says("body", "File Not Found")
    assert web.runs("stillborn")


@pytest.mark.parametrize("path, headers", [("/quick/", {"Accept": "*/*"}), ("/quick/", {}), ("/quick/v1/models/quick", HTML),
                                           ("/quick/stats", HTML)])
def test_who_asks_for_no_page_of_a_cold_model_is_served_as_ever(web, path, headers):
    answer = web.ask("GET", path, headers=headers)
    assert answer.headers["Content-Type"].startswith("application/json"), answer
    assert web.runs("quick") == ("/v1/models" not in path)


def test_a_monitor_that_asks_for_a_page_wakes_nothing(web):
    for headers in HTML, HTML | {"X-Forwarded-For": "192.0.2.7"}, HTML | {"Origin": LOCAL[:-1]}:  # the last ones by model-router
        answer = web.ask("GET", "/quick/", headers=headers)
        assert answer.status in (403, 503) and not web.runs("quick"), answer
    assert web.ask("GET", "/quick/?a=b", headers=HTML).headers["Retry-After"] == "5"


def test_a_request_that_a_model_has_begun_is_not_begun_again_for_a_page(web):
    """It is told as ever."""
    web.put("/usr/local/libexec/leaver", LEAVER, 0o755)
    web.put(f"{MODELS}/crasher", 'PORT="8313"\nCOMMAND="/usr/local/libexec/leaver 8313"\n')
    web.post("/api/inference/models/crasher/start?wait=ready", None)
    answer = web.ask("GET", "/crasher/", headers=HTML)
    assert answer.status == 502 and answer["error"]["code"] == "model_ended", answer


# ---- what it leaves alone ----

def uses(web):
    """A stop leaves a file, of no time."""
    return [web.last_used(name) or None for name in ("brief", "quick")]


def test_an_idle_model_is_stopped_beside_the_open_page(web, here):
    """And not before, where somebody keeps it by the page."""
    def sweep():
        web.sh("systemctl start model-idle-sweep.service")
        return not web.runs("brief")

    web.sh("systemctl stop model-idle-sweep.timer")  # none comes before the page has shown the model
    try:
        web.model("brief", 8328, extra='IDLE_TIMEOUT="2s"\n')
        web.post("/api/inference/models/brief/start?wait=ready", None)
        before = uses(web)
        see(here)
        here.says(row("brief", ".usage"), "Loads in ")  # the last thing to come, and nothing moves any more
        here.click(row("brief", ".keep"))
        here.says("#token-why", "models have pages of the same origin")
        here.type(web.sh("home-lab-services token add page-keeper --scope control").strip())
        here.press("Enter")
        here.says(row("brief", ".usage"), "Kept until ")
        wait_until(lambda: web.http("GET", 5003, "/models/activity")["activity_status"]["brief"]["idle_seconds"] > 2, PATIENCE, "its time is over")
        assert not sweep() and not here.js(f"document.querySelector(`{row('brief', 'progress')}`).checkVisibility()")
        why = web.http("GET", 5003, "/models/brief/why")
        assert why["decision"] == "keep" and why["reason"] == "kept" and why["kept_until"] == why["stops_at"], why
        here.click(row("brief", ".keep"))
        here.says(row("brief", ".usage"), "Idle")
        assert web.http("GET", 5003, "/models/brief/why")["kept_until"] is None
        wait_until(sweep, PATIENCE, "the sweep stops it")
        here.says(row("brief", ".word"), "Stopped")
        assert uses(web) == before
        assert not web.runs("quick")
    finally:
        web.run(f"systemctl start model-idle-sweep.timer; rm -f {ETC}/tokens")


def gpu(claimed):
    return {"resource": "gpu 0", "capacity_bytes": 24 << 30, "claimed_bytes": claimed << 30, "free_bytes": (24 - claimed) << 30}


def test_who_waits_for_room_is_seen(web, here):
    """It is told as an event as well."""
    web.config(capacity={"gpus": {"0": "24G"}})
    for name, port, size in ("wide", 8348, "20G"), ("broad", 8349, "8G"):
        web.model(name, port, extra=f'GPU_MEMORY="{size}"\n')
    with contextlib.closing(Follower(web.network)) as follower:
        assert follower.find("capacity")["waiting"] == []
        web.post("/api/inference/models/wide/start?wait=ready", None)
        assert follower.find("capacity", waiting=[])["resources"] == [gpu(claimed=20)]
        see(here)
        here.says("#resources", "20.0 GB of 24.0 GB")
        here.says("#resources", "wide 20.0 GB")
        here.js("window.setTimeout = () => 0")  # from now on it hears, and asks by itself no more
        wait_until(lambda: listeners(web) == 1, PATIENCE, "the page listens")
        held = web.hold("/api/inference/models/broad/start", None)
        follower.find("capacity", waiting=["broad"])
        here.says("#waiting", "broad waits for room, for ")
        here.says("#waiting", "broad needs 8 GiB")
        web.sh("systemctl stop model@wide.service")
        assert held.answer().status == 200
        assert follower.find("capacity", waiting=[], resources=[gpu(claimed=8)])
        here.says("#resources", "broad 8.0 GB")
        here.until("document.getElementById('waiting').children.length === 0")
    web.path(ETC + "/config.json").unlink()
    web.sh("systemctl stop model@broad.service")
    for name in "wide", "broad":
        web.path(f"{MODELS}/{name}").unlink()
    here.js("document.dispatchEvent(new Event('visibilitychange'))")
    here.until("document.getElementById('capacity').hidden")
    assert here.complaints == []


def listeners(web):
    """How many requests that came to the monitor by NGINX hold a place of those who listen."""
    worker = web.properties("model-monitor-service.service", "MainPID")["MainPID"]
    return len(web.run(f"find /proc/{worker}/fd -lname '{PLACES}*'").stdout.splitlines())


def test_it_listens_instead_of_asking(web, here):
    see(here)
    wait_until(lambda: listeners(web) == 1, PATIENCE, "the page listens")
    here.js("window.setTimeout = () => 0; document.dispatchEvent(new Event('visibilitychange'))")  # from now on it asks by itself no more
    web.sh("systemctl start model@quick.service")
    here.says(row("quick", ".word"), "Ready")
    web.http("POST", 5001, "/shutdown/schedule", {"minutes": 600, "action": "halt"})
    here.says("#scheduled", "Halt")
    web.http("POST", 5001, "/shutdown/cancel")
    here.says("#unscheduled", "No shutdown is scheduled.")
    web.sh("systemctl stop model@quick.service")
    here.says(row("quick", ".word"), "Stopped")


@on_trixie_alone
def test_where_no_place_is_left_to_listen_it_asks(web, here):
    with contextlib.ExitStack() as stack:
        def listen():
            follower = Follower(web.network)
            stack.callback(follower.close)
            return follower.status
        here.open("about:blank")
        wait_until(lambda: listeners(web) == 0, PATIENCE, "the page of before has left")
        wait_until(lambda: listen() != 200, PATIENCE, "others have all places")
        see(here)
        web.sh("systemctl start model@quick.service")
        here.says(row("quick", ".word"), "Ready")
        assert listen() == 503


def test_it_asks_nothing_while_nobody_sees_it(web, here):
    looks = "performance.getEntriesByType('resource').filter((it) => it.startTime > window.hid && it.name.endsWith('/activity')).length"
    see(here)
    wait_until(lambda: listeners(web) == 1, PATIENCE, "the page listens")
    here.js("Object.defineProperty(document, 'hidden', { get: () => true, configurable: true }); window.hid = performance.now();"
            "document.dispatchEvent(new Event('visibilitychange'))")
    wait_until(lambda: listeners(web) == 0, PATIENCE, "the page listens no more")
    time.sleep(4)  # longer than from one look to the next
    assert here.js(looks) == 0
    here.js("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    here.until(looks)


@on_trixie_alone
def test_troubles_are_told_as_they_are(web, here):
    see(here)
    here.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    here.says("#trouble", "The machine does not answer. What is below is of ")
    here.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    here.until("document.getElementById('trouble').hidden")
    web.put(ETC + "/config.json", '{"nonsense": 1}')
    here.says("#trouble", "The configuration is not valid: \"home-lab-services check\" says where")
    web.path(ETC + "/config.json").unlink()
    here.js("document.dispatchEvent(new Event('visibilitychange'))")  # as who comes back to it
    here.until("document.getElementById('trouble').hidden")


# ---- what it tells people to give to others ----

def test_the_line_for_curl_is_one(web, here):
    see(here)
    here.until("document.getElementById('use-model').options.length > 0")
    here.js("(() => { const it = document.getElementById('use-model'); it.value = 'quick'; it.dispatchEvent(new Event('change')); })()")
    lines = here.js("Object.fromEntries([...document.querySelectorAll('#cards article')].map((each) => "
                    "[each.querySelector('h3').textContent, each.querySelector('pre').textContent]))")
    assert '"choices"' in web.sh(lines["curl"])
    assert lines["Any OpenAI client"].startswith(f"Base URL  {LOCAL}v1\n")
    assert f"OPENAI_API_BASE_URL={LOCAL}v1\n" in lines["Open WebUI"]
    assert f"ANTHROPIC_BASE_URL={LOCAL[:-1]} " in lines["Claude Code"] and "ANTHROPIC_MODEL=quick " in lines["Claude Code"]
    assert f'resource: "{LOCAL}api/inference/models/quick"' in lines["Home Assistant"]
