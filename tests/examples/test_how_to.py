"""The how-to's own lines run, one block after the other, on a radar's plots of one aircraft."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "use-the-tracker-as-a-library.md"


def test_the_how_tos_lines_give_tracks() -> None:
    """What the page says to type gives, in its order, one confirmed track: of a table, stepped by hand, and smoothed."""
    t = np.arange(0.0, 60.0, 4.0)
    told: dict[str, Any] = {"t": t, "r": 60e3 - 200.0 * t, "az": np.full(len(t), 1.0), "el": np.full(len(t), 0.15)}
    blocks = re.findall(r"```python\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    alone = [block for block in blocks if "StoneSoup" not in block]
    assert len(alone) == 3
    for block in alone:
        if "in steps" in block:
            columns = told["columns"]
            told["steps"] = [(int(one["t_ns"]), told["batch"](columns[k : k + 1])) for k, one in enumerate(columns)]
            told["tracker"] = told["Tracker"](told["TrackerSettings"](), [told["radar"]], "anew")
        exec(compile(block, HOW_TO.name, "exec"), told)  # noqa: S102 - our own page
        if "step(now_ns, [batch" in block:
            assert [1] == told["tracks"].columns["status"].tolist()
    assert 1 in told["tracks"].columns["status"]
    assert [1] == list(told["paths"])
    assert [len(one) for one in told["shown"]] == [len(one) for one in told["columns"]]
