"""The verifier alone, and behind the inbox: what it lets through, what it refuses, and that a refusal costs
what comes before and after it nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from consensus.encoding import encode_certificate
from consensus.errors import VerificationError
from consensus.events import CertificateReceived, ProposalReceived, VoteReceived
from consensus.messages import Certificate, Proposal, Vote, VoteType
from consensus.proposer import proposer
from consensus.verification import sign_bytes
from node.blockcache import BlockCache
from node.examiner import Opened, Proposed
from node.inbox import Heard, Inbox
from node.limits import SEEN_MAX, VOTES_OF_PEER_MAX
from node.sealed import SealedBlock
from node.sync import Downloaded
from node.verifier import Said, Verifier
from primitives.codec import CodecError
from primitives.signatures import sign
from testing.keys import key
from testing.little_chain import VOTING, LittleChain
from wire.messages import (
    CertificateMessage,
    ProposalMessage,
    VoteMessage,
    certificate_message,
    proposal_message,
    vote_message,
)

FORGED = bytes(64)
HEARD_MS = 5


class Desk:
    """A chain that waits for its first block, its verifier, and the other validators' hands."""

    def __init__(self, folder: Path) -> None:
        self.little = LittleChain(folder)
        self.blocks = BlockCache()
        self.verifier = Verifier(self.little.replica, self.blocks)
        self.turn = proposer(self.little.replica.validators, 1, 0)

    def signed(self, said: Vote | Proposal, validator: int) -> bytes:
        return sign(key(f"{VOTING[validator]} node"), sign_bytes(said, self.little.replica.genesis_hash))

    def vote(self, validator: int, value: bytes | None = None, type: VoteType = VoteType.PREVOTE) -> Vote:
        vote = Vote(type, 1, 0, value, validator)
        return replace(vote, signature=self.signed(vote, validator))

    def block(self, now_ms: int = 0) -> SealedBlock:
        replica = self.little.replica
        return replica.build_block(now_ms or self.little.now_ms, (), (), self.turn)

    def proposal(self, block: SealedBlock, height: int = 1) -> ProposalMessage:
        proposal = Proposal(height, 0, block.value, -1, self.turn)
        return proposal_message(replace(proposal, signature=self.signed(proposal, self.turn)), block.raw)

    def commit(self, block: SealedBlock, voters: tuple[int, ...] = (0, 1, 2)) -> Certificate:
        votes = [self.vote(number, block.value, VoteType.PRECOMMIT) for number in voters]
        signatures = tuple((vote.validator, vote.signature) for vote in votes)
        return Certificate(VoteType.PRECOMMIT, 1, 0, block.value, signatures)

    def hear(self, message: VoteMessage | ProposalMessage | CertificateMessage, at_ms: int = 0) -> Said:
        said = self.verifier.verified(Heard("peer", message, at_ms))
        if isinstance(said, Proposed):
            return self.verifier.opened(Opened(said, self.verifier.open(said.raw)), ())
        return said

    def knows(self, message: VoteMessage | ProposalMessage | CertificateMessage) -> bool:
        return self.verifier.is_known(Heard("another", message, 0))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.little.close()


# --- alone


def test_a_vote_is_what_it_says_and_is_known_from_then_on(desk: Desk) -> None:
    vote = desk.vote(1, b"v" * 32)
    assert not desk.knows(vote_message(vote))
    assert desk.hear(vote_message(vote)) == VoteReceived(vote)
    assert desk.knows(vote_message(vote))
    assert not desk.knows(vote_message(desk.vote(2, b"v" * 32)))


def test_a_refused_message_is_not_remembered_and_its_true_form_still_counts(desk: Desk) -> None:
    """Otherwise a forger who is first would keep the validator's own vote out."""
    true = desk.vote(1, b"v" * 32)
    forged = vote_message(replace(true, signature=FORGED))
    with pytest.raises(VerificationError):
        desk.hear(forged)
    assert not desk.knows(forged)
    assert not desk.knows(vote_message(true))
    assert desk.hear(vote_message(true)) == VoteReceived(true)
    with pytest.raises(VerificationError):
        desk.hear(forged)  # it is another message than the one that is known


@pytest.mark.parametrize("bad", [0, 1, 2, 3])
def test_a_bad_signature_between_good_ones_costs_them_nothing_and_order_stays(desk: Desk, bad: int) -> None:
    votes = [desk.vote(number, b"v" * 32) for number in range(4)]
    said = []
    for number, vote in enumerate(votes):
        message = vote_message(replace(vote, signature=FORGED) if number == bad else vote)
        if number == bad:
            with pytest.raises(VerificationError):
                desk.hear(message)
        else:
            said.append(desk.hear(message))
    assert said == [VoteReceived(vote) for number, vote in enumerate(votes) if number != bad]


def test_a_certificate_with_one_bad_signature_does_not_count_at_all(desk: Desk) -> None:
    whole = desk.commit(desk.block())
    first, _, third = whole.signatures
    with pytest.raises(VerificationError):
        desk.hear(certificate_message(replace(whole, signatures=(first, (1, FORGED), third))))
    with pytest.raises(VerificationError):
        desk.hear(certificate_message(replace(whole, signatures=(first, third))))
    assert not desk.knows(certificate_message(whole))
    assert desk.hear(certificate_message(whole)) == CertificateReceived(whole, False)


def test_a_certificate_says_whether_its_block_is_at_hand(desk: Desk) -> None:
    block = desk.block()
    desk.hear(desk.proposal(block))
    whole = desk.commit(block)
    assert desk.hear(certificate_message(whole)) == CertificateReceived(whole, True)


def test_a_proposal_keeps_its_block_and_says_whether_it_came_in_time(desk: Desk) -> None:
    block = desk.block()
    heard = desk.hear(desk.proposal(block), at_ms=block.header.time_ms)
    assert isinstance(heard, ProposalReceived)
    assert heard.timely
    kept = desk.blocks.get(block.value)
    assert kept is not None
    assert kept.raw == block.raw
    late = desk.hear(desk.proposal(block), at_ms=block.header.time_ms + 3_600_000)
    assert isinstance(late, ProposalReceived)
    assert not late.timely


def test_a_known_proposal_whose_block_was_forgotten_is_heard_again(desk: Desk) -> None:
    message = desk.proposal(desk.block())
    desk.hear(message)
    assert desk.knows(message)
    desk.blocks.forget_to(1)
    assert not desk.knows(message)
    assert isinstance(desk.hear(message), ProposalReceived)
    assert desk.knows(message)


def test_a_proposals_block_is_the_one_that_it_names(desk: Desk) -> None:
    block, other = desk.block(), desk.block(desk.little.now_ms + 1)
    named = desk.proposal(block)
    for raw, error in ((other.raw, VerificationError), (block.raw[:-1], CodecError), (b"", CodecError)):
        swapped = proposal_message(Proposal(1, 0, block.value, -1, desk.turn, named.signature), raw)
        with pytest.raises(error):
            desk.hear(swapped)
        assert desk.blocks.get(block.value) is None
        assert not desk.knows(named)
    assert isinstance(desk.hear(named), ProposalReceived)


def test_a_forged_proposal_brings_no_block_into_the_cache(desk: Desk) -> None:
    block = desk.block()
    forged = Proposal(1, 0, block.value, -1, desk.turn, FORGED)
    with pytest.raises(VerificationError):
        desk.hear(proposal_message(forged, block.raw))
    assert len(desk.blocks) == 0


def test_what_is_cheap_is_asked_of_a_proposal_before_what_is_dear(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its block's size and count on the raw bytes, then the proposer's signature, then its body."""
    asked: list[str] = []
    bounds = desk.little.replica.bounds
    many = b"\x93" + desk.block().header.encoded() + b"\xdd\x00\x7f\xff\xff" + b"\xc4\x00" * 1000
    large = b"\x93" + desk.block().header.encoded() + bytes(bounds.block_bytes)
    true = desk.proposal(desk.block())

    def verify(proposal: Proposal, *rest: object) -> None:
        asked.append("signature")
        if proposal.signature == FORGED:
            raise VerificationError("forged")

    def opened(raw: bytes, *rest: object) -> SealedBlock:
        asked.append("body")
        raise CodecError("no block")

    monkeypatch.setattr("node.verifier.verify_proposal", verify)
    monkeypatch.setattr("node.verifier.open_block", opened)
    for raw, signature, expected in (
        (many, true.signature, []),
        (large, true.signature, []),
        (true.block, FORGED, ["signature"]),
        (true.block, true.signature, ["signature", "body"]),
    ):
        asked.clear()
        proposal = Proposal(1, 0, true.value, -1, desk.turn, signature)
        with pytest.raises((VerificationError, CodecError)):
            desk.hear(proposal_message(proposal, raw))
        assert asked == expected


def test_a_block_of_another_height_than_its_proposal_is_none(desk: Desk) -> None:
    block = desk.block()
    turn = proposer(desk.little.replica.validators_at(2), 2, 0)
    proposal = Proposal(2, 0, block.value, -1, turn)
    signature = desk.signed(proposal, turn)
    with pytest.raises(VerificationError, match="of height 1, its proposal of 2"):
        desk.hear(proposal_message(replace(proposal, signature=signature), block.raw))
    assert len(desk.blocks) == 0


def test_what_is_known_is_bounded_and_ends_with_its_height(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SEEN_MAX > 3
    monkeypatch.setattr("node.verifier.SEEN_MAX", 3)
    messages = [vote_message(desk.vote(number)) for number in range(4)]
    for message in messages:
        desk.hear(message)
    assert [desk.knows(message) for message in messages] == [False, False, False, True]
    desk.verifier.clear()
    assert not desk.knows(messages[3])
    assert isinstance(desk.hear(messages[3]), VoteReceived)  # forgetting costs a second look, nothing else


def test_a_downloaded_block_comes_with_the_proof_that_it_was_decided(desk: Desk) -> None:
    block, other = desk.block(), desk.block(desk.little.now_ms + 1)
    whole = desk.commit(block)

    def proved(raw: bytes, certificate: Certificate, height: int = 1) -> Certificate:
        item = Downloaded(raw, encode_certificate(certificate), "peer")
        found, said = desk.verifier.proved(height, item)
        assert found.raw == raw
        return said

    assert proved(block.raw, whole) == whole
    first, second, _ = whole.signatures
    for raw, certificate, height in (
        (other.raw, whole, 1),
        (block.raw, whole, 2),
        (block.raw, replace(whole, type=VoteType.PREVOTE), 1),
        (block.raw, replace(whole, signatures=(first, second)), 1),
        (block.raw, replace(whole, signatures=(first, second, (2, FORGED))), 1),
    ):
        with pytest.raises(VerificationError):
            proved(raw, certificate, height)
    with pytest.raises(CodecError):
        desk.verifier.proved(1, Downloaded(block.raw, b"\xff", "peer"))


# --- behind the inbox, as the driver has it


async def test_through_the_inbox_nothing_is_lost_and_each_peer_keeps_its_order(
    desk: Desk, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Three peers say more than their share of the room, one of them forges every second message."""
    inbox = Inbox()
    each = VOTES_OF_PEER_MAX + 10
    peers = ("mof", "sbp", "pvara")

    async def say(number: int, peer: str) -> None:
        for count in range(each):
            true = vote_message(desk.vote(number, count.to_bytes(32, "big")))
            forged = vote_message(replace(desk.vote(number), value=count.to_bytes(32, "big")))
            await inbox.put(Heard(peer, forged if peer == "sbp" and count % 2 else true, count))

    for number, peer in enumerate(peers):
        nursery.start_soon(say, number, peer)
    said: dict[str, list[int]] = {peer: [] for peer in peers}
    refused: list[int] = []
    for _ in range(each * len(peers)):
        with trio.fail_after(1):
            heard = await inbox.take(trio.current_time() + 1)
        assert heard is not None
        try:
            desk.verifier.verified(heard)
        except VerificationError:
            assert heard.peer == "sbp"
            refused.append(heard.received_ms)
        else:
            said[heard.peer].append(heard.received_ms)
    assert said["mof"] == said["pvara"] == list(range(each))
    assert said["sbp"] == list(range(0, each, 2))
    assert refused == list(range(1, each, 2))
    assert await inbox.take(trio.current_time() + 1) is None


async def test_a_peer_that_goes_while_it_waits_for_room_takes_no_room_with_it(
    desk: Desk, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    inbox = Inbox()
    heard = Heard("mof", vote_message(desk.vote(0)), HEARD_MS)
    for _ in range(VOTES_OF_PEER_MAX):
        await inbox.put(heard)
    with trio.move_on_after(1) as gone:
        await inbox.put(heard)
    assert gone.cancelled_caught
    for _ in range(VOTES_OF_PEER_MAX):
        assert await inbox.take(trio.current_time() + 1) == heard
    assert await inbox.take(trio.current_time() + 1) is None
    for _ in range(VOTES_OF_PEER_MAX):  # all of its room is there again
        with trio.fail_after(1):
            await inbox.put(heard)


async def test_a_reader_that_is_cancelled_while_it_waits_loses_no_message(
    desk: Desk, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    inbox = Inbox()
    with trio.move_on_after(1):
        await inbox.take(float("inf"))
    vote = vote_message(desk.vote(0))
    await inbox.put(Heard("mof", vote, HEARD_MS))
    heard = await inbox.take(trio.current_time() + 1)
    assert heard is not None
    assert desk.verifier.verified(heard) == VoteReceived(desk.vote(0))
