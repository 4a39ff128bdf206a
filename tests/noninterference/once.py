"""What is a function of its arguments alone, worked out once for all runs: signatures, Cedar's answers, outlines, arcs, areas.

Ed25519 draws nothing. Two runs of a pair differ in what they ask, never in what the answer to one question is, so no leak hides
in what is kept here. It was the dearest part of a small run, and nearly every question of the second run was asked in the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import cedarpy
import numpy as np
from planting import Patch

from trilat.identity import sign
from trilat.outputs import message
from trilat.warn import conclude

KEPT_MAX = 200_000
ARCS_KEPT_MAX = 1_000  # some 100 kB each


def once(function: Callable[..., Any], key: Callable[..., Any], kept_max: int = KEPT_MAX) -> Callable[..., Any]:
    """Return a function that works an answer out when nobody asked before under the same key."""
    answers: dict[Any, Any] = {}

    def asked(*arguments: Any) -> Any:
        what = key(*arguments)
        found = answers.get(what)
        if found is None:
            if len(answers) >= kept_max:
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


def _content(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values to look up by, arrays as their bytes."""
    return tuple([(one.shape, one.tobytes()) if isinstance(one, np.ndarray) else one for one in values])


_landing = once(conclude.predict, lambda state, path_s: (_content(state), path_s), ARCS_KEPT_MAX)
_touched = once(
    conclude.touched,
    lambda layer, landing, t_ns: (id(layer), _content((*landing.flight, *landing[1:])), t_ns),
    ARCS_KEPT_MAX,
)


@contextmanager
def pure_answers_kept() -> Iterator[None]:
    """Keep, while it lasts, what signing, verifying, Cedar, arcs and areas answer."""
    patch = Patch()
    patch.put(sign.SigningKey, "sign", _signed)
    patch.put(sign, "signature_holds", _holds)
    patch.put(message, "rings_of", _rings)
    patch.put(conclude, "predict", _landing)
    patch.put(conclude, "touched", _touched)
    patch.put(cedarpy, "is_authorized_batch", _judged)
    try:
        yield
    finally:
        patch.undo()
