"""The real tier's model: fetched once. Without it the tests fail: a skipped test looks like a passed one."""

from __future__ import annotations

from pathlib import Path

import pytest
from real import fetch


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of SmolLM2-135M-Instruct."""
    try:
        return fetch.smollm2()
    except ValueError as error:
        pytest.fail(str(error), pytrace=False)
