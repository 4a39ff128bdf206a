"""Who acts, and what two of them decide: sessions, proposals, approvals (DESIGN principle 7).

An approval is bound to user, session, station and the hash of exactly what was approved; a proposal's content is text, so that
the hash a person's page computes is over what that person reads.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.fields import Count, Name, Sha256, ShortText, TimeNs, Trigraph
from trilat.records.label import Mode

Role = Literal["watch-officer", "release-officer", "exercise-director", "engineer", "auditor"]
# Lower-case ASCII only, so that no two accounts look alike; `$` alone would let a line end pass.
UserName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9._-]{1,31}$(?!\n)")]
# Canonical JSON: keys sorted, no spaces.
Content = Annotated[str, Meta(min_length=2, max_length=32_768)]
Roles = Annotated[tuple[Role, ...], Meta(max_length=5)]


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who sits at a page, as the door found out: never taken from what the page says. `view` bounds what is shown.

    session: a public name of the session, from which its secret cannot be had. station: likewise of where it was opened.
    person: whose account it is; two accounts of one person are one person.
    """

    user: UserName
    person: ShortText
    station: Name
    session: Name
    roles: Roles = ()
    view: Name = "watch"


class AccountRoles(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Content of a proposal: the roles that one account is to hold. `version` is the account's when it was proposed."""

    user: UserName
    person: ShortText
    roles: Roles
    version: Count


class Proposal(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.proposal/1"):
    """Something that two people must want: `content` is canonical JSON, `content_sha256` its hash with nation, mode and kind.

    by: who proposed it; none when the node itself did, and then two others must approve.
    """

    id: Name
    nation: Trigraph
    mode: Mode
    kind: Name
    content: Content
    content_sha256: Sha256
    t_ns: TimeNs
    expires_ns: TimeNs
    by: Session | None = None
    reason: ShortText = ""


class Approval(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.approval/1"):
    """One person's yes or no to exactly one content of one proposal."""

    proposal_id: Name
    content_sha256: Sha256
    verdict: Literal["approve", "decline"]
    by: Session
    t_ns: TimeNs
    reason: ShortText = ""


class Approved(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.approved/1"):
    """A proposal that enough different people want. It comes out once; whoever acts on it does so once, by its id."""

    proposal: Proposal
    approvals: Annotated[tuple[Approval, ...], Meta(min_length=1, max_length=4)]
    t_ns: TimeNs
