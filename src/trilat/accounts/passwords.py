"""Passwords: which are refused, and how the others are kept (argon2id, RFC 9106 section 4, second recommended choice).

An unknown user's password is verified against a stand-in of the same cost, so that the time of an answer tells nothing.
"""

from __future__ import annotations

import unicodedata
from typing import Protocol

from argon2 import Parameters, PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION
from argon2.profiles import RFC_9106_LOW_MEMORY

from trilat.errors import AccountError

CHARS_MIN = 12
CHARS_MAX = 256
SALT_BYTES = 16
DISTINCT_MIN = 5
# Roots of the passwords that every list of the commonest begins with, and this product's own words.
TRIVIAL = (
    "password",
    "passw0rd",
    "qwerty",
    "letmein",
    "welcome",
    "iloveyou",
    "admin",
    "changeme",
    "default",
    "trilat",
    "exercise",
)
# Nobody's: made with the same parameters; its password was thrown away.
STAND_IN_SALT = b"trilat stand-in."


class Hasher(Protocol):
    """What keeps and verifies passwords."""

    def keep(self, password: str, salt: bytes) -> str:
        """Return what is stored for a password."""
        ...

    def holds(self, password: str, kept: str | None, stand_in: str | None = None) -> bool:
        """Tell whether a password is the one that was kept; when there is none, do the same work and say no."""
        ...


class Argon2:
    """argon2id with the second parameter set of RFC 9106 (64 MiB, 3 passes, 4 lanes).

    drawn: for passwords that no person chose (80 random bits): 19 MiB, 2 passes, 1 lane, so that an exercise starts soon.
    """

    def __init__(self, *, drawn: bool = False) -> None:
        small = Parameters(Type.ID, ARGON2_VERSION, 16, 32, 2, 19_456, 1)
        self._argon2 = PasswordHasher.from_parameters(small if drawn else RFC_9106_LOW_MEMORY)
        self._stand_in: str | None = None
        self.verified = 0

    def keep(self, password: str, salt: bytes) -> str:
        """Return the encoded hash of a password; `salt` is 16 bytes from the system's randomness."""
        return self._argon2.hash(normal(password), salt=salt)

    def holds(self, password: str, kept: str | None, stand_in: str | None = None) -> bool:
        """Tell whether a password is the kept one; for None it verifies a stand-in (another account's, if given), and says no."""
        if kept is None and stand_in is None:  # a book without any account
            stand_in = self._stand_in = self._stand_in or self._argon2.hash("nobody", salt=STAND_IN_SALT)
        self.verified += 1
        try:
            good = self._argon2.verify(kept or stand_in or "", normal(password))
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None and bool(good)


def normal(password: str) -> str:
    """Return a password in one Unicode form (NFKC), so that keyboards of different systems give the same."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, user: str) -> str:
    """Return the password when it is one to keep; raises AccountError (password-weak) with what is wrong with it."""
    text = normal(password)
    plain = "".join(c for c in text.casefold() if c.isalnum())
    if not CHARS_MIN <= len(text) <= CHARS_MAX:
        raise AccountError("password-weak", f"It must have {CHARS_MIN} to {CHARS_MAX} characters.")
    if len(set(text.casefold())) < DISTINCT_MIN:
        raise AccountError("password-weak", f"It must have at least {DISTINCT_MIN} different characters.")
    if user.casefold() in plain and len(plain.replace(user.casefold(), "")) < CHARS_MIN // 2:
        raise AccountError("password-weak", "It is little more than the user's name.")
    for word in TRIVIAL:
        if len(plain.replace(word, "").strip("0123456789")) < DISTINCT_MIN and word in plain:
            raise AccountError("password-weak", "It is one of the first that anybody tries.")
    if _is_run(plain):
        raise AccountError("password-weak", "It is a plain run of characters.")
    return password


def _is_run(plain: str) -> bool:
    """Tell whether nearly every character is the next of the one before (1234..., abcd...), up or down, or a row of keys."""
    rows = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz")
    pairs = {row[i : i + 2] for row in (*rows, *(r[::-1] for r in rows)) for i in range(len(row) - 1)}
    steps = [plain[i : i + 2] in pairs for i in range(len(plain) - 1)]
    return len(steps) > 0 and sum(steps) >= 0.75 * len(steps)
