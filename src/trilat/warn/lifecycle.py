"""A warning's first life cycle: raised by hand, acknowledged, retracted; once nationally and once per audience (DESIGN 2.7).

`WarningDesk` is the national side. `AudienceWarnings` is one audience's side: it is fed only with warnings that the
audience may have, numbers them by itself, and so tells that audience nothing of those it does not get.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.warning import Acknowledgement, Retraction, Warning, WarningArea

WARNINGS_MAX = 10_000  # held of one partner
NS = 1_000_000_000


class Draft(Struct, frozen=True, kw_only=True):
    """What an officer wrote: the content of a warning before the node gives it an id, a version and a time."""

    kind: str
    headline: str
    text: str
    areas: tuple[WarningArea, ...]
    minutes: int
    confidence: float | None


class WarningDesk:
    """The warnings of one node, own and received. Every method takes the time and gives the record that came of it."""

    def __init__(self, nation: str) -> None:
        self._nation = nation
        self._count = 0
        self._own: dict[str, Warning] = {}
        self._retracted_by: dict[str, str] = {}
        self._received: dict[tuple[str, str], Warning] = {}
        self._heard: dict[str, dict[tuple[str, str], None]] = {}  # each partner's, the one heard of last at the end

    def raise_by_hand(self, now_ns: int, draft: Draft, label: Label, by: str) -> Warning:
        """Return a new warning in state `issued`: a person raised it, so it was detected and assessed by a person."""
        self._count += 1
        warning = Warning(
            id=f"{self._nation}-W{self._count}",
            version=1,
            state="issued",
            t_ns=now_ns,
            label=label,
            pedigree=Pedigree(nation=self._nation),
            kind=draft.kind,
            headline=draft.headline,
            text=draft.text,
            areas=draft.areas,
            expires_ns=now_ns + draft.minutes * 60 * NS,
            confidence=draft.confidence,
            raised_by=by,
        )
        self._own[warning.id] = warning
        return warning

    def retract(self, now_ns: int, warning_id: str, version: int, reason: str, text: str, by: str) -> Retraction | None:
        """Return the retraction (or reinstatement) of an own warning; None when there is no such warning or version."""
        warning = self._own.get(warning_id)
        if warning is None or version != warning.version:
            return None
        state = "issued" if reason == "reinstated" else "retracted"
        if state == warning.state or (reason == "reinstated" and self.retracted_by(warning_id) == by):
            return None
        self._retracted_by[warning_id] = "" if reason == "reinstated" else by
        self._own[warning_id] = msgspec.structs.replace(warning, version=warning.version + 1, state=state, t_ns=now_ns)
        return msgspec.convert(
            {"type": "trilat.retraction/1", "warning_id": warning_id, "warning_version": version, "reason": reason}
            | {"text": text, "by": by, "t_ns": now_ns, "label": msgspec.to_builtins(warning.label)},
            Retraction,
        )

    def acknowledge(
        self, now_ns: int, originator: str, warning_id: str, version: int, kind: str, by: str, station: str, label: Label
    ) -> Acknowledgement | None:
        """Return this nation's acknowledgement of a warning it holds; None when it holds no such warning or version."""
        warning = self._own.get(warning_id) if originator == self._nation else self._received.get((originator, warning_id))
        if warning is None or version > warning.version:
            return None
        return self.answer(now_ns, originator, warning_id, version, kind, by, station, label)

    def answer(
        self, now_ns: int, originator: str, warning_id: str, version: int, kind: str, by: str, station: str, label: Label
    ) -> Acknowledgement:
        """Return this nation's acknowledgement."""
        return msgspec.convert(
            {"type": "trilat.acknowledgement/1", "warning_originator": originator, "warning_id": warning_id}
            | {"warning_version": version, "kind": kind, "nation": self._nation, "station": station, "by": by}
            | {"t_ns": now_ns, "label": msgspec.to_builtins(label)},
            Acknowledgement,
        )

    def retracted_by(self, warning_id: str) -> str:
        """Return who took an own warning back; empty when it stands. Somebody else reinstates it."""
        return self._retracted_by.get(warning_id, "")

    def received(self, origin: str, warning_id: str) -> Warning | None:
        """Return the present version of a partner's warning."""
        return self._received.get((origin, warning_id))

    def own(self, warning_id: str) -> Warning | None:
        """Return the present version of an own warning."""
        return self._own.get(warning_id)

    def receive(self, origin: str, warning: Warning) -> bool:
        """Keep a partner's warning under its verified origin; False when an equal or later version is held already."""
        key = (origin, warning.id)
        held = self._received.get(key)
        if held is not None and held.version >= warning.version:
            return False
        heard = self._heard.setdefault(origin, {})
        heard.pop(key, None)
        heard[key] = None
        if len(heard) > WARNINGS_MAX:  # a partner's flood takes no other's place
            oldest = next(iter(heard))
            del heard[oldest], self._received[oldest]
        self._received[key] = warning
        return True

    def receive_retraction(self, origin: str, retraction: Retraction) -> bool:
        """Mark a partner's warning as retracted (or reinstated); False when no such warning of that origin is held."""
        key = (origin, retraction.warning_id)
        held = self._received.get(key)
        if held is None:
            return False
        state = "issued" if retraction.reason == "reinstated" else "retracted"
        self._received[key] = msgspec.structs.replace(held, version=retraction.warning_version + 1, state=state)
        return True


class AudienceWarnings:
    """One audience's warnings, with ids of their own."""

    def __init__(self, nation: str, audience: str) -> None:
        self._nation = nation
        self._audience = audience
        self._count = 0
        self._of_national: dict[str, str] = {}
        self._national: dict[str, str] = {}

    def new_id(self) -> str:
        """Return the audience's next id, which is taken by that."""
        name = self.next_id()
        self._count += 1
        return name

    def next_id(self) -> str:
        """Return the id that the next warning will have."""
        return f"{self._nation}-{self._audience}-W{self._count + 1}"

    def link(self, audience_id: str, national_id: str) -> None:
        """Remember which national warning an edition is of; the audience never sees it."""
        self._of_national.setdefault(national_id, audience_id)
        self._national.setdefault(audience_id, national_id)

    def warning(self, warning: Warning) -> Warning:
        """Return the audience's own edition of a national warning that it may have."""
        known = self._of_national.get(warning.id)
        if known is None:
            known = self.new_id()
            self.link(known, warning.id)
        return msgspec.structs.replace(warning, id=known)

    def retraction(self, retraction: Retraction) -> Retraction | None:
        """Return the audience's edition of a retraction; None when it never got the warning."""
        known = self._of_national.get(retraction.warning_id)
        return None if known is None else msgspec.structs.replace(retraction, warning_id=known)

    def acknowledgement(self, acknowledgement: Acknowledgement) -> Acknowledgement | None:
        """Return the audience's edition of this nation's acknowledgement of an own warning; None when it never got it."""
        known = self._of_national.get(acknowledgement.warning_id)
        return None if known is None else msgspec.structs.replace(acknowledgement, warning_id=known)

    def id_of(self, national_id: str) -> str:
        """Return the id under which the audience has a national warning; empty when it never got it."""
        return self._of_national.get(national_id, "")

    def national_id(self, audience_id: str) -> str | None:
        """Return the national id behind the id that this audience knows."""
        return self._national.get(audience_id)
