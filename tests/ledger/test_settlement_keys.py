"""A VASP's settlement key is replaced: by the key itself, or, when it is lost, by PVARA after a waiting time.

Lost otherwise: a VASP's clients with its key, or their assets to whoever has it, thief or regulator.
"""

from typing import Any

import pytest

from ledger import parameters
from ledger.agenda import What
from ledger.codes import Code, Refused
from ledger.documents import NONE, ProposalStatus, Target
from ledger.rows import PENDING, RETIRED, Role
from testing.keys import public
from testing.ledger_network import DAY_MS, Network, client

PVARA = "pvara1 pvara2"


@pytest.fixture
def net() -> Network:
    """A licensed VASP, and no other."""
    net = Network()
    net.license("binance")
    return net


def new_key(net: Network, name: str, vasp: str = "binance") -> dict[str, Any]:
    """The fields that enrol the key of this name for this VASP."""
    return {"settlement_key": public(name), "proof": net.prove(name, Role.SETTLEMENT, vasp)}


def rotate(net: Network, name: str, by: str = "binance") -> int:
    """The VASP takes the key of this name; its signer."""
    (signer,) = net.ok("settlement_key_rotate", by, **new_key(net, name))
    net.signers[name] = signer
    return signer


def test_the_new_key_signs_for_the_same_clients_and_the_old_one_for_none(net: Network) -> None:
    net.define_money()
    account, other = net.accounts("binance", [client(1), client(2)])
    old, new = net.signers["binance"], rotate(net, "second")
    assert (net.vasp("binance").signer, net.state.signers[old].flags) == (new, RETIRED)
    enrolled = net.state.signers[new]
    assert (enrolled.role, enrolled.owner, enrolled.flags) == (Role.SETTLEMENT, 0, 0)
    net.holdings("second", [(account, 0), (other, 0)])
    with pytest.raises(Refused, match="key_retired"):
        net.do("settlement_key_rotate", "binance", **new_key(net, "third"))


def test_what_the_old_key_signed_behind_the_rotation_is_refused_in_its_block(net: Network) -> None:
    rotation = net.tx("settlement_key_rotate", "binance", **new_key(net, "second"))
    late = net.tx("account_open", "binance", rows=(client(1),))
    assert [result.code for result in net.block(rotation, late)] == [Code.OK, Code.KEY_RETIRED]
    assert not net.vasp("binance").accounts


def test_a_key_is_taken_with_its_proof_for_this_vasp_and_once_ever(net: Network) -> None:
    net.register("htx")
    fields = new_key(net, "second")
    net.refused(Code.BAD_PROOF, "settlement_key_rotate", "binance", **{**fields, "proof": bytes(64)})
    net.refused(Code.BAD_PROOF, "settlement_key_rotate", "binance", **new_key(net, "second", "htx"))
    net.refused(Code.BAD_KEY, "settlement_key_rotate", "binance", **{**fields, "settlement_key": bytes(32)})
    for name in ("binance", "htx", "mof1", "node of mof"):
        net.refused(Code.KEY_ALREADY_ENROLLED, "settlement_key_rotate", "binance", **new_key(net, name))
    rotate(net, "second")
    back = new_key(net, "binance")
    net.refused(Code.KEY_ALREADY_ENROLLED, "settlement_key_rotate", "second", **back)


def test_a_key_that_an_open_proposal_claims_is_not_taken(net: Network) -> None:
    proof = net.prove("htx", Role.SETTLEMENT, "htx")
    net.ok("vasp_register", "pvara1", name="htx", title="HTX", settlement_key=public("htx"), proof=proof)
    net.refused(Code.CLAIMED, "settlement_key_rotate", "binance", **new_key(net, "htx"))


def test_a_vasp_at_any_stage_changes_its_key_but_a_frozen_one_waits_for_the_lift(net: Network) -> None:
    net.register("early")
    (signer,) = net.ok("settlement_key_rotate", "early", **new_key(net, "early 2", "early"))
    assert net.vasp("early").signer == signer
    net.enact("vasp_revoke", PVARA, vasp=0)
    rotate(net, "second")
    freeze = net.freeze(Target.VASP, 0)
    net.refused(Code.FROZEN, "settlement_key_rotate", "second", **new_key(net, "third"))
    net.lift(freeze)
    rotate(net, "third", by="second")


# --- a key that is lost


def replace_key(net: Network, name: str, vasp: str = "binance") -> int:
    """PVARA has the VASP's key replaced by the key of this name; its signer, pending."""
    index = net.state.vasp_by_name[vasp]
    found, signer = net.enact("settlement_key_replace", PVARA, vasp=index, **new_key(net, name, vasp))
    assert found == index
    net.signers[name] = signer
    return signer


def wait(net: Network) -> None:
    """Let the waiting time pass."""
    net.advance(1_000 * parameters.number(net.state, "settlement_key_wait_s"))


def test_a_lost_key_is_replaced_after_the_waiting_time_and_not_before(net: Network) -> None:
    old, new = net.signers["binance"], replace_key(net, "second")
    row = net.state.agenda[net.vasp("binance").replacement]
    assert (row.what, row.subject) == (What.KEY_REPLACEMENT, new)
    with pytest.raises(Refused, match="key_pending"):
        net.do("account_open", "second", rows=(client(1),))
    waiting_ms = row.due_ms - net.time_ms
    net.advance(waiting_ms - 4_000)
    assert net.vasp("binance").signer == old
    net.accounts("binance", [client(1)])  # the old key is in force until then
    net.block()
    net.block()
    net.block()
    record = net.vasp("binance")
    assert (record.signer, record.replacement) == (new, NONE)
    assert (net.state.signers[old].flags, net.state.signers[new].flags) == (RETIRED, 0)
    net.accounts("second", [client(2)])
    with pytest.raises(Refused, match="key_retired"):
        net.do("account_open", "binance", rows=(client(3),))


def test_what_the_old_key_signed_is_refused_in_the_very_block_of_the_replacement(net: Network) -> None:
    replace_key(net, "second")
    net.ok("dev_advance_clock", "mof1", advance_ms=10 * DAY_MS)
    (late,) = net.block(net.tx("account_open", "binance", rows=(client(1),)))
    assert late.code == Code.KEY_RETIRED


def test_the_old_key_objects_by_rotating_and_the_pending_one_is_never_in_force(net: Network) -> None:
    pending = replace_key(net, "second")
    mine = rotate(net, "mine")
    assert net.state.signers[pending].flags == RETIRED
    wait(net)
    assert (net.vasp("binance").signer, net.vasp("binance").replacement) == (mine, NONE)
    with pytest.raises(Refused, match="key_retired"):
        net.do("account_open", "second", rows=(client(1),))
    again = {"vasp": 0, **new_key(net, "second")}
    net.refused(Code.KEY_ALREADY_ENROLLED, "settlement_key_replace", PVARA, **again)


def test_a_thief_with_the_key_holds_nothing_up_once_the_vasp_is_frozen(net: Network) -> None:
    """And PVARA, which froze and replaced, moves nothing with the new key: a lift takes two authorities."""
    net.define_money()
    (money, other) = net.accounts("binance", [client(1, 2), client(2, 2)])
    cash, more = net.holdings("binance", [(money, 0), (other, 0)])
    net.fund(cash, 100)
    replace_key(net, "second")
    rotate(net, "thief")
    freeze = net.freeze(Target.VASP, 0)
    replace_key(net, "third")
    net.refused(Code.FROZEN, "settlement_key_rotate", "thief", **new_key(net, "thief 2"))
    wait(net)
    assert net.vasp("binance").signer == net.signers["third"]
    fields = {"from_holding": cash, "to_holding": more, "amount": 1}
    net.refused(Code.FROZEN, "transfer", "third", **fields)
    net.refused(Code.FROZEN, "settlement_key_rotate", "third", **new_key(net, "fourth"))
    net.lift(freeze)
    net.ok("transfer", "third", **fields)


def test_a_later_replacement_takes_the_place_of_one_that_is_pending_and_waits_anew(net: Network) -> None:
    first = replace_key(net, "second")
    net.advance(DAY_MS)
    second = replace_key(net, "third")
    assert (net.state.signers[first].flags, net.state.signers[second].flags) == (RETIRED, PENDING)
    net.advance(2 * DAY_MS)
    assert net.vasp("binance").signer == net.signers["binance"]
    net.advance(DAY_MS)
    assert net.vasp("binance").signer == second


def test_the_key_of_a_proposal_is_claimed_and_the_proposal_is_for_the_key_that_was_in_force(
    net: Network,
) -> None:
    net.license("htx")
    fields = {"vasp": 0, **new_key(net, "second")}
    (proposal,) = net.ok("settlement_key_replace", "pvara1", **fields)
    net.refused(Code.CLAIMED, "settlement_key_rotate", "htx", **new_key(net, "second", "htx"))
    rotate(net, "mine")
    net.ok("approve", "pvara2", proposal=proposal, reason=0)
    record = net.proposal(proposal)
    assert (record.status, record.code) == (ProposalStatus.FAILED, Code.SUPERSEDED)
    assert net.vasp("binance").replacement == NONE


def test_of_two_open_replacements_of_one_key_the_second_closes_with_the_first(net: Network) -> None:
    (other,) = net.ok("settlement_key_replace", "pvara3", vasp=0, **new_key(net, "third"))
    replace_key(net, "second")
    assert net.proposal(other).status is ProposalStatus.FAILED


def test_a_replacement_asks_for_a_vasp_a_sound_key_and_its_proof(net: Network) -> None:
    fields = {"vasp": 0, **new_key(net, "second")}
    net.refused(Code.NOT_FOUND, "settlement_key_replace", PVARA, **{**fields, "vasp": 1})
    net.refused(Code.BAD_PROOF, "settlement_key_replace", PVARA, **{**fields, "proof": bytes(64)})
    net.refused(Code.BAD_KEY, "settlement_key_replace", PVARA, **{**fields, "settlement_key": bytes(32)})
    old = {"vasp": 0, **new_key(net, "binance")}
    net.refused(Code.KEY_ALREADY_ENROLLED, "settlement_key_replace", PVARA, **old)


def test_a_pending_replacement_is_there_after_a_restart(net: Network) -> None:
    replace_key(net, "second")
    row = net.vasp("binance").replacement
    net.state.due.rebuild()
    assert row in net.state.due.pending()


def test_the_voting_institutions_give_a_key_back_at_once_whatever_the_holder_of_the_old_one_does(
    net: Network,
) -> None:
    fields = {"vasp": 0, **new_key(net, "second")}
    (proposal,) = net.ok("settlement_key_restore", "mof1 mof2 sbp1 sbp2", **fields)
    (stale,) = net.ok("settlement_key_replace", "pvara1", vasp=0, **new_key(net, "third"))
    rotate(net, "thief")
    pending = replace_key(net, "fourth")
    net.freeze(Target.VASP, 0)
    (late,) = net.ok("settlement_key_replace", "pvara1", vasp=0, **new_key(net, "fifth"))
    created = net.ok("approve", "secp1 secp2", proposal=proposal, reason=0)
    record = net.vasp("binance")
    assert created == (0, record.signer)
    assert net.state.signers[record.signer].public_key == public("second")
    assert net.state.signers[pending].flags == net.state.signers[net.signers["thief"]].flags == RETIRED
    assert record.replacement == NONE
    assert net.proposal(late).status is ProposalStatus.FAILED
    net.ok("approve", "pvara2", proposal=stale, reason=0)
    assert net.proposal(stale).code == Code.SUPERSEDED


def test_a_restored_key_is_sound_proved_and_claimed(net: Network) -> None:
    fields = {"vasp": 0, **new_key(net, "second")}
    net.refused(Code.BAD_PROOF, "settlement_key_restore", "mof1", **{**fields, "proof": bytes(64)})
    net.ok("settlement_key_restore", "mof1", **fields)
    net.refused(Code.CLAIMED, "settlement_key_restore", "sbp1", **fields)
