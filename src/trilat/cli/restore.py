"""`trilat restore FILE DIR`: makes a store of a backup; partners are asked to go on in a new epoch."""

from __future__ import annotations

import shutil
from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def command(file: Path, directory: Path) -> None:
    """Make a store in DIRECTORY of the backup FILE, and the account book beside it of FILE.accounts. There must be neither yet.

    Nobody is logged in after it, and what was changed of accounts since the backup is undone: look through `trilat users list`.
    What partners sent since the backup they send again; what this node sent since then they keep. Every outbox opens a new epoch.
    """
    import msgspec

    from trilat.accounts.book import book_beside, restore_book
    from trilat.node import clock
    from trilat.records.label import Mode
    from trilat.store.sqlite import FILE_NAME, open_reader, open_store, read_meta

    target = directory / FILE_NAME
    if target.exists():
        raise click.UsageError(f"{target} exists; move the old store away first (do not delete it yet)")
    accounts, book = file.with_name(f"{file.name}.accounts"), book_beside(directory)
    if accounts.exists() and book.exists():
        raise click.UsageError(f"{book} exists; move the old account book away first")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copyfile(file, target)
    target.chmod(0o600)
    reader = open_reader(directory)
    try:
        meta = read_meta(reader)
    finally:
        reader.close()
    mode = msgspec.convert(meta["mode"], Mode)
    store = open_store(directory, meta["nation"], mode)
    try:
        outboxes = store.outbox.mark_restored()
        store.note("restored", meta["nation"], clock.now_ns(), msgspec.msgpack.encode({"outboxes": outboxes}))
        store.commit()
    finally:
        store.close()
    click.echo(f"{meta['nation']}: restored; {outboxes} outboxes will open a new epoch at their partners' next pull")
    if accounts.exists():
        n = restore_book(accounts, book, meta["nation"], mode, clock.now_ns())
        click.echo(f"{meta['nation']}: {n} accounts restored to {book}; nobody is logged in")
    else:
        click.echo(f"{meta['nation']}: {accounts} is not there, so no accounts were restored", err=True)
