"""PUBLIC pulls nothing and holds no key: what it may have is sealed and kept, and changes nothing for partners."""

from pathlib import Path

import msgspec
import pytest
from exchange_pair import Joined
from exchange_records import released, track_of, warning_of

from trilat.errors import ExchangeError
from trilat.ledger.holdings import Ledger


def offer(joined: Joined, audiences: tuple[str, ...], numbers: range) -> None:
    for number in numbers:
        record = track_of(number)
        record = msgspec.structs.replace(record, label=msgspec.structs.replace(record.label, rel_to=("KOR", "PUBLIC")))
        joined.exchanges["JPN"].offer(joined.now_ns, [released(record, one, "state") for one in audiences])
        joined.run(2)


def held(joined: Joined, audience: str) -> list[tuple[str, int, int, str, str]]:
    joined.exchanges["JPN"].station.store.commit()
    found = Ledger(joined.exchanges["JPN"].station.store.database).held_by(audience)
    return [(one.lane, one.epoch, one.sequence, one.subject, one.held) for one in found]


def test_what_is_public_is_sealed_at_once_and_stands_in_the_ledger(tmp_path: Path) -> None:
    """Each public record has a number, a batch and a line in the ledger; a restart goes on where it was; nobody receipts it."""
    joined = Joined(tmp_path, published=("PUBLIC",))
    offer(joined, ("PUBLIC",), range(1, 4))
    joined.exchanges["JPN"].offer(joined.now_ns, [released(warning_of("JPN-W1"), "PUBLIC", "flash")])
    joined.run(1)
    joined.stop("JPN")
    joined.start("JPN")
    offer(joined, ("PUBLIC",), range(4, 6))
    states = [("state", 1, n, f"JPN/air/{n}", "sent") for n in range(1, 6)]
    assert sorted(held(joined, "PUBLIC")) == [("flash", 1, 1, "JPN-W1", "sent"), *states]
    assert {link.partner for link in joined.exchanges["JPN"].links(joined.now_ns)} == {"KOR"}
    joined.close()


def test_public_load_changes_no_byte_of_a_partner(tmp_path: Path) -> None:
    """What KOR gets, number by number and bytes alike, is the same whether much, or nothing, goes to PUBLIC beside it."""
    got = []
    for name, audiences in (("with", ("PUBLIC", "KOR")), ("without", ("KOR",))):
        joined = Joined(tmp_path / name if (tmp_path / name).mkdir() is None else tmp_path, published=("PUBLIC",))
        offer(joined, audiences, range(1, 12))
        joined.run(10)
        got.append([msgspec.msgpack.encode(envelope) for who, _, envelope in joined.replies if who == "KOR"])
        joined.close()
    assert len(got[0]) > 5
    assert got[0] == got[1]


def test_an_audience_that_is_neither_partner_nor_published_is_refused(tmp_path: Path) -> None:
    """Without an agreement that speaks of PUBLIC nothing can be offered to it, and nothing of the offer is taken."""
    joined = Joined(tmp_path)
    with pytest.raises(ExchangeError) as refusal:
        offer(joined, ("PUBLIC", "KOR"), range(1, 2))
    assert refusal.value.name == "audience-unknown"
    assert held(joined, "KOR") == []
    joined.close()
