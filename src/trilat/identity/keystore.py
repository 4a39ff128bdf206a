"""Small files that must be right: private ones (mode 0600, or sealed with a passphrase) and flat records as TOML.

A sealed file is argon2id and XSalsa20-Poly1305 (libsodium). Every write is a whole new file, synced and renamed over the
old one, so that a crash leaves the old one or the new one.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import nacl.exceptions
import nacl.secret
from msgspec import Struct
from nacl.pwhash import argon2id

from trilat.errors import ExchangeError

FILE_BYTES_MAX = 1 << 20
OPERATIONS_MAX, MEMORY_BYTES_MAX = 64, 1 << 30  # what a sealed file may ask of us
T = TypeVar("T", bound=Struct)
_PLAIN, _SEALED = b"trilat-private/1\n", b"trilat-sealed/1\n"

# Gives the passphrase when a sealed file is met, so that a person is asked only then; None = there is none.
Passphrase = Callable[[], bytes | None]


class Seal(NamedTuple):
    """A passphrase and what opening shall cost (argon2id): libsodium's "moderate", about a second, by default."""

    passphrase: bytes
    operations: int = argon2id.OPSLIMIT_MODERATE
    memory_bytes: int = argon2id.MEMLIMIT_MODERATE


class _Sealed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sealed private file: what argon2id needs, and the box."""

    salt: bytes
    operations: int
    memory_bytes: int
    box: bytes


def passphrase_from(environ: Mapping[str, str], prompt: Callable[[], str] | None = None) -> Passphrase:
    """Return a source of the passphrase: TRILAT_PASSPHRASE_FILE, else TRILAT_PASSPHRASE, else the prompt."""

    def ask() -> bytes | None:
        if file := environ.get("TRILAT_PASSPHRASE_FILE"):
            try:
                return Path(file).read_bytes().rstrip(b"\r\n")
            except OSError as error:
                raise ExchangeError("passphrase-missing", f"{file}: {error.strerror}.") from error
        if text := environ.get("TRILAT_PASSPHRASE"):
            return text.encode()
        return prompt().encode() if prompt else None

    return ask


@contextmanager
def private_path(data: bytes) -> Iterator[str]:
    """Give secret bytes a path for libraries that take only paths, in memory where the system can (Linux memfd)."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("trilat")
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.name


def to_toml(value: Struct) -> str:
    """Return a flat record (scalars, lists of strings, lists of flat records) as TOML 1.0."""
    plain = msgspec.to_builtins(value)
    tables = {name: item for name, item in plain.items() if isinstance(item, list | tuple) and item and isinstance(item[0], dict)}
    lines = [f"{name} = {_toml(item)}" for name, item in plain.items() if name not in tables]
    for name, rows in tables.items():
        for row in rows:
            lines += ["", f"[[{name}]]", *(f"{key} = {_toml(item)}" for key, item in row.items())]
    return "\n".join(lines) + "\n"


def _toml(item: Any) -> str:
    if isinstance(item, str) and "\n" in item:
        return f"'''\n{item}'''"
    return msgspec.json.encode(item).decode()


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a record written by `to_toml`; raises ExchangeError keys-missing, keys-damaged."""
    raw = read_file(path, private=False)
    try:
        return msgspec.convert(tomllib.loads(raw.decode()), kind)
    except (ValueError, msgspec.ValidationError) as error:
        raise ExchangeError("keys-damaged", f"{path}: {error}.") from error


def write_private(path: Path, value: Struct, seal: Seal | None) -> None:
    """Write a private record with mode 0600; sealed when a seal is given."""
    plain = msgspec.msgpack.encode(value)
    if seal is None:
        write_file(path, _PLAIN + plain, 0o600)
        return
    salt = secrets.token_bytes(argon2id.SALTBYTES)
    key = argon2id.kdf(nacl.secret.SecretBox.KEY_SIZE, seal.passphrase, salt, seal.operations, seal.memory_bytes)
    box = bytes(nacl.secret.SecretBox(key).encrypt(plain))
    sealed = _Sealed(salt=salt, operations=seal.operations, memory_bytes=seal.memory_bytes, box=box)
    write_file(path, _SEALED + msgspec.msgpack.encode(sealed), 0o600)


def read_private(path: Path, kind: type[T], passphrase: Passphrase | None) -> tuple[T, Seal | None]:
    """Return what a private file holds, and the seal that it was under (None: it is not sealed)."""
    raw = read_file(path, private=True)
    try:
        if raw.startswith(_PLAIN):
            return msgspec.msgpack.decode(raw[len(_PLAIN) :], type=kind), None
        if not raw.startswith(_SEALED):
            raise ExchangeError("keys-damaged", f"{path}: unknown beginning.")
        sealed = msgspec.msgpack.decode(raw[len(_SEALED) :], type=_Sealed)
        said = passphrase() if passphrase else None
        if said is None:
            raise ExchangeError("passphrase-missing", f"{path}.")
        return msgspec.msgpack.decode(_unseal(sealed, said), type=kind), Seal(said, sealed.operations, sealed.memory_bytes)
    except nacl.exceptions.CryptoError as error:
        raise ExchangeError("passphrase-wrong", f"{path}.") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise ExchangeError("keys-damaged", f"{path}: {error}.") from error


def _unseal(sealed: _Sealed, passphrase: bytes) -> bytes:
    if sealed.memory_bytes > MEMORY_BYTES_MAX or sealed.operations > 64:
        raise ValueError("it asks for more work than any of ours")
    size = nacl.secret.SecretBox.KEY_SIZE
    key = argon2id.kdf(size, passphrase, sealed.salt, sealed.operations, sealed.memory_bytes)
    return bytes(nacl.secret.SecretBox(key).decrypt(sealed.box))


def read_file(path: Path, *, private: bool) -> bytes:
    """Read a small file; raises ExchangeError keys-missing, and keys-exposed for an unsealed private one that others can read."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX)
            status = os.fstat(file.fileno())
    except OSError as error:
        raise ExchangeError("keys-missing", f"{path}: {error.strerror}.") from error
    if private and not raw.startswith(_SEALED):
        if status.st_mode & 0o077:
            raise ExchangeError("keys-exposed", f"{path} has mode {status.st_mode & 0o777:04o}.")
        if status.st_uid not in {os.geteuid(), 0}:
            raise ExchangeError("keys-exposed", f"{path} belongs to user {status.st_uid}.")
    return raw


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Replace a file as a whole, synced: a crash leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
