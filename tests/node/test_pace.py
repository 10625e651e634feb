"""The pace: blocks of ours shrink when rounds fail with their block there, and grow back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from ledger.admission import BlockAdmission
from ledger.transactions import decode_transaction
from node.chain import Chain
from node.limits import PACE_HALVINGS_MAX, PACE_PART_MIN
from node.pace import Pace
from node.runtime import Node
from testing.cluster import OFFICERS, VALIDATORS, Cluster
from testing.little_chain import LittleChain
from wire.blocks import decode_block

BUDGET = 160_000


def test_a_round_that_failed_with_its_block_halves_and_blocks_decided_at_once_grow() -> None:
    pace = Pace()
    assert pace.limit(BUDGET, 0) == BUDGET
    pace.heard(0)
    assert pace.limit(BUDGET, 1) == BUDGET // 2  # already in the next round
    pace.heard(1)
    pace.decided(1, work=True)
    assert pace.limit(BUDGET, 0) == BUDGET // 2
    pace.heard(0)
    pace.decided(0, work=True)
    assert pace.limit(BUDGET, 0) == BUDGET * 3 // 4
    pace.decided(0, work=False)  # an empty block says nothing
    assert pace.limit(BUDGET, 0) == BUDGET * 3 // 4
    pace.decided(0, work=True)
    assert pace.limit(BUDGET, 0) == BUDGET


def test_a_silent_proposer_says_nothing_about_blocks() -> None:
    pace = Pace()
    pace.heard(2)
    assert pace.limit(BUDGET, 2) == BUDGET
    pace.decided(2, work=True)
    assert pace.limit(BUDGET, 0) == BUDGET


def test_the_part_has_a_least_and_one_height_halves_it_so_often_at_most() -> None:
    pace = Pace()
    for number in range(100):
        pace.heard(number)
    assert pace.limit(BUDGET, 99) == BUDGET >> PACE_HALVINGS_MAX
    for _ in range(5):
        pace.heard(0)
        pace.decided(1, work=True)
    assert pace.limit(BUDGET, 0) == int(BUDGET * PACE_PART_MIN)


async def test_what_waits_comes_in_blocks_that_can_be_checked_within_a_round(
    ram_path: Path,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A check takes 20 ms a transaction here, as on a machine that is far too busy."""
    monkeypatch.setattr("node.examiner.DONE_HERE_BYTES_MAX", 0)

    async def slowly(call: Callable[..., Any], job: Any) -> Any:
        await trio.sleep(0.02 * len(job.block.transactions) if hasattr(job, "block") else 0)
        return call(job)

    def change(node: Node, chain: Chain) -> None:
        monkeypatch.setattr(node.driver._examiner, "_run_sync", slowly)

    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS, change=change)
    await cluster.reached(2)
    acts = [cluster.act(signer=signer) for signer in range(5 * OFFICERS)]
    for raw in acts:
        for running in cluster.nodes.values():
            running.node.submit(raw)
    started = cluster.nodes["mof-1"].height
    await trio.sleep(120)
    running = cluster.nodes["mof-1"]
    assert all(running.blocks.find_transaction(decode_transaction(raw).id) for raw in acts)
    stored = [running.blocks.block(height) for height in range(started + 1, running.height + 1)]
    sizes = [len(decode_block(block).transactions) for block in stored if block is not None]
    assert max(sizes) <= len(acts) // 2, sizes
    cluster.assert_agreement()
    nursery.cancel_scope.cancel()


def test_a_block_that_may_cost_little_holds_one_transaction_whatever_it_costs(tmp_path: Path) -> None:
    little = LittleChain(tmp_path)
    acts = [little.transaction("dev_advance_clock", {0: "mof officer 0"}, 1) for _ in range(5)]
    each = BlockAdmission(little.replica.state, little.now_ms, little.replica.rules)
    each.admit(acts[0])

    def held(cost_max: int | None) -> int:
        return len(little.replica.build_block(little.now_ms, acts, (), 0, cost_max=cost_max).transactions)

    assert [held(most) for most in (1, each.cost, 2 * each.cost, 3 * each.cost - 1, None)] == [1, 1, 2, 2, 5]
    little.close()
