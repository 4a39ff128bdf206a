"""Write `tests/store/fixtures/VERSION.sqlite.gz`: a small store as this version writes it. Once a release."""

import gzip
import sys
import tempfile
from pathlib import Path

import msgspec

from trilat.exchange.exchange import Exchange
from trilat.exchange.numbering import HEADER_BYTES
from trilat.identity.sign import KeyRing, SigningKey
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor
from trilat.records.label import Mode
from trilat.records.released import Lane, Released
from trilat.store.sqlite import FILE_NAME, Store, StoreSettings, open_store
from trilat.transport.messages import MINOR, ExchangeSettings, PullId

ROOT = Path(__file__).resolve().parent.parent
MODE = Mode(kind="exercise", id="FIXTURE")
T0_NS = 1_790_000_000 * 10**9
# Records of a batch, of which one waits in a queue alone, ticks; how often a batch is given to an importer that may take a while.
EACH, QUEUED, TICKS, WHILE = 4, 2, 2, 3


def released(number: int, lane: Lane, to: str = "KOR") -> Released:
    """Return something released; a store does not look into it, a partner does."""
    ours = "JPN" if to == "KOR" else "KOR"
    label = {"originator": ours, "mode": {"kind": MODE.kind, "id": MODE.id}, "rel_to": [to]}
    return Released(
        audience=to,
        lane=lane,
        mode=MODE,
        t_ns=T0_NS + number,
        record=msgspec.msgpack.encode({"type": "trilat.fixture/1", "number": number, "label": label}),
        record_type="trilat.fixture/1",
        label_hash=bytes(32),
        decision="permit",
        reason="rel-to",
    )


def begin(directory: Path, nation: str, partner: str) -> tuple[Exchange, Store]:
    """Return the exchange of a nation and the new store under it."""
    store = open_store(directory, nation, MODE, StoreSettings(reserve_bytes=0))
    keys = {one: SigningKey(one, "exercise", one.encode().ljust(32, b".")) for one in ("JPN", "KOR")}
    ring = KeyRing(nation, MODE, [keys[nation]], [keys[partner].verify_key])
    return Exchange(ExchangeSettings(), nation, MODE, ring, store, (partner,)), store


def seal(exchange: Exchange, to: str, items: list[Released], credit_bytes: int = 1 << 16) -> Envelope:
    """Offer some things and number what leaves next, as in answer to a pull; return the batch."""
    exchange.offer(T0_NS, items)
    sealed = exchange._exporters[(to, "history")].number(T0_NS, credit_bytes, MINOR)  # noqa: SLF001 - without a partner
    if sealed is None:
        raise SystemExit("nothing left")
    return sealed[0]


def fill(directory: Path) -> None:
    """Make the store.

    Out: two batches in an epoch, one of what was moved from there into a second, the rest still to be moved; two records that
    wait, a recall, a past removed. In: an epoch that went on from nothing, in which some of what came before may come again.
    """
    ours, store = begin(directory, "JPN", "KOR")
    exporter = ours._exporters[("KOR", "history")]  # noqa: SLF001 - what a pull does, without a partner
    exporter.open_epoch(T0_NS, Cursor(), Cursor(), "first")
    for at in (0, EACH):
        seal(ours, "KOR", [released(at + number, "history") for number in range(EACH)])
    exporter.recall(1, (2,), T0_NS)
    exporter.open_epoch(T0_NS, Cursor(), Cursor(), "resync")
    seal(ours, "KOR", [], HEADER_BYTES + 100)
    flash = ours._exporters[("KOR", "flash")]  # noqa: SLF001 - as above
    flash.open_epoch(T0_NS, Cursor(), Cursor(), "first")
    ours.offer(T0_NS, [released(100, "flash")])
    flash.number(T0_NS, 1 << 16, MINOR)
    ours.flush(T0_NS, force=True)
    store.outbox.forget("KOR", "flash", flash.state.last, T0_NS + 1)
    theirs, their_store = begin(directory / "theirs", "KOR", "JPN")
    exporter = theirs._exporters[("JPN", "history")]  # noqa: SLF001 - as above
    exporter.open_epoch(T0_NS, Cursor(), Cursor(), "first")
    batches = [seal(theirs, "JPN", [released(200 + number, "history", "JPN") for number in range(EACH)])]
    exporter.open_epoch(T0_NS, Cursor(), Cursor(), "resync")
    batches.append(seal(theirs, "JPN", [], HEADER_BYTES + 100))
    for batch in batches:
        for _ in range(WHILE):
            ours.handle(T0_NS, batch, pull=PullId("KOR", "history", 1))
            ours.tick(T0_NS)
    ours.offer(T0_NS, [released(300 + number, "state") for number in range(QUEUED)])
    for number in range(TICKS):
        store.journal.append("tick", "node", T0_NS + number, b"tick")
    ours.flush(T0_NS, force=True)
    store.database.read("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    store.close()
    their_store.close()


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
