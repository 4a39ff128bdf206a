"""What every test folder shares: where recordings are, a browser, seeds, and each folder's share of the time."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from playwright.async_api import Browser

TESTS = Path(__file__).parent
# Modules of vectors and oracles stand beside the tests that use them; importlib mode asks for them to be on the path.
sys.path[:0] = [str(folder) for folder in sorted(TESTS.iterdir()) if folder.is_dir() and not folder.name.startswith((".", "_"))]

# Real recordings lie beside the repository, not in it; each folder there has a PROVENANCE.md.
DATA = Path(os.environ.get("TEST_DATA", TESTS.parents[1] / "shared" / "data"))

# What each folder may take of `make test` on two cores. Printed at the end with what it took; a folder that takes more than its
# seconds makes the run red, so that the whole stays within minutes. Generous: a slower machine must not fail.
FOLDER_SECONDS_MAX = {
    "house": 240,
    "property": 120,
    "simulation": 600,
    "authority": 60,
    "exchange": 180,
    "faults": 240,
    "policy": 500,
    "accounts": 240,
    "store": 180,
    "flights": 240,
    "transport": 240,
    "marking": 90,
    "noninterference": 900,
    "feeds": 180,
    "track": 240,
    "fuse": 180,
    "joint": 240,
    "examples": 180,
    "kernels": 180,
    "picture": 600,
    "node": 600,
    "lessons": 180,
    "warn": 180,
    "exercise": 180,
    "benchmarks": 400,
}
FOLDER_SECONDS_MAX_DEFAULT = 90
# Slow machines stretch every bound by this factor.
STRETCH = float(os.environ.get("TEST_STRETCH", "1"))

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# What hypothesis may hold against a busy machine is not a fault of ours: no deadline, no complaint about slow drawing.
# In CI the examples are the same each time, so that red means the change; at a desk they are drawn anew.
hypothesis.settings.register_profile(
    "trilat",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
hypothesis.settings.load_profile("trilat")

# Files whose tests run whole nodes as processes, or browsers on them: side by side they would starve one another of two cores,
# so one worker has them all. They and the longest files go first, so that no worker ends alone with one.
LIVE_FILES = (
    "test_live",
    "test_live_catch_up",
    "test_bad_start",
    "test_demo",
    "test_real_nodes",
    "test_page",
    "test_page_launch",
    "test_page_people",
    "test_page_warning",
    "node/test_hub",
)
LIVE_FOLDERS = ("faults",)
LONG_FILES = (
    *("test_simulate", "test_tiny", "test_whole_nodes", "test_pairs", "test_rehearsal", "test_page_release", "test_decide"),
    *("test_launch", "test_cedar", "test_warning_benchmark", "test_restart_in_flight", "test_assess", "test_asterix"),
    *("test_history", "test_ticks", "test_plants", "test_coarse_attacks", "test_nats_hostile", "test_nats_revoke"),
)
LIVE = "live"


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of its types
    """Gives a worker a whole file at a time, and all live files to one: what a file's tests share is made once.

    (xdist's own groups need a suffix of the test's name, which pytest 9.2 no longer lets it write: they silently do nothing.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)  # without xdist nobody asks
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Let xdist go by file."""
    return ByFile(config, log)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: what a test makes (a gzip header holds the clock) differs between workers, and xdist stops."""
    return argname if isinstance(val, bytes | bytearray) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest begin first."""
    order = {stem: k for k, stem in enumerate(LONG_FILES)}
    items.sort(key=lambda item: (not is_live(item.path), order.get(item.path.stem, len(order))))


# So many new objects between two rounds of the collector of garbage; Python's own 700 took a twentieth of the time of most tests.
GC_OBJECTS = 10_000


def pytest_collection_finish() -> None:
    """Spare the collector of garbage what was imported and collected: it stays to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)


def scope_of(nodeid: str) -> str:
    """Return what one worker is to run whole: the test's file, or all live files."""
    path = Path(nodeid.split("::", maxsplit=1)[0])
    return LIVE if is_live(path) else str(path)


def split_scopes() -> list[str]:
    """Return what more than one worker had a part of, although one was to run it whole."""
    return [scope for scope, workers in _workers.items() if len(workers) > 1]


def is_live(path: Path) -> bool:
    """Tell whether a test file runs whole nodes."""
    return path.stem in LIVE_FILES or f"{path.parent.name}/{path.stem}" in LIVE_FILES or path.parent.name in LIVE_FOLDERS


_seconds: dict[str, float] = {}
_core: list[float] = [1.0]  # how much of one core a worker has
_workers: dict[str, set[str]] = {}  # who ran what belongs together; more than one: going by file has stopped to work


def pytest_configure(config: pytest.Config) -> None:
    """Note how much of a core each worker has: what a test takes beside more workers than cores counts for as much less."""
    workers = getattr(config.option, "numprocesses", None) or 1
    _core[0] = min(1.0, (os.cpu_count() or 1) / workers)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add what a test took (with its fixtures) to its folder."""
    parts = Path(report.nodeid.split("::")[0]).parts
    folder = parts[1] if len(parts) > 2 else "."
    _seconds[folder] = _seconds.get(folder, 0.0) + report.duration * _core[0]
    _workers.setdefault(scope_of(report.nodeid), set()).add(getattr(report, "worker_id", ""))


def slow_folders() -> list[str]:
    """Return the folders that took more than their share."""
    return [folder for folder, seconds in _seconds.items() if seconds > seconds_max(folder)]


def seconds_max(folder: str) -> float:
    """Return what a folder may take."""
    return FOLDER_SECONDS_MAX.get(folder, FOLDER_SECONDS_MAX_DEFAULT) * STRETCH


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each folder's share of the time."""
    total = sum(_seconds.values())
    if total == 0:
        return
    terminalreporter.section("share of time")
    for folder, seconds in sorted(_seconds.items(), key=lambda item: -item[1]):
        mark = "  TOO LONG" if folder in slow_folders() else ""
        line = f"{folder:<12} {seconds:7.1f} s  {seconds / total:4.0%}  of at most {seconds_max(folder):.0f} s{mark}"
        terminalreporter.write_line(line)
    for scope in split_scopes():
        terminalreporter.write_line(f"{scope}: more than one worker ran parts of it (run with --dist loadscope)")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn a green run red when a folder took more than its share, or what belongs together was split."""
    if exitstatus == 0 and (slow_folders() or split_scopes()) and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Give the folder of real recordings; the test is skipped where there is none."""
    if not DATA.is_dir():
        pytest.skip("no recordings: put them beside the repository, or name their folder in TEST_DATA")
    return DATA


def chromium_program() -> str | None:
    """Return the system's Chromium, None where there is none."""
    return next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """Give a headless Chromium; the test is skipped, with the reason, where there is none. Mark such tests `chromium`."""
    program = chromium_program()
    if program is None:
        pytest.skip("no Chromium: as root, `make test` installs it with apt; elsewhere install a chromium package")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, headless=True, args=list(CHROMIUM_FLAGS))
        yield browser
        await browser.close()
