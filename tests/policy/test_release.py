"""Release: what leaves is what was decided, sanitised, in the audience's own view, and nothing else."""

import math
import random

import msgspec
import pytest
from policy_cases import DAY_NS, EXERCISE, KEYS, NOW_NS, signed

from trilat.errors import PolicyError
from trilat.policy import signing
from trilat.policy.agreement import Agreements, Document, load
from trilat.policy.audience import AudiencePolicy, DecisionLog, content_hash
from trilat.policy.canonical import OPERATIONS, fault_of
from trilat.policy.coarsen import Coarsener
from trilat.policy.labels import digest, make
from trilat.policy.release import DROPS, HOLDS, release, sanitise, view
from trilat.policy.rules import Decision
from trilat.records import codec
from trilat.records.declassification import Declassification
from trilat.records.label import FieldOperation, Label
from trilat.records.report import Fix, Pedigree, Plot
from trilat.records.sensor import Sensor
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Acknowledgement, Recall, Receipt, Retraction, Warning, WarningArea

SECRET = b"\x05" * 32
PEDIGREE = Pedigree(nation="JPN", sensors=("JPN-R1",), feed="canary-feed", original_t_ns=5)
LABEL = make(
    policy="TRILAT",
    originator="JPN",
    mode=EXERCISE,
    level=2,
    rel_to=("KOR", "USA"),
    topics=("air",),
    consents=[("JPN", "USA")],
)


def track(label: Label = LABEL, **change: object) -> Track:
    values: dict[str, object] = {
        "stream": "JPN/KOR/track",
        "number": 7,
        "t_ns": NOW_NS,
        "status": "confirmed",
        "label": label,
        "pedigree": PEDIGREE,
        "domain": "air",
        "lat_deg": 33.123456,
        "lon_deg": 129.654321,
        "alt_m": 10_123.4,
        "velocity_east_m_s": 201.3,
        "velocity_north_m_s": -33.3,
        "velocity_up_m_s": 1.7,
        "covariance": tuple(100.0 if i in {0, 6, 11} else 4.0 if i in {15, 18, 20} else 1.0 for i in range(21)),
        "updated_t_ns": NOW_NS,
        "address": 0xABCDEF,
        "callsign": "CANARY1",
        "mode_3a": 0o1234,
        "mmsi": 431000001,
        "flags": ("innovation",),
    }
    return Track(**{**values, **change})


def records(label: Label) -> list[msgspec.Struct]:
    """One of each form that is released, with every optional field set."""
    origin, sigma = (0.0, 0.0, 0.0), 5.0
    identity = {"address": 1, "callsign": "CANARY1"}
    return [
        Plot(t_ns=NOW_NS, sensor="JPN-R1", label=label, pedigree=PEDIGREE, range_m=1e4, azimuth_rad=1.0, elevation_rad=0.1, height_m=9.0, doppler_m_s=3.0, sigma_doppler_m_s=1.0, sigma_elevation_rad=0.01, sigma_height_m=3.0, mode_3a=1, sensor_track=4, **identity),
        Fix(t_ns=NOW_NS, sensor="JPN-A1", label=label, pedigree=PEDIGREE, lat_deg=1.0, lon_deg=2.0, alt_m=3.0, sigma_horizontal_m=sigma, sigma_vertical_m=sigma, speed_m_s=9.0, course_rad=1.0, vertical_rate_m_s=1.0, sigma_speed_m_s=1.0, mmsi=5, mode_3a=1, **identity),
        track(label),
        Tracklet(stream="S", number=1, sequence=1, t_from_ns=0, t_ns=NOW_NS, label=label, pedigree=PEDIGREE, model="cv", origin_ecef_m=origin, information_state=(1.0,) * 6, information=(2.0,) * 21, plots=3, mmsi=5, **identity),
        Area(stream="S", number=1, t_ns=NOW_NS, label=label, pedigree=PEDIGREE, lat_deg=1.0, lon_deg=2.0, radius_m=30_000.0),
        Warning(id="W1", version=1, state="issued", t_ns=NOW_NS, label=label, pedigree=PEDIGREE, kind="missile", headline="h", text="CANARY1", areas=(WarningArea(name="a", lat_deg=1.0, lon_deg=2.0, radius_m=5.0),), expires_ns=NOW_NS + DAY_NS, raised_by="officer"),
        Acknowledgement(warning_originator="KOR", warning_id="W1", warning_version=1, kind="seen", nation="JPN", station="s", by="officer", t_ns=NOW_NS, label=label),
        Retraction(warning_id="W1", warning_version=1, reason="threat-over", text="CANARY1", by="officer", t_ns=NOW_NS, label=label),
        Recall(lane="state", epoch=1, sequences=(1,), reason="r", by="officer", t_ns=NOW_NS, label=label),
    ]  # fmt: skip


def lane_of(record: msgspec.Struct) -> str:
    return "flash" if isinstance(record, Warning | Acknowledgement | Retraction | Recall) else "state"


def permit(label: Label = LABEL, **change: object) -> Decision:
    values: dict[str, object] = {
        "permit": True,
        "audience": "KOR",
        "reason": "permitted",
        "rule": "trilateral/1",
        "label_hash": digest(label),
        "tier": "plot",
        "purposes": ("warning",),
    }
    return Decision(**{**values, **change})


def operation(field: str, kind: str, amount: float = 0.0) -> FieldOperation:
    return FieldOperation(field=field, operation=kind, amount=amount)


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


@pytest.mark.parametrize("i", range(9))
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
    assert (done, stopped) == (36, 12)


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
    refused = {"plot": set(), "tracklet": {Plot, Fix}, "track": {Plot, Fix, Tracklet}, "area": {Plot, Fix, Tracklet}}
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


# --- AudiencePolicy ------------------------------------------------------------------------------------------------------

SENSORS = [
    Sensor(id="JPN-R1", nation="JPN", kind="radar3d", label=LABEL),
    Sensor(id="JPN-A1", nation="JPN", kind="fixes", label=LABEL),
]


def policy(samples: Agreements, to: str = "KOR", **change: object) -> AudiencePolicy:
    return AudiencePolicy(to, samples, EXERCISE, "JPN", sensors=SENSORS, secret=SECRET, **change)


def test_audience_policy_releases_what_it_permits(samples: Agreements) -> None:
    """A track for KOR leaves under the trilateral agreement; one for nobody is withheld; each decision is kept."""
    log = DecisionLog()
    one = policy(samples, log=log)
    out = one.release(track(), "state", NOW_NS)
    assert out is not None
    assert out.decision == "trilateral/1"
    hidden = msgspec.structs.replace(LABEL, rel_to=("USA",), consents=())
    assert one.release(track(hidden), "state", NOW_NS) is None
    assert [kept.decision.reason for kept in log.last()] == ["not-releasable", "permitted"]
    assert {total.rule: n for total, n in log.totals().items()} == {"rel-to": 1, "trilateral/1": 1}


def test_tier_goes_by_sensor(samples: Agreements) -> None:
    """Under the sample with USA, fixes leave as plots and radars as tracks; an unknown sensor gets the coarsest tier."""
    one = policy(samples, "USA")
    assert [one.sensor_decision(sensor, NOW_NS).tier for sensor in SENSORS] == ["track", "plot"]
    assert one.batch_decision(LABEL, NOW_NS, ("JPN-A1", "JPN-R1")).tier == "track"
    assert one.batch_decision(LABEL, NOW_NS, ("JPN-X9",)).tier == "track"
    assert one.batch_decision(LABEL, NOW_NS).tier == "track"


def test_the_cache_never_outlives_a_date(samples: Agreements) -> None:
    """A cached decision is made anew as soon as a date of the label or an agreement is crossed, forwards or back."""
    label = msgspec.structs.replace(LABEL, not_before_ns=NOW_NS, expires_ns=NOW_NS + DAY_NS)
    one = policy(samples)
    times = [NOW_NS, NOW_NS - 1, NOW_NS + DAY_NS - 1, NOW_NS + DAY_NS, NOW_NS + 1, 0]
    reasons = [one.batch_decision(label, at).reason for at in times]
    assert reasons == ["permitted", "not-yet", "permitted", "label-expired", "permitted", "not-yet"]
    assert one.batch_decision(LABEL, 2_100_000_000 * 10**9).reason == "agreement-expired"
    assert one.batch_decision(LABEL, 0).reason == "not-yet"


def test_audiences_share_nothing(samples: Agreements) -> None:
    """What one audience's policy has been asked does not change what another's answers, nor its table of labels."""
    first, second = policy(samples), policy(samples, "USA")
    for level in range(5):
        first.batch_decision(msgspec.structs.replace(LABEL, level=level), NOW_NS)
    assert second.batch_decision(LABEL, NOW_NS) == policy(samples, "USA").batch_decision(LABEL, NOW_NS)
    assert second.log.last(1)[0].label_id == 0


def test_bad_labels_do_not_get_past_the_cache(samples: Agreements) -> None:
    """A label that can not even be hashed, and none at all, are withheld by name and never raise."""
    one = policy(samples)
    assert one.batch_decision(msgspec.structs.replace(LABEL, rel_to=["KOR"]), NOW_NS).reason == "label-not-canonical"
    assert one.batch_decision(None, NOW_NS).reason == "unlabelled"
    for bad in ("JPN", "kor", "ALL"):
        if bad == "ALL":
            assert not policy(samples, bad).batch_decision(LABEL, NOW_NS).permit
            continue
        with pytest.raises(PolicyError) as refusal:
            policy(samples, bad)
        assert refusal.value.name == "recipient-unknown"


class Contrary:
    """A second judge that always says the opposite of a permit."""

    def permits(self, label: object, recipient: object, context: object, agreements: object) -> bool:
        """Say no."""
        del label, recipient, context, agreements
        return False


def test_judges_that_disagree_withhold_and_raise_an_alarm(samples: Agreements) -> None:
    """When the second judge says otherwise nothing leaves, by name, and an alarm is kept."""
    one = policy(samples, judge=Contrary())
    assert one.release(track(), "state", NOW_NS) is None
    assert one.log.last(1)[0].decision.reason == "judges-disagree"
    assert (one.log.alarms_total, one.log.alarms[0].first.permit, one.log.alarms[0].second) == (1, True, False)


def event(record: msgspec.Struct, **change: object) -> Declassification:
    values: dict[str, object] = {
        "id": "act-1",
        "nation": "JPN",
        "kind": "officer-act",
        "audience": "KOR",
        "mode": EXERCISE,
        "t_ns": NOW_NS,
        "expires_ns": NOW_NS + DAY_NS,
        "topics": ("missile-warning",),
        "level_max": 4,
        "content_sha256": content_hash(record),
        "approved_by": ("ann", "bob"),
    }
    return Declassification(**{**values, **change})


def test_an_approved_act_opens_for_one_record_only(samples: Agreements) -> None:
    """What two people approved leaves, and no other record does, nor with one person, nor for another audience."""
    hidden = msgspec.structs.replace(LABEL, rel_to=(), consents=(), level=4, topics=("missile-warning",))
    record = msgspec.structs.replace(records(LABEL)[5], label=hidden)
    other = msgspec.structs.replace(record, text="another text")
    one = policy(samples)
    assert one.record_decision(record, NOW_NS).reason == "not-releasable"
    decision = one.record_decision(record, NOW_NS, event(record))
    assert (decision.permit, decision.reason, decision.rule) == (True, "declassified", "act-1")
    assert one.release(record, "flash", NOW_NS, decision=decision) is not None
    assert not one.record_decision(other, NOW_NS, event(record)).permit
    for change in (
        {"approved_by": ("ann", "ann")},
        {"audience": "USA"},
        {"level_max": 3},
        {"expires_ns": NOW_NS},
        {"topics": ("air",)},
    ):
        assert not one.record_decision(record, NOW_NS, event(record, **change)).permit
    assert one.record_decision(record, NOW_NS).permit is False


def test_life_safety_needs_a_standing_duty(samples: Agreements) -> None:
    """A life-safety event opens only what the agreement has a duty to warn on, at tier area, and names that agreement."""
    hidden = msgspec.structs.replace(LABEL, rel_to=(), consents=(), level=4, topics=("missile-warning",))
    record = track(hidden)
    call = {"kind": "life-safety", "content_sha256": None, "approved_by": (), "agreement": "trilateral", "agreement_version": 1}
    one = policy(samples)
    decision = one.record_decision(record, NOW_NS, event(record, **call, tier="plot"))
    assert (decision.permit, decision.tier) == (True, "area")
    out = one.release(record, "state", NOW_NS, decision=decision)
    assert out is not None
    assert isinstance(codec.decode(out.record), Area)
    assert not one.record_decision(record, NOW_NS, event(record, **{**call, "agreement_version": 2})).permit
    air = track(msgspec.structs.replace(hidden, topics=("air",)))
    assert not one.record_decision(air, NOW_NS, event(air, **call, topics=("air",))).permit


def test_events_are_signed() -> None:
    """An event whose signature or key does not hold is refused; one that was signed here is taken."""
    made = signing.sign_declassification(event(track()), "JPN-policy", KEYS["JPN"].seed)
    keys = {"JPN-policy": signing.public_bytes(KEYS["JPN"].public)}
    assert signing.check_declassification(made, keys) == made
    assert codec.decode(codec.encode(made)) == made
    for bad in (msgspec.structs.replace(made, level_max=3), msgspec.structs.replace(made, key_id="x"), event(track())):
        with pytest.raises(PolicyError) as refusal:
            signing.check_declassification(bad, keys)
        assert refusal.value.name == "declassification-forged"


def test_public_is_an_audience_like_any_other(sample_documents: list[Document]) -> None:
    """A nation's own signed statement opens a flow to PUBLIC, at its ceiling, without communities; nothing else does."""
    flow = '[[flow]]\nfrom = "JPN"\nto = "PUBLIC"\ntopics = ["air"]\ntier = "area"\n[public]\nceiling = 1\n'
    text = sample_documents[1].body.decode()
    party = text[text.index("[[party]]") : text.index('[[party]]\nnation = "USA"')]
    head = text[: text.index("[[party]]")].replace('id = "usa-jpn"', 'id = "jpn-public"')
    statement = signed("jpn-public.toml", (head + party + flow).encode())
    pinned = {nation: key.public for nation, key in KEYS.items()}
    one = AudiencePolicy("PUBLIC", load([*sample_documents, statement], pinned), EXERCISE, "JPN", secret=SECRET)
    assert one.public
    label = make(policy="TRILAT", originator="JPN", mode=EXERCISE, level=1, rel_to=("PUBLIC",), topics=("air",))
    out = one.release(track(label), "state", NOW_NS)
    assert out is not None
    assert out.audience == "PUBLIC"
    assert one.batch_decision(msgspec.structs.replace(label, level=2), NOW_NS).reason == "level-above-ceiling"
    assert one.batch_decision(msgspec.structs.replace(label, communities=("watch-floor",)), NOW_NS).reason == "community-missing"
    assert one.batch_decision(LABEL, NOW_NS).reason == "not-releasable"
    without = AudiencePolicy("PUBLIC", load(sample_documents, pinned), EXERCISE, "JPN")
    assert without.batch_decision(label, NOW_NS).reason == "no-agreement"
