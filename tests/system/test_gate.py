# SPDX-License-Identifier: MIT
"""Root's half of nginx-config-updater: whoever is the updater's user says names and ports, and nothing else to NGINX."""
import contextlib
import string

import pytest

from machines import PATIENCE, on_trixie_alone, wait_until
from web import LOCATIONS, UPDATER

GATE = "nginx-models.service"
FOLDER = "/var/lib/home-lab-services/nginx"
UPSTREAMS = f"{FOLDER}/upstreams/models.conf"
PROPOSAL = "/run/home-lab-services/nginx/models"
WATCHERS = "nginx-config-updater.path nginx-config-updater.timer"


@pytest.fixture
def gate(web):
    """Nobody proposes anything but the test."""
    web.sh(f"systemctl stop {WATCHERS}")
    wait_until(lambda: web.sh("systemctl list-jobs --no-legend | grep nginx-config-updater || true") == "", PATIENCE,
               "the run that they have asked for is over")
    web.update()
    yield web
    web.sh(f"rm -rf {PROPOSAL}; systemctl start {WATCHERS}")
    web.update()
    assert web.failed_units() == ""


def in_force(web):
    return [web.path(file).read_bytes() for file in (LOCATIONS, UPSTREAMS)]


@contextlib.contextmanager
def nothing_reaches_nginx(web):
    before, workers = in_force(web), web.nginx_workers()
    yield
    assert in_force(web) == before and web.nginx_workers() == workers
    assert web.sh(f"ls -A {FOLDER}").split() == ["models.conf", "upstreams"]


def run(web, **how):
    return web.run(["systemctl", "start", GATE], **how).returncode


def says(web):
    return web.properties(GATE, "StatusText")["StatusText"]


HOSTILE = ["load_module /tmp/x.so;", "user root;", "include /etc/shadow;", "location /steal/ { root /; }", "quick 8311; root /;",
           "quick 8311\n}\nlocation /steal/ {\n    root /;\n", "quick 8311 # x", "# quick", "quick 127.0.0.1:22", "unix:/run/x.sock 80",
           "quick{ 8311", "quick} 8311", "$host 8311", "quick 8311\r", "quick\t8311", "quick 08311", "quick 0", "quick 65536", "../x 8311",
           "quick 8311\nquick 8312", "zz 1\nquick 8311", "\0", "\N{NO-BREAK SPACE}quick 8311", "a" * 129 + " 8311", ""]


@on_trixie_alone
def test_whoever_is_the_updater_writes_no_directive(gate):
    """Alone, before and behind lines of the updater's own, and without a line break at the end."""
    own = gate.path(PROPOSAL).read_text()
    with nothing_reaches_nginx(gate):
        for text in HOSTILE:
            for proposal in text + "\n", text + "\n" + own, own + text + "\n", own + "zz 8311":
                gate.put(PROPOSAL, proposal)
                assert run(gate) != 0, proposal
            assert says(gate).startswith("line ") and "root" not in says(gate), says(gate)
        gate.put(PROPOSAL, own)
        assert run(gate) == 0


def test_the_updater_sends_no_request_elsewhere(gate):
    """What the files do not say gets no location. The next run of the updater mends what the lie has left out."""
    own = gate.path(PROPOSAL).read_text()
    gate.put(PROPOSAL, own.replace("quick 8311\n", "quick 22\n") + "zz 8311\nzz-new 8399\n")
    assert run(gate) == 0
    text, upstreams = (file.decode() for file in in_force(gate))
    assert "zz" not in text and "/quick/" not in text and "/slow/ " in text
    assert ":22 " not in upstreams and ":8399 " not in upstreams
    gate.sh(["systemctl", "start", UPDATER])
    assert "location /quick/ { set $hl_model quick; set $hl_model_port 8311; " in gate.path(LOCATIONS).read_text()
    assert gate.path(PROPOSAL).read_text() == own


def test_what_is_no_file_of_its_own_is_not_read(gate):
    secret = "/run/home-lab-services/secret"
    gate.put(secret, "root-s-secret 1\n")
    try:
        with nothing_reaches_nginx(gate):
            for made in (f"ln -s {secret} P", f"ln {secret} P", "mkfifo P", "mkdir P", "truncate -s 1T P", "ln -s P P", "mknod P c 1 5", "true"):
                gate.sh(f"rm -rf {PROPOSAL}; " + made.replace("P", PROPOSAL))
                assert run(gate) != 0, made
                assert PROPOSAL in says(gate) and "root-s-secret" not in says(gate), says(gate)
    finally:
        gate.sh(["rm", secret])


def test_a_proposal_that_changes_while_it_is_read(gate):
    """What is in force is made of one proposal or the other, and never of what stands beside them."""
    own = gate.path(PROPOSAL).read_text()
    gate.put(f"{PROPOSAL}.a", own + "zz-a 8311\n")
    gate.put(f"{PROPOSAL}.b", own + "zz-b 8312\n")
    gate.put(f"{PROPOSAL}.c", own + "location /zz-c/ { root /; }\n")
    gate.sh(f"systemd-run --unit=swapping --collect sh -c 'while :; do for x in a b c; do cat {PROPOSAL}.$x >{PROPOSAL}; done; done'")
    try:
        taken = [run(gate) for _ in range(8)]
        text = gate.path(LOCATIONS).read_text()
    finally:
        gate.sh(f"systemctl stop swapping.service; rm {PROPOSAL}.[abc]")
    assert set(taken) <= {0, 1} and "zz-c" not in text and "root /" not in text
    assert gate.run("nginx -t").returncode == 0


def test_both_halves_and_others_at_once(gate):
    gate.model("fresh", 8331, command="sleep infinity")
    gate.sh(f"for i in 1 2 3; do systemctl start --no-block {GATE} {UPDATER}; done; systemctl start {UPDATER}")
    assert "location /fresh/" in gate.path(LOCATIONS).read_text()
    wait_until(lambda: gate.routes("fresh", "quick"), PATIENCE, "NGINX's new workers have it")


def test_names_of_all_that_a_name_may_have(gate):
    names = {char + string.ascii_letters + string.digits + "._:-" for char in "aZ0"} | {"0", "Z", "n" * 128, "a..b", "x-", "x:", "con.conf"}
    for number, name in enumerate(sorted(names)):
        gate.model(name, (1024, 65535, 8400)[number % 3], command="sleep infinity")
    gate.sh(["systemctl", "start", UPDATER])
    assert all(f"location /{name}/ {{" in gate.path(LOCATIONS).read_text() for name in names)
    wait_until(lambda: gate.routes(*names), PATIENCE, "NGINX's new workers have them")


def test_what_root_says_against_it_is_the_updaters_word_too(gate):
    with nothing_reaches_nginx(gate), gate.drop_in(GATE, f"[Service]\nReadWritePaths=\nReadOnlyPaths={FOLDER}\n"):
        gate.model("fresh", 8331, command="sleep infinity")
        assert gate.run(["systemctl", "start", UPDATER]).returncode != 0
        for unit in GATE, UPDATER:
            assert "Read-only file system" in gate.properties(unit, "StatusText")["StatusText"], unit
        assert "its last run         FAILED" in gate.sh("home-lab-services status")
    gate.sh(["systemctl", "start", UPDATER])
    wait_until(lambda: gate.routes("fresh"), PATIENCE, "NGINX's new workers have it")


def test_what_a_former_version_has_left_is_roots(gate):
    """The updater's user owned all of it. It says the same, so NGINX is not reloaded."""
    gate.sh(f"chown -R home-lab-nginx: {FOLDER}")
    with nothing_reaches_nginx(gate):
        gate.sh("systemd-tmpfiles --create home-lab-services.conf")
        gate.sh(["systemctl", "start", UPDATER])
        assert set(gate.sh(f"stat --format=%U:%a {FOLDER} {FOLDER}/upstreams {LOCATIONS} {UPSTREAMS}").split()) == {"root:755", "root:644"}

