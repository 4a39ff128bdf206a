"""The part of the policy that casbin (Apache-2.0) says in one line: originator, reader, every topic agreed, level and ceiling.

It does less than either judge (no dates, routes, consents, purposes, which agreement governs), so the ratio flatters it.
"""

from typing import Any

import casbin

from trilat.policy.agreement import Agreements
from trilat.records.label import Label

MODEL = """
[request_definition]
r = origin, to, topic, level, readers
[policy_definition]
p = origin, to, topic, ceiling
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.origin == p.origin && r.to == p.to && r.topic == p.topic && r.level <= int(p.ceiling) && r.to in r.readers
"""


def enforcer(agreements: Agreements, nation: str) -> Any:
    """Return an enforcer with one line of policy for every flow and topic of a nation."""
    model = casbin.Model()
    model.load_model_from_text(MODEL)
    made = casbin.Enforcer(model)
    made.add_function("int", int)
    for one in agreements.agreements:
        for flow in one.flow:
            if flow.origin == nation:
                ceiling = one.ceiling_of(flow.to)
                for topic in flow.topics:
                    made.add_policy(nation, flow.to, topic, str(-1 if ceiling is None else ceiling))
    return made


def enforce(made: Any, some: list[Label], recipient: str) -> int:
    """Decide on every label once; return how many were permitted."""
    permits = 0
    for label in some:
        permits += all(made.enforce(label.originator, recipient, topic, label.level, label.rel_to) for topic in label.topics)
    return permits
