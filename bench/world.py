"""A network with one licensed VASP and many holdings of cash: the ground on which every bench stands."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.rpc import AsyncClient
from client.transactions import holding_rows, transfer_rows
from client.wallet import Wallet
from devnet.actors import Actors
from devnet.processes import RunningNetwork
from devnet.watching import require
from ledger.rows import AccountType, Role

ACCOUNT_ROWS = 4_000
BATCH_ROWS = 8_192
BALANCE = 1_000_000  # of each holding at the start
KYC_UNTIL = 2**32 - 1
PAKISTAN, RETAIL = 586, 1
CATEGORIES = ("exchange", "custody")


class World:
    """The VASP, its client money, and its clients' holdings; `owners` have keys of their own."""

    def __init__(self, running: RunningNetwork, client: AsyncClient) -> None:
        self.running = running
        self.client = client
        self.actors = Actors(running.network, client)
        self.vasp = self.actors.new_wallet("bench")
        self.currency = -1
        self.money = -1
        self.holdings: list[int] = []
        self.owners: list[Wallet] = []
        self.owned: list[int] = []  # the holding of each owner

    async def prepare(self, custodial: int, owners: int) -> None:
        """Admit the VASP, open the accounts, and give every holding BALANCE."""
        vasp, _ = await self.actors.enact(
            ["pvara"],
            "vasp_register",
            name="bench",
            title="Bench",
            settlement_key=self.vasp.public_key,
            proof=self.vasp.prove(Role.SETTLEMENT, "bench"),
        )
        await self.client.align(self.vasp)
        await self.actors.enact(["pvara"], "vasp_noc", vasp=vasp)
        await self.actors.enact(["fmu"], "vasp_goaml", vasp=vasp, reference="BENCH")
        await self.actors.enact(["secp"], "vasp_subsidiary", vasp=vasp, name="Bench", number="1")
        await self.actors.perform(self.vasp, "licence_apply", categories=CATEGORIES)
        await self.actors.enact(["pvara"], "vasp_license", vasp=vasp, categories=CATEGORIES)
        self.currency = (await self.actors.enact(["sbp"], "cash_define", currency="PKR"))[0]
        money = (await self._open_accounts([self._row(0, AccountType.CLIENT_MONEY)], 1))[0]
        (self.money,) = await self._open_holdings([money])
        accounts = await self._open_accounts(
            [self._row(number, AccountType.CUSTODIAL) for number in range(custodial)], custodial
        )
        self.holdings = await self._open_holdings(accounts)
        if owners:
            await self._admit_owners(owners)
        await self._fund(self.holdings + self.owned)

    async def balances(self) -> dict[int, int]:
        """The balance of every holding of cash, by its index."""
        found: dict[int, int] = {}
        cursor: int | None = 0
        while cursor is not None:
            page = await self.client.holding_list(instrument=self.currency, cursor=cursor, limit=1_000)
            found.update((item.holding, item.balance) for item in page.items)
            cursor = page.next_cursor
        return found

    def anonymous_mb_max(self) -> float:
        """The largest anonymous memory of any validator's process, in megabytes."""
        return max(_anonymous_kb(node.node_run.pid) for node in self.running.network.nodes) / 1_024

    async def _admit_owners(self, count: int) -> None:
        keys = [Ed25519PrivateKey.generate() for _ in range(count)]
        self.owners = [Wallet(key, self.actors.genesis_hash) for key in keys]
        rows = [
            self._row(number, AccountType.SELF_CUSTODY, owner) for number, owner in enumerate(self.owners)
        ]
        self.owned = await self._open_holdings(await self._open_accounts(rows, count))
        for owner in self.owners:
            await self.client.align(owner)

    def _row(self, number: int, type: AccountType, owner: Wallet | None = None) -> dict[str, object]:
        commitment = hashlib.sha256(f"bench {type} {number}".encode()).digest()
        return {
            "type": int(type),
            "kyc": commitment,
            "kyc_until": KYC_UNTIL,
            "jurisdiction": PAKISTAN,
            "investor_class": RETAIL,
            "owner_key": b"" if owner is None else owner.public_key,
            "proof": b"" if owner is None else owner.prove(Role.OWNER, "bench", commitment),
        }

    async def _open_accounts(self, rows: Sequence[dict[str, object]], count: int) -> list[int]:
        opened: list[int] = []
        for start in range(0, count, ACCOUNT_ROWS):
            part = rows[start : start + ACCOUNT_ROWS]
            result = await self.actors.perform(self.vasp, "account_open", rows=part)
            opened += result.created[: len(part)]
        return opened

    async def _open_holdings(self, accounts: Sequence[int]) -> list[int]:
        opened: list[int] = []
        for start in range(0, len(accounts), ACCOUNT_ROWS):
            rows = holding_rows(
                (account, self.currency) for account in accounts[start : start + ACCOUNT_ROWS]
            )
            opened += (await self.actors.perform(self.vasp, "holding_open", rows=rows)).created
        return opened

    async def _fund(self, holdings: Sequence[int]) -> None:
        await self.actors.enact(
            ["sbp"],
            "cash_issue",
            holding=self.money,
            amount=BALANCE * len(holdings),
            debit=hashlib.sha256(b"bench").digest(),
        )
        for start in range(0, len(holdings), BATCH_ROWS):
            rows = [(self.money, holding, BALANCE) for holding in holdings[start : start + BATCH_ROWS]]
            result = await self.actors.perform(self.vasp, "transfer_batch", rows=transfer_rows(rows))
            require(not any(result.rows), "a row of the first funding was refused")


def _anonymous_kb(pid: int | None) -> int:
    require(pid is not None, "a validator is not running")
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0
