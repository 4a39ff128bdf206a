"""What a refused field is told with: the value that was given, and what would have been taken."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
from msgspec import Struct

from trilat.records.faults import fault_of
from trilat.records.fields import Name, Probability


class Inner(Struct, forbid_unknown_fields=True):
    """A part with words, a range and a pattern."""

    colour: Literal["red", "blue"] = "red"
    share: Probability = 0.5
    name: Name = "a"


class Outer(Struct, forbid_unknown_fields=True):
    """A whole with one part, several, and none."""

    inner: Inner = msgspec.field(default_factory=Inner)
    many: tuple[Inner, ...] = ()
    words: tuple[Literal["up", "down"], ...] = ()
    maybe: Literal["yes", "no"] | None = None
    pair: tuple[float, float] = (0.0, 0.0)
    named: dict[str, Inner] = {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"inner": {"colour": "green"}}, "Invalid enum value 'green', one of blue, red wanted - at `$.inner.colour`"),
        ({"many": [{}, {"colour": "green"}]}, "Invalid enum value 'green', one of blue, red wanted - at `$.many[1].colour`"),
        ({"words": ["up", "left"]}, "Invalid enum value 'left', one of down, up wanted - at `$.words[1]`"),
        ({"maybe": "perhaps"}, "Invalid enum value 'perhaps', one of no, yes wanted - at `$.maybe`"),
        ({"inner": {"share": 1.5}}, "Expected `float` <= 1.0, got 1.5 - at `$.inner.share`"),
        ({"inner": {"share": float("nan")}}, "got nan - at `$.inner.share`"),
        ({"inner": {"share": "x"}}, "Expected `float`, got `str` - at `$.inner.share`"),
        ({"inner": {"name": "a b"}}, "got 'a b' - at `$.inner.name`"),
        ({"inner": {"name": "a b" * 100}}, f"got '{('a b' * 100)[:79]}... - at `$.inner.name`"),
        ({"inner": {"shade": 1}}, "Object contains unknown field `shade`, one of colour, share, name wanted - at `$.inner`"),
        ({"shade": 1}, "unknown field `shade`, one of inner, many, words, maybe, pair, named wanted"),
        ({"pair": [1.0]}, "Expected `array` of length 2, got 1 - at `$.pair`"),
        ({"named": {"one": {"colour": "green"}}}, "Invalid enum value 'green' - at `$.named[...].colour`"),
    ],
)
def test_a_refused_field_names_the_value_and_the_words_it_takes(given: dict[str, object], said: str) -> None:
    """Words are listed, values repeated; where msgspec does not say which part it is, its own sentence stays."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, Outer)
    assert fault_of(caught.value, given, Outer).endswith(said)
