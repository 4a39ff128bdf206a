"""Outputs: every message once and in order, with a receipt; a receiver that is away loses nothing and gets nothing stale."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flight_records import MODE, NS, T0_NS, assessment, label
from lxml import etree
from nacl.signing import SigningKey

from trilat.outputs import files, posts, runner
from trilat.outputs.message import Form, Message, Messages, OutputError
from trilat.products import cap
from trilat.products.texts import with_words
from trilat.records.warning import Warning
from trilat.warn import machine
from trilat.warn.areas import shipped_layer

KEY = SigningKey(bytes(range(32)))
FORMS: tuple[Form, ...] = ("cap", "geojson", "kml", "text")


def version(number: int, state: str = "updated", warning_id: str = "JPN-P1") -> Warning:
    """Return one version of a public warning: one second apart, without exact places."""
    standing = machine.begin(T0_NS + 50 * NS, assessment(50), warning_id, label(mode=MODE))
    assert standing is not None
    flight = msgspec.structs.replace(standing.warning.flight, launch=None, landing=None, fan=None, path=())  # type: ignore[type-var]
    made = msgspec.structs.replace(
        standing.warning, version=number, state=state, issued=True, t_ns=T0_NS + (50 + number) * NS, flight=flight
    )
    return with_words(made)


def messages() -> Messages:
    return Messages(shipped_layer(), lambda body: ("k1", bytes(KEY.sign(body).signature)))


class Siren:
    """A receiver in the place of a real one: takes, or refuses while it is away."""

    def __init__(self) -> None:
        self.away = False
        self.got: list[str] = []

    async def send(self, message: Message, forms: Sequence[Form]) -> str:
        """Take a message."""
        await asyncio.sleep(0)
        if self.away:
            raise OutputError("output-not-taken", "away")
        self.got.append(message.identifier)
        return ",".join(forms)


class Works:
    """A runner with a made-up clock, and what it said."""

    def __init__(self, directory: Path, wanted: runner.Wanted, output: Any = None) -> None:
        self.now_ns = T0_NS + 60 * NS
        self.said: list[tuple[str, str]] = []
        self.runner = runner.Runner(wanted, directory, lambda: self.now_ns, lambda *told: self.said.append(told))
        if output is not None:
            self.runner._output = output

    async def until_empty(self) -> None:
        """Let it work until nothing waits."""
        task = asyncio.create_task(self.runner.run())
        async with asyncio.timeout(20):
            while self.runner.waiting or len(self.runner.taken) < len(self.runner._newest):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def drop(directory: Path) -> runner.Wanted:
    return runner.Wanted("drop", "file", FORMS, {"directory": str(directory / "out")})


async def test_a_file_drop_holds_every_form_and_a_restart_repeats_nothing(tmp_path: Path) -> None:
    """Three versions give twelve files and three receipts; the same three again after a restart give nothing new."""
    works = Works(tmp_path, drop(tmp_path))
    maker = messages()
    for number, state in enumerate(("issued", "updated", "stood-down"), 1):
        works.runner.put(maker.make(version(number, state)))
    await works.until_empty()
    assert 12 == len([path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")])
    assert [1, 1, 1] == [one.tries for one in runner.read_receipts(works.runner._path)]

    again, maker = Works(tmp_path, drop(tmp_path)), messages()
    for number, state in enumerate(("issued", "updated", "stood-down"), 1):
        again.runner.put(maker.make(version(number, state)))
    assert 0 == again.runner.waiting


async def test_what_had_no_receipt_goes_after_a_restart(tmp_path: Path) -> None:
    """A crash between two messages: the next run, given both again, sends the second only; a torn last receipt counts for none."""
    works, maker = Works(tmp_path, drop(tmp_path)), messages()
    works.runner.put(maker.make(version(1, "issued")))
    await works.until_empty()
    with works.runner._path.open("ab") as file:
        file.write(b'{"identifier":"JPN-P1.2.ex')
    again, maker = Works(tmp_path, drop(tmp_path), siren := Siren()), messages()
    for number, state in ((1, "issued"), (2, "updated")):
        again.runner.put(maker.make(version(number, state)))
    await again.until_empty()
    assert siren.got == [cap.identifier_of(version(2))]


async def test_a_siren_that_was_away_gets_the_newest_and_nothing_stale(tmp_path: Path) -> None:
    """While it is away an alert, an update and the all clear gather: back again it gets the all clear, and the others are noted."""
    siren = Siren()
    siren.away = True
    works, maker = Works(tmp_path, drop(tmp_path), siren), messages()
    for number, state in enumerate(("issued", "updated", "stood-down"), 1):
        works.runner.put(maker.make(version(number, state)))
    task = asyncio.create_task(works.runner.run())
    await asyncio.sleep(0.1)
    siren.away = False
    async with asyncio.timeout(20):
        while len(works.runner.taken) < 3:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    task.cancel()
    assert siren.got == [cap.identifier_of(version(3, "stood-down"))]
    receipts = {one.identifier: one.receipt for one in runner.read_receipts(works.runner._path)}
    assert [True, True, False] == [text.startswith("not sent") for text in receipts.values()]
    assert ("alarm", 1) == (works.said[0][0], works.runner.delivered)


@contextlib.asynccontextmanager
async def receiver(statuses: list[int]) -> AsyncIterator[tuple[int, list[tuple[dict[str, str], bytes]]]]:
    """Serve HTTP on loopback: answers the given statuses in turn, the last one for ever; gives the port and what came."""
    came: list[tuple[dict[str, str], bytes]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if ":" in line)}
        body = await reader.readexactly(int(fields["content-length"]))
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        came.append((fields, body))
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\nlocation: /other\r\nconnection: close\r\n\r\nok".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()
        await server.wait_closed()


async def test_a_post_is_repeated_until_it_is_taken_under_the_same_key(tmp_path: Path) -> None:
    """A receiver that is broken, then redirects, then takes it: three requests of one key; the receipt has the answer."""
    token = tmp_path / "token"
    token.write_text("Bearer abc\n")
    async with receiver([503, 302, 200]) as (port, came):
        options = {"url": f"http://127.0.0.1:{port}/cap?x=1", "authorization_file": str(token)}
        works, maker = Works(tmp_path, runner.Wanted("relay", "http-post", ("cap",), options)), messages()
        works.runner.put(maker.make(version(1, "issued")))
        await works.until_empty()
    keys = {fields["idempotency-key"] for fields, _ in came}
    assert (3, {cap.identifier_of(version(1)) + ".cap"}) == (len(came), keys)
    assert {"Bearer abc"} == {fields["authorization"] for fields, _ in came}
    [receipt] = runner.read_receipts(works.runner._path)
    assert (3, "cap 200 ok") == (receipt.tries, receipt.receipt)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("file", {}),
        ("file", {"directory": "x", "other": "y"}),
        ("http-post", {"url": "ftp://x/"}),
        ("http-post", {"url": "http://x/", "timeout_s": "0"}),
        ("http-post", {"url": "http://x/", "authorization_file": "/nowhere/at/all"}),
        ("siren", {}),
    ],
)
def test_an_output_that_cannot_be_made_says_why(kind: str, options: dict[str, str]) -> None:
    """Unknown kinds and options, and values that cannot be, are refused at the start."""
    with pytest.raises(OutputError):
        runner.make(runner.Wanted("one", kind, ("cap",), options))


def test_a_plug_in_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that another package gives by the group trilat.outputs is made with its options."""

    class Point:
        name = "siren"

        def load(self) -> Any:
            return lambda options: (Siren(), options)

    monkeypatch.setattr(runner.metadata, "entry_points", lambda group: [Point()] if group == "trilat.outputs" else [])
    made: Any = runner.make(runner.Wanted("one", "siren", ("text",), {"a": "b"}))
    assert (Siren, {"a": "b"}) == (type(made[0]), made[1])


def test_every_form_says_that_it_is_an_exercise_and_names_the_areas() -> None:
    """GeoJSON has closed counter-clockwise polygons of the areas, KML placemarks of them, text one line a language; all say EXERCISE."""
    message = messages().make(version(1, "issued"))
    told: Mapping[str, Any] = json.loads(message.bodies["geojson"])
    assert {"JP-01", "JP-02"} == {one["properties"]["area"] for one in told["features"]}
    for one in told["features"]:
        assert one["properties"]["status"] == "Exercise"
        for [ring] in one["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
            assert sum((b[0] - a[0]) * (b[1] + a[1]) for a, b in pairwise(ring)) < 0
    root = etree.fromstring(message.bodies["kml"])
    names = [one.text or "" for one in root.iter("{http://www.opengis.net/kml/2.2}name")]
    assert len(names) > 2
    assert all("EXERCISE" in name for name in names)
    lines = message.bodies["text"].decode().splitlines()
    assert [True] * 3 == [word in line for word, line in zip(("EXERCISE", "訓練", "훈련"), lines, strict=True)]


def test_later_versions_refer_to_those_before() -> None:
    """The second message is an Update that names the first; the third a Cancel that names both; signed with the key that was given."""
    maker = messages()
    made = [maker.make(version(number, state)) for number, state in ((1, "issued"), (2, "updated"), (3, "stood-down"))]
    read = [
        cap.read(T0_NS + 60 * NS, one.bodies["cap"], MODE, lambda *given: bool(KEY.verify_key.verify(given[2], given[3]) or True))
        for one in made
    ]
    assert ["Alert", "Update", "Cancel"] == [one.message for one in read]
    assert [0, 1, 2] == [len(one.references) for one in read]


def test_files_and_posts_are_what_the_registry_has() -> None:
    """The two kinds that ship are made by their own modules."""
    assert {"file": files.make, "http-post": posts.make} == dict(runner.SHIPPED)
