"""One flight's own filter over rows of a bank, compiled: gate a plot against a row and update it, forwards or backwards."""

from __future__ import annotations

import numpy as np

from trilat.kernels.imm import moments, predict, update, weigh
from trilat.kernels.jit import entry
from trilat.kernels.measure import place

FAR, LATE, OUTSIDE = -1.0, -2.0, -3.0  # why a plot was not taken
LATE_S = 3.0


@entry
def settle_row(model, bank, i):  # type: ignore[no-untyped-def]
    """Renew the mixture's mean and spread of a row whose states were written from outside."""
    moments(model, bank, i)


@entry
def feed(model, bank, i, sensor, z, kind, t_ns, gate, sign, work):  # type: ignore[no-untyped-def]
    """Update row i by one plot when it lies in its gate; returns the normalised innovation squared per component, or why not.

    sign: 1 forwards in time, -1 backwards. gate (7,): chi-square bound by number of components.
    """
    dt = (t_ns - bank[i].t_ns) * 1e-9
    if dt * sign < -LATE_S:
        return LATE
    if kind == 0:  # a radar's: look first whether it is anywhere near
        place(model.earth, sensor, z, kind, work.point)
        reach = 5_000.0 + 0.01 * z[0] + 4.0 * bank[i].spread[0] + abs(dt) * (500.0 + bank[i].spread[1]) + 50.0 * dt * dt
        d2 = 0.0
        for a in range(3):
            d2 += (bank[i].mean[a] + dt * bank[i].mean[a + 3] - work.point[a]) ** 2
        if d2 > reach * reach:
            return FAR
    predict(model, bank, i, t_ns, work)
    moments(model, bank, i)
    best, _, n = weigh(model, bank, i, sensor, z, kind, t_ns, work)
    if n == 0 or best > gate[n]:
        return OUTSIDE
    return update(model, bank, i, sensor, z, kind, work)


@entry
def move_row(model, bank, i, t_ns, work):  # type: ignore[no-untyped-def]
    """Bring a row to a time."""
    predict(model, bank, i, t_ns, work)
    moments(model, bank, i)


def warm() -> None:
    """Compile what the product calls."""
    from trilat.kernels import bank as b  # noqa: PLC0415 - only here
    from trilat.kernels.frames import earth  # noqa: PLC0415 - same

    model, work, rows = b.record(b.MODEL_DTYPE), b.record(b.WORK_DTYPE), b.new_bank(1).rows
    model["earth"], model["modes"], model["kind"], model["stay_s"] = earth("wgs84"), 1, b.REENTRY, 1.0
    rows["x"][:, :, 0], rows["P"][:], rows["mu"][:] = 6_500_000.0, 1.0, 1.0
    settle_row(model, rows, 0)
    feed(model, rows, 0, np.ones(b.SENSOR_COLUMNS), np.ones(b.PLOT_COLUMNS), 0, 1, np.ones(7), 1.0, work)
    move_row(model, rows, 0, 2, work)
