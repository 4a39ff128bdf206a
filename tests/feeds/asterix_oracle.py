"""libasterix (MIT) as the judge: reads records into the names our columns have, and makes random ones. Tests and benchmarks only."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from asterix import base  # noqa: TID251 - this is the test side, where the oracle lives

Flat = dict[str, Any]


@cache
def known() -> Any:
    """Return the oracle's classes by category; six megabytes of generated module, loaded by whoever first asks."""
    from asterix import generated  # noqa: TID251 - see above

    return generated.manifest["CATS"]


def specification(category: int, edition: str) -> Any:
    """Return the oracle's class of a category and edition."""
    return next(c for c in known()[category] if "{}.{}".format(*c.cv_edition) == edition)


def oracle_editions(category: int) -> list[str]:
    """Return the editions that the oracle knows."""
    return ["{}.{}".format(*c.cv_edition) for c in known()[category]]


def blocks(data: bytes) -> list[Any]:
    """Return the raw data blocks of a datagram."""
    found = base.RawDatablock.parse(base.Bits.from_bytes(data))
    assert not isinstance(found, ValueError), found
    return found


def parse_block(block: Any, edition: str) -> list[Any] | None:
    """Return the records of a block, or None when the oracle refuses it."""
    found = specification(block.get_category(), edition).cv_uap.parse(block.get_raw_records())
    return None if isinstance(found, ValueError) else found


def flatten(record: Any) -> Flat:
    """Return name -> (raw, value) of every subfield; a list of such for a repetitive item; bytes for an explicit one."""
    flat: Flat = {}
    for name, item in record.items_regular.items():
        flat.update(_rule(name, item.arg))
    return flat


def _rule(name: str, rule: Any) -> Flat:
    return dict(_variation(name, rule.arg))


def _variation(name: str, found: Any) -> Iterator[tuple[str, Any]]:
    """Yield what one variation holds; a reading that depends on a neighbour (IM) is settled by `_group`."""
    if isinstance(found, base.Element):
        yield name, (found.as_uint(), _value(found.rule))
    elif isinstance(found, base.Group):
        yield from _group(name, found.arg)
    elif isinstance(found, base.Extended):
        for part in found.arg:
            yield from _group(name, [item for item in part if item is not None])
    elif isinstance(found, base.Repetitive):
        yield name, [dict(_variation(name, element)) for element in found.arg]
    elif isinstance(found, base.Explicit):
        yield name, found.get_bytes()
    else:
        for sub, item in found.arg.items():
            yield from _rule(f"{name}/{sub}", item.arg).items()


def _group(name: str, items: list[Any]) -> Iterator[tuple[str, Any]]:
    raws: dict[str, int] = {}
    for item in items:
        if isinstance(item, base.Spare):
            continue
        label = item.arg.cv_name
        rule = item.arg.arg
        inner = rule.arg
        if isinstance(inner, base.Element):
            raws[label] = inner.as_uint()
            content = inner.rule
            if isinstance(content, base.RuleContentDependent):
                selector = content.cv_depends_on[0][-1]
                yield f"{name}/{label}", (inner.as_uint(), _content(content._get_content([raws[selector]])))
            else:
                yield f"{name}/{label}", (inner.as_uint(), _value(content))
        else:
            yield from _variation(f"{name}/{label}", inner)


def _value(rule: Any) -> float | str | int:
    return _content(rule._get_content())


def _content(content: Any) -> float | str | int:
    if isinstance(content, base.ContentQuantity):
        return content._as_quantity()
    if isinstance(content, base.ContentString):
        return content.as_string()
    return content.as_integer() if isinstance(content, base.ContentInteger) else content.as_uint()


def random_record(category: int, edition: str, rng: np.random.Generator, share: float = 0.5) -> Any:
    """Return a record in which each item is there with a probability, all its bits random."""
    uap = specification(category, edition).cv_uap
    arguments: dict[str, Any] = {}
    while not arguments:
        for item in uap.cv_record.cv_items_list:
            if issubclass(item, base.UapItem) and rng.random() < share:
                arguments[item.cv_non_spare.cv_name] = _random(item.cv_non_spare.cv_rule.cv_variation, rng)
    return uap.cv_record.create(arguments)


def _random(kind: Any, rng: np.random.Generator) -> Any:
    if issubclass(kind, base.Element):
        return _random_bits(kind.cv_bit_size, rng)
    if issubclass(kind, base.Group):
        return _random_bits(kind.cv_bit_size, rng)
    if issubclass(kind, base.Extended):
        parts = kind.cv_items_list[: rng.integers(1, len(kind.cv_items_list) + 1)]
        return [_random_bits(sum(item[1] for item in part if item is not None), rng) for part in parts]
    if issubclass(kind, base.Repetitive):
        fewest = 1 if kind.cv_rep_bytes is None else 0
        return [_random(kind.cv_variation, rng) for _ in range(rng.integers(fewest, 4))]
    if issubclass(kind, base.Explicit):
        return rng.bytes(int(rng.integers(0, 12)))
    subitems = [sub for sub in kind.cv_items_list if sub is not None]
    return {sub.cv_name: _random(sub.cv_rule.cv_variation, rng) for sub in subitems if rng.random() < 0.5}


def _random_bits(size: int, rng: np.random.Generator) -> int:
    return int.from_bytes(rng.bytes(-(-size // 8)), "big") >> (-size % 8)
