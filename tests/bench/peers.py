# SPDX-License-Identifier: MIT
"""peers.py - what the product is measured against, in the same machine: floors, and other programs for the same task.

One that is not to be had raises real.NotHere, which says why.
"""
import os
import pathlib
import re
import shutil
import subprocess

import real
from machines import DEMO_MODEL, PATIENCE, wait_until

HERE = pathlib.Path(__file__).resolve().parent
OPT = "/opt/bench"
FLASK = "flask==3.0.3", "gunicorn==22.0.0"
TANG = "tang-common", "libjose0", "libhttp-parser2.9", "libjansson4"
LLAMA_SWAP = "github.com/mostlygeek/llama-swap"
LLAMA_SWAP_VERSION = "v0.0.0-20260822162957-0bdb3720199f"

PRINTF_PORT, OUR_PRINTF_PORT, TANG_PORT, STATIC_PORT, FLASK_PORT, PROXYD_PORT, SWAP_PORT, BARE_PORT = range(5090, 5098)
DEAR_PORT, DIRECTIVE_PORT = 5190, 5200  # and the next ones
BARE_ROUTER = "/bench-route"
SANDBOX = re.compile(r"((?:Protect|Private|Restrict|Inaccessible|Read|NoNew|Capability|SystemCall|MemoryDeny|Lock|Device|Keyring|"
                     r"RemoveIPC|UMask|IPAddress|Slice)\w*)=")
PRINTF = r'/bin/printf "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"'


def unit(machine, name, text):
    machine.put(f"/run/systemd/system/{name}", text)


def port_unit(machine, name, port, service):
    """A port whose connections are processes, as the services' ports are."""
    unit(machine, f"{name}.socket", f"[Socket]\nListenStream=127.0.0.1:{port}\nAccept=yes\nTriggerLimitIntervalSec=0\n")
    unit(machine, f"{name}@.service", service)
    machine.sh(f"systemctl daemon-reload && systemctl start {name}.socket")


WITHOUT_LANDLOCK = "/usr/local/share/home-lab-services/without-landlock/inference-service@.service.conf"


def our_unit(machine, command, extra=""):
    """The unit of the inference service's port with another program in it."""
    path = machine.properties("inference-service@0.service", "FragmentPath")["FragmentPath"]
    lines = machine.path(path).read_text().splitlines()
    return "\n".join(f"ExecStart={command}\n{extra}" if line.startswith("ExecStart=") else line for line in lines)


def answered(machine, port, path):
    """A peer that does not answer is none."""
    try:
        status = machine.http("GET", port, path).status
    except OSError as error:
        status = error
    if status != 200:
        raise real.NotHere(f"GET {path} on port {port}: {status}")


def printf_unit(machine, name, port, extra=""):
    port_unit(machine, name, port, "[Unit]\nCollectMode=inactive-or-failed\n[Service]\nUser=home-lab-services\n"
              f"LogLevelMax=notice\nStandardInput=socket\nStandardOutput=socket\nExecStart={PRINTF}\n{extra}")


def floors(machine):
    """systemd starts printf for each connection: with nothing but a user, and in our unit."""
    printf_unit(machine, "bench-printf", PRINTF_PORT)
    port_unit(machine, "bench-our-printf", OUR_PRINTF_PORT, our_unit(machine, PRINTF))


def sandbox(text):
    """What a unit says of what a process may: {directive: its lines}."""
    found = {}
    for line in text.splitlines():
        if directive := SANDBOX.match(line):
            found[directive[1]] = found.get(directive[1], "") + line + "\n"
    return found


# What systemd and the kernel make anew for each process of our unit, by the directives that want it.
DEAR = {
    "its filters of system calls": ("RestrictAddressFamilies", "RestrictNamespaces", "RestrictSUIDSGID", "SystemCallArchitectures",
                                    "SystemCallFilter"),
    "its user namespace": ("PrivateUsers",),
    "its BPF programs": ("DevicePolicy", "IPAddressDeny", "IPAddressAllow"),
    "the journal behind its stderr": ("StandardError",),
}
ALL_OF_THEM = "all of these"


def less(text, *names):
    return "\n".join(line for line in text.splitlines() if line.split("=")[0] not in names)


def less_dear(machine):
    """Ports with printf in our unit, without each of these, and without all: {what: port}."""
    ports = {}
    for port, (what, names) in enumerate((DEAR | {ALL_OF_THEM: sum(DEAR.values(), ())}).items(), DEAR_PORT):
        port_unit(machine, f"bench-dear-{port}", port, less(our_unit(machine, PRINTF), *names))
        ports[what] = port
    return ports


def more(text, lines):
    """The service's part is the last of such a unit."""
    return f"{text}\n{lines}\n"


def what_landlock_saves(machine):
    """What the same unit says where the kernel has none."""
    return machine.path(WITHOUT_LANDLOCK).read_text().split("[Service]\n")[1]


def responder(machine, name, length, option=""):
    """A program behind NGINX's FastCGI that only answers. Returns its location and its upstream."""
    command = f"{OPT}/responder /run/bench-{name}.sock {length} {option}"
    unit(machine, f"bench-{name}.service", f"[Service]\nSlice=bench.slice\nExecStart={command}\n")
    machine.sh(f"systemctl daemon-reload && systemctl start bench-{name}.service")
    return f"""    location = /fastcgi/{name} {{
        include home-lab-services/service.conf;
        error_page 502 504 /none;
        fastcgi_pass bench_{name};
    }}
""", f"upstream bench_{name} {{ server unix:/run/bench-{name}.sock; keepalive 8; }}\n"


def static_site(machine, program, length, short):
    """NGINX with a file as long as the answer it is measured against, programs of FastCGI that only answer, Flask, and our
    CGI door behind fcgiwrap."""
    machine.path("/srv/bench").mkdir(exist_ok=True)
    machine.path("/srv/bench/models").write_bytes(b"x" * length)
    machine.path(OPT).mkdir(exist_ok=True)
    shutil.copy(program, machine.path(f"{OPT}/responder"))
    locations, upstreams = zip(responder(machine, "list", length), responder(machine, "short", short),
                                responder(machine, "bus", short, "bus"), responder(machine, "bus-list", length, "bus"))
    machine.put("/etc/nginx/sites-enabled/bench", f"""upstream bench_flask {{ server 127.0.0.1:{FLASK_PORT}; }}
{"".join(upstreams)}server {{
    listen 127.0.0.1:{STATIC_PORT};
    access_log /var/log/nginx/access.log;
    root /srv/bench;
{"".join(locations)}    location /flask/ {{ proxy_pass http://bench_flask/; }}
    location /cgi/ {{
        rewrite ^/cgi(/.*)$ $1 break;
        fastcgi_param GATEWAY_INTERFACE CGI/1.1;
        fastcgi_param SERVER_PROTOCOL $server_protocol;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $uri;
        fastcgi_param REMOTE_ADDR $remote_addr;
        fastcgi_param HTTP_HOST localhost;
        fastcgi_param SCRIPT_FILENAME /usr/local/libexec/home-lab-services/inference-service;
        fastcgi_pass unix:/run/fcgiwrap.socket;
    }}
}}
""")
    machine.sh("systemctl start fcgiwrap.socket && systemctl reload nginx")


def bare_nginx(machine, port):
    """NGINX in front of a model, and nothing else: what of the way is NGINX's own. It keeps connections to the model, as with
    us."""
    machine.put("/etc/nginx/sites-enabled/bench-bare", f"""upstream bench_bare {{
    server 127.0.0.1:{port};
    keepalive 32;
    keepalive_timeout 50ms;
}}
server {{
    listen 127.0.0.1:{BARE_PORT};
    access_log /var/log/nginx/access.log;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    location / {{
        proxy_pass http://bench_bare;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
    }}
}}
""")
    machine.sh("systemctl reload nginx")
    wait_until(lambda: listens(machine, BARE_PORT), PATIENCE, "NGINX listens for the bench")


def bare_router(machine, program, model, port):
    """The way of /v1/ with a program in the router's place that sends each request on to this model, and looks at none. Its
    path begins with BARE_ROUTER, as others begin with a model's name."""
    machine.path(OPT).mkdir(exist_ok=True)
    shutil.copy(program, machine.path(f"{OPT}/route"))
    headers = fr"X-Accel-Redirect: @hl_model\r\nX-HL-Model: {model}\r\nX-HL-Port: {port}\r\n"
    unit(machine, "bench-route.service", f"""[Service]
Slice=bench.slice
Environment="HEADERS={headers}"
ExecStart={OPT}/route /run/bench-route.sock 0
""")
    router, route = (machine.path(f"/etc/nginx/home-lab-services/{name}.conf").read_text() for name in ("router", "route"))
    machine.put("/etc/nginx/bench-router.conf", re.sub("unix:[^;]*", "unix:/run/bench-route.sock", router))
    machine.put("/var/lib/home-lab-services/nginx/bench.conf", f"""location {BARE_ROUTER}/ {{
{route.replace("home-lab-services/router.conf", "bench-router.conf")}}}
""")
    machine.sh("systemctl daemon-reload && systemctl start bench-route.service && systemctl reload nginx")


def flask(machine):
    """The ancestor's three answers: Flask under gunicorn, with two workers."""
    def make(folder):
        real.say(real.PYTHON, "-m", "pip", "install", "--quiet", "--target", str(folder / "python"), *FLASK)

    shutil.copytree(real.once("bench-flask", " ".join(FLASK) + real.say(real.PYTHON, "--version"), make) / "python",
                    machine.path(OPT + "/python"))
    machine.put(f"{OPT}/flask_app.py", (HERE / "flask_app.py").read_text())
    unit(machine, "bench-flask.service", f"""[Service]
Slice=bench.slice
Environment=PYTHONPATH={OPT}/python:{OPT}
ExecStart=/usr/bin/python3 -m gunicorn --workers 2 --bind 127.0.0.1:{FLASK_PORT} flask_app:app
""")
    machine.sh("systemctl daemon-reload && systemctl start bench-flask.service")
    machine.ready(FLASK_PORT)


def tang(machine):
    """tangd: a server of Debian's that is a process a connection, as ours, in our unit."""
    def make(folder):
        real.say("apt-get", "download", "-o", "APT::Sandbox::User=root", *TANG, cwd=folder)
        for package in folder.glob("*.deb"):
            real.say("dpkg-deb", "--extract", str(package), str(folder / "root"))

    release = next(line for line in machine.path("/etc/os-release").read_text().splitlines() if "CODENAME" in line)
    if release not in pathlib.Path("/etc/os-release").read_text():
        raise real.NotHere("the packages of this host are those of another Debian than the machine's")
    root = real.once("bench-tang", " ".join(TANG) + release, make) / "root"
    shutil.copytree(root, machine.path(OPT + "/tang"), symlinks=True)
    libraries = next(root.glob("usr/lib/*/libjose.so.0")).parent.relative_to(root)
    machine.sh(f"install -d -o home-lab-services {OPT}/keys")
    program, environment = f"{OPT}/tang/usr/libexec/tangd", f"LD_LIBRARY_PATH={OPT}/tang/{libraries}"
    machine.run(f"printf 'GET /adv HTTP/1.1\\r\\n\\r\\n' | env {environment} {program} {OPT}/keys",
                user="home-lab-services")  # it makes its keys
    port_unit(machine, "bench-tang", TANG_PORT, our_unit(machine, f"{program} {OPT}/keys", f"Environment={environment}\n"))
    answered(machine, TANG_PORT, "/adv")


def proxyd(machine, model, port):
    """systemd's own way to hold a connection until a service is up. That it answers is asked by hand, as people do."""
    unit(machine, "bench-proxyd.socket", f"[Socket]\nListenStream=127.0.0.1:{PROXYD_PORT}\nBacklog=1024\n")
    unit(machine, "bench-proxyd.service", f"""[Unit]
Requires=model@{model}.service
After=model@{model}.service
[Service]
Slice=bench.slice
ExecStartPre=/bin/sh -c 'until curl -sf -o /dev/null http://127.0.0.1:{port}/health; do sleep 0.05; done'
ExecStart=/lib/systemd/systemd-socket-proxyd --connections-max=1024 127.0.0.1:{port}
""")
    machine.sh("systemctl daemon-reload && systemctl restart bench-proxyd.socket")


def llama_swap_program(build):
    """Pinned, from Go's module proxy. LLAMA_SWAP names one that is there already."""
    if os.environ.get("LLAMA_SWAP"):
        return pathlib.Path(os.environ["LLAMA_SWAP"])
    folder = build / f"llama-swap-{LLAMA_SWAP_VERSION}"
    if not (folder / "llama-swap").exists():
        real.say("go", "install", f"{LLAMA_SWAP}@{LLAMA_SWAP_VERSION}",
                 env=os.environ | {"GOBIN": str(folder), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})
    return folder / "llama-swap"


def llama_swap_model(name, port, load_seconds):
    return f"""  {name}:
    cmd: {DEMO_MODEL} --name {name} --port {port} --load-seconds {load_seconds}
    proxy: http://127.0.0.1:{port}
    concurrencyLimit: 1000
"""


def llama_swap(machine, build, models):
    """models: (name, port, seconds of load) of each."""
    program = llama_swap_program(build)
    machine.path(OPT).mkdir(exist_ok=True)
    shutil.copy(program, machine.path(f"{OPT}/llama-swap"))
    machine.put(f"{OPT}/llama-swap.yaml",
                "healthCheckTimeout: 60\nmodels:\n" + "".join(llama_swap_model(*model) for model in models))
    unit(machine, "bench-llama-swap.service", f"""[Service]
Slice=bench.slice
ExecStart={OPT}/llama-swap --config {OPT}/llama-swap.yaml --listen 127.0.0.1:{SWAP_PORT}
""")
    machine.sh("systemctl daemon-reload && systemctl start bench-llama-swap.service")
    wait_until(lambda: listens(machine, SWAP_PORT), PATIENCE, "llama-swap listens")


def listens(machine, port):
    try:
        machine.connect(port).close()
        return True
    except OSError:
        return False


def build_tools(build):
    """load, responder and bus, below build."""
    folder = build / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    bus = subprocess.run(["pkg-config", "--cflags", "--libs", "libsystemd"], capture_output=True, text=True, check=True)
    for name, options in ("load", []), ("responder", bus.stdout.split()), ("bus", bus.stdout.split()):
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", folder / name, HERE / f"{name}.c", *options], check=True)
    return folder
