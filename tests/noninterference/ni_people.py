"""People at JPN's page in the two-run test's worlds. They do the same to KOR and PUBLIC in both runs of a pair.

What they act on has national ids, versions and hashes, which hidden data moves; so each act is made in the run itself, of what
that run's page shows: "the warning that KOR has", "the proposal that waits for a second yes".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from node_worlds import MODE

from trilat.issuing import contents
from trilat.node.inputs import ActInput, Input
from trilat.node.pipeline import Pipeline
from trilat.picture.acts import (
    AcknowledgeWarning,
    Act,
    Approve,
    IssueWarning,
    OfficerAct,
    Propose,
    RaiseWarning,
    RetractWarning,
    StandDown,
)
from trilat.records.approval import Session
from trilat.records.warning import Warning


def officer(name: str) -> Session:
    return Session(user=name, person=f"Officer {name}", station=f"st-{name}", session=f"s-{name}", roles=("watch-officer",))


# The first two act for KOR and the people, the others for USA or nobody.
ANN, BEN, HIDDEN_ONE, HIDDEN_TWO = (officer(name) for name in ("ann", "ben", "hid", "hod"))
Doing = Callable[[Pipeline], list[Input]]


def act(who: Session, one: Act) -> ActInput:
    return ActInput(act=OfficerAct(session=who, act=one))


def at(doings: Mapping[int, Doing]) -> Callable[[int, Pipeline], list[Input]]:
    """Return people who do each thing in the step of its number."""
    return lambda k, pipeline: doings[k](pipeline) if k in doings else []


def approve(who: Session, by: Session) -> Doing:
    """Say yes to all that somebody proposed."""

    def doing(pipeline: Pipeline) -> list[Input]:
        waiting = [one.proposal for one in pipeline.approvals.pending() if one.proposal.by and one.proposal.by.user == by.user]
        return [act(who, Approve(act_id=one.id, proposal=one.id, content_sha256=one.content_sha256.hex())) for one in waiting]

    return doing


# Warnings raised by hand ------------------------------------------------------------------------------------------------


def raised(who: Session, headline: str, rel_to: tuple[str, ...]) -> Doing:
    return lambda _: [act(who, RaiseWarning(act_id=headline.replace(" ", "-"), kind="test", headline=headline, rel_to=rel_to))]


def by_headline(pipeline: Pipeline, headline: str) -> Iterator[Warning]:
    """Give the warning that bears a headline; none where it was not let be raised."""
    yield from (one for one in pipeline.desk.hand._own.values() if one.headline == headline)


def acknowledged(who: Session, headline: str) -> Doing:
    def doing(pipeline: Pipeline) -> list[Input]:
        held = by_headline(pipeline, headline)
        return [
            act(who, AcknowledgeWarning(act_id="ack", originator="JPN", warning_id=one.id, version=one.version)) for one in held
        ]

    return doing


def retracted(who: Session, headline: str) -> Doing:
    def doing(pipeline: Pipeline) -> list[Input]:
        held = by_headline(pipeline, headline)
        return [
            act(who, RetractWarning(act_id="ret", warning_id=one.id, version=one.version, reason="threat-over")) for one in held
        ]

    return doing


TO_KOR, TO_PEOPLE, AT_LAST = "EXERCISE for both", "EXERCISE for the people", "EXERCISE at last"
# In a small world of eleven steps: a warning for KOR and the people by two, acknowledged and taken back.
BY_HAND = at(
    {
        2: raised(ANN, TO_PEOPLE, ("KOR", "PUBLIC")),
        3: approve(BEN, ANN),
        7: acknowledged(ANN, TO_KOR),
        8: retracted(BEN, TO_PEOPLE),
    }
)

# A flight's warnings ----------------------------------------------------------------------------------------------------


def of_audience(pipeline: Pipeline, audience: str) -> Warning | None:
    """Return the national warning of the newest flight of which an audience has an edition of its own; None when it has none."""
    books, found = pipeline.desk.books, None
    for standing in books.all_of(audience):
        national = books.national(pipeline.audiences[audience].national_id(standing.warning.id) or "")
        found = found if national is None else national[1].warning
    return found


def newest(pipeline: Pipeline, _: str) -> Warning | None:
    """Return the newest national warning of a flight, whoever has it."""
    held = pipeline.desk.books.all_of("national")
    return held[-1].warning if held else None


def on_flight(
    who: Session, what: Callable[[Warning], Act], audience: str = "KOR", which: Callable[..., Warning | None] = of_audience
) -> Doing:
    """Do something about a flight's warning; nothing when there is none."""

    def doing(pipeline: Pipeline) -> list[Input]:
        one = which(pipeline, audience)
        return [] if one is None else [act(who, what(one))]

    return doing


def issue(*audiences: str) -> Callable[[Warning], Act]:
    return lambda one: IssueWarning(act_id="issue", warning_id=one.id, version=one.version, audiences=audiences, minutes=30)


def seen(one: Warning) -> Act:
    return AcknowledgeWarning(act_id="seen", originator="JPN", warning_id=one.id, version=one.version)


def take_back(one: Warning) -> Act:
    return RetractWarning(act_id="back", warning_id=one.id, version=one.version, reason="issued-in-error")


def reinstate(one: Warning) -> Act:
    return RetractWarning(act_id="again", warning_id=one.id, version=one.version, reason="reinstated")


def all_clear(one: Warning) -> Act:
    return StandDown(act_id="clear", warning_id=one.id, version=one.version)


def leave(who: Session, until_ns: int, *audiences: str) -> Doing:
    """Propose the standing leave to issue by itself to audiences what is sure enough."""
    told = contents.PreAuthorise(
        mode=contents.mode_word(MODE),
        audiences=audiences,
        probability_min=0.01,
        confidence_min=0.1,
        minutes=20,
        until_ns=until_ns,
    )
    content = msgspec.json.encode(told).decode()
    return lambda _: [act(who, Propose(act_id="leave", kind=contents.PRE_AUTHORISE, content=content))]
