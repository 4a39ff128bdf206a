"""`trilat doctor`: it finds what is wrong, names it, says how to mend it, and is green where all is well."""

from __future__ import annotations

import hashlib
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import node_worlds as worlds
import pytest
from click.testing import CliRunner

from trilat import errors
from trilat.cli import checks, main
from trilat.cli.checks import Finding
from trilat.identity import keyfiles
from trilat.node import setup
from trilat.node.clock import now_ns
from trilat.node.config import load
from trilat.node.settings import FeedSettings
from trilat.policy.agreement import Agreement, Agreements, Validity

CONFIG = """
nation = "JPN"
mode = "exercise:e1"
name = "jpn-1"
directory = "store"
keys = "keys"
[page]
port = {port}
"""


def findings(*arguments: str) -> tuple[int, list[Finding]]:
    """Run `trilat doctor --json`; return the exit code and what it found."""
    result = CliRunner().invoke(main, ["doctor", "--json", *arguments])
    return result.exit_code, [msgspec.json.decode(line, type=Finding) for line in result.stdout.splitlines()]


def configured(folder: Path, port: int = 0) -> Path:
    """Write a configuration with keys that fit it."""
    keyfiles.create(folder / "keys", "JPN", "exercise", now_ns())
    path = folder / "node.toml"
    path.write_text(CONFIG.format(port=port), "utf-8")
    return path


def of(found: list[Finding], check: str) -> list[Finding]:
    """Return the findings of one check."""
    return [finding for finding in found if finding.check == check]


def test_a_good_configuration_is_well(tmp_path: Path) -> None:
    """With a good configuration, keys and free ports, nothing of the node's own is wrong."""
    _, found = findings("--config", str(configured(tmp_path)))
    states = {finding.state for check in ("config", "keys", "server", "port") for finding in of(found, check)}
    assert {"ok"} == states


def test_a_missing_configuration_is_named() -> None:
    """A configuration that is not there is bad, with its code and the remedy, and the machine is looked at all the same."""
    code, found = findings("--config", "no-such-file.toml")
    (config,) = of(found, "config")
    assert (1, "bad", "TRI-0801", True) == (code, config.state, config.code, len(found) > 4)


FEED = """
[[sensor]]
id = "JPN/ridge"
kind = "radar2d"
[[feed]]
name = "ridge"
format = "asterix"
url = "{url}"
sensors = ["JPN/ridge"]
editions = {{ "048" = "{edition}" }}
"""


@pytest.mark.parametrize(
    ("url", "edition", "code"),
    [
        ("udp://127.0.0.1:99999", "1.31", "TRI-0104"),
        ("udp://[::1", "1.31", "TRI-0104"),
        ("udp://192.0.2.1:8600", "1.31", "TRI-0104"),
        ("udp://127.0.0.1:0", "7.7", "TRI-0140"),
    ],
)
def test_a_feed_that_would_not_open_is_bad_for_the_doctor_and_for_check(
    tmp_path: Path, url: str, edition: str, code: str
) -> None:
    """An address or edition that stops the start is found by `trilat doctor` and `trilat node --check` beforehand."""
    path = configured(tmp_path)
    path.write_text(path.read_text("utf-8") + FEED.format(url=url, edition=edition), "utf-8")

    ended, found = findings("--config", str(path))
    checked = CliRunner().invoke(main, ["node", str(path), "--check"])

    assert (1, True) == (ended, any(one.state == "bad" and code in one.says for one in of(found, "config")))
    assert (1, True) == (checked.exit_code, code in checked.stderr)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    """A node without keys is bad, and the remedy names the command that makes them."""
    path = tmp_path / "node.toml"
    path.write_text(CONFIG.format(port=0), "utf-8")
    code, found = findings("--config", str(path))
    (keys,) = of(found, "keys")
    assert (1, "bad", True) == (code, keys.state, "trilat keys new" in keys.remedy)


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """A port that something else holds is bad, and named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, found = findings("--config", str(configured(tmp_path, port)))
    (held,) = of(found, "port")
    assert (1, "bad", True) == (code, held.state, str(port) in held.says)


def test_the_server_is_the_one_its_package_recorded() -> None:
    """The installed nats-server's sha256 is found, and is the one recorded by its package."""
    finding = checks.server(None)
    assert ("ok", True) == (finding.state, str(checks.recorded_sha256()) in finding.says)


def test_a_server_that_is_not_there_is_bad(tmp_path: Path) -> None:
    """A server named in the configuration that does not exist is bad."""
    assert ("bad", "TRI-0806") == ((found := checks.server(str(tmp_path / "none"))).state, found.code)


def test_a_folder_that_cannot_be_written_is_bad() -> None:
    """A disk on which nothing can be written is bad."""
    unwritable = Path("/proc")
    if not unwritable.is_dir():
        pytest.skip("this system has no folder that nobody can write to")
    assert ("bad", "TRI-0805") == ((found := checks.disk(unwritable / "store")).state, found.code)


def test_a_disk_states_its_sync_times(tmp_path: Path) -> None:
    """The disk's finding holds the median and the 99th percentile of a synced write."""
    assert all(word in checks.disk(tmp_path / "not" / "yet").says for word in ("fsync p50", "p99", "GiB free"))


def test_a_disk_that_feeds_may_fill_is_warned_of(tmp_path: Path) -> None:
    """Where feeds and outboxes may come to more than the whole disk, the doctor says so, and what to lower."""
    feed = FeedSettings(name="a", format="ais", url="udp://127.0.0.1:0", sensors=("s",))
    config = msgspec.structs.replace(load(configured(tmp_path, 0)), feed=(feed, feed))
    assert 2 * 31 * config.store.feed_bytes_per_day_max == checks.most_bytes(config)
    found = checks.disk(tmp_path, 1 << 60)
    assert ("warn", True) == (found.state, "feed_bytes_per_day_max" in found.says)
    assert "feeds and outboxes may come to" not in checks.disk(tmp_path, 1 << 20).says


def test_a_cold_cache_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty numba cache is a warning with the command that fills it; a filled one is well."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cold = checks.kernels()
    (tmp_path / "kernel.nbi").touch()
    assert ("warn", True, "ok") == (cold.state, "trilat.kernels.warm" in cold.remedy, checks.kernels().state)


def test_kernels_older_than_their_source_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that were compiled before their source changed are a warning that names them; the demo compiles them first."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for name in ("engine.step-1.py311.nbi", "engine.old-9.py311.nbi", "gate.near-1.py311.nbi"):
        (tmp_path / name).touch()
    os.utime(tmp_path / "gate.near-1.py311.nbi", (1, 1))
    os.utime(tmp_path / "engine.old-9.py311.nbi", (1, 1))  # of a function that is not there any more

    stale = checks.kernels()

    assert ("warn", True, False) == (stale.state, "gate" in stale.says, "engine" in stale.says)


def test_every_fault_has_a_code_and_a_remedy() -> None:
    """Each code of doctor's range is a finding that `fault` can make, with its remedy."""
    names = [entry["name"] for code, entry in errors.codes().items() if code.startswith("TRI-080")]
    made = [checks.fault(name, "warn", "x.") for name in names]
    assert [(errors.code_of(name), True) for name in names] == [(finding.code, bool(finding.remedy)) for finding in made]


def test_agreements_are_read_as_a_node_would(tmp_path: Path) -> None:
    """A sound agreement is well, a suspended one is said to be, one that has ended or contradicts is warned of, a forged one is bad."""
    configs = {nation: load(one.config) for nation, one in worlds.prepare(tmp_path, now=True).items()}
    config = configs["JPN"]
    sound = list(checks.agreements(config))
    assert ["ok"] * len(config.agreements) == [one.state for one in sound]
    stopped = list(checks.agreements(msgspec.structs.replace(config, suspended=("trilateral",))))
    assert ["trilateral/1: suspended, all that it governs is withheld"] == [
        one.says for one in stopped if "suspended" in one.says
    ]
    assert ["none: nothing leaves this node"] == [
        one.says for one in checks.agreements(msgspec.structs.replace(config, agreements=()))
    ]

    signed = Path(config.agreements[0])
    signed.write_bytes(signed.read_bytes() + b"# more")
    (bad,) = checks.agreements(config)
    assert ("bad", "TRI-0810", True) == (bad.state, bad.code, "TRI-0314" in bad.says)


def test_agreements_out_of_their_dates_or_at_odds_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agreement that has ended, or has yet to begin, and two that differ are each a warning with the facts."""
    config = load(worlds.prepare(tmp_path, now=True)["JPN"].config)
    first = setup.read_agreements(config).agreements[0]

    def of_years(name: str, begins: int, ends: int) -> Agreement:
        years = Validity(not_before=datetime(begins, 1, 1, tzinfo=UTC), expires=datetime(ends, 1, 1, tzinfo=UTC))
        return msgspec.structs.replace(first, id=name, validity=years, yields_to=())

    held = Agreements(agreements=(of_years("past", 2020, 2021), of_years("future", 2090, 2091)))
    monkeypatch.setattr(setup, "read_agreements", lambda _: held)
    said = [(one.state, one.says.partition("another. ")[2]) for one in checks.agreements(config)]
    assert [
        ("warn", "past/1 ended at 2021-01-01T00:00:00+00:00."),
        ("warn", "future/1 begins at 2090-01-01T00:00:00+00:00."),
    ] == said
    other = msgspec.structs.replace(of_years("other", 2020, 2099), purposes=("exercise",))
    held = Agreements(agreements=(of_years("one", 2020, 2099), other))
    assert any(one.state == "warn" and "different purposes" in one.says for one in checks.agreements(config))


def test_people_read_marks_and_remedies(tmp_path: Path) -> None:
    """Without --json each finding is a line with its mark, and a fault is followed by what to do."""
    result = CliRunner().invoke(main, ["doctor", "--config", str(tmp_path / "none.toml")])
    first, second, *_ = result.stdout.splitlines()
    assert (True, True) == (first.startswith("BAD  config   TRI-0801"), "docs/reference/settings.md" in second)


def test_the_digest_is_of_the_bytes() -> None:
    """The sha256 that doctor states is that of the program's bytes."""
    from trilat.transport.server import find_program

    program = find_program()
    assert hashlib.sha256(program.path.read_bytes()).hexdigest() == program.sha256
