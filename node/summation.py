"""The second summation: every balance again from transactions and results alone, in plain dictionaries.

Neither the ledger's balances nor its vector path are used. What a block did is read from the bytes of its
transactions, from their result codes, and from the documents that name the facts (an offer's price, an
instrument's face, a proposal that was executed). Balances so found must be those of the ledger.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ledger import terms
from ledger.codes import Code
from ledger.documents import Instrument, InstrumentStatus, Offer, ProposalStatus
from ledger.execution import Result
from ledger.limits import PAYLOAD_BYTES_MAX
from ledger.state import State
from ledger.transactions import Transaction, decode_payload
from ledger.versions import rules
from primitives.codec import decode

ROW_BYTES = 16
PRICE_SCALE = 1_000_000  # a price per 100 with four decimals


class SummationFault(Exception):
    """The two ways of counting disagree. The text names the holding or instrument, and both numbers."""


@dataclass(frozen=True, slots=True)
class Before:
    """The documents, as they were before a block, that say what its beginning did."""

    instruments: tuple[Instrument, ...]
    offers: tuple[Offer, ...]

    @classmethod
    def of(cls, state: State) -> "Before":
        return cls(tuple(state.instruments), tuple(state.offers))


class Summation:
    """Balances by holding and supplies by instrument, from genesis on."""

    def __init__(self) -> None:
        self.balances: dict[int, int] = {}
        self.supplies: dict[int, int] = {}
        self.transfers = 0  # movements between two holdings
        self._touched: set[int] = set()
        self._by_account: dict[tuple[int, int], int] = {}  # (account, instrument) to holding
        self._by_instrument: dict[int, list[int]] = {}
        self._known = 0
        self._instruments = np.zeros(0, np.uint32)

    def add_block(
        self,
        state: State,
        before: Before,
        height: int,
        transactions: Sequence[Transaction],
        results: Sequence[Result],
    ) -> None:
        """Count what the block of `height` did; `state` is the one after it. Raises SummationFault."""
        self._touched = set()
        self._learn(state)
        self._count_beginning(state, before)
        for transaction, result in zip(transactions, results, strict=True):
            definition = transaction.definition
            if result.code != Code.OK:
                continue
            if not definition.governed:
                self._count(state, definition.name, transaction.payload, result.created, result.rows, height)
        for act, payload, created in _executed(state, height, transactions, results):
            self._count(state, act, payload, created, b"", height)
        self._compare(state, sorted(self._touched))

    def compare_all(self, state: State) -> None:
        """Compare every holding and every supply. Raises SummationFault."""
        self._compare(state, range(len(state.holdings)))
        for index, instrument in enumerate(state.instruments):
            summed = sum(self.balances.get(holding, 0) for holding in self._by_instrument.get(index, ()))
            if not summed == self.supplies.get(index, 0) == instrument.supply:
                raise SummationFault(
                    f"instrument {index} ({instrument.code}): holdings sum to {summed}, issues less"
                    f" redemptions to {self.supplies.get(index, 0)}, the ledger says {instrument.supply}"
                )

    # --- what each act does -------------------------------------------------------------------------------

    def _count(
        self, state: State, act: str, payload: Any, created: tuple[int, ...], rows: bytes, height: int
    ) -> None:
        if act in STILL:
            return
        effect = EFFECTS.get(act)
        if effect is None:
            raise SummationFault(f"act {act}: the second summation has no rule for it")
        effect(self, state, payload, created, rows)

    def transfer(self, state: State, payload: Any, created: tuple[int, ...], rows: bytes) -> None:
        self._move(payload.from_holding, payload.to_holding, payload.amount)

    def transfer_batch(self, state: State, payload: Any, created: tuple[int, ...], rows: bytes) -> None:
        for source, target, amount in _accepted(payload.rows, rows):
            self._move(source, target, amount)

    def offer_take(self, state: State, payload: Any, created: tuple[int, ...], rows: bytes) -> None:
        offer = state.offers[payload.offer]
        instrument = state.instruments[offer.instrument]
        for securities, cash, units in _accepted(payload.rows, rows):
            self._move(instrument.treasury_holding, securities, units)
            price = units * terms.face_minor(instrument.terms) * offer.price_e4 // PRICE_SCALE
            self._move(cash, instrument.treasury_cash, price)

    def cash_issue(self, state: State, payload: Any, created: tuple[int, ...], rows: bytes) -> None:
        self._mint(state, payload.holding, payload.amount)

    def cash_destroy(self, state: State, payload: Any, created: tuple[int, ...], rows: bytes) -> None:
        self._mint(state, payload.holding, -payload.amount)

    def instrument_issue(self, state: State, payload: Any, created: tuple[int, ...], rows: bytes) -> None:
        index = next(i for i, instrument in enumerate(state.instruments) if instrument.code == payload.isin)
        self._mint(state, state.instruments[index].treasury_holding, payload.units)

    def redemption_fund(self, state: State, payload: Any, created: tuple[int, ...], rows: bytes) -> None:
        instrument = state.instruments[payload.instrument]
        self._move(instrument.treasury_cash, instrument.pool_cash, payload.amount)

    # --- what the beginning of a block does ---------------------------------------------------------------

    def _count_beginning(self, state: State, before: Before) -> None:
        """Offers that closed cancel what they did not sell; instruments that were redeemed paid everyone."""
        for index, offer in enumerate(before.offers):
            cancelled = state.offers[index].cancelled - offer.cancelled
            if cancelled:
                instrument = state.instruments[offer.instrument]
                self._mint(state, instrument.treasury_holding, -cancelled)
        for index, was in enumerate(before.instruments):
            now = state.instruments[index]
            if now.status == InstrumentStatus.REDEEMED != was.status:
                self._redeem(state, index, now)

    def _redeem(self, state: State, index: int, instrument: Instrument) -> None:
        for holding in self._by_instrument.get(index, ()):
            units = self.balances.get(holding, 0)
            if units == 0:
                continue
            account = int(state.holdings.field(holding, "account"))
            cash = self._by_account.get((account, instrument.cash))
            if cash is None:
                raise SummationFault(f"account {account} was not paid: it has no holding of cash")
            self._mint(state, holding, -units)
            if holding == instrument.treasury_holding:
                continue  # the treasury owes itself nothing
            self._move(instrument.pool_cash, cash, units * terms.face_minor(instrument.terms))
        left = self.balances.get(instrument.pool_cash, 0)
        if left:
            self._move(instrument.pool_cash, instrument.treasury_cash, left)

    # --- plain arithmetic ---------------------------------------------------------------------------------

    def _learn(self, state: State) -> None:
        """Which holding is of which account and instrument: new ones, and those that were taken over."""
        accounts, instruments = state.holdings.column("account"), state.holdings.column("instrument")
        taken_over = np.flatnonzero(instruments[: self._known] != self._instruments).tolist()
        for holding in taken_over:
            before = int(self._instruments[holding])
            if self.balances.get(holding, 0):
                raise SummationFault(f"holding {holding}: taken over with {self.balances[holding]} in it")
            self._by_instrument[before].remove(holding)
            self._by_account.pop((int(accounts[holding]), before), None)
        self._instruments = instruments.copy()
        for holding in (*taken_over, *range(self._known, len(state.holdings))):
            account, instrument = int(accounts[holding]), int(instruments[holding])
            self._by_account[account, instrument] = holding
            self._by_instrument.setdefault(instrument, []).append(holding)
        self._known = len(state.holdings)

    def _move(self, source: int, target: int, amount: int) -> None:
        self._add(source, -amount)
        self._add(target, amount)
        self.transfers += 1

    def _mint(self, state: State, holding: int, amount: int) -> None:
        instrument = int(state.holdings.field(holding, "instrument"))
        self._add(holding, amount)
        self.supplies[instrument] = self.supplies.get(instrument, 0) + amount

    def _add(self, holding: int, amount: int) -> None:
        self.balances[holding] = self.balances.get(holding, 0) + amount
        self._touched.add(holding)

    def _compare(self, state: State, holdings: Iterable[int]) -> None:
        balances = state.holdings.column("balance")
        for holding in holdings:
            counted, stored = self.balances.get(holding, 0), int(balances[holding])
            if counted != stored or counted < 0:
                raise SummationFault(f"holding {holding}: counted {counted}, the ledger says {stored}")


def _accepted(rows: bytes, codes: bytes) -> Iterable[tuple[int, int, int]]:
    """(u4, u4, u8) of every row that was not refused; no codes mean that none was."""
    for number in range(len(rows) // ROW_BYTES):
        if codes and int.from_bytes(codes[2 * number : 2 * number + 2], "little") != Code.OK:
            continue
        row = rows[number * ROW_BYTES : (number + 1) * ROW_BYTES]
        yield (
            int.from_bytes(row[0:4], "little"),
            int.from_bytes(row[4:8], "little"),
            int.from_bytes(row[8:16], "little"),
        )


def _executed(
    state: State, height: int, transactions: Sequence[Transaction], results: Sequence[Result]
) -> Iterable[tuple[str, Any, tuple[int, ...]]]:
    """(act, payload, created) of every proposal that the block's transactions executed."""
    touched = set()
    for transaction, result in zip(transactions, results, strict=True):
        if result.code == Code.OK and transaction.definition.governed:
            touched.add(result.created[0])
        elif result.code == Code.OK and transaction.definition.name == "approve":
            touched.add(transaction.payload.proposal)
    for index in sorted(touched):
        proposal = state.proposals[index]
        if proposal.status == ProposalStatus.EXECUTED and proposal.decided_height == height:
            definition = rules(state.version).kinds[proposal.kind]
            values = decode(proposal.payload, PAYLOAD_BYTES_MAX)
            yield proposal.act, decode_payload(definition, values), proposal.created


Effect = Callable[[Summation, State, Any, tuple[int, ...], bytes], None]

# Every kind is in one of the two: it moves balances by this rule, or it moves none.
EFFECTS: Mapping[str, Effect] = {
    "transfer": Summation.transfer,
    "transfer_batch": Summation.transfer_batch,
    "offer_take": Summation.offer_take,
    "cash_issue": Summation.cash_issue,
    "cash_destroy": Summation.cash_destroy,
    "instrument_issue": Summation.instrument_issue,
    "redemption_fund": Summation.redemption_fund,
}
STILL = {
    *("account_open", "account_update", "holding_open", "licence_apply"),
    *("approve", "reject", "withdraw", "dev_advance_clock"),
    *("vasp_register", "vasp_noc", "vasp_reject", "vasp_goaml", "vasp_subsidiary", "vasp_license"),
    *("vasp_suspend", "vasp_reinstate", "vasp_revoke"),
    *("programme_create", "fixing_attest", "cash_define", "offer_open", "offer_withdraw"),
    *("freeze", "lift", "kyc_restore", "parameter_set", "validator_update"),
    *("upgrade_schedule", "upgrade_cancel"),
}
