"""The ASTERIX decoder of one source: bytes to batches of reports per sensor, everything refused counted by name."""

from collections.abc import Callable, Sequence
from math import radians
from typing import Any

import numpy as np
from msgspec import Struct

from trilat.feeds import asterix_reports as reports
from trilat.feeds.asterix_items import Items, Refusal, decode_items
from trilat.feeds.asterix_layout import layout
from trilat.feeds.source import Decoded, Decoder, Refusals, Source, refuse_simulated
from trilat.kernels import asterix_plots as kernel
from trilat.records.columns import Reports
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor

Array = np.ndarray[Any, Any]

TODS_PER_DAY = 86_400 * 128
# A radar's instrumented range is configured roundly; a plot this much beyond it is not its own.
RANGE_SLACK = 1.25
KINDS: dict[int, tuple[str, ...]] = {
    21: ("fixes",),
    34: ("radar2d", "radar3d"),
    48: ("radar2d", "radar3d"),
    62: ("tracks",),
    65: ("tracks",),
}
CONVERT: dict[int, Callable[[Items], reports.Converted]] = {21: reports.fixes, 48: reports.plots, 62: reports.tracks}
NORTH_MARKER = 1
SERVICE_FIELDS = ("010/SAC", "010/SIC", "000", "030", "020", "041", "050/COM/NOGO", "040/NOGO")


class ServiceState(Struct):
    """What a sensor last said of itself (CAT034) or a tracker of its service (CAT065).

    messages: message type (I034/000, I065/000) -> how many. nogo: its own "not to be used" bits, None when it never said.
    north_t_ns: the last north marker; sector_rad: the last sector crossed; period_s: the antenna's turn (I034/041).
    """

    messages: dict[int, int] = {}
    t_ns: int | None = None
    north_t_ns: int | None = None
    sector_rad: float | None = None
    period_s: float | None = None
    nogo: int | None = None


class AsterixDecoder(Decoder):
    """Decodes one source's ASTERIX: CAT048, CAT021 and CAT062 into reports, CAT034 and CAT065 into `service`.

    The sensor is found by SAC/SIC among those of the fitting kind; editions come from the configuration. A datagram holds whole
    blocks; on a stream or file a block may be cut by the end of a call, and its rest then comes with the next one.
    """

    def __init__(self, source: Source) -> None:
        """Prepare for a source; raises FeedError("edition-unknown") for an edition or category without a table."""
        for category, edition in source.editions.items():
            layout(category, edition)
        self._source = source
        self._refusals = Refusals(source.name)
        self._sensors: list[Sensor] = list(source.sensors)
        self._stations = {category: self._station_table(kinds) for category, kinds in KINDS.items()}
        self._pedigrees = [Pedigree(nation=s.nation, sensors=(s.id,), feed=source.name) for s in self._sensors]
        self._rest = b""
        # sensor id -> what it said of itself
        self.service: dict[str, ServiceState] = {}

    def _station_table(self, kinds: tuple[str, ...]) -> Array:
        """Return the index of the sensor for each SAC * 256 + SIC, -1 where unknown."""
        table = np.full(65_537, -1, np.int64)  # the last entry answers to -1: a report without a station
        if self._source.unknown_sensor is not None:
            if self._source.unknown_sensor not in self._sensors:
                self._sensors.append(self._source.unknown_sensor)
            table[:65_536] = self._sensors.index(self._source.unknown_sensor)
        for index, sensor in enumerate(self._source.sensors):
            if sensor.kind in kinds and sensor.sac is not None and sensor.sic is not None:
                table[sensor.sac * 256 + sensor.sic] = index
        return table

    def decode(self, data: bytes, received_t_ns: int) -> Decoded:
        """Return the reports in one datagram, or in the next piece of a stream (contract `Decoder`)."""
        if self._rest:
            data = self._joined(data)
        found = decode_items(data, self._source.editions)
        refused = list(found.refused)
        if refused and self._is_cut(refused[-1], data):
            self._rest = data[refused.pop().offset :]
        return self._reports(found.items, refused, np.array([received_t_ns]), received_t_ns)

    def decode_many(self, datagrams: Sequence[bytes], received_t_ns: Sequence[int] | Array) -> Decoded:
        """Return the reports of many datagrams at once, as of a recording: much faster than one by one.

        received_t_ns: when each came in; times of day are held against their own datagram's. Batches carry the last one.
        """
        received = np.asarray(received_t_ns, np.int64)
        if not len(datagrams):
            return Decoded()
        ends = np.cumsum([len(datagram) for datagram in datagrams])
        edges = np.column_stack([np.concatenate([[0], ends[:-1]]), ends])
        found = decode_items(b"".join(datagrams), self._source.editions, edges)
        return self._reports(found.items, found.refused, received, int(received.max()))

    def finish(self, received_t_ns: int) -> Decoded:
        """Say that the stream is over: what was waiting for its rest is refused."""
        self._drop_rest()
        return Decoded((), self._refusals.take(received_t_ns))

    def _joined(self, data: bytes) -> bytes:
        """Return data with the kept beginning of a block before it; without it where data is whole blocks and the two are not."""
        joined = self._rest + data
        if data and self._is_whole(data) and not self._is_whole(joined):
            self._drop_rest()
            return data
        self._rest = b""
        return joined

    def _is_whole(self, data: bytes) -> bool:
        """Tell whether bytes are whole data blocks of configured categories, end to end."""
        at = 0
        while at + 3 < len(data):
            length = int.from_bytes(data[at + 1 : at + 3], "big")
            if length < 4 or data[at] not in self._source.editions:
                return False
            at += length
        return at == len(data)

    def _drop_rest(self) -> None:
        if self._rest:
            self._refusals.add("truncated", length=len(self._rest), detail="the end of a block never came")
            self._rest = b""

    def _is_cut(self, refusal: Refusal, data: bytes) -> bool:
        """Tell whether the input ends inside a block that may go on in the next piece."""
        at = refusal.offset
        if refusal.reason != "truncated" or at + refusal.length != len(data) or data[at] not in self._source.editions:
            return False
        return refusal.length < 3 or int.from_bytes(data[at + 1 : at + 3], "big") > refusal.length

    def _reports(self, found: dict[int, Items], refused: Sequence[Refusal], received: Array, received_t_ns: int) -> Decoded:
        """Turn items into batches; count what was refused on the way."""
        for refusal in refused:
            self._refusals.add(refusal.reason, refusal.offset, refusal.length, refusal.detail)
        batches: list[Reports] = []
        for category, items in found.items():
            if not len(items):
                continue
            received_each = received if len(received) == 1 else received[items.frame]
            if category in CONVERT:
                batches += self._batches(category, items, received_each, received_t_ns)
            else:
                self._service_messages(category, items, received_each)
        kept = refuse_simulated(self._source, tuple(batches), self._refusals)
        return Decoded(kept, self._refusals.take(received_t_ns))

    def _batches(self, category: int, items: Items, received: Array, received_t_ns: int) -> list[Reports]:
        """Return one batch a sensor of the reports of a category that can be believed."""
        made = CONVERT[category](items)
        index = self._stations[category][made.station]
        t_ns, offset_ns = absolute_t_ns(made.tods, received)
        made.columns["t_ns"] = t_ns
        if made.dropped:
            self._refusals.add("height-implausible", count=made.dropped)
        refuse = self._refuse(items, made, index, offset_ns)
        index[refuse] = -1
        batches = []
        for sensor in sorted(set(index.tolist()) - {-1}):
            rows = index == sensor
            columns = made.columns if rows.all() else made.columns[rows]
            columns = self._with_sensor(columns, self._sensors[sensor], items)
            if len(columns):
                batches.append(self._batch(columns, sensor, received_t_ns))
        return batches

    def _batch(self, columns: Array, sensor: int, received_t_ns: int) -> Reports:
        return Reports(
            source=self._source.name,
            label=self._sensors[sensor].label,
            pedigree=self._pedigree(sensor),
            received_t_ns=received_t_ns,
            columns=columns,
        )

    def _pedigree(self, index: int) -> Pedigree:
        if index < len(self._pedigrees):
            return self._pedigrees[index]
        sensor = self._sensors[index]
        return Pedigree(nation=sensor.nation, sensors=(sensor.id,), feed=self._source.name)

    def _refuse(self, items: Items, made: reports.Converted, index: Array, offset_ns: Array) -> Array:
        """Tell which records cannot be believed and count them, each under the first reason that holds."""
        late = ~self._is_timely(made.tods, made.columns["t_ns"], offset_ns)
        refuse: Array = (index < 0) | (made.tods < 0) | late | (made.verdict != kernel.OK)
        if not refuse.any():
            return refuse
        checks = [("sensor-unknown", index < 0), ("time-missing", made.tods < 0), ("time-implausible", late)]
        checks += [(name, made.verdict == code) for code, name in reports.REASONS.items()]
        counted = np.zeros(len(items), np.bool_)
        for reason, bad in checks:
            rows = np.flatnonzero(bad & ~counted)
            if len(rows):
                self._count(reason, items, made, rows, offset_ns)
                counted |= bad
        return refuse

    def _is_timely(self, tods: Array, t_ns: Array, offset_ns: Array) -> Array:
        """Tell which times of day exist and are near enough to receipt."""
        near = np.abs(offset_ns) <= self._source.clock_error_s_max * 1e9
        result: Array = near & (tods < TODS_PER_DAY) & (t_ns >= 0)
        return result

    def _count(self, reason: str, items: Items, made: reports.Converted, rows: Array, offset_ns: Array) -> None:
        """Count refused records, with where the first one stands and what is wrong with it."""
        first = int(rows[0])
        begin, end = items.records[first, 1:3].tolist()
        station = int(made.station[first])
        detail = f"CAT{items.layout.category:03d}, SAC/SIC {station // 256}/{station % 256}" if station >= 0 else "no SAC/SIC"
        if reason == "time-implausible":
            detail += f", {offset_ns[first] / 1e9:+.1f} s from receipt"
        length = int((items.records[rows, 2] - items.records[rows, 1]).sum())
        self._refusals.add(reason, begin, length or end - begin, detail, count=len(rows))

    def _with_sensor(self, columns: Array, sensor: Sensor, items: Items) -> Array:
        """Fill in the sensor's own accuracies, and refuse plots beyond its range."""
        if items.layout.category == 48:
            columns["sigma_range_m"] = sensor.sigma_range_m
            columns["sigma_azimuth_rad"] = sensor.sigma_azimuth_rad
            columns["sigma_height_m"] = np.where(np.isnan(columns["height_m"]), np.nan, sensor.sigma_height_m)
            columns["sigma_doppler_m_s"] = np.where(np.isnan(columns["doppler_m_s"]), np.nan, sensor.sigma_doppler_m_s)
            far = columns["range_m"] > sensor.range_max_m * RANGE_SLACK
            if far.any():
                detail = f"plots beyond {RANGE_SLACK} times the range of {sensor.id}"
                self._refusals.add("value-implausible", count=int(far.sum()), detail=detail)
                columns = columns[~far]
            return columns
        unsaid = np.isnan(columns["sigma_horizontal_m"])
        columns["sigma_horizontal_m"][unsaid] = sensor.sigma_horizontal_m
        unsaid = np.isnan(columns["sigma_vertical_m"]) & ~np.isnan(columns["alt_m"])
        columns["sigma_vertical_m"][unsaid] = sensor.sigma_vertical_m
        return columns

    def _service_messages(self, category: int, items: Items, received: Array) -> None:
        """Take in what sensors (CAT034) and trackers (CAT065) say of themselves."""
        v = reports.Columns(items, SERVICE_FIELDS)
        tods = reports.whole(v["030"] * 128)
        t_ns, offset_ns = absolute_t_ns(tods, received)
        index = self._stations[category][reports.station(v)]
        timely = self._is_timely(tods, t_ns, offset_ns)
        nogo = v["050/COM/NOGO" if category == 34 else "040/NOGO"]
        turned = (v["020"], v["041"]) if category == 34 else (v.absent, v.absent)
        rows = (index, t_ns, timely & (tods >= 0), reports.whole(v["000"]), nogo, *turned)
        for k, (sensor, at_ns, good, kind, nogo_bits, sector_deg, period_s) in enumerate(
            zip(*(r.tolist() for r in rows), strict=True)
        ):
            if sensor < 0 or not good:
                reason = "sensor-unknown" if sensor < 0 else "time-missing" if tods[k] < 0 else "time-implausible"
                self._refusals.add(reason, int(items.records[k, 1]), int(items.records[k, 2] - items.records[k, 1]))
                continue
            name = self._sensors[sensor].id
            state = self.service.get(name)
            if state is None:
                state = self.service[name] = ServiceState()
            state.messages[kind] = state.messages.get(kind, 0) + 1
            state.t_ns = at_ns
            if kind == NORTH_MARKER and category == 34:
                state.north_t_ns = at_ns
            if nogo_bits == nogo_bits:  # noqa: PLR0124 - NaN, the absent value, is not equal to itself
                state.nogo = int(nogo_bits)
            if sector_deg == sector_deg:  # noqa: PLR0124 - as above
                state.sector_rad = radians(sector_deg)
            if period_s == period_s:  # noqa: PLR0124 - as above
                state.period_s = period_s


def absolute_t_ns(tods: Array, received_t_ns: Array) -> tuple[Array, Array]:
    """Return times (int64 ns) of times of day in 1/128 s, on the day that brings them nearest to receipt, and the distance.

    Before and after midnight alike: a report of 23:59:59 received at 00:00:01 is yesterday's, one of 00:00:01 received at
    23:59:59 is tomorrow's. tods int64 (n,); received_t_ns int64 (n,) or (1,).
    """
    t_ns = np.empty(len(tods), np.int64)
    offset_ns = np.empty(len(tods), np.int64)
    kernel.absolute_times(tods, received_t_ns, t_ns, offset_ns)
    return t_ns, offset_ns
