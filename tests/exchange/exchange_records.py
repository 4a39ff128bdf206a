"""Records, keys and released things for the tests of exchange and store."""

from trilat.identity.sign import KeyRing, SigningKey
from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.released import Released
from trilat.records.report import Pedigree
from trilat.records.track import Track
from trilat.records.warning import Recall, Warning

EXERCISE = Mode(kind="exercise", id="TEST-1")
LIVE = Mode(kind="live")
NATIONS = ("JPN", "KOR", "USA")
T0_NS = 1_790_000_000_000_000_000
MS = 1_000_000
SECOND = 1_000_000_000


def signing_key(nation: str, mode: Mode = EXERCISE, generation: int = 0, **window: int) -> SigningKey:
    """Return a key that depends on nation, mode kind and generation alone."""
    use = "live" if mode.kind == "live" else "exercise"
    seed = f"{nation}-{use}-{generation}".encode().ljust(32, b".")
    return SigningKey(nation, use, seed, **window)


def ring_of(nation: str, mode: Mode = EXERCISE, nations: tuple[str, ...] = NATIONS) -> KeyRing:
    """Return a ring in which a nation signs with its key and pins the others'."""
    pinned = [signing_key(other, mode).verify_key for other in nations if other != nation]
    return KeyRing(nation, mode, [signing_key(nation, mode)], pinned)


def label_of(originator: str, rel_to: tuple[str, ...], mode: Mode = EXERCISE) -> Label:
    """Return a plain label."""
    return Label(policy="TRILAT", originator=originator, mode=mode, level=1, rel_to=tuple(sorted(rel_to)))


def track_of(
    number: int, originator: str = "JPN", rel_to: tuple[str, ...] = ("KOR", "USA"), t_ns: int = T0_NS, mode: Mode = EXERCISE
) -> Track:
    """Return a track state."""
    return Track(
        stream=f"{originator}/air",
        number=number,
        t_ns=t_ns,
        status="confirmed",
        label=label_of(originator, rel_to, mode),
        pedigree=Pedigree(nation=originator),
        lat_deg=33.0,
        lon_deg=130.0,
        alt_m=9_000.0,
        velocity_east_m_s=200.0,
        velocity_north_m_s=10.0,
        velocity_up_m_s=0.0,
        covariance=tuple(float(i) + 0.5 for i in range(21)),
        updated_t_ns=t_ns,
    )


def warning_of(
    name: str,
    originator: str = "JPN",
    rel_to: tuple[str, ...] = ("KOR", "USA"),
    t_ns: int = T0_NS,
    mode: Mode = EXERCISE,
    text: str = "",
) -> Warning:
    """Return a warning."""
    return Warning(
        id=name,
        version=1,
        state="issued",
        t_ns=t_ns,
        label=label_of(originator, rel_to, mode),
        pedigree=Pedigree(nation=originator),
        kind="missile",
        headline="Exercise: take shelter",
        text=text,
        expires_ns=t_ns + 600 * SECOND,
        raised_by="officer",
    )


def recall_of(
    lane: str, epoch: int, sequences: tuple[int, ...], originator: str = "JPN", rel_to: tuple[str, ...] = ("KOR",)
) -> Recall:
    """Return a recall of numbers of one lane."""
    return Recall(
        lane=lane,
        epoch=epoch,
        sequences=sequences,
        reason="issued in error",
        by="officer",
        t_ns=T0_NS,
        label=label_of(originator, rel_to),
    )


def released(record: object, audience: str, lane: str, t_ns: int = T0_NS, mode: Mode = EXERCISE, **changes: object) -> Released:
    """Return a record as policy would let it go."""
    fields = {
        "audience": audience,
        "lane": lane,
        "mode": mode,
        "t_ns": t_ns,
        "record": codec.encode(record),
        "record_type": record.__struct_config__.tag,
        "label_hash": bytes(32),
        "decision": "permit",
        "reason": "rel-to",
        **changes,
    }
    return Released(**fields)
