"""`trilat agreement`: policy keys, drafts, signatures, and what an agreement says and changes."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trilat.cli.frame import Group

if TYPE_CHECKING:
    from trilat.policy.agreement import Agreement, Document

FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)
SIGNATURES_SUFFIX = ".sig.json"  # beside the agreement: usa-jpn.toml, usa-jpn.sig.json


@click.group(cls=Group)
def command() -> None:
    """Write, sign, check, compare and explain agreements."""


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not be there yet, with its permissions from the first moment."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise click.BadParameter(f"{path} is there already; it is not overwritten") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", param_hint=option)
        found[name] = text
    return found


def _signatures_of(path: Path) -> Path:
    return path.with_suffix(SIGNATURES_SUFFIX)


def read_document(path: Path) -> Document:
    """Return an agreement file with the signatures that stand beside it; none there = no signatures."""
    from trilat.policy.agreement import Document

    beside = _signatures_of(path)
    return Document(path.name, path.read_bytes(), beside.read_bytes() if beside.exists() else b'{"signatures":[]}')


@command.command()
@click.argument("nation")
@click.option("--out", type=FILE, required=True, help="The private key file to write (mode 0600). Keep it off every node.")
def key(nation: str, out: Path) -> None:
    """Make a policy key for NATION and print its public half, which every node pins."""
    from trilat.marking.canonical import is_audience
    from trilat.policy import signing

    if not is_audience(nation) or nation == "PUBLIC":
        raise click.BadParameter(f"{nation!r} is not three upper-case letters", param_hint="NATION")
    made = signing.PolicyKey(nation=nation, seed=secrets.token_bytes(32))
    _write_new(out, signing.write_key(made), 0o600)
    click.echo(f'{nation} = "{made.public}"')


@command.command()
@click.argument("template", type=FILE)
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Fill a place, such as JPN.policy-key=ed25519:...")
@click.option("--out", type=FILE, required=True, help="The draft to write.")
def new(template: Path, values: tuple[str, ...], out: Path) -> None:
    """Fill a TEMPLATE (a file, or a sample: usa-jpn, usa-kor, warn-public, trilateral) into a draft that the parties can sign."""
    from trilat.policy import signing
    from trilat.policy.agreement import parse

    sample = Path(signing.__file__).with_name("agreements") / f"{template.name}.toml"
    if not template.exists() and not sample.exists():
        raise click.BadParameter(f"{template} is neither a file nor a sample", param_hint="TEMPLATE")
    source = template if template.exists() else sample
    body = signing.fill(source.read_bytes(), _pairs(values, "--set"))
    draft = parse(out.name, body)
    _write_new(out, body, 0o644)
    parties = ", ".join(party.nation for party in draft.party)
    click.echo(f"Wrote {out}: {draft.name}, to be signed by {parties}.\nSHA-256 {signing.document_hash(body)}")


@command.command()
@click.argument("file", type=EXISTING)
@click.option("--key", "key_file", type=EXISTING, required=True, help="The signer's private policy key.")
def sign(file: Path, key_file: Path) -> None:
    """Sign an agreement FILE byte for byte; the signature is added to those beside it (FILE.sig.json)."""
    from trilat.errors import PolicyError
    from trilat.policy import signing
    from trilat.policy.agreement import parse

    document, signer = read_document(file), signing.read_key(key_file.read_bytes())
    agreement = parse(file.name, document.body)
    keys = {party.nation: party.policy_key for party in agreement.party}
    if keys.get(signer.nation) != signer.public:
        raise PolicyError("policy-key-unknown", f"{file.name} does not name this key for {signer.nation}.")
    present = signing.read_signatures(document.signatures)
    if present:
        signing.verified_signers(file.name, document.body, document.signatures, keys)
    present[signer.nation] = signing.sign(document.body, signer)
    _signatures_of(file).write_bytes(signing.write_signatures(present))
    missing = sorted(set(keys) - set(present))
    click.echo(f"Signed by {', '.join(sorted(present))}. " + (f"Missing: {', '.join(missing)}." if missing else "Complete."))


@command.command()
@click.argument("files", type=EXISTING, nargs=-1, required=True)
@click.option("--pin", "pins", multiple=True, metavar="NATION=KEY", help="A public policy key you have from a safe channel.")
def check(files: tuple[Path, ...], pins: tuple[str, ...]) -> None:
    """Check agreements as a node would: signatures of all parties, shape, sense, contradictions."""
    from trilat.policy import signing
    from trilat.policy.agreement import contradictions, load, parse

    documents = [read_document(path) for path in files]
    pinned = _pairs(pins, "--pin")
    if not pinned:
        click.echo("No --pin given: the keys are taken from the files themselves, which proves nothing about who holds them.")
        for document in documents:
            pinned |= {party.nation: party.policy_key for party in parse(document.name, document.body).party}
    held = load(documents, pinned)
    for agreement in held.agreements:
        dates = f"{agreement.validity.not_before.isoformat()} to {agreement.validity.expires.isoformat()}"
        parties = ", ".join(party.nation for party in agreement.party)
        click.echo(f"{agreement.name}: signed by {parties}; {dates}; SHA-256 {held.seen[agreement.id].sha256}")
    for said in contradictions(held):
        click.echo(f"Contradiction: {said}")
    for document in documents:
        click.echo(f"Compare by telephone: {document.name} {signing.document_hash(document.body)[:16]}")


def _flat(value: Any, where: str = "") -> dict[str, str]:
    """Return every leaf of an agreement by its place, lists of tables by what names their entries, not by their order."""
    if isinstance(value, dict):
        return {place: leaf for name, part in value.items() for place, leaf in _flat(part, f"{where}.{name}".lstrip(".")).items()}
    if isinstance(value, (list, tuple)) and any(isinstance(one, dict) for one in value):
        naming = ("nation", "from", "to", "topics", "id", "kind", "field", "operation", "source", "recipient", "policy", "level")
        found: dict[str, str] = {}
        for one in value:
            name = " ".join(str(one[part]) for part in naming if one.get(part) is not None)
            found |= _flat(one, f"{where}[{name}]")
        return found
    return {where: ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)}


@command.command()
@click.argument("old", type=EXISTING)
@click.argument("new_file", type=EXISTING, metavar="NEW")
def diff(old: Path, new_file: Path) -> None:
    """Show what NEW changes in OLD, term by term, whatever the order and comments of the files. Exit 1 when they differ."""
    import msgspec

    from trilat.policy.agreement import parse

    before, after = (_flat(msgspec.to_builtins(parse(path.name, path.read_bytes()))) for path in (old, new_file))
    changed = sorted(place for place in {*before, *after} if before.get(place) != after.get(place))
    for place in changed:
        if place in before:
            click.echo(f"- {place} = {before[place]}")
        if place in after:
            click.echo(f"+ {place} = {after[place]}")
    click.echo(f"{len(changed)} terms differ.")
    if changed:
        raise click.exceptions.Exit(1)


@command.command()
@click.argument("file", type=EXISTING)
def explain(file: Path) -> None:
    """Say in words what an agreement lets go from whom to whom, and on which terms."""
    from trilat.policy.agreement import parse

    for line in _in_words(parse(file.name, file.read_bytes())):
        click.echo(_to_width(line))


def _to_width(line: str) -> str:
    """Return a line broken between words where a person reads it on a terminal, as it is where a program does."""
    if not sys.stdout.isatty():
        return line
    deeper = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(line, shutil.get_terminal_size().columns, subsequent_indent=deeper, break_on_hyphens=False)


def _in_words(agreement: Agreement) -> list[str]:
    from trilat.marking.display import level_name
    from trilat.policy.agreement import strictest_of

    said = [f"{agreement.name}: {agreement.title}", f"In mode {' or '.join(agreement.modes)}, levels of {agreement.policy}."]
    said.append(f"From {agreement.validity.not_before.isoformat()} until {agreement.validity.expires.isoformat()}.")
    said.append(f"To be used for {', '.join(agreement.purposes)} and nothing else.")
    for flow in agreement.flow:
        ceiling = agreement.ceiling_of(flow.to)
        told = f"{flow.origin} to {flow.to}: {', '.join(flow.topics)}; up to {level_name(ceiling or 0)}; as {flow.tier}"
        told += "".join(f", {one.id or one.kind} as {one.tier}" for one in flow.sensor)
        told += f"; through {flow.via} only" if flow.via else "; directly"
        told += "".join(f"; {one.operation} {one.field} {one.amount:g}" for one in strictest_of(flow))
        said.append(f"  {told}.")
    said += [f"  Caveats that may travel: {', '.join(agreement.caveats) or 'none'}."]
    said += [f"  Readers of {one.nation} belong to {', '.join(one.communities)}." for one in agreement.party if one.communities]
    said += [
        f"  Level {one.level} of {one.policy} is protected like {level_name(one.level_here)} of {one.policy_here}."
        for one in agreement.equivalence
    ]
    said += [
        f"  {one.source} consents that {one.recipient} has what others make of its data on {', '.join(one.topics)}."
        for one in agreement.consent
    ]
    if agreement.duty_to_warn is not None:
        duty = agreement.duty_to_warn
        said.append(f"  Standing duty to warn on {', '.join(duty.topics)}, as {duty.tier}, by a signed event that is logged.")
    if agreement.yields_to:
        said.append(f"  Where they cover the same flow and topic, {', '.join(agreement.yields_to)} governs instead.")
    return said


@command.command()
@click.option("--config", type=EXISTING, required=True, help="The node's configuration: nation, mode, store, policy keys.")
@click.option(
    "--with", "files", type=EXISTING, multiple=True, help="The agreements to judge by; the configured ones when left out."
)
@click.option("--suspend", "stopped", multiple=True, metavar="ID", help="Suppose that this agreement is suspended, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with every number.")
def impact(config: Path, files: tuple[Path, ...], stopped: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 - click's
    """List what was released and would not be released today, so that it can be recalled. Exit 1 when there is any.

    Decides every record in every outbox of the node's store anew; the node may be running. New agreements must be signed
    by all parties, as for a node. With --suspend it says what stopping an agreement means for what left already.
    """
    import msgspec

    from trilat.ledger import redecide
    from trilat.node import config as node_config
    from trilat.node import setup
    from trilat.node.clock import now_ns
    from trilat.policy.agreement import load
    from trilat.store.sqlite import open_reader

    settings = node_config.load(config, os.environ)
    settings = msgspec.structs.replace(settings, suspended=(*settings.suspended, *stopped))
    documents = [read_document(path) for path in files]
    held = load(documents, settings.policy_keys, None, settings.suspended) if files else setup.read_agreements(settings)
    database = open_reader(Path(settings.directory) / "store")
    try:
        found = redecide.redecide(
            redecide.sent(database),
            held,
            settings.nation,
            node_config.mode_of(settings),
            now_ns(),
            node_config.sensors_of(settings),
            redecide.recalled_in(database),
        )
    finally:
        database.close()
    for one in found.changed:
        if as_json:
            click.echo(msgspec.json.encode(one._asdict()))
        else:
            numbers = f"{one.sequences[0]} to {one.sequences[-1]}" if len(one.sequences) > 1 else str(one.sequences[0])
            where = f"{one.audience} {one.lane} {one.epoch}: {len(one.sequences)} of {one.record_type} ({numbers})"
            click.echo(f"{where}: {one.reason}, by {one.rule}")
    click.echo(f"{found.records_changed} of {found.records} released records would not be released today.")
    if found.changed:
        raise click.exceptions.Exit(1)
