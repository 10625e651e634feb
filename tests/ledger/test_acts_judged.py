"""An approval only ever completes its proposal, and an objection only ever closes it.

Lost otherwise: an institution's threshold or officers change under signatures that stand, and the next
signature of either sign decides: who objects to an act executes it.
"""

import pytest
from msgspec.structs import replace

from ledger.codes import Code
from ledger.documents import ProposalStatus
from ledger.rows import Role
from testing.ledger_network import Network, make_genesis, public

PVARA = 2
VOTERS = "mof1 mof2 sbp1 sbp2 secp1 secp2"


@pytest.fixture
def net() -> Network:
    """A network in which three officers of PVARA must sign."""
    genesis = make_genesis()
    return Network(
        replace(
            genesis,
            institutions=tuple(
                replace(each, threshold=3) if each.name == "pvara" else each for each in genesis.institutions
            ),
        )
    )


def propose(net: Network, signers: str) -> int:
    """A registration, signed by some of PVARA's officers."""
    proof = net.prove("htx", Role.SETTLEMENT, "htx")
    (proposal,) = net.ok(
        "vasp_register", signers, name="htx", title="HTX", settlement_key=public("htx"), proof=proof
    )
    return proposal


def change(net: Network, threshold: int = 0, remove: tuple[str, ...] = ()) -> int:
    """Another threshold, or fewer officers, of PVARA; the proposal that did it."""
    net.enact(
        "institution_update",
        VOTERS,
        institution=PVARA,
        title="",
        threshold=threshold,
        remove=tuple(net.signers[name] for name in remove),
        add=(),
        ca_roots=(),
    )
    return len(net.state.proposals) - 1


def status(net: Network, proposal: int) -> ProposalStatus:
    return net.proposal(proposal).status


def test_who_objects_never_executes_what_he_objects_to(net: Network) -> None:
    proposal = propose(net, "pvara1 pvara2")
    by = change(net, threshold=2)
    record = net.proposal(proposal)
    assert (record.status, record.code, record.values) == (ProposalStatus.FAILED, Code.SUPERSEDED, (by,))
    net.refused(Code.WRONG_STATUS, "reject", "pvara3", proposal=proposal, reason=7)
    assert "htx" not in net.state.vasp_by_name


def test_who_approves_never_rejects_what_he_approves(net: Network) -> None:
    change(net, threshold=2)
    proposal = propose(net, "pvara1")
    net.ok("reject", "pvara2", proposal=proposal, reason=0)
    change(net, threshold=3)
    assert status(net, proposal) is ProposalStatus.REJECTED  # two of three are left
    net.refused(Code.WRONG_STATUS, "approve", "pvara3", proposal=proposal, reason=0)


def test_a_change_that_decides_nothing_leaves_the_proposal_open(net: Network) -> None:
    proposal = propose(net, "pvara1")
    change(net, threshold=2)
    assert status(net, proposal) is ProposalStatus.OPEN
    created = net.ok("approve", "pvara2", proposal=proposal, reason=0)
    assert net.proposal(proposal).created == created != ()


def test_the_signatures_of_an_officer_who_left_neither_complete_nor_close(net: Network) -> None:
    change(net, threshold=2)
    proposal = propose(net, "pvara1")
    change(net, remove=("pvara1",))
    assert status(net, proposal) is ProposalStatus.OPEN
    net.ok("approve", "pvara2", proposal=proposal, reason=0)
    assert status(net, proposal) is ProposalStatus.OPEN
    net.ok("approve", "pvara3", proposal=proposal, reason=0)
    assert status(net, proposal) is ProposalStatus.EXECUTED


def test_a_proposal_that_too_few_are_left_to_approve_is_rejected_and_never_hangs(net: Network) -> None:
    proposal = propose(net, "pvara1 pvara2")
    assert net.ok("reject", "pvara3", proposal=proposal, reason=0) == ()
    assert status(net, proposal) is ProposalStatus.REJECTED


def test_an_act_that_changes_institutions_and_decides_itself_is_executed_once(net: Network) -> None:
    by = change(net, threshold=2)
    assert status(net, by) is ProposalStatus.EXECUTED
