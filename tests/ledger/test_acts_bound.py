"""Approvals are for what their proposal rests on, and what an open proposal claims nobody else takes.

Lost otherwise: an approval given for one state of things takes effect on another, and whoever reads an open
proposal takes the name, the code or the key in it.
"""

from typing import Any

import pytest

from ledger import due, terms
from ledger.agenda import What
from ledger.codes import Code
from ledger.documents import InstrumentStatus, ProposalStatus, Target
from ledger.fields import FIELD_NAMES
from ledger.kinds import BY_NAME
from ledger.kinds.account_open import AccountRow
from ledger.rows import FROZEN, AccountType, Role
from ledger.words import words
from testing.ledger_network import BILL, EVERYONE, Network, public
from tests.ledger.test_holdings import Weekly

# Governed acts that rest on nothing: they make something new, and replace nothing that an act decided.
MAKES = {
    "vasp_register": "a VASP, whose name and key it claims",
    "programme_create": "a programme, whose name it claims",
    "cash_define": "a currency, whose code it claims",
    "instrument_issue": "a security, whose code it claims",
    "cash_issue": "cash, whose debit it claims",
}
VOTERS = "mof1 mof2 sbp1 sbp2 pvara1"
MOVED = {
    "offer": What.OFFER_CLOSE,
    "offers": What.MATURITY,
    "funding": What.REDEMPTION,
    "instrument": What.REDEMPTION,
    "holding": What.REDEMPTION,
}


@pytest.fixture
def net() -> Network:
    return Network()


def status(net: Network, proposal: int) -> tuple[ProposalStatus, int]:
    record = net.proposal(proposal)
    return record.status, record.code


def test_every_governed_act_says_what_it_rests_on_or_what_it_makes() -> None:
    governed = [kind for kind in BY_NAME.values() if kind.governed]
    assert {kind.name for kind in governed if kind.rests_on.__name__ == "none"} == set(MAKES)
    assert all(BY_NAME[name].claims.__name__ != "none" for name in MAKES)


def test_an_old_fixing_never_takes_the_place_of_a_newer_one(net: Network) -> None:
    """A slip of the pen of one officer, which another one corrected, is approved by whoever comes late."""
    net.define_money()
    as_of = {"as_of_ms": net.time_ms}
    (slip,) = net.ok("fixing_attest", "sbp1", rate_e4=28_000_000, **as_of)
    net.ok("fixing_attest", "sbp2 sbp3", rate_e4=2_800_000, **as_of)
    assert status(net, slip) == (ProposalStatus.FAILED, Code.SUPERSEDED)
    net.refused(Code.WRONG_STATUS, "approve", "sbp3", proposal=slip, reason=0)
    assert net.state.fixings[-1].rate_e4 == 2_800_000


def test_an_old_restoration_of_kyc_never_takes_the_place_of_a_newer_one() -> None:
    weekly = Weekly()
    net, accounts = weekly.net, (weekly.account, weekly.account + 1)
    (old,) = net.ok("kyc_restore", "pvara1", accounts=accounts, kyc_until=2**32 - 1)
    (other,) = net.ok("kyc_restore", "pvara1", accounts=accounts[1:], kyc_until=2**32 - 1)
    soon = net.time_ms // 1_000 + 1_000
    net.ok("kyc_restore", "pvara2 pvara3", accounts=accounts[:1], kyc_until=soon)
    assert status(net, old) == (ProposalStatus.FAILED, Code.SUPERSEDED)
    assert status(net, other)[0] is ProposalStatus.OPEN  # of another client
    assert net.state.accounts[weekly.account].kyc_until == soon


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


def overtaken(net: Network, proposal: int) -> What:
    """What time did that closed the proposal."""
    record = net.proposal(proposal)
    assert (record.status, record.code) == (ProposalStatus.FAILED, Code.SUPERSEDED)
    row, what = record.values
    assert net.state.agenda[row].what == what
    assert What(what).name in words(record.code, record.field, record.values).rule
    return What(what)


def propose_what_waits(weekly: Weekly, bill: int) -> dict[str, int]:
    """One open proposal of everything that may rest on what becomes of a bill and its offer."""
    net = weekly.net
    offer: dict[str, Any] = {"price_e4": 978_873, "units": 1, "opens_ms": net.time_ms, "vasps": ()}
    closes_ms = terms.closes_ms(net.state.instruments[bill].terms)
    proposals = {
        "offer": net.ok("offer_withdraw", "mof1", offer=len(net.state.offers) - 1),
        "offers": net.ok("offer_open", "mof1", instrument=bill, closes_ms=closes_ms, **offer),
        "funding": net.ok("redemption_fund", "mof1", instrument=bill, amount=1),
        "instrument": net.ok("freeze", "fmu1", target=Target.INSTRUMENT, index=bill),
        "holding": net.ok("freeze", "fmu1", target=Target.HOLDING, index=weekly.holding(bill)),
        "account": net.ok("freeze", "fmu1", target=Target.ACCOUNT, index=weekly.account),
        "cash": net.ok("freeze", "fmu1", target=Target.HOLDING, index=weekly.cash),
    }
    return {name: proposal for name, (proposal,) in proposals.items()}


def test_what_time_does_closes_what_rests_on_what_it_moves_and_nothing_else() -> None:
    """A freeze approved after the redemption would be executed and hold nothing: who approves it learns that
    the bill is redeemed, and freezes the holder's cash."""
    weekly = Weekly()
    net = weekly.net
    bill = weekly.bill()
    net.fund(net.state.instruments[bill].treasury_cash, 10**6)
    net.enact("redemption_fund", "mof1 mof2", instrument=bill, amount=500_000)
    waiting = propose_what_waits(weekly, bill)
    net.advance(terms.closes_ms(net.state.instruments[bill].terms) - net.time_ms)
    assert net.state.instruments[bill].status is InstrumentStatus.REDEEMED
    assert {name: overtaken(net, waiting.pop(name)) for name in MOVED} == MOVED
    assert {status(net, proposal)[0] for proposal in waiting.values()} == {ProposalStatus.OPEN}
    net.refused(Code.WRONG_STATUS, "approve", "fmu2", proposal=waiting["account"] - 1, reason=0)
    net.ok("approve", "fmu2", proposal=waiting["cash"], reason=0)
    assert net.state.holdings.field(weekly.cash, "flags") & FROZEN


def test_everything_that_time_does_says_what_it_moves() -> None:
    assert set(due.MOVES) == set(due.DUE) == set(What)
    assert {what for what in What if due.MOVES[what]} == set(MOVED.values())


def test_what_has_been_redeemed_is_not_frozen_any_more() -> None:
    weekly = Weekly()
    bill = weekly.bill()
    holding = weekly.holding(bill)
    weekly.redeem(bill)
    for target, index in ((Target.HOLDING, holding), (Target.INSTRUMENT, bill)):
        result = weekly.net.refused(Code.WRONG_STATUS, "freeze", "fmu1 fmu2", target=target, index=index)
        assert FIELD_NAMES[result.field] == "instrument.redeemed_ms"
    weekly.net.freeze(Target.HOLDING, weekly.cash)


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
