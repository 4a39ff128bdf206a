"""`trilat warn`: landing area of a state, and the areas under it, from a file: what the warning stage computes, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trilat.cli.frame import Group

if TYPE_CHECKING:
    from trilat.warn.landing import Landing
    from trilat.warn.state import FlightState


PLACE_KEYS = (
    "landing_ecef_m", "landing_lat_deg", "landing_lon_deg", "time_to_landing_s", "time_to_apogee_s", "speed_at_landing_m_s",
    "range_m",
)  # fmt: skip
SPREAD_KEYS = (
    "mean_landing_lat_deg", "mean_landing_lon_deg", "ellipse50_semi_axes_m", "ellipse50_bearing_deg", "ellipse95_semi_axes_m",
    "ellipse95_bearing_deg", "time_to_landing_95_s", "share_of_sigma_flights_down",
)  # fmt: skip


@click.group(cls=Group)
def command() -> None:
    """Say where a flight comes down, and who is under it."""


@command.command()
@click.argument("state", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def landing(state: Path, *, as_json: bool) -> None:
    """Print apogee, landing point, time, ellipses and class of the flight whose state the file STATE holds.

    STATE is JSON: {"frame": "ecef", "position_m": [x,y,z], "velocity_m_s": [x,y,z]} in the Earth-fixed rotating frame, or
    {"frame": "geodetic", "lat_deg": .., "lon_deg": .., "alt_m": .., "velocity_enu_m_s": [e,n,u]}; further, each optional:
    "covariance" (6 x 6), "drag" (true), "ballistic_coefficient_kg_m2" {"median", "log_sigma"}, "ground_height_m".
    """
    import msgspec

    from trilat.warn.state import decode_state

    found = landing_of(decode_state(state.read_bytes()))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for line in lines(found):
        click.echo(line)


def landing_of(state: FlightState) -> dict[str, Any]:
    """Return everything `trilat warn landing` tells of a state; the keys of its JSON."""
    from trilat.warn.classes import classes, shape_of
    from trilat.warn.landing import energy_range_m, ground_range_m, predict

    found = predict(state)
    shape = shape_of(state, found)
    by_energy, by_range = classes(shape)
    out: dict[str, Any] = {
        "lands": found is not None,
        "apogee_m": shape.apogee_m,
        "class": by_energy[0].name,
        "class_probabilities": {one.name: round(one.probability, 6) for one in by_energy},
        "class_flown": by_range[0].name,
        "class_flown_probabilities": {one.name: round(one.probability, 6) for one in by_range},
        "shape": shape.shape,
        "energy_range_m": energy_range_m(state.mean),
        "range_flown_m": shape.range_m,
        "drag": state.coefficient_kg_m2 > 0.0,
        "covariance_given": state.known,
    }
    if found is None:  # every key all the same: what reads it need not ask first
        return out | dict.fromkeys((*PLACE_KEYS, *SPREAD_KEYS))
    out |= _place(found) | {"range_m": ground_range_m(state.mean[:3], found.place_m)}
    return out | dict.fromkeys(SPREAD_KEYS) | _spread(found, state)


def _place(found: Landing) -> dict[str, Any]:
    """Return place and time of a landing."""
    flight = found.flight
    return {
        "landing_ecef_m": flight.place_m.tolist(),
        "landing_lat_deg": _geodetic(flight.place_m)[0],
        "landing_lon_deg": _geodetic(flight.place_m)[1],
        "time_to_landing_s": flight.seconds,
        "time_to_apogee_s": flight.apogee_s,
        "speed_at_landing_m_s": float((flight.velocity_m_s**2).sum() ** 0.5),
    }


def _geodetic(place_m: Any) -> Any:
    from trilat.kernels import geodesy

    return geodesy.ecef_to_geodetic(place_m).tolist()


def _spread(found: Landing, state: FlightState) -> dict[str, Any]:
    """Return the ellipses and the time's interval; nothing where nothing was said of how sure the state is."""
    if not state.known and state.log_sigma == 0.0:
        return {}
    reach = 1.959963984540054 * float(found.covariance[2, 2]) ** 0.5
    return {
        "mean_landing_lat_deg": found.lat_deg,
        "mean_landing_lon_deg": found.lon_deg,
        "ellipse50_semi_axes_m": list(found.ellipse50.semi_m),
        "ellipse50_bearing_deg": found.ellipse50.bearing_deg,
        "ellipse95_semi_axes_m": list(found.ellipse95.semi_m),
        "ellipse95_bearing_deg": found.ellipse95.bearing_deg,
        "time_to_landing_95_s": [found.seconds - reach, found.seconds + reach],
        "share_of_sigma_flights_down": found.share_down,
    }


def lines(found: dict[str, Any]) -> list[str]:
    """Return what is told of a landing, for people."""
    out = [f"class        {found['class']} (by energy), {found['class_flown']} (by range), {found['shape'] or 'shape unknown'}"]
    out.append(f"apogee       {found['apogee_m'] / 1e3:,.1f} km")
    if not found["lands"]:
        return [*out, "landing      none within three hours: it orbits"]
    lat, lon = found["landing_lat_deg"], found["landing_lon_deg"]
    out.append(f"landing      {abs(lat):.4f} {'N' if lat >= 0 else 'S'} {abs(lon):.4f} {'E' if lon >= 0 else 'W'}")
    out.append(f"in           {found['time_to_landing_s']:,.1f} s")
    out.append(f"range        {found['range_m'] / 1e3:,.1f} km from under the state")
    if found["range_flown_m"] is not None:
        out.append(f"range flown  {found['range_flown_m'] / 1e3:,.1f} km from where the arc left the ground")
    for share in (50, 95):
        axes = found.get(f"ellipse{share}_semi_axes_m")
        if axes:
            bearing = found[f"ellipse{share}_bearing_deg"]
            out.append(f"{share} % within  {axes[0] / 1e3:,.2f} x {axes[1] / 1e3:,.2f} km, long axis at {bearing:.0f} degrees")
    if found.get("ellipse95_semi_axes_m") and not found["covariance_given"]:
        out.append("             these are of the drag alone: how sure the state is was not given")
    return out


@command.command()
@click.argument("state", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--layer", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="GeoJSON areas to use for ours.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def areas(state: Path, layer: Path | None, *, as_json: bool) -> None:
    """Print the areas that the flight of STATE may come down in or passes over, with probability and seconds from now."""
    import msgspec

    from trilat.warn.areas import decode_layer, shipped_layer, touched
    from trilat.warn.landing import T_MAX_S, predict
    from trilat.warn.state import decode_state

    found = predict(decode_state(state.read_bytes()), T_MAX_S)
    used = shipped_layer() if layer is None else decode_layer(layer.read_bytes())
    under = () if found is None else touched(used, found, 0)
    if as_json:
        click.echo(msgspec.json.encode(under).decode())
        return
    for one in under:
        when = f"{one.t_from_ns / 1e9:,.0f} to {one.t_to_ns / 1e9:,.0f} s"
        click.echo(f"{one.touch:<10} {one.probability:6.1%}  {when:>16}  {one.id:<12} {one.name_en} {one.name_ja} {one.name_ko}")
    if not under:
        click.echo("none")
