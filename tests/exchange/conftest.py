"""Fixtures of the exchange's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_pair import Joined


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Joined]:
    """JPN and KOR, started and level."""
    joined = Joined(tmp_path).run()
    yield joined
    joined.close()
