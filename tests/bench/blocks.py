# SPDX-License-Identifier: MIT
"""blocks.py - rows of a table, measured in turn, so that a slow minute slows all of them; and what CPU each of them took.

A row is measured in blocks. Each round has one block of each row. A ratio is that of two blocks of the same round, and of
these the median counts.
"""
import json
import math
import os
import pathlib
import statistics
import subprocess

ROUNDS = int(os.environ.get("ROUNDS", "5"))
GROUPS = {"PID 1": "init.scope", "dbus": "system.slice/dbus.service", "journald": "system.slice/systemd-journald.service",
          "NGINX": "system.slice/nginx.service"}


class Cpu:
    """What the machine's control groups took: microseconds by name, "all" of the whole machine. The rest is the program's
    that a row is about, or its model's."""

    def __init__(self, leader):
        mount = next(line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2")
        own = next(line.strip() for line in open(f"/proc/{leader}/cgroup") if line.startswith("0::"))[3:]
        self.root = pathlib.Path(mount + os.path.dirname(own))

    def read(self):
        usage = {"all": self.usage(self.root), **{name: self.usage(self.root / group) for name, group in GROUPS.items()}}
        return usage | {"rest": 2 * usage["all"] - sum(usage.values())}

    @staticmethod
    def usage(group):
        try:
            return int((group / "cpu.stat").read_text().split()[1])
        except FileNotFoundError:  # nothing of it runs, or ever has
            return 0

    def memory(self, group):
        """(processes, bytes of memory that are theirs alone or their part of it) of a group, without models."""
        count = total = 0
        for pid in [pid for file in (self.root / group).rglob("cgroup.procs") for pid in file.read_text().split()]:
            try:
                if "demo-model" in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                    continue
                rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            count += 1
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
        return count, total


class Row:
    """run() measures a block, as the program load says it; note stands behind the name."""

    def __init__(self, name, run):
        self.name, self.run, self.blocks = name, run, []

    def measure(self, cpu):
        before = cpu.read()
        block = self.run()
        block["rate"] = block["requests"] / block["seconds"]
        after = cpu.read()
        for name in after:
            block["cpu " + name] = max(0, after[name] - before[name]) / max(1, block["requests"])
        self.blocks.append(block)

    def median(self, key):
        return statistics.median(block[key] for block in self.blocks)

    def spread(self, key):
        """How far the blocks are apart: the greatest over the least."""
        values = [block[key] for block in self.blocks]
        return max(values) / max(min(values), 1e-9)

    def over(self, base, key="cpu all", base_key=None):
        """How much more than another row, in the same round."""
        return statistics.median(own[key] - other[base_key or key] for own, other in zip(self.blocks, base.blocks))

    def ratio(self, base, key="p50_us"):
        return statistics.median(own[key] / max(other[key], 1e-9) for own, other in zip(self.blocks, base.blocks))


class Load:
    """The program load, in the machine's network."""

    def __init__(self, program, leader):
        self.program, self.leader = program, leader

    def __call__(self, port, path, count, clients=1, method="GET", body=None, keep=True, warm=True, must=True):
        """must: all are answered well, or there is nothing to compare."""
        def run(requests, at_once):
            argv = ["nsenter", f"--target={self.leader}", "--net", self.program, "-c", str(at_once), "-n", str(requests),
                    *(["-k"] if keep else []), *(["-b", body] if body else []), str(port), method, path]
            done = subprocess.run(argv, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"{path} on port {port}: {done.stderr.strip()}")
            return json.loads(done.stdout)

        def block():
            if warm:  # a worker that has ended is started by this one
                run(1, 1)
            result = run(count, clients)
            if must and (result["failed"] or result["status"] != 200):
                raise RuntimeError(f"{path} on port {port}: {result}")
            return result
        return block


def measure(rows, cpu, rounds=ROUNDS):
    for _ in range(rounds):
        for row in rows:
            row.measure(cpu)
    return rows


def exponent(sizes, values):
    """k of value ~ size^k, by least squares of the logarithms: 0 is no growth, 1 is as the number of files."""
    x, y = [math.log(size) for size in sizes], [math.log(max(value, 1e-9)) for value in values]
    mean_x, mean_y = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


# ---- the report ----

def table(head, lines):
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(text + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


def ms(microseconds):
    return f"{microseconds / 1000:.3g}"


def rows_table(rows, base=None, base_word="of the first"):
    """Each row with its rate, times, spread, and CPU a request."""
    base = base or rows[0]
    groups = ["all", *GROUPS, "rest"]
    head = ["", "/s", "p50 ms", "p99 ms", f"p50 {base_word}", f"rate {base_word}", "spread",
            *(f"CPU ms: {group}" for group in groups)]
    return table(head, [[row.name, f"{row.median('rate'):.0f}", ms(row.median("p50_us")), ms(row.median("p99_us")),
                         f"{row.ratio(base):.2f}", f"{row.ratio(base, 'rate'):.2f}", f"{row.spread('p50_us'):.1f}",
                         *(ms(row.median("cpu " + group)) for group in groups)] for row in rows])


class Targets:
    """What was promised, and whether it is so in this run. A floor is what the same run says of the least that anybody could
    do there: where it misses the target itself, no work of ours would meet that."""

    def __init__(self):
        self.lines = []

    def most(self, what, value, limit, unit="", floor=None):
        self.add(what, value, f"at most {limit:g}", unit, value <= limit, floor)

    def least(self, what, value, limit, floor=None):
        self.add(what, value, f"at least {limit:g}", "", value >= limit, floor)

    def add(self, what, value, wanted, unit, met, floor):
        self.lines.append([what, f"{value:.3g}{unit}", wanted + unit, "met" if met else "MISSED",
                           "" if floor is None else f"{floor:.3g}{unit}"])

    def table(self):
        return table(["target", "measured", "wanted", "", "the floor's"], self.lines)
