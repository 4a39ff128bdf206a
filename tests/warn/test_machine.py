"""The life of a warning as a state machine: what moves it, what never does, and what it says while it moves."""

from __future__ import annotations

from flight_records import LAND_NS, NS, T0_NS, area, assessment, label
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trilat.products.phrases import SENTENCES
from trilat.products.texts import with_words
from trilat.records.assessment import Fan
from trilat.records.warning import Warning
from trilat.warn import machine
from trilat.warn.machine import Envelope, Standing

UNTIL_NS = T0_NS + 3_600 * NS
AOMORI = Envelope(areas=("JP-02",), until_ns=UNTIL_NS, approved_by=("a", "b"))


def begun(second: float = 10, state: str = "detected") -> Standing:
    standing = machine.begin(T0_NS + round(second * NS), assessment(second, state), "JPN-L1", label())
    assert standing is not None
    return standing


def taken(standing: Standing, second: float, state: str = "assessed", **other: object) -> Standing:
    after = machine.take(T0_NS + round(second * NS), standing, assessment(second, state, **other))  # type: ignore[arg-type]
    assert after is not None
    return after


def issued(second: float = 60) -> Standing:
    return machine.issue(T0_NS + round(second * NS), taken(begun(), second - 1), AOMORI)


def told(standing: Standing) -> tuple[str, int, str]:
    return standing.warning.state, standing.warning.version, standing.warning.reason


def test_a_warning_goes_its_way() -> None:
    """Detected, assessed, issued, updated, landed and stood down: each is one more version of the same warning."""
    standing = begun()
    way = [told(standing)]
    standing = taken(standing, 50)
    way.append(told(standing))
    standing = machine.issue(T0_NS + 60 * NS, standing, AOMORI)
    way.append(told(standing))
    standing = taken(standing, 90)
    way.append(told(standing))
    standing = machine.tick(LAND_NS + 91 * NS, standing) or standing
    way.append(told(standing))
    standing = machine.stand_down(LAND_NS + 100 * NS, standing, "watch-a") or standing
    way.append(told(standing))

    assert way == [
        ("detected", 1, "detected"),
        ("assessed", 2, "assessed"),
        ("issued", 3, "approved"),
        ("updated", 4, "newer-figures"),
        ("landed", 5, "time-over"),
        ("stood-down", 6, "threat-over"),
    ]
    assert standing.warning.id == "JPN-L1"


def test_unconfirmed_and_what_is_no_launch_begin_nothing() -> None:
    """One sensor's ghost, and what is most likely no missile, make no warning."""
    assert machine.begin(1, assessment(9, "unconfirmed"), "x", label()) is None
    other = assessment(9, "detected")
    classes = (replace(other.classes[0], name="not a missile"),)
    assert machine.begin(1, replace(other, classes=classes), "x", label()) is None


def test_an_update_stays_inside_what_two_people_approved() -> None:
    """An issued warning names approved areas only; what lies beyond is asked for and never added."""
    standing = taken(issued(), 70, areas=(area("JP-02"), area("JP-05")))

    assert [one.id for one in standing.warning.touched] == ["JP-02"]
    assert [one.id for one in machine.beyond(standing)] == ["JP-05"]
    wider = machine.issue(T0_NS + 80 * NS, standing, Envelope(areas=("JP-02", "JP-05"), until_ns=UNTIL_NS))
    assert [one.id for one in wider.warning.touched] == ["JP-02", "JP-05"]
    assert machine.beyond(wider) == ()


def test_no_update_after_the_time_that_was_approved() -> None:
    """Past the envelope's end an assessment makes no new version."""
    short = Envelope(areas=("JP-02",), until_ns=T0_NS + 100 * NS)
    standing = machine.issue(T0_NS + 60 * NS, taken(begun(), 59), short)
    after = taken(standing, 120, areas=(area("JP-02", probability=0.9), area("JP-01")))

    assert after.warning.version == standing.warning.version


def test_a_lost_track_is_a_state_that_claims_no_overflight() -> None:
    """When the track is lost the confidence falls, areas to be flown over are gone, and the landing area is not reliable."""
    standing = taken(issued(), 70, areas=(area("JP-02"), area("JP-02", "overflight")))
    assert {one.touch for one in standing.warning.touched} == {"landing", "overflight"}
    lost = taken(standing, 95, "track-lost", areas=(area("JP-02"), area("JP-02", "overflight")), confidence=0.3)

    assert lost.warning.state == "track-lost"
    assert {one.touch for one in lost.warning.touched} == {"landing"}
    assert lost.warning.confidence == 0.3
    assert lost.warning.flight is not None
    assert lost.warning.flight.landing is not None
    assert not lost.warning.flight.landing.reliable


def test_silence_loses_the_track_and_the_time_ends_it_unseen() -> None:
    """Without any assessment the track is lost by the clock; at the latest landing time it is over, said to be unseen."""
    standing = issued()
    lost = machine.tick(T0_NS + 80 * NS, standing)
    assert lost is not None
    assert told(lost)[::2] == ("track-lost", "silence")
    assert lost.warning.confidence is not None
    assert lost.warning.confidence < 0.5
    assert machine.tick(T0_NS + 81 * NS, lost) is None
    over = machine.tick(LAND_NS + 91 * NS, lost)
    assert over is not None
    assert told(over)[::2] == ("passed", "time-over-unseen")


def test_a_track_found_again_goes_on() -> None:
    """A track that comes back makes an issued warning an update again."""
    lost = taken(issued(), 75, "track-lost")
    assert told(taken(lost, 80))[::2] == ("updated", "track-found")


def test_a_burn_out_that_is_taken_back_is_told() -> None:
    """Before anybody was told it is a launch that burns, with a fan and no area; called again it is assessed again."""
    fan = Fan(lat_deg=40.0, lon_deg=130.0, bearing_from_deg=60.0, bearing_to_deg=110.0, range_from_m=1e5, range_to_m=2e6)
    assert told(taken(begun(), 15, "detected", areas=(), classes=()))[::2] == ("detected", "class")  # it never stopped burning
    before = taken(begun(), 50)
    again = taken(before, 53, "detected", fan=fan)
    assert before.warning.touched
    assert before.warning.flight is not None
    assert before.warning.flight.landing is not None
    assert told(again)[::2] == ("detected", "burns-again")
    assert again.warning.touched == ()
    assert again.warning.flight is not None
    assert (again.warning.flight.landing, again.warning.flight.fan) == (None, fan)
    still = taken(again, 80, "detected", fan=fan)
    assert told(still) == ("detected", 4, "burns-again")
    assert told(taken(still, 85))[::2] == ("assessed", "assessed")


def test_an_area_that_people_were_warned_in_is_not_unsaid_because_it_burns_again() -> None:
    """Issued areas stand, with the words that it burns again, until burn-out is called anew or the track is lost."""
    again = taken(issued(), 70, "detected")
    assert told(again)[::2] == ("updated", "burns-again")
    assert [one.id for one in again.warning.touched] == ["JP-02"]
    text = with_words(again.warning)
    assert all(SENTENCES[one.language]["again"] in one.text for one in text.words)
    assert all(SENTENCES[one.language]["again"] in one.line for one in text.words)
    lost = taken(again, 75, "track-lost", phase="boost", areas=(), landing=None)
    assert [one.id for one in lost.warning.touched] == ["JP-02"]
    called = taken(again, 78, areas=(area("JP-01"), area("JP-02", "overflight")))
    assert told(called)[::2] == ("updated", "assessed")
    assert [(one.id, one.touch) for one in called.warning.touched] == [("JP-02", "overflight")]
    assert not any(SENTENCES[one.language]["again"] in one.text for one in with_words(called.warning).words)


def test_what_is_no_launch_leaves_by_itself_only_when_nobody_was_told() -> None:
    """Dropped before it was issued it stands down; once issued it stays, and a person retracts it."""
    assert told(taken(begun(), 20, "dropped"))[0] == "stood-down"
    dropped = taken(issued(), 70, "dropped")
    assert told(dropped)[::2] == ("issued", "no-launch")
    assert told(taken(dropped, 75, "dropped"))[1] == dropped.warning.version
    empty = taken(issued(), 70, "dropped", areas=())
    assert told(empty)[::2] == ("issued", "no-launch")
    assert told(taken(empty, 75, "dropped", areas=()))[1] == empty.warning.version
    for one in with_words(empty.warning).words:
        assert SENTENCES[one.language]["none-now"] in one.text


def test_what_is_put_back_says_so_also_where_no_area_is_left() -> None:
    """A warning that named no area any more when it was retracted is headed as reinstated when it comes back."""
    empty = taken(issued(), 90, areas=())
    assert told(empty)[::2] == ("updated", "none-now")
    assert told(taken(empty, 95, "detected"))[::2] == ("updated", "burns-again")
    gone = machine.retract(T0_NS + 91 * NS, empty, "issued-in-error", "a")
    assert gone is not None
    back = machine.reinstate(T0_NS + 97 * NS, gone)
    assert back is not None
    assert told(back)[::2] == ("updated", "reinstated")


def test_retracting_and_reinstating_keep_the_state() -> None:
    """A retracted warning comes back in the state that it had; assessments do not move it meanwhile."""
    standing = taken(issued(), 90)
    gone = machine.retract(T0_NS + 91 * NS, standing, "issued-in-error", "a")
    assert gone is not None
    assert gone.closed_by == "a"
    assert machine.take(T0_NS + 95 * NS, gone, assessment(95)) is None
    assert machine.retract(T0_NS + 96 * NS, gone, "threat-over", "a") is None
    back = machine.reinstate(T0_NS + 97 * NS, gone)
    assert back is not None
    assert told(back)[::2] == ("updated", "reinstated")
    assert machine.reinstate(T0_NS + 98 * NS, back) is None


def test_what_is_issued_after_it_is_over_names_approved_areas_only() -> None:
    """A flight that landed before two people approved is issued as landed, for the areas that they approved (found by the rules' test)."""
    both = (area("JP-02"), area("JP-05", "overflight"))
    over = begun()
    for second, state in ((15, "detected"), (40, "landed")):
        over = machine.take(T0_NS + second * NS, over, assessment(second, state, areas=both)) or over
    assert {"JP-02", "JP-05"} == {one.id for one in over.warning.touched}
    now = machine.issue(T0_NS + 45 * NS, over, AOMORI).warning
    assert (now.state, {"JP-02"}) == ("landed", {one.id for one in now.touched})


def test_what_is_not_confirmed_any_more_says_so() -> None:
    """A warning whose flight falls back to unconfirmed is not left as it stood: unissued it names no area, issued it keeps its own."""
    open_ = taken(begun(), 50)
    assert open_.warning.touched
    doubted = taken(open_, 55, "unconfirmed", areas=(), landing=None, confidence=0.3)
    assert ("assessed", 3, "unconfirmed") == told(doubted)
    assert (0.3, (), None) == (
        doubted.warning.confidence,
        doubted.warning.touched,
        doubted.warning.flight and doubted.warning.flight.landing,
    )
    for second in (56, 60, 64):  # said once; then with newer figures
        doubted = machine.take(T0_NS + second * NS, doubted, assessment(second, "unconfirmed", areas=())) or doubted
    assert 3 == doubted.warning.version
    assert ("assessed", 4, "unconfirmed") == told(taken(doubted, 76, "unconfirmed", areas=()))
    assert ("assessed", 4, "assessed") == told(taken(doubted, 70))

    public = taken(issued(), 65, "unconfirmed", areas=(), landing=None, phase="coast")
    assert ("updated", 4, "unconfirmed") == told(public)
    assert ["JP-02"] == [one.id for one in public.warning.touched]
    assert ("issued", 3, "approved") == told(taken(issued(), 4_000, "unconfirmed", areas=()))  # after what was approved
    widened = machine.issue(T0_NS + 70 * NS, public, replace(AOMORI, areas=("JP-02", "JP-05")))
    assert ("updated", 5, "unconfirmed") == told(widened)
    for words in (words for one in (public, widened) for words in with_words(one.warning).words):
        for text in (words.text, words.line):
            assert SENTENCES[words.language]["unconfirmed"] in text
            assert SENTENCES[words.language]["none-now"] not in text
            assert SENTENCES[words.language]["act"] in text


STATES = st.sampled_from(["detected", "assessed", "track-lost", "landed", "passed", "dropped", "unconfirmed"])
STEPS = st.lists(
    st.tuples(STATES, st.integers(1, 40), st.sampled_from(["", "issue", "tick", "retract", "reinstate"])), max_size=25
)


@given(STEPS)
def test_whatever_comes_the_rules_hold(steps: list[tuple[str, int, str]]) -> None:
    """Versions rise by one; an issued warning names approved areas only; a lost one claims no overflight; closed stays closed."""
    standing, second = begun(), 10.0
    both = (area("JP-02"), area("JP-05", "overflight"))
    for state, wait, act in steps:
        second += wait
        now_ns = T0_NS + round(second * NS)
        before: Warning = standing.warning
        after: Standing | None = machine.take(now_ns, standing, assessment(second, state, areas=both))
        if act == "issue" and before.state not in machine.CLOSED:
            after = machine.issue(now_ns, standing, AOMORI)
        elif act == "tick":
            after = machine.tick(now_ns, standing)
        elif act == "retract":
            after = machine.retract(now_ns, standing, "issued-in-error", "a")
        elif act == "reinstate":
            after = machine.reinstate(now_ns, standing)
        standing = after or standing
        now = standing.warning
        assert now.version in (before.version, before.version + 1)
        if now.issued and now.version > before.version:
            assert {one.id for one in now.touched} <= {"JP-02"}
        if now.state == "track-lost":
            assert all(one.touch == "landing" for one in now.touched)
        if before.state in machine.CLOSED and now.version > before.version:
            assert act in ("reinstate", "retract")
