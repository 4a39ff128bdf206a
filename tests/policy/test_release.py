"""Release: what leaves is what was decided, sanitised, in the audience's own view, and nothing else."""

import math
import random

import msgspec
import pytest
from policy_cases import EXERCISE, NOW_NS
from policy_records import LABEL, SECRET, flight, lane_of, operation, permit, records, track, warning

from trilat.errors import PolicyError
from trilat.marking.canonical import OPERATIONS, fault_of
from trilat.policy.coarsen import Coarsener
from trilat.policy.labels import digest, make
from trilat.policy.release import release, view
from trilat.policy.sanitise import DROPS, HOLDS, sanitise
from trilat.records import codec
from trilat.records.assessment import Ellipse
from trilat.records.report import Fix, Measurement, Pedigree, Plot
from trilat.records.sensor import Sensor
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Receipt


def test_the_view_tells_nothing_of_others() -> None:
    """Two labels that differ only in whom else they name give the audience the very same bytes."""
    alone = make(policy="TRILAT", originator="JPN", mode=EXERCISE, level=2, rel_to=("KOR",), topics=("air",))
    assert digest(view(LABEL, permit())) == digest(view(alone, permit(alone)))
    first = release(track(), "state", permit(), "KOR", NOW_NS)
    second = release(track(alone), "state", permit(alone), "KOR", NOW_NS)
    assert first == second
    assert first is not None
    assert b"USA" not in msgspec.msgpack.encode(first)
    assert fault_of(view(LABEL, permit())) == ""


@pytest.mark.parametrize("i", range(10))
def test_every_form_goes_out_as_it_was_decided(i: int) -> None:
    """Each form is encoded canonically, decodes to itself with the audience's view inside, and keeps no feed name."""
    record = records(LABEL)[i]
    out = release(record, lane_of(record), permit(), "KOR", NOW_NS)
    assert out is not None
    inside = codec.decode(out.record)
    assert inside.label == view(LABEL, permit())
    assert out.label_hash == digest(inside.label)
    assert out.record_type == type(record).__struct_config__.tag
    assert b"canary-feed" not in out.record
    assert (out.audience, out.mode, out.decision, out.reason) == ("KOR", EXERCISE, "trilateral/1", "permitted")
    assert codec.decode(codec.encode(out)) == out


def test_every_operation_is_done_or_stops_the_release() -> None:
    """For every form and every operation we know, the field is gone or changed in what leaves, or nothing leaves at all."""
    done = stopped = 0
    for record in records(LABEL):
        for field, kinds in OPERATIONS.items():
            for kind in kinds - {"delay", "coarsen"}:
                one = operation(field, kind, 0.0 if kind == "drop" else 7.0)
                if field not in HOLDS[type(record)]:
                    assert sanitise(record, [one]) == record
                    continue
                try:
                    out = sanitise(record, [one])
                except PolicyError as refusal:
                    stopped += refusal.name == "release-operation"
                    continue
                done += 1
                assert out != record
                if kind == "drop" and field in DROPS:
                    assert all(getattr(out, name, None) in (None, "", ()) for name in DROPS[field])
    assert (done, stopped) == (49, 15)


def test_operations_reach_the_flight_in_a_warning() -> None:
    """Heights and speeds that are taken away are in no way of a flight; its ellipses widen as a track's covariance does."""
    whole = flight()
    for one in (operation("altitude", "drop"), operation("velocity", "drop"), operation("velocity", "round", 50.0)):
        out = sanitise(warning(), [one])
        assert ((), None, whole.landing) == (out.flight.path, out.flight.shape, out.flight.landing)
    rounded = sanitise(warning(), [operation("altitude", "round", 1_000.0)]).flight
    assert [0.0, 1_000.0, 2_000.0] == [one.alt_m for one in rounded.path]

    wider = sanitise(warning(), [operation("covariance", "inflate", 2.0)]).flight
    assert (18_000.0, 6_000.0, 70.0, 4.0) == (*_axes(wider.launch.ellipse95), wider.launch.sigma_s)
    for ellipse in (wider.landing.ellipse50, wider.landing.ellipse95):
        assert (18_000.0, 6_000.0, 70.0) == _axes(ellipse)
    assert (whole.landing.t_ns - 20 * 10**9, whole.landing.t_ns + 40 * 10**9) == (wider.landing.t_from_ns, wider.landing.t_to_ns)
    circle = sanitise(warning(), [operation("covariance", "round", 5_000.0)]).flight
    assert {(10_000.0, 10_000.0, 0.0)} == {
        _axes(one) for one in (circle.launch.ellipse95, circle.landing.ellipse50, circle.landing.ellipse95)
    }
    plain = warning(flight=None)
    for field, kind, amount in (("altitude", "drop", 0.0), ("altitude", "round", 9.0), ("covariance", "inflate", 2.0)):
        assert plain == sanitise(plain, [operation(field, kind, amount)])


def _axes(ellipse: Ellipse) -> tuple[float, float, float]:
    return ellipse.semi_major_m, ellipse.semi_minor_m, ellipse.bearing_deg


def test_dropped_identity_is_not_in_the_bytes() -> None:
    """A callsign that is dropped is in no byte of what leaves, for every form that has one."""
    for record in records(LABEL):
        dropped = permit(operations=(operation("identity", "drop"), operation("text", "drop")))
        out = release(record, lane_of(record), dropped, "KOR", NOW_NS)
        assert out is not None
        assert b"CANARY1" not in out.record


def test_rounding_shows_its_doubt() -> None:
    """What is rounded has the variance of the rounding added; a covariance is never made smaller by any operation."""
    record = track()
    out = sanitise(record, [operation("altitude", "round", 300.0), operation("velocity", "round", 10.0)])
    assert (out.alt_m, out.velocity_east_m_s) == (10_200.0, 200.0)
    assert out.covariance[11] == pytest.approx(100.0 + 300.0**2 / 12)
    assert out.covariance[15] == pytest.approx(4.0 + 10.0**2 / 12)
    inflated = sanitise(record, [operation("covariance", "inflate", 2.0)])
    assert inflated.covariance == tuple(4.0 * one for one in record.covariance)


def test_a_rounded_covariance_is_round_and_nowhere_smaller() -> None:
    """The round covariance dominates the true one in every direction and no longer points at the sensor."""
    rng = random.Random(1)
    for _ in range(50):
        rows = [[rng.gauss(0, 1 if j < 3 else 0.1) * (300 if i < 3 else 5) for j in range(6)] for i in range(6)]
        full = [[sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) for j in range(6)] for i in range(6)]
        upper = tuple(full[i][j] for i in range(6) for j in range(i, 6))
        out = sanitise(track(covariance=upper), [operation("covariance", "round", 50.0)]).covariance
        diagonal = [out[i] for i in (0, 6, 11, 15, 18, 20)]
        assert diagonal[0] == diagonal[1] == diagonal[2]
        assert math.sqrt(diagonal[0]) % 50.0 == pytest.approx(0.0, abs=1e-6)
        for _ in range(40):
            x = [rng.gauss(0, 1) * (1 if k < 3 else 30) for k in range(6)]
            true = sum(x[i] * full[i][j] * x[j] for i in range(6) for j in range(6))
            assert sum(x[i] ** 2 * diagonal[i] for i in range(6)) >= true * (1 - 1e-9)


def test_tiers_bound_the_form() -> None:
    """A form finer than the tier never leaves; a coarser one may."""
    plots = {Plot, Fix, Measurement}
    refused = {"plot": set(), "tracklet": plots, "track": {*plots, Tracklet}, "area": {*plots, Tracklet}}
    for tier, forms in refused.items():
        for record in records(LABEL):
            decision = permit(tier=tier)
            if type(record) in forms:
                with pytest.raises(PolicyError) as refusal:
                    release(record, "state", decision, "KOR", NOW_NS)
                assert refusal.value.name == "release-tier"
            elif not (tier == "area" and isinstance(record, Track)):
                assert release(record, lane_of(record), decision, "KOR", NOW_NS) is not None


def test_a_track_at_tier_area_leaves_as_an_area() -> None:
    """At tier area, or with its position coarsened, a track leaves as a place of some width without identity or speed."""
    for decision in (permit(tier="area"), permit(operations=(operation("position", "coarsen", 20_000.0),))):
        coarsener = Coarsener(SECRET, "KOR")
        out = release(track(), "state", decision, "KOR", NOW_NS, coarsener=coarsener)
        assert out is not None
        area = codec.decode(out.record)
        assert isinstance(area, Area)
        assert area.radius_m >= 20_000.0
        assert b"CANARY1" not in out.record
        assert Pedigree(nation="JPN") == area.pedigree  # neither sensor nor the time of a replayed report
        assert out.supersede_key == "JPN/KOR/track/7"
        assert release(track(status="deleted"), "state", decision, "KOR", NOW_NS, coarsener=coarsener) is None
        with pytest.raises(PolicyError, match="TRI-0326"):
            release(track(), "state", decision, "KOR", NOW_NS)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("release-denied", {"decision": permit(permit=False)}),
        ("release-denied", {"decision": permit(audience="USA")}),
        ("release-denied", {"decision": permit(audience="JPN"), "recipient": "JPN"}),
        ("release-denied", {"decision": permit(expires_ns=NOW_NS)}),
        ("release-denied", {"decision": permit(not_before_ns=NOW_NS + 1)}),
        ("release-denied", {"decision": permit(label_hash=b"\x00" * 32)}),
        ("release-record", {"lane": "flash"}),
        ("release-record", {"record": track(lat_deg=float("nan"))}),
        ("release-record", {"record": track(alt_m=1e12)}),
        ("release-record", {"record": Receipt(nation="JPN", exporter="KOR", lane="state", epoch=1, sequence=1, head=b"\x00" * 32, t_ns=0)}),
        ("release-record", {"record": Sensor(id="S", nation="JPN", kind="radar3d", label=LABEL)}),
        ("release-operation", {"decision": permit(operations=(operation("velocity", "drop"),))}),
        ("release-operation", {"record": records(LABEL)[0], "decision": permit(operations=(operation("position", "coarsen", 9.0),))}),
        ("release-operation", {"record": records(LABEL)[4], "decision": permit(operations=(operation("position", "coarsen", 1e6),))}),
    ],
)  # fmt: skip
def test_what_must_not_leave_stops_the_release(name: str, change: dict[str, object]) -> None:
    """A denial, another's decision, an old one, another label's, NaN, a wrong lane: each is a named refusal."""
    values: dict[str, object] = {"record": track(), "lane": "state", "decision": permit(), "recipient": "KOR", "now_ns": NOW_NS}
    with pytest.raises(PolicyError) as refusal:
        release(**{**values, **change})
    assert refusal.value.name == name


def test_a_delay_is_kept() -> None:
    """A record younger than the delay does not leave; at its age it does."""
    decision = permit(operations=(operation("record", "delay", 60.0),))
    assert release(track(), "state", decision, "KOR", NOW_NS + 60 * 10**9 - 1) is None
    assert release(track(), "state", decision, "KOR", NOW_NS + 60 * 10**9) is not None
