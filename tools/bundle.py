"""Make a wheelhouse: everything a machine without network needs to run a node. Run by `make bundle`.

The packages are those of `requirements/runtime.txt`, checked against its hashes; one that is published as source only is built
here. Trilat's own wheel has the page built in. `wheels.txt` holds the hash of every wheel, so that what was carried over is what
left. They fit machines of this machine's kind: same system, processor family and Python version.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHEELHOUSE = ROOT / "wheelhouse"
INSTALL = """\
Trilat {version} for {system} {machine}, Python {python}. On the machine without network, in this folder:

  python3 -m venv trilat-venv
  trilat-venv/bin/pip install --no-index --find-links . --require-hashes -r wheels.txt
  trilat-venv/bin/python -m trilat.kernels.warm
  trilat-venv/bin/trilat doctor
"""


def pip(*arguments: str) -> None:
    """Run pip of this environment; raises subprocess.CalledProcessError when it fails."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], cwd=ROOT, check=True)


def pinned(wheel: Path) -> str:
    """Return a wheel as a line of a requirements file: name, version, hash."""
    name, version, *_ = wheel.name.split("-")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def bundle() -> str:
    """Fill the wheelhouse and return the instructions, which also stand in its INSTALL.txt."""
    shutil.rmtree(WHEELHOUSE, ignore_errors=True)
    WHEELHOUSE.mkdir()
    lock = ROOT / "requirements" / "runtime.txt"
    pip("wheel", "--no-build-isolation", "--require-hashes", "-r", str(lock), "-w", str(WHEELHOUSE))
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(WHEELHOUSE), ".")
    wheels = sorted(WHEELHOUSE.glob("*.whl"))
    (WHEELHOUSE / "wheels.txt").write_text("".join(pinned(wheel) for wheel in wheels), "utf-8")
    text = INSTALL.format(
        version=next(wheel.name.split("-")[1] for wheel in wheels if wheel.name.startswith("trilat-")),
        system=platform.system(),
        machine=platform.machine(),
        python=".".join(platform.python_version_tuple()[:2]),
    )
    (WHEELHOUSE / "INSTALL.txt").write_text(text, "utf-8")
    size_mib = sum(path.stat().st_size for path in WHEELHOUSE.iterdir()) / 2**20
    return f"{text}\n{len(wheels)} wheels, {size_mib:.0f} MiB, in wheelhouse/; carry the folder over."


if __name__ == "__main__":
    print(bundle())
