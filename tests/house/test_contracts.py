"""The import contracts bite: each is broken on purpose in a copy of the tree, and seen caught."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tree import ROOT, SRC


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the package's Python files, with the contracts beside it."""
    folder = tmp_path_factory.mktemp("contracts")
    for path in SRC.rglob("*.py"):
        if not {"page", "node_modules"}.intersection(path.relative_to(SRC).parts):
            target = folder / "trilat" / path.relative_to(SRC)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


@contextmanager
def planted(copy: Path, file: str, line: str) -> Iterator[None]:
    """Add one line to one file of the copy (a new one where it does not exist), and take it away again."""
    path = copy / "trilat" / file
    before = path.read_text("utf-8") if path.exists() else None
    new_folder = not path.parent.exists()
    path.parent.mkdir(exist_ok=True)
    if new_folder:
        (path.parent / "__init__.py").touch()
    path.write_text(f"{before or ''}\n{line}\n", "utf-8")
    try:
        yield
    finally:
        if before is not None:
            path.write_text(before, "utf-8")
        elif new_folder:
            shutil.rmtree(path.parent)
        else:
            path.unlink()


def lint(copy: Path, contract: str) -> tuple[int, str]:
    """Check one contract in the copy; return the exit code and what was said."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache", "--no-logo"]
    done = subprocess.run(
        [*command, "--contract", contract, "--config", ".importlinter"], cwd=copy, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


# contract, the file that breaks it, the line that does, and what the message must name
PLANTS = (
    ("layers", "records/track.py", "import trilat.kernels.geodesy", "trilat.records.track -> trilat.kernels"),
    ("layers", "kernels/geodesy.py", "import trilat.records.track", "trilat.kernels.geodesy -> trilat.records.track"),
    ("layers", "feeds/ais.py", "import trilat.policy.label", "trilat.feeds.ais -> trilat.policy"),
    ("layers", "identity/sign.py", "import trilat.policy", "trilat.identity.sign -> trilat.policy"),
    ("layers", "policy/planted.py", "import trilat.node.config", "trilat.policy.planted -> trilat.node.config"),
    ("layers", "node/config.py", "import trilat.exercise.scenario", "trilat.node.config -> trilat.exercise"),
    ("layers", "exercise/scenario.py", "import trilat.cli", "trilat.exercise.scenario -> trilat.cli"),
    ("layers", "misplaced/thing.py", "", "misplaced"),
    ("numba", "feeds/ais.py", "import numba", "trilat.feeds.ais -> numba"),
    ("numba", "node/config.py", "def f():\n    import numba", "trilat.node.config -> numba"),
    ("light", "records/track.py", "import trilat.kernels.geodesy", "trilat.records.track -> trilat.kernels"),
    ("help", "cli/frame.py", "import trilat.records.columns", "trilat.cli.frame -> trilat.records.columns"),
    ("edges", "feeds/ais.py", "import time", "trilat.feeds.ais -> time"),
    ("edges", "kernels/geodesy.py", "import random", "trilat.kernels.geodesy -> random"),
    ("edges", "policy/planted.py", "import sqlite3", "trilat.policy.planted -> sqlite3"),
    ("edges", "identity/sign.py", "import socket", "trilat.identity.sign -> socket"),
    ("edges", "picture/cop.py", "import asyncio", "trilat.picture.cop -> asyncio"),
    ("edges", "planted/new.py", "import secrets", "trilat.planted.new -> secrets"),
    ("released", "feeds/ais.py", "from trilat.records.released import Released", "trilat.feeds.ais -> trilat.records.released"),
    ("released", "picture/cop.py", "import trilat.records.released", "trilat.picture.cop -> trilat.records.released"),
)


@pytest.mark.parametrize(("contract", "file", "line", "says"), PLANTS, ids=[f"{c}-{f}" for c, f, *_ in PLANTS])
def test_a_planted_violation_is_caught(copy: Path, contract: str, file: str, line: str, says: str) -> None:
    """A file that breaks a wall makes its contract fail, and the message names the import."""
    with planted(copy, file, line):
        code, said = lint(copy, contract)
    assert (1, True) == (code, says in " ".join(said.split()) or says in said), said


def test_every_contract_is_planted_against() -> None:
    """No contract stands that was not seen to bite."""
    lines = (ROOT / ".importlinter").read_text("utf-8").splitlines()
    contracts = {line.removeprefix("id = ") for line in lines if line.startswith("id = ")}
    assert contracts == {contract for contract, *_ in PLANTS}
