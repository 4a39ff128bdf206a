"""What the feeds' tests share: sources of every format, and what must hold of whatever a decoder gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from trilat.errors import codes
from trilat.feeds.registry import open_format
from trilat.feeds.rows import T_NS_MAX, not_physical
from trilat.feeds.source import Decoded, Decoder, Source
from trilat.records.label import Label, Mode
from trilat.records.sensor import Sensor

NOON_NS = 1_704_196_800_000_000_000  # 2024-01-02T12:00:00Z
S_NS = 1_000_000_000
MODES = {"live": Mode(kind="live"), "exercise": Mode(kind="exercise", id="E1"), "replay": Mode(kind="replay", id="R1")}


def sensor(mode: str = "exercise", kind: str = "fixes", **values: Any) -> Sensor:
    """Return a sensor of the given kind whose label is of the given mode."""
    label = Label(policy="TRILAT", originator="JPN", mode=MODES[mode], level=1, sources=("JPN",))
    return Sensor(id=values.pop("id", "sensor-1"), nation="JPN", kind=kind, label=label, **values)  # type: ignore[arg-type]


def source(format_name: str, mode: str = "exercise", **values: Any) -> Source:
    """Return a source of a format with one sensor."""
    kind = "radar2d" if format_name == "asterix" else "fixes"
    values.setdefault("sensors", (sensor(mode, kind, sac=25, sic=201),))
    return Source(name=values.pop("name", "feed-1"), format=format_name, nation="JPN", mode=MODES[mode], **values)  # type: ignore[arg-type]


def decoder(format_name: str, mode: str = "exercise", **values: Any) -> Decoder:
    """Return an open decoder of a format."""
    return open_format(source(format_name, mode, **values))


def columns(*decoded: Decoded) -> np.ndarray[Any, Any]:
    """Return the columns of every batch, one behind the other."""
    parts = [batch.columns for each in decoded for batch in each.batches]
    return np.concatenate(parts) if parts else np.empty(0, [("t_ns", "i8")])


def reasons(*decoded: Decoded) -> dict[str, int]:
    """Return how often each reason of refusal was counted."""
    counts: dict[str, int] = {}
    for each in decoded:
        for refused in each.refused:
            counts[refused.reason] = counts.get(refused.reason, 0) + refused.count
    return counts


def must_hold(decoded: Decoded) -> None:
    """Check what must hold of anything a decoder gives: named reasons, and values that are physical."""
    names = {entry["name"] for entry in codes().values() if entry["kind"] == "refusal"}
    for refused in decoded.refused:
        assert refused.reason in names
        assert refused.count >= 0
    for batch in decoded.batches:
        rows = batch.columns
        assert len(rows) > 0
        assert ((rows["t_ns"] >= 0) & (rows["t_ns"] <= T_NS_MAX)).all()
        fixes = rows[rows["kind"] >= 2]
        assert not not_physical(fixes).any()
        plots = rows[rows["kind"] < 2]
        for name, low, high in (("range_m", 0, 1e8), ("azimuth_rad", 0, 2 * np.pi), ("height_m", -12_000, 1e8)):
            values = plots[name][~np.isnan(plots[name])]
            assert ((values >= low) & (values <= high)).all(), name
