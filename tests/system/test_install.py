# SPDX-License-Identifier: MIT
"""Installing, and every command that an administrator is told to use."""
import contextlib
import subprocess

import pytest

from machines import BUILD, ETC, INSTALL, MODELS, PATIENCE, PORTS, SERVICES, SHUTDOWN, SOCKETS, UP, install, wait_until

COORDINATOR = "home-lab-services.service"
ALL = (*(f"{service}.service" for service in SERVICES), COORDINATOR)
OURS = ("/usr/local/bin", "/usr/local/libexec/home-lab-services", "/usr/local/lib/systemd/system", "/usr/local/lib/sysusers.d",
        "/usr/local/lib/tmpfiles.d", "/usr/local/share/bash-completion", "/usr/local/share/man",
        "/etc/polkit-1/rules.d/60-home-lab-services.rules", "/etc/nginx/home-lab-services", "/etc/nginx/sites-available/home-lab-services")
SITE, LINK = "/etc/nginx/sites-available/home-lab-services", "/etc/nginx/sites-enabled/home-lab-services"


def all_open(machine):
    wait_until(lambda: len(machine.ports_open()) == 3, PATIENCE, "the three ports answer")


def files(machine, *paths):
    return machine.run(["sh", "-c", 'find "$@" -type f -exec sha256sum {} + | sort', "sh", *(paths or OURS)]).stdout


@pytest.fixture(scope="module")
def bare(make_machine):
    return make_machine("--bare")


@pytest.fixture(scope="module")
def installed(bare):
    """By the script alone, and over what the user had before."""
    assert files(bare) == ""
    bare.put(ETC + "/config.json", '{"shutdown": {"default_minutes": 7}}')
    bare.put(MODELS + "/mine", 'PORT="8198"\nCOMMAND="sleep infinity"\n')
    done = install(bare)
    assert done.returncode == 0, done
    all_open(bare)
    return bare


def test_what_is_refused_changes_nothing(bare):
    before = files(bare, *OURS, "/etc")
    done = bare.run([INSTALL], user="www-data", env={"BUILD": BUILD})
    assert done.returncode != 0 and "root" in done.stderr, done
    assert install(bare, "instal").returncode == 2
    done = bare.run([INSTALL], env={"BUILD": "/nowhere"})
    assert done.returncode != 0 and "make" in done.stderr, done

    bare.sh("systemd-run --quiet --unit=squatter python3 -m http.server --bind 127.0.0.1 5002")
    wait_until(lambda: bare.run("ss -Hltn 'sport = :5002'").stdout, PATIENCE, "somebody has the port")
    done = install(bare)
    bare.sh("systemctl stop squatter.service")
    assert done.returncode != 0 and "5002" in done.stderr and "python3" in done.stderr, done
    assert files(bare, *OURS, "/etc") == before


@pytest.mark.parametrize("program, says, wanted", [
    ("systemctl", "systemd 249 (249.11-0ubuntu3)", "systemd 252"), ("systemctl", "", "systemd 252"),
    ("pkaction", "pkaction version 0.105", "polkit 0.106")])
def test_what_is_too_old_is_refused(bare, program, says, wanted):
    """Ubuntu 22.04, for example."""
    before = files(bare, *OURS, "/etc")
    bare.put(f"/run/old/{program}", f"#!/bin/sh\necho '{says}'\n", 0o755)
    try:
        done = bare.run([INSTALL], env={"BUILD": BUILD, "PATH": "/run/old:/usr/sbin:/usr/bin"})
    finally:
        bare.sh("rm -r /run/old")
    assert done.returncode != 0 and wanted in done.stderr, done
    assert files(bare, *OURS, "/etc") == before
    assert bare.run("id home-lab-services").returncode != 0


def test_installed_it_runs(installed):
    assert installed.is_active(*UP)
    assert installed.sh(["systemctl", "is-enabled", *ALL]).split() == ["enabled"] * 4
    assert installed.http("GET", SHUTDOWN, "/shutdown/system")["service_config"]["default_minutes"] == 7
    assert installed.run("home-lab-services check").returncode == 0
    assert installed.failed_units() == ""


def test_twice_is_as_once(installed):
    installed.model("own", command="sleep infinity")
    config = installed.path(ETC + "/config.json").read_text()
    installed.put(ETC + "/config.json", "{")
    before = files(installed), files(installed, ETC)
    stamp = installed.properties(COORDINATOR, "ActiveEnterTimestampMonotonic")
    done = install(installed)
    assert done.returncode == 0 and "is not valid: sudo home-lab-services check" in done.stdout, done
    assert (files(installed), files(installed, ETC)) == before
    installed.put(ETC + "/config.json", config)
    assert installed.properties(COORDINATOR, "ActiveEnterTimestampMonotonic") == stamp  # not even restarted
    assert len(installed.ports_open()) == 3


def test_what_the_administrator_disabled_stays_so(installed):
    installed.sh("systemctl disable --now inference-service.service")
    assert install(installed).returncode == 0
    assert installed.ports_open() == [5001, 5003]
    installed.sh("systemctl enable --now inference-service.service")
    all_open(installed)


def test_a_model_unit_of_the_users_own(installed):
    own = "[Service]\nExecStart=sleep infinity\n"
    installed.put("/etc/systemd/system/model@.service", own)
    try:
        done = install(installed)
        assert done.returncode == 0 and "/etc/systemd/system/model@.service" in done.stdout, done
        assert installed.path("/etc/systemd/system/model@.service").read_text() == own
        assert installed.http("POST", 5002, "/models/mine/start").status == 200
        assert "sleep" in installed.sh("systemctl show --property=ExecStart model@mine.service")
        assert installed.http("POST", 5002, "/models/mine/stop").status == 200
    finally:
        installed.sh("rm /etc/systemd/system/model@.service; systemctl daemon-reload")
    assert install(installed).returncode == 0


def test_the_commands_of_the_manual(installed):
    """Installation, Status and Logs, Control Services: each as it stands there."""
    installed.sh("systemctl daemon-reload")
    for unit in ALL:
        installed.sh(f"systemctl enable {unit}")
    installed.sh(f"systemctl stop {' '.join(ALL)}")
    for unit in ALL:
        installed.sh(f"systemctl start {unit}")
    all_open(installed)
    assert "Active: active" in installed.sh(f"systemctl status --no-pager {COORDINATOR}")
    for service in SERVICES:
        shown = installed.run(f"systemctl status --no-pager {service}.service").stdout
        assert f"TriggeredBy: \N{BLACK CIRCLE} {service}-fastcgi.socket" in shown, shown
    for unit, port in zip(ALL, PORTS):
        service = unit.removesuffix(".service")
        installed.sh(f"systemctl restart {unit}")
        all_open(installed)
        installed.sh(f"systemctl stop {unit}")
        assert installed.ports_open() == [other for other in PORTS if other != port]
        assert not any(installed.is_active(name) for name in (unit, f"{service}.socket", f"{service}-fastcgi.socket"))
        with pytest.raises(ConnectionRefusedError):
            installed.connect(port)
        installed.sh(f"systemctl start {unit}")
        all_open(installed)
        assert installed.http("POST", port, "/nothing").status == 404
        assert installed.sh(f"journalctl --no-pager --quiet -u {unit}").strip()
        wait_until(lambda: "POST /nothing" in installed.sh(f"journalctl --no-pager --quiet -t {service}"), PATIENCE, "the request is logged")
        follow = subprocess.Popen(installed.argv(["setpriv", "--pdeathsig=KILL", "journalctl", "-u", unit, "-f"]),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert follow.stdout.readline()
        follow.kill()
        follow.communicate()
    assert installed.failed_units() == ""


def test_requests_are_seen_under_the_services_name(installed):
    """journald looks for a line's unit at the process, which on a busy host may be gone already: so more than one request."""
    def shown(service, port):
        assert installed.http("POST", port, "/x" + service).status == 404
        return f"/x{service}" in installed.sh(f"journalctl --no-pager -u {service}.service -u '{service}@*'")

    for service, port in zip(SERVICES, PORTS):
        wait_until(lambda: shown(service, port), PATIENCE, f"journalctl -u {service} shows it")


def test_the_coordinator_takes_all_down_and_up(installed):
    installed.sh(f"systemctl stop {COORDINATOR}")
    wait_until(lambda: installed.ports_open() == [], PATIENCE, "all ports are closed")
    assert not any(installed.is_active(unit) for unit in (*ALL, *UP))
    installed.sh(f"systemctl start {COORDINATOR}")
    all_open(installed)
    installed.sh(f"systemctl restart {COORDINATOR}")
    all_open(installed)
    assert installed.is_active(*UP) and installed.failed_units() == ""


def test_a_socket_stopped_by_hand_stays_down(installed):
    service = SERVICES[0]
    units = [f"{service}.service", f"{service}.socket", f"{service}-fastcgi.socket"]
    for unit in units[1:]:
        installed.sh(f"systemctl stop {unit}")
        assert not any(installed.is_active(name) for name in units)
        installed.sh(f"systemctl start {service}.service")
        all_open(installed)


def test_a_service_at_rest_is_stopped_as_any_other(installed):
    """It has no process then; its sockets are closed all the same, at once, and without a warning."""
    service = SERVICES[0]
    for _ in range(10):
        installed.sh(f"systemctl start {service}.service && systemctl kill {service}.service")
        wait_until(lambda: not installed.is_active(f"{service}.service"), PATIENCE, "the worker has ended")
        done = installed.run(f"systemctl stop {service}.service; ss -Hltn 'sport = :5001'; ls /run/home-lab-services")
        assert done.stderr == "" and "5001" not in done.stdout and f"{service}.sock" not in done.stdout, done
    installed.sh(f"systemctl start {service}.service")
    all_open(installed)


def test_it_runs_after_a_reboot(installed):
    leader = installed.leader
    with contextlib.suppress(AssertionError):
        installed.sh("systemctl reboot")

    def again():
        with contextlib.suppress(AssertionError):
            installed.find()
            return installed.leader != leader and installed.run("systemctl is-system-running --wait").stdout.strip()
    assert wait_until(again, 60, "it has booted again") == "running"
    all_open(installed)
    assert installed.is_active(*UP)
    assert installed.run("journalctl --boot | grep -i -e 'ordering cycle' -e 'deleted to break'").stdout == ""
    assert installed.failed_units() == ""


def test_units_are_understood(installed):
    units = installed.sh("find /usr/local/lib/systemd/system -maxdepth 1 -type f -printf '%f ' | sed 's/-lan@/&127.0.0.1/g'")
    done = installed.run(f"systemd-analyze verify --man=no --recursive-errors=no {units}")
    assert done.returncode == 0 and done.stderr == "", done


def test_a_port_is_opened_again_at_once(installed):
    """What is restarted with it makes systemd fork: no child may keep the port for a moment."""
    for _ in range(40):
        installed.sh("systemctl start shutdown-service.service")  # which is stopped, and cleared away, for the restart
        done = installed.run("systemctl restart shutdown-service.socket")
        assert done.returncode == 0, installed.run("journalctl --boot --lines=60 --output=short-monotonic").stdout
    assert len(installed.ports_open()) == 3


def test_an_upgrade_of_what_runs(installed):
    """What is new is taken up; a port is closed only where its unit has changed."""
    opened = [installed.properties(socket, "ActiveEnterTimestampMonotonic") for socket in SOCKETS]
    unit = "/usr/local/lib/systemd/system/inference-service.socket"
    program = "/usr/local/libexec/home-lab-services/shutdown-service"
    network = "shutdown-service-lan@127.0.0.9"
    installed.sh(f"systemctl enable --runtime --now {network}.socket")
    installed.sh(f"echo '# older' >>{unit}; echo older >>{program}; rm /usr/local/lib/systemd/system/model-router.socket")
    installed.sh("chown home-lab-services /var/lib/home-lab-services && systemctl restart shutdown-service.service")
    assert installed.http("GET", SHUTDOWN, "/health", host="127.0.0.9").status == 200 and installed.is_active(f"{network}.service")
    left = installed.path("/run/systemd/units/log-extra-fields:shutdown-service@1-127.0.0.1:5001-127.0.0.1:40000.service")
    left.touch()
    assert install(installed).returncode == 0
    assert not left.exists()
    changed = [socket for socket, before in zip(SOCKETS, opened)
               if installed.properties(socket, "ActiveEnterTimestampMonotonic") != before]
    assert changed == ["inference-service.socket", "inference-service-fastcgi.socket"]
    assert installed.sh("stat --format=%U /var/lib/home-lab-services").strip() == "root"
    for unit in "shutdown-service.service", f"{network}.service":
        wait_until(lambda: not installed.is_active(unit), PATIENCE, "the old worker has ended")
    assert installed.http("GET", SHUTDOWN, "/health", host="127.0.0.9").status == 200
    installed.sh(f"systemctl disable --runtime --now {network}.socket")
    assert installed.is_active(*UP) and installed.failed_units() == ""


def test_an_upgrade_hands_nginx_over_at_once(installed):
    """NGINX may read its files at any time, so they change in one moment; and they may say more than a former router
    understands, so that is replaced before them, and who reloads NGINX behind them."""
    folder = "/usr/local/libexec/home-lab-services"
    installed.sh("systemctl start model-router.service")
    before = installed.properties("model-router.service", "MainPID")
    installed.sh(f"cp {folder}/model-router /tmp/older; echo older >>/tmp/older; mv /tmp/older {folder}/model-router")
    assert install(installed).returncode == 0
    assert installed.properties("model-router.service", "MainPID") != before

    files = {path.name: path.stat() for path in installed.path(folder).iterdir()}
    updater = files.pop("nginx-config-updater").st_ctime_ns
    confs = [path.stat() for path in installed.path("/etc/nginx/home-lab-services").iterdir()]
    first, last = min(it.st_ctime_ns for it in confs), max(it.st_ctime_ns for it in confs)
    assert max(it.st_ctime_ns for it in files.values()) < first, "the programs are there before"
    assert max(it.st_mtime_ns for it in confs) < first, "all are written before the first is put in its place"
    assert last < updater


def test_the_site_is_the_users(installed):
    """NGINX's site is installed and enabled once. What is in /etc/nginx/home-lab-services is replaced each time."""
    own = installed.path(SITE).read_text() + "# mine\n"
    assert installed.sh(f"readlink -f {LINK}").strip() == SITE
    installed.put(SITE, own)
    installed.path(LINK).unlink()
    installed.put("/etc/nginx/home-lab-services/server.conf", "nonsense\n")
    assert install(installed).returncode == 0
    assert installed.path(SITE).read_text() == own and not installed.path(LINK).is_symlink()
    assert "fastcgi_pass" in installed.path("/etc/nginx/home-lab-services/server.conf").read_text()
    installed.sh(f"rm {SITE}")


def test_a_port_that_is_taken_does_not_stop_the_installation(installed):
    installed.sh("systemd-run --quiet --unit=squatter python3 -m http.server --bind 127.0.0.1 8080")
    wait_until(lambda: installed.run("ss -Hltn 'sport = :8080'").stdout, PATIENCE, "somebody has the port")
    done = install(installed)
    installed.sh("systemctl stop squatter.service")
    assert done.returncode == 0 and "port 8080 is in use" in done.stdout and SITE in done.stdout, done
    assert not installed.path(LINK).is_symlink() and installed.is_active(*UP)
    installed.sh(f"rm {SITE}")


def test_nginx_is_brought_up_where_it_is_enabled(installed):
    installed.sh("systemctl enable nginx.service")
    assert install(installed).returncode == 0
    assert installed.is_active("nginx.service")
    assert installed.http("GET", 8080, "/api/shutdown/shutdown/next").status == 200


def test_a_configuration_of_nginx_that_is_not_valid(installed):
    installed.sh(f"rm {LINK} {SITE} && systemctl reload nginx.service")
    wait_until(lambda: installed.run("ss -Hltn 'sport = :8080'").stdout == "", 5, "NGINX has read that, and let go of the port")
    installed.put("/etc/nginx/conf.d/broken.conf", "nonsense;\n")
    done = install(installed)
    assert done.returncode == 0 and "nonsense" in done.stderr and "NGINX's configuration is not valid" in done.stdout, done
    assert not installed.path(LINK).is_symlink() and installed.is_active("nginx.service", *UP)
    installed.sh(f"rm /etc/nginx/conf.d/broken.conf {SITE}")
    assert install(installed).returncode == 0 and installed.path(LINK).is_symlink()


def test_uninstalling_leaves_what_the_user_has_written_and_nothing_else(installed):  # the last one
    before = files(installed, ETC, "/var/lib/home-lab-services")
    installed.http("POST", 5002, "/models/mine/start")
    done = install(installed, "uninstall")
    assert done.returncode == 0, done
    assert installed.ports_open() == [] and installed.pids_of() == []
    assert files(installed) == ""
    assert files(installed, ETC, "/var/lib/home-lab-services") == before and MODELS in before
    for unit in ALL:
        assert installed.properties(unit, "LoadState")["LoadState"] == "not-found"
    assert installed.run("find /etc/systemd/system -name '*service*' -lname '*home-lab*'").stdout == ""
    assert not installed.path(LINK).is_symlink() and installed.is_active("nginx.service")
    wait_until(lambda: installed.run("ss -Hltn 'sport = :8080'").stdout == "", PATIENCE, "NGINX has let go of the port")
    assert installed.failed_units() == ""
    assert install(installed, "uninstall").returncode == 0  # again: nothing to do
    assert install(installed).returncode == 0  # and back
    all_open(installed)
