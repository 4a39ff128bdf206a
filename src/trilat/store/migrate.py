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
SCHEMA_VERSION = 4
# Since schema 3: the places of streams that outlive their batches.
_PLACES = """
CREATE TABLE heads (stream INTEGER NOT NULL, epoch INTEGER NOT NULL, final INTEGER NOT NULL, head BLOB NOT NULL,
  PRIMARY KEY (stream, epoch, final)) WITHOUT ROWID;
CREATE TABLE epochs (stream INTEGER NOT NULL, epoch INTEGER NOT NULL, begun BLOB NOT NULL,
  PRIMARY KEY (stream, epoch)) WITHOUT ROWID;
"""
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE log (n INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL, data BLOB NOT NULL,
  head BLOB NOT NULL);
CREATE TABLE checkpoints (n INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL,
  key_id TEXT NOT NULL, signature BLOB NOT NULL);
CREATE TABLE streams (stream INTEGER PRIMARY KEY, side TEXT NOT NULL, partner TEXT NOT NULL, lane TEXT NOT NULL,
  state BLOB NOT NULL, UNIQUE (side, partner, lane));
CREATE TABLE queued (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, priority INTEGER NOT NULL, key TEXT, t_ns INTEGER NOT NULL,
  expires_ns INTEGER, record BLOB NOT NULL, about BLOB NOT NULL, crc INTEGER);
CREATE INDEX queued_order ON queued (stream, priority, id);
CREATE UNIQUE INDEX queued_key ON queued (stream, key) WHERE key IS NOT NULL;
CREATE INDEX queued_expiry ON queued (expires_ns) WHERE expires_ns IS NOT NULL;
CREATE TABLE sent (row INTEGER PRIMARY KEY, stream INTEGER NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL,
  count INTEGER NOT NULL, t_ns INTEGER NOT NULL, moved_from INTEGER NOT NULL, prev_head BLOB NOT NULL, head BLOB NOT NULL,
  kind TEXT NOT NULL, key_id TEXT NOT NULL, signature BLOB NOT NULL, body BLOB NOT NULL, about BLOB NOT NULL, skip BLOB NOT NULL,
  payload BLOB NOT NULL);
CREATE UNIQUE INDEX sent_place ON sent (stream, epoch, first);
CREATE TABLE received (row INTEGER PRIMARY KEY, stream INTEGER NOT NULL, epoch INTEGER NOT NULL, first INTEGER NOT NULL,
  count INTEGER NOT NULL, t_ns INTEGER NOT NULL, moved_from INTEGER NOT NULL, prev_head BLOB NOT NULL, head BLOB NOT NULL,
  kind TEXT NOT NULL, key_id TEXT NOT NULL, signature BLOB NOT NULL, body BLOB NOT NULL, about BLOB NOT NULL, skip BLOB NOT NULL,
  payload BLOB NOT NULL);
CREATE UNIQUE INDEX received_place ON received (stream, epoch, first);
CREATE TABLE recalled (stream INTEGER NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
  PRIMARY KEY (stream, epoch, sequence)) WITHOUT ROWID;
CREATE TABLE orphans (stream INTEGER NOT NULL, hash BLOB NOT NULL, t_ns INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (stream, hash)) WITHOUT ROWID;
CREATE TABLE chunks (stream INTEGER NOT NULL, of BLOB NOT NULL, piece INTEGER NOT NULL, total INTEGER NOT NULL,
  data BLOB NOT NULL, PRIMARY KEY (stream, of, piece)) WITHOUT ROWID;
CREATE TABLE forks (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, fork BLOB NOT NULL);
"""
SCHEMA += _PLACES.lstrip()
# From a schema version to the next one: statements, in order.
STEPS: Mapping[int, tuple[str, ...]] = {
    1: ("ALTER TABLE queued ADD COLUMN crc INTEGER",),  # checks what waits; NULL: it was queued by an earlier version
    2: tuple(_PLACES.strip().removesuffix(";").split(";\n")),
    3: (  # since when a record may come again: of what was known before, since the last that the node did
        "ALTER TABLE orphans ADD COLUMN t_ns INTEGER NOT NULL DEFAULT 0",
        "UPDATE orphans SET t_ns=(SELECT coalesce(max(t_ns), 0) FROM log)",
    ),
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
