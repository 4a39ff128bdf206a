"""Key directories: private files are 0600 or sealed, everything wrong has its name, rotation keeps what must be kept."""

import os
import subprocess
from pathlib import Path

import pytest
from msgspec import structs

from trilat.errors import ExchangeError
from trilat.identity import keyfiles as f
from trilat.identity import keys as k
from trilat.identity.keystore import Seal, passphrase_from
from trilat.records.label import Mode

NOW_NS = 1_800_000_000 * 1_000_000_000
HOUR_NS = 3_600 * 1_000_000_000
EXERCISE, REPLAY, LIVE = Mode(kind="exercise", id="A"), Mode(kind="replay", id="B"), Mode(kind="live")


def refusal(directory: Path, mode: Mode | None = EXERCISE, now_ns: int = NOW_NS, said: bytes | None = None) -> str:
    with pytest.raises(ExchangeError) as caught:
        f.load(directory, now_ns, mode, lambda: said)
    return caught.value.name


def test_what_is_made_is_loaded(tmp_path: Path) -> None:
    """A made directory loads as it was made, for exercises and replays; private files are 0600 in a 0700 directory."""
    made = f.create(tmp_path / "keys", "JPN", "exercise", NOW_NS)
    assert f.load(tmp_path / "keys", NOW_NS, EXERCISE) == made
    assert f.load(tmp_path / "keys", NOW_NS, REPLAY) == made
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir() if path.is_file()}
    assert modes == {"ca.key": 0o600, "node.key": 0o600, "identity.toml": 0o644}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_live_and_exercise_keys_never_mix(tmp_path: Path) -> None:
    """Exercise keys refuse a live node and live keys an exercise node or a replay; live keys are never provisioned."""
    f.create(tmp_path / "exercise", "JPN", "exercise", NOW_NS)
    f.create(tmp_path / "live", "JPN", "live", NOW_NS)
    assert refusal(tmp_path / "exercise", LIVE) == "mode-mismatch"
    assert refusal(tmp_path / "live", EXERCISE) == "mode-mismatch"
    assert refusal(tmp_path / "live", REPLAY) == "mode-mismatch"
    with pytest.raises(ExchangeError) as caught:
        f.provision(tmp_path / "demo", ("JPN", "USA"), LIVE, NOW_NS)
    assert caught.value.name == "mode-mismatch"


def test_exposed_private_file_is_refused(tmp_path: Path) -> None:
    """A private file that its group or others can read stops the start, and the sentence says what to do."""
    f.create(tmp_path, "JPN", "exercise", NOW_NS)
    for mode in (0o640, 0o604, 0o660):
        (tmp_path / "node.key").chmod(mode)
        assert refusal(tmp_path) == "keys-exposed"
    (tmp_path / "node.key").chmod(0o600)
    f.load(tmp_path, NOW_NS, EXERCISE)


def test_sealed_keys_need_their_passphrase(tmp_path: Path) -> None:
    """Sealed keys hold no seed in the clear, open with their passphrase only, and stay sealed through a rotation."""
    made = f.create(tmp_path, "JPN", "exercise", NOW_NS, Seal(b"correct horse", 1, 1 << 16))
    raw = (tmp_path / "node.key").read_bytes() + (tmp_path / "ca.key").read_bytes()
    assert made.secrets.nats not in raw
    assert refusal(tmp_path) == "passphrase-missing"
    assert refusal(tmp_path, said=b"wrong") == "passphrase-wrong"
    (tmp_path / "node.key").chmod(0o644)
    assert f.load(tmp_path, NOW_NS, EXERCISE, lambda: b"correct horse") == made
    f.rotate_nats(tmp_path, NOW_NS, lambda: b"correct horse")
    assert refusal(tmp_path) == "passphrase-missing"


def test_passphrase_comes_from_file_then_environment_then_prompt(tmp_path: Path) -> None:
    """The file's line wins over the variable, the variable over the question; a missing file is said, not skipped."""
    file = tmp_path / "pass"
    file.write_bytes(b"from file\n")
    both = {"TRILAT_PASSPHRASE_FILE": str(file), "TRILAT_PASSPHRASE": "from variable"}
    assert passphrase_from(both)() == b"from file"
    assert passphrase_from({"TRILAT_PASSPHRASE": "from variable"})() == b"from variable"
    assert passphrase_from({}, lambda: "typed")() == b"typed"
    assert passphrase_from({})() is None
    with pytest.raises(ExchangeError) as caught:
        passphrase_from({"TRILAT_PASSPHRASE_FILE": str(tmp_path / "none")})()
    assert caught.value.name == "passphrase-missing"


@pytest.mark.parametrize("name", ["node.key", "identity.toml"])
def test_missing_and_damaged_files_have_their_names(tmp_path: Path, name: str) -> None:
    """A file that is gone is missing; one that is cut, or random, is damaged; never another error."""
    f.create(tmp_path, "JPN", "exercise", NOW_NS)
    whole = (tmp_path / name).read_bytes()
    for data in (whole[: len(whole) // 2], b"\xff\x00", b"", whole + b"\x00"):
        (tmp_path / name).write_bytes(data)
        assert refusal(tmp_path) == "keys-damaged"
    (tmp_path / name).unlink()
    assert refusal(tmp_path) == "keys-missing"


def test_keys_of_two_directories_do_not_mix(tmp_path: Path) -> None:
    """Private keys beside another directory's public file are damaged, not used."""
    f.create(tmp_path / "a", "JPN", "exercise", NOW_NS)
    f.create(tmp_path / "b", "JPN", "exercise", NOW_NS)
    (tmp_path / "a" / "identity.toml").write_bytes((tmp_path / "b" / "identity.toml").read_bytes())
    assert refusal(tmp_path / "a") == "keys-damaged"


def test_own_expired_certificate_stops_the_start(tmp_path: Path) -> None:
    """A node whose certificates have ended, or whose clock is before them, does not start; new certificates mend it."""
    f.create(tmp_path, "JPN", "exercise", NOW_NS)
    later = NOW_NS + (k.LEAF_DAYS + 1) * k.DAY_NS
    assert refusal(tmp_path, now_ns=later) == "certificate-expired"
    assert refusal(tmp_path, now_ns=NOW_NS - HOUR_NS) == "certificate-not-yet-valid"
    f.rotate_certificates(tmp_path, later)
    assert f.check_certificates(f.load(tmp_path, later, EXERCISE), later) > k.LEAF_DAYS - 2


def test_existing_keys_are_never_overwritten(tmp_path: Path) -> None:
    """Making keys where there are some is refused and leaves them as they were."""
    made = f.create(tmp_path, "JPN", "exercise", NOW_NS)
    with pytest.raises(ExchangeError) as caught:
        f.create(tmp_path, "JPN", "exercise", NOW_NS)
    assert caught.value.name == "keys-exist"
    assert f.load(tmp_path, NOW_NS, EXERCISE) == made


def test_rotation_overlaps_and_then_only_the_new_key_signs(tmp_path: Path) -> None:
    """Before its start the old key signs; after it the new one, and a partner with the new invite believes both in the overlap."""
    old = f.create(tmp_path / "JPN", "JPN", "exercise", NOW_NS).identity.signing[0].id
    f.create(tmp_path / "USA", "USA", "exercise", NOW_NS)
    first = f.make_invite(tmp_path / "JPN", "USA", ["127.0.0.1:1"], NOW_NS)
    f.accept_invite(tmp_path / "USA", first, k.fingerprint(first), NOW_NS)
    held = f.rotate_signing(tmp_path / "JPN", NOW_NS + 1, NOW_NS + HOUR_NS, 2 * HOUR_NS)
    new = held.identity.signing[-1].id
    _, pin = f.accept_invite(
        tmp_path / "USA", f.make_invite(tmp_path / "JPN", "USA", ["127.0.0.1:1"], NOW_NS + 2), None, NOW_NS + 2
    )
    ours = held.key_ring(EXERCISE, [])
    theirs = f.load(tmp_path / "USA", NOW_NS, EXERCISE).key_ring(EXERCISE, [pin])
    assert ours.current(NOW_NS + 2).key_id == old
    assert ours.current(NOW_NS + HOUR_NS).key_id == new
    for key in ours._own:
        signed = key.sign("trilat.wake/1", b"x")
        assert theirs.verify(NOW_NS + HOUR_NS, "JPN", key.key_id, "trilat.wake/1", b"x", signed).key_id == key.key_id
    assert ours.current(NOW_NS + 4 * HOUR_NS).key_id == new
    assert len(f.rotate_signing(tmp_path / "JPN", NOW_NS + 9 * HOUR_NS, NOW_NS + 9 * HOUR_NS, 0).secrets.signing) == 2


def test_revoked_signing_key_ends_at_once(tmp_path: Path) -> None:
    """A revoked key signs no more and leaves the private file; a node never stays without one; an unknown id is refused."""
    old = f.create(tmp_path, "JPN", "exercise", NOW_NS).identity.signing[0].id
    held = f.revoke_signing(tmp_path, old, NOW_NS + 1)
    assert old not in held.secrets.signing
    assert held.key_ring(EXERCISE, []).current(NOW_NS + 1).key_id != old
    invite = k.open_invite(f.make_invite(tmp_path, "USA", ["127.0.0.1:1"], NOW_NS + 2))
    assert [key.revoked_ns for key in invite.signing] == [NOW_NS + 1, None]
    with pytest.raises(ExchangeError) as caught:
        f.revoke_signing(tmp_path, "0" * 32, NOW_NS)
    assert caught.value.name == "signing-key-unknown"


def test_node_runs_without_the_roots_key(tmp_path: Path) -> None:
    """With `ca.key` carried away the node loads; only invites and new certificates ask for it."""
    f.create(tmp_path, "JPN", "exercise", NOW_NS)
    (tmp_path / "ca.key").unlink()
    f.load(tmp_path, NOW_NS, EXERCISE)
    with pytest.raises(ExchangeError) as caught:
        f.make_invite(tmp_path, "USA", ["127.0.0.1:1"], NOW_NS)
    assert caught.value.name == "keys-missing"


def test_revoked_pin_brings_no_keys(tmp_path: Path) -> None:
    """A revoked partner's keys are in no key ring, and a pin that cannot be read counts as none."""
    made = f.provision(tmp_path, ("JPN", "USA"), EXERCISE, NOW_NS)
    usa = f.load(made["USA"].keys, NOW_NS, EXERCISE)
    path = made["USA"].partners["JPN"]
    assert len(usa.key_ring(EXERCISE, [f.load_partner(path)]).pinned("JPN")) == 1
    assert usa.key_ring(EXERCISE, [f.revoke_partner(path, NOW_NS)]).pinned("JPN") == ()
    watch = f.PinWatch({"JPN": path}, made["USA"].keys)
    path.write_bytes(b"\xff")
    assert watch.changed() == {}
    assert not watch.renewed
    f.rotate_nats(made["USA"].keys, NOW_NS)
    assert watch.changed() == {}
    assert watch.renewed


def test_pin_is_written_as_it_is_read(tmp_path: Path) -> None:
    """A pin with every field set comes back from its TOML unchanged."""
    made = f.provision(tmp_path, ("JPN", "USA"), EXERCISE, NOW_NS)
    pin = f.load_partner(made["USA"].partners["JPN"])
    full = structs.replace(pin, revoked_ns=NOW_NS, signing=(structs.replace(pin.signing[0], not_after_ns=5, revoked_ns=6),) * 2)
    f.save_partner(tmp_path / "x.toml", full)
    assert f.load_partner(tmp_path / "x.toml") == full


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_private_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """A private key file that belongs to somebody else is not trusted."""
    f.create(tmp_path, "JPN", "exercise", NOW_NS)
    os.chown(tmp_path / "node.key", 12345, 12345)
    assert refusal(tmp_path) == "keys-exposed"


def test_secrets_are_never_in_a_run_directory(tmp_path: Path) -> None:
    """Giving a library its private key by path leaves no file behind."""
    with f.private_path(b"secret") as path:
        assert (
            subprocess.run(["cat", path], capture_output=True, check=False, pass_fds=[int(Path(path).name)]).stdout == b"secret"
        )
    assert list(tmp_path.iterdir()) == []


def test_ports_for_servers_are_of_none_that_a_connection_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's port is kept out of the system's own range, whose ports any connection may take before the server listens."""
    own = tmp_path / "range"
    monkeypatch.setattr(f, "EPHEMERAL", own)
    for first, last in ((32_768, 60_999), (1024, 50_000)):
        own.write_text(f"{first}\t{last}\n")
        ports = f.free_ports(20)
        assert len(set(ports)) == 20
        assert not [port for port in ports if first <= port <= last]
    own.write_text("1024\t65535\n")
    assert len(set(f.free_ports(20))) == 20, "where the system keeps all to itself, of those"
