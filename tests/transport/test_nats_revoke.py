"""Cutting a partner off: nothing flows after the order, its connections are gone, the others are not disturbed."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from nats_nodes import MODE, TestNode, question, raw_client, running, until

from trilat.identity import keyfiles
from trilat.node.clock import now_ns
from trilat.transport.base import LinkDown
from trilat.transport.envelope import pack
from trilat.transport.natsconf import Subjects, hang_up

NATIONS = ("JPN", "KOR", "USA")


async def ask_for_ever(node: TestNode, at: str, answered: list[int]) -> None:
    """Ask and ask again, noting each answer."""
    number = 0
    while True:
        number += 1
        try:
            reply = await node.transport.request(question(node.held.identity.nation, at, sequence=number), 5)
            answered.append(reply.sequence)
        except LinkDown:
            await asyncio.sleep(0)


async def accounts(node: TestNode) -> dict[str, set[int]]:
    """Return the connection numbers at a node's server by account."""
    found: dict[str, set[int]] = {}
    for each in await node.server.connections():
        found.setdefault(each.account, set()).add(each.cid)
    return found


async def test_revoking_stops_the_flow_and_closes_the_connections(tmp_path: Path) -> None:
    """When `revoke` returns, the partner has no connection and gets no answer; the other partner kept every connection."""
    async with running(tmp_path, NATIONS) as nodes:
        usa = nodes["USA"]
        answered: dict[str, list[int]] = {"JPN": [], "KOR": []}
        asking = [asyncio.create_task(ask_for_ever(nodes[n], "USA", answered[n])) for n in answered]

        async def all_up() -> bool:
            return all(state.up for node in nodes.values() for state in node.transport.states())

        await until(all_up, "every connection is up")
        await until(lambda: all(len(numbers) > 20 for numbers in answered.values()), "both partners get answers")
        before = await accounts(usa)
        await usa.transport.revoke("KOR")
        asked, got = [each.sender for each in usa.asked].count("KOR"), len(answered["KOR"])
        after = await accounts(usa)
        seen = len(answered["JPN"])
        await until(lambda: len(answered["JPN"]) > seen + 50, "the other partner goes on")
        await until(
            lambda: any(s.fault.startswith("TRI-0472") for s in nodes["KOR"].transport.states() if s.partner == "USA"),
            "the revoked partner is told that it is refused",
        )
        assert "X_KOR" not in after
        assert after["X_JPN"] == before["X_JPN"]
        assert [each.sender for each in usa.asked].count("KOR") == asked
        assert len(answered["KOR"]) <= got + 1  # one answer may have been on the way when the order came
        assert {state.partner for state in usa.transport.states()} == {"JPN"}
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_revoking_cuts_a_client_that_does_not_read(tmp_path: Path) -> None:
    """A partner's client that stopped reading, with megabytes waiting for it, is gone like any other."""
    async with running(tmp_path, NATIONS) as nodes:
        usa = nodes["USA"]
        await nodes["KOR"].ask(question("KOR", "USA"))
        async with raw_client(nodes["KOR"], usa, []) as client:

            async def nothing(_: object) -> None:
                """Never reached: the client does not read."""

            await client.subscribe("_INBOX_KOR.stall.>", cb=nothing)
            await client.flush()
            client._transport._io_writer.transport.pause_reading()  # type: ignore[union-attr]
            for number in range(40):
                data = pack(question("KOR", "USA", sequence=number, payload=bytes(300_000)))
                await client.publish(Subjects(MODE, "KOR").pull_on("flash"), data, reply="_INBOX_KOR.stall.x")

            async def stalled() -> bool:
                return any(each.pending_bytes > 100_000 for each in await usa.server.connections())

            await until(stalled, "the server holds bytes for the stalled client")
            await usa.transport.revoke("KOR")
            assert "X_KOR" not in await accounts(usa)


async def test_revoking_replaces_a_server_that_does_not_obey(tmp_path: Path) -> None:
    """With the server process stopped in its tracks, a revocation kills it; it comes back without the partner, on its port."""
    async with running(tmp_path, NATIONS) as nodes:
        usa = nodes["USA"]
        await nodes["KOR"].ask(question("KOR", "USA"))
        port, stuck = usa.server.port, usa.server.pid
        assert stuck is not None
        os.kill(stuck, signal.SIGSTOP)
        await usa.transport.revoke("KOR")
        assert "X_KOR" not in await accounts(usa)
        assert (usa.server.port, usa.server.restarts) == (port, 1)
        assert (await nodes["JPN"].ask(question("JPN", "USA", sequence=4))).sequence == 4
        with pytest.raises(LinkDown):
            await nodes["KOR"].transport.request(question("KOR", "USA"), 1)


async def test_a_farewell_that_is_called_off_still_drops_the_connection(tmp_path: Path) -> None:
    """However far a hang-up has come when its task is cancelled, the connection is gone and waits for no collector."""
    async with running(tmp_path) as nodes:
        for steps in range(1, 8):
            async with raw_client(nodes["JPN"], nodes["USA"], []) as client:
                await client.flush()
                farewell = asyncio.create_task(hang_up(client))
                for _ in range(steps):
                    await asyncio.sleep(0)
                farewell.cancel()
                await asyncio.gather(farewell, return_exceptions=True)
                assert client._transport._bare_io_writer.transport.is_closing(), steps  # type: ignore[union-attr]


async def test_revoked_partner_comes_back_only_by_a_new_pin(tmp_path: Path) -> None:
    """After a revocation the partner is refused; when it is pinned again its exchange goes on without a restart."""
    async with running(tmp_path) as nodes:
        usa, jpn = nodes["USA"], nodes["JPN"]
        await jpn.ask(question("JPN", "USA"))
        await usa.transport.revoke("JPN")
        with pytest.raises(LinkDown) as caught:
            await jpn.transport.request(question("JPN", "USA"), 1.5)
        assert caught.value.name == "link-refused"
        await usa.transport.set_partners(usa.pins.values())
        reply = await jpn.ask(question("JPN", "USA", sequence=3))
        assert reply.sequence == 3


async def test_rotated_nkey_is_taken_without_a_gap_in_trust(tmp_path: Path) -> None:
    """A node with new NKeys still gets in by the last one until its partner has accepted the new invite."""
    async with running(tmp_path) as nodes:
        usa, jpn = nodes["USA"], nodes["JPN"]
        jpn.held = jpn.transport.held = keyfiles.rotate_nats(jpn.made.keys, now_ns())
        pins = list(jpn.pins.values())
        await jpn.transport.set_partners([])
        await jpn.transport.set_partners(pins)
        assert (await jpn.ask(question("JPN", "USA"))).sender == "USA"
        raw = keyfiles.make_invite(jpn.made.keys, "USA", ["127.0.0.1:1"], now_ns())
        _, pin = keyfiles.accept_invite(usa.made.keys, raw, None, now_ns())
        assert len(pin.nats_users) == 2
        await usa.transport.set_partners([pin])
        assert (await jpn.ask(question("JPN", "USA", sequence=2))).sequence == 2


async def test_revoked_pin_file_is_seen(tmp_path: Path) -> None:
    """`trilat partner revoke` changes the pin's file; the watch tells the node once, and the key ring no longer trusts it."""
    async with running(tmp_path) as nodes:
        usa = nodes["USA"]
        watch = keyfiles.PinWatch(usa.made.partners)
        assert watch.changed() is None
        keyfiles.revoke_partner(usa.made.partners["JPN"], now_ns())
        pins = watch.changed()
        assert pins is not None
        assert watch.changed() is None
        assert usa.held.key_ring(MODE, pins.values()).pinned("JPN") == ()
        await usa.transport.set_partners(pins.values())
        assert "X_JPN" not in await accounts(usa)
