"""Air density of the US Standard Atmosphere 1976, compiled: its own formula to 86 km, its published table above.

U.S. Standard Atmosphere, 1976 (NOAA, NASA, USAF; NOAA-S/T 76-1562): layers and constants of its tables 2 to 4 up to 86 km;
above, its table I densities are joined by straight lines in the logarithm. Zero above 1,000 km, where the table ends.
"""

from __future__ import annotations

import numpy as np

from trilat.kernels.jit import entry, kernel

EARTH_RADIUS_M = 6_356_766.0  # r0 of the standard, for geopotential height
GAS_J_KMOL_K = 8_314.32  # R* of the standard
AIR_KG_KMOL = 28.9644
GRAVITY_M_S2 = 9.80665
LAYERS_TOP_M = 86_000.0
TOP_M = 1_000_000.0
# Geopotential height (m) where each layer begins, and its lapse rate (K/m): table 4.
_BASE_M = np.array([0.0, 11_000.0, 20_000.0, 32_000.0, 47_000.0, 51_000.0, 71_000.0])
_LAPSE_K_M = np.array([-6.5e-3, 0.0, 1.0e-3, 2.8e-3, 0.0, -2.8e-3, -2.0e-3])
_KELVIN_PER_M = GRAVITY_M_S2 * AIR_KG_KMOL / GAS_J_KMOL_K
# Geometric height (km) and density (kg/m3) above the layers: table I.
_HIGH = np.array(
    [
        (86, 6.958e-6), (90, 3.416e-6), (95, 1.393e-6), (100, 5.604e-7), (105, 2.325e-7), (110, 9.708e-8), (115, 4.289e-8),
        (120, 2.222e-8), (130, 8.152e-9), (140, 3.831e-9), (150, 2.076e-9), (160, 1.233e-9), (180, 5.194e-10),
        (200, 2.541e-10), (250, 6.073e-11), (300, 1.916e-11), (400, 2.803e-12), (500, 5.215e-13), (600, 1.137e-13),
        (700, 3.070e-14), (800, 1.136e-14), (900, 5.759e-15), (1000, 3.561e-15),
    ]
)  # fmt: skip
_HIGH_M, _HIGH_LOG = _HIGH[:, 0] * 1_000.0, np.log(_HIGH[:, 1])


def _bases() -> tuple[np.ndarray, np.ndarray]:
    """Return temperature (K) and pressure (Pa) where each layer begins."""
    kelvin, pascal = np.full(7, 288.15), np.full(7, 101_325.0)
    for k in range(6):
        step_m = _BASE_M[k + 1] - _BASE_M[k]
        kelvin[k + 1] = kelvin[k] + _LAPSE_K_M[k] * step_m
        if _LAPSE_K_M[k] == 0.0:
            pascal[k + 1] = pascal[k] * np.exp(-_KELVIN_PER_M * step_m / kelvin[k])
        else:
            pascal[k + 1] = pascal[k] * (kelvin[k] / kelvin[k + 1]) ** (_KELVIN_PER_M / _LAPSE_K_M[k])
    return kelvin, pascal


_KELVIN, _PASCAL = _bases()


@kernel
def density(height_m):  # type: ignore[no-untyped-def]
    """Return air density kg/m3 at a geometric height m; below the ground that of the ground goes on by its layer's formula."""
    if height_m >= LAYERS_TOP_M:
        if height_m >= TOP_M:
            return 0.0
        k = 0
        while height_m >= _HIGH_M[k + 1]:
            k += 1
        share = (height_m - _HIGH_M[k]) / (_HIGH_M[k + 1] - _HIGH_M[k])
        return np.exp(_HIGH_LOG[k] + share * (_HIGH_LOG[k + 1] - _HIGH_LOG[k]))
    h = max(height_m, -5_000.0)
    h = EARTH_RADIUS_M * h / (EARTH_RADIUS_M + h)
    k = 0
    while k < 6 and h >= _BASE_M[k + 1]:
        k += 1
    step_m = h - _BASE_M[k]
    kelvin = _KELVIN[k] + _LAPSE_K_M[k] * step_m
    if _LAPSE_K_M[k] == 0.0:
        pascal = _PASCAL[k] * np.exp(-_KELVIN_PER_M * step_m / kelvin)
    else:
        pascal = _PASCAL[k] * (_KELVIN[k] / kelvin) ** (_KELVIN_PER_M / _LAPSE_K_M[k])
    return pascal * AIR_KG_KMOL / (GAS_J_KMOL_K * kelvin)


@entry
def density_many(height_m, out):  # type: ignore[no-untyped-def]
    """Write the density kg/m3 at every height m of an array."""
    for i in range(len(height_m)):
        out[i] = density(height_m[i])
