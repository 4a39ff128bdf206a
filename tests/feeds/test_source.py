"""Source and what stands round it: refusals are counted, simulated reports stay off live feeds, settings are read."""

import numpy as np
import pytest
from feedkit import MODES, NOON_NS, sensor, source

from trilat.errors import FeedError
from trilat.feeds.registry import FORMATS, open_format, source_of
from trilat.feeds.source import Decoder, Refusals, merge_refused, refuse_simulated, whole_lines
from trilat.records.columns import FLAG_SIMULATED, FLAG_TEST, Reports, empty_reports
from trilat.records.report import Pedigree


def batch(flags: list[int], mode: str) -> Reports:
    rows = empty_reports(len(flags))
    rows["flags"] = flags
    pedigree = Pedigree(nation="JPN", sensors=("sensor-1",))
    return Reports(source="feed-1", label=sensor(mode).label, pedigree=pedigree, received_t_ns=NOON_NS, columns=rows)


def test_refusals_are_one_record_a_reason() -> None:
    """Counts and lengths add up, the first place and detail stay, and taking begins anew."""
    refusals = Refusals("feed-1")
    refusals.add("syntax-bad", 7, 10, "first")
    refusals.add("syntax-bad", 90, 5, "second")
    refusals.add("checksum-bad", 3, 4)

    taken = refusals.take(NOON_NS)

    assert [("checksum-bad", 1, 3, 4, ""), ("syntax-bad", 2, 7, 15, "first")] == [
        (each.reason, each.count, each.offset, each.length, each.detail) for each in taken
    ]
    assert refusals.take(NOON_NS) == ()


def test_merging_refusals_keeps_every_count() -> None:
    """Refusals of several calls become one record a reason with the sum of the counts."""
    first, second = Refusals("feed-1"), Refusals("feed-1")
    first.add("truncated", length=3, count=2)
    second.add("truncated", length=4, count=5)

    (merged,) = merge_refused([*first.take(1), *second.take(2)])

    assert (7, 7, 1) == (merged.count, merged.length, merged.t_ns)


@pytest.mark.parametrize("flag", [FLAG_SIMULATED, FLAG_TEST])
def test_simulated_reports_never_pass_a_live_source(flag: int) -> None:
    """A live source refuses and counts reports with a simulated or test bit, and keeps the others of the batch."""
    refusals = Refusals("feed-1")

    kept = refuse_simulated(source("ais", "live"), (batch([0, flag, 4], "live"), batch([flag], "live")), refusals)

    assert [[0, 4]] == [each.columns["flags"].tolist() for each in kept]
    assert [("simulated-on-live", 2)] == [(each.reason, each.count) for each in refusals.take(NOON_NS)]


@pytest.mark.parametrize("mode", ["exercise", "replay"])
def test_simulated_reports_pass_elsewhere(mode: str) -> None:
    """Exercise and replay sources keep simulated reports, flags and all."""
    given = (batch([FLAG_SIMULATED], mode),)

    assert given == refuse_simulated(source("ais", mode), given, Refusals("feed-1"))


def test_datagrams_of_lines_end() -> None:
    """A datagram of a line format gets its missing line end; others stay as they are."""
    assert [b"a\n", b"a\n", b"a"] == [whole_lines("ais", b"a"), whole_lines("avr", b"a\n"), whole_lines("asterix", b"a")]


def test_every_format_opens_as_a_decoder() -> None:
    """Every format of the table gives an object of the Decoder contract, and its captures do too."""
    for name in FORMATS:
        for container in ("", "pcap"):
            assert isinstance(open_format(source(name, container=container)), Decoder)


def test_settings_as_a_node_has_them_become_a_source() -> None:
    """Text options and editions of a configuration are converted and checked."""
    made = source_of(
        "feed-1",
        "fixes-csv",
        MODES["live"],
        [sensor("live")],
        nation="JPN",
        editions={"48": "1.31"},
        options={
            "columns": "t=time,lat_deg=la,lon_deg=lo",
            "factors": "alt_m=0.3048",
            "time": "epoch-s",
            "reference": "33.5,130.4",
        },
    )

    assert made.editions == {48: "1.31"}
    assert made.reference == (33.5, 130.4)
    assert made.fix_columns is not None
    assert made.fix_columns.columns["lat_deg"] == "la"
    assert made.fix_columns.factors == {"alt_m": 0.3048}


@pytest.mark.parametrize(
    ("format_name", "options", "error"),
    [
        ("beats", {}, "feed-format"),
        ("beast", {"colour": "red"}, "feed-setting"),
        ("beast", {"reference": "95,0"}, "feed-setting"),
        ("beast", {"receiver_clock": "sundial"}, "feed-setting"),
        ("fixes-csv", {"columns": "t"}, "feed-setting"),
    ],
)
def test_wrong_settings_are_named_errors(format_name: str, options: dict[str, str], error: str) -> None:
    """An unknown format, an unknown option and a value out of range are each a FeedError with its name."""
    with pytest.raises(FeedError) as caught:
        source_of("feed-1", format_name, MODES["live"], [sensor("live")], nation="JPN", options=options)

    assert error == caught.value.name


@pytest.mark.parametrize(("preset", "columns"), [("nobody", None), ("", {"t": "time"})])
def test_tables_need_a_map_that_fits(preset: str, columns: dict[str, str] | None) -> None:
    """An unknown preset and a map without a position are errors when the feed is opened."""
    made = source_of(
        "feed-1",
        "fixes-csv",
        MODES["live"],
        [sensor("live")],
        nation="JPN",
        options={"preset": preset} if preset else {"columns": ",".join(f"{a}={b}" for a, b in (columns or {}).items())},
    )

    with pytest.raises(FeedError) as caught:
        open_format(made)

    assert caught.value.name == "feed-setting"


def test_a_feed_without_sensor_is_an_error() -> None:
    """Formats that carry one sensor's reports cannot be opened without any."""
    with pytest.raises(FeedError) as caught:
        open_format(source("ais", sensors=()))

    assert caught.value.name == "feed-setting"
    assert np.isnan(empty_reports(1)["lat_deg"]).all()
