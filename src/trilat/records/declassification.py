"""Declassification: a signed event that lets an audience have what its labels alone would withhold (DESIGN principle 3).

It is the only door through which withheld data may bear on what an audience gets, and it is itself an input record of that
audience's pipeline: journalled, shown, replayed.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.fields import Audience, Count, Name, Sha256, ShortText, TimeNs, Trigraph
from trilat.records.label import Mode


class Declassification(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.declassification/1"):
    """One event, for one audience, in one mode, for a time.

    kind: "agreement-change" (the agreements named came into force: everything is decided anew; opens nothing by itself),
    "life-safety" (a standing duty to warn of `agreement` is called upon: anything of `topics`, at the duty's coarse tier),
    "approved-release" and "officer-act" (two named people let exactly the record whose canonical bytes hash to
    `content_sha256` go). `level_max` bounds what may pass; `tier` is how coarse it must be at least.
    `signature` is Ed25519 by the nation's key `key_id` over the record with an empty signature.
    """

    id: Name
    nation: Trigraph
    kind: Literal["agreement-change", "life-safety", "approved-release", "officer-act"]
    audience: Audience
    mode: Mode
    t_ns: TimeNs
    expires_ns: TimeNs
    topics: tuple[Name, ...] = ()
    level_max: Annotated[int, Meta(ge=0, le=4)] = 0
    tier: Literal["plot", "tracklet", "track", "area"] = "area"
    content_sha256: Sha256 | None = None
    agreement: Name | None = None
    agreement_version: Count = 0
    approved_by: tuple[Name, ...] = ()
    reason: ShortText = ""
    key_id: Annotated[str, Meta(max_length=64)] = ""
    signature: Annotated[bytes, Meta(max_length=64)] = b""
