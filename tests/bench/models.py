# SPDX-License-Identifier: MIT
"""models.py - what the way to a model costs: the router, the hold of a start, the sweep, and memory."""
import contextlib
import itertools
import json
import statistics
import threading
import time

import peers
from answers import FILES, put_files
from blocks import Row, measure, ms, rows_table, table
from machines import ETC, MODELS, PATIENCE, wait_until
from web import NGINX

MODEL, PORT = "bench-model", 8301
CHAT = "/v1/chat/completions"
LOAD_SECONDS = 1
SWAP, PROXYD = "llama-swap", "systemd-socket-proxyd"
SWAP_MODEL_PORT = 8500
# How long models load whose readiness is looked for: at any moment between two questions of whoever asks for it.
PHASES = (0.43, 0.61, 0.79, 0.97, 1.15)
LATE, LATE_PORT, SWAP_LATE_PORT = [f"late-{i}" for i in range(len(PHASES))], 8310, 8510


def prepare(bench):
    machine = bench.machine
    machine.sh(f"rm -rf {MODELS}/*")
    machine.model(MODEL, PORT, options=f"--load-seconds {LOAD_SECONDS}")
    for i, seconds in enumerate(PHASES):
        machine.model(LATE[i], LATE_PORT + i, options=f"--load-seconds {seconds}")
    machine.sh("systemctl start nginx-config-updater.service")
    wait_until(lambda: machine.http("GET", NGINX, f"/{MODEL}/health", headers={"Host": "elsewhere.example"}).status != 404,
               PATIENCE, "NGINX knows the model")
    peers.bare_nginx(machine, PORT)
    peers.bare_router(machine, bench.tools / "responder", MODEL, PORT)
    bench.try_peer(SWAP, peers.llama_swap, machine, bench.build, [
        ("swap", SWAP_MODEL_PORT, LOAD_SECONDS), *((f"swap-{i}", SWAP_LATE_PORT + i, s) for i, s in enumerate(PHASES))])


def bare_router(load, count, clients, own):
    return Row("floor: /v1/… by FastCGI that only answers", load(NGINX, peers.BARE_ROUTER + CHAT, count, clients, "POST", own))


def floors(load, count, clients, own):
    """The model itself, with a connection a client and a request, and NGINX alone, which keeps some."""
    return [Row("floor: the model itself", load(PORT, CHAT, count, clients, "POST", own)),
            Row("floor: the model, a connection a request", load(PORT, CHAT, count, clients, "POST", own, keep=False)),
            Row("floor: NGINX alone", load(peers.BARE_PORT, CHAT, count, clients, "POST", own))]


def body(bench, name, model, size, **more):
    file = bench.tools / name
    file.write_text(json.dumps({"model": model, "messages": [{"role": "user", "content": "x" * size}], "max_tokens": 1,
                                "token_interval_ms": 0, **more}))
    return str(file)


def router(bench):
    machine, load, swaps = bench.machine, bench.load, SWAP not in bench.skipped
    machine.sh(f"systemctl start model@{MODEL}.service")
    machine.ready(PORT)
    for what, size, count, crowds in ("100 bytes", 100, 200, (1, 10, 50)), ("5 MB", 5_000_000, 8, (1,)):
        own, other = body(bench, "own.json", MODEL, size), body(bench, "other.json", "swap", size)
        for clients in crowds:
            named = Row("ours: /NAME/v1/…", load(NGINX, f"/{MODEL}{CHAT}", count, clients, "POST", own))
            routed = Row("ours: /v1/…", load(NGINX, CHAT, count, clients, "POST", own))
            swap = Row("llama-swap: /v1/…", load(peers.SWAP_PORT, CHAT, count, clients, "POST", other))
            bare = bare_router(load, count, clients, own)
            small = size == 100
            rows = [*floors(load, count, clients, own), named, bare, routed, *([swap] if swaps else [])]
            measure(rows, bench.cpu, bench.rounds)
            bench.say(f"## A completion, {what}, {clients} client{'s' if clients > 1 else ''}\n\n{rows_table(rows)}")
            if clients == 1 and small:
                over, floor = ((row.median("p50_us") - named.median("p50_us")) / 1000 for row in (routed, bare))
                bench.targets.most("router: /v1/ over /NAME/, small, p50", over, 0.1, " ms", floor)
                bench.say(f"What stands in the way: of {over:.3f} ms over /NAME/ {floor:.3f} are those of a program that only answers. "
                          "NGINX keeps no connection to it: it closes one whose answer is X-Accel-Redirect.\n")
            if not small:
                bench.targets.most("router: /v1/ of /NAME/, 5 MB, p50", routed.ratio(named), 1.05, floor=bare.ratio(named))
            if swaps:
                bench.targets.most(f"/v1/ of llama-swap's, {what}, {clients} client(s), p50", routed.ratio(swap), 1,
                                   floor=bare.ratio(swap))


def first_event(bench):
    load = bench.load
    streams = {"stream": True, "max_tokens": 8}
    own, other = body(bench, "own.json", MODEL, 100, **streams), body(bench, "other.json", "swap", 100, **streams)
    routed = Row("ours: /v1/…", load(NGINX, CHAT, 20, 1, "POST", own))
    swap = Row("llama-swap: /v1/…", load(peers.SWAP_PORT, CHAT, 20, 1, "POST", other))
    swaps = SWAP not in bench.skipped
    bare = bare_router(load, 20, 1, own)
    rows = [*floors(load, 20, 1, own), bare, routed, *([swap] if swaps else [])]
    measure(rows, bench.cpu, bench.rounds)
    bench.say("## The first event of a stream\n\n" + table(
        ["", "p50 ms", "of the model's"], [[row.name, ms(row.median("first_us")), f"{row.ratio(rows[0], 'first_us'):.2f}"]
                                           for row in rows]))
    if swaps:
        bench.targets.most("first event of llama-swap's, p50", routed.ratio(swap, "first_us"), 1, floor=bare.ratio(swap, "first_us"))


class SlowBody(threading.Thread):
    """63 MB that arrive in pieces, for as long as others are measured."""

    def __init__(self, machine):
        super().__init__(daemon=True)
        self.connection, self.ends = machine.connect(NGINX), threading.Event()
        self.start()

    def run(self):
        head = f'{{"model":"{MODEL}","max_tokens":1,"messages":[{{"role":"user","content":"'.encode()
        size, piece = 63 * 1024 * 1024, b"x" * 65536
        with contextlib.suppress(OSError):
            self.connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                                    f"Content-Length: {size}\r\n\r\n".encode() + head)
            left = size - len(head) - 4
            while left > 0:
                self.connection.sendall(piece[:left])
                left -= len(piece[:left])
                if self.ends.wait(0 if left < size // 2 else 0.001):  # the second half comes as fast as it can
                    break
            self.connection.sendall(b'"}]}')
            self.connection.settimeout(1)
            self.connection.recv(65536)
        self.connection.close()


def slow_body(bench):
    own = body(bench, "own.json", MODEL, 100)
    block = bench.load(NGINX, CHAT, 400, 1, "POST", own)

    def beside():
        thread = SlowBody(bench.machine)
        try:
            return block()
        finally:
            thread.ends.set()
            thread.join()
    rows = [Row("/v1/…, alone", block), Row("/v1/… while 63 MB arrive", beside)]
    measure(rows, bench.cpu, bench.rounds)
    bench.say(f"## A large body that arrives slowly\n\n{rows_table(rows)}")
    bench.targets.most("router: p50 beside a slow 63 MB body, over alone",
                       (rows[1].median("p50_us") - rows[0].median("p50_us")) / 1000, 1, " ms")


def stop_all(bench):
    bench.machine.sh(f"systemctl stop model@{MODEL}.service 'model@late-*' bench-proxyd.service 2>/dev/null || true")
    if SWAP not in bench.skipped:
        bench.machine.http("POST", peers.SWAP_PORT, "/api/models/unload")
        wait_until(lambda: not bench.machine.run(["pgrep", "-f", "[-]-name swap"]).stdout, PATIENCE, "llama-swap's model is gone")


def one(microseconds):
    """A block of one request that took so long."""
    return {"requests": 1, "seconds": microseconds / 1e6, "failed": 0, "status": 200, "bytes": 0, "p50_us": microseconds,
            "p99_us": microseconds, "max_us": microseconds, "first_us": microseconds}


def own_load(bench):
    """How long the model itself takes from its start to its first answer."""
    began = time.monotonic()
    bench.machine.sh(["systemctl", "start", f"model@{MODEL}.service"])
    while True:
        with contextlib.suppress(OSError):
            if bench.machine.http("GET", PORT, "/health").status == 200:
                break
        time.sleep(0.002)
    return one((time.monotonic() - began) * 1e6)


def hold(bench):
    machine = bench.machine
    # As nginx/README.md says for so many: at its limit NGINX closes connections whose request has not come yet.
    machine.sh("sed -i -e 's/worker_connections .*/worker_connections 4096;/' -e '1i worker_rlimit_nofile 16384;' "
               "/etc/nginx/nginx.conf && systemctl restart nginx")
    bench.try_peer(PROXYD, peers.proxyd, machine, MODEL, PORT)
    own, other = body(bench, "own.json", MODEL, 100), body(bench, "other.json", "swap", 100)

    def cold(run, port=PORT):
        """And how long after the model was ready the last one had its answer."""
        def block():
            stop_all(bench)
            result, ended = run(), time.monotonic()
            return result | {"after_us": (ended - machine.http("GET", port, "/stats")["ready_at"]) * 1e6}
        return block

    for waiters, limit, key in (1, 60, "max_us"), (50, None, "p99_us"), (400, 250, "p99_us"):
        def waits(port, file, waiters=waiters, path=CHAT, **more):
            return bench.load(port, path, waiters, waiters, "POST", file, keep=False, **more)
        own_start = Row("floor: the model's own start", cold(lambda: own_load(bench)))
        at_once = Row("floor: as many requests at once, once it is ready", waits(PORT, own))
        by_nginx = Row("floor: the same by NGINX alone", waits(peers.BARE_PORT, own))
        named = Row("ours: the same by /NAME/v1/…", waits(NGINX, own, path=f"/{MODEL}{CHAT}"))
        held = Row("ours: /v1/…", cold(waits(NGINX, own, warm=False)))
        swap = Row(SWAP, cold(waits(peers.SWAP_PORT, other, warm=False), SWAP_MODEL_PORT))
        swaps = SWAP not in bench.skipped and waiters == 1  # it lets no more than 10 wait
        rows = [own_start, at_once, by_nginx, named, held, *([swap] if swaps else [])]
        if PROXYD not in bench.skipped:
            rows.append(Row(PROXYD, cold(waits(peers.PROXYD_PORT, own, warm=False, must=False))))
        measure(rows, bench.cpu, bench.rounds)
        warm = at_once, by_nginx, named
        bench.say(f"## A model that loads for {LOAD_SECONDS} s, {waiters} wait\n\n" + table(
            ["", "p50 ms", "slowest ms", "over the model's own start, ms", "the last one after it was ready, ms", "not answered"],
            [[row.name, ms(row.median("p50_us")), ms(row.median("max_us")), "" if row in warm else ms(row.over(own_start, key, "p50_us")),
              ms(row.median("max_us" if row in warm else "after_us")), f"{row.median('failed'):.0f}"] for row in rows]))
        if limit:
            late, floor = held.over(own_start, key, "p50_us") / 1000, by_nginx.median(key) / 1000
            bench.targets.most(f"hold: {waiters} wait, over the model's own start", late, limit, " ms", floor=floor)
            bench.say(f"What stands in the way: NGINX alone takes {floor:.3g} ms for as many requests at once, to a model that is ready; "
                      f"ours are {late:.3g} ms over the start of a model that nobody waits for.\n")
    stop_all(bench)


def readiness(bench):
    """How long a request that waits for a model is not answered although that is ready: each round has another moment."""
    machine = bench.machine

    def late(port, names, model_port, before=lambda i: None):
        phases = itertools.cycle(range(len(PHASES)))

        def block():
            i = next(phases)
            stop_all(bench)
            before(i)
            began = time.monotonic()
            answer = machine.http("POST", port, CHAT, {"model": names[i], "messages": [], "max_tokens": 1, "token_interval_ms": 0})
            ended = time.monotonic()
            assert answer.status == 200, answer
            ready = machine.http("GET", model_port + i, "/stats")["ready_at"]
            return one((ended - ready) * 1e6) | {"cold_us": (ended - began) * 1e6}
        return block

    ours = Row("ours: /v1/…", late(NGINX, LATE, LATE_PORT))
    swap = Row(SWAP, late(peers.SWAP_PORT, [f"swap-{i}" for i in range(len(PHASES))], SWAP_LATE_PORT))
    proxyd = Row(PROXYD, late(peers.PROXYD_PORT, LATE, LATE_PORT,
                              lambda i: peers.proxyd(machine, LATE[i], LATE_PORT + i)))
    swaps = SWAP not in bench.skipped
    rows = [ours, proxyd, *([swap] if swaps else [])]
    measure(rows, bench.cpu, len(PHASES) * max(1, bench.rounds // 3))
    stop_all(bench)
    bench.say("## A request that waits for a model is answered so long after that is ready\n\n" + table(
        ["", "least ms", "p50 ms", "most ms", "p50 ms since it was sent"],
        [[row.name, *(ms(of(block["p50_us"] for block in row.blocks)) for of in (min, statistics.median, max)),
          ms(row.median("cold_us"))] for row in rows]))
    if swaps:
        bench.targets.most("readiness: of llama-swap's, p50", ours.ratio(swap), 1)
        bench.targets.most("cold start of llama-swap's, p50 of five loads", ours.ratio(swap, "cold_us"), 1)


SWEEP, SWEPT = "model-idle-sweep.service", 20


def systemctl(machine, *verbs_and_unit, times=5):
    """Each of the verbs in turn, time after time."""
    *verbs, unit = verbs_and_unit

    def run():
        began = time.monotonic()
        for _ in range(times):
            for verb in verbs:
                machine.sh(["systemctl", verb, unit])
        took = (time.monotonic() - began) * 1e6
        return {"requests": times, "seconds": took / 1e6, "failed": 0, "status": 200, "bytes": 0, "p50_us": took / times,
                "p99_us": took / times, "max_us": took / times, "first_us": took / times}
    return run


def gate(bench):
    """Where nobody has said what fits, a model starts and stops as it would without the drop-in that asks.

    Something else would have to remove the mark of the start before then."""
    machine = bench.machine
    machine.sh(f"rm -f {ETC}/config.json")
    machine.model("gated", 9000, command="sleep infinity")
    text = machine.path(machine.properties("model@gated.service", "FragmentPath")["FragmentPath"]).read_text()
    peers.unit(machine, "bench-ungated@.service", text.replace(
        "ExecStartPre=", "ExecStartPre=-+/bin/rm -f -- /run/home-lab-services/ready/%i\nExecStartPre=", 1))
    peers.unit(machine, "bench-true@.service", text + "\n[Service]\nExecCondition=+/bin/true\n")
    machine.sh("systemctl daemon-reload")
    rows = measure([Row(name, systemctl(machine, "start", "stop", f"{template}@gated.service")) for name, template in (
        ("floor: without the gate", "bench-ungated"), ("floor: /bin/true for the gate", "bench-true"), ("ours", "model"))],
        bench.cpu, bench.rounds)
    bench.say(f"## A model is started and stopped, without a capacity\n\n{rows_table(rows)}")
    for what, key in ("time", "p50_us"), ("CPU of all processes", "cpu all"):
        bench.targets.most(f"gate: start and stop without a capacity, of the same without the gate, {what}",
                           rows[2].ratio(rows[0], key), 1.05, floor=rows[1].ratio(rows[0], key))


def sweep(bench):
    """While no model is up, and while all are: systemd starts a process only for the latter."""
    machine = bench.machine
    path = machine.properties(SWEEP, "FragmentPath")["FragmentPath"]
    lines = machine.path(path).read_text().splitlines()
    command = "ExecStart=/bin/true"
    peers.unit(machine, "bench-true.service", f"[Service]\nType=oneshot\n{command}\n")
    peers.unit(machine, "bench-nothing.service", f"[Unit]\nConditionPathExists=/nowhere\n[Service]\nType=oneshot\n{command}\n")
    peers.unit(machine, "bench-true-ours.service", "\n".join(command if line.startswith("ExecStart=") else line for line in lines
                                                             if not line.startswith("Condition")))
    machine.sh(f"rm -rf {MODELS}/* && mkdir -p {MODELS} && rm -f {ETC}/config.json && systemctl daemon-reload")
    names = [f"bench-{i:04}" for i in range(SWEPT)]
    for i, name in enumerate(names):
        machine.model(name, 10000 + i, command="sleep infinity")
    machine.sh("systemctl start nginx-config-updater.service")
    floor = "floor: systemd starts /bin/true"
    true, own = systemctl(machine, "start", "bench-true.service"), systemctl(machine, "start", SWEEP)
    at_rest = [Row(floor, true), Row("ours, no model is up", own),
               Row("floor: a condition fails", systemctl(machine, "start", "bench-nothing.service"))]
    measure(at_rest, bench.cpu, bench.rounds)
    machine.sh("systemctl start " + " ".join(f"model@{name}.service" for name in names))
    busy = [Row(floor, true), Row("/bin/true in our unit", systemctl(machine, "start", "bench-true-ours.service")),
            Row("ours, all are up", own)]
    measure(busy, bench.cpu, bench.rounds)
    machine.sh("systemctl stop 'model@bench-*.service'")
    unit, itself = busy[1].over(busy[0]), busy[2].over(busy[1])
    bench.say(f"## The sweep of {SWEPT} models\n\n{rows_table(at_rest)}\n{rows_table(busy)}\nWhat stands in the way: that systemd "
              f"starts /bin/true is {ms(busy[0].median('cpu all'))} ms of CPU already. Over it, {ms(unit)} are our unit's, whose "
              f"sandbox is a port's, and {ms(itself)} the sweep's own: its start, "
              f"{SWEPT} files, one call of the bus, one dump of sockets, and what it tells the next one.\n")
    bench.targets.most(f"sweep: {SWEPT} models, none is up, CPU of all processes", at_rest[1].median("cpu all") / 1000, 5, " ms",
                       floor=at_rest[2].median("cpu all") / 1000)
    bench.targets.most(f"sweep: {SWEPT} models, all are up, CPU of all processes", busy[2].median("cpu all") / 1000, 5, " ms",
                       floor=busy[0].median("cpu all") / 1000)
    put_files(bench, FILES)


def memory(bench):
    """At rest, which is now: nobody has asked for anything yet."""
    processes, pss = bench.cpu.memory("homelab.slice")
    bench.targets.most("at rest: our processes", processes, 0)
    bench.targets.most("at rest: our bytes", pss, 0)


def memory_under_load(bench):
    """Of what stands between a client and its model, while 50 ask."""
    if SWAP in bench.skipped:
        return
    lines, before, most = [], {}, {}
    own, other = body(bench, "own.json", MODEL, 100), body(bench, "other.json", "swap", 100)
    for name, group, port, file in (("ours", "homelab.slice", NGINX, own), ("NGINX", "system.slice/nginx.service", NGINX, own),
                                    (SWAP, "bench.slice/bench-llama-swap.service", peers.SWAP_PORT, other)):
        seen = [bench.cpu.memory(group)[1]]
        thread = threading.Thread(target=bench.load(port, CHAT, 1000, 50, "POST", file))
        thread.start()
        while thread.is_alive():
            seen.append(bench.cpu.memory(group)[1])
        before[name], most[name] = seen[0] / 1e6, max(seen) / 1e6
        lines.append([name, f"{before[name]:.1f}", f"{most[name]:.1f}"])
    bench.say("## Memory without the model's, MB\n\n" + table(["", "before", "most, 50 clients"], lines))
    for what, values in ("before", before), ("50 clients", most):
        bench.targets.most(f"memory, NGINX's too, of llama-swap's, {what}",
                           (values["ours"] + values["NGINX"]) / values[SWAP], 1)
