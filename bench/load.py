"""Pre-signed load, sent to all gateways at once, timed from submission to the block that holds it."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import trio

from api.limits import PAGE_MAX
from api.reads.chain import BlockTransaction
from client.rpc import AsyncClient
from client.transactions import Signed
from devnet.processes import RunningNetwork
from devnet.watching import require

POLL_S = 0.01
STALL_S = 60.0


class Load:
    """Transactions under way, by id, and how long each took."""

    def __init__(self, running: RunningNetwork, in_flight_max: int, submit_many: int) -> None:
        """`submit_many` transactions go in one call; at most `in_flight_max` are not yet in a block."""
        self._urls = running.rpc_urls
        self._submit_many = submit_many
        self._slots = trio.Semaphore(in_flight_max)
        self._sent: dict[bytes, float] = {}
        self.latencies_ms: list[float] = []

    async def run(self, transactions: Sequence[Signed], first_height: int) -> float:
        """Send everything and wait until all is in blocks after `first_height`; the seconds it took."""
        wanted = len(transactions)
        started = time.perf_counter()
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(AsyncClient(url)) for url in self._urls]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, clients[0], first_height, wanted)
                for start in range(0, wanted, self._submit_many):
                    part = transactions[start : start + self._submit_many]
                    for _ in part:
                        await self._slots.acquire()
                    client = clients[start // self._submit_many % len(clients)]
                    nursery.start_soon(self._send, client, part)
        return time.perf_counter() - started

    async def _send(self, client: AsyncClient, part: Sequence[Signed]) -> None:
        now = time.perf_counter()
        for signed in part:
            self._sent[signed.id] = now
        if len(part) == 1:
            await client.submit(part[0].raw)
            return
        for item in await client.submit_many(signed.raw for signed in part):
            require(item.accepted, f"a transaction of the load was refused: {item.refusal}")

    async def _watch(self, client: AsyncClient, height: int, wanted: int) -> None:
        """Follow the blocks and tick off what they hold."""
        last = time.perf_counter()
        while len(self.latencies_ms) < wanted:
            newest = (await client.chain_status()).height
            while height < newest:
                height += 1
                transactions = await _transactions(client, height)
                now = time.perf_counter()
                for transaction in transactions:
                    sent = self._sent.pop(transaction.tx_id, None)
                    if sent is not None:
                        require(
                            transaction.code == 0, f"a transaction of the load failed: {transaction.name}"
                        )
                        self.latencies_ms.append((now - sent) * 1_000)
                        self._slots.release()
                        last = now
            require(time.perf_counter() - last < STALL_S, f"nothing was committed for {STALL_S} s")
            await trio.sleep(POLL_S)


async def _transactions(client: AsyncClient, height: int) -> list[BlockTransaction]:
    """All transactions of a block, page by page."""
    found: list[BlockTransaction] = []
    cursor: int | None = 0
    while cursor is not None:
        page = await client.chain_block(height, cursor, PAGE_MAX)
        found += page.transactions
        cursor = page.next_cursor
    return found
