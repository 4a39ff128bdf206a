"""The page's build: done when a source is newer, left out when asked, never done twice."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tree import ROOT

sys.path.insert(0, str(ROOT))

import hatch_build

SECOND_NS = 1_000_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a tree with a page's sources and, older than nothing, a page built from them."""
    page, static = tmp_path / hatch_build.PAGE, tmp_path / hatch_build.STATIC
    for folder in (page / "src", page / "node_modules" / "x", static):
        folder.mkdir(parents=True)
    for file in ("package.json", "package-lock.json", "src/main.ts", "node_modules/x/index.js"):
        (page / file).touch()
    (static / "index.html").write_text("<html></html>", "utf-8")
    age(static / "index.html", +1)
    return tmp_path


def age(path: Path, seconds: int) -> None:
    """Make a file newer (or older) than it is."""
    t_ns = path.stat().st_mtime_ns + seconds * SECOND_NS
    os.utime(path, ns=(t_ns, t_ns))


def test_a_page_newer_than_its_sources_is_left_alone(tree: Path) -> None:
    """Nothing is built when no source is newer: hatchling calls the hook twice."""
    assert hatch_build.build_page(tree) == "page: up to date"


def test_a_newer_source_makes_it_stale(tree: Path) -> None:
    """A source that is newer than the page makes it stale."""
    age(tree / hatch_build.PAGE / "src" / "main.ts", +10)
    assert hatch_build.is_stale(tree / hatch_build.PAGE, tree / hatch_build.STATIC)


def test_what_npm_installed_is_no_source(tree: Path) -> None:
    """A newer file below node_modules does not make the page stale."""
    age(tree / hatch_build.PAGE / "node_modules" / "x" / "index.js", +10)
    assert not hatch_build.is_stale(tree / hatch_build.PAGE, tree / hatch_build.STATIC)


def test_it_can_be_left_out(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRILAT_SKIP_WEB=1 leaves the page out, and says so."""
    monkeypatch.setenv(hatch_build.SKIP, "1")
    age(tree / hatch_build.PAGE / "src" / "main.ts", +10)
    assert hatch_build.build_page(tree) == "page: left out (TRILAT_SKIP_WEB=1)"


def test_a_source_archive_ships_it_built(tree: Path) -> None:
    """A tree without the page's sources but with the built page uses that."""
    (tree / hatch_build.PAGE / "package.json").unlink()
    assert hatch_build.build_page(tree) == "page: as shipped (this tree has no sources of it)"


def test_a_failing_build_shows_what_npm_said(tree: Path) -> None:
    """A build that fails raises with npm's own words, and leaves the old page where it is."""
    page = tree / hatch_build.PAGE
    (page / "package.json").write_text('{"name": "x", "scripts": {"build": "node -e \\"throw new Error(42)\\""}}', "utf-8")
    (page / "node_modules" / ".package-lock.json").touch()
    age(page / "node_modules" / ".package-lock.json", +5)
    age(page / "src" / "main.ts", +10)
    with pytest.raises(hatch_build.PageError, match="Error: 42"):
        hatch_build.build_page(tree)
    assert (tree / hatch_build.STATIC / "index.html").exists()
