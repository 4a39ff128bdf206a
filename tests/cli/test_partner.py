"""`trilat keys` and `trilat partner` as people use them: two nations exchange invites and read fingerprints aloud."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trilat.cli import main


def trilat(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    """Run the command line in this process, without a terminal."""
    return CliRunner().invoke(main, [str(each) for each in arguments], env=env)


def make(directory: Path, nation: str) -> Path:
    """Make a nation's exercise keys."""
    result = trilat("keys", "new", directory / nation, "--nation", nation, "--use", "exercise")
    assert result.exit_code == 0, result.output
    return directory / nation


def invite(keys: Path, nation: str, out: Path) -> str:
    """Write an invite and return the fingerprint that the command says aloud."""
    result = trilat("partner", "invite", keys, nation, "--address", "192.0.2.1:4222", "--out", out)
    assert result.exit_code == 0, result.output
    found = re.search(r"^([0-9a-f]{4} ){7}[0-9a-f]{4}$", result.output, re.MULTILINE)
    assert found is not None
    return found.group(0)


def test_invite_and_accept_pin_a_partner(tmp_path: Path) -> None:
    """An invite is accepted with the fingerprint that was read aloud, which does not stand in the file, and not without it."""
    jpn, usa = make(tmp_path, "JPN"), make(tmp_path, "USA")
    heard = invite(jpn, "USA", tmp_path / "invite.txt")
    assert heard not in (tmp_path / "invite.txt").read_text()
    without = trilat("partner", "accept", usa, tmp_path / "invite.txt")
    assert (without.exit_code, "TRI-0463" in without.output) == (1, True)
    wrong = trilat("partner", "accept", usa, tmp_path / "invite.txt", "--fingerprint", heard.replace(heard[0], "x"))
    assert wrong.exit_code == 1
    right = trilat("partner", "accept", usa, tmp_path / "invite.txt", "--fingerprint", heard.upper())
    assert (right.exit_code, "[[partner]]" in right.output) == (0, True)
    assert "192.0.2.1:4222" in trilat("partner", "show", usa).output


def test_rotation_needs_no_call_and_revocation_does(tmp_path: Path) -> None:
    """A pinned partner's newer invite is taken as it is; after a revocation it needs the fingerprint again."""
    jpn, usa = make(tmp_path, "JPN"), make(tmp_path, "USA")
    heard = invite(jpn, "USA", tmp_path / "one.txt")
    trilat("partner", "accept", usa, tmp_path / "one.txt", "--fingerprint", heard)
    assert "no phone call" in trilat("keys", "rotate", jpn).output
    invite(jpn, "USA", tmp_path / "two.txt")
    assert trilat("partner", "accept", usa, tmp_path / "two.txt").exit_code == 0
    assert trilat("partner", "show", usa).output.count("signing key") == 2
    assert trilat("partner", "revoke", usa, "JPN").exit_code == 0
    heard = invite(jpn, "USA", tmp_path / "three.txt")
    assert trilat("partner", "accept", usa, tmp_path / "three.txt").exit_code == 1
    assert trilat("partner", "accept", usa, tmp_path / "three.txt", "--fingerprint", heard).exit_code == 0


def test_show_rotate_revoke_say_what_holds(tmp_path: Path) -> None:
    """`show` names keys with their times; `rotate` adds one; `revoke` ends one and says who must be told."""
    keys = make(tmp_path, "JPN")
    first = re.search(r"signing key  ([0-9a-f]{32})", trilat("keys", "show", keys).output)
    assert first is not None
    rotated = trilat("keys", "rotate", keys, "--starts-in-hours", "0")
    assert rotated.output.count("signing key") == 2
    assert trilat("keys", "rotate", keys, "--certificates").exit_code == 0
    assert trilat("keys", "rotate", keys, "--nats").exit_code == 0
    revoked = trilat("keys", "revoke", keys, first.group(1))
    assert f"{first.group(1)}  revoked" in revoked.output
    assert "call them" in revoked.output
    assert trilat("keys", "revoke", keys, "0" * 32).exit_code == 1


def test_an_agreement_is_written_from_what_commands_print(tmp_path: Path) -> None:
    """What `agreement key` and `keys show --for-agreement` print is what `agreement new` takes; the draft checks once signed."""
    words, pins = [], []
    for nation in ("JPN", "USA"):
        printed = trilat("agreement", "key", nation, "--out", tmp_path / f"{nation}.key").output
        public = re.search(r"ed25519:[0-9a-f]{64}", printed)
        assert public is not None
        pins += ["--pin", f"{nation}={public[0]}"]
        shown = trilat("keys", "show", make(tmp_path / nation, nation), "--for-agreement").output.split()
        words += [word for one in (f"{nation}.policy-key={public[0]}", *shown) for word in ("--set", one)]
    draft = tmp_path / "usa-jpn.toml"

    assert 0 == trilat("agreement", "new", "usa-jpn", "--out", draft, *words).exit_code
    for nation in ("JPN", "USA"):
        assert 0 == trilat("agreement", "sign", draft, "--key", tmp_path / f"{nation}.key").exit_code
    assert 0 == trilat("agreement", "check", draft, *pins).exit_code


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("keys", "new", "{}", "--nation", "japan", "--use", "live"), 2, "three capital letters"),
        (("keys", "new", "{}", "--nation", "JPN", "--use", "live", "--sealed"), 1, "TRI-0453"),
        (("keys", "show", "{}"), 1, "TRI-0450"),
        (("keys", "cluster", "{}", "{}/out", "--mode", "exercise"), 2, "--mode"),
        (("partner", "accept", "{}", "{}/none"), 1, "TRI-0462"),
        (("partner", "revoke", "{}", "JPN"), 1, "TRI-0466"),
    ],
)
def test_mistakes_get_a_name_not_a_traceback(tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    """What a person gets wrong ends with a code or a usage line."""
    result = trilat(*(each.format(tmp_path / "keys") for each in arguments), env={"TRILAT_PASSPHRASE": ""})
    assert (result.exit_code, says in result.output) == (code, True), result.output


def test_cluster_files_are_written_for_the_operator(tmp_path: Path) -> None:
    """An existing cluster's operator gets accounts, roots, certificate and key; the key with mode 0600."""
    keys = make(tmp_path, "JPN")
    result = trilat("keys", "cluster", keys, tmp_path / "out", "--mode", "exercise:A")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"accounts.conf", "roots.crt", "server.crt", "server.key"}
    assert (tmp_path / "out" / "server.key").stat().st_mode & 0o777 == 0o600
