"""Stage by act by type of account: what a VASP and its clients may not do, and that every client can leave.

The first half walks every stage that a VASP can stand at; what is expected stands here in a table of its own,
not in the ledger's. The second half lets VASPs and authorities do what they like, and looks for a client who
cannot leave.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from ledger import due, maturity, terms, transfers
from ledger.agenda import Moment
from ledger.codes import Code
from ledger.documents import InstrumentStatus, Stage, Target
from ledger.execution import Result, execute
from ledger.kinds import BY_NAME
from ledger.rights import CATEGORIES
from ledger.rows import AccountType
from ledger.state import State
from ledger.transactions import assemble, decode_transaction, encode_body
from testing.ledger_network import Network, client, packed

PVARA, FMU, SECP = "pvara1 pvara2", "fmu1 fmu2", "secp1 secp2"
CUSTODIAL, SELF, MONEY = AccountType.CUSTODIAL, AccountType.SELF_CUSTODY, AccountType.CLIENT_MONEY
FACE = 500_000

# How each stage is reached; the last word of a licence is its category.
STAGES = {
    "applied": (),
    "noc": ("noc",),
    "noc, goaml": ("noc", "goaml"),
    "applied for": ("noc", "apply"),
    "applied for, goaml": ("noc", "goaml", "apply"),
    "rejected": ("noc", "goaml", "reject"),
    "suspended at noc": ("noc", "goaml", "suspend"),
    "revoked at noc": ("noc", "goaml", "revoke"),
    **{f"licensed: {category}": ("noc", "goaml", "apply", category) for category in CATEGORIES},
    "suspended": ("noc", "goaml", "apply", "custody", "suspend"),
    "revoked": ("noc", "goaml", "apply", "custody", "revoke"),
    "reinstated": ("noc", "goaml", "apply", "custody", "suspend", "reinstate"),
}
KEEPING = {f"licensed: {name}" for name in ("broker_dealer", "custody", "exchange", "asset_management")} | {
    "reinstated"
}
LICENSED = {f"licensed: {name}" for name in CATEGORIES} | {"reinstated"}
ONBOARDING = {"noc, goaml", "applied for, goaml"}  # AML-registered services, below their cap

# act: the stages at which it is done; at all others it is refused for the stage.
EXPECTED = {
    ("account_open", CUSTODIAL): KEEPING | ONBOARDING,
    ("account_open", MONEY): KEEPING | ONBOARDING,
    ("account_open", SELF): KEEPING,
    ("account_update", CUSTODIAL): LICENSED | ONBOARDING,
    ("account_update", MONEY): LICENSED | ONBOARDING,
    ("account_update", SELF): LICENSED | ONBOARDING,
    ("holding_open", CUSTODIAL): KEEPING,
    ("holding_open", MONEY): KEEPING,
    ("holding_open", SELF): KEEPING,
    ("receive cash", CUSTODIAL): LICENSED,
    ("receive cash", MONEY): LICENSED,
    ("receive cash", SELF): set(STAGES),
    ("receive a bill", CUSTODIAL): (KEEPING | {"licensed: settlement"}),
    ("receive a bill", SELF): set(STAGES),
    ("take an offer", CUSTODIAL): {"licensed: broker_dealer", "licensed: exchange", "licensed: issuance"},
    ("issue cash to", MONEY): LICENSED,
    ("leave with cash", CUSTODIAL): set(STAGES),
    ("leave with cash", MONEY): set(STAGES),
    ("leave with cash", SELF): set(STAGES),
    ("leave with a bill", CUSTODIAL): set(STAGES),
    ("leave with a bill", SELF): set(STAGES),
    ("leave to self-custody", CUSTODIAL): set(STAGES),
}


class Harbour:
    """A VASP whose stage is to be changed, `gone`, its clients with cash and a bill, and a safe VASP."""

    def __init__(self) -> None:
        self.net = net = Network()
        self.gone, self.safe = net.license("gone"), net.license("safe")
        net.define_money()
        self.bill = net.issue(units=1_000)
        self.offer = net.offer(self.bill, 1_000)
        custodial, money, own, net.signers["owner"] = net.accounts(
            "gone", [client(1), client(2, MONEY), client(3, SELF, "owner")]
        )
        rescue, rescued, net.signers["rescued"] = net.accounts(
            "safe", [client(4), client(5, SELF, "rescued")]
        )
        self.accounts = {CUSTODIAL: custodial, MONEY: money, SELF: own}
        self.keys = {CUSTODIAL: "gone", MONEY: "gone", SELF: "owner"}
        self.cash = {kind: net.holdings("gone", [(account, 0)])[0] for kind, account in self.accounts.items()}
        self.bills = {
            kind: net.holdings("gone", [(self.accounts[kind], self.bill)])[0] for kind in (CUSTODIAL, SELF)
        }
        self.refuge = net.holdings("safe", [(rescue, 0), (rescue, self.bill)])
        self.own_refuge = net.holdings("rescued", [(rescued, 0), (rescued, self.bill)])
        net.fund(self.cash[MONEY], 1_000 * FACE)
        for kind in (CUSTODIAL, SELF):
            self.pay(self.cash[MONEY], self.cash[kind], 200 * FACE)
        self.pay(self.cash[MONEY], self.refuge[0], 100 * FACE)
        taken = packed([(self.bills[CUSTODIAL], self.cash[CUSTODIAL], 100)], 4, 4, 8)
        assert net.do("offer_take", "gone", offer=self.offer, rows=taken).rows == b""
        self.pay(self.bills[CUSTODIAL], self.bills[SELF], 40)
        self.pay(self.bills[CUSTODIAL], self.refuge[1], 20)

    def pay(self, source: int, target: int, amount: int) -> None:
        self.net.ok("transfer", "gone", from_holding=source, to_holding=target, amount=amount)


def act(state: State, net: Network, now_ms: int, kind: str, signers: str, **fields: Any) -> Result:
    """Execute one transaction outside any block: what it wrote can be undone."""
    numbers = sorted(net.signers[name] for name in signers.split())
    sequence = state.signers.field(numbers[0], "highest") + 1
    definition = BY_NAME[kind]
    body = encode_body(definition, numbers, sequence, 1, definition.payload(**fields))
    tx = decode_transaction(assemble(body, [bytes(64)] * len(numbers)))
    return execute(state, tx, net.height, now_ms, now_ms)


def put(harbour: Harbour, steps: Iterable[str]) -> None:
    """Bring `gone` to where these steps lead a newly registered VASP."""
    net, state = harbour.net, harbour.net.state
    blank = replace(
        state.vasps[harbour.gone],
        **{"stage": Stage.APPLIED, "returns_to": Stage.APPLIED, "applied_ms": 0, "licensed_ms": 0},
        **{"noc_ms": 0, "goaml_ms": 0, "goaml_reference": "", "subsidiary_ms": 0, "subsidiary_name": ""},
        **{"subsidiary_number": "", "applied_categories": (), "categories": ()},
    )
    state.vasps.replace(harbour.gone, blank)

    def done(kind: str, signers: str, **fields: Any) -> None:
        if signers != "gone":
            fields["vasp"] = harbour.gone
        result = act(state, net, net.time_ms, kind, signers, **fields)
        assert result.code == Code.OK, (kind, result)

    for step in steps:
        match step:
            case "goaml":
                done("vasp_goaml", FMU, reference="G-1")
            case "apply":
                done("licence_apply", "gone", categories=CATEGORIES)
            case category if category in CATEGORIES:
                done("vasp_subsidiary", SECP, name="Gone PK", number="1")
                done("vasp_license", PVARA, categories=(category,))
            case _:
                done(f"vasp_{step}", PVARA)


def attempt(harbour: Harbour, what: str, kind: AccountType) -> int:
    """The code of one act of, or for, a client of `gone` with this type of account."""
    net, state = harbour.net, harbour.net.state
    account, vasp_key, key = harbour.accounts[kind], "gone", harbour.keys[kind]

    def moved(signer: str, source: int, target: int) -> int:
        fields = {"from_holding": source, "to_holding": target, "amount": 1}
        mark = state.mark()
        single = act(state, net, net.time_ms, "transfer", signer, **fields).code
        state.undo(mark)
        batch = act(
            state, net, net.time_ms, "transfer_batch", signer, rows=packed([tuple(fields.values())], 4, 4, 8)
        )
        assert (batch.rows or packed([(Code.OK,)], 2)) == packed([(single,)], 2)
        return single

    match what:
        case "account_open":
            row = net.proven("gone", client(99, kind, "newcomer" if kind is SELF else ""))
            return act(state, net, net.time_ms, what, vasp_key, rows=(row,)).code
        case "account_update":
            fields = {"account": account, "kyc": bytes(32), "kyc_until": 2**32 - 1}
            return act(state, net, net.time_ms, what, vasp_key, **fields).code
        case "holding_open":
            rows = packed([(account, state.instruments.by_key["USD"])], 4, 4)
            return act(state, net, net.time_ms, what, vasp_key, rows=rows).code
        case "receive cash":
            return moved("safe", harbour.refuge[0], harbour.cash[kind])
        case "receive a bill":
            return moved("safe", harbour.refuge[1], harbour.bills[kind])
        case "take an offer":
            rows = packed([(harbour.bills[kind], harbour.cash[kind], 1)], 4, 4, 8)
            return act(state, net, net.time_ms, "offer_take", vasp_key, offer=harbour.offer, rows=rows).code
        case "issue cash to":
            fields = {"holding": harbour.cash[kind], "amount": 1, "debit": b"i" * 32}
            return act(state, net, net.time_ms, "cash_issue", "sbp1 sbp2", **fields).code
        case "leave with cash":
            return moved(key, harbour.cash[kind], harbour.refuge[0])
        case "leave with a bill":
            return moved(key, harbour.bills[kind], harbour.refuge[1])
        case "leave to self-custody":
            return max(
                moved(key, source[kind], target)
                for source in (harbour.cash, harbour.bills)
                for target in (source[SELF], harbour.own_refuge[source is harbour.bills])
            )
    raise AssertionError(what)


@pytest.fixture(scope="module")
def harbour() -> Harbour:
    made = Harbour()
    made.net.enact("cash_define", "sbp1 sbp2", currency="USD")
    return made


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_refuses_what_is_not_its_own_and_keeps_nobody(harbour: Harbour, stage: str) -> None:
    state = harbour.net.state
    mark = state.mark()
    put(harbour, STAGES[stage])
    found, expected = {}, {}
    for (what, kind), stages in EXPECTED.items():
        inner = state.mark()
        found[what, kind.name] = Code(attempt(harbour, what, kind)).word
        expected[what, kind.name] = "ok" if stage in stages else "stage_not_reached"
        state.undo(inner)
    state.undo(mark)
    assert found == expected


def test_before_its_licence_no_account_of_a_vasp_can_hold_anything() -> None:
    """Neither a stage walked around nor a client stranded by a rejection: there is nothing to strand."""
    net = Network()
    net.license("safe")
    net.define_money()
    vasp = net.register("early")
    net.enact("vasp_noc", PVARA, vasp=vasp)
    net.enact("vasp_goaml", FMU, vasp=vasp, reference="G-1")
    services = ("account_open", "account_update", "holding_open")
    everyone = "mof1 mof2 sbp1 sbp2 pvara1 pvara2"
    net.enact("parameter_set", everyone, name="aml_registered_services", value=services)
    account, money = net.accounts("early", [client(1), client(2, MONEY)])
    own = (client(3, SELF, "owner"),)
    net.refused(Code.STAGE_NOT_REACHED, "account_open", "early", rows=own)
    cash, pool = net.holdings("early", [(account, 0), (money, 0)])
    safe = net.holdings("safe", [(net.accounts("safe", [client(4, MONEY)])[0], 0)])[0]
    net.fund(safe, 100)
    for target in (cash, pool):
        transfer = {"from_holding": safe, "to_holding": target, "amount": 1}
        net.refused(Code.STAGE_NOT_REACHED, "transfer", "safe", **transfer)
    issue = {"holding": pool, "amount": 1, "debit": b"d" * 32}
    net.refused(Code.STAGE_NOT_REACHED, "cash_issue", "sbp1 sbp2", **issue)


def test_client_money_is_cash_alone(harbour: Harbour) -> None:
    net = harbour.net
    rows = packed([(harbour.accounts[MONEY], harbour.bill)], 4, 4)
    net.refused(Code.INSTRUMENT_MISMATCH, "holding_open", "gone", rows=rows)


def test_a_vasp_licensed_for_lending_renews_the_kyc_of_its_older_clients() -> None:
    net = Network()
    vasp = net.register("lender")
    net.enact("vasp_noc", PVARA, vasp=vasp)
    net.enact("vasp_goaml", FMU, vasp=vasp, reference="G-1")
    (account,) = net.accounts("lender", [client(1)])
    net.enact("vasp_subsidiary", SECP, vasp=vasp, name="Lender PK", number="1")
    net.ok("licence_apply", "lender", categories=("lending",))
    net.enact("vasp_license", PVARA, vasp=vasp, categories=("lending",))
    net.ok("account_update", "lender", account=account, kyc=bytes(32), kyc_until=2**32 - 1)


# --- what PVARA restores


def test_kyc_that_a_vasp_ended_is_restored_and_not_ended_again(harbour: Harbour) -> None:
    net, account = harbour.net, harbour.accounts[SELF]
    leaving = {"from_holding": harbour.cash[SELF], "to_holding": harbour.refuge[0], "amount": 1}
    ended = {"account": account, "kyc": bytes(32), "kyc_until": 0}
    net.ok("account_update", "gone", **ended)
    net.refused(Code.INELIGIBLE, "transfer", "owner", **leaving)
    until = net.time_ms // 1_000 + 30 * 86_400
    net.enact("kyc_restore", PVARA, accounts=(account,), kyc_until=until)
    net.refused(Code.OUT_OF_RANGE, "account_update", "gone", **ended)
    net.refused(Code.OUT_OF_RANGE, "account_update", "gone", **{**ended, "kyc_until": until - 1})
    net.ok("account_update", "gone", **{**ended, "kyc_until": until + 100})
    net.ok("account_update", "gone", **{**ended, "kyc_until": until})
    net.ok("transfer", "owner", **leaving)


def test_a_restoration_ends_and_is_replaced() -> None:
    net = Network()
    net.license("gone")
    (account,) = net.accounts("gone", [client(1)])
    soon = net.time_ms // 1_000 + 100
    ended = {"account": account, "kyc": bytes(32), "kyc_until": 0}
    net.enact("kyc_restore", PVARA, accounts=(account,), kyc_until=soon + 10_000)
    net.enact("kyc_restore", PVARA, accounts=(account,), kyc_until=soon)
    net.refused(Code.OUT_OF_RANGE, "account_update", "gone", **ended)
    net.advance(200_000)
    net.ok("account_update", "gone", **ended)


def test_only_clients_are_restored_each_once_and_until_later(harbour: Harbour) -> None:
    net, account = harbour.net, harbour.accounts[CUSTODIAL]
    later = net.time_ms // 1_000 + 10**6
    for code, accounts, until in (
        (Code.OUT_OF_RANGE, (account,), net.time_ms // 1_000 - 5),
        (Code.OUT_OF_RANGE, (account, account), later),
        (Code.NOT_FOUND, (9_999,), later),
        (Code.WRONG_STATUS, (0,), later),
    ):
        net.refused(code, "kyc_restore", PVARA, accounts=accounts, kyc_until=until)


# --- no act that takes effect at once binds another party for ever

# Each direct kind: what it can do to somebody else, and who undoes it; a test elsewhere is named.
UNDONE = {
    "transfer": "a custodial client's assets are his VASP's to move: licence, freeze and records bind it",
    "transfer_batch": "as transfer",
    "account_open": "an account is nobody's until it holds something, and then its client can leave",
    "holding_open": "a VASP leaves room to an owner (test_holdings.py), and finished holdings are taken over",
    "account_update": "KYC that a VASP ended is restored by PVARA, and stays",
    "offer_take": "pays for what it takes, at the ministry's price",
    "licence_apply": "is filed again until it is decided (test_acts_vasps.py)",
    "settlement_key_rotate": "ends its signer's own key; a thief's is replaced by PVARA",
    "approve": "counts for the one proposal that it names",
    "reject": "ends a proposal only with the policy's own majority, and another one may be made",
    "withdraw": "ends its maker's own proposal",
    "dev_advance_clock": "exists on chains of class development alone",
}


def test_what_every_direct_kind_does_to_others_has_been_thought_through() -> None:
    assert UNDONE.keys() == {kind.name for kind in BY_NAME.values() if not kind.governed}


# --- nobody is ever found who cannot leave

indices = st.integers(0, 10**6)


class Walk(RuleBasedStateMachine):
    """VASPs, authorities and time do what they may; after each act every client of `gone` still gets out."""

    harbour: Harbour

    @initialize()
    def begin(self) -> None:
        if not hasattr(Walk, "harbour"):
            Walk.harbour = Harbour()
        self.net, self.state = self.harbour.net, self.harbour.net.state
        self.mark = self.state.mark()
        self.now_ms = self.net.time_ms
        self.debits = 0

    def teardown(self) -> None:
        if hasattr(self, "mark"):
            self.state.undo(self.mark)

    def act(self, kind: str, signers: str, **fields: Any) -> Result:
        return act(self.state, self.net, self.now_ms, kind, signers, **fields)

    def block(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        due.begin_block(self.state, Moment(self.net.height, self.now_ms))

    def clients(self) -> list[int]:
        accounts = self.state.accounts
        return [index for index in range(len(accounts)) if accounts[index].vasp == self.harbour.gone]

    # --- the acts

    @rule(kind=st.sampled_from(["suspend", "reinstate", "revoke", "reject", "noc"]))
    def supervise(self, kind: str) -> None:
        self.act(f"vasp_{kind}", PVARA, vasp=self.harbour.gone)

    @rule(index=indices, until=st.sampled_from([0, 1, 2**32 - 1]))
    def update_kyc(self, index: int, until: int) -> None:
        accounts = self.clients()
        self.act(
            "account_update", "gone", account=accounts[index % len(accounts)], kyc=bytes(32), kyc_until=until
        )

    @rule(what=st.sampled_from(Target), index=indices, authority=st.sampled_from(["pvara", "fmu"]))
    def freeze(self, what: Target, index: int, authority: str) -> None:
        sizes = {
            Target.ACCOUNT: len(self.state.accounts), Target.HOLDING: len(self.state.holdings),
            Target.INSTRUMENT: len(self.state.instruments), Target.VASP: 2, Target.MARKET: 1,
        }  # fmt: skip
        self.act("freeze", f"{authority}1 {authority}2", target=what, index=index % sizes[what])

    @rule(source=indices, sink=indices, amount=st.sampled_from([1, 30, FACE]))
    def trade(self, source: int, sink: int, amount: int) -> None:
        count = len(self.state.holdings)
        for signer in ("gone", "owner", "safe"):
            self.act("transfer", signer, from_holding=source % count, to_holding=sink % count, amount=amount)

    @rule(units=st.integers(1, 50))
    def buy(self, units: int) -> None:
        rows = packed([(self.harbour.bills[CUSTODIAL], self.harbour.cash[MONEY], units)], 4, 4, 8)
        self.act("offer_take", "gone", offer=self.harbour.offer, rows=rows)

    @rule(hours=st.sampled_from([1, 30, 50 * 24, 85 * 24]))
    def time_passes(self, hours: int) -> None:
        self.block(hours * 3_600_000)

    @rule()
    def fund(self) -> None:
        self.pay_out()

    def pay_out(self) -> None:
        record = self.state.instruments[self.harbour.bill]
        if record.status is InstrumentStatus.REDEEMED:
            return
        owed = maturity.redemption_due(self.state, record) - self.state.holdings[record.pool_cash].balance
        if owed <= 0:
            return
        self.debits += 1
        debit = self.debits.to_bytes(32, "big")
        self.act("cash_issue", "sbp1 sbp2", holding=record.treasury_cash, amount=owed, debit=debit)
        self.act("redemption_fund", "mof1 mof2", instrument=self.harbour.bill, amount=owed)

    # --- what must hold whatever they did

    @invariant()
    def every_client_can_leave(self) -> None:
        """With every freeze lifted and KYC restored by PVARA, whoever moves a holding moves all of it to a
        client of another VASP; what has matured is paid first. Nobody else has to agree."""
        if not hasattr(self, "mark"):
            return
        mark, now_ms = self.state.mark(), self.now_ms
        for index, restriction in enumerate(self.state.restrictions):
            if not restriction.ended_ms and not restriction.causes:
                assert self.act("lift", "sbp1 sbp2 pvara1 pvara2", restriction=index).code == Code.OK
        bill = self.state.instruments[self.harbour.bill]
        if self.now_ms >= terms.closes_ms(bill.terms) and bill.status is not InstrumentStatus.REDEEMED:
            self.pay_out()
            self.block(1_000)
            self.block(1_000)
        restored = {"kyc_until": self.now_ms // 1_000 + 86_400}
        rescue = self.state.holdings[self.harbour.refuge[0]].account
        clients = self.clients()
        everybody = tuple(sorted([*clients, rescue]))
        assert self.act("kyc_restore", PVARA, accounts=everybody, **restored).code == Code.OK
        refuge = {self.state.holdings[index].instrument: index for index in self.harbour.refuge}
        for account in clients:
            signer = "owner" if self.state.accounts[account].type == SELF else "gone"
            for holding in list(self.state.holdings_of(account)):
                row = self.state.holdings[holding]
                assert transfers.available(row) == row.balance
                if row.balance:
                    target = refuge[row.instrument]
                    left = self.act(
                        "transfer", signer, from_holding=holding, to_holding=target, amount=row.balance
                    )
                    assert left.code == Code.OK, left
        self.state.undo(mark)
        self.now_ms = now_ms


Walk.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestWalk = Walk.TestCase
