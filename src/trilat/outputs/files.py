"""File drop: each message as files in a folder, whole or not at all. Does I/O.

Options: `directory`. A file is named by the message's identifier, so that the same message again is the same file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from trilat.outputs.message import FORMS, Form, Message, OutputError


class FileDrop:
    """Writes into one folder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def send(self, message: Message, forms: Sequence[Form]) -> str:
        """Write a message's files; the receipt is the SHA-256 of each."""
        try:
            return await asyncio.to_thread(self._write, message, forms)
        except OSError as error:
            raise OutputError("output-not-taken", f"{self._directory}: {error.strerror}.") from error

    def _write(self, message: Message, forms: Sequence[Form]) -> str:
        self._directory.mkdir(parents=True, exist_ok=True)
        told = []
        for form in forms:
            body, path = message.bodies[form], self._directory / f"{message.identifier}.{FORMS[form][0]}"
            unfinished = path.with_name(f".{path.name}.new")
            with unfinished.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            told.append(f"{form} sha256:{hashlib.sha256(body).hexdigest()}")
        folder = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(folder)  # the names, too, are to be there after a power cut
        finally:
            os.close(folder)
        return ", ".join(told)


def make(options: Mapping[str, str]) -> FileDrop:
    """Make a file drop; raises OutputError (output-setting)."""
    unknown = sorted(set(options) - {"directory"})
    if unknown or "directory" not in options:
        raise OutputError("output-setting", f"file takes `directory` and nothing else, not {unknown or 'nothing'}.")
    return FileDrop(Path(options["directory"]))
