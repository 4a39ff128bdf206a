"""`trilat node` that cannot start: one named error with its remedy, exit code 1, and nothing left running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import node_worlds as worlds
import pytest

from trilat.errors import code_of
from trilat.node.config import mode_of
from trilat.policy import signing
from trilat.records.label import Mode
from trilat.store.sqlite import FILE_NAME, open_store

ENDS_S_MAX = 60.0  # a node that does not end by itself hangs


class Home(NamedTuple):
    """One node's prepared files, and what a test holds open meanwhile."""

    prepared: worlds.provision.Prepared
    held: contextlib.ExitStack

    @property
    def store(self) -> Path:
        """Where its store will be."""
        return self.prepared.directory / "store"

    def change(self, edit: Callable[[dict[str, Any]], object]) -> None:
        """Change the configuration file."""
        config = msgspec.toml.decode(self.prepared.config.read_bytes())
        edit(config)
        self.prepared.config.write_bytes(msgspec.toml.encode(config))

    def file(self, name: str) -> Path:
        """Return a file of the prepared exercise, relative to where all of it lies."""
        return self.prepared.config.parents[1] / name


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with contextlib.ExitStack() as held:
        yield Home(worlds.prepare(tmp_path, now=True)["JPN"], held)


def page_port_in_use(home: Home) -> None:
    port = _taken(home, socket.SOCK_STREAM)
    home.change(lambda config: config["page"].update(port=port))


def exchange_port_in_use(home: Home) -> None:
    port = _taken(home, socket.SOCK_STREAM)
    home.change(lambda config: config["exchange"].update(listen_port=port))


def feed_port_in_use(home: Home) -> None:
    port = _taken(home, socket.SOCK_DGRAM)
    home.change(lambda config: config["feed"][0].update(url=f"udp://127.0.0.1:{port}"))


def _taken(home: Home, kind: socket.SocketKind) -> int:
    held = home.held.enter_context(socket.socket(socket.AF_INET, kind))
    held.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        held.listen()
    return int(held.getsockname()[1])


def key_file_missing(home: Home) -> None:
    home.file("JPN/keys/node.key").unlink()


def key_file_exposed(home: Home) -> None:
    home.file("JPN/keys/node.key").chmod(0o644)


def key_file_damaged(home: Home) -> None:
    home.file("JPN/keys/node.key").write_bytes(b"\x93 not a key")


def keys_of_another_nation(home: Home) -> None:
    home.change(lambda config: config.update(keys=str(home.file("KOR/keys"))))


def partner_file_missing(home: Home) -> None:
    home.file("JPN/keys/partners/USA.toml").unlink()


def store_is_no_directory(home: Home) -> None:
    home.prepared.directory.mkdir(mode=0o700, exist_ok=True)
    home.store.write_bytes(b"")


def store_is_garbage(home: Home) -> None:
    home.store.mkdir(parents=True, mode=0o700)
    (home.store / FILE_NAME).write_bytes(b"no database at all" * 1_000)


def store_of_another_mode(home: Home) -> None:
    open_store(home.store, "JPN", Mode(kind="exercise", id="another")).close()


def store_of_another_nation(home: Home) -> None:
    open_store(home.store, "KOR", worlds.MODE).close()


def store_of_a_running_node(home: Home) -> None:
    home.held.enter_context(contextlib.closing(open_store(home.store, "JPN", mode_of(worlds.config_of(home.prepared)))))


def unknown_key(home: Home) -> None:
    home.change(lambda config: config.update(colour="blue"))


def no_mode(home: Home) -> None:
    home.change(lambda config: config.pop("mode"))


def config_missing(home: Home) -> None:
    home.prepared.config.unlink()


def agreement_unsigned(home: Home) -> None:
    home.file("agreements/trilateral.sig.json").unlink()


def agreement_half_signed(home: Home) -> None:
    path = home.file("agreements/trilateral.sig.json")
    signatures = signing.read_signatures(path.read_bytes())
    path.write_bytes(signing.write_signatures({nation: one for nation, one in signatures.items() if nation != "KOR"}))


def agreement_forged(home: Home) -> None:
    path = home.file("agreements/trilateral.toml")
    path.write_bytes(path.read_bytes() + b"\n# one more line\n")


def agreement_unknown_suspended(home: Home) -> None:
    path = home.prepared.config
    path.write_text('suspended = ["trilatral"]\n' + path.read_text())


CASES: tuple[tuple[Callable[[Home], None], str], ...] = (
    (page_port_in_use, "port-in-use"),
    (exchange_port_in_use, "server-start"),
    (feed_port_in_use, "feed-address"),
    (key_file_missing, "keys-missing"),
    (key_file_exposed, "keys-exposed"),
    (key_file_damaged, "keys-damaged"),
    (keys_of_another_nation, "config-value"),
    (partner_file_missing, "partner-unknown"),
    (store_is_no_directory, "store-unreadable"),
    (store_is_garbage, "store-corrupt"),
    (store_of_another_mode, "store-mode"),
    (store_of_another_nation, "store-nation"),
    (store_of_a_running_node, "store-locked"),
    (unknown_key, "config-value"),
    (no_mode, "mode-missing"),
    (config_missing, "config-unreadable"),
    (agreement_unsigned, "agreement-unsigned"),
    (agreement_half_signed, "agreement-half-signed"),
    (agreement_forged, "agreement-forged"),
    (agreement_unknown_suspended, "suspended-unknown"),
)


@pytest.mark.parametrize(("spoil", "name"), CASES, ids=lambda one: getattr(one, "__name__", None))
async def test_node_that_cannot_start_says_why_and_ends(home: Home, spoil: Callable[[Home], None], name: str) -> None:
    """The node exits 1 with one named error and what to do; nothing that it started runs on."""
    spoil(home)
    code, said = await node(home.prepared.config)

    assert code == 1, said
    assert [line for line in said.splitlines() if line.startswith("trilat: TRI-")] == [
        line for line in said.splitlines() if line.startswith(f"trilat: {code_of(name)} ")
    ], said
    assert said.count("What to do: ") == 1, said
    assert "Traceback" not in said
    assert running_in(home.file("")) == []


async def test_a_refused_agreement_is_in_the_log(home: Home) -> None:
    """The start that a forged agreement ended is an entry of the node's hash-chained log: what was refused, and why."""
    agreement_forged(home)
    await node(home.prepared.config)
    store = open_store(home.store, "JPN", worlds.MODE)
    told = [msgspec.msgpack.decode(one.data) for one in store.journal.read(kinds=frozenset({"refused"}))]
    store.close()
    assert [(one["what"], one["reason"]) for one in told] == [("agreements", "agreement-forged")]


async def test_environment_can_spoil_a_start_too(home: Home) -> None:
    """An unknown variable TRILAT_... is refused as an unknown key is, by name."""
    code, said = await node(home.prepared.config, TRILAT_COLOUR="blue")

    assert (1, True) == (code, "colour" in said and code_of("config-value") in said)


async def test_a_node_whose_parent_is_gone_already_ends(home: Home) -> None:
    """A node that is to end with its parent ends, too, when that parent was gone before it could ask the kernel."""
    code, _ = await node(home.prepared.config, TRILAT_DIE_WITH_PARENT="1")  # not the process that starts it

    assert (1, False, []) == (code, home.store.exists(), running_in(home.file("")))


async def node(config: Path, **environ: str) -> tuple[int | None, str]:
    """Run `trilat node CONFIG` to its end; return its exit code and what it said."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("TRILAT_")} | environ
    command = (sys.executable, "-c", "from trilat.cli import main; main()", "node", str(config))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=given)
    try:
        said, _ = await asyncio.wait_for(process.communicate(), ENDS_S_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode, said.decode()


def running_in(directory: Path) -> list[str]:
    """Return the command lines of processes that name a directory."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return [line for line in lines if str(directory) in line]
