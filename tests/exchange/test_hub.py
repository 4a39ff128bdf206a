"""Through a hub: what JPN and KOR exchange through USA alone, which can not read, widen, re-address or repeat it, and whose silence shows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from exchange_pair import SETTINGS, Joined
from exchange_records import MS, SECOND, T0_NS, released, ring_of, signing_key, track_of, warning_of

from trilat.errors import ExchangeError
from trilat.identity.box import PADDED_BYTES, open_box, seal_box
from trilat.identity.sign import Rejected
from trilat.ledger.holdings import Ledger
from trilat.records import codec
from trilat.records.carried import Carried, Letter, Route
from trilat.transport import carried as letters

NATIONS = ("JPN", "KOR", "USA")
ENDS_NS = T0_NS + 10_000 * SECOND
ROUTE = Route(origin="JPN", to="KOR", via="USA", agreement="trilateral/1", not_before_ns=0, expires_ns=ENDS_NS)
CANARY = "CANARY-5b1f77e0"
FAST = msgspec.structs.replace(SETTINGS, hub_wait_ms=300, hub_slack_ms=200)


@pytest.fixture(params=[True], ids=["memory"])
def three(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Joined]:
    """JPN, KOR and USA, each joined to each, with a route from JPN to KOR through USA."""
    joined = Joined(tmp_path, NATIONS, FAST, routes=(ROUTE,), memory=request.param)
    yield joined.run()
    joined.close()


def offer(three: Joined, numbers: range, lane: str = "state") -> None:
    """Let JPN release tracks to KOR through USA."""
    given = [released(track_of(n, rel_to=("KOR",), t_ns=three.now_ns), "KOR", lane, three.now_ns, via="USA") for n in numbers]
    three.exchanges["JPN"].offer(three.now_ns, given)


def got(three: Joined, nation: str = "KOR") -> list[tuple[str, int]]:
    """Return from whom and which track numbers a nation received, in order."""
    return [(one.exporter, codec.decode(one.raw).number) for one in three.received[nation] if one.lane != "flash"]


def refusals(three: Joined, nation: str) -> set[tuple[str, str]]:
    return set(three.exchanges[nation].station.tally.refused)


def on_the_way(three: Joined, change: Callable[[Carried], list[Carried]]) -> None:
    """Let USA, as a hub that does not keep its word, give on something else than the letters it got for KOR."""
    usa = three.exchanges["USA"]
    honest = type(usa)._queue_letter.__get__(usa)

    def queue(now_ns: int, to: str, lane: str, raw: bytes, expires_ns: int, why: str) -> None:
        carried = codec.decode(raw)
        if to != "KOR" or carried.sender != "JPN":
            honest(now_ns, to, lane, raw, expires_ns, why)
            return
        for one in change(carried):
            honest(now_ns, to, lane, codec.encode(one), expires_ns, why)

    usa._queue_letter = queue


def test_records_go_through_the_hub_once_in_order_and_are_receipted(three: Joined) -> None:
    """Tracks and a warning reach KOR as JPN's own, numbered by JPN; KOR's signed receipt comes back; USA takes in none of it."""
    for n in range(5):
        offer(three, range(2 * n, 2 * n + 2))
        three.run(2)
    three.exchanges["JPN"].offer(three.now_ns, [released(warning_of("JPN-W1"), "KOR", "flash", three.now_ns, via="USA")])
    three.run(6)
    assert got(three) == [("JPN", n) for n in range(10)]
    assert [codec.decode(raw).id for raw in three.raws("KOR", "flash")] == ["JPN-W1"]
    assert three.received["USA"] == []
    for lane, last in (("state", 10), ("flash", 1)):
        out, inward = three.link("JPN", "KOR/USA", lane, "out"), three.link("KOR", "JPN/USA", lane, "in")
        assert (out.receipt.sequence, out.lag_records, inward.cursor) == (last, 0, out.receipt)
        assert (out.health, inward.health) == ("up", "up")
    assert three.link("JPN", "KOR", "state", "out").cursor.sequence == 0


def test_flash_passes_the_hub_without_waiting_for_a_tick(three: Joined) -> None:
    """A warning is at KOR before the state lane's next tick, although it is carried by two links."""
    three.run(2)
    three.exchanges["JPN"].offer(three.now_ns, [released(warning_of("JPN-W1"), "KOR", "flash", three.now_ns, via="USA")])
    for _ in range(10):
        for nation in NATIONS:
            three.flush(nation)
    assert [codec.decode(raw).id for raw in three.raws("KOR", "flash")] == ["JPN-W1"]


def everything_at(three: Joined, nation: str) -> bytes:
    """Return every byte a nation's store holds, and every envelope that came to it or left it."""
    store = three.exchanges[nation].station.store
    store.commit()
    tables = [row[0] for row in store.database.rows("SELECT name FROM sqlite_master WHERE type='table'")]
    rows = [repr(row) for table in tables for row in store.database.rows(f"SELECT * FROM {table}")]  # noqa: S608
    wire = [msgspec.msgpack.encode(e) for who, pull, e in three.replies if nation in (who, pull.partner)]
    return "".join(rows).encode() + b"".join(wire)


def test_the_hub_can_not_read(three: Joined) -> None:
    """Nothing that a warning says is anywhere in USA's store or on a wire of USA's; its own key opens no box; sizes are padded."""
    warning = warning_of("JPN-W1", rel_to=("KOR",), text=CANARY)
    three.exchanges["JPN"].offer(three.now_ns, [released(warning, "KOR", "flash", three.now_ns, via="USA")])
    boxes: list[Carried] = []
    on_the_way(three, lambda carried: boxes.append(carried) or [carried])
    three.run(6)
    assert CANARY in three.raws("KOR", "flash")[0].decode("latin-1")
    assert CANARY.encode() not in everything_at(three, "USA")
    assert CANARY.encode() in everything_at(three, "KOR")  # so that the search is seen to find it
    assert boxes
    for one in boxes:
        assert (len(one.box) - 48) % PADDED_BYTES == 0
        with pytest.raises(Rejected) as refusal:
            open_box(one.box, signing_key("USA"))
        assert refusal.value.name == "box-unreadable"


def test_the_box_is_libsodiums_own() -> None:
    """A box opens with the addressee's key alone, is the same for the same inputs, and shares its key with no other content."""
    jpn, kor = signing_key("JPN"), signing_key("KOR")
    one = seal_box(b"content", jpn, kor.verify_key.public, b"place 1")
    assert open_box(one, kor) == b"content"
    assert one == seal_box(b"content", jpn, kor.verify_key.public, b"place 1")
    others = [
        seal_box(b"other", jpn, kor.verify_key.public, b"place 1"),
        seal_box(b"content", jpn, kor.verify_key.public, b"place 2"),
        seal_box(b"content", signing_key("USA"), kor.verify_key.public, b"place 1"),
        seal_box(b"content", jpn, signing_key("USA").verify_key.public, b"place 1"),
    ]
    assert len({box[:32] for box in (one, *others)}) == 5
    for k in range(0, len(one), 37):
        with pytest.raises(Rejected):
            open_box(one[:k] + bytes([one[k] ^ 1]) + one[k + 1 :], kor)


def relabelled(carried: Carried) -> Carried:
    return msgspec.structs.replace(carried, label=letters.leg_label("USA", "KOR", carried.label.mode))


def resigned(carried: Carried, **changes: object) -> Carried:
    """Return a letter whose signed part the hub changed and signed itself."""
    letter = msgspec.structs.replace(msgspec.msgpack.decode(carried.letter, type=Letter), **changes)
    body = codec.encode(letter)
    sender = changes.get("sender", carried.sender)
    return msgspec.structs.replace(
        carried, sender=sender, letter=body, signature=signing_key("USA").sign(letters.LETTER_KIND, body)
    )


def boxed_anew(carried: Carried) -> Carried:
    """Return the letter with a box of the hub's own making."""
    box = seal_box(b"\x92\x00\xc4\x01x", signing_key("USA"), signing_key("KOR").verify_key.public, b"")
    return msgspec.structs.replace(carried, box=box)


USA_ID = signing_key("USA").key_id
ATTACKS = {
    "a bit of the box flipped": (
        lambda c: msgspec.structs.replace(c, box=c.box[:-1] + bytes([c.box[-1] ^ 1])),
        "letter-wrong",
    ),
    "another box in a true letter": (boxed_anew, "letter-wrong"),
    "the letter signed by the hub": (resigned, "signature-wrong"),
    "the letter signed by the hub in its own name": (lambda c: resigned(c, sender="USA", key_id=USA_ID), "letter-route"),
    "a later end": (lambda c: resigned(c, expires_ns=c.t_ns + 10**15), "signature-wrong"),
    "the outside says another sender": (lambda c: msgspec.structs.replace(c, sender="USA"), "letter-wrong"),
    "the outside says another time": (lambda c: msgspec.structs.replace(c, t_ns=c.t_ns + 1), "letter-wrong"),
    "the signature cut": (lambda c: msgspec.structs.replace(c, signature=b""), "signature-missing"),
    "no text": (lambda c: msgspec.structs.replace(c, letter=c.letter.replace(b"JPN", b"J\xffN", 1)), "letter-wrong"),
    "no letter at all": (lambda c: msgspec.structs.replace(c, letter=b"\x80"), "letter-wrong"),
}


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_the_hub_can_not_change(three: Joined, attack: str) -> None:
    """Whatever USA changes of a letter, KOR refuses it by name and takes nothing of it; what was in it comes when USA is honest again."""
    change, reason = ATTACKS[attack]
    on_the_way(three, lambda carried: [change(carried)])
    offer(three, range(3))
    three.run(8)
    assert got(three) == []
    assert ("USA", reason) in refusals(three, "KOR")
    on_the_way(three, lambda carried: [carried])
    three.run(40)
    assert got(three) == [("JPN", n) for n in range(3)]


def test_the_hub_can_not_repeat_or_reorder(three: Joined) -> None:
    """Letters given on twice, late or in another order bring each record once, in JPN's order; the copies are refused and counted."""
    kept: list[Carried] = []

    def shuffled(carried: Carried) -> list[Carried]:
        kept.append(carried)
        return [*reversed(kept[-4:]), carried]

    on_the_way(three, shuffled)
    for n in range(6):
        offer(three, range(n, n + 1))
        three.run(3)
    three.run(40)
    assert got(three) == [("JPN", n) for n in range(6)]
    assert ("JPN/USA", "replayed") in refusals(three, "KOR")


def test_a_recorded_pull_of_the_addressee_moves_nothing(three: Joined) -> None:
    """USA gives JPN every letter of KOR's twice: the second pull is refused by its counter, and no record leaves again for it."""
    usa = three.exchanges["USA"]
    honest = usa._queue_letter

    def twice(*args: object) -> None:
        honest(*args)
        honest(*args)

    usa._queue_letter = twice
    offer(three, range(4))
    three.run(30)
    assert got(three) == [("JPN", n) for n in range(4)]
    assert ("KOR/USA", "replayed") in refusals(three, "JPN")


def test_what_the_hub_drops_is_missed_and_comes_again(three: Joined) -> None:
    """A letter that USA drops leaves a gap that KOR sees; JPN sees the missing receipt; both are level again by themselves."""
    dropped: list[Carried] = []

    def dropping(carried: Carried) -> list[Carried]:
        if len(dropped) < 3:
            dropped.append(carried)
            return []
        return [carried]

    on_the_way(three, dropping)
    offer(three, range(5))
    three.run(4)
    assert got(three) == []
    assert three.link("JPN", "KOR/USA", "state", "out").lag_records == 5
    three.run(40)
    assert len(dropped) == 3
    assert got(three) == [("JPN", n) for n in range(5)]
    assert three.link("JPN", "KOR/USA", "state", "out").lag_records == 0


def test_a_hub_that_is_silent_shows_as_down_on_both_sides(three: Joined) -> None:
    """While USA gives nothing on, both ends show the stream through it as late, then down, while their own link stays up."""
    usa = three.exchanges["USA"]
    usa._queue_letter = lambda *_: None
    offer(three, range(2))
    three.run(20 * 11)
    for nation, partner in (("JPN", "KOR/USA"), ("KOR", "JPN/USA")):
        assert three.link(nation, partner, "state", "in").health == "down"
        assert three.link(nation, partner.split("/")[0], "state", "in").health == "up"
    assert three.link("JPN", "KOR/USA", "state", "out").lag_records == 2


def test_a_letter_for_one_is_nothing_to_another(tmp_path: Path) -> None:
    """Given to a fourth nation, KOR's letter is refused there: it is not the addressee, and the box is not for its key."""
    joined = Joined(tmp_path, (*NATIONS, "AUS"), FAST, routes=(ROUTE,))
    for nation in joined.nations:  # every ring pins all four
        joined.exchanges[nation].station.ring = ring_of(nation, nations=joined.nations)
    joined.run()
    stray: list[Carried] = []
    on_the_way(joined, lambda carried: stray.append(carried) or [carried])
    offer(joined, range(2))
    joined.run(6)
    usa = joined.exchanges["USA"]
    stray = [one for one in stray if msgspec.msgpack.decode(one.letter, type=Letter).lane == "state"]
    to_aus = msgspec.structs.replace(stray[-1], label=letters.leg_label("USA", "AUS", joined.mode))
    usa._queue_letter(joined.now_ns, "AUS", "state", codec.encode(to_aus), joined.now_ns + SECOND, "astray")
    readdressed = msgspec.structs.replace(to_aus, addressee="AUS")
    usa._queue_letter(joined.now_ns, "AUS", "state", codec.encode(readdressed), joined.now_ns + SECOND, "astray")
    joined.run(4)
    assert got(joined, "AUS") == []
    assert {("USA", "letter-route"), ("USA", "letter-wrong")} <= refusals(joined, "AUS")
    with pytest.raises(Rejected):
        open_box(stray[-1].box, signing_key("AUS"))
    joined.close()


def test_no_route_no_letter(three: Joined) -> None:
    """What names a hub that no agreement names is not taken; a hub without such an agreement gives nothing on, and says why."""
    with pytest.raises(ExchangeError) as refusal:
        three.exchanges["JPN"].offer(three.now_ns, [released(track_of(1), "USA", "state", three.now_ns, via="KOR")])
    assert refusal.value.name == "audience-unknown"
    three.exchanges["USA"].routes = ()
    offer(three, range(2))
    three.run(30)
    assert got(three) == []
    assert {("JPN", "letter-route"), ("KOR", "letter-route")} <= refusals(three, "USA")


def test_an_ended_agreement_ends_the_route(three: Joined) -> None:
    """From the end of the agreement on USA gives on nothing, and KOR would take nothing either."""
    three.now_ns = ENDS_NS
    offer(three, range(2))
    three.run(30)
    assert got(three) == []
    assert ("JPN", "letter-route") in refusals(three, "USA")


def test_a_late_letter_goes_no_further(three: Joined) -> None:
    """A letter that reaches the hub after its end is refused there; its content comes by a newer one."""
    held: list[object] = []
    usa = three.exchanges["USA"]
    honest = usa._take_letter
    usa._take_letter = lambda _, item: held.append(item)
    offer(three, range(2))
    three.run(4)
    usa._take_letter = honest
    late_ns = three.now_ns + letters.LETTER_NS + SECOND
    with pytest.raises(Rejected) as refusal:
        usa._take_letter(late_ns, held[0])
    assert refusal.value.name == "letter-late"
    three.run(40)
    assert got(three) == [("JPN", n) for n in range(2)]


def test_a_revoked_addressee_gets_nothing_more(three: Joined) -> None:
    """When JPN stops serving KOR, its letters that still wait for USA are taken back, and none is written any more."""
    three.run(10)
    jpn = three.exchanges["JPN"]
    offer(three, range(2))
    three.now_ns += 50 * MS
    jpn.tick(three.now_ns)
    jpn.flush(three.now_ns)
    jpn.stop_serving("KOR")
    left = jpn.station.store.outbox.queued("USA", "state", 1 << 40, 1000)
    assert [row for row in left if codec.decode(row.record).addressee == "KOR"] == []
    three.run(40)
    assert got(three) == []


@pytest.mark.parametrize("three", [False], ids=["disk"], indirect=True)
@pytest.mark.parametrize("nation", NATIONS)
def test_a_restart_of_any_of_the_three_loses_and_doubles_nothing(three: Joined, nation: str) -> None:
    """JPN, KOR or USA is stopped without a word, again and again, while JPN releases: every record arrives once, in order."""
    for n in range(12):
        if n % 3 == 1:
            three.stop(nation)
            three.run(2)
            three.start(nation)
        offer(three, range(n, n + 1))
        three.run(2)
    three.run(40)
    places = {(one.epoch, one.sequence): codec.decode(one.raw).number for one in three.received["KOR"]}
    assert [number for _, number in sorted(places.items())] == list(range(12))
    if nation != "KOR":  # KOR gives its node again what was not known to be taken over when it stopped
        assert got(three) == [("JPN", n) for n in range(12)]


def test_a_receipt_of_the_wrong_nation_moves_nothing(three: Joined) -> None:
    """A pull that says it is KOR's and is signed by USA, or is USA's for KOR's stream, is refused by name, audited, and no receipt."""
    offer(three, range(3))
    three.run(1)
    jpn = three.exchanges["JPN"]
    before = three.link("JPN", "KOR/USA", "state", "out").receipt
    pull = next(one for one in three.requests if (one.sender, one.audience, one.lane) == ("KOR", "JPN", "state"))
    by_usa = signing_key("USA").sign(pull.kind, pull.body)
    for forged in (
        msgspec.structs.replace(pull, signature=by_usa),
        msgspec.structs.replace(pull, sender="USA", key_id=USA_ID, signature=by_usa),
    ):
        jpn.handle(three.now_ns, forged, ticket=1)
    assert {("KOR", "signature-wrong"), ("USA", "envelope-mismatch")} <= refusals(three, "JPN")
    assert three.link("JPN", "KOR/USA", "state", "out").receipt == before
    jpn.tick(three.now_ns + 61 * SECOND)
    jpn.flush(three.now_ns + 61 * SECOND, force=True)
    told = [row[0] for row in jpn.station.store.database.rows("SELECT data FROM log WHERE kind='rejected'")]
    assert any(msgspec.msgpack.decode(data)["reason"] == "signature-wrong" for data in told)


def test_rows_of_letters_alone_are_settled(three: Joined) -> None:
    """At a hub whose partners send nothing but letters, no row waits for the node for ever: a restart reads none of them again."""
    offer(three, range(3))
    three.run(10)
    three.exchanges["USA"].flush(three.now_ns, force=True)
    assert list(three.exchanges["USA"].station.store.inbox.unhanded()) == []


def test_the_ledger_names_the_way(three: Joined) -> None:
    """JPN's ledger says that KOR holds the tracks, through USA; USA's and JPN's say who was given sealed letters; nothing is unsound."""
    offer(three, range(3))
    three.run(10)
    ledgers = {}
    for nation in NATIONS:
        three.exchanges[nation].station.store.commit()
        ledgers[nation] = Ledger(three.exchanges[nation].station.store.database)
        assert list(ledgers[nation].faults(nation, three.mode)) == []
    held = ledgers["JPN"].held_by("KOR")
    assert [(one.subject, one.via, one.held) for one in held if one.record_type == "trilat.track/1"] == [
        (f"JPN/air/{n}", "USA", "receipted") for n in range(3)
    ]
    assert {(one.subject, one.via) for one in ledgers["JPN"].held_by("USA")} == {("JPN to KOR", "")}
    given_on = ledgers["USA"].held_by("KOR")
    assert {(one.subject, one.record_type, one.reason) for one in given_on} == {
        ("JPN to KOR", "trilat.carried/1", "trilateral/1"),
    }
    assert ledgers["JPN"].audiences() == ("KOR", "USA")
