"""What the chapters share: the network, the people, what happened so far, and checks of what they have."""

import hashlib
import random
from collections.abc import Sequence

from client.errors import CallRefused, TransactionRefused
from client.rpc import AsyncClient
from client.transactions import holding_rows
from client.wallet import Wallet
from devnet.actors import Actors
from devnet.processes import RunningNetwork
from devnet.scenario.figures import (
    BEFORE_A_BLOCK,
    CLIENTS,
    KYC_UNTIL,
    PAKISTAN,
    RETAIL,
    SEED,
    TRADES,
)
from devnet.scenario.people import Holder, Vasp
from devnet.watching import require, until
from ledger.rows import AccountType, Role


class Story:
    """A scenario under way on a running network; each chapter goes on where the one before it ended."""

    def __init__(
        self, running: RunningNetwork, client: AsyncClient, *, clients: int = CLIENTS, trades: int = TRADES
    ) -> None:
        self.running = running
        self.client = client
        self.actors = Actors(running.network, client)
        self.clients = clients
        self.trades = trades
        self.random = random.Random(SEED)
        self.refusals: dict[str, int] = {}
        self.transfers = 0
        self.restart_caught_up = False
        self.longest_gap_ms = 0
        self.currency = -1
        self.bill = -1
        self.programme = -1
        self.offer = -1
        self.freeze = -1  # the restriction
        self.balances: list[tuple[str, str, int, int]] = []  # after which chapter, whose, paisa, units
        self.binance = Vasp("binance", self.actors.new_wallet("binance"))
        self.htx = Vasp("htx", self.actors.new_wallet("htx"))

    @property
    def vasps(self) -> tuple[Vasp, Vasp]:
        return (self.binance, self.htx)

    @property
    def frozen(self) -> Holder:
        """The client whose account PVARA freezes."""
        return self.binance.custodial[-1]

    def account_row(
        self, vasp: Vasp, number: int, type: AccountType, owner: Wallet | None, jurisdiction: int
    ) -> dict[str, object]:
        salt = self.random.randbytes(16)
        commitment = hashlib.sha256(salt + f"client {number}".encode()).digest()
        return {
            "type": int(type),
            "kyc": commitment,
            "kyc_until": KYC_UNTIL,
            "jurisdiction": jurisdiction,
            "investor_class": RETAIL,
            "owner_key": b"" if owner is None else owner.public_key,
            "proof": b"" if owner is None else owner.prove(Role.OWNER, vasp.name, commitment),
        }

    async def open_accounts(self, vasp: Vasp, count: int, *, owners: Sequence[Wallet] = ()) -> list[Holder]:
        rows = [self.account_row(vasp, n, AccountType.CUSTODIAL, None, PAKISTAN) for n in range(count)]
        rows += [
            self.account_row(vasp, n, AccountType.SELF_CUSTODY, owner, PAKISTAN)
            for n, owner in enumerate(owners)
        ]
        result = await self.actors.perform(vasp.wallet, "account_open", rows=rows)
        wallets = [vasp.wallet] * count + list(owners)
        opened = [
            Holder(account, wallet, self_custody=wallet is not vasp.wallet)
            for account, wallet in zip(result.created[: len(rows)], wallets, strict=True)
        ]
        vasp.holders += opened
        return opened

    async def open_holdings(self, vasp: Vasp, accounts: Sequence[int], instrument: int) -> list[int]:
        rows = holding_rows([(account, instrument) for account in accounts])
        return list((await self.actors.perform(vasp.wallet, "holding_open", rows=rows)).created)

    def wanted(self, vasp: Vasp) -> list[int]:
        """Units for each custodial client: odd and even, from 1 up; the same at every call."""
        draw = random.Random(f"{SEED} {vasp.name}")
        return [1, 2, *(draw.randint(3, 1_600) for _ in range(len(vasp.custodial) - 2))]

    async def advance(self, milliseconds: int) -> None:
        """Move the ledger's clock, then wait for a block that has seen it."""
        officer = await self.actors.officer("mof", 0)
        moved = await self.actors.perform(officer, "dev_advance_clock", advance_ms=milliseconds)
        await until(
            self.client.chain_status,
            lambda status: status.height > moved.block + 1,
            "no block after the advance",
        )

    def note_refusal(self, name: str, refused: CallRefused) -> None:
        """Note a refusal, which must be `name` and, unless it is unfit for any block, inside a block."""
        require(refused.name == name, f"{name} was to be refused, the answer is {refused}")
        inside = isinstance(refused, TransactionRefused)
        require(inside is (name not in BEFORE_A_BLOCK), f"{name}: refused inside a block: {inside}")
        self.refusals[name] = refused.code

    async def transfer_refused(self, seller: Holder, to_holding: int, amount: int) -> CallRefused:
        return await self.actors.refusal(
            seller.wallet, "transfer", from_holding=seller.bill_holding, to_holding=to_holding, amount=amount
        )

    async def balances_of(self, holder: Holder) -> tuple[int, int]:
        cash = await self.client.holding_get(holder.cash_holding)
        bill = await self.client.holding_get(holder.bill_holding)
        return cash.balance, bill.balance

    async def note_balances(self, chapter: str) -> None:
        """Ask what a few clients have, to be shown at the end."""
        for vasp in self.vasps:
            for what, holder in (
                ("its first client", vasp.custodial[0]),
                ("its first in self-custody", vasp.self_custody[0]),
            ):
                self.balances.append((chapter, f"{vasp.name}, {what}", *await self.balances_of(holder)))
        self.balances.append((chapter, "the frozen client", *await self.balances_of(self.frozen)))

    async def check_some(self) -> None:
        """Compare a sample of balances with our own sums."""
        for vasp in self.vasps:
            for holder in (*self.random.sample(vasp.custodial, 10), *vasp.self_custody):
                found = await self.balances_of(holder)
                require(
                    found == (holder.cash, holder.units),
                    f"account {holder.account} holds {found}, should hold {(holder.cash, holder.units)}",
                )
