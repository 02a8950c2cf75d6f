# SPDX-License-Identifier: MIT
"""The machines of the system tests. RELEASE=bookworm, trixie or forky says which Debian; default: as this host."""
import contextlib
import itertools
import os
import pathlib
import signal
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "doors"))  # the FastCGI client

import clients
import real
from clients import Lab
from machines import PATIENCE, Machine, tool, wait_until
from web import NGINX, Web

numbers = itertools.count()
made = []  # the machines that are up


@pytest.fixture(scope="session")
def make_machine():
    """Machines of one's own: make_machine("--bare"). Whoever makes one may break it."""
    def make(*options, kind=Machine):
        try:
            made.append(kind(f"system-{os.getpid()}-{next(numbers)}", *options))
        except AssertionError as error:
            if "the forky tree could not be made" in str(error):  # Debian testing is not as it should be each day
                pytest.skip(f"forky is NOT TESTED: {str(error)[-500:]}")
            raise
        return made[-1]

    yield make
    for each in made:
        each.down()


@pytest.fixture(scope="module", autouse=True)
def none_stays_up():
    """A machine that a file of tests made for itself goes down with it: the kernel gives root just so many of some things."""
    yield
    for each in [each for each in made if not each.is_shared]:
        each.down()
        made.remove(each)


def share(machine):
    machine.is_shared = True
    return machine


@pytest.fixture(scope="session")
def machine(make_machine):
    """The machine that most tests share: installed, with the demo models. Each test finds it so again. No sweep of idle
    models comes by itself: a test that wants one starts it, or its timer."""
    shared = share(make_machine())
    shared.learn_descriptions()
    tool("demo", shared.name)
    shared.sweep_every("1d")
    return shared


@pytest.fixture(scope="session")
def web(make_machine):
    """The one that the tests of NGINX share. Each test finds it with the same models, and all but one stopped."""
    shared = share(make_machine(kind=Web))
    shared.learn_descriptions()
    shared.prepare()
    return shared


@pytest.fixture
def network(web):
    """Requests from another address than this host's own, to the same site."""
    address, site = "192.0.2.5", "/etc/nginx/sites-enabled/home-lab-services-open"
    web.sh(f"ip address add {address}/32 dev lo")
    web.put(site, f"server {{ listen {address}:{NGINX}; include home-lab-services/server.conf; }}\n")

    def ask(method, path, body=None, headers={}):
        return web.http(method, NGINX, path, body, headers, host=address)

    def reachable():
        with contextlib.suppress(OSError):
            return ask("GET", "/")
    try:
        web.sh("systemctl reload nginx")
        wait_until(reachable, PATIENCE, "NGINX listens there, too")
        yield ask
    finally:
        web.sh(f"rm {site}; systemctl reload nginx; ip address del {address}/32 dev lo")


@pytest.fixture(scope="session")
def lab(make_machine):
    """The one with real model servers. Tests find it as the one before left it."""
    try:
        real.llama_server()
    except real.NotHere as reason:
        pytest.skip(f"a real llama-server is NOT TESTED: {reason}")
    shared = share(make_machine(kind=Lab))
    shared.prepare()
    return shared


@pytest.fixture(scope="session")
def processes():
    """Clients that were started once, and why others could not be. What must be installed first takes longer than a test."""
    for install in real.npm, real.pypi, real.go, real.jdk:
        with contextlib.suppress(real.NotHere):  # those who need it say so
            install()
    made = {}
    yield made
    for client in made.values():
        if not isinstance(client, real.NotHere):
            client.close()


@pytest.fixture
def client(request, lab, processes, tmp_path_factory):
    """One of the clients that people use, by its name."""
    name = request.param
    if name not in processes:
        try:
            processes[name] = clients.CLIENTS[name][0](lab, tmp_path_factory.getbasetemp())
            processes[name].name = name
        except (real.NotHere, FileNotFoundError) as reason:
            processes[name] = real.NotHere(reason)
    if isinstance(processes[name], real.NotHere):
        pytest.skip(f"{name} is NOT TESTED: {processes[name]}")
    return processes[name]


SECONDS = 120  # that a test may take, where it does not ask for more


def limit_of(item):
    marker = item.get_closest_marker("seconds")
    return max(SECONDS, marker.args[0] if marker else 0)


def pytest_collection_modifyitems(items):
    for item in items:
        if limit_of(item) > SECONDS:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(autouse=True)
def no_longer_than_its_limit(request):
    limit = limit_of(request.node)

    def too_long(*_):
        raise TimeoutError(f"this test takes longer than {limit} seconds")
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(limit)
    yield
    signal.alarm(0)


@pytest.fixture(autouse=True)
def as_it_was(request):
    yield
    for name in "machine", "web":
        if name in request.fixturenames:
            request.getfixturevalue(name).reset()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the machine's journal. The table of clients has each of their tests."""
    report = (yield).get_result()
    column = item.get_closest_marker("column")
    if column and (report.when == "call" or not report.passed):
        outcome = {"passed": "ok", "skipped": "skipped", "failed": "FAILED"}[report.outcome]
        clients.note(item.callspec.params["client"], column.args[0], outcome, report.longrepr[2] if report.skipped else "")
    if report.failed and report.when == "call":
        for name, value in item.funcargs.items():
            if isinstance(value, Machine):
                try:
                    report.sections.append((f"journal of {name}", value.log()))
                except Exception as error:  # it may be off
                    report.sections.append((f"journal of {name}", str(error)))


def pytest_terminal_summary(terminalreporter):
    if clients.matrix:
        terminalreporter.section("clients with real model servers")
        for line in clients.table():
            terminalreporter.write_line(line)
