"""One encoding for every record: canonical MessagePack with the version in the type string (DESIGN section 4).

Canonical means: msgspec's own shortest form, field order of the declaration, no duplicate keys. Bytes whose re-encoding
differs are refused before anything is believed, which is how duplicate keys are found at C speed.
"""

from typing import Any

import msgspec
from msgspec import Struct

from trilat.records.approval import Approval, Approved, Proposal
from trilat.records.assessment import Assessment
from trilat.records.carried import Carried
from trilat.records.declassification import Declassification
from trilat.records.released import Released
from trilat.records.report import Fix, Measurement, Plot, Refused
from trilat.records.sensor import Sensor
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Acknowledgement, Recall, Receipt, Retraction, Warning

# Every record that may stand alone in a journal or on the wire; `trilat schema` and the reference pages read this list.
RECORDS: tuple[type[Struct], ...] = (
    Plot,
    Fix,
    Measurement,
    Refused,
    Track,
    Tracklet,
    Area,
    Assessment,
    Warning,
    Acknowledgement,
    Retraction,
    Receipt,
    Recall,
    Released,
    Sensor,
    Declassification,
    Proposal,
    Approval,
    Approved,
    Carried,
)
Record = (
    Plot
    | Fix
    | Measurement
    | Refused
    | Track
    | Tracklet
    | Area
    | Assessment
    | Warning
    | Acknowledgement
    | Retraction
    | Receipt
    | Recall
    | Released
    | Sensor
    | Declassification
    | Proposal
    | Approval
    | Approved
    | Carried
)

_encoder = msgspec.msgpack.Encoder(order=None)
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Record)
_plain: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()


def encode(record: Struct) -> bytes:
    """Return the canonical bytes of a record."""
    # Twice, because a Struct that omits defaults gets a map header sized for all its fields, which is not the shortest form.
    return _encoder.encode(_plain.decode(_encoder.encode(record)))


def encode_and_read(record: Struct) -> tuple[bytes, Record]:
    """Return the canonical bytes of a record, and the record that whoever decodes them gets.

    Raises msgspec.ValidationError when a value is out of range or the type is not known here.
    """
    raw = encode(record)
    made: Record = _decoder.decode(raw)  # canonical they are, as made: only what they say is checked
    return raw, made


def is_canonical(raw: bytes) -> bool:
    """Tell whether bytes are canonical MessagePack: unique keys, shortest integers, 64-bit floats, nothing behind the end."""
    try:
        return _encoder.encode(_plain.decode(raw)) == raw
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError):
        return False


def decode(raw: bytes) -> Record:
    """Return the record in canonical bytes.

    Raises msgspec.ValidationError when a value is out of range or the type is not known here, and
    msgspec.DecodeError when the bytes are not canonical MessagePack. Unknown fields are ignored, never an error.
    """
    if not is_canonical(raw):
        msg = "bytes are not canonical MessagePack (duplicate keys, longer forms or a cut end)"
        raise msgspec.DecodeError(msg)
    record: Record = _decoder.decode(raw)
    return record


def validate(record: Struct) -> None:
    """Check a record made by our own code against its declared ranges; raises msgspec.ValidationError."""
    msgspec.convert(msgspec.to_builtins(record), type(record))
