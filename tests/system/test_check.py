# SPDX-License-Identifier: MIT
"""home-lab-services check and status, and the coordinator, which keeps everything down until the check is content."""
import pytest

from machines import ACTIVITY, DEMO_MODEL, ETC, INFERENCE, MODELS, PATIENCE, SERVICES, SHUTDOWN, UP, tool, wait_until

UNITS = (*(f"{service}.service" for service in SERVICES), *UP)
STATE = "/var/lib/home-lab-services"
COORDINATOR = "home-lab-services.service"


@pytest.fixture(scope="module")
def broken(make_machine):
    """A machine to break. Each test finds it whole."""
    machine = make_machine()
    tool("demo", machine.name)
    machine.sh("systemctl start nginx.service")
    return machine


@pytest.fixture(autouse=True)
def whole(broken):
    yield
    broken.reset()
    broken.sh(f"systemctl is-active --quiet {COORDINATOR} || systemctl stop {COORDINATOR}")  # a start would wait for its next check
    broken.sh(f"systemd-tmpfiles --create home-lab-services.conf && systemctl start {' '.join(UNITS)}")
    assert check(broken)[0] == 0


def check(machine, **env):
    done = machine.run(["home-lab-services", "check"], env=env)
    return done.returncode, done.stdout


def test_all_is_well(broken):
    status, text = check(broken)
    assert status == 0 and "error" not in text and "Everything is in order." in text
    done = broken.run(["home-lab-services", "check"], user="home-lab-services")
    assert done.returncode == 0, done


def test_what_is_stopped_is_said(broken):
    broken.sh("systemctl stop inference-service.service nginx.service")
    status, text = check(broken)
    assert status == 0 and "No errors." in text, text
    assert "note: inference-service.socket is stopped, its port is closed: systemctl start inference-service\n" in text
    assert "note: nginx.service is stopped, models have their own ports alone: systemctl start nginx" in text and text.count("note: ") == 2, text
    broken.sh("systemctl start inference-service.service nginx.service")


def test_errors_of_the_configuration_all_at_once(broken):
    broken.put(ETC + "/config.json", """{
  "shutdown": { "default_minutes": -1,
                "default_action": "explode" },
  "inferance": {},
  "monitoring": {
    "idle_threshold_minutes": "30"
  },
  "auth": { "loopback": "trust", "allowed_hosts": ["a", 5] },
  "nginx": { "upstream_host": "localhost" }
}
""")
    status, text = check(broken)
    assert status == 78
    for line, key in ((2, "shutdown.default_minutes"), (3, "shutdown.default_action"), (4, "inferance"),
                      (6, "monitoring.idle_threshold_minutes"), (8, "auth.allowed_hosts"), (9, "nginx.upstream_host")):
        assert f"error: {ETC}/config.json:{line}: {key} " in text, text
    assert "6 errors." in text


@pytest.mark.parametrize("text, line", [("{", 1), ('{\n  "shutdown": {},\n  "shutdown": {}\n}', 3), ("{}\n{}", 2), ("", 1), ("[]", 1),
                                        ('{"auth": {\n"loopback": "no"}}', 2), ('{"auth": {\n"allowed_origins": ["http://a/"]}}', 2)])
def test_a_configuration_that_is_not_right(broken, text, line):
    broken.put(ETC + "/config.json", text)
    status, output = check(broken)
    assert status == 78 and f"{ETC}/config.json:{line}: " in output, output
    answer = broken.http("GET", SHUTDOWN, "/health")  # nobody is let in by rules that cannot be read
    assert answer.status == 500 and answer["code"] == "configuration_invalid", answer


def test_model_files_that_are_not_right_are_an_error_of_their_own(broken):
    broken.put(MODELS + "/bad port", 'PORT="1"\n')
    broken.model("far", 70000)
    broken.model("twin", 8198)
    broken.model("ours", 5002)
    broken.put(MODELS + "/noise", "this is no assignment\n")
    status, text = check(broken)
    assert status == 65, text
    for said in "bad port", f"{MODELS}/far:1: PORT", "tiny-llama", f"{MODELS}/noise:1:", f"{MODELS}/ours: PORT 5002 is that of inference-service.socket":
        assert said in text, text
    broken.sh("systemctl restart home-lab-services.service")  # the others are as good as ever
    wait_until(lambda: len(broken.ports_open()) == 3, PATIENCE, "everything runs all the same")
    names = [model["model_name"] for model in broken.http("GET", INFERENCE, "/models")["models"]]
    assert "tiny-llama" in names and "bad port" not in names


def test_models_in_another_folder(broken):
    """Said where the services read it, and who asks by hand does, too."""
    broken.sh("install -d /srv/models")
    broken.put("/srv/models/elsewhere", 'PORT="8777"\n')
    broken.put("/etc/default/home-lab-services", 'MODELS_CONFIG_DIR="/srv/was"\nMODELS_CONFIG_DIR="/srv/models"\n')
    try:
        assert [each["model_name"] for each in broken.http("GET", INFERENCE, "/models")["models"]] == ["elsewhere"]
        assert "ok: 1 model in /srv/models" in check(broken)[1]
        assert "elsewhere" in broken.sh("home-lab-services status")
        assert "elsewhere" in broken.sh("/usr/local/libexec/home-lab-services/model-idle-sweep --dry-run")
        broken.put("/etc/default/home-lab-services", 'MODELS_CONFIG_DIR="srv/models"\n')
        status, text = check(broken)
        assert status == 78 and "MODELS_CONFIG_DIR must be an absolute path" in text, text
    finally:
        broken.sh("rm /etc/default/home-lab-services")


def test_model_files_that_others_may_write_are_reported(broken):
    broken.sh(f"chmod 0666 {MODELS}/tiny-llama")
    status, text = check(broken)
    assert status == 77 and f"{MODELS}/tiny-llama" in text and "chmod" in text, text
    broken.sh(f"chmod 0644 {MODELS}/tiny-llama; chmod 0777 {MODELS}")
    assert check(broken)[0] == 77
    broken.sh(f"chmod 0755 {MODELS}; chown nobody {MODELS}/tiny-llama")
    assert check(broken)[0] == 77


def test_a_configuration_that_only_root_can_read(broken):
    broken.put(ETC + "/config.json", "{}", 0o600)
    status, text = check(broken)
    assert status == 78 and f"{ETC}/config.json: user home-lab-services must be able to read it: chmod 0644 " in text, text


def test_the_folder_of_activity(broken):
    broken.sh(f"rm -r {ACTIVITY}")
    status, text = check(broken)
    assert status == 77 and ACTIVITY in text, text
    broken.sh(f"install -d {ACTIVITY}")  # root's
    assert check(broken)[0] == 77


@pytest.mark.parametrize("owner, folder", [("home-lab-services", STATE), ("home-lab-services", STATE + "/nginx"),
                                           ("home-lab-nginx", STATE + "/nginx"), ("home-lab-nginx", STATE + "/nginx/upstreams")])
def test_who_may_write_what_nginx_includes(broken, owner, folder):
    broken.sh(f"chown {owner} {folder}")
    status, text = check(broken)
    assert status == 77 and f"error: {folder}: must belong to" in text, text
    done = broken.run(["home-lab-services", "check"], user="home-lab-services")
    assert done.returncode == 77, done


def test_the_site_of_nginx(broken):
    assert "ok: NGINX's site" in check(broken)[1]
    broken.sh("mv /etc/nginx/home-lab-services /etc/nginx/elsewhere")
    try:
        status, text = check(broken)
        assert status == 77 and "error: /etc/nginx/home-lab-services/server.conf: " in text, text
    finally:
        broken.sh("mv /etc/nginx/elsewhere /etc/nginx/home-lab-services")
    broken.sh("rm /etc/nginx/sites-enabled/home-lab-services")
    assert "is not enabled" in check(broken)[1] and check(broken)[0] == 0
    broken.sh("ln -s ../sites-available/home-lab-services /etc/nginx/sites-enabled/")


def test_a_port_that_somebody_else_has(broken):
    broken.sh("systemctl stop home-lab-services.service")
    broken.sh(f"systemd-run --quiet --unit=squatter {DEMO_MODEL} --name squatter --port 5002")
    wait_until(lambda: broken.run("ss -Hltn 'sport = :5002'").stdout, PATIENCE, "it listens")
    try:
        status, text = check(broken)
        assert status == 75 and "port 5002" in text and "demo-model (pid " in text, text
        assert broken.run("systemctl start home-lab-services.service").returncode != 0
        assert not any(broken.is_active(unit) for unit in UNITS)
    finally:
        broken.sh("systemctl stop squatter.service")


def test_without_a_bus_check_and_status_say_so(broken):
    status, text = check(broken, DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nowhere")
    assert status == 69 and "bus" in text, text
    done = broken.run(["home-lab-services", "status"], env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"})
    assert done.returncode == 69 and "bus" in done.stderr, done


def test_several_causes_at_once(broken):
    broken.put(ETC + "/config.json", '{"x": 1}')
    broken.sh(f"chmod 0666 {MODELS}/tiny-llama; rm -r {ACTIVITY}")
    status, text = check(broken)
    assert status == 78 and f"{ETC}/config.json:1: x" in text and ACTIVITY in text, text


def test_status_shows_models_services_and_the_next_shutdown(broken):
    broken.model("steady", 8310)
    assert broken.http("POST", INFERENCE, "/models/steady/start?wait=ready").status == 200
    assert broken.http("POST", SHUTDOWN, "/shutdown/schedule", {"minutes": 90.5, "action": "reboot"}).status == 200
    text = broken.sh("home-lab-services status")
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["steady"][1:3] == ["8310", "loaded"] and rows["tiny-llama"][1:3] == ["8198", "unloaded"], text
    assert rows["reboot"][1] == "at" and "1h 30min" in text, text
    assert rows["coordinator"] == ["coordinator", "up"] and rows["shutdown-service"][1:] == ["up", "127.0.0.1:5001,", "[::1]:5001"], text
    assert rows["nginx"][1] == rows["nginx-config-updater"][1] == rows["model-router"][1] == "up", text


def test_token_says_what_is_wrong(broken):
    for arguments, status in (("add", 64), ("add x --scope all", 64), ("add '' --scope read", 64), ("revoke nobody", 65)):
        done = broken.run(f"home-lab-services token {arguments}")
        assert done.returncode == status and done.stderr, (arguments, done)
    broken.sh("home-lab-services token add twice --scope read")
    assert broken.run("home-lab-services token add twice --scope power").returncode == 65


def test_a_broken_configuration_keeps_all_down_until_it_is_right(broken):
    broken.put(ETC + "/config.json", '{\n  "shutdown": { "default_minutes": "soon" }\n}')
    assert broken.run("systemctl restart home-lab-services.service").returncode != 0
    shown = broken.run("systemctl status --no-pager --full --lines=20 home-lab-services.service").stdout
    assert f"{ETC}/config.json:2: shutdown.default_minutes" in shown, shown
    assert not any(broken.is_active(unit) for unit in UNITS)
    assert broken.ports_open() == []
    assert broken.properties(COORDINATOR, "RestartUSec") == {"RestartUSec": "10s"}
    with broken.drop_in(COORDINATOR, "[Service]\nRestartSec=500ms\n"):
        broken.run(f"systemctl restart {COORDINATOR}")
        wait_until(lambda: int(broken.properties(COORDINATOR, "NRestarts")["NRestarts"]) > 1, PATIENCE, "one more check has failed")
        assert broken.ports_open() == []
        broken.put(ETC + "/config.json", '{ "shutdown": { "default_minutes": 2 } }')
        wait_until(lambda: len(broken.ports_open()) == 3, PATIENCE, "it heals by itself")
        wait_until(lambda: broken.is_active(*UP), PATIENCE, "all units are up")
    wait_until(lambda: broken.failed_units() == "", PATIENCE, "what makes NGINX's configuration has run again")


def test_a_user_of_ours_who_lingers_is_told(broken):
    """What it started by a user manager goes on, outside of every unit of ours. It keeps nothing down."""
    mark = "/var/lib/systemd/linger/home-lab-models"
    broken.put(mark, "")
    try:
        status, text = check(broken)
        assert status == 0 and "loginctl disable-linger home-lab-models" in text
    finally:
        broken.sh(f"rm {mark}")
    assert "linger" not in check(broken)[1]
