"""`trilat partner`: invite partners and accept their invites, with a fingerprint read aloud over the phone."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from trilat.cli.frame import Group
from trilat.cli.keys import DIRECTORY, ask_passphrase, when
from trilat.errors import ExchangeError

INVITE_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=Group)
def command() -> None:
    """Invite partners, accept their invites, show and revoke them."""


@command.command()
@click.argument("keys", type=DIRECTORY)
@click.argument("nation")
@click.option(
    "--address", "addresses", multiple=True, required=True, help="HOST:PORT of this node's server, as NATION reaches it."
)
@click.option("--out", type=INVITE_FILE, required=True, help="The invite to send to NATION.")
def invite(keys: Path, nation: str, addresses: tuple[str, ...], out: Path) -> None:
    """Write the invite of this node (key directory KEYS) for the partner NATION. It holds no secret."""
    import msgspec

    from trilat.identity import keyfiles
    from trilat.identity import keys as k
    from trilat.node.clock import now_ns

    try:
        raw = keyfiles.make_invite(keys, nation, addresses, now_ns(), ask_passphrase())
    except msgspec.ValidationError as error:
        raise click.BadParameter(f"{error}") from error
    out.write_text(k.armour(raw, f"Trilat invite for {nation}. Its fingerprint is told by voice, not in writing."))
    click.echo(f"Wrote {out}. Send it to {nation}, and read this aloud to them on the phone:\n")
    click.echo(f"{k.fingerprint(raw)}\n\n{k.spoken(k.fingerprint(raw))}")


@command.command()
@click.argument("keys", type=DIRECTORY)
@click.argument("file", type=INVITE_FILE)
@click.option("--fingerprint", help="What the partner read aloud. Not needed for a rotation by a pinned partner.")
def accept(keys: Path, file: Path, fingerprint: str | None) -> None:
    """Pin the partner whose invite FILE is, in the key directory KEYS. Do not copy the fingerprint out of the file."""
    from trilat.errors import ExchangeError
    from trilat.identity import keyfiles
    from trilat.identity import keys as k
    from trilat.node.clock import now_ns

    try:
        raw = k.unarmour(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ExchangeError("invite-damaged", f"{file}: {error}.") from error
    try:
        path, pin = keyfiles.accept_invite(keys, raw, fingerprint, now_ns())
    except ExchangeError as error:
        if error.name != "invite-fingerprint" or fingerprint is not None or not sys.stdin.isatty():
            raise
        said = click.prompt(f"Fingerprint that {k.open_invite(raw).nation} reads aloud")
        path, pin = keyfiles.accept_invite(keys, raw, said, now_ns())
    click.echo(f"{pin.nation} is pinned in {path} for {pin.use} use; it answers at {', '.join(pin.addresses)}.")
    click.echo(f'In the node\'s configuration:\n\n[[partner]]\nnation = "{pin.nation}"\nfile = "{path}"')


@command.command()
@click.argument("keys", type=DIRECTORY)
def show(keys: Path) -> None:
    """Show the partners pinned in the key directory KEYS."""
    from trilat.identity import keyfiles
    from trilat.node.clock import now_ns

    if not (keys / keyfiles.PARTNERS).is_dir():
        raise ExchangeError("keys-missing", f"{keys / keyfiles.PARTNERS}: no such folder.")
    found = sorted((keys / keyfiles.PARTNERS).glob("*.toml"))
    if not found:
        click.echo("no partner is pinned yet: `trilat partner accept` pins one", err=True)
    for path in found:
        pin = keyfiles.load_partner(path)
        state = f"revoked {when(pin.revoked_ns)}" if pin.revoked_ns else f"accepted {when(pin.accepted_ns)}"
        click.echo(f"{pin.nation}  {state}  {', '.join(pin.addresses)}  invite {pin.fingerprint}")
        for key in pin.signing:
            note = "valid now" if key.valid(now_ns()) and not pin.revoked_ns else "not valid now"
            click.echo(f"     signing key {key.id}  {note}")


@command.command()
@click.argument("keys", type=DIRECTORY)
@click.argument("nation")
def revoke(keys: Path, nation: str) -> None:
    """Cut the partner NATION off: a running node stops at once; only a new invite of theirs undoes it."""
    from trilat.identity import keyfiles
    from trilat.node.clock import now_ns

    pin = keyfiles.revoke_partner(keys / keyfiles.PARTNERS / f"{nation}.toml", now_ns())
    click.echo(f"{pin.nation} is revoked. The running node cuts the connections within seconds.")
