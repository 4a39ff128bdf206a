"""The flights' warnings of one node: one book per audience, linked only here, in the national store (DESIGN principles 3 and 7).

An audience's book is moved by nothing but that audience's own assessments, by time, and by acts of people that name it. PUBLIC,
and a partner whose pipeline does not see the flight, have one moved by the national assessments inside what two approved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from trilat.issuing.editions import NATIONAL, OWN, PUBLIC, TOPIC, apart_m, calmly, label_of, plain, same_flight, shown
from trilat.policy.labels import make
from trilat.products.texts import with_words
from trilat.records.assessment import Assessment
from trilat.records.label import Label, Mode
from trilat.records.released import Released
from trilat.records.warning import Retraction, Warning
from trilat.warn import machine
from trilat.warn.machine import Envelope, Standing

PURPOSE = "public-warning"
UNNAMED = "-"
FLIGHTS_MAX = 200  # of one audience; the oldest that is closed goes first
Key = tuple[str, int]


class Gate(Protocol):
    """One audience's way out, with ids of its own; policy decides in it."""

    def new_warning_id(self) -> str:
        """Return the audience's next warning id."""
        ...

    def link(self, audience_id: str, national_id: str) -> None:
        """Remember which national warning an edition is of."""
        ...

    def flash(self, now_ns: int, record: Any) -> list[Released]:
        """Return a record made for this audience as it leaves; nothing when it may not have it."""
        ...


class Moved(NamedTuple):
    """One warning that got a new version: whose book, the standing before and after."""

    audience: str
    key: Key
    before: Standing | None
    after: Standing


class Books:
    """Every audience's flights. Methods return what moved; `emit` makes what leaves of it."""

    def __init__(
        self,
        nation: str,
        mode: Mode,
        policy: str,
        gates: Mapping[str, Gate],
        standing: Callable[[int, str, str], bool] = lambda *_: False,
    ) -> None:
        """Make empty books. standing(now_ns, source, audience): whether an agreement holds a source's consent to a warning."""
        self.nation, self.mode, self._policy, self._gates = nation, mode, policy, gates
        self._standing = standing
        # A partner's time in a step of the nation's: in a replay its clock is its own. The node sets it.
        self.own_ns: Callable[[str, int], int] = lambda _, now_ns: now_ns
        self._count = 0
        self._public_count = 0
        self._books: dict[str, dict[Key, Standing]] = {NATIONAL: {}, PUBLIC: {}, **{name: {} for name in gates}}
        self._own: dict[Key, Assessment] = {}
        self._key_of: dict[str, Key] = {}  # national id -> key
        self._link: dict[tuple[str, Key], Key] = {}  # (audience, its key) -> national key

    # Asking -----------------------------------------------------------------------------------------------------------

    def national(self, warning_id: str) -> tuple[Key, Standing] | None:
        """Return a national warning by its id."""
        key = self._key_of.get(warning_id)
        return None if key is None else (key, self._books[NATIONAL][key])

    def editions(self, national: Key) -> dict[str, tuple[Key, Standing]]:
        """Return the editions of one national warning, by audience."""
        out = {}
        for (audience, key), linked in self._link.items():
            if linked == national:
                out[audience] = (key, self._books[audience][key])
        return out

    @property
    def partners(self) -> frozenset[str]:
        """The audiences that have a way out of this node."""
        return frozenset(self._gates)

    def standing(self, audience: str, key: Key) -> Standing | None:
        """Return one audience's warning of one flight."""
        return self._books[audience].get(key)

    def all_of(self, audience: str) -> list[Standing]:
        """Return an audience's warnings, oldest first."""
        return list(self._books.get(audience, {}).values())

    def own_flights(self) -> dict[Key, Assessment]:
        """Return what the own sensors alone make of each flight, the one that was heard of last at the end."""
        return self._own

    def nearest_national(self, assessment: Assessment) -> Standing | None:
        """Return the national warning of the flight that an assessment is of: the nearest of those that it may be."""
        near = [one for one in self._books[NATIONAL].values() if same_flight(assessment, one.assessment)]
        return min(near, key=lambda one: apart_m(assessment, one.assessment), default=None)

    def national_label(self, assessment: Assessment) -> Label:
        """Return the label of the nation's own warning of what an assessment says."""
        return label_of(NATIONAL, assessment)

    # Moving -----------------------------------------------------------------------------------------------------------

    def take(self, now_ns: int, audience: str, assessment: Assessment) -> tuple[bool, list[Moved]]:
        """Take an audience's assessment; tells whether it was taken at all (what is not leaves no trace), and what moved."""
        key = (assessment.stream, assessment.flight)
        if assessment.label.mode != self.mode:
            return False, []
        if audience == OWN:
            return self._take_own(key, assessment), []
        if audience == PUBLIC or audience not in self._books:
            return False, []
        now_ns = self.own_ns(audience, now_ns)
        standing = self._books[audience].get(key)
        if standing is None:
            return self._begin(now_ns, audience, key, assessment)
        after = machine.take(now_ns, standing, assessment)
        if after is None:
            return False, []
        moved = self._put(audience, key, standing, after)
        if audience == NATIONAL:
            moved += self._follow(now_ns, key, assessment)
        self._relink()
        return True, moved

    def _take_own(self, key: Key, assessment: Assessment) -> bool:
        held = self._own.get(key)
        if held is not None and assessment.t_ns - held.t_ns < machine.HEARD_EVERY_NS and held.state == assessment.state:
            return False
        # Those that nothing is heard of any more go first, however many others there are.
        self._own.pop(key, None)
        self._own[key] = assessment
        while len(self._own) > FLIGHTS_MAX:
            del self._own[next(iter(self._own))]
        return True

    def _begin(self, now_ns: int, audience: str, key: Key, assessment: Assessment) -> tuple[bool, list[Moved]]:
        # No id is taken before it is known that there will be a warning: an audience's ids have no gaps.
        if machine.begin(now_ns, assessment, UNNAMED, assessment.label) is None:
            return False, []
        if audience == NATIONAL:
            self._count += 1
            warning_id = f"{self.nation}-L{self._count}"
        else:
            warning_id = self._gates[audience].new_warning_id()
        standing = machine.begin(now_ns, assessment, warning_id, label_of(audience, assessment))
        if standing is None:
            raise ValueError("a warning begun twice differs")
        self._make_room(audience)
        if audience == NATIONAL:
            self._key_of[warning_id] = key
        moved = self._put(audience, key, None, standing)
        self._relink()
        return True, moved

    def _follow(self, now_ns: int, national: Key, assessment: Assessment) -> list[Moved]:
        """Move the editions that rest on the national assessment, inside what was approved."""
        moved: list[Moved] = []
        for audience, (key, standing) in self.editions(national).items():
            if standing.basis == "approved":
                base = self.basis_for(now_ns, audience, assessment)
                own_ns = self.own_ns(audience, now_ns)
                after = None if base is None else machine.take(own_ns, standing, base)
                if after is not None:
                    moved += self._put(audience, key, standing, calmly(own_ns, standing, after))
        return moved

    def tick(self, now_ns: int) -> list[Moved]:
        """Let time pass in every book."""
        moved: list[Moved] = []
        for audience, book in self._books.items():
            for key, standing in list(book.items()):
                after = machine.tick(self.own_ns(audience, now_ns), standing)
                if after is not None:
                    moved += self._put(audience, key, standing, after)
        return moved

    def issue(self, now_ns: int, national: Key, audience: str, envelope: Envelope) -> list[Moved]:
        """Issue to one audience (or widen) what two people approved for it; a new edition where it had none."""
        found = self._held(national, audience) or self._approved_edition(now_ns, national, audience)
        if found is None or found[1].warning.state in machine.CLOSED:
            return []
        own_ns = self.own_ns(audience, now_ns)
        return self._put(audience, found[0], found[1], machine.issue(own_ns, found[1], _ending(envelope, now_ns - own_ns)))

    def would_issue(self, now_ns: int, national: Key, audience: str, envelope: Envelope) -> Warning | None:
        """Return what `issue` would tell an audience now; None where it would tell nothing. Nothing moves, no id is taken."""
        held = self._held(national, audience)
        standing = self._unnamed(now_ns, national, audience) if held is None else held[1]
        if standing is None or standing.warning.state in machine.CLOSED:
            return None
        own_ns = self.own_ns(audience, now_ns)
        return machine.issue(own_ns, standing, _ending(envelope, now_ns - own_ns)).warning

    def _held(self, national: Key, audience: str) -> tuple[Key, Standing] | None:
        """Return an audience's edition of a national warning, the nation's own among them."""
        return (national, self._books[NATIONAL][national]) if audience == NATIONAL else self.editions(national).get(audience)

    def _unnamed(self, now_ns: int, national: Key, audience: str) -> Standing | None:
        """Return an edition made of the national assessment, without exact places, for who has none; its id is not taken yet."""
        standing = self._books[NATIONAL][national]
        base = self.basis_for(now_ns, audience, standing.assessment)
        if base is None or (audience != PUBLIC and audience not in self._gates):
            return None
        state = "assessed" if standing.warning.state in ("issued", "updated") else standing.warning.state
        label = self._plain_label(audience, base.label)
        warning = msgspec.structs.replace(
            standing.warning, id=UNNAMED, version=0, state=state, issued=False, label=label, touched=base.areas
        )
        return Standing(warning=warning, assessment=base, taken_ns=standing.taken_ns, basis="approved", again=standing.again)

    def _approved_edition(self, now_ns: int, national: Key, audience: str) -> tuple[Key, Standing] | None:
        """Return a new edition of that kind, in the books and linked."""
        made = self._unnamed(now_ns, national, audience)
        if made is None:
            return None
        if audience == PUBLIC:
            self._public_count += 1
            warning_id = f"{self.nation}-P{self._public_count}"
        else:
            warning_id = self._gates[audience].new_warning_id()
        made = msgspec.structs.replace(made, warning=msgspec.structs.replace(made.warning, id=warning_id))
        key = ("approved", self._count * 1_000 + len(self._books[audience]))
        self._books[audience][key] = made
        self._link[audience, key] = national
        if audience in self._gates:
            self._gates[audience].link(warning_id, self._books[NATIONAL][national].warning.id)
        return key, made

    def _plain_label(self, audience: str, of: Label) -> Label:
        return make(
            policy=self._policy,
            originator=self.nation,
            mode=self.mode,
            level=0,
            rel_to=(audience,),
            topics=(TOPIC,),
            sources=of.sources or (self.nation,),
            consents=[(one.source, one.recipient) for one in of.consents],
            purposes=of.purposes,
        )

    def basis_for(self, now_ns: int, audience: str, assessment: Assessment) -> Assessment | None:
        """Return what an edition may rest on: the national assessment, or the own sensors' alone where partners did not consent.

        Partner data bears on a public warning only with that partner's consent for PUBLIC and the purpose "public-warning".
        """
        if self.consented(now_ns, assessment.label, audience):
            return plain(assessment, self.nation)
        near = [one for one in self._own.values() if same_flight(one, assessment)]
        own = max(near, key=lambda one: one.t_ns, default=None)
        return None if own is None or not self.consented(now_ns, own.label, audience) else plain(own, self.nation)

    def consented(self, now_ns: int, label: Label, audience: str) -> bool:
        """Tell whether what carries a label may bear on an audience's warning: every other source agreed to it."""
        others = [source for source in label.sources if source != self.nation]
        agreed = {(one.source, one.recipient) for one in label.consents}
        purpose = audience != PUBLIC or not others or PURPOSE in label.purposes
        return purpose and all((one, audience) in agreed or self._standing(now_ns, one, audience) for one in others)

    def put(self, audience: str, key: Key, after: Standing) -> Moved:
        """Put back a standing that an act moved."""
        return self._put(audience, key, self._books[audience].get(key), after)[0]

    def _put(self, audience: str, key: Key, before: Standing | None, after: Standing) -> list[Moved]:
        told = before is None or after.warning.version != before.warning.version
        if told:
            warning = with_words(shown(after))
            if after.basis == "own" and warning.state not in machine.CLOSED:
                # Each version is labelled as what it rests on now, not as what the first one rested on.
                warning = msgspec.structs.replace(warning, label=label_of(audience, after.assessment))
            after = msgspec.structs.replace(after, warning=warning)
        self._books[audience][key] = after
        return [Moved(audience, key, before, after)] if told else []

    def _make_room(self, audience: str) -> None:
        book = self._books[audience]
        while len(book) >= FLIGHTS_MAX:
            closed = [key for key, one in book.items() if one.warning.state in machine.CLOSED]
            gone = (closed or list(book))[0]
            self._key_of.pop(book.pop(gone).warning.id, None)
            self._link = {k: v for k, v in self._link.items() if k != (audience, gone) and v != gone}

    def _relink(self) -> None:
        """Link each audience's flight with the national one that it is, where both are known. Nothing of it leaves."""
        for audience in self._gates:
            for key, standing in self._books[audience].items():
                if (audience, key) in self._link:
                    continue
                for national, other in self._books[NATIONAL].items():
                    if same_flight(standing.assessment, other.assessment):
                        self._link[audience, key] = national
                        self._gates[audience].link(standing.warning.id, other.warning.id)
                        break

    # Leaving ----------------------------------------------------------------------------------------------------------

    def emit(self, now_ns: int, moved: Iterable[Moved]) -> tuple[list[Warning], list[Released], list[Warning]]:
        """Return what moved as: national warnings to show, releases for partners, messages for the public.

        A retraction or its reverse goes to partners as a `Retraction`; the public's products make a cancelling message of it.
        """
        told: list[Warning] = []
        released: list[Released] = []
        public: list[Warning] = []
        for one in moved:
            warning = one.after.warning
            if one.audience == NATIONAL:
                told.append(warning)
            elif one.audience == PUBLIC:
                public.append(warning)
            elif warning.state != "retracted" and warning.reason != "reinstated":
                released += self._gates[one.audience].flash(self.own_ns(one.audience, now_ns), warning)
        return told, released, public

    def take_back(self, now_ns: int, one: Moved, reason: Any, text: str, by: str) -> tuple[Retraction, list[Released]]:
        """Return the retraction (or reinstatement) of one audience's edition, and how it leaves."""
        now_ns = self.own_ns(one.audience, now_ns)
        before = one.before.warning if one.before is not None else one.after.warning
        made = Retraction(
            warning_id=before.id,
            warning_version=before.version,
            reason=reason,
            text=text,
            by=by if one.audience == NATIONAL else self.nation,
            t_ns=now_ns,
            label=before.label,
        )
        gate = self._gates.get(one.audience)
        return made, [] if gate is None else gate.flash(now_ns, made)


def _ending(envelope: Envelope, ahead_ns: int) -> Envelope:
    """Return an envelope whose end is told by a clock that is so much behind."""
    return msgspec.structs.replace(envelope, until_ns=envelope.until_ns - ahead_ns)
