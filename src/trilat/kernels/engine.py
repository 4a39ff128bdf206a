"""One frame through the bank, compiled: gate, assign, update, miss, initiate, settle."""

from __future__ import annotations

from typing import Any

import numpy as np

from trilat.kernels.assign import assign
from trilat.kernels.bank import (
    I_DOMAIN,
    I_ID,
    I_KIND,
    I_T,
    ID_ADDRESS,
    ID_MMSI,
    O_JPDA,
    box,
)
from trilat.kernels.gate import PD_UNEXPECTED, detection_probability, pairs
from trilat.kernels.imm import predict, update
from trilat.kernels.jit import entry, kernel
from trilat.kernels.life import age, classify, contested, detected, initiate, learn, misses, settle
from trilat.kernels.soft import soften

PAIRS_PER_PLOT = 24  # room for gated pairs, per plot, plus PAIRS_MIN; beyond it pairs are dropped and counted
PAIRS_MIN = 4096
TAKEN = 0.5  # a plot that soft association gave away by more than this is no tentative track's
CLAIMED = 0.2  # and by more than this it begins no track: a second one beside the first is the likelier error


@kernel
def take(model, head, bank, sensor, s, z, plots, j, i, log_ratio, frame, work):  # type: ignore[no-untyped-def]
    """Update row i by plot j, firmly."""
    t_ns = plots[j, I_T]
    predict(model, bank, i, t_ns, work)
    pd = max(detection_probability(model, bank, i, sensor, t_ns), PD_UNEXPECTED)
    nis = update(model, bank, i, sensor, z[j], plots[j, I_KIND], work)
    _fit(head, s, work, nis)
    age(model, bank, i, t_ns)
    detected(model, bank, i, log_ratio, pd)
    learn(bank, i, s, plots, j, nis, frame)
    classify(model, bank, i, plots[j, I_DOMAIN])


@kernel
def _fit(head, s, work, nis):  # type: ignore[no-untyped-def]
    """Add one update's innovations to the sensor's sums: whoever watches the sensor's health reads their growth."""
    fit = head.fit[s]
    n = 0
    for r in range(6):
        if work.D[r] != 0.0:
            n = r + 1
    fit[0] += 1.0
    fit[1] += max(n, 1)
    fit[2] += nis * max(n, 1)
    for r in range(3):
        fit[3 + r] += work.D[r]


def step_frame(model: Any, head: Any, bank: Any, sensors: Any, s: int, z: Any, plots: Any, work: Any) -> None:
    """Take in one frame of sensor s; see `run_frames`."""
    run_frames(box(model), box(head), bank, sensors, np.array([s]), np.array([0, len(z)]), z, plots, box(work))


@entry
def run_frames(models, heads, bank, sensors, who, starts, z, plots, works):  # type: ignore[no-untyped-def]
    """Take in frames, one after the other: frame k is of sensor who[k] and holds the plots starts[k] to starts[k + 1].

    sensors (n, SENSOR_COLUMNS); z (plots, PLOT_COLUMNS), sorted by the gate's key within each frame; plots (plots, PLOT_INTS).
    The records of rules, of the bank's head and of scratch come in arrays of one, which cost Python less to hand over.
    """
    for k in range(len(who)):
        a, b = starts[k], starts[k + 1]
        _frame(models[0], heads[0], bank, sensors, who[k], z[a:b], plots[a:b], works[0])


@kernel
def _frame(model, head, bank, sensors, s, z, plots, work):  # type: ignore[no-untyped-def]
    """Take in one sensor's frame: within it a track takes at most one plot and a plot belongs to at most one track."""
    n = len(z)
    sensor = sensors[s]
    head.frames += 1
    frame = head.frames
    room = PAIRS_MIN + PAIRS_PER_PLOT * n
    rows, start = np.empty(head.rows + 1, np.int64), np.zeros(head.rows + 2, np.int64)
    column, cost, ratio, distance = np.empty(room, np.int64), np.empty(room), np.empty(room), np.empty(room)
    count = pairs(model, head, bank, sensor, z, plots, work, rows, start, column, cost, ratio, distance)
    start = start[: count + 1]
    chosen, owner = np.empty(count, np.int64), np.empty(n, np.int64)
    assign(start, column, cost, n, chosen, owner)
    taken = np.zeros(n)
    soft = np.zeros(count, np.uint8)
    if model.options[O_JPDA] > 0:
        soften(model, bank, sensor, s, z, plots, rows, start, column, cost, n, frame, work, taken, soft)
    latest = plots[0, I_T]
    for j in range(n):
        latest = max(latest, plots[j, I_T])
    for c in range(count):
        if chosen[c] >= 0 and not soft[c]:
            j = column[chosen[c]]
            if taken[j] > TAKEN:  # a soft cluster has it
                continue
            take(model, head, bank, sensor, s, z, plots, j, rows[c], ratio[chosen[c]], frame, work)
            taken[j] = 1.0
    misses(model, head, bank, sensor, s, latest, frame)
    settle(model, head, bank, latest)
    _births(model, head, bank, sensor, s, z, plots, taken, frame, work)


@kernel
def _births(model, head, bank, sensor, s, z, plots, taken, frame, work):  # type: ignore[no-untyped-def]
    """Begin a track from every plot that no track took."""
    first = 0
    for j in range(len(z)):
        if taken[j] > CLAIMED:
            continue
        i = initiate(model, head, bank, sensor, s, z, plots, j, 1.0 - taken[j], first, frame, work)
        if i >= 0:
            first = i + 1
        if plots[j, I_ID + ID_ADDRESS] >= 0 or plots[j, I_ID + ID_MMSI] >= 0:
            contested(head, bank, plots, j, i)


@entry
def look_empty(models, heads, bank, sensors, s, t_ns):  # type: ignore[no-untyped-def]
    """Take in one sensor's frame that held no plot at all: only misses and ageing."""
    model, head = models[0], heads[0]
    head.frames += 1
    misses(model, head, bank, sensors[s], s, t_ns, head.frames)
    settle(model, head, bank, t_ns)
