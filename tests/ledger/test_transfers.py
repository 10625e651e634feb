"""Transfers: the vector path, the ordered path and the rule for one transfer give the same verdicts, and an
independent model written only with dictionaries agrees with them."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import balances, conservation, rows, transfers
from ledger.calendar import day_of
from ledger.codes import Code, Refused
from ledger.documents import InstrumentStatus, Stage
from ledger.postings import Movement
from ledger.rows import AccountType
from ledger.state import State
from ledger.terms.cash import Cash
from ledger.terms.discount import Discount
from ledger.transfers import Mover, check_transfer, settle_batch
from ledger.words import words_of
from testing import world
from testing.in_order import settle_batch_in_order
from testing.world import START_MS, START_S

BINANCE, HTX = 0, 1
BILL, CASH = 0, 1


def market() -> tuple[State, Mover, int, int]:
    """Two licensed VASPs, one bill, one client of each with a holding: 100 units and none."""
    state = world.new_state()
    world.add_vasp(state, "binance")
    world.add_vasp(state, "htx")
    world.add_instrument(state, "PK0012345671")
    world.add_instrument(state, "PKR", Cash())
    sender = world.add_holding(state, world.add_account(state, BINANCE), BILL, 100)
    receiver = world.add_holding(state, world.add_account(state, BINANCE), BILL, 0)
    return state, Mover(0, BINANCE), sender, receiver


def verdicts(
    state: State, mover: Mover, batch: list[tuple[int, int, int]], time_ms: int = START_MS
) -> list[Code]:
    """The codes of a batch, after asserting that both paths agree on codes and on the state."""
    table = np.array(batch, rows.TRANSFER_ROW)
    mark = state.mark()
    in_order = settle_batch_in_order(state, mover, time_ms, table)
    expected = state.holdings.rows().tobytes()
    state.undo(mark)
    codes = settle_batch(state, mover, time_ms, table)
    assert codes.dtype == np.uint16
    assert codes.tolist() == in_order.tolist()
    assert state.holdings.rows().tobytes() == expected
    return [Code(code) for code in codes.tolist()]


def test_a_transfer_moves_its_amount_and_nothing_else() -> None:
    state, mover, sender, receiver = market()
    assert verdicts(state, mover, [(sender, receiver, 30)]) == [Code.OK]
    assert state.holdings.column("balance").tolist() == [70, 30]


def test_locked_units_do_not_move() -> None:
    state, mover, sender, receiver = market()
    state.holdings.set_field(sender, "locked", 40)
    assert verdicts(state, mover, [(sender, receiver, 61)]) == [Code.OVERDRAFT]
    assert verdicts(state, mover, [(sender, receiver, 60)]) == [Code.OK]


def test_a_row_may_spend_what_an_earlier_row_brought_and_not_what_a_later_one_brings() -> None:
    state, mover, sender, receiver = market()
    third = world.add_holding(state, world.add_account(state, BINANCE), BILL, 0)
    batch = [(receiver, third, 5), (sender, receiver, 50), (receiver, third, 50), (receiver, third, 1)]
    assert verdicts(state, mover, batch) == [Code.OVERDRAFT, Code.OK, Code.OK, Code.OVERDRAFT]


def test_debits_whose_sum_passes_64_bits_are_not_mistaken_for_small() -> None:
    state, mover, sender, receiver = market()
    huge = 2**63 - 1
    assert verdicts(state, mover, [(sender, receiver, huge)] * 3) == [Code.OVERDRAFT] * 3
    # 4 x 2**62 is 2**64: a plain 64-bit sum would be zero
    assert verdicts(state, mover, [(sender, receiver, 2**62)] * 4) == [Code.OVERDRAFT] * 4


def test_low_halves_of_debits_carry_into_the_high_ones() -> None:
    state, mover, sender, receiver = market()
    balances.mint(state, Movement.ISSUE, sender, 2**32 - 100)
    # without the carry the sum of these would be 2**32 - 2, which the sender has
    batch = [(sender, receiver, 2**32 - 1), (sender, receiver, 2**32 - 1)]
    assert verdicts(state, mover, batch) == [Code.OK, Code.OVERDRAFT]


def test_balances_above_two_to_the_53_stay_exact() -> None:
    state, mover, sender, receiver = market()
    balances.mint(state, Movement.ISSUE, sender, 2**62)
    assert verdicts(state, mover, [(sender, receiver, 2**60 + 1), (sender, receiver, 1)]) == [
        Code.OK,
        Code.OK,
    ]
    assert state.holdings.field(receiver, "balance") == 2**60 + 2
    assert state.holdings.field(sender, "balance") == 2**62 + 100 - 2**60 - 2


def test_money_may_run_in_a_circle_many_times_within_one_batch() -> None:
    state, mover, sender, receiver = market()
    balances.mint(state, Movement.ISSUE, sender, 2**62)
    amount = 2**62 + 100
    batch = [(sender, receiver, amount), (receiver, sender, amount)] * 50
    assert verdicts(state, mover, batch) == [Code.OK] * 100
    assert state.holdings.field(sender, "balance") == amount


Spoil = Callable[[State, int, int], None]


def _account_of(state: State, holding: int) -> int:
    return int(state.holdings.field(holding, "account"))


def _flag_account(side: int, flag: int) -> Spoil:
    return lambda state, *sides: state.accounts.set_field(_account_of(state, sides[side]), "flags", flag)


def _account(side: int, field: str, value: int) -> Spoil:
    return lambda state, *sides: state.accounts.set_field(_account_of(state, sides[side]), field, value)


RULES: list[tuple[str, Spoil, Code]] = [
    ("market frozen", lambda s, a, b: world.change(s.chain, 0, market_frozen=True), Code.FROZEN),
    ("instrument frozen", lambda s, a, b: world.change(s.instruments, BILL, frozen=True), Code.FROZEN),
    ("sending holding frozen", lambda s, a, b: s.holdings.set_field(a, "flags", rows.FROZEN), Code.FROZEN),
    ("receiving holding frozen", lambda s, a, b: s.holdings.set_field(b, "flags", rows.FROZEN), Code.FROZEN),
    ("sending account frozen", _flag_account(0, rows.FROZEN), Code.FROZEN),
    ("receiving account frozen", _flag_account(1, rows.FROZEN), Code.FROZEN),
    ("sending VASP frozen", lambda s, a, b: world.change(s.vasps, BINANCE, frozen=True), Code.FROZEN),
    (
        "receiving VASP frozen",
        lambda s, a, b: (_account(1, "vasp", HTX)(s, a, b), world.change(s.vasps, HTX, frozen=True))[1],
        Code.FROZEN,
    ),
    ("sending account closed", _flag_account(0, rows.CLOSED), Code.WRONG_STATUS),
    ("receiving account closed", _flag_account(1, rows.CLOSED), Code.WRONG_STATUS),
    ("another VASP's client", _account(0, "vasp", HTX), Code.NOT_AUTHORISED),
    ("a self-custody holding", _account(0, "type", AccountType.SELF_CUSTODY), Code.NOT_AUTHORISED),
    ("the treasury's holding", _account(0, "type", AccountType.INSTITUTION), Code.NOT_AUTHORISED),
    ("a pool's holding", _account(0, "type", AccountType.POOL), Code.NOT_AUTHORISED),
    ("into the treasury", _account(1, "type", AccountType.INSTITUTION), Code.NOT_AUTHORISED),
    ("into a pool", _account(1, "type", AccountType.POOL), Code.NOT_AUTHORISED),
    (
        "another instrument",
        lambda s, a, b: s.holdings.set_field(b, "instrument", CASH),
        Code.INSTRUMENT_MISMATCH,
    ),
    (
        "matured",
        lambda s, a, b: world.change(s.instruments, BILL, terms=Discount(1, 0, day_of(START_MS), 0)),
        Code.TRANSFERS_CLOSED,
    ),
    (
        "no longer active",
        lambda s, a, b: world.change(s.instruments, BILL, status=InstrumentStatus.MATURED_UNPAID),
        Code.TRANSFERS_CLOSED,
    ),
    ("sender's KYC ended", _account(0, "kyc_until", START_S), Code.INELIGIBLE),
    ("receiver's KYC ended", _account(1, "kyc_until", START_S), Code.INELIGIBLE),
    (
        "jurisdiction",
        lambda s, a, b: world.change(s.instruments, BILL, jurisdictions=(784,)),
        Code.INELIGIBLE,
    ),
    ("investor class", lambda s, a, b: world.change(s.instruments, BILL, classes=(2, 3)), Code.INELIGIBLE),
    (
        "sender's stage",
        lambda s, a, b: world.change(s.vasps, BINANCE, stage=Stage.NOC),
        Code.STAGE_NOT_REACHED,
    ),
    (
        "receiver's stage",
        lambda s, a, b: (_account(1, "vasp", HTX)(s, a, b), world.change(s.vasps, HTX, stage=Stage.NOC))[1],
        Code.STAGE_NOT_REACHED,
    ),
    (
        "sender's category",
        lambda s, a, b: world.change(s.vasps, BINANCE, categories=("lending",)),
        Code.STAGE_NOT_REACHED,
    ),
]


@pytest.mark.parametrize(("spoil", "code"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_each_rule_refuses_with_its_code_on_every_path(spoil: Spoil, code: Code) -> None:
    state, mover, sender, receiver = market()
    spoil(state, sender, receiver)
    assert verdicts(state, mover, [(sender, receiver, 1)]) == [code]
    with pytest.raises(Refused) as refusal:
        check_transfer(state, mover, START_MS, sender, receiver, 1)
    assert refusal.value.code is code
    assert words_of(refusal.value).rule


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ((9, 1, 1), Code.NOT_FOUND),
        ((0, 9, 1), Code.NOT_FOUND),
        ((2**32 - 1, 0, 1), Code.NOT_FOUND),
        ((0, 0, 1), Code.SAME_HOLDING),
        ((0, 1, 0), Code.MALFORMED),
        ((0, 1, 2**63), Code.MALFORMED),
        ((0, 1, 101), Code.OVERDRAFT),
    ],
)
def test_each_fault_of_a_row_has_its_code(row: tuple[int, int, int], code: Code) -> None:
    state, mover, _, _ = market()
    assert verdicts(state, mover, [row]) == [code]


def test_a_refused_row_leaves_its_neighbours_alone() -> None:
    state, mover, sender, receiver = market()
    assert verdicts(state, mover, [(sender, receiver, 1), (0, 0, 1), (sender, receiver, 2)]) == [
        Code.OK,
        Code.SAME_HOLDING,
        Code.OK,
    ]
    assert state.holdings.field(receiver, "balance") == 3


def test_nothing_moves_where_there_are_no_holdings() -> None:
    state = world.new_state()
    world.add_vasp(state, "binance")
    assert verdicts(state, Mover(0, BINANCE), [(0, 1, 1)]) == [Code.NOT_FOUND]


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.LICENSED])
def test_at_every_stage_a_vasp_lets_its_clients_exit_and_unlicensed_does_nothing_else(stage: Stage) -> None:
    state, mover, sender, receiver = market()
    elsewhere = world.add_holding(state, world.add_account(state, HTX), BILL, 0)
    world.change(state.vasps, BINANCE, stage=stage)
    assert verdicts(state, mover, [(sender, elsewhere, 1)]) == [Code.OK]
    assert verdicts(state, mover, [(sender, receiver, 1)]) == [Code.STAGE_NOT_REACHED]


@pytest.mark.parametrize("stage", [Stage.REVOKED, Stage.SUSPENDED])
def test_a_client_leaves_to_his_own_key_registered_with_the_same_vasp(stage: Stage) -> None:
    state, mover, sender, receiver = market()
    owner = world.add_signer(state, "owner", rows.Role.OWNER, 2)
    account = world.add_account(state, BINANCE, AccountType.SELF_CUSTODY, owner=owner + 1)
    own = world.add_holding(state, account, BILL, 0)
    world.change(state.vasps, BINANCE, stage=stage)
    assert verdicts(state, mover, [(sender, own, 1)]) == [Code.OK]
    assert verdicts(state, Mover(owner, rows.NO_ROW), [(own, receiver, 1)]) == [Code.STAGE_NOT_REACHED]


def test_a_self_custody_holding_moves_by_its_owners_key_alone() -> None:
    state, mover, _, receiver = market()
    owner = world.add_signer(state, "owner", rows.Role.OWNER, 2)
    account = world.add_account(state, BINANCE, AccountType.SELF_CUSTODY, owner=owner + 1)
    own = world.add_holding(state, account, BILL, 10)
    assert verdicts(state, Mover(owner, rows.NO_ROW), [(own, receiver, 1)]) == [Code.OK]
    assert verdicts(state, mover, [(own, receiver, 1)]) == [Code.NOT_AUTHORISED]
    assert verdicts(state, Mover(owner, rows.NO_ROW), [(receiver, own, 1)]) == [Code.NOT_AUTHORISED]
    assert verdicts(state, Mover(owner + 1, rows.NO_ROW), [(own, receiver, 1)]) == [Code.NOT_AUTHORISED]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_holdings_opened_together_are_those_opened_one_by_one(count: int) -> None:
    together, one_by_one = world.new_state(), world.new_state()
    for state in (together, one_by_one):
        world.add_vasp(state, "binance")
        for code in ("PK0012345671", "PKR"):
            world.add_instrument(state, code)
        for _ in range(6):
            world.add_account(state, BINANCE)
        world.add_holding(state, 3, 0, 10)
    accounts = [5, 1, 3, 0, 4][:count]
    opened = transfers.open_holdings(together, np.array(accounts, np.int64), 1).tolist()
    assert opened == [transfers.open_holding(one_by_one, account, 1, START_MS) for account in accounts]
    for state in (together, one_by_one):
        state.rehash()
    assert together.root() == one_by_one.root()


# --- an independent model


@dataclass
class Model:
    """The rules once more, in the order of the protocol, over plain dictionaries."""

    holdings: list[dict[str, int]]
    accounts: list[dict[str, int]]
    instruments: list[dict[str, object]]
    vasps: list[dict[str, object]]

    def transfer(self, vasp: int, source: int, target: int, amount: int) -> Code:
        if max(source, target) >= len(self.holdings):
            return Code.NOT_FOUND
        if not 0 < amount < 2**63:
            return Code.MALFORMED
        if source == target:
            return Code.SAME_HOLDING
        a, b = self.holdings[source], self.holdings[target]
        if a["instrument"] != b["instrument"]:
            return Code.INSTRUMENT_MISMATCH
        x, y, paper = (
            self.accounts[a["account"]],
            self.accounts[b["account"]],
            self.instruments[a["instrument"]],
        )
        if x["type"] not in (0, 2) or x["vasp"] != vasp or y["type"] > 2:
            return Code.NOT_AUTHORISED
        if paper["closed"]:
            return Code.TRANSFERS_CLOSED
        stopped = (paper, a, b, x, y, self.vasps[x["vasp"]], self.vasps[y["vasp"]])
        if any(part["frozen"] for part in stopped):
            return Code.FROZEN
        if x["closed"] or y["closed"]:
            return Code.WRONG_STATUS
        mine, theirs = self.vasps[x["vasp"]], self.vasps[y["vasp"]]
        if x["vasp"] == y["vasp"] or y["type"] == 1:
            pass
        elif theirs["stage"] != "LICENSED":
            return Code.STAGE_NOT_REACHED
        leaves = x["vasp"] != y["vasp"] or y["type"] == 1
        if mine["stage"] != "LICENSED" and not leaves:
            return Code.STAGE_NOT_REACHED
        if x["until"] <= START_S or y["until"] <= START_S:
            return Code.INELIGIBLE
        if paper["jurisdictions"] and y["jurisdiction"] not in paper["jurisdictions"]:
            return Code.INELIGIBLE
        if paper["classes"] and y["class"] not in paper["classes"]:
            return Code.INELIGIBLE
        if a["balance"] - a["locked"] < amount:
            return Code.OVERDRAFT
        a["balance"] -= amount
        b["balance"] += amount
        return Code.OK


rarely = st.sampled_from([False] * 9 + [True])


@st.composite
def models(draw: st.DrawFn) -> Model:
    stages = st.sampled_from(["LICENSED"] * 6 + ["REVOKED", "SUSPENDED", "NOC"])
    vasps = [{"stage": draw(stages), "frozen": draw(rarely) and draw(rarely)} for _ in range(3)]
    vasps[0]["stage"] = draw(st.sampled_from(["LICENSED"] * 8 + ["REVOKED"]))
    instruments: list[dict[str, object]] = [
        {
            "cash": number == 1,
            "frozen": draw(rarely) and draw(rarely),
            "closed": draw(rarely),
            "jurisdictions": draw(st.sampled_from([(), (), (586,), (586, 784)])),
            "classes": draw(st.sampled_from([(), (), (1,), (1, 2)])),
        }
        for number in range(3)
    ]
    accounts = [
        {
            "vasp": draw(st.sampled_from([0, 0, 0, 1, 2])),
            "type": draw(st.sampled_from([0, 0, 0, 0, 2, 1, 3, 4])),
            "until": draw(st.sampled_from([rows.FOREVER, rows.FOREVER, START_S + 1, START_S])),
            "jurisdiction": draw(st.sampled_from([586, 586, 784])),
            "class": draw(st.sampled_from([1, 1, 2, 3])),
            "frozen": draw(rarely),
            "closed": draw(rarely) and draw(rarely),
        }
        for _ in range(draw(st.integers(2, 6)))
    ]
    amounts = st.one_of(st.integers(0, 50), st.integers(2**31, 2**33), st.integers(2**59, 2**60))
    holdings = []
    for _ in range(draw(st.integers(2, 10))):
        balance = draw(amounts)
        holdings.append(
            {
                "account": draw(st.integers(0, len(accounts) - 1)),
                "instrument": draw(st.sampled_from([0, 0, 0, 1, 2])),
                "balance": balance,
                "locked": draw(st.sampled_from([0, 0, 0, balance // 3])),
                "frozen": draw(rarely),
            }
        )
    return Model(holdings, accounts, instruments, vasps)


def build(model: Model) -> State:
    """The model's ledger as a real state."""
    state = world.new_state()
    for number, vasp in enumerate(model.vasps):
        world.add_vasp(state, f"vasp-{number}", Stage[str(vasp["stage"])])
        world.change(state.vasps, number, frozen=vasp["frozen"])
    for number, paper in enumerate(model.instruments):
        world.add_instrument(state, f"I{number}", Cash() if paper["cash"] else world.BILL_TERMS)
        world.change(
            state.instruments,
            number,
            frozen=paper["frozen"],
            status=InstrumentStatus.MATURED_UNPAID
            if paper["cash"] and paper["closed"]
            else InstrumentStatus.ACTIVE,
            terms=Cash() if paper["cash"] else Discount(1, 0, day_of(START_MS) + (not paper["closed"]), 0),
            jurisdictions=paper["jurisdictions"],
            classes=paper["classes"],
        )
    world.add_clients(state, model.accounts, model.holdings)
    return state


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_batches_agree_with_an_independent_model(data: st.DataObject) -> None:
    model = data.draw(models())
    state = build(model)
    state.rehash()
    mark = state.mark()
    somewhere = st.integers(0, len(model.holdings))
    amounts = st.one_of(
        st.integers(0, 30), st.integers(2**31, 2**32), st.integers(2**58, 2**60), st.integers(2**62, 2**63)
    )
    batch = data.draw(st.lists(st.tuples(somewhere, somewhere, amounts), min_size=1, max_size=40))
    plain = copy.deepcopy(model)
    expected = [plain.transfer(0, *row) for row in batch]
    assert verdicts(state, Mover(0, 0), batch) == expected
    assert state.holdings.column("balance").tolist() == [holding["balance"] for holding in plain.holdings]
    conservation.check_block(state, mark)
    conservation.check_all(state)


def test_a_batch_of_many_rows_over_many_holdings_agrees_with_the_ordered_path() -> None:
    state, mover, _, _ = market()
    count = 5_000
    more = np.zeros(count, rows.HOLDING)
    more["balance"] = 1_000
    state.holdings.extend(more)
    world.change(state.instruments, BILL, supply=100 + count * 1_000)
    draw = np.random.default_rng(7)
    batch = np.zeros(8_192, rows.TRANSFER_ROW)
    batch["from"] = draw.integers(0, count, 8_192)
    batch["to"] = draw.integers(0, count, 8_192)
    batch["amount"] = draw.integers(1, 900, 8_192)
    codes = verdicts(state, mover, batch.tolist())
    assert Code.OVERDRAFT in codes
    assert codes.count(Code.OK) > 6_000
    conservation.check_all(state)
