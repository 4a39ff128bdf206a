"""Records for the tests of what leaves otherwise than at once."""

from trilat.policy.labels import make
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.track import Track

MODE = Mode(kind="exercise", id="t1")
T0_NS = 1_795_000_000 * 10**9
LABEL = make(policy="TRILAT", originator="JPN", mode=MODE, level=2, rel_to=("KOR",), topics=("air",))


def track(number: int, t_ns: int, label: Label = LABEL) -> Track:
    """Return a track of the audience's own tracker."""
    return Track(
        stream="JPN/track",
        number=number,
        t_ns=t_ns,
        status="confirmed",
        label=label,
        pedigree=Pedigree(nation="JPN", sensors=("JPN/ridge",)),
        domain="air",
        lat_deg=33.0,
        lon_deg=129.0,
        alt_m=10_000.0,
        velocity_east_m_s=200.0,
        velocity_north_m_s=0.0,
        velocity_up_m_s=0.0,
        covariance=tuple(100.0 if i in {0, 6, 11, 15, 18, 20} else 0.0 for i in range(21)),
        updated_t_ns=t_ns,
    )
