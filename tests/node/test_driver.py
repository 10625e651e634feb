"""One node's driver, spoken to by hand by the other three validators: what it must survive."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from consensus.messages import Proposal, Vote, VoteType
from consensus.proposer import proposer
from consensus.verification import sign_bytes
from ledger.transactions import decode_transaction
from node.inbox import Heard
from node.peers import Peer, PeerName
from node.replica import Replica
from node.sealed import SealedBlock, open_block
from primitives.signatures import sign
from storage.errors import StorageCorrupt
from storage.signer import SignerStore
from testing.cluster import VALIDATORS, Cluster, Running
from testing.keys import key
from testing.memory_network import say
from wire.messages import (
    PROTOCOL_VERSION,
    CertificateMessage,
    Hello,
    Message,
    ProposalMessage,
    Reception,
    SyncRequest,
    Transactions,
    VoteMessage,
    proposal_message,
    vote_message,
)

T = TypeVar("T")


class Others:
    """All validators but one, each with its key, and a replica that says what the next block may be."""

    def __init__(self, cluster: Cluster, heights: int) -> None:
        self.cluster = cluster
        self.replica = Replica.at_genesis(cluster.genesis)
        self.validators = self.replica.validators
        turns = {self.turn(height) for height in range(1, heights + 1)}
        self.me = next(name for n, name in enumerate(VALIDATORS) if n not in turns)
        self.others = [n for n, name in enumerate(VALIDATORS) if name != self.me]

    def turn(self, height: int, round: int = 0) -> int:
        return proposer(self.validators, height, round)

    @property
    def running(self) -> Running:
        return self.cluster.nodes[self.me]

    def block(self, later_ms: int = 0, round: int = 0) -> SealedBlock:
        """A block of the next height, as the round's proposer may build it."""
        turn = self.turn(self.replica.height + 1, round)
        return self.replica.build_block(self.cluster.now_ms() + later_ms, (), (), turn)

    def propose(self, block: SealedBlock, round: int = 0) -> ProposalMessage:
        height = block.header.height
        turn = self.turn(height, round)
        proposal = Proposal(height, round, block.header.hash(), -1, turn)
        signature = sign(key(VALIDATORS[turn]), sign_bytes(proposal, self.cluster.genesis_hash))
        return proposal_message(replace(proposal, signature=signature), block.raw)

    def votes(self, type: VoteType, block: SealedBlock | None) -> list[VoteMessage]:
        """Everyone's votes of round 0 for a block, or for nil in the next height."""
        votes = []
        height = self.replica.height + 1 if block is None else block.header.height
        for number in self.others:
            vote = Vote(type, height, 0, None if block is None else block.header.hash(), number)
            signature = sign(key(VALIDATORS[number]), sign_bytes(vote, self.cluster.genesis_hash))
            votes.append(vote_message(replace(vote, signature=signature)))
        return votes

    async def say(self, *messages: VoteMessage | ProposalMessage | CertificateMessage) -> None:
        """The node hears and has worked on all of `messages`."""
        driver = self.running.node.driver
        for message in messages:
            await driver.hear(Heard(VALIDATORS[self.others[0]], message, self.cluster.now_ms()))
        await trio.sleep(0.001)

    async def decide(self, block: SealedBlock, propose: bool = True) -> None:
        messages: Sequence[VoteMessage | ProposalMessage] = [
            *self.votes(VoteType.PREVOTE, block),
            *self.votes(VoteType.PRECOMMIT, block),
        ]
        await self.say(*([self.propose(block)] if propose else []), *messages)


async def _started(cluster: Cluster, others: Others) -> None:
    await cluster.start(others.me)
    await trio.sleep(1.5)  # it waits a second to hear from others


async def test_a_proposal_of_the_next_height_in_the_log_does_not_halt_a_restarted_node(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    others = Others(cluster, 2)
    await _started(cluster, others)
    first = others.block()
    others.replica.execute(first)
    second = others.block()
    await others.say(others.propose(first), others.propose(second))  # the second one height early
    await others.say(*others.votes(VoteType.PREVOTE, first))  # it precommits: all of this is in its log
    await cluster.kill(others.me)
    await _started(cluster, others)
    await others.say(*others.votes(VoteType.PRECOMMIT, first))
    assert others.running.height == 1
    await others.decide(second)  # said again, for it may have been lost
    assert others.running.failure is None
    assert others.running.height == 2
    nursery.cancel_scope.cancel()


async def test_a_flood_of_proposals_does_not_push_out_the_block_under_vote(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    others = Others(cluster, 1)
    await _started(cluster, others)
    honest = others.block()
    neither = (others.turn(1), VALIDATORS.index(others.me))
    round = next(number for number in range(1, 9) if others.turn(1, number) not in neither)
    await others.say(others.propose(honest))
    flood = [others.propose(others.block(later_ms=number, round=round), round) for number in range(1, 200)]
    await others.say(*flood)
    await others.decide(honest, propose=False)
    assert others.running.failure is None
    assert others.running.height == 1  # there is nobody to sync from
    nursery.cancel_scope.cancel()


async def test_a_transaction_that_lost_its_sequence_to_another_does_not_drive_the_chain(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS)
    await cluster.reached(2)
    one = cluster.act(advance_ms=1)
    cluster._sequences.clear()
    other = cluster.act(advance_ms=2)  # the same sequence of the same signer
    cluster.nodes["sbp-1"].node.submit(other)
    cluster.nodes["mof-1"].node.submit(one)
    await trio.sleep(2)
    assert [len(running.node.mempool) for running in cluster.nodes.values()] == [0, 0, 0, 0]
    before = cluster.nodes["mof-1"].height
    await trio.sleep(10)
    assert cluster.nodes["mof-1"].height - before <= 12  # one block a second, for there is nothing to do
    nursery.cancel_scope.cancel()


async def test_a_damaged_old_block_is_not_given_to_a_peer_and_stops_nobody(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start("mof-1", "sbp-1", "secp-1")
    await cluster.reached(6)
    running = cluster.nodes["mof-1"]
    stored = running.blocks.block

    def damaged(height: int) -> bytes | None:
        if height == 2:
            raise StorageCorrupt(
                "blocks", "blocks of height 2", "the stored bytes do not match their checksum"
            )
        return stored(height)

    running.blocks.block = damaged  # type: ignore[method-assign]
    await cluster.start("pvara-1")  # it asks mof too, and gets it from the others
    await cluster.reached(8, seconds=60)
    response = running.node._past(SyncRequest(1, 5))
    assert len(response.blocks) == 1
    assert running.failure is None
    nursery.cancel_scope.cancel()


async def test_a_peer_that_passes_on_a_bad_signature_is_hung_up_on(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start("mof-1")
    link = cluster.network.connect(PeerName("secp", "secp-1"), "mof-1")
    bad = bytearray(cluster.act())
    bad[-1] ^= 1
    good = cluster.act(signer=1)
    hello = Hello(PROTOCOL_VERSION, cluster.genesis_hash, "secp-1", 0, 1)
    await say(link.stream, hello, Reception(""), Transactions((good, bytes(bad))))
    with trio.fail_after(5):
        while await link.stream.receive_some(65536):
            pass
    assert len(cluster.nodes["mof-1"].node.mempool) == 1
    nursery.cancel_scope.cancel()


async def test_a_node_that_lost_its_log_is_silent_in_the_height_that_it_has_signed(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    others = Others(cluster, 2)
    await _started(cluster, others)
    block = others.block()
    await others.say(others.propose(block), *others.votes(VoteType.PREVOTE, block))
    await cluster.kill(others.me)
    shutil.rmtree(ram_path / others.me / "wal")  # and with it, what it has locked
    await _started(cluster, others)
    await others.say(*others.votes(VoteType.PRECOMMIT, None))
    await trio.sleep(5)  # into later rounds
    assert others.running.node.driver.engine.round > 0
    assert _last_signed(others) == (1, 0, 3)
    others.replica.execute(block)
    signatures = tuple((vote.validator, vote.signature) for vote in others.votes(VoteType.PRECOMMIT, block))
    await others.say(others.propose(block), CertificateMessage(2, 1, 0, block.header.hash(), signatures))
    assert others.running.height == 1
    await others.decide(others.block())
    assert _last_signed(others) == (2, 0, 3)
    nursery.cancel_scope.cancel()


def _last_signed(others: Others) -> tuple[int, int, int] | None:
    store: SignerStore = others.running.stores[3]
    last = store.last()
    return None if last is None else (last.height, last.round, last.step)


async def test_what_would_not_be_remembered_is_dropped_before_anything_of_it_is_verified(
    ram_path: Path,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Proposals of ever farther rounds cost their receiver a signature and a block only while they double."""
    cluster = Cluster(ram_path, nursery)
    others = Others(cluster, 1)
    await _started(cluster, others)
    opened: list[bytes] = []

    def counted(raw: bytes, *rest: object) -> SealedBlock:
        opened.append(raw)
        return open_block(raw)

    monkeypatch.setattr("node.verifier.open_block", counted)
    mine = VALIDATORS.index(others.me)
    liar = next(number for number in others.others if number != others.turn(1))
    rounds = [number for number in range(1_000, 1_800) if others.turn(1, number) == liar]
    flood = [others.propose(others.block(later_ms=n, round=n), n) for n in rounds]
    assert len(flood) > 100
    assert liar != mine
    await others.say(*flood)
    assert len(opened) == 1
    far = next(number for number in range(2_100, 2_200) if others.turn(1, number) == liar)
    await others.say(others.propose(others.block(round=far), far))
    assert len(opened) == 2
    early = others.turn(2)
    first = others.block()
    others.replica.execute(first)
    await others.say(*(others.propose(others.block(later_ms=number)) for number in range(50)))
    assert others.turn(2) == early
    assert len(opened) == 4  # two of the next height
    nursery.cancel_scope.cancel()


async def test_a_block_under_examination_holds_up_no_vote(
    ram_path: Path,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.examiner.DONE_HERE_BYTES_MAX", 0)
    cluster = Cluster(ram_path, nursery)
    others = Others(cluster, 2)
    await _started(cluster, others)
    driver = others.running.node.driver
    door, begun = trio.Event(), trio.Event()

    async def in_a_thread(call: Callable[..., T], *args: Any) -> T:
        begun.set()
        await door.wait()
        return call(*args)

    monkeypatch.setattr(driver._examiner, "_run_sync", in_a_thread)
    block = others.block()
    await others.say(others.propose(block))
    assert begun.is_set()
    await others.say(*others.votes(VoteType.PREVOTE, None), *others.votes(VoteType.PRECOMMIT, None))
    await trio.sleep(1)
    assert driver.engine.round == 1
    door.set()
    await others.say(others.propose(block))
    await others.say(*others.votes(VoteType.PREVOTE, block), *others.votes(VoteType.PRECOMMIT, block))
    assert others.running.height == 0  # they voted nil: these are lies
    nursery.cancel_scope.cancel()


async def test_a_flood_from_one_certified_peer_costs_no_honest_transaction_its_place(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Expired transactions are refused before their signatures are looked at: the cheapest flood there is."""
    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS)
    await cluster.reached(1)
    now_ms = cluster.now_ms
    cluster.now_ms = lambda: now_ms() - 3_600_000  # type: ignore[method-assign]
    expired = tuple(cluster.act(signer=signer) for signer in range(40))
    cluster.now_ms = now_ms  # type: ignore[method-assign]
    honest = tuple(cluster.act(signer=signer) for signer in range(40, 70))
    liar, friend, *others = VALIDATORS
    for name in others:
        node = cluster.nodes[name].node
        for _ in range(100):
            await node.heard(node.peers.connected[liar], Transactions(expired))
        await node.heard(node.peers.connected[friend], Transactions(honest))
    await trio.sleep(0.001)
    for name in others:
        running = cluster.nodes[name]
        for identity in (decode_transaction(raw).id for raw in honest):
            assert running.node.waiting(identity) or running.blocks.find_transaction(identity)
    await trio.sleep(5)
    assert all(running.blocks.find_transaction(decode_transaction(raw).id) for raw in honest)
    assert liar in cluster.nodes[others[0]].node.peers.connected  # it has a price, but may be honest
    nursery.cancel_scope.cancel()


async def test_what_a_peer_had_no_room_for_is_told_again(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start("mof-1", "sbp-1")  # no quorum: nothing is committed
    await trio.sleep(2)
    peer = cluster.nodes["sbp-1"].node
    heard = peer.heard
    lost: list[Message] = []

    async def deaf(speaker: Peer, message: Message) -> None:
        if isinstance(message, Transactions) and not lost:
            lost.append(message)
        else:
            await heard(speaker, message)

    peer.heard = deaf  # type: ignore[assignment]
    raw = cluster.act()
    cluster.nodes["mof-1"].node.submit(raw)
    await trio.sleep(1)
    assert lost
    assert len(peer.mempool) == 0
    await trio.sleep(3)
    assert peer.mempool.decoded(raw) is not None
    nursery.cancel_scope.cancel()
