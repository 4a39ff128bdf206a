"""Details of one selected track, and labels in words: what the right-hand panel says."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trilat.kernels.geodesy import ecef_to_geodetic, enu_basis, rotate_covariance
from trilat.picture.frames import Array
from trilat.picture.inputs import AudienceView, NodeIdentity
from trilat.records.columns import DOMAINS, STATUSES, TRACK_FLAG_ID_CONFLICT, TRACK_FLAG_INNOVATION
from trilat.records.label import Label
from trilat.records.sensor import Sensor
from trilat.records.track import Area, Track

NS_PER_MS = 1_000_000
# Square root of the 95 % quantile of chi-squared with two degrees of freedom.
CHI_95 = 2.447_746_830_680_816


def label_words(label: Label, identity: NodeIdentity) -> str:
    """Return a label in words: mode, level name, caveats, who may have it. Nobody but the originator: "JPN ONLY"."""
    mode = "" if label.mode.kind == "live" else f"{label.mode.kind.upper()} // "
    release = f"REL TO {', '.join((label.originator, *label.rel_to))}" if label.rel_to else f"{label.originator} ONLY"
    extra = [*label.communities, *label.caveats]
    return f"{mode}{' // '.join([identity.level_names[label.level], *extra, release])}"


def banner_words(labels: Sequence[Label], identity: NodeIdentity) -> tuple[str, int]:
    """Return the page's banner and its level: the highest level on the screen, releasable to those who may have all of it."""
    level = max((label.level for label in labels), default=0)
    allowed = {identity.nation, *identity.partners}
    for label in labels:
        allowed &= {label.originator, *label.rel_to}
    release = f"REL TO {', '.join(sorted(allowed))}" if len(allowed) > 1 else f"{identity.nation} ONLY"
    mode = "" if identity.mode.kind == "live" else f"{identity.mode.kind.upper()} // "
    return f"{mode}{identity.level_names[level]} // {release}", level


def ellipse(horizontal: Array) -> dict[str, float]:
    """Return the 95 % ellipse of an east-north covariance (2, 2), m^2: semi-axes and bearing of the larger one."""
    values, vectors = np.linalg.eigh(horizontal)
    major = CHI_95 * float(np.sqrt(max(values[1], 0.0)))
    minor = CHI_95 * float(np.sqrt(max(values[0], 0.0)))
    bearing_deg = float(np.degrees(np.arctan2(vectors[0, 1], vectors[1, 1])) % 180)
    return {"major_m": major, "minor_m": minor, "bearing_deg": bearing_deg}


def own_details(row: Any, sensors: Sequence[Sensor]) -> dict[str, Any]:
    """Return what is known of one row of a tracker's columns. Sensors are those whose bits are set."""
    place = ecef_to_geodetic(row["position_m"])
    basis = enu_basis(place[0], place[1])
    covariance = rotate_covariance(row["covariance"], basis)
    velocity = basis @ row["velocity_m_s"]
    flags = int(row["flags"])
    words = [w for bit, w in ((TRACK_FLAG_INNOVATION, "innovation"), (TRACK_FLAG_ID_CONFLICT, "id-conflict")) if flags & bit]
    return {
        "number": int(row["number"]),
        "domain": DOMAINS[row["domain"]],
        "status": STATUSES[row["status"]],
        "t_ms": int(row["t_ns"]) // NS_PER_MS,
        "updated_ms": int(row["updated_t_ns"]) // NS_PER_MS,
        "born_ms": int(row["born_t_ns"]) // NS_PER_MS,
        "callsign": row["callsign"].decode("ascii", "replace") or None,
        "address": f"{int(row['address']):06X}" if row["address"] >= 0 else None,
        "mmsi": int(row["mmsi"]) if row["mmsi"] >= 0 else None,
        "mode_3a": f"{int(row['mode_3a']):04o}" if row["mode_3a"] >= 0 else None,
        "existence": float(row["existence"]),
        "flags": words,
        "sensors": [_sensor(s) for bit, s in enumerate(sensors[:64]) if int(row["sensors"]) >> bit & 1],
        **_motion(place, velocity, covariance),
    }


def _sensor(sensor: Sensor) -> dict[str, str]:
    return {"id": sensor.id, "nation": sensor.nation, "kind": sensor.kind}


def _motion(place: Array, velocity: Array, covariance: Array) -> dict[str, Any]:
    return {
        "lat_deg": float(place[0]),
        "lon_deg": float(place[1]),
        "alt_m": float(place[2]),
        "speed_m_s": float(np.hypot(velocity[0], velocity[1])),
        "course_deg": float(np.degrees(np.arctan2(velocity[0], velocity[1])) % 360),
        "climb_m_s": float(velocity[2]),
        "ellipse": ellipse(covariance[:2, :2]),
        "sigma_alt_m": float(np.sqrt(max(covariance[2, 2], 0.0))),
        "sigma_speed_m_s": float(np.sqrt(max(np.linalg.eigvalsh(covariance[3:5, 3:5])[-1], 0.0))),
    }


def partner_details(record: Track | Area, origin: str, lane: str) -> dict[str, Any]:
    """Return what a partner's record says. Its sensors are ids only: what they are is the partner's business."""
    common: dict[str, Any] = {
        "number": record.number,
        "domain": record.domain,
        "t_ms": record.t_ns // NS_PER_MS,
        "lane": lane,
        "origin": origin,
        "stream": record.stream,
        "sensors": [{"id": name, "nation": origin, "kind": ""} for name in record.pedigree.sensors],
    }
    if isinstance(record, Area):
        place = {"lat_deg": record.lat_deg, "lon_deg": record.lon_deg, "updated_ms": common["t_ms"], "status": "confirmed"}
        circle = {"major_m": record.radius_m, "minor_m": record.radius_m, "bearing_deg": 0.0}
        return {**common, **place, "area": True, "ellipse": circle, "flags": []}
    velocity = np.array([record.velocity_east_m_s, record.velocity_north_m_s, record.velocity_up_m_s])
    covariance = np.zeros((6, 6))
    covariance[np.triu_indices(6)] = record.covariance
    covariance = np.triu(covariance) + np.triu(covariance, 1).T
    return {
        **common,
        "status": record.status,
        "updated_ms": record.updated_t_ns // NS_PER_MS,
        "callsign": record.callsign,
        "address": None if record.address is None else f"{record.address:06X}",
        "mmsi": record.mmsi,
        "mode_3a": None if record.mode_3a is None else f"{record.mode_3a:04o}",
        "existence": record.existence,
        "flags": list(record.flags),
        **_motion(np.array([record.lat_deg, record.lon_deg, record.alt_m]), velocity, covariance),
    }


def release_details(label: Label, identity: NodeIdentity, audiences: Sequence[AudienceView]) -> dict[str, Any]:
    """Return a label in words and who may have what carries it, with the reason of each decision."""
    return {"label": label_words(label, identity), "level": label.level, "audiences": list(audiences)}
