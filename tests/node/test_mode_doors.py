"""Exercise, Replay and Live never meet: every door between them is tried from both sides (DESIGN principle 6).

Doors tried elsewhere: keys (identity/test_keys_files), subjects (transport/test_nats_server), the account book
(accounts/test_book), labels and agreements' modes (policy/test_decide), envelopes (exchange/test_envelope).
"""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path

import msgspec
import node_worlds as worlds
import pytest
from click.testing import CliRunner

from trilat.cli import replay
from trilat.errors import TrilatError
from trilat.feeds.replay import frame
from trilat.node import setup
from trilat.node.config import mode_of
from trilat.node.inputs import FeedInput, ReceivedInput
from trilat.node.settings import NodeConfig
from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.warning import Warning
from trilat.store.sqlite import open_store

MODES = ("exercise:t1", "exercise:t2", "live", "replay:t1")
CROSSINGS = [(here, there) for here in MODES for there in MODES if here != there]
SECONDS = 7.0


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> worlds.provision.Prepared:
    return worlds.prepare(tmp_path_factory.mktemp("nodes"))["JPN"]


@pytest.fixture(scope="module")
def config(prepared: worlds.provision.Prepared) -> NodeConfig:
    return worlds.config_of(prepared)


def in_mode(config: NodeConfig, mode: str) -> NodeConfig:
    """Give the same configuration, its mode changed by hand and nothing else."""
    return msgspec.structs.replace(config, mode=mode)


def test_a_configuration_changed_by_hand_starts_nothing(config: NodeConfig) -> None:
    """An exercise's configuration, copied with its keys and its mode rewritten to live, is stopped at the keys.

    Exercise and replay share a kind of keys (Replay is treated as exercise); ids, stores and subjects keep those apart.
    """
    with pytest.raises(TrilatError) as refused:
        setup.read_identity(in_mode(config, "live"), worlds.T0_NS, None)
    assert refused.value.name == "mode-mismatch"


@pytest.mark.parametrize(("here", "there"), CROSSINGS)
def test_a_copied_store_opens_in_no_other_mode(config: NodeConfig, tmp_path: Path, here: str, there: str) -> None:
    """A store (its journal, its outboxes) made in one mode is refused by name in every other, in both directions."""
    open_store(tmp_path, "JPN", mode_of(in_mode(config, here))).close()
    with pytest.raises(TrilatError) as refused, contextlib.closing(open_store(tmp_path, "JPN", mode_of(in_mode(config, there)))):
        pass
    assert refused.value.name == "store-mode"


@cache
def said() -> tuple[FeedInput, ...]:
    """What the two radars say in some seconds."""
    every = [one for _, inputs in worlds.inputs_of("JPN", SECONDS) for one in inputs]
    return tuple(one for one in every if isinstance(one, FeedInput) and one.source in {"jpn-ridge", "jpn-strait"})


def fed(config: NodeConfig, wrap: str = "") -> tuple[int, dict[str, int]]:
    """Run a node's pipeline on its radars' bytes (the exercise's simulator); return reports taken and refusals by reason."""
    given = said()
    if wrap:
        given = tuple(msgspec.structs.replace(one, data=frame(wrap, 0, one.received_t_ns, one.data)) for one in given)
    out = worlds.pipeline_of(config).step(worlds.T0_NS + int(SECONDS * 1e9), given)
    refused: dict[str, int] = {}
    for one in out.refused:
        refused[one.reason] = refused.get(one.reason, 0) + one.count
    return sum(out.reports.values()), refused


def test_a_simulator_pointed_at_a_live_socket_makes_no_report(config: NodeConfig) -> None:
    """Every plot of a simulated radar is refused by a live node by the format's own bit; the exercise takes the same bytes."""
    taken, refused = fed(in_mode(config, "live"))
    assert (taken, set(refused)) == (0, {"simulated-on-live"})
    assert fed(config)[0] == refused["simulated-on-live"] > 10


@pytest.mark.parametrize("there", ["live", "exercise:t1", "replay:t2"])
def test_a_replay_reaches_no_other_mode(config: NodeConfig, there: str) -> None:
    """A recording (a live journal's bytes too) travels in frames that live, exercise and another replay's nodes refuse."""
    taken, refused = fed(in_mode(config, there), wrap="t1")
    assert (taken, set(refused)) == (0, {"replay-on-other-mode"})
    assert fed(in_mode(config, "replay:t1"), wrap="t1")[0] > 10


def test_bare_bytes_reach_no_replay(config: NodeConfig) -> None:
    """What a live feed says, without a replay's frame, becomes no report of a node in mode Replay."""
    taken, refused = fed(in_mode(config, "replay:t1"))
    assert (taken, len(refused)) == (0, 1)


@pytest.mark.parametrize(("here", "there"), [("live", "exercise:t1"), ("exercise:t1", "live"), ("exercise:t1", "replay:t1")])
def test_a_partners_record_of_another_mode_is_not_shown(config: NodeConfig, here: str, there: str) -> None:
    """A warning whose label is of another mode, however it got into the inbox, is counted, not shown and not passed on."""
    pipeline = worlds.pipeline_of(in_mode(config, here))
    kind, _, name = there.partition(":")
    mode = Mode(kind=kind, id=name)  # type: ignore[arg-type]
    label = Label(policy="TRILAT", originator="KOR", mode=mode, level=1, rel_to=("JPN",), topics=("air",))
    warning = Warning(
        id="KOR-W1",
        version=1,
        state="issued",
        t_ns=worlds.T0_NS,
        expires_ns=worlds.T0_NS + 600 * 10**9,
        label=label,
        pedigree=Pedigree(nation="KOR"),
        kind="missile",
        headline="of another mode",
        raised_by="officer",
    )
    given = ReceivedInput(exporter="KOR", lane="flash", epoch=1, sequence=1, record=codec.encode(warning))
    out = pipeline.step(worlds.T0_NS + worlds.STEP_NS, [given])
    assert sum(pipeline.rejected.values()) == 1
    assert not [one for one in out.warnings if getattr(one.record, "headline", "") == "of another mode"]
    assert not out.released


def test_the_command_line_sends_no_recording_to_a_live_or_exercise_node(
    prepared: worlds.provision.Prepared, tmp_path: Path
) -> None:
    """`trilat replay FILE --to CONFIG` refuses a node whose mode is not Replay, before a byte leaves."""
    recording = tmp_path / "some.jsonl"
    recording.write_text("{}\n")
    for mode in ("live", "exercise:t1"):
        path = prepared.config.with_name(f"{mode.replace(':', '-')}.toml")
        path.write_bytes(prepared.config.read_bytes().replace(b'"exercise:t1"', f'"{mode}"'.encode()))
        done = CliRunner().invoke(replay.command, [str(recording), "--to", str(path)])
        assert done.exit_code != 0
        assert isinstance(done.exception, TrilatError)
        assert f"mode is {mode!r}" in str(done.exception)
