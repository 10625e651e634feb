"""Health and waiting: never green while stalled; waiters are told, bounded, and forgotten."""

import pytest
import trio
import trio.lowlevel
import trio.testing

from api.refusals import Declined
from node.blockcache import BlockCache
from node.health import HealthFacts, verdict
from node.limits import STALLED_MS_MIN
from node.sealed import SealedBlock
from node.waiting import Commitments
from primitives.hashing import ZERO_HASH
from testing.commits import commit_of
from wire.blocks import Block, Header


def _facts(**changes: object) -> HealthFacts:
    values: dict[str, object] = {
        "height": 7,
        "round": 0,
        "step": "prevote",
        "last_block_age_ms": 500,
        "idle_ms": 1000,
        "syncing": False,
        "target": 7,
        "connected": 3,
        "missing": (),
    }
    return HealthFacts(**{**values, **changes})  # type: ignore[arg-type]


def test_a_chain_that_commits_is_advancing() -> None:
    assert verdict(_facts()).advancing
    assert verdict(_facts(last_block_age_ms=STALLED_MS_MIN)).advancing


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"missing": ("pvara-1", "secp-1")}, "waits for pvara-1, secp-1"),
        ({"connected": 0}, "no peer is connected"),
        ({"syncing": True, "target": 90}, "catching up to height 90"),
        ({}, "round 0, step prevote"),
    ],
)
def test_a_stalled_chain_is_never_green_and_says_why(changes: dict[str, object], says: str) -> None:
    judged = verdict(_facts(last_block_age_ms=STALLED_MS_MIN + 1, **changes))
    assert not judged.advancing
    assert says in judged.reason


def test_a_long_idle_interval_is_no_stall() -> None:
    assert verdict(_facts(last_block_age_ms=29_000, idle_ms=10_000)).advancing
    assert not verdict(_facts(last_block_age_ms=30_001, idle_ms=10_000)).advancing


async def test_waiters_are_told_when_their_transaction_is_committed(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    commitments = Commitments(3)
    told: list[bool] = []

    async def wait() -> None:
        told.append(await commitments.wait_transaction(b"t", 5))

    nursery.start_soon(wait)
    nursery.start_soon(wait)
    await trio.sleep(1)
    commitments.committed(commit_of(4, [b"other"]))
    await trio.sleep(1)
    assert told == []
    commitments.committed(commit_of(5, [b"t"]))
    await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()
    assert told == [True, True]


async def test_a_wait_ends_in_time_and_leaves_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    commitments = Commitments(3, waiters_max=1)
    for _ in range(3):
        assert not await commitments.wait_transaction(b"t", 1)
        assert not await commitments.wait_height(4, 1)
    assert await commitments.wait_height(3, 1)


async def test_waiters_are_bounded(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    commitments = Commitments(3, waiters_max=1)
    nursery.start_soon(commitments.wait_height, 9, 5)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(Declined, match="try again"):
        await commitments.wait_transaction(b"t", 1)
    nursery.cancel_scope.cancel()


def _held(number: int, height: int = 1) -> SealedBlock:
    value = bytes((number,)) * 32
    header = Header(1, ZERO_HASH, height, 1, *[ZERO_HASH, 0] + [ZERO_HASH] * 2, 0, *[ZERO_HASH] * 5)
    return SealedBlock(Block(header, (), ()), bytes(100), value)


def test_the_block_cache_forgets_the_oldest_but_not_what_is_locked() -> None:
    cache = BlockCache(count_max=3)
    for number in range(6):
        cache.put(_held(number), (bytes(32),))
    assert len(cache) == 3
    assert cache.get(bytes(32)) is not None
    assert cache.get(b"\5" * 32) is not None
    assert cache.get(b"\1" * 32) is None


def test_the_block_cache_is_bounded_in_bytes_and_forgets_heights() -> None:
    cache = BlockCache(bytes_max=250)
    for number in range(4):
        cache.put(_held(number, height=number))
    assert len(cache) == 2
    cache.forget_to(2)
    assert [held.height for held in cache.of_height(3)] == [3]
    assert len(cache) == 1
