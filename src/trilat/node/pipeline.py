"""The whole road of one node as one pure step: feed -> report -> track -> label and policy -> release, and the picture.

`step(now_ns, inputs) -> Output`. Nothing here reads a clock, a file or a socket; the same step runs live, in replay and in
simulation, and a journal replayed gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from trilat.accounts.approvals import ApprovalDesk
from trilat.accounts.roles import may
from trilat.errors import PolicyError, sentence
from trilat.feeds.registry import open_decoder
from trilat.feeds.source import Source
from trilat.joint.core import CoreTracker, PartnerReport, batch_of
from trilat.joint.tier import label_joiner
from trilat.joint.watch import SensorWatch
from trilat.node import approvals
from trilat.node.audience import AudiencePipeline, ReplayClock, Tick, sensor_of
from trilat.node.combined import CombinedPicture
from trilat.node.inputs import ActInput, FeedInput, Input, ReceivedInput
from trilat.node.partners import PartnerInputs, PartnerStreams
from trilat.picture.acts import AcknowledgeWarning, Act, OfficerAct, RaiseWarning, RetractWarning
from trilat.picture.inputs import ActAnswer, CombinedTracks, Notice, PartnerRecord, WarningRecord
from trilat.policy.audience import AudiencePolicy
from trilat.policy.labels import make
from trilat.records.columns import Reports, Tracks
from trilat.records.label import Label, Mode
from trilat.records.released import Released
from trilat.records.report import Refused
from trilat.records.sensor import Sensor
from trilat.records.warning import Acknowledgement, Retraction, Warning
from trilat.track import Tracker, TrackerSettings
from trilat.warn.lifecycle import Draft, WarningDesk

WARNING_TOPIC = "missile-warning"


class PipelineSettings(NamedTuple):
    """What a pipeline is made of: whose it is, its sensors and sources, the trackers' settings, the state lane's tick."""

    nation: str
    mode: Mode
    policy: str
    sensors: tuple[Sensor, ...]
    sources: tuple[Source, ...]
    tracker: TrackerSettings
    state_tick_ns: int


class Output(NamedTuple):
    """What one step gave. `released` is what leaves, per audience in order; the rest is for the own picture and counters.

    t_ns: the step's own time. national: the national tracks as of the last picture.
    """

    t_ns: int
    national: Tracks
    combined: CombinedTracks | None
    released: tuple[Released, ...]
    partners: tuple[PartnerRecord, ...]
    warnings: tuple[WarningRecord, ...]
    answers: tuple[ActAnswer, ...]
    notices: tuple[Notice, ...]
    refused: tuple[Refused, ...]
    reports: dict[str, int]
    # Proposals made, yeses and noes, what enough people want, and what waited too long: in the order in which it came about.
    approvals: tuple[approvals.Event, ...] = ()

    def digest(self) -> bytes:
        """Return SHA-256 over everything a replay must give again: what leaves, and the national tracks."""
        told = hashlib.sha256(self.national.columns.tobytes())
        if self.combined is not None:
            told.update(self.combined.tracks.columns.tobytes())
        for one in self.released:
            told.update(msgspec.msgpack.encode(one))
        for part in (self.partners, self.warnings, self.answers, self.notices, self.refused, self.approvals):
            told.update(msgspec.msgpack.encode(part))
        return told.digest()


class Pipeline:
    """One node's stages, composed. One audience pipeline per partner (and PUBLIC where an agreement speaks of it)."""

    def __init__(self, settings: PipelineSettings, policies: Iterable[AudiencePolicy], now_ns: int) -> None:
        self.settings = settings
        self._decoders = {source.name: open_decoder(source) for source in settings.sources}
        self._index = {sensor.id: k for k, sensor in enumerate(settings.sensors)}
        self.national = Tracker(settings.tracker, settings.sensors, f"{settings.nation}/national")
        self.label_of = label_joiner(settings.sensors)
        self.audiences = {
            policy.recipient: AudiencePipeline(policy, settings.sensors, settings.tracker, settings.state_tick_ns, now_ns)
            for policy in policies
        }
        self.desk = WarningDesk(settings.nation)
        self.approvals = ApprovalDesk(settings.nation, settings.mode, approvals.KINDS)
        self.watch = SensorWatch(settings.sensors)
        self.core = CoreTracker(settings.nation, settings.sensors, settings.tracker)
        self.combined = CombinedPicture(settings.nation, self.audiences, self.core, settings.state_tick_ns)
        self._picture_tick = Tick(settings.state_tick_ns, settings.state_tick_ns // 2)
        self._picture_is_old = True
        self._national: Tracks | None = None
        self._streams = PartnerStreams(settings.tracker.tracks_max)
        self._own_waiting: list[Reports] = []
        self._waiting: dict[str, list[PartnerReport]] = {}
        self.rejected: Counter[str] = Counter()
        self._clock = ReplayClock(settings.mode)

    def step(self, now_ns: int, inputs: Sequence[Input]) -> Output:
        """Take what came in since the last step, in its order, and return what comes of it.

        The output's own time is `t_ns`: now_ns, or later where a replay runs faster than life.
        """
        batches, refused = self._decode([one for one in inputs if isinstance(one, FeedInput)])
        received = PartnerInputs()
        for one in inputs:
            if isinstance(one, ReceivedInput):
                received.take(one)
        self.rejected.update(received.refused)
        mine = [batch_of(batch, self._index[sensor_of(batch)]) for batch in batches if sensor_of(batch) in self._index]
        released = [one for audience in self.audiences.values() for one in audience.step(now_ns, batches)]
        now_ns = self._clock.at(now_ns, mine, received.times_ns())
        national, core = self._own_tracks(now_ns, mine, received)
        desk = _Desk(self, now_ns)
        for warning in received.warnings:
            desk.receive(warning)
        for one in inputs:
            if isinstance(one, ActInput):
                desk.act(one.act)
        ended = self._streams.ended(now_ns, received.tracks)
        for item, place in zip(received.tracks, received.places, strict=True):
            self.combined.take(item, *place)
        for item in ended:
            self.combined.take(item, 0, 0)
        return Output(
            t_ns=now_ns,
            national=national,
            combined=None if core is None else self.combined.step(now_ns, core),
            released=(*desk.released, *released),
            partners=(*received.tracks, *ended),
            warnings=tuple(desk.shown),
            answers=tuple(desk.answers),
            notices=tuple(desk.notices),
            refused=tuple(refused),
            reports=dict(_counts(batches)),
            approvals=tuple(desk.approvals),
        )

    def restore(self, now_ns: int, inputs: Sequence[Input]) -> list[WarningRecord]:
        """Do people's acts and partners' flash of an earlier run again, so that a restart knows its warnings; nothing leaves.

        The released editions are made too, so that every audience's ids go on where they were; they were sent before.
        """
        received = PartnerInputs()
        desk = _Desk(self, now_ns)
        for one in inputs:
            if isinstance(one, ReceivedInput):
                received.take(one)
        for warning in received.warnings:
            desk.receive(warning)
        for one in inputs:
            if isinstance(one, ActInput):
                desk.act(one.act)
        return desk.shown

    def resumed(self, last_ns: int) -> None:
        """Take note of when an earlier run stepped last, after `restore`: what was due by then has left."""
        for audience in self.audiences.values():
            audience.resumed(last_ns)

    def _decode(self, inputs: Sequence[FeedInput]) -> tuple[list[Reports], list[Refused]]:
        batches: list[Reports] = []
        refused: list[Refused] = []
        for one in inputs:
            decoder = self._decoders.get(one.source)
            if decoder is not None:
                decoded = decoder.decode(one.data, one.received_t_ns)
                batches.extend(decoded.batches)
                refused.extend(decoded.refused)
        return batches, refused

    def picture_ns(self) -> int:
        """Return from when on a step that takes a partner's records shows them."""
        return self.combined.next_ns(new=True)

    def _own_tracks(self, now_ns: int, mine: Sequence[Reports], received: PartnerInputs) -> tuple[Tracks, Tracks | None]:
        """Return the national tracks, and own reports tracked with what partners released as reports when a picture is due.

        Due half way between two of the audiences' ticks (what leaves does not wait for it), and when partners sent something.
        """
        self._own_waiting.extend(mine)
        for exporter, records in received.reports.items():
            self._waiting.setdefault(exporter, []).extend(records)
        self._picture_is_old |= self._picture_tick.passed(now_ns) or bool(received.tracks or received.reports)
        if self._national is not None and now_ns < self.combined.next_ns(new=self._picture_is_old):
            return self._national, None
        self._picture_is_old = False
        own, self._own_waiting = self.watch.take(now_ns, self._own_waiting), []
        waiting, self._waiting = self._waiting, {}
        self._national = self.national.step(now_ns, own)
        self.watch.learn(now_ns, self._national, self.national.fit())
        return self._national, self.core.step(now_ns, self._national, own, waiting)


def _counts(batches: Iterable[Reports]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for batch in batches:
        counts[batch.pedigree.feed or batch.source] += len(batch.columns)
    return counts


class _Desk:
    """One step's doings with warnings: what people did here, what partners sent, and what goes out because of it."""

    def __init__(self, pipeline: Pipeline, now_ns: int) -> None:
        self._p = pipeline
        self._now_ns = now_ns
        self.released: list[Released] = []
        self.shown: list[WarningRecord] = []
        self.answers: list[ActAnswer] = []
        self.notices: list[Notice] = []
        self.approvals: list[approvals.Event] = []
        for late in pipeline.approvals.step(now_ns):
            self._note("caution", f"{late.id} ({late.kind}) waited too long and is void")

    def act(self, given: OfficerAct) -> None:
        """Do one officer's act, and answer it."""
        act = given.act
        fault = self._do(given, act) if may(given.session.roles, approvals.name_of(act)) else "act-role"
        self.answers.append(ActAnswer(act_id=act.act_id, ok=not fault, reason=fault, text=sentence(fault)[:200] if fault else ""))

    def _do(self, given: OfficerAct, act: Act) -> str:
        try:
            match act:
                case RaiseWarning():
                    return self._raise(given, act)
                case AcknowledgeWarning():
                    return self._acknowledge(given, act)
                case RetractWarning():
                    return self._retract(given, act)
                case _:
                    return self._decide(given, act)
        except PolicyError as error:
            return error.name

    def _decide(self, given: OfficerAct, act: approvals.DeskAct) -> str:
        """Take an act at the approvals' desk; what comes of it stands in the output, for whoever acts on it."""
        done = approvals.take(self._p.approvals, self._now_ns, given.session, act)
        self.approvals.extend(done.events)
        for severity, text in done.notes:
            self._note(severity, text)
        return done.fault

    def _raise(self, given: OfficerAct, act: RaiseWarning) -> str:
        draft = Draft(
            kind=act.kind,
            headline=act.headline,
            text=act.text,
            areas=act.areas,
            minutes=act.minutes,
            confidence=act.confidence,
        )
        label = self._label(act.rel_to, act.level)
        warning = self._p.desk.raise_by_hand(self._now_ns, draft, label, given.session.user)
        self._show(self._p.settings.nation, warning)
        self._note("caution", f"{given.session.user} raised {warning.id}: {warning.headline}"[:200])
        for name, audience in self._p.audiences.items():
            sent = audience.warn(self._now_ns, warning)
            self.released.extend(sent)
            if name in act.rel_to and not sent:
                decision = audience.policy.record_decision(warning, self._now_ns)
                severity, done = ("caution", "leaves later for") if decision.permit else ("alarm", "is withheld from")
                self._note(severity, f"{warning.id} {done} {name}: {decision.reason} ({decision.rule})"[:200])
        return ""

    def _acknowledge(self, given: OfficerAct, act: AcknowledgeWarning) -> str:
        own = act.originator == self._p.settings.nation
        warning = self._p.desk.own(act.warning_id) if own else None
        label = warning.label if warning is not None else self._label((act.originator,), 0)
        made = self._p.desk.acknowledge(
            self._now_ns,
            act.originator,
            act.warning_id,
            act.version,
            act.kind,
            given.session.user,
            given.session.station,
            label,
        )
        if made is None:
            return "warning-unknown"
        self._show(self._p.settings.nation, made)
        for audience in self._p.audiences.values():
            self.released.extend(audience.acknowledge(self._now_ns, made))
        return ""

    def _retract(self, given: OfficerAct, act: RetractWarning) -> str:
        user = given.session.user
        made = self._p.desk.retract(self._now_ns, act.warning_id, act.version, act.reason, act.text, user)
        if made is None:
            return "warning-unknown"
        self._show(self._p.settings.nation, made)
        self._note("alarm", f"{user} retracted {act.warning_id}: {act.reason}"[:200])
        for audience in self._p.audiences.values():
            self.released.extend(audience.retract(self._now_ns, made))
        return ""

    def receive(self, given: WarningRecord) -> None:
        """Take a partner's warning, acknowledgement or retraction; what answers a warning of ours gets our own id back."""
        record = given.record
        match record:
            case Warning():
                if self._p.desk.receive(given.origin, record):
                    self.shown.append(given)
                    self._note("caution", f"Warning of {given.origin}: {record.headline}"[:200])
            case Retraction():
                if self._p.desk.receive_retraction(given.origin, record):
                    self.shown.append(given)
                    self._note("alarm", f"{given.origin} retracted {record.warning_id}: {record.reason}"[:200])
            case Acknowledgement():
                self._receive_acknowledgement(given.origin, record)

    def _receive_acknowledgement(self, origin: str, record: Acknowledgement) -> None:
        if record.nation != origin:
            self._p.rejected["origin-mismatch"] += 1
            return
        if record.warning_originator == self._p.settings.nation:
            audience = self._p.audiences.get(origin)
            national = None if audience is None else audience.national_id(record.warning_id)
            if national is None:
                self._p.rejected["warning-unknown"] += 1
                return
            record = msgspec.structs.replace(record, warning_id=national)
        self._show(origin, record)

    def _label(self, rel_to: Iterable[str], level: int) -> Label:
        settings = self._p.settings
        return make(
            policy=settings.policy,
            originator=settings.nation,
            mode=settings.mode,
            level=level,
            rel_to=tuple(sorted(set(rel_to) - {settings.nation})),
            topics=(WARNING_TOPIC,),
            sources=(settings.nation,),
        )

    def _show(self, origin: str, record: Warning | Acknowledgement | Retraction) -> None:
        self.shown.append(WarningRecord(origin=origin, record=record))

    def _note(self, severity: str, text: str) -> None:
        self.notices.append(Notice(t_ns=self._now_ns, severity=severity, text=text))  # type: ignore[arg-type]
