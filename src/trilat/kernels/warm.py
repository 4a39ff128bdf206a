"""Fill numba's cache: `python -m trilat.kernels.warm` compiles every kernel the product calls, so that a node starts at once."""

from __future__ import annotations

import importlib.util

import numpy as np


def warm_tracker() -> None:
    """Run the tracking engine over a few plots, which compiles and caches all it uses."""
    from trilat.kernels import bank, engine  # noqa: PLC0415 - numba loads here
    from trilat.kernels.frames import earth  # noqa: PLC0415 - same

    sets, modes = 3, bank.MODES
    model = bank.Model(
        earth=earth("wgs84"),
        modes=np.ones(sets, np.int64),
        kind=np.zeros((sets, modes), np.int64),
        noise=np.ones((sets, modes, 4)),
        stay_s=np.ones((sets, modes)),
        share=np.ones((sets, modes, modes)),
        start=np.ones((sets, modes)),
        birth=np.ones((sets, 4)),
        life=np.ones((sets, bank.LIFE_COLUMNS)),
        gate=np.full(bank.COMPONENTS + 1, 20.0),
        evidence=np.ones((5, 2)),
        options=np.zeros(8, np.int64),
    )
    tracks, work = bank.new_bank(4, 1), bank.new_work()
    sensors = np.ones((1, bank.SENSOR_COLUMNS))
    sensors[0, bank.S_POSITION] = 6_378_137.0
    z = np.ones((1, bank.PLOT_COLUMNS))
    plots = np.zeros((1, bank.PLOT_INTS), np.int64)
    engine.step_frame(model, tracks, sensors, 0, z, plots, work)
    engine.look_empty(model, tracks, sensors, 0, 1)
    engine.show(model, tracks, 1, np.empty(4, np.int64), np.empty((4, 6)), np.empty((4, 6, 6)), work)


def main() -> None:
    """Warm every family of kernels that is there."""
    warm_tracker()
    for name in ("trilat.kernels.asterix_warm",):
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).warm()


if __name__ == "__main__":
    main()
