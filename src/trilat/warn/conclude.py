"""What is said of a flight at one time: state, phase, classes, launch, fan or ellipse, areas, confidence, and why."""

from __future__ import annotations

from math import exp, sqrt
from typing import Any, NamedTuple

import numpy as np

from trilat.kernels import geodesy
from trilat.records.assessment import (
    Assessment,
    AssessmentState,
    Ellipse,
    Fan,
    FlightPhase,
    LandingEstimate,
    LaunchEstimate,
    PathPoint,
)
from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.warn.areas import Layer, touched
from trilat.warn.classes import BY_RANGE, Odds, Shape, classes, launcher_odds, level, normal, shape_of, speed_of
from trilat.warn.flight import Array, FlightFilter
from trilat.warn.landing import PATH_EVERY_S, T_MAX_S, Z_95, GroundEllipse, Landing, energy_lost_m, energy_range_m, predict
from trilat.warn.launch import ON_PATH_M, Launch, Plot, on_path, way_of
from trilat.warn.state import FlightState, StateError, check

NS = 1_000_000_000
LOST_S, LOST_PERIODS = 8.0, 4.0
LOST_HALF_S = 60.0  # confidence in a flight not seen any more halves in so long
PAUSE_S = 8.0  # how long stages pause: after burn-out, the chance that it burns again falls as exp(-(t/PAUSE_S)^2 / 2)
AGAIN_MOST = 0.5
# A launcher's next stage is lit within some ten seconds; one that was not is likelier no launcher. A share is left: of launches
# seen on public webcasts some follow the spent stage.
NEXT_STAGE_S, SPENT_SHARE = 10.0, 0.2
REENTRY_HEIGHT_M = 100_000.0
LOSS_S = 90.0  # after burn-out, till which what the air has taken is followed back: later its errors would grow with re-entry
LEVEL_S = 120.0  # so long the arc says how it flew when first seen
FAN_DEG = 25.0
PUSH_MOST_M_S2 = 80.0  # more than stages give, but in their last seconds
GAIN_M_S, GAIN_SIGMA_M_S = 150.0, 40.0  # so much gain of speed is thrust
PATH_POINTS_MAX = 240
AREAS_OPEN_MAX = 0.5
# A flight not seen for so long, which may be so far from where it is thought to be (unseen, a burn changes by so much).
STRAYS_S, STRAYS_M, STRAYS_M_S2, FOUND_S = 8.0, 5_000.0, 30.0, 3.0
# Of what is lost, or was told before a restart, without a path: for how long, and with what acceleration, it is sought within its
# reach; and how much slower it may be there.
REACH_S, REACH_M_S2, SLOWS_M_S2 = 60.0, 50.0, 15.0
FOUND_BURNT_OUT_S = 10.0  # a burn-out so soon after a flight was found again lies before that: nothing tells when
ESCAPES_M_S = 12_000.0  # faster than this, surely, nothing flies that comes down or goes round
PLOTS_SURE = 6  # of one sensor alone, before it is more than unconfirmed


class Candidate:
    """One flight under watch."""

    def __init__(self, number: int, slot: int, track: int, filters: FlightFilter) -> None:
        self.number, self.slot, self.track, self.filter = number, slot, track, filters
        self.sensors: set[int] = set()
        self.first_ns = 0
        self.seen_ns = 0
        self.detected_ns: int | None = None
        self.told_ns = 0
        self.told_called_ns: int | None = None  # the call of burn-out that was told
        self.sequence = 0
        self.launch: Launch | None = None
        self.first: tuple[Array, Array] | None = None
        self.launcher = 0.0
        self.lost_m = 0.0  # of energy-equivalent range, to the air since burn-out
        self.speed_first_m_s, self.speed_first_sigma_m_s = 0.0, 0.0
        self.level_first = False  # first seen to fly level or nearly so, as what comes out of an orbit does
        self.unseen_s: dict[int, float] = {}
        self.cued = False
        self.pointed: frozenset[str] = frozenset()  # what partners say of it, as far as what is said rests on that
        self.backed = False  # whether sensors of others are behind that
        self.leans = False  # whether its own plots alone never spoke of it yet
        self.landing_ns: int | None = None
        self.last: Assessment | None = None
        self.earlier: Assessment | None = None  # what an earlier run last told of it
        self.steps_ns = 0
        self.found_ns = 0  # when a track was last seen where it is
        self.absurd = False  # nothing flies as its state does: chance put it together

    def take(self, plot: Plot) -> bool:
        """Take a plot when it lies in the gate. What may be anywhere by now takes none, till a track shows where it is."""
        if (self.strays(plot.t_ns) and plot.t_ns - self.found_ns > FOUND_S * NS) or not self.filter.take(plot):
            return False
        self.sensors.add(plot.sensor)
        self.seen_ns = max(self.seen_ns, plot.t_ns)
        self.unseen_s.pop(plot.sensor, None)
        return True

    def strays(self, t_ns: int) -> bool:
        """Tell whether it was not seen for so long that other bodies' plots would lie in its gate."""
        unseen_s = (t_ns - self.seen_ns) / NS
        if unseen_s < STRAYS_S or not self.filter.plots:
            return False
        place, speed, _ = self.filter.spread()
        return bool(place + unseen_s * speed + 0.5 * STRAYS_M_S2 * self.filter.boosting * unseen_s**2 > STRAYS_M)


class Conclusion(NamedTuple):
    """Whose picture it is said in."""

    stream: str
    nation: str
    label: Label
    sensors: tuple[Sensor, ...]
    layer: Layer | None


def conclude(frame: Conclusion, flight: Candidate, now_ns: int, alone: bool) -> Assessment:  # noqa: FBT001 - a fact about the flight
    """Return what is said of a flight now; keeps its landing's time and its burn's kind in the candidate."""
    one = flight.filter
    t_ns, mean, covariance, beta, log_sigma = one.mean_state()
    burns = one.called_ns is None
    speed, sigma = speed_of(mean, covariance)
    flight.absurd = speed - 3.0 * sigma > ESCAPES_M_S
    lat, lon, height = geodesy.ecef_to_geodetic(mean[:3]).tolist()
    basis = geodesy.enu_basis(lat, lon)
    east, north, climb = (basis @ mean[3:]).tolist()
    landing, shape = _arc(flight, mean, covariance, beta, log_sigma, burns=burns)
    since_s = (t_ns - flight.first_ns) / NS
    if flight.earlier is None and since_s < LEVEL_S:  # its first plots alone say little of its climb
        flight.level_first = level(mean, since_s)
    odds = _odds(flight, t_ns, speed_of(mean, covariance), burns=burns)
    by_energy, by_range = classes(shape, odds) if shape is not None else ((), ())
    lost = _lost_since(frame.sensors, flight, now_ns)
    landed = landing is not None and now_ns > t_ns + landing.seconds * NS
    nothing = next((c.probability for c in by_energy if c.name == "not a missile"), 0.0)
    state = _state(flight, alone=alone, nothing=nothing, burns=burns, lost=lost is not None, landed=landed)
    missile = sum(c.probability for c in by_energy if c.name in BY_RANGE)
    spoken = landing if not burns and missile > 1.0 - AREAS_OPEN_MAX and state in ("assessed", "track-lost") else None
    if landing is not None:
        flight.landing_ns = t_ns + round(landing.seconds * NS)
    detected = flight.detected_ns
    if detected is None and state in ("detected", "assessed"):
        detected = now_ns
    return Assessment(
        stream=frame.stream,
        flight=flight.number,
        sequence=flight.sequence,
        t_ns=now_ns,
        label=frame.label,
        pedigree=Pedigree(
            nation=frame.nation, sensors=tuple(sorted({*(frame.sensors[k].id for k in flight.sensors), *flight.pointed}))
        ),
        state=state,
        phase=_phase(height, climb, burns=burns),
        confidence=_confidence(flight, now_ns, lost, nothing, alone=alone),
        boosting=min(max(one.boosting, 0.0), 1.0),
        track=flight.track,
        first_t_ns=flight.first_ns,
        updated_t_ns=flight.seen_ns,
        detected_t_ns=detected,
        burnout_t_ns=one.burnout_ns,
        burnout_called_t_ns=one.called_ns,
        lost_since_ns=lost,
        lat_deg=lat,
        lon_deg=lon,
        alt_m=height,
        speed_m_s=speed,
        heading_deg=float(np.degrees(np.arctan2(east, north)) % 360.0),
        classes=by_energy,
        classes_flown=by_range,
        shape=None if shape is None or burns else shape.shape,
        apogee_m=None if shape is None or burns else _bounded(shape.apogee_m),
        range_m=None if shape is None or burns else shape.range_m,
        energy_range_m=energy_range_m(mean) if shape is None else shape.energy_range_m.mean,
        launch=_launch(flight),
        landing=None if spoken is None else _landing(spoken, t_ns, reliable=not one.manoeuvring and lost is None),
        fan=_fan(mean, lat, lon, east, north) if burns else None,
        areas=() if spoken is None or frame.layer is None else touched(frame.layer, spoken, t_ns),
        path=() if spoken is None else _path(spoken, t_ns),
        reasons=_reasons(flight, alone=alone, burns=burns, lost=lost is not None),
    )


def _arc(
    flight: Candidate, mean: Array, covariance: Array, beta: float, log_sigma: float, *, burns: bool
) -> tuple[Landing | None, Shape | None]:
    """Return landing and shape of the flight's free arc; None where it has none."""
    from trilat.warn.state import Coefficient  # noqa: PLC0415 - beside its use

    try:
        state: FlightState = check(mean, covariance, beta=Coefficient(median=beta, log_sigma=log_sigma))
    except StateError:
        return None, None
    landing = predict(state, 0.0 if burns else T_MAX_S)
    start = None if flight.launch is None else flight.launch.place_m
    if burns or flight.filter.burnout_ns is None:
        flight.lost_m = 0.0
    elif 0.0 < (since_s := (flight.filter.t_ns - flight.filter.burnout_ns) / NS) < LOSS_S:
        flight.lost_m = energy_lost_m(state, since_s)
    return landing, shape_of(state, landing, start, flight.lost_m)


def _odds(flight: Candidate, t_ns: int, speed: tuple[float, float], *, burns: bool) -> Odds:
    """Return what speaks for a launch beside the arc."""
    one = flight.filter
    gain = speed[0] - flight.speed_first_m_s
    if one.burnout_ns is not None:  # what it gained since it was first seen it gained while it burnt
        gain = min(gain, PUSH_MOST_M_S2 * max(0.0, (one.burnout_ns - flight.first_ns) / NS))
    unsure = sqrt(speed[1] ** 2 + flight.speed_first_sigma_m_s**2)  # two sigmas of it may be the first plots' noise
    launched = max(normal((gain - GAIN_M_S - 2.0 * unsure) / GAIN_SIGMA_M_S), 0.95 if flight.launch is not None else 0.0)
    before = flight.earlier is not None and one.burnout_ns == flight.earlier.burnout_t_ns  # its speed then was not kept
    if flight.launch is not None and one.burnout_ns is not None and not before:
        unseen_s = _unseen_s(flight, one.burnout_ns)  # it ended somewhere in there
        burn_s = (one.burnout_ns - flight.launch.t_ns) / NS - 0.5 * unseen_s
        flight.launcher = launcher_odds(one.speed_m_s, burn_s, sqrt(flight.launch.sigma_s**2 + unseen_s**2 / 12.0))
    more, next_stage = 1.0, 1.0
    if not burns and one.burnout_ns is not None:
        since = max(0.0, (t_ns - one.burnout_ns) / NS)
        next_stage = SPENT_SHARE + (1.0 - SPENT_SHARE) * exp(-0.5 * (since / NEXT_STAGE_S) ** 2)
        more = AGAIN_MOST * exp(-0.5 * (since / PAUSE_S) ** 2)
    if launched < 0.5:  # never seen to thrust: what it does is all there is to say
        more = 0.0
    return Odds(launch=launched, more_thrust=more, launcher=flight.launcher, next_stage=next_stage, level=flight.level_first)


def _unseen_s(flight: Candidate, burnout_ns: int) -> float:
    """Return for how long before a burn-out nobody saw the flight: lost while it burnt, and found when it did not."""
    told, found_ns = flight.earlier, flight.filter.plots[0].t_ns
    if told is None or told.burnout_t_ns is not None or burnout_ns > found_ns + FOUND_BURNT_OUT_S * NS:
        return 0.0
    return max(0.0, (burnout_ns - told.updated_t_ns) / NS)


def _lost_since(sensors: tuple[Sensor, ...], flight: Candidate, now_ns: int) -> int | None:
    """Return since when no plot explains the flight, None while one does."""
    period = min((sensors[k].period_s for k in flight.sensors), default=1.0)
    return flight.seen_ns if now_ns - flight.seen_ns > max(LOST_S, LOST_PERIODS * period) * NS else None


def _state(flight: Candidate, *, alone: bool, nothing: float, burns: bool, lost: bool, landed: bool) -> AssessmentState:
    """Return the state that is shown."""
    if nothing > 0.5 or flight.absurd:
        return "dropped"
    if landed:
        return "landed"
    if alone or _unsaid(flight) or (len(flight.sensors) < 2 and not _backed(flight) and len(flight.filter.plots) < PLOTS_SURE):
        return "unconfirmed"
    if lost:
        return "track-lost"
    return "detected" if burns else "assessed"


def _unsaid(flight: Candidate) -> bool:
    """Tell whether nobody says any more what alone made it spoken of."""
    return flight.leans and not flight.pointed


def _backed(flight: Candidate) -> bool:
    """Tell whether others than the plots' sensors speak for it: an infrared observer, or a partner's own."""
    return flight.cued or flight.backed


def _phase(height: float, climb: float, *, burns: bool) -> FlightPhase:
    if burns:
        return "boost"
    return "reentry" if climb < 0.0 and height < REENTRY_HEIGHT_M else "coast"


def _confidence(flight: Candidate, now_ns: int, lost: int | None, nothing: float, *, alone: bool) -> float:
    """Return how sure it is that this is a flight as described: plots, sensors that agree, and how long it is unseen."""
    plots = 1.0 - exp(-len(flight.filter.plots) / 6.0)
    sensors = 0.3 if alone or _unsaid(flight) else 0.7 if len(flight.sensors) < 2 and not _backed(flight) else 0.97
    age = 1.0 if lost is None else 0.5 ** ((now_ns - lost) / NS / LOST_HALF_S)
    return float(min(1.0, max(0.0, plots * sensors * age * (1.0 - nothing))))


def _reasons(flight: Candidate, *, alone: bool, burns: bool, lost: bool) -> tuple[str, ...]:
    told = {
        "one-sensor": len(flight.sensors) < 2,
        "others-do-not-see-it": alone,
        "cue-infrared": flight.cued,
        "cue-partner": bool(flight.pointed),
        "burn-out": not burns,
        "burnt-again": flight.filter.relit > 0,
        "burns-like-a-launcher": flight.launcher > 0.5,
        "manoeuvring": flight.filter.manoeuvring,
        "track-lost": lost,
    }
    return tuple(word for word, holds in told.items() if holds)


def in_sight(sensor: Sensor, place_m: Array) -> bool:
    """Tell whether a sensor's coverage holds a place (ECEF), with a margin of a degree of elevation."""
    rng, _, elevation = geodesy.ecef_to_rae(place_m, sensor.lat_deg, sensor.lon_deg, sensor.alt_m).tolist()
    if not sensor.range_min_m <= rng <= 0.95 * sensor.range_max_m:
        return False
    high = float(geodesy.ecef_to_geodetic(place_m)[2])
    return bool(sensor.elevation_min_rad + 0.0175 <= elevation <= sensor.elevation_max_rad and high <= sensor.alt_max_m)


def _bounded(height_m: float) -> float:
    return float(min(max(height_m, -12_000.0), 1e8))


def _ellipse(found: GroundEllipse) -> Ellipse:
    major, minor = (min(max(one, 0.0), 1e8) for one in found.semi_m)
    return Ellipse(semi_major_m=major, semi_minor_m=minor, bearing_deg=found.bearing_deg % 360.0)


def _launch(flight: Candidate) -> LaunchEstimate | None:
    one = flight.launch
    if one is None:
        return None
    return LaunchEstimate(
        lat_deg=one.lat_deg, lon_deg=one.lon_deg, t_ns=one.t_ns, sigma_s=one.sigma_s, ellipse95=_ellipse(one.ellipse95)
    )


def _landing(found: Landing, t_ns: int, *, reliable: bool) -> LandingEstimate:
    reach = Z_95 * float(np.sqrt(found.covariance[2, 2]))
    return LandingEstimate(
        lat_deg=found.lat_deg,
        lon_deg=found.lon_deg,
        t_ns=t_ns + round(found.seconds * NS),
        t_from_ns=t_ns + round((found.seconds - reach) * NS),
        t_to_ns=t_ns + round((found.seconds + reach) * NS),
        ellipse50=_ellipse(found.ellipse50),
        ellipse95=_ellipse(found.ellipse95),
        reliable=reliable,
    )


def _fan(mean: Array, lat: float, lon: float, east: float, north: float) -> Fan:
    """Return the sector it may come down in while it burns: from here on if it stopped now, to the farthest there is."""
    bearing = float(np.degrees(np.arctan2(east, north)))
    near = energy_range_m(mean)
    # Straight up there is no direction yet: the fan opens all round.
    flat = float(np.hypot(east, north)) / max(float(np.linalg.norm(mean[3:])), 1.0)
    half = min(179.0, FAN_DEG / max(flat, 0.15))
    return Fan(
        lat_deg=lat,
        lon_deg=lon,
        bearing_from_deg=(bearing - half) % 360.0,
        bearing_to_deg=(bearing + half) % 360.0,
        range_from_m=0.5 * near,
        range_to_m=max(2.0e6, min(2.0e7, 4.0 * near)),
    )


def _path(found: Landing, t_ns: int) -> tuple[PathPoint, ...]:
    path: Any = found.flight.path[:, :3]
    every = max(1, int(np.ceil(len(path) / PATH_POINTS_MAX)))
    place = geodesy.ecef_to_geodetic(path[::every]) if len(path) else np.empty((0, 3))
    return tuple(
        PathPoint(
            t_ns=t_ns + round(k * every * PATH_EVERY_S * NS), lat_deg=float(one[0]), lon_deg=float(one[1]), alt_m=_bounded(one[2])
        )
        for k, one in enumerate(place)
    )


def doubt_of(covariance: Array) -> float:
    """Return four sigmas of a place, m. Values at the edge of what a feed may say can round below zero."""
    return 4.0 * float(np.sqrt(max(np.trace(covariance[:3, :3]), 0.0)))


def launch_told(told: LaunchEstimate) -> Launch:
    """Return the launch that an earlier run told."""
    semi_m = (told.ellipse95.semi_major_m, told.ellipse95.semi_minor_m)
    place = geodesy.geodetic_to_ecef(told.lat_deg, told.lon_deg, 0.0)
    ellipse = GroundEllipse(semi_m, told.ellipse95.bearing_deg)
    return Launch(told.lat_deg, told.lon_deg, told.t_ns, told.sigma_s, ellipse, place)


def goes_on(told: Assessment, t_ns: int, mean: Array, covariance: Array) -> bool:
    """Tell whether a flight that was told of and is lost may be at a state (6,) now: on its path, or within its reach."""
    doubt_m = doubt_of(covariance)
    seconds = (t_ns - told.updated_t_ns) / NS
    if seconds < -1.0:
        return False
    if (path := way_of(told.path)) is not None:
        return on_path(path, told.landing.ellipse95.semi_major_m if told.landing else 0.0, t_ns, mean[:3], doubt_m)
    reach = ON_PATH_M + seconds * (told.speed_m_s + 0.5 * REACH_M_S2 * seconds)
    place = geodesy.geodetic_to_ecef(told.lat_deg, told.lon_deg, told.alt_m)
    speed, sigma = speed_of(mean, covariance)
    slower = speed + 4.0 * sigma < told.speed_m_s - SLOWS_M_S2 * seconds  # what burns does not: it is another one
    return seconds < REACH_S and not slower and bool(np.linalg.norm(mean[:3] - place) < reach + doubt_m)
