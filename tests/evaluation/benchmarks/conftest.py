"""The folder of real data sets, for tests that need other people's data."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder that MIXPREF_TEST_DATA names; tests that use it are skipped where it names none."""
    folder = os.environ.get("MIXPREF_TEST_DATA")
    if not folder:
        pytest.skip("MIXPREF_TEST_DATA names no folder of real data sets")
    return Path(folder)
