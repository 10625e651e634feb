"""Maturity and redemption."""

import pytest

from ledger import maturity, terms
from ledger.codes import Code
from ledger.documents import InstrumentStatus, Target
from testing.ledger_network import BILL, DAY_MS, Network, client, packed


class Holders:
    """A bill of 100 units, of which three clients hold 10, 20 and 30; only the first has a cash holding of
    his own from the start, the second pays from client money, the third was given his."""

    def __init__(self) -> None:
        self.net = net = Network()
        net.license("binance")
        net.define_money()
        self.bill = net.issue(units=100)
        *clients, pool = net.accounts("binance", [client(1), client(2), client(3), client(4, 2)])
        self.clients = clients
        self.bills = net.holdings("binance", [(account, self.bill) for account in clients])
        self.money, self.cash = net.holdings("binance", [(pool, 0), (clients[0], 0)])
        net.fund(self.money, 60 * 489_437)
        offer = net.offer(self.bill, 100)
        rows = [(self.bills[0], self.money, 10), (self.bills[1], self.money, 50)]
        assert net.do("offer_take", "binance", offer=offer, rows=packed(rows, 4, 4, 8)).rows == b""
        net.ok("transfer", "binance", from_holding=self.bills[1], to_holding=self.bills[2], amount=30)

    def mature(self) -> None:
        bill = self.net.state.instruments[self.bill]
        self.net.advance(terms.closes_ms(bill.terms) - self.net.time_ms - 1_000)

    def pay(self, amount: int) -> None:
        treasury = self.net.state.instruments[self.bill].treasury_cash
        self.net.fund(treasury, amount)
        self.net.enact("redemption_fund", "mof1 mof2", instrument=self.bill, amount=amount)
        self.net.block()

    def cash_of(self, number: int) -> int:
        holding = self.net.state.holding_of(self.clients[number], 0)
        assert holding is not None
        return holding

    @property
    def status(self) -> InstrumentStatus:
        return self.net.state.instruments[self.bill].status


@pytest.fixture
def holders() -> Holders:
    return Holders()


def test_transfers_close_in_the_first_block_of_the_day_of_maturity(holders: Holders) -> None:
    net = holders.net
    trade = {"from_holding": holders.bills[0], "to_holding": holders.bills[1], "amount": 1}
    net.advance(terms.closes_ms(net.state.instruments[holders.bill].terms) - net.time_ms - 3_000)
    assert holders.status is InstrumentStatus.ACTIVE
    net.ok("transfer", "binance", **trade)
    net.block()
    assert net.time_ms - 1_000 >= terms.closes_ms(net.state.instruments[holders.bill].terms)
    assert holders.status is InstrumentStatus.MATURED_UNPAID
    net.refused(Code.TRANSFERS_CLOSED, "transfer", "binance", **trade)
    assert net.do("transfer_batch", "binance", rows=packed([tuple(trade.values())], 4, 4, 8)).rows == packed(
        [(Code.TRANSFERS_CLOSED,)], 2
    )


def test_nobody_is_paid_until_everybody_can_be(holders: Holders) -> None:
    holders.mature()
    holders.pay(60 * 500_000 - 1)
    assert holders.status is InstrumentStatus.MATURED_UNPAID
    assert holders.net.balance(holders.cash) == 0
    holders.pay(1)
    assert holders.status is InstrumentStatus.REDEEMED
    assert [holders.net.balance(holders.cash_of(n)) for n in range(3)] == [5_000_000, 10_000_000, 15_000_000]
    assert holders.net.state.instruments[holders.bill].supply == 0
    assert holders.net.state.instruments.count_in(BILL["programme"]) == 0


def test_funds_may_come_early_and_what_is_left_returns(holders: Holders) -> None:
    bill = holders.net.state.instruments[holders.bill]
    proceeds = holders.net.balance(bill.treasury_cash)
    holders.pay(60 * 500_000 + 123)
    assert holders.status is InstrumentStatus.ACTIVE
    holders.mature()
    assert holders.status is InstrumentStatus.REDEEMED
    assert holders.net.balance(bill.pool_cash) == 0
    assert holders.net.balance(bill.treasury_cash) == proceeds + 123


def test_what_is_redeemed_takes_no_more_funds_and_more_than_there_is_is_refused(holders: Holders) -> None:
    net = holders.net
    free = net.balance(net.state.instruments[holders.bill].treasury_cash)
    net.refused(Code.OVERDRAFT, "redemption_fund", "mof1", instrument=holders.bill, amount=free + 1)
    net.refused(Code.INSTRUMENT_MISMATCH, "redemption_fund", "mof1", instrument=0, amount=1)
    holders.pay(60 * 500_000)
    holders.mature()
    net.refused(Code.WRONG_STATUS, "redemption_fund", "mof1", instrument=holders.bill, amount=1)


def test_a_pool_takes_no_more_than_it_can_ever_need(holders: Holders) -> None:
    """What is in a pool comes back at redemption alone, which may be years away."""
    net, bill = holders.net, holders.net.state.instruments[holders.bill]
    face = bill.supply * 500_000
    holders.pay(face - 10)
    net.refused(Code.OUT_OF_RANGE, "redemption_fund", "mof1", instrument=holders.bill, amount=11)
    holders.pay(10)
    net.refused(Code.OUT_OF_RANGE, "redemption_fund", "mof1", instrument=holders.bill, amount=1)


@pytest.mark.parametrize(
    ("target", "index"), [(Target.INSTRUMENT, 1), (Target.INSTRUMENT, 0), (Target.MARKET, 0)]
)
def test_redemption_waits_while_the_bill_its_cash_or_the_market_is_frozen(
    holders: Holders, target: Target, index: int
) -> None:
    holders.pay(60 * 500_000)
    freeze = holders.net.freeze(target, index)
    holders.mature()
    assert holders.status is InstrumentStatus.MATURED_UNPAID
    holders.net.lift(freeze)
    holders.net.block()
    assert holders.status is InstrumentStatus.REDEEMED


def test_redemption_waits_while_its_pool_is_frozen(holders: Holders) -> None:
    net = holders.net
    pool = net.state.holdings[net.state.instruments[holders.bill].pool_cash].account
    holders.pay(60 * 500_000)
    freeze = net.freeze(Target.ACCOUNT, pool)
    holders.mature()
    assert holders.status is InstrumentStatus.MATURED_UNPAID
    net.lift(freeze)
    net.block()
    assert holders.status is InstrumentStatus.REDEEMED


def test_units_that_nobody_bought_end_without_cash() -> None:
    net = Network()
    net.define_money()
    bill = net.issue(units=4)
    record = net.state.instruments[bill]
    net.advance(85 * DAY_MS)
    redeemed = net.state.instruments[bill]
    assert (redeemed.status, redeemed.supply) == (InstrumentStatus.REDEEMED, 0)
    assert net.balance(record.treasury_holding) == net.balance(record.treasury_cash) == 0


def test_the_treasurys_own_units_need_no_funds_and_holders_get_theirs(holders: Holders) -> None:
    net = holders.net
    record = net.state.instruments[holders.bill]
    further = net.issue(isin="US0378331005", units=1_000)
    net.fund(holders.money, 489_437)
    (held,) = net.holdings("binance", [(holders.clients[0], further)])
    offer = net.offer(further, 10)
    net.ok("offer_take", "binance", offer=offer, rows=packed([(held, holders.money, 1)], 4, 4, 8))
    treasury = net.state.instruments[further].treasury_holding
    holders.mature()
    assert maturity.redemption_due(net.state, net.state.instruments[further]) == 500_000
    assert net.balance(treasury) == 990  # nine were cancelled with their offer, 990 were never offered
    before = net.balance(holders.cash)
    net.fund(record.treasury_cash, 500_000)
    net.enact("redemption_fund", "mof1 mof2", instrument=further, amount=500_000)
    net.block()
    assert net.state.instruments[further].status is InstrumentStatus.REDEEMED
    assert (net.balance(treasury), net.balance(holders.cash)) == (0, before + 500_000)
