"""The machines of the system tests. RELEASE=bookworm or trixie says which Debian; default: as this host."""
import itertools
import os
import signal

import pytest

from machines import Machine, tool

numbers = itertools.count()


@pytest.fixture(scope="session")
def make_machine():
    """Machines of one's own: make_machine("--bare"). Whoever makes one may break it."""
    made = []

    def make(*options):
        made.append(Machine(f"system-{os.getpid()}-{next(numbers)}", *options))
        return made[-1]

    yield make
    for machine in made:
        machine.down()


@pytest.fixture(scope="session")
def machine(make_machine):
    """The machine that most tests share: installed, with the demo models. Each test finds it so again."""
    shared = make_machine()
    tool("demo", shared.name)
    return shared


@pytest.fixture(autouse=True)
def no_longer_than_a_minute():
    def too_long(*_):
        raise TimeoutError("this test takes longer than a minute")
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture(autouse=True)
def as_it_was(request):
    yield
    if "machine" in request.fixturenames:
        request.getfixturevalue("machine").reset()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the machine's journal."""
    report = (yield).get_result()
    if report.failed and report.when == "call":
        for name, value in item.funcargs.items():
            if isinstance(value, Machine):
                try:
                    report.sections.append((f"journal of {name}", value.log()))
                except Exception as error:  # it may be off
                    report.sections.append((f"journal of {name}", str(error)))
