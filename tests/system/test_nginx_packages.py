# SPDX-License-Identifier: MIT
"""NGINX as others than Debian package it, the change from one to the other, and sites of former installations."""
import pytest

from machines import PATIENCE, SOURCE, install, on_trixie_alone, wait_until

pytestmark = pytest.mark.seconds(240)  # several installations each
NAME = "home-lab-services"
AVAILABLE, LINK = f"/etc/nginx/sites-available/{NAME}", f"/etc/nginx/sites-enabled/{NAME}"
CONF_D = f"/etc/nginx/conf.d/{NAME}.conf"
SOCKET = "/run/home-lab-services/model-router.sock"

# As nginx.org ships it.
NGINX_ORG = """
user  nginx;
worker_processes  auto;

error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;


events {
    worker_connections  1024;
}


http {
    include       /etc/nginx/mime.types;
    default_type  application/octet-stream;

    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" '
                      '"$http_user_agent" "$http_x_forwarded_for"';

    access_log  /var/log/nginx/access.log  main;

    sendfile        on;
    #tcp_nopush     on;

    keepalive_timeout  65;

    #gzip  on;

    include /etc/nginx/conf.d/*.conf;
}
"""
DEFAULT = "server {\n    listen       80;\n    server_name  localhost;\n    location / {\n        root   /usr/share/nginx/html;\n    }\n}\n"

# The first that was shipped.
FORMER = """# Home Lab Services behind NGINX: this host's services below /api/, each model below /NAME/, all of them at /v1/.
#
# This file is yours. It is installed once and never replaced: the address, TLS, who may come in, and where it logs are
# said here. What the product needs is in /etc/nginx/home-lab-services, which each installation replaces.

include home-lab-services/http.conf;

server {
    # This machine alone. "listen 8080;" is for your whole network: models ask nobody for a password, so see to it with
    # NGINX's own means, such as
    #     allow 192.168.1.0/24;
    #     allow 127.0.0.1;
    #     deny all;
    listen 127.0.0.1:8080;

    access_log /var/log/nginx/access.log;

    include home-lab-services/server.conf;
}
"""


def make_it_nginx_orgs(machine, conf=NGINX_ORG, user="nginx"):
    machine.sh("rm -rf /etc/nginx/sites-available/default /etc/nginx/sites-enabled/default /etc/nginx/modules-enabled")
    machine.sh(f"id {user} || useradd --system --user-group --no-create-home {user}")
    machine.put("/etc/nginx/nginx.conf", conf)
    machine.put("/etc/nginx/conf.d/default.conf", DEFAULT)


@pytest.fixture(scope="module")
def host(make_machine):
    machine = make_machine("--bare")
    machine.sh("systemctl enable nginx.service")
    return machine


@pytest.fixture(autouse=True)
def nothing_installed(host):
    """Each test finds Debian's NGINX, and nothing of ours."""
    host.sh("rm -rf /etc/nginx.saved && cp -a /etc/nginx /etc/nginx.saved")
    yield
    install(host, "uninstall")
    host.sh("systemctl stop nginx; rm -rf /etc/nginx && mv /etc/nginx.saved /etc/nginx; rm -f /etc/home-lab-services/models/*")


def put_model(host):
    host.put("/usr/local/bin/mirror-model", (host.path(SOURCE) / "tests/system/mirror-model").read_text(), 0o755)
    host.model("mirror", 8318, command="/usr/local/bin/mirror-model 8318")
    host.sh("systemctl start nginx-config-updater.service")


def a_model_answers(host):
    put_model(host)
    wait_until(lambda: host.http("POST", 8080, "/mirror/x", "text").status == 200, PATIENCE, "a model answers by NGINX")
    assert host.http("POST", 8080, "/v1/completions", {"model": "mirror"}).status == 200
    assert host.http("GET", 8080, "/api/shutdown/shutdown/next").status == 200


def group_of(host, path):
    return host.sh(f"stat --format=%G {path}").strip()


def check(host):
    done = host.run(["home-lab-services", "check"])
    return done.returncode, done.stdout


def test_nginx_orgs_package(host):
    make_it_nginx_orgs(host)
    host.sh("rm -rf /etc/nginx/sites-available /etc/nginx/sites-enabled")
    done = install(host)
    assert done.returncode == 0 and CONF_D in done.stdout and "group nginx" in done.stdout, done
    assert group_of(host, SOCKET) == "nginx" and not host.path("/etc/nginx/sites-available").exists()
    a_model_answers(host)
    status, text = check(host)
    assert status == 0 and f"ok: NGINX's site {CONF_D}" in text and "Everything is in order." in text, text
    assert "nginx-config-updater" in host.sh("home-lab-services status")  # as with Debian's
    text = host.path(CONF_D).read_text() + "# mine\n"
    host.put(CONF_D, text)
    assert install(host).returncode == 0 and host.path(CONF_D).read_text() == text

    done = install(host, "uninstall")
    assert done.returncode == 0 and CONF_D + ".disabled" in done.stdout, done
    assert not host.path(CONF_D).exists() and host.run("nginx -t").returncode == 0
    assert install(host).returncode == 0 and host.path(CONF_D).read_text() == text  # and back
    host.put(CONF_D, text.removesuffix("# mine\n"))
    assert install(host, "uninstall").returncode == 0
    assert host.run("find /etc/nginx -name '*home-lab*'").stdout == "" and host.run("nginx -t").returncode == 0


def test_a_host_that_changes_to_nginx_orgs_package(host):
    assert install(host).returncode == 0
    assert group_of(host, SOCKET) == "www-data" and host.path(LINK).is_symlink()
    mine = host.path(AVAILABLE).read_text() + "# mine\n"
    host.put(AVAILABLE, mine)
    make_it_nginx_orgs(host)
    host.sh("systemctl restart nginx")
    status, text = check(host)
    assert status == 0 and "does not read its site" in text and 'run "make install" again' in text, text
    done = install(host)
    assert done.returncode == 0 and f"{AVAILABLE} is {CONF_D}" in done.stdout, done
    assert host.path(CONF_D).read_text() == mine and not host.path(LINK).is_symlink()
    assert group_of(host, SOCKET) == "nginx" and check(host)[0] == 0
    a_model_answers(host)


@on_trixie_alone
def test_another_user_that_may_not_open_the_sockets(host):
    assert install(host).returncode == 0
    host.sh("id web || useradd --system --user-group --no-create-home web")
    host.sh("sed -i 's/^user .*/user web;/' /etc/nginx/nginx.conf && systemctl restart nginx")
    status, text = check(host)
    assert status == 65 and "NGINX's user web may not open it, it is group www-data's" in text and "make install" in text, text
    assert host.run("systemctl restart home-lab-services").returncode == 0  # the lab can do without
    assert install(host).returncode == 0 and check(host)[0] == 0
    assert group_of(host, SOCKET) == "web"
    a_model_answers(host)
    host.sh("sed -i 's/^user .*/user web www-data;/' /etc/nginx/nginx.conf && systemctl restart nginx")
    assert check(host)[0] == 65
    assert install(host).returncode == 0 and group_of(host, SOCKET) == "www-data" and check(host)[0] == 0


@on_trixie_alone
@pytest.mark.parametrize("include, place", [
    ("include vhosts.d/*.conf; include conf.d/*.conf;", f"/etc/nginx/vhosts.d/{NAME}.conf"),
    ("include /etc/nginx/http.d/*.conf;", f"/etc/nginx/http.d/{NAME}.conf"),
    ("include sites-enabled/*.conf;", LINK + ".conf"),
    ("include /etc/nginx/sites-enabled/*; include /etc/nginx/conf.d/*.conf;", LINK)])
def test_where_other_packages_read_sites(host, include, place):
    make_it_nginx_orgs(host, NGINX_ORG.replace("include /etc/nginx/conf.d/*.conf;", include), "http")
    host.sh("sed -i 's/^user .*/user http;/' /etc/nginx/nginx.conf")
    assert install(host).returncode == 0
    assert host.path(place).exists() or host.path(place).is_symlink()
    assert group_of(host, SOCKET) == "http" and f"ok: NGINX's site {place}" in check(host)[1]
    a_model_answers(host)
    assert install(host, "uninstall").returncode == 0
    assert host.run("find /etc/nginx -name '*home-lab*'").stdout == ""


def test_an_nginx_that_reads_no_folder(host):
    make_it_nginx_orgs(host, NGINX_ORG.replace("include /etc/nginx/conf.d/*.conf;", ""))
    done = install(host)
    assert done.returncode == 0 and 'add "include /etc/nginx/conf.d/*.conf;" to http { }' in done.stdout, done
    status, text = check(host)
    assert status == 0 and "does not read its site" in text, text


def test_a_port_that_is_taken(host):
    make_it_nginx_orgs(host)
    host.sh("systemd-run --quiet --unit=squatter python3 -m http.server --bind 127.0.0.1 8080")
    wait_until(lambda: host.run("ss -Hltn 'sport = :8080'").stdout, PATIENCE, "somebody has the port")
    done = install(host)
    host.sh("systemctl stop squatter.service")
    assert done.returncode == 0 and "port 8080 is in use" in done.stdout and not host.path(CONF_D).exists(), done
    assert host.run("nginx -t").returncode == 0
    command = done.stdout.split("and then: ")[1].split("\n")[0]
    host.sh(command)  # as it says
    a_model_answers(host)


@on_trixie_alone
def test_sites_of_former_installations(host):
    """One that nobody has changed is replaced; one that is the user's stays, and what it lacks is said."""
    assert install(host).returncode == 0
    today = host.path(AVAILABLE).read_text()
    host.path(AVAILABLE).write_text(FORMER)
    assert install(host).returncode == 0 and host.path(AVAILABLE).read_text() == today
    lines = [line for line in today.splitlines(True) if "client_max_body_size" not in line]
    mine = "".join(lines).replace("127.0.0.1:8080", "127.0.0.1:8088")
    host.path(AVAILABLE).write_text(mine)
    done = install(host)
    assert done.returncode == 0 and host.path(AVAILABLE).read_text() == mine
    assert "client_max_body_size 64m;" in done.stdout and AVAILABLE in done.stdout, done
    status, text = check(host)
    assert status == 0 and f"note: {LINK}: bodies are at most 1 MB long" in text and "client_max_body_size 64m;" in text, text
    host.path(AVAILABLE).write_text(mine.replace("    listen 127", "    client_max_body_size 5m;\n    listen 127"))
    assert "client_max_body_size" not in install(host).stdout + check(host)[1]
