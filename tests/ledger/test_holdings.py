"""The ledger equals what the outboxes hold, what the partners took over, and what they signed for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from exchange_pair import Joined, tracks
from exchange_records import EXERCISE, T0_NS, recall_of, released, track_of, warning_of

from trilat.cli.ledger import command
from trilat.ledger import holdings
from trilat.ledger.holdings import Ledger, subject_of, target_of
from trilat.records import codec
from trilat.records.carried import Carried
from trilat.records.report import Fix, Plot
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Acknowledgement, Retraction
from trilat.store.sqlite import FILE_NAME


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Joined]:
    joined = Joined(tmp_path)
    yield joined
    joined.close()


def ledger_of(pair: Joined, nation: str = "JPN") -> Ledger:
    pair.exchanges[nation].station.store.commit()
    return Ledger(pair.exchanges[nation].station.store.database)


def offer(pair: Joined, *what: object, ticks: int = 6) -> None:
    pair.exchanges["JPN"].offer(pair.now_ns, list(what))  # type: ignore[arg-type]
    pair.run(ticks)


def test_what_a_partner_holds_is_what_it_took_over(pair: Joined) -> None:
    """For each lane the ledger names exactly the records that came into the partner's inbox, all of them receipted."""
    offer(pair, *tracks(pair, 30), released(warning_of("JPN-W1"), "KOR", "flash"))
    pair.run(60)
    held = ledger_of(pair).held_by("KOR")

    assert sorted((one.lane, one.sequence) for one in held) == [("flash", 1), *(("history", n) for n in range(1, 31))]
    for lane in ("flash", "history"):
        expected = [hashlib.sha256(raw).hexdigest() for raw in pair.raws("KOR", lane)]
        assert expected == [one.record_sha256 for one in held if one.lane == lane]
    assert {"receipted"} == {one.held for one in held}
    assert {("permit", "rel-to")} == {(one.rule, one.reason) for one in held}


def test_who_holds_a_track_or_a_warning(tmp_path: Path) -> None:
    """A subject is found at every audience that got it and at no other."""
    joined = Joined(tmp_path, ("JPN", "KOR", "USA"))
    one = track_of(7)
    offer(joined, released(one, "KOR", "state"), released(one, "USA", "state"), released(warning_of("JPN-W1"), "USA", "flash"))
    joined.run(60)
    ledger = ledger_of(joined)

    assert ["KOR", "USA"] == [holding.audience for holding in ledger.holders("JPN/air/7")]
    assert ["USA"] == [holding.audience for holding in ledger.holders("JPN-W1")]
    assert [] == ledger.holders("JPN/air/8")
    joined.close()


@pytest.mark.parametrize("asked", ["KOR:7", "KOR T0007", "KOR's T7", "KOR #7"])
def test_a_track_is_found_by_the_number_that_a_partner_sees(tmp_path: Path, asked: str) -> None:
    """A partner's own number finds its newest track of that number, and what others hold on the same target, and nothing else."""
    joined = Joined(tmp_path, ("JPN", "KOR", "USA"))

    def track(number: int, stream: str, address: int | None) -> Track:
        return msgspec.structs.replace(track_of(number), stream=stream, address=address)

    mine, theirs = track(7, "JPN/track/2000", 0x86D620), track(31, "JPN/track/2000", 0x86D620)
    offer(joined, released(track(7, "JPN/track/1000", 0x111111), "KOR", "state"))
    joined.run(10)
    offer(joined, released(mine, "KOR", "state"), released(track(70, "JPN/track/2000", None), "KOR", "state"))
    offer(joined, released(theirs, "USA", "state"), released(track(7, "JPN/track/2000", 0x222222), "USA", "state"))
    joined.run(60)
    ledger = ledger_of(joined)

    expected = [("KOR", "JPN/track/2000/7"), ("USA", "JPN/track/2000/31")]
    assert expected == [(one.audience, one.subject) for one in ledger.holders(asked)]
    assert expected == [(one.audience, one.subject) for one in ledger.holders("address:86d620")]
    assert [("KOR", "JPN/track/2000/70")] == [(one.audience, one.subject) for one in ledger.holders("KOR:70")]
    assert [] == [*ledger.holders("KOR:31"), *ledger.holders("FRA:7"), *ledger.holders("KOR:")]
    joined.close()


def test_what_left_without_a_receipt_is_said_to_be_sent(pair: Joined) -> None:
    """While the partner is cut off, what left before counts as receipted, and what it never signed for as sent."""
    offer(pair, *tracks(pair, 5))
    pair.run(60)
    pair.tap = lambda *_: None
    offer(pair, *tracks(pair, 5, first=100))
    held = ledger_of(pair).held_by("KOR")

    assert {"receipted": 5, "sent": 5} == {word: sum(one.held == word for one in held) for word in ("receipted", "sent")}


def test_what_a_partner_held_as_of_a_time(pair: Joined) -> None:
    """Asked for a time in the past, the ledger knows nothing that was sealed later and no receipt that came later."""
    offer(pair, *tracks(pair, 5))
    pair.run(60)
    then_ns = pair.now_ns
    pair.tap = lambda *_: None
    offer(pair, *tracks(pair, 5, first=100))
    cut_ns = pair.now_ns
    pair.tap = lambda _nation, _pull, envelope: envelope
    pair.run(200)
    ledger = ledger_of(pair)

    assert [1, 2, 3, 4, 5] == [one.sequence for one in ledger.held_by("KOR", then_ns)]
    assert {"receipted": 5, "sent": 5} == {
        word: sum(one.held == word for one in ledger.held_by("KOR", cut_ns)) for word in ("receipted", "sent")
    }
    assert {"receipted"} == {one.held for one in ledger.held_by("KOR")}
    assert [] == ledger.held_by("KOR", T0_NS)


def test_recalled_records_are_no_longer_held(pair: Joined) -> None:
    """A recall takes its numbers out of what the partner is said to hold; the ledger still shows that they were recalled."""
    offer(pair, *tracks(pair, 3))
    pair.run(60)
    then_ns = pair.now_ns
    pair.run(1)
    offer(pair, released(recall_of("history", 1, (2,)), "KOR", "flash"))
    pair.run(60)
    ledger = ledger_of(pair)

    assert [1, 2, 3] == [one.sequence for one in ledger.held_by("KOR", then_ns) if one.lane == "history"]
    assert [1, 3] == [one.sequence for one in ledger.held_by("KOR") if one.lane == "history"]
    assert [2] == [one.sequence for one in ledger.holdings("KOR") if one.held == "recalled"]


def test_a_record_that_travelled_twice_is_held_once(tmp_path: Path) -> None:
    """After a new epoch moved unreceipted records, each is named once, and the count equals what the partner has."""
    pair = Joined(tmp_path)
    offer(pair, *tracks(pair, 4))
    pair.run(60)
    pair.tap = lambda *_: None
    offer(pair, *tracks(pair, 4, first=50))
    pair.tap = lambda _nation, _pull, envelope: envelope
    pair.stop("KOR")
    (tmp_path / "KOR.sqlite").unlink()
    for extra in tmp_path.glob("KOR.sqlite-*"):
        extra.unlink()
    pair.start("KOR")
    pair.run(400)
    held = ledger_of(pair).held_by("KOR")

    assert len({one.record_sha256 for one in held}) == len(held)
    assert {codec.decode(raw).number for raw in pair.raws("KOR", "history")} == {
        int(one.subject.rsplit("/", 1)[1]) for one in held
    }
    pair.close()


def test_newest_first_is_the_same_but_for_its_order(tmp_path: Path) -> None:
    """What an audience holds, read from the last sealed on, is the same records in the same state, also after a new epoch and a recall."""
    pair = Joined(tmp_path)
    for first in (1, 20, 40):
        offer(pair, *tracks(pair, 5, first=first), released(warning_of(f"JPN-W{first}"), "KOR", "flash"))
        pair.run(30)
    twice = track_of(77)
    for lane in ("history", "state"):
        offer(pair, released(twice, "KOR", lane))
        pair.run(30)
    number = pair.link("JPN", "KOR", "state", "out").cursor.sequence
    offer(
        pair,
        released(recall_of("history", 1, (2, 7)), "KOR", "flash"),
        released(recall_of("state", 1, (number,)), "KOR", "flash"),
    )
    pair.run(60)
    pair.stop("KOR")
    for file in tmp_path.glob("KOR.sqlite*"):
        file.unlink()
    pair.start("KOR")
    pair.run(400)
    ledger = ledger_of(pair)
    middle_ns = sorted(one.sealed_t_ns for one in ledger.held_by("KOR"))[6]
    for at_ns in (None, middle_ns):
        held, newest = ledger.held_by("KOR", at_ns), list(ledger.newest("KOR", at_ns))
        assert sorted(held) == sorted(newest)
        assert sorted((one.sealed_t_ns for one in newest), reverse=True) == [one.sealed_t_ns for one in newest]
    assert len(list(ledger.newest("KOR", middle_ns))) < len(list(ledger.newest("KOR")))
    pair.close()


def test_a_record_is_named_without_reading_it_whole_as_it_is_when_read_whole() -> None:
    """For every kind of record that leaves, the quick look gives the same subject and target."""
    track, warning = track_of(7), warning_of("JPN-W1")
    told = {"label": track.label, "pedigree": track.pedigree, "t_ns": track.t_ns}
    place = {"lat_deg": 30.0, "lon_deg": 130.0}
    three = {"address": 0x86D620, "mmsi": 431_000_123}
    cov, six = tuple(float(n) for n in range(21)), (0.0,) * 6
    kinds = [
        track,
        msgspec.structs.replace(track, address=0x86D620),
        msgspec.structs.replace(track, mmsi=431_000_123),
        Tracklet(
            stream="JPN/kor", number=3, sequence=9, t_from_ns=track.t_ns, model="cv", origin_ecef_m=(0.0, 0.0, 1.0),
            information_state=six, information=cov, address=1, **told,
        ),
        Area(stream="JPN/approved", number=2, radius_m=1_000.0, **place, **told),
        Plot(sensor="JPN/ridge", range_m=1_000.0, azimuth_rad=1.0, sigma_range_m=10.0, sigma_azimuth_rad=0.01, address=0xABCDEF, **told),
        Fix(sensor="JPN/ads-b", sigma_horizontal_m=3.0, **three, **place, **told),
        warning,
        Acknowledgement(
            warning_originator="KOR", warning_id="KOR-W1", warning_version=1, kind="seen", nation="JPN", station="s", by="ann",
            t_ns=track.t_ns, label=track.label,
        ),
        Retraction(warning_id="JPN-W1", warning_version=1, reason="threat-over", by="JPN", t_ns=track.t_ns, label=track.label),
        recall_of("history", 3, (2,)),
        Carried(label=track.label, t_ns=track.t_ns, sender="JPN", addressee="KOR", letter=b"l", signature=b"s", box=b"b"),
    ]  # fmt: skip
    for one in kinds:
        assert (subject_of(one), target_of(one)) == holdings._name(codec.encode(one)), one


def test_release_counts_by_rule_and_time(pair: Joined) -> None:
    """What was released in a time is counted by audience, type and rule, and outside that time there is nothing."""
    offer(pair, *tracks(pair, 6), *tracks(pair, 2, first=20, decision="usa-jpn/3", reason="permitted"))
    ledger = ledger_of(pair)

    counted = {(one.record_type, one.rule): one.records for one in ledger.released(0, pair.now_ns + 1)}
    assert {("trilat.track/1", "permit"): 6, ("trilat.track/1", "usa-jpn/3"): 2} == counted
    assert [] == ledger.released(pair.now_ns + 1)


def test_a_record_that_names_another_audience_is_found(pair: Joined) -> None:
    """A record whose own label does not name the outbox's audience is reported with its place; a sound outbox reports nothing."""
    offer(pair, released(track_of(1, rel_to=("KOR",)), "KOR", "history"))
    ledger = ledger_of(pair)
    assert [] == list(ledger.faults("JPN", EXERCISE))

    offer(pair, released(track_of(2, rel_to=("USA",)), "KOR", "history"))
    assert [("KOR history 1.2", "its label names USA")] == [tuple(fault) for fault in ledger_of(pair).faults("JPN", EXERCISE)]
    assert 2 == len(list(ledger_of(pair).faults("USA", EXERCISE)))


def test_commands_print_the_same(tmp_path: Path) -> None:
    """`trilat ledger` prints what the functions say, from the store's directory, and names an unreadable time."""
    pair = Joined(tmp_path)
    offer(pair, released(track_of(1, rel_to=("KOR",)), "KOR", "history"))
    pair.run(60)
    pair.close()
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "JPN.sqlite").rename(store / FILE_NAME)

    def run(*given: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(command, list(given))
        return done.exit_code, done.stdout, done.stderr

    code, out, err = run("held", str(store), "--by", "KOR")
    assert (0, "KOR holds 1 records\n") == (code, err)
    assert "receipted JPN/air/1  trilat.track/1  permit" in out
    assert run("holders", str(store), "JPN/air/1")[2].startswith("1 records on JPN/air/1")
    assert "        1  KOR    trilat.track/1" in run("released", str(store))[1]
    assert (0, "KOR holds 0 records\n") == (run("held", str(store), "--by", "KOR", "--at", "2020-01-01T00:00:00Z")[0::2])
    assert run("held", str(store), "--by", "KOR", "--at", "2020-01-01T00:00:00")[0] == 2
    assert 0 == run("check", str(store))[0]
