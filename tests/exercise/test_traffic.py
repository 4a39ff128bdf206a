"""The invented traffic: a pure function of scenario and time, with physical motion."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trilat.errors import ExerciseError
from trilat.exercise import scenario, traffic
from trilat.kernels import geodesy

STRAITS = scenario.load("straits")
TRAFFIC = traffic.Traffic(STRAITS)
TWO_M_S = 2.0


def test_shipped_scenario_names_each_sensor_once_and_withholds_one_per_nation() -> None:
    """Sensors are named once, and every nation has at least one that some partner does not get."""
    ids = [sensor.id for sensor in STRAITS.sensor]
    nations = scenario.nations(STRAITS)

    assert len(set(ids)) == len(ids)
    for nation in nations:
        partners = set(nations) - {nation}
        assert any(partners - set(sensor.rel_to) for sensor in STRAITS.sensor if sensor.nation == nation)


def test_same_seed_gives_the_same_traffic() -> None:
    """Two worlds of one scenario agree to the last bit."""
    again = traffic.Traffic(STRAITS).at(123.4)

    np.testing.assert_array_equal(TRAFFIC.at(123.4).position_m, again.position_m)


@settings(max_examples=25, deadline=None)
@example(t_s=33_112.0)  # a patrol's sharp corner, where one that kept far outside flew 537 m/s
@given(t_s=st.floats(0.0, 90_000.0))
def test_motion_is_physical(t_s: float) -> None:
    """At any time everyone keeps about the corridor's speed and a flyable height, and ships keep to the sea's surface."""
    movers = TRAFFIC.at(t_s)
    speed = np.linalg.norm(movers.velocity_m_s, axis=1)
    low = min(corridor.speed_m_s[0] for corridor in STRAITS.corridor if corridor.domain == "air")

    assert np.all(speed <= 300.0)
    # An offset to the inside of a bend is flown slower than the corridor's middle.
    assert np.all((speed[~movers.sea] >= 0.5 * low) | (speed[~movers.sea] == 0.0))
    assert np.all(np.abs(movers.geodetic[movers.sea, 2]) < 5.0)
    assert np.all(movers.geodetic[~movers.sea, 2] > 1_000.0)


def test_turns_are_gentle() -> None:
    """No aircraft turns faster than six degrees a second, so that trackers meet what aircraft do."""
    one, two = TRAFFIC.at(600.0), TRAFFIC.at(601.0)
    same = (one.identity == two.identity) & ~one.sea
    a, b = one.velocity_m_s[same], two.velocity_m_s[same]
    cosine = np.sum(a * b, axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))

    assert np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).max() < 6.0


def test_identities_are_unique_at_a_time() -> None:
    """No two movers share an identity at one time."""
    identity = TRAFFIC.at(4_000.0).identity

    assert len(np.unique(identity)) == len(identity)


def test_traffic_stays_in_the_region() -> None:
    """Everyone stays between 20 and 40 north, 118 and 140 east, for a day."""
    for t_s in range(0, 86_400, 7_200):
        places = geodesy.ecef_to_geodetic(TRAFFIC.at(float(t_s)).position_m)
        assert np.all((places[:, 0] > 20) & (places[:, 0] < 40) & (places[:, 1] > 118) & (places[:, 1] < 140))


def test_unknown_scenario_is_a_named_error() -> None:
    """A scenario that is not there is refused by name."""
    with pytest.raises(ExerciseError, match="TRI-0701"):
        scenario.load("no-such-scenario")
