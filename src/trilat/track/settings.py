"""Settings of a tracker, and the one parameter set per domain behind them.

The numbers of `MODELS` and `LIVES` were chosen on development seeds of the benchmark scenarios and are not tuned per file;
docs/explanation/tracking.md says what each does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct

from trilat.records.faults import fault_of

Domain = Literal["air", "sea", "missile"]
AirMode = Literal["cv-low", "cv-high", "climb", "turn"]
SETS: tuple[Domain, ...] = ("air", "sea", "missile")  # in the kernels' order


class Mode(NamedTuple):
    """One motion mode of a model set. noise: what the model's own docstring in kernels/motion.py calls noise (up to 3 numbers).

    For cv and turn: horizontal and vertical acceleration noise m2/s3, then turn-rate noise rad2/s3. For boost: thrust noise
    m2/s5, acceleration noise m2/s3. For coast and reentry: acceleration noise m2/s3, 0, log ballistic coefficient noise 1/s.
    """

    model: Literal["cv", "turn", "boost", "coast", "reentry"]
    noise: tuple[float, ...]
    stay_s: float
    start: float
    share: tuple[float, ...]


# What an aircraft may be taken to do (`TrackerSettings.air_modes`), in the order in which a set has them. Who leaves a mode goes
# to the others of the set in proportion to their `start`.
AIR_MODES: dict[AirMode, Mode] = {
    "cv-low": Mode("cv", (0.1, 0.2), 80.0, 0.7, ()),
    "cv-high": Mode("cv", (4.0, 2.0), 40.0, 0.15, ()),
    "climb": Mode("cv", (0.1, 5.0), 30.0, 0.1, ()),  # as straight as cv-low in plan
    "turn": Mode("turn", (12.0, 3.0, 1e-4), 30.0, 0.3, ()),
}
AIR_MODES_MAX = 3  # as many as a row of the bank has room for (kernels/bank.py MODES)


def air_set(names: Sequence[AirMode]) -> tuple[Mode, ...]:
    """Return the modes of a set by their names, in the order of AIR_MODES whatever theirs."""
    chosen = [mode for name, mode in AIR_MODES.items() if name in names]
    total = sum(mode.start for mode in chosen)
    out = []
    for mode in chosen:
        others = sum(one.start for one in chosen if one is not mode)
        share = tuple(0.0 if one is mode else one.start / others for one in chosen)
        out.append(mode._replace(start=mode.start / total, share=share))
    return tuple(out)


# Per domain: sigmas of a new track (velocity m/s, thrust m/s2, turn rate rad/s, log ballistic coefficient) and its modes.
MODELS: dict[Domain, tuple[tuple[float, float, float, float], tuple[Mode, ...]]] = {
    "air": (
        (200.0, 0.0, 0.04, 0.0),
        air_set(("cv-low", "turn")),
    ),
    "sea": (
        (8.0, 0.0, 0.0, 0.0),
        (
            Mode("cv", (2e-4, 1e-6), 600.0, 0.7, (0.0, 1.0)),
            Mode("cv", (2e-2, 1e-6), 120.0, 0.3, (1.0, 0.0)),
        ),
    ),
    "missile": (
        (2_000.0, 30.0, 0.0, 0.5),
        (
            Mode("boost", (2.0, 0.0), 50.0, 0.5, (0.0, 0.98, 0.02)),
            Mode("coast", (1e-3,), 2_000.0, 0.4, (0.1, 0.0, 0.9)),
            Mode("reentry", (0.5, 0.0, 1e-4), 100.0, 0.1, (0.02, 0.98, 0.0)),
        ),
    ),
}


class Life(NamedTuple):
    """When tracks of a domain are confirmed, set coasting and deleted; columns follow kernels/bank.py's L_ names."""

    confirm: float = 0.99
    drop: float = 0.02
    coast: float = 0.5
    survive_s: float = 600.0
    coast_max_s: float = 30.0
    tentative_max_s: float = 12.0
    hits: float = 3.0
    cap: float = 0.9995


LIVES: dict[Domain, Life] = {
    "air": Life(),
    "sea": Life(survive_s=7_200.0, coast_max_s=900.0, tentative_max_s=420.0),
    "missile": Life(confirm=0.9, drop=0.005, coast=0.2, coast_max_s=30.0, tentative_max_s=6.0),
}

# Gate by number of components: the chi-square bound that holds 99.9 % of true plots.
GATE = (0.0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46)
# Log likelihood ratios of an identity that agrees and one that does not: Mode 3/A, ICAO address, MMSI, callsign, and the
# sensor's own track number. Bounded on purpose: kinematics must be able to overrule every claim.
EVIDENCE = ((2.5, -2.5), (6.0, -6.0), (6.0, -6.0), (3.0, -3.0), (2.0, -0.5))

SIGMA_DEFAULT_M = 30.0  # a self-reported position without accuracy


class TrackerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one tracker works. Every bound has a name; what it sheds is counted in `Tracker.refused` or `Tracker.shed`.

    domains: whose model sets may be used. association: "mht" keeps several hypotheses where tracks of a cluster are in doubt,
    "lbp" weighs their plots softly (joint probabilistic data association by loopy belief propagation), "gnn" takes the
    likeliest. confirm: "existence" (integrated probability) or "m-of-n" (hits alone, time alone). tracks_max, reports_max: how
    many tracks at once and reports a step; events_max: how many events are remembered. earth: the frame of positions, for a
    sphere with its earth_centre_m, earth_spin_rad_s and earth_radius_m. lag_s: how late a report may be and still count as if
    it had come in time; older ones are refused as `report-late`. future_s: how far ahead of now a report may be. snapshot_s:
    how far apart snapshots are, once something came late. frame_s: reports of one sensor this close are assigned together.
    whole_scans: every frame of a radar is a whole look, so that what it does not show was missed at once (benchmark files);
    otherwise misses are counted by the sensor's period. air_modes: what aircraft are taken to do, one to three of AIR_MODES in
    any order: nearly constant velocity with little or much noise, climb, coordinated turn.
    """

    tracks_max: Annotated[int, Meta(ge=1, le=200_000)] = 8192
    reports_max: Annotated[int, Meta(ge=1, le=10_000_000)] = 200_000
    lag_s: Annotated[float, Meta(ge=0.0, le=600.0)] = 60.0
    future_s: Annotated[float, Meta(ge=0.0, le=60.0)] = 2.0
    frame_s: Annotated[float, Meta(gt=0.0, le=10.0)] = 0.5
    snapshot_s: Annotated[float, Meta(gt=0.0, le=60.0)] = 2.0
    events_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    domains: tuple[Domain, ...] = ("air", "sea", "missile")
    association: Literal["mht", "lbp", "gnn"] = "mht"
    confirm: Literal["existence", "m-of-n"] = "existence"
    earth: Literal["wgs84", "sphere", "flat"] = "wgs84"
    earth_centre_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    earth_spin_rad_s: tuple[float, float, float] = (0.0, 0.0, 7.292115e-5)
    earth_radius_m: float = 6_371_000.0
    whole_scans: bool = False
    air_modes: tuple[AirMode, ...] = ("cv-low", "turn")

    def __post_init__(self) -> None:
        """Refuse a tracker without a domain, and one whose set of air modes cannot be."""
        if not self.domains:
            msg = "domains is empty: name at least one of air, sea, missile"
            raise ValueError(msg)
        names: Any = self.air_modes
        if isinstance(names, str) or not isinstance(names, Collection) or not all(isinstance(one, str) for one in names):
            msg = f"air_modes is {names!r}, several names wanted, also of one: ('turn',)"
            raise TypeError(msg)
        if not 1 <= len(set(names)) == len(names) <= AIR_MODES_MAX or not set(names) <= set(AIR_MODES):
            msg = f"air_modes is {', '.join(names) or 'empty'}: name one to {AIR_MODES_MAX}, each once, of {', '.join(AIR_MODES)}"
            raise ValueError(msg)


def checked(settings: TrackerSettings) -> TrackerSettings:
    """Return the settings; raises TypeError for what is none, ValueError naming one out of its range, as in a file."""
    if not isinstance(settings, TrackerSettings):
        msg = f"settings is a {type(settings).__name__}, a TrackerSettings wanted: TrackerSettings(domains=('air',)) makes one"  # type: ignore[unreachable]  # callers may be untyped
        raise TypeError(msg)
    plain = msgspec.to_builtins(settings)
    try:
        msgspec.convert(plain, TrackerSettings)
    except msgspec.ValidationError as error:
        msg = f"tracker settings: {fault_of(error, plain, TrackerSettings)}"
        raise ValueError(msg) from error
    return settings


def build_model(settings: TrackerSettings) -> Any:
    """Return the kernels' Model (kernels/bank.py) of the settings."""
    from trilat.kernels import bank as b  # noqa: PLC0415 - keep imports light until a tracker is made
    from trilat.kernels.frames import earth  # noqa: PLC0415 - same

    kinds = {"cv": b.CV, "turn": b.TURN, "boost": b.BOOST, "coast": b.COAST, "reentry": b.REENTRY}
    sets, modes, chosen = len(SETS), b.MODES, {name: MODELS[name][1] for name in SETS} | {"air": air_set(settings.air_modes)}
    kind, noise = np.zeros((sets, modes), np.int64), np.zeros((sets, modes, 4))
    stay, share, start = np.ones((sets, modes)), np.zeros((sets, modes, modes)), np.zeros((sets, modes))
    for k, name in enumerate(SETS):
        for m, mode in enumerate(chosen[name]):
            kind[k, m], stay[k, m], start[k, m] = kinds[mode.model], mode.stay_s, mode.start
            noise[k, m, : len(mode.noise)] = mode.noise
            share[k, m, : len(mode.share)] = mode.share
    options = np.zeros(8, np.int64)
    options[b.O_WHOLE_SCANS] = settings.whole_scans
    options[b.O_ASSOCIATION] = ("gnn", "lbp", "mht").index(settings.association)
    options[b.O_MOFN] = settings.confirm == "m-of-n"
    options[b.O_DOMAINS] = sum(1 << SETS.index(name) for name in set(settings.domains))
    model = b.record(b.MODEL_DTYPE)
    model["earth"] = earth(settings.earth, settings.earth_centre_m, settings.earth_spin_rad_s, settings.earth_radius_m)
    model["modes"] = [len(chosen[name]) for name in SETS]
    model["kind"], model["noise"], model["stay_s"], model["share"], model["start"] = kind, noise, stay, share, start
    model["birth"], model["life"] = [MODELS[name][0] for name in SETS], [tuple(LIVES[name]) for name in SETS]
    model["gate"], model["evidence"], model["options"] = GATE, EVIDENCE, options
    return model
