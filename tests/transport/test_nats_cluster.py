"""An exporter on an existing cluster of three servers: one of them may die at any time."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import structs
from nats_nodes import MODE, question

from trilat.identity import keyfiles
from trilat.node.clock import now_ns
from trilat.records.envelope import Envelope
from trilat.transport.base import LinkDown
from trilat.transport.nats import NatsTransport
from trilat.transport.server import cluster_files, find_program


@asynccontextmanager
async def cluster(
    directory: Path, client_ports: list[int], route_ports: list[int]
) -> AsyncIterator[list[subprocess.Popen[bytes]]]:
    """Run three servers from the operator's files, joined by routes."""
    routes = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in route_ports)
    servers = []
    for number, (client, route) in enumerate(zip(client_ports, route_ports, strict=True)):
        config = directory / f"{number}.conf"
        config.write_text(
            f'server_name: "s{number}"\nlisten: "127.0.0.1:{client}"\nlog_file: "{directory}/{number}.log"\n'
            f'cluster {{ name: "usa", listen: "127.0.0.1:{route}", routes: [{routes}] }}\n'
            f'tls {{ cert_file: "server.crt", key_file: "server.key", ca_file: "roots.crt", verify: true, handshake_first: true }}\n'
            'include "accounts.conf"\n'
        )
        servers.append(subprocess.Popen([find_program().path, "-c", config], cwd=directory))  # noqa: ASYNC220 - starting takes no time
    try:
        yield servers
    finally:
        for server in servers:
            server.kill()
            server.wait()


async def test_losing_a_server_of_three_loses_nothing(tmp_path: Path) -> None:
    """Every request of a run gets its own answer although the server that carries it is killed in the middle."""
    made = keyfiles.provision(tmp_path, ("JPN", "USA"), MODE, now_ns())
    usa, jpn = (keyfiles.load(made[nation].keys, now_ns(), MODE) for nation in ("USA", "JPN"))
    pin_of_jpn = keyfiles.load_partner(made["USA"].partners["JPN"])
    ports = keyfiles.free_ports(6)
    cluster_files(usa, MODE, [pin_of_jpn], tmp_path / "cluster")
    addresses = tuple(f"127.0.0.1:{port}" for port in ports[:3])
    pin_of_usa = structs.replace(keyfiles.load_partner(made["JPN"].partners["USA"]), addresses=addresses)
    exporter = NatsTransport(usa, MODE, now_ns, urls=[f"tls://{each}" for each in addresses], rng=random.Random(1))
    importer = NatsTransport(jpn, MODE, now_ns, rng=random.Random(2))

    async def echo(envelope: Envelope) -> Envelope:
        return question("USA", "JPN", envelope.lane, envelope.sequence)

    async with cluster(tmp_path / "cluster", ports[:3], ports[3:]) as servers:
        await exporter.serve(echo)
        await exporter.set_partners([pin_of_jpn])
        await importer.set_partners([pin_of_usa])
        answers = []
        for number in range(300):
            if number == 150:
                client = importer._lines["USA", "flash", "import"].client
                assert client is not None
                assert client.connected_url is not None
                servers[ports.index(client.connected_url.port)].kill()
                dials = importer._lines["USA", "flash", "import"].dials
            for _ in range(100):
                try:
                    reply = await importer.request(question("JPN", "USA", sequence=number), 1)
                except LinkDown:
                    await asyncio.sleep(0.02)
                    continue
                answers.append(reply.sequence)
                break
        assert importer._lines["USA", "flash", "import"].dials > dials
        await importer.close()
        await exporter.close()
    assert answers == list(range(300))
