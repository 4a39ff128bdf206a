"""The account book: who may read it, whose it is, and when an officer's role waits for two."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from trilat.accounts import passwords
from trilat.accounts.approvals import ApprovalDesk
from trilat.accounts.book import Book
from trilat.errors import AccountError
from trilat.records.approval import AccountRoles, Approved, Proposal, Session
from trilat.records.label import Mode

T0 = 1_795_000_000 * 1_000_000_000
MODE = Mode(kind="exercise", id="book")
KEPT = passwords.Argon2(drawn=True).keep("correct horse battery staple", bytes(16))


def book(directory: Path, mode: Mode = MODE, nation: str = "JPN") -> Book:
    """Open the book in a directory."""
    return Book(directory / "accounts.sqlite", nation, mode)


def two_officers(held: Book) -> None:
    """Make the first two officers, as one person at the machine may."""
    held.add(T0, "first", "First Person", KEPT, ("watch-officer",))
    held.add(T0, "second", "Second Person", KEPT, ("release-officer",))


def approved(user: str, person: str, version: int, roles: tuple[str, ...] = ("watch-officer",)) -> Approved:
    """Return what two officers decided about an account."""
    desk = ApprovalDesk("JPN", MODE)
    content = msgspec.convert({"user": user, "person": person, "roles": roles, "version": version}, AccountRoles)
    who = [Session(user=u, person=u, station=f"st-{u}", session=f"s-{u}", roles=("watch-officer",)) for u in ("first", "second")]
    made = desk.propose(T0, who[0], "account-roles", content)
    assert isinstance(made, Proposal)
    done = desk.approve(T0, who[1], made.id, made.content_sha256)
    assert isinstance(done, Approved)
    return done


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """A new book has mode 0600, with whatever umask; one that others may read is refused by name."""
    before = os.umask(0)
    try:
        book(tmp_path).close()
    finally:
        os.umask(before)
    path = tmp_path / "accounts.sqlite"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(AccountError, match="TRI-1007"):
        book(tmp_path)


@pytest.mark.parametrize(("nation", "mode"), [("KOR", MODE), ("JPN", Mode(kind="live")), ("JPN", Mode(kind="exercise", id="b"))])
def test_a_book_opens_no_node_of_another_nation_or_mode(tmp_path: Path, nation: str, mode: Mode) -> None:
    """A book copied from an exercise to a live node, to another exercise or another nation is refused."""
    book(tmp_path).close()
    with pytest.raises(AccountError, match="TRI-1008"):
        book(tmp_path, mode, nation)


def test_what_is_no_book_is_refused(tmp_path: Path) -> None:
    """A file of something else is an error with a code, not a traceback."""
    path = tmp_path / "accounts.sqlite"
    path.write_bytes(b"not a database, by far" * 100)
    path.chmod(0o600)
    with pytest.raises(AccountError, match="TRI-1006"):
        book(tmp_path)


def test_a_third_officer_waits_for_two(tmp_path: Path) -> None:
    """The first two officers are made by one person; from then on an officer's role waits, in every way there is to give one."""
    with book(tmp_path) as held:
        two_officers(held)
        third = held.add(T0, "third", "Third Person", KEPT, ("watch-officer", "auditor"))
        assert (third.roles, third.wanted) == (("auditor",), ("watch-officer",))
        raised = held.set_roles(T0, "first", ("watch-officer", "release-officer"))
        assert (raised.roles, raised.wanted) == (("watch-officer",), ("release-officer",))
        held.set_disabled(T0, "second", disabled=True)
        assert held.set_disabled(T0, "second", disabled=False).wanted == ("release-officer",)
        new = held.set_password(T0, "first", KEPT, by_owner=False)
        assert (new.roles, new.wanted) == ((), ("release-officer", "watch-officer"))


def test_getting_rid_of_officers_brings_the_one_person_way_not_back(tmp_path: Path) -> None:
    """Once two have existed it takes two for ever, with one left or none; an emergency says so aloud in the log."""
    with book(tmp_path) as held:
        two_officers(held)
        for user in ("first", "second"):
            held.set_disabled(T0, user, disabled=True)
        assert held.add(T0, "third", "Third", KEPT, ("watch-officer",)).roles == ()
        assert held.set_roles(T0, "third", ("watch-officer",), emergency="both are on leave").roles == ("watch-officer",)
        assert [one.severity for one in held.changes()][-1] == "alarm"
        assert "EMERGENCY, by one person: both are on leave" in held.changes()[-1].text


def test_two_accounts_of_one_person_are_not_two_officers(tmp_path: Path) -> None:
    """The rule begins with two people: a second account of the first officer does not begin it."""
    with book(tmp_path) as held:
        held.add(T0, "first", "Same Person", KEPT, ("watch-officer",))
        held.add(T0, "other", "same  person", KEPT, ("release-officer",))
        assert not held.two_person()
        held.add(T0, "second", "Another", KEPT, ("watch-officer",))
        assert held.two_person()


def test_what_two_decided_is_done_once_and_only_to_the_account_they_saw(tmp_path: Path) -> None:
    """Approved roles are given once; an account that changed since, or another of that name, gets nothing; each is noted."""
    with book(tmp_path) as held:
        two_officers(held)
        third = held.add(T0, "third", "Third", KEPT, ("watch-officer",))
        done = approved("third", "Third", third.version)
        assert "decided by first and second" in held.apply(T0, done)
        assert held.apply(T0, done) == ""
        now = held.account("third")
        assert now is not None
        assert (now.roles, now.wanted) == (("watch-officer",), ())
        held.set_password(T0, "third", KEPT, by_owner=False)
        for late in (approved("third", "Third", now.version), approved("third", "Not Third", now.version + 1)):
            assert held.apply(T0, late).startswith("The account is not as it was")
        changed = held.account("third")
        assert changed is not None
        assert changed.roles == ()


def test_a_change_ends_sessions(tmp_path: Path) -> None:
    """A new password and disabling end an account's sessions; one of another goes on."""
    with book(tmp_path) as held:
        two_officers(held)
        for user in ("first", "second"):
            for n in range(2):
                held.open_session(T0, user, "st", "127.0.0.1", user.encode() + bytes([n]), T0 + 10)
        held.set_password(T0, "first", KEPT, by_owner=True)
        assert [one.user for one in held.sessions(T0)] == ["second", "second"]
        held.set_disabled(T0, "second", disabled=True)
        assert held.sessions(T0) == []


def test_sessions_of_one_account_are_bounded(tmp_path: Path) -> None:
    """A ninth login ends the session that was used longest ago."""
    with book(tmp_path) as held:
        two_officers(held)
        opened = [held.open_session(T0 + n, "first", "st", "a", bytes([n]), T0 + 1_000) for n in range(9)]
        assert {one.id for one in held.sessions(T0)} == {one.id for one in opened[1:]}


@pytest.mark.parametrize("name", ["Tanaka", "a", "täna", "a b", "../x", "a" * 33, "", "tanaka\n", "тanaka"])
def test_names_have_no_twins(tmp_path: Path, name: str) -> None:
    """Capitals, spaces, look-alikes of other alphabets and paths are no account names."""
    with book(tmp_path) as held, pytest.raises(AccountError, match="TRI-1003"):
        held.add(T0, name, "Person", KEPT, ())


@pytest.mark.parametrize(
    "password",
    ["", "short", "passwordpassword", "Password1234", "aaaaaaaaaaaaaa", "123456789012", "qwertyuiop12", "tanaka.tanaka",
     "trilat-2026!!", "abababababab", "letmeinletmein", "x" * 257],
)  # fmt: skip
def test_trivial_passwords_are_refused(password: str) -> None:
    """What is short, a run, one word of every list, or the user's name is refused with the reason."""
    with pytest.raises(AccountError, match="TRI-1005"):
        passwords.check(password, "tanaka")


@pytest.mark.parametrize(
    "password", ["correct horse battery staple", "kq7-vvx2-11pd", "비밀번호를 잘 고르십시오", "合言葉は海と山の間にある"]
)
def test_good_passwords_are_taken(password: str) -> None:
    """Several words, drawn characters and other scripts are taken, and hold in every Unicode form of the same text."""
    assert passwords.check(password, "tanaka") == password
    hasher = passwords.Argon2(drawn=True)
    kept = hasher.keep(password, bytes(16))
    assert hasher.holds(passwords.normal(password), kept)
    assert not hasher.holds(password + " ", kept)
    assert not hasher.holds(password, None)


def test_the_book_says_who_may_still_decide(tmp_path: Path) -> None:
    """An officer whose role was taken, whose account is disabled, gone, or another person's by now, decides no longer."""
    who = Session(user="second", person="Second Person", station="st", session="s", roles=("release-officer",))
    release = frozenset({"release-officer"})
    with book(tmp_path) as held:
        two_officers(held)
        assert held.holds(who, release)
        assert not held.holds(who, frozenset({"watch-officer"}))
        assert not held.holds(msgspec.structs.replace(who, person="Somebody"), release)
        assert not held.holds(msgspec.structs.replace(who, user="nobody"), release)
        held.set_roles(T0, "second", ("auditor",))
        assert not held.holds(who, release)
        held.set_roles(T0, "second", ("release-officer",), emergency="a test")
        held.set_disabled(T0, "second", disabled=True)
        assert not held.holds(who, release)


def test_what_was_dropped_stays_dropped(tmp_path: Path) -> None:
    """What is not to be acted upon is remembered and said as an alarm, once; an account is not changed by it later."""
    with book(tmp_path) as held:
        two_officers(held)
        held.add(T0, "kim", "Kim", KEPT, ("auditor",))
        wanted = approved("kim", "Kim", 1)
        assert not held.done(wanted.proposal.id)
        held.drop(T0, wanted.proposal.id, "P is not acted upon")
    with book(tmp_path) as held:
        assert held.done(wanted.proposal.id)
        assert "" == held.apply(T0, wanted)
        assert ("auditor",) == held.account("kim").roles  # type: ignore[union-attr]
        assert [("alarm", "P is not acted upon")] == [(one.severity, one.text) for one in held.changes()][-1:]
