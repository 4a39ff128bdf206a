"""A warning's life: raised, acknowledged, retracted, with ids per audience that tell nothing of others' warnings."""

from hypothesis import given
from hypothesis import strategies as st

from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.warn.lifecycle import AudienceWarnings, Draft, WarningDesk

LABEL = Label(policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="t"), level=1, rel_to=("KOR",), topics=("WARN",))
DRAFT = Draft(kind="test", headline="EXERCISE something", text="", areas=(), minutes=10, confidence=None)


def test_raised_warning_is_a_valid_record() -> None:
    """A warning raised by hand encodes, decodes and holds what the officer wrote and the time given."""
    warning = WarningDesk("JPN").raise_by_hand(1_000, DRAFT, LABEL, "officer")

    assert codec.decode(codec.encode(warning)) == warning
    assert (warning.state, warning.version, warning.t_ns, warning.expires_ns) == ("issued", 1, 1_000, 1_000 + 600 * 10**9)


def test_retraction_names_what_it_takes_back_and_works_once() -> None:
    """Retracting gives one retraction; doing it twice, or for a version that is not the present one, gives none."""
    desk = WarningDesk("JPN")
    warning = desk.raise_by_hand(1, DRAFT, LABEL, "a")

    assert desk.retract(2, warning.id, 9, "issued-in-error", "", "a") is None
    retraction = desk.retract(2, warning.id, 1, "issued-in-error", "", "a")
    assert retraction is not None
    assert retraction.warning_id == warning.id
    assert desk.retract(3, warning.id, 2, "threat-over", "", "b") is None
    assert desk.retract(4, warning.id, 2, "reinstated", "", "b") is not None


def test_acknowledging_needs_a_warning_that_is_held() -> None:
    """A nation can acknowledge only what it holds, up to the version it holds."""
    exporter, importer = WarningDesk("JPN"), WarningDesk("KOR")
    warning = exporter.raise_by_hand(1, DRAFT, LABEL, "a")

    assert importer.acknowledge(2, "JPN", warning.id, 1, "acknowledged", "b", "watch", LABEL) is None
    assert importer.receive("JPN", warning)
    assert not importer.receive("JPN", warning)
    assert importer.acknowledge(2, "JPN", warning.id, 2, "acknowledged", "b", "watch", LABEL) is None
    acknowledgement = importer.acknowledge(2, "JPN", warning.id, 1, "acknowledged", "b", "watch", LABEL)
    assert acknowledgement is not None
    assert (acknowledgement.nation, acknowledgement.warning_originator) == ("KOR", "JPN")


def test_retraction_of_an_origin_touches_that_origin_only() -> None:
    """A partner cannot retract another partner's warning."""
    desk, other = WarningDesk("USA"), WarningDesk("JPN")
    warning = other.raise_by_hand(1, DRAFT, LABEL, "a")
    desk.receive("JPN", warning)
    retraction = other.retract(2, warning.id, 1, "threat-over", "", "a")
    assert retraction is not None

    assert not desk.receive_retraction("KOR", retraction)
    assert desk.receive_retraction("JPN", retraction)


@given(st.lists(st.booleans(), max_size=20))
def test_ids_of_an_audience_do_not_depend_on_what_it_does_not_get(shared: list[bool]) -> None:
    """Warnings withheld from an audience leave no gap in the ids it sees."""
    desk, audience = WarningDesk("JPN"), AudienceWarnings("JPN", "KOR")
    seen = []
    for number, released in enumerate(shared):
        warning = desk.raise_by_hand(number, DRAFT, LABEL, "a")
        if released:
            edition = audience.warning(warning)
            seen.append(edition.id)
            assert audience.national_id(edition.id) == warning.id

    assert [f"JPN-KOR-W{n + 1}" for n in range(len(seen))] == seen
