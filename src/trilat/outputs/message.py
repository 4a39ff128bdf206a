"""Messages: each version of a public warning in every form that an output may want, with references to those before it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from trilat.errors import TrilatError
from trilat.products import cap, shapes
from trilat.products.cap import Rings
from trilat.records.warning import Warning
from trilat.warn.areas import Layer

Form = Literal["cap", "geojson", "kml", "text"]
FORMS: Mapping[Form, tuple[str, str]] = {
    "cap": ("cap.xml", "application/cap+xml"),
    "geojson": ("geojson", "application/geo+json"),
    "kml": ("kml", "application/vnd.google-earth.kml+xml"),
    "text": ("txt", "text/plain; charset=utf-8"),
}
WARNINGS_MAX = 1_000  # whose versions are remembered for references


class OutputError(TrilatError):
    """An output that cannot be made, or did not take a message."""


class Message(NamedTuple):
    """One version of one public warning. `identifier` names it for ever: the same message sent twice is the same message."""

    identifier: str
    warning: Warning
    bodies: Mapping[Form, bytes]


class Output(Protocol):
    """Where messages go. `send` returns the receipt, a line to keep; it raises OutputError to be asked again later."""

    async def send(self, message: Message, forms: Sequence[Form]) -> str:
        """Hand a message over in these forms, all or nothing as far as the output can; the same one may come again."""
        ...


Make = Callable[[Mapping[str, str]], Output]


class Messages:
    """Makes the messages of a stream of public warnings, in their order. sign(body) -> (key name, the node key's signature)."""

    def __init__(self, layer: Layer, sign: Callable[[bytes], tuple[str, bytes]]) -> None:
        self._rings = rings_of(layer)
        self._sign = sign
        self._before: dict[str, tuple[str, ...]] = {}

    def make(self, warning: Warning) -> Message:
        """Return the message of a warning's next version."""
        before = self._before.get(warning.id, ())
        if warning.id not in self._before and len(self._before) >= WARNINGS_MAX:
            del self._before[next(iter(self._before))]
        self._before[warning.id] = (*before, cap.triplet(warning))
        name, _ = self._sign(b"")
        bodies: dict[Form, bytes] = {
            "cap": cap.write(warning, before, self._rings, name, lambda body: self._sign(body)[1]),
            "geojson": shapes.geojson(warning, before, self._rings),
            "kml": shapes.kml(warning, self._rings),
            "text": ("\n".join(one.line for one in warning.words) or warning.headline).encode() + b"\n",
        }
        return Message(cap.identifier_of(warning), warning, bodies)


def rings_of(layer: Layer) -> Rings:
    """Return a layer's outlines by area, as products take them."""
    rings: dict[str, Any] = {}
    for k, area in enumerate(layer.areas):
        spans = [(layer.edge[r], layer.edge[r + 1]) for r in range(layer.ring[k], layer.ring[k + 1])]
        rings[area.id] = [[(float(lat), float(lon)) for lon, lat in layer.points[a:b]] for a, b in spans]
    return rings
