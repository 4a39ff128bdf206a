"""`trilat ledger`: of an audience that nobody can be, it is not said that it holds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from exchange_pair import Joined, tracks

from trilat.cli import main
from trilat.store.sqlite import FILE_NAME


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """JPN's store after KOR got three tracks."""
    pair = Joined(tmp_path)
    pair.exchanges["JPN"].offer(pair.now_ns, tracks(pair, 3))
    pair.run(60)
    pair.close()
    (tmp_path / "JPN.sqlite").rename(tmp_path / FILE_NAME)
    return tmp_path


@pytest.mark.parametrize("name", ["kor", " KOR", "KORR", "\uff2bOR", "*"])
def test_a_mistyped_audience_is_refused(store: Path, name: str) -> None:
    """A lower-case, padded or twin trigraph is a usage error (2) that says what a name is, for every question that takes one."""
    for question in (["held", str(store), "--by", name], ["released", str(store), "--to", name]):
        told = CliRunner().invoke(main, ["ledger", *question])
        assert (2, True) == (told.exit_code, "is no audience: three upper-case letters, or PUBLIC" in told.stderr), told.output


def test_an_audience_that_holds_nothing_is_told_so(store: Path) -> None:
    """KOR holds what it got, and PUBLIC, which got nothing, nothing."""
    held = {name: CliRunner().invoke(main, ["ledger", "held", str(store), "--by", name]) for name in ("KOR", "PUBLIC")}
    assert {"KOR": "KOR holds 3 records\n", "PUBLIC": "PUBLIC holds 0 records\n"} == {n: one.stderr for n, one in held.items()}
    assert 3 == len(held["KOR"].stdout.splitlines())
