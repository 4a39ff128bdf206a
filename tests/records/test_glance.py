"""A glance at a record says yes only where decoding it in full says the same."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs

from trilat.records import codec, glance
from trilat.records.label import Label, Mode
from trilat.records.report import Fix, Pedigree
from trilat.records.track import Track
from trilat.records.warning import Warning

LABEL = Label(policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="X"), level=1, rel_to=("KOR",))
TRACK = Track(
    stream="JPN/air",
    number=1,
    t_ns=1,
    status="confirmed",
    label=LABEL,
    pedigree=Pedigree(nation="JPN", sensors=("r1",)),
    lat_deg=33.0,
    lon_deg=130.0,
    alt_m=9_000.0,
    velocity_east_m_s=200.0,
    velocity_north_m_s=10.0,
    velocity_up_m_s=0.0,
    covariance=tuple(float(i) for i in range(21)),
    updated_t_ns=1,
)
FIX = Fix(t_ns=1, sensor="ais", sigma_horizontal_m=10.0, label=LABEL, pedigree=Pedigree(nation="JPN"), lat_deg=1.0, lon_deg=2.0)
WARNING = Warning(
    id="w1", version=1, state="issued", t_ns=1, label=LABEL, pedigree=Pedigree(nation="JPN"), kind="missile", headline="x",
    expires_ns=2, raised_by="officer",
)  # fmt: skip
EVERYTHING = structs.replace(
    TRACK, address=1, mmsi=2, callsign="A", mode_3a=3, flags=("innovation",), domain="air", existence=0.5
)


def _write(**fields: object) -> bytes:
    """Return a track's canonical bytes with some fields put in or replaced."""
    return msgspec.msgpack.encode(msgspec.msgpack.decode(codec.encode(TRACK)) | fields)


@pytest.mark.parametrize("record", [TRACK, FIX, WARNING, EVERYTHING], ids=lambda record: type(record).__name__)
def test_sound_records_are_seen(record: Track | Fix | Warning) -> None:
    """A sound record's type and label are seen, with and without its optional fields."""
    assert (str(record.__struct_config__.tag), LABEL) == glance.glance(codec.encode(record))


@pytest.mark.parametrize(
    "raw",
    [
        codec.encode(TRACK)[:-1],
        codec.encode(TRACK) + b"\xc0",
        b"\xde\x00" + bytes([codec.encode(TRACK)[0] & 0x0F]) + codec.encode(TRACK)[1:],
        _write(lat_deg=91.0),
        _write(number=-1),
        _write(unknown=1),
        _write(existence=1.0),
        _write(type="trilat.later/1"),
        _write(label={**msgspec.msgpack.decode(msgspec.msgpack.encode(LABEL)), "level": 9}),
        _write(label={**msgspec.msgpack.decode(msgspec.msgpack.encode(LABEL)), "later": 1}),
        _write(label={**msgspec.msgpack.decode(msgspec.msgpack.encode(LABEL)), "mode": {"kind": "live", "id": "X"}}),
        _write(pedigree={"nation": "jpn"}),
        b"",
        b"\x93" * 5_000,
    ],
)
def test_what_it_cannot_vouch_for_is_left_to_the_codec(raw: bytes) -> None:
    """A cut, longer, re-written, unknown, extended or out-of-range record is not vouched for, and nothing is raised."""
    assert None is glance.glance(raw)


def test_a_doubled_label_is_not_vouched_for() -> None:
    """Two labels in one record, of which a reader might believe either, are never seen as one."""
    raw = codec.encode(FIX)
    label = msgspec.msgpack.encode(msgspec.msgpack.decode(msgspec.msgpack.encode(LABEL)))
    doubled = bytes([raw[0] + 1]) + b"\xa5label" + label + raw[1:]
    assert None is glance.glance(doubled)
    assert not codec.is_canonical(doubled)


@given(st.integers(0, len(codec.encode(EVERYTHING)) - 1), st.integers(1, 255))
def test_it_never_says_more_than_the_codec(at: int, flip: int) -> None:
    """Whatever byte of a record is altered: what a glance vouches for, the codec decodes to the same label."""
    raw = bytearray(codec.encode(EVERYTHING))
    raw[at] ^= flip
    seen = glance.glance(bytes(raw))
    if seen is not None:
        record = codec.decode(bytes(raw))
        assert (str(record.__struct_config__.tag), getattr(record, "label", None)) == seen


def test_only_the_outermost_map_can_have_a_long_header() -> None:
    """No struct inside a record has so many fields that msgspec writes its header in a longer form: a glance relies on it."""
    inner = {
        found
        for record in codec.RECORDS
        for field in structs.fields(record)
        if field.name not in {"label", "pedigree"}
        for found in _structs_in(field.type)
    }
    assert [] == [kind for kind in inner if len(structs.fields(kind)) > 15]


def _structs_in(kind: object) -> set[type[Struct]]:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return {kind}.union(*(_structs_in(field.type) for field in structs.fields(kind)))
    return set().union(*(_structs_in(arg) for arg in getattr(kind, "__args__", ())))
