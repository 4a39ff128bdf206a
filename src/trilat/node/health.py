"""What a node says of itself: alive, ready, and figures for Prometheus. Every metric is in METRICS with its meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

# A step loop that has not finished a step for this long is not alive.
STALL_NS_MAX = 15 * 1_000_000_000


class Metric(NamedTuple):
    """One metric: its kind, its labels and what it means (docs/reference/metrics.md is made from this)."""

    kind: str
    labels: tuple[str, ...]
    says: str


METRICS: dict[str, Metric] = {
    "trilat_steps_total": Metric("counter", (), "Steps of the node's loop."),
    "trilat_step_seconds": Metric("gauge", (), "How long the last step took, in seconds."),
    "trilat_queue_inputs": Metric("gauge", (), "Inputs waiting for the next step."),
    "trilat_queue_dropped_total": Metric("counter", ("source",), "Inputs dropped because the queue was full, by source."),
    "trilat_reports_total": Metric("counter", ("source",), "Reports decoded, by feed."),
    "trilat_refused_total": Metric("counter", ("source", "reason"), "Refused input, by feed and reason."),
    "trilat_tracks": Metric("gauge", ("layer",), "Live tracks, by layer."),
    "trilat_sensor_nis": Metric(
        "gauge",
        ("tracker", "sensor"),
        "Mean normalised innovation squared per dimension of the last minute; 1 is honest. Of a partner's tracks "
        "(tracker combined) it is their error against the own tracks (NEES), biases not taken off.",
    ),
    "trilat_sensor_quarantined": Metric("gauge", ("tracker", "sensor"), "1 while the sensor's reports are left out, else 0."),
    "trilat_sensor_fault": Metric(
        "gauge",
        ("tracker", "sensor", "reason"),
        "1 while the sensor's reports, or a partner's tracks, do not fit for this reason: replayed, clock-stuck, clock-off, "
        "bias-drifts, ghosts, does-not-fit.",
    ),
    "trilat_sensor_drift": Metric(
        "gauge",
        ("tracker", "sensor"),
        "How much what parts a partner's source from the own tracks has changed in two minutes, squared, in units of its sigma.",
    ),
    "trilat_sensor_ghosts": Metric(
        "gauge", ("tracker", "sensor"), "Share of its tracks that others should see as well and nobody else does."
    ),
    "trilat_sensor_bias": Metric(
        "gauge",
        ("tracker", "sensor", "bias"),
        "Estimated bias: range_m, azimuth_rad, elevation_rad, time_s; east_m, north_m, up_m: how far beside where it is said to "
        "stand it does. In the core angles are in sigmas, and the place is along the Earth's axes (x_m, y_m, z_m).",
    ),
    "trilat_sensor_bias_sigma": Metric("gauge", ("tracker", "sensor", "bias"), "One sigma of the estimated bias."),
    "trilat_released_total": Metric("counter", ("audience", "lane"), "Records released, by audience and lane."),
    "trilat_received_total": Metric("counter", ("partner", "lane"), "Records received and verified, by partner and lane."),
    "trilat_link_up": Metric("gauge", ("partner", "lane"), "1 when the partner's lane answers, else 0."),
    "trilat_link_lag_records": Metric("gauge", ("partner", "lane"), "Records that the partner has not receipted."),
    "trilat_link_state": Metric(
        "gauge", ("partner", "lane", "direction"), "1 when this way of the partner's lane is up, else 0."
    ),
    "trilat_link_age_seconds": Metric("gauge", ("partner", "lane", "direction"), "Since the last verified message, in seconds."),
    "trilat_link_lag_seconds": Metric(
        "gauge",
        ("partner", "lane", "direction"),
        "How long the oldest record without receipt waits (out), or we are not level (in).",
    ),
    "trilat_link_receipt_age_seconds": Metric("gauge", ("partner", "lane", "direction"), "Since the last receipt, in seconds."),
    "trilat_link_epoch": Metric(
        "gauge", ("partner", "lane", "direction"), "The lane's epoch: it rises when a store was rolled back."
    ),
    "trilat_link_sequence": Metric("gauge", ("partner", "lane", "direction"), "The last number sent (out) or held (in)."),
    "trilat_link_forks": Metric("gauge", ("partner", "lane", "direction"), "Forks seen: two signed heads for one number."),
    "trilat_link_lost_total": Metric("counter", ("partner", "lane", "direction"), "Records known to be lost."),
    "trilat_link_recalled_total": Metric(
        "counter",
        ("partner", "lane", "direction"),
        "Records recalled, each once: those that a recall named, and those that came as their hash alone.",
    ),
    "trilat_link_duplicates_total": Metric(
        "counter", ("partner", "lane"), "Records that came again in a new epoch and were dropped."
    ),
    "trilat_link_unchecked_total": Metric(
        "counter",
        ("partner", "lane"),
        "Epochs that began behind what retention had removed: of that, what comes again can not be known.",
    ),
    "trilat_link_kept_aside_total": Metric(
        "counter", ("partner", "lane"), "Records kept aside because a value was out of range."
    ),
    "trilat_link_dropped_total": Metric(
        "counter",
        ("partner", "lane", "why"),
        "Records dropped by policy before they were sent: superseded, expired, shed, withdrawn; or damaged on disk.",
    ),
    "trilat_rejected_total": Metric("counter", ("partner", "reason"), "Envelopes rejected, by partner and reason."),
    "trilat_output_delivered_total": Metric("counter", ("output",), "Public messages that an output took."),
    "trilat_output_failed_total": Metric("counter", ("output",), "Tries in which an output did not take a message."),
    "trilat_output_waiting": Metric("gauge", ("output",), "Public messages that an output has not taken yet."),
    "trilat_pages": Metric("gauge", (), "Open pages."),
    "trilat_logins_total": Metric("counter", ("outcome",), "Logins, by outcome: in, refused, rate, busy, bad, out."),
    "trilat_proposals_pending": Metric("gauge", (), "Proposals that wait for another person."),
    "trilat_decisions_total": Metric("counter", ("audience", "verdict"), "Release decisions, by audience: permit or withhold."),
    "trilat_launches_left_out_total": Metric(
        "counter",
        ("watch", "reason"),
        "Not looked at for launches, by whose watch: flights without room, tracks put off, plots of other times, "
        "what partners said that made room for newer.",
    ),
    "trilat_judges_disagree_total": Metric("counter", (), "Records withheld because the two judges of the policy disagreed."),
    "trilat_store_degraded": Metric("gauge", (), "1 while the store cannot be written, else 0."),
    "trilat_journal_entries_total": Metric("counter", (), "Entries in the journal."),
}

Values = Mapping[str, Mapping[tuple[str, ...], float]]


class Health:
    """The node's facts about itself, filled by the live loop, read by the web side."""

    def __init__(self) -> None:
        self.values: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in METRICS}
        self.last_step_ns = 0
        self.faults: dict[str, str] = {}
        self.ready: dict[str, bool] = {}
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(self.values))

    def put(self, name: str, value: float, *labels: str) -> None:
        """Set a metric; counters are set to their running total."""
        self.values[name][labels] = value

    def add(self, name: str, by: float, *labels: str) -> None:
        """Raise a counter."""
        held = self.values[name]
        held[labels] = held.get(labels, 0.0) + by

    def live(self, now_ns: int) -> tuple[bool, Mapping[str, Any]]:
        """Tell whether the step loop moves."""
        age_ns = now_ns - self.last_step_ns
        return age_ns < STALL_NS_MAX, {"last_step_age_s": round(age_ns / 1e9, 3)}

    def readiness(self, now_ns: int) -> tuple[bool, Mapping[str, Any]]:
        """Tell whether the node does its whole job: it steps, its store takes writes, and every part has started."""
        alive, told = self.live(now_ns)
        waiting = sorted(part for part, ready in self.ready.items() if not ready)
        return alive and not waiting and not self.faults, {**told, "waiting_for": waiting, "faults": dict(self.faults)}

    def metrics(self) -> bytes:
        """Return the figures in Prometheus' text format."""
        return generate_latest(self._registry)


class _Collector(Collector):
    def __init__(self, values: Values) -> None:
        self._values = values

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for name, metric in METRICS.items():
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            made = family(name.removesuffix("_total"), metric.says, labels=metric.labels)
            for labels, value in sorted(self._values[name].items()):
                made.add_metric(labels, value)
            yield made


def names() -> Iterable[str]:
    """Return the names of all metrics."""
    return METRICS
