"""One audience's policy: cached, logged, apart from the others; events, PUBLIC, and judges that disagree."""

import msgspec
import pytest
from policy_cases import DAY_NS, EXERCISE, KEYS, NOW_NS, signed
from policy_records import LABEL, SECRET, operation, records, track

from trilat.errors import PolicyError
from trilat.policy import signing
from trilat.policy.agreement import Agreements, Document, load
from trilat.policy.audience import AudiencePolicy, DecisionLog, content_hash
from trilat.policy.labels import make
from trilat.records import codec
from trilat.records.declassification import Declassification
from trilat.records.sensor import Sensor
from trilat.records.track import Area

SENSORS = [
    Sensor(id="JPN-R1", nation="JPN", kind="radar2d", label=LABEL),
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
    others = [one for one in sample_documents if one.name != "warn-public.toml"]
    without = AudiencePolicy("PUBLIC", load(others, pinned), EXERCISE, "JPN")
    assert without.batch_decision(label, NOW_NS).reason == "no-agreement"


def test_a_delayed_record_is_kept_as_such(samples: Agreements) -> None:
    """A record younger than its label's delay does not leave, and the log says so."""
    slow = msgspec.structs.replace(LABEL, operations=(operation("record", "delay", 60.0),))
    one = policy(samples)
    assert one.release(track(slow), "state", NOW_NS) is None
    assert one.log.last(1)[0].decision.reason == "delayed"
    assert one.release(track(slow), "state", NOW_NS + 60 * 10**9) is not None
