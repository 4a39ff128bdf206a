"""The node's own nats-server process: found, checked, started, and gone when the node is gone."""

import asyncio
import hashlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from nats_nodes import MODE, until

from trilat.errors import ExchangeError
from trilat.identity import keyfiles
from trilat.identity import keys as k
from trilat.node.clock import now_ns
from trilat.records.label import Mode
from trilat.transport.natsconf import Subjects, accounts_for
from trilat.transport.server import VERSION_MIN, NatsServer, _LogCounter, find_program

# A node that starts its server, says which process it is, and then does nothing.
PARENT = """
import asyncio, sys
from pathlib import Path
from trilat.identity import keyfiles
from trilat.transport.server import NatsServer
from trilat.node.clock import now_ns
from trilat.records.label import Mode

async def main(directory):
    mode = Mode(kind="exercise", id="A")
    server = NatsServer(keyfiles.load(directory / "keys", now_ns(), mode), mode, directory / "run")
    await server.start([])
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1])))
"""


def one(tmp_path: Path, port: int = 0) -> NatsServer:
    """Return a server with fresh keys and no partners."""
    held = keyfiles.create(tmp_path / "keys", "JPN", "exercise", now_ns())
    return NatsServer(held, MODE, tmp_path / "run", port=port)


def alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_program_is_found_with_version_and_hash() -> None:
    """The wheel's server is found; its version is new enough and its hash is that of its bytes."""
    program = find_program()
    assert tuple(int(part) for part in program.version.split(".")) >= VERSION_MIN
    assert program.sha256 == hashlib.sha256(program.path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("echo nats-server: v2.9.10", "server-old"),
        ("echo hello", "server-old"),
        ("exit 3", "server-missing"),
        (None, "server-missing"),
    ],
)
def test_wrong_program_has_a_name(tmp_path: Path, script: str | None, name: str) -> None:
    """An old server, something else, a program that fails and a path without one are refused by name."""
    program = tmp_path / "nats-server"
    if script is not None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    with pytest.raises(ExchangeError) as caught:
        find_program(program)
    assert caught.value.name == name


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
async def test_server_dies_with_its_node(tmp_path: Path) -> None:
    """When the node is killed outright, its server is gone too."""
    keyfiles.create(tmp_path / "keys", "JPN", "exercise", now_ns())
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(tmp_path), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert alive(pid)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await until(lambda: not alive(pid), "the server is gone")


async def test_stopped_server_is_gone(tmp_path: Path) -> None:
    """When `stop` returns there is no process, and its port is free."""
    server = one(tmp_path)
    await server.start([])
    pid = server.pid
    assert pid is not None
    await server.stop()
    assert (server.pid, alive(pid)) == (None, False)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", server.port))


async def test_port_in_use_is_said(tmp_path: Path) -> None:
    """A port that something else holds ends the start with server-start and the server's own words; nothing is left running."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        server = one(tmp_path, holder.getsockname()[1])
        with pytest.raises(ExchangeError) as caught:
            await server.start([])
    assert caught.value.name == "server-start"
    assert "address already in use" in caught.value.detail
    assert server.pid is None


async def test_run_directory_shows_no_secret(tmp_path: Path) -> None:
    """The run directory is 0700, its configuration 0600, and the TLS key is in none of its files."""
    server = one(tmp_path)
    await server.start([])
    secret = k.private_pem(server.held.secrets.server).splitlines()[1]
    files = [path for path in server.directory.iterdir() if path.is_file()]
    assert server.directory.stat().st_mode & 0o777 == 0o700
    assert (server.directory / "nats.conf").stat().st_mode & 0o777 == 0o600
    assert not any(secret in path.read_bytes() for path in files)
    await server.stop()


async def test_listens_where_it_was_told_and_nowhere_else(tmp_path: Path) -> None:
    """The server listens on one loopback socket: no monitoring, no cluster, nothing beyond."""
    server = one(tmp_path)
    await server.start([])
    listening = listening_sockets(server.pid)
    await server.stop()
    assert listening == [f"0100007F:{server.port:04X}"]


def listening_sockets(pid: int | None) -> list[str]:
    """Return the addresses (hex, as the kernel writes them) on which a process listens."""
    inodes = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    return [
        row.split()[1]
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        if row.split()[3] == "0A" and f"socket:[{row.split()[9]}]" in inodes
    ]


def test_subjects_of_two_modes_never_meet() -> None:
    """Each mode and audience has its own subjects, each one token where one is meant."""
    modes = [Mode(kind="live"), Mode(kind="exercise", id="A"), Mode(kind="exercise", id="A.b"), Mode(kind="replay", id="A")]
    subjects = {Subjects(mode, audience).pull_on("flash") for mode in modes for audience in ("JPN", "KOR")}
    assert len(subjects) == 8
    assert {subject.count(".") for subject in subjects} == {4}


def test_revoked_partner_has_no_account(tmp_path: Path) -> None:
    """A revoked pin gives no account; the others are ordered by nation."""
    made = keyfiles.provision(tmp_path, ("JPN", "KOR", "USA"), MODE, now_ns())
    held = keyfiles.load(made["JPN"].keys, now_ns(), MODE)
    pins = [keyfiles.load_partner(path) for path in made["JPN"].partners.values()]
    assert [each.audience for each in accounts_for(held, reversed(pins))] == ["KOR", "USA"]
    keyfiles.revoke_partner(made["JPN"].partners["KOR"], now_ns())
    pins = [keyfiles.load_partner(path) for path in made["JPN"].partners.values()]
    assert [each.audience for each in accounts_for(held, pins)] == ["USA"]


def test_log_is_counted_once_line_by_line(tmp_path: Path) -> None:
    """Each refusal in the log is counted once, half a line not yet, and a log begun anew from its start."""
    log = tmp_path / "log"
    counter = _LogCounter(log)
    assert counter.read() == {}
    log.write_text("[ERR] TLS handshake error: x\n[ERR] Publish Viol")
    assert counter.read() == {"nats-tls": 1}
    with log.open("a") as file:
        file.write('ation - Subject "x"\n')
    assert counter.read() == {"nats-tls": 1, "nats-permission": 1}
    log.write_text("Slow Consumer\n")
    assert counter.read() == {"nats-tls": 1, "nats-permission": 1, "nats-slow-consumer": 1}
