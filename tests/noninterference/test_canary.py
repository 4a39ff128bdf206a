"""Nothing that only withheld data holds stands in any byte that leaves, and the scan would see it if it did."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import canary
import msgspec
import pytest
from ni_world import Ground
from planting import Patch, every_track

from trilat.node.audience import AudiencePipeline
from trilat.records import codec
from trilat.records.released import Released
from trilat.transport import envelope as sealing

SEEDS = 2
SECONDS = 7.0  # a world long enough that hidden sensors measure more than eighty numbers


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("canary"), SECONDS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_canary_leaves(ground: Ground, seed: int) -> None:
    """What only hidden sensors measured, and every hidden name and word, is in nothing that KOR and PUBLIC get, hold, refuse or read."""
    journal, canaries = canary.world(ground, seed)
    run = canary.Watched(journal)
    run.run()
    places = run.everything()
    assert len(canaries.numbers) > 80
    assert len({place.where for place in places}) > 8
    assert [] == canary.sightings(places, canaries), f"seed {seed}"
    shown = sum(len(place.raw) for place in places)
    print(f"seed {seed}: {len(canaries.numbers)} numbers, {len(canaries.words)} strings, {shown:,} bytes: none seen")  # noqa: T201


def word_in_a_record(patch: Patch, canaries: canary.Canaries) -> None:
    """A track names a hidden sensor in its pedigree."""
    sensor = canaries.words[0].decode()
    every_track(
        patch, lambda _, __, t: msgspec.structs.replace(t, pedigree=msgspec.structs.replace(t.pedigree, sensors=(sensor,)))
    )


def number_in_a_record(patch: Patch, canaries: canary.Canaries) -> None:
    """A track's speed is one that a hidden sensor measured."""
    speed = next(v for raw in sorted(canaries.numbers) if 0 < (v := struct.unpack(">d", raw)[0]) < 1_000)
    every_track(patch, lambda _, __, t: msgspec.structs.replace(t, velocity_east_m_s=speed))


def word_in_a_warning(patch: Patch, canaries: canary.Canaries) -> None:
    """A warning's headline goes out with another's words."""
    words = canaries.words[-1].decode()

    def around(step: Any) -> Any:
        def made(self: AudiencePipeline, now_ns: int, warning: Any) -> list[Released]:
            out = step(self, now_ns, warning)
            return [
                msgspec.structs.replace(
                    one, record=codec.encode(msgspec.structs.replace(codec.decode(one.record), headline=f"{words} 1"))
                )
                for one in out
            ]

        return made

    patch.wrap(AudiencePipeline, "warn", around)


def number_in_a_salt(patch: Patch, canaries: canary.Canaries) -> None:
    """The bytes beside a record carry a number (here: the salt of each leaf)."""
    leak = b"\xcb" + min(canaries.numbers)

    def around(salts: Any) -> Any:
        return lambda *args: [leak + salt[len(leak) :] for salt in salts(*args)]

    patch.wrap(sealing, "salts", around)


PLANTS: tuple[Callable[[Patch, canary.Canaries], None], ...] = (
    word_in_a_record,
    number_in_a_record,
    word_in_a_warning,
    number_in_a_salt,
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_canary_is_seen(ground: Ground, plant: Callable[[Patch, canary.Canaries], None]) -> None:
    """A canary that is let out, in a record, a warning or the bytes beside them, is seen on the wire."""
    journal, canaries = canary.world(ground, 0)
    patch = Patch()
    plant(patch, canaries)
    try:
        run = canary.Watched(journal)
        run.run()
    finally:
        patch.undo()
    seen = canary.sightings(run.everything(), canaries)
    assert any("as sent" in one for one in seen), seen[:3]
