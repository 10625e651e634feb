"""An approval, an objection and a withdrawal sign the act that they mean, not a number.

Lost otherwise: whoever shows an officer another proposal under that number has his signature for an act that
he never read.
"""

import pytest

from ledger.codes import Code
from ledger.documents import ProposalStatus
from ledger.fields import FIELD_NAMES
from ledger.proposals import act_hash
from primitives.codec import encode
from primitives.hashing import ACT, tagged_hash
from testing.ledger_network import Network, said


@pytest.fixture
def net() -> Network:
    return Network()


def both(net: Network) -> tuple[int, int]:
    """A proposal, and another one of the same kind and makers."""
    (first,) = net.ok("parameter_set", "mof1 sbp1", name="idle_ms", value=2_000)
    (second,) = net.ok("parameter_set", "mof1 sbp1", name="idle_ms", value=60_000)
    return first, second


@pytest.mark.parametrize(("kind", "signer"), [("approve", "mof2"), ("reject", "mof2"), ("withdraw", "mof1")])
def test_a_signature_for_another_act_than_the_proposals_is_refused(
    net: Network, kind: str, signer: str
) -> None:
    first, second = both(net)
    result = net.refused(Code.OTHER_ACT, kind, signer, proposal=second, act=net.act(first), reason=0)
    assert FIELD_NAMES[result.field] == "act"
    assert result.values == (net.act(first), net.act(second))
    assert net.act(second).hex() in said(result).rule
    record = net.proposal(second)
    assert (record.status, len(record.approvals), record.objections) == (ProposalStatus.OPEN, 2, ())


def test_the_hash_is_of_the_kinds_number_and_the_payload_as_kept(net: Network) -> None:
    first, _ = both(net)
    payload = net.proposal(first).payload
    assert payload == encode(["idle_ms", 2_000])
    assert act_hash(80, payload) == tagged_hash(ACT, encode([80, payload]))
    assert act_hash(81, payload) != act_hash(80, payload)


def test_a_proposal_that_is_over_is_said_to_be_before_its_act_is_looked_at(net: Network) -> None:
    first, _ = both(net)
    net.ok("withdraw", "mof1", proposal=first, reason=0)
    net.refused(Code.WRONG_STATUS, "approve", "mof2", proposal=first, act=bytes(32), reason=0)
