"""Records of every form, decisions and operations, for the tests of release."""

import msgspec
from policy_cases import DAY_NS, EXERCISE, NOW_NS

from trilat.policy.labels import digest, make
from trilat.policy.rules import Decision
from trilat.records.assessment import Ellipse, Fan, LandingEstimate, LaunchEstimate, PathPoint
from trilat.records.label import FieldOperation, Label
from trilat.records.report import Fix, Measurement, Pedigree, Plot
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Acknowledgement, FlightFacts, Recall, Retraction, Warning, WarningArea, Words

NS = 10**9
SECRET = b"\x05" * 32
PEDIGREE = Pedigree(nation="JPN", sensors=("JPN-R1",), feed="canary-feed", original_t_ns=5)
LABEL = make(
    policy="TRILAT",
    originator="JPN",
    mode=EXERCISE,
    level=2,
    rel_to=("KOR", "USA"),
    topics=("air",),
    consents=[("JPN", "USA")],
)


def track(label: Label = LABEL, **change: object) -> Track:
    values: dict[str, object] = {
        "stream": "JPN/KOR/track",
        "number": 7,
        "t_ns": NOW_NS,
        "status": "confirmed",
        "label": label,
        "pedigree": PEDIGREE,
        "domain": "air",
        "lat_deg": 33.123456,
        "lon_deg": 129.654321,
        "alt_m": 10_123.4,
        "velocity_east_m_s": 201.3,
        "velocity_north_m_s": -33.3,
        "velocity_up_m_s": 1.7,
        "covariance": tuple(100.0 if i in {0, 6, 11} else 4.0 if i in {15, 18, 20} else 1.0 for i in range(21)),
        "updated_t_ns": NOW_NS,
        "address": 0xABCDEF,
        "callsign": "CANARY1",
        "mode_3a": 0o1234,
        "mmsi": 431000001,
        "flags": ("innovation",),
    }
    return Track(**{**values, **change})


def flight() -> FlightFacts:
    """Return what a warning says of a flight, with everything in it."""
    ellipse = Ellipse(semi_major_m=9_000.0, semi_minor_m=3_000.0, bearing_deg=70.0)
    return FlightFacts(
        name="MRBM",
        probability=0.9,
        shape="lofted",
        launch=LaunchEstimate(lat_deg=40.0, lon_deg=129.0, t_ns=NOW_NS - 60 * NS, sigma_s=2.0, ellipse95=ellipse),
        landing=LandingEstimate(
            lat_deg=38.0,
            lon_deg=134.0,
            t_ns=NOW_NS + 300 * NS,
            t_from_ns=NOW_NS + 290 * NS,
            t_to_ns=NOW_NS + 320 * NS,
            ellipse50=ellipse,
            ellipse95=ellipse,
        ),
        fan=Fan(lat_deg=40.0, lon_deg=129.0, bearing_from_deg=80.0, bearing_to_deg=100.0, range_from_m=1e5, range_to_m=9e5),
        path=tuple(PathPoint(t_ns=NOW_NS + k * NS, lat_deg=40.0, lon_deg=129.0 + k, alt_m=1_234.5 * k) for k in range(3)),
    )


def warning(label: Label = LABEL, **change: object) -> Warning:
    """Return a warning of a flight, with every optional field set."""
    values: dict[str, object] = {
        "id": "W1",
        "version": 1,
        "state": "issued",
        "t_ns": NOW_NS,
        "label": label,
        "pedigree": PEDIGREE,
        "kind": "missile",
        "headline": "CANARY1 flies",
        "text": "CANARY1",
        "areas": (WarningArea(name="CANARY1 bay", lat_deg=1.0, lon_deg=2.0, radius_m=5.0),),
        "expires_ns": NOW_NS + DAY_NS,
        "raised_by": "officer",
        "flight": flight(),
        "words": (Words(language="en", headline="CANARY1", text="CANARY1", line="CANARY1"),),
    }
    return Warning(**{**values, **change})


def records(label: Label) -> list[msgspec.Struct]:
    """One of each form that is released, with every optional field set."""
    origin, sigma = (0.0, 0.0, 0.0), 5.0
    identity = {"address": 1, "callsign": "CANARY1"}
    return [
        Plot(t_ns=NOW_NS, sensor="JPN-R1", label=label, pedigree=PEDIGREE, range_m=1e4, azimuth_rad=1.0, elevation_rad=0.1, height_m=9.0, doppler_m_s=3.0, sigma_doppler_m_s=1.0, sigma_elevation_rad=0.01, sigma_height_m=3.0, mode_3a=1, sensor_track=4, **identity),
        Fix(t_ns=NOW_NS, sensor="JPN-A1", label=label, pedigree=PEDIGREE, lat_deg=1.0, lon_deg=2.0, alt_m=3.0, sigma_horizontal_m=sigma, sigma_vertical_m=sigma, speed_m_s=9.0, course_rad=1.0, vertical_rate_m_s=1.0, sigma_speed_m_s=1.0, mmsi=5, mode_3a=1, **identity),
        track(label),
        Tracklet(stream="S", number=1, sequence=1, t_from_ns=0, t_ns=NOW_NS, label=label, pedigree=PEDIGREE, model="cv", origin_ecef_m=origin, information_state=(1.0,) * 6, information=(2.0,) * 21, plots=3, mmsi=5, **identity),
        Area(stream="S", number=1, t_ns=NOW_NS, label=label, pedigree=PEDIGREE, lat_deg=1.0, lon_deg=2.0, radius_m=30_000.0),
        warning(label),
        Acknowledgement(warning_originator="KOR", warning_id="W1", warning_version=1, kind="seen", nation="JPN", station="s", by="officer", t_ns=NOW_NS, label=label),
        Retraction(warning_id="W1", warning_version=1, reason="threat-over", text="CANARY1", by="officer", t_ns=NOW_NS, label=label),
        Recall(lane="state", epoch=1, sequences=(1,), reason="CANARY1", by="officer", t_ns=NOW_NS, label=label),
        Measurement(t_ns=NOW_NS, sensor="JPN-R1", label=label, pedigree=PEDIGREE, lat_deg=1.0, lon_deg=2.0, alt_m=3.0, axis_azimuth_rad=1.0, axis_elevation_rad=0.2, sigma_along_m=5.0, sigma_across_m=50.0, sigma_up_m=40.0, mode_3a=1, sensor_track=4, **identity),
    ]  # fmt: skip


def lane_of(record: msgspec.Struct) -> str:
    return "flash" if isinstance(record, Warning | Acknowledgement | Retraction | Recall) else "state"


def permit(label: Label = LABEL, **change: object) -> Decision:
    values: dict[str, object] = {
        "permit": True,
        "audience": "KOR",
        "reason": "permitted",
        "rule": "trilateral/1",
        "label_hash": digest(label),
        "tier": "plot",
        "purposes": ("warning",),
    }
    return Decision(**{**values, **change})


def operation(field: str, kind: str, amount: float = 0.0) -> FieldOperation:
    return FieldOperation(field=field, operation=kind, amount=amount)
