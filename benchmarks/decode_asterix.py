"""How fast ASTERIX is decoded: ours against libasterix, and against pyobelix and pyasteryx where a Python has them.

Every side decodes the same CAT048 data blocks and reads every value of every item out, in the same run. Rates are records per
second of processor time on one core, the best of several turns. The real capture beside the repository is used when it is
there, else plots that our own encoder wrote. pyobelix and pyasteryx never share an environment with libasterix here: install
them into one of their own (`python -m venv X; X/bin/pip install pyobelix pyasteryx`), its Python goes to --peer-python.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

EDITION = "1.27"
NOON_NS = 1_462_449_600_000_000_000
CAPTURE = "shared/data/asterix-croatiacontrol/cat_034_048.pcap"


def split(data: bytes) -> list[bytes]:
    """Return the data blocks in bytes."""
    blocks, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        blocks.append(data[at : at + length])
        at += length
    return blocks


def rate(records: int, turn: Callable[[], Any], turns: int) -> float:
    """Return records per second of processor time, best of some turns after one to warm up."""
    turn()
    best = float("inf")
    for _ in range(turns):
        begin = process_time()
        turn()
        best = min(best, process_time() - begin)
    return records / max(best, 1e-9)


def peer_rates(path: Path, turns: int) -> None:
    """Print the rates of the peers that this Python has; runs in their own environment, without ours."""
    blocks = split(path.read_bytes())
    data = b"".join(blocks)
    try:
        import pyobelix  # noqa: PLC0415 - only in the peers' environment

        records = len(list(pyobelix.iter_records(data)))
        print(f"pyobelix {pyobelix.__version__}\t{rate(records, lambda: list(pyobelix.iter_records(data)), turns):.0f}")
    except ImportError:
        pass
    try:
        import pyasteryx  # noqa: PLC0415 - as above

        decoder = pyasteryx.Decoder()
        records = len(decoder.decode(data))
        print(f"pyasteryx\t{rate(records, lambda: decoder.decode(data), turns):.0f}")
    except ImportError:
        pass


def cat048_blocks() -> tuple[str, list[bytes], Any]:
    """Return where the blocks come from, CAT048 data blocks, and one sensor for all."""
    from trilat.feeds.asterix_encode import encode_cat048  # noqa: PLC0415 - numba and numpy are not in the peers' environment
    from trilat.records.columns import empty_reports  # noqa: PLC0415
    from trilat.records.label import Label, Mode  # noqa: PLC0415
    from trilat.records.sensor import Sensor  # noqa: PLC0415

    root = Path(__file__).parents[1]
    sys.path.insert(0, str(root / "tests" / "feeds"))
    label = Label(policy="TRILAT", originator="USA", mode=Mode(kind="replay", id="benchmark"), level=0)
    sensor = Sensor(id="any", nation="USA", kind="radar2d", label=label)
    capture = root.parent / CAPTURE
    if capture.is_file():
        from asterix_recordings import datagrams  # noqa: PLC0415

        blocks = [block for _, data in datagrams(capture) for block in split(data) if block[0] == 48]
        return "the Croatian capture", blocks, sensor
    columns = empty_reports(128)
    columns["t_ns"], columns["range_m"], columns["azimuth_rad"] = NOON_NS, 100_000.0, 1.0
    columns["mode_3a"], columns["address"], columns["callsign"], columns["height_m"] = 0o1234, 0xABCDEF, b"TRILAT1", 9_000.0
    return "plots of our own encoder", encode_cat048(columns, 1, 1, simulated=True, edition=EDITION), sensor


def read_everything(data: bytes) -> int:
    """Decode and read out every field of every record into columns; returns how many records there were."""
    from trilat.feeds.asterix_items import decode_items  # noqa: PLC0415

    items = decode_items(data, {48: EDITION}).items[48]
    items.values()
    for name, field in items.layout.fields.items():
        if field.repeated >= 0:
            items.raw(name)
            items.owner(name)
        elif field.kind == "ia5":
            items.text(name)
    return len(items)


def our_rates(blocks: list[bytes], copies: int, turns: int, sensor: Any) -> dict[str, float]:
    """Return our rates: all items as columns, as dictionaries, and reports by recording and by datagram."""
    from trilat.feeds.asterix import AsterixDecoder  # noqa: PLC0415
    from trilat.feeds.asterix_items import decode_items, iter_records  # noqa: PLC0415
    from trilat.feeds.source import Source  # noqa: PLC0415

    one = b"".join(blocks)
    data = one * copies
    records = read_everything(data)
    times = decode_items(one, {48: EDITION}).items[48].value("140")
    received = NOON_NS // 86_400_000_000_000 * 86_400_000_000_000 + int(times[0] * 1e9)
    source = Source(
        name="benchmark",
        format="asterix",
        nation="USA",
        mode=sensor.label.mode,
        unknown_sensor=sensor,
        editions={48: EDITION},
    )
    decoder = AsterixDecoder(source)
    few = blocks[:200]
    live = [b"".join(blocks[k : k + 8]) for k in range(0, len(few), 8)]
    in_few = read_everything(b"".join(few))
    many = blocks * copies
    return {
        "ours: every item, columns": rate(records, lambda: read_everything(data), turns),
        "ours: every item, one dictionary a record": rate(
            records // copies, lambda: list(iter_records(one, None, {48: EDITION})), turns
        ),
        "ours: reports, a recording at once": rate(records, lambda: decoder.decode_many(many, [received] * len(many)), turns),
        f"ours: reports, {in_few / len(live):.0f} records a call": rate(
            in_few, lambda: [decoder.decode(datagram, received) for datagram in live], turns
        ),
    }


def libasterix_rate(blocks: list[bytes], turns: int) -> float:
    """Return the rate of libasterix, values read out."""
    import asterix_oracle as oracle  # noqa: PLC0415 - six megabytes of generated module

    def turn() -> int:
        count = 0
        for data in blocks:
            for block in oracle.blocks(data):
                count += len([oracle.flatten(record) for record in oracle.parse_block(block, EDITION) or []])
        return count

    return rate(turn(), turn, turns)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a few records only, to see that it runs")
    parser.add_argument("--peer-python", help="a Python whose environment has pyobelix or pyasteryx")
    parser.add_argument("--as-peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    turns = 1 if options.tiny else 5
    if options.as_peer:
        peer_rates(options.as_peer, turns)
        return
    origin, blocks, sensor = cat048_blocks()
    blocks = blocks[:4] if options.tiny else blocks
    copies = 2 if options.tiny else 400
    rates = our_rates(blocks, copies, turns, sensor)
    rates["libasterix"] = libasterix_rate(blocks, turns)
    if options.peer_python:
        with tempfile.NamedTemporaryFile(suffix=".asterix") as file:
            file.write(b"".join(blocks) * (1 if options.tiny else 10))
            file.flush()
            command = [options.peer_python, __file__, "--as-peer", file.name, *(["--tiny"] if options.tiny else [])]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        rates |= {name: float(value) for name, value in (line.split("\t") for line in lines)}
    ours = rates["ours: every item, columns"]
    print(f"CAT048 edition {EDITION}, {len(blocks)} blocks of {origin}, {copies} times; records/s of processor time, one core")
    for name, value in rates.items():
        ratio = "" if name.startswith("ours") else f"   ours is {ours / value:,.0f} times as fast"
        print(f"{name:45}{value:12,.0f}{ratio}")


if __name__ == "__main__":
    main()
