"""Letters: whole sealed envelopes that travel as records through a hub, which can read their outside and nothing else. Pure.

The sender seals an ordinary envelope (a pull, a batch, an empty) as always, puts it into a box that only its addressee can open,
and signs a letter over the box's hash, addressee, hub, mode, lane and time. So a hub can drop or delay a letter, and both show;
it can not read, widen, change or re-address one, and a copy sent again is refused by the envelope's own counter or number.
"""

import hashlib

import msgspec

from trilat.identity.box import open_box, seal_box
from trilat.identity.sign import KeyRing, Rejected, VerifyKey
from trilat.records import codec
from trilat.records.carried import Carried, Inside, Letter
from trilat.records.envelope import Envelope
from trilat.records.fields import Lane
from trilat.records.label import Label, Mode
from trilat.transport import envelope as sealing

LETTER_KIND = str(Letter.__struct_config__.tag)
CARRIED_TYPE = str(Carried.__struct_config__.tag)
CARRIED_MARK = CARRIED_TYPE.encode()
# A letter waits this long at most. What was in it is then asked for anew, so that a hub that was away gives on nothing stale.
LETTER_NS = 300 * 1_000_000_000
# The policy that the label of a leg names: it is about carrying and says nothing of what is carried.
LEG_POLICY = "carriage"

_encode = msgspec.msgpack.Encoder().encode
_letter = msgspec.msgpack.Decoder(Letter)
_inside = msgspec.msgpack.Decoder(Inside)


def bears_letter(raw: bytes) -> bool:
    """Tell whether a record's bytes are those of a letter: its type stands first in them."""
    return CARRIED_MARK in raw[:40]


def stream_name(partner: str, via: str | None) -> str:
    """Return the name of a stream: the partner's, or "KOR/USA" for what goes to KOR (or comes from it) through USA."""
    return partner if via is None else f"{partner}/{via}"


def partner_of(stream: str) -> str:
    """Return whose a stream is."""
    return stream.partition("/")[0]


def leg_label(nation: str, to: str, mode: Mode) -> Label:
    """Return the label of one leg: from these hands, for those."""
    return Label(policy=LEG_POLICY, originator=nation, mode=mode, level=0, rel_to=(to,))


def _newest(ring: KeyRing, nation: str, now_ns: int) -> VerifyKey:
    """Return the partner's pinned key that seals for it: the valid one whose validity began last."""
    valid = [key for key in ring.pinned(nation) if key.not_before_ns <= now_ns <= key.not_after_ns]
    if not valid:
        raise Rejected("sender-unknown", f"no valid key of {nation} to seal a letter for")
    return max(valid, key=lambda key: (key.not_before_ns, key.key_id))


def write(ring: KeyRing, now_ns: int, mode: Mode, hub: str, envelope: Envelope, answers: int) -> Carried:
    """Return an envelope of ours as a letter through a hub, for the first leg; raises Rejected "sender-unknown".

    answers: the counter of the pull that the envelope answers; 0 when it is no answer.
    """
    key, addressee, lane = ring.current(now_ns), envelope.audience, envelope.lane
    theirs = _newest(ring, addressee, now_ns)
    inside = _encode(Inside(answers=answers, envelope=sealing.pack(envelope)))
    place = _encode([ring.nation, addressee, hub, mode.kind, mode.id, lane, now_ns])
    box = seal_box(inside, key, theirs.public, place)
    body = codec.encode(
        Letter(
            sender=ring.nation,
            addressee=addressee,
            hub=hub,
            mode=mode,
            lane=lane,
            t_ns=now_ns,
            expires_ns=now_ns + LETTER_NS,
            key_id=key.key_id,
            box_key_id=theirs.key_id,
            box_sha256=hashlib.sha256(box).digest(),
        )
    )
    return Carried(
        label=leg_label(ring.nation, hub, mode),
        t_ns=now_ns,
        sender=ring.nation,
        addressee=addressee,
        letter=body,
        signature=key.sign(LETTER_KIND, body),
        box=box,
    )


def read_outside(ring: KeyRing, now_ns: int, mode: Mode, carried: Carried, lane: Lane) -> Letter:
    """Return a letter whose signature holds over its outside and its box; raises Rejected.

    Reasons: those of `KeyRing.verify`, "letter-wrong" and "mode-wrong".
    """
    try:
        letter = _letter.decode(carried.letter)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected("letter-wrong", str(error)) from None
    ring.verify(now_ns, letter.sender, letter.key_id, LETTER_KIND, carried.letter, carried.signature)
    if codec.encode(letter) != carried.letter:
        raise Rejected("letter-wrong", f"of {letter.sender}: not canonical")
    outside = (carried.sender, carried.addressee, carried.t_ns, lane, hashlib.sha256(carried.box).digest())
    if outside != (letter.sender, letter.addressee, letter.t_ns, letter.lane, letter.box_sha256):
        raise Rejected("letter-wrong", f"of {letter.sender} to {letter.addressee}")
    if letter.mode != mode:
        raise Rejected("mode-wrong", f"a letter of {letter.mode.kind}:{letter.mode.id}, here {mode.kind}:{mode.id}")
    return letter


def open_inside(ring: KeyRing, letter: Letter, carried: Carried, bytes_max: int) -> tuple[int, Envelope]:
    """Return the pull that a letter for us answers (0: none) and the envelope in it, not yet verified; raises Rejected."""
    key = ring.own_key(letter.box_key_id)
    if key is None:
        raise Rejected("box-unreadable", f"{letter.sender} sealed it for key {letter.box_key_id}")
    try:
        inside = _inside.decode(open_box(carried.box, key))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected("box-unreadable", str(error)) from None
    envelope = sealing.unpack(inside.envelope, bytes_max)
    if (envelope.sender, envelope.audience, envelope.lane) != (letter.sender, letter.addressee, letter.lane):
        raise Rejected("letter-wrong", f"of {letter.sender}: what is inside is of {envelope.sender} to {envelope.audience}")
    return inside.answers, envelope


def given_on(carried: Carried, hub: str, mode: Mode) -> bytes:
    """Return the bytes of a letter for its second leg: the very letter and box, under the hub's label for the addressee."""
    return codec.encode(msgspec.structs.replace(carried, label=leg_label(hub, carried.addressee, mode)))
