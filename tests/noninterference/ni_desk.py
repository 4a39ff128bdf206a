"""What officers put before one another at JPN's desk about USA, the nation or things that never come about: hidden from KOR.

Proposals that are declined, lapse, or get a yes to another content; a flight that KOR does not see, issued to USA, widened, taken
back, put back, stood down; recalls from USA. None of it is an act for KOR, so none of it is in the base of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import ni_people as people

from trilat.node.inputs import Input, RecallInput
from trilat.node.pipeline import Pipeline
from trilat.outward.events import LIFE_SAFETY, StandingRelease
from trilat.picture.acts import Act, Approve, Decline, Propose
from trilat.records.approval import Proposal, Session
from trilat.records.fields import Lane
from trilat.records.warning import Warning

ONE, TWO = people.HIDDEN_ONE, people.HIDDEN_TWO
RELEASING = msgspec.structs.replace(
    ONE, user="rel", person="Officer rel", station="st-rel", session="s-rel", roles=("release-officer",)
)


def waiting(pipeline: Pipeline, *users: str) -> list[Proposal]:
    """Return what waits of some users ("": of the node itself, as far as it speaks of no edition of KOR)."""
    held = [one.proposal for one in pipeline.approvals.pending()]
    mine = [one for one in held if ("" if one.by is None else one.by.user) in users]
    return [one for one in mine if one.by is not None or '"KOR"' not in one.content]


def approve(*users: str, who: Session = TWO, harm: bytes = b"") -> people.Doing:
    """Say yes to what somebody proposed; harm: to another content than the one that stands there."""

    def doing(pipeline: Pipeline) -> list[Input]:
        told = [(one.id, (harm + one.content_sha256)[:32].hex()) for one in waiting(pipeline, *users)]
        return [people.act(who, Approve(act_id=f"a{name}", proposal=name, content_sha256=content)) for name, content in told]

    return doing


def decline(*users: str) -> people.Doing:
    def doing(pipeline: Pipeline) -> list[Input]:
        told = [(one.id, one.content_sha256.hex()) for one in waiting(pipeline, *users)]
        return [people.act(TWO, Decline(act_id=f"d{name}", proposal=name, content_sha256=content)) for name, content in told]

    return doing


def duty() -> people.Doing:
    """Propose that a duty to warn KOR be called upon: nobody says yes."""
    asked = StandingRelease(
        audience="KOR", agreement="trilateral", agreement_version=1, topics=("missile-warning",), level_max=4, hours=1
    )
    content = msgspec.json.encode(asked).decode()
    return lambda _: [people.act(ONE, Propose(act_id="duty", kind=LIFE_SAFETY, content=content))]


def recall(lane: Lane, *sequences: int, stream: str = "USA", who: Session = RELEASING) -> people.Doing:
    """Take records back from USA; refused where the stream or the officer is not one that may."""
    given = RecallInput(
        session=who, act_id="recall", stream=stream, lane=lane, epoch=1, sequences=sequences, reason="issued in error"
    )
    return lambda _: [given]


def both(*doings: people.Doing) -> people.Doing:
    return lambda pipeline: [one for doing in doings for one in doing(pipeline)]


# In every small world of eleven steps: what needs no flight.
AT_THE_DESK = people.at(
    {
        1: both(people.leave(ONE, 2 * 10**18, "USA"), duty()),
        2: approve("hid", harm=b"\x00"),
        3: both(recall("state", 1, 2), recall("state", 1, who=ONE)),
        4: both(
            decline("hid"),
            people.raised(ONE, "EXERCISE never", ("KOR", "PUBLIC")),
            people.raised(TWO, "EXERCISE hidden", ("USA",)),
        ),
        6: both(decline("hid"), recall("flash", 1), recall("flash", 1, stream="USA/KOR")),
        7: people.raised(ONE, "EXERCISE waits", ("PUBLIC",)),
        8: people.retracted(TWO, "EXERCISE hidden"),
    }
)


# A flight that KOR does not see -------------------------------------------------------------------------------------------


def unseen_by_kor(pipeline: Pipeline, _: str) -> Warning | None:
    """Return the newest national warning of a flight of which KOR has no edition."""
    books = pipeline.desk.books
    held = [one.warning for one in books.all_of("national")]
    theirs = [one for one in held if "KOR" not in books.editions(books.national(one.id)[0])]  # type: ignore[index]
    return theirs[-1] if theirs else None


def on_it(who: Session, what: Callable[[Warning], Act]) -> people.Doing:
    return people.on_flight(who, what, which=unseen_by_kor)


def about_a_flight(end_s: float) -> Mapping[float, people.Doing]:
    """Return what is done in the seconds of a world with a launch; end_s: when what waits has lapsed."""
    return {
        34.0: both(people.leave(ONE, 2 * 10**18, "USA"), duty()),
        36.0: decline("hid"),
        42.0: on_it(ONE, people.issue("KOR")),
        44.0: approve("hid", harm=b"\x00"),
        46.0: decline("hid"),
        48.0: recall("flash", 1),
        50.0: on_it(ONE, people.issue("USA")),
        52.0: approve("hid"),  # of no area yet: what comes is beyond it, and the node asks two to widen
        54.0: on_it(ONE, people.issue("KOR")),
        68.0: approve("ann", who=ONE, harm=b"\x00"),
        70.0: both(approve("", who=ONE), approve("")),
        72.0: on_it(ONE, people.take_back),
        74.0: on_it(TWO, people.reinstate),
        76.0: on_it(ONE, people.all_clear),
        end_s: approve("hid"),
    }
