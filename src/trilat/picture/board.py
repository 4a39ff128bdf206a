"""The warnings and the watch log: what is open, who has acknowledged it, what happened, as numbered events never dropped.

Every change is an `event` with a number that rises by one. A page that was away asks for the events after its last one;
when they are no longer kept it gets the whole state instead, which is as good.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from trilat.picture.inputs import ActAnswer, CopSettings, NodeIdentity, Notice, WarningRecord
from trilat.records.assessment import TouchedArea
from trilat.records.label import Label, Mode
from trilat.records.warning import Acknowledgement, FlightFacts, Retraction, Warning

NS_PER_MS = 1_000_000
CLOSED_STATES = ("stood-down", "retracted")
# How long what was taken back stays in sight, so that a second officer can put it back in one act.
RETRACTED_SHOWN_NS = 600 * 1_000_000_000
ACK_ORDER = ("seen", "acknowledged", "handled")
LOG_LINES_IN_STATE_MAX = 200
# Officers and stations of one nation whose acknowledgements of one warning are kept: beyond that a partner is flooding.
ACKNOWLEDGEMENTS_MAX = 100


NEWER_FIGURES = "newer-figures"  # the reason of a version for which nobody is to be called again


class _Entry:
    """One warning as it stands: its last version, who acknowledged what, whether it was taken back."""

    def __init__(self, originator: str) -> None:
        self.originator = originator
        self.warning: Warning | None = None
        self.acknowledgements: dict[tuple[str, str, str], Acknowledgement] = {}
        self.retraction: Retraction | None = None
        self.first_t_ns = 0
        self.news_version = 0  # the last version that says more than newer figures
        self.was_open = False

    def is_open(self, now_ns: int) -> bool:
        """Tell whether it is still to be acted on: a warning past its end is never presented as active."""
        if self.warning is None or self.warning.state in CLOSED_STATES or now_ns >= self.warning.expires_ns:
            return False
        return self.retraction is None or self.retraction.reason == "reinstated"


class Board:
    """The warnings and the watch log of one node. `words` says a label in words."""

    def __init__(self, identity: NodeIdentity, settings: CopSettings, words: Callable[[Label], str]) -> None:
        self.identity = identity
        self.settings = settings
        self.words = words
        self.event = 0
        self.refused: Counter[str] = Counter()
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._events: deque[tuple[int, bytes]] = deque(maxlen=settings.events_max)
        self._log: deque[dict[str, Any]] = deque(maxlen=LOG_LINES_IN_STATE_MAX)

    def step(
        self, now_ns: int, records: Sequence[WarningRecord], answers: Sequence[ActAnswer], notices: Sequence[Notice]
    ) -> None:
        """Take one tick's records; what changed becomes events."""
        for item in records:
            self._take(now_ns, item)
        for key, entry in self._entries.items():
            if entry.was_open and not entry.is_open(now_ns):
                self._publish(now_ns, key, entry)
                self.note(now_ns, "info", f"Warning {key[0]}/{key[1]} is no longer open")
        for answer in answers:
            self._emit({"kind": "answer", "answer": answer})
        for notice in notices:
            self.note(notice.t_ns, notice.severity, notice.text)

    def note(self, t_ns: int, severity: Literal["info", "caution", "alarm"], text: str) -> None:
        """Add one line to the watch log."""
        line = {"t_ms": t_ns // NS_PER_MS, "severity": severity, "text": text}
        self._log.append(line)
        self._emit({"kind": "log", "line": line})

    def _take(self, now_ns: int, item: WarningRecord) -> None:
        record = item.record
        reason = self._refusal(item)
        if reason:
            self.refused[reason] += 1
            return
        originator = record.warning_originator if isinstance(record, Acknowledgement) else record.label.originator
        key = (originator, record.id if isinstance(record, Warning) else record.warning_id)
        entry = self._entries.get(key)
        if entry is None:
            if not self._room(now_ns):
                self.refused["warnings-full"] += 1
                return
            entry = self._entries[key] = _Entry(originator)
        text = _apply(entry, record)
        if text:
            self._publish(now_ns, key, entry)
            self.note(now_ns, "info" if isinstance(record, Acknowledgement) else "alarm", text)

    def _refusal(self, item: WarningRecord) -> str:
        """Say why a record is not shown: its mode is another, or it speaks for a nation that did not send it."""
        record = item.record
        if record.label.mode != self.identity.mode:
            return "mode-mismatch"
        claimed = record.nation if isinstance(record, Acknowledgement) else record.label.originator
        return "" if claimed == item.origin else "origin-mismatch"

    def _room(self, now_ns: int) -> bool:
        if len(self._entries) < self.settings.warnings_max:
            return True
        closed = [key for key, entry in self._entries.items() if not entry.is_open(now_ns)]
        for key in closed[:1]:
            del self._entries[key]
        return bool(closed)

    def _publish(self, now_ns: int, key: tuple[str, str], entry: _Entry) -> None:
        entry.was_open = entry.is_open(now_ns)
        if entry.warning is not None:
            self._emit({"kind": "warning", "warning": self._shown(now_ns, key, entry)})

    def _emit(self, body: dict[str, Any]) -> None:
        self.event += 1
        self._events.append((self.event, msgspec.json.encode({"type": "event", "event": self.event, **body})))

    def _shown(self, now_ns: int, key: tuple[str, str], entry: _Entry) -> dict[str, Any]:
        warning, retraction = entry.warning, entry.retraction
        if warning is None:
            raise ValueError("a warning is shown only when it is here")
        return {
            "key": f"{key[0]}/{key[1]}",
            "originator": entry.originator,
            "id": warning.id,
            "version": warning.version,
            "news_version": entry.news_version,
            "state": warning.state,
            "open": entry.is_open(now_ns),
            "expired": now_ns >= warning.expires_ns,
            "mine": entry.originator == self.identity.nation,
            "exercise": mode_words(warning.label.mode),
            "t_ms": warning.t_ns // NS_PER_MS,
            "first_t_ms": entry.first_t_ns // NS_PER_MS,
            "event_t_ms": None if warning.event_t_ns is None else warning.event_t_ns // NS_PER_MS,
            "expires_ms": warning.expires_ns // NS_PER_MS,
            "kind": warning.kind,
            "headline": warning.headline,
            "text": warning.text,
            "confidence": warning.confidence,
            "areas": warning.areas,
            "raised_by": warning.raised_by,
            "issued": warning.issued or warning.state == "issued",
            "reason": warning.reason,
            "flight": None if warning.flight is None else _shown_flight(warning.flight),
            "touched": [_shown_area(one) for one in warning.touched],
            "lines": {one.language: one.line for one in warning.words},
            "in_sight": entry.is_open(now_ns) or _lately(now_ns, retraction),
            "label": self.words(warning.label),
            "level": warning.label.level,
            "audience": sorted({entry.originator, *warning.label.rel_to} - {"PUBLIC"}),
            "nations": sorted({warning.pedigree.nation, *warning.label.sources}),
            "acknowledgements": [_shown_ack(ack) for _, ack in sorted(entry.acknowledgements.items())],
            "retraction": None if retraction is None else _shown_retraction(retraction),
        }

    def open_labels(self, now_ns: int) -> list[Label]:
        """Return the labels of the open warnings: they count for the classification banner."""
        return [e.warning.label for e in self._entries.values() if e.warning is not None and e.is_open(now_ns)]

    def state(self, now_ns: int) -> bytes:
        """Return the whole state as one message: every warning and the end of the log, as of the newest event."""
        shown = [self._shown(now_ns, key, entry) for key, entry in self._entries.items() if entry.warning is not None]
        return msgspec.json.encode({"type": "state", "event": self.event, "warnings": shown, "log": list(self._log)})

    def since(self, event: int) -> list[tuple[int, bytes]] | None:
        """Return the numbered events after `event`, or None when some of them are no longer kept (or were never made)."""
        if event > self.event:
            return None
        if event == self.event:
            return []
        if not self._events or self._events[0][0] > event + 1:
            return None
        return [item for item in self._events if item[0] > event]


def _apply(entry: _Entry, record: Warning | Acknowledgement | Retraction) -> str:
    """Write a record into its entry; returns the line for the log, or "" when it says nothing new."""
    if isinstance(record, Warning):
        if entry.warning is not None and record.version <= entry.warning.version:
            return ""
        entry.first_t_ns = entry.first_t_ns or record.t_ns
        if entry.warning is None or record.reason != NEWER_FIGURES:
            entry.news_version = record.version
        entry.warning = record
        return f"{entry.originator} warning {record.state}: {record.headline}"[:200]
    if isinstance(record, Retraction):
        if entry.retraction is not None and record.t_ns <= entry.retraction.t_ns:
            return ""
        entry.retraction = record
        return f"{entry.originator} warning {record.warning_id} {record.reason} ({record.by})"[:200]
    return _acknowledge(entry, record)


def _acknowledge(entry: _Entry, record: Acknowledgement) -> str:
    key = (record.nation, record.station, record.by)
    held = entry.acknowledgements.get(key)
    if held is None:
        if sum(nation == record.nation for nation, _, _ in entry.acknowledgements) >= ACKNOWLEDGEMENTS_MAX:
            return ""
    elif (held.warning_version, ACK_ORDER.index(held.kind)) >= (record.warning_version, ACK_ORDER.index(record.kind)):
        return ""
    entry.acknowledgements[key] = record
    return f"{record.nation} {record.kind} {entry.originator} warning {record.warning_id} ({record.by}, {record.station})"[:200]


def _shown_ack(ack: Acknowledgement) -> dict[str, Any]:
    return {
        "nation": ack.nation,
        "kind": ack.kind,
        "station": ack.station,
        "by": ack.by,
        "version": ack.warning_version,
        "t_ms": ack.t_ns // NS_PER_MS,
        "channel": ack.channel,
    }


def _lately(now_ns: int, retraction: Retraction | None) -> bool:
    if retraction is None or retraction.reason == "reinstated":
        return False
    return now_ns - retraction.t_ns < RETRACTED_SHOWN_NS


def _shown_flight(flight: FlightFacts) -> dict[str, Any]:
    """Return what the strip and the map show of a flight: class, times, ellipse or fan. Times in ms."""
    landing = flight.landing
    place = None
    if landing is not None:
        size = landing.ellipse95
        place = {
            "lat_deg": landing.lat_deg,
            "lon_deg": landing.lon_deg,
            "t_ms": landing.t_ns // NS_PER_MS,
            "from_ms": landing.t_from_ns // NS_PER_MS,
            "to_ms": landing.t_to_ns // NS_PER_MS,
            "reliable": landing.reliable,
            "major_m": size.semi_major_m,
            "minor_m": size.semi_minor_m,
            "bearing_deg": size.bearing_deg,
        }
    return {
        "name": flight.name,
        "probability": flight.probability,
        "shape": flight.shape,
        "landing": place,
        "fan": None if flight.fan is None else msgspec.to_builtins(flight.fan),
        "path": [[round(one.lon_deg, 3), round(one.lat_deg, 3)] for one in flight.path],
        "launch": None if flight.launch is None else [flight.launch.lon_deg, flight.launch.lat_deg],
        "lost_since_ms": None if flight.lost_since_ns is None else flight.lost_since_ns // NS_PER_MS,
    }


def _shown_area(area: TouchedArea) -> dict[str, Any]:
    return {
        "id": area.id,
        "kind": area.kind,
        "names": {"en": area.name_en, "ja": area.name_ja, "ko": area.name_ko},
        "touch": area.touch,
        "probability": area.probability,
        "from_ms": area.t_from_ns // NS_PER_MS,
        "to_ms": area.t_to_ns // NS_PER_MS,
    }


def _shown_retraction(retraction: Retraction) -> dict[str, Any]:
    return {
        "reason": retraction.reason,
        "text": retraction.text,
        "by": retraction.by,
        "t_ms": retraction.t_ns // NS_PER_MS,
    }


def mode_words(mode: Mode) -> str:
    """Return the mode as the page says it: LIVE, EXERCISE (id), REPLAY (id)."""
    return mode.kind.upper() if mode.kind == "live" else f"{mode.kind.upper()} {mode.id}"
