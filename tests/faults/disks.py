"""Small disks for one test: a tmpfs that fills, an ext4 in a file whose content can be copied as a power cut leaves it. Root's."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


def missing(*tools: str) -> str:
    """Return why nothing can be mounted here; "" when it can."""
    if os.geteuid() != 0:
        return "needs root to mount a disk"
    lacking = [tool for tool in ("mount", *tools) if shutil.which(tool) is None]
    return f"needs {', '.join(lacking)}" if lacking else ""


def run(*command: str) -> None:
    """Run a command of the machine's."""
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def mounted(place: Path, *how: str) -> Iterator[Path]:
    """Mount something at a place while the block runs. Raises subprocess.CalledProcessError where the kernel does not let us."""
    place.mkdir(parents=True, exist_ok=True)
    run("mount", *how, str(place))
    try:
        yield place
    finally:
        run("umount", "--lazy", str(place))


def tmpfs(place: Path, size_bytes: int) -> contextlib.AbstractContextManager[Path]:
    """Mount a disk in memory of a size."""
    return mounted(place, "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs")


def make_ext4(image: Path, size_bytes: int) -> None:
    """Make a file that holds an empty ext4."""
    with image.open("wb") as file:
        file.truncate(size_bytes)
    run("mkfs.ext4", "-q", "-F", str(image))


def loop(image: Path, place: Path) -> contextlib.AbstractContextManager[Path]:
    """Mount the ext4 in a file."""
    return mounted(place, "-o", "loop", str(image))


class Ballast:
    """A file that takes what room there is."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "ballast"

    def fill(self) -> None:
        """Take all the room there is, whoever else writes meanwhile."""
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT)
        try:
            with contextlib.suppress(OSError):
                while True:
                    os.write(handle, bytes(65_536))
        finally:
            os.close(handle)

    def drop(self) -> None:
        """Give the room back."""
        self._path.unlink()
