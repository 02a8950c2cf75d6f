# SPDX-License-Identifier: MIT
"""The site file is the user's: it bears what people write into it, and what they write holds. A request goes through to a
model each time."""
import itertools
import subprocess

import pytest

from machines import PATIENCE, wait_until
from web import CHAT, Web

SITE, LINK = "/etc/nginx/sites-available/home-lab-services", "/etc/nginx/sites-enabled/home-lab-services"
COPY = "/etc/nginx/sites-enabled/zz-copy"  # read after ours
LISTEN = "    listen 127.0.0.1:8080;\n"
TLS = "    ssl_certificate /etc/nginx/test.crt;\n    ssl_certificate_key /etc/nginx/test.key;\n"
PLACES = {"server": ("    include home-lab-services/server.conf;\n", "{}\n    include home-lab-services/server.conf;\n"),
          "behind": ("    include home-lab-services/server.conf;\n", "    include home-lab-services/server.conf;\n    {}\n"),
          "limit": ("client_max_body_size 64m;", "{}"),
          "beside": ("include home-lab-services/http.conf;", "{}\ninclude home-lab-services/http.conf;")}
generations = itertools.count(1)


class Site(Web):
    """A machine whose site file changes from test to test."""

    def prepare(self):
        self.shipped = self.path(SITE).read_text()
        super().prepare()

    def reset(self):
        super().reset()
        self.run(f"rm -f {COPY} /etc/nginx/conf.d/*.conf /etc/nginx/snippets/test.conf; ln -sf ../sites-available/home-lab-services {LINK}")
        if self.path(SITE).read_text() != self.shipped:
            self.write(self.shipped)
            self.sh("systemctl reload-or-restart nginx")

    def write(self, text):
        self.path(SITE).write_text(text)  # in place: the link leads here

    def take(self, text=None, http="", restart=False):
        """NGINX has this site, and these lines beside it, in force."""
        number = next(generations)
        mark = f"location = /generation {{ return 200 \"{number}\"; }}"
        self.write((text or self.shipped).replace("include home-lab-services/server.conf;",
                                                  f"{mark}\n    include home-lab-services/server.conf;", 1))
        if http:
            self.put("/etc/nginx/conf.d/test.conf", http)
        done = self.run("nginx -t")
        assert done.returncode == 0 and "[warn]" not in done.stderr, done.stderr
        before = self.nginx_workers()
        self.sh(f"systemctl {'restart' if restart else 'reload'} nginx")
        wait_until(lambda: self.sh("curl -ks --max-time 2 --user u:p 127.0.0.1:8080/generation || true") == str(number), PATIENCE, "NGINX has it")
        wait_until(lambda: not before & self.nginx_workers(), PATIENCE, "the workers of before take no new requests")

    def site_with(self, lines, place="server"):
        old, new = PLACES[place]
        assert old in self.shipped
        return self.shipped.replace(old, new.format(lines))


@pytest.fixture(scope="module")
def site(make_machine):
    machine = make_machine(kind=Site)
    machine.prepare()
    return machine


@pytest.fixture(autouse=True)
def as_shipped(site):
    yield
    site.reset()


def goes_through(site, headers={}):
    """A model by its path and by the OpenAI API, and a service."""
    answer = site.ask("POST", "/mirror/a?b=c", "text", headers=headers)
    assert answer.status == 200 and (answer["target"], answer["body"]) == ("/a?b=c", "text"), answer
    answer = site.ask("POST", CHAT, {"model": "quick", "messages": []}, headers=headers)
    assert answer.status == 200 and answer["choices"], answer
    assert site.ask("GET", "/v1/models", headers=headers)["data"]
    assert site.ask("GET", "/api/shutdown/shutdown/next", headers=headers).status == 200
    answer = site.ask("GET", "/nobody/there", headers=headers)
    assert answer.status == 404 and answer.headers["Content-Type"] == "application/json", answer


BORNE = [
    "client_body_timeout 10s;", "client_header_timeout 10s;", "client_header_buffer_size 4k;", "large_client_header_buffers 8 64k;",
    "client_body_buffer_size 2m;", "limit_rate 10m;",
    "access_log /var/log/nginx/llm.log combined buffer=32k;", "error_log /var/log/nginx/llm-error.log warn;", "log_not_found off;",
    "proxy_read_timeout 10m;", "proxy_send_timeout 10m;", "proxy_connect_timeout 10s;", "send_timeout 10m;", "keepalive_timeout 5s;",
    "keepalive_requests 10;", "fastcgi_read_timeout 10m;", "lingering_timeout 10s;", "reset_timedout_connection on;",
    "server_name llm.home.arpa _;", "server_tokens off;", "charset utf-8;", "default_type text/plain;", "etag off;",
    "root /var/www/html;", "index index.html;", "try_files $uri $uri/ =404;", "error_page 404 /404.html;", "error_page 502 503 504 /50x.html;",
    "gzip on; gzip_types application/json text/event-stream; gzip_min_length 0;", "gzip_proxied any;",
    "proxy_buffering on;", "proxy_request_buffering off;", "proxy_buffer_size 128k; proxy_buffers 4 256k; proxy_busy_buffers_size 256k; "
    "proxy_temp_file_write_size 256k; proxy_max_temp_file_size 512k;",
    "proxy_set_header X-Real-IP $remote_addr;", "proxy_http_version 1.0;", "proxy_redirect off;", "proxy_hide_header X-Powered-By;",
    "proxy_ignore_client_abort on;", "fastcgi_intercept_errors on;", "fastcgi_keep_conn on;", "fastcgi_param HTTPS on;",
    "fastcgi_request_buffering off;", "fastcgi_next_upstream off; fastcgi_buffers 8 8k; fastcgi_buffer_size 8k; "
    "fastcgi_busy_buffers_size 16k; fastcgi_temp_file_write_size 16k; fastcgi_max_temp_file_size 32k;",
    'add_header X-Frame-Options SAMEORIGIN always; add_header X-Content-Type-Options nosniff;', "expires -1;",
    "merge_slashes on;", "merge_slashes off;", "absolute_redirect on;", "port_in_redirect off;", "server_name_in_redirect off;",
    "resolver 127.0.0.1;", "set_real_ip_from 192.168.0.0/16; real_ip_header X-Forwarded-For; real_ip_recursive on;",
    "allow 127.0.0.1; allow 192.168.1.0/24; deny all;", "ignore_invalid_headers off;", "underscores_in_headers on;",
    "set $mine 1;", "if ($request_method = TRACE) { return 405; }", "include snippets/llm*.conf;", "autoindex on;", "tcp_nodelay on;",
    "location /docs/ { return 200 docs; }", "location = /robots.txt { return 200 none; }", "location / { return 200 mine; }",
    "location ~ /\\.git { deny all; }", "location ^~ /.well-known/acme-challenge/ { root /var/www/acme; }",
    "location @mine { return 200; }", "rewrite ^/llm$ /v1/models last;",
]


@pytest.mark.parametrize("place", ["server", "behind"])
@pytest.mark.parametrize("lines", BORNE)
def test_what_people_set_is_borne(site, lines, place):
    site.take(site.site_with(lines, place))
    if "location / " in lines:
        wait_until(lambda: site.ask("GET", "/nobody/there").body == b"mine", PATIENCE, "no worker has the old site")
        assert b"mine" == site.ask("GET", "/", headers={"Accept": "text/html"}).body
        assert b"<title>Home Lab Services" in site.ask("GET", "/-/home-lab/").body
        assert b"<title>Starting" in site.ask("GET", "/quick/", headers={"Accept": "text/html"}).body
        assert site.ask("POST", "/mirror/x", "text")["body"] == "text"
    else:
        goes_through(site)


@pytest.mark.parametrize("lines", [
    "client_max_body_size 2m;", "map_hash_bucket_size 256;", "map_hash_max_size 4096;", "variables_hash_max_size 4096;",
    "variables_hash_bucket_size 128;", "proxy_headers_hash_max_size 1024; proxy_headers_hash_bucket_size 128;",
    "charset utf-8;", "server_names_hash_bucket_size 128;", "proxy_read_timeout 90s; proxy_connect_timeout 90s;", "merge_slashes on;",
    "limit_req_zone $binary_remote_addr zone=all:1m rate=1000r/s; limit_req zone=all burst=1000 nodelay;",
    "limit_conn_zone $server_port zone=open:1m; limit_conn open 100;", "proxy_intercept_errors on;", "fastcgi_intercept_errors on;",
    "log_format mine '$remote_addr $request_time'; access_log /var/log/nginx/mine.log mine;", "proxy_set_header Host $host;",
    "map $http_upgrade $connection_upgrade { default upgrade; '' close; }", "client_body_buffer_size 128k; client_header_buffer_size 8k;",
    "error_page 404 /404.html;", "upstream mine { server 127.0.0.1:9; keepalive 4; }", "absolute_redirect on;", "recursive_error_pages off;", "limit_req_status 429;",
])
def test_what_people_set_for_all_sites_is_borne(site, lines):
    site.take(http=lines + "\n")
    goes_through(site)


# ---- what is written holds ----

@pytest.mark.parametrize("limit, size, status", [("500m", 100 << 20, 200), ("0", 70 << 20, 200), ("1m", 2 << 20, 413), ("64m", 65 << 20, 413)])
def test_the_limit_of_the_site_is_the_only_one(site, limit, size, status):
    site.take(site.site_with(f"client_max_body_size {limit};", "limit"))
    answer = site.ask("POST", "/mirror/x", b"x" * size, {"Content-Type": "application/octet-stream"})
    assert answer.status == status, answer
    if status == 200:
        assert len(answer["body"]) == size
    else:
        assert answer["code"] == "body_too_large"


@pytest.mark.parametrize("lines, place", [("access_log off;", "server"), ("access_log off;", "behind")])
def test_use_is_counted_without_logs(site, lines, place):
    text = site.shipped.replace("    access_log /var/log/nginx/access.log;\n", "")
    old, new = PLACES[place]
    site.take(text.replace(old, new.format(lines)))
    before = site.last_used("quick")
    assert site.ask("POST", "/quick/v1/completions", {"prompt": "x"}).status == 200
    wait_until(lambda: site.last_used("quick") != before, PATIENCE, "its use is known")
    before = site.last_used("quick")
    assert site.chat("quick").status == 200
    wait_until(lambda: site.last_used("quick") != before, PATIENCE, "its use is known")


def test_slashes_in_front_are_one(site):
    for path in "//v1/chat/completions", "///v1/chat/completions":
        assert site.ask("POST", path, {"model": "quick", "messages": []})["choices"]
    assert site.ask("POST", "//mirror/a//b", "text")["target"] == "/a//b"
    assert site.ask("GET", "//v1/models")["data"]
    assert site.ask("GET", "//api/shutdown/shutdown/next").status == 200


def test_a_redirect_names_no_host(site):
    for path in "/quick", "/v1", "/api/inference":
        assert site.ask("GET", path).headers["Location"] == path + "/"


@pytest.mark.parametrize("zone, limit", [("limit_req_zone $server_port zone=few:1m rate=1r/m;", "limit_req zone=few;"),
                                         ("limit_conn_zone $server_port zone=few:1m;", "limit_conn few 1;")])
@pytest.mark.parametrize("path", ["/slow/v1/completions", CHAT])
def test_a_limit_on_requests_holds(site, zone, limit, path):
    """Too much is no model that is not there: it is not sent to the model another way."""
    site.take(site.site_with(limit), http=zone)
    body = {"model": "slow", "prompt": "x", "messages": []}
    with site.loading():
        held = site.hold(path, b'{"model": "slow", "messages": []}')
        site.wait_for_waiting(1)
        assert site.ask("POST", path, body).status == 503
    held.answer()


def test_errors_of_the_users_own_locations(site):
    site.take(site.site_with("error_page 404 /mine.html;\n location = /mine.html { return 200 mine; }\n location /docs/ { root /nowhere; }"))
    answer = site.ask("GET", "/docs/x")
    assert (answer.status, answer.body) == (404, b"mine"), answer
    site.take(site.site_with("location /docs/ { root /nowhere; }"))
    assert b"nginx" in site.ask("GET", "/docs/x").body  # not ours: nobody said so


@pytest.mark.parametrize("lines", ["proxy_intercept_errors on; fastcgi_intercept_errors on; error_page 500 502 503 504 404 /50x.html;"])
@pytest.mark.parametrize("status", [404, 500, 502, 503, 504, 418])
def test_what_a_model_answers_is_its_answer(site, lines, status):
    site.take(site.site_with(lines, "server"))
    for path in "/mirror/x", "/v1/x":
        answer = site.ask("POST", path, '{"model": "mirror"}', {"X-Status": str(status)})
        assert answer.status == status and answer["method"] == "POST", answer


def test_the_site_works_behind_a_password(site):
    site.put("/etc/nginx/test.htpasswd", "u:{PLAIN}p\n")
    site.take(site.site_with('auth_basic "llm"; auth_basic_user_file /etc/nginx/test.htpasswd;'))
    assert site.ask("POST", "/mirror/x", "text").status == 401
    assert site.ask("POST", CHAT, {"model": "quick", "messages": []}).status == 401
    key = {"Authorization": "Basic dTpw"}
    goes_through(site, key)
    assert site.ask("POST", "/mirror/x", "text", key | {"Origin": "http://evil.example", "Content-Type": "text/plain"}).status == 403
    site.update()
    wait_until(lambda: "Authorization" not in site.ask("POST", "/mirror/x", "text", key)["headers"], PATIENCE, "no model gets the site's password")
    goes_through(site, key)


# ---- addresses ----

@pytest.fixture(scope="module")
def certificate(site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout",
                    folder / "key", "-out", folder / "crt"], check=True, capture_output=True)
    for name in "key", "crt":
        site.put(f"/etc/nginx/test.{name}", (folder / name).read_text())


def is_old(site):
    return "nginx/1.22" in site.run("nginx -v").stderr


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_the_site_works_with_tls_in_both_versions_of_http(site, certificate, version):
    http2 = " ssl http2;\n" if is_old(site) else " ssl;\n    http2 on;\n"
    site.take(site.shipped.replace(LISTEN, LISTEN + "    listen 127.0.0.1:8443" + http2 + TLS))
    curl = f"curl -ksS {version} --fail-with-body https://localhost:8443"
    assert '"target": "/a?b"' in site.sh(f"{curl}/mirror/a?b -d text")
    assert '"body": "text"' in site.sh(f"printf text | {curl}/mirror/a -H 'Transfer-Encoding: chunked' -T - -X POST" if "1.1" in version
                                       else f"{curl}/mirror/a -d text")
    assert '"choices"' in site.sh(curl + CHAT + """ -H 'Content-Type: application/json' -d '{"model": "quick", "messages": []}'""")
    assert '"data"' in site.sh(f"{curl}/v1/models")


@pytest.mark.parametrize("listens", ["listen 8080;", "listen [::]:8080 ipv6only=off;", "listen 8080 default_server;\n    listen [::]:8080 default_server;",
                                     "listen 8080 reuseport;", "listen 127.0.0.1:8080;\n    listen unix:/run/nginx-llm.sock;",
                                     "listen *:8080 backlog=4096 so_keepalive=on;"])
def test_every_form_of_listen(site, listens):
    try:
        site.take(site.shipped.replace(LISTEN, f"    {listens}\n"), restart=True)
        goes_through(site)
    finally:
        site.write(site.shipped)
        site.sh("systemctl restart nginx")


def test_another_site_on_the_same_port(site):
    text = site.shipped.replace(LISTEN, "    listen 127.0.0.1:8080 default_server;\n    server_name llm.home.arpa;\n")
    site.take(text, http="server { listen 127.0.0.1:8080; server_name other.home.arpa; location / { return 200 other; } }")
    assert site.ask("GET", "/", headers={"Host": "other.home.arpa"}).body == b"other"
    goes_through(site)


def test_the_site_twice(site):
    """Copied, as people do for a second address: what stands once for all of NGINX goes, and check says so."""
    copy = site.shipped.replace("127.0.0.1:8080", "127.0.0.1:8081")
    site.put(COPY, copy)
    text = site.run("home-lab-services check").stdout
    assert '"include home-lab-services/http.conf;" stands once' in text and "/etc/nginx/" in text, text
    site.put(COPY, copy.replace("include home-lab-services/http.conf;", ""))
    site.take()
    assert site.ask("POST", "/mirror/x", "text")["body"] == "text"
    assert site.http("POST", 8081, "/mirror/x", "text")["body"] == "text"
    assert site.http("POST", 8081, CHAT, {"model": "quick", "messages": []})["choices"]


def test_two_servers_in_one_site_file(site):
    server = site.shipped[site.shipped.index("server {"):]
    site.take(site.shipped + server.replace("127.0.0.1:8080", "127.0.0.1:8081"))
    assert site.http("POST", 8081, "/mirror/x", "text")["body"] == "text"
