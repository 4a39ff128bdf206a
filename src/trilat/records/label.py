"""Mode and Label: under what conditions a record exists and who may have it (DESIGN sections 2.6 and 4)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilat.records.fields import Audience, Finite, Name, TimeNs, Trigraph


class Mode(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Live, Exercise(id) or Replay(id). `id` is empty for live and mandatory otherwise."""

    kind: Literal["live", "exercise", "replay"]
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,64}$(?!\n)")] = ""

    def __post_init__(self) -> None:
        """Refuse a live mode with an id and an exercise or replay without one."""
        if (self.kind == "live") != (self.id == ""):
            msg = f"mode {self.kind!r} with id {self.id!r}: live has no id; exercise and replay need one"
            raise ValueError(msg)


class FieldOperation(Struct, frozen=True, kw_only=True, order=True):
    """What is done to one field before it leaves: the strictest wins when labels join."""

    field: Name
    operation: Literal["drop", "round", "inflate", "coarsen", "delay"]
    amount: Finite = 0.0


class Consent(Struct, frozen=True, kw_only=True, order=True):
    """One source's consent that one recipient may have what rests on it (third-party rule)."""

    source: Trigraph
    recipient: Audience


class Label(Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True):
    """The confidentiality label of a record. Tuples are sorted and unique; an empty `rel_to` means nobody.

    level: 0..4 with the fictional names TRILAT-0..4. rel_to: nations (and PUBLIC) beside the originator.
    communities, topics, caveats: all must be held or permitted. purposes: what it may be used for; empty
    means no purpose restriction beyond the agreement. not_before_ns / expires_ns: the time window.
    sources: nations whose data it rests on; consents: what those agreed to. operations: per-field doings.
    """

    policy: Name
    originator: Trigraph
    mode: Mode
    level: Annotated[int, Meta(ge=0, le=4)]
    rel_to: tuple[Audience, ...] = ()
    communities: tuple[Name, ...] = ()
    topics: tuple[Name, ...] = ()
    caveats: tuple[Name, ...] = ()
    purposes: tuple[Name, ...] = ()
    not_before_ns: TimeNs | None = None
    expires_ns: TimeNs | None = None
    sources: tuple[Trigraph, ...] = ()
    consents: tuple[Consent, ...] = ()
    operations: tuple[FieldOperation, ...] = ()
