"""`trilat schema`: the JSON Schema of every record, from the records themselves."""

from __future__ import annotations

from typing import Any

import click

# The dialect that msgspec writes.
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of_records() -> dict[str, Any]:
    """Return one JSON Schema (draft 2020-12): any of our records, with each record and its parts under `$defs`."""
    import msgspec

    from trilat.records.codec import RECORDS

    references, components = msgspec.json.schema_components(RECORDS, ref_template="#/$defs/{name}")
    return {"$schema": DIALECT, "title": "Trilat records", "anyOf": list(references), "$defs": components}


def schema_of_record(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one record by its class name ("Track"); raises click.BadParameter for an unknown one."""
    import msgspec

    from trilat.records.codec import RECORDS

    if name == "config":
        from trilat.node.settings import NodeConfig

        return {"$schema": DIALECT, **msgspec.json.schema(NodeConfig)}
    kinds = {kind.__name__: kind for kind in RECORDS}
    if name not in kinds:
        raise click.BadParameter(f"no record is called {name!r}; there are: config, {', '.join(kinds)}", param_hint="RECORD")
    return {"$schema": DIALECT, **msgspec.json.schema(kinds[name])}


@click.command()
@click.argument("record", required=False)
def command(record: str | None) -> None:
    """Print the JSON Schema of every record, of one RECORD ("Track"), or of a node's configuration ("config")."""
    import msgspec

    schema = schema_of_records() if record is None else schema_of_record(record)
    click.echo(msgspec.json.format(msgspec.json.encode(schema), indent=2))
