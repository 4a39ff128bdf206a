"""Which letters a hub may give on, and which hubs this nation can send through: read from the agreements, by nobody else."""

from collections.abc import Iterable

from trilat.policy.agreement import Agreements
from trilat.records.carried import Route
from trilat.records.label import Mode


def routes_of(agreements: Agreements, mode: Mode) -> tuple[Route, ...]:
    """Return every route that the agreements have for a mode, sorted; a suspended agreement has none."""
    found = {
        Route(
            origin=flow.origin,
            to=flow.to,
            via=flow.via,
            agreement=agreement.name,
            not_before_ns=agreement.not_before_ns,
            expires_ns=agreement.expires_ns,
        )
        for agreement in agreements.agreements
        if mode.kind in agreement.modes and agreement.id not in agreements.suspended
        for flow in agreement.flow
        if flow.via is not None
    }
    return tuple(sorted(found))


def hubs_to(routes: Iterable[Route], nation: str, recipient: str, partners: Iterable[str]) -> tuple[str, ...]:
    """Return the hubs through which a nation can send letters to a recipient: named by an agreement, and partners both.

    The recipient must be a partner, too: its pinned key seals what the hub can not open.
    """
    known = frozenset(partners)
    return tuple(
        sorted(
            {one.via for one in routes if (one.origin, one.to) == (nation, recipient) and known.issuperset({one.via, recipient})}
        )
    )
