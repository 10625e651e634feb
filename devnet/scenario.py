"""The life of a treasury bill on a running network: nine chapters, every act through JSON-RPC.

Figures are those of FACTS: an 84-day bill at 9.3784 % sells at 97.8873 per 100 (SBP auction, March 2013).
Each chapter checks what it did against balances that it computes by itself, and raises DevnetError if the
network says otherwise.
"""

import hashlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import trio

from api.reads.instruments import InstrumentReply
from client.errors import CallRefused, TransactionRefused
from client.rpc import AsyncClient
from client.transactions import holding_rows, offer_rows, transfer_rows
from client.wallet import Wallet
from devnet.actors import Actors
from devnet.limits import GAP_MS_MAX
from devnet.network import DevnetError
from devnet.processes import RunningNetwork
from devnet.watching import equal_roots, require, until
from ledger.calendar import day_of
from ledger.codes import Code
from ledger.documents import InstrumentStatus, OfferStatus
from ledger.rows import AccountType

ISIN = "PK0012345671"
SECOND_ISIN = "PK0012345689"
UNIT_FACE = 500_000  # paisa: PKR 5,000
UNITS = 2_000_000
TENOR_DAYS = 84
YIELD_E6 = 93_784
PRICE_E4 = 978_873
CAP_CENTS = 200_000_000_000  # USD 2 billion
RATE_E4 = 2_800_000  # PKR 280.0000 per USD
FURTHER_UNITS = 550_000_000_000 // 5_000
CLIENTS = 1_000
SELF_CUSTODY = 10  # of them, for each VASP
SELF_CUSTODY_UNITS = 50
PILOT = 10  # accounts before the licence: the default of aml_accounts_cap
CLIENTS_MIN = SELF_CUSTODY + PILOT
PAKISTAN, ELSEWHERE = 586, 408  # ISO 3166-1 numeric
RETAIL = 1
KYC_UNTIL = 2**32 - 1
TRADES = 50_000
SINGLES = 200
BATCH_ROWS = 2_500
CRASHED = "pvara"
WINDOW_MS = 3_600_000
SEED = 1947
BEFORE_A_BLOCK = frozenset({"sequence_used", "wrong_chain", "expired", "bad_signature", "malformed"})


def paisa(units: int) -> int:
    """What `units` cost at the offer's price, rounded down: the remainder stays with the payer."""
    return units * UNIT_FACE * PRICE_E4 // 1_000_000


@dataclass(slots=True)
class Holder:
    """One client: account, the key that moves it, holdings, and what they should contain."""

    account: int
    wallet: Wallet
    self_custody: bool
    cash_holding: int = -1
    bill_holding: int = -1
    cash: int = 0
    units: int = 0


@dataclass(slots=True)
class Vasp:
    """One VASP with its clients; `money` is its client-money holding of cash."""

    name: str
    wallet: Wallet
    index: int = -1
    money: int = -1
    money_account: int = -1
    holders: list[Holder] = field(default_factory=list)

    @property
    def custodial(self) -> list[Holder]:
        return [holder for holder in self.holders if not holder.self_custody]

    @property
    def self_custody(self) -> list[Holder]:
        return [holder for holder in self.holders if holder.self_custody]


class Scenario:
    """The chapters in order; each may be called once, after the one before it."""

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

    async def genesis(self) -> str:
        """1. Who is there: institutions, officers, policies, validators."""
        status = await self.client.chain_status()
        require(status.genesis_hash == self.actors.genesis_hash, "the chain is not that of our genesis")
        institutions = (await self.client.institution_list()).items
        names = {institution.name: institution for institution in institutions}
        for name in ("mof", "sbp", "pvara", "secp", "fmu"):
            require(name in names, f"institution {name} is missing")
            require(len(names[name].officers) == 3, f"{name} has not three officers")
            require(names[name].threshold == 2, f"{name} has not a threshold of two")
        require(not names["fmu"].voting, "fmu votes")
        policies = (await self.client.policy_list()).items
        return (
            f"{len(institutions)} institutions, {len(policies)} policies, {len(status.validators)} validators"
        )

    async def admission(self) -> str:
        """2. From application to licence, each stage with what it may not do yet."""
        for vasp in self.vasps:
            created = await self.actors.enact(
                ["pvara"],
                "vasp_register",
                name=vasp.name,
                title=vasp.name.capitalize(),
                settlement_key=vasp.wallet.public_key,
            )
            vasp.index = created[0]
            await self.client.align(vasp.wallet)
            await self.actors.enact(["pvara"], "vasp_noc", vasp=vasp.index)
        early = await self._distribution_refused(self.binance)
        self._refused("stage_not_reached", early)
        require("LICENSED" in early.rule, f"the refusal does not name the missing stage: {early.rule}")

        binance, htx = self.vasps
        await self.actors.enact(["fmu"], "vasp_goaml", vasp=binance.index, reference="GOAML-BN-1")
        await self.actors.enact(
            ["secp"], "vasp_subsidiary", vasp=htx.index, name="HTX Pakistan", number="0200002"
        )
        await self._open_accounts(binance, PILOT)
        self._refused("cap_exceeded", await self._account_refused(binance))
        require(
            (await self._distribution_refused(binance)).code == Code.STAGE_NOT_REACHED,
            "distribution before the licence is not refused for its stage",
        )
        await self.actors.enact(
            ["secp"], "vasp_subsidiary", vasp=binance.index, name="Binance Pakistan", number="0200001"
        )
        await self.actors.enact(["fmu"], "vasp_goaml", vasp=htx.index, reference="GOAML-HTX-1")
        for vasp in self.vasps:
            categories = ("exchange", "custody")
            await self.actors.perform(vasp.wallet, "licence_apply", categories=categories)
            await self.actors.enact(["pvara"], "vasp_license", vasp=vasp.index, categories=categories)
            reply = await self.client.vasp_get(vasp.index)
            require(reply.stage.name == "LICENSED", f"{vasp.name} is {reply.stage.name}")
        return "NOC, goAML, subsidiary, licence for binance and htx; refused at each stage before its time"

    async def money(self) -> str:
        """3. The programme and its fixing, the currency, the clients' accounts and their cash."""
        (self.programme,) = await self.actors.enact(
            ["mof", "sbp", "pvara"], "programme_create", name="MTB-2026", cap_cents=CAP_CENTS
        )
        status = await self.client.chain_status()
        await self.actors.enact(["sbp"], "fixing_attest", rate_e4=RATE_E4, as_of_ms=status.ledger_time_ms)
        created = await self.actors.enact(["sbp"], "cash_define", currency="PKR")
        self.currency = created[0]
        for vasp in self.vasps:
            await self._open_clients(vasp)
            cost = sum(paisa(units) for units in self._wanted(vasp))
            reserve = 1_000_000_000  # what the frozen, the foreign and the short client are given besides
            await self.actors.enact(
                ["sbp"],
                "cash_issue",
                holding=vasp.money,
                amount=cost + reserve,
                debit=hashlib.sha256(f"RTGS debit for {vasp.name}".encode()).digest(),
            )
            await self._distribute_cash(vasp)
        supply = (await self.client.instrument_get(self.currency)).supply
        programme = await self.client.programme_get(self.programme)
        require(programme.used_cents == 0, "the programme is used before any issue")
        return f"cap USD 2 bn at 280.0000; PKR {supply / 100:,.2f} in cash against two funding debits"

    async def issue(self) -> str:
        """4. The bill is issued in the block that completes its policy; the cap is exact to the rupee."""
        proposal = await self.actors.propose("mof", "instrument_issue", **await self._bill(ISIN, UNITS))
        twice = await self._approval_refused(proposal, "mof", 0)
        self._refused("duplicate_officer", twice)
        await self.actors.approve(proposal, "mof", 1)
        for institution in ("sbp", "pvara"):
            for number in (0, 1):
                last = await self.actors.approve(proposal, institution, number)
        reply = await self.client.proposal_get(proposal)
        require(reply.status.name == "EXECUTED", f"the issue is {reply.status.name}: {reply.rule}")
        require(reply.decided_height == last.block, "the bill was not issued in the completing block")
        self.bill = reply.created[0]
        bill = await self.client.instrument_get(ISIN)
        require(bill.supply == UNITS, f"supply is {bill.supply}")
        require(bill.price_e4 == PRICE_E4, f"price is {bill.price_e4}")
        officer = await self.actors.officer("mof", 0)
        refused = await self.actors.refusal(
            officer, "instrument_issue", **await self._bill(SECOND_ISIN, FURTHER_UNITS + 1)
        )
        require(refused.code == Code.CAP_EXCEEDED, f"550 bn + 5,000 was refused with {refused.name}")
        further = await self.actors.propose(
            "mof", "instrument_issue", **await self._bill(SECOND_ISIN, FURTHER_UNITS)
        )
        await self.actors.perform(officer, "withdraw", proposal=further, reason=1)
        return (
            f"{ISIN}: {UNITS:,} units of PKR 5,000 at 97.8873; "
            "a further 550 bn fits the cap, 550 bn + 5,000 does not"
        )

    async def distribution(self) -> str:
        """5. The offer is taken delivery versus payment; what is not sold is cancelled."""
        await self._open_bill_holdings()
        status = await self.client.chain_status()
        opens = status.ledger_time_ms
        (self.offer,) = await self.actors.enact(
            ["mof"],
            "offer_open",
            instrument=self.bill,
            price_e4=PRICE_E4,
            units=UNITS,
            opens_ms=opens,
            closes_ms=opens + WINDOW_MS,
            vasps=(),
        )
        sold = 0
        for vasp in self.vasps:
            wanted = self._wanted(vasp)
            rows = [
                (holder.bill_holding, holder.cash_holding, units)
                for holder, units in zip(vasp.custodial, wanted, strict=True)
            ]
            result = await self.actors.perform(
                vasp.wallet, "offer_take", offer=self.offer, rows=offer_rows(rows)
            )
            require(not any(result.rows), f"{vasp.name}: a row of the offer was refused: {set(result.rows)}")
            for holder, units in zip(vasp.custodial, wanted, strict=True):
                holder.cash -= paisa(units)
                holder.units += units
            sold += sum(wanted)
            await self._endow(vasp)
        short = self.binance.custodial[3]
        before = (short.cash, short.units)
        result = await self.actors.perform(
            self.binance.wallet,
            "offer_take",
            offer=self.offer,
            rows=offer_rows([(short.bill_holding, short.cash_holding, short.cash // 400_000 + 1_000)]),
        )
        require(result.rows == (Code.DVP_CASH_SHORT,), f"a short row got {result.rows}")
        self.refusals["dvp_cash_short"] = result.rows[0]
        require(await self._balances(short) == before, "a refused row changed a balance")
        await self._check_some()
        await self._advance(WINDOW_MS + 1_000)
        bill = await self.client.instrument_get(self.bill)
        offers = (await self.client.offer_list()).items
        require(offers[self.offer].status is OfferStatus.CLOSED, "the offer is open after its window")
        require(bill.supply == sold, f"supply is {bill.supply} after {sold} were sold")
        await self._note_balances("distribution")
        return f"{sold:,} units to {2 * self.clients:,} clients; {UNITS - sold:,} unsold units cancelled"

    async def trading(self) -> str:
        """6. Batches of the VASPs, single transfers of self-custody clients, every refusal by its code."""
        for vasp in self.vasps:
            batches = self._trades(vasp, self.trades // 2)
            for rows in batches:
                result = await self.actors.perform(vasp.wallet, "transfer_batch", rows=transfer_rows(rows))
                require(not any(result.rows), f"{vasp.name}: a trade was refused: {set(result.rows)}")
                self.transfers += len(rows)
        await self._singles()
        await self._refusals()
        await self._check_some()
        await self._note_balances("trading")
        return (
            f"{self.trades:,} transfers in batches, {SINGLES} signed one by one; "
            f"{len(self.refusals)} kinds of refusal, each by its code"
        )

    async def crash(self) -> str:
        """7. One validator dies by SIGKILL under load, comes back, and catches up."""
        first = (await self.client.chain_status()).height
        async with self._load() as counter:
            await self._commit_more(counter, 5)
            await self.running.kill_node(CRASHED)
            await self._commit_more(counter, 40)
            self.running.start_node(CRASHED)
            await self.running.wait_ready(CRASHED)
            await self._commit_more(counter, 20)
        self.transfers += counter.committed
        last = (await self.client.chain_status()).height
        times = [(await self.client.chain_block(height)).time_ms for height in range(first, last + 1)]
        self.longest_gap_ms = max(later - earlier for earlier, later in pairwise(times))
        require(self.longest_gap_ms <= GAP_MS_MAX, f"a gap of {self.longest_gap_ms} ms between two blocks")
        root, height = await equal_roots(self.running)
        self.restart_caught_up = True
        return (
            f"{CRASHED} killed and restarted; longest gap {self.longest_gap_ms} ms; "
            f"same root {root[:16]}… at height {height}"
        )

    async def maturity(self) -> str:
        """8. Maturity, the wait for the funding, redemption to all in one block."""
        bill = await self.client.instrument_get(self.bill)
        status = await self.client.chain_status()
        await self._advance(bill.maturity_ms - status.ledger_time_ms + 1_000)
        bill = await self.client.instrument_get(self.bill)
        require(bill.status is InstrumentStatus.MATURED_UNPAID, f"the bill is {bill.status.name} at maturity")
        one, other = self.binance.self_custody[0], self.htx.self_custody[0]
        closed = await self._transfer_refused(one, other.bill_holding, 1)
        require(closed.code == Code.TRANSFERS_CLOSED, f"a transfer after maturity met {closed.name}")
        due = bill.supply * UNIT_FACE
        treasury = await self._treasury_cash(bill)
        if treasury < due:
            await self.actors.enact(
                ["sbp"],
                "cash_issue",
                holding=bill.treasury_cash,
                amount=due - treasury,
                debit=hashlib.sha256(b"RTGS debit for redemption").digest(),
            )
        await self.actors.enact(["mof"], "redemption_fund", instrument=self.bill, amount=due)
        paid = await self._redeemed()
        require(paid.supply == 0, f"supply is {paid.supply} after redemption")
        for holder in (*self.binance.holders, *self.htx.holders):
            holder.cash += holder.units * UNIT_FACE
            holder.units = 0
        await self._check_all()
        require((await self.client.account_get(self.frozen.account)).frozen, "the frozen holder is free")
        await self.actors.enact(["sbp", "fmu"], "lift", restriction=self.freeze)
        held = await self.client.holding_get(self.frozen.cash_holding)
        require(not (held.frozen or held.locked), "the lift left something frozen")
        await self._note_balances("maturity")
        return (
            f"PKR {due / 100:,.2f} to every holder in one block; supply zero; the frozen one free when lifted"
        )

    # --- accounts and money -----------------------------------------------------------------------------

    def _account_row(
        self, number: int, type: AccountType, owner: bytes, jurisdiction: int
    ) -> dict[str, object]:
        salt = self.random.randbytes(16)
        commitment = hashlib.sha256(salt + f"client {number}".encode()).digest()
        return {
            "type": int(type),
            "kyc": commitment,
            "kyc_until": KYC_UNTIL,
            "jurisdiction": jurisdiction,
            "investor_class": RETAIL,
            "owner_key": owner,
        }

    async def _open_accounts(self, vasp: Vasp, count: int, *, owners: Sequence[Wallet] = ()) -> list[Holder]:
        rows = [self._account_row(n, AccountType.CUSTODIAL, b"", PAKISTAN) for n in range(count)]
        rows += [
            self._account_row(n, AccountType.SELF_CUSTODY, owner.public_key, PAKISTAN)
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

    async def _open_clients(self, vasp: Vasp) -> None:
        """The clients, client money and holdings of cash; self-custody clients bring keys of their own."""
        owners = [self.actors.new_wallet(f"{vasp.name}-client-{n}") for n in range(SELF_CUSTODY)]
        await self._open_accounts(vasp, self.clients - SELF_CUSTODY - len(vasp.holders), owners=owners)
        for owner in owners:
            await self.client.align(owner)
        money = self._account_row(0, AccountType.CLIENT_MONEY, b"", PAKISTAN)
        vasp.money_account = (await self.actors.perform(vasp.wallet, "account_open", rows=[money])).created[0]
        accounts = [holder.account for holder in vasp.holders] + [vasp.money_account]
        opened = await self._open_holdings(vasp, accounts, self.currency)
        vasp.money = opened.pop()
        for holder, cash in zip(vasp.holders, opened, strict=True):
            holder.cash_holding = cash

    async def _open_holdings(self, vasp: Vasp, accounts: Sequence[int], instrument: int) -> list[int]:
        rows = holding_rows([(account, instrument) for account in accounts])
        return list((await self.actors.perform(vasp.wallet, "holding_open", rows=rows)).created)

    def _wanted(self, vasp: Vasp) -> list[int]:
        """Units for each custodial client: odd and even, from 1 up; the same at every call."""
        draw = random.Random(f"{SEED} {vasp.name}")
        return [1, 2, *(draw.randint(3, 1_600) for _ in range(len(vasp.custodial) - 2))]

    async def _distribute_cash(self, vasp: Vasp) -> None:
        spare = 100_000  # paisa that stay with each client
        amounts = [paisa(units) + spare for units in self._wanted(vasp)] + [spare] * len(vasp.self_custody)
        rows = [
            (vasp.money, holder.cash_holding, amount)
            for holder, amount in zip([*vasp.custodial, *vasp.self_custody], amounts, strict=True)
        ]
        result = await self.actors.perform(vasp.wallet, "transfer_batch", rows=transfer_rows(rows))
        require(not any(result.rows), f"{vasp.name}: cash was not distributed: {set(result.rows)}")
        for holder, amount in zip([*vasp.custodial, *vasp.self_custody], amounts, strict=True):
            holder.cash = amount
        self.transfers += len(rows)

    async def _bill(self, isin: str, units: int) -> dict[str, object]:
        """The fields of an instrument_issue; issue day is today, or tomorrow in a day's last hour."""
        now_ms = (await self.client.chain_status()).ledger_time_ms
        issue_day = day_of(now_ms + 3_600_000)
        return {
            "programme": self.programme,
            "cash": self.currency,
            "isin": isin,
            "units": units,
            "jurisdictions": (PAKISTAN,),
            "classes": (RETAIL,),
            "terms_hash": hashlib.sha256(b"terms of " + isin.encode()).digest(),
            "register": "native",
            "reference": "",
            "terms": {
                "variant": "discount",
                "face_minor": UNIT_FACE,
                "issue_day": issue_day,
                "maturity_day": issue_day + TENOR_DAYS,
                "yield_e6": YIELD_E6,
            },
        }

    async def _open_bill_holdings(self) -> None:
        """Holdings of the bill for every client, before the offer is taken."""
        for vasp in self.vasps:
            accounts = [holder.account for holder in vasp.holders]
            for holder, bill in zip(
                vasp.holders, await self._open_holdings(vasp, accounts, self.bill), strict=True
            ):
                holder.bill_holding = bill

    async def _endow(self, vasp: Vasp) -> None:
        """Self-custody clients take no offer, for only their own keys move their cash: they buy."""
        seller = max(vasp.custodial, key=lambda holder: holder.units)
        rows = [(seller.bill_holding, buyer.bill_holding, SELF_CUSTODY_UNITS) for buyer in vasp.self_custody]
        result = await self.actors.perform(vasp.wallet, "transfer_batch", rows=transfer_rows(rows))
        require(not any(result.rows), f"{vasp.name}: a sale was refused: {set(result.rows)}")
        for buyer in vasp.self_custody:
            seller.units -= SELF_CUSTODY_UNITS
            buyer.units += SELF_CUSTODY_UNITS
        self.transfers += len(rows)

    # --- trading ----------------------------------------------------------------------------------------

    def _trades(self, vasp: Vasp, count: int) -> list[list[tuple[int, int, int]]]:
        """Batches of trades that all pass: nobody sells what only a later trade brings him."""
        everyone = [*self.binance.holders, *self.htx.holders]
        sellers = {id(holder): holder.units for holder in vasp.custodial}
        units = sum(sellers.values())
        require(count <= units, f"{vasp.name}: {count} trades of one unit, its clients hold {units}")
        rows: list[tuple[int, int, int]] = []
        while len(rows) < count:
            seller, buyer = self.random.choice(vasp.custodial), self.random.choice(everyone)
            if seller is buyer or sellers[id(seller)] == 0:
                continue
            sellers[id(seller)] -= 1
            seller.units -= 1
            buyer.units += 1
            rows.append((seller.bill_holding, buyer.bill_holding, 1))
        return [rows[start : start + BATCH_ROWS] for start in range(0, count, BATCH_ROWS)]

    async def _singles(self) -> None:
        """Each self-custody client signs his share of the single transfers; they run side by side."""
        owners = [*self.binance.self_custody, *self.htx.self_custody]
        share = SINGLES // len(owners)

        async def trade(seller: Holder, buyer: Holder) -> None:
            for _ in range(share):
                await self.actors.perform(
                    seller.wallet,
                    "transfer",
                    from_holding=seller.bill_holding,
                    to_holding=buyer.bill_holding,
                    amount=1,
                )

        async with trio.open_nursery() as nursery:
            for number, seller in enumerate(owners):
                buyer = owners[(number + 1) % len(owners)]
                seller.units -= share
                buyer.units += share
                nursery.start_soon(trade, seller, buyer)
        self.transfers += SINGLES

    async def _refusals(self) -> None:
        one, other = self.binance.self_custody[0], self.htx.self_custody[0]
        self._refused("overdraft", await self._transfer_refused(one, other.bill_holding, one.units + 1))
        await self._resend_and_reuse(one, other)
        fields = {"from_holding": one.bill_holding, "to_holding": other.bill_holding, "amount": 1}
        signed = self.actors.sign(one.wallet, "transfer", **fields)
        self._refused("wrong_chain", await self.actors.submit_refusal(signed.raw, bytes(32)))
        broken = signed.raw[:-1] + bytes([signed.raw[-1] ^ 1])
        self._refused("bad_signature", await self.actors.submit_refusal(broken))
        self._refused("malformed", await self.actors.submit_refusal(signed.raw[:-1]))
        one.wallet.dropped(signed.sequence)
        await self._expired(one.wallet, fields)
        await self._not_authorised(one, other)
        await self._ineligible(one)
        account = self.frozen.account
        (self.freeze,) = await self.actors.enact(["pvara"], "freeze", target="account", index=account)
        self._refused(
            "frozen", await self._vasp_transfer_refused(self.binance, self.frozen, other.bill_holding)
        )

    async def _resend_and_reuse(self, one: Holder, other: Holder) -> None:
        """An identical resend returns the first result; another body in a used sequence is refused."""
        fields = {"from_holding": one.bill_holding, "to_holding": other.bill_holding, "amount": 1}
        signed = self.actors.sign(one.wallet, "transfer", **fields)
        first = await self.client.send(signed, one.wallet)
        one.units -= 1
        other.units += 1
        self.transfers += 1
        before = await self._balances(one)
        again = await self.client.submit(signed.raw)
        require(again.duplicate and again.result == first, "a resend did not return its first result")
        require(await self._balances(one) == before, "a resend changed a balance")
        reused = self.actors.sign(one.wallet, "transfer", sequence=signed.sequence, **{**fields, "amount": 2})
        self._refused("sequence_used", await self.actors.submit_refusal(reused.raw))

    async def _expired(self, wallet: Wallet, fields: dict[str, int]) -> None:
        from_past = Wallet(
            wallet.private_key, wallet.genesis_hash, signer=wallet.signer, clock=lambda: time.time() - 3_600
        )
        sequence = wallet.take_sequence()
        late = self.actors.sign(from_past, "transfer", sequence=sequence, **fields)
        self._refused("expired", await self.actors.submit_refusal(late.raw))
        wallet.dropped(sequence)

    async def _not_authorised(self, one: Holder, other: Holder) -> None:
        """A VASP moves neither another VASP's client nor a self-custody holding."""
        foreign = await self._vasp_transfer_refused(self.htx, self.binance.custodial[0], other.bill_holding)
        own_key = await self._vasp_transfer_refused(self.binance, one, other.bill_holding)
        for refused in (foreign, own_key):
            self._refused("not_authorised", refused)

    async def _ineligible(self, seller: Holder) -> None:
        """A client of a jurisdiction that the bill's terms do not admit."""
        row = self._account_row(0, AccountType.CUSTODIAL, b"", ELSEWHERE)
        account = (await self.actors.perform(self.htx.wallet, "account_open", rows=[row])).created[0]
        (holding,) = await self._open_holdings(self.htx, [account], self.bill)
        self._refused("ineligible", await self._transfer_refused(seller, holding, 1))

    # --- the crash --------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _load(self) -> AsyncIterator["Counter"]:
        """Batches of cash transfers without pause while the block lasts, between two clients of binance."""
        one, other = self.binance.custodial[0], self.binance.custodial[1]
        counter = Counter()

        async def keep_trading() -> None:
            payer, payee = one, other
            while not counter.stop:
                rows = [(payer.cash_holding, payee.cash_holding, 1)] * 100
                await self.actors.perform(self.binance.wallet, "transfer_batch", rows=transfer_rows(rows))
                payer.cash -= len(rows)
                payee.cash += len(rows)
                payer, payee = payee, payer
                counter.add(len(rows))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_trading)
            yield counter
            counter.stop = True

    async def _commit_more(self, counter: "Counter", batches: int) -> None:
        with trio.move_on_after(60) as scope:
            await counter.wait_for(counter.batches + batches)
        require(not scope.cancelled_caught, "the network stood still under load")

    # --- maturity ---------------------------------------------------------------------------------------

    async def _advance(self, milliseconds: int) -> None:
        """Move the ledger's clock, then wait for a block that has seen it."""
        officer = await self.actors.officer("mof", 0)
        moved = await self.actors.perform(officer, "dev_advance_clock", advance_ms=milliseconds)
        await until(
            self.client.chain_status,
            lambda status: status.height > moved.block + 1,
            "no block after the advance",
        )

    async def _treasury_cash(self, bill: InstrumentReply) -> int:
        if bill.treasury_cash is None:
            raise DevnetError("the bill has no treasury cash holding")
        return (await self.client.holding_get(bill.treasury_cash)).balance

    async def _redeemed(self) -> InstrumentReply:
        return await until(
            lambda: self.client.instrument_get(self.bill),
            lambda bill: bill.status is InstrumentStatus.REDEEMED,
            "the bill is not redeemed after its funding",
        )

    # --- checks -----------------------------------------------------------------------------------------

    def _refused(self, name: str, refused: CallRefused) -> None:
        """Note a refusal, which must be `name` and, unless it is unfit for any block, inside a block."""
        require(refused.name == name, f"{name} was to be refused, the answer is {refused}")
        inside = isinstance(refused, TransactionRefused)
        require(inside is (name not in BEFORE_A_BLOCK), f"{name}: refused inside a block: {inside}")
        self.refusals[name] = refused.code

    async def _distribution_refused(self, vasp: Vasp) -> CallRefused:
        return await self.actors.refusal(vasp.wallet, "offer_take", offer=0, rows=offer_rows([(0, 0, 1)]))

    async def _account_refused(self, vasp: Vasp) -> CallRefused:
        row = self._account_row(0, AccountType.CUSTODIAL, b"", PAKISTAN)
        return await self.actors.refusal(vasp.wallet, "account_open", rows=[row])

    async def _approval_refused(self, proposal: int, institution: str, number: int) -> CallRefused:
        try:
            await self.actors.approve(proposal, institution, number)
        except TransactionRefused as refused:
            return refused
        raise DevnetError("an officer's second signature was accepted")

    async def _transfer_refused(self, seller: Holder, to_holding: int, amount: int) -> CallRefused:
        return await self.actors.refusal(
            seller.wallet, "transfer", from_holding=seller.bill_holding, to_holding=to_holding, amount=amount
        )

    async def _vasp_transfer_refused(self, vasp: Vasp, seller: Holder, to_holding: int) -> CallRefused:
        return await self.actors.refusal(
            vasp.wallet, "transfer", from_holding=seller.bill_holding, to_holding=to_holding, amount=1
        )

    async def _balances(self, holder: Holder) -> tuple[int, int]:
        cash = await self.client.holding_get(holder.cash_holding)
        bill = await self.client.holding_get(holder.bill_holding)
        return cash.balance, bill.balance

    async def _note_balances(self, chapter: str) -> None:
        """Ask what a few clients have, to be shown at the end."""
        for vasp in self.vasps:
            for what, holder in (
                ("its first client", vasp.custodial[0]),
                ("its first in self-custody", vasp.self_custody[0]),
            ):
                self.balances.append((chapter, f"{vasp.name}, {what}", *await self._balances(holder)))
        self.balances.append((chapter, "the frozen client", *await self._balances(self.frozen)))

    async def _check_some(self) -> None:
        """A sample of balances against our own sums."""
        for vasp in self.vasps:
            for holder in (*self.random.sample(vasp.custodial, 10), *vasp.self_custody):
                found = await self._balances(holder)
                require(
                    found == (holder.cash, holder.units),
                    f"account {holder.account} holds {found}, should hold {(holder.cash, holder.units)}",
                )

    async def _check_all(self) -> None:
        """Every client's balances against our own sums, page by page."""
        expected = {}
        for holder in (*self.binance.holders, *self.htx.holders):
            expected[holder.cash_holding] = holder.cash
            expected[holder.bill_holding] = holder.units
        for instrument in (self.currency, self.bill):
            cursor: int | None = 0
            while cursor is not None:
                page = await self.client.holding_list(instrument=instrument, cursor=cursor, limit=1_000)
                for item in page.items:
                    wanted = expected.pop(item.holding, item.balance)
                    require(
                        item.balance == wanted,
                        f"holding {item.holding} has {item.balance}, should have {wanted}",
                    )
                cursor = page.next_cursor
        require(not expected, f"{len(expected)} holdings are not listed")


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
