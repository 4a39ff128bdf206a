"""`trilat label`: a label in words, as JSON or as ADatP-4774 XML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trilat.cli.frame import Group

if TYPE_CHECKING:
    from trilat.marking.catalogue import Catalogue

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True)
FORMS = ("words", "banner", "json", "xml")


@click.group(cls=Group)
def command() -> None:
    """Show a label in words, as JSON or as ADatP-4774 XML; show the marking of a foreign one."""


def _read(path: Path) -> bytes:
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()


def _catalogue(path: Path | None) -> Catalogue:
    from trilat.marking import catalogue

    return catalogue.shipped() if path is None else catalogue.read(path.read_bytes())


CATALOGUE = click.option("--catalogue", type=EXISTING, help="A marking catalogue in TOML; the shipped one when left out.")
LANGUAGE = click.option("--language", default="en", show_default=True, help="The language of the marking: en, ja, ko.")


@command.command()
@click.argument("label", type=EXISTING)
@click.option("--as", "form", type=click.Choice(FORMS), default="words", show_default=True, help="What to print.")
@click.option("--alternative", is_flag=True, help="As XML: an alternative label, one that says another label in its policy.")
@CATALOGUE
@LANGUAGE
def show(label: Path, form: str, alternative: bool, catalogue: Path | None, language: str) -> None:  # noqa: FBT001 - click's
    """Print LABEL (JSON or ADatP-4774 XML; - is stdin) in another form; refuses what is not canonical or not known."""
    from trilat.marking import display, label_xml
    from trilat.policy.labels import from_json, to_json

    raw, known = _read(label), _catalogue(catalogue)
    made = from_json(raw) if raw.lstrip()[:1] == b"{" else label_xml.from_xml(raw, known)
    if form == "words":
        click.echo(display.in_words(made))
    elif form == "banner":
        click.echo(display.banner(made, language, known))
    else:
        click.echo(to_json(made) if form == "json" else label_xml.to_xml(made, known, alternative=alternative).rstrip())


@command.command()
@click.argument("label", type=EXISTING)
@CATALOGUE
@LANGUAGE
def mark(label: Path, catalogue: Path | None, language: str) -> None:
    """Print the marking of an ADatP-4774 LABEL of any policy that the catalogue has words for."""
    from trilat.marking import display, xml4774

    click.echo(display.marking(xml4774.parse(_read(label)), _catalogue(catalogue), language))
