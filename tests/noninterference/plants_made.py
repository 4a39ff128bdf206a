"""Leaks in what is computed, and in when and in which order it leaves."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from planting import Patch, altered, as_of, every_track, pipelines, plant, plant_in

from trilat.exchange import exporter as exporter_module
from trilat.exchange.exchange import Exchange
from trilat.joint.tier import TierTracker
from trilat.node import pipeline as pipeline_module
from trilat.node.audience import AudiencePipeline, sensor_of
from trilat.node.pipeline import Pipeline
from trilat.policy.audience import AudiencePolicy
from trilat.records.track import Track

# What is computed ---------------------------------------------------------------------------------------------------------


@plant
def filtered_national_track(patch: Patch) -> None:
    """National tracks that rest on a permitted sensor are released, instead of tracks made for the audience."""
    found = pipelines(patch)

    def step(self: TierTracker, now_ns: int) -> Any:
        self.waiting = []
        national = found[id(self)].national
        bits = sum(1 << k for k, sensor in enumerate(national.sensors) if sensor.id in self.index)
        shown = national._shown[(national._shown["sensors"] & bits) != 0].copy()
        shown["sensors"] &= bits
        place = np.zeros(len(shown), shown["sensors"].dtype)
        for k, sensor in enumerate(national.sensors):
            if sensor.id in self.index:
                place |= ((shown["sensors"] >> k) & 1) << self.index[sensor.id]
        shown["sensors"] = place
        from trilat.records.columns import Tracks

        return self._tracks(now_ns, Tracks(stream=f"{self.nation}/{self.tier}", t_ns=now_ns, columns=shown, deleted=()))

    patch.put(TierTracker, "step", step)


@plant
def hidden_coverage(patch: Patch) -> None:
    """The audience's trackers know of every sensor's coverage."""

    def around(init: Any) -> Any:
        def made(self: AudiencePipeline, policy: Any, sensors: Any, *args: Any) -> None:
            init(self, policy, tuple(sensors), *args)
            for tier in self.tiers:
                n = sum(1 for sensor in sensors if sensor.id not in tier.index)
                tier.tracker._table[:, :] = tier.tracker._table * (1.0 + 1e-9 * n)

        return made

    patch.wrap(AudiencePipeline, "__init__", around)


@plant
def bias_of_a_hidden_sensor(patch: Patch) -> None:
    """A correction learnt from all sensors is applied to the audience's reports."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            total = sum(len(batch.columns) for batch in batches if sensor_of(batch) not in self._tier)
            self.__dict__["bias"] = self.__dict__.get("bias", 0.0) + 1e-6 * total
            moved = []
            for batch in batches:
                columns = batch.columns.copy()
                columns["azimuth_rad"] = (columns["azimuth_rad"] + self.__dict__["bias"]) % (2.0 * np.pi)
                moved.append(msgspec.structs.replace(batch, columns=columns))
            return step(self, now_ns, moved)

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant_in("flood")
def shared_shedding(patch: Patch) -> None:
    """When the node has too much to do, every audience loses reports."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            return step(self, now_ns, list(batches)[:12])

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant_in("garbage")
def shared_quarantine(patch: Patch) -> None:
    """A hidden sensor that sends rubbish makes the node distrust the receiver beside it."""

    def around(decode: Any) -> Any:
        def decoded(self: Pipeline, inputs: Any) -> Any:
            batches, refused = decode(self, inputs)
            if len(refused) > 2:
                batches = [batch for batch in batches if sensor_of(batch) != "JPN/adsb"]
            return batches, refused

        return decoded

    patch.wrap(Pipeline, "_decode", around)


@plant
def shared_cpr_memory(patch: Patch) -> None:
    """ADS-B receivers share the memory of position messages."""
    kept: dict[str, Any] = {}

    def around(make: Any) -> Any:
        def made(source: Any) -> Any:
            decoder = make(source)
            return kept.setdefault("beast", decoder) if source.format == "beast" else decoder

        return made

    def named(decode: Any) -> Any:
        def decoded(self: Pipeline, inputs: Any) -> Any:
            batches, refused = decode(self, inputs)
            own = self.settings.sensors
            by_id = {sensor.id: sensor for sensor in own}
            right = []
            for batch in batches:
                mixed = sensor_of(batch) == "JPN/quiet" and "JPN/adsb" in by_id
                right.append(as_of(batch, by_id["JPN/adsb"]) if mixed else batch)
            return right, refused

        return decoded

    def restart(init: Any) -> Any:
        def made(self: Pipeline, *args: Any) -> None:
            kept.clear()
            init(self, *args)

        return made

    patch.wrap(pipeline_module, "open_decoder", around)
    patch.wrap(Pipeline, "_decode", named)
    patch.wrap(Pipeline, "__init__", restart)


@plant
def identity_of_a_hidden_sensor(patch: Patch) -> None:
    """What a hidden sensor learnt of an aircraft's address is filled in."""

    def change(self: AudiencePipeline, batches: Any, track: Track) -> Track:
        seen = [int(a) for b in batches if sensor_of(b) not in self._tier for a in b.columns["address"] if a >= 0]
        return msgspec.structs.replace(track, address=seen[0]) if seen else track

    every_track(patch, change)


@plant
def too_good_a_covariance(patch: Patch) -> None:
    """The audience's covariance is scaled by how many sensors really saw."""

    def change(_: Any, batches: Any, track: Track) -> Track:
        n = len({sensor_of(batch) for batch in batches})
        return msgspec.structs.replace(track, covariance=tuple(value / (1.0 + 0.01 * n) for value in track.covariance))

    every_track(patch, change)


@plant
def existence(patch: Patch) -> None:
    """The probability that a track exists comes from the national tracker."""
    found = pipelines(patch)

    def change(self: AudiencePipeline, _: Any, track: Track) -> Track:
        national = found[id(self)].national._shown
        return msgspec.structs.replace(track, existence=float(np.mean(national["existence"])) if len(national) else 1.0)

    every_track(patch, change)


@plant
def policy_cache(patch: Patch) -> None:
    """Decisions are cached for all audiences together."""
    shared: dict[Any, Any] = {}

    def around(init: Any) -> Any:
        def made(self: AudiencePolicy, *args: Any, **more: Any) -> None:
            init(self, *args, **more)
            self._cache = shared

        return made

    def key(decide: Any) -> Any:
        def decided(self: AudiencePolicy, label: Any, now_ns: int, sensors: Any = ()) -> Any:
            held = shared.get((None if label is None else label.topics, sensors[:0]))
            if held is not None and held[3].permit:
                return msgspec.structs.replace(held[3], audience=self.recipient)
            made = decide(self, label, now_ns, sensors)
            if made.permit:
                shared[(label.topics, sensors[:0])] = (0, 2**63, 0, made)
            return made

        return decided

    def restart(init: Any) -> Any:
        def made(self: Pipeline, *args: Any) -> None:
            shared.clear()
            init(self, *args)

        return made

    patch.wrap(AudiencePolicy, "__init__", around)
    patch.wrap(AudiencePolicy, "batch_decision", key)
    patch.wrap(Pipeline, "__init__", restart)


# When and in which order --------------------------------------------------------------------------------------------------


@plant
def order(patch: Patch) -> None:
    """Released tracks are sorted by a rank among everything that came in."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            out = step(self, now_ns, batches)
            turn = sum(len(batch.columns) for batch in batches) % max(len(out), 1)
            return [*out[turn:], *out[:turn]]

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant
def tick(patch: Patch) -> None:
    """The state lane's tick waits while the node is busy."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            if sum(len(batch.columns) for batch in batches) > 8:
                self._state_tick.passed(now_ns)
            return step(self, now_ns, batches)

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant
def clock(patch: Patch) -> None:
    """An audience's time is that of the newest report of any sensor."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            newest = max((int(b.columns["t_ns"].max()) for b in batches if len(b.columns)), default=now_ns)
            return step(self, min(newest, now_ns), batches)

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant
def batch_boundary(patch: Patch) -> None:
    """How much fits into a batch depends on what went to others."""

    def around(serve: Any) -> Any:
        def served(self: Any, now_ns: int, budget_bytes: int | None = None, *more: Any) -> Any:
            others = self.station.store.outbox.state("USA", self.lane).last.sequence
            left = None if budget_bytes is None or self.audience == "USA" else max(1_000, 20_000 - 400 * others)
            return serve(self, now_ns, left, *more)

        return served

    patch.wrap(exporter_module.Exporter, "serve", around)


@plant
def commit_boundary(patch: Patch) -> None:
    """What leaves for one partner waits until nothing waits for another."""

    def around(offer: Any) -> Any:
        def offered(self: Exchange, now_ns: int, released: Any) -> Any:
            held = self.__dict__.setdefault("held_back", [])
            mine = [*held, *released]
            busy = sum(one.audience == "USA" for one in released) > 3
            self.__dict__["held_back"] = [one for one in mine if one.audience == "KOR"] if busy else []
            return offer(self, now_ns, [one for one in mine if one.audience != "KOR" or not busy])

        return offered

    patch.wrap(Exchange, "offer", around)


@plant
def priority(patch: Patch) -> None:
    """How urgent a record is depends on the load."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            out = step(self, now_ns, batches)
            load = sum(len(batch.columns) for batch in batches)
            return [msgspec.structs.replace(one, priority=one.priority + (load + k) % 3) for k, one in enumerate(out)]

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant
def create_then_restrict(patch: Patch) -> None:
    """A track of a hidden sensor is announced and then withdrawn."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            out = step(self, now_ns, batches)
            hidden = [batch for batch in batches if sensor_of(batch) not in self._tier and len(batch.columns)]
            if hidden and out:
                gone = altered(
                    out[0],
                    lambda record: msgspec.structs.replace(record, status="deleted") if isinstance(record, Track) else record,
                )
                out = [*out, gone]
            return out

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant
def a_plot_let_through(patch: Patch) -> None:
    """A hidden radar's plots go into the audience's tracker when there is room."""

    def through(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            name = next((sensor for tier in self.tiers for sensor in tier.index if sensor == "JPN/ridge"), None)
            mixed = []
            for batch in batches:
                taken = name and sensor_of(batch) == "JPN/isle"
                mixed.append(as_of(batch, self._sensors[name]) if taken else batch)
            return step(self, now_ns, mixed)

        return stepped

    patch.wrap(AudiencePipeline, "step", through)
