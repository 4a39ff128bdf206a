"""The bank: every track of one tracker as pre-allocated arrays, and the tables the compiled engine reads beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STATES = 9  # widest mode: position, velocity, thrust acceleration
MODES = 4  # most modes in one set
SENSORS = 64  # the sensor bit set's width
COMPONENTS = 6  # most scalar measurements in one plot: three of position, three of velocity
# Track states; 1.. follow records.columns.STATUSES plus one, 0 is a free row.
FREE, TENTATIVE, CONFIRMED, COASTING = 0, 1, 2, 3
# Identity columns.
ID_3A, ID_ADDRESS, ID_MMSI, ID_CALLSIGN, ID_SENSOR_TRACK = 0, 1, 2, 3, 4
# Model sets and motion models.
SET_AIR, SET_SEA, SET_MISSILE = 0, 1, 2
CV, TURN, BOOST, COAST, REENTRY = 0, 1, 2, 3, 4
STATES_OF_MODEL = (6, 7, 9, 6, 7)

# Sensor table columns.
S_POSITION, S_BASIS, S_UP = 0, 3, 12
S_PERIOD, S_RANGE_MIN, S_RANGE_MAX, S_EL_MIN, S_EL_MAX, S_ALT_MIN, S_ALT_MAX = 15, 16, 17, 18, 19, 20, 21
S_PD, S_CLUTTER, S_BIRTH, S_LOOKS, S_SET, S_PRIOR_ALT, S_PRIOR_SIGMA = 22, 23, 24, 25, 26, 27, 28
SENSOR_COLUMNS = 29

# Plot columns (floats): a radar's or bearing's, then a fix's or system track's.
Z_RANGE, Z_AZIMUTH, Z_ELEVATION, Z_HEIGHT, Z_DOPPLER = 0, 1, 2, 3, 4
Z_SIGMA_RANGE, Z_SIGMA_AZIMUTH, Z_SIGMA_ELEVATION, Z_SIGMA_HEIGHT, Z_SIGMA_DOPPLER = 5, 6, 7, 8, 9
Z_X, Z_Y, Z_Z, Z_LAT, Z_LON = 0, 1, 2, 3, 4
Z_SIGMA_H, Z_SIGMA_V, Z_V_EAST, Z_V_NORTH, Z_V_UP, Z_SIGMA_SPEED = 5, 6, 7, 8, 9, 10
PLOT_COLUMNS = 11
# Plot columns (integers).
I_T, I_SENSOR, I_KIND, I_DOMAIN, I_KEY, I_ID = 0, 1, 2, 3, 4, 5  # I_ID .. I_ID+4 follow the ID_ columns
PLOT_INTS = 10


class Bank(NamedTuple):
    """Tracks by row. Rows are free, tentative, confirmed or coasting; `head[0]` is one past the highest row in use."""

    head: Ints  # (8,) see H_ names
    looks_ns: Ints  # (SENSORS, 2) first and last frame of each sensor since it was last silent
    status: Ints  # (T,)
    model_set: Ints  # (T,)
    key: Ints  # (T,) hash of the plot that began the track: its name, whatever the order of arrival
    t_ns: Ints  # (T,) time of the state
    updated_ns: Ints  # (T,)
    born_ns: Ints  # (T,)
    checked_ns: Ints  # (T,) time up to which survival has been applied
    hits: Ints  # (T,)
    flags: Ints  # (T,)
    flagged_ns: Ints  # (T, 2)
    sensors: Ints  # (T,) bit set
    last_frame: Ints  # (T,) number of the frame that last updated it
    identity: Ints  # (T, 5)
    identity_count: Ints  # (T, 5)
    chance_ns: Ints  # (T, sensors) last time each sensor saw it or ought to have
    existence: Floats  # (T,)
    domain: Floats  # (T, 5)
    nis: Floats  # (T,) running normalised innovation squared per component
    mean: Floats  # (T, 6) of the mixture
    spread: Floats  # (T, 3) sigmas of position, velocity, acceleration, all axes, all modes
    mu: Floats  # (T, MODES)
    x: Floats  # (T, MODES, STATES)
    P: Floats  # (T, MODES, STATES, STATES)


class Model(NamedTuple):
    """What does not change during a run: the Earth, the model sets, the rules of life."""

    earth: Floats
    modes: Ints  # (sets,) how many
    kind: Ints  # (sets, MODES)
    noise: Floats  # (sets, MODES, 4)
    stay_s: Floats  # (sets, MODES) mean sojourn
    share: Floats  # (sets, MODES, MODES) where a leaving mode goes; rows sum to one
    start: Floats  # (sets, MODES) mode probabilities of a new track
    birth: Floats  # (sets, 4) sigmas: velocity m/s, acceleration m/s2, turn rate rad/s, log ballistic coefficient
    life: Floats  # (sets, LIFE_COLUMNS)
    gate: Floats  # (COMPONENTS + 1,) chi-square bound by number of components
    evidence: Floats  # (5, 2) log likelihood ratio of an identity that agrees, and of one that does not
    options: Ints  # (8,) see O_ names


# Columns of Model.life.
L_CONFIRM, L_DROP, L_COAST, L_SURVIVE_S, L_COAST_MAX_S, L_TENTATIVE_MAX_S, L_HITS, L_CAP = 0, 1, 2, 3, 4, 5, 6, 7
LIFE_COLUMNS = 8
# Columns of Model.options.
O_WHOLE_SCANS, O_JPDA, O_MOFN, O_DOMAINS = 0, 1, 2, 3


# Columns of Bank.head: rows in use, frames so far, then counts of what was shed.
H_ROWS, H_FRAMES, H_FULL, H_PAIRS, H_MERGED = 0, 1, 2, 3, 4
NOT_ROWS = ("head", "looks_ns")  # columns of the bank that are not by row


class Work(NamedTuple):
    """Scratch memory of the compiled engine: allocated once, holds nothing between calls."""

    scratch: Floats  # (5, 10, 9)
    x: Floats  # (MODES, STATES)
    P: Floats  # (MODES, STATES, STATES)
    bx: Floats  # (3, MODES, STATES)
    bP: Floats  # (3, MODES, STATES, STATES)
    weights: Floats  # (MODES, MODES)
    fresh: Floats  # (MODES,)
    logs: Floats  # (MODES,)
    H: Floats  # (6, 6)
    S: Floats  # (6, 6)
    PH: Floats  # (6, 6)
    nu: Floats  # (6,)
    R: Floats  # (6,)
    D: Floats  # (6,)
    y: Floats  # (6,)
    x0: Floats  # (6,)
    gain: Floats  # (STATES,)
    point: Floats  # (3,)


def new_work() -> Work:
    """Return scratch memory."""
    m, n = MODES, STATES
    shapes: list[tuple[int, ...]] = [(5, 10, 9), (m, n), (m, n, n), (3, m, n), (3, m, n, n), (m, m), (m,), (m,)]
    shapes += [(6, 6), (6, 6), (6, 6), (6,), (6,), (6,), (6,), (6,), (n,), (3,)]
    return Work(*(np.zeros(shape) for shape in shapes))


def new_bank(tracks_max: int, sensors: int = SENSORS, modes: int = MODES, states: int = STATES) -> Bank:
    """Return an empty bank of `tracks_max` rows for that many sensors, modes and states; all memory is allocated here."""
    t = tracks_max
    shapes: dict[str, tuple[int, ...]] = {
        "head": (8,),
        "looks_ns": (SENSORS, 2),
        "flagged_ns": (t, 2),
        "identity": (t, 5),
        "identity_count": (t, 5),
        "chance_ns": (t, max(sensors, 1)),
        "existence": (t,),
        "domain": (t, 5),
        "nis": (t,),
        "mean": (t, 6),
        "spread": (t, 3),
        "mu": (t, modes),
        "x": (t, modes, states),
        "P": (t, modes, states, states),
    }
    reals = ("existence", "domain", "nis", "mean", "spread", "mu", "x", "P")
    return Bank(*(np.zeros(shapes.get(name, (t,)), np.float64 if name in reals else np.int64) for name in Bank._fields))


def copy_rows(source: Bank) -> Bank:
    """Return a copy of the rows in use (a snapshot), with what is not by row."""
    rows = int(source.head[H_ROWS])
    pairs = zip(Bank._fields, source, strict=True)
    return Bank(*((column if name in NOT_ROWS else column[:rows]).copy() for name, column in pairs))


def restore_rows(target: Bank, snapshot: Bank) -> None:
    """Put a snapshot back: its rows, and every row above them free."""
    rows = int(snapshot.head[H_ROWS])
    target.status[rows:] = FREE
    for name, column, kept in zip(Bank._fields, target, snapshot, strict=True):
        if name in NOT_ROWS:
            column[:] = kept
        else:
            column[:rows] = kept
