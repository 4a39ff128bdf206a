"""`trilat users`: the accounts of a node's page, from the machine it runs on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trilat.cli.frame import Group

if TYPE_CHECKING:
    from trilat.accounts.book import Book
    from trilat.accounts.kept import Account

CONFIG = click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
NAME = click.argument("name")
ROLE = click.Choice(["watch-officer", "release-officer", "exercise-director", "engineer", "auditor"])
EMERGENCY = click.option("--emergency", default="", metavar="REASON", help="Let one person do what takes two; shown as an alarm.")


@click.group(cls=Group)
def command() -> None:
    """Make, list, change and disable the accounts of a node's page.

    Once two officers (watch or release) exist, an officer's role given here waits until two officers have approved it at their
    pages. Run these as the user that runs the node; the node may be running.
    """


@command.command()
@CONFIG
@NAME
@click.option("--role", "roles", multiple=True, type=ROLE, help="May be given more than once.")
@click.option("--person", default="", help="Whose account it is. Two accounts of one person are one person.")
@click.option("--temporary", is_flag=True, help="Its owner must choose another password at the first login.")
@EMERGENCY
def add(config: Path, name: str, *, roles: tuple[str, ...], person: str, temporary: bool, emergency: str) -> None:
    """Make the account NAME of the node of CONFIG. The password is asked for twice, or read from standard input (one line)."""
    with _book(config) as book:
        made = book.add(_now(), name, person, _kept(name), _roles(roles), temporary=temporary, emergency=emergency)
        _tell(made, book)


@command.command(name="list")
@CONFIG
def list_(config: Path) -> None:
    """List the accounts of the node of CONFIG with their roles."""
    with _book(config) as book:
        held = book.accounts()
        for one in held:
            _tell(one, book)
        if not held:
            click.echo("No account yet. Make the first: trilat users add CONFIG NAME --role watch-officer")


@command.command()
@CONFIG
@NAME
@click.option("--temporary", is_flag=True, help="Its owner must choose another at the next login.")
@EMERGENCY
def password(config: Path, name: str, *, temporary: bool, emergency: str) -> None:
    """Set a new password for NAME and end its sessions. An officer's roles then wait for two officers again."""
    with _book(config) as book:
        _known(book, name)
        _tell(book.set_password(_now(), name, _kept(name), by_owner=False, temporary=temporary, emergency=emergency), book)


@command.command()
@CONFIG
@NAME
@click.option("--role", "roles", multiple=True, type=ROLE, help="All roles that NAME is to hold; none takes all away.")
@EMERGENCY
def role(config: Path, name: str, *, roles: tuple[str, ...], emergency: str) -> None:
    """Set the roles of NAME. What is taken away goes at once."""
    with _book(config) as book:
        _tell(book.set_roles(_now(), name, _roles(roles), emergency=emergency), book)


@command.command()
@CONFIG
@NAME
def disable(config: Path, name: str) -> None:
    """Disable NAME: its sessions end at once."""
    with _book(config) as book:
        _tell(book.set_disabled(_now(), name, disabled=True), book)


@command.command()
@CONFIG
@NAME
@EMERGENCY
def enable(config: Path, name: str, *, emergency: str) -> None:
    """Enable NAME again. An officer's roles may have to wait for two officers."""
    with _book(config) as book:
        _tell(book.set_disabled(_now(), name, disabled=False, emergency=emergency), book)


def _now() -> int:
    from trilat.node.clock import now_ns

    return now_ns()


def _book(config: Path) -> Book:
    from trilat.node import setup
    from trilat.node.config import load
    from trilat.node.people import open_book

    settings = load(config, os.environ)
    setup.make_directory(Path(settings.directory))
    return open_book(settings)


def _known(book: Book, name: str) -> None:
    from trilat.errors import AccountError

    if book.account(name) is None:
        raise AccountError("account-unknown", f"{name!r}.")


def _roles(roles: tuple[str, ...]) -> Any:
    return tuple(sorted(set(roles)))


def _kept(name: str) -> str:
    """Ask for a password twice at a terminal, or read one line; return its hash."""
    from trilat.accounts import passwords

    if sys.stdin.isatty():
        typed = str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    return passwords.Argon2().keep(passwords.check(typed, name), os.urandom(passwords.SALT_BYTES))


def _tell(one: Account, book: Book) -> None:
    notes = [", ".join(one.roles) or "no role"]
    if one.wanted:
        notes.append(f"waits for two officers: {', '.join(one.wanted)}")
    notes += ["password temporary"] * one.temporary + ["disabled"] * one.disabled
    click.echo(f"{one.user:<16} {one.person:<24} {'; '.join(notes)}")
    if one.wanted and not book.two_officers_left():
        click.echo(
            "  Fewer than two officers are left to approve it: docs/how-to/accounts-and-roles.md says what to do.", err=True
        )
