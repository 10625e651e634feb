"""Chapter 7: One validator dies by SIGKILL under load, comes back, and catches up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import trio

from client.transactions import transfer_rows
from devnet.limits import GAP_MS_MAX
from devnet.scenario.figures import CRASHED
from devnet.scenario.story import Story
from devnet.watching import equal_roots, require


async def play(story: Story) -> str:
    """7. One validator dies by SIGKILL under load, comes back, and catches up."""
    first = (await story.client.chain_status()).height
    async with _load(story) as counter:
        await _commit_more(story, counter, 5)
        await story.running.kill_node(CRASHED)
        await _commit_more(story, counter, 40)
        story.running.start_node(CRASHED)
        await story.running.wait_ready(CRASHED)
        await _commit_more(story, counter, 20)
    story.transfers += counter.committed
    last = (await story.client.chain_status()).height
    times = [(await story.client.chain_block(height)).time_ms for height in range(first, last + 1)]
    story.longest_gap_ms = max(later - earlier for earlier, later in pairwise(times))
    require(story.longest_gap_ms <= GAP_MS_MAX, f"a gap of {story.longest_gap_ms} ms between two blocks")
    root, height = await equal_roots(story.running)
    story.restart_caught_up = True
    return (
        f"{CRASHED} killed and restarted; longest gap {story.longest_gap_ms} ms; "
        f"same root {root[:16]}… at height {height}"
    )


@asynccontextmanager
async def _load(story: Story) -> AsyncIterator["Counter"]:
    """Batches of cash transfers without pause while the block lasts, between two clients of binance."""
    one, other = story.binance.custodial[0], story.binance.custodial[1]
    counter = Counter()

    async def keep_trading() -> None:
        payer, payee = one, other
        while not counter.stop:
            rows = [(payer.cash_holding, payee.cash_holding, 1)] * 100
            await story.actors.perform(story.binance.wallet, "transfer_batch", rows=transfer_rows(rows))
            payer.cash -= len(rows)
            payee.cash += len(rows)
            payer, payee = payee, payer
            counter.add(len(rows))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_trading)
        yield counter
        counter.stop = True


async def _commit_more(story: Story, counter: "Counter", batches: int) -> None:
    with trio.move_on_after(60) as scope:
        await counter.wait_for(counter.batches + batches)
    require(not scope.cancelled_caught, "the network stood still under load")


class Counter:
    """How many batches a load has committed, and a way to wait for more."""

    def __init__(self) -> None:
        self.stop = False
        self.batches = 0
        self.committed = 0
        self._changed = trio.Event()

    def add(self, rows: int) -> None:
        self.batches += 1
        self.committed += rows
        self._changed.set()
        self._changed = trio.Event()

    async def wait_for(self, batches: int) -> None:
        while self.batches < batches:
            await self._changed.wait()
