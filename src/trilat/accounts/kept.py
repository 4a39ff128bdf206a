"""What an account book holds: accounts, sessions, changes, and how secrets are named. No I/O."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from typing import Any, NamedTuple

from trilat.records.approval import Role


class Account(NamedTuple):
    """One account. `wanted`: roles that two officers have yet to approve. `password` is the encoded hash."""

    user: str
    person: str
    password: str
    roles: tuple[Role, ...]
    wanted: tuple[Role, ...]
    temporary: bool
    disabled: bool
    version: int
    made_ns: int

    def __repr__(self) -> str:
        """Show whose it is, never the hash."""
        return f"Account({self.user!r}, roles={self.roles}, version={self.version})"


class Opened(NamedTuple):
    """One session: its public id, whose, where, since when, last used, until when at most."""

    id: str
    user: str
    station: str
    address: str
    begun_ns: int
    used_ns: int
    ends_ns: int


class Change(NamedTuple):
    """One change of an account, for the node's log and the watch log."""

    n: int
    t_ns: int
    severity: str
    text: str


def same_person(name: str) -> str:
    """Return a person's name as it is compared: twins in Unicode (NFKC), case and spaces make no second person."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def secret_hash(secret: bytes) -> bytes:
    """Return what is kept of a session's or station's secret (32 random bytes: a plain hash is enough)."""
    return hashlib.sha256(b"trilat.secret/1\n" + secret).digest()


def public_id(letter: str, kept: bytes) -> str:
    """Return the public name of a session or station."""
    return f"{letter}-{hashlib.sha256(b'trilat.public/1' + kept).hexdigest()[:12]}"


def account_of(row: tuple[Any, ...]) -> Account:
    """Return the account in a row of the book."""
    user, person, password, roles, wanted, temporary, disabled, version, made_ns = row
    return Account(
        user, person, password, tuple(roles.split()), tuple(wanted.split()), bool(temporary), bool(disabled), version, made_ns
    )


def in_order(roles: Iterable[Role]) -> tuple[Role, ...]:
    """Return roles sorted, each once."""
    return tuple(sorted(set(roles)))


def told(granted: Iterable[Role], wanted: Iterable[Role]) -> str:
    """Return in words which roles hold and which wait for two officers."""
    waits = ", ".join(wanted)
    return (", ".join(granted) or "no role") + (f"; waits for two officers: {waits}" if waits else "")
