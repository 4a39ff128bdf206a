"""Contents that two people are asked to approve: every audience's variant side by side, made of what the node knows now. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trilat.issuing.books import Books, Key, Moved
from trilat.issuing.contents import ISSUE, Issue, NamedArea, PreAuthorise, Relay, Variant, mode_word
from trilat.issuing.editions import NATIONAL, PUBLIC, areas_of
from trilat.issuing.state import Desk
from trilat.picture.acts import IssueWarning, RelayWarning
from trilat.products.texts import with_words
from trilat.records.assessment import Assessment, TouchedArea
from trilat.records.warning import Warning
from trilat.warn import machine
from trilat.warn.machine import Envelope, Standing

NS = 1_000_000_000
AREAS_MAX = 60


def issue_content(now_ns: int, books: Books, act: IssueWarning) -> Issue | str:
    """Return what an officer proposes to issue, for the own nation and each audience named; or the reason why not."""
    found = books.national(act.warning_id)
    if found is None or act.version > found[1].warning.version:
        return "warning-unknown"
    key, standing = found
    if standing.warning.state in (*machine.CLOSED, *machine.OVER):
        return "warning-over"
    until_ns = now_ns + act.minutes * 60 * NS
    variants = []
    for audience in (NATIONAL, *sorted(set(act.audiences) - {books.nation})):
        made = _variant(now_ns, books, audience, key, standing, act.areas, until_ns)
        if isinstance(made, str):
            return made
        if made is not None:
            variants.append(made)
    return Issue(
        mode=mode_word(books.mode),
        warning_id=act.warning_id,
        version=standing.warning.version,
        until_ns=until_ns,
        widens=standing.warning.issued,
        variants=tuple(variants),
    )


def _variant(
    now_ns: int, books: Books, audience: str, national: Key, standing: Standing, chosen: Sequence[str], until_ns: int
) -> Variant | str | None:
    """Return one audience's variant: of its own edition where it has one, else of the national assessment where it may.

    None for a partner to whom nothing of this flight may go: it is not among what is shown for approval, and gets nothing.
    """
    held = (national, standing) if audience == NATIONAL else books.editions(national).get(audience)
    if held is not None and held[1].warning.state in machine.CLOSED:
        return "warning-over"
    base: Assessment | None = standing.assessment
    if held is not None:
        base = held[1].assessment
    elif audience == PUBLIC or audience in books.partners:
        base = books.basis_for(now_ns, audience, standing.assessment)
    else:
        return "recipient-unknown"
    if base is None:
        return "public-consent" if audience == PUBLIC else None
    areas = tuple(one for one in areas_of(base, books.nation, audience) if not chosen or one.id in chosen)[:AREAS_MAX]
    if audience == PUBLIC and not areas:
        return "issue-no-areas"
    own = held is not None and held[1].basis == "own"
    shown = _as_issued(standing if held is None else held[1], base, areas, until_ns)
    return Variant(
        audience=books.nation if audience == NATIONAL else audience,
        basis="own" if own else "approved",
        warning_id="" if held is None else held[1].warning.id,
        flight_class=base.classes[0].name if base.classes else "launch, unclassified",
        confidence=base.confidence,
        areas=tuple(_named(one) for one in areas),
        words=shown.words,
    )


def _as_issued(standing: Standing, base: Assessment, areas: tuple[TouchedArea, ...], until_ns: int) -> Warning:
    warning, reason = standing.warning, machine.issued_reason(msgspec.structs.replace(standing, assessment=base))
    state = warning.state if warning.state == "track-lost" else "updated" if warning.issued else "issued"
    told = msgspec.structs.replace(
        warning, state=state, reason=reason, touched=areas, expires_ns=until_ns, flight=machine.facts(base)
    )
    return with_words(told)


def outdated(now_ns: int, d: Desk, content: Issue) -> dict[str, str]:
    """Return the audiences of whose variant no area would be named if it were issued now, with the areas that it names.

    It burns again, or it has moved on: what people read when they approved holds no more, and nobody is to be warned of nothing.
    """
    if content.relay is not None:
        held = d.hand.received(content.relay.originator, content.relay.warning_id)
        named: dict[str, Warning | None] = {PUBLIC: held}
    else:
        found = d.books.national(content.warning_id)
        named = {} if found is None else {one.audience: _would_be(now_ns, d, found[0], content, one) for one in content.variants}
    gone = {}
    for variant in content.variants:
        ids, now = {one.id for one in variant.areas}, named.get(variant.audience)
        if ids and now is not None and ids.isdisjoint(one.id for one in now.touched):
            gone[variant.audience] = ", ".join(sorted(ids))[:100]
    return gone


def holds_no_more(now_ns: int, d: Desk, proposal_id: str) -> str:
    """Return the areas of a proposal that are named no more, where that is so of the nation's or the public's variant."""
    for one in d.approvals.pending():
        if one.proposal.id == proposal_id and one.proposal.kind == ISSUE:
            gone = outdated(now_ns, d, msgspec.json.decode(one.proposal.content, type=Issue))
            return gone.get(d.nation, "") or gone.get(PUBLIC, "")
    return ""


def _would_be(now_ns: int, d: Desk, national: Key, content: Issue, variant: Variant) -> Warning | None:
    audience = NATIONAL if variant.audience == d.nation else variant.audience
    envelope = Envelope(areas=tuple(one.id for one in variant.areas), until_ns=content.until_ns)
    return d.books.would_issue(now_ns, national, audience, envelope)


def _named(one: TouchedArea) -> NamedArea:
    return NamedArea(id=one.id, name=one.name_en, touch=one.touch, percent=round(100 * one.probability))


def relay_content(now_ns: int, books: Books, held: Warning | None, act: RelayWarning) -> Issue | str:
    """Return what an officer proposes to pass on to the own public of a partner's warning; or why not.

    Never more than the partner said: no area of its own, no longer time, nothing that is stale or over, and only where the
    partner consented to its use in public warnings.
    """
    if held is None or act.version > held.version:
        return "warning-unknown"
    if fault := _relay_fault(now_ns, books, held, act):
        return fault
    touched = tuple(one for one in held.touched if not act.areas or one.id in act.areas)[:AREAS_MAX]
    if not touched:
        return "issue-no-areas"
    until_ns = min(now_ns + act.minutes * 60 * NS, held.expires_ns)
    return Issue(
        mode=mode_word(books.mode),
        warning_id=held.id,
        version=held.version,
        until_ns=until_ns,
        relay=Relay(originator=act.originator, warning_id=held.id, version=held.version),
        variants=(
            Variant(
                audience=PUBLIC,
                basis="approved",
                flight_class="launch, unclassified" if held.flight is None else held.flight.name,
                confidence=held.confidence,
                areas=tuple(_named(one) for one in touched),
                words=_as_relayed(held, touched).words,
            ),
        ),
    )


def _relay_fault(now_ns: int, books: Books, held: Warning, act: RelayWarning) -> str:
    if act.version < held.version or now_ns >= held.expires_ns:
        return "warning-stale"
    if held.state not in ("issued", "updated"):
        return "warning-over"
    if not _relay_consented(now_ns, books, held):
        return "public-consent"
    return "relay-widens" if set(act.areas) - {one.id for one in held.touched} else ""


def _relay_consented(now_ns: int, books: Books, held: Warning) -> bool:
    """A partner's label says what its warning may be used for; what third nations put in needs their consent as well."""
    others = tuple(one for one in held.label.sources if one not in (books.nation, held.label.originator))
    return "public-warning" in held.label.purposes and (
        not others or books.consented(now_ns, msgspec.structs.replace(held.label, sources=others), PUBLIC)
    )


def _as_relayed(held: Warning, touched: tuple[TouchedArea, ...]) -> Warning:
    return with_words(msgspec.structs.replace(held, touched=touched))


def sure_areas(now_ns: int, nation: str, standing: Standing | None, leave: PreAuthorise) -> tuple[str, ...]:
    """Return the own nation's areas for which a standing leave lets one audience's warning be issued; none while it does not."""
    if standing is None or now_ns >= leave.until_ns or standing.warning.issued or standing.warning.state != "assessed":
        return ()
    return _sure_areas_of(nation, standing.assessment, leave)


def _sure_areas_of(nation: str, assessment: Assessment | None, leave: PreAuthorise) -> tuple[str, ...]:
    if assessment is None or assessment.confidence < leave.confidence_min:
        return ()
    if assessment.landing is not None and not assessment.landing.reliable:
        return ()
    return tuple(one.id for one in assessment.areas if one.nation == nation and one.probability >= leave.probability_min)


def automatic_content(now_ns: int, books: Books, national: Key, leave: PreAuthorise) -> Issue | None:
    """Return what a standing leave lets the node issue by itself to its own nation and PUBLIC; None when nothing.

    Partners are not in it: when and where their editions are issued would tell them what the nation alone sees.
    """
    standing = books.standing(NATIONAL, national)
    areas = sure_areas(now_ns, books.nation, standing, leave)
    audiences = tuple(one for one in leave.audiences if one != books.nation and one not in books.partners)
    if standing is not None and PUBLIC in audiences:  # when it is told, too, rests on nothing that may not bear on it
        may = _sure_areas_of(books.nation, books.basis_for(now_ns, PUBLIC, standing.assessment), leave)
        areas = tuple(one for one in areas if one in may)
    if standing is None or not areas:
        return None
    act = IssueWarning(
        act_id="auto",
        warning_id=standing.warning.id,
        version=standing.warning.version,
        audiences=audiences,
        areas=areas,
        minutes=leave.minutes,
    )
    made = issue_content(now_ns, books, act)
    return None if isinstance(made, str) else made


def automatic_edition(
    now_ns: int, books: Books, audience: str, key: Key, leave: PreAuthorise, by: tuple[str, ...]
) -> list[Moved]:
    """Issue a partner's own edition where a standing leave names it and that edition itself is sure enough; return what moved."""
    now_ns = books.own_ns(audience, now_ns)
    standing = books.standing(audience, key) if audience in leave.audiences and audience in books.partners else None
    areas = sure_areas(now_ns, books.nation, standing, leave)
    if standing is None or not areas:
        return []
    envelope = Envelope(areas=areas, until_ns=now_ns + leave.minutes * 60 * NS, approved_by=by)
    return [books.put(audience, key, machine.issue(now_ns, standing, envelope))]
