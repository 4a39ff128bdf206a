"""Which act needs which role. One table; the node asks it for every act, whatever a page offered."""

from collections.abc import Iterable, Mapping

from trilat.records.approval import Role

OFFICERS: frozenset[Role] = frozenset({"watch-officer", "release-officer"})
ROLES: tuple[Role, ...] = ("watch-officer", "release-officer", "exercise-director", "engineer", "auditor")

# What a page (or the door) can be asked to do -> who may. Proposals have a second table, by kind, in `approvals`.
MAY: Mapping[str, frozenset[Role]] = {
    "raise": frozenset({"watch-officer"}),
    "acknowledge": frozenset({"watch-officer"}),
    "retract": frozenset({"watch-officer"}),
    "issue": frozenset({"watch-officer"}),
    "relay": frozenset({"watch-officer"}),
    "stand-down": frozenset({"watch-officer"}),
    "recall": frozenset({"release-officer"}),
    "propose": OFFICERS,
    "propose-release": OFFICERS,
    "approve": OFFICERS,
    "decline": OFFICERS,
    "see-accounts": frozenset({"watch-officer", "release-officer", "engineer", "auditor"}),
    "see-sessions": frozenset({"engineer", "auditor"}),
    "see-release": frozenset({"watch-officer", "release-officer", "auditor"}),
    "see-ledger": frozenset({"release-officer", "auditor"}),
    "end-sessions": frozenset({"engineer"}),
}


def may(held: Iterable[Role], act: str) -> bool:
    """Tell whether somebody with these roles may do an act; what the table does not hold, nobody may."""
    return not MAY.get(act, frozenset()).isdisjoint(held)


def acts_of(held: Iterable[Role]) -> tuple[str, ...]:
    """Return every act that these roles allow, sorted: what a page offers."""
    roles = tuple(held)
    return tuple(sorted(act for act in MAY if may(roles, act)))
