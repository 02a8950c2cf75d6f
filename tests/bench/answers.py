# SPDX-License-Identifier: MIT
"""answers.py - what the services' answers cost: behind NGINX, on a port, and as the number of model files grows."""
import os
import shutil
import subprocess

import peers
import real
from blocks import Row, exponent, measure, ms, rows_table, table
from machines import INFERENCE, MODELS, MONITOR
from web import NGINX

FILES = 100
SIZES = 1, 10, 100, 1000
LIST, RUNNING, OPENAI, ACTIVITY = "/models", "/models/running", "/v1/models", "/models/activity"
FILE, ANSWERS, ASKS, ASKS_A_LINE = "/models", "/fastcgi/list", "/fastcgi/bus-list", "/fastcgi/bus"
FLOORS = {FILE: "NGINX, a file as long as the list", ANSWERS: "NGINX, FastCGI that only answers, as long",
          "/fastcgi/short": "NGINX, FastCGI that only answers, in a line",
          ASKS: "NGINX, FastCGI that makes a bare call of the bus before it answers, as long",
          ASKS_A_LINE: "NGINX, FastCGI that makes a bare call of the bus before it answers, in a line"}
BUS = "a bare call of the bus"


def put_files(bench, count):
    """So many model files; nobody asks about any of them."""
    machine = bench.machine
    machine.sh(f"rm -rf {MODELS}/* && mkdir -p {MODELS}")
    for i in range(count):
        machine.path(f"{MODELS}/bench-{i:04}").write_text(f'PORT="{10000 + i}"\nCOMMAND="/bin/true"\n')
    bench.machine.sh("systemctl start nginx-config-updater.service")


def bus_row(bench, count):
    environment = os.environ | {
        "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path=/proc/{bench.machine.leader}/root/run/dbus/system_bus_socket"}

    def run():
        done = subprocess.run([bench.tools / "bus", str(count)], env=environment, capture_output=True, text=True, check=True)
        return bench.parse(done.stdout)
    return Row(f"floor: {BUS}", run)


def behind_nginx(bench):
    put_files(bench, FILES)
    machine, load = bench.machine, bench.load
    length, short = (len(machine.http("GET", NGINX, path).body) for path in ("/api/inference" + LIST, "/api/inference" + RUNNING))
    peers.static_site(machine, bench.tools / "responder", length, short)
    bench.try_peer("Flask", peers.flask, machine)
    paths = (LIST, "/api/inference" + LIST), (RUNNING, "/api/inference" + RUNNING), (OPENAI, OPENAI), \
        (ACTIVITY, "/api/monitor" + ACTIVITY)
    measured = {}
    for clients, count in (1, 200), (8, 800):
        floors = {path: Row(f"floor: {name}", load(peers.STATIC_PORT, path, count * (2 if path == FILE else 1), clients))
                  for path, name in FLOORS.items()}
        if clients == 1:
            floors[BUS] = bus_row(bench, count)
        ours = {name: Row(f"ours: GET {name}", load(NGINX, path, count, clients)) for name, path in paths}
        flask = {}
        if "Flask" not in bench.skipped:
            for name, requests in ((LIST, count // 2),) if clients > 1 else ((LIST, count // 2), (RUNNING, 1), (ACTIVITY, 1)):
                flask[name] = Row(f"Flask: GET {name}", load(peers.STATIC_PORT, f"/flask{name}", requests, clients))
        door = Row(f"fcgiwrap and our CGI door: GET {LIST}", load(peers.STATIC_PORT, f"/cgi{LIST}", count // 10, clients))
        rows = [*floors.values(), *ours.values(), *flask.values(), door]
        measure(rows, bench.cpu, bench.rounds)
        bench.say(f"## Behind NGINX, {FILES} model files, {clients} client{'s' if clients > 1 else ''}, {length} bytes of "
                  f"list\n\n{rows_table(rows)}")
        measured[clients] = floors, ours, flask
    targets(bench, measured)


def targets(bench, measured):
    """A floor with one client is what a program behind NGINX has that asks systemd before each answer, and does nothing else.
    With many, some share a question: there it is what ours would have, if our own processes took no CPU."""
    floors, ours, _ = measured[1]
    many_floors, many, _ = measured[8]
    static, bus, asks = many_floors[FILE], floors[BUS], floors[ASKS_A_LINE]
    others = sum(many[LIST].median(f"cpu {group}") for group in ("NGINX", "PID 1", "dbus"))
    bench.say(f"What stands in the way: FastCGI that only answers has {many_floors[ANSWERS].ratio(static, 'rate'):.2f} of the static file's "
              f"rate with 8 clients. For GET {LIST} NGINX, PID 1 and dbus-daemon alone take {others / static.median('cpu all'):.1f} times "
              f"the CPU of the static file. A program behind NGINX that makes the bare call before each answer, and does nothing else, has, "
              f"alone, {asks.ratio(bus, 'rate'):.2f} of the call's rate; GET {RUNNING} has {ours[RUNNING].ratio(asks, 'rate'):.2f} of that "
              f"program's. Its own CPU is {ms(ours[RUNNING].median('cpu rest'))} ms, the program's {ms(asks.median('cpu rest'))}: between "
              "them are reading the request, who asks, the configuration, the catalogue's watch, and writing the answer. Each of these "
              "answers asks systemd anew; of several clients, some share a question.\n")
    free = many[LIST].median("cpu all") / others
    bench.targets.least("GET /models, rate of the static file's, 8 clients", many[LIST].ratio(static, "rate"), 0.5,
                        floor=many[LIST].ratio(static, "rate") * free)
    for name in RUNNING, OPENAI, ACTIVITY:
        bench.targets.least(f"GET {name}, rate of a bare call's, 1 client", ours[name].ratio(bus, "rate"), 0.6,
                            floor=asks.ratio(bus, "rate"))
    for name, least in (LIST, floors[ASKS]), (RUNNING, asks), (OPENAI, asks), (ACTIVITY, asks):
        bench.targets.most(f"GET {name}, p99 of p50, 1 client", slowest(ours[name]), 10, floor=slowest(least))
    for name, limit, path in (LIST, 10, ASKS), (RUNNING, 300, ASKS_A_LINE):
        for clients, (least, own, other) in measured.items():
            if name in other:
                rate = own[name].ratio(other[name], "rate")
                bench.targets.least(f"GET {name}, rate of Flask's, {clients} client(s)", rate, limit,
                                    floor=least[path].ratio(other[name], "rate") if clients == 1 else rate * free)


def slowest(row):
    return row.median("p99_us") / row.median("p50_us")


def growth(bench):
    lines, times = [], {}
    paths = ((LIST, NGINX, "/api/inference" + LIST), (RUNNING, NGINX, "/api/inference" + RUNNING), (OPENAI, NGINX, OPENAI),
             (ACTIVITY, NGINX, "/api/monitor" + ACTIVITY), ("/metrics", NGINX, "/api/monitor/metrics"),
             ("port: /models/running", INFERENCE, RUNNING), ("port: /models", INFERENCE, LIST),
             ("port: /health", MONITOR, "/health"))
    for size in SIZES:
        put_files(bench, size)
        rows = [Row(name, bench.load(port, path, 20 if port != NGINX else 100, keep=port == NGINX)) for name, port, path in paths]
        for row in measure(rows, bench.cpu, bench.rounds):
            times.setdefault(row.name, []).append(row)
    for name, rows in times.items():
        p50 = [row.median("p50_us") for row in rows]
        lines.append([name, *map(ms, p50), f"{exponent(SIZES, p50):.2f}", f"{exponent(SIZES[2:], p50[2:]):.2f}",
                      f"{rows[-1].median('bytes'):.0f}", f"{ms(rows[0].median('cpu PID 1'))} → {ms(rows[-1].median('cpu PID 1'))}"])
    bench.say("## Growth with model files that nobody asks about\n\n" + table(
        ["GET", *(f"{size} files, p50 ms" for size in SIZES), "exponent", "of 100 to 1,000", "bytes of 1,000",
         "CPU of PID 1, ms"], lines))
    few, many = times[RUNNING][1], times[RUNNING][3]
    bench.targets.most("GET /models/running, 1,000 files over 10 files", many.median("p50_us") / few.median("p50_us"), 1.5)
    put_files(bench, FILES)


def connections(bench, name, port, path="/"):
    """Few, and more rounds instead: what is compared stands close together. Each is a process of its own, so none is warm."""
    return Row(name, bench.load(port, path, 5, keep=False, warm=False))


def ports(bench):
    put_files(bench, FILES)
    machine = bench.machine
    peers.floors(machine)
    bench.try_peer("tangd", peers.tang, machine)
    dear = {what: connections(bench, f"printf, our unit without {what}", port)
            for what, port in peers.less_dear(machine).items()}
    rows = [connections(bench, "floor: printf, User=", peers.PRINTF_PORT),
            connections(bench, "floor: printf, our unit", peers.OUR_PRINTF_PORT),
            connections(bench, "ours: GET /health of the monitor", MONITOR, "/health"),
            connections(bench, "ours: GET / of inference", INFERENCE),
            connections(bench, f"ours: GET {LIST}", INFERENCE, LIST),
            connections(bench, f"ours: GET {RUNNING}", INFERENCE, RUNNING), *dear.values()]
    if "tangd" not in bench.skipped:
        rows.append(connections(bench, "tangd, our unit: GET /adv", peers.TANG_PORT, "/adv"))
    measure(rows, bench.cpu, bench.rounds * 4)
    bench.say(f"## A connection to a port, {FILES} model files\n\n{rows_table(rows)}\n"
              f"What stands in the way: printf in our unit is {rows[1].ratio(rows[0]):.2f} of printf under User= already, in CPU "
              f"{rows[1].ratio(rows[0], 'cpu all'):.2f}. Of its {ms(rows[1].median('cpu all'))} ms of CPU "
              + ", ".join(f"{ms(rows[1].over(row))} are for {what}" for what, row in dear.items())
              + f". {bench.dearest}The lint's thresholds need the filters, the namespace and the BPF programs; the journal has "
              f"what a program says as it crashes. Our program's start and end are {ms(rows[3].over(rows[1]))} ms more "
              "than printf's: the loader's work for libsystemd, and what the process says to Landlock. A connection to the bus, "
              f"and what is asked there, are {ms(rows[2].over(rows[3]))} of GET /health. GET {LIST} "
              f"is {rows[4].ratio(rows[1]):.2f} of printf in our unit, in CPU {rows[4].ratio(rows[1], 'cpu all'):.2f}: it also "
              f"reads {FILES} files.\n")
    floor = rows[1].ratio(rows[0])
    bench.targets.most("port: GET /health, of printf under User=", rows[2].ratio(rows[0]), 1.5, floor=floor)
    bench.targets.most("port: GET /models, of printf under User=", rows[4].ratio(rows[0]), 1.8, floor=floor)
    if "tangd" not in bench.skipped:
        bench.targets.most("port: GET /models, of tangd in the same unit", rows[4].ratio(rows[-1]), 1, floor=rows[1].ratio(rows[-1]))


def directives(bench):
    """What our unit would cost without one of its directives. Then what it would cost with those that our process makes
    unnecessary by Landlock: with each alone, and with all, as where the kernel has no Landlock."""
    machine = bench.machine
    peers.floors(machine)
    ours, instead = peers.our_unit(machine, peers.PRINTF), peers.what_landlock_saves(machine)
    units = {f"our unit, less {name}=": peers.less(ours, name) for name in peers.sandbox(ours)}
    units |= {f"our unit, and {name}=": peers.more(ours, text) for name, text in peers.sandbox(instead).items()}
    units["our unit, without Landlock"] = peers.more(ours, instead)
    rows = [connections(bench, "floor: printf, User=", peers.PRINTF_PORT),
            connections(bench, "our unit", peers.OUR_PRINTF_PORT)]
    for port, (name, text) in enumerate(units.items(), peers.DIRECTIVE_PORT):
        peers.port_unit(machine, f"bench-directive-{port}", port, text)
        rows.append(connections(bench, name, port))
    rows.append(Row("our unit, once more", rows[1].run))
    measure(rows, bench.cpu, bench.rounds * 2)
    bench.say("## A connection's sandbox, directive by directive\n\n" + table(
        ["", "p50 ms", "CPU ms", "CPU of the floor", "CPU of our unit", "CPU ms: PID 1", "CPU ms: the process"],
        [[row.name, ms(row.median("p50_us")), ms(row.median("cpu all")), f"{row.ratio(rows[0], 'cpu all'):.2f}",
          f"{row.ratio(rows[1], 'cpu all'):.2f}", ms(row.median("cpu PID 1")), ms(row.median("cpu rest"))] for row in rows]))
    price = {name: rows[1].over(row) for name, row in zip(peers.sandbox(ours), rows[2:])}
    dearest = sorted(price, key=price.get, reverse=True)[:4]
    bench.dearest = ("Of single directives the dearest are " + ", ".join(f"{name}= with {ms(price[name])}" for name in dearest)
                     + f", where the same unit differs by {ms(abs(rows[1].over(rows[-1])))}. ")


def handler_start(bench):
    """What one process of a handler takes to start, answer and end, on this host: by CGI, without systemd."""
    environment = {"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "unix:", "HTTP_HOST": "localhost",
                   "REQUEST_METHOD": "GET", "REQUEST_URI": "/", "CONFIGURATION_DIRECTORY": "/nowhere"}
    lines = []
    for program in sorted(bench.build.glob("*-service")):
        libraries = real.say("ldd", str(program)).count("=>")
        lines.append([program.name, str(libraries), instructions(bench, program, environment)])
    if lines:
        bench.say("## A handler's start, GET / as CGI\n\n" + table(["program", "libraries", "instructions"], lines))


def instructions(bench, program, environment):
    if not shutil.which("perf"):
        bench.skip("instructions of a start", "there is no perf")
        return "not measured"
    done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", str(program)], env=environment, capture_output=True,
                          text=True)
    count = next((line.split(",")[0] for line in done.stderr.splitlines() if "instructions" in line), "")
    if not count.isdigit():
        bench.skip("instructions of a start", "perf has no such counter here")
        return "not measured"
    return f"{int(count):,}"
