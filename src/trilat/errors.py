"""The errors of Trilat: a small tree, each with a code of `errors.toml`, the offending values, and what to do next.

TrilatError
├── ConfigError     a setting or file of the operator's is wrong
├── FeedError       a recording or feed cannot be opened at all (bad records are counted, not raised)
├── PolicyError     an agreement, label or decision is refused
├── ExchangeError   keys, links, envelopes
├── StoreError      the journal or another store
├── AccountError    accounts, passwords, what takes two people
└── ExerciseError   scenario, replay, score
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path


@cache
def codes() -> dict[str, dict[str, str]]:
    """Return every code of `errors.toml` with its name, kind, sentence and remedy."""
    return tomllib.loads(Path(__file__).with_name("errors.toml").read_text("utf-8"))


@cache
def code_of(name: str) -> str:
    """Return the code ("TRI-0003") of an error's name; raises KeyError for a name that is not in the file."""
    return next(code for code, entry in codes().items() if entry["name"] == name)


def sentence(name: str) -> str:
    """Return what an error's name says to a person, with what to do: its sentence and remedy."""
    entry = codes()[code_of(name)]
    return f"{entry['says']} {entry['remedy']}"


class TrilatError(Exception):
    """Base of every error we raise on purpose: `name` stands in `errors.toml`, `detail` holds the offending values."""

    def __init__(self, name: str, detail: str = "") -> None:
        self.name = name
        self.code = code_of(name)
        self.detail = detail
        entry = codes()[self.code]
        says = entry["says"] if not detail else f"{entry['says']} {detail}"
        super().__init__(f"{self.code} {says}\n  What to do: {entry['remedy']}")


class ConfigError(TrilatError):
    """A setting or file of the operator's is wrong."""


class FeedError(TrilatError):
    """A recording or feed cannot be opened at all."""


class PolicyError(TrilatError):
    """An agreement, label or decision is refused."""


class ExchangeError(TrilatError):
    """Keys, links, envelopes."""


class StoreError(TrilatError):
    """The journal or another store. stream: whose rows could not be read, when they are of one stream alone."""

    stream: tuple[str, str, str] | None = None


class AccountError(TrilatError):
    """Accounts, passwords, what takes two people."""


class ExerciseError(TrilatError):
    """Scenario, replay, score."""
