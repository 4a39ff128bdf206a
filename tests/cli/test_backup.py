"""`trilat backup` and `trilat restore`: a copy of a running store goes on in a new epoch, and nothing is held twice."""

import sys
from pathlib import Path

from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "exchange"))
from exchange_pair import Joined, tracks
from exchange_records import EXERCISE

from trilat.cli.audit import command as audit
from trilat.cli.backup import command as backup
from trilat.cli.restore import command as restore
from trilat.store.sqlite import FILE_NAME


def test_a_restored_store_goes_on_in_a_new_epoch(tmp_path: Path) -> None:
    """A backup made while the node ran, restored later, is sound, opens new epochs, and loses and doubles nothing at the partner."""
    pair = Joined(tmp_path).run()
    first = tracks(pair, 4)
    pair.exchanges["JPN"].offer(pair.now_ns, first)
    pair.run(60)
    running = tmp_path / "running"
    running.mkdir()
    (running / FILE_NAME).symlink_to(tmp_path / "JPN.sqlite")
    copied = CliRunner().invoke(backup, [str(running), str(tmp_path / "backup")])
    assert 0 == copied.exit_code, copied.output
    more = tracks(pair, 3, first=4)
    pair.exchanges["JPN"].offer(pair.now_ns, more)
    pair.run(60)
    pair.stop("JPN")
    restored = CliRunner().invoke(restore, [str(tmp_path / "backup"), str(tmp_path / "new")])
    assert 0 == restored.exit_code, restored.output
    assert 0 == CliRunner().invoke(audit, ["verify", str(tmp_path / "new")]).exit_code
    for path in tmp_path.glob("JPN.sqlite*"):
        path.unlink()
    (tmp_path / "new" / FILE_NAME).rename(tmp_path / "JPN.sqlite")
    pair.start("JPN")
    last = tracks(pair, 2, first=7)
    pair.exchanges["JPN"].offer(pair.now_ns, [*more[:1], *last])
    pair.run(120)
    assert [item.record for item in (*first, *more, *last)] == pair.raws("KOR", "history")
    assert 2 == pair.link("JPN", "KOR", "history", "out").cursor.epoch
    assert EXERCISE == pair.mode
    pair.close()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Neither a backup nor a restore writes over a file that is there."""
    pair = Joined(tmp_path)
    pair.close()
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "JPN.sqlite").rename(store / FILE_NAME)
    (tmp_path / "there").write_text("x")
    assert 2 == CliRunner().invoke(backup, [str(store), str(tmp_path / "there")]).exit_code
    assert 2 == CliRunner().invoke(restore, [str(tmp_path / "there"), str(store)]).exit_code
