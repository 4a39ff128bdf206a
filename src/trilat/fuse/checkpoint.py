"""Checkpoint of a combined picture: everything a `Combiner` of the same settings needs to go on as if it were this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from trilat.fuse.correlate import ITEM_DTYPE, Correlated, Group
from trilat.records.label import Label

FORMAT = 2
# What a combiner knows, by the names of its fields; all else follows from it.
FIELDS = (
    *("slots", "free", "latest", "base", "buckets", "known", "done", "decided", "late"),
    *("own_stream_name", "own", "own_ns", "labels", "shown"),
)
_CORRELATED = (("pairs", np.int64), ("cost", np.float64), ("close", np.bool_), ("joined", np.bool_))


def pack(state: Mapping[str, Any], nation: str) -> bytes:
    """Return a combiner's fields as bytes; equal states give equal bytes."""
    plain = dict(state)
    plain["slots"] = sorted((*key, slot) for key, slot in state["slots"].items())
    for name in ("latest", "base", "own"):
        plain[name] = state[name].tobytes()
    plain["buckets"] = [(epoch, rows.tobytes()) for epoch, rows in sorted(state["buckets"].items())]
    plain["known"] = [(epoch, _pack_known(known)) for epoch, known in sorted(state["known"].items())]
    plain["own_ns"] = sorted(state["own_ns"].items())
    plain["labels"] = [msgspec.msgpack.encode(label) for label in state["labels"]]
    plain["shown"] = sorted(state["shown"])
    return msgspec.msgpack.encode({"format": FORMAT, "nation": nation, **plain})


def unpack(checkpoint: bytes, nation: str) -> dict[str, Any]:
    """Return a combiner's fields. Raises ValueError when the checkpoint is another nation's or of another format."""
    held = msgspec.msgpack.decode(checkpoint)
    if held.get("format") != FORMAT or held.get("nation") != nation:
        msg = f"checkpoint of {held.get('nation')!r}, format {held.get('format')!r}: not of {nation!r}, {FORMAT}"
        raise ValueError(msg)
    state = {name: held[name] for name in FIELDS}
    state["slots"] = {(one[0], one[1], one[2]): one[3] for one in held["slots"]}
    for name in ("latest", "base", "own"):
        state[name] = _rows(held[name])
    state["buckets"] = {epoch: _rows(raw) for epoch, raw in held["buckets"]}
    state["known"] = {epoch: _known(packed) for epoch, packed in held["known"]}
    state["own_ns"] = dict(map(tuple, held["own_ns"]))
    state["labels"] = [msgspec.msgpack.decode(raw, type=Label) for raw in held["labels"]]
    state["shown"] = frozenset(held["shown"])
    return state


def _rows(raw: bytes) -> Any:
    return np.frombuffer(raw, ITEM_DTYPE).copy()


def _pack_known(known: Correlated) -> list[Any]:
    arrays = [getattr(known, name) for name, _ in _CORRELATED]
    return [[(array.shape, array.tobytes()) for array in arrays], [tuple(group) for group in known.groups]]


def _known(packed: list[Any]) -> Correlated:
    arrays = [
        np.frombuffer(raw, form).reshape(shape).copy() for (shape, raw), (_, form) in zip(packed[0], _CORRELATED, strict=True)
    ]
    groups = tuple(Group(number, born_ns, tuple(members)) for number, born_ns, members in packed[1])
    return Correlated(arrays[0], arrays[1], arrays[2], arrays[3], groups)
