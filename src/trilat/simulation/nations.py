"""Who takes part in a simulation: keys that depend on the name alone, signed sample agreements, and records to release.

What is offered goes through the nation's own policy for each audience, as in a node: so what an audience is entitled to is what
policy says, and what it must never get is offered, too.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from random import Random
from typing import Any

import msgspec
from msgspec import structs

from trilat.errors import PolicyError
from trilat.identity.sign import KeyRing, SigningKey
from trilat.policy import agreement, signing
from trilat.policy.agreement import Agreements, Document
from trilat.policy.audience import AudiencePolicy
from trilat.policy.labels import make
from trilat.records.carried import Route
from trilat.records.envelope import Envelope
from trilat.records.label import Label, Mode
from trilat.records.report import Fix, Pedigree
from trilat.records.sensor import Sensor
from trilat.records.track import Track
from trilat.records.warning import Recall, Warning
from trilat.simulation.recalls import Numbers

MODE = Mode(kind="exercise", id="simulation")
POLICY = "TRILAT"
AGREEMENTS = ("trilateral", "usa-jpn", "usa-kor", "warn-public")
PUBLIC = "PUBLIC"
SECOND_NS = 1_000_000_000
T0_NS = 1_790_000_000 * SECOND_NS
# Tracks and ships go round these many numbers, so that an unsent state is often superseded.
TRACKS = 6
LANES = ("flash", "state", "state", "plots", "history", "history")
SEED_BYTES = 32
# So many signatures are remembered; what is asked after is nearly always among the last few thousand.
SIGNED_MAX = 20_000
# What the minor version before has not, by the message's kind.
PREVIOUS_MINOR = 1
SINCE: dict[str, tuple[str, ...]] = {"trilat.resync/1": ("branch", "refused"), "trilat.empty/1": ("lost",)}
_signed: dict[bytes, tuple[bytes, str, bytes]] = {}


class SimulatedKey(SigningKey):
    """A key that notes what it signed, and how."""

    def sign(self, kind: str, body: bytes) -> bytes:
        """Return the signature over type string and body, as any key."""
        signature = super().sign(kind, body)
        if len(_signed) >= SIGNED_MAX:
            _signed.clear()
        _signed[signature] = (self.verify_key.public, kind, body)
        return signature


class SimulatedRing(KeyRing):
    """A ring that knows a signature which a key of this process made over these very bytes: a tenth of a run went into such.

    Whatever differs in a bit, and whatever is not remembered, is worked out as in a node.
    """

    def _holds(self, public: bytes, kind: str, body: bytes, signature: bytes) -> bool:
        return _signed.get(signature) == (public, kind, body) or super()._holds(public, kind, body, signature)


@cache
def signing_key(nation: str) -> SigningKey:
    """Return a nation's key: for exercise, made of its name."""
    return SimulatedKey(nation, "exercise", f"simulated {nation}".encode().ljust(SEED_BYTES, b"."))


def ring_of(nation: str, nations: tuple[str, ...]) -> KeyRing:
    """Return a nation's ring: its own key, and the others' pinned."""
    pinned = [signing_key(other).verify_key for other in nations if other != nation]
    return SimulatedRing(nation, MODE, [signing_key(nation)], pinned)


def routes_of(nations: tuple[str, ...], hub: str) -> tuple[Route, ...]:
    """Return the route between the other two through a hub; none without one."""
    if not hub:
        return ()
    origin, to = sorted(set(nations) - {hub})
    return (Route(origin=origin, to=to, via=hub, agreement="trilateral/1", not_before_ns=0, expires_ns=2 * T0_NS),)


def as_previous(envelope: Envelope) -> Envelope:
    """Return a message as a node of the minor version before says it, or understands it: nothing in it that came since.

    What its sender has not signed stays as it is, for it is refused.
    """
    since, signed = SINCE.get(envelope.kind, ()), _signed.get(envelope.signature)
    if not since or signed is None or signed[1:] != (envelope.kind, envelope.body):
        return envelope
    fields = msgspec.msgpack.decode(envelope.body)
    older = {name: value for name, value in fields.items() if name not in since}
    older["minor"] = min(older["minor"], PREVIOUS_MINOR)
    body = msgspec.msgpack.encode(older)
    return structs.replace(envelope, body=body, signature=signing_key(fields["sender"]).sign(envelope.kind, body))


@cache
def agreements() -> Agreements:
    """Return the sample agreements, filled and signed by all parties."""
    nations = ("JPN", "KOR", "USA")
    keys = {nation: signing.PolicyKey(nation=nation, seed=nation.encode().ljust(SEED_BYTES, b"p")) for nation in nations}
    values = {f"{n}.policy-key": key.public for n, key in keys.items()}
    values |= {f"{n}.exchange-key": f"ed25519:{signing_key(n).verify_key.public.hex()}" for n in nations}
    values |= {f"{n}.ca-sha256": "0" * 64 for n in nations}
    documents = []
    for name in AGREEMENTS:
        template = resources.files("trilat.policy").joinpath("agreements", f"{name}.toml").read_bytes()
        parties = [nation for nation in nations if f"@{nation}.".encode() in template]
        body = signing.fill(template, values)
        signed = signing.write_signatures({nation: signing.sign(body, keys[nation]) for nation in parties})
        documents.append(Document(f"{name}.toml", body, signed))
    return agreement.load(documents, {nation: key.public for nation, key in keys.items()})


class Offers:
    """What one nation says in a run: made by its dice, released by its policy for each partner."""

    def __init__(self, nation: str, nations: tuple[str, ...], dice: Random, large: float) -> None:
        self.nation = nation
        self.partners = tuple(other for other in nations if other != nation)
        self._dice = dice
        self._large = large
        self._number = 0
        self._labels: dict[tuple[tuple[str, ...], str, int], Label] = {}
        self._beacon = Sensor(id=f"{nation}/beacon", nation=nation, kind="fixes", label=self._label(self.partners, "air", 1))
        self._policies = {
            one: AudiencePolicy(one, agreements(), MODE, nation, sensors=(self._beacon,)) for one in (*self.partners, PUBLIC)
        }
        self.withheld = 0
        self.large = 0

    def make(self, now_ns: int, count: int) -> list[Any]:
        """Return what policy lets go of `count` new records, for each audience in their order."""
        made: list[Any] = []
        for _ in range(count):
            self._number += 1
            record, lane = self._record(now_ns + self._number)
            for partner in self.partners:
                try:
                    one = self._policies[partner].release(record, lane, record.t_ns)  # type: ignore[arg-type]
                except PolicyError:  # a plot for an audience that gets tracks: withheld, as in a node
                    one = None
                self.withheld += one is None
                made += [] if one is None else [one]
        return made

    def warn_all(self, now_ns: int, count: int) -> list[Any]:
        """Return what policy lets go of `count` warnings of the people, for everyone."""
        made: list[Any] = []
        for _ in range(count):
            self._number += 1
            label = self._label((*self.partners, PUBLIC), "missile-warning", 0)
            record = self._warning(now_ns + self._number, label, "")
            released = [policy.release(record, "flash", record.t_ns) for policy in self._policies.values()]
            made += [one for one in released if one is not None]
        return made

    def make_through(self, now_ns: int, count: int, to: str, hub: str) -> list[Any]:
        """Return what policy lets go to one nation of `count` new records, on its way through a hub."""
        made: list[Any] = []
        for at in range(count):
            self._number += 1
            t_ns = now_ns + self._number
            policy = self._policies[to]
            if at % 2:
                one = policy.release(self._warning(t_ns, self._label((to,), "missile-warning", 0), ""), "flash", t_ns)
            else:
                one = policy.release(self._track(t_ns, self._label((to,), "air", 0), self._number), "history", t_ns)
            made += [] if one is None else [structs.replace(one, via=hub)]
        return made

    def recall(self, now_ns: int, numbers: Numbers) -> Any:
        """Return what policy lets go of a recall, for whom the numbers went to; None when it withholds it."""
        self._number += 1
        record = Recall(
            lane=numbers.lane,  # type: ignore[arg-type]
            epoch=numbers.epoch,
            sequences=numbers.sequences,
            reason="Exercise: sent in error",
            by="officer",
            t_ns=now_ns + self._number,
            label=self._label((numbers.audience,), "missile-warning", 0),
        )
        return self._policies[numbers.audience].release(record, "flash", record.t_ns)

    def _label(self, rel_to: tuple[str, ...], topic: str, level: int) -> Label:
        return self._labels.get((rel_to, topic, level)) or self._labels.setdefault(
            (rel_to, topic, level),
            make(
                policy=POLICY,
                originator=self.nation,
                mode=MODE,
                level=level,
                rel_to=rel_to,
                topics=(topic,),
                sources=(self.nation,),
            ),
        )

    def _record(self, t_ns: int) -> tuple[Any, str]:
        dice = self._dice
        lane = dice.choice(LANES)
        rel_to = tuple(sorted(dice.sample(self.partners, dice.randrange(1, len(self.partners) + 1))))
        level = dice.choice([0, 1, 1, 2, 4])  # 4 is above every ceiling: withheld from all
        if lane == "flash":
            large = dice.random() < self._large
            self.large += large
            return self._warning(t_ns, self._label(rel_to, "missile-warning", level), "x" * 3_900 * large), "flash"
        label = self._label(rel_to, "air", level)
        if lane == "plots":
            return self._fix(t_ns, label), "state"
        number = dice.randrange(TRACKS) if lane == "state" else self._number
        return self._track(t_ns, label, number), lane

    def _warning(self, t_ns: int, label: Label, text: str) -> Warning:
        return Warning(
            id=f"w{self._number}",
            version=1,
            state="issued",
            t_ns=t_ns,
            label=label,
            pedigree=Pedigree(nation=self.nation),
            kind="missile",
            headline="Exercise: take shelter",
            text=text,
            expires_ns=t_ns + 3_600 * SECOND_NS,
            raised_by="officer",
        )

    def _fix(self, t_ns: int, label: Label) -> Fix:
        return Fix(
            t_ns=t_ns,
            sensor=self._beacon.id,
            label=label,
            pedigree=Pedigree(nation=self.nation, sensors=(self._beacon.id,)),
            domain="air",
            lat_deg=33.0,
            lon_deg=130.0,
            sigma_horizontal_m=50.0,
            callsign=f"F{self._number}",
        )

    def _track(self, t_ns: int, label: Label, number: int) -> Track:
        return Track(
            stream=f"{self.nation}/air",
            number=number,
            t_ns=t_ns,
            status="confirmed",
            label=label,
            pedigree=Pedigree(nation=self.nation),
            lat_deg=33.0,
            lon_deg=130.0,
            alt_m=9_000.0,
            velocity_east_m_s=200.0,
            velocity_north_m_s=10.0,
            velocity_up_m_s=0.0,
            covariance=tuple(float(i) + 0.5 for i in range(21)),
            updated_t_ns=t_ns,
        )
