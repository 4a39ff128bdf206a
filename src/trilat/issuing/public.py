"""Public warnings that are not of an own flight: raised by hand by two people, or a partner's passed on, never wider."""

from __future__ import annotations

import msgspec

from trilat.issuing.contents import Issue
from trilat.policy.labels import make
from trilat.products.texts import retraction_words, with_words
from trilat.records.label import Label
from trilat.records.report import Pedigree
from trilat.records.warning import Retraction, Warning


class PublicWarnings:
    """What the public got beside own flights' warnings, so that whoever got it is told of its end."""

    def __init__(self, nation: str) -> None:
        self._nation = nation
        self._count = 0
        self._hand: dict[str, Warning] = {}
        self._relayed: dict[tuple[str, str], tuple[Warning, frozenset[str]]] = {}

    def by_hand(self, warning: Warning, label: Label) -> Warning:
        """Return the public's edition of a warning that two people raised by hand."""
        made = msgspec.structs.replace(warning, id=self._next(), label=label, issued=True)
        self._hand[warning.id] = made
        return made

    def retract(self, now_ns: int, national_id: str, reason: str) -> list[Warning]:
        """Return the message that takes a warning raised by hand back from the public (or reinstates it)."""
        held = self._hand.get(national_id)
        if held is None:
            return []
        state = "updated" if reason == "reinstated" else "retracted"
        made = msgspec.structs.replace(held, version=held.version + 1, state=state, reason=reason, t_ns=now_ns)
        self._hand[national_id] = made
        return [made]

    def relay(self, now_ns: int, held: Warning | None, content: Issue, by: tuple[str, ...]) -> list[Warning]:
        """Return the public's edition of a partner's warning, when it is still what was approved."""
        if held is None or content.relay is None or held.state not in ("issued", "updated") or now_ns >= held.expires_ns:
            return []
        areas = frozenset(one.id for variant in content.variants for one in variant.areas)
        label = make(
            policy=held.label.policy,
            originator=self._nation,
            mode=held.label.mode,
            level=0,
            rel_to=("PUBLIC",),
            topics=held.label.topics,
            sources=tuple(sorted({*held.label.sources, held.label.originator, self._nation})),
        )
        first = msgspec.structs.replace(
            held,
            id=self._next(),
            version=0,
            label=label,
            pedigree=Pedigree(nation=self._nation),
            raised_by=by[0],
            issued=True,
            expires_ns=min(content.until_ns, held.expires_ns),
        )
        return self._told(now_ns, (content.relay.originator, content.relay.warning_id), first, held, areas)

    def follow(self, now_ns: int, origin: str, record: Warning) -> list[Warning]:
        """Return the public's next version when the partner's warning moved: inside the areas that were approved, or its end."""
        found = self._relayed.get((origin, record.id))
        if found is None or found[0].state in ("stood-down", "retracted") or now_ns >= found[0].expires_ns:
            return []
        return self._told(now_ns, (origin, record.id), found[0], record, found[1])

    def follow_retraction(self, now_ns: int, origin: str, record: Retraction) -> list[Warning]:
        """Return what tells the public that the partner took its warning back."""
        found = self._relayed.get((origin, record.warning_id))
        if found is None or record.reason == "reinstated" or found[0].state == "retracted":
            return []
        words = retraction_words(found[0], record)
        made = msgspec.structs.replace(
            found[0],
            version=found[0].version + 1,
            state="retracted",
            reason=record.reason,
            t_ns=now_ns,
            words=words,
            headline=words[0].headline,
            text=words[0].text,
        )
        self._relayed[origin, record.warning_id] = made, found[1]
        return [made]

    def _told(self, now_ns: int, key: tuple[str, str], mine: Warning, theirs: Warning, areas: frozenset[str]) -> list[Warning]:
        flight = theirs.flight
        if flight is not None:
            flight = msgspec.structs.replace(flight, launch=None, landing=None, fan=None, path=())
        made = with_words(
            msgspec.structs.replace(
                mine,
                version=mine.version + 1,
                state=theirs.state,
                reason=theirs.reason,
                t_ns=now_ns,
                confidence=theirs.confidence,
                flight=flight,
                touched=tuple(one for one in theirs.touched if one.id in areas),
            )
        )
        self._relayed[key] = made, areas
        return [made]

    def _next(self) -> str:
        self._count += 1
        return f"{self._nation}-R{self._count}"
