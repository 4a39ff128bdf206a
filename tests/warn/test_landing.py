"""Landing areas: states that can be flown, ellipses that hold what they claim, areas under them, classes of public flights."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from trilat.cli.warn import command
from trilat.kernels import ballistic, geodesy
from trilat.kernels.frames import earth
from trilat.warn.areas import AreasError, decode_layer, landing_areas, shipped_layer, touched
from trilat.warn.classes import ORBIT_M, Shape, Spread, classes, loft, of_range, shape_of
from trilat.warn.landing import RADIUS2_95, FlightState, energy_range_m, perigee_m, predict
from trilat.warn.state import StateError, decode_state

SPREAD = np.diag([300.0**2] * 3 + [8.0**2] * 3)


def given(**other: object) -> dict[str, object]:
    """Return a state in geodetic form, with changes."""
    base = {"frame": "geodetic", "lat_deg": 40.0, "lon_deg": 128.0, "alt_m": 120_000.0, "velocity_enu_m_s": [2_000, 500, 2_500]}
    return {key: value for key, value in {**base, "covariance": SPREAD.tolist(), **other}.items() if value is not None}


def state(**other: object) -> FlightState:
    """Return that state, decoded."""
    return decode_state(msgspec.json.encode(given(**other)))


ECEF = {"frame": "ecef", "position_m": [-3.0e6, 3.9e6, 4.2e6], "velocity_m_s": [1_000.0, 2_000.0, 1_000.0]}
BAD = [
    (b'{"frame":"ecef","position_m":[NaN,0,0],"velocity_m_s":[0,0,0]}', "state-not-finite"),
    (b'{"frame":"ecef"}', "state-unreadable"),
    (b"[" * 100_000, "state-unreadable"),
    (msgspec.json.encode({**ECEF, "position_m": [6e6, 0, 0]}), "state-inside-earth"),
    (msgspec.json.encode({**ECEF, "position_m": [0, 0, 0]}), "state-inside-earth"),
    (msgspec.json.encode({**ECEF, "velocity_m_s": [9e3, 9e3, 0]}), "state-hyperbolic"),
    (msgspec.json.encode(given(covariance=(-SPREAD).tolist())), "covariance-not-positive"),
    (msgspec.json.encode(given(covariance=[[1.0, 2.0], [2.0, 1.0]])), "covariance-not-positive"),
    (
        msgspec.json.encode(given(covariance=(SPREAD + np.triu(SPREAD.max() * np.ones((6, 6)), 1)).tolist())),
        "covariance-not-positive",
    ),
    (msgspec.json.encode(given(ballistic_coefficient_kg_m2={"median": -5.0, "log_sigma": 0.1})), "coefficient-absurd"),
    (msgspec.json.encode(given(ballistic_coefficient_kg_m2={"median": 5e3, "log_sigma": 90.0})), "coefficient-absurd"),
]


@pytest.mark.parametrize(("data", "name"), BAD)
def test_states_that_cannot_be_are_refused_by_name(data: bytes, name: str) -> None:
    """A state that no flight can have is refused with the name of what is wrong."""
    with pytest.raises(StateError) as caught:
        decode_state(data)
    assert caught.value.name == name


def test_the_command_prints_the_keys(tmp_path: Path) -> None:
    """The command's JSON has the keys that the issue lists, and both forms of a state give the same landing."""
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    one.write_bytes(msgspec.json.encode(given(covariance=None)))
    ecef = state(covariance=None).mean.tolist()
    other.write_bytes(msgspec.json.encode({"frame": "ecef", "position_m": ecef[:3], "velocity_m_s": ecef[3:]}))
    told = [msgspec.json.decode(CliRunner().invoke(command, ["landing", str(f), "--json"]).output) for f in (one, other)]
    wanted = {"landing_ecef_m", "landing_lat_deg", "landing_lon_deg", "time_to_landing_s", "apogee_m", "range_m"}
    assert wanted | {"ellipse95_semi_axes_m", "ellipse95_bearing_deg", "class"} <= set(told[0])
    assert np.allclose(told[0]["landing_ecef_m"], told[1]["landing_ecef_m"], atol=1e-3)


WANTED = {"landing_ecef_m", "landing_lat_deg", "landing_lon_deg", "time_to_landing_s", "apogee_m", "range_m"}
WANTED |= {"ellipse95_semi_axes_m", "ellipse95_bearing_deg", "class"}
PRIORS = (None, {"median": 2_000.0, "log_sigma": 0.3}, {"median": 2_000.0}, {"log_sigma": 0.0})


def told_of(directory: Path, content: object, *options: str) -> str:
    path = directory / "state.json"
    path.write_bytes(msgspec.json.encode(content))
    return CliRunner().invoke(command, ["landing", str(path), *options]).output


@pytest.mark.parametrize("frame", ["geodetic", "ecef"])
@pytest.mark.parametrize("covariance", [None, SPREAD.tolist()])
@pytest.mark.parametrize("drag", [None, True, False])
def test_every_form_of_a_state_gives_every_key(tmp_path: Path, frame: str, covariance: object, drag: bool | None) -> None:  # noqa: FBT001
    """Both frames, with and without covariance, drag and coefficient: every key, an ellipse where there is a doubt to draw."""
    mean = state().mean.tolist()
    ecef = {"frame": "ecef", "position_m": mean[:3], "velocity_m_s": mean[3:]}
    for prior in PRIORS:
        content = given(covariance=covariance) if frame == "geodetic" else {**ecef, "covariance": covariance}
        content |= {"drag": drag} if drag is not None else {}
        content |= {"ballistic_coefficient_kg_m2": prior} if prior else {}
        told = msgspec.json.decode(told_of(tmp_path, content, "--json"))
        assert WANTED <= set(told)
        doubt = covariance is not None or (drag is not False and prior != {"log_sigma": 0.0})
        assert (told["ellipse95_semi_axes_m"] is not None) == doubt
        assert told["covariance_given"] == (covariance is not None)


def test_what_does_not_come_down_has_the_keys_too(tmp_path: Path) -> None:
    """A satellite's state gives every key, null where there is nothing to say, and `lands` false."""
    told = msgspec.json.decode(told_of(tmp_path, given(alt_m=400_000.0, velocity_enu_m_s=[5_000, 5_900, 0]), "--json"))
    assert not told["lands"]
    assert WANTED <= set(told)
    assert told["landing_ecef_m"] is None
    assert "it orbits" in told_of(tmp_path, given(alt_m=400_000.0, velocity_enu_m_s=[5_000, 5_900, 0]))


def test_an_ellipse_of_the_drag_alone_is_said_to_be_one(tmp_path: Path) -> None:
    """Without a covariance the ellipse holds what is not known of the drag alone: people are told, who might think it is exact."""
    assert "drag alone" in told_of(tmp_path, given(covariance=None))
    assert "drag alone" not in told_of(tmp_path, given())


def test_a_state_under_its_ground_is_refused_and_one_on_it_is_down() -> None:
    """What lies under the height of its ground is inside the Earth; rounding at the ground itself is not."""
    for lat in range(-80, 81, 10):
        on = state(lat_deg=lat, alt_m=0.0, velocity_enu_m_s=[0, 0, 0])
        found = predict(on)
        assert found is not None
        assert found.flight.seconds < 0.1
    with pytest.raises(StateError) as caught:
        state(alt_m=-2.0, velocity_enu_m_s=[0, 0, 0])
    assert caught.value.name == "state-inside-earth"
    low = state(alt_m=-400.0, ground_height_m=-430.0, velocity_enu_m_s=[0, 0, 0])
    assert predict(low) is not None


def test_ellipse_holds_what_it_claims() -> None:
    """Of true landings drawn from the state and the coefficient's prior, 93 to 97 % lie in the 95 % ellipse."""
    seed, n = 11, 4_000
    rng = np.random.default_rng(seed)
    one = state()
    found = predict(one)
    assert found is not None
    states = one.mean + rng.standard_normal((n, 6)) @ np.linalg.cholesky(one.covariance).T
    per = 1 / (one.coefficient_kg_m2 * np.exp(one.log_sigma * rng.standard_normal(n)))
    out = np.empty((n, ballistic.RESULT_COLUMNS))
    ballistic.fly_many(earth("wgs84"), states, per, 0.0, 9_000.0, 1.0, 1.0, np.empty((n, 0, 6)), out)
    offset = ((out[:, 2:5] - found.place_m) @ geodesy.enu_basis(found.lat_deg, found.lon_deg).T)[:, :2]
    inside = (offset @ np.linalg.inv(found.covariance[:2, :2]) * offset).sum(axis=1) <= RADIUS2_95
    assert 0.93 <= inside.mean() <= 0.97, (seed, inside.mean())


def test_energy_range_of_a_lofted_flight() -> None:
    """The lofted flight of 2017-07-04 (930 km, 2,800 km high) could have reached what was said of it: 5,500 to 7,000 km."""
    top = np.array([6_371e3 + 2_800e3, 0.0, 0.0, 0.0, 300.0, 0.0])
    assert 5.3e6 < energy_range_m(top) < 7.0e6
    assert loft(2_800e3, 930e3) == "lofted"
    assert loft(550e3, 2_700e3) == "normal"
    assert loft(50e3, 800e3) == "depressed"
    assert of_range(Spread(2_000e3, 50e3))[1] > 0.99


@pytest.mark.parametrize(("sigmas", "named"), [(-1.0, False), (0.0, False), (1.0, False), (1.2, False), (1.4, True), (3.0, True)])
def test_a_space_launch_is_named_once_it_is_sure(sigmas: float, named: bool) -> None:  # noqa: FBT001 - a case
    """What is not yet 90 % a space launch is a launch without a class, or what else is likelier, and never a less sure one."""
    perigee = Spread(ORBIT_M + sigmas * 10_000.0, 10_000.0)
    both = classes(Shape(300e3, None, Spread(15_000e3, 100e3), perigee, None, None))
    for one in both:
        chance = {c.name: c.probability for c in one}
        assert abs(sum(chance.values()) - 1.0) < 1e-9
        assert (one[0].name == "space launch") == named
        assert chance["space launch"] == 0.0 or chance["space launch"] >= 0.9
        assert [c.probability for c in one] == sorted((c.probability for c in one), reverse=True)


@pytest.mark.parametrize(
    ("alt_m", "east_m_s", "up_m_s", "name"),
    [(0.0, 0.0, 0.0, "not a missile"), (10_000.0, 250.0, 0.0, "not a missile"), (30_000.0, 700.0, 300.0, "SRBM")],
)
def test_what_has_no_missiles_energy_is_none(alt_m: float, east_m_s: float, up_m_s: float, name: str) -> None:
    """A body at rest on the ground and an airliner, taken as falling free, are not called missiles; a short flight still is."""
    given = state(alt_m=alt_m, velocity_enu_m_s=[east_m_s, 0.0, up_m_s], covariance=None)
    both = classes(shape_of(given, predict(given)))
    assert [name, name] == [one[0].name for one in both]


def test_orbits_do_not_land() -> None:
    """A satellite's state has a high perigee and no landing within three hours."""
    orbit = state(alt_m=400e3, velocity_enu_m_s=[7_300.0, 0.0, 0.0], covariance=None)
    assert perigee_m(orbit.mean) > 200e3
    assert predict(orbit) is None


def test_the_layer_that_ships() -> None:
    """47 prefectures, 17 provinces and cities, 51 states and Guam are in the shipped layer, each named in three languages."""
    layer = shipped_layer()
    count = {
        kind: sum(1 for a in layer.areas if (a.nation, a.kind) == kind) for kind in {(a.nation, a.kind) for a in layer.areas}
    }
    assert (count["JPN", "prefecture"], count["KOR", "province"], count["USA", "state"]) == (47, 17, 51)
    assert {"US-GU", "SEA-EAST", "FIR-RJJJ"} <= {a.id for a in layer.areas}
    assert all(a.name_en and a.name_ja and a.name_ko for a in layer.areas)


def test_who_is_under_a_landing() -> None:
    """A landing put on Sapporo touches Hokkaido nearly surely, and the path's overflight is told apart from it."""
    found = predict(state(), 3_000.0)
    assert found is not None
    place = geodesy.geodetic_to_ecef(43.06, 141.35, 0.0)
    there = found._replace(lat_deg=43.06, lon_deg=141.35, place_m=place)
    hit = {one.id: one for one in landing_areas(shipped_layer(), there, 0)}
    assert hit["JP-01"].probability > 0.95
    assert hit["JP-01"].t_from_ns < there.seconds * 1e9 < hit["JP-01"].t_to_ns
    assert "JP-13" not in hit
    assert {one.touch for one in touched(shipped_layer(), found, 0)} == {"landing", "overflight"}


def test_probability_of_halves() -> None:
    """An area that is one side of a meridian through the landing has half the probability, and its neighbour the other half."""
    found = predict(state())
    assert found is not None
    lon = found.lon_deg
    shapes = [
        ("W", [[lon - 20, 0], [lon, 0], [lon, 80], [lon - 20, 80]]),
        ("E", [[lon, 0], [lon + 20, 0], [lon + 20, 80], [lon, 80]]),
    ]
    layer = decode_layer(msgspec.json.encode({"features": [feature(name, ring) for name, ring in shapes]}))
    share = {one.id: one.probability for one in landing_areas(layer, found, 0)}
    assert abs(share["W"] - 0.5) < 0.02
    assert abs(share["W"] + share["E"] - 1.0) < 1e-9


def feature(name: str, ring: list[list[float]]) -> dict[str, object]:
    """Return one area of one ring."""
    return {"properties": {"id": name}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[",
        b'{"features":[]}',
        msgspec.json.encode({"features": [feature("A", [[0, 0], [1, 1]])]}),
        msgspec.json.encode({"features": [feature("A", [[179, 0], [-179, 0], [-179, 1]])]}),
    ],
)
def test_layers_that_cannot_be_used_are_refused(data: bytes) -> None:
    """A layer without areas, with broken rings or across the date line is refused by name."""
    with pytest.raises(AreasError) as caught:
        decode_layer(data)
    assert caught.value.name == "areas-unreadable"
