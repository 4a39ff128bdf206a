"""The test vectors of docs/reference/exchange.md are what this implementation makes and takes."""

import json
from pathlib import Path
from typing import Any

import pytest

from trilat.identity.sign import KeyRing, SigningKey, pre_authentication
from trilat.records.exchange import Cursor
from trilat.records.label import Mode
from trilat.transport import envelope as sealing
from trilat.transport.messages import BatchHeader, Pull

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "exchange.md"
MODE = Mode(kind="exercise", id="VECTORS")
T_NS = 1_790_000_000_000_000_000


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    """The page's vectors."""
    found: dict[str, Any] = json.loads(PAGE.read_text("utf-8").split("```json\n")[1].split("```")[0])
    return found


def keys(vectors: dict[str, Any]) -> tuple[SigningKey, SigningKey]:
    """Return both nations' keys."""
    return tuple(SigningKey(nation, "exercise", bytes.fromhex(vectors[f"{nation.lower()}_seed"])) for nation in ("JPN", "KOR"))


def test_keys_and_signed_bytes(vectors: dict[str, Any]) -> None:
    """Public keys, key ids and the pre-authentication encoding are the page's."""
    for nation, key in zip(("jpn", "kor"), keys(vectors), strict=True):
        assert vectors[f"{nation}_public"] == key.verify_key.public.hex()
        assert vectors[f"{nation}_key_id"] == key.key_id
    assert vectors["pre_authentication"] == pre_authentication("trilat.pull/1", b"body").hex()


def test_tree_and_chain(vectors: dict[str, Any]) -> None:
    """Leaves, root, proof and heads are the page's."""
    entries = [bytes.fromhex(entry) for entry in vectors["entries"]]
    leaves = [sealing.leaf_hash(entry) for entry in entries]
    start = sealing.epoch_head("JPN", "KOR", "state", 1, Cursor())
    assert vectors["leaves"] == [leaf.hex() for leaf in leaves]
    assert vectors["root"] == sealing.merkle_root(leaves).hex()
    assert vectors["proof_of_leaf_2"] == [node.hex() for node in sealing.inclusion_proof(leaves, 2)]
    assert vectors["epoch_head_jpn_kor_state_1"] == start.hex()
    assert vectors["head_after_3"] == sealing.chain(start, leaves).hex()


def test_the_batch_is_taken_and_made(vectors: dict[str, Any]) -> None:
    """KOR opens the page's batch, and sealing the same message gives the same bytes."""
    jpn, kor = keys(vectors)
    envelope = sealing.unpack(bytes.fromhex(vectors["batch_envelope"]), 1 << 20)
    header = sealing.verify(KeyRing("KOR", MODE, [kor], [jpn.verify_key]), T_NS, "KOR", MODE, envelope)
    assert isinstance(header, BatchHeader)
    assert vectors["batch_body"] == envelope.body.hex()
    opened = sealing.open_batch(header, envelope.payload)
    assert vectors["entries"] == [None if entry is None else entry.hex() for entry in opened.entries]
    assert (1, 1, 3, T_NS) == (header.epoch, header.number, header.count, header.t_ns)
    assert vectors["batch_envelope"] == sealing.pack(sealing.seal(jpn, header, envelope.payload)).hex()


def test_the_pull_is_taken_and_made(vectors: dict[str, Any]) -> None:
    """JPN opens the page's pull, and sealing the same message gives the same bytes."""
    jpn, kor = keys(vectors)
    envelope = sealing.unpack(bytes.fromhex(vectors["pull_envelope"]), 1 << 20)
    pull = sealing.verify(KeyRing("JPN", MODE, [jpn], [kor.verify_key]), T_NS, "JPN", MODE, envelope)
    assert isinstance(pull, Pull)
    assert Cursor(1, 3, bytes.fromhex(vectors["head_after_3"])) == pull.cursor
    assert (7, 5, 4096, 1000) == (pull.number, pull.session, pull.credit_bytes, pull.wait_ms)
    assert vectors["pull_envelope"] == sealing.pack(sealing.seal(kor, pull)).hex()
