"""CAP 1.2 messages of warnings (OASIS, 1 July 2010): written valid and signed, read only when signed, of this mode and not past.

`status` is Exercise for everything that is not live and Actual for live, and nothing else. The first version is an Alert, the
next are Updates, a retraction or an all clear is a Cancel; each refers to those before it by the standard's triplet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from lxml import etree

from trilat.products.texts import drill, endangers, name_of
from trilat.products.xmldsig import CapError, parse, sign, verified
from trilat.records.label import Mode
from trilat.records.warning import Warning, Words

CAP = "urn:oasis:names:tc:emergency:cap:1.2"
NS = 1_000_000_000
LANGUAGE_CODES = {"en": "en-US", "ja": "ja-JP", "ko": "ko-KR"}
RESPONSES = {"act": "Shelter", "at-sea": "Avoid", "": "Monitor"}
RINGS_MAX, POINTS_MAX = 20, 400
Rings = Mapping[str, Sequence[Sequence[tuple[float, float]]]]  # area id -> outer rings of (lat, lon), closed


class CapRead(NamedTuple):
    """What a CAP message says, once it is known to be its sender's."""

    identifier: str
    sender: str
    message: str
    sent_ns: int
    expires_ns: int
    areas: tuple[str, ...]
    headlines: Mapping[str, str]
    references: tuple[str, ...]


def status_of(mode: Mode) -> str:
    """Return the one status that a mode's messages carry."""
    return "Actual" if mode.kind == "live" else "Exercise"


def sender_of(nation: str) -> str:
    """Return a nation's sender as CAP wants it: no spaces, commas or brackets."""
    return f"trilat.{nation.lower()}"


def triplet(warning: Warning) -> str:
    """Return how later messages refer to this one: sender,identifier,sent."""
    nation = warning.label.originator
    return f"{sender_of(nation)},{identifier_of(warning)},{_time(warning.t_ns)}"


def identifier_of(warning: Warning) -> str:
    """Return the message's identifier: of the warning's id, its version and its mode, so that no two modes share one."""
    mode = warning.label.mode
    return f"{warning.id}.{warning.version}.{mode.kind}{'.' + mode.id if mode.id else ''}".replace(" ", "-")


def message_of(warning: Warning, references: Sequence[str]) -> str:
    """Return Alert, Update or Cancel."""
    if warning.state in ("retracted", "stood-down"):
        return "Cancel"
    return "Update" if references else "Alert"


def write(
    warning: Warning, references: Sequence[str], rings: Rings, key_name: str, sign_bytes: Callable[[bytes], bytes]
) -> bytes:
    """Return a warning's signed CAP message. references: triplets of those before it, oldest first."""
    root = etree.Element(f"{{{CAP}}}alert", nsmap={None: CAP})
    mode, message = warning.label.mode, message_of(warning, references)
    head = {
        "identifier": identifier_of(warning),
        "sender": sender_of(warning.label.originator),
        "sent": _time(warning.t_ns),
        "status": status_of(mode),
        "msgType": message,
        "scope": "Public",
    }
    for tag, text in head.items():
        _put(root, tag, text)
    if mode.kind != "live":
        _put(root, "note", f"{drill(mode, 'en', mode.id)} {drill(mode, 'ja', '')} {drill(mode, 'ko', '')}")
    elif message == "Cancel":
        _put(root, "note", warning.reason)
    if references:
        _put(root, "references", " ".join(references))
    for words in _words(warning):
        _info(root, warning, words, rings)
    return sign(etree.tostring(root, xml_declaration=True, encoding="UTF-8"), key_name, sign_bytes)


def _words(warning: Warning) -> tuple[Words, ...]:
    if warning.words:
        return warning.words
    # Raised by hand: what the officer wrote, in the one language that it was written in.
    mode = warning.label.mode
    said = drill(mode, "en", f"{warning.headline}. {warning.text}".strip())
    return (Words(language="en", headline=drill(mode, "en", warning.headline)[:200], text=said[:4000], line=said[:500]),)


def _info(root: etree._Element, warning: Warning, words: Words, rings: Rings) -> None:
    info = etree.SubElement(root, f"{{{CAP}}}info")
    over = warning.state in ("landed", "passed", "stood-down", "retracted")
    sure = (warning.confidence or 0.0) >= 0.8 and warning.state != "track-lost"
    rows = [
        ("language", LANGUAGE_CODES[words.language]),
        ("category", "Safety"),
        ("event", warning.kind),
        ("responseType", "AllClear" if over else RESPONSES[endangers(warning)]),
        ("urgency", "Past" if over else "Immediate"),
        ("severity", "Minor" if over else "Extreme"),
        ("certainty", "Likely" if sure else "Possible"),
    ]
    for tag, text in rows:
        _put(info, tag, text)
    code = etree.SubElement(info, f"{{{CAP}}}eventCode")
    _put(code, "valueName", "trilat:state")
    _put(code, "value", f"{warning.state}:{warning.reason}" if warning.reason else warning.state)
    _put(info, "expires", _time(warning.expires_ns))
    _put(info, "senderName", warning.label.originator)
    _put(info, "headline", words.headline)
    _put(info, "description", words.text)
    _put(info, "instruction", words.line)
    for one in {area.id: area for area in warning.touched}.values():
        area = etree.SubElement(info, f"{{{CAP}}}area")
        _put(area, "areaDesc", name_of(one, words.language))
        for ring in list(rings.get(one.id, ()))[:RINGS_MAX]:
            _put(area, "polygon", " ".join(f"{lat:.4f},{lon:.4f}" for lat, lon in thinned(ring)))
        geocode = etree.SubElement(area, f"{{{CAP}}}geocode")
        _put(geocode, "valueName", "trilat:area")
        _put(geocode, "value", one.id)
    for circle in warning.areas:
        area = etree.SubElement(info, f"{{{CAP}}}area")
        _put(area, "areaDesc", circle.name)
        _put(area, "circle", f"{circle.lat_deg:.4f},{circle.lon_deg:.4f} {circle.radius_m / 1e3:.1f}")


def thinned(ring: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a closed ring with at most POINTS_MAX points, closed still."""
    step = max(1, -(-len(ring) // POINTS_MAX))
    kept = list(ring[:-1:step])
    return [*kept, kept[0]]


def read(now_ns: int, data: bytes, mode: Mode, holds: Callable[[str, str, bytes, bytes], bool]) -> CapRead:
    """Return what a CAP message says. holds(sender, key name, bytes, signature) asks the pinned keys of the sender.

    Raises CapError: cap-unreadable, cap-unsigned, cap-forged, cap-mode, cap-stale. Nothing of a refused message is used.
    """
    claimed: list[str] = []

    def pinned(key_name: str, body: bytes, signature: bytes) -> bool:
        return holds(claimed[0], key_name, body, signature)

    claimed.append(_text(parse(data), "sender"))
    root = verified(data, pinned)
    if root.tag != f"{{{CAP}}}alert":
        raise CapError("cap-unreadable", f"Its root is {root.tag}."[:100])
    if _text(root, "status") != status_of(mode):
        raise CapError("cap-mode", f"{_text(root, 'status')[:20]} in mode {mode.kind}.")
    infos = root.findall(f"{{{CAP}}}info")
    expires_ns = max((_ns(_text(info, "expires")) for info in infos), default=0)
    if now_ns >= expires_ns:
        raise CapError("cap-stale", f"It ended at {_time(expires_ns)}.")
    first = infos[0]
    areas = tuple(_text(one, "value") for one in first.findall(f"{{{CAP}}}area/{{{CAP}}}geocode"))
    return CapRead(
        identifier=_text(root, "identifier"),
        sender=claimed[0],
        message=_text(root, "msgType"),
        sent_ns=_ns(_text(root, "sent")),
        expires_ns=expires_ns,
        areas=areas,
        headlines={_text(info, "language")[:2]: _text(info, "headline") for info in infos},
        references=tuple(_text(root, "references").split()),
    )


def _put(parent: etree._Element, tag: str, text: str) -> None:
    # What XML 1.0 cannot hold (control characters) is left out: a headline is typed by people.
    clean = "".join(sign_ for sign_ in text if sign_ >= " " or sign_ in "\t\n")
    etree.SubElement(parent, f"{{{CAP}}}{tag}").text = clean


def _text(parent: etree._Element, tag: str) -> str:
    return (parent.findtext(f"{{{CAP}}}{tag}") or "").strip()


def _time(t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns // NS, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S-00:00")


def _ns(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp()) * NS
    except ValueError as error:
        raise CapError("cap-unreadable", f"{text[:40]!r} is no time.") from error
