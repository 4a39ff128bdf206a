"""Leaks by the duty to warn: what is told of flights that a partner does not see says more than the coarse product."""

from __future__ import annotations

from typing import Any

import msgspec
from planting import DUTY_PLANTS, Patch, Plant, pipelines

from trilat.issuing import duty
from trilat.issuing import partners as partners_module
from trilat.issuing.books import Books
from trilat.issuing.editions import NATIONAL
from trilat.node.audience import AudiencePipeline
from trilat.outward.doors import Doors
from trilat.records.warning import Warning
from trilat.warn import machine


def plant(plants: Plant) -> Plant:
    """Put a plant into the table under its own sentence."""
    DUTY_PLANTS[(plants.__doc__ or "").split(".")[0]] = plants
    return plants


def with_books(patch: Patch) -> list[Books]:
    """Let what is told find the nation's books: the way to everything that is not."""
    held: list[Books] = []

    def around(now: Any) -> Any:
        def made(now_ns: int, books: Books, *more: Any) -> Any:
            held[:] = [books]
            return now(now_ns, books, *more)

        return made

    patch.wrap(duty, "_now", around)
    return held


def every_version(patch: Patch, change: Any) -> None:
    """Let `change(warning, the nation's books)` alter every version that is told."""
    held = with_books(patch)
    patch.wrap(duty, "_version", lambda version: lambda *some, **more: change(version(*some, **more), held[0]))


@plant
def exact_times(patch: Patch) -> None:
    """Times are told as they are assessed."""
    patch.put(duty, "_coarse", lambda area: msgspec.structs.replace(area, probability=1.0))


@plant
def how_likely(patch: Patch) -> None:
    """It is told how likely each area is."""
    patch.wrap(duty, "_coarse", lambda coarse: lambda area: msgspec.structs.replace(coarse(area), probability=area.probability))


@plant
def likeliest_first(patch: Patch) -> None:
    """Areas stand in the order in which they were assessed."""
    patch.put(duty, "_merged", lambda areas: tuple({one.id: one for one in areas}.values()))


@plant
def areas_of_others(patch: Patch) -> None:
    """Areas of every nation are told."""

    def product(now_ns: int, assessment: Any, nation: str) -> Any:
        del nation
        return duty._still(now_ns, (duty._coarse(one) for one in assessment.areas if one.probability >= duty.LIKELY))

    patch.put(duty, "product", product)


@plant
def unlikely_areas(patch: Patch) -> None:
    """Areas of whatever probability are told."""
    patch.put(duty, "LIKELY", 0.0)


@plant
def as_soon_as_known(patch: Patch) -> None:
    """It is told in the very step in which the nation knows it."""
    patch.put(duty, "TICK_NS", duty.NS)


@plant
def time_of_the_assessment(patch: Patch) -> None:
    """A version's time is that of the newest assessment."""
    every_version(
        patch,
        lambda one, books: msgspec.structs.replace(one, t_ns=max(each.t_ns for each in books.own_flights().values())),
    )


@plant
def level_of_the_flight(patch: Patch) -> None:
    """What is told is marked as high as the flight is."""

    def change(one: Warning, books: Books) -> Warning:
        level = max(min(each.label.level, 2) for each in books.own_flights().values())
        return msgspec.structs.replace(one, label=msgspec.structs.replace(one.label, level=level))

    every_version(patch, change)


@plant
def sensors_of_the_flight(patch: Patch) -> None:
    """What is told names the sensors that see it."""
    every_version(
        patch, lambda one, books: msgspec.structs.replace(one, pedigree=list(books.own_flights().values())[-1].pedigree)
    )


@plant
def class_of_the_flight(patch: Patch) -> None:
    """What is told says what it is and how sure that is."""
    every_version(
        patch, lambda one, books: msgspec.structs.replace(one, flight=machine.facts(list(books.own_flights().values())[-1]))
    )


@plant
def versions_of_the_nation(patch: Patch) -> None:
    """Versions are counted as the nation's are."""
    every_version(
        patch,
        lambda one, books: msgspec.structs.replace(
            one, version=one.version + sum(each.warning.version for each in books.all_of(NATIONAL))
        ),
    )


@plant
def issued_when_officers_issue(patch: Patch) -> None:
    """What is told counts as issued when officers have issued something of it to anybody."""
    every_version(
        patch,
        lambda one, books: msgspec.structs.replace(one, issued=any(each.warning.issued for each in books.all_of(NATIONAL))),
    )


@plant
def cut_to_what_was_issued(patch: Patch) -> None:
    """Of what officers have issued, only the areas that they approved are told (as it once was)."""
    held = with_books(patch)

    def around(product: Any) -> Any:
        def made(now_ns: int, assessment: Any, nation: str) -> Any:
            national = held[0].nearest_national(assessment)
            mine = product(now_ns, assessment, nation)
            if national is None or not national.warning.issued:
                return mine
            return tuple(one for one in mine if one.id not in {area.id for area in national.warning.touched})

        return made

    patch.wrap(duty, "product", around)


@plant
def id_for_what_is_not_covered(patch: Patch) -> None:
    """A flight that the duty does not cover uses up an id (as it once did)."""

    def around(covered: Any) -> Any:
        def made(self: AudiencePipeline, now_ns: int, basis: Any) -> str:
            by = str(covered(self, now_ns, basis))
            if not by and self.policy.recipient == "KOR" and self.doors._standing:
                self.new_warning_id()
            return by

        return made

    patch.wrap(AudiencePipeline, "covered", around)


@plant
def beyond_its_level(patch: Patch) -> None:
    """The duty lets anything of its topic go, of whatever level."""

    def around(covering: Any) -> Any:
        def made(self: Doors, *some: Any) -> Any:
            self._standing = {name: msgspec.structs.replace(one, level_max=4) for name, one in self._standing.items()}
            return covering(self, *some)

        return made

    patch.wrap(Doors, "covering", around)


@plant
def how_many_flights(patch: Patch) -> None:
    """Each flight's areas are told by themselves, also where they are the same."""

    def merged(areas: Any) -> Any:
        return tuple(sorted(areas, key=lambda area: (area.id, area.t_from_ns, area.t_to_ns)))

    patch.put(duty, "_merged", merged)


@plant
def acknowledged_to_those_told(patch: Patch) -> None:
    """Who was told by duty is told who acknowledges a flight here."""
    found = pipelines(patch)

    def around(acknowledged: Any) -> Any:
        def told(d: Any, now_ns: int, national: Any, kind: str, by: Any) -> Any:
            yield from acknowledged(d, now_ns, national, kind, by)
            for name, one in d.duties._told.items():
                if one.warning is not None and found:
                    mine = one.warning
                    made = d.hand.answer(now_ns, d.nation, mine.id, mine.version, kind, by.user, by.station, mine.label)
                    yield from d.audiences[name].flash(now_ns, made)

        return told

    patch.wrap(partners_module, "acknowledged", around)
