# SPDX-License-Identifier: MIT
"""nginx-config-updater on a host without our NGINX files: what it prints, and what it does to the file."""
import json
import os
import subprocess

import pytest

from programs import BUILD, TIMEOUT


pytestmark = pytest.mark.skipif(os.path.exists("/etc/nginx/home-lab-services"),
                                reason="this host's NGINX would be asked to reload")


class Updater:
    def __init__(self, folder):
        self.folder = folder
        self.models = folder / "models"
        self.models.mkdir()
        self.output = folder / "nginx" / "models.conf"
        self.output.parent.mkdir()
        self.configure(output=str(self.output))
        self.model("tiny", 18191)

    def configure(self, **nginx):
        (self.folder / "config.json").write_text(json.dumps({"nginx": nginx}))

    def model(self, name, port):
        (self.models / name).write_text(f'PORT="{port}"\n')

    def run(self, *arguments, status=0):
        done = subprocess.run([BUILD / "nginx-config-updater", *arguments], capture_output=True, text=True,
                              timeout=TIMEOUT, stdin=subprocess.DEVNULL,
                              env={"CONFIGURATION_DIRECTORY": str(self.folder), "STATE_DIRECTORY": str(self.folder),
                                   "MODELS_CONFIG_DIR": str(self.models),
                                   "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.folder}/no-bus"})
        assert done.returncode == status, done
        return done


@pytest.fixture
def updater(tmp_path):
    return Updater(tmp_path)


def test_print_prints_and_writes_nothing(updater):
    text = updater.run("--print").stdout
    assert "location /tiny/ { set $hl_model tiny; set $hl_model_port 18191; " in text
    assert list(updater.output.parent.iterdir()) == []


def test_the_file_is_what_is_printed(updater):
    updater.run()
    assert updater.output.read_text() == updater.run("--print").stdout
    assert updater.output.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in updater.output.parent.iterdir()) == ["models.conf", "upstreams"]


def test_the_upstreams_are_there_before_and_after(updater):
    """NGINX may read both files at any time: those that locations still name stay until the next run."""
    upstreams = updater.folder / "nginx" / "upstreams" / "models.conf"
    updater.run()
    assert upstreams.read_text() == updater.run("--print-upstreams").stdout and "18191" in upstreams.read_text()
    updater.model("tiny", 18192)
    updater.run()
    assert upstreams.read_text() == updater.run("--print-upstreams").stdout and "18191" not in upstreams.read_text()
    upstreams.write_text("")
    updater.run()
    assert "18192" in upstreams.read_text()


def test_models_come_in_the_order_of_their_names(updater):
    for name in ("zeta", "alpha", "mid"):
        updater.model(name, 18200)
    text = updater.run("--print").stdout
    assert [line.split("/")[1] for line in text.splitlines() if line.startswith("location ")] == ["alpha", "mid", "tiny", "zeta"]


def test_what_is_unchanged_is_not_written_anew(updater):
    updater.run()
    first = updater.output.stat()
    updater.run()
    second = updater.output.stat()
    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)


@pytest.mark.parametrize("change", [
    lambda updater: updater.model("tiny", 18192),
    lambda updater: updater.model("other", 18193),
    lambda updater: (updater.models / "tiny").unlink(),
    lambda updater: updater.configure(output=str(updater.output), upstream_host="::1"),
    lambda updater: updater.output.write_text(updater.output.read_text() + "# by hand\n"),
    lambda updater: updater.output.write_text(updater.output.read_text()[:-1]),
    lambda updater: updater.output.unlink(),
    lambda updater: updater.output.write_text(""),
], ids=["port", "new", "gone", "host", "appended", "cut", "no file", "empty"])
def test_a_change_makes_it_anew(updater, change):
    updater.run()
    before = updater.output.stat().st_ino
    change(updater)
    # Held open, so that the file system cannot give the new file the same number.
    held = open(updater.output, encoding="utf-8") if updater.output.exists() else None
    done = updater.run()
    assert "has the locations of" in done.stderr or os.path.exists("/run/systemd/journal/socket")
    assert updater.output.read_text() == updater.run("--print").stdout
    if held:
        assert updater.output.stat().st_ino != before
        held.close()


def test_a_run_that_was_killed_is_made_good(updater):
    """Before NGINX had taken up the file: nothing is new, but the mark says so."""
    updater.run()
    mark = updater.output.with_name("models.conf.pending")
    mark.touch()
    says(updater.run(), "has the locations of 1 model")
    assert not mark.exists()
    assert updater.output.read_text() == updater.run("--print").stdout


def test_no_file_is_put_in_place_unmarked(updater):
    updater.output.with_name("models.conf.pending").mkdir()
    says(updater.run(status=1), "models.conf.pending: ")
    assert not updater.output.exists()


def test_a_file_that_is_no_model_is_told_with_a_change(updater):
    """Not each minute."""
    (updater.models / "wrong").write_text('PORT="x"\n')
    says(updater.run(), "/wrong:1: PORT")
    assert "PORT" not in updater.run().stderr
    updater.model("other", 18193)
    says(updater.run(), "/wrong:1: PORT")


def test_an_ipv6_host_is_bracketed(updater):
    updater.configure(output=str(updater.output), upstream_host="fd00::1")
    assert "set $hl_address hl_fd00__1;" in updater.run("--print").stdout
    assert "upstream 18191_hl_fd00__1 { server [fd00::1]:18191 " in updater.run("--print-upstreams").stdout


def test_no_models_leave_an_empty_configuration(updater):
    (updater.models / "tiny").unlink()
    updater.run()
    assert all(line.startswith("#") or line.startswith("set $hl_") for line in updater.output.read_text().splitlines())


def says(done, words):
    """Without a journal what is logged comes on standard error."""
    assert words in done.stderr or os.path.exists("/run/systemd/journal/socket")


def test_an_output_folder_that_is_not_there(updater):
    updater.configure(output=str(updater.folder / "missing" / "models.conf"))
    says(updater.run(status=1), "missing/models.conf.pending: No such file or directory")


def test_an_output_that_is_a_folder(updater):
    updater.output.mkdir()
    says(updater.run(status=1), "models.conf: Is a directory")


def test_an_output_that_is_too_large_is_left_alone(updater):
    with open(updater.output, "wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    says(updater.run(status=1), "models.conf: File too large")
    assert updater.output.stat().st_size == 64 * 1024 * 1024 + 1


def test_an_output_below_what_is_no_folder(updater):
    updater.configure(output=str(updater.models / "tiny" / "models.conf"))
    says(updater.run(status=1), "tiny/models.conf: Not a directory")


def test_models_that_cannot_be_read_leave_the_file(updater):
    updater.run()
    before = updater.output.read_text()
    (updater.models / "tiny").unlink()
    updater.models.rmdir()
    updater.models.write_text("")
    says(updater.run(status=1), "/models: Not a directory")
    assert updater.output.read_text() == before


def test_a_broken_configuration_leaves_the_file(updater):
    updater.run()
    before = updater.output.read_text()
    (updater.folder / "config.json").write_text('{"nginx": {"upstream_host": "x; }"}}')
    says(updater.run(status=os.EX_CONFIG), "upstream_host")
    assert updater.output.read_text() == before


def names_and_ports(updater):
    """What would be proposed. Without a bus nobody is asked to look at it."""
    file = updater.folder / "proposal"
    says(updater.run("--propose", file, status=1), "")
    return file


def test_a_proposal_is_names_and_ports_and_gives_the_same(updater):
    updater.model("Beta:q4.x", 18200)
    (updater.models / "portless").write_text('COMMAND="sleep 1"\n')
    file = names_and_ports(updater)
    assert file.read_text() == "Beta:q4.x 18200\ntiny 18191\n"
    assert list(updater.output.parent.iterdir()) == [], "the updater writes nothing else"
    says(updater.run("--accept", file), "has the locations of 2 models")
    assert updater.output.read_text() == updater.run("--print").stdout
    assert (updater.folder / "nginx/upstreams/models.conf").read_text() == updater.run("--print-upstreams").stdout
    assert updater.run("--propose", file).stderr == "", "it is in force: nobody is asked"


def test_a_new_proposal_comes_after_a_refused_one_also_where_nothing_is_new(updater):
    file = names_and_ports(updater)
    updater.run("--accept", file)
    file.write_text("nonsense")
    says(updater.run("--propose", file, status=1), "bus")
    assert file.read_text() == "tiny 18191\n"


@pytest.mark.parametrize("line", ["load_module x.so;", "location / { root /; }", "tiny 18191;", "tiny 0", "tiny", "", "zeta 1\nalpha 1"])
def test_a_proposal_that_is_something_else_changes_nothing(updater, line):
    file = names_and_ports(updater)
    updater.run("--accept", file)
    before = updater.output.read_text()
    file.write_text(f"{line}\n")
    says(updater.run("--accept", file, status=1), "line 1 of what is proposed" if "zeta" not in line else "line 2 of what is proposed")
    assert updater.output.read_text() == before


def test_a_proposal_that_the_files_do_not_say_gives_no_location(updater):
    """Whoever is the updater sends requests to no other port, and no name of its own anywhere."""
    updater.model("zeta", 18200)
    file = names_and_ports(updater)
    file.write_text("alpha 18191\ntiny 22\nzeta 18200\n")
    says(updater.run("--accept", file), "2 of the models that are proposed are not so in the files")
    assert [line.split("/")[1] for line in updater.output.read_text().splitlines() if line.startswith("location ")] == ["zeta"]
    assert names_and_ports(updater).read_text() == "tiny 18191\nzeta 18200\n"
    updater.run("--accept", file)
    assert updater.output.read_text() == updater.run("--print").stdout


def test_wrong_arguments_are_told_the_usage_and_change_nothing(updater):
    assert "--print" in updater.run("--help").stdout
    assert "--print" in updater.run("--nonsense", status=os.EX_USAGE).stderr
    assert "--print" in updater.run("something", status=os.EX_USAGE).stderr
    assert list(updater.output.parent.iterdir()) == []
