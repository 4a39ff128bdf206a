"""Three nodes in mode Replay for real recordings: their sensors stand where the recordings were made."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from trilat.exercise import provision, scenario
from trilat.node import clock
from trilat.records.label import Mode

MODE = Mode(kind="replay", id="real")
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Recording(NamedTuple):
    """One recording as a feed: whose, which file and format, how it is read, where its sensor stands, who may have it."""

    nation: str
    feed: str
    file: str
    format: str
    rel_to: tuple[str, ...]
    topic: str
    settings: Mapping[str, Any] = NOTHING
    site: Mapping[str, Any] = NOTHING
    sics: tuple[int, ...] = ()

    @property
    def sensors(self) -> list[str]:
        """The ids of the sensors that speak in it."""
        name = f"{self.nation}/{self.feed}"
        return [f"{name}-{sic}" for sic in self.sics] or [name]


ALL = ("JPN", "KOR", "USA")
# The stations of the capture by SIC. Where they stand is not published with it; one place does for half a second of plots.
RADARS = (11, 12, 13, 14, 201, 204, 205)
RECORDINGS = (
    Recording(
        "JPN",
        "flight",
        "tracks-traffic/JL516_Flightradar24_ADS-B_data_granular.csv.gz",
        "fixes-csv",
        ("KOR", "USA"),
        "air",
        {"options": {"preset": "flightradar24"}},
    ),
    Recording("JPN", "ships", "ais-gpsd/ais-nmea-type6-fid55.log", "ais", ("USA",), "sea"),
    Recording(
        "KOR",
        "spoofed",
        "tracks-traffic/noisy_spoofing.json.gz",
        "fixes-json",
        ("USA",),
        "air",
        {"options": {"preset": "opensky"}},
    ),
    Recording(
        "KOR",
        "radar",
        "asterix-croatiacontrol/cat_034_048.pcap",
        "asterix",
        ("JPN", "USA"),
        "air",
        {"editions": {"034": "1.27", "048": "1.27"}},
        {"kind": "radar2d", "sac": 25, "lat_deg": 45.8, "lon_deg": 16.0, "alt_m": 900.0},
        RADARS,
    ),
    Recording(
        "USA",
        "receiver",
        "modes-traffic/tutorial.jsonl.gz",
        "modes-jsonl",
        ("JPN", "KOR"),
        "air",
        {},
        {"lat_deg": 43.6, "lon_deg": 1.36, "alt_m": 150.0, "range_max_m": 450_000.0},
    ),
)


def prepare(directory: Path) -> dict[str, provision.Prepared]:
    """Make three nodes in mode Replay whose sensors and feeds are those of the recordings."""
    made = provision.prepare(scenario.load("straits"), directory, MODE, clock.now_ns(), random.Random(11).randbytes)
    for nation, prepared in made.items():
        mine = [recording for recording in RECORDINGS if recording.nation == nation]
        config = msgspec.toml.decode(prepared.config.read_bytes())
        config["sensor"] = [sensor for recording in mine for sensor in _sensors(recording)]
        config["feed"] = [_feed(recording) for recording in mine]
        prepared.config.write_bytes(msgspec.toml.encode(config))
    return made


def _sensors(recording: Recording) -> list[dict[str, Any]]:
    label = {"level": 1, "rel_to": list(recording.rel_to), "topics": [recording.topic]}
    base = {"kind": "fixes", **recording.site, "label": label}
    codes: list[dict[str, Any]] = [{"sic": sic} for sic in recording.sics] or [{}]
    return [{"id": name, **base, **code} for name, code in zip(recording.sensors, codes, strict=True)]


def _feed(recording: Recording) -> dict[str, Any]:
    url = "tcp-listen://127.0.0.1:0"  # `trilat replay --to NODE` finds the port in the node's ports.json
    base = {"name": recording.feed, "format": recording.format, "url": url, "sensors": recording.sensors}
    return {**base, **recording.settings}
