"""The vectors of docs/reference/exchange-vectors.json: the code makes exactly those bytes, takes each, and refuses each altered one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import exchange_vectors as made

from trilat.exchange.exchange import Exchange
from trilat.identity.sign import Rejected
from trilat.records import codec
from trilat.records.carried import Carried, Route
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor
from trilat.store.sqlite import StoreSettings, open_database
from trilat.transport import carried as letters
from trilat.transport import envelope as sealing
from trilat.transport.messages import BatchHeader, ExchangeSettings, Message, PullId, decode_chunk

STANDS: dict[str, Any] = msgspec.json.decode(made.FILE.read_bytes())
VECTORS: dict[str, dict[str, Any]] = {one["name"]: one for one in STANDS["vectors"]}
BYTES_MAX = 921_600
ROUTE = Route(origin="JPN", to="KOR", via="USA", agreement="t/1", not_before_ns=0, expires_ns=2**62)
MS = 1_000_000


def opened(raw: bytes, nation: str) -> tuple[Envelope, Message, list[bytes | None]]:
    """Take an envelope as a nation's receiver does; return it, its message and its entries."""
    envelope = sealing.unpack(raw, BYTES_MAX)
    message = sealing.verify(made.ring(nation), made.T_NS, nation, made.MODE, envelope)
    entries = sealing.open_batch(message, envelope.payload).entries if isinstance(message, BatchHeader) else []
    return envelope, message, entries


def raw_of(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name]["envelope"])


def bin_of(value: Any) -> Any:
    """Return what JSON says as MessagePack would have it decoded: {"hex": ...} are byte strings."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if set(value) == {"hex"} else {name: bin_of(one) for name, one in value.items()}
    return [bin_of(one) for one in value] if isinstance(value, list) else value


def test_the_file_is_what_the_code_makes() -> None:
    """Every byte of the file comes again from the fixed keys; all that the specification speaks of is there."""
    assert made.text() == made.FILE.read_text("utf-8"), "run tools/exchange_vectors.py, and say in the changelog what changed"
    kinds = {bin_of(one["fields"]["kind"]) for one in VECTORS.values()}
    assert kinds == {f"trilat.{kind}/1" for kind in ("batch", "pull", "resync", "empty", "refusal", "wake")}


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_is_taken_and_its_fields_are_what_it_says(name: str) -> None:
    """The audience verifies it; its fields, encoded by a plain MessagePack encoder, are its bytes; sealing it anew gives the same."""
    told = VECTORS[name]
    envelope, message, entries = opened(raw_of(name), told["fields"]["audience"])
    encode = msgspec.msgpack.Encoder().encode
    assert encode(bin_of(told["fields"]["body"])) == envelope.body == bytes.fromhex(told["body"])
    payload = [
        bytes.fromhex(one.get("salt", "")) + (encode(bin_of(one["fields"])) if "fields" in one else bytes.fromhex(one["leaf"]))
        for one in told["fields"]["payload"]
    ]
    assert (encode(payload) if payload else b"") == envelope.payload
    outside = {**told["fields"], "body": envelope.body, "payload": envelope.payload}
    assert encode(bin_of(outside)) == raw_of(name)
    assert sealing.pack(sealing.seal(made.KEYS[envelope.sender], message, envelope.payload)) == raw_of(name)
    leaves = [one["leaf"] for one in told["fields"]["payload"]]
    assert leaves == [
        told["fields"]["payload"][n]["leaf"] if one is None else sealing.leaf_hash(one).hex() for n, one in enumerate(entries)
    ]


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_altered_in_any_byte_is_refused(name: str) -> None:
    """One bit of every byte, the lowest or the highest, turned over: the receiver refuses by name, at every place."""
    raw, nation = raw_of(name), VECTORS[name]["fields"]["audience"]
    taken = []
    for at in range(len(raw)):
        for bit in (0x01, 0x80):
            try:
                opened(raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :], nation)
                taken.append((at, bit))
            except Rejected:
                pass
    assert taken == []
    for cut in (raw[:-1], raw + b"\x00", b""):
        with pytest.raises(Rejected):
            opened(cut, nation)


def test_a_recalled_record_is_withheld_under_the_same_root_and_heads() -> None:
    """The batch with a leaf hash has root, heads and the other entries of the whole one; number 2 is not in it."""
    (_, whole, entries), (_, less, held) = (opened(raw_of(name), "KOR") for name in ("batch", "batch-withheld"))
    assert isinstance(whole, BatchHeader)
    assert isinstance(less, BatchHeader)
    assert (whole.root, whole.prev_head, whole.head) == (less.root, less.prev_head, less.head)
    assert (less.withheld, held) == ((1,), [entries[0], None, entries[2]])
    recall = codec.decode(opened(raw_of("batch-recall"), "KOR")[2][0][sealing.SALT_BYTES :])  # type: ignore[index]
    assert (recall.lane, recall.epoch, recall.sequences) == (whole.lane, whole.epoch, (whole.number + 1,))  # type: ignore[union-attr]


def test_pieces_make_the_record_that_they_name() -> None:
    """The chunks' data in order is a track's bytes, and `of` is SHA-256 over 0x00 and those, without a salt."""
    _, _, entries = opened(raw_of("batch-chunks"), "KOR")
    pieces = [decode_chunk(one[sealing.SALT_BYTES :]) for one in entries if one is not None]
    record = b"".join(one.data for one in pieces)
    assert [(one.index, one.total) for one in pieces] == [(n, len(pieces)) for n in range(len(pieces))]
    assert ({one.of for one in pieces}, record) == ({sealing.leaf_hash(record)}, made.track(4))


def test_the_letter_is_read_by_the_hub_and_opened_by_the_addressee_alone() -> None:
    """USA reads the outside, KOR opens the box and finds the envelope; USA can not; any altered byte of the three parts is refused."""
    told = STANDS["letter"]
    legs = [codec.decode(opened(raw_of(f"letter-{leg}-leg"), to)[2][0][sealing.SALT_BYTES :]) for leg, to in (("first", "USA"), ("second", "KOR"))]  # type: ignore[index]  # fmt: skip
    first, second = (one for one in legs if isinstance(one, Carried))
    assert msgspec.structs.replace(first, label=second.label) == second
    assert (first.letter.hex(), first.signature.hex(), first.box.hex()) == (told["letter"], told["signature"], told["box"])
    assert msgspec.msgpack.encode(bin_of(told["fields"])) == first.letter
    assert letters.read_outside(made.ring("USA"), made.T_NS, made.MODE, first, "state").hub == "USA"
    answers, inside = opened_letter(second, "KOR")
    assert (answers, sealing.pack(inside).hex()) == (told["answers"], told["inside"]) == (7, VECTORS["letter-inside"]["envelope"])
    with pytest.raises(Rejected):
        opened_letter(second, "USA")
    taken = [where for where, other in altered(second) if not _is_refused(other)]
    assert taken == []


def opened_letter(carried: Carried, nation: str) -> tuple[int, Envelope]:
    letter = letters.read_outside(made.ring(nation), made.T_NS, made.MODE, carried, "state")
    return letters.open_inside(made.ring(nation), letter, carried, BYTES_MAX)


def altered(carried: Carried) -> Iterator[tuple[tuple[str, int], Carried]]:
    for part in ("letter", "signature", "box"):
        raw = getattr(carried, part)
        for at in range(len(raw)):
            yield (part, at), msgspec.structs.replace(carried, **{part: raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]})


def _is_refused(carried: Carried) -> bool:
    try:
        opened_letter(carried, "KOR")
    except Rejected:
        return True
    return False


# --- the whole exchange, not its verifier alone -----------------------------------------------------------------------


@pytest.fixture
def kor() -> Iterator[Exchange]:
    store = open_database(Path(":memory:"), "KOR", made.MODE, StoreSettings(reserve_bytes=0))
    yield Exchange(ExchangeSettings(), "KOR", made.MODE, made.ring("KOR"), store, ["JPN", "USA"], (), [ROUTE])
    store.close()


def give(exchange: Exchange, name: str, lane: str, counter: int = 1, partner: str = "JPN") -> None:
    """Give an exchange a vector as the reply to one of its pulls."""
    exchange.handle(made.T_NS, sealing.unpack(raw_of(name), BYTES_MAX), pull=PullId(partner, lane, counter))
    exchange.flush(made.T_NS, force=True)


def state(exchange: Exchange, lane: str, partner: str = "JPN") -> Any:
    return next(one for one in exchange.links(made.T_NS) if (one.partner, one.lane, one.direction) == (partner, lane, "in"))


def test_an_importer_takes_the_batches_one_after_the_other(kor: Exchange) -> None:
    """Plain, in pieces, in a new epoch with a base, a recall: KOR's exchange takes all, makes the record whole, rejects nothing."""
    kor.flush(made.T_NS)
    for name in ("batch", "batch-chunks", "batch-epoch-with-base"):
        give(kor, name, "history")
    give(kor, "batch-recall", "flash")
    got = [one.raw for one in kor.take_received() if one.lane == "history"]
    assert got == [made.track(n) for n in (1, 2, 3, 4, 5)]
    history = state(kor, "history")
    assert (history.cursor.epoch, history.cursor.sequence, history.lost, history.rejected) == (2, 1, 4, {})
    marks = kor.station.store.database.rows("SELECT epoch, sequence FROM recalled")
    assert marks == [(1, 2)]


def test_an_importer_takes_a_batch_with_a_withheld_record(kor: Exchange) -> None:
    """Where number 2 is a leaf hash, 1 and 3 are taken, the cursor stands after 3, and what follows fits."""
    kor.flush(made.T_NS)
    for name in ("batch-withheld", "batch-chunks"):
        give(kor, name, "history")
    assert [one.raw for one in kor.take_received()] == [made.track(n) for n in (1, 3, 4)]
    assert (state(kor, "history").recalled, state(kor, "history").rejected) == (1, {})


def test_an_importer_takes_a_letter_through_its_hub(kor: Exchange) -> None:
    """The second leg comes from USA; what is inside is taken as JPN's, in the stream JPN/USA."""
    kor.flush(made.T_NS)
    give(kor, "letter-second-leg", "state", partner="USA")
    got = [(one.exporter, one.raw) for one in kor.take_received()]
    assert got == [("JPN", made.track(6))]
    assert (state(kor, "state", "JPN/USA").cursor.sequence, state(kor, "state", "USA").rejected) == (1, {})


@pytest.mark.parametrize(("name", "rejected"), [("wake", {}), ("empty", {}), ("refusal", {"cursor-behind": 1})])
def test_an_importer_takes_the_answers_without_records(kor: Exchange, name: str, rejected: dict[str, int]) -> None:
    """Wake, empty and refusal are understood; after the refusal KOR asks by a resync with the reason that the vector has."""
    kor.flush(made.T_NS)
    kor.handle(made.T_NS, sealing.unpack(raw_of(name), BYTES_MAX), pull=None if name == "wake" else PullId("JPN", "history", 1))
    assert state(kor, "history").rejected == rejected
    asked = [one.envelope for one in kor.flush(made.T_NS + 5_000 * MS).requests if one.envelope.lane == "history"]
    wanted = {"refusal": ("trilat.resync/1", "store-behind"), "empty": ("trilat.resync/1", "base-unknown")}.get(name)
    assert {(one.kind, msgspec.msgpack.decode(one.body).get("reason")) for one in asked} == {wanted or ("trilat.pull/1", None)}


@pytest.mark.parametrize("name", ["pull", "resync-store-behind", "resync-base-unknown"])
def test_an_exporter_takes_the_requests(name: str) -> None:
    """JPN, that has sent KOR nothing yet, goes on in an epoch after the cursor's when asked to; none is rejected as malformed."""
    store = open_database(Path(":memory:"), "JPN", made.MODE, StoreSettings(reserve_bytes=0))
    jpn = Exchange(ExchangeSettings(), "JPN", made.MODE, made.ring("JPN"), store, ["KOR"])
    jpn.handle(made.T_NS, sealing.unpack(raw_of(name), BYTES_MAX), ticket=1)
    jpn.tick(made.T_NS + 3_000 * MS)
    [answer] = jpn.flush(made.T_NS + 3_000 * MS).answers
    assert answer.envelope is not None
    empty = msgspec.msgpack.decode(answer.envelope.body)
    asked = msgspec.msgpack.decode(sealing.unpack(raw_of(name), BYTES_MAX).body)
    assert (empty["type"], empty["last"][:2]) == ("trilat.empty/1", [asked["cursor"][0] + 1, 0])
    assert Cursor(*empty["base"]) == Cursor()
    store.close()


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_a_hub_that_alters_letters_is_refused_and_stops_nothing(kor: Exchange, bit: int) -> None:
    """A batch of USA's with the letter altered in each byte in turn, signed by USA: every one is refused by name, the true one taken."""
    letter = made.carried()[0]
    second = msgspec.structs.replace(letter, label=letters.leg_label("USA", "KOR", made.MODE))
    raw = letter.letter
    altered_letters = [
        msgspec.structs.replace(second, letter=raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]) for at in range(len(raw))
    ]
    start = sealing.epoch_head("USA", "KOR", "state", 1, Cursor())
    records = [codec.encode(one) for one in (*altered_letters, second)]
    batch = made.batch("USA", "KOR", "state", 1, 1, start, records)
    kor.flush(made.T_NS)
    kor.handle(made.T_NS, batch, pull=PullId("USA", "state", 1))
    kor.flush(made.T_NS, force=True)
    assert [(one.exporter, one.raw) for one in kor.take_received()] == [("JPN", made.track(6))]
    usa = state(kor, "state", "USA")
    assert (usa.cursor.sequence, sum(usa.rejected.values())) == (len(records), len(raw))
