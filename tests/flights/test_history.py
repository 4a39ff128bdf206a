"""Public flights, flown generically again: what would have been said of them is right."""

from __future__ import annotations

import msgspec
import pytest
from click.testing import CliRunner

from trilat.cli.exercise import command, lines
from trilat.flights.flight import Wanted, generic_flight
from trilat.flights.history import of_flight, tell
from trilat.flights.public import PublicFlight, public_flights

STATED = tuple(one for one in public_flights() if one.source == "statements")
# Two in each run of the tests, one of each kind; the others in the long proofs.
SHORT = ("2017-08-29", "2022-11-18")


def judge(public: PublicFlight) -> None:
    """Fly it and hold what is said a minute after burn-out against what it was."""
    told = tell(public)
    assert "" == told.why_not
    assert told.judged is not None
    one = told.judged
    assert one.true_by_energy == one.class_by_energy, one
    assert one.class_by_range in one.true_by_range, one
    assert len(one.true_by_range) == 1 or 990.0 < public.range_km < 1_010.0, one
    assert one.right
    assert ("lofted" if public.apogee_km > public.range_km else "normal") == one.shape, one
    assert told.first_plot_s is not None
    assert told.detected_s is not None
    assert told.burnout_called_s is not None
    assert told.first_plot_s < told.detected_s < told.burnout_s < told.burnout_called_s
    assert one.landing_error_m is not None
    assert one.ellipse95_semi_axes_m is not None
    assert one.landing_error_m < 3.0 * one.ellipse95_semi_axes_m[0], one
    if public.minutes is not None:
        assert abs(told.flight_s / 60.0 - public.minutes) < 10.0


@pytest.mark.parametrize("public", [one for one in STATED if one.date in SHORT], ids=lambda one: one.date)
def test_a_flight_of_each_kind_gets_its_class(public: PublicFlight) -> None:
    """A minute after burn-out a flight over Japan and a lofted one have the right classes, and the lofted one is named so."""
    judge(public)


@pytest.mark.soak
@pytest.mark.parametrize("public", [one for one in STATED if one.date not in SHORT], ids=lambda one: one.date)
def test_the_other_stated_flights_get_their_class(public: PublicFlight) -> None:
    """So do the other eight flights of the public statements."""
    judge(public)


def test_the_facts_are_those_of_the_sources() -> None:
    """Ten flights of statements and 98 rows of the table are shipped, five of which launched satellites; all is plausible."""
    every = public_flights()
    assert (10, 98, 5) == (
        len(STATED),
        sum(one.source == "nk-missile-tests" for one in every),
        sum(one.launcher for one in every),
    )
    assert all(37.0 < one.lat_deg < 42.0 and 124.0 < one.lon_deg < 130.5 for one in every)
    assert all(20.0 <= one.apogee_km <= 7_000.0 and 50.0 <= one.range_km <= 5_000.0 for one in every)


def test_a_launcher_of_satellites_is_not_flown() -> None:
    """A row that launched a satellite is told with its reason, and nothing is invented for it."""
    launcher = next(one for one in public_flights() if one.launcher)
    assert "satellite" in tell(launcher).why_not


def test_the_command_lists_facts() -> None:
    """`trilat exercise history --list` prints the ten flights and says that sensors and thrust are generic; --date chooses."""
    done = CliRunner().invoke(command, ["history", "--list"])
    assert 0 == done.exit_code, done.output
    assert "EXERCISE" in done.output
    assert "generic" in done.output
    assert 10 == sum("(statements)" in line for line in done.output.splitlines())
    chosen = CliRunner().invoke(command, ["history", "--list", "--json", "--date", "2023-12-17"])
    rows = [msgspec.json.decode(line) for line in chosen.output.splitlines()]
    assert {(570.0, 50.0), (1002.0, 6518.0)} == {(r["public"]["range_km"], r["public"]["apogee_km"]) for r in rows}
    assert all(r["generic"] is True for r in rows)


def test_an_unknown_date_is_refused() -> None:
    """A date without a shipped flight is refused with the way to find one."""
    done = CliRunner().invoke(command, ["history", "--date", "2001-01-01"])
    assert 2 == done.exit_code
    assert "--all --list" in done.output


def test_a_burn_out_that_was_taken_back_is_told() -> None:
    """Of a flight whose stages pause for ten seconds it is told, in the order of time, that a call was taken back."""
    flight = generic_flight(Wanted(39.2, 125.7, 80.0, 2_500e3, 800e3), gap_s=10.0)
    told = of_flight(flight, None, 3)
    assert told.taken_back_s is not None
    assert told.burnout_called_s is not None
    assert flight.stages[1, 0] < told.taken_back_s < flight.burnout_s < told.burnout_called_s
    shown = lines(told, STATED[0])
    back = next(k for k, line in enumerate(shown) if "it burns again" in line)
    assert "burn-out called" in shown[back + 1]
