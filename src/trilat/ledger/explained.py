"""Why a selected track or warning may go to an audience, or not, over HTTP: for one's own officers, in no partner's path.

What is asked is worked out with tables of its own (`node.setup.policy_of`): no partner's pipeline, cache or log learns of it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trilat.errors import PolicyError
from trilat.ledger.served import json_of, refused
from trilat.marking.canonical import is_audience
from trilat.marking.display import in_words
from trilat.policy.agreement import Agreement, Agreements
from trilat.policy.audience import AudiencePolicy, DecisionLog, Kept
from trilat.policy.decide import verdict_words
from trilat.records.approval import Role, Session
from trilat.records.declassification import Declassification
from trilat.records.label import Label
from trilat.records.sensor import Sensor
from trilat.records.warning import Warning

ACT = "see-release"
# More than any agreement's rules and any track's sensors come to; what is beyond is said to exist.
STEPS_MAX = 400
PER_MINUTE_MAX = 120
USERS_MAX = 1_000
MINUTE_NS = 60 * 1_000_000_000
ID_MAX = 2**32 - 1
DECISIONS_MAX = 10_000
NAME_MAX = 64  # of a warning

Answer = Mapping[str, Any]
# Label, sensors, and the number under which the nation's own tracks have it (0: under none).
Subject = tuple[Label, tuple[str, ...], int]


class Edition(NamedTuple):
    """A warning as one audience has it, or would: what policy decides on, and the id under which it went (empty: never)."""

    record: Warning
    id: str


class _Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A question that gets no answer: a reason of errors.toml."""


class Pace:
    """How many questions one user asked in the last minute; beyond the bound they are refused. Pure."""

    def __init__(self, per_minute_max: int = PER_MINUTE_MAX) -> None:
        self._most = per_minute_max
        self._asked: OrderedDict[str, deque[int]] = OrderedDict()

    def takes(self, now_ns: int, user: str) -> bool:
        """Tell whether one more question of this user is answered now, and count it if so."""
        asked = self._asked.setdefault(user, deque())
        self._asked.move_to_end(user)
        while len(self._asked) > USERS_MAX:
            self._asked.popitem(last=False)
        while asked and now_ns - asked[0] >= MINUTE_NS:
            asked.popleft()
        if len(asked) >= self._most:
            return False
        asked.append(now_ns)
        return True


class Explainer(NamedTuple):
    """What answers are made from.

    subject: a page's view and track id -> label, sensors and number, None when it holds none. edition: a page's view, an own
    warning's id and an audience -> the warning as that audience has it or would, None when the view shows no such warning.
    event: an audience and a warning's id or a national track's number -> the signed event that let it go, past the labels.
    """

    nation: str
    agreements: Agreements
    audiences: tuple[str, ...]
    sensors: Mapping[str, Sensor]
    policy: Callable[[str], AudiencePolicy]
    subject: Callable[[str, int], Subject | None]
    edition: Callable[[str, str, str], Edition | None]
    event: Callable[[str, str | int], Declassification | None]
    now_ns: Callable[[], int]
    log: DecisionLog

    def decided(self, audience: str, last: int) -> Answer:
        """Return the last decisions one by one, newest first, and how often each rule decided since the start.

        audience: of which; of all when empty. Where the two judges disagreed, what each said: the record was withheld.
        """
        if audience:
            self._known(audience)
        kept = [one for one in self.log.last(DECISIONS_MAX) if not audience or one.decision.audience == audience][:last]
        totals = [(one, n) for one, n in self.log.totals().items() if not audience or one.audience == audience]
        alarms = [one for one in self.log.alarms if not audience or one.audience == audience][-last:]
        return {
            "last": [_decided(one) for one in kept],
            "totals": [{**one._asdict(), "decisions": n} for one, n in totals],
            "disagreements": self.log.alarms_total,
            "disagreed": [
                {"t_ms": one.t_ns // 1_000_000, "audience": one.audience, "rule": one.first.rule, "rules": one.first.permit}
                | {"second_judge": one.second, "label_sha256": one.label_hash.hex()}
                for one in reversed(alarms)
            ],
        }

    def why(self, view: str, track_id: int, audience: str) -> Answer:
        """Return every rule on the way of one track to one audience, the verdict, and the same question for each of its sensors.

        The label of a track joins those of its sensors. An audience's own tracker gets the sensors that it may have: so it may
        hold this target although the track as a whole is withheld, and that is said, too.
        """
        self._known(audience)
        found = self.subject(view, track_id)
        if found is None:
            raise _Refused("track-unknown")
        label, sensors, national = found
        if not any(one in self.sensors for one in sensors):
            raise _Refused("foreign-originator")
        event = _event(self.event(audience, national))
        return {"id": track_id, "national": national, "event": event, **self._path(audience, label, sensors)}

    def why_warning(self, view: str, warning_id: str, audience: str) -> Answer:
        """Return every rule on the way of one own warning to one audience, and whether that audience has it, under which id.

        Asked of is the audience's own edition where it has one: a flight's warning is made anew for each audience from what that
        audience's sensors see. What a signed event let go shows as an edition beside a verdict that withholds, with that event.
        """
        self._known(audience)
        found = self.edition(view, warning_id, audience)
        if found is None:
            raise _Refused("warning-unknown")
        record = found.record
        held = {"id": found.id, "version": record.version, "state": record.state, "issued": record.issued} if found.id else None
        event = _event(self.event(audience, warning_id))
        path = self._path(audience, record.label, record.pedigree.sensors)
        return {"warning": warning_id, "edition": held, "event": event, **path}

    def _known(self, audience: str) -> None:
        if audience not in self.audiences or not is_audience(audience):
            raise _Refused("recipient-unknown")

    def _path(self, audience: str, label: Label, sensors: tuple[str, ...]) -> Answer:
        """Return the path of the decision on a label, rule by rule, and what it is for each sensor."""
        now_ns, policy = self.now_ns(), self.policy(audience)
        path = policy.explain(label, now_ns, sensors)
        made = path.decision
        return {
            "t_ms": now_ns // 1_000_000,
            "audience": audience,
            "label": in_words(label),
            "permit": made.permit,
            "tier": made.tier if made.permit else "",
            "reason": made.reason,
            "rule": made.rule,
            "steps": [msgspec.structs.asdict(step) for step in path.steps[:STEPS_MAX]],
            "more": len(path.steps) > STEPS_MAX,
            "verdict": verdict_words(made),
            "sensors": [self._sensor(policy, now_ns, one) for one in sensors],
        }

    def _sensor(self, policy: AudiencePolicy, now_ns: int, name: str) -> Answer:
        """Return whether the audience's tracker gets what one sensor reports. A sensor that is not the nation's never goes."""
        sensor = self.sensors.get(name)
        if sensor is None:
            return {"id": name, "permit": False, "tier": "", "reason": "foreign-originator", "rule": "originator"}
        made = policy.rulebook.decide(sensor.label, policy.context(now_ns, (name,)))
        return {
            "id": name,
            "permit": made.permit,
            "tier": made.tier if made.permit else "",
            "reason": made.reason,
            "rule": made.rule,
        }

    def terms(self) -> Answer:
        """Return what the agreements that this node holds say of its own flows: what forms offer, in the agreements' words."""
        now_ns = self.now_ns()
        mine = [self._terms(one, now_ns) for one in self.agreements.agreements]
        return {"audiences": self.audiences, "agreements": [one for one in mine if one["flows"]]}

    def _terms(self, one: Agreement, now_ns: int) -> dict[str, Any]:
        duty = one.duty_to_warn
        return {
            "id": one.id,
            "version": one.version,
            "title": one.title,
            "in_force": one.not_before_ns <= now_ns < one.expires_ns and one.id not in self.agreements.suspended,
            "until_ms": one.expires_ns // 1_000_000,
            "duty": () if duty is None else duty.topics,
            "duty_tier": "" if duty is None else duty.tier,
            "flows": [
                {"to": flow.to, "topics": flow.topics, "tier": flow.tier, "via": flow.via, "ceiling": one.ceiling_of(flow.to)}
                for flow in one.flow
                if flow.origin == self.nation
            ],
        }


def _decided(one: Kept) -> Answer:
    told = {name: getattr(one.decision, name) for name in ("audience", "permit", "reason", "rule", "agreements")}
    tier = one.decision.tier if one.decision.permit else ""
    return {"t_ms": one.t_ns // 1_000_000, **told, "tier": tier, "label_sha256": one.decision.label_hash.hex()}


def _event(event: Declassification | None) -> Answer | None:
    """Return what an officer is told of a signed event: which one, of what kind, by whom, for why, until when."""
    if event is None:
        return None
    told = {name: getattr(event, name) for name in ("id", "kind", "approved_by", "reason")}
    return told | {"agreement": event.agreement or "", "t_ms": event.t_ns // 1_000_000, "until_ms": event.expires_ns // 1_000_000}


def explainer(
    nation: str,
    agreements: Agreements,
    audiences: Iterable[str],
    sensors: Iterable[Sensor],
    policy: Callable[[str], AudiencePolicy],
    subject: Callable[[str, int], Subject | None],
    edition: Callable[[str, str, str], Edition | None],
    event: Callable[[str, str | int], Declassification | None],
    now_ns: Callable[[], int],
    log: DecisionLog,
) -> Explainer:
    """Return an explainer whose policies are made when they are first asked for, and kept."""
    made: dict[str, AudiencePolicy] = {}

    def kept(audience: str) -> AudiencePolicy:
        if audience not in made:
            made[audience] = policy(audience)
        return made[audience]

    by_id = {one.id: one for one in sensors}
    return Explainer(nation, agreements, tuple(audiences), by_id, kept, subject, edition, event, now_ns, log)


def routes(
    door: Callable[[Any], Session | None],
    may: Callable[[Iterable[Role], str], bool],
    explainer_of: Callable[[], Explainer | None],
) -> Sequence[BaseRoute]:
    """Return `/api/release/explain?track=ID&to=KOR` (or `warning=ID`), `/terms` and `/decisions?to=KOR`, behind `see-release`."""
    pace = Pace()

    def answering(question: Callable[[Explainer, Session, Mapping[str, str]], Answer]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            session = door(request)
            if session is None:
                return refused("session-ended")
            if not may(session.roles, ACT):
                return refused("act-role")
            try:
                asked = explainer_of()
                if asked is None:
                    raise _Refused("track-unknown")  # noqa: TRY301 - one way out for all refusals
                if not pace.takes(asked.now_ns(), session.user):
                    raise _Refused("request-rate")  # noqa: TRY301 - as above
                told = question(asked, session, request.query_params)
            except _Refused as error:
                return refused(str(error))
            except PolicyError as error:
                return refused(error.name)
            return json_of(told, 200)

        return answer

    def why(asked: Explainer, session: Session, query: Mapping[str, str]) -> Answer:
        if "warning" in query:
            return asked.why_warning(session.view, _name(query["warning"]), query.get("to", ""))
        return asked.why(session.view, _id(query.get("track", "")), query.get("to", ""))

    def decided(asked: Explainer, _: Session, query: Mapping[str, str]) -> Answer:
        return asked.decided(query.get("to", ""), min(_id(query.get("last", "100")), DECISIONS_MAX))

    found = {"explain": why, "terms": lambda asked, *_: asked.terms(), "decisions": decided}
    return [Route(f"/api/release/{name}", answering(question), methods=["GET"]) for name, question in found.items()]


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= ID_MAX):
        raise _Refused("request-bad")
    return int(text)


def _name(text: str) -> str:
    if not (0 < len(text) <= NAME_MAX and text.isascii() and text.isprintable()):
        raise _Refused("request-bad")
    return text
