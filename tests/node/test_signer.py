"""The signer: one signature for one step, the same when asked again, silence rather than a second one."""

from pathlib import Path

import pytest

from consensus.messages import Proposal, Validator, Vote, VoteType
from consensus.verification import verify_proposal, verify_vote
from node.ports import SigningFailed
from node.signer import KeyInMemory, Signer
from storage.errors import DoubleSignRefused, SignerUninitialised
from storage.signer import SignerStore
from testing.keys import key

GENESIS_HASH = b"g" * 32
ME = (Validator(Signer(KeyInMemory(key("a")), None, GENESIS_HASH).public_key, 1),)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> SignerStore:
    return SignerStore(tmp_path / "signer", map_bytes=2**20)


def test_what_it_signs_verifies(store: SignerStore) -> None:
    store.initialise(1)
    signer = Signer(KeyInMemory(key("a")), store, GENESIS_HASH)
    verify_proposal(signer.sign_proposal(Proposal(5, 0, b"v" * 32, -1, 0)), ME, GENESIS_HASH)
    verify_vote(signer.sign_vote(Vote(VoteType.PREVOTE, 5, 0, b"v" * 32, 0)), ME, GENESIS_HASH)
    verify_vote(signer.sign_vote(Vote(VoteType.PRECOMMIT, 5, 0, None, 0)), ME, GENESIS_HASH)
    store.close()


def test_the_same_vote_again_has_the_same_signature_and_another_is_refused(store: SignerStore) -> None:
    store.initialise(1)
    signer = Signer(KeyInMemory(key("a")), store, GENESIS_HASH)
    vote = Vote(VoteType.PRECOMMIT, 5, 0, b"v" * 32, 0)
    assert signer.sign_vote(vote) == signer.sign_vote(vote)
    with pytest.raises(DoubleSignRefused):
        signer.sign_vote(Vote(VoteType.PRECOMMIT, 5, 0, None, 0))
    with pytest.raises(DoubleSignRefused):
        signer.sign_vote(Vote(VoteType.PREVOTE, 5, 0, b"v" * 32, 0))
    store.close()


def test_without_a_floor_it_signs_nothing(store: SignerStore) -> None:
    with pytest.raises(SignerUninitialised):
        Signer(KeyInMemory(key("a")), store, GENESIS_HASH).sign_vote(Vote(VoteType.PREVOTE, 5, 0, None, 0))
    store.close()


class Hardware:
    """A key elsewhere: it looks at the store while it is asked, and may be out of reach."""

    def __init__(self, store: SignerStore) -> None:
        self.public_key = KeyInMemory(key("a")).public_key
        self.reachable = True
        self.durable: list[tuple[int, int, int]] = []
        self._store = store

    def sign(self, message: bytes) -> bytes:
        last = self._store.last()
        assert last is not None
        assert last.sign_bytes == message
        self._store.initialise(last.height)  # a write of its own: no transaction is open while it works
        self.durable.append((last.height, last.round, last.step))
        if not self.reachable:
            raise SigningFailed("the module does not answer")
        return KeyInMemory(key("a")).sign(message)


def test_what_is_to_be_signed_is_durable_and_its_transaction_over_before_the_key_is_asked(
    store: SignerStore,
) -> None:
    store.initialise(1)
    hardware = Hardware(store)
    signer = Signer(hardware, store, GENESIS_HASH)
    verify_vote(signer.sign_vote(Vote(VoteType.PREVOTE, 5, 2, b"v" * 32, 0)), ME, GENESIS_HASH)
    assert hardware.durable == [(5, 2, 2)]
    store.close()


def test_a_key_out_of_reach_is_asked_again_for_the_same_and_never_for_another(store: SignerStore) -> None:
    store.initialise(1)
    hardware = Hardware(store)
    signer = Signer(hardware, store, GENESIS_HASH)
    hardware.reachable = False
    vote = Vote(VoteType.PREVOTE, 5, 0, b"v" * 32, 0)
    with pytest.raises(SigningFailed):
        signer.sign_vote(vote)
    with pytest.raises(DoubleSignRefused):
        signer.sign_vote(Vote(VoteType.PREVOTE, 5, 0, None, 0))
    hardware.reachable = True
    verify_vote(signer.sign_vote(vote), ME, GENESIS_HASH)
    store.close()
