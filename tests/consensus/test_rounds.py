"""The transition table, walked by the line numbers of Algorithm 1 (arXiv 1807.04938)."""

from dataclasses import replace

import pytest

from consensus.errors import EngineFault
from consensus.events import TimeoutStep
from consensus.messages import VoteType
from consensus.rounds import (
    TABLE,
    Cast,
    Decide,
    Enter,
    Event,
    EventKind,
    Propose,
    RoundState,
    Step,
    Wait,
    apply,
)

V, W = b"v" * 32, b"w" * 32
PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT


def _at(step: Step, round: int = 3, **more: object) -> RoundState:
    return replace(RoundState(7, round, step), **more)  # type: ignore[arg-type]


def _locked(step: Step, value: bytes, locked_round: int) -> RoundState:
    return _at(
        step, locked_value=value, locked_round=locked_round, valid_value=value, valid_round=locked_round
    )


def test_L11_a_round_begins_in_step_propose_and_forgets_the_firsts_of_the_round_before() -> None:
    before = _at(Step.PRECOMMIT, polka_seen=True, prevote_wait=True, precommit_wait=True)
    after, _ = apply(before, Event(EventKind.START, 4))
    assert after == _at(Step.PROPOSE, 4)


def test_L14_the_proposer_without_valid_value_asks_for_a_fresh_block() -> None:
    _, outputs = apply(RoundState(7), Event(EventKind.START, 0, proposer=True))
    assert Propose(None, -1) in outputs


def test_L16_the_proposer_proposes_its_valid_value_with_its_valid_round() -> None:
    state = _locked(Step.PRECOMMIT, V, 2)
    _, outputs = apply(state, Event(EventKind.START, 4, proposer=True))
    assert Propose(V, 2) in outputs


def test_L21_everyone_waits_for_the_proposal() -> None:
    _, outputs = apply(RoundState(7), Event(EventKind.START, 0))
    assert outputs == (Wait(TimeoutStep.PROPOSE),)


@pytest.mark.parametrize(
    ("state", "acceptable", "vote"),
    [
        (_at(Step.PROPOSE), True, V),
        (_at(Step.PROPOSE), False, None),
        (_locked(Step.PROPOSE, V, 1), True, V),
        (_locked(Step.PROPOSE, W, 1), True, None),
    ],
)
def test_L22_a_fresh_proposal_is_prevoted_if_valid_and_no_lock_stands_against_it(
    state: RoundState, acceptable: bool, vote: bytes | None
) -> None:
    after, outputs = apply(state, Event(EventKind.PROPOSAL, 3, V, acceptable=acceptable))
    assert outputs == (Cast(PREVOTE, vote),)
    assert after.step is Step.PREVOTE


@pytest.mark.parametrize(
    ("state", "pol_round", "acceptable", "vote"),
    [
        (_at(Step.PROPOSE), 1, True, V),
        (_at(Step.PROPOSE), 1, False, None),
        (_locked(Step.PROPOSE, W, 1), 1, True, V),
        (_locked(Step.PROPOSE, W, 1), 2, True, V),
        (_locked(Step.PROPOSE, W, 2), 1, True, None),
        (_locked(Step.PROPOSE, V, 2), 1, True, V),
    ],
)
def test_L28_a_proposal_with_polka_frees_from_an_older_lock_only(
    state: RoundState, pol_round: int, acceptable: bool, vote: bytes | None
) -> None:
    event = Event(EventKind.PROPOSAL_WITH_POL, 3, V, acceptable=acceptable, pol_round=pol_round)
    after, outputs = apply(state, event)
    assert outputs == (Cast(PREVOTE, vote),)
    assert after.step is Step.PREVOTE


@pytest.mark.parametrize("pol_round", [-1, 3, 4])
def test_L28_the_pol_round_must_be_an_earlier_one(pol_round: int) -> None:
    state = _at(Step.PROPOSE)
    event = Event(EventKind.PROPOSAL_WITH_POL, 3, V, acceptable=True, pol_round=pol_round)
    assert apply(state, event) == (state, ())


def test_L34_a_quorum_of_any_prevotes_starts_the_prevote_timeout_once() -> None:
    after, outputs = apply(_at(Step.PREVOTE), Event(EventKind.PREVOTES_ANY, 3))
    assert outputs == (Wait(TimeoutStep.PREVOTE),)
    assert apply(after, Event(EventKind.PREVOTES_ANY, 3)) == (after, ())


def test_L36_a_polka_in_step_prevote_locks_and_precommits() -> None:
    after, outputs = apply(_at(Step.PREVOTE), Event(EventKind.POLKA, 3, V))
    assert outputs == (Cast(PRECOMMIT, V),)
    assert (after.locked_value, after.locked_round) == (V, 3)
    assert (after.valid_value, after.valid_round) == (V, 3)
    assert after.step is Step.PRECOMMIT


def test_L42_a_polka_in_step_precommit_only_sets_the_valid_value() -> None:
    after, outputs = apply(_locked(Step.PRECOMMIT, W, 1), Event(EventKind.POLKA, 3, V))
    assert outputs == ()
    assert (after.locked_value, after.locked_round) == (W, 1)
    assert (after.valid_value, after.valid_round) == (V, 3)


def test_L36_a_polka_in_step_propose_waits_for_our_prevote() -> None:
    state = _at(Step.PROPOSE)
    assert apply(state, Event(EventKind.POLKA, 3, V)) == (state, ())


@pytest.mark.parametrize("step", [Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT])
def test_L42_a_late_polka_of_an_earlier_round_sets_the_valid_value_and_never_the_lock(step: Step) -> None:
    after, outputs = apply(_locked(step, W, 0), Event(EventKind.EARLIER_POLKA, 2, V))
    assert outputs == ()
    assert (after.locked_value, after.locked_round) == (W, 0)
    assert (after.valid_value, after.valid_round) == (V, 2)


def test_L42_a_polka_older_than_the_valid_round_changes_nothing() -> None:
    state = _locked(Step.PROPOSE, W, 2)
    assert apply(state, Event(EventKind.EARLIER_POLKA, 1, V)) == (state, ())


def test_L44_a_nil_polka_is_precommitted_nil_and_keeps_the_lock() -> None:
    after, outputs = apply(_locked(Step.PREVOTE, W, 1), Event(EventKind.POLKA_NIL, 3))
    assert outputs == (Cast(PRECOMMIT, None),)
    assert (after.step, after.locked_value, after.locked_round) == (Step.PRECOMMIT, W, 1)


@pytest.mark.parametrize("step", [Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT])
def test_L47_a_quorum_of_any_precommits_starts_the_precommit_timeout_once(step: Step) -> None:
    after, outputs = apply(_at(step), Event(EventKind.PRECOMMITS_ANY, 3))
    assert outputs == (Wait(TimeoutStep.PRECOMMIT),)
    assert apply(after, Event(EventKind.PRECOMMITS_ANY, 3)) == (after, ())


@pytest.mark.parametrize("step", [Step.NEW_HEIGHT, Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT])
@pytest.mark.parametrize("round", [0, 3, 9])
def test_L49_a_commit_of_any_round_decides_in_any_step(step: Step, round: int) -> None:
    after, outputs = apply(_at(step), Event(EventKind.COMMIT, round, V))
    assert outputs == (Decide(round, V),)
    assert after.step is Step.COMMIT


@pytest.mark.parametrize("step", [Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT])
def test_L55_votes_from_a_later_round_take_us_there(step: Step) -> None:
    assert apply(_at(step), Event(EventKind.SKIP, 6))[1] == (Enter(6),)
    assert apply(_at(step), Event(EventKind.SKIP, 3))[1] == ()


def test_L57_timeout_propose_prevotes_nil_even_under_a_lock() -> None:
    after, outputs = apply(_locked(Step.PROPOSE, V, 1), Event(EventKind.TIMEOUT_PROPOSE, 3))
    assert outputs == (Cast(PREVOTE, None),)
    assert after.step is Step.PREVOTE


def test_L61_timeout_prevote_precommits_nil() -> None:
    after, outputs = apply(_at(Step.PREVOTE), Event(EventKind.TIMEOUT_PREVOTE, 3))
    assert outputs == (Cast(PRECOMMIT, None),)
    assert after.step is Step.PRECOMMIT


@pytest.mark.parametrize("step", [Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT])
def test_L65_timeout_precommit_enters_the_next_round(step: Step) -> None:
    assert apply(_at(step), Event(EventKind.TIMEOUT_PRECOMMIT, 3))[1] == (Enter(4),)


@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind.name.startswith("TIMEOUT")])
@pytest.mark.parametrize("round", [2, 4])
def test_L57_L61_L65_a_timeout_of_another_round_is_stale(kind: EventKind, round: int) -> None:
    for step in Step:
        assert apply(_at(step), Event(kind, round)) == (_at(step), ())


def test_after_a_decision_nothing_moves() -> None:
    for kind in EventKind:
        for round in (0, 3, 9):
            state = _at(Step.COMMIT)
            assert apply(state, Event(kind, round, V, acceptable=True)) == (state, ())


def test_every_row_of_the_table_names_its_lines() -> None:
    assert all(row.lines.startswith("L") for row in TABLE.values())


def test_a_commit_event_without_value_is_an_invariant_broken() -> None:
    with pytest.raises(EngineFault):
        apply(_at(Step.PREVOTE), Event(EventKind.COMMIT, 3))
