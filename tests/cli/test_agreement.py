"""`trilat agreement` and `trilat release`: from keys to a signed agreement, and the path of a decision."""

import stat
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from policy_records import track

from trilat.cli import main
from trilat.policy.labels import make, to_json
from trilat.records import codec
from trilat.records.label import FieldOperation, Label, Mode
from trilat.records.report import Pedigree, Plot


def dropping(label: Label) -> Label:
    return msgspec.structs.replace(label, operations=(FieldOperation(field="velocity", operation="drop"),))


def coarse(label: Label) -> Label:
    return msgspec.structs.replace(label, operations=(FieldOperation(field="position", operation="coarsen", amount=20_000.0),))


def late(label: Label) -> Label:
    return msgspec.structs.replace(label, operations=(FieldOperation(field="record", operation="delay", amount=60.0),))


def plot(label: Label) -> Plot:
    """Return a plot of a sensor that no agreement speaks of."""
    return Plot(t_ns=track().t_ns, sensor="JPN/x", label=label, pedigree=Pedigree(nation="JPN", sensors=("JPN/x",)), range_m=1e4)


ROOT = Path(__file__).parents[2]
NATIONS = ("JPN", "USA")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Make a policy key per party; return the public halves."""
    found = {}
    for nation in NATIONS:
        told = run("agreement", "key", nation, "--out", tmp_path / f"{nation}.key")
        assert told.exit_code == 0, told.output
        found[nation] = told.output.split('"')[1]
    return found


@pytest.fixture
def draft(tmp_path: Path, keys: dict[str, str]) -> Path:
    """Fill the sample between USA and JPN."""
    out = tmp_path / "usa-jpn.toml"
    places = []
    for nation in NATIONS:
        for place, value in (("policy-key", keys[nation]), ("exchange-key", keys[nation]), ("ca-sha256", "0" * 64)):
            places += ["--set", f"{nation}.{place}={value}"]
    told = run("agreement", "new", "usa-jpn", *places, "--out", out)
    assert told.exit_code == 0, told.output
    assert "to be signed by JPN, USA" in told.output
    return out


def pins(keys: dict[str, str]) -> list[str]:
    return [part for nation in NATIONS for part in ("--pin", f"{nation}={keys[nation]}")]


def test_every_sample_is_named() -> None:
    """`trilat agreement new --help` names each sample that is shipped."""
    told = " ".join(run("agreement", "new", "--help").output.split())
    named = told.split("a sample: ")[1].split(")")[0].split(", ")
    assert sorted(named) == sorted(path.stem for path in (ROOT / "src/trilat/policy/agreements").glob("*.toml"))


def test_a_key_file_is_private(tmp_path: Path, keys: dict[str, str]) -> None:
    """A private policy key has the mode 0600 from the start and is never overwritten."""
    assert set(keys) == set(NATIONS)
    path = tmp_path / "JPN.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert run("agreement", "key", "JPN", "--out", path).exit_code == 2
    assert path.read_bytes() == before
    assert run("agreement", "key", "jpn", "--out", tmp_path / "x").exit_code == 2


def test_from_draft_to_complete(tmp_path: Path, keys: dict[str, str], draft: Path) -> None:
    """An agreement is refused unsigned, then half-signed, and holds when both have signed; one changed byte undoes it."""
    assert "TRI-0312" in run("agreement", "check", draft, *pins(keys)).output
    assert "Missing: USA" in run("agreement", "sign", draft, "--key", tmp_path / "JPN.key").output
    assert "TRI-0313" in run("agreement", "check", draft, *pins(keys)).output
    assert "Complete" in run("agreement", "sign", draft, "--key", tmp_path / "USA.key").output
    told = run("agreement", "check", draft, *pins(keys))
    assert told.exit_code == 0, told.output
    assert "usa-jpn/1: signed by JPN, USA" in told.output
    assert "proves nothing" in run("agreement", "check", draft).output
    draft.write_bytes(draft.read_bytes() + b"\n")
    assert "TRI-0314" in run("agreement", "check", draft, *pins(keys)).output
    assert "TRI-0314" in run("agreement", "sign", draft, "--key", tmp_path / "JPN.key").output


def test_only_a_party_signs(tmp_path: Path, draft: Path) -> None:
    """A key that the agreement does not name for its nation can not sign it."""
    run("agreement", "key", "USA", "--out", tmp_path / "other.key")
    assert "TRI-0319" in run("agreement", "sign", draft, "--key", tmp_path / "other.key").output


def test_diff_and_explain_say_what_changed(tmp_path: Path, draft: Path) -> None:
    """A change of terms is shown term by term; a change of comments is none; the explanation names flows and ceilings."""
    other = tmp_path / "other.toml"
    text = draft.read_text()
    other.write_text("# a comment\n" + text)
    assert run("agreement", "diff", draft, other).output == "0 terms differ.\n"
    other.write_text(text.replace("ceiling = 3", "ceiling = 2", 1))
    told = run("agreement", "diff", draft, other)
    assert told.exit_code == 1
    assert told.output == "- party[JPN].ceiling = 3\n+ party[JPN].ceiling = 2\n1 terms differ.\n"
    said = run("agreement", "explain", draft).output
    assert "  Readers of JPN belong to watch-floor, missile-defence.\n" in said
    more = '[[equivalence]]\npolicy = "JPN-P"\nlevel = 1\npolicy_here = "TRILAT"\nlevel_here = 2\n'
    other.write_text(text + more)
    words = run("agreement", "explain", other).output
    assert "  Level 1 of JPN-P is protected like TRILAT-2 of TRILAT.\n" in words
    assert "USA to JPN: air, sea" in said
    assert "up to TRILAT-3; as track, fixes as plot, radar3d as plot; directly; inflate covariance 1.2." in said


def test_release_explain_prints_the_path(tmp_path: Path, keys: dict[str, str], draft: Path) -> None:
    """The path of a decision is printed rule by rule with the node's own configuration, and ends in the verdict."""
    for nation in NATIONS:
        run("agreement", "sign", draft, "--key", tmp_path / f"{nation}.key")
    config = tmp_path / "node.toml"
    config.write_text(
        'name = "jpn"\nnation = "JPN"\nmode = "exercise:T1"\ndirectory = "store"\nkeys = "keys"\nagreements = ["usa-jpn.toml"]\n'
        "[policy_keys]\n" + "".join(f'{nation} = "{key}"\n' for nation, key in keys.items())
    )
    label = make(
        policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="T1"), level=2, rel_to=("USA",), topics=("air",)
    )
    path = tmp_path / "label.json"
    path.write_bytes(to_json(label))
    at = ("--config", config, "--at-ns", 1_790_000_000 * 10**9)
    told = run("release", "explain", path, "--to", "USA", *at)
    assert told.exit_code == 0, told.output
    assert "  holds  usa-jpn/1/ceiling: TRILAT-2 for USA, ceiling TRILAT-3" in told.output
    assert told.output.endswith("PERMITTED to USA as track under usa-jpn/1; done to it: nothing.\n")
    path.write_bytes(to_json(msgspec.structs.replace(label, level=4)))
    told = run("release", "explain", path, "--to", "USA", *at)
    assert told.output.endswith("WITHHELD from USA: level-above-ceiling, by rule usa-jpn/1/ceiling.\n")
    # With a record, and not a label alone, it is said in which form that record would leave, or why this form does not.
    made = track(label=label)
    for record, said in (
        (made, "It would leave as trilat.track/1.\n"),
        (msgspec.structs.replace(made, status="deleted"), "It would leave as trilat.track/1.\n"),
        (plot(label), "It does not leave all the same: release-tier. Plot at tier track.\n"),
        (track(label=dropping(label)), "It does not leave all the same: release-operation. drop of velocity on Track.\n"),
        (track(label=coarse(label)), "It would leave as trilat.area/1, when the minute ends.\n"),
        (track(label=late(label)), "It does not leave now: it is delayed, or was deleted.\n"),
    ):
        path.write_bytes(codec.encode(record))
        told = run("release", "explain", path, "--to", "USA", "--config", config, "--at-ns", made.t_ns)
        assert told.output.endswith(said), told.output
    path.write_bytes(b"\x00\x01")
    assert "TRI-0302" in run("release", "explain", path, "--to", "USA", *at).output
