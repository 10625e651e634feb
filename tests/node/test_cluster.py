"""Four nodes in one process: they commit, survive crashes, catch up, and out-vote a liar."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from msgspec.structs import replace

from api.sources import Submission
from consensus.encoding import decode_input, encode_certificate
from consensus.engine import Engine
from consensus.messages import Certificate, Vote, VoteType
from consensus.verification import sign_bytes
from ledger.codes import Refused
from ledger.transactions import decode_transaction
from node.chain import Chain, StateDivergence
from node.peers import PeerName
from node.runtime import Node
from node.sealed import SealedBlock, seal
from primitives.hashing import EVIDENCE_LIST, TX_LIST
from primitives.merkle import list_root
from primitives.signatures import sign
from storage.errors import StorageFull
from testing.cluster import VALIDATORS, Cluster, new_genesis
from testing.keys import key
from testing.memory_network import say
from wire.blocks import Block, decode_block
from wire.frames import LIMITS, FrameReceiver, FrameSender
from wire.messages import (
    PROTOCOL_VERSION,
    Hello,
    Message,
    ProposalMessage,
    Reception,
    Status,
    SyncRequest,
    SyncResponse,
    VoteMessage,
    decode_message,
    encode_message,
)

Lie = Callable[[Block, Cluster], Block]


async def test_four_nodes_commit_a_signed_transaction(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS)
    height = await cluster.commit("mof-1", cluster.act())
    await cluster.reached(height)
    cluster.assert_agreement()
    offsets = {running.chain.replica.state.chain[0].clock_offset_ms for running in cluster.nodes.values()}
    assert offsets == {1}
    nursery.cancel_scope.cancel()


async def test_a_resend_is_a_duplicate_and_a_stranger_is_refused(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS)
    raw = cluster.act()
    node = cluster.nodes["sbp-1"].node
    assert node.submit(raw)[0] is Submission.ACCEPTED
    assert node.submit(raw)[0] is Submission.PENDING
    assert await node.wait_committed(decode_transaction(raw).id, 10)
    assert node.submit(raw)[0] is Submission.COMMITTED
    broken = bytearray(cluster.act(signer=1))
    broken[-1] ^= 1
    with pytest.raises(Refused, match="bad_signature"):
        node.submit(bytes(broken))
    nursery.cancel_scope.cancel()


async def test_empty_blocks_come_once_per_idle_interval_and_one_follows_work_at_once(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS)
    await cluster.reached(2)
    before = cluster.nodes["mof-1"].height
    await trio.sleep(10)
    assert 8 <= cluster.nodes["mof-1"].height - before <= 11
    height = await cluster.commit("mof-1", cluster.act())
    await cluster.reached(height + 1, seconds=0.5)
    nursery.cancel_scope.cancel()


async def test_a_node_that_was_killed_catches_up_and_its_vote_counts_again(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS)
    await cluster.reached(3)
    await cluster.kill("pvara-1")
    for number in range(25):
        await cluster.commit("mof-1", cluster.act(signer=number))
    behind = cluster.nodes["mof-1"].height
    await cluster.start("pvara-1")
    await cluster.reached(behind, "pvara-1")
    assert cluster.nodes["pvara-1"].node.health().voting
    await cluster.kill("secp-1")  # now nothing is decided without pvara's vote
    height = await cluster.commit("mof-1", cluster.act(signer=30), seconds=60)
    await cluster.reached(height)
    cluster.assert_agreement()
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(6))
async def test_all_nodes_killed_at_any_moment_recover_and_lose_nothing_acknowledged(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, seed: int
) -> None:
    draw = random.Random(seed)
    cluster = Cluster(ram_path, nursery)
    acknowledged: list[bytes] = []
    signer = 0
    for _ in range(3):
        await cluster.start(*VALIDATORS)
        raw = cluster.act(signer=signer)
        await cluster.commit(draw.choice(VALIDATORS), raw, seconds=60)
        acknowledged.append(decode_transaction(raw).id)
        signer += 1
        for _ in range(3):  # work under way when the light goes out
            cluster.nodes[draw.choice(VALIDATORS)].node.submit(cluster.act(signer=signer))
            signer += 1
        for _ in range(draw.randrange(60)):
            await trio.lowlevel.checkpoint()
        await trio.sleep(draw.random() * 0.02)
        for name in draw.sample(VALIDATORS, 4):
            await cluster.kill(name)
            for _ in range(draw.randrange(5)):
                await trio.lowlevel.checkpoint()
    await cluster.start(*VALIDATORS)
    height = await cluster.commit("mof-1", cluster.act(signer=signer), seconds=60)
    await cluster.reached(height)
    cluster.assert_agreement()
    for running in cluster.nodes.values():
        assert all(running.blocks.find_transaction(identity) is not None for identity in acknowledged)
    nursery.cancel_scope.cancel()


async def test_two_of_four_cannot_decide_and_their_health_says_whose_votes_are_missing(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS)
    await cluster.reached(2)
    assert cluster.nodes["mof-1"].node.health().advancing
    await cluster.kill("pvara-1")
    await cluster.kill("secp-1")
    height = cluster.nodes["mof-1"].height
    await trio.sleep(30)
    health = cluster.nodes["mof-1"].node.health()
    assert cluster.nodes["mof-1"].height <= height + 1
    assert not health.advancing
    assert {"pvara-1", "secp-1"} & set(health.missing)
    await cluster.start("pvara-1")
    await cluster.reached(height + 2, seconds=120)
    assert cluster.nodes["mof-1"].node.health().advancing
    nursery.cancel_scope.cancel()


def _wrong_root(block: Block, cluster: Cluster) -> Block:
    header = msgspec.structs.replace(block.header, state_root=b"\1" * 32)
    return Block(header, block.transactions, block.evidence)


def _bad_signature(block: Block, cluster: Cluster) -> Block:
    raw = bytearray(cluster.act(signer=39))
    raw[-1] ^= 1
    return _with(block, (*block.transactions, bytes(raw)))


def _oversized(block: Block, cluster: Cluster) -> Block:
    return _with(block, tuple(bytes((number,)) * 200_000 for number in range(4)))


def _stale_time(block: Block, cluster: Cluster) -> Block:
    return Block(
        msgspec.structs.replace(block.header, time_ms=block.header.time_ms - 5_000),
        block.transactions,
        block.evidence,
    )


def _another_body(block: Block, cluster: Cluster) -> Block:
    return Block(block.header, (b"not what the header commits to",), ())


def _with(block: Block, transactions: tuple[bytes, ...]) -> Block:
    roots = {"txs_root": list_root(TX_LIST, transactions), "evidence_root": list_root(EVIDENCE_LIST, ())}
    return Block(msgspec.structs.replace(block.header, **roots), transactions, ())


@pytest.mark.parametrize("lie", [_wrong_root, _bad_signature, _oversized, _stale_time, _another_body])
async def test_a_lying_proposer_is_out_voted(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, lie: Lie
) -> None:
    cluster = Cluster(ram_path, nursery, new_genesis(block_bytes=512 * 1024, idle_ms=6_000))
    liar = "pvara-1"
    lies = 0

    def corrupt(node: Node, chain: Chain) -> None:
        honest = chain.replica.build_block

        def build_block(*args, **kwargs) -> SealedBlock:  # type: ignore[no-untyped-def]
            nonlocal lies
            lies += 1
            return seal(lie(honest(*args, **kwargs).block, cluster))

        chain.replica.build_block = build_block  # type: ignore[method-assign]

    await cluster.start(*(name for name in VALIDATORS if name != liar))
    await cluster.start(liar, change=corrupt)
    for signer in range(4):
        await cluster.commit("mof-1", cluster.act(signer=signer), seconds=120)
    await cluster.reached(15, *(name for name in VALIDATORS if name != liar), seconds=300)
    assert lies > 0
    assert VALIDATORS.index(liar) not in cluster.proposers("mof-1")
    cluster.assert_agreement()
    nursery.cancel_scope.cancel()


async def test_a_node_whose_state_differs_halts_when_a_block_is_decided_against_it(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)

    def corrupt(node: Node, chain: Chain) -> None:
        chain.replica.state_root = b"\1" * 32

    await cluster.start("mof-1", "sbp-1", "pvara-1")
    await cluster.start("secp-1", change=corrupt)
    await cluster.reached(4, "mof-1", "sbp-1", "pvara-1")
    failed = cluster.nodes.pop("secp-1")
    assert isinstance(failed.failure, StateDivergence)
    assert failed.failure.fault.startswith("state_root is")
    assert failed.failure.dump["decided_header"]
    cluster.assert_agreement()
    nursery.cancel_scope.cancel()


class FullAt:
    """A disk that is full from the nth write on."""

    def __init__(self, number: int) -> None:
        self.left = number

    def reached(self, point: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise StorageFull("blocks", "a test's disk")


async def test_a_full_disk_stops_a_node_cleanly_and_it_resumes_when_there_is_room(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start("mof-1", "sbp-1", "pvara-1")
    await cluster.start("secp-1", faults=FullAt(20))
    await cluster.reached(8, "mof-1", "sbp-1", "pvara-1")
    failed = cluster.nodes.pop("secp-1")
    assert isinstance(failed.failure, StorageFull)
    await cluster.start("secp-1")
    await cluster.reached(cluster.nodes["mof-1"].height + 2)
    cluster.assert_agreement()
    nursery.cancel_scope.cancel()


async def test_a_peer_that_does_not_read_costs_bounded_memory_and_delays_nobody(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start("mof-1", "sbp-1", "pvara-1")
    link = cluster.network.connect(PeerName("secp", "secp-1"), "pvara-1")
    await say(link.stream, Hello(PROTOCOL_VERSION, cluster.genesis_hash, "secp-1", 0, 1), Reception(""))
    with trio.move_on_after(5):
        while "secp-1" not in cluster.nodes["pvara-1"].node.peers.connected:
            await trio.sleep(0.01)
    slow = cluster.nodes["pvara-1"].node.peers.connected["secp-1"]
    for number in range(20):
        await cluster.commit("pvara-1", cluster.act(signer=number))
        assert slow.sender.waiting_bytes() <= sum(limits.waiting_bytes_max for limits in LIMITS.values())
    nursery.cancel_scope.cancel()


async def test_a_node_cut_off_for_one_height_catches_up_without_a_restart(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS)
    await cluster.reached(2)
    for other in ("mof-1", "sbp-1", "pvara-1"):
        await cluster.network.separate("secp-1", other)
    height = await cluster.commit("mof-1", cluster.act())
    await cluster.reached(height + 3, "mof-1", "sbp-1", "pvara-1")
    for other in ("mof-1", "sbp-1", "pvara-1"):
        cluster.network.rejoin("secp-1", other)
    await cluster.reached(cluster.nodes["mof-1"].height + 2, seconds=20)
    cluster.assert_agreement()
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "name", [PeerName("mof", "evil-1"), PeerName("pvara", "secp-1")], ids=["unknown", "another institution"]
)
async def test_only_nodes_of_the_ledgers_registry_may_join(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, name: PeerName
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start("mof-1")
    link = cluster.network.connect(name, "mof-1")
    await say(link.stream, Hello(PROTOCOL_VERSION, cluster.genesis_hash, name.node, 0, 1), Reception(""))
    with trio.fail_after(10):
        while await link.stream.receive_some(65536):
            pass
    assert cluster.nodes["mof-1"].node.peers.connected == {}
    nursery.cancel_scope.cancel()


async def test_a_block_without_a_quorum_behind_it_is_not_synced(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start("mof-1")
    running = cluster.nodes["mof-1"]
    block = running.chain.replica.build_block(cluster.now_ms(), (), (), 3)
    value = block.header.hash()
    vote = Vote(VoteType.PRECOMMIT, 1, 0, value, 3)
    signature = sign(key("secp-1"), sign_bytes(vote, cluster.genesis_hash))
    forged = [
        Certificate(VoteType.PRECOMMIT, 1, 0, value, ((3, signature),)),
        Certificate(VoteType.PRECOMMIT, 1, 0, value, tuple((n, signature) for n in (0, 1, 3))),
        Certificate(VoteType.PREVOTE, 1, 0, value, tuple((n, signature) for n in (0, 1, 3))),
    ]
    for certificate in forged:
        link = cluster.network.connect(PeerName("secp", "secp-1"), "mof-1")
        await say(link.stream, Hello(PROTOCOL_VERSION, cluster.genesis_hash, "secp-1", 5, 1), Reception(""))
        sender, receiver = FrameSender(), FrameReceiver()
        for said in (Hello(PROTOCOL_VERSION, cluster.genesis_hash, "secp-1", 5, 1), Reception("")):
            sender.push(*encode_message(said))
        sender.take()  # their numbers are used
        with trio.fail_after(2000):  # distrust lasts longer with each offence
            while data := await link.stream.receive_some(65536):
                for channel, body in receiver.feed(data):
                    message = decode_message(channel, body)
                    answer: Message = Status(5, 0, 1)
                    if isinstance(message, SyncRequest):
                        answer = SyncResponse(1, ((block.raw, encode_certificate(certificate)),))
                    sender.push(*encode_message(answer))
                await link.stream.send_all(sender.take())
        assert running.height == 0
    nursery.cancel_scope.cancel()


async def test_what_a_node_says_is_never_ahead_of_its_log(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    said: list[VoteMessage | ProposalMessage] = []

    def watch(node: Node, chain: Chain) -> None:
        broadcast, wal = node.broadcast, node.driver._inputs._wal

        def check(message: Message) -> None:
            if isinstance(message, VoteMessage | ProposalMessage):
                engine = Engine()  # as it would be after a crash at this very moment
                for entry in wal.read(message.height):
                    engine.step(decode_input(entry))
                assert engine.state == node.driver.engine.state
                if message.value is not None and getattr(message, "type", 2) == 2:
                    assert message.value in wal.blocks(message.height)
                said.append(message)
            broadcast(message)

        node.broadcast = check  # type: ignore[method-assign]

    await cluster.start(*VALIDATORS, change=watch)
    for signer in range(4):
        await cluster.commit("mof-1", cluster.act(signer=signer))
    assert {type(message) for message in said} == {VoteMessage, ProposalMessage}
    nursery.cancel_scope.cancel()


async def test_a_proposer_that_sends_one_node_another_body_halts_nobody(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    lies = 0

    def corrupt(node: Node, chain: Chain) -> None:
        def broadcast(message: Message) -> None:
            nonlocal lies
            for peer in list(node.peers.connected.values()):
                if isinstance(message, ProposalMessage) and peer.name == "mof-1":
                    lies += 1
                    peer.say(
                        replace(message, block=_another_body(decode_block(message.block), cluster).encoded())
                    )
                else:
                    peer.say(message)

        node.broadcast = broadcast  # type: ignore[method-assign]

    await cluster.start("mof-1", "sbp-1", "secp-1")
    await cluster.start("pvara-1", change=corrupt)
    for signer in range(8):
        await cluster.commit("sbp-1", cluster.act(signer=signer), seconds=60)
    await cluster.reached(cluster.nodes["sbp-1"].height, seconds=60)
    assert lies > 0
    assert cluster.nodes["mof-1"].failure is None
    cluster.assert_agreement()
    nursery.cancel_scope.cancel()


async def test_a_node_that_joins_is_told_what_waits(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start("mof-1")
    raw = cluster.act()
    cluster.nodes["mof-1"].node.submit(raw)
    await trio.sleep(1)
    await cluster.start("sbp-1")
    await trio.sleep(2)
    assert cluster.nodes["sbp-1"].node.waiting(decode_transaction(raw).id) is not None
    nursery.cancel_scope.cancel()
