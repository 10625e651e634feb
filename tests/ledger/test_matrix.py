"""Every wrong actor for every kind is refused as not authorised, and changes nothing."""

from typing import Any

import pytest

from ledger.codes import Code
from ledger.documents import Rule
from ledger.execution import execute
from ledger.kinds import BY_NAME
from ledger.policies import default_policies_at
from ledger.state import TABLES
from testing.keys import public
from testing.ledger_network import BILL, CATEGORIES, Network, client, make_genesis, packed

OFFICERS = ("mof", "sbp", "pvara", "secp", "fmu")
BINANCE, HTX, ALICE = "binance", "htx", "alice"
ACTORS = (*OFFICERS, BINANCE, HTX, ALICE)

# Who may send each kind for the payload that stands beside it.
ISSUERS = {"mof", "sbp", "pvara"}
PROOF = bytes(64)
VOTERS = {"mof", "sbp", "pvara", "secp"}
KINDS: dict[str, tuple[set[str], dict[str, Any]]] = {
    "transfer": ({BINANCE}, {"from_holding": "client", "to_holding": "other", "amount": 1}),
    "transfer_batch": ({BINANCE, HTX, ALICE}, {"rows": packed([(0, 1, 1)], 4, 4, 8)}),
    "account_open": ({BINANCE, HTX}, {"rows": (client(77),)}),
    "holding_open": ({BINANCE}, {"rows": "client"}),
    "account_update": ({BINANCE}, {"account": "client"}),
    "offer_take": ({BINANCE}, {"offer": 0, "rows": "take"}),
    "licence_apply": ({BINANCE, HTX}, {"categories": CATEGORIES}),
    "settlement_key_rotate": ({BINANCE, HTX}, {"settlement_key": public("new"), "proof": PROOF}),
    "approve": (ISSUERS, {"proposal": "open", "reason": 0}),
    "reject": (ISSUERS, {"proposal": "open", "reason": 0}),
    "withdraw": ({"mof"}, {"proposal": "open", "reason": 0}),
    "dev_advance_clock": (set(OFFICERS), {"advance_ms": 1}),
    "vasp_register": (
        {"pvara"}, {"name": "okx", "title": "OKX", "settlement_key": public("okx"), "proof": PROOF}
    ),
    "vasp_noc": ({"pvara"}, {"vasp": 0}),
    "vasp_reject": ({"pvara"}, {"vasp": 0}),
    "vasp_goaml": ({"fmu"}, {"vasp": 0, "reference": "G"}),
    "vasp_subsidiary": ({"secp"}, {"vasp": 0, "name": "B", "number": "1"}),
    "vasp_license": ({"pvara"}, {"vasp": 0, "categories": CATEGORIES}),
    "vasp_suspend": ({"pvara"}, {"vasp": 0}),
    "vasp_reinstate": ({"pvara"}, {"vasp": 0}),
    "vasp_revoke": ({"pvara"}, {"vasp": 0}),
    "vasp_restore": (VOTERS, {"vasp": 0}),
    "programme_create": (ISSUERS, {"name": "more", "cap_cents": 1}),
    "fixing_attest": ({"sbp"}, {"rate_e4": 1, "as_of_ms": 1}),
    "cash_define": ({"sbp"}, {"currency": "USD"}),
    "cash_issue": ({"sbp"}, {"holding": 0, "amount": 1, "debit": bytes(32)}),
    "cash_destroy": ({"sbp", "pvara"}, {"debit": bytes(32), "holding": 0, "amount": 1}),
    "instrument_issue": (ISSUERS, {**BILL, "isin": "US0378331005"}),
    "offer_open": (
        {"mof"},
        {"instrument": 1, "price_e4": 1, "units": 1, "opens_ms": 1, "closes_ms": 2, "vasps": ()},
    ),
    "redemption_fund": ({"mof"}, {"instrument": 1, "amount": 1}),
    "offer_withdraw": ({"mof"}, {"offer": 0}),
    "freeze": ({"pvara", "sbp", "fmu"}, {"target": 5, "index": 0}),
    "kyc_restore": ({"pvara"}, {"accounts": (1,), "kyc_until": 2**32 - 1}),
    "lift": ({"pvara", "sbp", "fmu"}, {"restriction": 0}),
    "parameter_set": (VOTERS, {"name": "idle_ms", "value": 500}),
    "node_update": (
        VOTERS,
        {"node": "mof-2", "institution": 0, "role": 2, "power": 0, "public_key": public("x"), "proof": PROOF},
    ),
    "upgrade_schedule": (VOTERS, {"version": 2, "height": 1_000_000}),
    "upgrade_cancel": (VOTERS, {"entry": 0}),
    "institution_update": (
        VOTERS, {"institution": 0, "title": "", "threshold": 3, "remove": (), "add": (), "ca_roots": ()}
    ),
    "settlement_key_replace": ({"pvara"}, {"vasp": 0, "settlement_key": public("new"), "proof": PROOF}),
    "officer_key_rotate": (set(OFFICERS), {"officer": 0, "key": public("new"), "proof": PROOF}),
    "settlement_key_restore": (VOTERS, {"vasp": 0, "settlement_key": public("new"), "proof": PROOF}),
}  # fmt: skip


class World:
    """Two licensed VASPs; Binance's clients, one (Alice) in self-custody; a bill, an offer, a proposal."""

    def __init__(self) -> None:
        self.net = net = Network()
        net.license(BINANCE)
        net.license(HTX)
        net.define_money()
        self.bill = net.issue()
        account, other, own, signer = net.accounts(BINANCE, [client(1), client(2), client(3, 1, ALICE)])
        net.signers[ALICE] = signer
        net.holdings(BINANCE, [(account, 0), (account, self.bill), (other, 0), (own, 0)])
        holding = net.state.holding_of
        self.names = {
            ("transfer", "from_holding"): holding(account, 0),
            ("transfer", "to_holding"): holding(other, 0),
            ("holding_open", "rows"): packed([(other, self.bill)], 4, 4),
            ("account_update", "account"): account,
            ("offer_take", "rows"): packed(
                [(holding(account, self.bill) or 0, holding(account, 0) or 0, 1)], 4, 4, 8
            ),
        }
        net.offer(self.bill, 1_000, vasps=(0,))
        # A new proposal that only its maker has signed.
        self.open = net.ok("instrument_issue", "mof3", **{**BILL, "isin": "GB0002634946"})[0]

    def fields(self, kind: str) -> dict[str, Any]:
        given = KINDS[kind][1]
        resolved = {}
        for field, value in given.items():
            if value == "open":
                resolved[field] = self.open
            else:
                resolved[field] = self.names.get((kind, field), value)
        if kind == "account_update":
            row = client(9)
            resolved |= {"kyc": row.kyc, "kyc_until": row.kyc_until}
        return resolved


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def signer_of(actor: str) -> str:
    return f"{actor}1" if actor in OFFICERS else actor


def test_the_matrix_has_every_kind() -> None:
    assert KINDS.keys() == BY_NAME.keys()


def test_every_governed_kind_has_a_policy_and_no_policy_is_without_its_kind() -> None:
    assert default_policies_at(1).keys() == {kind.name for kind in BY_NAME.values() if kind.governed}


@pytest.mark.parametrize(
    ("kind", "actor"),
    [(kind, actor) for kind, (allowed, _) in KINDS.items() for actor in ACTORS if actor not in allowed],
)
def test_a_wrong_actor_is_refused_and_changes_nothing(world: World, kind: str, actor: str) -> None:
    net = world.net
    before = dict(net.state.table_roots())
    net.refused(Code.NOT_AUTHORISED, kind, signer_of(actor), **world.fields(kind))
    changed = [TABLES[number].name for number, root in net.state.table_roots() if root != before[number]]
    assert changed == ["signers"]  # the sequence is used, nothing else


@pytest.mark.parametrize("kind", [kind.name for kind in BY_NAME.values() if kind.governed])
def test_a_right_officer_is_not_lent_to_a_wrong_one(world: World, kind: str) -> None:
    allowed = KINDS[kind][0]
    right = sorted(allowed)[0]
    own = default_policies_at(1)[kind][0] is Rule.PROPOSER
    wrong = next(actor for actor in OFFICERS if actor not in allowed or (own and actor != right))
    world.net.refused(Code.NOT_AUTHORISED, kind, f"{right}1 {wrong}1", **world.fields(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_actor_is_not_refused_as_not_authorised(kind: str, world: World) -> None:
    """The other half: the matrix above would be met by a ledger that refuses everybody."""
    for actor in sorted(KINDS[kind][0] - {HTX}):
        net = world.net
        signer = "mof3" if kind == "withdraw" else signer_of(actor)
        mark = net.state.mark()
        result = _execute(net, net.tx(kind, signer, **world.fields(kind)))
        net.state.undo(mark)
        assert result != Code.NOT_AUTHORISED, f"{actor} may send {kind}"


def test_a_kind_of_one_signer_takes_no_second_one(world: World) -> None:
    world.net.refused(Code.NOT_AUTHORISED, "licence_apply", "binance htx", categories=CATEGORIES)


@pytest.mark.parametrize("actor", [HTX, ALICE])
def test_a_batch_refuses_each_row_of_a_holding_that_is_not_the_signers(world: World, actor: str) -> None:
    fields = world.fields("transfer")
    rows = packed([(fields["from_holding"], fields["to_holding"], 1)], 4, 4, 8)
    assert world.net.do("transfer_batch", actor, rows=rows).rows == packed([(Code.NOT_AUTHORISED,)], 2)


def test_an_offer_is_not_taken_for_somebody_elses_client(world: World) -> None:
    """The batch is the VASP's own, the row is not: neither another VASP's client nor one in self-custody."""
    net = world.net
    offer = net.offer(world.bill, 10)
    rows = world.fields("offer_take")["rows"]
    result = net.do("offer_take", HTX, offer=offer, rows=rows)
    assert result.rows == packed([(Code.NOT_AUTHORISED,)], 2)
    alice_account = net.state.signers[net.signers[ALICE]].owner
    (own,) = net.holdings(ALICE, [(alice_account, world.bill)])
    cash = net.state.holding_of(alice_account, 0) or 0
    result = net.do("offer_take", BINANCE, offer=offer, rows=packed([(own, cash, 1)], 4, 4, 8))
    assert result.rows == packed([(Code.NOT_AUTHORISED,)], 2)


def test_only_the_maker_withdraws(world: World) -> None:
    world.net.refused(Code.NOT_AUTHORISED, "withdraw", "mof1", proposal=world.open, reason=0)


def test_a_production_chain_has_no_clock_to_move() -> None:
    net = Network(make_genesis("production"))
    net.refused(Code.NOT_AUTHORISED, "dev_advance_clock", "mof1 mof2", advance_ms=1)
    assert net.state.chain_record.clock_offset_ms == 0


def _execute(net: Network, tx: Any) -> int:
    return execute(net.state, tx, net.height, net.time_ms, net.header_ms).code
