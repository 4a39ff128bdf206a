"""Leaks in what a partner is told of a launch: in its warnings, their ids and versions, and in what people do about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from planting import Patch, as_of, pipelines, plant_of_launch

from trilat.issuing import desk as desk_module
from trilat.issuing import partners as partners_module
from trilat.issuing import prepare
from trilat.issuing.books import Books
from trilat.issuing.editions import NATIONAL
from trilat.joint.launches import LaunchWatch
from trilat.node.audience import AudiencePipeline, sensor_of
from trilat.records.assessment import Assessment
from trilat.records.warning import Warning

# What a warning rests on --------------------------------------------------------------------------------------------------


def of_the_nation(patch: Patch, change: Callable[[Assessment, Assessment], Assessment]) -> None:
    """Let `change(audience's assessment, the newest national one)` alter what each audience's warnings are made of."""
    found = pipelines(patch)

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            out = step(self, now_ns, batches)
            national = found[id(self)].desk.books.all_of(NATIONAL)
            if national:
                self.assessed = [change(one, national[-1].assessment) for one in self.assessed]
            return out

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant_of_launch()
def national_confidence(patch: Patch) -> None:
    """A warning is as sure as the nation is."""
    of_the_nation(patch, lambda one, nation: msgspec.structs.replace(one, confidence=nation.confidence))


@plant_of_launch(late=True)
def national_landing_area(patch: Patch) -> None:
    """The landing area of a warning is the nation's, which is smaller."""
    of_the_nation(
        patch, lambda one, nation: msgspec.structs.replace(one, landing=nation.landing, areas=nation.areas, path=nation.path)
    )


@plant_of_launch()
def national_launch_point(patch: Patch) -> None:
    """The launch point of a warning is the one that all sensors give."""
    of_the_nation(patch, lambda one, nation: msgspec.structs.replace(one, launch=nation.launch))


@plant_of_launch(late=True)
def national_class(patch: Patch) -> None:
    """The class of a warning is the one that the nation settled on."""
    of_the_nation(patch, lambda one, nation: msgspec.structs.replace(one, classes=nation.classes))


@plant_of_launch()
def first_seen(patch: Patch) -> None:
    """A warning says when the launch was first seen by anybody."""
    of_the_nation(
        patch,
        lambda one, nation: msgspec.structs.replace(one, first_t_ns=min(one.first_t_ns, nation.first_t_ns), launch=None),
    )


@plant_of_launch(world=1)
def confirmed_by_a_hidden_sensor(patch: Patch) -> None:
    """One open sensor is enough to call a launch while more of the nation's sensors see something."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            out = step(self, now_ns, batches)
            if len({sensor_of(one) for one in batches if len(one.columns)}) > 2:
                called = [msgspec.structs.replace(one, state="detected") for one in self.assessed if one.state == "unconfirmed"]
                self.assessed = [*called, *(one for one in self.assessed if one.state != "unconfirmed")]
            return out

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant_of_launch()
def sensors_of_the_nation(patch: Patch) -> None:
    """A warning's pedigree names every sensor that follows the flight."""
    of_the_nation(patch, lambda one, nation: msgspec.structs.replace(one, pedigree=nation.pedigree))


@plant_of_launch()
def label_of_the_flight(patch: Patch) -> None:
    """A warning is marked as high as the highest sensor that sees the flight."""

    def change(one: Assessment, nation: Assessment) -> Assessment:
        return msgspec.structs.replace(one, label=msgspec.structs.replace(one.label, level=min(nation.label.level, 2)))

    of_the_nation(patch, change)


@plant_of_launch()
def hidden_plots_in_the_launch_watch(patch: Patch) -> None:
    """The watch for launches takes every radar's plots, whosever picture it is for."""

    def around(step: Any) -> Any:
        def stepped(self: AudiencePipeline, now_ns: int, batches: Any) -> Any:
            open_radar = self._sensors.get("JPN/early")
            if open_radar is not None:
                hidden = [as_of(one, open_radar) for one in batches if sensor_of(one) in ("JPN/watch", "JPN/vault")]
                self.launches.take(hidden, sensor_of)
            return step(self, now_ns, batches)

        return stepped

    patch.wrap(AudiencePipeline, "step", around)


@plant_of_launch()
def expected_elsewhere(patch: Patch) -> None:
    """A watch counts the flights that any other watch follows as known, and starts its numbers behind them."""
    count = [0]

    def around(step: Any) -> Any:
        def stepped(self: LaunchWatch, now_ns: int) -> Any:
            out = step(self, now_ns)
            count[0] += len(out)
            return [msgspec.structs.replace(one, confidence=one.confidence * (1.0 - 1e-6 * (count[0] % 97))) for one in out]

        return stepped

    patch.wrap(LaunchWatch, "step", around)
    restarted(patch, count)


def restarted(patch: Patch, count: list[int]) -> None:
    """Begin a count anew with every node."""

    def around(init: Any) -> Any:
        def made(self: Books, *args: Any) -> None:
            count[0] = 0
            init(self, *args)

        return made

    patch.wrap(Books, "__init__", around)


# Ids, versions and times --------------------------------------------------------------------------------------------------


@plant_of_launch()
def flight_number_in_the_id(patch: Patch) -> None:
    """A flight's warning has the number of the national one in its id."""
    found = pipelines(patch)
    patch.put(
        AudiencePipeline,
        "new_warning_id",
        lambda self: f"{self.nation}-{self.policy.recipient}-L{len(found[id(self)].desk.books.all_of(NATIONAL)) + 1}",
    )


@plant_of_launch()
def version_of_the_nation(patch: Patch) -> None:
    """All editions of a flight's warning have one version between them."""
    count = [0]

    def around(put: Any) -> Any:
        def made(self: Books, audience: str, key: Any, before: Any, after: Any) -> Any:
            told = before is None or after.warning.version != before.warning.version
            if told:
                count[0] += 1
                least = 0 if before is None else before.warning.version
                after = msgspec.structs.replace(
                    after, warning=msgspec.structs.replace(after.warning, version=max(count[0], least + 1))
                )
            return put(self, audience, key, before, after)

        return made

    patch.wrap(Books, "_put", around)
    restarted(patch, count)


@plant_of_launch(late=True)
def waits_for_the_national_version(patch: Patch) -> None:
    """A new version for an audience is told when the nation's has one, too."""

    def around(flash: Any) -> Any:
        def made(self: AudiencePipeline, now_ns: int, record: Any) -> Any:
            kept = found[id(self)].__dict__.setdefault("kept_back", {})
            books = found[id(self)].desk.books
            version = sum(one.warning.version for one in books.all_of(NATIONAL))
            before = kept.get(self.policy.recipient)
            kept[self.policy.recipient] = version
            late = before == version and isinstance(record, Warning) and record.version > 1
            return [] if late else flash(self, now_ns, record)

        return made

    found = pipelines(patch)
    patch.wrap(AudiencePipeline, "flash", around)


@plant_of_launch(first="separate_calls")
def flights_counted_with_warnings_by_hand(patch: Patch) -> None:
    """A partner's ids go on from every warning that anybody of the nation raised by hand."""
    found = pipelines(patch)

    def around(new_id: Any) -> Any:
        def made(self: AudiencePipeline) -> str:
            self._warnings._count = max(self._warnings._count, len(found[id(self)].desk.hand._own))
            return str(new_id(self))

        return made

    patch.wrap(AudiencePipeline, "new_warning_id", around)


# What people do -----------------------------------------------------------------------------------------------------------


@plant_of_launch()
def acknowledged_by_the_national_version(patch: Patch) -> None:
    """An acknowledgement names the national version, and goes to whom the national warning may go (as it once did)."""

    def told(d: Any, now_ns: int, national: Any, kind: str, by: Any) -> Any:
        warning = d.books.standing(NATIONAL, national).warning
        made = d.hand.answer(now_ns, d.nation, warning.id, warning.version, kind, by.user, by.station, warning.label)
        for audience in d.audiences.values():
            yield from audience.acknowledge(now_ns, made)

    patch.put(partners_module, "acknowledged", told)


@plant_of_launch(late=True, first="separate_calls")
def acknowledgement_says_the_nations_version(patch: Patch) -> None:
    """An acknowledgement to a partner says which version the officer had before them."""

    def around(acknowledged: Any) -> Any:
        def told(d: Any, now_ns: int, national: Any, kind: str, by: Any) -> Any:
            version = d.books.standing(NATIONAL, national).warning.version
            answer = d.hand.answer
            d.hand.answer = lambda at_ns, who, name, _, *more: answer(at_ns, who, name, version, *more)
            yield from acknowledged(d, now_ns, national, kind, by)
            d.hand.answer = answer

        return told

    patch.wrap(partners_module, "acknowledged", around)


@plant_of_launch(world=1, late=True, first="beside")
def leave_used_by_what_the_nation_knows(patch: Patch) -> None:
    """A standing leave issues to partners as soon as the nation is sure enough (as it once did)."""

    def content(now_ns: int, books: Any, national: Any, leave: Any) -> Any:
        standing = books.standing(NATIONAL, national)
        areas = prepare.sure_areas(now_ns, books.nation, standing, leave)
        if not areas:
            return None
        audiences = tuple(one for one in leave.audiences if one != books.nation)
        act = desk_module.IssueWarning(
            act_id="auto", warning_id=standing.warning.id, version=standing.warning.version, audiences=audiences,
            areas=areas, minutes=leave.minutes,
        )  # fmt: skip
        made = prepare.issue_content(now_ns, books, act)
        return None if isinstance(made, str) else made

    patch.put(prepare, "automatic_content", content)


@plant_of_launch(late=True, first="all_at_once")
def areas_chosen_for_all(patch: Patch) -> None:
    """What is issued to a partner is cut to the areas that the national warning names."""

    def around(issue: Any) -> Any:
        def made(self: Books, now_ns: int, national: Any, audience: str, envelope: Any) -> Any:
            named = {one.id for one in self.standing(NATIONAL, national).warning.touched}
            areas = (*(one for one in envelope.areas if one in named), f"n{len(named)}")
            moved = issue(self, now_ns, national, audience, msgspec.structs.replace(envelope, areas=areas))
            if audience in self.partners:
                for one in moved:
                    cut = tuple(area for area in one.after.warning.touched if area.id in named)[: len(named)]
                    warning = msgspec.structs.replace(one.after.warning, touched=cut)
                    moved = [one._replace(after=msgspec.structs.replace(one.after, warning=warning))]
            return moved

        return made

    patch.wrap(Books, "issue", around)


@plant_of_launch(late=True)
def retracted_by_its_national_label(patch: Patch) -> None:
    """A retraction is marked as the national warning is."""

    def around(take_back: Any) -> Any:
        def made(self: Books, now_ns: int, one: Any, *told: Any) -> Any:
            national = self._link.get((one.audience, one.key))
            if national is not None and one.before is not None:
                level = min(self.standing(NATIONAL, national).warning.label.level, 2)
                label = msgspec.structs.replace(one.before.warning.label, level=level)
                before = msgspec.structs.replace(one.before, warning=msgspec.structs.replace(one.before.warning, label=label))
                one = one._replace(before=before)
            return take_back(self, now_ns, one, *told)

        return made

    patch.wrap(Books, "take_back", around)
