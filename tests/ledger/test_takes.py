"""Taking an offer: what `settle_offer` does to many rows together equals a model that walks them one by one,
over dictionaries and exact fractions: codes, balances, postings, the statements they make, the rounding."""

import copy
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import conservation, rows
from ledger.codes import Code, Refused
from ledger.documents import Offer, OfferStatus
from ledger.limits import UNIT_COST_MIN
from ledger.postings import Movement, posting_rows
from ledger.rows import AccountType
from ledger.settlement import check_offer, settle_offer, take_rows
from ledger.state import State
from ledger.terms.cash import Cash
from ledger.terms.discount import Discount
from ledger.transfers import Columns, Mover
from testing import world
from testing.ledger_network import packed
from testing.world import START_MS, START_S

BILL, CASH, OTHER = 0, 1, 2  # instruments
UNITS_HELD, CASH_HELD = 0, 1  # the treasury's holdings
TAKER = 0  # the VASP that takes
Row = tuple[int, int, int]


@dataclass
class Model:
    """The rules of section 7 of the protocol once more, over plain values."""

    face: int
    price_e4: int
    offer: dict[str, int]
    vasps: tuple[int, ...]  # whom the offer admits
    market_frozen: bool
    papers: list[dict[str, object]]
    frozen_vasps: list[bool]
    accounts: list[dict[str, int]]
    holdings: list[dict[str, int]]
    moved: list[tuple[int, int, int, int]] = field(default_factory=list)

    def batch(self) -> Code:
        """The verdict on the batch as a whole."""
        if self.vasps and TAKER not in self.vasps:
            return Code.NOT_AUTHORISED
        if not self.offer["opens"] <= START_MS < self.offer["closes"]:
            return Code.OFFER_CLOSED
        treasury = (self.holdings[UNITS_HELD], self.holdings[CASH_HELD], self.accounts[0])
        papers_frozen = self.papers[BILL]["frozen"] or self.papers[CASH]["frozen"]
        if self.market_frozen or papers_frozen or any(part["frozen"] for part in treasury):
            return Code.FROZEN
        return Code.OK

    def take(self, security: int, cash: int, units: int) -> Code:
        """One row after all rows before it."""
        if max(security, cash) >= len(self.holdings):
            return Code.NOT_FOUND
        if not 1 <= units < 2**63:
            return Code.MALFORMED
        paper, money = self.holdings[security], self.holdings[cash]
        if (paper["instrument"], money["instrument"]) != (BILL, CASH):
            return Code.INSTRUMENT_MISMATCH
        buyer, payer = self.accounts[paper["account"]], self.accounts[money["account"]]
        if buyer["vasp"] != TAKER or payer["vasp"] != TAKER or buyer["type"] != 0:
            return Code.NOT_AUTHORISED
        if payer["type"] != 2 and not (payer["type"] == 0 and money["account"] == paper["account"]):
            return Code.NOT_AUTHORISED
        if self.frozen_vasps[TAKER] or any(part["frozen"] for part in (paper, money, buyer, payer)):
            return Code.FROZEN
        if buyer["closed"] or payer["closed"]:
            return Code.WRONG_STATUS
        if buyer["until"] <= START_S or payer["until"] <= START_S:
            return Code.INELIGIBLE
        for rule, fact in (("jurisdictions", "jurisdiction"), ("classes", "class")):
            if self.papers[BILL][rule] and buyer[fact] not in self.papers[BILL][rule]:  # type: ignore[operator]
                return Code.INELIGIBLE
        if units > self.offer["units"] - self.offer["taken"]:
            return Code.OFFER_EXHAUSTED
        cost = int(self.exact(units))  # what is over stays with the payer
        if cost > money["balance"] - money["locked"]:
            return Code.DVP_CASH_SHORT
        self.offer["taken"] += units
        for holding, change in ((UNITS_HELD, -units), (security, units), (cash, -cost), (CASH_HELD, cost)):
            self.holdings[holding]["balance"] += change
        self.holdings[UNITS_HELD]["locked"] -= units
        self.moved.append((security, cash, units, cost))
        return Code.OK

    def exact(self, units: int) -> Fraction:
        """What units cost before anything is rounded."""
        return Fraction(units * self.face * self.price_e4, 1_000_000)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Half of them in good order, so that rows meet one another and not the first rule."""
    sound = draw(st.booleans())
    seldom = st.just(False) if sound else st.sampled_from([False] * 29 + [True])
    rarely = st.just(False) if sound else st.sampled_from([False] * 5 + [True])
    face = draw(st.sampled_from([10_001, 100_000, 500_000, 10**9 + 7, 2**62]))
    least = -(-UNIT_COST_MIN * 1_000_000 // face)
    price = draw(st.integers(max(1, least), max(least, 1_200_000)))
    units = draw(st.sampled_from([10, 40, 400]))
    taken = draw(st.integers(0, units // 2))
    opens = START_MS + draw(st.sampled_from([0, -9] if sound else [0, -9, -9, -9, 1]))
    closes = START_MS + draw(st.sampled_from([1, 9] if sound else [0, 1, 9, 9, 9]))
    one = int(Fraction(face * price, 1_000_000))
    wealth = st.sampled_from([one - 1, 5 * one, 9 * one + 1, 30 * one, 60 * one]).filter(
        lambda cash: cash < 2**59
    )
    accounts = [_account(type=AccountType.INSTITUTION, vasp=rows.NO_ROW, frozen=draw(seldom))]
    accounts += [
        _account(
            vasp=int(draw(rarely)),
            type=(0, 2)[number] if number < 2 else draw(st.sampled_from([0, 0, 2, 1])),
            until=START_S if draw(rarely) else draw(st.sampled_from([rows.FOREVER, START_S + 1])),
            jurisdiction=784 if draw(rarely) else 586,
            **{"class": 1 + draw(rarely)},
            frozen=draw(seldom),
            closed=draw(rarely),
        )
        for number in range(draw(st.integers(2, 5)))
    ]
    holdings = [
        _holding(0, BILL, units - taken + draw(st.integers(0, 5)), units - taken, draw(seldom)),
        _holding(0, CASH, draw(st.integers(0, 1_000)), 0, draw(seldom)),
    ]
    for number, account in enumerate(accounts):
        for instrument in draw(st.sampled_from([(BILL, CASH), (BILL, CASH), (BILL, CASH, OTHER)])):
            if number and (instrument == CASH or account["type"] != 2 or draw(st.booleans())):
                balance = draw(wealth) if instrument == CASH else draw(st.integers(0, 3))
                locked = balance // 3 if draw(st.booleans()) else 0
                holdings.append(_holding(number, instrument, balance, locked, draw(rarely)))
    return Model(
        face=face,
        price_e4=price,
        offer={"units": units, "taken": taken, "opens": opens, "closes": closes},
        vasps=(1,) if draw(rarely) else draw(st.sampled_from([(), (TAKER,), (TAKER, 1)])),
        market_frozen=draw(seldom),
        papers=[
            {
                "frozen": draw(seldom) and draw(rarely),
                "jurisdictions": draw(st.sampled_from([(), (586,), (586, 784)])) if number == BILL else (),
                "classes": draw(st.sampled_from([(), (1,), (1, 2)])) if number == BILL else (),
            }
            for number in range(3)
        ],
        frozen_vasps=[draw(seldom), False],
        accounts=accounts,
        holdings=holdings,
    )


def _account(**facts: int) -> dict[str, int]:
    known = {"type": 0, "vasp": TAKER, "until": rows.FOREVER, "jurisdiction": 586, "class": 1}
    return {**known, "frozen": 0, "closed": 0, **facts}


def _holding(account: int, instrument: int, balance: int, locked: int, frozen: bool) -> dict[str, int]:
    return {
        "account": account, "instrument": instrument, "balance": balance, "locked": locked, "frozen": frozen,
    }  # fmt: skip


def build(model: Model) -> State:
    """The model's ledger as a real state."""
    state = world.new_state()
    world.change(state.chain, 0, market_frozen=model.market_frozen)
    for number, frozen in enumerate(model.frozen_vasps):
        world.add_vasp(state, f"vasp-{number}")
        world.change(state.vasps, number, frozen=frozen)
    for number, paper in enumerate(model.papers):
        terms = Cash() if number == CASH else Discount(model.face, 19_000, 40_000, 0)
        world.add_instrument(state, f"I{number}", terms)
        world.change(state.instruments, number, **paper)
    world.change(state.instruments, BILL, cash=CASH, treasury_holding=UNITS_HELD, treasury_cash=CASH_HELD)
    world.add_clients(state, model.accounts, model.holdings)
    state.offers.append(
        Offer(
            instrument=BILL,
            price_e4=model.price_e4,
            units=model.offer["units"],
            taken=model.offer["taken"],
            cancelled=0,
            opens_ms=model.offer["opens"],
            closes_ms=model.offer["closes"],
            vasps=model.vasps,
            status=OfferStatus.OPEN,
            due=-1,
        )
    )
    return state


def rows_for(model: Model) -> st.SearchStrategy[Row]:
    """Rows of which most name a client's paper and a purse that may pay for it, and some anything at all."""

    def client(number: int, types: tuple[int, ...], instrument: int) -> bool:
        held = model.holdings[number]
        account = model.accounts[held["account"]]
        return held["instrument"] == instrument and account["vasp"] == TAKER and account["type"] in types

    everything = range(len(model.holdings))
    fitting = [
        (paper, purse)
        for paper in everything
        for purse in everything
        if client(paper, (0, 2), BILL)  # client money that has some all the same takes none
        and client(purse, (0, 2), CASH)
        and (
            client(purse, (2,), CASH) or model.holdings[paper]["account"] == model.holdings[purse]["account"]
        )
    ]
    somewhere = st.tuples(st.integers(0, len(model.holdings)), st.integers(0, len(model.holdings)))
    some = st.integers(0, 9)  # one in ten is drawn from all that there are
    sides = some.flatmap(lambda drawn: st.sampled_from(fitting) if drawn and fitting else somewhere)
    odd = st.one_of(st.integers(0, 500), st.integers(2**62, 2**64 - 1))
    units = some.flatmap(lambda drawn: st.integers(1, 6) if drawn else odd)
    return st.tuples(sides, units).map(lambda drawn: (*drawn[0], drawn[1]))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_rows_taken_together_are_those_of_a_plain_walk(data: st.DataObject) -> None:
    model = data.draw(models())
    state = build(model)
    state.rehash()
    mark = state.mark()
    written = len(state.stream.postings())
    batch = data.draw(st.lists(rows_for(model), min_size=data.draw(st.sampled_from([1, 12])), max_size=30))

    plain = copy.deepcopy(model)
    assert _verdict(state) == plain.batch()
    if plain.batch() is not Code.OK:
        return
    codes = settle_offer(state, Mover(0, TAKER), START_MS, 0, take_rows(packed(batch, 4, 4, 8)))
    assert codes.dtype == np.uint16
    assert [Code(code) for code in codes.tolist()] == [plain.take(*row) for row in batch]
    assert _held(state) == [(held["balance"], held["locked"]) for held in plain.holdings]
    assert state.offers[0].taken == plain.offer["taken"]

    postings = posting_rows(state.stream.postings()[written:])
    assert _said(postings) == _expected(plain)
    _statements_add_up(model, plain, postings)
    _rounding_stays_below_a_basis_point(plain)
    conservation.check_block(state, mark)
    conservation.check_all(state)


def _verdict(state: State) -> Code:
    try:
        check_offer(state, 0, TAKER, START_MS)
    except Refused as refused:
        return Code(refused.code)
    return Code.OK


def _held(state: State) -> list[tuple[int, int]]:
    columns = (state.holdings.column(name).tolist() for name in ("balance", "locked"))
    return list(zip(*columns, strict=True))


def _said(postings: Columns) -> list[tuple[int, ...]]:
    return [tuple(int(row[name]) for name in ("movement", "from", "to", "amount")) for row in postings]


def _expected(plain: Model) -> list[tuple[int, ...]]:
    """First what is set aside comes free, then every delivery in order, then every payment."""
    if not plain.moved:
        return []
    sold = sum(units for _, _, units, _ in plain.moved)
    return [
        (Movement.UNLOCK, UNITS_HELD, UNITS_HELD, sold),
        *((Movement.DELIVERY, UNITS_HELD, security, units) for security, _, units, _ in plain.moved),
        *((Movement.PAYMENT, cash, CASH_HELD, cost) for _, cash, _, cost in plain.moved),
    ]


def _statements_add_up(before: Model, after: Model, postings: Columns) -> None:
    """Of every holding: what it had, and each movement that names it, is what it has."""
    for number, (opening, closing) in enumerate(zip(before.holdings, after.holdings, strict=True)):
        moving = postings[postings["movement"] != Movement.UNLOCK]
        received = sum(moving["amount"][moving["to"] == number].tolist())
        given_up = sum(moving["amount"][moving["from"] == number].tolist())
        assert opening["balance"] + received - given_up == closing["balance"]


def _rounding_stays_below_a_basis_point(plain: Model) -> None:
    """Never against the payer, less than one minor unit a row, and together less than a ten-thousandth."""
    for payer in {cash for _, cash, _, _ in plain.moved}:
        paid = [(plain.exact(units), cost) for _, cash, units, cost in plain.moved if cash == payer]
        for exact, cost in paid:
            assert 0 <= exact - cost < 1
        total = sum((exact for exact, _ in paid), Fraction(0))
        assert (total - sum(cost for _, cost in paid)) * 10_000 < total
