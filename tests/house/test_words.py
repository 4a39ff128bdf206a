"""Words: the field's own, and none of the names that say nothing. Each message names the replacement."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree import PAGE, files, functions_of, listed, module_of, name_of, python_files, syntax_of, text_of

# Names that tell nothing of what a thing does; as a whole name or as its last word.
EMPTY_NAMES = ("Manager", "Handler", "Helper", "Helpers", "Util", "Utils", "Service")
EMPTY_MODULES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "handlers", "services"}
# DESIGN section 7, as far as a word in a name is certainly the wrong one: word -> what to use.
WORDS = {
    "blip": "plot",
    "blips": "plot",
    "ioc": "indicator",
    "iocs": "indicator",
    "dashboard": "picture",
    "cov": "covariance",
    "covar": "covariance",
    "lng": "lon_deg",
    "whitelist": "the list by what it holds",
    "blacklist": "the list by what it holds",
}
# Whole names that lack their unit.
UNITLESS = {"longitude": "lon_deg", "latitude": "lat_deg"}
# It watches, tracks, warns, shares. These have no place in any name.
NEVER = (
    "weapon",
    "weapons",
    "targeting",
    "engagement",
    "engage",
    "fire_control",
    "shooter",
    "munition",
    "kill",
    "lethal",
    "strike",
)
# Names that the operating system or a library gave, not we.
GIVEN = {"kill", "SIGKILL", "Signals"}


def names_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every name a file makes: classes, functions, arguments, attributes and variables it assigns."""
    for node in ast.walk(syntax_of(path)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def parts_of(name: str) -> list[str]:
    """Split a name into its words: `TrackManager` and `track_manager` are both track, manager."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def test_no_empty_names() -> None:
    """No class, type or module is called Manager, Handler, Helper, Util or Service: a name says what the thing does."""
    bad = [
        f"{name_of(path)}:{line} {name}: say what it does (it answers, counts, opens, keeps ...), not that it is a {empty}"
        for path in python_files("src")
        for line, name in names_of(path)
        for empty in EMPTY_NAMES
        if name.lstrip("_").endswith(empty)
    ]
    bad += [
        f"{name_of(path)}: a module is called for what it holds"
        for path in python_files("src", "tests", "benchmarks")
        if path.stem in EMPTY_MODULES
    ]
    assert [] == bad, listed(bad)


def test_the_fields_own_words() -> None:
    """Names in code use the words of DESIGN section 7."""
    bad = [
        f"{name_of(path)}:{line} {name}: {word!r} is {WORDS[word]!r} here"
        for path in python_files("src")
        for line, name in names_of(path)
        for word in parts_of(name)
        if word in WORDS
    ]
    assert [] == bad, listed(bad)


def test_it_stays_defensive() -> None:
    """No name in the code speaks of weapons, targeting or engagement: Trilat has no such function and is to have none."""
    bad = [
        f"{name_of(path)}:{line} {name}: Trilat watches, tracks, warns and shares; {word!r} has no place in it"
        for path in python_files("src")
        for line, name in names_of(path)
        for word in NEVER
        if word in parts_of(name) and name not in GIVEN
    ]
    assert [] == bad, listed(bad)


def test_units_come_last() -> None:
    """A quantity's unit ends its name (`range_m`); it is neither left out nor spelled out."""
    spelled = re.compile(
        r"(?<!^in)(?<!^to)_(metres|meters|seconds|degrees|radians|millis|nanoseconds|kilometers|kilometres|milliseconds)$"
    )
    bad = [
        f"{name_of(path)}:{line} {name}: write the unit as _m, _s, _deg, _rad, _ms, _ns"
        for path in python_files("src")
        for line, name in names_of(path)
        if spelled.search(name)
    ]
    bad += [
        f"{name_of(path)}:{line} {name}: write {UNITLESS[name]}"
        for path in python_files("src")
        for line, name in names_of(path)
        if name in UNITLESS
    ]
    assert [] == bad, listed(bad)


# Put together here, so that this file does not find itself.
NOTES = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "HA" + "CK")) + r")\b")


def test_no_notes_to_self() -> None:
    """Nothing is left for later in the text of the tree: it is done, or it is an issue."""
    bad = [
        f"{name_of(path)}:{number}: {line.strip()[:100]}"
        for path in files()
        if path.suffix in {".py", ".md", ".toml", ".ts", ".tsx", ".css", ".sh", ".yml"}
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if NOTES.search(line)
    ]
    assert [] == bad, listed(bad)


def test_no_mocks() -> None:
    """Tests use the real thing or its simulated ending, never a mock."""
    bad = [
        f"{name_of(path)}:{number}: use the loopback, the simulated network, a real file, a real server"
        for path in python_files("tests")
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if re.match(r"\s*(from|import) (unittest|mock|pytest_mock)\b", line)
    ]
    assert [] == bad, listed(bad)


def test_every_test_says_what_must_hold() -> None:
    """Every test function has a docstring: the sentence that must be true."""
    bad = [
        f"{name_of(path)}:{function.lineno} {function.name}: add the sentence that must hold"
        for path in python_files("tests")
        for function in functions_of(path)
        if path.name.startswith("test_") and function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert [] == bad, listed(bad)


def test_everything_public_is_explained() -> None:
    """Every public function and class of a module has a docstring."""
    bad = [
        f"{module_of(path)}.{node.name} (line {node.lineno}): say what it does, shapes, units, errors, source"
        for path in python_files("src")
        if PAGE not in path.parents
        for node in syntax_of(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert [] == bad, listed(bad)


@pytest.mark.parametrize(
    ("name", "parts"), [("TrackManager", ["track", "manager"]), ("RADARTrack", ["radar", "track"]), ("t_ns", ["t", "ns"])]
)
def test_names_are_split_into_words(name: str, parts: list[str]) -> None:
    """The word tests see the words inside a name, however it is written."""
    assert parts == parts_of(name)
