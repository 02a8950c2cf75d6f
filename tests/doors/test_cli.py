# SPDX-License-Identifier: MIT
"""The command line for people, against services that answer what a row says: what is asked, what is shown, how it ends.

What the real services answer is tests/system/test_cli.py's part."""
import datetime
import http.server
import json
import os
import pty
import signal
import subprocess
import threading
import time
import urllib.parse

import pytest

from programs import BUILD, TIMEOUT

NOW = datetime.datetime.now().astimezone().replace(microsecond=0)


def at(minutes_ago):
    return (NOW - datetime.timedelta(minutes=minutes_ago)).isoformat()


def clock(minutes_ago):
    at = NOW - datetime.timedelta(minutes=minutes_ago)
    return at.strftime("%H:%M" if at.date() == NOW.date() else "%-d %b, %H:%M")  # another day is said


class Api(http.server.ThreadingHTTPServer):
    """Both services below one site, as NGINX has them. answers: (method, path) -> (status, body)."""
    daemon_threads = True

    def __init__(self):
        self.answers, self.asked, self.released = {}, [], threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def inference(self, path, body, status=200, method="GET"):
        self.answers[method, "/api/inference" + path] = status, body

    def monitor(self, path, body, status=200, method="GET"):
        self.answers[method, "/api/monitor" + path] = status, body


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        url = urllib.parse.urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        sent = self.rfile.read(length)
        self.server.asked.append((self.command, self.path, dict(self.headers), sent))
        status, body = self.server.answers.get((self.command, url.path), (404, {
            "status": "error", "code": "model_not_found", "message": "there is no model"}))
        if body is None:  # it thinks
            self.server.released.wait(TIMEOUT)
            self.close_connection = True
            return
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer


@pytest.fixture
def api():
    server = Api()
    server.inference("/models", {"status": "success", "models": [{"model_name": "tiny"}, {"model_name": "qwen:7b"}]})
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def environment(api, **more):
    return {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C",
            "HOME_LAB_SERVICES_URL": f"http://127.0.0.1:{api.server_port}", **more}


def cli(api, *arguments, status=0, **more):
    done = subprocess.run([BUILD / "home-lab-services", *arguments], env=environment(api, **more), capture_output=True,
                          text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    assert done.returncode == status, done
    return done


def model(state="loaded", **more):
    return {"status": "success", "model_name": "tiny", "state": state, "since": at(20), "port": 8198, "in_flight": 0,
            "last_result": None, "last_exit_status": None, **more}


def why(reason, **more):
    return {"status": "success", "model_name": "tiny", "reason": reason, "decisions": [], "stops_at": None,
            "idle_seconds": None, "threshold_seconds": 1800, "in_flight": 0, **more}


STOP = {"time": at(20), "decision": "stop", "reason": "idle", "idle_seconds": 1865, "threshold_seconds": 1800}

WHY = [
    ("idle_and_stopped", model("unloaded"), why("stopped", decisions=[STOP]),
     f"tiny is stopped: it was idle for 31 min (IDLE_TIMEOUT 30 min), stopped at {clock(20)}. "
     'A request through NGINX or "home-lab-services start tiny" starts it.'),
    ("stopped_by_somebody", model("unloaded", since=at(3)), why("stopped", decisions=[STOP]),
     f"tiny is stopped since {clock(3)}, and not for being idle: somebody stopped it, or it ended by itself. "
     'A request through NGINX or "home-lab-services start tiny" starts it.'),
    ("never_used", model("unloaded", since=None), why("stopped"),
     "tiny is stopped: the journal knows of no start of it. "
     'A request through NGINX or "home-lab-services start tiny" starts it.'),
    ("paused", model(in_flight=1), why("in_flight", in_flight=1, paused_until=at(-18)),
     f"tiny is loaded and runs since {clock(20)}, and works on 1 request. It is not stopped while it does. "
     f"It is paused: its requests are held until {clock(-18)}."),
    ("in_flight", model(in_flight=2), why("in_flight", in_flight=2),
     f"tiny is loaded and runs since {clock(20)}, and works on 2 requests. It is not stopped while it does."),
    ("one_in_flight", model(in_flight=1), why("in_flight", in_flight=1),
     f"tiny is loaded and runs since {clock(20)}, and works on 1 request. It is not stopped while it does."),
    ("no_room", model(state="unloaded", since=at(3)), why("stopped", start={"fits": "later", "explanation": "gpu 0 is full"}),
     f"tiny is stopped since {clock(3)}, and not for being idle: somebody stopped it, or it ended by itself. "
     "It does not fit beside what runs: gpu 0 is full. A request through NGINX or \"home-lab-services start tiny\" starts it."),
    ("used_of_late", model(), why("recently_used", idle_seconds=725, stops_at=at(-18)),
     f"tiny is loaded and runs since {clock(20)}, unused for 12 min. Unless it is used it is stopped at {clock(-18)}, "
     "after 30 min (IDLE_TIMEOUT)."),
    ("idle", model(), why("idle", idle_seconds=1865, stops_at=at(0)),
     f"tiny is loaded and runs since {clock(20)}, and idle: unused for 31 min, longer than 30 min (IDLE_TIMEOUT). "
     "The next sweep stops it."),
    ("pinned", model(), why("pinned", threshold_seconds=None),
     f"tiny is loaded and runs since {clock(20)}. It stays until somebody stops it: IDLE_TIMEOUT is never."),
    ("without_a_port", model(port=None), why("no_port", threshold_seconds=None),
     f"tiny is loaded and runs since {clock(20)}. It stays until somebody stops it: without PORT nobody can tell whether it "
     "is in use."),
    ("changed", model(), why("changed", explanation="runs with an older file: restart it"),
     f"tiny is loaded and runs since {clock(20)}. It runs with an older file: restart it."),
    ("loading", model("loading"), why("loading"),
     f"tiny is loading since {clock(20)}: its process runs, and does not answer yet that it is ready. "
     '"home-lab-services logs -f tiny" shows how far it is.'),
    ("loading_elsewhere", model("loading", cause="listens on 8299, PORT is 8198"), why("loading"),
     f"tiny is loading since {clock(20)}: its process runs, and does not answer yet that it is ready. Its cause: listens on "
     '8299, PORT is 8198. "home-lab-services logs -f tiny" shows how far it is.'),
    ("failed", model("failed", last_result="exit-code", last_exit_status=1, cause="no such file: /srv/tiny.gguf"),
     why("failed"),
     f"tiny has failed at {clock(20)}: exit-code, status 1. Its cause: no such file: /srv/tiny.gguf. "
     '"home-lab-services logs tiny" shows what it said; the next start tries again.'),
    ("stopping", model("loaded"), why("stopping"), "tiny is stopping."),
]


@pytest.mark.parametrize("detail, reasons, said", [row[1:] for row in WHY], ids=[row[0] for row in WHY])
def test_why_is_an_answer_to_a_person(api, detail, reasons, said):
    api.inference("/models/tiny", detail)
    api.monitor("/models/tiny/why", reasons)
    assert cli(api, "why", "tiny").stdout == said + "\n"


@pytest.mark.parametrize("minutes_ago, said", [
    (20, f"tiny is stopped: it was idle for 31 min (IDLE_TIMEOUT 30 min), stopped at {clock(20)}. "),
    (3, f"tiny is stopped since {clock(3)}, and not for being idle: ")])
def test_what_systemd_forgot_is_in_the_journal(api, minutes_ago, said):
    api.inference("/models/tiny", model("unloaded", since=None))
    api.inference("/models/tiny/logs", {"status": "success", "lines": [{"time": at(minutes_ago), "message": "Stopped tiny"}]})
    api.monitor("/models/tiny/why", why("stopped", decisions=[STOP]))
    assert cli(api, "why", "tiny").stdout.startswith(said)


def test_what_a_model_says_does_not_steer_the_terminal(api):
    api.inference("/models/tiny", model("failed", last_result="signal", cause="\x1b[2Jgone\r\x9b31m über"))
    api.monitor("/models/tiny/why", why("failed"))
    said = cli(api, "why", "tiny").stdout
    assert "\x1b" not in said and "\r" not in said and "\x9b" not in said and "?[2Jgone??31m über" in said


def test_a_log_is_text_in_its_own_pieces(api):
    api.inference("/models/tiny/logs", "20:19 \x1b[1mbold\x1b[0m é\tx\n20:20 \u0085 end\n".encode())
    assert cli(api, "logs", "tiny", "-n", "7").stdout == "20:19 ?[1mbold?[0m é\tx\n20:20 ? end\n"
    assert api.asked[-1][1] == "/api/inference/models/tiny/logs?format=text&lines=7"
    cli(api, "logs", "-f", "tiny", "--json")
    assert api.asked[-1][1] == "/api/inference/models/tiny/logs?format=json&follow=true"
    for wrong in "0", "x", "-1":
        assert "number of lines" in cli(api, "logs", "tiny", "-n", wrong, status=64).stderr


def test_the_list_is_as_wide_as_it_must_be(api):
    long = "a-model-with-a-name-" + "x" * 60
    api.inference("/models", {"status": "success", "models": [{"model_name": name} for name in ("tiny", long, "odd")]})
    api.inference("/models/tiny", model(in_flight=2))
    api.inference(f"/models/{long}", model("unloaded", since=None, port=None, in_flight=None))
    api.inference("/models/odd", model("unloaded", since=(NOW - datetime.timedelta(days=800)).isoformat()))
    api.monitor("/models/activity", {"status": "success", "activity_status": {
        "tiny": {"idle_seconds": 0}, long: {"idle_seconds": None}, "odd": {"idle_seconds": 7500}}})
    head, *rows = cli(api, "list").stdout.splitlines()
    column = {name: head.index(name) for name in ("NAME", "PORT", "STATE", "SINCE", "UNUSED FOR", "IN FLIGHT")}
    cells = [[row[column[a]:column[b] if b else None].strip() for a, b in zip(column, [*column][1:] + [None])] for row in rows]
    assert cells[0] == ["tiny", "8198", "loaded", clock(20), "0 s", "2"]
    assert cells[1] == [long, "-", "unloaded", "-", "-", "-"]
    assert cells[2][:3] == ["odd", "8198", "unloaded"] and cells[2][4] == "2 h 05 min"
    assert cells[2][3].startswith(str(NOW.year - 3)) or cells[2][3].startswith(str(NOW.year - 2))


def test_what_is_known_is_listed_though_a_part_is_not(api):
    api.inference("/models/tiny", model())
    api.monitor("/models/activity", {"status": "error", "code": "bus_busy", "message": "systemd does not answer"}, 503)
    done = cli(api, "list", status=75)
    assert done.stdout.splitlines()[1].split()[:3] == ["tiny", "8198", "loaded"] and " ? " in done.stdout
    assert done.stderr == "error: systemd does not answer\n"


def test_json_is_the_answer_as_it_comes(api):
    api.inference("/models/tiny", model(new_key=[1, {"deep": None}]))
    api.inference("/models/qwen:7b", model(model_name="qwen:7b"))
    api.monitor("/models/tiny/why", why("idle"))
    api.inference("/models/tiny/stop", {"status": "success", "message": "Model tiny stopped"}, method="POST")
    lines = cli(api, "list", "--json").stdout
    decoder, found = json.JSONDecoder(), []
    while lines.strip():
        value, end = decoder.raw_decode(lines.lstrip())
        found.append(value)
        lines = lines.lstrip()[end:]
    assert [value["model_name"] for value in found] == ["tiny", "qwen:7b"] and found[0]["new_key"] == [1, {"deep": None}]
    assert json.loads(cli(api, "why", "tiny", "--json").stdout) == why("idle")
    assert json.loads(cli(api, "--json", "stop", "tiny").stdout)["message"] == "Model tiny stopped"
    api.inference("/models/tiny/stop", {"status": "error", "code": "x", "message": "no"}, 409, "POST")
    assert json.loads(cli(api, "--json", "stop", "tiny", status=65).stdout)["code"] == "x"


@pytest.mark.parametrize("http_status, status", [
    (400, 64), (401, 77), (403, 77), (409, 65), (415, 64), (500, 78), (502, 70), (503, 75), (504, 75)])
def test_the_exit_status_says_what_kind_of_failure_it_is(api, http_status, status):
    api.inference("/models/tiny", model())
    body = {"status": "error", "code": "some_code", "message": "tiny ended", "cause": "no such file"}
    api.inference("/models/tiny/start", body, http_status, "POST")
    said = cli(api, "start", "tiny", status=status).stderr
    assert said.startswith("error: tiny ended: no such file") and ("HOME_LAB_SERVICES_TOKEN" in said) == (status == 77)
    assert f"{status}:" in cli(api, "--help").stdout


def test_a_name_that_is_not_there(api):
    for command in ("start", "stop", "restart", "keep", "logs", "why"):
        assert cli(api, command, "tiyn", status=66).stderr == 'error: there is no model "tiyn"; did you mean tiny?\n'
        assert '"home-lab-services list" shows' in cli(api, command, "elephant", status=66).stderr
        assert "name is letters" in cli(api, command, "../x", status=64).stderr
        assert "name is letters" in cli(api, command, "", status=64).stderr
    cli(api, "why", "a/b c?d#e%", status=66)
    assert ("GET", "/api/inference/models/a%2Fb%20c%3Fd%23e%25") in [asked[:2] for asked in api.asked]


def test_another_name_of_a_model_leads_to_its_own(api):
    api.inference("/v1/models/gpt-4", {"id": "gpt-4", "alias_of": "tiny"})
    api.inference("/v1/models/Qwen%2FQwen3", {"id": "Qwen/Qwen3", "alias_of": "qwen:7b"})
    for command in ("start", "stop", "restart", "logs", "why"):
        for word, own in ("gpt-4", "tiny"), ("Qwen/Qwen3", "qwen:7b"), ("model@tiny.service", "tiny"), ("model@tiny", "tiny"):
            said = cli(api, command, word, status=66).stderr
            assert said == f"error: the model's own name is wanted here: write {own}, not {word}\n", said


def test_what_answers_is_something_else(api):
    api.inference("/models/tiny", b"<html>It works!</html>")
    assert "not as this version" in cli(api, "why", "tiny", status=76).stderr
    api.inference("/models/tiny", {"status": "error", "code": "unknown_route", "message": "there is nothing here"}, 404)
    assert "not as this version" in cli(api, "why", "tiny", status=76).stderr


def test_that_nobody_answers_is_said_with_what_to_do():
    class Nobody:
        server_port = 9
    for command in ("list",), ("start", "tiny"), ("logs", "tiny"), ("why", "tiny"):
        assert "cannot be reached" in cli(Nobody, *command, status=69).stderr
    assert "systemctl start inference-service" in cli(Nobody, "list", status=69, HOME_LAB_SERVICES_URL="").stderr


@pytest.mark.parametrize("host, inference", [
    ("box.invalid", "http://box.invalid:5002/models"), ("192.0.2.300", "http://192.0.2.300:5002/models"),
    ("http://box.invalid:5001/", "http://box.invalid:5002/models"), ("box.invalid:8080", "http://box.invalid:8080/api/inference/models"),
    ("https://box.invalid", "https://box.invalid/api/inference/models"),
    ("https://box.invalid/lab/", "https://box.invalid/lab/api/inference/models")])
def test_another_machine_is_named_as_people_do(host, inference):
    done = subprocess.run([BUILD / "home-lab-services", "list", "--host", host], env={"PATH": os.environ["PATH"]},
                          capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 69 and inference in done.stderr, done


def test_an_ipv6_address_needs_no_brackets(api):
    done = subprocess.run([BUILD / "home-lab-services", "list", "--host", "::1"], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 69 and "http://[::1]:5002/models" in done.stderr, done


def test_the_token_is_sent(api):
    api.inference("/models/tiny", model())
    api.monitor("/models/tiny/why", why("idle"))
    cli(api, "why", "tiny", HOME_LAB_SERVICES_TOKEN="hls_x")
    assert {asked[2]["Authorization"] for asked in api.asked} == {"Bearer hls_x"}
    cli(api, "why", "tiny")
    assert "Authorization" not in api.asked[-1][2]


def test_what_start_and_stop_ask(api):
    api.inference("/models/tiny", model("unloaded"))
    for verb in "start", "stop", "restart":
        api.inference(f"/models/tiny/{verb}", {"status": "success", "message": f"Model tiny {verb}ed"}, method="POST")

    def asked(*arguments):
        assert cli(api, *arguments).stdout == f"Model tiny {arguments[0]}ed.\n"
        method, path, headers, body = api.asked[-1]
        assert method == "POST" and (body == b"" or headers["Content-Type"] == "application/json")
        return path.removeprefix("/api/inference/models/tiny/")
    assert asked("start", "tiny") == "start?wait=ready"
    assert asked("restart", "tiny", "--no-wait") == "restart?wait=none"
    assert asked("stop", "tiny") == "stop"
    assert asked("stop", "--no-wait", "tiny") == "stop?wait=none"
    assert asked("stop", "tiny", "--drain", "60") == "stop?drain=60"
    assert asked("stop", "tiny", "--drain=2min") == "stop?drain=120"
    api.inference("/models/tiny", model("unloaded", port=None))  # nobody can tell when it is ready
    assert asked("start", "tiny") == "start?wait=job"
    for wrong in "soon", "-1", "500ms":
        assert "whole seconds" in cli(api, "stop", "tiny", "--drain", wrong, status=64).stderr
    assert "--no-wait" in cli(api, "stop", "tiny", "--drain", "5", "--no-wait", status=64).stderr


def test_a_model_is_kept_and_for_how_long(api):
    def kept(*arguments, until=at(-120)):
        api.inference("/models/tiny/keep", {"status": "success", "message": "Model tiny is kept", "kept_until": until}, method="POST")
        said = cli(api, "keep", "tiny", *arguments).stdout
        return api.asked[-1][1].removeprefix("/api/inference/models/tiny/"), said
    assert kept() == ("keep", f"Model tiny is kept until {clock(-120)}.\n")
    assert kept("--for", "2h") == ("keep?seconds=7200", f"Model tiny is kept until {clock(-120)}.\n")
    assert kept("--for=0", until=None) == ("keep?seconds=0", "Model tiny is kept.\n")
    for wrong in "soon", "-1", "500ms":
        assert "whole seconds" in cli(api, "keep", "tiny", "--for", wrong, status=64).stderr
    assert "stop does not take --for" in cli(api, "stop", "tiny", "--for", "2h", status=64).stderr


def on_terminal(api, *arguments):
    """The command with a terminal of its own, and what it writes to it, read by a thread."""
    master, slave = pty.openpty()
    process = subprocess.Popen([BUILD / "home-lab-services", *arguments], env=environment(api), stdin=slave, stdout=slave,
                               stderr=slave, start_new_session=True)
    os.close(slave)
    shown = bytearray()

    def read():
        try:
            while True:
                shown.extend(os.read(master, 4096))
        except OSError:
            os.close(master)
    thread = threading.Thread(target=read)
    thread.start()
    return process, thread, shown


@pytest.mark.parametrize("arguments, said", [
    (("start", "tiny"), b'tiny goes on loading: "home-lab-services why tiny" says how far it is'),
    (("stop", "tiny", "--drain", "60"), b'"home-lab-services why tiny" says what has become of it')])
def test_ctrl_c_leaves_it_and_says_so(api, arguments, said):
    api.inference("/models/tiny", model("unloaded"))
    api.inference(f"/models/tiny/{arguments[0]}", None, method="POST")
    process, thread, shown = on_terminal(api, *arguments)
    deadline = time.monotonic() + TIMEOUT
    while b"so far" not in shown:
        assert time.monotonic() < deadline and process.poll() is None, shown
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 130
    thread.join(TIMEOUT)
    progress, _, after = bytes(shown).rpartition(b"\r\x1b[K")
    assert said in after and b"tiny is" in progress and b"\n" not in progress, shown


def test_no_progress_where_there_is_no_terminal(api):
    api.inference("/models/tiny", model("unloaded"))
    api.inference("/models/tiny/start", None, method="POST")
    process = subprocess.Popen([BUILD / "home-lab-services", "start", "tiny"], env=environment(api), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    time.sleep(2.5)  # it would have shown something twice
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT)
    assert out == b"" and b"\r" not in err and b"\x1b" not in err and err.startswith(b"tiny goes on loading")


def test_whoever_reads_it_may_stop_reading(api):
    api.inference("/models/tiny/logs", b"line\n" * 100000)
    run = subprocess.run(["bash", "-c", f"set -o pipefail; {BUILD}/home-lab-services logs tiny | head -n 1"],
                         env=environment(api), capture_output=True, text=True, timeout=TIMEOUT)
    assert (run.returncode, run.stdout, run.stderr) == (0, "line\n", ""), run
    with open("/dev/full", "w") as full:
        done = subprocess.run([BUILD / "home-lab-services", "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74 and "could not be written" in done.stderr


@pytest.mark.parametrize("arguments, said", [
    (("strat", "x"), 'there is no command "strat"; did you mean "start"?'), (("foo",), 'there is no command "foo"\n'),
    (("keep", "a", "4h"), "keep takes one model's NAME; --for 2h says how long"), (("start",), "start takes one model's NAME"),
    (("start", "a", "b"), "start takes one model's NAME"),
    (("list", "x"), "list takes no names"), (("start", "a", "--drain", "3"), "start does not take --drain"),
    (("check", "--json"), "check does not take --json"), (("why", "a", "--jsno"), 'no option "--jsno"'),
    (("why", "a", "-z"), 'no option "-z"'), (("stop", "a", "--drain"), "--drain needs a value")])
def test_a_wrong_line_is_told_in_one_sentence(api, arguments, said):
    err = cli(api, *arguments, status=64).stderr
    assert said in err and len(err.splitlines()) == 2 and err.endswith("Usage: home-lab-services --help lists the commands\n")
    assert api.asked == []
