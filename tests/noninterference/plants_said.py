"""Leaks in ids, counters and in what is said, each at the place where somebody would make the mistake."""

from __future__ import annotations

from typing import Any

import msgspec
from planting import Patch, altered, every_track, pipelines, plant, plant_in, tracks_of

from trilat.exchange.epochs import Epochs
from trilat.exchange.numbering import Numbering
from trilat.node.audience import AudiencePipeline, sensor_of
from trilat.node.pipeline import Pipeline
from trilat.outward.doors import Doors
from trilat.policy.audience import AudiencePolicy
from trilat.records.track import Track
from trilat.records.warning import Warning
from trilat.transport import envelope as sealing
from trilat.warn.lifecycle import AudienceWarnings

# Ids and counters ---------------------------------------------------------------------------------------------------------


@plant_in("warnings")
def warning_id(patch: Patch) -> None:
    """A warning goes out under its national id."""

    def edition(self: AudienceWarnings, warning: Warning) -> Warning:
        self._of_national[warning.id] = self._national[warning.id] = warning.id
        return warning

    patch.put(AudienceWarnings, "warning", edition)


@plant
def shared_warning_counter(patch: Patch) -> None:
    """Warnings of all audiences are counted together."""
    count = [0]

    def around(warning: Any) -> Any:
        def edition(self: AudienceWarnings, given: Warning) -> Warning:
            count[0] += given.id not in self._of_national
            self._count = count[0] - 1
            return warning(self, given)

        return edition

    def restart(init: Any) -> Any:
        def made(self: Pipeline, *args: Any) -> None:
            count[0] = 0
            init(self, *args)

        return made

    patch.wrap(AudienceWarnings, "warning", around)
    patch.wrap(Pipeline, "__init__", restart)


@plant_in("warnings")
def gap_for_a_withheld_warning(patch: Patch) -> None:
    """A withheld warning uses up a number of the audience."""

    def around(flash: Any) -> Any:
        def made(self: AudiencePipeline, now_ns: int, record: Any, edition: Any) -> Any:
            if isinstance(record, Warning):
                edition(record)
            return flash(self, now_ns, record, edition)

        return made

    patch.wrap(AudiencePipeline, "_flash", around)


@plant
def track_number(patch: Patch) -> None:
    """Track numbers are given by the national tracker's count."""
    found = pipelines(patch)
    every_track(
        patch, lambda self, _, track: msgspec.structs.replace(track, number=track.number + found[id(self)].national._next_number)
    )


@plant
def sequence(patch: Patch) -> None:
    """Sequence numbers are shared between partners, so that there are gaps."""

    def around(number: Any) -> Any:
        def made(self: Numbering, *args: Any) -> Any:
            out = number(self, *args)
            if out is not None:
                for other in self.station.all_numberings:
                    if other is not self and other.lane == self.lane:
                        other._put(last=msgspec.structs.replace(other.state.last, sequence=other.state.last.sequence + 1))
            return out

        return made

    def listed(init: Any) -> Any:
        def made(self: Numbering, station: Any, *args: Any) -> None:
            init(self, station, *args)
            station.__dict__.setdefault("all_numberings", []).append(self)

        return made

    patch.wrap(Epochs, "__init__", listed)
    patch.wrap(Numbering, "number", around)


@plant
def salts(patch: Patch) -> None:
    """Salts are drawn from a counter of everything that was ever sealed."""
    count = [0]

    def around(make: Any) -> Any:
        def made(key: bytes, context: Any, n: int) -> Any:
            count[0] += n
            return make(key, [*context, count[0]], n)

        return made

    def restart(init: Any) -> Any:
        def made(self: Pipeline, *args: Any) -> None:
            count[0] = 0
            init(self, *args)

        return made

    patch.wrap(sealing, "salts", around)
    patch.wrap(Pipeline, "__init__", restart)


# What is said -------------------------------------------------------------------------------------------------------------


@plant
def count_in_a_status(patch: Patch) -> None:
    """A track says how many reports the node took in."""
    every_track(
        patch, lambda _, batches, track: msgspec.structs.replace(track, flags=(f"n{sum(len(b.columns) for b in batches)}",))
    )


@plant
def national_pedigree(patch: Patch) -> None:
    """A track names every sensor that spoke."""

    def change(_: Any, batches: Any, track: Track) -> Track:
        names = tuple(sorted({sensor_of(batch) for batch in batches}))
        return msgspec.structs.replace(track, pedigree=msgspec.structs.replace(track.pedigree, sensors=names))

    every_track(patch, change)


@plant
def national_level(patch: Patch) -> None:
    """A track's label is joined with those of every sensor that spoke."""

    def change(_: Any, batches: Any, track: Track) -> Track:
        level = max((batch.label.level for batch in batches), default=0)
        return msgspec.structs.replace(track, label=msgspec.structs.replace(track.label, level=max(track.label.level, level)))

    every_track(patch, change)


@plant
def error_text(patch: Patch) -> None:
    """A warning's text tells how many inputs were refused."""

    def around(step: Any) -> Any:
        def stepped(self: Pipeline, now_ns: int, inputs: Any) -> Any:
            out = step(self, now_ns, inputs)
            self.__dict__["told"] = self.__dict__.get("told", 0) + len(out.refused)
            told = [
                altered(one, lambda record: msgspec.structs.replace(record, text=f"{self.__dict__['told']} refused"))
                if one.record_type == "trilat.warning/1"
                else one
                for one in out.released
            ]
            return out._replace(released=tuple(told))

        return stepped

    patch.wrap(Pipeline, "step", around)


@plant
def trouble_told(patch: Patch) -> None:
    """The name of a stream tells how many sensors the nation has."""

    def around(step: Any) -> Any:
        def stepped(self: Pipeline, now_ns: int, inputs: Any) -> Any:
            out = step(self, now_ns, inputs)
            n = len(self.settings.sensors)
            return out._replace(
                released=tuple(
                    tracks_of(list(out.released), lambda track: msgspec.structs.replace(track, stream=f"{track.stream}{n}"))
                )
            )

        return stepped

    patch.wrap(Pipeline, "step", around)


@plant_in("warnings")
def warning_without_a_decision(patch: Patch) -> None:
    """Every warning goes to everybody whom it may interest."""

    def around(decide: Any) -> Any:
        def decided(self: AudiencePolicy, record: Any, now_ns: int, event: Any = None) -> Any:
            if isinstance(record, Warning) and self.recipient not in record.label.rel_to:
                label = msgspec.structs.replace(record.label, rel_to=tuple(sorted({*record.label.rel_to, self.recipient})))
                record = msgspec.structs.replace(record, label=label)
            return decide(self, record, now_ns, event)

        return decided

    def released(release: Any) -> Any:
        def made(self: AudiencePolicy, record: Any, *args: Any, **more: Any) -> Any:
            if isinstance(record, Warning) and self.recipient not in record.label.rel_to:
                label = msgspec.structs.replace(record.label, rel_to=tuple(sorted({*record.label.rel_to, self.recipient})))
                record = msgspec.structs.replace(record, label=label)
            return release(self, record, *args, **more)

        return made

    patch.wrap(AudiencePolicy, "record_decision", around)
    patch.wrap(AudiencePolicy, "release", released)


@plant
def warning_says_more(patch: Patch) -> None:
    """A released warning's confidence rests on what hidden sensors saw."""

    def around(step: Any) -> Any:
        def stepped(self: Pipeline, now_ns: int, inputs: Any) -> Any:
            out = step(self, now_ns, inputs)
            share = min(len(out.national.columns) / 1000.0, 1.0)
            told = [
                altered(one, lambda record: msgspec.structs.replace(record, confidence=share))
                if one.record_type == "trilat.warning/1"
                else one
                for one in out.released
            ]
            return out._replace(released=tuple(told))

        return stepped

    patch.wrap(Pipeline, "step", around)


@plant_in("events_for_usa")
def approved_tracks_counted_together(patch: Patch) -> None:
    """Tracks that people let go are numbered over all audiences."""
    found = pipelines(patch)

    def around(declassify: Any) -> Any:
        def opened(self: AudiencePipeline, now_ns: int, event: Any, record: bytes) -> Any:
            self.doors._numbers = sum(one.doors._numbers for one in found[id(self)].audiences.values())
            return declassify(self, now_ns, event, record)

        return opened

    patch.wrap(AudiencePipeline, "declassify", around)


@plant_in("warnings")
def duty_without_its_level(patch: Patch) -> None:
    """A standing duty to warn lets anything of its topic go, of whatever level."""

    def around(standing: Any) -> Any:
        def opened(self: Doors, now_ns: int, warning: Any) -> Any:
            self._standing = {name: msgspec.structs.replace(one, level_max=4) for name, one in self._standing.items()}
            return standing(self, now_ns, warning)

        return opened

    patch.wrap(Doors, "standing", around)
