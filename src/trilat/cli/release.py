"""`trilat release`: why a record may go to an audience, or may not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trilat.records.label import Label

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True)


@click.group()
def command() -> None:
    """Explain what may be released to whom, and why."""


def _label_and_sensors(raw: bytes) -> tuple[Label, tuple[str, ...]]:
    """Return the label and the sensors of a record in MessagePack or JSON, or of a label alone in JSON."""
    import msgspec

    from trilat.errors import PolicyError
    from trilat.policy.labels import from_json
    from trilat.records import codec

    record: Any
    try:
        record = msgspec.json.decode(raw, type=codec.Record) if raw.lstrip()[:1] == b"{" else codec.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        if b'"type"' in raw or raw.lstrip()[:1] != b"{":
            raise PolicyError("label-unreadable", f"The record: {fault}"[:300]) from fault
        return from_json(raw), ()
    label = getattr(record, "label", None)
    if label is None:
        raise PolicyError("label-unreadable", f"A {type(record).__name__} carries no label.")
    pedigree = getattr(record, "pedigree", None)
    return label, () if pedigree is None else pedigree.sensors


@command.command()
@click.argument("record", type=EXISTING)
@click.option("--to", "recipient", required=True, help="The audience: a nation's three letters, or PUBLIC.")
@click.option("--config", type=EXISTING, required=True, help="The node's configuration: nation, mode, agreements, policy keys.")
@click.option("--at-ns", type=int, help="When, as UTC nanoseconds since 1970; now when left out.")
def explain(record: Path, recipient: str, config: Path, at_ns: int | None) -> None:
    """Print the path of the decision on RECORD (MessagePack or JSON; a label alone will do; - is stdin), rule by rule."""
    from trilat.marking.display import in_words
    from trilat.node import config as node_config
    from trilat.node import setup
    from trilat.node.clock import now_ns
    from trilat.policy.audience import AudiencePolicy
    from trilat.policy.routes import hubs_to, routes_of

    raw = sys.stdin.buffer.read() if str(record) == "-" else record.read_bytes()
    label, sensors = _label_and_sensors(raw)
    settings = node_config.load(config, os.environ)
    agreements = setup.read_agreements(settings)
    mode = node_config.mode_of(settings)
    policy = AudiencePolicy(
        recipient,
        agreements,
        mode,
        settings.nation,
        sensors=node_config.sensors_of(settings),
        hubs=hubs_to(routes_of(agreements, mode), settings.nation, recipient, (one.nation for one in settings.partner)),
    )
    path = policy.explain(label, now_ns() if at_ns is None else at_ns, sensors)
    click.echo(in_words(label))
    for step in path.steps:
        reason = f" [{step.reason}]" if step.outcome == "fails" else ""
        click.echo(f"{step.outcome:>7}  {step.rule}: {step.says}{reason}")
    made = path.decision
    if made.permit:
        done = ", ".join(f"{one.operation} {one.field} {one.amount:g}" for one in made.operations) or "nothing"
        way = f" through {made.via}" if made.via else ""
        click.echo(f"PERMITTED to {recipient}{way} as {made.tier} under {', '.join(made.agreements)}; done to it: {done}.")
    else:
        click.echo(f"WITHHELD from {recipient}: {made.reason}, by rule {made.rule}.")
