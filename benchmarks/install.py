"""What an installation takes on disk: the packages a node runs on, our own with the built page, and the compiled kernels.

python benchmarks/install.py [--tiny]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
from pathlib import Path

from trilat import errors

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(errors.__file__).parent
MIB = 2**20
LARGEST = 6


def size_mib(name: str) -> float:
    """Return what an installed package takes, in MiB; what its record names and is not there counts nothing."""
    paths = (Path(str(file.locate())) for file in importlib.metadata.files(name) or ())
    return sum(path.stat().st_size for path in paths if path.is_file()) / MIB


def folder_mib(folder: Path, pattern: str = "*") -> float:
    """Return what the files below a folder take, in MiB."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file()) / MIB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What an installation takes on disk.")
    parser.add_argument("--tiny", action="store_true", help="the same; it is quick")
    parser.parse_args()
    lock = (ROOT / "requirements" / "runtime.txt").read_text("utf-8")
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)
    sizes = sorted(((size_mib(name), name) for name in names), reverse=True)
    cache = PACKAGE / "kernels" / "__pycache__"
    page, kernels = folder_mib(PACKAGE / "picture" / "static"), folder_mib(cache, "*.nb?")
    code = sum(path.stat().st_size for path in PACKAGE.rglob("*.py") if "node_modules" not in path.parts) / MIB
    whole = sum(size for size, _ in sizes) + page + kernels + code
    print(f"install: {whole:,.0f} MiB for a node, without Python itself")
    print(f"  packages  {sum(size for size, _ in sizes):,.0f} MiB in {len(sizes)}, the largest:")
    print("            " + ", ".join(f"{name} {size:.0f}" for size, name in sizes[:LARGEST]))
    print(f"  ours      {code:.1f} MiB of Python, {page:.1f} MiB page, {kernels:.1f} MiB compiled kernels")


if __name__ == "__main__":
    main()
