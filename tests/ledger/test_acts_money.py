"""Cash, fixings, programmes, bills and offers: what makes each valid, and delivery versus payment."""

from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from ledger import balances, conservation, terms
from ledger.calendar import DAY_MS, day_of, start_of
from ledger.codes import Code, InvariantError
from ledger.documents import NONE, OfferStatus, ProposalStatus, Target
from ledger.fields import FIELD_NAMES
from ledger.identifiers import isin_check_digit
from ledger.limits import CURRENCIES_MAX, SECURITIES_LIVE_MAX
from ledger.postings import Movement
from ledger.rows import CLOSED
from ledger.terms.cash import Cash
from ledger.terms.discount import Discount
from testing.ledger_network import BILL, EVERYONE, Network, client, make_genesis, packed

HASH = sha256(b"debit").digest()


@pytest.fixture
def net() -> Network:
    net = Network()
    net.define_money()
    return net


class Shop:
    """A bill on offer, and two clients of one VASP with 10 units' worth of cash each."""

    def __init__(self, net: Network, units: int = 100) -> None:
        self.net = net
        net.license("binance")
        self.bill = net.issue()
        a, b, pool = net.accounts("binance", [client(1), client(2), client(3, 2)])
        self.clients = (a, b)
        self.cash_a, self.cash_b, self.money = net.holdings("binance", [(a, 0), (b, 0), (pool, 0)])
        self.bill_a, self.bill_b = net.holdings("binance", [(a, self.bill), (b, self.bill)])
        net.fund(self.money, 20 * 489_437)
        rows = [(self.money, holding, 10 * 489_437) for holding in (self.cash_a, self.cash_b)]
        net.ok("transfer_batch", "binance", rows=packed(rows, 4, 4, 8))
        self.offer = net.offer(self.bill, units)

    def take(self, *rows: tuple[int, int, int]) -> list[int]:
        """The code of each row."""
        result = self.net.do("offer_take", "binance", offer=self.offer, rows=packed(rows, 4, 4, 8))
        assert result.code == Code.OK, result
        if not result.rows:
            return [0] * len(rows)
        return [int.from_bytes(result.rows[n : n + 2], "little") for n in range(0, len(result.rows), 2)]


# --- cash


def test_no_cash_comes_from_nowhere(net: Network) -> None:
    treasury = 0
    net.enact("cash_issue", "sbp1 sbp2", holding=treasury, amount=500, debit=HASH)
    net.refused(Code.DEBIT_ALREADY_USED, "cash_issue", "sbp1", holding=treasury, amount=500, debit=HASH)
    net.refused(Code.NOT_FOUND, "cash_issue", "sbp1", holding=99, amount=500, debit=bytes(32))
    assert net.state.instruments[0].supply == 500


def test_a_debit_used_between_proposal_and_execution_fails_the_second(net: Network) -> None:
    (first,) = net.ok("cash_issue", "sbp1", holding=0, amount=500, debit=HASH)
    (second,) = net.ok("cash_issue", "sbp1", holding=0, amount=500, debit=HASH)
    net.ok("approve", "sbp2", proposal=first, reason=0)
    assert net.proposal(second).status is ProposalStatus.FAILED
    assert net.proposal(second).code == Code.SUPERSEDED
    assert net.state.instruments[0].supply == 500


def test_cash_is_issued_to_client_money_and_the_treasury_only(net: Network) -> None:
    shop = Shop(net)
    net.refused(Code.NOT_AUTHORISED, "cash_issue", "sbp1", holding=shop.cash_a, amount=1, debit=HASH)
    net.refused(Code.INSTRUMENT_MISMATCH, "cash_issue", "sbp1", holding=shop.bill_a, amount=1, debit=HASH)
    pool = net.state.instruments[shop.bill].pool_cash
    net.refused(Code.NOT_AUTHORISED, "cash_issue", "sbp1", holding=pool, amount=1, debit=HASH)


def test_the_supply_of_cash_has_a_limit(net: Network) -> None:
    net.enact("cash_issue", "sbp1 sbp2", holding=0, amount=2**63 - 1, debit=HASH)
    net.refused(Code.SUPPLY_EXCEEDED, "cash_issue", "sbp1", holding=0, amount=1, debit=bytes(32))


def test_destroying_reverses_an_issue_and_no_more_than_it(net: Network) -> None:
    net.enact("cash_issue", "sbp1 sbp2", holding=0, amount=500, debit=HASH)
    net.enact("cash_issue", "sbp1 sbp2", holding=0, amount=500, debit=bytes(32))
    net.enact("cash_destroy", "sbp1 sbp2 pvara1 pvara2", debit=HASH, holding=0, amount=300)
    net.refused(Code.OUT_OF_RANGE, "cash_destroy", "sbp1", debit=HASH, holding=0, amount=201)
    net.enact("cash_destroy", "sbp1 sbp2 pvara1 pvara2", debit=HASH, holding=0, amount=200)
    assert net.state.instruments[0].supply == net.balance(0) == 500
    net.refused(Code.DEBIT_ALREADY_USED, "cash_issue", "sbp1", holding=0, amount=1, debit=HASH)
    net.refused(Code.NOT_FOUND, "cash_destroy", "sbp1", debit=b"\1" * 32, holding=0, amount=1)


def test_cash_is_destroyed_wherever_it_went_against_any_debit_outstanding(net: Network) -> None:
    shop = Shop(net)
    debit, supply = net.state.debits[0].hash, net.state.instruments[0].supply
    shop.take((shop.bill_a, shop.cash_a, 2))  # out of the client's cash into the treasury's
    net.enact("cash_destroy", "sbp1 sbp2 pvara1 pvara2", debit=debit, holding=0, amount=900_000)
    assert net.state.instruments[0].supply == supply - 900_000
    back = {"from_holding": shop.cash_a, "to_holding": shop.money, "amount": 5}
    net.ok("transfer", "binance", **back)
    net.enact("cash_destroy", "sbp1 sbp2 pvara1 pvara2", debit=debit, holding=shop.money, amount=5)


def test_cash_is_not_destroyed_out_of_a_clients_hands_nor_out_of_anything_but_cash(net: Network) -> None:
    shop = Shop(net)
    debit = {"debit": net.state.debits[0].hash, "amount": 1}
    pool = net.state.instruments[shop.bill].pool_cash
    net.refused(Code.NOT_AUTHORISED, "cash_destroy", "sbp1", holding=shop.cash_a, **debit)
    net.refused(Code.NOT_AUTHORISED, "cash_destroy", "sbp1", holding=pool, **debit)
    net.refused(Code.INSTRUMENT_MISMATCH, "cash_destroy", "sbp1", holding=shop.bill_a, **debit)
    net.refused(Code.NOT_FOUND, "cash_destroy", "sbp1", holding=9_999, **debit)
    net.refused(Code.OVERDRAFT, "cash_destroy", "sbp1", holding=0, **debit)


def test_cash_that_no_debit_funds_stops_the_node(net: Network) -> None:
    mark = net.state.mark()
    balances.mint(net.state, Movement.ISSUE, 0, 1)
    with pytest.raises(InvariantError, match="debits"):
        conservation.check_block(net.state, mark)
    with pytest.raises(InvariantError, match="debits"):
        conservation.check_all(net.state)


def test_there_are_not_more_currencies_than_the_treasurys_list_can_bear(net: Network) -> None:
    """Each is a holding more in the list that every issue walks; securities have a bound of their own."""
    letters = "ABCDEFGH"
    codes = [f"X{first}{second}" for first in letters for second in letters]
    for code in codes[: CURRENCIES_MAX - 1]:  # PKR is there already
        net.enact("cash_define", "sbp1 sbp2", currency=code)
    net.refused(Code.LIMIT_EXCEEDED, "cash_define", "sbp1 sbp2", currency="EUR")
    net.issue()


def test_no_more_securities_live_than_the_treasurys_list_can_bear(net: Network) -> None:
    """Currencies are not among them."""
    model = net.state.instruments[net.issue()]
    for number in range(SECURITIES_LIVE_MAX - 2):
        net.state.instruments.append(replace(model, code=f"P{number}", supply=0, treasury_holding=NONE))
    isins = [isin + isin_check_digit(isin + "0") for isin in ("PK000000001", "PK000000002")]
    net.issue(isin=isins[0])
    net.refused(Code.LIMIT_EXCEEDED, "instrument_issue", EVERYONE, **net.bill(isin=isins[1]))


def test_a_currency_is_defined_once(net: Network) -> None:
    net.refused(Code.ALREADY_EXISTS, "cash_define", "sbp1", currency="PKR")


# --- fixings, programmes, the cap


def test_a_fixing_is_neither_of_the_future_nor_old_nor_older_than_the_last(net: Network) -> None:
    now = net.time_ms
    net.refused(Code.OUT_OF_RANGE, "fixing_attest", "sbp1", rate_e4=1, as_of_ms=now + 1_000_000)
    net.refused(Code.OUT_OF_RANGE, "fixing_attest", "sbp1", rate_e4=1, as_of_ms=now - 1_000_000)
    net.advance(20 * DAY_MS)
    net.refused(Code.FIXING_STALE, "fixing_attest", "sbp1", rate_e4=1, as_of_ms=net.time_ms - 8 * DAY_MS)


def test_the_cap_admits_its_last_rupee_and_not_one_unit_more(net: Network) -> None:
    net.issue()
    further = {**BILL, "isin": "US0378331005"}
    net.refused(Code.CAP_EXCEEDED, "instrument_issue", "mof1", **{**further, "units": 110_000_001})
    net.enact("instrument_issue", EVERYONE, **{**further, "units": 110_000_000})
    one_more = {**BILL, "isin": "GB0002634946", "units": 1}
    net.refused(Code.CAP_EXCEEDED, "instrument_issue", "mof1", **one_more)
    net.fix(2_800_001)
    assert net.ok("instrument_issue", "mof1", **one_more)


def test_a_cap_counts_the_face_of_its_own_programme_only(net: Network) -> None:
    net.enact("parameter_set", "mof1 mof2 sbp1 sbp2 secp1 secp2", name="programmes_cap_cents", value=2**40)
    net.enact("programme_create", EVERYONE, name="small", cap_cents=200)
    net.issue()
    tiny = net.bill(isin="US0378331005", programme=1, face_minor=28_000, units=2)
    net.refused(Code.CAP_EXCEEDED, "instrument_issue", "mof1", **{**tiny, "units": 3})
    net.enact("instrument_issue", EVERYONE, **tiny)


def test_no_issue_without_a_fresh_fixing() -> None:
    net = Network()
    net.enact("cash_define", "sbp1 sbp2", currency="PKR")
    net.enact("programme_create", EVERYONE, name="bills", cap_cents=200_000_000_000)
    net.refused(Code.FIXING_STALE, "instrument_issue", "mof1", **BILL)
    net.fix()
    net.advance(7 * DAY_MS + 60_000)
    net.refused(Code.FIXING_STALE, "instrument_issue", "mof1", **net.bill())
    net.fix()
    net.issue()


def test_programmes_have_names_of_their_own_and_a_sum_that_is_capped(net: Network) -> None:
    net.refused(Code.ALREADY_EXISTS, "programme_create", "mof1", name="bills", cap_cents=1)
    net.refused(Code.CAP_EXCEEDED, "programme_create", "mof1", name="more", cap_cents=1)


# --- bills


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"isin": "PK0012345670"}, Code.BAD_IDENTIFIER),
        ({"programme": 1}, Code.NOT_FOUND),
        ({"cash": 5}, Code.NOT_FOUND),
        ({"register": 2}, Code.OUT_OF_RANGE),
        ({"reference": "CDC-1"}, Code.OUT_OF_RANGE),
        ({"units": 2**62, "face_minor": 2**62}, Code.SUPPLY_EXCEEDED),
        ({"tenor_days": 0}, Code.OUT_OF_RANGE),
        ({"tenor_days": 3_661}, Code.OUT_OF_RANGE),
        ({"face_minor": 10_215}, Code.OUT_OF_RANGE),  # 99.99 rupees a unit
        ({"terms": Cash()}, Code.INSTRUMENT_MISMATCH),
    ],
)
def test_a_bill_is_refused_for_each_thing_wrong_with_it(
    net: Network, change: dict[str, Any], code: Code
) -> None:
    net.refused(code, "instrument_issue", "mof1", **net.bill(**change))


def test_a_bill_is_paid_in_the_currency_of_the_fixing(net: Network) -> None:
    net.enact("cash_define", "sbp1 sbp2", currency="USD")
    net.refused(Code.INSTRUMENT_MISMATCH, "instrument_issue", "mof1", **{**BILL, "cash": 1})
    bill = net.issue()
    net.refused(Code.INSTRUMENT_MISMATCH, "instrument_issue", "mof1", **{**BILL, "cash": bill})
    net.refused(Code.ALREADY_EXISTS, "instrument_issue", "mof1", **BILL)


def test_dates_are_terms_and_do_not_slide_with_approval(net: Network) -> None:
    today = day_of(net.time_ms)
    (late,) = net.ok("instrument_issue", "mof1 mof2 sbp1 sbp2", **net.bill(isin="US0378331005"))
    ahead = {**net.bill(), "terms": Discount(500_000, today + 1, today + 85, 93_784)}
    (timely,) = net.ok("instrument_issue", "mof1 mof2 sbp1 sbp2", **ahead)
    net.advance(DAY_MS)
    for proposal in (late, timely):
        net.ok("approve", "pvara1 pvara2", proposal=proposal, reason=0)
    assert (net.proposal(late).status, net.proposal(late).code) == (
        ProposalStatus.FAILED,
        Code.OUT_OF_RANGE,
    )
    assert net.proposal(timely).status is ProposalStatus.EXECUTED
    facts = terms.facts(net.state.instruments[1].terms)
    assert (facts.issue_day, facts.maturity_day) == (today + 1, today + 85)
    assert facts.maturity_ms == start_of(today + 85)
    assert facts.price_e4 == 978_873


# --- offers and delivery versus payment


def test_an_offer_stays_within_what_the_treasury_has_and_the_life_of_the_bill(net: Network) -> None:
    bill = net.issue(units=10)
    now = net.time_ms
    good = {
        "instrument": bill,
        "price_e4": 20_000,
        "units": 10,
        "opens_ms": now,
        "closes_ms": now + DAY_MS,
        "vasps": (),
    }
    net.refused(Code.OVERDRAFT, "offer_open", "mof1", **{**good, "units": 11})
    net.refused(Code.OUT_OF_RANGE, "offer_open", "mof1", **{**good, "closes_ms": now})
    net.refused(Code.OUT_OF_RANGE, "offer_open", "mof1", **{**good, "opens_ms": 1, "closes_ms": now - DAY_MS})
    net.refused(Code.OUT_OF_RANGE, "offer_open", "mof1", **{**good, "closes_ms": now + 85 * DAY_MS})
    net.refused(Code.NOT_FOUND, "offer_open", "mof1", **{**good, "vasps": (0,)})
    net.refused(Code.INSTRUMENT_MISMATCH, "offer_open", "mof1", **{**good, "instrument": 0})
    net.enact("offer_open", "mof1 mof2", **{**good, "units": 6})
    net.refused(Code.OVERDRAFT, "offer_open", "mof1", **{**good, "units": 5})
    net.enact("offer_open", "mof1 mof2", **{**good, "units": 4})


@pytest.mark.parametrize(("face_minor", "price_e4"), [(20_000, 499_999), (500_000, 19_999), (10**7, 999)])
def test_no_unit_is_offered_at_a_price_of_which_rounding_takes_a_basis_point(
    net: Network, face_minor: int, price_e4: int
) -> None:
    offer = {
        "instrument": net.issue(units=10, face_minor=face_minor),
        "units": 1,
        "opens_ms": net.time_ms,
        "closes_ms": net.time_ms + DAY_MS,
        "vasps": (),
    }
    refused = net.refused(Code.OUT_OF_RANGE, "offer_open", "mof1", price_e4=price_e4, **offer)
    assert FIELD_NAMES[refused.field] == "price_e4"
    net.enact("offer_open", "mof1 mof2", price_e4=price_e4 + 1, **offer)


def test_both_legs_move_or_neither(net: Network) -> None:
    shop = Shop(net)
    cash = net.balance(shop.cash_a)
    treasury = net.balance(0)
    assert shop.take((shop.bill_a, shop.cash_a, 3)) == [Code.OK]
    assert net.balance(shop.bill_a) == 3
    assert net.balance(shop.cash_a) == cash - 1_468_309
    assert net.balance(0) == treasury + 1_468_309
    assert shop.take((shop.bill_b, shop.cash_b, 11), (shop.bill_a, shop.cash_a, 1)) == [
        Code.DVP_CASH_SHORT,
        Code.OK,
    ]
    assert (net.balance(shop.bill_b), net.balance(shop.cash_b)) == (0, cash)
    assert net.state.offers[shop.offer].taken == 4


def test_an_offer_is_taken_up_to_its_last_unit(net: Network) -> None:
    shop = Shop(net, units=5)
    rows = [(shop.bill_a, shop.cash_a, 4), (shop.bill_b, shop.cash_b, 2), (shop.bill_b, shop.cash_b, 1)]
    assert shop.take(*rows) == [Code.OK, Code.OFFER_EXHAUSTED, Code.OK]
    assert shop.take((shop.bill_a, shop.cash_a, 1)) == [Code.OFFER_EXHAUSTED]


def test_a_row_names_holdings_of_the_bill_and_of_its_cash(net: Network) -> None:
    shop = Shop(net)
    assert shop.take(
        (shop.cash_a, shop.cash_a, 1),
        (shop.bill_a, shop.bill_a, 1),
        (9_999, shop.cash_a, 1),
        (shop.bill_a, 9_999, 1),
        (shop.bill_a, shop.cash_a, 0),
        (shop.bill_a, shop.cash_b, 1),
    ) == [
        Code.INSTRUMENT_MISMATCH,
        Code.INSTRUMENT_MISMATCH,
        Code.NOT_FOUND,
        Code.NOT_FOUND,
        Code.MALFORMED,
        Code.NOT_AUTHORISED,
    ]


def test_a_client_may_be_paid_for_out_of_client_money(net: Network) -> None:
    shop = Shop(net)
    net.fund(shop.money, 489_436)
    assert shop.take((shop.bill_a, shop.money, 1)) == [Code.OK]
    assert net.balance(shop.money) == 0


def test_a_frozen_or_ineligible_client_takes_nothing(net: Network) -> None:
    shop = Shop(net)
    a, _ = shop.clients
    freeze = net.freeze(Target.ACCOUNT, a)
    assert shop.take((shop.bill_a, shop.cash_a, 1)) == [Code.FROZEN]
    net.lift(freeze)
    net.ok("account_update", "binance", account=a, kyc=bytes(32), kyc_until=1)
    assert shop.take((shop.bill_a, shop.cash_a, 1)) == [Code.INELIGIBLE]


def test_frozen_cash_buys_nothing_and_neither_does_lapsed_client_money(net: Network) -> None:
    shop = Shop(net)
    net.fund(shop.money, 489_436)
    net.enact("freeze", "fmu1 fmu2", target=2, index=shop.cash_a)
    assert shop.take((shop.bill_a, shop.cash_a, 1)) == [Code.FROZEN]
    pool = net.state.holdings[shop.money].account
    net.ok("account_update", "binance", account=pool, kyc=bytes(32), kyc_until=1)
    assert shop.take((shop.bill_a, shop.money, 1)) == [Code.INELIGIBLE]


def test_a_closed_account_takes_nothing(net: Network) -> None:
    shop = Shop(net)
    net.state.accounts.set_field(shop.clients[0], "flags", CLOSED)
    assert shop.take((shop.bill_a, shop.cash_a, 1)) == [Code.WRONG_STATUS]


def test_nobody_pays_with_the_client_money_of_another_vasp(net: Network) -> None:
    shop = Shop(net)
    net.license("htx")
    (pool,) = net.accounts("htx", [client(9, 2)])
    (money,) = net.holdings("htx", [(pool, 0)])
    net.fund(money, 489_436)
    assert shop.take((shop.bill_a, money, 1)) == [Code.NOT_AUTHORISED]


def test_the_buyer_is_the_vasps_own_client_in_an_admitted_jurisdiction(net: Network) -> None:
    """All rows are paid out of client money, so that only what is wrong with the buyer refuses them."""
    shop = Shop(net)
    net.license("htx")
    net.fund(shop.money, 10 * 489_437)
    (other,) = net.accounts("htx", [client(8)])
    (others_bill,) = net.holdings("htx", [(other, shop.bill)])
    (abroad,) = net.accounts("binance", [client(9, jurisdiction=840)])
    own, net.signers["owner"] = net.accounts("binance", [client(10, 1, "owner")])
    bill_abroad, bill_of_owner = net.holdings("binance", [(abroad, shop.bill), (own, shop.bill)])
    net.enact("freeze", "fmu1 fmu2", target=2, index=shop.bill_b)
    bought = (others_bill, bill_abroad, bill_of_owner, shop.bill_b, shop.bill_a)
    assert shop.take(*((security, shop.money, 1) for security in bought)) == [
        Code.NOT_AUTHORISED,
        Code.INELIGIBLE,
        Code.NOT_AUTHORISED,
        Code.FROZEN,
        Code.OK,
    ]


def test_a_frozen_treasury_sells_nothing_and_funds_nothing(net: Network) -> None:
    shop = Shop(net)
    rows = packed([(shop.bill_a, shop.cash_a, 1)], 4, 4, 8)
    net.enact("freeze", "fmu1 fmu2", target=1, index=0)
    net.refused(Code.FROZEN, "offer_take", "binance", offer=shop.offer, rows=rows)
    net.refused(Code.FROZEN, "cash_issue", "sbp1", holding=0, amount=1, debit=HASH)
    net.refused(Code.FROZEN, "redemption_fund", "mof1", instrument=shop.bill, amount=1)


def test_frozen_cash_is_not_destroyed(net: Network) -> None:
    net.enact("cash_issue", "sbp1 sbp2", holding=0, amount=500, debit=HASH)
    net.enact("freeze", "fmu1 fmu2", target=2, index=0)
    net.refused(Code.FROZEN, "cash_destroy", "sbp1", debit=HASH, holding=0, amount=1)


def test_an_offer_is_open_in_its_window_only(net: Network) -> None:
    shop = Shop(net)
    now = net.time_ms
    (later,) = net.enact(
        "offer_open",
        "mof1 mof2",
        instrument=shop.bill,
        price_e4=978_873,
        units=5,
        opens_ms=now + DAY_MS // 2,
        closes_ms=now + 2 * DAY_MS,
        vasps=(),
    )
    rows = packed([(shop.bill_a, shop.cash_a, 1)], 4, 4, 8)
    net.refused(Code.OFFER_CLOSED, "offer_take", "binance", offer=later, rows=rows)
    net.refused(Code.NOT_FOUND, "offer_take", "binance", offer=9, rows=rows)
    net.refused(Code.MALFORMED, "offer_take", "binance", offer=shop.offer, rows=rows[:-1])
    net.advance(DAY_MS)
    net.ok("offer_take", "binance", offer=later, rows=rows)
    assert net.state.offers[shop.offer].status is OfferStatus.CLOSED
    net.refused(Code.OFFER_CLOSED, "offer_take", "binance", offer=shop.offer, rows=rows)


def test_unsold_units_are_cancelled_when_the_window_closes(net: Network) -> None:
    shop = Shop(net)
    shop.take((shop.bill_a, shop.cash_a, 3))
    bill = net.state.instruments[shop.bill]
    net.advance(DAY_MS)
    assert net.state.offers[shop.offer].cancelled == 97
    assert net.state.instruments[shop.bill].supply == bill.supply - 97
    treasury = net.state.holdings[bill.treasury_holding]
    assert (treasury.balance, treasury.locked) == (bill.supply - 100, 0)
    assert net.state.offers.grouped == 0


def test_of_a_withdrawn_offer_what_was_taken_stays_and_the_rest_is_offered_anew(
    net: Network,
) -> None:
    shop = Shop(net)
    shop.take((shop.bill_a, shop.cash_a, 3))
    bill = net.state.instruments[shop.bill]
    net.enact("offer_withdraw", "mof1 mof2", offer=shop.offer)
    assert net.state.offers[shop.offer].status is OfferStatus.WITHDRAWN
    assert (net.state.offers[shop.offer].taken, net.state.offers[shop.offer].cancelled) == (3, 0)
    rows = packed([(shop.bill_a, shop.cash_a, 1)], 4, 4, 8)
    net.refused(Code.OFFER_CLOSED, "offer_take", "binance", offer=shop.offer, rows=rows)
    net.refused(Code.OFFER_CLOSED, "offer_withdraw", "mof1", offer=shop.offer)
    net.refused(Code.NOT_FOUND, "offer_withdraw", "mof1", offer=9)
    treasury = net.state.holdings[bill.treasury_holding]
    assert (treasury.balance, treasury.locked) == (bill.supply - 3, 0)
    again = net.offer(shop.bill, bill.supply - 3)
    net.advance(2 * DAY_MS)  # the first offer's row of the agenda does nothing any more
    assert net.state.instruments[shop.bill].supply == 3
    net.refused(Code.OFFER_CLOSED, "offer_withdraw", "mof1", offer=again)


def test_a_production_genesis_starts_the_same_ledger() -> None:
    net = Network(make_genesis("production"))
    net.define_money()
    assert net.issue() == 1
