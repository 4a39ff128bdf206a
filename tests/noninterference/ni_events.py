"""Declassification events of the two-run test's worlds: KOR's, the same in both runs of a pair, and hidden ones of USA."""

from __future__ import annotations

import random
from functools import cache

import msgspec
from node_worlds import MODE, T0_NS

from trilat.identity.sign import SigningKey
from trilat.node.inputs import EventInput, Input
from trilat.node.people import signed
from trilat.outward.events import Wanted
from trilat.policy.audience import content_hash
from trilat.policy.labels import make
from trilat.records import codec
from trilat.records.declassification import Declassification
from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.track import Track
from trilat.records.warning import Warning

KEY = SigningKey("JPN", "exercise", b"\x07" * 32)
HOUR_NS = 3_600 * 10**9


def hidden_label(topic: str) -> Label:
    """Return a label that lets nobody in."""
    return make(policy="TRILAT", originator="JPN", mode=MODE, level=2, rel_to=(), topics=(topic,), sources=("JPN",))


def event(name: str, kind: str, audience: str, **other: object) -> Declassification:
    """Return an event that holds from the world's start for an hour."""
    held = {"id": name, "nation": "JPN", "kind": kind, "audience": audience, "mode": MODE, "approved_by": ("ann", "ben")}
    return Declassification(**held, t_ns=T0_NS, expires_ns=T0_NS + HOUR_NS, **other)  # type: ignore[arg-type]


def let_go(name: str, audience: str, record: Warning | Track) -> EventInput:
    """Return the signed event by which two people let one record go to an audience."""
    content = content_hash(record)
    made = event(name, "approved-release", audience, topics=record.label.topics, level_max=4, content_sha256=content)
    return signed(Wanted(made, codec.encode(record)), KEY)


def warning(number: int) -> Warning:
    return Warning(
        id=f"JPN-H{number}",
        version=1,
        state="issued",
        t_ns=T0_NS,
        label=hidden_label("missile-warning"),
        pedigree=Pedigree(nation="JPN"),
        kind="test",
        headline=f"EXERCISE {number}",
        expires_ns=T0_NS + HOUR_NS,
        raised_by="ann",
    )


def track(number: int) -> Track:
    return Track(
        stream="JPN/track",
        number=number,
        t_ns=T0_NS,
        status="confirmed",
        label=hidden_label("air"),
        pedigree=Pedigree(nation="JPN", sensors=("JPN/deep",)),
        domain="air",
        lat_deg=33.0,
        lon_deg=129.0,
        alt_m=9_000.0,
        velocity_east_m_s=200.0,
        velocity_north_m_s=0.0,
        velocity_up_m_s=0.0,
        covariance=tuple(100.0 if k in (0, 6, 11, 15, 18, 20) else 0.0 for k in range(21)),
        updated_t_ns=T0_NS,
    )


def standing(audience: str) -> EventInput:
    """Return a duty to warn that is called upon, for a level at which nothing is raised here: it opens nothing."""
    duty = {"topics": ("missile-warning",), "level_max": 0, "agreement": "trilateral", "agreement_version": 1}
    return signed(Wanted(event(f"stands-{audience}", "life-safety", audience, **duty)), KEY)


@cache
def for_kor(k: int) -> tuple[Input, ...]:
    """Return KOR's events of a step: a duty that stands, a warning and, twice, a track that are let go."""
    one = {
        1: lambda: (standing("KOR"),),
        6: lambda: (let_go("w1", "KOR", warning(1)), let_go("t1", "KOR", track(11))),
        9: lambda: (let_go("t2", "KOR", track(12)),),
    }
    return one[k]() if k in one else ()


def for_usa(steps: list[list[Input]], rng: random.Random) -> list[list[Input]]:
    """Put events for USA alone into the steps: what two people let go to one partner says nothing to another."""
    for k, step in enumerate(steps):
        if k == 0:
            step.append(standing("USA"))
        if rng.random() < 0.5:
            step.append(let_go(f"u{k}", "USA", rng.choice((warning, track))(100 + k)))
        if rng.random() < 0.2:  # forged: refused by name
            step.append(
                msgspec.structs.replace(step[-1], record=b"\xc1")
                if step and isinstance(step[-1], EventInput)
                else standing("USA")
            )
    return steps
