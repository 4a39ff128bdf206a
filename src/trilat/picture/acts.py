"""What a page may say to its node: greetings, selections, and officers' acts. Everything else is refused."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from trilat.records.approval import Content, Session
from trilat.records.fields import Audience, Count, Name, Probability, ShortText, Text, Trigraph
from trilat.records.warning import WarningArea

HexSha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
ActId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$(?!\n)")]


class RaiseWarning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="raise"):
    """Raise a warning by hand: for whom, how long it holds, where. The node gives id, version, label and time."""

    act_id: ActId
    kind: Name
    headline: Annotated[str, Meta(min_length=1, max_length=200)]
    text: Text = ""
    areas: Annotated[tuple[WarningArea, ...], Meta(max_length=20)] = ()
    rel_to: Annotated[tuple[Audience, ...], Meta(max_length=20)] = ()
    level: Annotated[int, Meta(ge=0, le=4)] = 1
    minutes: Annotated[int, Meta(ge=1, le=1440)] = 60
    confidence: Probability | None = None


class AcknowledgeWarning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="acknowledge"):
    """Acknowledge one version of a warning, for this nation and station."""

    act_id: ActId
    originator: Trigraph
    warning_id: Name
    version: Count
    kind: Literal["seen", "acknowledged", "handled"] = "acknowledged"


class RetractWarning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="retract"):
    """Take back (or reinstate) a warning of one's own node: one person, one act; all who got it are told."""

    act_id: ActId
    warning_id: Name
    version: Count
    reason: Literal["issued-in-error", "threat-over", "superseded", "reinstated"] = "issued-in-error"
    text: Text = ""


class IssueWarning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="issue"):
    """Propose to issue (or widen) a flight's warning: the node writes every audience's variant for a second person.

    audiences: beside the own nation; areas: ids, empty = every area that the flight touches now.
    """

    act_id: ActId
    warning_id: Name
    version: Count
    audiences: Annotated[tuple[Audience, ...], Meta(max_length=10)] = ()
    areas: Annotated[tuple[Name, ...], Meta(max_length=200)] = ()
    minutes: Annotated[int, Meta(ge=1, le=180)] = 30


class RelayWarning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="relay"):
    """Propose to pass a partner's warning on to the own public: its areas or fewer, never more."""

    act_id: ActId
    originator: Trigraph
    warning_id: Name
    version: Count
    areas: Annotated[tuple[Name, ...], Meta(max_length=200)] = ()
    minutes: Annotated[int, Meta(ge=1, le=180)] = 30


class StandDown(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="stand-down"):
    """Give the all clear for a flight's warning: one person, one act; all who got it are told."""

    act_id: ActId
    warning_id: Name
    version: Count


class Propose(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="propose"):
    """Put something before a second person. `content` is JSON text of what `kind` asks for."""

    act_id: ActId
    kind: Name
    content: Content
    reason: ShortText = ""


class Approve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="approve"):
    """Say yes to a proposal whose content has exactly this hash (hex), computed by the page over what it showed."""

    act_id: ActId
    proposal: Name
    content_sha256: HexSha256


class Decline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="decline"):
    """Say no to a proposal; whoever proposed it withdraws it so."""

    act_id: ActId
    proposal: Name
    content_sha256: HexSha256
    reason: ShortText = ""


class ProposeRelease(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="propose-release"):
    """Put one record of this nation, as the node holds it now, before a second person: an own warning, or a national track.

    The node puts the record itself into the proposal, so that what is approved is what is read. warning_id "" = the track.
    """

    act_id: ActId
    audience: Audience
    warning_id: Annotated[str, Meta(max_length=64)] = ""
    track: Count = 0
    tier: Literal["track", "area"] = "area"
    reason: ShortText = ""


_Warned = RaiseWarning | AcknowledgeWarning | RetractWarning | IssueWarning | RelayWarning | StandDown
Act = _Warned | Propose | ProposeRelease | Approve | Decline


def refused(act: Act, reason: str, text: str) -> dict[str, Any]:
    """Return the message that tells a page its act was refused before the node's step."""
    return {"type": "answer", "answer": {"act_id": act.act_id, "ok": False, "reason": reason, "text": text}}


class OfficerAct(Struct, frozen=True, kw_only=True):
    """An act with the session it came from: what the node's input queue gets."""

    session: Session
    act: Act


class Hello(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="hello"):
    """The page's first message: where it left off. `epoch` 0 means that it knows nothing yet."""

    protocol: Literal[1]
    epoch: Count = 0
    last_sequence: Count = 0
    last_event: Count = 0


class Confirm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="confirm"):
    """The page has every event up to `event`."""

    event: Count


class Select(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="select"):
    """The page wants details of one track, now and as they change; 0 for none."""

    id: Annotated[int, Meta(ge=0, le=2**32 - 1)]


class Resync(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="resync"):
    """The page's check sum differs: it wants a whole snapshot."""


class Perform(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="act"):
    """An officer's act."""

    act: Act


Message = Hello | Confirm | Select | Resync | Perform
