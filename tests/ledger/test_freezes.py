"""Freezes: who orders and lifts them, that two are two, and that a lift leaves nothing and frees no more.

The last test walks every event that assets can meet while frozen, beside a model that knows only the rule.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from ledger import conservation, due, maturity, restrictions, terms, transfers
from ledger.agenda import Moment
from ledger.codes import Code, InvariantError, Refused
from ledger.documents import ALL, InstrumentStatus, ProposalStatus, Target
from ledger.execution import Result, execute
from ledger.kinds import BY_NAME
from ledger.rows import FROZEN, AccountType
from ledger.state import State
from ledger.transactions import assemble, decode_transaction, encode_body
from testing.ledger_network import Network, client, packed

FACE = 500_000


class Market:
    """Two VASPs. Binance: clients 0, 1, an owner, client money; HTX: a client. Each holds cash, and units of
    two bills that mature in ten and twenty days; client money holds cash alone."""

    def __init__(self) -> None:
        self.net = net = Network()
        for name in ("binance", "htx"):
            net.license(name)
        net.define_money()
        self.bills = (
            net.issue(units=100, tenor_days=10),
            net.issue(isin="PK0012345689", units=100, tenor_days=20),
        )
        *ours, pool, net.signers["owner"] = net.accounts(
            "binance", [client(1), client(2), client(3, 1, "owner"), client(4, 2)]
        )
        (theirs,) = net.accounts("htx", [client(5)])
        self.accounts = (*ours, theirs)
        self.pool = pool
        self.cash = tuple(
            net.holdings("htx" if account == theirs else "binance", [(account, 0)])[0]
            for account in (*self.accounts, pool)
        )
        self.papers = {
            bill: tuple(
                net.holdings("htx" if account == theirs else "binance", [(account, bill)])[0]
                for account in self.accounts
            )
            for bill in self.bills
        }
        money = self.cash[-1]
        net.fund(money, 500 * FACE)
        for holding in self.cash[:-1]:
            net.ok("transfer", "binance", from_holding=money, to_holding=holding, amount=50 * FACE)
        self.offers = tuple(net.offer(bill, 100) for bill in self.bills)
        for offer, bill in zip(self.offers, self.bills, strict=True):
            rows = [(self.papers[bill][n], self.cash[n], 20) for n in (0, 1)]
            assert net.do("offer_take", "binance", offer=offer, rows=packed(rows, 4, 4, 8)).rows == b""
            for n in (2, 3):
                self.move(self.papers[bill][1], self.papers[bill][n], 5)

    def move(self, source: int, target: int, amount: int, signer: str = "binance") -> tuple[int, ...]:
        return self.net.ok("transfer", signer, from_holding=source, to_holding=target, amount=amount)

    def refused(self, code: Code, source: int, target: int, amount: int = 1) -> None:
        self.net.refused(code, "transfer", "binance", from_holding=source, to_holding=target, amount=amount)

    def redeem(self, bill: int) -> None:
        """Pay the bill out: its day comes, and its pool is funded."""
        net, record = self.net, self.net.state.instruments[bill]
        net.advance(terms.closes_ms(record.terms) - net.time_ms)
        owed = maturity.redemption_due(net.state, net.state.instruments[bill])
        net.fund(record.treasury_cash, owed)
        net.enact("redemption_fund", "mof1 mof2", instrument=bill, amount=owed)
        net.block()
        assert net.state.instruments[bill].status is InstrumentStatus.REDEEMED

    def free(self, holding: int) -> int:
        return transfers.available(self.net.state.holdings[holding])


@pytest.fixture
def market() -> Market:
    return Market()


# --- who freezes and who lifts


@pytest.mark.parametrize("authority", ["pvara", "sbp", "fmu"])
def test_two_officers_of_any_one_authority_freeze_at_once(market: Market, authority: str) -> None:
    net, (a, b, *_) = market.net, market.cash
    (proposal,) = net.ok("freeze", f"{authority}1", target=Target.HOLDING, index=a)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    (restriction,) = net.ok("approve", f"{authority}2", proposal=proposal, reason=0)
    assert net.state.restrictions[restriction].proposal == proposal
    market.refused(Code.FROZEN, a, b)


def test_one_officer_each_of_two_authorities_freeze_nothing(market: Market) -> None:
    net = market.net
    proposal, *_ = net.ok("freeze", "pvara1 sbp1", target=Target.HOLDING, index=market.cash[0])
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    assert len(net.state.restrictions) == 0


def test_one_authority_never_lifts_alone(market: Market) -> None:
    net, account = market.net, market.accounts[0]
    freeze = net.freeze(Target.ACCOUNT, account)
    (proposal,) = net.ok("lift", "pvara1 pvara2 pvara3", restriction=freeze)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    net.ok("approve", "sbp1", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    net.ok("approve", "sbp2", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.EXECUTED
    assert not net.state.accounts[account].flags & FROZEN
    assert net.state.restrictions[freeze].ended_ms == net.time_ms - 1_000


@pytest.mark.parametrize("target", list(Target))
def test_every_target_stops_a_transfer_and_its_lift_lets_it_go(market: Market, target: Target) -> None:
    a, b, *_ = market.papers[market.bills[0]]
    index = {
        Target.ACCOUNT: market.accounts[0], Target.HOLDING: a, Target.INSTRUMENT: market.bills[0]
    }.get(target, 0)  # fmt: skip
    freeze = market.net.freeze(target, index)
    market.refused(Code.FROZEN, a, b)
    market.net.lift(freeze)
    market.net.refused(Code.WRONG_STATUS, "lift", "sbp1", restriction=freeze)
    market.move(a, b, 1)


def test_a_transfer_to_oneself_unfreezes_nothing(market: Market) -> None:
    market.net.freeze(Target.HOLDING, market.cash[0])
    market.refused(Code.SAME_HOLDING, market.cash[0], market.cash[0])
    assert market.net.state.holdings[market.cash[0]].flags & FROZEN


@pytest.mark.parametrize("target", list(Target))
def test_what_does_not_exist_is_neither_frozen_nor_lifted(market: Market, target: Target) -> None:
    index = 1 if target is Target.MARKET else 999
    market.net.refused(Code.NOT_FOUND, "freeze", "sbp1", target=target, index=index)
    market.net.refused(Code.NOT_FOUND, "lift", "sbp1", restriction=0)


# --- two freezes are two


@pytest.mark.parametrize("target", list(Target))
@pytest.mark.parametrize("first", [0, 1])
def test_freezes_by_two_authorities_are_two(market: Market, target: Target, first: int) -> None:
    a, b, *_ = market.papers[market.bills[0]]
    index = {
        Target.ACCOUNT: market.accounts[0], Target.HOLDING: a, Target.INSTRUMENT: market.bills[0]
    }.get(target, 0)  # fmt: skip
    freezes = [market.net.freeze(target, index, authority) for authority in ("pvara", "fmu")]
    market.net.lift(freezes[first])
    market.refused(Code.FROZEN, a, b)
    market.net.lift(freezes[1 - first])
    market.move(a, b, 1)


def test_approvals_of_one_lift_never_lift_another_freeze(market: Market) -> None:
    """PVARA approves the lift of one freeze; the approval stays with that freeze, whatever comes after it."""
    net, account = market.net, market.accounts[0]
    first = net.freeze(Target.ACCOUNT, account)
    (proposal,) = net.ok("lift", "pvara1 pvara2", restriction=first)
    net.lift(first)
    net.freeze(Target.ACCOUNT, account)
    net.do("approve", "sbp1 sbp2", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is not ProposalStatus.EXECUTED
    assert net.state.accounts[account].flags & FROZEN


# --- what a freeze leaves behind


def test_a_frozen_account_is_paid_and_free_once_its_freeze_is_lifted(market: Market) -> None:
    net, (a, b, *_) = market.net, market.cash
    freeze = net.freeze(Target.ACCOUNT, market.accounts[0])
    market.redeem(market.bills[0])
    market.refused(Code.FROZEN, a, b)
    net.lift(freeze)
    market.move(a, b, net.balance(a))


def test_what_a_frozen_holding_is_paid_is_held_to_the_unit_and_no_more(market: Market) -> None:
    net, (a, b, *_) = market.net, market.cash
    had = net.balance(a)
    freeze = net.freeze(Target.HOLDING, market.papers[market.bills[0]][0])
    market.redeem(market.bills[0])
    assert (net.balance(a), market.free(a)) == (had + 20 * FACE, had)
    market.move(a, b, had)
    market.refused(Code.OVERDRAFT, a, b)
    net.lift(freeze)
    market.move(a, b, 20 * FACE)


def test_what_a_frozen_holding_was_paid_is_held_by_every_freeze_it_met_and_by_none_that_comes_later(
    market: Market,
) -> None:
    net, cash = market.net, market.cash[0]
    bill = market.papers[market.bills[0]][0]
    had = market.free(cash)
    early = [net.freeze(Target.HOLDING, bill, authority) for authority in ("pvara", "sbp")]
    market.redeem(market.bills[0])
    net.refused(Code.WRONG_STATUS, "freeze", "fmu1 fmu2", target=Target.HOLDING, index=bill)
    net.lift(early[0])
    assert market.free(cash) == had
    net.lift(early[1])
    assert market.free(cash) == had + 20 * FACE


def test_what_follows_from_a_freeze_is_not_lifted_by_itself(market: Market) -> None:
    net = market.net
    freeze = net.freeze(Target.HOLDING, market.papers[market.bills[0]][0])
    market.redeem(market.bills[0])
    follows = net.state.restrictions[freeze + 1]
    assert (follows.causes, follows.index, follows.amount) == ((freeze,), market.cash[0], 20 * FACE)
    net.refused(Code.WRONG_STATUS, "lift", "sbp1", restriction=freeze + 1)


def test_a_freeze_of_one_client_never_touches_the_money_of_the_others(market: Market) -> None:
    money = market.cash[-1]
    market.net.freeze(Target.HOLDING, market.papers[market.bills[0]][0])
    market.redeem(market.bills[0])
    market.move(money, market.cash[1], market.net.balance(money))


def test_flags_and_locks_that_no_restriction_asks_for_are_found(market: Market) -> None:
    state = market.net.state
    for spoil in (
        lambda: state.accounts.set_field(0, "flags", FROZEN),
        lambda: state.holdings.set_field(market.cash[0], "flags", FROZEN),
        lambda: state.holdings.set_field(market.cash[0], "locked", 1),
        lambda: state.vasps.replace(0, replace(state.vasps[0], frozen=True)),
        lambda: state.instruments.replace(0, replace(state.instruments[0], frozen=True)),
        lambda: state.chain.replace(0, replace(state.chain_record, market_frozen=True)),
    ):
        mark = state.mark()
        spoil()
        with pytest.raises(InvariantError):
            restrictions.check_all(state)
        state.undo(mark)
        restrictions.check_all(state)


# --- every event that assets can meet while frozen

indices = st.integers(0, 10**6)
EVENTS_MAX = 40


class Frozen(RuleBasedStateMachine):
    """Assets live on while freezes come and go; a model says what is held: the open freezes of each target,
    and each payment to a frozen holding with the freezes it met."""

    market: Market

    @initialize()
    def begin(self) -> None:
        if not hasattr(Frozen, "market"):
            Frozen.market = Market()  # once: every example takes back what it wrote
        self.state: State = self.market.net.state
        self.mark = self.state.mark()
        self.height, self.now_ms = self.market.net.height, self.market.net.time_ms
        self.freezes: dict[int, tuple[Target, int]] = {}
        self.payments: list[tuple[int, int, set[int]]] = []  # cash holding, amount, freezes still open
        self.debits = 0
        self.stood_for: dict[int, tuple[int, int]] = {}  # a frozen holding's account and instrument

    def teardown(self) -> None:
        if not hasattr(self, "mark"):
            return
        try:
            for freeze in sorted(self.freezes, key=lambda number: number * 7_919 % 31):
                self.lift(list(self.freezes).index(freeze))
                self.nothing_else_is_held()
            assert not any(self.state.accounts.column("flags"))
            assert not any(self.state.holdings.column("flags"))
            assert all(self.state.holdings[holding].locked == 0 for holding in self.ours())
        finally:
            self.state.undo(self.mark)

    # --- the model

    def ours(self) -> Iterator[int]:
        """The holdings of VASPs' clients and of client money."""
        for holding in range(len(self.state.holdings)):
            account = self.state.accounts[self.state.holdings[holding].account]
            if account.type not in (AccountType.INSTITUTION, AccountType.POOL):
                yield holding

    def is_frozen(self, holding: int) -> bool:
        row = self.state.holdings[holding]
        covering = {
            (Target.HOLDING, holding), (Target.ACCOUNT, row.account), (Target.INSTRUMENT, row.instrument),
            (Target.VASP, self.state.accounts[row.account].vasp), (Target.MARKET, 0),
        }  # fmt: skip
        return not covering.isdisjoint(self.freezes.values())

    def held(self, holding: int) -> int:
        return sum(amount for paid, amount, open in self.payments if paid == holding and open)

    @invariant()
    def nothing_else_is_held(self) -> None:
        if not hasattr(self, "mark"):
            return
        for holding in self.ours():
            row = self.state.holdings[holding]
            assert row.locked == self.held(holding)
            try:
                transfers.check_unfrozen(
                    self.state,
                    row,
                    self.state.accounts[row.account],
                    self.state.instruments[row.instrument],
                    "holding",
                )
            except Refused:
                assert self.is_frozen(holding)
            else:
                assert not self.is_frozen(holding)
        for freeze, (_, index) in self.freezes.items():
            if freeze in self.stood_for:
                row = self.state.holdings[index]
                assert self.stood_for[freeze] == (row.account, row.instrument)
        restrictions.check_all(self.state)
        conservation.check_all(self.state)

    # --- what is done to the ledger

    def act(self, kind: str, signers: str, **fields: Any) -> Result:
        numbers = sorted(self.market.net.signers[name] for name in signers.split())
        sequence = self.state.signers.field(numbers[0], "highest") + 1
        definition = BY_NAME[kind]
        body = encode_body(definition, numbers, sequence, 1, definition.payload(**fields))
        tx = decode_transaction(assemble(body, [bytes(64)] * len(numbers)))
        return execute(self.state, tx, self.height, self.now_ms, self.now_ms)

    @rule(what=st.sampled_from(Target), index=indices, authority=st.sampled_from(["pvara", "sbp", "fmu"]))
    def freeze(self, what: Target, index: int, authority: str) -> None:
        state = self.state
        sizes = {
            Target.ACCOUNT: len(state.accounts), Target.HOLDING: len(state.holdings),
            Target.INSTRUMENT: len(state.instruments), Target.VASP: len(state.vasps), Target.MARKET: 1,
        }  # fmt: skip
        index %= sizes[what]
        result = self.act("freeze", f"{authority}1 {authority}2", target=what, index=index)
        bill = state.holdings[index].instrument if what is Target.HOLDING else index
        if what in (Target.HOLDING, Target.INSTRUMENT) and state.instruments[bill].redeemed_ms:
            assert result.code == Code.WRONG_STATUS
            return
        assert result.code == Code.OK
        self.freezes[result.created[1]] = what, index
        if what is Target.HOLDING:
            row = state.holdings[index]
            assert self.stood_for.setdefault(result.created[1], (row.account, row.instrument))

    @rule(index=indices)
    def freeze_a_clients_bill(self, index: int) -> None:
        papers = [holding for bill in self.market.bills for holding in self.market.papers[bill]]
        self.freeze(Target.HOLDING, papers[index % len(papers)], "fmu")

    @precondition(lambda self: self.freezes)
    @rule(index=indices, authority=st.sampled_from(["pvara", "sbp", "fmu"]))
    def freeze_again(self, index: int, authority: str) -> None:
        self.freeze(*list(self.freezes.values())[index % len(self.freezes)], authority)

    @precondition(lambda self: self.freezes)
    @rule(index=indices)
    def lift(self, index: int) -> None:
        freeze = list(self.freezes)[index % len(self.freezes)]
        assert self.act("lift", "sbp1 sbp2 pvara1 pvara2", restriction=freeze).code == Code.OK
        del self.freezes[freeze]
        for *_, open in self.payments:
            open.discard(freeze)

    @rule(source=indices, sink=indices, part=st.sampled_from([1, 2, 10**6]))
    def transfer(self, source: int, sink: int, part: int) -> None:
        holdings = list(self.ours())
        source = holdings[source % len(holdings)]
        instrument = self.state.holdings[source].instrument
        like = [holding for holding in holdings if self.state.holdings[holding].instrument == instrument]
        target = like[sink % len(like)]
        free = self.state.holdings[source].balance - self.held(source)
        account = self.state.accounts[self.state.holdings[source].account]
        signer = "owner" if account.type == AccountType.SELF_CUSTODY else ("binance", "htx")[account.vasp]
        amount = max(1, free // part)
        if part == 10**6:
            amount = free + 1
        result = self.act("transfer", signer, from_holding=source, to_holding=target, amount=amount)
        if source == target or self.state.instruments[instrument].status is not InstrumentStatus.ACTIVE:
            assert result.code in (Code.SAME_HOLDING, Code.TRANSFERS_CLOSED)
        elif self.is_frozen(source) or self.is_frozen(target):
            assert result.code == Code.FROZEN
        else:
            assert result.code == (Code.OK if amount <= free else Code.OVERDRAFT)

    @rule(offer=st.integers(0, 1), buyer=st.integers(0, 1), units=st.integers(1, 30))
    def take(self, offer: int, buyer: int, units: int) -> None:
        bill, cash = self.market.bills[offer], self.market.cash[buyer]
        paper = self.market.papers[bill][buyer]
        before, frozen = self.state.holdings[paper].balance, self.is_frozen(paper) or self.is_frozen(cash)
        rows = packed([(paper, cash, units)], 4, 4, 8)
        self.act("offer_take", "binance", offer=self.market.offers[offer], rows=rows)
        assert not frozen or self.state.holdings[paper].balance == before

    @rule(index=indices, amount=st.integers(1, FACE))
    def issue_and_destroy_cash(self, index: int, amount: int) -> None:
        self.debits += 1
        debit = self.debits.to_bytes(32, "big")
        bill = self.state.instruments[self.market.bills[0]]
        holding = (self.market.cash[-1], bill.treasury_cash)[index % 2]
        self.act("cash_issue", "sbp1 sbp2", holding=holding, amount=amount, debit=debit)
        self.act("cash_destroy", "sbp1 sbp2 pvara1 pvara2", debit=debit, holding=holding, amount=amount)

    @rule(index=indices)
    def open_a_holding(self, index: int) -> None:
        """Of a new currency: a finished holding of the account is taken over for it, never a frozen one."""
        letters = len(self.state.instruments)
        currency = f"X{chr(65 + letters // 26 % 26)}{chr(65 + letters % 26)}"
        self.act("cash_define", "sbp1 sbp2", currency=currency)
        account = self.market.accounts[index % len(self.market.accounts)]
        vasp = ("binance", "htx")[self.state.accounts[account].vasp]
        rows = packed([(account, self.state.instruments.by_key[currency])], 4, 4)
        self.act("holding_open", vasp, rows=rows)

    @rule(offer=st.integers(0, 1))
    def withdraw_an_offer(self, offer: int) -> None:
        self.act("offer_withdraw", "mof1 mof2", offer=self.market.offers[offer])

    @rule(bill=st.integers(0, 1))
    def fund(self, bill: int) -> None:
        record = self.state.instruments[self.market.bills[bill]]
        if record.status is InstrumentStatus.REDEEMED:
            return
        owed = max(1, maturity.redemption_due(self.state, record))
        self.debits += 1
        debit = self.debits.to_bytes(32, "big")
        self.act("cash_issue", "sbp1 sbp2", holding=record.treasury_cash, amount=owed, debit=debit)
        self.act("redemption_fund", "mof1 mof2", instrument=self.market.bills[bill], amount=owed)

    @rule(hours=st.sampled_from([1, 12, 24, 5 * 24, 11 * 24]))
    def time_passes(self, hours: int) -> None:
        """Offers close, bills mature, pools pay: each holder of a bill that ends is paid its face."""
        self.height += 1
        self.now_ms += hours * 3_600_000
        instruments = list(self.state.instruments)
        held = {holding: self.state.holdings[holding].balance for holding in self.ours()}
        due.begin_block(self.state, Moment(self.height, self.now_ms))
        for holding, units in held.items():
            row = self.state.holdings[holding]
            was, now = instruments[row.instrument], self.state.instruments[row.instrument]
            if units and was.status != now.status == InstrumentStatus.REDEEMED:
                cash = self.state.holding_of(row.account, now.cash)
                assert cash is not None
                met = {n for n, held in self.freezes.items() if held == (Target.HOLDING, holding)}
                self.payments.append((cash, units * FACE, met))

    @rule(days=st.integers(1, 30))
    def a_whole_life(self, days: int) -> None:
        """Both bills end at once, so that short examples meet redemption too."""
        for bill in (0, 1):
            self.fund(bill)
        self.time_passes(24 * days)

    @rule(kind=st.sampled_from(["vasp_suspend", "vasp_reinstate"]), vasp=st.integers(0, 1))
    def supervise(self, kind: str, vasp: int) -> None:
        """A suspension has no part in what is frozen; it ends before the next event."""
        self.act("vasp_suspend", "pvara1 pvara2", vasp=vasp)
        self.nothing_else_is_held()
        self.act("vasp_reinstate", "pvara1 pvara2", vasp=vasp)


Frozen.TestCase.settings = settings(max_examples=60, stateful_step_count=EVENTS_MAX, deadline=None)
TestFrozen = Frozen.TestCase


def test_an_open_freeze_holds_all_and_what_follows_a_part(market: Market) -> None:
    freeze = market.net.freeze(Target.HOLDING, market.papers[market.bills[0]][0])
    market.redeem(market.bills[0])
    amounts = [restriction.amount for restriction in market.net.state.restrictions]
    assert amounts == [ALL, 20 * FACE]
    assert market.net.state.restrictions.members(freeze) == [freeze + 1]
