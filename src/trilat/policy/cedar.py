"""The second judge: the same policy as Cedar text, evaluated by cedarpy (Apache-2.0), asked on every cache miss.

It must agree with the compiled rules or the record is withheld and an alarm raised. It shares no code with them: which
agreements govern is worked out here again, plainly, from the agreements themselves; every condition is in the text below,
which a release officer can read and which is checked against its schema before first use.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from trilat.errors import PolicyError
from trilat.policy.agreement import Agreement, Agreements, Flow
from trilat.policy.rules import Context
from trilat.records.label import Label

SCHEMA = """
// What an audience may receive under: one flow of one agreement, on this node, in this mode.
entity Terms = {
  audience: String, nation: String, mode: String, mode_kind: String, hubs: Set<String>, suspended: Bool, modes: Set<String>,
  topics: Set<String>, ceiling: Long, communities: Set<String>, caveats: Set<String>, not_before: Long, expires: Long
};
entity Record;
type Label = {
  originator: String, mode: String, rel_to: Set<String>, level: Long, level_own: Long, topics: Set<String>,
  communities: Set<String>, caveats: Set<String>, purposes: Set<String>, not_before: Long, expires: Long,
  third_parties: Set<String>
};
type Event = {
  kind: String, nation: String, audience: String, mode: String, topics: Set<String>, level_max: Long, begins: Long,
  ends: Long, same_content: Bool, approvers: Long, duty: Set<String>, duty_everywhere: Bool
};
action release appliesTo {
  principal: Terms, resource: Record,
  context: {
    now: Long, topic: String, label: Label, consents: Set<String>, purposes: Set<String>, hubs_needed: Set<String>,
    hubs_needed_count: Long, event?: Event
  }
};
"""

POLICY = """
@id("flow")
permit (principal, action == Action::"release", resource)
when { context.label.topics.contains(context.topic) && principal.topics.contains(context.topic) };

@id("originator")
forbid (principal, action, resource) unless { context.label.originator == principal.nation };

@id("mode")
forbid (principal, action, resource) unless { context.label.mode == principal.mode };

@id("label-dates")
forbid (principal, action, resource)
unless { context.label.not_before <= context.now && context.now < context.label.expires };

@id("agreement-dates")
forbid (principal, action, resource)
unless { principal.not_before <= context.now && context.now < principal.expires };

@id("agreement-in-use")
forbid (principal, action, resource)
unless { !principal.suspended && principal.modes.contains(principal.mode_kind) };

@id("policy")
forbid (principal, action, resource) unless { context.label.level >= 0 };

@id("third-parties")
forbid (principal, action, resource) unless { context.consents.containsAll(context.label.third_parties) };

@id("purposes")
forbid (principal, action, resource)
unless {
  (context.label.purposes.isEmpty() && !context.purposes.isEmpty()) || context.label.purposes.containsAny(context.purposes)
};

@id("route")
forbid (principal, action, resource)
unless { context.hubs_needed_count <= 1 && principal.hubs.containsAll(context.hubs_needed) };

// Readers, ceiling, communities and caveats hold, or a signed event has opened this door for this record.
@id("readers-or-event")
forbid (principal, action, resource)
unless {
  (context.label.rel_to.contains(principal.audience) &&
   context.label.level <= principal.ceiling &&
   principal.communities.containsAll(context.label.communities) &&
   principal.caveats.containsAll(context.label.caveats))
  ||
  (context has event &&
   context.event.nation == principal.nation &&
   context.event.audience == principal.audience &&
   context.event.mode == principal.mode &&
   context.event.begins <= context.now && context.now < context.event.ends &&
   context.event.topics.containsAll(context.label.topics) &&
   context.label.level_own <= context.event.level_max &&
   ((context.event.kind == "life-safety" &&
     context.event.duty.containsAll(context.label.topics) && context.event.duty_everywhere) ||
    ((context.event.kind == "approved-release" || context.event.kind == "officer-act") &&
     context.event.same_content && context.event.approvers >= 2)))
};
"""

_FAR = 2**63 - 1
# How many sets of terms are kept; a node has one for each nation and mode, a test many.
TERMS_MAX = 64
_encoder = msgspec.json.Encoder()


@cache
def _parsed() -> tuple[Any, Any]:
    """Return the parsed policies and schema, validated against one another; raises PolicyError (agreement-value)."""
    import cedarpy  # noqa: PLC0415 - `trilat --help` need not load it

    result = cedarpy.validate_policies(POLICY, SCHEMA)
    if not result.validation_passed:
        raise PolicyError("agreement-value", f"The Cedar text does not fit its schema: {result.errors}")
    return cedarpy.PolicySet.from_str(POLICY), cedarpy.Schema.from_str(SCHEMA)


def _json(value: Any) -> str:
    return _encoder.encode(value).decode()


def _mode_text(mode: Any) -> str:
    return f"{mode.kind}:{mode.id}"


def _covering(label: Label, recipient: str, topic: str, agreements: Agreements, now_ns: int) -> list[tuple[Agreement, Flow]]:
    """Return the agreements in force with a flow on a topic, without those that yield to another of them."""
    found = [
        (agreement, flow)
        for agreement in agreements.agreements
        for flow in agreement.flow
        if (flow.origin, flow.to) == (label.originator, recipient)
        and topic in flow.topics
        and agreement.not_before_ns <= now_ns < agreement.expires_ns
    ]
    return [
        (agreement, flow)
        for agreement, flow in found
        if not any(other.id in agreement.yields_to for other, _ in found if other is not agreement)
    ]


def _level_in(agreement: Agreement, label: Label) -> int:
    if label.policy == agreement.policy:
        return label.level
    told = [
        one.level_here
        for one in agreement.equivalence
        if (one.policy, one.level, one.policy_here) == (label.policy, label.level, agreement.policy)
    ]
    return max(told, default=-1)


def _label_facts(label: Label, agreement: Agreement, recipient: str) -> dict[str, Any]:
    return {
        "originator": label.originator,
        "mode": _mode_text(label.mode),
        "rel_to": list(label.rel_to),
        "level": _level_in(agreement, label),
        "level_own": label.level,
        "topics": list(label.topics),
        "communities": list(label.communities),
        "caveats": list(label.caveats),
        "purposes": list(label.purposes),
        "not_before": 0 if label.not_before_ns is None else label.not_before_ns,
        "expires": _FAR if label.expires_ns is None else label.expires_ns,
        "third_parties": sorted(set(label.sources) - {label.originator, recipient}),
    }


class _Terms(NamedTuple):
    """The terms of every flow of a nation's agreements as Cedar holds them, and each one's name there.

    A name is the hash of what stands under it: what Cedar says to one is a function of name, context and text.
    """

    entities: Any
    names: Mapping[tuple[int, int], str]  # by the identity of agreement and flow, which the agreements keep


@lru_cache(maxsize=TERMS_MAX)
def _terms(agreements: Agreements, nation: str, mode: Any, hubs: tuple[str, ...]) -> _Terms:
    """Return the terms of a set of agreements, read by Cedar once (and held to the schema) and not with every question."""
    import cedarpy  # noqa: PLC0415 - as below

    schema = _parsed()[1]
    held: dict[str, dict[str, Any]] = {}
    names: dict[tuple[int, int], str] = {}
    here = {"nation": nation, "mode": _mode_text(mode), "mode_kind": mode.kind, "hubs": list(hubs)}
    for agreement in agreements.agreements:
        for flow in agreement.flow:
            facts = {**here, **_flow_facts(agreement, flow, suspended=agreement.id in agreements.suspended)}
            name = hashlib.sha256(_encoder.encode(facts)).hexdigest()
            one = {"uid": {"type": "Terms", "id": name}, "attrs": facts, "parents": []}
            try:
                cedarpy.Entities.from_json_str(_json([one]), schema)
            except ValueError:  # what Cedar cannot hold (a date beyond its numbers) is not held: whatever it governs is denied
                continue
            held[name], names[(id(agreement), id(flow))] = one, name
    return _Terms(cedarpy.Entities.from_json_str(_json(list(held.values())), schema), names)


def _flow_facts(agreement: Agreement, flow: Flow, *, suspended: bool) -> dict[str, Any]:
    ceiling = agreement.ceiling_of(flow.to)
    return {
        "audience": flow.to,
        "suspended": suspended,
        "modes": list(agreement.modes),
        "topics": list(flow.topics),
        "ceiling": -1 if ceiling is None else ceiling,
        "communities": list(agreement.communities_of(flow.to)),
        "caveats": list(agreement.caveats),
        "not_before": agreement.not_before_ns,
        "expires": agreement.expires_ns,
    }


def _consents(agreement: Agreement, label: Label, recipient: str) -> list[str]:
    """Return the sources whose consent the label or the agreement holds for all of the label's topics."""
    consents = {one.source for one in label.consents if one.recipient == recipient}
    for source in label.sources:
        told = {topic for one in agreement.consent if (one.source, one.recipient) == (source, recipient) for topic in one.topics}
        if told.issuperset(label.topics):
            consents.add(source)
    return sorted(consents)


def _event_facts(context: Context, governing: list[tuple[Agreement, Flow]], label: Label) -> dict[str, Any]:
    event = context.declassification
    if event is None:
        return {}
    named = (event.agreement, event.agreement_version)
    duties = [set(one.duty_to_warn.topics) if one.duty_to_warn else set() for one, _ in governing]
    called = any((one.id, one.version) == named for one, _ in governing)
    same = event.content_sha256 is not None and event.content_sha256 == context.content_sha256
    return {
        "event": {
            "kind": event.kind,
            "nation": event.nation,
            "audience": event.audience,
            "mode": _mode_text(event.mode),
            "topics": list(event.topics),
            "level_max": event.level_max,
            "begins": event.t_ns,
            "ends": event.expires_ns,
            "same_content": same,
            "approvers": len(set(event.approved_by)),
            "duty": sorted(set.intersection(*duties)),
            "duty_everywhere": called and bool(label.topics),
        }
    }


def _requests(
    label: Label, recipient: str, context: Context, agreements: Agreements, names: Mapping[tuple[int, int], str]
) -> Iterator[dict[str, Any]]:
    """Yield one Cedar request for every topic and agreement that governs it; an ungoverned topic yields None's place: nothing."""
    pairs = {topic: _covering(label, recipient, topic, agreements, context.now_ns) for topic in label.topics}
    if not pairs or not all(pairs.values()):
        return
    governing = [pair for several in pairs.values() for pair in several]
    purposes = set.intersection(*(set(agreement.purposes) for agreement, _ in governing))
    hubs = {flow.via for _, flow in governing if flow.via is not None}
    shared = {
        "now": context.now_ns,
        "purposes": sorted(purposes),
        "hubs_needed": sorted(hubs),
        "hubs_needed_count": len(hubs),
        **_event_facts(context, governing, label),
    }
    for topic, several in pairs.items():
        for agreement, flow in several:
            told = {"label": _label_facts(label, agreement, recipient), "consents": _consents(agreement, label, recipient)}
            yield {
                "principal": {"type": "Terms", "id": names.get((id(agreement), id(flow)), "unknown")},
                "action": {"type": "Action", "id": "release"},
                "resource": {"type": "Record", "id": "record"},
                # As JSON text, which is what cedarpy would make of it, three times more slowly.
                "context": _json({**shared, "topic": topic, **told}),
            }


class Question(NamedTuple):
    """One thing to be judged: may this label go to this recipient, in this context, under these agreements?"""

    label: Label
    recipient: str
    context: Context
    agreements: Agreements


def judge_all(questions: Sequence[Question], *, check_requests: bool = False) -> list[bool]:
    """Return for each question whether every request that governs is allowed; nothing that governs, or an error, is a denial.

    The labels must be canonical, which both judges take from `canonical.fault_of`. check_requests: hold every request to the
    schema too, which halves the speed. The text is always held to it; of a request that does not fit, evaluation ends in an
    error, and so in a denial.
    """
    import cedarpy  # noqa: PLC0415 - as above

    policies, schema = _parsed()
    answers = [False] * len(questions)
    alike: dict[int, tuple[_Terms, list[tuple[int, list[dict[str, Any]]]]]] = {}
    for at, one in enumerate(questions):
        terms = _terms(one.agreements, one.context.nation, one.context.mode, one.context.hubs)
        alike.setdefault(id(terms), (terms, []))[1].append((at, list(_requests(*one, terms.names))))
    for terms, asked in alike.values():
        flat = [request for _, several in asked for request in several]
        given = (flat, policies, terms.entities, schema if check_requests else None)
        told = iter(cedarpy.is_authorized_batch(*given) if flat else [])
        allowed = (one.decision == cedarpy.Decision.Allow and not one.diagnostics.errors for one in told)
        for at, several in asked:
            own = list(islice(allowed, len(several)))
            answers[at] = bool(own) and all(own)
    return answers


class CedarJudge:
    """The second judge as `AudiencePolicy` asks it: does the Cedar text permit this label to this recipient?"""

    def permits(self, label: Label, recipient: str, context: Context, agreements: Agreements) -> bool:
        """Return the answer to one question (`judge_all`)."""
        return judge_all([Question(label, recipient, context, agreements)])[0]
