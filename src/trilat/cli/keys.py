"""`trilat keys`: make, show, rotate and revoke the keys of a nation's node."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from trilat.cli.frame import Group

if TYPE_CHECKING:
    from trilat.identity.keyfiles import NodeKeys
    from trilat.identity.keystore import Passphrase

HOUR_NS = 3_600 * 1_000_000_000
TAKEN_OVER = "A running node takes the new keys over by itself."
DIRECTORY = click.Path(path_type=Path, file_okay=False)


def ask_passphrase() -> Passphrase:
    """Return where the passphrase comes from: TRILAT_PASSPHRASE_FILE, TRILAT_PASSPHRASE, or a question at a terminal."""
    from trilat.identity.keystore import passphrase_from

    def prompt() -> str:
        return str(click.prompt("Passphrase of the keys", hide_input=True, err=True))

    return passphrase_from(os.environ, prompt if sys.stdin.isatty() else None)


def when(t_ns: int | None) -> str:
    """Return a time for people."""
    return "-" if t_ns is None else f"{datetime.fromtimestamp(t_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"


@click.group(cls=Group)
def command() -> None:
    """Make, show, rotate and revoke the keys of this node."""


@command.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--nation", required=True, help="Three letters (ISO 3166-1 alpha-3).")
@click.option("--use", type=click.Choice(["live", "exercise"]), required=True, help="Exercise keys serve replays too.")
@click.option("--sealed", is_flag=True, help="Encrypt the private keys with a passphrase.")
def new(directory: Path, nation: str, use: str, *, sealed: bool) -> None:
    """Make the keys of a nation's node in DIRECTORY."""
    from trilat.errors import ExchangeError
    from trilat.identity import keyfiles
    from trilat.identity.keystore import Seal
    from trilat.node.clock import now_ns

    if not re.fullmatch("[A-Z]{3}", nation):
        raise click.BadParameter(f"{nation!r} is not three capital letters", param_hint="--nation")
    secret = None
    if sealed:
        terminal = sys.stdin.isatty() and not {"TRILAT_PASSPHRASE", "TRILAT_PASSPHRASE_FILE"} & set(os.environ)
        typed = click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True) if terminal else None
        secret = typed.encode() if typed else ask_passphrase()()
        if not secret:
            raise ExchangeError("passphrase-missing", "It was asked for by --sealed.")
    _show(
        keyfiles.create(directory, nation, cast("Literal['live', 'exercise']", use), now_ns(), Seal(secret) if secret else None)
    )
    click.echo("Keep ca.key elsewhere if you can: the node runs without it; invites and new certificates need it.")


@command.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--for-agreement", is_flag=True, help="Print what an agreement names of them, for `trilat agreement new --set`.")
def show(directory: Path, *, for_agreement: bool) -> None:
    """Show whose keys DIRECTORY holds, until when they are valid, and their fingerprints."""
    from trilat.identity import keyfiles
    from trilat.node.clock import now_ns

    held = keyfiles.load(directory, now_ns(), None, ask_passphrase())
    if not for_agreement:
        _show(held)
        return
    for name, value in held.identity.in_agreements(now_ns()).items():
        click.echo(f"{name}={value}")


@command.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--signing", "what", flag_value="signing", default=True, help="A new signing key (the default).")
@click.option("--certificates", "what", flag_value="certificates", help="New TLS keys and certificates.")
@click.option("--nats", "what", flag_value="nats", help="New NKeys for calling partners.")
@click.option("--starts-in-hours", default=24.0, show_default=True, help="When the new signing key begins to sign.")
@click.option("--overlap-hours", default=168.0, show_default=True, help="How long the old ones are believed after that.")
def rotate(directory: Path, what: str, starts_in_hours: float, overlap_hours: float) -> None:
    """Renew keys without losing the partners. Signing keys and NKeys: send every partner a new invite before they begin."""
    from trilat.identity import keyfiles
    from trilat.node.clock import now_ns

    now, ask = now_ns(), ask_passphrase()
    if what == "signing":
        held = keyfiles.rotate_signing(directory, now, now + int(starts_in_hours * HOUR_NS), int(overlap_hours * HOUR_NS), ask)
    elif what == "certificates":
        held = keyfiles.rotate_certificates(directory, now, ask)
    else:
        held = keyfiles.rotate_nats(directory, now, ask)
    _show(held)
    if what != "certificates":
        click.echo("Now send every partner a new invite (`trilat partner invite`); they need no phone call for it.")
    click.echo(TAKEN_OVER)


@command.command()
@click.argument("directory", type=DIRECTORY)
@click.argument("key_id")
def revoke(directory: Path, key_id: str) -> None:
    """End the signing key KEY_ID at once (it was lost or seen). A new one is made when no other is valid."""
    from trilat.identity import keyfiles
    from trilat.node.clock import now_ns

    _show(keyfiles.revoke_signing(directory, key_id, now_ns(), ask_passphrase()))
    click.echo("Partners believe the old key until they accept a new invite: send it now, and call them.")
    click.echo(TAKEN_OVER)


@command.command()
@click.argument("directory", type=DIRECTORY)
@click.argument("out", type=DIRECTORY)
@click.option("--mode", required=True, help='As in the configuration: "live", "exercise:ID" or "replay:ID".')
def cluster(directory: Path, out: Path, mode: str) -> None:
    """Write to OUT what the operator of an existing NATS cluster needs: accounts, certificate, key and client roots."""
    import msgspec

    from trilat.identity import keyfiles
    from trilat.node.clock import now_ns
    from trilat.records.label import Mode
    from trilat.transport.server import cluster_files

    kind, _, name = mode.partition(":")
    try:
        wanted = msgspec.convert({"kind": kind, "id": name}, Mode)
    except msgspec.ValidationError as error:
        raise click.BadParameter(f"{error}", param_hint="--mode") from error
    held = keyfiles.load(directory, now_ns(), wanted, ask_passphrase())
    pins = [keyfiles.load_partner(path) for path in sorted((directory / keyfiles.PARTNERS).glob("*.toml"))]
    cluster_files(held, wanted, pins, out)
    click.echo(f"Wrote accounts.conf, roots.crt, server.crt and server.key to {out}. Carry server.key safely.")


def _show(held: NodeKeys) -> None:
    from trilat.identity import keys
    from trilat.identity.keyfiles import check_certificates
    from trilat.node.clock import now_ns

    now, identity = now_ns(), held.identity
    click.echo(f"{identity.nation}, for {identity.use} use, made {when(identity.created_ns)}")
    click.echo(f"root         {keys.fingerprint(identity.ca_certificate.encode())}")
    click.echo(f"certificates valid for {check_certificates(held, now):.0f} days more")
    for key in identity.signing:
        state = "revoked " + when(key.revoked_ns) if key.revoked_ns else f"{when(key.not_before_ns)} to {when(key.not_after_ns)}"
        click.echo(f"signing key  {key.id}  {state}{'  valid now' if key.valid(now) else ''}")
