"""Released: a record that policy has let go to one audience. Only `policy` makes one; only `exchange` reads one."""

from msgspec import Struct

from trilat.records.fields import Audience, Count, Lane, Name, Sha256, TimeNs, Trigraph
from trilat.records.label import Mode

__all__ = ["Lane", "Released"]


class Released(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="trilat.released/1"):
    """A record on its way to one audience.

    record: the canonical bytes that will be sealed and signed, exactly as the partner gets them (label inside).
    supersede_key: state records of one key replace one another while unsent; None = never superseded.
    priority: lower leaves first within the lane and is shed last. via: the hub it must go through, None = direct.
    label_hash: of the label inside `record`, the audience's own view. decision / reason: why it was let go; never on the wire.
    """

    audience: Audience
    lane: Lane
    mode: Mode
    t_ns: TimeNs
    record: bytes
    record_type: str
    label_hash: Sha256
    supersede_key: str | None = None
    expires_ns: TimeNs | None = None
    priority: Count = 0
    via: Trigraph | None = None
    decision: Name
    reason: Name
