# SPDX-License-Identifier: MIT
"""What the cluster's NGINX takes of the ConfigMap: what nginx-config-updater writes, and no other line. Whoever may change the
ConfigMap gets no token by it, and sends no request to where he likes."""
import pathlib
import subprocess

import pytest

CHECK = pathlib.Path(__file__).resolve().parents[2] / "nginx/kubernetes/site/models.awk"
SERVICES = "192.168.1.10:5002 [fd00::1]:80 ?"
HEADING = "# Made by nginx-config-updater of Home Lab Services; what is written here by hand is lost.\n# Changed: 2026-01-31T23:00:00+01:00\n"
# As tests/unit/nginx-config-updater/test_fleet.c has it; tests/kubernetes has the updater's own.
UPSTREAMS = HEADING + """\
upstream hl_model__beta_1q4.x {
    server 192.168.1.10:8198 max_fails=0;
    server [fd00::1]:8199 max_fails=0;
}
upstream hl_start__beta_1q4.x {
    server 192.168.1.10:5002 max_fails=0;
    server [fd00::1]:80 max_fails=0;
}
"""
LOCATIONS = HEADING + """
# http://192.168.1.10:5002
location ~ ^/_home-lab-services/report/0/(?<hl_reported>.+)$ {
    include home-lab-services/report.conf;
    proxy_pass http://192.168.1.10:5003/models/$hl_reported/report;
}

# Beta:q4.x
location /Beta:q4.x/ {
    include home-lab-services/first.conf;
    set $hl_model Beta:q4.x;
    proxy_pass http://hl_model__beta_1q4.x$hl_model_uri;
    mirror /_home-lab-services/report/0/Beta:q4.x;
    error_page 502 503 504 = @wake_Beta:q4.x;
}
location @wake_Beta:q4.x {
    include home-lab-services/again.conf;
    set $hl_model Beta:q4.x;
    proxy_pass http://hl_model__beta_1q4.x$hl_model_uri;
    auth_request /_home-lab-services/start/Beta:q4.x;
}
location = /_home-lab-services/start/Beta:q4.x {
    include home-lab-services/start.conf;
    proxy_pass http://hl_start__beta_1q4.x/models/Beta:q4.x/start?wait=ready;
}

# api
# This is a path of the hosts' own: the model cannot be reached here.
"""


@pytest.fixture
def check(tmp_path):
    def check(upstreams, locations):
        files = [tmp_path / "upstreams.conf", tmp_path / "locations.conf"]
        for file, text in zip(files, (upstreams, locations)):
            file.write_bytes(text.encode())
        return subprocess.run(["awk", "-v", f"services={SERVICES}", "-f", CHECK, *files], capture_output=True, text=True, timeout=30,
                              env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    return check


def test_what_the_updater_writes_is_taken(check):
    for upstreams, locations in (UPSTREAMS, LOCATIONS), ("", ""), (HEADING, HEADING):
        done = check(upstreams, locations)
        assert (done.returncode, done.stderr) == (0, "")


SET = "    set $hl_model Beta:q4.x;\n"
FIRST, AGAIN = "    include home-lab-services/first.conf;\n", "    include home-lab-services/again.conf;\n"
START = "    proxy_pass http://hl_start__beta_1q4.x/models/Beta:q4.x/start?wait=ready;\n"
TO_MODEL = "    proxy_pass http://hl_model__beta_1q4.x$hl_model_uri;\n"
SERVICE, MODEL = "    server 192.168.1.10:5002 max_fails=0;\n", "    server 192.168.1.10:8198 max_fails=0;\n"
# (what stands there, what somebody writes in its place)
OTHERS = [
    # The token is shown, or given to a model.
    ("", "location /steal/ { alias /run/secrets/home-lab-services/; }\n"), ("", "location /steal/ {\n    alias /run/secrets/home-lab-services/;\n}\n"),
    (FIRST, FIRST + "    alias /run/secrets/home-lab-services/;\n"), (FIRST, "    include home-lab-services/token.conf;\n"),
    (FIRST, FIRST[:-1] + " include home-lab-services/token.conf;\n"), (FIRST, "    include home-lab-services/start.conf;\n"),
    (FIRST, ""), (AGAIN, ""), (AGAIN, "    include home-lab-services/call.conf;\n"), (FIRST + SET, SET + FIRST), (FIRST, FIRST + FIRST),
    ("    include home-lab-services/start.conf;\n", ""), ("    include home-lab-services/report.conf;\n", ""), (FIRST, "    include /run/secrets/home-lab-services/control;\n"),
    (TO_MODEL, "    proxy_pass http://hl_start__beta_1q4.x$hl_model_uri;\n"), ("", "log_format x $http_authorization;\n"),
    ("", "lua_code_cache off;\n"), ("", "load_module x.so;\n"),
    # It is sent to where somebody likes, or with another request.
    (SERVICE, "    server 10.255.255.1:5002 max_fails=0;\n"), (SERVICE, "    server 192.168.1.10:8198 max_fails=0;\n"),
    (SERVICE, "    server evil.example:5002 max_fails=0;\n"), (SERVICE, "    server unix:/run/x.sock max_fails=0;\n"),
    (SERVICE, SERVICE.replace("max_fails=0", "backup")), (SERVICE, SERVICE[:-1] + " server 10.255.255.1:5002;\n"), (SERVICE, "    server ? max_fails=0;\n"),
    (START, START.replace("hl_start__beta_1q4.x/", "10.255.255.1:5002/")), (START, START.replace("hl_start_", "hl_model_")),
    (START, START.replace("?wait", "/../../shutdown?wait")), (START, START.replace("/models/Beta", "/x/models/Beta")),
    (START, START.replace("Beta:q4.x", "Other")), ("http://192.168.1.10:5003", "http://10.255.255.1:5003"),
    ("$hl_reported/report", "$hl_reported/start"), ("report/0/(", "report/0(/x)?/("),
    # A request goes to where somebody likes.
    (MODEL, "    server 169.254.169.254:80 max_fails=0;\n"), (MODEL, "    server 192.168.1.10 max_fails=0;\n"),
    (MODEL, "    server :8198 max_fails=0;\n"), (MODEL, "    server [::1]:8198 max_fails=0;\n"), (TO_MODEL, "    proxy_pass http://10.0.0.1$hl_model_uri;\n"),
    (TO_MODEL, "    proxy_pass https://hl_model__beta_1q4.x$hl_model_uri;\n"),
    # The form.
    ("", "}\n"), ("", "upstream hl_model_x {\n"), ("location /Beta:q4.x/ {", "location /a; b/ {"), ("location /Beta:q4.x/ {", "location /_x/ {"),
    ("location /Beta:q4.x/ {", "location /a/b/ {"), ("location /Beta:q4.x/ {", "location / {"), ("location /Beta:q4.x/ {", "location ^~ /x/ {"),
    ("set $hl_model Beta:q4.x;", "set $hl_model other;"), ("# api", "# x\rlocation /steal/ {"), ("# api", "# x\0\nlocation /steal/ {"), ("# api", "api"),
    ("# api", "# ä"), (FIRST, "\tinclude home-lab-services/first.conf;\n"), ("}\nlocation @wake", "} # x\nlocation @wake"),
]


@pytest.mark.parametrize("there, written", OTHERS, ids=range(len(OTHERS)))
def test_any_other_line_is_refused(check, there, written):
    taken = 0
    for upstreams, locations in ((UPSTREAMS.replace(there, written, 1) if there else UPSTREAMS + written, LOCATIONS),
                                 (UPSTREAMS, LOCATIONS.replace(there, written, 1) if there else LOCATIONS + written)):
        if (upstreams, locations) == (UPSTREAMS, LOCATIONS):
            continue
        done = check(upstreams, locations)
        assert done.returncode == 1 and done.stderr.startswith("run-nginx: "), done
        taken += 1
    assert taken, "nothing of this stands there"


def test_no_line_can_be_left_open_by_a_file_for_the_next(check):
    done = check(UPSTREAMS + "upstream hl_model_x {\n", SERVICE + "}\n" + LOCATIONS)
    assert done.returncode == 1
