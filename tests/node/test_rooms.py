"""The rooms of the driver, each alone: the inbox, the timers, the log of inputs, the hands of the engine."""

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from consensus.engine import Engine
from consensus.events import (
    Broadcast,
    BuildBlock,
    CheckBlock,
    Commit,
    Diverged,
    Effect,
    HeightStarted,
    Persist,
    ScheduleTimeout,
    SignProposal,
    SignVote,
    TimeoutFired,
    TimeoutStep,
    VoteReceived,
    WorkAvailable,
)
from consensus.messages import Certificate, Proposal, Vote, VoteType
from ledger.codes import Code, Refused
from node.application import LedgerApplication
from node.blockcache import BlockCache
from node.chain import Chain
from node.door import Share
from node.examiner import Examiner
from node.handover import HandOver
from node.host import Host
from node.inbox import Heard, Inbox
from node.inputlog import FORGET_EVERY, InputLog
from node.limits import BLOCKS_OF_PEER_MAX, VOTES_OF_PEER_MAX
from node.mempool import Mempool
from node.pace import Pace
from node.replica import StateDivergence
from node.sealed import SealedBlock, open_block, seal
from node.signer import KeyInMemory, Signer
from node.timers import Timers
from node.translation import timing_of
from storage.errors import StorageCorrupt
from storage.signer import SignerStore
from storage.wal import WriteAheadLog
from testing.cluster import run_inline
from testing.keys import key
from testing.little_chain import LittleChain
from wire.blocks import Block
from wire.messages import Message, ProposalMessage, VoteMessage

VOTE = VoteMessage(1, 1, 0, None, 0, bytes(64))


# --- inbox ------------------------------------------------------------------------------------------------


async def test_a_peers_flood_waits_in_its_own_connection_and_not_before_the_others(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    inbox = Inbox()
    heard: dict[str, int] = {}

    async def flood(peer: str, message: ProposalMessage | VoteMessage) -> None:
        while True:
            await inbox.put(Heard(peer, message, 0))
            heard[peer] = heard.get(peer, 0) + 1

    vote = VoteMessage(1, 1, 0, None, 0, bytes(64))
    proposal = ProposalMessage(1, 0, bytes(32), -1, 0, bytes(64), bytes(2**24))
    nursery.start_soon(flood, "votes", vote)
    nursery.start_soon(flood, "blocks", proposal)
    await trio.sleep(1)
    assert heard == {"votes": VOTES_OF_PEER_MAX, "blocks": BLOCKS_OF_PEER_MAX}
    with trio.fail_after(1):
        await inbox.put(Heard("another", vote, 0))
        await inbox.put(Heard("another", proposal, 0))
    nursery.cancel_scope.cancel()


async def test_whoever_is_woken_looks_once_and_not_for_each_call(
    autojump_clock: trio.testing.MockClock,
) -> None:
    inbox = Inbox()
    for _ in range(10):
        inbox.wake()
    await inbox.put(Heard("mof-1", VOTE, 5))
    assert await inbox.take(10) is None
    assert await inbox.take(10) == Heard("mof-1", VOTE, 5)
    before = trio.current_time()
    assert await inbox.take(before + 2) is None
    assert trio.current_time() == before + 2


# --- timers -----------------------------------------------------------------------------------------------


async def test_timeouts_fire_in_the_order_of_their_time_and_then_of_their_start(
    autojump_clock: trio.testing.MockClock,
) -> None:
    timers = Timers()
    now = trio.current_time()
    assert timers.next_s == float("inf")
    for number, duration_ms in enumerate((300, 100, 200, 100)):
        timers.start(TimeoutFired(TimeoutStep.PROPOSE, 1, number), duration_ms)
    assert timers.next_s == now + 0.1
    fired = []
    while (due := timers.take_due(now + 0.2)) is not None:
        fired.append(due.round)
    assert fired == [1, 3, 2]
    timers.clear()
    assert timers.take_due(now + 10) is None


# --- the log of inputs ------------------------------------------------------------------------------------


@pytest.fixture
def little(tmp_path: Path) -> Any:
    chain = LittleChain(tmp_path)
    yield chain
    chain.close()


async def test_inputs_and_blocks_are_one_write_when_something_rests_on_them(
    tmp_path: Path, little: LittleChain
) -> None:
    wal = WriteAheadLog(tmp_path / "wal", map_bytes=2**24)
    inputs = InputLog(wal, run_inline)
    block = little.build()
    inputs.note(WorkAvailable(1))
    assert wal.read(1) == []
    await inputs.persist(1, [block])
    inputs.note(TimeoutFired(TimeoutStep.PROPOSE, 1, 0))
    await inputs.persist(1, [block])
    await inputs.persist(1, [block])  # nothing new: nothing is written
    again = InputLog(wal, run_inline)
    assert await again.inputs(1) == [WorkAvailable(1), TimeoutFired(TimeoutStep.PROPOSE, 1, 0)]
    assert [found.raw for found in await again.blocks(1, frozenset({block.value}))] == [block.raw]
    assert await again.blocks(1, frozenset()) == []
    wal.close()


async def test_the_log_of_decided_heights_is_cut_and_what_was_not_written_is_dropped(tmp_path: Path) -> None:
    wal = WriteAheadLog(tmp_path / "wal", map_bytes=2**24)
    inputs = InputLog(wal, run_inline)
    inputs.note(WorkAvailable(FORGET_EVERY))
    await inputs.persist(FORGET_EVERY, [])
    inputs.note(WorkAvailable(FORGET_EVERY))
    await inputs.advance(FORGET_EVERY)
    assert wal.read(FORGET_EVERY) == []
    await inputs.persist(FORGET_EVERY + 1, [])
    assert wal.read(FORGET_EVERY + 1) == []
    wal.close()


async def test_a_log_that_is_not_what_we_wrote_is_named(tmp_path: Path) -> None:
    wal = WriteAheadLog(tmp_path / "wal", map_bytes=2**24)
    wal.append(3, [b"\xc1"], {bytes(32): b"no block"})
    inputs = InputLog(wal, run_inline)
    with pytest.raises(StorageCorrupt, match="height 3"):
        await inputs.inputs(3)
    with pytest.raises(StorageCorrupt, match="height 3 value 00"):
        await inputs.blocks(3, frozenset({bytes(32)}))
    wal.close()


# --- the host ---------------------------------------------------------------------------------------------


class Hands:
    """A host on a little chain, in which the validator mof stands at position 0."""

    def __init__(self, folder: Path, little: LittleChain) -> None:
        self.little = little
        self.said: list[Message] = []
        self.wal = WriteAheadLog(folder / "wal", map_bytes=2**24)
        self.signatures = SignerStore(folder / "signer", map_bytes=2**20)
        self.signatures.initialise(1)
        self.engine = Engine()
        self.blocks = BlockCache()
        self.inputs = InputLog(self.wal, run_inline)
        self.timers = Timers()
        replica = little.replica
        pool = Mempool(
            check=self._check,
            share_of=lambda signer: Share(signer, 2**20),
            is_committed=lambda identity: False,
            still_open=lambda s, n: True,
        )
        application = LedgerApplication(little.chain, pool)
        self.host = Host(
            engine=self.engine,
            application=application,
            pace=Pace(),
            examiner=Examiner(
                open=open_block,
                check=application.check,
                is_wanted=lambda proposal: True,
                is_quiet=lambda: True,
                wake=lambda: None,
                run_sync=run_inline,
            ),
            replica=replica,
            blocks=self.blocks,
            inputs=self.inputs,
            timers=self.timers,
            signer=Signer(KeyInMemory(key("mof node")), self.signatures, replica.genesis_hash),
            mouth=self,
            now_ms=lambda: little.now_ms,
            run_sync=run_inline,
        )
        self.engine.step(HeightStarted(1, replica.validators, 0, timing_of(replica.parameters), True))

    def _check(self, transaction: object, verified: bool, crowded: bool) -> None:
        pass

    def broadcast(self, message: Message) -> None:
        self.said.append(message)

    async def perform(self, *effects: Effect) -> list[Any]:
        return [said for effect in effects for said in await self.host.perform(effect)]

    def close(self) -> None:
        self.wal.close()
        self.signatures.close()


@pytest.fixture
def hands(tmp_path: Path, little: LittleChain) -> Any:
    hands = Hands(tmp_path, little)
    yield hands
    hands.close()


async def test_what_is_signed_is_said_and_heard_by_ourselves(hands: Hands) -> None:
    vote = Vote(VoteType.PREVOTE, 1, 0, None, 0)
    (heard,) = await hands.perform(SignVote(vote))
    assert isinstance(heard, VoteReceived)
    assert [message.signature for message in hands.said] == [heard.vote.signature]  # type: ignore[attr-defined]


async def test_a_refusal_of_the_signer_is_silence(hands: Hands) -> None:
    await hands.perform(SignVote(Vote(VoteType.PREVOTE, 1, 0, None, 0)))
    assert await hands.perform(SignVote(Vote(VoteType.PREVOTE, 1, 0, b"v" * 32, 0))) == []
    hands.host.silent_to = 2
    assert await hands.perform(SignVote(Vote(VoteType.PREVOTE, 2, 0, None, 0))) == []
    assert len(hands.said) == 1


async def test_a_block_is_built_kept_checked_proposed_and_logged(hands: Hands) -> None:
    (built,) = await hands.perform(BuildBlock(1, 0))
    block = hands.blocks.get(built.value)
    assert isinstance(block, SealedBlock)
    (checked,) = await hands.perform(CheckBlock(1, built.value))
    assert checked.valid
    (proposed,) = await hands.perform(SignProposal(Proposal(1, 0, built.value, -1, 0)))
    assert proposed.timely
    assert isinstance(hands.said[0], ProposalMessage)
    assert hands.said[0].block == block.raw
    hands.inputs.note(proposed)
    await hands.perform(Persist(built.value))
    assert hands.wal.blocks(1) == {built.value: block.raw}
    assert len(hands.wal.read(1)) == 1


async def test_what_is_not_at_hand_is_neither_judged_nor_said(hands: Hands) -> None:
    elsewhere = Proposal(1, 0, b"v" * 32, -1, 0, bytes(64))
    assert await hands.perform(CheckBlock(1, b"v" * 32), SignProposal(elsewhere), Broadcast(elsewhere)) == []
    assert hands.said == []


async def test_a_decision_against_our_own_verdict_stops_the_node_and_says_why(hands: Hands) -> None:
    block = hands.little.build().block
    wrong = seal(Block(replace(block.header, state_root=b"\1" * 32), (), ()))
    hands.blocks.put(wrong)
    certificate = Certificate(VoteType.PRECOMMIT, 1, 0, wrong.value, ())
    with pytest.raises(StateDivergence, match="state_root"):
        await hands.perform(Diverged(1, wrong.value, certificate))
    await hands.perform(Commit(1, wrong.value, certificate))
    assert hands.host.decided == Commit(1, wrong.value, certificate)


async def test_a_timeout_runs_from_when_it_was_asked_for(hands: Hands) -> None:
    now = trio.current_time()
    await hands.perform(ScheduleTimeout(TimeoutStep.RESEND, 1, 0, 50))
    assert now <= hands.timers.next_s <= trio.current_time() + 0.05


async def test_a_job_is_done_when_the_driver_comes_to_it_and_its_error_is_the_askers(tmp_path: Path) -> None:
    little, woken, heights = LittleChain(tmp_path), [0], []

    def wake() -> None:
        woken[0] += 1

    def refuses(chain: Chain) -> None:
        raise Refused(Code.NOT_FOUND, "holding", chain.height)

    async def ask(handover: HandOver) -> None:
        heights.append(await handover.do(lambda chain: chain.height))
        with pytest.raises(Refused):
            await handover.do(refuses)
        heights.append(await handover.do(lambda chain: chain.height))

    handover = HandOver(little.chain, wake)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, handover)
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            little.commit()
            handover.run()
        await trio.testing.wait_all_tasks_blocked()
    assert (heights, woken) == ([1, 3], [3])
    little.close()
