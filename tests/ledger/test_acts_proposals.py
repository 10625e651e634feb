"""The life of a proposal: maker and checkers, and every way it can end."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from ledger import agenda, transactions, versions
from ledger.codes import Code, Refused
from ledger.documents import ProposalStatus, Target
from ledger.fields import FIELD_NAMES
from ledger.kind import Context
from ledger.kinds import BY_NAME
from testing.ledger_network import BILL, DAY_MS, EVERYONE, Network, make_genesis, public, said

PROGRAMME = {"name": "bills", "cap_cents": 1_000}


@pytest.fixture
def net() -> Network:
    return Network()


def test_one_officer_opens_and_another_one_executes(net: Network) -> None:
    (proposal,) = net.ok("cash_define", "sbp1", currency="PKR")
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    assert len(net.state.instruments) == 0
    created = net.ok("approve", "sbp3", proposal=proposal, reason=12)
    assert created[0] == 0
    record = net.proposal(proposal)
    assert (record.status, record.created) == (ProposalStatus.EXECUTED, created)
    assert (record.decided_height, record.decided_ms) == (net.height, net.header_ms)
    first, second = record.approvals
    assert (first.officer, first.institution, first.height, first.reason) == (net.signers["sbp1"], 1, 1, 0)
    assert (second.officer, second.institution, second.height, second.reason) == (
        net.signers["sbp3"],
        1,
        2,
        12,
    )
    assert (first.time_ms, second.time_ms) == (net.header_ms - 1_000, net.header_ms)


def test_the_maker_is_never_his_own_second(net: Network) -> None:
    (proposal,) = net.ok("cash_define", "sbp1", currency="PKR")
    net.refused(Code.DUPLICATE_OFFICER, "approve", "sbp1", proposal=proposal, reason=0)
    net.refused(Code.DUPLICATE_OFFICER, "approve", "sbp1 sbp2", proposal=proposal, reason=0)
    net.refused(Code.DUPLICATE_OFFICER, "reject", "sbp1", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    assert len(net.proposal(proposal).approvals) == 1


def test_a_checker_counts_once_too(net: Network) -> None:
    (proposal,) = net.ok("programme_create", "mof1 mof2", **PROGRAMME)
    net.ok("approve", "sbp1", proposal=proposal, reason=0)
    net.refused(Code.DUPLICATE_OFFICER, "approve", "sbp1", proposal=proposal, reason=0)


def test_who_has_objected_does_not_approve(net: Network) -> None:
    (proposal,) = net.ok("programme_create", "mof1 mof2", **PROGRAMME)
    net.ok("reject", "sbp1", proposal=proposal, reason=3)
    net.refused(Code.DUPLICATE_OFFICER, "approve", "sbp1", proposal=proposal, reason=0)
    assert net.proposal(proposal).objections[0].reason == 3


def test_an_institution_rejects_by_as_many_officers_as_it_approves(net: Network) -> None:
    (proposal,) = net.ok("programme_create", "mof1 mof2", **PROGRAMME)
    net.ok("reject", "sbp1", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    net.ok("reject", "sbp2", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.REJECTED
    net.refused(Code.WRONG_STATUS, "approve", "pvara1", proposal=proposal, reason=0)
    assert net.state.proposals.grouped == 0


def test_the_maker_withdraws_what_is_open_and_nothing_else(net: Network) -> None:
    (proposal,) = net.ok("programme_create", "mof1", **PROGRAMME)
    net.ok("withdraw", "mof1", proposal=proposal, reason=5)
    record = net.proposal(proposal)
    assert (record.status, record.objections[-1].reason) == (ProposalStatus.WITHDRAWN, 5)
    net.refused(Code.WRONG_STATUS, "withdraw", "mof1", proposal=proposal, reason=5)
    net.refused(Code.WRONG_STATUS, "reject", "sbp1", proposal=proposal, reason=5)


def test_a_proposal_expires_in_ledger_time(net: Network) -> None:
    (proposal,) = net.ok("programme_create", "mof1", **PROGRAMME)
    net.advance(7 * DAY_MS - 60_000)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    net.advance(60_000)
    record = net.proposal(proposal)
    assert (record.status, record.decided_height) == (ProposalStatus.EXPIRED, net.height)
    net.refused(Code.WRONG_STATUS, "approve", "sbp1", proposal=proposal, reason=0)


def test_an_expired_proposal_is_over_even_before_its_row_of_the_agenda_is_reached(net: Network) -> None:
    (proposal,) = net.ok("programme_create", "mof1", **PROGRAMME)
    agenda.cancel(net.state, net.proposal(proposal).due, net.height)
    net.advance(7 * DAY_MS)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    for kind, signer in (("approve", "sbp1"), ("reject", "sbp1"), ("withdraw", "mof1")):
        refused = net.refused(Code.WRONG_STATUS, kind, signer, proposal=proposal, reason=0)
        assert FIELD_NAMES[refused.field] == "proposal.status"


def test_an_effect_refused_in_the_end_leaves_a_failed_proposal_with_its_code(net: Network) -> None:
    net.define_money()
    (first,) = net.ok("instrument_issue", "mof1 mof2 sbp1 sbp2", **{**BILL, "units": 112_000_000})
    (second,) = net.ok(
        "instrument_issue", "mof1 mof2 sbp1 sbp2", **{**BILL, "units": 1, "isin": "US0378331005"}
    )
    net.ok("approve", "pvara1 pvara2", proposal=first, reason=0)
    net.ok("approve", "pvara1 pvara2", proposal=second, reason=0)
    assert net.proposal(first).status is ProposalStatus.EXECUTED
    assert (net.proposal(second).status, net.proposal(second).code) == (
        ProposalStatus.FAILED,
        Code.CAP_EXCEEDED,
    )
    assert "US0378331005" not in net.state.instrument_by_isin
    assert len(net.state.accounts) == 2  # the treasury and one pool: the failed effect left nothing


def test_an_effect_refused_halfway_leaves_nothing(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = BY_NAME["cash_define"]

    def refuse_late(ctx: Context, payload: Any) -> tuple[int, ...]:
        kind.apply(ctx, payload)
        raise Refused(Code.BAD_IDENTIFIER, "currency", payload.currency)

    known = versions.rules(1)
    bent = replace(known, kinds={**known.kinds, kind.number: replace(kind, apply=refuse_late)})
    for module in (versions, transactions):
        monkeypatch.setattr(module, "rules", lambda version: bent)
    (proposal,) = net.ok("cash_define", "sbp1 sbp2", currency="PKR")
    assert net.proposal(proposal).status is ProposalStatus.FAILED
    assert net.proposal(proposal).code == Code.BAD_IDENTIFIER
    assert (len(net.state.instruments), len(net.state.holdings)) == (0, 0)


def test_what_can_be_seen_to_fail_is_refused_before_it_is_proposed(net: Network) -> None:
    net.refused(Code.BAD_IDENTIFIER, "cash_define", "sbp1 sbp2", currency="rupee")
    assert len(net.state.proposals) == 0


def test_an_institution_has_an_equal_part_of_the_room_for_open_proposals() -> None:
    net = Network(make_genesis(parameters=(("proposals_open_max", 20),)))
    for number in range(4):
        net.ok("programme_create", f"mof{number % 2 + 1}", name=f"p{number}", cap_cents=1)
    result = net.refused(Code.LIMIT_EXCEEDED, "programme_create", "mof3", name="one more", cap_cents=1)
    assert FIELD_NAMES[result.field] == "proposal"
    assert said(result).rule == "proposals of mof open at once (proposals_open_max)"
    net.ok("programme_create", "sbp1", name="another's", cap_cents=1)
    net.enact("cash_define", "sbp1 sbp2", currency="PKR")  # enough signers need no room


def test_as_many_officers_as_its_threshold_it_takes_to_fill_an_institutions_room() -> None:
    net = Network(make_genesis(parameters=(("proposals_open_max", 20),)))
    for number in range(2):
        net.ok("programme_create", "mof1", name=f"p{number}", cap_cents=1)
    result = net.refused(Code.LIMIT_EXCEEDED, "programme_create", "mof1", name="one more", cap_cents=1)
    assert FIELD_NAMES[result.field] == "signers"
    net.ok("programme_create", "mof2", name="another's", cap_cents=1)
    net.ok("withdraw", "mof1", proposal=0, reason=0)
    net.ok("programme_create", "mof1", name="one more", cap_cents=1)


def test_however_little_room_there_is_every_threshold_of_officers_may_propose() -> None:
    """Of 16 proposals a fifth is fewer than a threshold of six."""
    net = crowded(proposals_open_max=16)
    for number in range(1, 7):
        net.ok("freeze", f"fmu{number}", target=Target.MARKET, index=0)
    net.refused(Code.LIMIT_EXCEEDED, "freeze", "fmu7", target=Target.MARKET, index=0)


def test_one_institution_that_fills_its_room_does_not_keep_the_others_from_changing_it() -> None:
    """More officers must sign than one transaction takes, so that the act against the filler is proposed."""
    net = crowded(proposals_open_max=256)
    for number in range(1, 9):
        for _ in range(6):
            net.ok("freeze", f"fmu{number}", target=Target.MARKET, index=0)
    results = [net.do("freeze", f"fmu{number}", target=Target.MARKET, index=0) for number in range(1, 9)]
    assert results[-1].code == Code.LIMIT_EXCEEDED
    update: dict[str, Any] = {"title": "", "threshold": 0, "add": (), "ca_roots": ()}
    leaving = (net.signers["fmu1"], net.signers["fmu2"])
    six = range(1, 7)
    signers = " ".join(f"{name}{number}" for name in ("mof", "sbp") for number in six)
    (proposal,) = net.ok("institution_update", signers, institution=4, remove=leaving, **update)
    net.ok("approve", " ".join(f"secp{number}" for number in six), proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.EXECUTED


def crowded(**parameters: int) -> Network:
    """A network of eight officers in each institution, of whom six must sign."""
    genesis = make_genesis(parameters=tuple(parameters.items()))
    names = [f"{each.name}{number}" for each in genesis.institutions for number in range(1, 9)]
    institutions = tuple(
        structs.replace(
            each, threshold=6, officers=tuple(public(f"{each.name}{number}") for number in range(1, 9))
        )
        for each in genesis.institutions
    )
    net = Network(structs.replace(genesis, institutions=institutions))
    net.signers = {name: index for index, name in enumerate(names)}
    return net


def test_a_proposal_that_does_not_exist_is_not_found(net: Network) -> None:
    for kind in ("approve", "reject", "withdraw"):
        net.refused(Code.NOT_FOUND, kind, "mof1", proposal=9, reason=0)


def test_more_than_two_thirds_of_the_voting_institutions_change_the_network(net: Network) -> None:
    (proposal,) = net.ok("parameter_set", "mof1 mof2 sbp1 sbp2", name="idle_ms", value=750)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    net.ok("approve", "secp1 secp3", proposal=proposal, reason=0)
    assert net.state.parameters[net.state.parameters.by_key["idle_ms"]].value == 750


def test_one_transaction_may_carry_everybodys_signature(net: Network) -> None:
    assert net.enact("programme_create", EVERYONE, **PROGRAMME) == (0,)
