"""`trilat users` as an administrator uses it, and what it refuses."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from trilat.cli import main

WORDS = "correct horse battery staple"


def users(*arguments: str | Path, typed: str = WORDS + "\n") -> Result:
    """Run the command in this process; the password comes on standard input."""
    return CliRunner().invoke(main, ["users", *(str(each) for each in arguments)], input=typed)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the configuration of a node that never ran."""
    path = tmp_path / "node.toml"
    node = {"nation": "JPN", "mode": "exercise:cli", "name": "jpn-1", "directory": "run", "keys": "keys"}
    path.write_bytes(msgspec.toml.encode(node))
    return path


def test_the_first_accounts_are_made_and_the_third_officer_waits(config: Path) -> None:
    """Two officers are made at the machine; a third has its role waiting; the list shows all, and no hash."""
    assert "No account yet" in users("list", config).output
    for name in ("tanaka", "sato"):
        made = users("add", config, name, "--person", f"Person {name}", "--role", "watch-officer")
        assert (made.exit_code, "watch-officer" in made.output) == (0, True)
    assert "waits for two officers: watch-officer" in users("add", config, "kim", "--role", "watch-officer").output
    told = users("list", config).output
    assert ([line.split()[0] for line in told.splitlines()], "argon2" in told) == (["kim", "sato", "tanaka"], False)
    assert (config.parent / "run" / "accounts.sqlite").stat().st_mode & 0o777 == 0o600
    assert "EMERGENCY" not in told
    assert "watch-officer" in users("role", config, "kim", "--role", "watch-officer", "--emergency", "nobody left").output
    assert "disabled" in users("disable", config, "kim").output


@pytest.mark.parametrize(
    ("arguments", "typed", "code"),
    [
        (("add", "kim"), "short\n", "TRI-1005"),
        (("add", "kim"), "", "TRI-1005"),
        (("add", "Kim"), WORDS, "TRI-1003"),
        (("add", "tanaka"), WORDS, "TRI-1002"),
        (("password", "ghost"), WORDS, "TRI-1001"),
        (("role", "ghost"), "", "TRI-1001"),
        (("disable", "ghost"), "", "TRI-1001"),
    ],
)
def test_refusals_have_codes(config: Path, arguments: tuple[str, str], typed: str, code: str) -> None:
    """A weak password, a bad or known name and an unknown account end with a code, and change nothing."""
    users("add", config, "tanaka")
    before = users("list", config).output
    told = users(arguments[0], config, arguments[1], typed=typed)
    assert (told.exit_code, code in told.output) == (1, True)
    assert users("list", config).output == before
