"""Reference pages are made from the code and are current; everything a user meets stands in them."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from tree import ROOT, listed

sys.path.insert(0, str(ROOT / "tools"))

import reference

from trilat import errors
from trilat.cli import COMMANDS, main
from trilat.node import health, settings
from trilat.records import codec


def page(name: str) -> str:
    """Return a page as it stands in the tree, empty when it is missing."""
    path = Path(reference.REFERENCE / name)
    return path.read_text("utf-8") if path.exists() else ""


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_is_current(name: str) -> None:
    """A reference page in the tree is what the code says now."""
    made, stands = reference.PAGES[name]().splitlines(), page(name).splitlines()
    lags = [f"{line[:120]}" for line in made if line not in set(stands)][:3] or (["lines are gone"] if made != stands else [])
    assert [] == lags, f"docs/reference/{name} lags behind the code: run `make reference`{listed(lags)}"


def test_every_command_is_documented() -> None:
    """Every command and every command of a group has its section."""
    text = page("commands.md")
    assert [] == [path for path, _ in reference.walk(main, "trilat") if path != "trilat" and f"## {path}\n" not in text]
    assert [] == [name for name, entry in COMMANDS.items() if not entry.help.endswith(".")]


def test_every_setting_is_documented() -> None:
    """Every setting says what it is, in a comment behind it."""
    bad = [
        f"{kind.__name__}.{name}: add `  # what it is` behind it"
        for _, kind in reference.sections(settings.NodeConfig, "")
        for name in kind.__struct_fields__
        if not reference.says_of(kind).get(name)
    ]
    assert [] == bad, listed(bad)


def test_every_metric_is_documented() -> None:
    """Every metric says what it is."""
    text = page("metrics.md")
    assert [] == [name for name, metric in health.METRICS.items() if f"`{name}`" not in text or not metric.says]


def test_every_record_is_documented() -> None:
    """Every record and each of its fields stands in the page of records."""
    text = page("records.md")
    bad = [
        f"{kind.__name__}.{field.name}"
        for kind in codec.RECORDS
        for field in msgspec.structs.fields(kind)
        if f"## {kind.__name__}\n" not in text or f"`{field.name}`" not in text
    ]
    assert [] == bad, listed(bad)


def test_every_error_is_documented() -> None:
    """Every error and refusal code stands in the page of errors."""
    text = page("errors.md")
    assert [] == [code for code in errors.codes() if code not in text]
