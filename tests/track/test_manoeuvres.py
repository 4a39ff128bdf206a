"""What flies otherwise than straight and level is followed."""

from typing import Any

import numpy as np
from track_cases import RADAR, S_NS, T0_NS, Line, confirmed, radar_plots, reports, tracker

from trilat.kernels import geodesy


class Climb(Line):
    """An aircraft that flies level for a minute, climbs 6,000 m at 15 m/s, and flies level again."""

    def at(self, t_ns: int) -> np.ndarray[Any, Any]:
        """Return the ECEF position at a time."""
        return super().at(t_ns) + self.up() * 15.0 * min(max((t_ns - T0_NS) / S_NS - 60.0, 0.0), 400.0)

    def up(self) -> np.ndarray[Any, Any]:
        """Return the vertical at its start."""
        return np.asarray(self.start / np.linalg.norm(self.start))


def test_a_climb_is_followed() -> None:
    """An airliner's steep climb keeps its track and number, in height nearer than one plot's own error, from start to end of it."""
    made, body = tracker(), Climb(30e3, -40e3, 3e3, 30.0, 200.0)
    columns, numbers, errors = radar_plots([body], 520, np.random.default_rng(8)), set(), []
    for t in range(1, 520):
        part = columns[(columns["t_ns"] >= T0_NS + (t - 1) * S_NS) & (columns["t_ns"] < T0_NS + t * S_NS)]
        tracks = made.step(T0_NS + t * S_NS, [reports(part)])
        if t > 40:
            sure = confirmed(tracks)
            numbers |= set(sure["number"].tolist())
            range_m = geodesy.ecef_to_rae(body.at(tracks.t_ns), RADAR.lat_deg, RADAR.lon_deg, RADAR.alt_m)[0]
            errors.append(float((sure["position_m"][0] - body.at(tracks.t_ns)) @ body.up()) / (0.002 * range_m))
    assert 1 == len(numbers)
    assert np.sqrt(np.mean(np.square(errors))) < 0.9
