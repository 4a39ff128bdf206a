"""One canonical encoding for every record: what is not canonical or out of range is refused, what is unknown is kept out."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.report import Fix, Pedigree, Refused

LABEL = Label(policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="t"), level=1)
FIX = Fix(t_ns=1, sensor="a", label=LABEL, pedigree=Pedigree(nation="JPN"), lat_deg=1.0, lon_deg=2.0, sigma_horizontal_m=3.0)
RAW = codec.encode(FIX)


def changed(**fields: object) -> bytes:
    return msgspec.msgpack.encode(msgspec.msgpack.decode(RAW) | fields)


def test_encoding_is_canonical_and_reversible() -> None:
    """What is encoded is canonical, and decodes to the same record."""
    assert codec.is_canonical(RAW)
    assert codec.decode(RAW) == FIX


def test_duplicate_keys_are_refused() -> None:
    """A map with one key twice is not canonical, whatever the values."""
    raw = bytes([0x82]) + msgspec.msgpack.encode("a") + b"\x01" + msgspec.msgpack.encode("a") + b"\x02"

    assert not codec.is_canonical(raw)
    with pytest.raises(msgspec.DecodeError):
        codec.decode(raw)


@pytest.mark.parametrize(
    "fields",
    [
        {"lat_deg": float("nan")},
        {"lat_deg": 90.5},
        {"lon_deg": float("inf")},
        {"t_ns": -1},
        {"t_ns": 2**63 - 1},
        {"sigma_horizontal_m": 0.0},
        {"speed_m_s": 1e6},
        {"type": "trilat.unheard-of/1"},
        {"label": {**msgspec.to_builtins(LABEL), "mode": {"kind": "live", "id": "x"}}},
        {"label": {**msgspec.to_builtins(LABEL), "mode": {"kind": "exercise"}}},
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, object]) -> None:
    """NaN, infinities, impossible places, times and speeds, unknown types and impossible modes are refused."""
    with pytest.raises(msgspec.ValidationError):
        codec.decode(changed(**fields))


def test_unknown_fields_are_ignored() -> None:
    """A field of a later version does not stop a record from being read."""
    assert codec.decode(changed(zzz_of_tomorrow=[1, 2, 3])) == FIX


@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing_undocumented(raw: bytes) -> None:
    """Any bytes decode to a record or raise msgspec's decode errors."""
    try:
        codec.decode(raw)
    except msgspec.DecodeError:
        return


@given(st.integers(0, len(RAW) - 1))
def test_cut_records_are_refused(cut: int) -> None:
    """A record cut anywhere is refused."""
    with pytest.raises(msgspec.DecodeError):
        codec.decode(RAW[:cut])


def test_own_records_are_checked_too() -> None:
    """A record that our own code made out of range fails validation."""
    with pytest.raises(msgspec.ValidationError):
        codec.validate(msgspec.structs.replace(FIX, lat_deg=91.0))
    codec.validate(Refused(t_ns=1, source="a", reason="truncated"))
