"""Nodes and records for the exchange's benchmarks; keys are no secret."""

from pathlib import Path

from trilat.exchange.exchange import Exchange
from trilat.identity.sign import KeyRing, SigningKey
from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.released import Lane, Released
from trilat.records.report import Pedigree
from trilat.records.track import Track
from trilat.records.warning import Warning
from trilat.store.sqlite import Store, StoreSettings, open_database
from trilat.transport.messages import ExchangeSettings

NATIONS = ("JPN", "KOR", "USA")
EXERCISE = Mode(kind="exercise", id="BENCH")
T0_NS = 1_790_000_000 * 10**9
KEYS = {nation: SigningKey(nation, "exercise", nation.encode().ljust(32, b".")) for nation in NATIONS}
LABEL = Label(policy="TRILAT", originator="JPN", mode=EXERCISE, level=1, rel_to=("KOR", "USA"))


def node_exchange(nation: str, path: Path) -> Exchange:
    """Return a node's exchange over a store in a file."""
    return exchange_of(nation, open_database(path, nation, EXERCISE, StoreSettings(reserve_bytes=0)))


def exchange_of(nation: str, store: Store) -> Exchange:
    """Return a node's exchange over a store."""
    pinned = [key.verify_key for other, key in KEYS.items() if other != nation]
    ring = KeyRing(nation, EXERCISE, [KEYS[nation]], pinned)
    return Exchange(ExchangeSettings(), nation, EXERCISE, ring, store, NATIONS[:2])


def _released(record: Track | Warning, audience: str, lane: Lane, t_ns: int) -> Released:
    return Released(
        audience=audience,
        lane=lane,
        mode=EXERCISE,
        t_ns=t_ns,
        record=codec.encode(record),
        record_type=str(record.__struct_config__.tag),
        label_hash=bytes(32),
        decision="permit",
        reason="rel-to",
    )


def released_track(number: int, audience: str, lane: Lane) -> Released:
    """Return a track state of about 530 bytes."""
    track = Track(
        stream="JPN/air",
        number=number,
        t_ns=T0_NS + number,
        status="confirmed",
        label=LABEL,
        pedigree=Pedigree(nation="JPN"),
        lat_deg=33.0,
        lon_deg=130.0,
        alt_m=9_000.0,
        velocity_east_m_s=200.0,
        velocity_north_m_s=10.0,
        velocity_up_m_s=0.0,
        covariance=tuple(float(i) + 0.5 for i in range(21)),
        updated_t_ns=T0_NS + number,
    )
    return _released(track, audience, lane, T0_NS)


def released_warning(number: int, audience: str, t_ns: int = T0_NS) -> Released:
    """Return a warning."""
    warning = Warning(
        id=f"w{number}-{t_ns}",
        version=1,
        state="issued",
        t_ns=t_ns,
        label=LABEL,
        pedigree=Pedigree(nation="JPN"),
        kind="missile",
        headline="Exercise: take shelter",
        expires_ns=t_ns + 600 * 10**9,
        raised_by="officer",
    )
    return _released(warning, audience, "flash", t_ns)
