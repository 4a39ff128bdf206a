"""The tree itself: it holds nothing of the machine it was made on, of a person, or of a registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
from tree import PAGE, ROOT, files, listed, name_of, text_of

from trilat.kernels.warm import FAMILIES

MACHINE_PATHS = re.compile(r"(?<![\w.~:/-])/(home|root|work|Users|opt|mnt)/[\w.]")
# Put together here, so that this file does not find itself.
REGISTRIES = re.compile(
    "|".join(("pypi" + r"\.org", "python" + "hosted", "registry" + r"\.npmjs", "npm" + r"pkg\.", "find" + "-links"))
)
MAIL = re.compile(r"[\w.+-]+@(?!example\.)[\w-]+\.(com|org|net|io|dev|mil|gov)\b")
# Where an address in the code of a command that has to name one is right: the offline bundle's own instructions.
REGISTRY_EXCEPTIONS = {"tools/bundle.py", "tools/lock.py"}


def findings(pattern: re.Pattern[str], why: str, skip: frozenset[str] | set[str] = frozenset()) -> list[str]:
    """Return each line of the tree that a pattern finds, with the reason why it must go."""
    return [
        f"{name_of(path)}:{number}: {why}: {found.group()!r}"
        for path in files()
        if name_of(path) not in skip and text_of(path) is not None
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if (found := pattern.search(line))
    ]


def test_no_machine_paths() -> None:
    """No file names a folder of somebody's machine."""
    assert [] == (bad := findings(MACHINE_PATHS, "a path of one machine")), listed(bad)


def test_no_registry_addresses() -> None:
    """No file names a package registry: locks hold versions and hashes only."""
    assert [] == (bad := findings(REGISTRIES, "an address of a registry", REGISTRY_EXCEPTIONS)), listed(bad)


def test_no_mail_addresses() -> None:
    """No file holds a person's mail address."""
    assert [] == (bad := findings(MAIL, "a mail address")), listed(bad)


def test_nobody_is_named() -> None:
    """The project's metadata names no author or maintainer."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set() == {"authors", "maintainers"} & set(project)


LOCKS = ("build", "runtime", "dev", "compare")
LOCK_LINE = re.compile(r"#.*|[a-z0-9.-]+==[\w.+!]+( ; [^\\]+)?( \\)?|    --hash=sha256:[0-9a-f]{64}( \\)?")


def test_locks_hold_names_versions_and_hashes_only() -> None:
    """A requirements lock has no option, address or path: only `name==version` and sha256 hashes."""
    bad = [
        f"requirements/{lock}.txt:{number}: {line[:100]}"
        for lock in LOCKS
        for number, line in enumerate((ROOT / "requirements" / f"{lock}.txt").read_text("utf-8").splitlines(), 1)
        if not LOCK_LINE.fullmatch(line)
    ]
    assert [] == bad, listed(bad)


def locked(*locks: str) -> set[str]:
    """Return the names that locks hold."""
    return {
        found.group(1)
        for lock in locks
        for line in (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8").splitlines()
        if (found := re.match(r"([a-z0-9.-]+)==", line))
    }


def test_locks_hold_what_the_project_asks_for() -> None:
    """Everything pyproject.toml asks for is in a lock, and the runtime needs nothing of the development locks."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=!~; ]", each)[0].lower().replace("_", "-") for each in requirements}

    missing = [f"runtime.txt lacks {name}: make lock" for name in names(data["project"]["dependencies"]) - locked("runtime")]
    missing += [f"dev.txt lacks {name}: make lock" for name in names(data["dependency-groups"]["dev"]) - locked("dev", "runtime")]
    missing += [
        f"compare.txt lacks {name}: make lock"
        for name in names(data["project"]["optional-dependencies"]["compare"]) - locked("compare", "dev", "runtime")
    ]
    assert [] == missing, listed(missing)


def page_locks() -> list[Path]:
    """Return the npm lock files of the tree."""
    return [path for path in files() if path.name == "package-lock.json"]


def test_the_pages_lock_names_no_registry() -> None:
    """The npm lock has versions and hashes but no `resolved` address (npm's omit-lockfile-registry-resolved)."""
    bad = [
        f"{name_of(path)}: {name} has 'resolved': run npm with omit-lockfile-registry-resolved=true"
        for path in page_locks()
        for name, entry in msgspec.json.decode(path.read_bytes())["packages"].items()
        if "resolved" in entry
    ]
    assert [] == bad, listed(bad)


def test_the_pages_lock_has_hashes() -> None:
    """Every package of the npm lock is held by its hash."""
    bad = [
        f"{name_of(path)}: {name} has no integrity"
        for path in page_locks()
        for name, entry in msgspec.json.decode(path.read_bytes())["packages"].items()
        if name and not entry.get("link") and "integrity" not in entry
    ]
    assert [] == bad, listed(bad)


def test_the_page_asks_nobody_outside() -> None:
    """The page loads nothing from the network: it works where only the node can be reached."""
    address = re.compile(r"https?://(?!(127\.0\.0\.1|localhost|www\.w3\.org/(2000|1999)|\[::1\]))")
    bad = [
        f"{name_of(path)}:{number}: {line.strip()[:100]}"
        for path in files()
        if PAGE in path.parents and path.suffix in {".ts", ".tsx", ".css", ".html"}
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if address.search(line)
    ]
    assert [] == bad, listed(bad)


LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(#[^)]*)?\)")


def test_links_between_pages_hold() -> None:
    """Every relative link in a page of the tree leads to a file or folder that is there."""
    bad = [
        f"{name_of(path)}: {found.group(1)}"
        for path in files()
        if path.suffix == ".md"
        for found in LINK.finditer(text_of(path) or "")
        if not (path.parent / found.group(1)).exists()
    ]
    assert [] == bad, listed(bad)


def test_setup_warms_every_family_of_kernels() -> None:
    """What `make setup` leaves out is compiled when it is first called: in a node, at the launch that it should warn of."""
    recipe = next(line for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if "trilat.kernels.warm" in line)
    assert set(FAMILIES) <= set(recipe.split())
