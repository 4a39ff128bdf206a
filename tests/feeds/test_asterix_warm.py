"""Warming compiles what a feed calls, so that no node compiles while plots wait."""

from trilat.feeds.asterix_encode import encode_cat048
from trilat.feeds.asterix_items import decode_items, iter_records
from trilat.feeds.asterix_reports import plots
from trilat.kernels import asterix, asterix_plots
from trilat.records.columns import empty_reports


def test_a_feed_needs_no_type_that_warming_did_not_compile() -> None:
    """After warming, one plot and many, a datagram and a recording, add no compiled signature to any kernel."""
    assert 1 == asterix_plots.warm()
    kernels = [f for module in (asterix, asterix_plots) for f in vars(module).values() if hasattr(f, "signatures")]
    assert kernels
    for count in (1, 30):
        columns = empty_reports(count)
        columns["t_ns"], columns["range_m"], columns["azimuth_rad"], columns["callsign"] = 0, 1e5, 1.0, b"WARM"
        (datagram,) = encode_cat048(columns, 1, 1, simulated=True)
        assert count == len(list(iter_records(datagram)))
        plots(decode_items(bytearray(datagram), {48: "1.32"}).items[48])
        plots(decode_items(datagram * 2, {48: "1.32"}, [(0, len(datagram)), (len(datagram), 2 * len(datagram))]).items[48])
    assert {1} == {len(f.signatures) for f in kernels} - {0}  # 0: called from other kernels only
