"""A lesson that takes people: a launch, what officers do about it and when, who is cut off meanwhile, and what must hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from trilat.errors import ExerciseError
from trilat.flights.lesson import Finding
from trilat.kernels import geodesy
from trilat.lessons.three import NS, Three, officer
from trilat.node.inputs import AssessedInput, Input, ReceivedInput
from trilat.node.settings import NodeConfig
from trilat.outputs.message import Messages
from trilat.picture import acts
from trilat.products import cap
from trilat.products.texts import with_words
from trilat.records import codec
from trilat.records.fields import Name, ShortText, Trigraph
from trilat.records.label import Label
from trilat.records.warning import Retraction, Warning
from trilat.warn.areas import Layer

Seconds = Annotated[float, Meta(ge=0.0, le=1_800.0)]
ISSUER = "JPN"
STEP_NS = 500_000_000
BEGIN_S = 65.0  # of the world: the launch is in nobody's sight before
TO: tuple[str, ...] = ("KOR", "PUBLIC", "USA")


class Deed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing an officer does: once the own warning is in a state (`when`), or at a time, or both.

    refused: the reason with which it must be refused; empty: it must be taken.
    """

    nation: Trigraph = "JPN"
    officer: Name
    act: Literal["issue", "approve", "acknowledge", "retract", "reinstate", "stand-down", "relay-wider"]
    when: Name = ""
    at_s: Seconds = 0.0
    refused: ShortText = ""


class Cut(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A nation that gets nothing for a while; what was sent to it waits."""

    nation: Trigraph
    from_s: Seconds
    to_s: Seconds


class Must(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold at the end; what is left out is not looked at."""

    told_after_first_plot_s_max: Seconds | None = None
    last_state: Name = ""
    retraction: Name = ""
    end_on_every_channel: bool = False
    nobody_issued_to: bool = False
    public_overflight_told_ahead_s_min: Seconds | None = None
    words_differ: bool = False
    nothing_of_another_exercise: bool = False


class Rehearsal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario: the demo's launch at 3 s, run for `run_s`."""

    title: ShortText
    record: ShortText
    run_s: Seconds
    deed: tuple[Deed, ...] = ()
    cut: tuple[Cut, ...] = ()
    must: Must


def decode_rehearsal(data: bytes) -> Rehearsal:
    """Return the rehearsal a TOML text holds; ExerciseError (scenario-unreadable) names what is wrong."""
    try:
        return msgspec.toml.decode(data, type=Rehearsal)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExerciseError("scenario-unreadable", f"{error}.") from error


def rehearse(lesson: Rehearsal, made: Mapping[str, NodeConfig], start_ns: int, secret: bytes, layer: Layer) -> list[Finding]:
    """Run a rehearsal and return its assertions, each held or not."""
    three = Three(made, start_ns, secret)
    findings = _run(lesson, three)
    must = lesson.must
    findings += [*_times(three, must), *_ends(three, must), *_public(three, must, layer)]
    if must.nothing_of_another_exercise:
        findings.append(_residue(lesson, three, made, start_ns, secret))
    return findings


def _run(lesson: Rehearsal, three: Three, litter: Mapping[str, list[Input]] | None = None) -> list[Finding]:
    """Step through it, deed after deed; return whether each went as it must. litter: put into every tenth step."""
    three.step_ns = STEP_NS
    three.skip(BEGIN_S)
    findings, waiting, asked = [], list(lesson.deed), list[Deed]()
    count = 0
    while three.second < lesson.run_s:
        three.away = {one.nation for one in lesson.cut if one.from_s <= three.second < one.to_s}
        if waiting and not asked and _due(three, waiting[0]):
            asked.append(waiting.pop(0))
            three.act(asked[0].nation, officer(asked[0].officer), _act(three, asked[0]))
        for nation, inputs in (litter or {}).items() if count % 10 == 0 else ():
            three.acts[nation] += inputs
        count += 1
        outputs = three.step()
        if asked:
            deed = asked.pop()
            said = [one for one in outputs[deed.nation].answers if one.act_id == "deed"]
            reason = said[-1].reason if said else "no answer"
            findings.append(
                Finding(f"{deed.officer} {deed.act}", reason == deed.refused, reason or f"taken at {three.second:.0f} s")
            )
    findings += [Finding(f"{one.officer} {one.act}", held=False, figure=f"never {one.when or one.at_s}") for one in waiting]
    return findings


def _due(three: Three, deed: Deed) -> bool:
    held = three.newest(deed.nation, ISSUER)
    if three.second < deed.at_s or held is None:
        return False
    if deed.act == "approve" and not three.pipelines[deed.nation].approvals.pending():
        return False
    if deed.act == "issue" and not held.touched:
        return False
    return not deed.when or held.state == deed.when or (deed.when == "issued" and held.issued)


def _act(three: Three, deed: Deed) -> acts.Act:
    """Return what an officer does, as the page would send it."""
    held = three.newest(deed.nation, ISSUER)
    if held is None:
        raise ValueError("nothing to act upon")
    told: dict[str, Any] = {"act_id": "deed", "warning_id": held.id, "version": held.version}
    match deed.act:
        case "issue":
            made: acts.Act = acts.IssueWarning(**told, audiences=TO, minutes=30)
        case "approve":
            proposal = three.pipelines[deed.nation].approvals.pending()[-1].proposal
            made = acts.Approve(act_id="deed", proposal=proposal.id, content_sha256=proposal.content_sha256.hex())
        case "acknowledge":
            made = acts.AcknowledgeWarning(**told, originator=ISSUER)
        case "retract" | "reinstate":
            reason: Any = "issued-in-error" if deed.act == "retract" else "reinstated"
            made = acts.RetractWarning(**told, reason=reason)
        case "stand-down":
            made = acts.StandDown(**told)
        case "relay-wider":
            made = acts.RelayWarning(**told, originator=ISSUER, areas=("JP-13",))
    return made


def _times(three: Three, must: Must) -> Iterator[Finding]:
    """Yield when each nation's watch was first told, after anybody's radar first had it above its horizon."""
    if must.told_after_first_plot_s_max is None:
        return
    first_ns = _first_sight_ns(three)
    for nation in three.pipelines:
        told = min((at for origin in three.pipelines for at, _ in three.shown(nation, origin)), default=None)
        after = None if told is None or first_ns is None else (told - first_ns) / NS
        held = after is not None and after <= must.told_after_first_plot_s_max
        yield Finding(f"{nation} told after the first plot", held, "never" if after is None else f"{after:.1f} s")


def _first_sight_ns(three: Three) -> int | None:
    """Return when the first radar had the launch in its sight."""
    launched = three.world.launched[0]
    t_s = launched.plan.at_s + np.arange(0.0, launched.flight.landing_s, 0.5)
    places = launched.state(t_s)[0][:, :3]
    found = []
    for one in three.world.scenario.sensor:
        rae = geodesy.ecef_to_rae(places, one.lat_deg, one.lon_deg, one.alt_m)
        seen = np.flatnonzero((rae[:, 2] >= one.elevation_min_rad) & (rae[:, 0] <= one.range_max_m))
        found += [three.start_ns + round(float(t_s[seen[0]]) * NS)] if len(seen) else []
    return min(found, default=None)


def _ends(three: Three, must: Must) -> Iterator[Finding]:
    """Yield how it ended on every page and channel."""
    for nation in three.pipelines if must.last_state else ():
        held = three.newest(nation, ISSUER)
        yield Finding(
            f"{nation} at the end", held is not None and held.state == must.last_state, "none" if held is None else held.state
        )
    for nation in three.pipelines if must.retraction else ():
        got = [
            one.record
            for _, _, out in three.journal[nation]
            for one in out.warnings
            if one.origin == ISSUER and isinstance(one.record, Retraction)
        ]
        held_ids = {one.id for _, one in three.shown(nation, ISSUER)}
        good = bool(got) and got[-1].reason == must.retraction and got[-1].warning_id in held_ids
        yield Finding(f"{nation} got the retraction", good, got[-1].reason if got else "none")
    issued, ended = _channels(three)
    if must.end_on_every_channel:
        yield Finding(
            "channels of the end are those of the warning", bool(issued) and issued <= ended, f"{sorted(issued)} {sorted(ended)}"
        )
    if must.nobody_issued_to:
        yield Finding("nobody is told that it is issued", not issued, " ".join(sorted(issued)) or "nobody")


def _channels(three: Three) -> tuple[set[str], set[str]]:
    """Return the audiences that were told of an issued warning, and those that were told of its end."""
    issued, ended = set[str](), set[str]()
    for _, _, out in three.journal[ISSUER]:
        for one in out.released:
            record = codec.decode(one.record) if one.lane == "flash" else None
            if isinstance(record, Warning) and record.issued:
                (ended if record.state in ("stood-down", "retracted") else issued).add(one.audience)
            elif isinstance(record, Retraction):
                ended.add(one.audience)
    return issued, ended


def _told(three: Three) -> list[Warning]:
    return [one for _, _, out in three.journal[ISSUER] for one in out.public]


def _public(three: Three, must: Must, layer: Layer) -> Iterator[Finding]:
    """Yield what holds of what the public was told."""
    told = _told(three)
    if must.public_overflight_told_ahead_s_min is not None:
        ahead: dict[str, float] = {}
        for one in told:
            for area in one.touched:
                if area.touch == "overflight" and area.probability > 0.5 and area.kind not in ("sea", "fir"):
                    ahead.setdefault(area.id, (area.t_from_ns - one.t_ns) / NS)
        landing = {a.id: (a.t_from_ns - one.t_ns) / NS for one in reversed(told) for a in one.touched if a.touch == "landing"}
        least = min((ahead or landing).values(), default=None)
        good = least is not None and least >= must.public_overflight_told_ahead_s_min
        yield Finding("the public told ahead", good, "nothing" if least is None else f"{least:.0f} s at the least")
    if must.words_differ:
        maker = Messages(layer, lambda _: ("rehearsal", bytes(64)))
        ends = [maker.make(one) for one in told if one.state in ("retracted", "stood-down")]
        over = [msgspec.structs.replace(one.warning, state="stood-down", reason="threat-over") for one in ends]
        differ = all(
            {w.line for w in one.warning.words}.isdisjoint(w.line for w in with_words(other).words)
            for one, other in zip(ends, over, strict=True)
            if one.warning.reason == "issued-in-error"
        )
        kinds = [cap.message_of(one.warning, ("before",)) for one in ends]
        yield Finding(
            "an error is not told as an end", bool(ends) and differ and set(kinds) == {"Cancel"}, f"{len(ends)} messages"
        )


def _residue(lesson: Rehearsal, three: Three, made: Mapping[str, NodeConfig], start_ns: int, secret: bytes) -> Finding:
    """Run it again with all that partners sent and nodes assessed in an earlier exercise thrown in: the same bytes."""
    litter: dict[str, list[Input]] = {}
    for nation in three.pipelines:
        taken: list[Input] = []
        for _, inputs, out in three.journal[nation]:
            taken += [_of_another(one) for one in inputs if isinstance(one, ReceivedInput) and one.lane == "flash"]
            taken += [_of_another(msgspec.structs.replace(one, derived=False)) for one in out.assessed]
        litter[nation] = taken[:40]
    again = Three(made, start_ns, secret)
    _run(lesson, again, litter)
    different = [
        nation
        for nation in three.pipelines
        if [one for _, _, out in three.journal[nation] for one in (*out.released, *out.warnings)]
        != [one for _, _, out in again.journal[nation] for one in (*out.released, *out.warnings)]
    ]
    thrown = sum(len(one) for one in litter.values())
    return Finding(
        "nothing of an earlier exercise", not different and thrown > 0, f"{thrown} records of another thrown in each time"
    )


def _of_another(one: Input) -> Input:
    """Return an input as an earlier exercise would have left it: of another mode."""
    if isinstance(one, AssessedInput):
        assessment = msgspec.structs.replace(one.assessment, label=_earlier(one.assessment.label))
        return msgspec.structs.replace(one, assessment=assessment)
    if isinstance(one, ReceivedInput):
        record: Any = codec.decode(one.record)
        return msgspec.structs.replace(one, record=codec.encode(msgspec.structs.replace(record, label=_earlier(record.label))))
    return one


def _earlier(label: Label) -> Label:
    return msgspec.structs.replace(label, mode=msgspec.structs.replace(label.mode, id="earlier"))
