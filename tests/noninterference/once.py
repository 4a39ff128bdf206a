"""What is a function of its arguments alone, worked out once for all runs: signatures (Ed25519 draws nothing), Cedar's answers, outlines.

Two runs of a pair differ in what they ask, never in what the answer to one question is, so no leak hides in what is kept here.
It was the dearest part of a small run, and nearly every question of the second run was asked in the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cedarpy
from planting import Patch

from trilat.identity import sign
from trilat.outputs import message

KEPT_MAX = 200_000


def once(function: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that works an answer out when nobody asked before under the same key."""
    answers: dict[Any, Any] = {}

    def asked(*arguments: Any) -> Any:
        what = key(*arguments)
        found = answers.get(what)
        if found is None:
            if len(answers) >= KEPT_MAX:
                answers.clear()
            found = answers[what] = function(*arguments)
        return found

    return asked


_signed = once(sign.SigningKey.sign, lambda key, kind, body: (key.seed, kind, body))
_holds = once(sign.signature_holds, lambda *arguments: arguments)
_judged = once(
    cedarpy.is_authorized_batch,
    # A principal's id is the hash of what the entities hold of it (`cedar._Terms`).
    lambda requests, policies, _entities, schema: (
        *((one["principal"]["id"], one["action"]["id"], one["context"]) for one in requests),
        id(policies),
        schema is None,
    ),
)

# A layer of areas is made once and held: nobody else gets its place in memory.
_rings = once(message.rings_of, id)


@contextmanager
def pure_answers_kept() -> Iterator[None]:
    """Keep, while it lasts, what signing, verifying and Cedar answer."""
    patch = Patch()
    patch.put(sign.SigningKey, "sign", _signed)
    patch.put(sign, "signature_holds", _holds)
    patch.put(message, "rings_of", _rings)
    patch.put(cedarpy, "is_authorized_batch", _judged)
    try:
        yield
    finally:
        patch.undo()
