"""A chain laid out in its tables at once, too large to be built by transactions: what heavy blocks run on."""

from hashlib import sha256

import numpy as np
from msgspec.structs import replace

from ledger import rows
from ledger.documents import NONE, FundingDebit
from ledger.rows import AccountType, Role
from ledger.validators import validator_set
from node.replica import Memory, Replica
from primitives.hashing import ZERO_HASH
from testing.keys import public
from testing.ledger_network import PAKISTAN, RETAIL, Network, client, make_genesis

BALANCE = 1_000_000  # of each client


class Ground:
    """A chain with a licensed VASP, its clients with cash, a bill on offer, and as many keys as asked for."""

    def __init__(self, clients: int) -> None:
        self.genesis = make_genesis()
        self.network = network = Network(self.genesis)
        network.define_money()
        network.license("htx")
        self.bill = network.issue()
        self.offer = network.offer(self.bill, 1_000)
        self.money = network.accounts("htx", [client(0, AccountType.CLIENT_MONEY)])[0]
        self.clients = self._accounts(clients)
        self.cash = self.holdings(self.clients, 0, BALANCE)

    def _accounts(self, count: int) -> range:
        state = self.network.state
        opened = np.zeros(count, rows.ACCOUNT)
        opened["kyc_until"], opened["jurisdiction"] = rows.FOREVER, PAKISTAN
        opened["investor_class"] = RETAIL
        opened["first_holding"] = opened["institution"] = rows.NO_ROW
        first = state.accounts.extend(opened)
        vasp = state.vasps[0]
        state.vasps.replace(0, replace(vasp, accounts=vasp.accounts + count))
        return range(first, first + count)

    def holdings(self, accounts: range, instrument: int, balance: int) -> range:
        """One holding for each of the accounts, at the head of its list."""
        state = self.network.state
        opened = np.zeros(len(accounts), rows.HOLDING)
        indices = np.array(accounts, np.int64)
        opened["account"], opened["instrument"], opened["balance"] = indices, instrument, balance
        opened["next_holding"] = state.accounts.column("first_holding")[indices]
        first = state.holdings.extend(opened)
        state.accounts.set_column(
            "first_holding", indices, np.arange(first, first + len(accounts), dtype=np.uint32)
        )
        if balance:
            total = balance * len(accounts)
            paper = state.instruments[instrument]
            state.instruments.replace(instrument, replace(paper, supply=paper.supply + total))
            debit = sha256(f"ground {first}".encode()).digest()
            state.debits.append(FundingDebit(debit, instrument, first, total, 0, self.network.time_ms))
        return range(first, first + len(accounts))

    def owners(self, count: int) -> list[str]:
        """Keys of self-custody accounts, each with one holding of cash, the first of them first."""
        state, network = self.network.state, self.network
        accounts = self._accounts(count)
        names = [f"owner{number}" for number in range(count)]
        for name, account in zip(names, accounts, strict=True):
            network.signers[name] = state.signers.append(
                rows.Signer(public(name), Role.OWNER, 0, 0, account, 0, 1, 0)
            )
            state.accounts.set_field(account, "owner", network.signers[name] + 1)
            state.accounts.set_field(account, "type", AccountType.SELF_CUSTODY)
        self.owned = self.holdings(accounts, 0, BALANCE)
        return names

    def vasps(self, count: int, **changes: object) -> range:
        """VASPs like the licensed one but for `changes`; the keys of the names of theirs sign for them."""
        state, network = self.network.state, self.network
        first = len(state.vasps)
        for index in range(first, first + count):
            name = f"vasp{index}"
            network.signers[name] = state.signers.append(
                rows.Signer(public(name), Role.SETTLEMENT, 0, 0, index, 0, 1, 0)
            )
            fields = {"name": name, "signer": network.signers[name], "accounts": 0, **changes}
            state.vasps.append(replace(state.vasps[0], **fields))
        return range(first, first + count)

    def papers(self, count: int, **changes: object) -> range:
        """Instruments like the bill but for `changes`, of which nothing was issued."""
        table = self.network.state.instruments
        first = len(table)
        for index in range(first, first + count):
            fields = {"code": f"PAPER{index}", "supply": 0, "treasury_holding": NONE, **changes}
            table.append(replace(table[self.bill], **fields))
        return range(first, first + count)

    def replica(self) -> Replica:
        """A validator that stands where the ground was laid."""
        state = self.network.state
        state.rehash()
        members = tuple((key, power) for _, key, power in validator_set(state))
        memory = Memory(
            genesis_hash=self.network.hash,
            height=self.network.height,
            last_hash=ZERO_HASH,
            last_time_ms=self.network.header_ms,
            last_work=False,
            state_root=state.root(),
            results_root=ZERO_HASH,
            validator_sets=((1, members),),
        )
        return Replica(self.genesis, state, memory)
