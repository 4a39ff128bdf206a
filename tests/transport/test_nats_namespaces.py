"""Two machines, as nearly as one can: a nation in each of two network namespaces, set up by the commands alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ADDRESSES = {"JPN": "10.77.0.1", "USA": "10.77.0.2"}
PORT = 4222

# One node: starts its server on its address and answers; the asker then calls the other, and says what came back.
NODE = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[5])
from nats_nodes import MODE, question
from trilat.identity import keyfiles
from trilat.transport.nats import NatsTransport
from trilat.transport.server import NatsServer
from trilat.node.clock import now_ns

async def main(directory, host, port, partner):
    held = keyfiles.load(directory / "keys", now_ns(), MODE)
    own = held.identity.nation
    pin = keyfiles.load_partner(directory / "keys" / "partners" / f"{partner}.toml")
    server = NatsServer(held, MODE, directory / "run", host, port)
    await server.start([pin])
    transport = NatsTransport(held, MODE, now_ns, server)
    async def echo(envelope):
        return question(own, envelope.sender, envelope.lane, envelope.sequence)
    await transport.serve(echo)
    await transport.set_partners([pin])
    reply = await transport.request(question(own, partner, "flash", 7), 20)
    print(own, "heard", reply.sender, reply.sequence, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await transport.close()
    await server.stop()

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))
"""


def ip(*arguments: str) -> None:
    """Run iproute2."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def namespaces() -> Iterator[dict[str, list[str]]]:
    """Two namespaces joined by a veth pair, as command prefixes; removed afterwards."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2 (apt install iproute2)")
    names = {nation: f"trilat-{os.getpid()}-{nation.lower()}" for nation in ADDRESSES}
    try:
        for name in names.values():
            ip("netns", "add", name)
        first, second = names.values()
        ip("link", "add", "tri0", "netns", first, "type", "veth", "peer", "name", "tri0", "netns", second)
        for nation, name in names.items():
            ip("-n", name, "addr", "add", f"{ADDRESSES[nation]}/24", "dev", "tri0")
            ip("-n", name, "link", "set", "tri0", "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        pytest.skip(f"no network namespaces here: {error.stderr!r}")
    yield {nation: ["ip", "netns", "exec", name] for nation, name in names.items()}
    for name in names.values():
        ip("netns", "del", name)


def test_two_machines_exchange_invites_and_then_envelopes(tmp_path: Path, namespaces: dict[str, list[str]]) -> None:
    """Keys, invites and acceptances by the commands in each namespace; then each node asks the other and is answered."""
    script = tmp_path / "node.py"
    script.write_text(NODE)
    command = [str(Path(sys.executable).with_name("trilat"))]
    for nation, prefix in namespaces.items():
        new = ["keys", "new", str(tmp_path / nation / "keys"), "--nation", nation, "--use", "exercise"]
        subprocess.run([*prefix, *command, *new], check=True, capture_output=True)
    for nation, other in (("JPN", "USA"), ("USA", "JPN")):
        file = tmp_path / f"{nation}.txt"
        address = f"{ADDRESSES[nation]}:{PORT}"
        invite = ["partner", "invite", str(tmp_path / nation / "keys"), other, "--address", address, "--out", str(file)]
        said = subprocess.run([*namespaces[nation], *command, *invite], check=True, capture_output=True, text=True).stdout
        accept = ["partner", "accept", str(tmp_path / other / "keys"), str(file), "--fingerprint", said.split("\n\n")[1]]
        subprocess.run([*namespaces[other], *command, *accept], check=True, capture_output=True)
    nodes = [
        subprocess.Popen(
            [*prefix, sys.executable, script, tmp_path / nation, ADDRESSES[nation], str(PORT), other, Path(__file__).parent],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for (nation, prefix), other in zip(namespaces.items(), ("USA", "JPN"), strict=True)
    ]
    try:
        heard = [node.stdout.readline().strip() for node in nodes if node.stdout]
        assert heard == ["JPN heard USA 7", "USA heard JPN 7"]
    finally:
        for node in nodes:
            node.communicate("", timeout=20)
    assert [node.returncode for node in nodes] == [0, 0]
