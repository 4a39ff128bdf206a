"""The whole road of one node as one pure step: feed -> report -> track -> label and policy -> release, and the picture.

`step(now_ns, inputs) -> Output`. Nothing here reads a clock, a file or a socket; the same step runs live, in replay and in
simulation, and a journal replayed gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from trilat.accounts.approvals import ApprovalDesk
from trilat.feeds.registry import open_decoder
from trilat.feeds.source import Source
from trilat.issuing.books import PURPOSE
from trilat.issuing.desk import DeskStep
from trilat.issuing.editions import NATIONAL, OWN, PUBLIC, TOPIC
from trilat.issuing.state import Desk
from trilat.joint.core import CoreTracker, PartnerReport, batch_of
from trilat.joint.launches import NationLaunches
from trilat.joint.tier import label_joiner, stream_name
from trilat.joint.watch import SensorWatch, turn_of
from trilat.node import approvals
from trilat.node.audience import AudiencePipeline, ReplayClock, sensor_of
from trilat.node.combined import CombinedPicture
from trilat.node.inputs import ActInput, AssessedInput, EventInput, FeedInput, Input, LapseInput, RecallInput, ReceivedInput
from trilat.node.partners import PartnerInputs, PartnerStreams
from trilat.picture.inputs import ActAnswer, CombinedTracks, Notice, PartnerRecord, WarningRecord
from trilat.policy.agreement import Agreements
from trilat.policy.audience import AudiencePolicy
from trilat.policy.rules import TIME_MAX_NS
from trilat.records import codec
from trilat.records.approval import Session
from trilat.records.assessment import Assessment
from trilat.records.columns import Reports, Tracks
from trilat.records.label import Mode
from trilat.records.released import Released
from trilat.records.report import Refused
from trilat.records.sensor import Sensor
from trilat.records.track import Track
from trilat.records.warning import Warning
from trilat.track import Tracker, TrackerSettings
from trilat.track.records import track_record
from trilat.transport.carried import partner_of
from trilat.warn.areas import Layer


class PipelineSettings(NamedTuple):
    """What a pipeline is made of: whose it is, its sensors and sources, the trackers' settings, the state lane's tick.

    layer: the areas that warnings name (None: launches are told without areas).
    """

    nation: str
    mode: Mode
    policy: str
    sensors: tuple[Sensor, ...]
    sources: tuple[Source, ...]
    tracker: TrackerSettings
    state_tick_ns: int
    layer: Layer | None = None


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
    # Assessments that the warning desk took, and what it told the public (for the outputs).
    assessed: tuple[AssessedInput, ...] = ()
    public: tuple[Warning, ...] = ()

    def digest(self, national: Any = None) -> bytes:
        """Return SHA-256 over everything a replay must give again: what leaves, and the national tracks.

        national: `hashed` of these very national tracks, where that is known: most steps make none.
        """
        told = (national or hashed(self.national)).copy()
        if self.combined is not None:
            told.update(self.combined.tracks.columns.tobytes())
        for one in self.released:
            told.update(msgspec.msgpack.encode(one))
        for part in (
            self.partners,
            self.warnings,
            self.answers,
            self.notices,
            self.refused,
            self.approvals,
            self.assessed,
            self.public,
        ):
            told.update(msgspec.msgpack.encode(part))
        digest: bytes = told.digest()
        return digest


def hashed(tracks: Tracks) -> Any:
    """Return SHA-256 begun with a step's national tracks."""
    return hashlib.sha256(tracks.columns.tobytes())


Assessed = tuple[str, Assessment]  # whose, and what


class Pipeline:
    """One node's stages, composed. One audience pipeline per partner (and PUBLIC where an agreement speaks of it)."""

    def __init__(self, settings: PipelineSettings, policies: Iterable[AudiencePolicy], now_ns: int) -> None:
        self.settings, policies = settings, list(policies)
        self._agreements = policies[0].agreements if policies else Agreements()
        self._decoders = {source.name: open_decoder(source) for source in settings.sources}
        self._index = {sensor.id: k for k, sensor in enumerate(settings.sensors)}
        self.national = Tracker(settings.tracker, settings.sensors, f"{settings.nation}/national")
        self.label_of = label_joiner(settings.sensors)
        self.audiences = {
            policy.recipient: AudiencePipeline(
                policy, settings.sensors, settings.tracker, settings.state_tick_ns, now_ns, settings.layer
            )
            for policy in policies
        }
        # Warnings for the public are the warning desk's own affair: two people, and products of its own.
        gates = {name: audience for name, audience in self.audiences.items() if name != "PUBLIC"}
        self.published = tuple(sorted(set(self.audiences) - set(gates)))
        self.approvals = ApprovalDesk(settings.nation, settings.mode, approvals.KINDS)
        self.desk = Desk(settings.nation, settings.mode, settings.policy, gates, self.approvals, self._decide, self._consented)
        self.desk.track = self._track
        self.desk.books.own_ns = lambda name, now_ns: gates[name].own_ns(now_ns) if name in gates else now_ns
        if (public := self.audiences.get("PUBLIC")) is not None:
            self.desk.publish = public.flash
        self.watch = SensorWatch(settings.sensors, turn_ns=turn_of(settings.nation), tracker=settings.tracker)
        self.core = CoreTracker(settings.nation, settings.sensors, settings.tracker, self.national)
        self.combined = CombinedPicture(settings.nation, gates, self.core, settings.state_tick_ns)
        self.launches = NationLaunches(
            settings.nation,
            lambda what: stream_name(settings.nation, f"launches-{what}", now_ns),
            settings.sensors,
            settings.layer,
            settings.tracker,
        )
        self._picture_is_old = True
        self.tracks: Tracks | None = None
        self._streams = PartnerStreams(settings.tracker.tracks_max)
        self._own_waiting: list[Reports] = []
        self._waiting: dict[str, list[PartnerReport]] = {}
        self.rejected = self.desk.rejected
        self._clock = ReplayClock(settings.mode)
        # What an earlier run told the public, in its order, after `restore`: an output that has no receipt for it gets it.
        self.restored_public: list[Warning] = []

    def step(self, now_ns: int, inputs: Sequence[Input]) -> Output:
        """Take what came in since the last step, in its order, and return what comes of it.

        The output's own time is `t_ns`: now_ns, or later where a replay runs faster than life.
        """
        batches, refused = self._decode([one for one in inputs if isinstance(one, FeedInput)])
        received = PartnerInputs(self.settings.mode)
        for one in inputs:
            if isinstance(one, ReceivedInput):
                received.take(one)
        self.rejected.update(received.refused)
        mine = [batch_of(batch, self._index[sensor_of(batch)]) for batch in batches if sensor_of(batch) in self._index]
        released = [one for audience in self.audiences.values() for one in audience.step(now_ns, batches)]
        now_ns = self._clock.at(now_ns, mine, received.times_ns())
        national, core, assessed = self._own_tracks(now_ns, mine, received)
        assessed = [*((name, one) for name, audience in self.audiences.items() for one in audience.assessed), *assessed]
        desk = self._at_desk(now_ns, received, inputs, assessed)
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
            assessed=tuple(AssessedInput(audience=name, assessment=one, derived=True) for name, one in desk.taken),
            public=tuple(desk.public),
        )

    def _at_desk(
        self, now_ns: int, received: PartnerInputs, inputs: Sequence[Input], made: Sequence[Assessed] | None
    ) -> DeskStep:
        """Bring the desk what came in: partners' flash, assessments, then people's acts, each in its order.

        made: what this step made of launches; None in a restart, which takes those that the journal holds.
        """
        desk = DeskStep(self.desk, now_ns)
        for warning in received.warnings:
            desk.receive(warning)
        desk.event((), "", [("caution", approvals.recall_words(*one)) for one in received.recalls])
        for one in inputs:
            if isinstance(one, AssessedInput) and one.derived == (made is None):
                desk.assess(one.audience, one.assessment)
        for name, assessment in made or ():
            desk.assess(name, assessment)
        for one in inputs:
            if isinstance(one, ActInput):
                desk.act(one.act)
            elif isinstance(one, LapseInput):
                desk.event((), "", approvals.lapse(self.approvals, now_ns, one.user))
            elif isinstance(one, EventInput):
                done = approvals.take_event(self.audiences.get(one.event.audience), now_ns, one)
                desk.event(done.released, done.fault, done.notes)
            elif isinstance(one, RecallInput):
                audience = self.audiences.get(partner_of(one.stream))
                done = approvals.take_recall(audience, self.settings.policy, now_ns, one)
                desk.event(done.released, done.fault, done.notes)
                desk.answer(one.act_id, done.fault)
        return desk

    def _track(self, number: int) -> Track | None:
        """Return a national track as of the last picture, as a record."""
        if self.tracks is None:
            return None
        return track_record(self.tracks, number, self.settings.sensors, self.label_of, self.settings.nation)

    def events_taken(self) -> frozenset[str]:
        """Return the ids of all declassification events that any audience's pipeline took."""
        return frozenset().union(*(audience.doors.taken() for audience in self.audiences.values()))

    def trust(self, keys: Mapping[str, bytes]) -> None:
        """Take the public keys (id -> 32 bytes) with which this node signs declassification events."""
        for audience in self.audiences.values():
            audience.doors.trust(keys)

    def _decide(self, now_ns: int, session: Session, act: approvals.DeskAct) -> approvals.Done:
        return approvals.take(self.approvals, now_ns, session, act)

    def _consented(self, now_ns: int, source: str, audience: str) -> bool:
        """Tell whether an agreement holds a source's consent to what a warning for an audience makes of its data."""
        kind, purpose = self.settings.mode.kind, PURPOSE if audience == PUBLIC else ""
        return self._agreements.consents(self.settings.nation, source, audience, TOPIC, kind, now_ns, purpose)

    def restore(self, now_ns: int, inputs: Sequence[Input]) -> list[WarningRecord]:
        """Do the desk's work of an earlier run again, so that a restart knows its warnings; nothing leaves.

        The released editions are made too, so that every audience's ids go on where they were; they were sent before.
        """
        received = PartnerInputs(self.settings.mode)
        for one in inputs:
            if isinstance(one, ReceivedInput):
                received.take(one)
        self.launches.hear(now_ns, received.warnings, [])  # what they point at, a flight in the air may rest on
        # The journal holds the assessments that were taken, as derived ones; one given from outside would be there twice.
        desk = self._at_desk(now_ns, received, inputs, None)
        self.restored_public += public_of(desk.released)
        for name, told in desk.taken:
            if name in (OWN, NATIONAL):
                self.launches.resume(told, by_all=name == NATIONAL)
            elif name in self.audiences:
                self.audiences[name].launches.resume(told)
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

    def own_picture_ns(self) -> int:
        """Return from when on a step shows what the own sensors brought, whether or not partners send."""
        return self.combined.next_ns(new=False) if self._own_waiting else TIME_MAX_NS

    def _own_tracks(
        self, now_ns: int, mine: Sequence[Reports], received: PartnerInputs
    ) -> tuple[Tracks, Tracks | None, list[Assessed]]:
        """Return the national tracks, and own reports tracked with what partners released as reports when a picture is due.

        With it comes what is made of launches, by the own sensors alone and by all.

        Due when partners sent something, and else a tick after the last: own reports are shown together with what partners
        made of the same tick, so that a picture is made once for both.
        """
        self._own_waiting.extend(mine)
        for exporter, records in received.reports.items():
            self._waiting.setdefault(exporter, []).extend(records)
        self.launches.hear(now_ns, received.warnings, self.combined.usable(received.tracks))
        self._picture_is_old |= bool(received.tracks or received.reports)
        if self.tracks is not None and now_ns < self.combined.next_ns(new=self._picture_is_old):
            return self.tracks, None, []
        self._picture_is_old = False
        own, self._own_waiting = self.watch.take(now_ns, self._own_waiting), []
        waiting, self._waiting = self._waiting, {}
        self.tracks = self.national.step(now_ns, own)
        self.watch.learn(now_ns, self.tracks, self.national.fit())
        self.core.own_moved_ns = self.watch.jumped_ns
        alone, together = self.launches.step(now_ns, own, self.core.usable(waiting), sensor_of)
        assessed = [*((OWN, one) for one in alone), *((NATIONAL, one) for one in together)]
        return self.tracks, self.core.step(now_ns, self.tracks, own, waiting), assessed


def public_of(released: Iterable[Released]) -> list[Warning]:
    """Return the messages to the public among what was released, as they leave."""
    told = [codec.decode(one.record) for one in released if (one.audience, one.lane) == (PUBLIC, "flash")]
    return [one for one in told if isinstance(one, Warning)]


def _counts(batches: Iterable[Reports]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for batch in batches:
        counts[batch.pedigree.feed or batch.source] += len(batch.columns)
    return counts
