"""Write `requirements/*.txt`: exact versions with the sha256 of every file the public index has for them, and no address.

Run by `make lock`; `tools/lock.py NAME` writes one; what is pinned stays so without `--upgrade`. Needs the network and pip-tools;
nothing else in the project does. Whatever mirrors or local folders this machine's pip is configured with are left aside, so that
the locks are valid anywhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
HEADER = "# {what} Written by `make lock`; do not edit.\n"
OPTIONS = (
    "--generate-hashes",
    "--allow-unsafe",
    "--no-annotate",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-emit-trusted-host",
    "--no-emit-options",
    "--strip-extras",
    "--quiet",
)
UPGRADE = "--upgrade" in sys.argv
# What a lock may hold: `name==version` with an optional marker, and hashes.
ADDRESS = re.compile(r"://|^--(?!hash)|\bfile:|@ ", re.MULTILINE)


def inputs() -> dict[str, tuple[str, list[str], tuple[str, ...]]]:
    """Return for each lock: what it is, its requirements, and the locks it must agree with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    build = [line for line in (LOCKS / "build.in").read_text("utf-8").splitlines() if not line.startswith("#")]
    return {
        "build": ("What builds the project.", build, ()),
        "runtime": ("What a node runs on.", project["project"]["dependencies"], ("build",)),
        "dev": ("What the checks and tests use.", project["dependency-groups"]["dev"], ("build", "runtime")),
        "compare": (
            "What benchmarks and oracle tests compare with.",
            project["project"]["optional-dependencies"]["compare"],
            ("build", "runtime", "dev"),
        ),
    }


def lock(name: str, what: str, requirements: list[str], agree_with: tuple[str, ...]) -> None:
    """Resolve one set of requirements against the public index and write its lock; raises SystemExit when that fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_") or key == "PIP_CERT"}
    environment["PIP_CONFIG_FILE"] = os.devnull
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{name}.in"
        constraints = [f"-c {LOCKS / other}.txt" for other in agree_with]
        source.write_text("\n".join([*requirements, *constraints]) + "\n", "utf-8")
        result = Path(folder) / f"{name}.txt"
        if (LOCKS / result.name).exists() and not UPGRADE:
            shutil.copy(LOCKS / result.name, result)  # pip-tools keeps what is pinned there
        command = [sys.executable, "-m", "piptools", "compile", *OPTIONS, "--output-file", str(result), str(source)]
        if subprocess.run(command, env=environment, check=False).returncode != 0:
            sys.exit(f"lock {name}: pip-tools failed (pip install pip-tools, and is the index reachable?)")
        lines = result.read_text("utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if line.strip() and not line.startswith("#"))
    if found := ADDRESS.search(text):
        sys.exit(f"lock {name}: holds an address or option: {found.group()!r}")
    (LOCKS / f"{name}.txt").write_text(HEADER.format(what=what) + text, "utf-8")
    print(f"requirements/{name}.txt: {text.count('==')} packages")


if __name__ == "__main__":
    for name, (what, requirements, agree_with) in inputs().items():
        if name in sys.argv or not set(sys.argv[1:]) - {"--upgrade"}:
            lock(name, what, requirements, agree_with)
