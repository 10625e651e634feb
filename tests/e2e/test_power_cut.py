"""All four validators lose power at once, twice, while money moves: what was acknowledged is still there.

Clients keep paying each other through every gateway. They send again what was not acknowledged, so in the
end every payment has happened exactly once, whatever was lost in between.
"""

import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from api.reads.chain import ChainStatusReply
from api.reads.transactions import TransactionResult
from client.rpc import AsyncClient
from client.transactions import transfer_rows
from client.wallet import Wallet
from devnet.processes import RunningNetwork, running_network
from devnet.scenario import admission, money
from devnet.scenario.figures import CLIENTS_MIN
from devnet.scenario.people import Holder
from devnet.scenario.story import Story
from devnet.watching import equal_roots, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

BATCH_ROWS = 50
PATIENCE_S = 90.0  # of a client whose gateway has no node: longer than any restart here
CUTS = 2
PAYMENTS_BETWEEN = 80


@dataclass
class Payments:
    """Payments without pause, each acknowledged before the payer makes the next."""

    acknowledged: dict[bytes, TransactionResult] = field(default_factory=dict)  # by the bytes sent
    stop: bool = False
    more: trio.Event = field(default_factory=trio.Event)

    async def keep_paying(
        self, client: AsyncClient, wallet: Wallet, payer: Holder, payee: Holder, paisa: int
    ) -> None:
        """Pay `paisa` again and again: one by a transfer, more in a batch of so many rows of one."""
        row = (payer.cash_holding, payee.cash_holding, 1)
        while not self.stop:
            if paisa == 1:
                signed = wallet.build("transfer", from_holding=row[0], to_holding=row[1], amount=1)
            else:
                signed = wallet.build("transfer_batch", rows=transfer_rows([row] * paisa))
            result = await client.send(signed, wallet, timeout_s=PATIENCE_S)
            assert not any(result.rows)
            payer.cash -= paisa
            payee.cash += paisa
            self.acknowledged[signed.raw] = result
            self.more.set()
            self.more = trio.Event()

    async def reach(self, count: int) -> None:
        with trio.fail_after(PATIENCE_S):
            while len(self.acknowledged) < count:
                await self.more.wait()


async def test_all_validators_lose_power_at_once_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    async with running_network(tmp_path / "net") as running, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(url, retry_s=PATIENCE_S)) for url in running.rpc_urls
        ]
        story = Story(running, clients[0], clients=CLIENTS_MIN)
        await admission.play(story)
        await money.play(story)
        payments = Payments()
        kept: dict[bytes, TransactionResult] = {}
        seen: list[ChainStatusReply] = []
        async with trio.open_nursery() as nursery:
            start_paying(nursery, payments, story, clients)
            for _ in range(CUTS):
                await payments.reach(len(payments.acknowledged) + PAYMENTS_BETWEEN)
                seen += [await client.chain_status() for client in clients]
                kept |= payments.acknowledged
                await cut_power(running)
                await power_on(running)
            await payments.reach(len(payments.acknowledged) + PAYMENTS_BETWEEN)
            payments.stop = True

        assert len(kept) >= CUTS * PAYMENTS_BETWEEN
        for number, (raw, result) in enumerate(kept.items()):
            again = await clients[number % len(clients)].submit(raw)
            assert (again.duplicate, again.result) == (True, result)
        await equal_roots(running)
        for client in clients:
            for status in seen:
                assert (await client.chain_block(status.height)).block_id == status.block_id
        await every_payment_happened_once(clients[0], story)
        last = await clients[0].chain_status()
        await until(clients[0].chain_status, lambda status: status.height > last.height, "it stands still")


def start_paying(nursery: trio.Nursery, payments: Payments, story: Story, clients: list[AsyncClient]) -> None:
    """Every self-custody client pays the next one by his own key, each VASP pays in batches."""
    owners = [*story.binance.self_custody, *story.htx.self_custody]
    for number, payer in enumerate(owners):
        assert payer.wallet is not None
        payee = owners[(number + 1) % len(owners)]
        nursery.start_soon(
            payments.keep_paying, clients[number % len(clients)], payer.wallet, payer, payee, 1
        )
    for client, vasp in zip(clients, story.vasps, strict=False):
        one, two = vasp.custodial[1:3]
        nursery.start_soon(payments.keep_paying, client, vasp.wallet, one, two, BATCH_ROWS)


async def cut_power(running: RunningNetwork) -> None:
    for name in running.names:
        running.signal_node(name, signal.SIGKILL)
    for name in running.names:
        assert await running.kill_node(name) == -signal.SIGKILL


async def power_on(running: RunningNetwork) -> None:
    for name in running.names:
        running.start_node(name)
    for name in running.names:
        await running.wait_ready(name)


async def every_payment_happened_once(client: AsyncClient, story: Story) -> None:
    holders = [*story.binance.holders, *story.htx.holders]
    expected = {holder.cash_holding: holder.cash for holder in holders}
    page = await client.holding_list(instrument=story.currency, limit=1_000)
    assert page.next_cursor is None
    found = {item.holding: item.balance for item in page.items}
    assert {holding: found.get(holding) for holding in expected} == expected
