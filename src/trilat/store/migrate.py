"""Stored data of earlier versions: what has to be done to a store so that this version can use it. One step a schema version.

A step is SQL alone, so that it can be read and means the same for ever; all that is due runs in one transaction. Released
versions have a fixture in `tests/store/fixtures`, which every later version must be able to open.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from trilat.errors import StoreError

if TYPE_CHECKING:
    from trilat.store.sqlite import Database

# The layout that this version writes.
SCHEMA_VERSION = 2
# From a schema version to the next one: statements, in order.
STEPS: Mapping[int, tuple[str, ...]] = {
    1: ("ALTER TABLE queued ADD COLUMN crc INTEGER",),  # checks what waits; NULL: it was queued by an earlier version
}


def bring_on(database: "Database", found: int) -> None:
    """Bring a store of an earlier version to the present layout, whole or not at all; raises StoreError "store-old"."""
    try:
        statements = [statement for version in range(found, SCHEMA_VERSION) for statement in STEPS[version]]
    except KeyError as error:
        raise StoreError("store-old", f"schema {found}") from error
    database.read("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            database.read(statement)
        database.read("UPDATE meta SET value=? WHERE name='schema'", (msgspec.msgpack.encode(SCHEMA_VERSION),))
        database.read("COMMIT")
    except StoreError:
        database.read("ROLLBACK")
        raise
