"""Make a wheelhouse: everything a machine without network needs to run a node. Run by `make bundle`.

The wheels are those of `requirements/runtime.txt`, checked against its hashes, and Trilat's own with the page built in. They fit
machines of this machine's kind: same system, processor family and Python version.
"""

from __future__ import annotations

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
  trilat-venv/bin/pip install --no-index --find-links . --require-hashes -r runtime.txt
  trilat-venv/bin/pip install --no-index --no-deps {wheel}
  trilat-venv/bin/trilat doctor
"""


def pip(*arguments: str) -> None:
    """Run pip of this environment; raises subprocess.CalledProcessError when it fails."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], cwd=ROOT, check=True)


def bundle() -> str:
    """Fill the wheelhouse and return the instructions, which also stand in its INSTALL.txt."""
    shutil.rmtree(WHEELHOUSE, ignore_errors=True)
    WHEELHOUSE.mkdir()
    lock = ROOT / "requirements" / "runtime.txt"
    pip("download", "--only-binary", ":all:", "--require-hashes", "-r", str(lock), "-d", str(WHEELHOUSE))
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(WHEELHOUSE), ".")
    shutil.copy(lock, WHEELHOUSE)
    (wheel,) = WHEELHOUSE.glob("trilat-*.whl")
    text = INSTALL.format(
        version=wheel.name.split("-")[1],
        system=platform.system(),
        machine=platform.machine(),
        python=".".join(platform.python_version_tuple()[:2]),
        wheel=wheel.name,
    )
    (WHEELHOUSE / "INSTALL.txt").write_text(text, "utf-8")
    size_mib = sum(path.stat().st_size for path in WHEELHOUSE.iterdir()) / 2**20
    return f"{text}\n{len(list(WHEELHOUSE.glob('*.whl')))} wheels, {size_mib:.0f} MiB, in wheelhouse/; carry the folder over."


if __name__ == "__main__":
    print(bundle())
