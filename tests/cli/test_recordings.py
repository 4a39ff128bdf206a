"""decode, track and replay as a newcomer calls them: on real bytes, without a configuration, with named refusals."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from feedkit import MODES, NOON_NS, S_NS, columns, reasons, source
from test_ais import FIVE, ship
from test_bad_input import sample
from test_modes import as_beast, flight
from test_pcap import ethernet, ipv4, pcap, udp

from trilat.cli import main
from trilat.cli.replay import frames, plan, send, split_feed, target_of
from trilat.cli.track import in_order
from trilat.errors import ConfigError, FeedError
from trilat.feeds.recording import Piece
from trilat.feeds.registry import open_decoder
from trilat.feeds.sockets import FeedSockets
from trilat.node import clock
from trilat.records.report import Fix, Plot

WAIT_S = 30.0


def trilat(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)


def flight_file(folder: Path, seconds: int = 60) -> Path:
    """Write a flight's fixes as a table, one a second."""
    rows = [
        f"2024-01-02T12:{k // 60:02}:{k % 60:02}Z,33.5,{130.4 + 0.002 * k:.6f},9000,186,1.5708,86d123,TRI101\n"
        for k in range(seconds)
    ]
    path = folder / "flight.csv.gz"
    path.write_bytes(
        gzip.compress(("time,lat_deg,lon_deg,alt_m,speed_m_s,course_rad,address,callsign\n" + "".join(rows)).encode())
    )
    return path


@pytest.mark.parametrize("format_name", ["auto", "ais"])
def test_decode_prints_records_and_a_summary(tmp_path: Path, format_name: str) -> None:
    """One JSON record a line on stdout that reads back as a Fix; what was refused, by reason and code, on stderr; ends with 0."""
    path = tmp_path / "ships.nmea"
    path.write_bytes(b"".join(FIVE) + ship() + b"junk\n" + ship(lat=91.0))

    result = trilat("decode", format_name, path, "--date", "2024-01-02T12:00:00Z", "--nation", "JPN")

    (line,) = result.stdout.splitlines()
    fix = msgspec.json.decode(line, type=Fix)
    assert (0, 431_000_001, NOON_NS, "JPN") == (result.exit_code, fix.mmsi, fix.t_ns, fix.pedigree.nation)
    assert "ais, 1 records" in result.stderr
    assert re.search(r"1 +syntax-bad +TRI-0117", result.stderr)
    assert re.search(r"1 +position-missing +TRI-0120", result.stderr)


def test_decode_reads_asterix_without_configuration(tmp_path: Path) -> None:
    """A radar's capture needs no configuration: plots by default, every item with --items; sensors may be named."""
    path = tmp_path / "radar.pcap"
    path.write_bytes(pcap([ethernet(ipv4(17, udp(sample("asterix"))))]))

    plots = [msgspec.json.decode(line, type=Plot) for line in trilat("decode", "asterix", path).stdout.splitlines()]
    items = [json.loads(line) for line in trilat("decode", "asterix", path, "--items").stdout.splitlines()]
    named = trilat("decode", "asterix", path, "--sensor", "north,sac=25,sic=201,lat_deg=33,lon_deg=130").stdout.splitlines()
    other = trilat("decode", "asterix", path, "--sensor", "north,sac=1,sic=2")

    assert [20, 20, 20] == [len(plots), len(items), len(named)]
    assert (50_000.0, NOON_NS) == (pytest.approx(plots[0].range_m, abs=4), plots[0].t_ns)
    assert 25 == items[0]["010/SAC"]
    assert {"north"} == {json.loads(line)["sensor"] for line in named}
    assert (1, "", True) == (other.exit_code, other.stdout, "sensor-unknown" in other.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("decode", "ais", "no such file"), 1, "TRI-0101"),
        (("decode", "auto", "no such file"), 1, "TRI-0101"),
        (("decode", "colours", "x"), 2, "colours"),
        (("decode", "fixes-csv", "{file}", "--option", "preset=nobody"), 1, "TRI-0103"),
        (("decode", "ais", "{file}", "--items"), 2, "--items"),
        (("decode", "ais", "{file}", "--sensor", "x,colour=red"), 2, "colour"),
        (("decode", "ais", "{file}", "--date", "tomorrow"), 2, "--date"),
        (("track", "{file}", "--out", "x.txt"), 2, "--out"),
        (("replay", "{file}", "--to", "udp://127.0.0.1:1"), 2, "--id"),
        (("replay", "{file}", "--to", "udp://127.0.0.1:1", "--id", "\u00fc"), 2, "--id"),
        (("replay", "{rows}", "--to", "udp://127.0.0.1:1", "--id", "R1", "--start-at", "tomorrow"), 2, "--start-at"),
        (("replay", "{rows}", "--to", "udp://127.0.0.1:1", "--id", "R1", "--speed", "nan"), 2, "--speed"),
        (("replay", "{rows}", "--to", "udp://no such host:1", "--id", "R1"), 1, "TRI-0104"),
        (("track", "{rows}", "--out", "{file}.none/x.csv"), 2, "--out"),
        (("track", "{rows}", "--out", "{rows}"), 2, "--out"),
        (("track", "{rows}", "--out", "{folder}.csv"), 1, "TRI-0811"),
        (("track", "{rows}", "--out", "{file}.jsonl", "--sensor", "a", "--sensor", "a,sac=1"), 2, "'a' stands twice"),
        (
            ("track", "{rows}", "--out", "{file}.jsonl", "--sensor", "a,kind=sonar"),
            2,
            "one of bearing, fixes, radar2d, radar3d, tracks",
        ),
        (("track", "{rows}", "--out", "{file}.jsonl", "--sensor", "a,sigma_range_m=0"), 2, "got '0' - at `$.sigma_range_m`"),
        (("track", "{rows}", "--out", "{file}.jsonl", "--tick", "nan"), 2, "Invalid value for '--tick': 'nan' is not a number."),
        (("track", "{rows}", "--out", "{file}.jsonl", "--tick", "0"), 2, "Invalid value for '--tick'"),
        (("track", "{rows}", "--out", "x.txt"), 2, "Error: --out ends with one of .npz, .jsonl, .csv\n"),
        (("track", "{prose}", "--out", "{file}.jsonl"), 1, "Known are asterix, beast, avr,"),
        (("decode", "auto", "{prose}"), 1, "TRI-0102"),
        (("replay", "{prose}", "--to", "udp://127.0.0.1:1", "--id", "R1"), 1, "`--format FORMAT`"),
        (("track", "{zip}", "--out", "{file}.jsonl"), 1, "trilat bench track"),
        (("track", "{empty}", "--out", "{file}.jsonl"), 1, "there is nothing in it"),
        (("track", "{folder}", "--out", "{file}.jsonl"), 1, "Is a directory"),
        (("decode", "auto", "{noise}"), 1, "TRI-0102"),
        (("decode", "auto", "{pipe}"), 1, "TRI-0101"),
        (("demo", "--seconds", "nan"), 2, "--seconds"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    """A wrong path, format, option or date is a named error or a usage error, never a traceback."""
    places = {name: tmp_path / f"{name}.csv" for name in ("file", "rows", "folder", "pipe")}
    places["file"].write_bytes(b"time,lat_deg,lon_deg\n")
    places["rows"].write_bytes(b"time,lat_deg,lon_deg\n2024-01-02T12:00:00Z,33.5,130.4\n")
    places["folder"].mkdir()
    places |= {name: tmp_path / name for name in ("prose", "zip", "empty", "noise")}
    places["prose"].write_bytes(b"# What this is\nNothing that a radar said.\n" * 500)
    places["noise"].write_bytes(bytes(range(7, 250)) * 90)
    places["empty"].write_bytes(b"")
    np.savez(places["zip"].with_suffix(".npz"), det=np.zeros(3))
    places["zip"].with_suffix(".npz").rename(places["zip"])
    os.mkfifo(places["pipe"])
    for name, path in places.items():
        arguments = tuple(each.replace(f"{{{name}}}", str(path)) for each in arguments)

    result = trilat(*(each.replace(".csv.csv", ".csv") for each in arguments))

    assert (code, True) == (result.exit_code, says in result.output)


@pytest.mark.timeout(400)  # the tracker's kernels are compiled here when their cache is cold
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "npz"])
def test_track_follows_a_flight(tmp_path: Path, suffix: str) -> None:
    """A recorded flight becomes one confirmed track near its true place, in each form of the output."""
    out = tmp_path / f"tracks.{suffix}"

    result = trilat("track", flight_file(tmp_path), "--out", out)

    assert (0, True) == (result.exit_code, "60 reports" in result.stderr), result.output
    if suffix == "npz":
        rows = np.load(out)["tracks"]
        assert (0x86D123, b"TRI101") == (rows[-1]["address"], rows[-1]["callsign"])
        assert len(rows) == len(np.load(out)["shown_t_ns"])
        return
    lines = out.read_text("utf-8").splitlines()
    names = lines[0].split(",")
    last = json.loads(lines[-1]) if suffix == "jsonl" else dict(zip(names, lines[-1].split(","), strict=True))
    assert ("TRI101", "confirmed", 0x86D123) == (last["callsign"], last["status"], int(last["address"]))
    assert (33.5, 130.518) == (pytest.approx(float(last["lat_deg"]), abs=0.002), pytest.approx(float(last["lon_deg"]), abs=0.004))


def test_reports_are_stepped_in_order_of_their_own_time() -> None:
    """Batches of several sensors become ticks in order of time, short gaps filled, long ones jumped, sensors indexed."""
    made = source("ais", "replay")
    feed = open_decoder(made)
    batch = feed.decode(b"", NOON_NS)
    assert batch.batches == ()
    from trilat.feeds.registry import open_format

    read = open_format(made).decode(ship() + ship(lat=34.0), NOON_NS).batches[0]
    read.columns["t_ns"] = [NOON_NS + 3 * S_NS + 5, NOON_NS + 5]

    steps = in_order([read], list(made.sensors), S_NS)
    far = in_order([read, msgspec.structs.replace(read, columns=shift(read.columns, 3600 * S_NS))], list(made.sensors), S_NS)

    assert [(NOON_NS + k * S_NS, n) for k, n in ((1, 1), (2, 0), (3, 0), (4, 1))] == [(t, len(given)) for t, given in steps]
    assert {0} == {int(each.columns["sensor"][0]) for _, given in steps for each in given}
    assert len(far) < 200


def shift(rows: np.ndarray, by_ns: int) -> np.ndarray:
    moved = rows.copy()
    moved["t_ns"] += by_ns
    return moved


NODE = """
nation = "JPN"
mode = "{mode}"
name = "jpn-1"
directory = "state"
keys = "keys"

[[sensor]]
id = "ship-receiver"
kind = "fixes"

[[feed]]
name = "ais-1"
format = "ais"
url = "{url}"
sensors = ["ship-receiver"]
"""


def node_file(folder: Path, mode: str, url: str) -> Path:
    path = folder / "node.toml"
    path.write_text(NODE.format(mode=mode, url=url), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["udp", "tcp-listen"])
async def test_replay_reaches_a_node_s_feed_shifted(tmp_path: Path, kind: str) -> None:
    """What is replayed to a node comes out of its decoder as now, in order, with the original times in the pedigree."""
    feeds = FeedSockets(clock.now_ns, Random(1))
    port = await feeds.open("ais-1", f"{kind}://127.0.0.1:0", "ais")
    node = node_file(tmp_path, "replay:R1", f"{kind}://127.0.0.1:{port}")
    pieces = [Piece(NOON_NS + k * S_NS, ship(lat=30.0 + k)) for k in range(4)]
    begin_ns = clock.now_ns()

    target = target_of(str(node), "", "", "ais")
    sent = await send([plan(Path("ships"), target, iter(pieces), begin_ns)], 1000.0)
    gate, results = open_decoder(source("ais", "replay", name="ais-1")), []
    async with asyncio.timeout(WAIT_S):
        while sum(len(columns(each)) for each in results) < 4:
            results += [gate.decode(each.data, each.received_t_ns) for each in await feeds.receive()]
    await feeds.close()

    rows = columns(*results)
    assert ([4], [30.0, 31.0, 32.0, 33.0], {}) == (sent, rows["lat_deg"].tolist(), reasons(*results))
    assert [begin_ns + k * S_NS for k in range(4)] == rows["t_ns"].tolist()
    assert NOON_NS == results[0].batches[0].pedigree.original_t_ns


@pytest.mark.parametrize("named", ["node.toml", ".", "state"])
def test_replay_finds_the_port_that_a_running_node_was_given(tmp_path: Path, named: str) -> None:
    """With port 0 the node's ports.json is read, whether its TOML, its folder or its own directory is named; else a named error."""
    node = node_file(tmp_path, "replay:R1", "udp://127.0.0.1:0")
    (tmp_path / "state").mkdir()
    with pytest.raises(FeedError, match=r"is the node running\?"):
        target_of(str(tmp_path / named), "", "", "ais")
    for wrong in (b"{", b"[]", b'{"feeds": {}}', b'{"feeds": {"ais-1": "x"}}'):
        (tmp_path / "state" / "ports.json").write_bytes(wrong)
        with pytest.raises(FeedError, match=r"ports\.json"):
            target_of(str(node), "", "", "ais")
    (tmp_path / "state" / "ports.json").write_bytes(b'{"feeds": {"ais-1": 4711}}')

    assert "udp://127.0.0.1:4711" == target_of(str(tmp_path / named), "", "", "ais").url


def test_replay_goes_to_replay_nodes_only(tmp_path: Path) -> None:
    """A node in another mode, or without a feed of the format, is a named error before anything is sent."""
    live = node_file(tmp_path, "live", "udp://127.0.0.1:1")
    with pytest.raises(ConfigError):
        target_of(str(live), "", "", "ais")
    replay = node_file(tmp_path, "replay:R1", "udp://127.0.0.1:1")
    with pytest.raises(ConfigError):
        target_of(str(replay), "", "", "beast")
    assert target_of(str(replay), "", "ais-1", "beast") == ("udp://127.0.0.1:1", "R1", "ais")
    with pytest.raises(FeedError):
        target_of(str(node_file(tmp_path, "replay:R1", "file:x")), "", "", "ais")


def test_recordings_of_a_replay_are_merged_by_time_since_their_begin() -> None:
    """Each recording keeps its own spacing and has one shift; all begin together."""
    target = target_of("udp://127.0.0.1:1", "R1", "", "beast")
    first = plan(Path("a"), target, iter([Piece(NOON_NS, b"a0"), Piece(NOON_NS + 2 * S_NS, b"a2")]), NOON_NS + 100 * S_NS)
    second = plan(Path("b"), target, iter([Piece(5 * S_NS, b"b0"), Piece(6 * S_NS, b"b1")]), NOON_NS + 100 * S_NS)

    order = [(since // S_NS, index, data[-2:]) for since, index, data in frames([first, second])]

    assert [(0, 0, b"a0"), (0, 1, b"b0"), (1, 1, b"b1"), (2, 0, b"a2")] == order
    assert (100 * S_NS, NOON_NS + 95 * S_NS) == (first.shift_ns, second.shift_ns)
    with pytest.raises(FeedError):
        plan(Path("c"), target, iter(()), None)


def test_replay_as_a_command(tmp_path: Path) -> None:
    """The command sends a real file over UDP and says how many pieces and by how much it shifted them."""
    path = tmp_path / "beast.bin"
    path.write_bytes(as_beast(flight(4)))

    result = trilat(
        "replay", path, "--to", "udp://127.0.0.1:9", "--id", "R1", "--speed", 1000, "--start-at", "2024-01-02T12:00:00Z"
    )

    assert (0, True) == (result.exit_code, "shifted by +1,704,196,800.000 s" in result.stderr), result.output


@pytest.mark.parametrize(
    ("format_name", "raw", "expected"),
    [
        ("fixes-json", b'{"time":"2024-01-02T12:00:00Z","lat_deg":33,"lon_deg":130}\n{"time":"2024-01-02', "truncated"),
        ("fixes-json", b"[" * 50_000 + b'{"a":' * 1_000, "truncated"),
        ("beast", as_beast(flight(4))[:-3], "truncated"),
        ("ais", FIVE[0], "parts-missing"),
        ("ais", gzip.compress(ship())[:-1], "truncated"),
    ],
)
def test_what_the_end_of_a_recording_cuts_is_counted(tmp_path: Path, format_name: str, raw: bytes, expected: str) -> None:
    """A row, frame, message or gzip stream that a recording's end cuts is among the refused: nothing disappears silently."""
    path = tmp_path / "cut"
    path.write_bytes(raw)

    assert expected in trilat("decode", format_name, path).stderr


async def test_a_node_that_hangs_up_is_a_named_error(tmp_path: Path) -> None:
    """When the node ends while a recording is sent to it, the command says so, and how far it came."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    url = f"tcp-listen://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    pieces = iter([Piece(NOON_NS + k * S_NS, bytes(60_000)) for k in range(1_000)])
    async with server:
        with pytest.raises(FeedError, match=r"TRI-0105.*pieces of ships"):
            await send([plan(tmp_path / "ships", target_of(url, "R1", "", "ais"), pieces, None)], 1_000)


def test_feed_names_stand_before_the_file(tmp_path: Path) -> None:
    """FEED=FILE names a feed, unless a file of that very name is there."""
    odd = tmp_path / "a=b"
    odd.write_bytes(b"")

    assert ("ais-1", Path("x.nmea")) == split_feed("ais-1=x.nmea")
    assert ("", odd) == split_feed(str(odd))
    assert MODES["replay"].id == "R1"


def test_a_review_has_the_rows_of_the_watch_and_is_nearer(tmp_path: Path) -> None:
    """`track --smooth` writes the same tracks at the same ticks, and a flight whose fixes wander by 30 m nearer to its line."""
    rng = np.random.default_rng(5)
    rows = [
        f"2024-01-02T12:{k // 60:02}:{k % 60:02}Z,{33.5 + n:.6f},{130.4 + 0.002 * k + e:.6f},9000,86d123,TRI101\n"
        for k, (n, e) in enumerate(rng.normal(0, 30 / 111e3, (90, 2)))
    ]
    path = tmp_path / "flight.csv"
    path.write_text("time,lat_deg,lon_deg,alt_m,address,callsign\n" + "".join(rows))
    told = []
    for more in ((), ("--smooth",)):
        assert trilat("track", path, "--out", tmp_path / "t.jsonl", *more).exit_code == 0
        told.append([json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()])
    live, late = told
    same = ("shown_t_ns", "number", "t_ns", "status", "callsign")
    assert [[row[name] for name in same] for row in live] == [[row[name] for name in same] for row in late]
    off = [np.sqrt(np.mean([(row["lat_deg"] - 33.5) ** 2 for row in rows])) * 111e3 for rows in told]
    assert off[1] < 0.7 * off[0] < 25.0
    assert np.mean([row["sigma_m"] for row in late]) < 0.8 * np.mean([row["sigma_m"] for row in live])
    assert live[-1]["sigma_m"] == late[-1]["sigma_m"]


@pytest.mark.timeout(400)  # the tracker's kernels are compiled here when their cache is cold
def test_half_a_second_of_radar_confirms_no_track(recordings: Path, tmp_path: Path) -> None:
    """From the 0.44 s of the Croatian capture (162 records, 126 plots) tracks are begun, and none is called one."""
    capture, out = recordings / "asterix-croatiacontrol" / "cat_034_048.pcap", tmp_path / "tracks.csv"
    if not capture.exists():
        pytest.skip("no capture")

    items = trilat("decode", "asterix", capture, "--items").stdout.splitlines()
    said = trilat("track", capture, "--out", out).stderr
    shown = [line.split(",")[3] for line in out.read_text("utf-8").splitlines()]

    assert (162, True) == (len(items), "126 reports" in said)
    assert {"status", "tentative"} == set(shown)
