"""Write `docs/reference/exchange-vectors.json`: the exchange's test vectors, made from fixed keys and nothing else.

Each is a whole envelope in hex with its decoded fields beside it. A test compares the file with what this makes, has the code
take every one, and sees every one refused that is altered in any byte.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from trilat.identity.sign import KeyRing, SigningKey
from trilat.records import codec
from trilat.records.carried import Carried
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor
from trilat.records.fields import Lane
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.track import Track
from trilat.records.warning import Recall
from trilat.transport import carried as letters
from trilat.transport import envelope as sealing
from trilat.transport.messages import BatchHeader, Chunk, Empty, Pull, Refusal, Resync, Wake

FILE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "exchange-vectors.json"
MODE = Mode(kind="exercise", id="VECTORS")
T_NS = 1_790_000_000_000_000_000
NATIONS = ("JPN", "KOR", "USA")
KEYS = {nation: SigningKey(nation, "exercise", bytes(range(32 * n, 32 * n + 32))) for n, nation in enumerate(NATIONS)}
PIECE_BYTES = 160
LANE: Lane = "history"


def ring(nation: str) -> KeyRing:
    """Return a nation's ring: its own key, the others' pinned."""
    return KeyRing(nation, MODE, [KEYS[nation]], [KEYS[other].verify_key for other in NATIONS if other != nation])


def head(sender: str, audience: str, lane: str, number: int) -> dict[str, Any]:
    """Return what every message says."""
    return {
        "minor": 2,
        "sender": sender,
        "audience": audience,
        "lane": lane,
        "mode": MODE,
        "key_id": KEYS[sender].key_id,
        "number": number,
    }


def label(originator: str, to: str) -> Label:
    """Return a plain label."""
    return Label(policy="TRILAT", originator=originator, mode=MODE, level=1, rel_to=(to,), topics=("air",), sources=(originator,))


def track(number: int) -> bytes:
    """Return the bytes of one of JPN's track states for KOR."""
    return codec.encode(
        Track(
            stream="JPN/track",
            number=number,
            t_ns=T_NS + number,
            status="confirmed",
            label=label("JPN", "KOR"),
            pedigree=Pedigree(nation="JPN"),
            lat_deg=33.5,
            lon_deg=130.25,
            alt_m=9_000.0,
            velocity_east_m_s=200.0,
            velocity_north_m_s=-12.5,
            velocity_up_m_s=0.0,
            covariance=tuple(float(n) for n in range(1, 22)),
            updated_t_ns=T_NS + number,
        )
    )


def batch(
    sender: str,
    audience: str,
    lane: str,
    epoch: int,
    first: int,
    before: bytes,
    records: list[bytes],
    *,
    base: Cursor = Cursor(),  # noqa: B008 - frozen
    lost: int = 0,
    withheld: tuple[int, ...] = (),
    stream: str = "",
) -> Envelope:
    """Return a sealed batch. before: the head before its first number; stream: its name, where that is not the audience."""
    key = KEYS[sender]
    salts = sealing.salts(key.salt_key, (stream or audience, lane, epoch, first), len(records))
    entries = [salt + record for salt, record in zip(salts, records, strict=True)]
    leaves = sealing.leaf_hashes(entries)
    header = BatchHeader(
        **head(sender, audience, lane, first),
        epoch=epoch,
        base=base,
        lost=lost,
        count=len(entries),
        root=sealing.merkle_root(leaves),
        prev_head=before,
        head=sealing.chain(before, leaves),
        t_ns=T_NS,
        withheld=withheld,
    )
    return sealing.seal(key, header, sealing.join_payload([leaves[n] if n in withheld else one for n, one in enumerate(entries)]))


def after(envelope: Envelope) -> Cursor:
    """Return the cursor after a batch."""
    body = msgspec.msgpack.decode(envelope.body)
    return Cursor(body["epoch"], body["number"] + body["count"] - 1, body["head"])


def pieces(record: bytes) -> list[bytes]:
    """Return a record in pieces."""
    data = [record[at : at + PIECE_BYTES] for at in range(0, len(record), PIECE_BYTES)]
    of = sealing.leaf_hash(record)
    return [codec.encode(Chunk(of=of, index=n, total=len(data), data=one)) for n, one in enumerate(data)]


def direct() -> dict[str, Envelope]:
    """Return the messages between two nations: JPN's history for KOR, and what goes with it."""
    key_j, key_k = KEYS["JPN"], KEYS["KOR"]
    start = sealing.epoch_head("JPN", "KOR", LANE, 1, Cursor())
    whole = batch("JPN", "KOR", LANE, 1, 1, start, [track(n) for n in (1, 2, 3)])
    held = after(whole)
    chunked = batch("JPN", "KOR", LANE, 1, 4, held.head, pieces(track(4)))
    base_head = sealing.epoch_head("JPN", "KOR", LANE, 2, held)
    newer = batch("JPN", "KOR", LANE, 2, 1, base_head, [track(5)], base=held, lost=4)
    recall = Recall(lane=LANE, epoch=1, sequences=(2,), reason="out of true", by="officer", t_ns=T_NS, label=label("JPN", "KOR"))
    flash = sealing.epoch_head("JPN", "KOR", "flash", 1, Cursor())
    ask: dict[str, Any] = {"cursor": held, "session": 1, "credit_bytes": 4_096, "wait_ms": 2_000}
    pull = Pull(**head("KOR", "JPN", LANE, 1), **ask)
    behind = Resync(**head("KOR", "JPN", LANE, 10), **{**ask, "session": 10}, reason="store-behind")
    asks = {**ask, "session": 11, "cursor": after(newer)}
    place = Cursor(2, 9, bytes([9]) * 32)
    unknown = Resync(
        **head("KOR", "JPN", LANE, 11), **asks, trouble="head-wrong", reason="base-unknown", branch=(held,), refused=place
    )
    refusal = Refusal(
        **head("JPN", "KOR", LANE, 1), reason="cursor-behind", counter=1, receipt=after(chunked), speaks=2, t_ns=T_NS
    )
    return {
        "batch": whole,
        "batch-withheld": batch("JPN", "KOR", LANE, 1, 1, start, [track(n) for n in (1, 2, 3)], withheld=(1,)),
        "batch-chunks": chunked,
        "batch-epoch-with-base": newer,
        "batch-recall": batch("JPN", "KOR", "flash", 1, 1, flash, [codec.encode(recall)]),
        "pull": sealing.seal(key_k, pull),
        "resync-store-behind": sealing.seal(key_k, behind),
        "resync-base-unknown": sealing.seal(key_k, unknown),
        "empty": sealing.seal(key_j, Empty(**head("JPN", "KOR", LANE, 1), last=after(newer), t_ns=T_NS, base=held, lost=4)),
        "refusal": sealing.seal(key_j, refusal),
        "wake": sealing.seal(key_j, Wake(**head("JPN", "KOR", "flash", T_NS))),
    }


def carried() -> tuple[Carried, dict[str, Envelope]]:
    """Return JPN's letter to KOR through USA, and the envelopes it holds and travels in: inside, first leg, second leg."""
    start = sealing.epoch_head("JPN", "KOR/USA", "state", 1, Cursor())
    inside = batch("JPN", "KOR", "state", 1, 1, start, [track(6)], stream="KOR/USA")
    letter = letters.write(ring("JPN"), T_NS, MODE, "USA", inside, 7)
    legs = {}
    for name, sender, to, raw in (
        ("letter-first-leg", "JPN", "USA", codec.encode(letter)),
        ("letter-second-leg", "USA", "KOR", letters.given_on(letter, "USA", MODE)),
    ):
        legs[name] = batch(sender, to, "state", 1, 1, sealing.epoch_head(sender, to, "state", 1, Cursor()), [raw])
    return letter, {"letter-inside": inside, **legs}


WHAT = {
    "batch": "JPN's first batch to KOR on history: three track states.",
    "batch-withheld": "The same numbers again after number 2 was recalled: its entry is its leaf hash; root and heads stay.",
    "batch-chunks": "Numbers 4 to 7: one track state in four pieces, as for a narrow line.",
    "batch-epoch-with-base": "Epoch 2, which goes on from number 3 of epoch 1, KOR's cursor: the four after it are kept no more.",
    "batch-recall": "The recall of number 2 of history, a flash batch of one.",
    "pull": "KOR's pull number 1, which begins session 1; its cursor is the receipt for numbers 1 to 3.",
    "resync-store-behind": "KOR's answer to the refusal: its store is behind, it asks from its cursor on.",
    "resync-base-unknown": "KOR does not hold the base of a later epoch: it asks for another, and says on what epoch 2 went on.",
    "empty": "JPN's answer to pull 1 when nothing came in time: epoch 2, number 1; it went on from 3 of epoch 1, four are lost.",
    "refusal": "JPN's answer to pull 1: the cursor lies before the receipt.",
    "wake": "JPN is there again.",
    "letter-inside": "What JPN's letter to KOR through USA holds: a batch of the stream KOR/USA, in answer to KOR's pull 7.",
    "letter-first-leg": "The letter in JPN's stream to USA.",
    "letter-second-leg": "The same letter in USA's stream to KOR: only label differs.",
}


def plain(value: Any) -> Any:
    """Return decoded MessagePack as JSON: byte strings as {"hex": ...}, the rest as it is."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def told(name: str, envelope: Envelope) -> dict[str, Any]:
    """Return one vector: the envelope's bytes, and everything in it decoded."""
    body = msgspec.msgpack.decode(envelope.body)
    out: dict[str, Any] = {
        "name": name,
        "what": WHAT[name],
        "envelope": sealing.pack(envelope).hex(),
        "fields": {**plain(msgspec.msgpack.decode(sealing.pack(envelope))), "body": plain(body), "payload": []},
        "body": envelope.body.hex(),
    }
    if envelope.payload:
        entries = sealing.split_payload(envelope.payload)
        out["fields"]["payload"] = [
            {"leaf": entry.hex()}
            if n in body["withheld"]
            else {
                "leaf": sealing.leaf_hash(entry).hex(),
                "salt": entry[: sealing.SALT_BYTES].hex(),
                "record": entry[sealing.SALT_BYTES :].hex(),
                "fields": plain(msgspec.msgpack.decode(entry[sealing.SALT_BYTES :])),
            }
            for n, entry in enumerate(entries)
        ]
    return out


def make() -> dict[str, Any]:
    """Return the whole file."""
    letter, through = carried()
    outside = letters.read_outside(ring("KOR"), T_NS, MODE, letter, "state")
    answers, inside = letters.open_inside(ring("KOR"), outside, letter, 1 << 20)
    return {
        "made_by": "tools/exchange_vectors.py",
        "mode": plain(msgspec.to_builtins(MODE)),
        "t_ns": T_NS,
        "keys": {
            nation: {"seed": key.seed.hex(), "public": key.verify_key.public.hex(), "key_id": key.key_id}
            for nation, key in KEYS.items()
        },
        "epoch_heads": {
            f"{sender} {audience} {lane} {epoch}": sealing.epoch_head(sender, audience, lane, epoch, base).hex()
            for sender, audience, lane, epoch, base in (
                ("JPN", "KOR", "history", 1, Cursor()),
                ("JPN", "KOR", "history", 2, after(direct()["batch"])),
                ("JPN", "KOR", "flash", 1, Cursor()),
                ("JPN", "KOR/USA", "state", 1, Cursor()),
                ("JPN", "USA", "state", 1, Cursor()),
                ("USA", "KOR", "state", 1, Cursor()),
            )
        },
        "vectors": [told(name, envelope) for name, envelope in {**direct(), **through}.items()],
        "letter": {
            "what": "The letter of the two legs, and what KOR finds in its box.",
            "letter": letter.letter.hex(),
            "fields": plain(msgspec.msgpack.decode(letter.letter)),
            "signature": letter.signature.hex(),
            "box": letter.box.hex(),
            "answers": answers,
            "inside": sealing.pack(inside).hex(),
        },
    }


def text() -> str:
    """Return the file's text."""
    return msgspec.json.format(msgspec.json.encode(make()), indent=1).decode() + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
    print(FILE.relative_to(FILE.parents[2]))
