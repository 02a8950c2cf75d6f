# SPDX-License-Identifier: MIT
"""What each of the product's users may do, and that it can do no more."""
import contextlib
import http.client
import time

import pytest

from machines import INFERENCE, PATIENCE, SHUTDOWN, wait_until

MANAGER = "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
OUT = "/run/home-lab-services/nginx/test"


def as_updater(machine, command):
    """A command in the updater's place, which is what counts for polkit: its user, its unit, its sandbox."""
    machine.put("/run/updater.sh", f"{{ {command}; }} >{OUT} 2>&1; echo $? >>{OUT}\n")
    override = "[Service]\nExecStart=\nExecStart=sh /run/updater.sh\n"
    with machine.drop_in("nginx-config-updater.service", override):
        machine.sh("systemctl restart nginx-config-updater.service")
        text, _, status = machine.path(OUT).read_text().rstrip().rpartition("\n")
        machine.path(OUT).unlink()
    return int(status), text


@pytest.fixture
def nginx(machine):
    machine.sh("systemctl stop nginx-config-updater.path nginx-config-updater.timer && systemctl start nginx.service")
    yield machine
    machine.sh("systemctl stop nginx.service && systemctl start nginx-config-updater.path nginx-config-updater.timer")


def test_the_updater_may_have_roots_half_run(nginx):
    """What that takes up reaches NGINX: it is reloaded, and by root."""
    master = nginx.properties("nginx.service", "MainPID")
    workers = set(nginx.pids_of("www-data"))
    propose = "echo tiny-llama 8299 >/run/home-lab-services/nginx/models"
    status, text = as_updater(nginx, f"{propose} && {MANAGER} StartUnit ss nginx-models.service replace")
    assert status == 0, text
    wait_until(lambda: workers != set(nginx.pids_of("www-data")), PATIENCE, "NGINX has reloaded")
    wait_until(lambda: nginx.is_active("nginx.service"), PATIENCE, "it is up again")
    assert nginx.properties("nginx.service", "MainPID") == master
    nginx.sh("systemctl start nginx-config-updater.service")


@pytest.mark.parametrize("call", [
    "StopUnit ss nginx.service replace", "RestartUnit ss nginx.service replace", "StartUnit ss nginx.service replace",
    "ReloadUnit ss nginx.service replace", "ReloadOrRestartUnit ss nginx.service replace",
    "StopUnit ss nginx-models.service replace", "RestartUnit ss nginx-models.service replace",
    "StartTransientUnit 'ssa(sv)a(sa(sv))' nginx-models.service replace 0 0", "SetUnitProperties 'sba(sv)' nginx-models.service true 0",
    "KillUnit ssi nginx.service all 15", "ReloadUnit ss dbus.service replace",
    "StartUnit ss model@tiny-llama.service replace", "StopUnit ss model@tiny-llama.service replace", "Reload", "PowerOff",
    "StartTransientUnit 'ssa(sv)a(sa(sv))' nginx.service replace 0 0", "SetUnitProperties 'sba(sv)' nginx.service true 0"])
def test_the_updater_may_ask_systemd_for_nothing_else(nginx, call):
    status, text = as_updater(nginx, f"{MANAGER} {call}")
    assert status != 0 and ("denied" in text.lower() or "not permitted" in text.lower() or "authentication" in text.lower()), text
    assert nginx.is_active("nginx.service")


def test_the_updater_may_not_power_off(nginx):
    call = "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager"
    status, text = as_updater(nginx, f"{call} ScheduleShutdown st reboot $(($(date +%s) + 3600))000000")
    assert status != 0 and nginx.scheduled() is None, text


def test_who_answers_requests_may_not_write_what_nginx_includes(machine):
    state = "/var/lib/home-lab-services"
    for user in "home-lab-nginx", "home-lab-services", "home-lab-models", "www-data":
        for command in (f"touch {state}/nginx/x.conf", f"mv {state}/nginx {state}/old", f"mkdir {state}/other",
                        f"rm -r {state}/nginx", f"touch {state}/nginx/upstreams/x.conf", f"rm {state}/nginx/models.conf",
                        f"echo >>{state}/nginx/models.conf", f"mv {state}/nginx/upstreams {state}/nginx/old", "touch /etc/nginx/home-lab-services/x.conf"):
            assert machine.run(command, user=user).returncode != 0, (user, command)
    for command in f"touch {state}/activity/x", f"mv {state}/activity {state}/old", "touch /etc/home-lab-services/models/x":
        assert machine.run(command, user="home-lab-nginx").returncode != 0, command


def test_the_locations_are_there_a_moment_after_the_model(machine):
    conf = machine.path("/var/lib/home-lab-services/nginx/models.conf")

    def knows(*names):
        text = conf.read_text() if conf.exists() else ""
        return all(f"location /{name}/" in text for name in names)

    machine.model("newcomer", 8330)
    wait_until(lambda: knows("newcomer"), PATIENCE, "NGINX knows it")
    for i in range(30):  # more changes than any limit on triggers or starts
        machine.model(f"many-{i}", 8400 + i)
        if i % 3 == 0:
            machine.sh("systemctl start nginx-config-updater.service")
    machine.model("last", 8500)
    wait_until(lambda: knows("last", *(f"many-{i}" for i in range(30))), PATIENCE, "NGINX knows them all")
    machine.path("/etc/home-lab-services/models/newcomer").unlink()
    wait_until(lambda: not knows("newcomer"), PATIENCE, "NGINX has forgotten it")
    assert machine.is_active("nginx-config-updater.path", "nginx-config-updater.timer") and machine.failed_units() == ""


def test_a_service_has_no_rights_of_another(machine):
    """On Debian 13, where polkit knows the unit that asks."""
    if machine.run("grep -q VERSION_CODENAME=bookworm /etc/os-release").returncode == 0:
        pytest.skip("polkit 122 does not know the caller's unit")
    start, stop = (f"{MANAGER} {verb} ss model@tiny-llama.service replace" for verb in ("StartUnit", "StopUnit"))
    override = "[Unit]\nConditionPathExists=\n[Service]\nExecStart=\nExecStart={}\n"
    with machine.drop_in("model-idle-sweep.service", override.format(start)):
        assert machine.run("systemctl start model-idle-sweep.service").returncode != 0
    assert not machine.is_active("model@tiny-llama.service")
    assert machine.http("POST", INFERENCE, "/models/tiny-llama/start").status == 200
    with machine.drop_in("model-idle-sweep.service", override.format(stop)):
        machine.sh("systemctl start model-idle-sweep.service")
    wait_until(lambda: not machine.is_active("model@tiny-llama.service"), PATIENCE, "the sweep may stop it")


LOGIND = "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager"


@pytest.mark.parametrize("service", ["model-idle-sweep", "model-idle-sweep-before-sleep", "model-router"])
def test_the_services_user_has_no_power(machine, service):
    """On no release, and by no service of its own: neither to switch off, nor to keep anybody from doing so."""
    at = int(time.time() + 36000) * 1000000

    def ask(*call):
        done = machine.run(["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--uid=home-lab-services",
                            f"--unit={service}@{time.monotonic_ns()}.service", *LOGIND.split(), *map(str, call)])
        return done.stdout + done.stderr.lower()

    for action in "PowerOff", "Reboot", "Halt":
        assert ask(f"Can{action}") in ('s "no"\n', 's "challenge"\n')
    for call in ("SetWallMessage", "sb", "now", "true"), ("ScheduleShutdown", "st", "poweroff", at):
        assert "denied" in ask(*call), call
    assert machine.scheduled() is None
    machine.sh([*LOGIND.split(), "ScheduleShutdown", "st", "poweroff", str(at)])
    try:
        assert "denied" in ask("CancelScheduledShutdown") and machine.scheduled() == ("poweroff", at)
    finally:
        machine.sh("shutdown -c")


def test_nobody_else_tells_what_the_sweep_has_seen(machine):
    """Who may switch off the host believes the sweep."""
    machine.sh("systemctl start model-idle-sweep-host.socket")
    connect = ["python3", "-c", "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect("
               "'/run/home-lab-services/model-idle-sweep-host.seqpacket')"]
    for user in "home-lab-models", "home-lab-nginx", "www-data", "games":
        assert "PermissionError" in machine.run(connect, user=user).stderr, user
    assert machine.run(connect, user="home-lab-services").returncode == 0


# ---- models ----

LINGER = "busctl --timeout=5 call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager SetUserLinger ubb"
LINGERING = "/var/lib/systemd/linger/home-lab-models"


def test_a_model_has_no_way_out_of_its_unit(machine):
    """By a user manager it would leave its sandbox for good. Neither the bus nor a manager is there to ask."""
    uid = machine.sh("id -u home-lab-models").strip()
    machine.put("/usr/local/bin/escape", f"""#!/bin/sh
{LINGER} $(id -u) true false || echo refused: linger
XDG_RUNTIME_DIR=/run/user/$(id -u) systemd-run --user --collect sleep 1000 || echo refused: user manager
systemctl stop model@whisper.cpp.service || echo refused: systemd
ls /run/dbus /run/user || echo refused: folders
""", 0o755)
    machine.model("escape", command="/usr/local/bin/escape")
    machine.sh("systemctl start model@escape.service")
    said = wait_until(lambda: (text := machine.sh("journalctl --quiet --no-pager --output=cat -t model@escape")).count("refused") == 4
                      and text, PATIENCE, "all of it is refused")
    assert "Permission denied" in said or "Failed to connect" in said, said
    assert not machine.path(LINGERING).exists() and not machine.is_active(f"user@{uid}.service")


def test_the_models_user_may_nothing_by_polkit(machine):
    """A user's own model@.service may have the bus in its sandbox."""
    uid = machine.sh("id -u home-lab-models").strip()
    done = machine.run(f"systemd-run --quiet --wait --pipe --uid=home-lab-models {LINGER} {uid} true false")
    assert done.returncode != 0 and "denied" in done.stderr.lower(), done
    assert not machine.path(LINGERING).exists() and not machine.is_active(f"user@{uid}.service")


# What a model finds in its unit: a line for each thing that it can do.
PROBE = """#!/usr/bin/python3
import ctypes, os, pathlib, socket, subprocess, sys

def can(what, action):
    try:
        action()
        print("can", what, flush=True)
    except OSError as error:
        print("cannot", what, error.errno, flush=True)

def listen(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as it:
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        it.bind((address, port))

def call(number):
    if ctypes.CDLL(None, use_errno=True).syscall(number, 0, 0, 0) < 0 and ctypes.get_errno() == 1:
        raise PermissionError(1, "filtered")

for port in 5001, 5002, 5003, 8080:
    for address in "127.0.0.1", "::1":
        can(f"listen on {address} {port}", lambda: listen(address, port))
can("listen elsewhere", lambda: listen("127.0.0.1", 9100))
can("signal another model", lambda: os.kill(int(sys.argv[1]), 0))
can("signal its own", lambda: subprocess.Popen(["sleep", "100"]).kill())
can("read other models' files", lambda: pathlib.Path("/etc/home-lab-services/models/tiny-llama").read_text())
can("read its own file", lambda: pathlib.Path("/etc/home-lab-services/models", sys.argv[2]).read_text())
for folder in "/run", "/run/lock", "/etc/home-lab-services/models", os.environ["HOME"], "/tmp":
    can(f"write to {folder}", lambda: pathlib.Path(folder, "probe").write_text("x"))
can("use io_uring", lambda: call(425))
can("use keyrings", lambda: call(250))
print("done", flush=True)
"""

# As model@.service says it.
OF_ANOTHER_USER = """[Service]
User=games
StateDirectory=
StateDirectory=models-of-games
WorkingDirectory=%S/models-of-games
Environment=HOME=%S/models-of-games
"""


def probed(machine, model, another):
    """What this model could do, also to the other one."""
    machine.model(model, command=f"/usr/local/bin/probe {machine.properties(f'model@{another}.service', 'MainPID')['MainPID']} {model}")
    machine.sh(f"systemctl start model@{model}.service")
    said = wait_until(lambda: (text := machine.sh(f"journalctl --quiet --no-pager --output=cat -t model@{model}")).count("done") and text,
                      PATIENCE, "it has tried everything")
    return {line.removeprefix("can ") for line in said.splitlines() if line.startswith("can ")}


def test_what_a_model_can_reach(machine):
    """While the services are down, too: nobody is in a port's place then but who may be."""
    has_bpf = "+BPF_FRAMEWORK" in machine.sh("systemctl --version")
    apart = landlock(machine) >= 6
    machine.put("/usr/local/bin/probe", PROBE, 0o755)
    machine.sh("systemctl start nginx.service model@tiny-llama.service && systemctl stop shutdown-service.service nginx.service")
    try:
        allowed = probed(machine, "probe:1", "tiny-llama")
        with machine.drop_in("model@probe:2.service", OF_ANOTHER_USER):
            allowed_to_another = probed(machine, "probe:2", "tiny-llama")
    finally:
        machine.sh("systemctl start shutdown-service.service")
    expected = {"listen elsewhere", "signal its own", "read its own file", "write to /var/lib/home-lab-models", "write to /tmp"}
    if not has_bpf:  # of Debian 12; the other ports are taken
        expected |= {f"listen on {address} {port}" for address in ("127.0.0.1", "::1") for port in (5001, 8080)}
    if not apart:  # before Linux 6.12
        expected.add("signal another model")
    assert allowed == expected
    expected = expected - {"signal another model", "write to /var/lib/home-lab-models"} | {"write to /var/lib/models-of-games"}
    assert allowed_to_another == expected
    assert machine.sh("stat --format=%U /var/lib/home-lab-models /var/lib/models-of-games").split() == ["home-lab-models", "games"]
    assert machine.is_active("model@tiny-llama.service")


@pytest.mark.parametrize("port, service, user", [(SHUTDOWN, "shutdown-service", "home-lab-power"),
                                                 (INFERENCE, "inference-service", "home-lab-services")])
def test_nobody_of_its_user_writes_to_a_programs_memory(machine, port, service, user):
    connection = machine.open(port)  # the process waits for a second request
    connection.request("GET", "/health")
    assert connection.getresponse().read()
    unit = f"{service}@*:{connection.sock.getsockname()[1]}*.service"  # not the worker, which ends when nobody asks
    pid = machine.sh(["systemctl", "show", "--property=MainPID", "--value", unit]).strip()
    for file in "mem", "environ", "fd":
        done = machine.run(["python3", "-c", f"open('/proc/{pid}/{file}', 'r+b') if '{file}' == 'mem' else "
                            f"__import__('os').listdir('/proc/{pid}/fd') if '{file}' == 'fd' else open('/proc/{pid}/environ').read()"], user=user)
        assert done.returncode != 0 and "PermissionError" in done.stderr, (file, done)
    connection.close()


# What a process that keeps itself to its folders can do at the moment in which it would begin to read: a line for each, of a
# connection to its client, of a sweep to its log.
INSIDE = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void can(const char *what, int result) { printf("%s %s\\n", result < 0 ? "cannot" : "can", what); }

static void can_write(const char *folder)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/inside", folder);
    can(folder, open(path, O_WRONLY | O_CREAT, 0600));
    unlink(path);
}

static int run_true(void) { return execl("/bin/true", "true", (char *)NULL); }

static int map_what_it_wrote(void)
{
    return mmap(NULL, 1, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

/* Without a filter these two work: nothing is changed by them. */
static int schedule_itself(void) { return sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 }); }
static int adjust_clock(void) { return adjtimex(&(struct timex){ 0 }); }

static int in_a_child(int (*what)(void)) /* which a filter may kill */
{
    int status = 1;
    if (fork() == 0)
        _exit(what() < 0);
    return wait(&status) < 0 || status != 0 ? -1 : 0;
}

static void look(void)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(9100) };
    setvbuf(stdout, NULL, _IONBF, 0);
    can_write("/var/lib/home-lab-services/activity");
    can_write("/run/home-lab-services/model-idle-sweep");
    can_write("/run/home-lab-services/limits/inference-service");
    can_write("/run/home-lab-services/limits/model-monitor-service");
    can_write("/srv/inside");
    can_write("/tmp");
    can_write("/var/tmp");
    can("cut a file", open("/srv/inside/file", O_RDONLY | O_TRUNC));
    can("cut a file by its name", truncate("/srv/inside/file", 0));
    can("change a mode", chmod("/srv/inside/file", 0666));
    can("move a file", rename("/srv/inside/file", "/var/lib/home-lab-services/activity/moved"));
    can("read the users", open("/etc/passwd", O_RDONLY));
    can("list /tmp", open("/tmp", O_RDONLY));
    can("run a program", in_a_child(run_true));
    can("run what it wrote", map_what_it_wrote());
    can("have another ABI", personality(ADDR_NO_RANDOMIZE));
    can("schedule itself", in_a_child(schedule_itself));
    can("adjust the clock", in_a_child(adjust_clock));
    can("listen", bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&here, sizeof(here)));
    _exit(0);
}

int getpeername(int fd, struct sockaddr *restrict address, socklen_t *restrict size)
{
    char request[4096]; /* else what is said is lost */
    (void)address, (void)size;
    if (read(fd, request, sizeof(request)) > 0)
        look();
    _exit(1);
}

clock_t clock(void) /* what a sweep begins with */
{
    look();
    return 0;
}
"""
TRIED = INSIDE.count('can_write("') + INSIDE.count('can("')
READ = "read the users"
SEEN_INSIDE = {"/var/lib/home-lab-services/activity", "/run/home-lab-services/limits/inference-service", READ}
SEEN_IN_A_SWEEP = {"/var/lib/home-lab-services/activity", "/run/home-lab-services/model-idle-sweep", READ}


def inside(machine, unit, run, more=""):
    """What is done in the place of the program's own code: its unit, its process, and what that has said of itself."""
    machine.put("/srv/inside.c", INSIDE)
    machine.sh("cc -shared -fPIC -o /usr/local/lib/inside.so /srv/inside.c && install -d -o home-lab-services /srv/inside && "
               "install -o home-lab-services /dev/null /srv/inside/file && echo kept >/srv/inside/file")
    with machine.drop_in(unit, f"[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/inside.so\n{more}"):
        said = run().splitlines()
    assert len(said) == TRIED, said
    assert machine.sh("cat /srv/inside/file") == "kept\n"
    return {line.removeprefix("can ") for line in said if line.startswith("can ")}


def inside_a_connection(machine):
    def run():
        with contextlib.closing(machine.connect(INFERENCE)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return inside(machine, "inference-service@.service", run)


def inside_a_sweep(machine):
    machine.config()  # so that one comes where no model is up

    def run():
        machine.sh("systemctl start model-idle-sweep.service")
        return machine.sh("cat /run/inside")
    return inside(machine, "model-idle-sweep.service", run, "StandardOutput=truncate:/run/inside\n")


def landlock(machine):
    return int(machine.sh("python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))'"))


def test_a_connections_process_and_a_sweep_are_kept_to_their_folders(machine):
    """Whoever has taken one over is: it has said so before it reads."""
    abi = landlock(machine)
    expected = SEEN_INSIDE | ({"listen"} if abi < 4 else set()) | ({"run a program"} if abi < 2 else set())
    assert inside_a_connection(machine) == expected
    assert inside_a_sweep(machine) == expected - SEEN_INSIDE | SEEN_IN_A_SWEEP


NO_LANDLOCK = "SystemCallFilter=~landlock_create_ruleset:ENOSYS"


def test_without_landlock_they_are_kept_to_their_folders_by_systemd(machine):
    """A process that cannot be confined answers nothing. The generator has systemd make what it cannot."""
    units, generator = "/run/systemd/system", "/usr/local/lib/systemd/system-generators/home-lab-services"
    without = machine.drop_in("inference-service@.service", f"[Service]\n{NO_LANDLOCK}\n")
    try:
        with without:
            if landlock(machine) >= 2:
                with pytest.raises((OSError, http.client.HTTPException)):
                    machine.http("GET", INFERENCE, "/health")
                said = machine.sh("journalctl --quiet --no-pager --output=cat -t inference-service")
                assert "nothing is answered: this process cannot be kept to its folders" in said
                done = machine.run(["systemd-run", "--quiet", "--wait", "--pipe", f"--property={NO_LANDLOCK}", "home-lab-services", "check"])
                assert "note: this kernel has no Landlock" in done.stdout, done
            machine.sh(f"systemd-run --quiet --wait --property={NO_LANDLOCK!r} {generator} {units} {units} {units}")
            machine.sh("systemctl daemon-reload")
            assert machine.http("GET", INFERENCE, "/health").status == 200
        assert inside_a_connection(machine) == SEEN_INSIDE | {"run a program", "listen"}
        assert inside_a_sweep(machine) == SEEN_IN_A_SWEEP | {"run a program", "listen"}
    finally:
        machine.sh(f"rm -f {units}/*.service.d/without-landlock.conf && systemctl daemon-reload")


def test_who_is_beside_a_port_is_told(machine):
    """"localhost" is [::1] first."""
    machine.sh("systemd-run --quiet --unit=beside --uid=games --property=Type=exec nc -6 -l -k ::1 8080")
    try:
        wait_until(lambda: machine.sh("ss -Hltn 'sport = :8080'"), PATIENCE, "it listens")
        said = machine.run("home-lab-services check").stdout
        assert "note: [::1]:8080 is held by nc" in said and "beside.service" in said, said
    finally:
        machine.sh("systemctl stop beside.service")


def test_a_model_keeps_no_token_alive(machine):
    """It may open the folder of the tokens, and so lock that. What is locked is root's."""
    etc = "/etc/home-lab-services"
    machine.sh("home-lab-services token add first --scope power")
    assert machine.run(["flock", f"{etc}/tokens.lock", "true"], user="home-lab-models").returncode != 0
    machine.sh(f"systemd-run --quiet --unit=locks --uid=home-lab-models --property=Type=exec flock {etc} sleep 1000")
    try:
        wait_until(lambda: machine.run(["flock", "--nonblock", etc, "true"]).returncode != 0, PATIENCE, "it has the lock")
        machine.sh("home-lab-services token revoke first && home-lab-services token add second --scope read")
    finally:
        machine.sh("systemctl stop locks.service")


# ---- restarts ----

def test_quick_restarts_leave_everything_up(machine):
    """Whoever restarts the lab six times in ten seconds has its timers as before."""
    machine.sh("systemctl start nginx.service")
    for _ in range(8):
        machine.sh("systemctl restart home-lab-services.service")
    units = "model-idle-sweep.timer", "nginx-config-updater.timer", "nginx-config-updater.path"
    wait_until(lambda: machine.is_active(*units), PATIENCE, "the timers are up")
    assert machine.failed_units() == ""
    machine.sh("systemctl stop nginx.service")
