"""What people are told by whom it may hit: land first and by name, the sea as sea, airspace to those who fly in it."""

from __future__ import annotations

import msgspec
import pytest
from flight_records import LAND_NS, NS, T0_NS, area, assessment, label
from lxml import etree

from trilat.products import cap
from trilat.products.phrases import LANGUAGES, SENTENCES
from trilat.products.texts import with_words
from trilat.records.assessment import TouchedArea
from trilat.records.warning import Warning
from trilat.warn import machine

CAP = "{urn:oasis:names:tc:emergency:cap:1.2}"


def other(name: str, kind: str, touch: str = "landing") -> TouchedArea:
    """Return an area of the sea or of the air."""
    base = area("JP-02", touch, 1.0)
    return msgspec.structs.replace(base, id=name, kind=kind, nation="", name_en=name, name_ja=name, name_ko=name)


SEA, FIR = other("Sea of Somewhere", "sea"), other("Somewhere FIR", "fir")


def warning(*touched: TouchedArea, state: str = "issued", reason: str = "approved") -> Warning:
    standing = machine.begin(T0_NS + 50 * NS, assessment(50), "JPN-P1", label())
    assert standing is not None
    changed = {"state": state, "reason": reason, "touched": touched, "issued": True, "expires_ns": LAND_NS}
    return with_words(msgspec.structs.replace(standing.warning, **changed))


def response(given: Warning) -> set[str]:
    root = etree.fromstring(cap.write(given, (), {}, "k", lambda _: bytes(64)))
    return {one.text or "" for one in root.iter(f"{CAP}responseType")}


@pytest.mark.parametrize("k", range(len(LANGUAGES)))
def test_land_is_named_first_and_airspace_to_those_who_fly(k: int) -> None:
    """However likely sea and airspace are, headline and line name the land; the text names the sea, and airspace by itself."""
    said = warning(FIR, SEA, area("JP-02", probability=0.2)).words[k]
    name = {"en": "Aomori", "ja": "青森県", "ko": "아오모리현"}[said.language]
    for text in (said.headline, said.line):
        assert name in text
        assert "Somewhere" not in text
    assert said.text.index(name) < said.text.index("Sea of Somewhere") < said.text.index("Somewhere FIR")
    assert SENTENCES[said.language]["act"] in said.text
    assert SENTENCES[said.language]["act"] in said.line


@pytest.mark.parametrize("touched", [(SEA, FIR), (FIR,), (other("Sea of Somewhere", "sea", "overflight"), FIR)])
def test_nobody_on_land_is_sent_to_shelter_for_what_falls_at_sea(touched: tuple[TouchedArea, ...]) -> None:
    """Where only sea or airspace is touched ships and aircraft are spoken to, in every language, and CAP says Avoid."""
    given = warning(*touched)
    for said in given.words:
        for text in (said.text, said.line):
            assert SENTENCES[said.language]["act"] not in text
            assert SENTENCES[said.language]["at-sea"] in text
        assert ("Sea of Somewhere" in said.headline) == (touched[0].kind == "sea")
    assert response(given) == {"Avoid"}


def test_an_area_that_is_hardly_touched_sends_nobody_to_shelter() -> None:
    """Land at less than one in a hundred is not named, and so is no reason for shelter either."""
    given = warning(SEA, area("JP-02", probability=0.001))
    assert all(SENTENCES[said.language]["act"] not in said.text for said in given.words)
    assert response(given) == {"Avoid"}
    assert response(warning(area("JP-02"))) == {"Shelter"}
    assert response(warning()) == {"Monitor"}


def test_airspace_of_a_lost_track_is_named_only_where_it_may_come_down() -> None:
    """A lost flight claims no overflight, of the air as little as of the land."""
    lost = warning(FIR, other("Elsewhere FIR", "fir", "overflight"), state="track-lost", reason="silence")
    assert all("Somewhere FIR" in said.text and "Elsewhere" not in said.text for said in lost.words)
