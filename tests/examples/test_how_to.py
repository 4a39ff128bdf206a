"""The how-to's own lines run, one block after the other, on a radar's plots of one aircraft."""

from __future__ import annotations

import ast
import json
import re
import sys
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


def test_what_opens_the_notebook_is_named_and_all_that_it_imports() -> None:
    """The page installs a notebook server, for none comes with us, what the notebook imports beside us, and names a file that is there."""
    see_it = HOW_TO.read_text("utf-8").partition("## See it")[2].partition("\n## ")[0]
    lines = [
        line.partition("#")[0].split()
        for block in re.findall(r"```sh\n(.*?)```", see_it, re.DOTALL)
        for line in block.splitlines()
    ]
    installed = {name for words in lines if words[:2] == ["pip", "install"] for name in words[2:]}
    jupyter = [words for words in lines if words[0] == "jupyter"]
    assert [("lab", True), ("nbconvert", True)] == [(words[1], "jupyterlab" in installed) for words in jupyter]
    for words in jupyter:
        (name,) = [word for word in words if word.endswith(".ipynb")]
        told = json.loads((HOW_TO.parents[2] / name).read_text("utf-8"))
        cells = "\n".join("".join(cell["source"]) for cell in told["cells"] if cell["cell_type"] == "code")
        nodes = list(ast.walk(ast.parse(cells)))
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
        beside = {each.partition(".")[0] for each in names} - sys.stdlib_module_names - {"trilat", "numpy"}
        assert beside
        assert set() == beside - installed
