"""After a change of agreements, what was released is decided anew, and what would not leave today is listed by number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from exchange_pair import Joined
from exchange_records import EXERCISE, recall_of, released, track_of, warning_of
from policy_cases import NOW_NS, PINNED, PLACES, signed

import trilat
from trilat.ledger import redecide
from trilat.policy import signing
from trilat.policy.agreement import Agreements, load
from trilat.policy.labels import make
from trilat.records.report import Pedigree

SAMPLE = (Path(trilat.__file__).parent / "policy" / "agreements" / "trilateral.toml").read_bytes()


def agreements(change: tuple[bytes, bytes] = (b"", b"")) -> Agreements:
    body = signing.fill(SAMPLE, PLACES)
    if change[0]:
        assert change[0] in body
        body = body.replace(*change).replace(b"yields_to", b"# yields_to")
    else:
        body = body.replace(b"yields_to", b"# yields_to")
    return load([signed("trilateral.toml", body)], PINNED)


def label(topic: str, level: int = 1) -> object:
    return make(policy="TRILAT", originator="JPN", mode=EXERCISE, level=level, rel_to=("KOR",), topics=(topic,))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Joined]:
    joined = Joined(tmp_path)
    seen = Pedigree(nation="JPN", sensors=("JPN/ridge",))
    out = [
        released(msgspec.structs.replace(track_of(n), label=label("air" if n % 2 else "sea"), pedigree=seen), "KOR", "history")
        for n in range(20)
    ]
    out.append(released(msgspec.structs.replace(warning_of("JPN-W1"), label=label("missile-warning", 2)), "KOR", "flash"))
    joined.exchanges["JPN"].offer(joined.now_ns, out)
    joined.run(40)
    yield joined
    joined.close()


def judged(pair: Joined, held: Agreements) -> redecide.Redecision:
    database = pair.exchanges["JPN"].station.store.database
    recalled = redecide.recalled_in(database)
    return redecide.redecide(redecide.sent(database), held, "JPN", EXERCISE, NOW_NS, recalled=recalled)


def test_nothing_changes_while_the_agreement_stands(pair: Joined) -> None:
    """Under the agreement in force every released record could be released again, at one decision for each distinct label."""
    found = judged(pair, agreements())
    assert (21, 3, (), {"KOR": 21}) == tuple(found)
    assert {"KOR": (21, 0)} == found.by_audience()


def test_a_topic_taken_out_is_listed_by_number(pair: Joined) -> None:
    """When a flow no longer covers a topic, exactly the records on it are listed, with the reason."""
    found = judged(
        pair,
        agreements(
            (
                b'from = "JPN"\nto = "KOR"\ntopics = ["air", "sea", "missile-warning"]',
                b'from = "JPN"\nto = "KOR"\ntopics = ["air", "missile-warning"]',
            )
        ),
    )
    [one] = found.changed
    assert ("KOR", "history", 1, "trilat.track/1", "topic-not-agreed") == one[:5]
    assert tuple(range(1, 21, 2)) == one.sequences


def test_a_lower_ceiling_and_a_coarser_tier_are_listed(pair: Joined) -> None:
    """A warning above a lowered ceiling is listed, and so are tracks where the tier became an area."""
    lower = judged(
        pair,
        agreements(
            (
                b'nation = "KOR"\npolicy_key = "'
                + PLACES["KOR.policy-key"].encode()
                + b'"\nexchange_keys = ["'
                + PLACES["KOR.exchange-key"].encode()
                + b'"]\nca_sha256 = ["'
                + b"0" * 64
                + b'"]\nceiling = 2',
                b'nation = "KOR"\npolicy_key = "'
                + PLACES["KOR.policy-key"].encode()
                + b'"\nexchange_keys = ["'
                + PLACES["KOR.exchange-key"].encode()
                + b'"]\nca_sha256 = ["'
                + b"0" * 64
                + b'"]\nceiling = 1',
            )
        ),
    )
    assert [("flash", "level-above-ceiling", (1,))] == [(one.lane, one.reason, one.sequences) for one in lower.changed]
    coarser = judged(
        pair,
        agreements(
            (
                b'topics = ["air", "sea", "missile-warning"]\ntier = "track"',
                b'topics = ["air", "sea", "missile-warning"]\ntier = "area"',
            )
        ),
    )
    assert [("history", "release-tier", 20)] == [(one.lane, one.reason, len(one.sequences)) for one in coarser.changed]


def test_without_agreements_everything_is_listed_but_what_was_recalled(pair: Joined) -> None:
    """With no agreement left every record is listed, except the numbers that were recalled already."""
    pair.exchanges["JPN"].offer(
        pair.now_ns, [released(msgspec.structs.replace(recall_of("history", 1, (3, 4)), label=label("air")), "KOR", "flash")]
    )
    pair.run(40)
    found = judged(pair, Agreements())

    listed = [number for one in found.changed if one.lane == "history" for number in one.sequences]
    assert sorted(set(range(1, 21)) - {3, 4}) == sorted(listed)
    assert {"no-agreement"} == {one.reason for one in found.changed}
