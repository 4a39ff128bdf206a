"""Write `tests/store/fixtures/VERSION.sqlite.gz`: a small store as this version writes it. Once a release."""

import gzip
import sys
import tempfile
from pathlib import Path

from trilat.exchange.exchange import Exchange
from trilat.identity.sign import KeyRing, SigningKey
from trilat.records.exchange import Cursor
from trilat.records.label import Mode
from trilat.records.released import Lane, Released
from trilat.store.sqlite import FILE_NAME, StoreSettings, open_store
from trilat.transport.messages import ExchangeSettings

ROOT = Path(__file__).resolve().parent.parent
MODE = Mode(kind="exercise", id="FIXTURE")
T0_NS = 1_790_000_000 * 10**9
BATCHES, QUEUED, TICKS = 3, 2, 2


def released(number: int, lane: Lane) -> Released:
    """Return something released; a store does not look into it."""
    return Released(
        audience="KOR",
        lane=lane,
        mode=MODE,
        t_ns=T0_NS + number,
        record=f"record {number}".encode(),
        record_type="trilat.track/1",
        label_hash=bytes(32),
        decision="permit",
        reason="rel-to",
    )


def fill(directory: Path) -> None:
    """Make the store: an epoch, three batches sent, two records that wait, two ticks."""
    store = open_store(directory, "JPN", MODE, StoreSettings(reserve_bytes=0))
    keys = {nation: SigningKey(nation, "exercise", nation.encode().ljust(32, b".")) for nation in ("JPN", "KOR")}
    ring = KeyRing("JPN", MODE, [keys["JPN"]], [keys["KOR"].verify_key])
    exchange = Exchange(ExchangeSettings(), "JPN", MODE, ring, store, ("KOR",))
    exporter = exchange._exporters[("KOR", "history")]  # noqa: SLF001 - what a pull does, without a partner
    exporter.open_epoch(T0_NS, Cursor(), Cursor(), "first")
    for number in range(BATCHES):
        exchange.offer(T0_NS, [released(number, "history")])
        exporter.number(T0_NS, 1 << 16, 1)
    exchange.offer(T0_NS, [released(BATCHES + number, "state") for number in range(QUEUED)])
    for number in range(TICKS):
        store.journal.append("tick", "node", T0_NS + number, b"tick")
    exchange.flush(T0_NS, force=True)
    store.database.read("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    store.close()


def main() -> None:
    """Write the fixture of the named version; an existing one is never overwritten."""
    path = ROOT / "tests" / "store" / "fixtures" / f"{sys.argv[1]}.sqlite.gz"
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        fill(Path(directory))
        with path.open("xb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
            packed.write((Path(directory) / FILE_NAME).read_bytes())
    print(f"tests/store/fixtures/{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
