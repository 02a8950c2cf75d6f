# SPDX-License-Identifier: MIT
"""model-activity: a datagram socket as systemd hands it over, lines as NGINX sends them."""
import os
import socket
import subprocess
import time

import pytest

from programs import BUILD, TIMEOUT

HEAD = b"<190>Nov 23 12:00:00 home_lab: "


class Drain:
    """The program on a socket of its own; it ends when nothing has come for a moment."""

    def __init__(self, folder):
        self.activity = folder / "state" / "activity"
        self.activity.mkdir(parents=True)
        models = folder / "models"
        models.mkdir()
        for name in ("tiny", "qwen2.5:0.5b", "a"):
            (models / name).write_text("PORT=9\n")
        self.env = {"CONFIGURATION_DIRECTORY": str(folder), "STATE_DIRECTORY": str(folder / "state"),
                    "MODELS_CONFIG_DIR": str(models), "HL_IDLE_SECONDS": "100ms", "HL_READY_DIRECTORY": str(folder / "ready")}
        self.ready = folder / "ready"
        self.ready.mkdir()
        self.sender, self.receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def run(self, *lines, status=0):
        """Sends the lines, runs the program until it ends, and tells which models were noted."""
        for line in lines:
            self.sender.send(line)
        done = subprocess.run([BUILD / "model-activity"], stdin=self.receiver, env=self.env, capture_output=True,
                              text=True, timeout=TIMEOUT)
        assert done.returncode == status, done
        return sorted(path.name for path in self.activity.iterdir())


@pytest.fixture
def drain(tmp_path):
    one = Drain(tmp_path)
    yield one
    one.sender.close()
    one.receiver.close()


def test_lines_of_nginx_note_their_models(drain):
    assert drain.run(HEAD + b"tiny", HEAD + b"qwen2.5:0.5b\n") == ["qwen2.5:0.5b", "tiny"]


def test_a_model_that_has_answered_was_ready_when_it_was_asked(drain):
    """Its end comes right behind its beginning, and counts all the same. What is no time says nothing."""
    began = time.monotonic()
    drain.run(HEAD + b"tiny", HEAD + b"tiny answered 0.500", HEAD + b"a  0.100", HEAD + b"qwen2.5:0.5b answered 1e99")
    assert [path.name for path in drain.ready.iterdir()] == ["tiny"]
    assert began - 1 < (drain.ready / "tiny").stat().st_mtime < time.monotonic() - 0.4


def test_a_later_line_makes_the_time_newer(drain):
    drain.run(HEAD + b"tiny")
    noted = drain.activity / "tiny"
    os.utime(noted, (1, 1))
    before = time.time()
    drain.run(HEAD + b"tiny")
    assert noted.stat().st_mtime >= before - 1


def test_many_lines_at_once_are_all_read(drain):
    receive = drain.run(*[HEAD + name for _ in range(3) for name in (b"tiny", b"a", b"tiny")])
    assert receive == ["a", "tiny"]


@pytest.mark.parametrize("line", [
    b"", b"\0", b"tiny", b"home_lab:tiny", b"<190>Nov 23 12:00:00 nginx: tiny", HEAD, HEAD + b" tiny", HEAD + b"\n",
    HEAD + b"unknown", HEAD + b"../models/tiny", HEAD + b"/etc/passwd", HEAD + b".", HEAD + b"..", HEAD + b"tiny/",
    HEAD + b"-", HEAD + b"tin\0y", HEAD + b"\xff\xfe", HEAD + b"%s%n", HEAD + b"tiny\xc3\xa9", b"\xff" * 512,
], ids=repr)
def test_what_names_no_model_leaves_no_trace(drain, line):
    assert drain.run(line, HEAD + b"a") == ["a"]


def test_a_line_that_is_cut_off_names_nobody(drain):
    """The 512th byte is the "a" of a longer name."""
    start = HEAD[:-len(b"home_lab: ")]
    line = start + b"x" * (511 - len(start) - len(b"home_lab: ")) + b"home_lab: " + b"abc"
    assert line[:512].endswith(b"home_lab: a")
    assert drain.run(line) == []
    assert drain.run(HEAD + b"a" * 60000, HEAD + b"tiny") == ["tiny"]
    fits = start + b"x" * (511 - len(start) - len(b"home_lab: ")) + b"home_lab: a"
    assert drain.run(fits) == ["a", "tiny"]


def test_it_ends_when_it_is_quiet(drain):
    began = time.monotonic()
    assert drain.run() == []
    assert time.monotonic() - began >= 0.1


def test_a_broken_configuration_is_told_and_ends_nothing(drain, tmp_path):
    (tmp_path / "config.json").write_text("{")
    assert drain.run(HEAD + b"tiny") == []
    (tmp_path / "config.json").unlink()
    assert drain.run(HEAD + b"tiny") == ["tiny"]


def test_without_its_socket_it_says_who_starts_it(drain):
    done = subprocess.run([BUILD / "model-activity"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT, env=drain.env)
    assert done.returncode == os.EX_USAGE
    assert "model-activity.socket" in done.stderr


@pytest.mark.parametrize("fault", ["configuration", "folder", "file"])
def test_a_use_is_noted_while_nothing_can_be_read(drain, fault):
    """What was a model before is one still: else it would be stopped too early afterwards. Other names make no file."""
    drain.run(HEAD + b"tiny")
    os.utime(drain.activity / "tiny", (0, 0))
    folder = drain.activity.parent.parent
    if fault == "configuration":
        (folder / "config.json").write_text("{")
    elif fault == "folder":
        (folder / "models").rename(folder / "elsewhere")
    else:
        (folder / "models/tiny").unlink()
    assert drain.run(HEAD + b"tiny", HEAD + b"other") == ["tiny"]
    assert (drain.activity / "tiny").stat().st_mtime > time.time() - 60
