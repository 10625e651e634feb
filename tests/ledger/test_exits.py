"""No dead ends: whatever any type of account may hold, there is a way out of it, down to a supply of nothing.

Every pair of account type and family of instrument is walked. What an account can hold it can lose again: a
security ends in cash of the same account, cash comes to a VASP's client money or an institution, and leaves
there against a funding debit.
"""

from itertools import product

import pytest

from ledger import terms
from ledger.codes import Code
from ledger.documents import InstrumentStatus
from ledger.rows import AccountType
from testing.ledger_network import Network, client, packed

CASH, UNITS, PRICE = 0, 10, 489_437
HOLD = {  # which account may ever hold which family
    ("cash", AccountType.CUSTODIAL),
    ("cash", AccountType.SELF_CUSTODY),
    ("cash", AccountType.CLIENT_MONEY),
    ("cash", AccountType.INSTITUTION),
    ("cash", AccountType.POOL),
    ("discount", AccountType.CUSTODIAL),
    ("discount", AccountType.SELF_CUSTODY),
    ("discount", AccountType.INSTITUTION),
}
TROUBLES = ("none", "vasp_suspend", "vasp_revoke", "kyc has ended")


class Held:
    """A network in which every account that may hold something holds it."""

    def __init__(self) -> None:
        self.net = net = Network()
        for name in ("binance", "htx"):
            net.license(name)
        net.define_money()
        self.bill = net.issue(units=1_000)
        owner = "owner"
        *accounts, net.signers[owner] = net.accounts(
            "binance", [client(1), client(2, 1, owner), client(3, 2)]
        )
        (other,) = net.accounts("htx", [client(4, 2)])
        record = net.state.instruments[self.bill]
        self.accounts = {
            AccountType.CUSTODIAL: accounts[0],
            AccountType.SELF_CUSTODY: accounts[1],
            AccountType.CLIENT_MONEY: accounts[2],
            AccountType.INSTITUTION: net.state.institutions[0].treasury,
            AccountType.POOL: net.state.holdings[record.pool_cash].account,
        }
        pairs = [(accounts[0], CASH), (accounts[1], CASH), (accounts[2], CASH)]
        net.holdings("binance", [*pairs, (accounts[0], self.bill), (accounts[1], self.bill)])
        (self.elsewhere,) = net.holdings("htx", [(other, CASH)])
        net.fund(self.holding("cash", AccountType.CLIENT_MONEY), 100 * PRICE)
        for kind in (AccountType.CUSTODIAL, AccountType.SELF_CUSTODY):
            self.move("binance", "cash", AccountType.CLIENT_MONEY, self.holding("cash", kind), 5 * PRICE)
        money, paper = (
            self.holding("cash", AccountType.CLIENT_MONEY),
            self.holding("discount", AccountType.CUSTODIAL),
        )
        offer = net.offer(self.bill, 2 * UNITS)
        net.ok("offer_take", "binance", offer=offer, rows=packed([(paper, money, 2 * UNITS)], 4, 4, 8))
        own = self.holding("discount", AccountType.SELF_CUSTODY)
        self.move("binance", "discount", AccountType.CUSTODIAL, own, UNITS)
        net.enact("redemption_fund", "mof1 mof2", instrument=self.bill, amount=1_000)

    def instrument(self, family: str) -> int:
        return CASH if family == "cash" else self.bill

    def found(self, family: str, kind: AccountType) -> int | None:
        return self.net.state.holding_of(self.accounts[kind], self.instrument(family))

    def holding(self, family: str, kind: AccountType) -> int:
        found = self.found(family, kind)
        assert found is not None
        return found

    def move(self, signer: str, family: str, kind: AccountType, target: int, amount: int) -> None:
        source = self.holding(family, kind)
        self.net.ok("transfer", signer, from_holding=source, to_holding=target, amount=amount)

    def everything(self, family: str, kind: AccountType) -> int:
        return self.net.balance(self.holding(family, kind))

    def strike(self, trouble: str) -> None:
        """Something that must not trap anybody."""
        if trouble.startswith("vasp"):
            self.net.enact(trouble, "pvara1 pvara2", vasp=0)
        elif trouble == "kyc has ended":
            ended = self.net.time_ms // 1_000
            for kind in (AccountType.CUSTODIAL, AccountType.SELF_CUSTODY, AccountType.CLIENT_MONEY):
                account = self.accounts[kind]
                self.net.ok("account_update", "binance", account=account, kyc=bytes(32), kyc_until=ended)

    def redeem(self) -> None:
        """The bill ends: every holder has cash instead."""
        net, record = self.net, self.net.state.instruments[self.bill]
        net.fund(record.treasury_cash, 2 * UNITS * 500_000)
        net.enact("redemption_fund", "mof1 mof2", instrument=self.bill, amount=2 * UNITS * 500_000)
        net.advance(terms.closes_ms(record.terms) - net.time_ms)
        assert net.state.instruments[self.bill].status is InstrumentStatus.REDEEMED

    def leave(self, kind: AccountType, signer: str) -> None:
        """All cash of the account goes to the client money of another VASP."""
        amount = self.everything("cash", kind)
        assert amount
        self.move(signer, "cash", kind, self.elsewhere, amount)

    def destroy(self, holding: int) -> None:
        """All cash of the holding leaves the ledger, against whatever debits are outstanding."""
        for debit in list(self.net.state.debits):
            amount = min(self.net.balance(holding), debit.amount - debit.destroyed)
            if amount:
                self.net.enact(
                    "cash_destroy",
                    "sbp1 sbp2 pvara1 pvara2",
                    debit=debit.hash,
                    holding=holding,
                    amount=amount,
                )
        assert self.net.balance(holding) == 0


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.mark.parametrize(("family", "kind"), list(product(("cash", "discount"), AccountType)))
def test_what_an_account_may_hold_is_held_here_and_nothing_else(
    held: Held, family: str, kind: AccountType
) -> None:
    """So that the walk below leaves no pair out, and a new family or type of account fails it."""
    assert {terms.facts(instrument.terms).family for instrument in held.net.state.instruments} == {
        variant.__name__.lower() for variant in terms.FAMILIES
    }
    if (family, kind) in HOLD:
        assert held.everything(family, kind) > 0
    elif kind == AccountType.CLIENT_MONEY:
        rows = packed([(held.accounts[kind], held.instrument(family))], 4, 4)
        held.net.refused(Code.INSTRUMENT_MISMATCH, "holding_open", "binance", rows=rows)
    else:
        assert held.found(family, kind) is None  # a pool: only the ledger opens its holdings


@pytest.mark.parametrize("trouble", TROUBLES)
def test_everything_leaves_by_the_way_of_its_holding_down_to_nothing(held: Held, trouble: str) -> None:
    net = held.net
    held.strike(trouble)
    held.redeem()
    for kind in AccountType:
        if ("discount", kind) in HOLD:
            assert held.everything("discount", kind) == 0
    assert held.everything("cash", AccountType.POOL) == 0  # what it had left went back to the treasury
    if trouble == "kyc has ended":
        clients = (AccountType.CUSTODIAL, AccountType.SELF_CUSTODY, AccountType.CLIENT_MONEY)
        accounts, until = sorted(held.accounts[kind] for kind in clients), net.time_ms // 1_000 + 86_400
        net.enact("kyc_restore", "pvara1 pvara2", accounts=tuple(accounts), kyc_until=until)
    held.leave(AccountType.CUSTODIAL, "binance")
    held.leave(AccountType.SELF_CUSTODY, "owner")
    for holding in (
        held.elsewhere,
        held.holding("cash", AccountType.CLIENT_MONEY),
        held.holding("cash", AccountType.INSTITUTION),
    ):
        held.destroy(holding)
    assert [instrument.supply for instrument in net.state.instruments] == [0, 0]
    assert all(debit.destroyed == debit.amount for debit in net.state.debits)
    assert not net.state.holdings.column("balance").any()


def test_a_security_leaves_a_troubled_vasp_before_it_ends(held: Held) -> None:
    held.net.enact("vasp_revoke", "pvara1 pvara2", vasp=0)
    (account,) = held.net.accounts("htx", [client(5)])
    (target,) = held.net.holdings("htx", [(account, held.bill)])
    held.move("binance", "discount", AccountType.CUSTODIAL, target, UNITS)
    held.move("owner", "discount", AccountType.SELF_CUSTODY, target, UNITS)
    assert held.net.balance(target) == 2 * UNITS
