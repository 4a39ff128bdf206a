"""The bank: every track of one tracker as pre-allocated arrays, and the tables the compiled engine reads beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

STATES = 9  # widest mode: position, velocity, thrust acceleration
MODES = 3  # most modes in one set
SETS = 3
SENSORS = 64  # the sensor bit set's width
PACKED = STATES * (STATES + 1) // 2  # a covariance is kept as its lower triangle, row by row: n states use the first n(n+1)/2
COMPONENTS = 6  # most scalar measurements in one plot: three of position, three of velocity
# Columns of Model.life and Model.options.
L_CONFIRM, L_DROP, L_COAST, L_SURVIVE_S, L_COAST_MAX_S, L_TENTATIVE_MAX_S, L_HITS, L_CAP = 0, 1, 2, 3, 4, 5, 6, 7
LIFE_COLUMNS = 8
O_WHOLE_SCANS, O_ASSOCIATION, O_MOFN, O_DOMAINS = 0, 1, 2, 3
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
S_PERIOD, S_RANGE_MIN, S_RANGE_MAX, S_SINE_MIN, S_SINE_MAX, S_ALT_MIN, S_ALT_MAX = 15, 16, 17, 18, 19, 20, 21
S_PD, S_CLUTTER, S_BIRTH, S_LOOKS, S_SET, S_PRIOR_ALT, S_PRIOR_SIGMA = 22, 23, 24, 25, 26, 27, 28
SENSOR_COLUMNS = 29

# Plot columns (floats): a radar's or bearing's, then a fix's or system track's.
Z_RANGE, Z_AZIMUTH, Z_ELEVATION, Z_HEIGHT, Z_DOPPLER = 0, 1, 2, 3, 4
Z_SIGMA_RANGE, Z_SIGMA_AZIMUTH, Z_SIGMA_ELEVATION, Z_SIGMA_HEIGHT, Z_SIGMA_DOPPLER = 5, 6, 7, 8, 9
Z_X, Z_Y, Z_Z, Z_LAT, Z_LON = 0, 1, 2, 3, 4
Z_SIGMA_H, Z_SIGMA_V, Z_V_EAST, Z_V_NORTH, Z_V_UP, Z_SIGMA_SPEED = 5, 6, 7, 8, 9, 10
# An Earth-fixed measurement's (KIND_MEASUREMENT): place as above, Z_SIGMA_H the widest sigma (for the gate), and its ellipsoid:
# sigmas along the axis, across it (level) and up, and the axis' direction at the place.
Z_UP, Z_ALONG, Z_ACROSS, Z_AXIS_AZIMUTH, Z_AXIS_ELEVATION = 6, 7, 8, 9, 10
# A tracklet's (KIND_TRACKLET): place as above, Z_SIGMA_H the sigma of its place (for the gate), velocity, and U with U'U = Y, row
# by row. Its rows are wider than other plots'.
Z_TRACKLET_V, Z_ROOT = 6, 9
TRACKLET_COLUMNS = 30
PLOT_COLUMNS = 11
# Plot columns (integers).
I_T, I_SENSOR, I_KIND, I_DOMAIN, I_KEY, I_ID = 0, 1, 2, 3, 4, 5  # I_ID .. I_ID+4 follow the ID_ columns
PLOT_INTS = 10


# One track. Rows are free, tentative, confirmed or coasting.
ROW_DTYPE = np.dtype(
    [
        ("status", "i8"),
        ("model_set", "i8"),
        ("t_ns", "i8"),  # time of the state
        ("updated_ns", "i8"),
        ("mean", "f8", 6),  # of the mixture
        ("spread", "f8", 3),  # sigmas of position, velocity, acceleration: all axes, all modes
        ("existence", "f8"),
        ("last_frame", "i8"),  # number of the frame that last updated it
        ("took_frame", "i8"),  # and of the last that it took a plot of
        ("beside", "i8"),  # partners' frames in a row in which one that cannot be told from it took the only plot
        ("born_ns", "i8"),
        ("checked_ns", "i8"),  # time up to which survival has been applied
        ("key", "i8"),  # hash of the plot that began the track: its name, whatever the order of arrival
        ("hits", "i8"),
        ("flags", "i8"),
        ("flagged_ns", "i8", 2),
        ("sensors", "i8"),  # bit set
        ("identity", "i8", 5),
        ("identity_count", "i8", 5),
        ("domain", "f8", 5),
        ("nis", "f8"),  # running normalised innovation squared per component
        ("mu", "f8", MODES),
        ("x", "f8", (MODES, STATES)),
        ("P", "f8", (MODES, PACKED)),
        ("group", "i8"),  # of tracks whose plots are in doubt together, 0: none
        ("held", "i8"),  # the hypotheses of its group that this leaf is of, as bits; bit 0 is the one shown
        ("of", "i8"),  # an alternate's track: that row
        ("chance_ns", "i8", SENSORS),  # last time each sensor saw it or ought to have
    ]
)
SPARE_ROWS = 2  # rows at the end of every bank that are scratch memory, never tracks
# Decisions put off (kernels/hypotheses.py): rows before the spare ones for leaves that are not shown, groups of tracks (0: none),
# and hypotheses in a group.
ALTERNATES, GROUPS, HYPOTHESES = 512, 32, 32

# What a bank knows beside its rows: how many are in use, frames so far, what was shed, and when each sensor looked.
HEAD_DTYPE = np.dtype(
    [
        ("rows", "i8"),
        ("frames", "i8"),
        ("full", "i8"),  # plots that could not begin a track
        ("pairs", "i8"),  # gated pairs that found no room
        ("first", "i8"),  # where the alternates begin
        ("room", "i8"),  # for how many there is room
        ("alternates", "i8"),  # how many there are
        ("many", "i8", GROUPS),  # hypotheses of each group
        ("weights", "f8", (GROUPS, HYPOTHESES)),  # their logs of probability
        ("looks_ns", "i8", (SENSORS, 2)),  # first and last frame of each sensor since it was last silent
        # Sums over every firm update, by sensor: plots, components, normalised squares, whitened innovations (first three).
        ("fit", "f8", (SENSORS, 6)),
    ]
)

# Rules that do not change during a run: the Earth, the model sets, the rules of life.
MODEL_DTYPE = np.dtype(
    [
        ("earth", "f8", 10),
        ("modes", "i8", SETS),  # how many modes a set has
        ("kind", "i8", (SETS, MODES)),
        ("noise", "f8", (SETS, MODES, 4)),
        ("stay_s", "f8", (SETS, MODES)),  # mean sojourn
        ("share", "f8", (SETS, MODES, MODES)),  # where a leaving mode goes; rows sum to one
        ("start", "f8", (SETS, MODES)),  # mode probabilities of a new track
        ("birth", "f8", (SETS, 4)),  # sigmas: velocity m/s, thrust m/s2, turn rate rad/s, log ballistic coefficient
        ("life", "f8", (SETS, LIFE_COLUMNS)),
        ("gate", "f8", COMPONENTS + 1),  # chi-square bound by number of components
        ("evidence", "f8", (5, 2)),  # log likelihood ratio of an identity that agrees, and of one that does not
        ("options", "i8", 8),  # see O_ names
    ]
)

# Scratch memory of the compiled engine: holds nothing between calls.
WORK_DTYPE = np.dtype(
    [
        ("scratch", "f8", (6, 10, 9)),
        ("x", "f8", (MODES, STATES)),
        ("P", "f8", (MODES, PACKED)),
        ("weights", "f8", (MODES, MODES)),
        ("fresh", "f8", MODES),
        ("logs", "f8", MODES),
        ("H", "f8", (6, 6)),
        ("S", "f8", (6, 6)),
        ("PH", "f8", (6, 6)),
        ("nu", "f8", 6),
        ("R", "f8", 6),
        ("D", "f8", 6),
        ("y", "f8", 6),
        ("x0", "f8", 6),
        ("gain", "f8", STATES),
        ("point", "f8", 3),
    ]
)


def _triangle() -> Any:
    """Return the place of element (a, b) of a symmetric matrix in its packed lower triangle, shape (STATES, STATES)."""
    a, b = np.meshgrid(np.arange(STATES), np.arange(STATES), indexing="ij")
    high, low = np.maximum(a, b), np.minimum(a, b)
    return high * (high + 1) // 2 + low


AT = _triangle()


class Bank(NamedTuple):
    """Every track of one tracker: rows, and the head beside them."""

    head: Any  # one HEAD_DTYPE record
    rows: Any  # (tracks_max + SPARE_ROWS,) of ROW_DTYPE


def record(dtype: np.dtype[Any]) -> Any:
    """Return one zeroed record of a dtype, as the kernels take it."""
    return np.zeros(1, dtype)[0]


def new_bank(tracks_max: int, alternates: int = 0) -> Bank:
    """Return an empty bank of `tracks_max` rows and some for alternates; all memory, about 2 kB a row, is allocated here."""
    head = record(HEAD_DTYPE)
    head["first"], head["room"] = tracks_max, alternates
    return Bank(head, np.zeros(tracks_max + alternates + SPARE_ROWS, ROW_DTYPE))


def box(one: Any) -> Any:
    """Return the array of one that a record made by `record` lives in: numba takes an array a hundred times faster."""
    return one.base


class Pool:
    """Memory for snapshots, used again and again, so that a long run allocates nothing."""

    def __init__(self) -> None:
        self._free: list[Any] = []

    def take(self, source: Bank) -> Bank:
        """Return a copy of the rows in use, the alternates after the tracks, and the head: a snapshot."""
        tracks, first, alternates = (int(source.head[name]) for name in ("rows", "first", "alternates"))
        rows = tracks + alternates
        k = next((k for k, memory in enumerate(self._free) if len(memory) >= rows), None)
        memory = self._free.pop(k) if k is not None else np.empty(_roomy(rows), ROW_DTYPE)
        memory[:tracks].view(np.uint8)[:] = source.rows[:tracks].view(np.uint8)
        memory[tracks:rows].view(np.uint8)[:] = source.rows[first : first + alternates].view(np.uint8)
        head = record(HEAD_DTYPE)
        box(head)[:] = box(source.head)
        return Bank(head, memory[:rows])

    def give(self, snapshot: Bank) -> None:
        """Take back a snapshot that nobody will look at again."""
        memory = snapshot.rows.base
        if memory is not None and memory.dtype == ROW_DTYPE and len(self._free) < POOL_MAX:
            self._free.append(memory)
            self._free.sort(key=len)

    def memory_bytes(self) -> int:
        """Return the size of the memory that waits to be used again."""
        return sum(memory.nbytes for memory in self._free)


POOL_MAX = 8


def _roomy(rows: int) -> int:
    """Return a number of rows that will do for a while: the next power of two."""
    return 1 << max(rows - 1, 63).bit_length()


def in_use(bank: Bank) -> tuple[int, Any]:
    """Return how many rows tracks use, and what a snapshot holds: those rows, and the alternates after them."""
    rows, first, alternates = (int(bank.head[name]) for name in ("rows", "first", "alternates"))
    used = bank.rows[:rows]
    return rows, np.concatenate([used, bank.rows[first : first + alternates]]) if alternates else used


def restore_rows(target: Bank, snapshot: Bank) -> None:
    """Put a snapshot back: its rows, and every row above them free."""
    rows, first, alternates = (int(snapshot.head[name]) for name in ("rows", "first", "alternates"))
    target.rows["status"][rows : max(int(target.head["rows"]), rows)] = FREE
    target.rows[:rows].view(np.uint8)[:] = snapshot.rows[:rows].view(np.uint8)
    target.rows[first : first + alternates].view(np.uint8)[:] = snapshot.rows[rows:].view(np.uint8)
    for name in HEAD_DTYPE.names or ():
        target.head[name] = snapshot.head[name]
