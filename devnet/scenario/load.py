"""Load without pause while something else happens to the network: batches of cash between two clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from client.transactions import transfer_rows
from devnet.scenario.story import Story
from devnet.watching import require


@asynccontextmanager
async def load(story: Story) -> AsyncIterator["Counter"]:
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


async def commit_more(counter: "Counter", batches: int) -> None:
    """Wait until so many more batches are in blocks. Raises DevnetError if that takes a minute."""
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
