"""Agreements between nations: signed, versioned data that says what may flow from whom to whom (DESIGN sections 4 and 6).

A file is read in this order and no other: size, signatures over its very bytes, TOML, shape, sense. The first file that
fails stops the whole set, because to go on without it could only widen what the others allow.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from trilat.errors import PolicyError
from trilat.marking.canonical import OPERATIONS, PURPOSE_NONE, Tier, coarsest, strictest
from trilat.policy import signing
from trilat.policy.labels import LevelEquivalence
from trilat.records.fields import Audience, Name, ShortText, Text, Trigraph
from trilat.records.label import FieldOperation
from trilat.records.sensor import SensorKind

FORMAT = "trilat-agreement/1"
agreements_max = 64

Level = Annotated[int, Meta(ge=0, le=4)]
KeyText = Annotated[str, Meta(pattern=r"^ed25519:[0-9a-f]{64}$(?!\n)")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Instant = Annotated[datetime, Meta(tz=True)]
AgreementId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$(?!\n)")]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of an agreement: a key that we do not know could be a restriction, so it is refused."""


class Party(_Part, frozen=True, kw_only=True):
    """A nation bound by an agreement: its keys, the highest level it may receive, the communities its readers belong to."""

    nation: Trigraph
    policy_key: KeyText
    exchange_keys: tuple[KeyText, ...] = ()
    ca_sha256: tuple[Digest, ...] = ()
    ceiling: Level
    communities: tuple[Name, ...] = ()


class Public(_Part, frozen=True, kw_only=True):
    """The audience PUBLIC under this agreement: it has no key and belongs to no community."""

    ceiling: Level = 0


class SensorTier(_Part, frozen=True, kw_only=True):
    """The tier of one sensor (`id`) or of a kind of sensors (`kind`); an id goes before a kind."""

    id: Name | None = None
    kind: SensorKind | None = None
    tier: Tier


class Operation(_Part, frozen=True, kw_only=True):
    """What is done to one field of everything in a flow; the label's own operations are joined to it."""

    field: Name
    operation: Literal["drop", "round", "inflate", "coarsen", "delay"]
    amount: Annotated[float, Meta(ge=0, le=1e7)] = 0.0


class Flow(_Part, frozen=True, kw_only=True, rename={"origin": "from"}):
    """What goes from one party to one audience: topics, tier, route, operations. What no flow names does not go."""

    origin: Trigraph
    to: Audience
    topics: Annotated[tuple[Name, ...], Meta(min_length=1)]
    tier: Tier
    via: Trigraph | None = None
    sensor: tuple[SensorTier, ...] = ()
    operation: tuple[Operation, ...] = ()


class StandingConsent(_Part, frozen=True, kw_only=True):
    """A party's standing consent that one recipient may have what others make of its data on these topics."""

    source: Trigraph
    recipient: Audience
    topics: Annotated[tuple[Name, ...], Meta(min_length=1)]


class DutyToWarn(_Part, frozen=True, kw_only=True):
    """Topics on which a life-safety event may go past level, readers and communities, at this coarse tier."""

    topics: Annotated[tuple[Name, ...], Meta(min_length=1)]
    tier: Tier = "area"


class Validity(_Part, frozen=True, kw_only=True):
    """From when (included) until when (excluded), with the offset from UTC."""

    not_before: Instant
    expires: Instant


class Agreement(_Part, frozen=True, kw_only=True, eq=False):
    """One agreement file. `yields_to` names agreements that govern instead of this one where both cover a flow and topic."""

    format: Literal["trilat-agreement/1"]
    id: AgreementId
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    title: ShortText
    text: Text = ""
    policy: Name
    modes: Annotated[tuple[Literal["live", "exercise", "replay"], ...], Meta(min_length=1)]
    validity: Validity
    topics: Annotated[tuple[Name, ...], Meta(min_length=1)]
    purposes: Annotated[tuple[Name, ...], Meta(min_length=1)]
    caveats: tuple[Name, ...] = ()
    yields_to: tuple[AgreementId, ...] = ()
    party: Annotated[tuple[Party, ...], Meta(min_length=1, max_length=16)]
    public: Public | None = None
    flow: tuple[Flow, ...] = ()
    equivalence: tuple[LevelEquivalence, ...] = ()
    consent: tuple[StandingConsent, ...] = ()
    duty_to_warn: DutyToWarn | None = None

    @property
    def name(self) -> str:
        """Return the name under which decisions cite it: "usa-jpn/3"."""
        return f"{self.id}/{self.version}"

    @property
    def not_before_ns(self) -> int:
        """Return the time from which it is in force, UTC ns."""
        return _ns(self.validity.not_before)

    @property
    def expires_ns(self) -> int:
        """Return the time at which it ends, UTC ns."""
        return _ns(self.validity.expires)

    def ceiling_of(self, audience: str) -> int | None:
        """Return the highest level an audience may receive, None when it is no audience of this agreement."""
        if audience == "PUBLIC":
            return None if self.public is None else self.public.ceiling
        return next((party.ceiling for party in self.party if party.nation == audience), None)

    def communities_of(self, audience: str) -> tuple[str, ...]:
        """Return the communities an audience's readers belong to; PUBLIC belongs to none."""
        return next((party.communities for party in self.party if party.nation == audience), ())


def _ns(instant: datetime) -> int:
    # Whole microseconds are exact in Python's integers; a float would lose 100 ns today.
    since = instant - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def strictest_of(flow: Flow) -> tuple[FieldOperation, ...]:
    """Return the operations of a flow as a label has them, the strictest per field."""
    return strictest(FieldOperation(field=one.field, operation=one.operation, amount=float(one.amount)) for one in flow.operation)


class Document(NamedTuple):
    """An agreement file and its signatures, as bytes; `name` is for refusals only."""

    name: str
    body: bytes
    signatures: bytes


class Seen(NamedTuple):
    """The highest version of an agreement this node has had in force, and its hash: kept in the node's log."""

    version: int
    sha256: str


class Agreements(Struct, frozen=True, kw_only=True, eq=False):
    """The verified agreements a node holds: what every decision is made from. Empty = nothing leaves.

    seen: id -> the highest version and its hash, to be written to the node's log and handed in at the next load.
    suspended: ids that this nation has stopped by its own will; they still govern, and what they govern is withheld.
    """

    agreements: tuple[Agreement, ...] = ()
    seen: dict[str, Seen] = {}
    suspended: frozenset[str] = frozenset()

    def of_parties(self, nation: str, audience: str) -> tuple[Agreement, ...]:
        """Return the agreements with a flow from a nation to an audience."""
        return tuple(a for a in self.agreements if any((f.origin, f.to) == (nation, audience) for f in a.flow))

    def consents(self, nation: str, source: str, recipient: str, topic: str, mode: str, now_ns: int, purpose: str = "") -> bool:
        """Tell whether a source consented, in an agreement with a nation that is in force, to what that makes of its data.

        purpose: one that the agreement must hold; empty asks for none.
        """
        return any(
            mode in a.modes
            and a.id not in self.suspended
            and a.not_before_ns <= now_ns < a.expires_ns
            and {nation, source} <= {party.nation for party in a.party}
            and (not purpose or purpose in a.purposes)
            and any((one.source, one.recipient) == (source, recipient) and topic in one.topics for one in a.consent)
            for a in self.agreements
        )

    def equivalences(self) -> tuple[LevelEquivalence, ...]:
        """Return every level equivalence of every agreement."""
        return tuple(sorted({one for a in self.agreements for one in a.equivalence}))


def parse(name: str, body: bytes) -> Agreement:
    """Return the agreement in a file whose signatures hold (or in a draft being written).

    Raises:
        PolicyError: agreement-unreadable (no TOML, too long), agreement-value (shape or sense, with the place).
    """
    if len(body) > signing.document_bytes_max:
        raise PolicyError("agreement-unreadable", f"{name}: {len(body)} bytes, more than {signing.document_bytes_max}.")
    try:
        data = tomllib.loads(body.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as fault:
        raise PolicyError("agreement-unreadable", f"{name}: {fault}"[:300]) from fault
    try:
        agreement = msgspec.convert(data, Agreement)
    except (msgspec.ValidationError, ValueError) as fault:
        raise PolicyError("agreement-value", f"{name}: {fault}"[:300]) from fault
    if faults := faults_of(agreement):
        raise PolicyError("agreement-value", f"{name}: {'; '.join(faults)}")
    return agreement


def faults_of(agreement: Agreement) -> list[str]:
    """Return what makes no sense in an agreement of the right shape: every fault, in the order of the file."""
    nations = [party.nation for party in agreement.party]
    faults = [f"party {nation} stands twice" for nation in sorted({n for n in nations if nations.count(n) > 1})]
    if agreement.expires_ns <= agreement.not_before_ns:
        faults.append("it ends before it begins")
    if PURPOSE_NONE in agreement.purposes:
        faults.append(f"purpose {PURPOSE_NONE!r} is reserved for labels that allow none")
    if agreement.id in agreement.yields_to:
        faults.append("it yields to itself")
    names = (agreement.topics, agreement.purposes, agreement.caveats, *(party.communities for party in agreement.party))
    faults += [f"{name!r} ends in a line break" for group in names for name in group if name.endswith("\n")]
    covered: set[tuple[str, str, str]] = set()
    for flow in agreement.flow:
        faults += _faults_of_flow(agreement, flow, nations)
        for topic in flow.topics:
            if (flow.origin, flow.to, topic) in covered:
                faults.append(f"two flows from {flow.origin} to {flow.to} cover topic {topic!r}")
            covered.add((flow.origin, flow.to, topic))
    for consent in agreement.consent:
        if consent.source not in nations:
            faults.append(f"consent of {consent.source}, who is no party and does not sign")
    if agreement.duty_to_warn is not None and set(agreement.duty_to_warn.topics) - set(agreement.topics):
        faults.append("duty to warn on a topic that the agreement does not cover")
    return faults


def _faults_of_flow(agreement: Agreement, flow: Flow, nations: Sequence[str]) -> list[str]:
    where = f"flow from {flow.origin} to {flow.to}"
    faults = []
    if flow.origin not in nations or (flow.to != "PUBLIC" and flow.to not in nations):
        faults.append(f"{where}: not between parties")
    if flow.to == flow.origin:
        faults.append(f"{where}: to itself")
    if flow.to == "PUBLIC" and agreement.public is None:
        faults.append(f"{where}: there is no [public] with a ceiling")
    if unknown := sorted(set(flow.topics) - set(agreement.topics)):
        faults.append(f"{where}: topics {unknown} are not among the agreement's")
    if flow.via is not None and (flow.via not in nations or flow.via in {flow.origin, flow.to}):
        faults.append(f"{where}: the hub {flow.via} is no third party of the agreement")
    if any((one.id is None) == (one.kind is None) for one in flow.sensor):
        faults.append(f"{where}: a sensor tier names either an id or a kind")
    for operation in flow.operation:
        faults += _faults_of_operation(where, operation)
    return faults


def _faults_of_operation(where: str, operation: Operation) -> list[str]:
    said = f"{where}: {operation.operation} of {operation.field}"
    if operation.operation not in OPERATIONS.get(operation.field, ()):
        return [f"{said} is not an operation we know"]
    if (operation.operation == "drop") != (operation.amount == 0.0):
        return [f"{said} with amount {operation.amount:g}: only a drop has none"]
    if operation.operation == "inflate" and operation.amount < 1.0:
        return [f"{said} by {operation.amount:g} would sharpen; it is at least 1"]
    return []


def verify(document: Document, pinned: Mapping[str, str]) -> Agreement:
    """Return one agreement that all its parties have signed with the policy keys pinned here.

    Raises:
        PolicyError: what `signing.verified_signers` and `parse` raise; agreement-half-signed when a party's signature is
            missing; policy-key-unknown when the file names another key for a party than the one pinned.
    """
    signers = signing.verified_signers(document.name, document.body, document.signatures, pinned)
    agreement = parse(document.name, document.body)
    parties = {party.nation for party in agreement.party}
    if missing := sorted(parties - signers):
        raise PolicyError("agreement-half-signed", f"{document.name}: {', '.join(missing)} has not signed.")
    for party in agreement.party:
        if party.policy_key != pinned[party.nation]:
            raise PolicyError("policy-key-unknown", f"{document.name}: it names another policy key for {party.nation}.")
    return agreement


def load(
    documents: Iterable[Document],
    pinned: Mapping[str, str],
    seen: Mapping[str, Seen] | None = None,
    suspended: Iterable[str] = (),
) -> Agreements:
    """Return the verified set of agreements, or raise at the first thing that is wrong with any of them.

    Args:
        documents: the files; all of a node's agreements at once.
        pinned: nation -> public policy key ("ed25519:..."), from the node's own configuration.
        seen: what the last load returned in `Agreements.seen`, from the node's log.
        suspended: ids whose flows this nation has stopped for now.

    Raises:
        PolicyError: as `verify`; agreement-duplicate (one id twice); agreement-older (a version below the highest seen);
            agreement-forked (the same version with other content); agreement-missing (one seen before is not there: an
            agreement ends by its date, by a newer version or by suspending it, never by losing the file); suspended-unknown
            (an id that no agreement has: what was to be stopped would go on).
    """
    known = dict(seen or {})
    found: dict[str, Agreement] = {}
    for document in documents:
        agreement = verify(document, pinned)
        if agreement.id in found:
            raise PolicyError("agreement-duplicate", f"{document.name}: {agreement.id} stands twice.")
        this = Seen(agreement.version, signing.document_hash(document.body))
        before = known.get(agreement.id)
        if before is not None and this.version < before.version:
            raise PolicyError("agreement-older", f"{document.name}: version {this.version}, seen {before.version}.")
        if before is not None and this.version == before.version and this.sha256 != before.sha256:
            raise PolicyError("agreement-forked", f"{document.name}: version {this.version} with other content.")
        found[agreement.id] = agreement
        known[agreement.id] = this
        if len(found) > agreements_max:
            raise PolicyError("agreement-value", f"More than {agreements_max} agreements.")
    if missing := sorted(set(known) - set(found)):
        raise PolicyError("agreement-missing", f"{', '.join(missing)}.")
    stopped = frozenset(suspended)
    if unknown := sorted(stopped - set(found)):
        raise PolicyError("suspended-unknown", f"{', '.join(unknown)}; there are {', '.join(sorted(found)) or 'none'}.")
    ordered = tuple(found[key] for key in sorted(found))
    return Agreements(agreements=ordered, seen=known, suspended=stopped)


def contradictions(agreements: Agreements) -> list[str]:
    """Return, in words, where two agreements govern one flow and topic on different terms; the stricter wins in each."""
    said = []
    for i, first in enumerate(agreements.agreements):
        for second in agreements.agreements[i + 1 :]:
            if first.id in second.yields_to or second.id in first.yields_to:
                continue
            for one in first.flow:
                for other in second.flow:
                    if (one.origin, one.to) == (other.origin, other.to) and set(one.topics) & set(other.topics):
                        said += _contradictions_of(first, one, second, other)
    return said


def _contradictions_of(first: Agreement, one: Flow, second: Agreement, other: Flow) -> list[str]:
    topics = ", ".join(sorted(set(one.topics) & set(other.topics)))
    where = f"{first.name} and {second.name}, {one.origin} to {one.to}, {topics}"
    said = []
    ceilings = (first.ceiling_of(one.to), second.ceiling_of(one.to))
    if ceilings[0] != ceilings[1]:
        said.append(f"{where}: ceilings {ceilings[0]} and {ceilings[1]}; the lower holds")
    if one.tier != other.tier:
        said.append(f"{where}: tiers {one.tier} and {other.tier}; {coarsest(one.tier, other.tier)} holds")
    if one.via != other.via:
        said.append(f"{where}: routes {one.via or 'direct'} and {other.via or 'direct'}; a hub holds over direct")
    differ = [what for what in ("purposes", "caveats", "modes") if set(getattr(first, what)) != set(getattr(second, what))]
    said += [f"{where}: different {what}; only what both allow holds" for what in differ]
    if set(first.communities_of(one.to)) != set(second.communities_of(one.to)):
        said.append(f"{where}: different communities of {one.to}; only what both name holds")
    if strictest_of(one) != strictest_of(other):
        said.append(f"{where}: different operations; the strictest of both hold")
    return said
