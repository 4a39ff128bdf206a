"""`trilat release`: why a record may go to an audience, or may not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trilat.cli.frame import Group
from trilat.cli.ledger import Audience

if TYPE_CHECKING:
    from trilat.policy.audience import AudiencePolicy
    from trilat.records.label import Label

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True)


@click.group(cls=Group)
def command() -> None:
    """Explain what may be released to whom, and why."""


def _label_and_record(raw: bytes) -> tuple[Label, Any]:
    """Return the label of a record in MessagePack or JSON and the record, or a label alone in JSON and None."""
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
        return from_json(raw), None
    label = getattr(record, "label", None)
    if label is None:
        raise PolicyError("label-unreadable", f"A {type(record).__name__} carries no label.")
    return label, record


def _form_words(policy: AudiencePolicy, record: Any, now_ns: int) -> str:
    """Say in which form a permitted record would leave, or what keeps this form of it from leaving."""
    from trilat.errors import PolicyError
    from trilat.policy.release import FLASH, leaves_as_area

    if leaves_as_area(record, policy.record_decision(record, now_ns)):
        return "It would leave as trilat.area/1, when the minute ends."
    try:
        made = policy.release(record, "flash" if isinstance(record, FLASH) else "state", now_ns)
    except PolicyError as fault:
        return f"It does not leave all the same: {fault.name}. {fault.detail}"
    return "It does not leave now: it is delayed, or was deleted." if made is None else f"It would leave as {made.record_type}."


@command.command()
@click.argument("record", type=EXISTING)
@click.option("--to", "recipient", required=True, help="The audience: a nation's three letters, or PUBLIC.")
@click.option("--config", type=EXISTING, required=True, help="The node's configuration: nation, mode, agreements, policy keys.")
@click.option(
    "--at-ns", type=click.IntRange(0, 7_258_118_400_000_000_000), help="When, as UTC nanoseconds since 1970; now when left out."
)
def explain(record: Path, recipient: str, config: Path, at_ns: int | None) -> None:
    """Print the path of the decision on RECORD (MessagePack or JSON; a label alone will do; - is stdin), rule by rule."""
    from trilat.marking.display import in_words
    from trilat.node import config as node_config
    from trilat.node import setup
    from trilat.node.clock import now_ns
    from trilat.policy.decide import step_words, verdict_words

    raw = sys.stdin.buffer.read() if str(record) == "-" else record.read_bytes()
    label, made = _label_and_record(raw)
    pedigree, at = getattr(made, "pedigree", None), now_ns() if at_ns is None else at_ns
    settings = node_config.load(config, os.environ)
    policy = setup.policy_of(settings, setup.read_agreements(settings), recipient)
    path = policy.explain(label, at, () if pedigree is None else pedigree.sensors)
    click.echo(in_words(label))
    for step in path.steps:
        click.echo(step_words(step))
    click.echo(verdict_words(path.decision))
    if made is not None and path.decision.permit:
        click.echo(_form_words(policy, made, at))


@command.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--user", required=True, help="The account of an officer or auditor. Its password is asked for, or read from stdin."
)
@click.option("--to", "recipient", type=Audience(), help="Of one audience; of all when left out.")
@click.option("--last", default=20, show_default=True, type=click.IntRange(0, 10_000), help="How many to print one by one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def decisions(config: Path, user: str, recipient: str | None, last: int, *, as_json: bool) -> None:
    """Print the decisions of the running node of CONFIG since its start: the last one by one, all of them counted by rule.

    Ends with 1 when the two judges of the policy disagreed on a record, which was withheld.
    """
    import msgspec

    from trilat.cli.recall import at_node, password_of

    told = at_node(config, user, password_of(), f"/api/release/decisions?last={last}" + (f"&to={recipient}" if recipient else ""))
    for line in [msgspec.json.encode(told).decode()] if as_json else decided_lines(told):
        click.echo(line)
    if told["disagreements"]:
        click.echo(f"The two judges disagreed on {told['disagreements']} records; they were withheld.", err=True)
        raise click.exceptions.Exit(1)


def decided_lines(told: dict[str, Any]) -> list[str]:
    """Return the node's answer for people: the last decisions, newest first, and how often each rule decided."""
    from datetime import UTC, datetime

    said = []
    for one in told["last"]:
        when = datetime.fromtimestamp(one["t_ms"] / 1000, UTC).strftime("%H:%M:%S")
        done = f"as {one['tier']}" if one["permit"] else f"withheld: {one['reason']}"
        said.append(f"{when}  {one['audience']:<6} {done}, by {one['rule']}  label {one['label_sha256'][:12]}")
    for one in told["totals"]:
        verdict = "permit" if one["permit"] else "withhold"
        said.append(f"{one['decisions']:>9}  {one['audience']:<6} {verdict:<8} {one['rule']}  ({one['reason']})")
    return said
