"""What sharing is worth: more nations' radars make a smaller ellipse, and no ellipse beats its bound by more than chance."""

from __future__ import annotations

import msgspec
from click.testing import CliRunner

from trilat.cli.bench_sharing import command


def test_partners_radars_shrink_the_ellipse() -> None:
    """Thirty seconds after burn-out three nations' plots give a landing ellipse less than half as long as one nation's."""
    done = CliRunner().invoke(command, ["--tiny", "--json"])
    assert 0 == done.exit_code, done.output
    alone, together = msgspec.json.decode(done.output)
    assert (["JPN"], ["JPN", "USA", "KOR"]) == (alone["nations"], together["nations"])
    assert together["axes_m"][-1][0] < 0.5 * alone["axes_m"][-1][0]
    assert together["bound_m"][-1][0] < 0.5 * alone["bound_m"][-1][0]
    # The estimator knows a little of the climb, which the bound does not count.
    assert 0.5 * together["bound_m"][-1][0] < together["axes_m"][-1][0] < 2.0 * together["bound_m"][-1][0]
