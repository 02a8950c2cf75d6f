# SPDX-License-Identifier: MIT
"""A port that is NGINX's own is no model's, and what check says of NGINX."""
import pytest

from machines import DEMO_MODEL, INFERENCE, MODELS, PATIENCE, wait_until
from web import LOCATIONS, Web

SITE, LINK = "/etc/nginx/sites-available/home-lab-services", "/etc/nginx/sites-enabled/home-lab-services"
OTHER = "/etc/nginx/conf.d/other.conf"


@pytest.fixture(scope="module")
def lab(make_machine):
    machine = make_machine(kind=Web)
    machine.prepare()
    return machine


@pytest.fixture(autouse=True)
def as_it_was(lab):
    text = lab.path(SITE).read_text()
    yield
    lab.path(SITE).write_text(text)
    lab.run(f"rm -f {OTHER}; ln -sf {SITE} {LINK}; nginx -t && systemctl restart nginx")
    lab.reset()
    lab.update()


def check(machine, **options):
    done = machine.run(["home-lab-services", "check"], **options)
    return done.returncode, done.stdout


def is_refused(lab, name, port, where):
    """By the start, by check, and by the updater, which says so and leaves the others as they are."""
    answer = lab.http("POST", INFERENCE, f"/models/{name}/start")
    assert (answer.status, answer["code"]) == (409, "port_in_use"), answer
    assert f"port {port} is NGINX's" in answer["message"] and where in answer["message"], answer
    assert not lab.runs(name)
    status, text = check(lab)
    assert status == 65 and f"error: {MODELS}/{name}: PORT {port} is NGINX's" in text and where in text, text
    lab.update()  # none runs by itself while we look
    mark = lab.mark()
    lab.path(LOCATIONS).write_text("")
    lab.update()
    assert f"{MODELS}/{name}: PORT {port} is NGINX's" in lab.journal("-t", "nginx-config-updater", "--after-cursor", mark)
    text = lab.path(LOCATIONS).read_text()
    assert f"location /{name}/" not in text and f"$hl_model {name};" not in text and "location /quick/ " in text


@pytest.mark.parametrize("listen, port", [
    ("listen 9090;", 9090), ("listen 0.0.0.0:9090;", 9090), ("listen [::]:9191;", 9191), ("listen 127.0.0.1:9443 default_server;", 9443),
    ("listen 127.0.0.2;", 80), ("listen 9091 so_keepalive=on; listen [::1]:9092;", 9092)])
@pytest.mark.parametrize("runs", [True, False], ids=["running", "stopped"])
def test_a_port_of_another_site(lab, listen, port, runs):
    lab.put(OTHER, f"server {{ {listen} return 200; }}")
    lab.sh(f"nginx -t && systemctl {'restart' if runs else 'stop'} nginx")
    lab.model("twin", port)
    is_refused(lab, "twin", port, OTHER)


def test_the_port_of_our_own_site(lab):
    """llama-server's default. A request for it would come back to NGINX hundreds of times."""
    lab.model("eight", 8080)
    is_refused(lab, "eight", 8080, LINK)
    lab.sh("systemctl reload nginx")
    log = lab.path("/var/log/nginx/access.log")
    before = log.read_text().count("\n")
    answer = lab.chat("eight")
    assert answer.status in (404, 409, 503) and answer["error"]["message"], answer
    assert lab.ask("GET", "/eight/v1/models").status in (404, 409, 503)
    assert log.read_text().count("\n") - before <= 2


def test_a_port_that_nginx_has_still(lab):
    """Its files name another by now, but it was not told."""
    lab.put(OTHER, "server { listen 127.0.0.1:9095; return 200; }")
    lab.sh("systemctl reload nginx")
    wait_until(lambda: lab.run("ss -Hltn 'sport = :9095'").stdout, PATIENCE, "it listens")
    lab.sh(f"rm {OTHER}")
    lab.model("late", 9095)
    answer = lab.http("POST", INFERENCE, "/models/late/start")
    assert (answer.status, answer["code"]) == (409, "port_in_use") and "NGINX's" in answer["message"], answer


def test_what_is_no_port_of_nginxs(lab):
    lab.put(OTHER, "upstream u { server 127.0.0.1:9097; }\nserver { listen unix:/run/x:9097; # listen 9097;\n return 200; }")
    lab.sh("systemctl reload nginx")
    lab.model("free", 9097)
    assert lab.http("POST", INFERENCE, "/models/free/start?wait=ready").status == 200
    assert check(lab)[0] == 0


def test_a_stranger_on_the_port_of_a_stopped_model(lab):
    lab.sh(f"systemd-run --quiet --unit=stranger -p User=www-data {DEMO_MODEL} --name stranger --port 8311 --load-seconds 0")
    wait_until(lambda: lab.run("ss -Hltn 'sport = :8311'").stdout, PATIENCE, "it listens")
    try:
        status, text = check(lab)
        assert status == 0 and "note: quick does not run, and its port 8311 is held by demo-model (pid " in text, text
        assert "stranger.service)" in text and f"{MODELS}/quick" in text
        assert "its port is held by demo-model (pid " in lab.sh("home-lab-services status")
        said = "a program of stranger.service, user www-data"  # all that others may see
        assert said in check(lab, user="daemon")[1] and said in lab.sh("home-lab-services status", user="daemon")
    finally:
        lab.sh("systemctl stop stranger.service")
    assert "held by" not in check(lab)[1] + lab.sh("home-lab-services status")


# ---- what check says of NGINX ----

def test_a_configuration_that_nginx_refuses(lab):
    lab.put(OTHER, "nonsense on;\n")
    status, text = check(lab)
    assert status == 65 and f'unknown directive "nonsense" in {OTHER}:1: mend it, then: nginx -t && systemctl reload nginx' in text, text
    assert check(lab, user="daemon")[0] == 0  # who cannot see it says that
    assert "whether NGINX takes its configuration, only root can see" in check(lab, user="daemon")[1]
    assert lab.run("systemctl restart home-lab-services").returncode == 0  # the lab can do without NGINX


def test_a_site_without_our_include(lab):
    lab.path(SITE).write_text("server { listen 127.0.0.1:8080; }\n")
    for user in None, "daemon":
        status, text = check(lab, user=user)
        assert status == 65 and f'{LINK}: without "include home-lab-services/server.conf;" nothing of the lab is in it' in text, text


def test_a_site_that_is_not_enabled(lab):
    lab.sh(f"rm {LINK}")
    status, text = check(lab)
    assert status == 0 and f"ln -sf {SITE} {LINK} && nginx -t && systemctl reload nginx" in text, text
    lab.sh(text.split("is not enabled: ")[1].split("\n")[0])  # as it says
    assert "ok: NGINX's site" in check(lab)[1]


def test_a_site_by_another_name(lab):
    lab.sh(f"rm {LINK} && cp {SITE} {OTHER} && systemctl reload nginx")
    assert f"ok: NGINX's site {OTHER}" in check(lab)[1]


def test_an_address_that_a_reload_could_not_change(lab):
    """NGINX cannot take *:8080 while it has 127.0.0.1:8080, and stays as it was."""
    lab.path(SITE).write_text(lab.path(SITE).read_text().replace("listen 127.0.0.1:8080;", "listen 8080;\n    listen [::1]:8080;\n    listen 127.0.0.1:8080;"))
    lab.run("systemctl reload nginx")
    for user in None, "daemon":
        assert f'note: NGINX runs, and does not listen as "listen 8080" says ({LINK}:' in check(lab, user=user)[1]
    lab.sh("systemctl restart nginx")
    assert "does not listen as" not in check(lab)[1]


@pytest.mark.parametrize("lines, is_open", [
    ("listen 8080;", True), ("listen [::]:8080;", True), ("listen 127.0.0.1:8080;\n    listen 127.0.0.2:8081;", False),
    ("listen [::1]:8080;", False), ("listen 8080;\n    deny 10.0.0.0/8;", False), ("listen unix:/run/nginx-x.sock;", False)])
def test_models_that_are_open_to_a_network(lab, lines, is_open):
    lab.path(SITE).write_text(lab.path(SITE).read_text().replace("listen 127.0.0.1:8080;", lines))
    status, text = check(lab)
    assert status == 0 and ("note: models are open to your network without a key" in text) == is_open, text
    assert not is_open or '"auth": {"models": "token"}' in text and "home-lab-services token" in text
    lab.config(auth={"models": "token"})
    assert "are open to your network" not in check(lab)[1]
    lab.config(auth={"models": "tokens"})  # what it means to say is not known, and the services answer nobody
    assert "are open to your network" not in check(lab)[1]
