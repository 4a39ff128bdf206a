"""A warning's words in English, Japanese and Korean, filled from its figures by templates. Nobody types under stress.

What is not live says so first and last in every language. A lost track never speaks of what is still to come, and "issued in
error" is not "threat over".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone

import msgspec

from trilat.products.phrases import CLASSES, DRILL, DRILL_SHORT, HEADLINES, LANGUAGES, SENTENCES
from trilat.records.assessment import TouchedArea
from trilat.records.label import Mode
from trilat.records.warning import Language, Retraction, Warning, Words

NS = 1_000_000_000
# Japan and Korea keep UTC+9 all year.
_NINE = timezone(timedelta(hours=9))
AREAS_NAMED_MAX = 20
LINE_AREAS_MAX = 4
LIKELY = 0.01
ACTING = ("issued", "updated")
SAID = {"burns-again": "again", "none-now": "none-now", "unconfirmed": "unconfirmed"}  # reasons that are a sentence
# Who lives there is named first, then who sails there; airspace is for those who fly.
RANKS = {"sea": 1, "fir": 2}


def with_words(warning: Warning) -> Warning:
    """Return a flight's warning with its words in every language; headline and text are the English ones."""
    words = tuple(_words(warning, language) for language in LANGUAGES)
    return msgspec.structs.replace(warning, headline=words[0].headline, text=words[0].text, words=words)


def retraction_words(warning: Warning, retraction: Retraction) -> tuple[Words, ...]:
    """Return the words with which a warning is taken back (or reinstated)."""
    ended = msgspec.structs.replace(
        warning, state="updated" if retraction.reason == "reinstated" else "retracted", reason=retraction.reason
    )
    return tuple(_words(ended, language) for language in LANGUAGES)


def name_of(area: TouchedArea, language: Language) -> str:
    """Return an area's name in a language; English where it has none."""
    return {"en": area.name_en, "ja": area.name_ja, "ko": area.name_ko}[language] or area.name_en


def time_words(t_ns: int, language: Language) -> str:
    """Return a time of day as a language's people read it: UTC in English, UTC+9 in Japanese and Korean."""
    at = datetime.fromtimestamp(t_ns // NS, tz=UTC)
    if language == "en":
        return at.strftime("%H:%M UTC")
    local = at.astimezone(_NINE)
    return f"{local.hour}時{local.minute:02d}分" if language == "ja" else f"{local.hour}시 {local.minute:02d}분"


def endangers(warning: Warning) -> str:
    """Return who is to do something: `act` where land is touched, `at-sea` where only sea or airspace is; empty where nothing."""
    likely = [one for one in warning.touched if one.probability >= LIKELY]
    if any(one.kind not in RANKS for one in likely):
        return "act"
    return "at-sea" if likely else ""


def drill(mode: Mode, language: Language, text: str) -> str:
    """Return a text with what it is said first and last, unless it is live."""
    if mode.kind == "live":
        return text
    return f"{DRILL[language]}: {text} {DRILL[language]}."


def _words(warning: Warning, language: Language) -> Words:
    mode = warning.label.mode
    key = _key(warning)
    headline = HEADLINES[language].get(key) or HEADLINES[language][warning.state]
    places = _places(_foremost(warning), language, LINE_AREAS_MAX)
    short = "" if mode.kind == "live" else f"{DRILL_SHORT[language]}: "
    end = "" if mode.kind == "live" else f" ({DRILL_SHORT[language]})"
    shown = f"{short}{headline}{': ' + places if places else ''}"
    body = list(_sentences(warning, language))
    line = drill(mode, language, " ".join((f"{headline}.", *_spoken(warning, language))))
    return Words(
        language=language, headline=f"{shown[: 200 - len(end)]}{end}", text=drill(mode, language, " ".join(body)), line=line[:500]
    )


def _key(warning: Warning) -> str:
    if warning.state == "retracted":
        return warning.reason
    if warning.reason in ("time-over-unseen", "reinstated"):
        return {"time-over-unseen": "unseen"}.get(warning.reason, warning.reason)
    return "threat-over" if warning.state == "stood-down" and warning.reason == "threat-over" else str(warning.state)


def _sentences(warning: Warning, language: Language) -> Iterable[str]:
    said = SENTENCES[language]
    if warning.state in ("stood-down", "retracted"):
        yield said[{"issued-in-error": "error", "superseded": "superseded"}.get(warning.reason, "over")]
        return
    if warning.event_t_ns is not None:
        yield said["launched"].format(time=time_words(warning.event_t_ns, language))
    flight = warning.flight
    if flight is not None and flight.probability > 0.0:
        name = CLASSES[language][flight.name]
        yield said["class"].format(name=name, percent=round(100 * flight.probability))
    if warning.state == "track-lost" or warning.reason == "time-over-unseen":
        yield said["lost"]
    if warning.reason in SAID and warning.reason != "none-now":  # that one is said with the areas
        yield said[SAID[warning.reason]]
    if warning.state not in ("landed", "passed"):
        yield from _where(warning, language)
    if flight is not None and flight.landing is not None and not flight.landing.reliable:
        yield said["unreliable"]
    if warning.state in ACTING and (who := endangers(warning)):
        yield said[who]
    yield said["stay"]


def _where(warning: Warning, language: Language) -> Iterable[str]:
    """Yield what may come down where and pass over what; of a lost flight only the first, and it is said to be unconfirmed."""
    said = SENTENCES[language]
    if not warning.touched and warning.state != "track-lost":
        yield said["none-now" if warning.reason in ("none-now", "no-launch") else "no-areas"]
    spoken = [one for one in warning.touched if one.touch == "landing" or warning.state != "track-lost"]
    by_touch = {touch: [one for one in spoken if one.touch == touch and one.kind != "fir"] for touch in ("landing", "overflight")}
    for name, mine in {**by_touch, "airspace": [one for one in spoken if one.kind == "fir"]}.items():
        if not mine:
            continue
        start, end = min(one.t_from_ns for one in mine), max(one.t_to_ns for one in mine)
        yield said[name].format(
            areas=_places(mine, language, AREAS_NAMED_MAX), start=time_words(start, language), end=time_words(end, language)
        )


def _spoken(warning: Warning, language: Language) -> Iterable[str]:
    """Yield the sentences of the one line that a loudspeaker says."""
    said = SENTENCES[language]
    if warning.state in ("stood-down", "retracted"):
        yield from _sentences(warning, language)
        return
    if warning.state == "track-lost":
        yield said["lost"]
        return
    if warning.reason in SAID:
        yield said[SAID[warning.reason]]
    places = _places(_foremost(warning), language, LINE_AREAS_MAX)
    if places:
        yield f"{places}."
    if warning.state in ACTING and (who := endangers(warning)):
        yield said[who]


def _foremost(warning: Warning) -> list[TouchedArea]:
    """Return the areas that a headline and a line name: of the land; where none is touched of the sea; else the airspace."""
    likely = [one for one in warning.touched if one.probability >= LIKELY]
    first = min((RANKS.get(one.kind, 0) for one in likely), default=0)
    return [one for one in likely if RANKS.get(one.kind, 0) == first]


def _places(areas: Iterable[TouchedArea], language: Language, most: int) -> str:
    """Return the areas' names, each once, land first, likeliest first as they come."""
    ranked = sorted(areas, key=lambda one: RANKS.get(one.kind, 0))
    names = list(dict.fromkeys(name_of(one, language) for one in ranked if one.probability >= LIKELY))
    glue = "、" if language == "ja" else ", "
    return glue.join(names[:most]) + (f" +{len(names) - most}" if len(names) > most else "")
