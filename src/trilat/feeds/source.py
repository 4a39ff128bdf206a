"""Source, Decoded, Decoder: what every feed format takes and gives (docs/explanation/contracts.md)."""

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from trilat.records.columns import FLAG_SIMULATED, FLAG_TEST, Reports
from trilat.records.fields import LatDeg, LonDeg, Name, Trigraph
from trilat.records.label import Mode
from trilat.records.report import Refused
from trilat.records.sensor import Sensor

# Every format `registry.open_decoder` knows; "pcap" is a container of any of them.
Format = Literal["asterix", "beast", "avr", "modes-jsonl", "ais", "fixes-csv", "fixes-json", "plots-json", "sights-jsonl"]
LINE_FORMATS = frozenset({"avr", "modes-jsonl", "ais", "fixes-csv", "fixes-json", "plots-json", "sights-jsonl"})
DAY_NS = 86_400_000_000_000
# Receipt time of a recording that does not tell it (a table, timestamped lines): the times inside are believed.
NOT_KNOWN_T_NS = -1


class FixColumns(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The column map of a table of fixes: our field -> their column, and what multiplies their value to give our unit.

    columns: our names are those of `Fix` (lat_deg, lon_deg, alt_m, ...) plus `t` for the time.
    factors: our name -> factor (knots to m/s is 0.514444); a missing name means 1.
    time: how `t` is written: ISO 8601 (UTC unless it says otherwise), or seconds or milliseconds since 1970.
    needs: their column -> the value without which a row has no position of its own.
    header: the names of a CSV table's columns when it has no header line.
    time_error_s: one sigma of the times; what a target moves in it widens the horizontal sigma.
    altitude: what `alt_m` is; `alt_geometric_m` is taken before it where a row has one.
    """

    columns: dict[str, str]
    factors: dict[str, float] = {}
    needs: dict[str, str] = {}
    header: tuple[str, ...] = ()
    time_error_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    time: Literal["iso", "epoch-s", "epoch-ms"] = "iso"
    domain: Literal["unknown", "air", "sea", "missile", "space"] = "unknown"
    altitude: Literal["barometric", "geometric"] = "barometric"


class Source(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One configured feed. Decoder memory is kept per source, so nothing of one source ever colours another (DESIGN 2.3).

    sensors: whose reports these are. ASTERIX finds the sensor by SAC/SIC, plots-json by its id; others carry one, the first.
    unknown_sensor: template for a SAC/SIC that is in no sensor (recordings); None refuses such reports (`sensor-unknown`).
    editions: ASTERIX category -> edition ("1.31"); a category that is not named here is refused (`category-unknown`).
    container: "pcap" when the bytes are a pcap or pcapng file whose payloads are the format.
    reference: where the receiver stands, for local CPR decoding; None until a global position is known.
    receiver_clock: what the time inside Beast and AVR frames is: not used, a 12 MHz counter, or GPS time of day.
    preset / fix_columns: how a table of fixes is laid out (feeds/fix_presets.py, or one's own map).
    clock_error_s_max: how far a time inside the data may be from the receipt before the report is refused (`time-implausible`).
    """

    name: Name
    format: Format
    nation: Trigraph
    mode: Mode
    sensors: tuple[Sensor, ...] = ()
    unknown_sensor: Sensor | None = None
    editions: dict[int, str] = {}
    container: Literal["", "pcap"] = ""
    reference: tuple[LatDeg, LonDeg] | None = None
    receiver_clock: Literal["receipt", "12mhz", "gps"] = "receipt"
    clock_error_s_max: Annotated[float, Meta(gt=0, le=43_200)] = 60.0
    preset: str = ""
    fix_columns: FixColumns | None = None


class Decoded(NamedTuple):
    """What one call of a decoder gave: batches in input order, and what was refused, one record a reason."""

    batches: tuple[Reports, ...] = ()
    refused: tuple[Refused, ...] = ()


@runtime_checkable
class Decoder(Protocol):
    """One source's decoder. `decode` takes bytes as they came (cut anywhere on a stream) and never raises on bad input."""

    def decode(self, data: bytes, received_t_ns: int) -> Decoded:
        """Return the reports in the bytes; `received_t_ns` is when they came in (UTC, nanoseconds).

        Formats whose every report has its full time (fixes, modes-jsonl) also take `NOT_KNOWN_T_NS`, for recordings.
        """
        ...


class Refusals:
    """Counts refused input of one call by reason: first offset, total length, count (contracts: aggregated per call)."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._by_reason: dict[str, list[int]] = {}
        self._detail: dict[str, str] = {}

    def add(self, reason: str, offset: int = 0, length: int = 0, detail: str = "", count: int = 1) -> None:
        """Count one refusal; the first detail of a reason is kept. `reason` is a name of `errors.toml`."""
        entry = self._by_reason.get(reason)
        if entry is None:
            self._by_reason[reason] = [max(offset, 0), length, count]
            self._detail[reason] = detail[:300]
        else:
            entry[1] += length
            entry[2] += count

    def take(self, t_ns: int) -> tuple[Refused, ...]:
        """Return what was counted since the last take, ordered by reason, and begin anew."""
        taken = tuple(
            Refused(
                t_ns=max(t_ns, 0), source=self._source, reason=reason, detail=self._detail[reason], offset=o, length=n, count=c
            )
            for reason, (o, n, c) in sorted(self._by_reason.items())
        )
        self._by_reason.clear()
        self._detail.clear()
        return taken


def refuse_simulated(source: Source, batches: tuple[Reports, ...], refusals: Refusals) -> tuple[Reports, ...]:
    """Take simulated and test reports out of a live source's batches and count them as `simulated-on-live` (DESIGN 2.6).

    A source in Exercise or Replay mode keeps them, flags and all.
    """
    if source.mode.kind != "live":
        return batches
    kept: list[Reports] = []
    for batch in batches:
        simulated = (batch.columns["flags"] & np.uint32(FLAG_SIMULATED | FLAG_TEST)) != 0
        refused = int(simulated.sum())
        if not refused:
            kept.append(batch)
            continue
        refusals.add("simulated-on-live", count=refused)
        if refused < len(simulated):
            columns = batch.columns[~simulated]
            kept.append(
                Reports(
                    source=batch.source,
                    label=batch.label,
                    pedigree=batch.pedigree,
                    received_t_ns=batch.received_t_ns,
                    columns=columns,
                )
            )
    return tuple(kept)


def whole_lines(format_name: str, datagram: bytes) -> bytes:
    """Return a datagram with a line end behind its last line, where the format has lines: senders often leave it out."""
    if format_name in LINE_FORMATS and not datagram.endswith(b"\n"):
        return datagram + b"\n"
    return datagram


def merge_refused(refused: Iterable[Refused]) -> tuple[Refused, ...]:
    """Return one record a reason: the first one's place and detail, the sums of lengths and counts."""
    merged: dict[str, Refused] = {}
    for each in refused:
        before = merged.get(each.reason)
        merged[each.reason] = (
            each if before is None else replace(before, length=before.length + each.length, count=before.count + each.count)
        )
    return tuple(merged[reason] for reason in sorted(merged))
