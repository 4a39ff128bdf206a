"""Plots as JSON lines: what is encoded comes back, units and names right; bad lines are counted by reason and lose no good one."""

from __future__ import annotations

import numpy as np
import pytest
from feedkit import NOON_NS, S_NS, columns, decoder, reasons, sensor

from trilat.errors import FeedError
from trilat.feeds.plots import encode_plots_json
from trilat.feeds.registry import open_format
from trilat.feeds.source import Decoded
from trilat.records.columns import FLAG_SIMULATED, KIND_BEARING, KIND_RADAR, empty_reports

GOOD = b'{"t_ns":%d,"sensor":"north","range_m":1200000.5,"azimuth_deg":90,"elevation_deg":45,"shade":"blue"}\n'
TWO = (sensor(kind="radar3d", id="north"), sensor(kind="bearing", id="eye"))


def read(*data: bytes, mode: str = "exercise") -> Decoded:
    feed = decoder("plots-json", mode, sensors=tuple(sensor(mode, one.kind, id=one.id) for one in TWO))
    parts = [feed.decode(one, NOON_NS) for one in data]
    return Decoded(tuple(batch for one in parts for batch in one.batches), tuple(r for one in parts for r in one.refused))


def test_a_line_is_a_plot_in_our_units() -> None:
    """Range, azimuth and elevation arrive in metres and radians with the time; a field nobody knows here is passed over."""
    [row] = columns(read(GOOD % NOON_NS))
    assert (NOON_NS, KIND_RADAR, 1_200_000.5) == (row["t_ns"], row["kind"], row["range_m"])
    assert (np.pi / 2, np.pi / 4) == (pytest.approx(row["azimuth_rad"]), pytest.approx(row["elevation_rad"]))


def test_without_a_range_it_is_a_line_of_sight_of_its_sensor() -> None:
    """A line without a range is a bearing; each sensor's lines make a batch with that sensor's label and name."""
    data = GOOD % NOON_NS + b'{"t_ns":%d,"sensor":"eye","azimuth_deg":1,"elevation_deg":2}\n' % NOON_NS
    batches = {batch.pedigree.sensors[0]: batch.columns for batch in read(data).batches}
    assert {"north": KIND_RADAR, "eye": KIND_BEARING} == {name: int(rows["kind"][0]) for name, rows in batches.items()}


def test_what_is_encoded_comes_back() -> None:
    """Plots written as lines and read again are the same plots, to rounding; cut anywhere they are the same bytes."""
    rows = empty_reports(5)
    rows["t_ns"] = NOON_NS + np.arange(5)
    rows["range_m"], rows["azimuth_rad"], rows["elevation_rad"] = 1e6 + np.arange(5), np.arange(5) * 1.25, 0.3
    rows["doppler_m_s"], rows["sigma_range_m"], rows["flags"], rows["sensor_track"] = -10.5, 30.0, FLAG_SIMULATED, 3
    data = encode_plots_json(rows, "north")
    whole, cut = columns(read(data)), columns(read(*(data[k : k + 37] for k in range(0, len(data), 37))))
    assert whole.tobytes() == cut.tobytes()
    for name in ("t_ns", "range_m", "doppler_m_s", "sigma_range_m", "flags", "sensor_track"):
        assert rows[name].tolist() == whole[name].tolist(), name
    assert np.allclose(rows["azimuth_rad"], whole["azimuth_rad"], atol=1e-12)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "syntax-bad"),
        (b"\xff\xfe", "syntax-bad"),
        (b'{"t_ns":%d,"sensor":"nort\xe8","azimuth_deg":4}' % NOON_NS, "syntax-bad"),
        (b'{"t_ns":%d,"azimuth_deg":NaN}' % NOON_NS, "syntax-bad"),
        (b'{"t_ns":%d,"sensor":"north","azimuth_deg":400}' % NOON_NS, "value-implausible"),
        (b'{"t_ns":%d,"sensor":"north","azimuth_deg":4,"range_m":-1}' % NOON_NS, "value-implausible"),
        (b'{"t_ns":%d,"sensor":"south","azimuth_deg":4}' % NOON_NS, "sensor-unknown"),
        (b'{"t_ns":%d,"azimuth_deg":4}' % NOON_NS, "sensor-unknown"),
        (b'{"t_ns":%d,"sensor":"north","azimuth_deg":4}' % (NOON_NS + 61 * S_NS), "time-implausible"),
        (b"x" * 5_000, "line-too-long"),
    ],
)
def test_a_bad_line_is_counted_and_loses_no_other(line: bytes, reason: str) -> None:
    """A line that cannot be used is refused by name; the good ones round it are read."""
    decoded = read(GOOD % NOON_NS + line + b"\n" + GOOD % NOON_NS)
    assert ({reason: 1}, 2) == (reasons(decoded), len(columns(decoded)))


def test_a_simulated_plot_is_refused_on_a_live_node() -> None:
    """What says that it is simulated gets no further on a live feed, and is counted."""
    said = b'{"t_ns":%d,"sensor":"north","azimuth_deg":4,"range_m":5,"simulated":true}\n' % NOON_NS
    assert ({"simulated-on-live": 1}, 0) == (reasons(read(said, mode="live")), len(columns(read(said, mode="live"))))


def test_a_feed_without_a_sensor_is_refused() -> None:
    """A feed of plots that names no sensor says so at the start."""
    from feedkit import source

    with pytest.raises(FeedError):
        open_format(source("plots-json", sensors=()))


@pytest.mark.parametrize("name", ["sigma_range_m", "sigma_azimuth_deg", "sigma_elevation_deg", "sigma_doppler_m_s"])
def test_a_sigma_that_nothing_measures_is_refused(name: str) -> None:
    """A sigma whose square is as good as 0 would make a filter sure of anything: it is refused, its line counted."""
    raw = b'{"t_ns":%d,"range_m":9e5,"azimuth_deg":3.0,"%s":%s}\n'

    for value, expected in ((b"1e-300", {"value-implausible": 1}), (b"0.5", {})):
        decoded = decoder("plots-json").decode(raw % (NOON_NS, name.encode(), value), NOON_NS)
        assert (expected, 1 - len(expected)) == (reasons(decoded), len(columns(decoded)))
