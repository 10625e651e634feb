"""An account's list of holdings: never longer than what was held at one time, whatever was held before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import balances, lists, terms, transfers
from ledger.codes import Code
from ledger.documents import InstrumentStatus, Target
from ledger.limits import HOLDING_REST_MS
from ledger.parameters import bounds_at
from ledger.postings import Movement
from ledger.rows import FROZEN, Holding
from ledger.state import State
from testing import world
from testing.ledger_network import DAY_MS, Network, client, packed

WEEK = 7 * DAY_MS


class Weekly:
    """A VASP and a client who holds one unit of a new bill every week."""

    def __init__(self) -> None:
        self.net = net = Network()
        net.license("binance")
        net.define_money()
        self.account, pool = net.accounts("binance", [client(1), client(2, 2)])
        self.money, self.cash = net.holdings("binance", [(pool, 0), (self.account, 0)])
        net.fund(self.money, 10**9)
        self.issued = 0

    def bill(self, tenor_days: int = 2) -> int:
        """A new bill, of which one unit is sold to the client."""
        self.issued += 1
        net = self.net
        net.fix()
        bill = net.issue(isin=isin(self.issued), units=2, tenor_days=tenor_days)
        (held,) = net.holdings("binance", [(self.account, bill)])
        offer = net.offer(bill, 1)
        net.ok("offer_take", "binance", offer=offer, rows=packed([(held, self.money, 1)], 4, 4, 8))
        return bill

    def redeem(self, bill: int) -> None:
        net, record = self.net, self.net.state.instruments[bill]
        net.fund(record.treasury_cash, 500_000)
        net.enact("redemption_fund", "mof1 mof2", instrument=bill, amount=500_000)
        net.advance(max(1, terms.closes_ms(record.terms) - net.time_ms))
        assert net.state.instruments[bill].status is InstrumentStatus.REDEEMED

    def list(self) -> list[int]:
        return list(self.net.state.holdings_of(self.account))

    def holding(self, bill: int) -> int:
        found = self.net.state.holding_of(self.account, bill)
        assert found is not None
        return found


def isin(number: int) -> str:
    """A well-formed ISIN of this number."""
    body = f"PK{number:09d}"
    digits = "".join(str(int(letter, 36)) for letter in body)
    total = sum(
        sum(divmod(int(digit) * (2 if place % 2 == 0 else 1), 10))
        for place, digit in enumerate(reversed(digits))
    )
    return f"{body}{-total % 10}"


@pytest.fixture
def weekly() -> Weekly:
    return Weekly()


def test_a_year_of_weekly_bills_needs_no_more_rows_than_are_held_at_once(weekly: Weekly) -> None:
    treasury = weekly.net.state.institutions[0].treasury
    for _ in range(52):
        bill = weekly.bill()
        weekly.redeem(bill)
        weekly.net.advance(WEEK - 2 * DAY_MS)
    assert len(weekly.list()) <= 3
    assert len(list(weekly.net.state.holdings_of(treasury))) <= 3


def test_a_finished_holding_is_taken_over_where_it_stands_in_the_list(weekly: Weekly) -> None:
    first = weekly.bill()
    old, place = weekly.holding(first), weekly.list()
    weekly.redeem(first)
    weekly.net.advance(HOLDING_REST_MS)
    second = weekly.bill()
    assert weekly.holding(second) == old
    assert weekly.list() == place
    row = weekly.net.state.holdings[old]
    assert row == Holding(weekly.account, second, 1, 0, row.next_holding, 0)


def test_a_holding_rests_for_as_long_as_any_signed_transaction_may_name_it(weekly: Weekly) -> None:
    assert 1_000 * (bounds_at(1)["expiry_horizon_s"].maximum or 0) == HOLDING_REST_MS
    first = weekly.bill()
    weekly.redeem(first)
    ended_ms = weekly.net.state.instruments[first].redeemed_ms
    weekly.net.advance(ended_ms + HOLDING_REST_MS - weekly.net.time_ms - 20_000)
    assert weekly.net.time_ms < ended_ms + HOLDING_REST_MS
    assert weekly.holding(weekly.bill()) != weekly.holding(first)


def test_a_frozen_holding_is_never_taken_over(weekly: Weekly) -> None:
    first = weekly.bill()
    old = weekly.holding(first)
    freeze = weekly.net.freeze(Target.HOLDING, old)
    weekly.redeem(first)
    weekly.net.advance(HOLDING_REST_MS)
    assert weekly.holding(weekly.bill()) != old
    weekly.net.lift(freeze)
    assert weekly.holding(weekly.bill()) == old


def test_a_redeemed_bill_names_no_holding_that_was_taken_over(weekly: Weekly) -> None:
    first = weekly.bill()
    old = weekly.net.state.instruments[first].treasury_holding
    weekly.redeem(first)
    assert weekly.net.state.instruments[first].treasury_holding == old
    weekly.net.advance(HOLDING_REST_MS)
    second = weekly.bill()
    assert weekly.net.state.instruments[second].treasury_holding == old
    assert weekly.net.state.instruments[first].treasury_holding == -1


def test_nothing_is_opened_for_what_has_been_redeemed(weekly: Weekly) -> None:
    bill = weekly.bill()
    weekly.redeem(bill)
    (other,) = weekly.net.accounts("binance", [client(9)])
    rows = packed([(other, bill)], 4, 4)
    weekly.net.refused(Code.WRONG_STATUS, "holding_open", "binance", rows=rows)


def test_the_limit_counts_what_is_not_finished(weekly: Weekly, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.kinds.holding_open.HOLDINGS_PER_ACCOUNT_MAX", 3)
    first, _ = weekly.bill(), weekly.bill(tenor_days=60)
    third = weekly.net.issue(isin=isin(3), units=1, tenor_days=60)
    rows = packed([(weekly.account, third)], 4, 4)
    weekly.net.refused(Code.LIMIT_EXCEEDED, "holding_open", "binance", rows=rows)
    weekly.redeem(first)
    weekly.net.refused(Code.LIMIT_EXCEEDED, "holding_open", "binance", rows=rows)
    weekly.net.advance(HOLDING_REST_MS)
    weekly.net.ok("holding_open", "binance", rows=rows)


def test_a_vasp_leaves_room_to_an_owner_with_his_own_key(
    weekly: Weekly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.kinds.holding_open.HOLDINGS_PER_ACCOUNT_MAX", 4)
    net = weekly.net
    account, net.signers["owner"] = net.accounts("binance", [client(9, 1, "owner")])
    bills = [net.issue(isin=isin(number), units=1, tenor_days=60) for number in range(1, 5)]
    net.holdings("binance", [(account, bill) for bill in bills[:2]])
    third = packed([(account, bills[2])], 4, 4)
    net.refused(Code.LIMIT_EXCEEDED, "holding_open", "binance", rows=third)
    net.holdings("owner", [(account, bill) for bill in bills[2:]])
    net.refused(Code.LIMIT_EXCEEDED, "holding_open", "owner", rows=packed([(account, 0)], 4, 4))


def test_two_finished_holdings_are_taken_over_by_two_bills_of_one_transaction(weekly: Weekly) -> None:
    old = [weekly.bill(), weekly.bill()]
    places = [weekly.holding(bill) for bill in old]
    for bill in old:
        weekly.redeem(bill)
    weekly.net.advance(HOLDING_REST_MS)
    weekly.net.fix()
    new = [weekly.net.issue(isin=isin(10 + number), units=1) for number in range(3)]
    opened = weekly.net.holdings("binance", [(weekly.account, bill) for bill in new])
    assert set(opened[:2]) == set(places)
    assert len(set(opened)) == 3
    assert len(set(weekly.list())) == len(weekly.list()) == 4


# --- many at once


@st.composite
def listed(draw: st.DrawFn) -> tuple[list[bool], list[tuple[int, int, int]], list[tuple[int, int]]]:
    """Which instruments have ended; holdings as (account, instrument, what keeps it from being finished);
    and what is opened, each account and instrument once."""
    ended = draw(st.lists(st.booleans(), min_size=2, max_size=5))
    pair = st.tuples(st.integers(0, 3), st.integers(0, len(ended) - 1))
    holdings = draw(st.lists(pair, max_size=14, unique=True))
    opened = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(10, 13)), max_size=10, unique=True))
    return ended, [(*each, draw(st.sampled_from([0, 0, 0, 1, 2]))) for each in holdings], opened


def built(ended: list[bool], holdings: list[tuple[int, int, int]]) -> State:
    state = world.new_state()
    for number in range(14):
        index = world.add_instrument(state, isin(number))
        if number < len(ended) and ended[number]:
            world.change(state.instruments, index, status=InstrumentStatus.REDEEMED, redeemed_ms=1)
    for _ in range(4):
        world.add_account(state, 0)
    for account, instrument, kept in holdings:
        index = transfers.add_holding(state, account, instrument)
        if kept == 1:
            balances.mint(state, Movement.ISSUE, index, 7)
        if kept == 2:
            state.holdings.set_field(index, "flags", FROZEN)
    state.rehash()
    return state


@given(listed())
def test_holdings_opened_together_are_those_opened_one_by_one(
    drawn: tuple[list[bool], list[tuple[int, int, int]], list[tuple[int, int]]],
) -> None:
    ended, holdings, opened = drawn
    together, singly = built(ended, holdings), built(ended, holdings)
    indices = lists.open_all(together, opened, world.START_MS)
    assert indices == tuple(
        transfers.open_holding(singly, account, instrument, world.START_MS) for account, instrument in opened
    )
    for state in (together, singly):
        state.rehash()
    assert together.root() == singly.root()


@given(listed())
def test_lists_walked_together_are_those_walked_one_by_one(
    drawn: tuple[list[bool], list[tuple[int, int, int]], list[tuple[int, int]]],
) -> None:
    ended, holdings, _ = drawn
    state = built(ended, holdings)
    walked = lists.walk(state, np.arange(4), world.START_MS)
    held = set()
    for account in range(4):
        mine = walked.owners == account
        assert walked.holdings[mine].tolist() == list(state.holdings_of(account))
        for holding, finished in zip(
            walked.holdings[mine].tolist(), walked.finished[mine].tolist(), strict=True
        ):
            assert finished == transfers.is_finished(state, holding, world.START_MS)
            if not finished:
                held.add((account, int(state.holdings.field(holding, "instrument"))))
    wanted = [(account, instrument) for account in range(4) for instrument in range(14)]
    owners, instruments = np.array(wanted, np.int64).T
    assert lists.held_twice(state, walked, owners, instruments) == held
