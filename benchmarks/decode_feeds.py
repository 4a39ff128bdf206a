"""Decode rates of Mode S and AIS against rs1090 and pyais used directly, in the same run on the same input.

`python benchmarks/decode_feeds.py` measures at full size, `--tiny` just runs everything. Rates are per
second of processor time, so that they hold on a machine with other work. Input: the real recordings beside the
repository when they are there (71,939 Mode S frames, 1,490 sentences of AIS), else frames and sentences made here.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import pyais
import rs1090
from pyais.stream import IterMessages

from trilat.feeds import modes_encode
from trilat.feeds.nmea import checksum
from trilat.feeds.registry import open_format
from trilat.feeds.source import NOT_KNOWN_T_NS, Source
from trilat.records.label import Label, Mode
from trilat.records.sensor import Sensor

DATA = Path(__file__).parents[2] / "shared" / "data"
T_S = 1_704_196_800.0
REPEATS = 3
SENTENCES = 50_000


def source(format_name: str) -> Source:
    """Return a source with one sensor."""
    mode = Mode(kind="replay", id="bench")
    label = Label(policy="TRILAT", originator="JPN", mode=mode, level=1)
    sensor = Sensor(id="sensor-1", nation="JPN", kind="fixes", label=label)
    return Source(name="bench", format=format_name, nation="JPN", mode=mode, sensors=(sensor,))  # type: ignore[arg-type]


def modes_lines(count: int) -> bytes:
    """Return timestamped frames: the recording, or as many made here."""
    path = DATA / "modes-traffic" / "tutorial.jsonl.gz"
    if path.exists():
        lines = gzip.decompress(path.read_bytes()).splitlines()[:count]
        return b"\n".join(lines) + b"\n"
    made = []
    for k in range(count):
        frame = modes_encode.airborne_position(0x860000 + k % 50, 33.0 + k * 1e-5, 130.0, 10_000.0, odd=k // 50 % 2 == 1)
        made.append(b'{"timestamp":%.3f,"frame":"%s"}' % (T_S + k / 200, frame.hex().encode()))
    return b"\n".join(made) + b"\n"


def ais_lines(count: int) -> list[bytes]:
    """Return sentences: the recording's over again, or one made here."""
    path = DATA / "ais-gpsd" / "ais-nmea-type6-fid55.log"
    if path.exists():
        lines = [line for line in path.read_bytes().splitlines() if line.startswith(b"!")]
    else:
        text = b"AIVDM,1,1,,B,13nUgBWP01PkHvDU7<kC4wvJ2>`<,0"
        lines = [b"!%s*%02X" % (text, checksum(text))]
    return (lines * (count // len(lines) + 1))[:count]


def best(run: Callable[[], int], repeats: int) -> tuple[float, int]:
    """Return the least processor time of several runs in seconds (all threads), and what the run counted."""
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        count = run()
        times.append(time.process_time() - begun)
    return min(times), count


def positions(data: bytes, format_name: str, t_ns: int) -> int:
    """Decode with our feed; return how many fixes it gave."""
    return sum(len(batch.columns) for batch in open_format(source(format_name)).decode(data, t_ns).batches)


def direct_modes(data: bytes, *, squitters_only: bool) -> int:
    """Decode with rs1090 alone, positions included; return how many it gave."""
    lines = [json.loads(line) for line in data.splitlines()]
    if squitters_only:
        lines = [line for line in lines if int(line["frame"][:2], 16) >> 3 in (17, 18)]
    decoded = rs1090.decode([line["frame"] for line in lines], [line["timestamp"] for line in lines])
    return sum(1 for each in decoded if each.get("latitude") is not None)


def direct_ais(lines: list[bytes]) -> int:
    """Decode with pyais alone, sentence by sentence, parts joined by its own stream; return how many messages had a position."""
    count = 0
    for sentence in IterMessages(lines):
        try:
            count += getattr(sentence.decode(), "lat", None) is not None
        except pyais.exceptions.AISBaseException:
            continue
    return count


def main() -> None:
    """Print a line a decoder: messages a second, fixes, and our rate over theirs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tiny", action="store_true", help="a few messages, once")
    tiny = arguments.parse_args().tiny
    repeats = 1 if tiny else REPEATS
    modes = modes_lines(300 if tiny else 71_939)
    ais = ais_lines(300 if tiny else SENTENCES)
    joined = b"\r\n".join(ais) + b"\r\n"
    frames = modes.count(b"\n")
    rows = [
        ("Mode S, Trilat, fixes out", frames, best(lambda: positions(modes, "modes-jsonl", NOT_KNOWN_T_NS), repeats)),
        ("Mode S, rs1090, squitters only", frames, best(lambda: direct_modes(modes, squitters_only=True), repeats)),
        ("Mode S, rs1090, every frame", frames, best(lambda: direct_modes(modes, squitters_only=False), repeats)),
        ("AIS, Trilat, fixes out", len(ais), best(lambda: positions(joined, "ais", int(T_S * 1e9)), repeats)),
        ("AIS, pyais", len(ais), best(lambda: direct_ais(ais), repeats)),
    ]
    ours = math.nan
    for name, count, (seconds, found) in rows:
        rate = count / max(seconds, 1e-9)
        ours = rate if "Trilat" in name else ours
        ratio = "" if "Trilat" in name else f"  Trilat / this: {ours / rate:.2f}"
        print(f"{name:<32} {count:>7,} messages  {rate:>9,.0f}/s  {found:>7,} positions{ratio}")


if __name__ == "__main__":
    main()
