"""`trilat backup DIR FILE`: copies a node's store and account book while it runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def command(directory: Path, file: Path) -> None:
    """Copy a node's store while it runs: DIRECTORY into FILE, as of one moment; its account book into FILE.accounts.

    The copies hold everything the node has received and sent, and who may log in: keep them as you keep the store. Keys are not
    in them.
    """
    from trilat.accounts.book import book_beside, copy_book
    from trilat.store.sqlite import open_reader, read_meta

    accounts = file.with_name(f"{file.name}.accounts")
    for one in (file, accounts):
        if one.exists():
            raise click.UsageError(f"{one} exists; name a new file")
    database = open_reader(directory)
    try:
        meta = read_meta(database)
        database.read("VACUUM INTO ?", (str(file),))
    finally:
        database.close()
    file.chmod(0o600)
    book = book_beside(directory)
    if book.exists():
        copy_book(book, accounts)
        click.echo(f"{meta['nation']}: the account book in {accounts}")
    else:
        click.echo(f"{meta['nation']}: no account book at {book}, so none is kept", err=True)
    click.echo(f"{meta['nation']}: {file.stat().st_size:,} bytes in {file}; check it with: trilat audit verify, after a restore")
