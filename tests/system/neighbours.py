# SPDX-License-Identifier: MIT
"""neighbours.py - another machine on the same network, as far as a machine can tell: a network namespace beside it."""
import contextlib
import itertools
import os
import subprocess

from machines import PATIENCE, SERVICES, SHUTDOWN, Network, wait_until

HERE, THERE = "198.18.77.1", "198.18.77.2"  # the machine, the neighbour
numbers = itertools.count()


def ip(*arguments, check=True):
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


@contextlib.contextmanager
def neighbour_of(machine):
    """The neighbour's network, from which the machine is HERE."""
    name = f"hls-{os.getpid()}-{next(numbers)}"
    try:
        ip("netns", "add", name)
        ip("-netns", name, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(machine.leader))
        ip("-netns", name, "address", "add", f"{THERE}/24", "dev", "near")
        ip("-netns", name, "link", "set", "near", "up")
        machine.sh(f"ip address add {HERE}/24 dev far && ip link set far up")
        yield Network(f"/run/netns/{name}")
    finally:
        ip("netns", "delete", name, check=False)


def wait_until_reached(machine, port):
    """From its neighbour."""
    def reached():
        with contextlib.suppress(OSError):
            return machine.neighbour.http("GET", port, "/", host=HERE).status
    wait_until(reached, PATIENCE, f"the neighbour reaches port {port}")


def open_ports(machine):
    """The services' ports also listen where the neighbour reaches them. Returns the units that do."""
    units = [f"{service}-lan@{HERE}.socket" for service in SERVICES]
    machine.sh(["systemctl", "enable", "--runtime", "--now", *units])
    wait_until_reached(machine, SHUTDOWN)
    return units
