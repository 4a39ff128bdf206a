"""Assessments of a made-up flight as the stage `warn` makes them, for tests of what is built on them."""

from __future__ import annotations

from typing import Any

import msgspec

from trilat.records.assessment import Assessment, ClassProbability, Ellipse, LandingEstimate, LaunchEstimate, TouchedArea
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree

NS = 1_000_000_000
T0_NS = 1_795_000_000 * NS
MODE = Mode(kind="exercise", id="t1")
LAND_NS = T0_NS + 600 * NS
NAMES = {
    "JP-01": ("JPN", "prefecture", "Hokkaido", "北海道", "홋카이도"),
    "JP-02": ("JPN", "prefecture", "Aomori", "青森県", "아오모리현"),
    "JP-05": ("JPN", "prefecture", "Akita", "秋田県", "아키타현"),
    "KR-42": ("KOR", "province", "Gangwon", "江原道", "강원도"),
    "US-AK": ("USA", "state", "Alaska", "アラスカ州", "알래스카주"),
}


def label(nation: str = "JPN", rel_to: tuple[str, ...] = ("KOR", "USA"), mode: Mode = MODE, **other: Any) -> Label:
    """Return a label of the nation's own data."""
    mine = tuple(one for one in rel_to if one != nation)
    return Label(policy="TRILAT", originator=nation, mode=mode, level=1, rel_to=mine, sources=(nation,), **other)


def area(name: str, touch: str = "landing", probability: float = 0.4) -> TouchedArea:
    """Return one touched area by its id."""
    nation, kind, en, ja, ko = NAMES[name]
    return TouchedArea(
        id=name, kind=kind, nation=nation, name_en=en, name_ja=ja, name_ko=ko, touch=touch,  # type: ignore[arg-type]
        probability=probability, t_from_ns=LAND_NS - 60 * NS, t_to_ns=LAND_NS + 60 * NS,
    )  # fmt: skip


def assessment(second: float, state: str = "assessed", areas: tuple[TouchedArea, ...] | None = None, **other: Any) -> Assessment:
    """Return what is made of the flight `second` seconds after launch."""
    nation = other.pop("nation", "JPN")
    t_ns = T0_NS + round(second * NS)
    after = state not in ("detected", "unconfirmed")
    landing = LandingEstimate(
        lat_deg=41.2, lon_deg=141.0, t_ns=LAND_NS, t_from_ns=LAND_NS - 30 * NS, t_to_ns=LAND_NS + 30 * NS,
        ellipse50=Ellipse(semi_major_m=9e3, semi_minor_m=3e3, bearing_deg=80.0),
        ellipse95=Ellipse(semi_major_m=20e3, semi_minor_m=7e3, bearing_deg=80.0),
    )  # fmt: skip
    base = Assessment(
        stream=other.pop("stream", f"{nation}/national"), flight=other.pop("flight", 1), sequence=round(second * 10) + 1, t_ns=t_ns,
        label=other.pop("label", label(nation)), pedigree=Pedigree(nation=nation, sensors=(f"{nation}/ridge",)), state=state,  # type: ignore[arg-type]
        phase="coast" if after else "boost", confidence=0.9, boosting=0.0 if after else 1.0, track=7, first_t_ns=T0_NS,
        updated_t_ns=t_ns, detected_t_ns=T0_NS + 8 * NS, lat_deg=40.0 + second / 600, lon_deg=130.0 + second / 60, alt_m=100e3,
        speed_m_s=3000.0, heading_deg=80.0,
        classes=(ClassProbability(name="MRBM", probability=0.8), ClassProbability(name="launch, unclassified", probability=0.2)),
        launch=LaunchEstimate(lat_deg=39.6, lon_deg=125.7, t_ns=T0_NS, sigma_s=2.0, ellipse95=Ellipse(semi_major_m=9e3, semi_minor_m=5e3, bearing_deg=1.0)),
        landing=landing if after else None,
        areas=(area("JP-02"), area("JP-01", probability=0.2)) if after and areas is None else areas or (),
    )  # fmt: skip
    return msgspec.structs.replace(base, **other)
