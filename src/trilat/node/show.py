"""What a node tells its page and its metrics of itself: lights, counters, the picture's set-up. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trilat.errors import ConfigError
from trilat.exchange.exchange import LinkState
from trilat.feeds.sockets import FeedSockets
from trilat.fuse.between import EFFECT_NAMES
from trilat.fuse.health import Verdict
from trilat.joint.watch import BIAS_NAMES
from trilat.ledger import explained
from trilat.node import setup
from trilat.node.config import mode_of, sensors_of
from trilat.node.health import Health
from trilat.node.inputs import Input, ReceivedInput
from trilat.node.pipeline import Output, Pipeline
from trilat.node.settings import NodeConfig
from trilat.picture.cop import Cop
from trilat.picture.inputs import (
    AudienceView,
    CombinedTracks,
    CopSettings,
    FeedLight,
    LightState,
    LinkLight,
    NodeIdentity,
    Place,
    SensorBias,
    SensorLight,
)
from trilat.policy.agreement import Agreements
from trilat.policy.audience import AudiencePolicy, DecisionLog
from trilat.records.columns import STATUSES, Tracks
from trilat.records.declassification import Declassification
from trilat.records.label import Label
from trilat.warn.areas import Layer

NS = 1_000_000_000
TENTATIVE = STATUSES.index("tentative")
# A feed that said nothing for this long is late; three times that and it is down.
FEED_LATE_S = 15.0
PLACES_BYTES_MAX = 4 << 20
SIGMAS = 3.0
Floats = NDArray[np.float64]
SENSOR_STATES: dict[str, LightState] = {"unknown": "off", "fit": "up", "suspect": "late", "quarantined": "down"}
LINK_STATES: dict[str, LightState] = {"up": "up", "late": "late", "down": "down", "never": "off", "refused": "down"}


def outlines(layer: Layer) -> Callable[[], tuple[bool, Any]]:
    """Return what answers for the outlines of a layer's areas: area id -> rings of [lon, lat], to some hundred metres."""
    rings: dict[str, list[Any]] = {}
    for k, area in enumerate(layer.areas):
        spans = [(layer.edge[r], layer.edge[r + 1]) for r in range(layer.ring[k], layer.ring[k + 1])]
        rings[area.id] = [layer.points[a:b].round(3).tolist() for a, b in spans]
    answer = True, msgspec.Raw(msgspec.json.encode(rings))
    return lambda: answer


class NodeCop(Cop):
    """The picture of a node, with the pipeline behind it: its officers may ask why what it shows goes where."""

    pipeline: Pipeline

    def released_of(self, view: str, track_id: int) -> explained.Subject | None:
        """Return what may be released of a track that is shown, and the number under which the national tracks have it."""
        found = self.subject(view, track_id)
        return None if found is None else (found.label, found.sensors, national_of(self.pipeline.tracks, found.row))

    def edition_of(self, view: str, warning_id: str, audience: str) -> explained.Edition | None:
        """Return an own warning that the view may show as an audience has it, or would: a flight's is made for each audience."""
        desk = self.pipeline.desk
        flight = desk.books.national(warning_id)
        national = desk.hand.own(warning_id) if flight is None else flight[1].warning
        if national is None or national.label.level > self.level_max(view):
            return None
        edition = None if flight is None else desk.books.editions(flight[0]).get(audience)
        if edition is not None:
            return explained.Edition(edition[1].warning, edition[1].warning.id)
        pipeline = self.pipeline.audiences.get(audience)
        if pipeline is None:
            return explained.Edition(national, "")
        return explained.Edition(national, pipeline.edition_of(warning_id))

    def event_of(self, audience: str, subject: str | int) -> Declassification | None:
        """Return the signed event by which an audience has a warning (id) or a national track (number); None = by none."""
        pipeline = self.pipeline.audiences.get(audience)
        track = None if isinstance(subject, str) else self.pipeline.desk.track(subject)
        key = str(subject) if track is None else f"{track.stream}/{track.number}"
        gone = None if pipeline is None else pipeline.doors.went(key)
        # What the labels let go anyway went by them, whoever approved it besides.
        return gone.event if gone is not None and gone.decision.reason == "declassified" else None


def explainer_of(config: NodeConfig, cop: NodeCop, now_ns: Callable[[], int]) -> explained.Explainer:
    """Return what says why a track that a node shows goes to whom."""
    audiences = cop.pipeline.audiences
    agreements = next((one.policy.agreements for one in audiences.values()), Agreements())

    def policy(audience: str) -> AudiencePolicy:
        return setup.policy_of(config, agreements, audience)

    asked, log = (cop.released_of, cop.edition_of, cop.event_of), decisions_of(cop.pipeline)
    return explained.explainer(config.nation, agreements, audiences, sensors_of(config), policy, *asked, now_ns, log)


def decisions_of(pipeline: Pipeline) -> DecisionLog:
    """Return the log of all decisions of a node: its audiences share it, and none reads it."""
    return next((one.policy.log for one in pipeline.audiences.values()), DecisionLog())


def make_cop(config: NodeConfig, pipeline: Pipeline, now_ns: int) -> NodeCop:
    """Return the picture of a node, knowing whom it belongs to and who may have what."""
    identity = NodeIdentity(
        nation=config.nation,
        node=config.name,
        mode=mode_of(config),
        started_ns=now_ns,
        partners=tuple(sorted(partner.nation for partner in config.partner)),
        policy=config.policy,
        lat_deg=config.view.lat_deg,
        lon_deg=config.view.lon_deg,
        zoom=config.view.zoom,
        places=places(config.page.places),
    )

    # Tables of their own: what a page selects is learnt by no audience's pipeline.
    policies = {name: setup.policy_of(config, one.policy.agreements, name) for name, one in pipeline.audiences.items()}

    def audiences_of(label: Label, sensors: tuple[str, ...]) -> Sequence[AudienceView]:
        if label.originator != config.nation:
            return ()
        made = []
        for name, policy in policies.items():
            decided = policy.rulebook.decide(label, policy.context(cop.now_ns, sensors))
            tier = decided.tier if decided.permit else ""
            made.append(AudienceView(audience=name, permit=decided.permit, tier=tier, reason=decided.reason))
        return made

    settings = CopSettings(frame_ms=config.page.frame_ms, tracks_max=config.step.tracks_max)
    cop = NodeCop(identity, pipeline.settings.sensors, pipeline.label_of, audiences_of, settings)
    cop.pipeline = pipeline
    return cop


def national_of(tracks: Tracks | None, row: Any) -> int:
    """Return the number of the national track that a row of the combined picture shows; 0 when there is none.

    By address or MMSI where there is one, else the nearest that shares a sensor, within three standard deviations of both.
    """
    if tracks is None or row is None:
        return 0
    columns = tracks.columns[(tracks.columns["sensors"] & row["sensors"]) != 0]
    for name in ("address", "mmsi"):
        same = columns[columns[name] == row[name]] if row[name] >= 0 else columns[:0]
        if len(same):
            return int(same["number"][0])
    if not len(columns):
        return 0
    apart = columns["position_m"] - row["position_m"]
    spread = np.trace(columns["covariance"][:, :3, :3], axis1=1, axis2=2) + np.trace(row["covariance"][:3, :3])
    away = np.einsum("ij,ij->i", apart, apart) / spread
    at = int(np.argmin(away))
    return int(columns["number"][at]) if away[at] <= SIGMAS**2 else 0


def places(path: str | None) -> tuple[Place, ...]:
    """Return the operator's places on the map; raises ConfigError (config-unreadable)."""
    if path is None:
        return ()
    try:
        return msgspec.json.decode(Path(path).read_bytes()[:PLACES_BYTES_MAX], type=tuple[Place, ...])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError("config-unreadable", f"[page] places {path}: {error}.") from error


def confirmed_only(combined: CombinedTracks) -> CombinedTracks:
    """Return the tracks that a watch officer is shown: a tentative one may be nothing at all, so it is only counted."""
    columns = combined.tracks.columns
    keep = columns["status"] != TENTATIVE
    return msgspec.structs.replace(
        combined,
        tracks=msgspec.structs.replace(combined.tracks, columns=columns[keep]),
        nations=combined.nations[keep],
        label_index=combined.label_index[keep],
    )


def feed_lights(now_ns: int, config: NodeConfig, feeds: FeedSockets, health: Health) -> list[FeedLight]:
    """Return one light per configured feed."""
    reports = health.values["trilat_reports_total"]
    refused = health.values["trilat_refused_total"]
    lights = []
    for feed in config.feed:
        state = feeds.states[feed.name]
        age_s = (now_ns - state.last_t_ns) / NS if state.last_t_ns else None
        light: LightState = (
            "off" if age_s is None else "up" if age_s < FEED_LATE_S else "late" if age_s < 3 * FEED_LATE_S else "down"
        )
        lights.append(
            FeedLight(
                name=feed.name,
                format=feed.format,
                state=light,
                last_report_ns=state.last_t_ns or None,
                reports=int(reports.get((feed.name,), 0)),
                refused={labels[1]: int(n) for labels, n in sorted(refused.items()) if labels[0] == feed.name},
                note=state.problem[:200],
            )
        )
    return lights


def link_lights(now_ns: int, links: Sequence[LinkState]) -> list[LinkLight]:
    """Return one light per partner and lane, of both ways together: the worse state, the outbound lag."""
    by_place: dict[tuple[str, str], dict[str, LinkState]] = {}
    for link in links:
        by_place.setdefault((link.partner, link.lane), {})[link.direction] = link
    lights = []
    for both in by_place.values():
        out, inward = both["out"], both["in"]
        ages = [link.age_ns for link in (out, inward) if link.age_ns is not None]
        order = ("up", "late", "refused", "down", "never")
        worse = max(out.health, inward.health, key=order.index)
        lights.append(
            LinkLight(
                nation=out.partner,
                lane=out.lane,
                state=LINK_STATES[worse],
                last_heard_ns=now_ns - max(min(ages), 0) if ages else None,
                last_receipt_ns=out.receipt_t_ns or None,
                lag=out.lag_records,
                epoch=out.cursor.epoch,
                received=inward.cursor.sequence,
                sent=out.cursor.sequence,
                rejected=out.rejected,
                note=(out.trouble or inward.trouble)[:200],
                lag_s=out.lag_ns / NS,
                head=out.cursor.head.hex()[:16],
                lost=out.lost + inward.lost,
                forks=out.forks + inward.forks,
                kept_aside=inward.kept_aside,
            )
        )
    return lights


def counters(pipeline: Pipeline, health: Health) -> dict[str, int]:
    """Return what the page counts: refused reports, what bounds shed, released and received records, rejected by reason."""
    totals = {name: sum(health.values[name].values()) for name in ("trilat_refused_total", "trilat_released_total")}
    told = {"refused": int(totals["trilat_refused_total"]), "released": int(totals["trilat_released_total"])}
    told["tentative"] = int(health.values["trilat_tracks"].get(("tentative",), 0))
    told |= {f"partner:{reason}": n for reason, n in sorted(pipeline.rejected.items())}
    for name, audience in pipeline.audiences.items():
        told |= {f"withheld {name}:{reason}": n for reason, n in sorted(audience.withheld.items())}
        told |= {f"delayed {name}:{what}": n for what, n in sorted(audience.delayed.counts.items())}
    told |= {f"core:{reason}": n for reason, n in sorted(pipeline.core.refused.items())}
    told |= {f"combined:{reason}": n for reason, n in sorted(pipeline.combined.combiner.refused.items()) if n}
    verdicts = {**pipeline.watch.verdicts, **pipeline.core.verdicts, **pipeline.combined.judge.verdicts}
    told |= {f"quarantined {name}:{one.reason}": 1 for name, one in verdicts.items() if one.state == "quarantined"}
    told |= {f"metres beside its survey {name}": round(metres) for name, metres in pipeline.watch.moved_m().items()}
    lost = pipeline.national.refused + pipeline.national.shed
    told |= {f"tracker:{reason}": n for reason, n in sorted(lost.items())}
    told |= _launches_left_out(pipeline, health)
    decided, log = Counter[tuple[str, str]](), decisions_of(pipeline)
    for total, n in log.totals().items():
        decided[total.audience, "permit" if total.permit else "withhold"] += n
    for (audience_name, verdict), n in decided.items():
        health.put("trilat_decisions_total", n, audience_name, verdict)
    health.put("trilat_judges_disagree_total", log.alarms_total)
    return told | ({"judges disagree": log.alarms_total} if log.alarms_total else {})


def _launches_left_out(pipeline: Pipeline, health: Health) -> dict[str, int]:
    """Count what the watches for launches did not look at: the nation's two, and each audience's."""
    watches = {"own": pipeline.launches.own, "combined": pipeline.launches.combined}
    watches |= {name: audience.launches for name, audience in pipeline.audiences.items()}
    told: dict[str, int] = {}
    for name, watch in watches.items():
        for reason, n in watch.left_out().items():
            if n:
                told[f"launches {name}:{reason}"] = n
                health.put("trilat_launches_left_out_total", n, name, reason)
    return told


def sensors(health: Health, pipeline: Pipeline) -> list[SensorLight]:
    """Set what is known of every sensor, by the tracker that learnt it: national, each audience's, partners' sources.

    Returns the page's lights: of own sensors and partners' sources, and where one does not fit in an audience's tracker alone.
    """
    watches = {"national": pipeline.watch}
    for name, audience in pipeline.audiences.items():
        watches |= {f"{name}/{tier.tier}": tier.watch for tier in audience.tiers}
    lights, nation = [], pipeline.settings.nation
    for tracker, watch in watches.items():
        for sensor, state in watch.states().items():
            if state.verdict is not None and tracker == "national":
                taken = _taken(BIAS_NAMES, state.bias.taken, state.bias.sigma()) if state.applied else ()
                lights.append(_light(nation, sensor, state.verdict, biases=taken))
            elif state.verdict is not None and state.verdict.reason:
                lights.append(_light(nation, sensor, state.verdict, tracker))
            _put_verdict(health, tracker, sensor, state.verdict)
            sigma = state.bias.sigma()
            for k, bias in enumerate(BIAS_NAMES):
                health.put("trilat_sensor_bias", float(state.bias.value[k]), tracker, sensor, bias)
                health.put("trilat_sensor_bias_sigma", float(sigma[k]), tracker, sensor, bias)
    between = pipeline.core.between.known()
    for tracker, verdicts in (("core", pipeline.core.verdicts), ("combined", pipeline.combined.judge.verdicts)):
        for source, verdict in verdicts.items():
            origin, _, name = source.partition(":")
            known = between.get(source)
            taken = () if known is None else _taken(EFFECT_NAMES, known.taken, known.sigma)
            lights.append(_light(origin, name, verdict, biases=taken))
            _put_verdict(health, tracker, source, verdict)
    for source, known in between.items():
        for k, bias in enumerate(EFFECT_NAMES):
            health.put("trilat_sensor_bias", float(known.value[k]), "core", source, bias)
            health.put("trilat_sensor_bias_sigma", float(known.sigma[k]), "core", source, bias)
    return lights


def _light(nation: str, name: str, verdict: Verdict, tracker: str = "", biases: tuple[SensorBias, ...] = ()) -> SensorLight:
    """Return the light of one source."""
    return SensorLight(
        nation=nation,
        name=name,
        tracker=tracker,
        state=SENSOR_STATES[verdict.state],
        judged=verdict.state,
        reason=verdict.reason,
        nis=None if verdict.state == "unknown" else round(verdict.nis_per_dimension, 2),
        biases=biases,
    )


def _taken(names: Sequence[str], value: Floats, sigma: Floats) -> tuple[SensorBias, ...]:
    """Return the biases that are taken off, with one sigma of each; of a partner's source those in metres and seconds."""
    return tuple(
        SensorBias(kind=names[k], value=float(value[k]), sigma=float(sigma[k]))
        for k in np.flatnonzero(value).tolist()
        if names[k] in BIAS_NAMES
    )


def _put_verdict(health: Health, tracker: str, sensor: str, verdict: Verdict | None) -> None:
    if verdict is not None:
        health.put("trilat_sensor_nis", verdict.nis_per_dimension, tracker, sensor)
        health.put("trilat_sensor_drift", verdict.drift, tracker, sensor)
        health.put("trilat_sensor_ghosts", verdict.ghosts, tracker, sensor)
        health.put("trilat_sensor_quarantined", float(verdict.state == "quarantined"), tracker, sensor)
        faults = health.values["trilat_sensor_fault"]
        for before in [labels for labels in faults if labels[:2] == (tracker, sensor)]:
            faults[before] = 0.0
        if verdict.reason:
            health.put("trilat_sensor_fault", 1.0, tracker, sensor, verdict.reason)


def count(health: Health, inputs: Iterable[Input], out: Output) -> None:
    """Count what went into one step and what it did."""
    for source, n in out.reports.items():
        health.add("trilat_reports_total", n, source)
    for one in out.refused:
        health.add("trilat_refused_total", one.count, one.source, one.reason)
    for released in out.released:
        health.add("trilat_released_total", 1, released.audience, released.lane)
    for given in inputs:
        if isinstance(given, ReceivedInput):
            health.add("trilat_received_total", 1, given.exporter, given.lane)
    tentative = int(np.sum(out.national.columns["status"] == TENTATIVE))
    health.put("trilat_tracks", len(out.national.columns) - tentative, "national")
    health.put("trilat_tracks", tentative, "tentative")


def measure(health: Health, feeds: FeedSockets, pages: int, waiting: int) -> None:
    """Set the figures that are looked up rather than counted."""
    health.put("trilat_pages", pages)
    health.put("trilat_queue_inputs", waiting)
    for name, state in feeds.states.items():
        health.put("trilat_queue_dropped_total", state.dropped, name)
    for one in feeds.refused():  # what never came as far as a decoder
        health.add("trilat_refused_total", one.count, one.source, one.reason)
