"""Carried: an originator's own sealed envelope on its way through a hub, and the routes on which one may go."""

from typing import Annotated

from msgspec import Meta, Struct

from trilat.records.fields import Name, Sha256, TimeNs, Trigraph
from trilat.records.label import Label, Mode
from trilat.records.released import Lane


class Letter(Struct, frozen=True, kw_only=True, tag_field="type", tag="trilat.letter/1"):
    """What the sender signed of a letter and the hub may read: from whom, to whom, through whom, until when, the box's hash.

    box_key_id: the addressee's key that opens the box. The hub refuses a letter after expires_ns; what was in it is then asked
    for anew by the addressee.
    """

    sender: Trigraph
    addressee: Trigraph
    hub: Trigraph
    mode: Mode
    lane: Lane
    t_ns: TimeNs
    expires_ns: TimeNs
    key_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
    box_key_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
    box_sha256: Sha256


class Inside(Struct, frozen=True, kw_only=True, array_like=True):
    """What is in the box: a whole sealed envelope, and the counter of the pull that it answers (0: it is no answer)."""

    answers: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    envelope: bytes


class Carried(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.carried/1"):
    """A letter and its box, as the sender gives them to the hub and the hub gives them on, unchanged, to the addressee.

    label: of this leg alone: whose hands it leaves, and for whom; it says nothing of what is inside. sender, addressee and t_ns
    repeat what stands in the signed letter.
    """

    label: Label
    t_ns: TimeNs
    sender: Trigraph
    addressee: Trigraph
    letter: bytes
    signature: bytes
    box: bytes


class Route(Struct, frozen=True, kw_only=True, order=True):
    """That an agreement in force has a flow from one nation to another through a hub: no letter goes on without one.

    agreement: its name ("trilateral/1"). In [not_before_ns, expires_ns).
    """

    origin: Trigraph
    to: Trigraph
    via: Trigraph
    agreement: Name
    not_before_ns: TimeNs
    expires_ns: TimeNs
