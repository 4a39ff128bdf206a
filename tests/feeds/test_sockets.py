"""Sockets: real ones on loopback; bounded queues, one connection a source, clean close."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from feedkit import NOON_NS

from trilat.errors import FeedError
from trilat.feeds import sockets as feed_sockets
from trilat.feeds.replay import frame
from trilat.feeds.sockets import FeedAddress, FeedSockets, Received, parse_address
from trilat.feeds.source import DAY_NS
from trilat.identity.keyfiles import free_ports

WAIT_S = 20.0  # a bound, not an expectation


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_ns = NOON_NS

    def __call__(self) -> int:
        """Return the time that the test set."""
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def feeds(clock: Clock) -> AsyncIterator[FeedSockets]:
    """Give feeds on a clock of the test's, closed at the end."""
    opened = FeedSockets(clock, Random(1), queue_max=8)
    yield opened
    await opened.close()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def receive(feeds: FeedSockets, size: int) -> bytes:
    """Return what came, once so many bytes are there."""
    data = b""
    async with asyncio.timeout(WAIT_S):
        while len(data) < size:
            data += b"".join(each.data for each in await feeds.receive())
    return data


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is another's state
            await asyncio.sleep(0.01)


def send_udp(port: int, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for each in datagrams:
            udp.sendto(each, ("127.0.0.1", port))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("udp://127.0.0.1:8600", FeedAddress("udp", "127.0.0.1", 8600)),
        ("tcp://radar.example:30005", FeedAddress("tcp", "radar.example", 30005)),
        ("tcp-listen://[::1]:0", FeedAddress("tcp-listen", "::1", 0)),
        ("file:/var/log/ais.log", FeedAddress("file", path="/var/log/ais.log")),
        ("file:ais.log", FeedAddress("file", path="ais.log")),
    ],
)
def test_addresses_are_read(url: str, expected: FeedAddress) -> None:
    """Each kind of address is understood."""
    assert expected == parse_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "udp://",
        "udp://127.0.0.1",
        "udp://127.0.0.1:99999",
        "http://127.0.0.1:80",
        "udp://0.0.0.0:1",
        "tcp-listen://10.0.0.1:1",
        "file:",
        "udp://[::1",
        f"tcp://{'a' * 70}:1",
        "tcp://a..b:1",
        "file:/var/log/a\0b",
    ],
)
def test_wrong_addresses_are_named_errors(url: str) -> None:
    """What is no address, or would listen beyond loopback without leave, is a FeedError."""
    with pytest.raises(FeedError) as caught:
        parse_address(url)

    assert caught.value.name == "feed-address"
    assert parse_address("udp://0.0.0.0:1", beyond_loopback=True).port == 1


async def test_datagrams_come_with_source_and_time(feeds: FeedSockets) -> None:
    """Datagrams are queued in order with their source and the clock's time; line formats get their line end, replays stay whole."""
    port = await feeds.open("ais-1", "udp://127.0.0.1:0", "ais")
    replayed = frame("R1", 0, NOON_NS, b"x")

    send_udp(port, b"one", b"two\n", replayed)
    data = await receive(feeds, len(replayed) + 8)

    assert b"one\ntwo\n" + replayed == data
    assert (NOON_NS, 3, True) == (feeds.states["ais-1"].last_t_ns, feeds.states["ais-1"].chunks, feeds.states["ais-1"].connected)


async def test_what_does_not_fit_is_dropped_and_counted_by_source(feeds: FeedSockets) -> None:
    """A flood fills its own source's share of the queue only; what is dropped is counted, and the other source is read."""
    flood = await feeds.open("flood", "udp://127.0.0.1:0", "asterix")
    calm = await feeds.open("calm", "udp://127.0.0.1:0", "asterix")

    send_udp(flood, *[b"x" * 10] * 50)
    await until(lambda: feeds.states["flood"].chunks >= 20)
    send_udp(calm, b"y")
    await until(lambda: feeds.states["calm"].chunks == 1)
    taken = feeds.take()

    (refused,) = feeds.refused()
    assert [("flood", 8), ("calm", 1)] == [(name, sum(each.source == name for each in taken)) for name in ("flood", "calm")]
    assert ("flood", "queue-full", feeds.states["flood"].dropped) == (refused.source, refused.reason, refused.count)
    assert refused.count >= 12
    assert [] == feeds.take()


async def test_no_source_fills_the_disk_for_the_others(clock: Clock) -> None:
    """What a source brings in a day is bounded, and counted beyond it; another's share is its own; hours later there is room again."""
    feeds = FeedSockets(clock, Random(1), bytes_per_day_max=24_000)
    for name in ("flood", "calm"):
        await feeds.open(name, "udp://127.0.0.1:0", "asterix")
    for _ in range(100):
        feeds.put("flood", bytes(1_000 - feed_sockets.CHUNK_BYTES_MORE))
    feeds.put("calm", b"y")
    taken = feeds.take()
    assert [("flood", 24), ("calm", 1)] == [(name, sum(each.source == name for each in taken)) for name in ("flood", "calm")]
    assert [("flood", "day-full", 76)] == [(one.source, one.reason, one.count) for one in feeds.refused()]
    clock.now_ns += 3 * 3_600_000_000_000
    for _ in range(10):
        feeds.put("flood", bytes(1_000 - feed_sockets.CHUNK_BYTES_MORE))
    assert 3 == len(feeds.take())
    clock.now_ns -= 3_600_000_000_000  # a clock set back gives no room, and takes none
    feeds.put("flood", b"z")
    assert 0 == len(feeds.take())
    await feeds.close()


async def test_bytes_in_the_queue_are_bounded(feeds: FeedSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue holds no more bytes than its bound, whatever their pieces; taking makes room again."""
    monkeypatch.setattr(feed_sockets, "QUEUE_BYTES_MAX", 100)
    await feeds.open("a", "udp://127.0.0.1:0", "asterix")

    for _ in range(3):
        feeds.put("a", bytes(60))
    first = feeds.take()
    feeds.put("a", bytes(60))

    assert [Received("a", NOON_NS, bytes(60))] == first == feeds.take()
    assert feeds.states["a"].dropped == 2


async def test_what_one_source_floods_costs_no_other_a_byte(feeds: FeedSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source whose bytes fill all its room, and more than a step takes in, moves nothing of what a step gets of another."""
    monkeypatch.setattr(feed_sockets, "QUEUE_BYTES_MAX", 100)
    for name in ("hidden", "open"):
        await feeds.open(name, "udp://127.0.0.1:0", "asterix")

    def steps(flood: int) -> list[list[bytes]]:
        taken = []
        for k in range(3):
            for _ in range(flood):
                feeds.put("hidden", bytes(30))
            feeds.put("open", b"a%d" % k)
            feeds.put("open", bytes(60))
            taken.append([one.data for one in feeds.take(2) if one.source == "open"])
        return taken

    assert steps(0) == steps(7) == [[b"a%d" % k, bytes(60)] for k in range(3)]
    assert 0 == feeds.states["open"].dropped
    assert feeds.states["hidden"].dropped > 0


async def test_what_waits_is_given_in_the_order_in_which_it_came(feeds: FeedSockets) -> None:
    """Of several sources, each no more than asked for at once, in the order of their coming."""
    for name in ("a", "b"):
        await feeds.open(name, "udp://127.0.0.1:0", "asterix")
    for name, data in (("b", b"1"), ("a", b"2"), ("b", b"3"), ("a", b"4"), ("b", b"5")):
        feeds.put(name, data)

    assert [b"1", b"2", b"3", b"4"] == [one.data for one in feeds.take(2)]
    assert [b"5"] == [one.data for one in await feeds.receive()]


async def test_a_listener_has_one_connection_at_a_time(feeds: FeedSockets, clock: Clock) -> None:
    """A second sender is turned away and counted, until the first ends or has been silent for long."""
    port = await feeds.open("beast-1", "tcp-listen://127.0.0.1:0", "beast")
    _, first = await asyncio.open_connection("127.0.0.1", port)
    first.write(b"first")
    assert b"first" == await receive(feeds, 5)

    second_reader, second = await asyncio.open_connection("127.0.0.1", port)
    turned_away = await asyncio.wait_for(second_reader.read(), WAIT_S)
    clock.now_ns += feed_sockets.SILENT_NS_MAX + 1
    _, third = await asyncio.open_connection("127.0.0.1", port)
    third.write(b"third")

    assert (b"", b"third") == (turned_away, await receive(feeds, 5))
    assert [("connection-refused", 1)] == [(each.reason, each.count) for each in feeds.refused()]
    for writer in (first, second, third):
        writer.close()
    await until(lambda: not feeds.states["beast-1"].connected)


async def test_a_clock_set_back_locks_no_sender_out(feeds: FeedSockets, clock: Clock) -> None:
    """When the clock was set back by a day, a dead connection does not hold its place for that day."""
    port = await feeds.open("beast-1", "tcp-listen://127.0.0.1:0", "beast")
    _, dead = await asyncio.open_connection("127.0.0.1", port)
    dead.write(b"first")
    assert b"first" == await receive(feeds, 5)

    clock.now_ns -= DAY_NS
    _, new = await asyncio.open_connection("127.0.0.1", port)
    new.write(b"again")

    assert b"again" == await receive(feeds, 5)
    for writer in (dead, new):
        writer.close()


async def test_a_connection_that_breaks_is_made_again(feeds: FeedSockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that connects keeps trying: the sender may come late and may go away in between."""
    monkeypatch.setattr(feed_sockets, "BACKOFF_S_MIN", 0.01)
    port = free_ports(1)[0]
    await feeds.open("avr-1", f"tcp://127.0.0.1:{port}", "avr")
    await until(lambda: feeds.states["avr-1"].problem)

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", port)
    async with server:
        assert (await receive(feeds, 10)).startswith(b"hellohello")


async def test_a_file_is_followed(feeds: FeedSockets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is read from its beginning, as it grows, and anew when it was replaced; a missing one is waited for."""
    monkeypatch.setattr(feed_sockets, "FOLLOW_S", 0.01)
    path = tmp_path / "ais.log"
    await feeds.open("log", f"file:{path}", "ais")
    await until(lambda: feeds.states["log"].problem)

    path.write_bytes(b"one\n")
    assert b"one\n" == await receive(feeds, 4)
    with path.open("ab") as file:
        file.write(b"two\n")
    assert b"two\n" == await receive(feeds, 4)
    path.write_bytes(b"new\n")
    assert b"new\n" == await receive(feeds, 4)


async def test_what_is_no_file_is_said(feeds: FeedSockets, tmp_path: Path) -> None:
    """A pipe or a folder where a file should grow is told by the feed's light: nothing would ever come."""
    os.mkfifo(tmp_path / "pipe")
    for name, path in (("pipe", tmp_path / "pipe"), ("folder", tmp_path)):
        await feeds.open(name, f"file:{path}", "ais")
        await until(lambda name=name: feeds.states[name].problem)  # type: ignore[misc]
        assert "no file" in feeds.states[name].problem
        assert not feeds.states[name].connected


async def test_an_address_in_use_is_a_named_error(feeds: FeedSockets) -> None:
    """A port that another has taken is a FeedError with its name, for UDP and TCP."""
    for kind, maker in (("udp", socket.SOCK_DGRAM), ("tcp-listen", socket.SOCK_STREAM)):
        with socket.socket(socket.AF_INET, maker) as taken:
            taken.bind(("127.0.0.1", 0))
            with pytest.raises(FeedError) as caught:
                await feeds.open("x", f"{kind}://127.0.0.1:{taken.getsockname()[1]}", "ais")
            assert caught.value.name == "feed-address"


GROUP, OTHER = "239.192.71.3", "239.192.71.4"


@pytest.fixture
def speaker() -> Iterator[socket.socket]:
    """Give a socket that sends to groups on the loopback interface alone, or skip where the kernel carries none there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hears:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        hears.settimeout(2.0)
        try:
            hears.bind((OTHER, 0))
            member = socket.inet_aton(OTHER) + socket.inet_aton("127.0.0.1")
            hears.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            sender.sendto(b"?", hears.getsockname())
            hears.recv(8)
        except OSError as error:
            pytest.skip(f"this kernel carries no multicast on loopback: {error}")
        yield sender


async def test_a_group_is_joined_and_nothing_else_is_taken(feeds: FeedSockets, speaker: socket.socket) -> None:
    """A multicast feed takes what is sent to its group and port, beside another listener; not what comes to the host or another group."""
    port = await feeds.open("radar", f"udp://{GROUP}:0", "asterix", beyond_loopback=True, interface="127.0.0.1")
    again = await feeds.open("second", f"udp://{GROUP}:{port}", "asterix", beyond_loopback=True, interface="127.0.0.1")
    assert again == port
    for host, data in (("127.0.0.1", b"host"), (OTHER, b"other"), (GROUP, b"group")):
        speaker.sendto(data, (host, port))

    got: list[Received] = []
    async with asyncio.timeout(WAIT_S):
        while len(got) < 2:
            got += await feeds.receive()
    assert sorted((one.source, one.data) for one in got) == [("radar", b"group"), ("second", b"group")]
    assert (feeds.states["radar"].chunks, feeds.states["second"].chunks) == (1, 1)


@pytest.mark.parametrize(
    ("url", "far", "interface"),
    [
        (f"udp://{GROUP}:8600", False, ""),
        (f"udp://{GROUP}:8600", False, "127.0.0.1"),
        (f"tcp-listen://{GROUP}:8600", True, ""),
        (f"tcp://{GROUP}:8600", True, ""),
        ("udp://[ff05::1]:8600", True, ""),
        (f"udp://{GROUP}:8600", True, "eth0"),
        (f"udp://{GROUP}:8600", True, OTHER),
        ("udp://127.0.0.1:8600", True, "127.0.0.1"),
    ],
)
def test_a_group_that_cannot_be_joined_is_refused(url: str, far: bool, interface: str) -> None:  # noqa: FBT001 - a table's column
    """Without leave, over TCP, of IPv6, or with an interface that is none: a named error before anything is opened."""
    with pytest.raises(FeedError) as error:
        parse_address(url, beyond_loopback=far, interface=interface)
    assert error.value.name == "feed-address"


async def test_an_interface_that_this_machine_has_not_is_said_at_the_start(feeds: FeedSockets) -> None:
    """Joining at an address of another machine is `feed-address`, not a feed that stays silent."""
    with pytest.raises(FeedError) as error:
        await feeds.open("radar", f"udp://{GROUP}:0", "asterix", beyond_loopback=True, interface="192.0.2.7")
    assert error.value.name == "feed-address"
