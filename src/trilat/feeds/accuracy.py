"""What self-reported accuracy means in metres, one sigma. Sources stand at each table."""

# A circular normal error lies within 2.4477 sigma of the middle in 95 % of cases: sqrt(-2 ln 0.05).
RADIUS_95_PER_SIGMA = 2.4477
NAUTICAL_MILE_M = 1852.0

# NACp -> 95 % horizontal radius (EPU), RTCA DO-260B (2009) table 2-71; 0 = unknown.
EPU_95_M = (
    None,
    10 * NAUTICAL_MILE_M,
    4 * NAUTICAL_MILE_M,
    2 * NAUTICAL_MILE_M,
    1 * NAUTICAL_MILE_M,
    0.5 * NAUTICAL_MILE_M,
    0.3 * NAUTICAL_MILE_M,
    0.1 * NAUTICAL_MILE_M,
    0.05 * NAUTICAL_MILE_M,
    30.0,
    10.0,
    3.0,
)
# NUCp -> 95 % horizontal radius, RTCA DO-260 (2000) table 2-11; 0 = unknown.
NUC_95_M = (
    None,
    10 * NAUTICAL_MILE_M,
    5 * NAUTICAL_MILE_M,
    1 * NAUTICAL_MILE_M,
    0.5 * NAUTICAL_MILE_M,
    0.25 * NAUTICAL_MILE_M,
    0.1 * NAUTICAL_MILE_M,
    0.05 * NAUTICAL_MILE_M,
    10.0,
    3.0,
)
# What is said to be unknown or worse than the worst class: the worst class.
UNKNOWN_95_M = 10 * NAUTICAL_MILE_M
# NACv -> 95 % horizontal velocity error, DO-260B table 2-22; 0 = unknown or worse than 10 m/s.
VELOCITY_95_M_S = (20.0, 10.0, 3.0, 1.0, 0.3)
# GVA -> 95 % geometric altitude error, DO-260B table 2-72; 0 = unknown or worse than 150 m.
GEOMETRIC_ALTITUDE_95_M = (300.0, 150.0, 45.0)

# Two sigma of a 25 ft step and of an encoding altimeter (ICAO Annex 10 vol. IV: 38 m in 95 %).
ALTIMETER_SIGMA_M = 20.0
# A pressure altitude taken as a geometric one: weather and geoid move it by some hundred metres.
BAROMETRIC_AS_GEOMETRIC_SIGMA_M = 150.0


def sigma_of_nac(nac_p: int) -> float:
    """Return the horizontal sigma in metres of a Navigation Accuracy Category for position; unknown is the worst."""
    epu = EPU_95_M[nac_p] if 0 <= nac_p < len(EPU_95_M) else None
    return (UNKNOWN_95_M if epu is None else epu) / RADIUS_95_PER_SIGMA


def sigma_of_nuc(nuc_p: int) -> float:
    """Return the horizontal sigma in metres of a Navigation Uncertainty Category for position; unknown is the worst."""
    radius = NUC_95_M[nuc_p] if 0 <= nuc_p < len(NUC_95_M) else None
    return (UNKNOWN_95_M if radius is None else radius) / RADIUS_95_PER_SIGMA


def sigma_of_nac_v(nac_v: int) -> float:
    """Return the horizontal velocity sigma in m/s of a Navigation Accuracy Category for velocity."""
    known = nac_v if 0 <= nac_v < len(VELOCITY_95_M_S) else 0
    return VELOCITY_95_M_S[known] / RADIUS_95_PER_SIGMA
