"""Lines of sight of an observer that moves, such as an infrared satellite, as the library takes them: places, long along them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trilat.kernels import geodesy
from trilat.records.columns import KIND_MEASUREMENT
from trilat.track.library import reports_of

_GIVEN = ("observer_ecef_m", "direction_ecef", "sigma_rad")
_MADE = ("lat_deg", "lon_deg", "alt_m", "azimuth_rad", "elevation_rad", "sigma_range_m")


def sights_of(table: Mapping[str, Any], sensor: int = 0) -> Any:
    """Return REPORT_DTYPE columns of lines of sight, for a sensor of kind `bearing` whatever its own place.

    table: `t_s` or `t_ns` as in `reports_of`; `observer_ecef_m` and `direction_ecef` (n, 3) each, WGS-84 Earth-fixed axes, where
    the observer was and which way it looked (any length); `sigma_rad`, one sigma of angle, one or (n,). Further columns are as in
    `reports_of`. What can be no line of sight - an observer inside the Earth, no direction, a line that passes it above 600 km -
    is refused by the tracker as `not-finite`.

    Raises KeyError for a column that is missing or unknown, ValueError for one of a wrong shape.
    """
    missing = [name for name in _GIVEN if name not in table]
    if missing:
        msg = f"lines of sight need the columns {', '.join(_GIVEN)} and a time; there is no {', '.join(missing)}"
        raise KeyError(msg)
    observer, way = (np.asarray(table[name], np.float64) for name in _GIVEN[:2])
    if observer.ndim != 2 or observer.shape != way.shape or observer.shape[1] != 3:
        msg = f"observer_ecef_m {observer.shape} and direction_ecef {way.shape} are to be (n, 3) both"
        raise ValueError(msg)
    sigma = np.asarray(table["sigma_rad"], np.float64)
    if sigma.shape not in ((), (len(way),)):
        msg = f"sigma_rad {sigma.shape} is to be one number or ({len(way)},)"
        raise ValueError(msg)
    places = geodesy.sight_places(observer, way, sigma)
    made: dict[str, Any] = dict(zip(_MADE, places.T[:6], strict=True))
    made |= {"sigma_horizontal_m": places[:, 6], "sigma_vertical_m": places[:, 6], "kind": np.full(len(way), KIND_MEASUREMENT)}
    return reports_of({**{name: table[name] for name in table if name not in _GIVEN}, **made}, sensor)
