"""The examiner alone: one thing at a time, off the event loop, the doubted last, nothing that none wants."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from consensus.errors import VerificationError
from consensus.events import BlockChecked
from consensus.messages import Proposal
from node.doubts import Doubts
from node.examiner import Examiner, Opened, Proposed, Unfit
from node.inbox import Heard
from node.limits import DOUBT_BLOCKS, DOUBTED_MAX, OPENINGS_OF_PEER_MAX
from node.ports import GivenUp
from node.sealed import SealedBlock
from testing.little_chain import LittleChain
from wire.messages import proposal_message

T = TypeVar("T")
P, Q = b"p" * 32, b"q" * 32  # two proposers


class Room:
    """An examiner, the doors of the thread in which it works, and what it did there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("node.examiner.DONE_HERE_BYTES_MAX", 0)
        self.little = LittleChain(folder)
        self.blocks = [self.little.replica.build_block(self.little.now_ms + n, (), (), 0) for n in range(6)]
        self.invalid: set[bytes] = set()
        self.unwanted: set[bytes] = set()
        self.quiet = True
        self.door = trio.Event()
        self.did: list[tuple[str, bytes]] = []
        self.at_once = 0
        self.examiner = Examiner(
            open=self.open,
            check=self.check,
            is_wanted=lambda proposal: proposal.value not in self.unwanted,
            is_quiet=lambda: self.quiet,
            wake=lambda: None,
            run_sync=self.in_a_thread,
        )

    async def in_a_thread(self, call: Callable[..., T], *args: Any) -> T:
        self.at_once += 1
        assert self.at_once == 1
        await self.door.wait()
        self.at_once -= 1
        return call(*args)

    def open(self, raw: bytes) -> SealedBlock:
        block = next((block for block in self.blocks if block.raw == raw), None)
        self.did.append(("open", raw if block is None else block.value))
        if block is None:
            raise VerificationError("no block")
        return block

    def check(self, block: SealedBlock, given_up: Callable[[], bool]) -> str | None:
        if given_up():
            raise GivenUp
        self.did.append(("check", block.value))
        return "it is invalid" if block.value in self.invalid else None

    def proposed(self, number: int, by: bytes = P, peer: str = "peer", raw: bytes = b"") -> Proposed:
        block = self.blocks[number]
        proposal = Proposal(1, 0, block.value, -1, 0, bytes(64))
        raw = raw or block.raw
        return Proposed(Heard(peer, proposal_message(proposal, raw), 0), proposal, by, raw)

    async def found(self) -> list[Any]:
        self.door.set()
        await trio.testing.wait_all_tasks_blocked()
        return self.examiner.take()


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    room = Room(tmp_path, monkeypatch)
    yield room
    room.little.close()


async def test_blocks_are_opened_off_the_loop_one_at_a_time_in_order(
    room: Room, nursery: trio.Nursery
) -> None:
    nursery.start_soon(room.examiner.run)
    jobs = [room.proposed(number, peer=f"peer {number}") for number in range(3)]
    assert [room.examiner.open(job) for job in jobs] == [None] * 3
    await trio.testing.wait_all_tasks_blocked()
    assert room.did == []  # the first is under way, the loop is free
    assert [found.proposed for found in await room.found()] == jobs
    assert room.did == [("open", block.value) for block in room.blocks[:3]]
    nursery.cancel_scope.cancel()


async def test_what_is_small_is_done_at_once_unless_something_waits(
    room: Room, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.examiner.DONE_HERE_BYTES_MAX", len(room.blocks[0].raw))
    assert room.examiner.open(room.proposed(0)) == Opened(room.proposed(0), room.blocks[0])
    assert room.examiner.check(1, room.blocks[0]) == BlockChecked(1, room.blocks[0].value, True)
    monkeypatch.setattr("node.examiner.DONE_HERE_BYTES_MAX", 0)
    assert room.examiner.check(1, room.blocks[1]) is None
    monkeypatch.setattr("node.examiner.DONE_HERE_BYTES_MAX", len(room.blocks[0].raw))
    assert room.examiner.check(1, room.blocks[2]) is None
    nursery.start_soon(room.examiner.run)
    assert len(await room.found()) == 2
    nursery.cancel_scope.cancel()


async def test_one_who_proposed_an_invalid_block_is_heard_after_all_others_and_when_all_is_quiet(
    room: Room, nursery: trio.Nursery
) -> None:
    nursery.start_soon(room.examiner.run)
    room.door.set()
    room.invalid.add(room.blocks[0].value)
    room.examiner.open(room.proposed(0, by=P))
    assert await room.found() == [Opened(room.proposed(0, by=P), room.blocks[0])]
    room.examiner.check(1, room.blocks[0])
    assert await room.found() == [BlockChecked(1, room.blocks[0].value, False)]
    room.quiet = False
    room.examiner.open(room.proposed(1, by=P))
    room.examiner.open(room.proposed(2, by=Q))
    room.examiner.check(1, room.blocks[3])
    assert await room.found() == [
        Opened(room.proposed(2, by=Q), room.blocks[2]),
        BlockChecked(1, room.blocks[3].value, True),
    ]
    room.examiner.look()
    assert await room.found() == []
    room.quiet = True
    room.examiner.look()
    assert await room.found() == [Opened(room.proposed(1, by=P), room.blocks[1])]
    nursery.cancel_scope.cancel()


async def test_one_who_passes_on_what_is_no_block_is_doubted_and_not_the_proposer(
    room: Room, nursery: trio.Nursery
) -> None:
    """The proposer signed the header alone: the body may have come from anyone."""
    nursery.start_soon(room.examiner.run)
    broken = room.proposed(0, peer="liar", raw=b"broken")
    room.examiner.open(broken)
    assert await room.found() == [Unfit(broken, "no block")]
    room.quiet = False
    room.examiner.open(room.proposed(1, peer="liar"))
    room.examiner.open(room.proposed(2, peer="honest"))
    assert await room.found() == [Opened(room.proposed(2, peer="honest"), room.blocks[2])]
    nursery.cancel_scope.cancel()


async def test_a_peer_has_a_share_of_the_line(room: Room, nursery: trio.Nursery) -> None:
    for number in range(6):
        room.examiner.open(room.proposed(number, peer="flood"))
    room.examiner.open(room.proposed(5, peer="other"))
    nursery.start_soon(room.examiner.run)
    found = await room.found()
    assert [one.proposed.heard.peer for one in found] == ["flood"] * OPENINGS_OF_PEER_MAX + ["other"]
    nursery.cancel_scope.cancel()


async def test_what_nobody_waits_for_any_more_is_not_done(room: Room, nursery: trio.Nursery) -> None:
    room.examiner.open(room.proposed(0, peer="one"))
    room.examiner.open(room.proposed(1, peer="two"))
    room.examiner.check(1, room.blocks[2])
    room.examiner.check(1, room.blocks[3])
    room.unwanted.add(room.blocks[0].value)
    room.examiner.keep_only({room.blocks[3].value})
    nursery.start_soon(room.examiner.run)
    await room.found()
    assert room.did == [("open", room.blocks[1].value), ("check", room.blocks[3].value)]
    nursery.cancel_scope.cancel()


async def test_when_a_height_is_over_its_check_is_given_up_and_the_line_is_empty(
    room: Room, nursery: trio.Nursery
) -> None:
    nursery.start_soon(room.examiner.run)
    room.examiner.check(1, room.blocks[0])
    room.examiner.open(room.proposed(1))
    await trio.testing.wait_all_tasks_blocked()
    still = trio.Event()

    async def stand_still() -> None:
        await room.examiner.stand_still()
        still.set()

    nursery.start_soon(stand_still)
    await trio.testing.wait_all_tasks_blocked()
    assert not still.is_set()  # the state must not change under a check
    assert await room.found() == []
    assert still.is_set()
    assert room.did == []
    room.examiner.check(2, room.blocks[0])
    assert await room.found() == [BlockChecked(2, room.blocks[0].value, True)]
    nursery.cancel_scope.cancel()


def test_doubts_are_bounded_and_end() -> None:
    doubts = Doubts()
    for number in range(DOUBTED_MAX + 1):
        doubts.add(str(number), 5)
    assert not doubts.holds("0", 5)
    assert doubts.holds("1", 5 + DOUBT_BLOCKS)
    assert not doubts.holds("1", 6 + DOUBT_BLOCKS)
