"""`trilat label`: one label in every form."""

from pathlib import Path

from click.testing import CliRunner

from trilat.cli.label import command
from trilat.errors import PolicyError
from trilat.policy.labels import make, to_json
from trilat.records.label import Mode

LABEL = make(policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="T1"), level=2, rel_to=("KOR",), topics=("air",))


def run(*given: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, list(given))
    if done.exception is not None and not isinstance(done.exception, SystemExit | PolicyError):
        raise done.exception
    return done.exit_code, done.stdout


def test_label_goes_to_xml_and_back_on_the_command_line(tmp_path: Path) -> None:
    """JSON in, XML out; that XML in, the same JSON out."""
    (tmp_path / "a.json").write_bytes(to_json(LABEL))
    code, xml = run("show", str(tmp_path / "a.json"), "--as", "xml")
    (tmp_path / "a.xml").write_text(xml)

    assert 0 == code
    assert (0, to_json(LABEL).decode() + "\n") == run("show", str(tmp_path / "a.xml"), "--as", "json")
    assert (0, "EXERCISE EXERCISE EXERCISE//TRILAT-2//REL TO JPN, KOR\n") == run(
        "show", str(tmp_path / "a.xml"), "--as", "banner"
    )
    assert (0, "TRILAT-2 REL TO JPN, KOR\n") == run("mark", str(tmp_path / "a.xml"))


def test_broken_label_is_refused_with_its_code(tmp_path: Path) -> None:
    """A document with a DOCTYPE ends with exit code 1 and no label."""
    (tmp_path / "a.xml").write_text("<!DOCTYPE x><x/>")
    code, out = run("show", str(tmp_path / "a.xml"))
    assert (1, "") == (code, out)
