# SPDX-License-Identifier: MIT
"""What tests measure is told at the end of a run, whatever has become of them."""
import pytest

figures = []


@pytest.fixture
def figure():
    """figure("…"): a line to tell then."""
    return figures.append


def pytest_terminal_summary(terminalreporter):
    if figures:
        terminalreporter.section("measured")
    for line in figures:
        terminalreporter.write_line(line)
