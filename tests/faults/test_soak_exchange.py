"""Two hours of three nations at 200 records a second each, with a fault every minute."""

from pathlib import Path

import pytest
import soak_exchange


@pytest.mark.soak
@pytest.mark.timeout(4 * 3_600)
def test_two_hours_with_a_fault_every_minute(tmp_path: Path) -> None:
    """Nothing is lost, nothing comes twice, every store is sound, memory is flat."""
    assert [] == soak_exchange.run(tmp_path, 120, 1)
