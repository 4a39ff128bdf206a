"""Partners gone bad: what they try is refused, counted and harmless; and the probe that says so would notice a leak."""

import asyncio
import contextlib
import os
import socket
import ssl
from pathlib import Path

import nats.errors
import pytest
from nats.aio.client import Client
from nats_nodes import MODE, TestNode, question, raw_client, running, until

from trilat.identity import keyfiles, keys
from trilat.node.clock import now_ns
from trilat.transport.envelope import pack
from trilat.transport.nats import PARKED_MAX
from trilat.transport.natsconf import ACCOUNT_CONNECTIONS_MAX, PAYLOAD_BYTES_MAX, PENDING_BYTES_MAX, Subjects

NATIONS = ("JPN", "KOR", "USA")
# What is not a partner's to hear at another's server.
FORBIDDEN = (">", "*", "x.>", "_INBOX_KOR.>", "_INBOX.>", "$SYS.>", "$JS.>", "x.exercise-TEST~1.kor.pull.>", "x.*.*.wake")


async def overheard(spy: TestNode, at: TestNode, victim: TestNode) -> tuple[int, list[str]]:
    """Return how many of the victim's messages at a server a spy hears on every forbidden subject, and what it was told."""
    heard: list[str] = []
    errors: list[str] = []

    async def hear(message: object) -> None:
        heard.append(str(message))

    async with raw_client(spy, at, errors) as client:
        for subject in FORBIDDEN:
            await client.subscribe(subject, cb=hear)
        await client.flush()
        for number in range(3):
            await victim.ask(question("KOR", "USA", "state", number))
        await client.flush()
    return len(heard), errors


async def test_spy_hears_nothing(tmp_path: Path) -> None:
    """Wildcards, the system's subjects and another partner's are refused to a partner, each counted, while they are busy."""
    async with running(tmp_path, NATIONS) as nodes:
        heard, errors = await overheard(nodes["JPN"], nodes["USA"], nodes["KOR"])
        assert heard == 0
        assert sum("permissions violation" in error.lower() for error in errors) == len(FORBIDDEN)
        await until(lambda: nodes["USA"].server.refusals().get("nats-permission", 0) >= len(FORBIDDEN), "refusals are counted")
        reply = await nodes["JPN"].ask(question("JPN", "USA"))
        assert reply.sender == "USA"


async def test_probe_notices_a_leak(tmp_path: Path) -> None:
    """With an account that is permitted too much on purpose, the same probe does hear the victim's messages."""
    async with running(tmp_path, NATIONS) as nodes:
        usa = nodes["USA"]
        spy_key = nodes["USA"].pins["JPN"].nats_users[0]
        write = usa.server._write

        def leaky() -> None:
            write()
            path = usa.server.directory / "nats.conf"
            text = path.read_text()
            rows = [line for line in text.splitlines() if spy_key not in line]
            victim = next(i for i, row in enumerate(rows) if "X_KOR {" in row)
            users = next(i for i in range(victim, len(rows)) if "users: [" in rows[i])
            rows.insert(users + 1, f"      {{ nkey: {spy_key} }}")
            path.write_text("\n".join(rows))

        usa.server._write = leaky  # type: ignore[method-assign]
        await usa.server.set_partners(usa.pins.values())
        heard, _ = await overheard(nodes["JPN"], usa, nodes["KOR"])
        assert heard > 0


async def test_forged_subjects_reach_nobody(tmp_path: Path) -> None:
    """Publishing into another's pull subject, another's inbox, a wake, $SYS or $JS changes nothing and is counted."""
    async with running(tmp_path, NATIONS) as nodes:
        usa, errors = nodes["USA"], []
        kor = Subjects(MODE, "KOR")
        subjects = (kor.pull_on("flash"), f"{kor.inbox}.x.y", kor.wake, "$SYS.REQ.SERVER.PING", "$JS.API.INFO", "_INBOX_JPN.a.b")
        async with raw_client(nodes["JPN"], usa, errors) as client:
            for subject in subjects:
                await client.publish(subject, pack(question("KOR", "USA")), reply="_INBOX_JPN.a.b")
            await client.flush()
            await until(lambda: len(errors) == len(subjects), "each is refused")
        assert usa.asked == []
        assert nodes["KOR"].woken == []
        await until(lambda: usa.server.refusals().get("nats-permission", 0) >= len(subjects), "refusals are counted")


async def test_what_is_no_envelope_or_not_the_askers_own_is_counted(tmp_path: Path) -> None:
    """On its own subject, a partner's garbage, its questions in another's name and foreign reply places are refused by name."""
    async with running(tmp_path, NATIONS) as nodes:
        usa, errors = nodes["USA"], []
        await nodes["JPN"].ask(question("JPN", "USA"))
        usa.asked.clear()
        at = Subjects(MODE, "JPN").pull_on("flash")
        async with raw_client(nodes["JPN"], usa, errors) as client:
            for data, reply in (
                (b"\xff\x00", "_INBOX_JPN.a.b"),
                (pack(question("KOR", "USA")), "_INBOX_JPN.a.b"),
                (pack(question("JPN", "KOR")), "_INBOX_JPN.a.b"),
                (pack(question("JPN", "USA", "state")), "_INBOX_JPN.a.b"),
                (pack(question("JPN", "USA")), "_INBOX_KOR.a.b"),
                (pack(question("JPN", "USA")), ""),
            ):
                await client.publish(at, data, reply=reply)
            await client.flush()
            await until(lambda: sum(usa.transport.refused.values()) == 6, "six refusals")
        assert usa.asked == []
        assert dict(usa.transport.refused) == {
            ("JPN", "envelope-malformed"): 1,
            ("JPN", "envelope-mismatch"): 3,
            ("JPN", "nats-bad-reply"): 2,
        }


async def test_parked_requests_are_bounded(tmp_path: Path) -> None:
    """A partner that asks without end has PARKED_MAX requests waiting; the rest are refused and counted."""
    async with running(tmp_path) as nodes:
        usa, more = nodes["USA"], 10

        async def park(_: object) -> None:
            await asyncio.Event().wait()

        await nodes["JPN"].ask(question("JPN", "USA"))
        await usa.transport.serve(park)  # type: ignore[arg-type]
        async with raw_client(nodes["JPN"], usa, []) as client:
            for number in range(PARKED_MAX + more):
                await client.publish(
                    Subjects(MODE, "JPN").pull_on("flash"), pack(question("JPN", "USA", sequence=number)), reply="_INBOX_JPN.a"
                )
            await client.flush()
            await until(lambda: usa.transport.refused["JPN", "nats-too-many-pulls"] == more, "the rest are refused")


async def test_oversized_payload_is_cut(tmp_path: Path) -> None:
    """A message above the server's limit ends that connection, is counted, and the node goes on."""
    async with running(tmp_path) as nodes:
        usa, errors = nodes["USA"], []
        async with raw_client(nodes["JPN"], usa, errors) as client:
            client._max_payload = 1 << 30
            await client.publish(Subjects(MODE, "JPN").pull_on("flash"), bytes(PAYLOAD_BYTES_MAX + 1))
            await until(lambda: client.is_closed, "the server closes it")
        await until(lambda: usa.server.refusals().get("nats-oversize") == 1, "it is counted")
        assert usa.asked == []
        await nodes["JPN"].ask(question("JPN", "USA"))


async def test_floods_harm_nobody_else(tmp_path: Path) -> None:
    """Silent connections, and more signed-in ones than an account may have, leave another partner's exchange as it was."""
    async with running(tmp_path, NATIONS) as nodes:
        usa = nodes["USA"]
        await nodes["KOR"].ask(question("KOR", "USA"))
        silent = [await asyncio.open_connection("127.0.0.1", usa.server.port) for _ in range(100)]
        spies = [raw_client(nodes["JPN"], usa, []) for _ in range(ACCOUNT_CONNECTIONS_MAX)]
        opened, refused = 0, 0
        for spy in spies:
            try:
                await spy.__aenter__()
                opened += 1
            except (nats.errors.Error, OSError):
                refused += 1
        reply = await nodes["KOR"].ask(question("KOR", "USA", sequence=2))
        assert reply.sequence == 2
        assert refused > 0
        await until(lambda: usa.server.refusals().get("nats-limit", 0) >= refused, "refusals are counted")
        for spy in spies[:opened]:
            await spy.__aexit__(None, None, None)
        for _, writer in silent:
            writer.close()


async def byte_by_byte(client: Client, every_s: float) -> None:
    """Read what the server sends a byte at a time, beneath TLS, for ever: what is read is of no use, the server sees a slow reader."""
    transport = client._transport._io_writer.transport  # type: ignore[union-attr]
    transport.pause_reading()
    line = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    with line, contextlib.suppress(OSError):  # the server ends it
        while True:
            with contextlib.suppress(BlockingIOError):
                line.recv(1)
            await asyncio.sleep(every_s)


async def test_a_partner_that_reads_a_byte_at_a_time_costs_bounded_memory(tmp_path: Path) -> None:
    """It is cut off when a little waits for it, and counted; meanwhile another partner's exchange goes on."""
    async with running(tmp_path, NATIONS) as nodes:
        usa = nodes["USA"]
        await nodes["JPN"].ask(question("JPN", "USA"))
        most = 0
        async with raw_client(nodes["KOR"], usa, []) as client:

            async def nothing(_: object) -> None:
                """Never reached: the client reads too slowly."""

            await client.subscribe("_INBOX_KOR.slow.>", cb=nothing)
            await client.flush()
            reading = asyncio.create_task(byte_by_byte(client, 0.05))
            for number in range(120):
                data = pack(question("KOR", "USA", sequence=number, payload=bytes(300_000)))
                await client.publish(Subjects(MODE, "KOR").pull_on("flash"), data, reply="_INBOX_KOR.slow.x")
                if number % 20 == 0:
                    assert (await nodes["JPN"].ask(question("JPN", "USA", sequence=2 + number))).sequence == 2 + number
                    most = max(most, *(each.pending_bytes for each in await usa.server.connections()))
            await until(lambda: usa.server.refusals().get("nats-slow-consumer", 0) >= 1, "the slow reader is cut off and counted")
            reading.cancel()
        assert most <= PENDING_BYTES_MAX
        assert (await nodes["JPN"].ask(question("JPN", "USA", sequence=999))).sequence == 999


async def test_stranger_is_refused_by_tls_and_wrong_key_by_sign_in(tmp_path: Path) -> None:
    """A certificate of a root that is not pinned does not get through TLS; a pinned nation with an unknown NKey not through sign-in."""
    async with running(tmp_path) as nodes:
        usa, jpn = nodes["USA"], nodes["JPN"]
        stranger = keyfiles.create(tmp_path / "stranger", "AAA", "exercise", now_ns())
        honest = jpn.held
        jpn.held = stranger
        with pytest.raises((nats.errors.Error, OSError, ssl.SSLError)):
            async with raw_client(jpn, usa, []):
                pass
        await until(lambda: usa.server.refusals().get("nats-tls", 0) >= 1, "the handshake is counted")
        jpn.held = honest
        with pytest.raises(nats.errors.Error):
            async with raw_client(jpn, usa, [], seed=keys.nats_seed(bytes(32), "x", 1)):
                pass
        await until(lambda: usa.server.refusals().get("nats-authentication", 0) >= 1, "the sign-in is counted")


async def test_no_plaintext_listener(tmp_path: Path) -> None:
    """A client that speaks the plain NATS protocol gets not one byte of it back."""
    async with running(tmp_path) as nodes:
        reader, writer = await asyncio.open_connection("127.0.0.1", nodes["USA"].server.port)
        writer.write(b'CONNECT {"verbose":true}\r\nPING\r\n')
        got = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert b"INFO" not in got
        assert b"PONG" not in got
