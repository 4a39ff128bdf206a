"""Error codes: one data file, every code used, every name known."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tree import SRC, listed, name_of, python_files, syntax_of

from trilat import errors

KINDS = {"error", "refusal"}
FIELDS = {"name", "kind", "says", "remedy"}


def error_classes() -> set[str]:
    """Return the names of TrilatError and everything below it, in every module of ours."""
    known = {"TrilatError"}
    classes = [node for path in python_files("src") for node in ast.walk(syntax_of(path)) if isinstance(node, ast.ClassDef)]
    for _ in range(5):
        known |= {node.name for node in classes if known & {ast.unparse(base).split(".")[-1] for base in node.bases}}
    return known


def called_names(path: Path, classes: set[str]) -> Iterator[tuple[int, str]]:
    """Yield every error or refusal name that a file states: XError("name", ...) and Refused(..., reason="name")."""
    for node in ast.walk(syntax_of(path)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).split(".")[-1]
        if called in classes and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            yield node.lineno, node.args[0].value
        if called == "Refused":
            for keyword in node.keywords:
                if keyword.arg == "reason" and isinstance(keyword.value, ast.Constant):
                    yield node.lineno, str(keyword.value.value)


def test_codes_are_well_formed() -> None:
    """Every code is TRI-dddd with a name, a kind, a sentence that ends, and a remedy that ends."""
    bad = [
        f"{code}: {entry}"
        for code, entry in errors.codes().items()
        if not re.fullmatch(r"TRI-\d{4}", code)
        or set(entry) != FIELDS
        or entry["kind"] not in KINDS
        or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry["name"])
        or not entry["says"].endswith((".", "?"))
        or not entry["remedy"].endswith((".", "?"))
    ]
    assert [] == bad, listed(bad)


def test_names_are_unique() -> None:
    """No name stands twice (that no code does is TOML's own rule)."""
    names = Counter(entry["name"] for entry in errors.codes().values())
    assert [] == [name for name, count in names.items() if count > 1]


def test_every_name_in_code_has_a_code() -> None:
    """What is raised or refused by name stands in errors.toml."""
    names = {entry["name"] for entry in errors.codes().values()}
    classes = error_classes()
    bad = [
        f"{name_of(path)}:{line} {name!r} is not in errors.toml: give it a code, a sentence and a remedy"
        for path in python_files("src")
        for line, name in called_names(path, classes)
        if name not in names
    ]
    assert [] == bad, listed(bad)


def test_every_code_is_used() -> None:
    """No code stands in errors.toml that nothing raises or counts."""
    said = {
        node.value
        for path in python_files("src")
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    bad = [
        f"{code} {entry['name']}: nothing in src names it" for code, entry in errors.codes().items() if entry["name"] not in said
    ]
    assert [] == bad, listed(bad)


def test_an_error_says_its_code_and_what_to_do() -> None:
    """What a person reads of an error is its code, its sentence, the offending value and the remedy."""
    error = errors.ConfigError("mode-missing", "node.toml.")
    entry = errors.codes()["TRI-0004"]
    assert f"TRI-0004 {entry['says']} node.toml.\n  What to do: {entry['remedy']}" == str(error)


def test_remedies_point_at_pages_that_exist() -> None:
    """A page that a remedy names is there."""
    root = SRC.parents[1]
    bad = [
        f"{code} {entry['name']}: {page} does not exist"
        for code, entry in errors.codes().items()
        for page in re.findall(r"\bdocs/[\w/.-]+\.md", entry["remedy"])
        if not (root / page).exists()
    ]
    assert [] == bad, listed(bad)
