"""What one height keeps, each part alone: its proposals, and the values whose blocks are at hand."""

import pytest

from consensus.errors import MisuseError
from consensus.events import HeightStarted, ScheduleTimeout, TimeoutFired, TimeoutStep
from consensus.height import Height
from consensus.limits import ROUNDS_KEPT, VALUES_MAX
from consensus.messages import Proposal, ProposalEquivocation, Validator
from consensus.proposals import Proposals
from consensus.values import Values
from testing.engines import TIMING

V, W = b"v" * 32, b"w" * 32
BEGUN = HeightStarted(8, tuple(Validator(bytes([n + 1]) * 32, 1) for n in range(4)), 0, TIMING, False)


def proposal(round: int, value: bytes = V, proposer: int = 2) -> Proposal:
    return Proposal(8, round, value, -1, proposer)


def test_the_first_proposal_of_a_round_stands_and_a_second_is_evidence_once() -> None:
    proposals = Proposals()
    assert proposals.add(proposal(0), True) is None
    assert proposals.add(proposal(0), True) is None  # the same again
    assert proposals.add(proposal(0, W), True) == ProposalEquivocation(proposal(0), proposal(0, W))
    assert proposals.add(proposal(0, W), True) is None
    heard = proposals.of(0)
    assert heard is not None
    assert heard.proposal.value == V


def test_beyond_the_next_round_one_proposal_of_each_is_kept_and_another_only_twice_as_far() -> None:
    proposals = Proposals()
    for round in range(50):
        proposals.add(proposal(round), True)
    assert [round for round in range(50) if proposals.of(round)] == [0, 1, 32]
    proposals.add(proposal(20), True)
    assert proposals.of(20) is None
    proposals.add(proposal(20, proposer=3), True)
    assert proposals.of(20) is not None


def test_proposals_of_rounds_that_are_left_are_evidence_up_to_a_bound_and_need_no_block() -> None:
    proposals = Proposals()
    for round in (0, 1):
        proposals.add(proposal(round), True)
    proposals.move_to(ROUNDS_KEPT)
    assert list(proposals.values()) == []
    assert proposals.add(proposal(0, W), True) == ProposalEquivocation(proposal(0), proposal(0, W))
    proposals.move_to(ROUNDS_KEPT + 1)
    assert proposals.of(0) is None
    assert not proposals.has_use(proposal(0))
    assert proposals.of(1) is not None


def test_a_value_is_asked_for_once_and_its_verdict_taken_once() -> None:
    values = Values()
    assert not values.ask(V)  # its block is not at hand
    values.take_in(V, None, ())
    assert values.ask(V)
    assert not values.ask(V)
    assert values.unanswered() == (V,)
    assert values.validity(V) is None
    assert values.checked(V, False)
    assert not values.checked(V, True)
    assert values.validity(V) is False


def test_a_block_that_we_built_needs_no_verdict() -> None:
    values = Values()
    values.built(V)
    assert values.validity(V) is True
    assert not values.ask(V)


def test_a_proposers_flood_costs_its_own_oldest_that_nothing_needs() -> None:
    values = Values()
    values.take_in(W, proposal(0, W, proposer=1), ())
    flood = [bytes([number]) * 32 for number in range(20)]
    for number, value in enumerate(flood):
        values.take_in(value, proposal(number, value), {flood[0]})
    assert values.at_hand() == {W, flood[0], *flood[-VALUES_MAX:]}


def test_a_height_without_work_waits_and_starts_once() -> None:
    height = Height(BEGUN)
    assert height.start() == [ScheduleTimeout(TimeoutStep.START, 8, 0, 1000)]
    assert not height.decided
    assert ScheduleTimeout(TimeoutStep.PROPOSE, 8, 0, 600) in height.step(
        TimeoutFired(TimeoutStep.START, 8, 0)
    )
    with pytest.raises(MisuseError, match="started already"):
        height.step(BEGUN)
