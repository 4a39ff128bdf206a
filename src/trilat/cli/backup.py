"""`trilat backup DIR FILE`: copies a node's store while it runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def command(directory: Path, file: Path) -> None:
    """Copy a node's store while it runs: DIRECTORY into FILE, as of one moment.

    The copy holds everything the node has received and sent: keep it as you keep the store. Keys are not in it.
    """
    from trilat.store.sqlite import open_reader, read_meta

    if file.exists():
        raise click.UsageError(f"{file} exists; name a new file")
    database = open_reader(directory)
    try:
        meta = read_meta(database)
        database.read("VACUUM INTO ?", (str(file),))
    finally:
        database.close()
    file.chmod(0o600)
    click.echo(f"{meta['nation']}: {file.stat().st_size:,} bytes in {file}; check it with: trilat audit verify, after a restore")
