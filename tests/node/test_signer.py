"""The signer: one signature for one step, the same when asked again, silence rather than a second one."""

from pathlib import Path

import pytest

from consensus.messages import Proposal, Validator, Vote, VoteType
from consensus.verification import verify_proposal, verify_vote
from node.signer import Signer
from storage.errors import DoubleSignRefused, SignerUninitialised
from storage.signer import SignerStore
from testing.cluster import key

GENESIS_HASH = b"g" * 32
ME = (Validator(Signer(key("a"), None, GENESIS_HASH).public_key, 1),)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> SignerStore:
    return SignerStore(tmp_path / "signer", map_bytes=2**20)


def test_what_it_signs_verifies(store: SignerStore) -> None:
    store.initialise(1)
    signer = Signer(key("a"), store, GENESIS_HASH)
    verify_proposal(signer.sign_proposal(Proposal(5, 0, b"v" * 32, -1, 0)), ME, GENESIS_HASH)
    verify_vote(signer.sign_vote(Vote(VoteType.PREVOTE, 5, 0, b"v" * 32, 0)), ME, GENESIS_HASH)
    verify_vote(signer.sign_vote(Vote(VoteType.PRECOMMIT, 5, 0, None, 0)), ME, GENESIS_HASH)
    store.close()


def test_the_same_vote_again_has_the_same_signature_and_another_is_refused(store: SignerStore) -> None:
    store.initialise(1)
    signer = Signer(key("a"), store, GENESIS_HASH)
    vote = Vote(VoteType.PRECOMMIT, 5, 0, b"v" * 32, 0)
    assert signer.sign_vote(vote) == signer.sign_vote(vote)
    with pytest.raises(DoubleSignRefused):
        signer.sign_vote(Vote(VoteType.PRECOMMIT, 5, 0, None, 0))
    with pytest.raises(DoubleSignRefused):
        signer.sign_vote(Vote(VoteType.PREVOTE, 5, 0, b"v" * 32, 0))
    store.close()


def test_without_a_floor_it_signs_nothing(store: SignerStore) -> None:
    with pytest.raises(SignerUninitialised):
        Signer(key("a"), store, GENESIS_HASH).sign_vote(Vote(VoteType.PREVOTE, 5, 0, None, 0))
    store.close()
