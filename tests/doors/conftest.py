# SPDX-License-Identifier: MIT
"""What the tests of the doors begin with."""
import pytest

from programs import Lab


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)
