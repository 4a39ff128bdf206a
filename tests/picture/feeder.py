"""A small made-up world for the picture: moving tracks of three nations, lights, warnings. Deterministic from its seed.

`python tests/picture/feeder.py [--port N] [--tracks N]` serves the page on it, for working on the page by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trilat.accounts.roles import acts_of
from trilat.kernels.geodesy import ecef_to_geodetic, enu_basis, geodetic_to_ecef
from trilat.picture import acts
from trilat.picture.cop import Cop
from trilat.picture.guard import Gate
from trilat.picture.inputs import (
    ActAnswer,
    AudienceView,
    CopInput,
    CopSettings,
    FeedLight,
    LinkLight,
    NodeIdentity,
    PartnerRecord,
    SensorBias,
    SensorLight,
    WarningRecord,
)
from trilat.picture.web import Hub, WebSettings, make_app, serving
from trilat.records.approval import Session
from trilat.records.columns import DOMAINS, STATUSES, Tracks, empty_tracks
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.records.track import Track
from trilat.records.warning import Acknowledgement, Retraction, Warning, WarningArea

if TYPE_CHECKING:
    from collections.abc import Sequence

NATIONS = ("JPN", "KOR", "USA")
MODE = Mode(kind="exercise", id="KEEN-PINE-26")
START_NS = 1_795_000_000_000_000_000
NS = 1_000_000_000
AIR, SEA = DOMAINS.index("air"), DOMAINS.index("sea")
STATES = {word: code for code, word in enumerate(STATUSES)}


def label(nation: str, level: int = 1, rel_to: Sequence[str] = NATIONS) -> Label:
    """Return a label of a nation, releasable to the others named."""
    others = tuple(sorted(set(rel_to) - {nation}))
    return Label(policy="TRILAT", originator=nation, mode=MODE, level=level, rel_to=others)


def sensors(nation: str) -> list[Sensor]:
    """Return three sensors of a nation; the third is for the own nation only."""
    kinds = (("radar-1", "radar3d", 1), ("fixes-1", "fixes", 0), ("radar-9", "radar2d", 3))
    return [
        Sensor(id=f"{nation.lower()}-{name}", nation=nation, kind=kind, label=label(nation, level, NATIONS if level < 3 else ()))
        for name, kind, level in kinds
    ]


class World:
    """Tracks that move on straight lines over the sea between Kyushu and Korea; nation i owns every third one."""

    def __init__(self, tracks: int, seed: int = 7) -> None:
        rng = np.random.default_rng(seed)
        self.lat = rng.uniform(28.5, 36.5, tracks)
        self.lon = rng.uniform(124.5, 134.5, tracks)
        self.sea = rng.random(tracks) < 0.35
        self.course = rng.uniform(0, 2 * np.pi, tracks)
        self.speed = np.where(self.sea, rng.uniform(3, 12, tracks), rng.uniform(180, 260, tracks))
        self.alt = np.where(self.sea, 0.0, rng.uniform(3000, 12000, tracks))
        self.sigma = rng.uniform(40, 900, tracks)
        self.silent = rng.random(tracks) < 0.2
        self.status = rng.choice([0, 1, 1, 1, 1, 1, 1, 2], tracks)
        self.base = geodetic_to_ecef(self.lat, self.lon, self.alt)

    def state(self, t_s: float) -> tuple[Any, Any]:
        """Return positions and velocities (ECEF) after t_s seconds, held at their height."""
        basis = enu_basis(self.lat, self.lon)
        enu = np.stack([self.speed * np.sin(self.course), self.speed * np.cos(self.course), np.zeros_like(self.speed)], axis=1)
        velocity = np.einsum("nji,nj->ni", basis, enu)
        place = ecef_to_geodetic(self.base + velocity * t_s)
        return geodetic_to_ecef(place[:, 0], place[:, 1], self.alt), velocity

    def own(self, nation: str, now_ns: int) -> Tracks:
        """Return the tracker's columns of one nation."""
        mine = np.arange(NATIONS.index(nation), len(self.lat), len(NATIONS))
        position, velocity = self.state((now_ns - START_NS) / NS)
        columns = empty_tracks(len(mine))
        columns["number"] = mine + 1
        columns["t_ns"], columns["born_t_ns"] = now_ns, START_NS - 60 * NS
        age_ns = np.where(self.status[mine] == STATES["coasting"], 40, 2).astype(np.int64) * NS
        columns["updated_t_ns"] = now_ns - age_ns
        columns["status"] = self.status[mine]
        columns["domain"] = np.where(self.sea[mine], SEA, AIR)
        columns["existence"] = 0.98
        columns["position_m"], columns["velocity_m_s"] = position[mine], velocity[mine]
        columns["covariance"][:, range(3), range(3)] = self.sigma[mine, None] ** 2
        columns["covariance"][:, 0, 1] = columns["covariance"][:, 1, 0] = 0.6 * self.sigma[mine] ** 2
        columns["covariance"][:, range(3, 6), range(3, 6)] = 4.0
        columns["sensors"] = np.where(self.silent[mine], np.where(mine % 2, 1, 4), 3)
        talks = ~self.silent[mine]
        columns["address"] = np.where(talks & ~self.sea[mine], 0x780000 + mine, -1)
        columns["mmsi"] = np.where(talks & self.sea[mine], 431_000_000 + mine, -1)
        columns["callsign"] = [_callsign(i, bool(s)) if t else b"" for i, s, t in zip(mine, self.sea[mine], talks, strict=True)]
        return Tracks(stream=f"{nation.lower()}/national", t_ns=now_ns, columns=columns)

    def partner(self, nation: str, now_ns: int) -> list[PartnerRecord]:
        """Return what another nation releases of its tracks: those of its first two sensors."""
        tracks = self.own(nation, now_ns)
        place = ecef_to_geodetic(tracks.columns["position_m"])
        records = []
        for row, at in zip(tracks.columns, place, strict=True):
            if row["sensors"] & 4:
                continue
            east, north, up = enu_basis(at[0], at[1]) @ row["velocity_m_s"]
            sigma2 = float(row["covariance"][0, 0])
            covariance = [0.0] * 21
            for diagonal, value in zip((0, 6, 11, 15, 18, 20), (sigma2, sigma2, sigma2, 4.0, 4.0, 4.0), strict=True):
                covariance[diagonal] = value
            record = Track(
                stream="jpn-tracks",
                number=int(row["number"]) + 5000,
                t_ns=now_ns,
                status=STATUSES[row["status"]],
                label=label(nation),
                pedigree=Pedigree(nation=nation, sensors=(f"{nation.lower()}-radar-1",)),
                domain=DOMAINS[row["domain"]],
                lat_deg=float(at[0]),
                lon_deg=float(at[1]),
                alt_m=float(at[2]),
                velocity_east_m_s=float(east),
                velocity_north_m_s=float(north),
                velocity_up_m_s=float(up),
                covariance=tuple(covariance),
                updated_t_ns=int(row["updated_t_ns"]),
                address=int(row["address"]) if row["address"] >= 0 else None,
                mmsi=int(row["mmsi"]) if row["mmsi"] >= 0 else None,
                callsign=row["callsign"].decode() or None,
            )
            records.append(PartnerRecord(origin=nation, lane="state", record=record))
        return records


def _callsign(index: int, sea: bool) -> bytes:  # noqa: FBT001 - a table's column
    return b"MV PINE %d" % index if sea else b"%s%d" % ((b"JAL", b"KAL", b"UAL")[index % 3], 100 + index)


def identity(nation: str = "JPN", mode: Mode = MODE) -> NodeIdentity:
    """Return a node's identity with both partners."""
    partners = tuple(n for n in NATIONS if n != nation)
    return NodeIdentity(nation=nation, node=f"{nation.lower()}-1", mode=mode, started_ns=START_NS, partners=partners)


def audiences(shown: Label, _: tuple[str, ...]) -> list[AudienceView]:
    """Return who may have what carries a label, by its list alone (the policy stage's business in a real node)."""
    return [AudienceView(audience=n, permit=n in shown.rel_to, tier="track", reason="rel-to") for n in NATIONS[1:]]


def make_cop(nation: str = "JPN", settings: CopSettings | None = None, **other: Any) -> Cop:
    """Return a picture whose tracks' labels are the strictest of their sensors'."""
    table = sensors(nation)

    def label_of(bits: int) -> Label:
        return max((s.label for i, s in enumerate(table) if bits >> i & 1), key=lambda one: one.level)

    return Cop(other.pop("identity", identity(nation)), table, label_of, audiences, settings, **other)


def feeds(now_ns: int) -> list[FeedLight]:
    """Return three feeds, one of them late."""
    return [
        FeedLight(
            name="radar-1", format="asterix", state="up", last_report_ns=now_ns - NS // 2, reports=91_240, reports_per_s=212.4
        ),
        FeedLight(
            name="adsb-1",
            format="beast",
            state="up",
            last_report_ns=now_ns - NS // 5,
            reports=40_871,
            reports_per_s=148.0,
            refused={"crc": 12},
        ),
        FeedLight(
            name="ais-1",
            format="ais",
            state="late",
            last_report_ns=now_ns - 21 * NS,
            reports=3_112,
            reports_per_s=0.0,
            refused={"checksum": 3},
        ),
    ]


def links(now_ns: int, nation: str = "JPN") -> list[LinkLight]:
    """Return three lanes to each partner."""
    return [
        LinkLight(
            nation=partner,
            lane=lane,
            state="late" if (partner, lane) == ("USA", "history") else "up",
            last_heard_ns=now_ns - NS // 4,
            last_receipt_ns=now_ns - NS // 3,
            epoch=1,
            received=1200,
            sent=1180,
            lag=340 if (partner, lane) == ("USA", "history") else 0,
            lag_s=72.0 if (partner, lane) == ("USA", "history") else 0.0,
            head="a1b2c3d4e5f60718",
            rejected={"signature-wrong": 3} if lane == "history" else {},
        )
        for partner in NATIONS
        if partner != nation
        for lane in ("flash", "state", "history")
    ]


def judged() -> list[SensorLight]:
    """Return what is thought of some sensors and partners, with names as long as they come."""
    far = SensorBias(kind="range_m", value=-97.6, sigma=4.6), SensorBias(kind="azimuth_rad", value=0.0035, sigma=0.0002)
    bad = SensorLight(nation="KOR", name="KOR/south-coast-long-range-radar", state="down", judged="quarantined", reason="ghosts")
    return [
        SensorLight(nation="JPN", name="JPN/ridge", state="up", judged="fit", nis=0.97, biases=far),
        bad,
        SensorLight(nation="KOR", name="KOR/set", state="late", judged="suspect", reason="does-not-fit", nis=12.4),
        SensorLight(nation="USA", name="tracks", state="off", judged="unknown"),
    ]


def warning(nation: str, name: str, now_ns: int, **other: Any) -> WarningRecord:
    """Return a hand-raised warning with one area."""
    fields: dict[str, Any] = {
        "id": name,
        "version": 1,
        "state": "issued",
        "t_ns": now_ns,
        "label": label(nation),
        "pedigree": Pedigree(nation=nation),
        "kind": "launch",
        "headline": "EXERCISE Ballistic launch detected, landing area under assessment",
        "areas": (WarningArea(name="Area A", lat_deg=38.6, lon_deg=134.8, radius_m=90_000.0, probability=0.8),),
        "event_t_ns": now_ns - 40 * NS,
        "expires_ns": now_ns + 3600 * NS,
        "confidence": 0.7,
        "raised_by": "watch-officer",
    }
    return WarningRecord(origin=nation, record=Warning(**{**fields, **other}))


def acknowledgement(nation: str, originator: str, name: str, now_ns: int, **other: Any) -> WarningRecord:
    """Return a nation's acknowledgement of a warning."""
    fields: dict[str, Any] = {
        "warning_originator": originator,
        "warning_id": name,
        "warning_version": 1,
        "kind": "acknowledged",
        "nation": nation,
        "station": f"{nation.lower()}-watch",
        "by": "officer-2",
        "t_ns": now_ns,
        "label": label(nation),
    }
    return WarningRecord(origin=nation, record=Acknowledgement(**{**fields, **other}))


OFFICER = Session(user="watch-officer", person="Watch Officer", station="watch", session="s-1", roles=("watch-officer",))


def open_gate(**other: Any) -> Gate:
    """Return a gate that takes whoever comes for the one watch officer: what is tested here lies behind the door."""

    async def whose(_: Request) -> Response:
        return JSONResponse({"user": OFFICER.user, "person": OFFICER.person, "roles": OFFICER.roles, "ends_ms": 0})

    good = {"door": lambda _: OFFICER, "renew": lambda session: session, "may": acts_of, "routes": [Route("/session", whose)]}
    return Gate(**{**good, **other})


class Feeder:
    """Steps a picture with the world's inputs and answers acts the way a node would."""

    def __init__(
        self,
        tracks: int = 300,
        nation: str = "JPN",
        settings: CopSettings | None = None,
        *,
        alone: bool = False,
        gate: Gate | None = None,
        **web: Any,
    ) -> None:
        self.world = World(tracks)
        self.partners = () if alone else tuple(n for n in NATIONS if n != nation)
        self.nation = nation
        self.cop = make_cop(nation, settings)
        self.now_ns = START_NS
        self.acts: list[acts.OfficerAct] = []
        self.waiting: list[WarningRecord] = []
        self.answers: list[ActAnswer] = []
        self.serial = 0
        self.hub = Hub(self.cop, self.on_act, gate or open_gate(), WebSettings(**web))

    async def on_act(self, act: acts.OfficerAct) -> None:
        """Take an act as the node's input queue does; the answer comes with the next tick."""
        self.acts.append(act)
        told = act.act
        if isinstance(told, acts.RaiseWarning):
            self.serial += 1
            expires_ns = self.now_ns + told.minutes * 60 * NS
            made = warning(self.nation, f"w-{self.serial}", self.now_ns, kind=told.kind, headline=told.headline)
            changed = {"text": told.text, "areas": told.areas, "expires_ns": expires_ns, "event_t_ns": None}
            record = Warning(**{**{f: getattr(made.record, f) for f in made.record.__struct_fields__}, **changed})
            self.waiting.append(WarningRecord(origin=self.nation, record=record))
        elif isinstance(told, acts.AcknowledgeWarning):
            station = act.session.station
            self.waiting.append(
                acknowledgement(
                    self.nation,
                    told.originator,
                    told.warning_id,
                    self.now_ns,
                    kind=told.kind,
                    station=station,
                    by=act.session.user,
                    warning_version=told.version,
                )
            )
        else:
            self.waiting.append(
                WarningRecord(
                    origin=self.nation,
                    record=Retraction(
                        warning_id=told.warning_id,
                        warning_version=told.version,
                        reason=told.reason,
                        by=act.session.user,
                        t_ns=self.now_ns,
                        label=label(self.nation),
                    ),
                )
            )
        self.answers.append(ActAnswer(act_id=told.act_id, ok=True))

    def step(self, dt_ns: int = NS // 5) -> None:
        """Advance by dt_ns, step the picture with everything, and tell the pages."""
        self.now_ns += dt_ns
        records = [r for n in self.partners for r in self.world.partner(n, self.now_ns)]
        given = CopInput(
            own=self.world.own(self.nation, self.now_ns),
            partners=records,
            warnings=tuple(self.waiting),
            answers=tuple(self.answers),
            feeds=feeds(self.now_ns),
            links=links(self.now_ns, self.nation),
            sensors=judged(),
            counters={"released": 1180, "withheld": 57},
        )
        self.waiting.clear()
        self.answers.clear()
        self.cop.step(self.now_ns, given)
        self.hub.publish()

    def app(self, **other: Any) -> Any:
        """Return the web application on this picture."""
        good = {"live": lambda: (True, {"loop": "ok"}), "ready": lambda: (True, {"feeds": "ok"}), "metrics": lambda: b"up 1\n"}
        return make_app(self.hub, **{**good, **other})


async def main() -> None:
    """Serve the page until interrupted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tracks", type=int, default=300)
    parser.add_argument("--nation", default="JPN")
    parser.add_argument("--warn", action="store_true")
    given = parser.parse_args()
    feeder = Feeder(given.tracks, given.nation)
    if given.warn:
        feeder.waiting += [warning("KOR", "w-9", START_NS), acknowledgement("KOR", "KOR", "w-9", START_NS + 9 * NS)]
    async with serving(feeder.app(), "127.0.0.1", given.port) as port:
        print(f"http://127.0.0.1:{port}", flush=True)  # noqa: T201 - the address is what this script is for
        while True:
            feeder.step()
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
