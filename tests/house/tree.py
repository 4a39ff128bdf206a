"""What the house tests look at: the files of the tree, their text and their syntax, each read once."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "trilat"
PAGE = SRC / "picture" / "page"
# Folders that are no part of the tree where there is no git to ask.
NOT_OURS = {".git", ".venv", "node_modules", "__pycache__", "static", "wheelhouse", "dist", "build", "run"}
FILE_BYTES_MAX = 2_000_000


@cache
def files() -> tuple[Path, ...]:
    """Return every file of the tree: what git has or would add; without git, all but the folders that are never ours."""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
        found = [ROOT / name for name in names if name]
    else:
        found = [path for path in ROOT.rglob("*") if not NOT_OURS.intersection(path.relative_to(ROOT).parts)]
    return tuple(sorted(path for path in found if path.is_file()))


def python_files(*folders: str) -> list[Path]:
    """Return the Python files of the tree below the folders named ("src", "tests")."""
    return [path for path in files() if path.suffix == ".py" and name_of(path).split("/")[0] in folders]


def name_of(path: Path) -> str:
    """Return a path as the tree names it ("src/trilat/errors.py")."""
    return path.relative_to(ROOT).as_posix()


@cache
def text_of(path: Path) -> str | None:
    """Return a file's text, None when it is not text."""
    if path.stat().st_size > FILE_BYTES_MAX:
        return None
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return None


@cache
def syntax_of(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text("utf-8"), str(path))


def module_of(path: Path) -> str:
    """Return the module's name ("trilat.feeds.ais") of a file below src."""
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method of a file."""
    for node in ast.walk(syntax_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def listed(lines: list[str]) -> str:
    """Return findings as one readable block, for the message of an assertion."""
    return "\n" + "\n".join(f"  {line}" for line in sorted(lines))
