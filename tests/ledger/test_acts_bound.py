"""Approvals are for what their proposal rests on, and what an open proposal claims nobody else takes.

Lost otherwise: an approval given for one state of things takes effect on another, and whoever reads an open
proposal takes the name, the code or the key in it.
"""

from typing import Any

import pytest

from ledger.codes import Code
from ledger.documents import ProposalStatus, Target
from ledger.kinds import BY_NAME
from ledger.kinds.account_open import AccountRow
from ledger.limits import HOLDING_REST_MS
from ledger.rows import FROZEN, AccountType, Role
from testing.ledger_network import BILL, DAY_MS, EVERYONE, Network, public
from tests.ledger.test_holdings import Weekly

# Governed acts that rest on nothing, each with the reason why an old approval can do no harm.
UNBOUND = {
    "fixing_attest": "it names its date, and one before the newest is refused",
    "kyc_restore": "it gives clients a right that only time ends, and names its end",
}
VOTERS = "mof1 mof2 sbp1 sbp2 pvara1"


@pytest.fixture
def net() -> Network:
    return Network()


def status(net: Network, proposal: int) -> tuple[ProposalStatus, int]:
    record = net.proposal(proposal)
    return record.status, record.code


def test_every_governed_act_says_what_it_rests_on_or_why_on_nothing() -> None:
    silent = {
        kind.name
        for kind in BY_NAME.values()
        if kind.governed and kind.rests_on.__name__ == "none" and kind.claims.__name__ == "none"
    }
    assert silent == set(UNBOUND)


def test_an_old_parameter_set_never_reverts_a_newer_one(net: Network) -> None:
    (old,) = net.ok("parameter_set", VOTERS, name="idle_ms", value=2_000)
    (other,) = net.ok("parameter_set", VOTERS, name="resend_ms", value=700)
    net.ok("parameter_set", EVERYONE, name="idle_ms", value=3_000)
    assert status(net, old) == (ProposalStatus.FAILED, Code.SUPERSEDED)
    assert net.proposal(old).values == (2,)
    assert status(net, other)[0] is ProposalStatus.OPEN
    net.refused(Code.WRONG_STATUS, "approve", "pvara2", proposal=old, reason=0)
    assert net.state.parameters[net.state.parameters.by_key["idle_ms"]].value == 3_000


def test_an_approval_to_suspend_does_not_outlive_the_reinstatement(net: Network) -> None:
    vasp = net.register("binance")
    net.ok("vasp_noc", "pvara1 pvara2", vasp=vasp)
    (old,) = net.ok("vasp_suspend", "pvara1", vasp=vasp)
    net.ok("vasp_suspend", "pvara2 pvara3", vasp=vasp)
    assert status(net, old) == (ProposalStatus.FAILED, Code.SUPERSEDED)
    net.ok("vasp_reinstate", "pvara2 pvara3", vasp=vasp)
    net.refused(Code.WRONG_STATUS, "approve", "pvara2", proposal=old, reason=0)


def test_the_two_facts_after_a_noc_come_in_either_order(net: Network) -> None:
    """goAML and subsidiary are others' to say: one does not close the other."""
    vasp = net.register("binance")
    net.ok("vasp_noc", "pvara1 pvara2", vasp=vasp)
    (subsidiary,) = net.ok("vasp_subsidiary", "secp1", vasp=vasp, name="Binance PK", number="0123")
    net.ok("vasp_goaml", "fmu1 fmu2", vasp=vasp, reference="R1")
    assert status(net, subsidiary)[0] is ProposalStatus.OPEN


def test_an_approval_to_freeze_does_not_outlive_a_lift_of_its_target(net: Network) -> None:
    target: dict[str, Any] = {"target": Target.MARKET, "index": 0}
    (old,) = net.ok("freeze", "sbp1", **target)
    (freeze,) = net.ok("freeze", "pvara1 pvara2", **target)[1:]
    assert status(net, old)[0] is ProposalStatus.OPEN  # freezes of two authorities are two
    net.ok("lift", "pvara1 pvara2 fmu1 fmu2", restriction=freeze)
    assert status(net, old) == (ProposalStatus.FAILED, Code.SUPERSEDED)
    assert not net.state.chain_record.market_frozen


def test_an_approval_to_freeze_a_holding_does_not_freeze_what_took_its_row_over() -> None:
    weekly = Weekly()
    net, holding = weekly.net, weekly.holding(first := weekly.bill())
    weekly.redeem(first)
    net.advance(DAY_MS)
    (old,) = net.ok("freeze", "pvara1", target=Target.HOLDING, index=holding)
    net.advance(HOLDING_REST_MS - DAY_MS)
    assert weekly.holding(weekly.bill()) == holding
    net.ok("approve", "pvara2", proposal=old, reason=0)
    assert status(net, old) == (ProposalStatus.FAILED, Code.SUPERSEDED)
    assert net.proposal(old).values == (old, net.proposal(old).created_height)
    assert not net.state.holdings.field(holding, "flags") & FROZEN


def test_two_approvals_to_lift_one_freeze_lift_it_once(net: Network) -> None:
    (freeze,) = net.ok("freeze", "pvara1 pvara2", target=Target.MARKET, index=0)[1:]
    (old,) = net.ok("lift", "sbp1", restriction=freeze)
    net.ok("lift", "pvara1 pvara2 fmu1 fmu2", restriction=freeze)
    assert status(net, old) == (ProposalStatus.FAILED, Code.SUPERSEDED)


def test_a_code_in_an_open_proposal_is_its_institutions_until_it_ends(net: Network) -> None:
    net.define_money()
    (open_one,) = net.ok("instrument_issue", "mof1", **BILL)
    net.refused(Code.CLAIMED, "instrument_issue", "sbp1", **BILL)
    (again,) = net.ok("instrument_issue", "mof2", **BILL)  # its own institution corrects itself
    net.ok("withdraw", "mof1", proposal=open_one, reason=0)
    net.refused(Code.CLAIMED, "instrument_issue", "sbp1", **BILL)
    net.ok("withdraw", "mof2", proposal=again, reason=0)
    net.ok("instrument_issue", "sbp1", **BILL)


def test_of_two_proposals_for_one_code_the_second_closes_with_the_first(net: Network) -> None:
    net.define_money()
    (first,) = net.ok("instrument_issue", "mof1 mof2 sbp1 sbp2", **BILL)
    (second,) = net.ok("instrument_issue", "mof1 mof2", **{**BILL, "units": 5_000})
    net.ok("approve", "pvara1 pvara2", proposal=first, reason=0)
    assert status(net, second) == (ProposalStatus.FAILED, Code.SUPERSEDED)


def test_a_settlement_key_in_an_open_proposal_is_nobodys_owner_key(net: Network) -> None:
    """A rival reads the key in the proposal and would enrol it for a client of his: then it is enrolled once
    and for ever, and never for its owner."""
    net.license("binance")
    row = AccountRow(AccountType.SELF_CUSTODY, bytes(32), 2**32 - 1, 586, 1, public("htx"), b"")
    proof = net.prove("htx", Role.SETTLEMENT, "htx")
    net.ok("vasp_register", "pvara1", name="htx", title="HTX", settlement_key=public("htx"), proof=proof)
    net.refused(Code.CLAIMED, "account_open", "binance", rows=(net.proven("binance", row),))


def test_claims_are_found_again_after_a_restart(net: Network) -> None:
    """The index of open proposals is derived: rebuilt from the table it refuses the same."""
    net.define_money()
    net.ok("instrument_issue", "mof1", **BILL)
    record = net.state.proposals[len(net.state.proposals) - 1]
    assert record.claims == 1
    assert net.state.proposals.members(record.rests_on[0]) == [len(net.state.proposals) - 1]
