"""`trilat links`: what operators read of a running node's links, on wide and narrow terminals and as JSON."""

from __future__ import annotations

import msgspec
import pytest
from click.testing import CliRunner
from msgspec import structs

from trilat.cli import links as command
from trilat.node import links
from trilat.node.health import Health
from trilat.records.exchange import Cursor, LinkState

NOW_NS = 1_790_000_000 * 10**9
S = 10**9
UP = LinkState(
    partner="KOR",
    lane="state",
    direction="out",
    health="up",
    age_ns=S // 2,
    lag_records=3,
    lag_ns=S,
    cursor=Cursor(2, 1_234, b"\xab" * 32),
    receipt=Cursor(2, 1_231, b"\xcd" * 32),
    receipt_t_ns=NOW_NS - 4 * S,
    rejected={"replayed": 2},
    forks=0,
    lost=0,
    superseded=7,
)
REFUSED = structs.replace(UP, lane="history", health="refused", trouble="lane-mixed")
DOWN = structs.replace(UP, lane="flash", direction="in", health="down", age_ns=700 * S, rejected={})


class Line:
    """A connection that is down."""

    partner, lane, direction, fault = "KOR", "flash", "import", "TRI-0472 The partner refused.\n  What to do: Call them."


def test_a_report_says_what_is_wrong_and_what_to_do() -> None:
    """Each lane tells its state and figures; one that is down tells the connection's fault, one refused tells the reason."""
    up, refused, down = links.report(NOW_NS, [UP, REFUSED, DOWN], [Line()], {("KOR", "nats-bad-reply"): 1, ("USA", "x"): 9})
    assert ("", "") == (up.why, up.do)
    assert (0.5, 3, 1.0, 4.0, 2, 1_234, "ab" * 8) == (
        up.age_s,
        up.lag_records,
        up.lag_s,
        up.receipt_age_s,
        up.epoch,
        up.sequence,
        up.head,
    )
    assert {"replayed": 2, "nats-bad-reply": 1} == up.rejected
    assert {"superseded": 7} == up.dropped
    assert refused.why.startswith("TRI-0")
    assert "lane-mixed" in refused.why
    assert refused.do
    assert ("TRI-0472 The partner refused.", "Call them.") == (down.why, down.do)


def test_a_lane_that_lags_while_it_is_up_is_told() -> None:
    """Records that wait for more than a minute are a reason to look even though the partner is heard."""
    (late,) = links.report(NOW_NS, [structs.replace(UP, lag_ns=90 * S)])
    assert "3 records wait, the oldest for 90 s" == late.why


def test_a_lane_that_cannot_be_read_says_so_before_all_else() -> None:
    """Of a lane that our own disk stopped the line's faults are no reason: what is wrong, and what to do, are the disk's."""
    stopped = structs.replace(DOWN, trouble="lane-unreadable")
    for way in ("in", "out"):
        (link,) = links.report(NOW_NS, [structs.replace(stopped, direction=way)], [Line()])
        assert "lane-unreadable" in link.why
        assert "trilat audit verify" in link.do


def test_every_state_of_a_lane_has_something_to_do() -> None:
    """Whatever is not up says why and what to do, also without a fault of the connection."""
    states = ("late", "down", "never", "refused")
    reports = links.report(NOW_NS, [structs.replace(UP, health=state) for state in states])
    assert [] == [one.state for one in reports if not (one.why and one.do)]


def test_the_log_says_each_change_once() -> None:
    """A lane is news when its state changes, not while it stays; one that comes up is news too."""
    watch = links.Watch()
    reports = [links.report(NOW_NS, [structs.replace(UP, health=state)]) for state in ("never", "up", "up", "down", "down", "up")]
    assert [[], ["never"], [], ["up"], [], ["down"]] == [[change.before for change in watch.changes(one)] for one in reports]


def test_a_queue_at_its_bound_is_said() -> None:
    """While a lane that does not go drops what waits, its report says so and names the bound; the log says when it begins, once."""
    (down,) = links.report(NOW_NS, [structs.replace(UP, health="down", shed=12)])
    assert ("outbox-full" in down.why, "outbox_bytes_max" in down.do, down.dropped["shed"]) == (True, True, 12)
    (level,) = links.report(NOW_NS, [structs.replace(UP, shed=12)])
    assert ("", "") == (level.why, level.do)
    watch = links.Watch()
    seen = [links.report(NOW_NS, [structs.replace(UP, shed=shed)]) for shed in (5, 5, 9, 30, 30, 31)]
    told = [[change.link.why for change in watch.changes(one)] for one in seen]
    assert [bool(one and "outbox-full" in one[0]) for one in told] == [False, False, True, False, False, True]


def test_every_figure_is_measured() -> None:
    """Both ways of a lane set every link metric that the reference names."""
    health = Health()
    links.measure(health, links.report(NOW_NS, [UP, DOWN]))
    assert [] == [name for name, held in health.values.items() if name.startswith("trilat_link") and not held]


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_printed_fits(narrow: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A wide terminal gets a table within 96 columns before the marks, a narrow one lines within 48; both tell why and what to do."""
    lines = command.shown(links.report(NOW_NS, [UP, DOWN], [Line()]), narrow=narrow)
    text = "\n".join(lines)
    assert "KOR rejected: replayed 2" in text
    assert "do: Call them." in text
    most = max(len(line) for line in lines if "KOR" in line and "rejected" not in line)
    assert most <= (48 if narrow else 110)


def test_no_receipt_yet_is_said_in_words() -> None:
    """A lane on which no receipt came, or nobody was heard, says so; it said "receipt - ago"."""
    fresh = structs.replace(UP, receipt_t_ns=0, age_ns=None)
    text = "\n".join(command.shown(links.report(NOW_NS, [fresh]), narrow=True))

    assert "receipt: not yet" in text
    assert "heard: not yet" in text
    assert "- ago" not in text


def test_a_node_that_is_not_there_is_an_error(tmp_path: pytest.TempPathFactory) -> None:
    """Nothing listens: the command says so with a remedy, and does not end well."""
    config = tmp_path / "node.toml"  # type: ignore[operator]
    config.write_text('nation = "JPN"\nmode = "exercise:X"\nname = "n"\ndirectory = "d"\nkeys = "k"\n[page]\nport = 9\n')
    result = CliRunner().invoke(command.command, [str(config)])
    assert result.exit_code != 0
    assert "node-silent" in repr(result.exception) or "does not answer" in result.output + str(result.exception)


def test_json_is_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """--json gives one report a line, which decodes to what the node said; a lane that is down makes the exit code 1."""
    reports = links.report(NOW_NS, [UP, DOWN])
    monkeypatch.setattr(command, "fetch", lambda _: reports)
    result = CliRunner().invoke(command.command, ["node.toml", "--json"])
    told = [msgspec.json.decode(line, type=links.LinkReport) for line in result.output.splitlines()]
    assert (1, reports) == (result.exit_code, told)
