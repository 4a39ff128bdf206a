"""Every text field that has a pattern, in every struct of the tree: nothing but the pattern passes, not even a line end."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct, inspect

import trilat
from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.report import Fix, Pedigree

# One text per pattern that must pass. A new pattern needs a line here.
SAMPLES = {
    r"^[A-Z]{3}$(?!\n)": "JPN",
    r"^([A-Z]{3}|PUBLIC)$(?!\n)": "PUBLIC",
    r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$(?!\n)": "JPN-R1",
    r"^[A-Za-z0-9._-]{0,64}$(?!\n)": "t1",
    r"^[A-Za-z0-9._-]{1,64}$(?!\n)": "a1",
    r"^[a-z][a-z0-9._-]{1,31}$(?!\n)": "ann",
    r"^[0-9a-f]{64}$(?!\n)": "0" * 64,
    r"^[0-9a-f]{32}$(?!\n)": "0" * 32,
    r"^ed25519:[0-9a-f]{64}$(?!\n)": "ed25519:" + "0" * 64,
    r"^[a-z0-9][a-z0-9-]{0,31}$(?!\n)": "usa-jpn",
    r"^U[A-Z2-7]{55}$(?!\n)": "U" + "A" * 55,
    r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}$(?!\n)": "[::1]:4222",
    r"^(live|(exercise|replay):[A-Za-z0-9._-]{1,64})$(?!\n)": "exercise:t1",
}
PADDING = ("\n", " ", "\t", "\r", "\r\n", "\0", "\u2028", "\u00a0", "\n\n")
LABEL = Label(policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="t"), level=1, rel_to=("KOR",), topics=("air",))
FIX = Fix(t_ns=1, sensor="a", label=LABEL, pedigree=Pedigree(nation="JPN"), lat_deg=1.0, lon_deg=2.0, sigma_horizontal_m=3.0)


def structs() -> list[type[Struct]]:
    """Every struct of the tree, imported and sorted."""
    for module in pkgutil.walk_packages(trilat.__path__, "trilat."):
        if ".kernels" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type[Struct]] = set()
    waiting: list[type[Struct]] = [Struct]
    while waiting:
        below = [one for one in waiting.pop().__subclasses__() if one not in found]
        found.update(below)
        waiting += below
    return sorted((one for one in found if one.__module__.startswith("trilat.")), key=lambda one: (one.__module__, one.__name__))


def patterns_in(info: Any) -> Iterator[str]:
    """Yield every pattern in a type, whatever it is nested in."""
    if isinstance(info, inspect.StrType) and info.pattern is not None:
        yield info.pattern
    for name in ("item_type", "key_type", "value_type", "type"):
        if isinstance(inner := getattr(info, name, None), inspect.Type):
            yield from patterns_in(inner)
    for name in ("types", "item_types"):
        for inner in getattr(info, name, ()):
            yield from patterns_in(inner)


def fields() -> list[tuple[str, str]]:
    """Every (field, pattern) of every struct."""
    found = []
    for one in structs():
        info = inspect.type_info(one)
        assert isinstance(info, inspect.StructType)
        found += [(f"{one.__name__}.{f.name}", pattern) for f in info.fields for pattern in patterns_in(f.type)]
    return found


def test_every_pattern_of_every_field_lets_its_text_pass_and_nothing_behind_it() -> None:
    """The sample passes; with a line end, a space or another invisible sign behind or before it, it is refused, in every field."""
    found = fields()
    assert len(found) > 100
    for where, pattern in found:
        assert pattern in SAMPLES, f"{where} has a pattern without a sample: {pattern}"
        kind = Annotated[str, Meta(pattern=pattern)]
        sample = SAMPLES[pattern]
        assert msgspec.convert(sample, kind) == sample, where
        for padding in PADDING:
            for text in (sample + padding, padding + sample):
                with pytest.raises(msgspec.ValidationError):
                    msgspec.convert(text, kind)


@pytest.mark.parametrize(
    "change",
    [
        {"sensor": "a\n"},
        {"pedigree": {"nation": "JPN\n"}},
        {"pedigree": {"nation": "JPN", "sensors": ["a", "b\n"]}},
        {"label": {"originator": "JPN\n"}},
        {"label": {"policy": "TRILAT\n"}},
        {"label": {"rel_to": ["KOR\n"]}},
        {"label": {"rel_to": ["PUBLIC\n"]}},
        {"label": {"topics": ["air\n"]}},
        {"label": {"mode": {"kind": "exercise", "id": "t\n"}}},
    ],
)
def test_a_record_with_a_line_end_in_a_name_is_refused(change: dict[str, Any]) -> None:
    """A whole record whose nation, audience, topic, mode or sensor ends in a line end does not decode."""
    plain = msgspec.to_builtins(FIX)
    for name, value in change.items():
        plain[name] = {**plain[name], **value} if isinstance(value, dict) else value
    assert codec.decode(codec.encode(FIX)) == FIX
    with pytest.raises(msgspec.ValidationError):
        codec.decode(msgspec.msgpack.encode(plain))
