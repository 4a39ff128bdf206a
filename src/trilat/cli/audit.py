"""`trilat audit verify DIR`: checks a node's store offline, and names the first bad record."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trilat.cli.frame import Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trilat.records.exchange import SealedBatch
    from trilat.store.audit import Audit, Judge, Links, Rest
    from trilat.store.sqlite import Database

FINDINGS_SHOWN = 20
# From this size on a second process is worth its start.
BESIDE_BYTES_MIN = 64 << 20


@click.group(cls=Group)
def command() -> None:
    """Check what a node has kept."""


@command.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def verify(directory: Path) -> None:
    """Check the store in DIRECTORY: the log's chain, every batch's signature and records, outbox, inbox and cursors.

    The node must be stopped. Ends with 0 when all is well; else names the first bad record and ends with 1. It also says which
    records partners signed for that are not here, because the store was put back to an older copy: see `trilat ledger missing`.
    """
    from trilat.errors import codes
    from trilat.ledger.beyond import beyond
    from trilat.store.audit import Audit
    from trilat.store.sqlite import open_reader, read_meta
    from trilat.store.wal import lost_in

    lost = lost_in(directory)
    database = open_reader(directory)
    try:
        meta = read_meta(database)
        audit = Audit(database)
        audit.behind_damage(lost)
        checks = BatchChecks(database, meta["nation"])
        with beside(directory, meta["nation"], audit, checks.batch) as (judge, rest):
            audit.run(judge, checks.checkpoint, rest)
        signed_for = [] if audit.findings else beyond(database)
    finally:
        database.close()
    looked = ", ".join(f"{count} {what}" for what, count in audit.counts.items())
    if not audit.findings:
        mode = meta["mode"]
        click.echo(f"sound: {meta['nation']} {mode['kind']}{':' + mode['id'] if mode.get('id') else ''}: {looked}")
        for one in signed_for:
            click.echo(f"{one.text}: signed for, and not in this store, which was put back to an older copy", err=True)
        return
    says = {entry["name"]: (code, entry) for code, entry in codes().items()}
    for finding in audit.findings[:FINDINGS_SHOWN]:
        code, entry = says[finding.name]
        click.echo(f"{code} {finding.where}: {entry['says']} {finding.detail}", err=True)
    click.echo(f"What to do: {says[audit.findings[0].name][1]['remedy']}", err=True)
    click.echo(f"not sound: {len(audit.findings)} findings in {looked}; the first: {audit.findings[0].where}")
    click.get_current_context().exit(1)


@contextmanager
def beside(directory: Path, nation: str, audit: Audit, alone: Judge) -> Iterator[tuple[Judge, Rest | None]]:
    """Have a second process judge a large store's batches and check part of the log's chain, while the rest is checked here.

    A small store, and one whose second process ends before its time, is checked by this one alone.
    """
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    from trilat.store.audit import Rest
    from trilat.store.sqlite import FILE_NAME

    if (directory / FILE_NAME).stat().st_size < BESIDE_BYTES_MIN:
        yield alone, None
        return
    after = audit.halves()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(check_beside, directory, nation, after)

        def judge(batch: SealedBatch, ours: bool) -> str:  # noqa: FBT001 - the audit's callback
            try:
                return found.result()[1].get((ours, batch.row), "")
            except BrokenProcessPool:
                return alone(batch, ours)

        def links() -> Links:
            with suppress(BrokenProcessPool):
                if (there := found.result()[0]) is not None:
                    return there
            return audit.links(after, None)

        yield judge, Rest(after, links)


def check_beside(directory: Path, nation: str, after: int) -> tuple[Links | None, dict[tuple[bool, int], str]]:
    """Check the log's chain behind an entry (None: it could not be read), and every batch.

    Of batches, return what is wrong with which: ours or not, its row, and what.
    """
    from trilat.errors import StoreError
    from trilat.store.audit import Audit
    from trilat.store.sqlite import open_reader

    links: Links | None = None
    wrong: dict[tuple[bool, int], str] = {}
    database = open_reader(directory)
    try:
        audit, checks = Audit(database), BatchChecks(database, nation)
        links = audit.links(after, None)
        for batch, ours in audit.all_batches():
            if what := checks.batch(batch, ours):
                wrong[(ours, batch.row)] = what
    except StoreError:  # whoever reads the same rows beside finds it, too, and says so
        return links, wrong
    finally:
        database.close()
    return links, wrong


class BatchChecks:
    """Judges batches and checkpoints with the public keys that the store's own log holds."""

    def __init__(self, database: Database, nation: str) -> None:
        import msgspec

        self._nation = nation
        self._keys: dict[tuple[str, str], bytes] = {}
        for (data,) in database.rows("SELECT data FROM log WHERE kind='keys'"):
            for owner, key_id, public in msgspec.msgpack.decode(data):
                self._keys[(owner, key_id)] = public

    def batch(self, batch: SealedBatch, ours: bool) -> str:  # noqa: FBT001 - the audit's callback
        """Return what is wrong with a stored batch: signature, place, records; "" when nothing is."""
        import msgspec

        from trilat.identity.sign import Rejected, signature_holds
        from trilat.transport.carried import partner_of
        from trilat.transport.envelope import open_batch
        from trilat.transport.messages import BatchHeader, decode_message

        sender = self._nation if ours else partner_of(batch.partner)
        public = self._keys.get((sender, batch.key_id))
        if public is None:
            return f"signed with {sender}'s key {batch.key_id}, which the log does not hold"
        if not signature_holds(public, batch.kind, batch.body, batch.signature):
            return f"the signature of {sender} does not hold"
        try:
            header = decode_message(batch.body)
            if not isinstance(header, BatchHeader):
                return "no batch"
            open_batch(header, batch.payload)
        except (msgspec.DecodeError, Rejected) as error:
            return str(error)
        audience = partner_of(batch.partner) if ours else self._nation
        stands = (header.sender, header.audience, header.lane, header.epoch, header.number, header.count, header.head)
        kept = (sender, audience, batch.lane, batch.epoch, batch.first, batch.count, batch.head)
        return (
            "" if stands == kept and header.prev_head == batch.prev_head else "the row says something else than the signed header"
        )

    def checkpoint(self, body: bytes, key_id: str, signature: bytes) -> bool:
        """Tell whether a checkpoint is signed with a key of this nation's."""
        from trilat.exchange.exchange import CHECKPOINT_TYPE
        from trilat.identity.sign import signature_holds

        public = self._keys.get((self._nation, key_id))
        return public is not None and signature_holds(public, CHECKPOINT_TYPE, body, signature)
