"""Fixtures of the tests of policy: the sample agreements, filled and signed with keys made for the test."""

from pathlib import Path

import pytest
from policy_cases import PINNED, PLACES, signed

import trilat
from trilat.policy import signing
from trilat.policy.agreement import Agreements, Document, load

SAMPLES = sorted((Path(trilat.__file__).parent / "policy" / "agreements").glob("*.toml"))


@pytest.fixture(scope="session")
def sample_documents() -> list[Document]:
    return [signed(path.name, signing.fill(path.read_bytes(), PLACES)) for path in SAMPLES]


@pytest.fixture(scope="session")
def samples(sample_documents: list[Document]) -> Agreements:
    return load(sample_documents, PINNED)
