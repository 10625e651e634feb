"""One engine among four, spoken to by hand; and the vote keeper alone."""

from dataclasses import replace

import pytest

from consensus.engine import Engine
from consensus.errors import MisuseError
from consensus.events import (
    BlockBuilt,
    BlockChecked,
    Broadcast,
    BuildBlock,
    CertificateReceived,
    CheckBlock,
    Commit,
    Diverged,
    Effect,
    HeightStarted,
    Input,
    Persist,
    ProposalReceived,
    Redeliver,
    ReportEvidence,
    ScheduleTimeout,
    SignProposal,
    SignVote,
    TimeoutFired,
    TimeoutStep,
    VoteReceived,
    WorkAvailable,
)
from consensus.limits import ROUNDS_KEPT
from consensus.messages import Certificate, Proposal, Validator, Vote, VoteEquivocation, VoteType
from consensus.proposer import proposer
from consensus.votes import VoteKeeper
from testing.engines import TIMING

SET = tuple(Validator(bytes([n + 1]) * 32, 1) for n in range(4))
V, W = b"v" * 32, b"w" * 32
PREVOTE, PRECOMMIT = VoteType.PREVOTE, VoteType.PRECOMMIT
SIGNED = b"s" * 64
H = 8
TURNS = [proposer(SET, H, round) for round in range(4)]
ME = TURNS[1]  # we propose in round 1
OTHERS = [n for n in range(4) if n != ME]


def _engine(*inputs: Input, me: int | None = ME) -> tuple[Engine, list[Effect]]:
    engine = Engine()
    effects = engine.step(HeightStarted(H, SET, me, TIMING, True))
    for input in inputs:
        effects = engine.step(input)
    return engine, effects


def _vote(
    type: VoteType, validator: int, value: bytes | None, round: int = 0, height: int = H
) -> VoteReceived:
    return VoteReceived(Vote(type, height, round, value, validator, SIGNED))


def _proposal(value: bytes = V, round: int = 0, pol_round: int = -1, timely: bool = True) -> ProposalReceived:
    return ProposalReceived(Proposal(H, round, value, pol_round, TURNS[round], SIGNED), timely)


def _certificate(
    type: VoteType, value: bytes, round: int = 0, with_block: bool = False
) -> CertificateReceived:
    signatures = tuple((n, SIGNED) for n in OTHERS)
    return CertificateReceived(Certificate(type, H, round, value, signatures), with_block)


def _signed(effects: list[Effect]) -> list[tuple[VoteType, bytes | None]]:
    return [(effect.vote.type, effect.vote.value) for effect in effects if isinstance(effect, SignVote)]


CHECKED = (_proposal(), BlockChecked(H, V, True))
POLKA = tuple(_vote(PREVOTE, n, V) for n in OTHERS)
LOCKED = (*CHECKED, *POLKA)
TO_ROUND_1 = (*(_vote(PRECOMMIT, n, None) for n in OTHERS), TimeoutFired(TimeoutStep.PRECOMMIT, H, 0))


def test_without_work_round_0_waits_for_work_for_a_message_or_for_the_idle_timeout() -> None:
    for awakening in (
        WorkAvailable(H),
        _vote(PREVOTE, OTHERS[0], None),
        TimeoutFired(TimeoutStep.START, H, 0),
    ):
        engine = Engine()
        effects = engine.step(HeightStarted(H, SET, ME, TIMING, False))
        assert effects == [ScheduleTimeout(TimeoutStep.START, H, 0, 1000)]
        effects = engine.step(awakening)
        assert ScheduleTimeout(TimeoutStep.PROPOSE, H, 0, 600) in effects


def test_the_log_is_durable_before_a_vote_and_holds_the_block_before_a_precommit() -> None:
    _, effects = _engine(*CHECKED)
    assert effects == [Persist(None), SignVote(Vote(PREVOTE, H, 0, V, ME))]
    _, effects = _engine(*LOCKED)
    assert effects[:2] == [Persist(V), SignVote(Vote(PRECOMMIT, H, 0, V, ME))]


def test_the_block_is_durable_before_its_proposal_is_signed() -> None:
    engine, effects = _engine(*TO_ROUND_1)
    assert BuildBlock(H, 1) in effects
    effects = engine.step(BlockBuilt(H, 1, W))
    assert effects == [Persist(W), SignProposal(Proposal(H, 1, W, -1, ME))]


def test_an_invalid_block_and_an_untimely_one_get_a_nil_prevote() -> None:
    _, effects = _engine(_proposal(), BlockChecked(H, V, False))
    assert _signed(effects) == [(PREVOTE, None)]
    _, effects = _engine(_proposal(timely=False))
    assert _signed(effects) == [(PREVOTE, None)]


def test_a_locked_proposer_proposes_the_valid_value_with_its_polka() -> None:
    _, effects = _engine(*LOCKED, *TO_ROUND_1)
    at = effects.index(SignProposal(Proposal(H, 1, V, 0, ME)))
    assert effects[at - 1] == Persist(V)
    assert any(isinstance(e, Broadcast) and isinstance(e.message, Certificate) for e in effects[at:])


def test_a_proposal_with_pol_waits_for_its_polka_and_time_no_longer_matters() -> None:
    at_2 = [_vote(PREVOTE, n, None, round=2) for n in OTHERS[:2]]
    engine, effects = _engine(*at_2, _proposal(V, 2, 0, timely=False))
    assert _signed(effects) == []
    effects = engine.step(_certificate(PREVOTE, V))
    assert CheckBlock(H, V) in effects
    assert _signed(engine.step(BlockChecked(H, V, True))) == [(PREVOTE, V)]


def test_votes_of_more_than_a_third_from_later_rounds_skip_to_them() -> None:
    engine, _ = _engine(_vote(PREVOTE, OTHERS[0], None, round=5))
    assert engine.round == 0
    engine.step(_vote(PREVOTE, OTHERS[1], None, round=7))
    assert engine.round == 5


def test_a_commit_certificate_decides_once_its_block_is_at_hand_and_valid() -> None:
    engine, effects = _engine(_certificate(PRECOMMIT, V, round=3))
    assert not any(isinstance(effect, CheckBlock | Commit) for effect in effects)
    effects = engine.step(_certificate(PRECOMMIT, V, round=3, with_block=True))
    assert effects == [CheckBlock(H, V)]
    effects = engine.step(BlockChecked(H, V, True))
    assert [type(effect) for effect in effects] == [Commit]
    assert engine.step(_vote(PRECOMMIT, OTHERS[0], V)) == []


def test_a_decided_block_that_we_hold_invalid_is_a_divergence() -> None:
    _, effects = _engine(_certificate(PRECOMMIT, V, with_block=True), BlockChecked(H, V, False))
    assert [type(effect) for effect in effects] == [Diverged]


def test_resending_says_the_polka_its_block_and_our_votes_again() -> None:
    own = _vote(PREVOTE, ME, V)
    engine, _ = _engine(*CHECKED, own, *POLKA)
    effects = engine.step(TimeoutFired(TimeoutStep.RESEND, H, 0))
    said = [effect.message for effect in effects if isinstance(effect, Broadcast)]
    assert _proposal().proposal in said
    assert own.vote in said
    assert any(isinstance(message, Certificate) and message.value == V for message in said)
    assert isinstance(effects[-1], ScheduleTimeout)


def test_resending_says_again_the_votes_that_brought_us_into_the_round() -> None:
    engine, _ = _engine(*TO_ROUND_1)
    effects = engine.step(TimeoutFired(TimeoutStep.RESEND, H, 1))
    said = [effect.message for effect in effects if isinstance(effect, Broadcast)]
    assert [message for message in said if isinstance(message, Vote)] == [i.vote for i in TO_ROUND_1[:3]]  # type: ignore[union-attr]


def test_early_messages_come_again_when_their_height_begins() -> None:
    early = _vote(PREVOTE, OTHERS[0], V, height=H + 1)
    engine, _ = _engine(early, early, _certificate(PRECOMMIT, V, with_block=True), BlockChecked(H, V, True))
    effects = engine.step(HeightStarted(H + 1, SET, ME, TIMING, True))
    assert effects[-1] == Redeliver((early,))


def test_what_comes_early_is_bounded() -> None:
    engine, _ = _engine(*(_vote(PREVOTE, OTHERS[0], None, round, H + 1) for round in range(100)))
    effects = engine.step(HeightStarted(H + 1, SET, ME, TIMING, True))
    redelivered = effects[-1]
    assert isinstance(redelivered, Redeliver)
    assert len(redelivered.inputs) == 8


def test_of_what_comes_early_a_proposer_has_two_proposals_which_its_votes_do_not_push_out() -> None:
    engine, _ = _engine(*(_vote(PREVOTE, OTHERS[0], None, round, H + 1) for round in range(20)))
    proposals = [
        ProposalReceived(Proposal(H + 1, round, bytes((round,)) * 32, -1, OTHERS[0], b"s"), True)
        for round in range(3)
    ]
    assert [engine.has_use(said) for said in proposals] == [True, True, True]
    for said in proposals:
        engine.step(said)
    engine.step(_vote(PREVOTE, OTHERS[0], None, 50, H + 1))
    late = [ProposalReceived(said.proposal, False) for said in proposals]
    assert [engine.has_use(said) for said in late] == [False, False, False]
    assert engine.values >= {bytes((0,)) * 32, bytes((1,)) * 32}
    assert not engine.has_use(_vote(PREVOTE, 1_000, None, 0, H))
    assert not engine.has_use(_vote(PREVOTE, OTHERS[0], None, 0, H + 2))


def test_a_restarted_engine_says_its_votes_again_and_signs_what_was_about_to_be_signed() -> None:
    engine, _ = _engine(*CHECKED, _vote(PREVOTE, ME, V), *POLKA)
    effects = engine.resume()
    assert Broadcast(_vote(PREVOTE, ME, V).vote) in effects
    at = effects.index(SignVote(Vote(PRECOMMIT, H, 0, V, ME)))
    assert effects[at - 1] == Persist(V)
    assert ScheduleTimeout(TimeoutStep.RESEND, H, 0, 500) in effects


def test_a_restarted_engine_asks_again_what_was_not_answered() -> None:
    assert CheckBlock(H, V) in _engine(_proposal())[0].resume()
    assert BuildBlock(H, 1) in _engine(*TO_ROUND_1)[0].resume()
    decided, _ = _engine(_certificate(PRECOMMIT, V, with_block=True), BlockChecked(H, V, True))
    assert [type(effect) for effect in decided.resume()] == [Commit]


def test_an_observer_decides_and_never_signs() -> None:
    engine, effects = _engine(*LOCKED, me=None)
    assert _signed(effects) == []
    effects = [effect for n in OTHERS for effect in engine.step(_vote(PRECOMMIT, n, V))]
    assert any(isinstance(effect, Commit) for effect in effects)


def test_equivocation_is_reported_once_and_the_first_vote_stands() -> None:
    liar = OTHERS[0]
    engine, _ = _engine(_vote(PREVOTE, liar, V))
    (report,) = engine.step(_vote(PREVOTE, liar, None))
    assert report == ReportEvidence(
        VoteEquivocation(_vote(PREVOTE, liar, None).vote, _vote(PREVOTE, liar, V).vote)
    )
    assert engine.step(_vote(PREVOTE, liar, W)) == []
    engine.step(_proposal(V))
    (report, *_) = engine.step(_proposal(W))
    assert isinstance(report, ReportEvidence)


def test_the_health_of_a_stuck_round_names_who_is_missing() -> None:
    engine, _ = _engine()
    assert (engine.height, engine.round, engine.step_name) == (H, 0, "propose")
    assert engine.missing_voters == (TURNS[0],)
    engine, _ = _engine(*CHECKED, POLKA[0])
    assert engine.missing_voters == tuple(n for n in range(4) if n != OTHERS[0])


def test_a_broken_contract_is_named() -> None:
    engine, _ = _engine()
    with pytest.raises(MisuseError, match="proposer"):
        engine.step(ProposalReceived(replace(_proposal().proposal, proposer=ME), True))
    with pytest.raises(MisuseError, match="outside the set"):
        engine.step(_vote(PREVOTE, 4, V))
    with pytest.raises(MisuseError, match="height"):
        engine.step(HeightStarted(H, SET, ME, TIMING, True))


def test_a_certificate_counts_whole_even_against_votes_already_kept() -> None:
    keeper = VoteKeeper(H, SET)
    keeper.add_vote(Vote(PREVOTE, H, 0, W, OTHERS[0], SIGNED))
    evidence = keeper.add_certificate(_certificate(PREVOTE, V).certificate)
    polka = keeper.polka(0)
    assert polka is not None
    assert polka.value == V
    assert [found.first.validator for found in evidence] == [OTHERS[0]]


def test_beyond_the_next_round_one_vote_of_each_validator_is_kept_and_another_only_twice_as_far() -> None:
    keeper = VoteKeeper(H, SET)
    for round in range(50):
        for validator in (0, 1):
            keeper.add_vote(Vote(PREVOTE, H, round, V, validator, SIGNED))
    assert {round for round in range(50) if keeper.votes(PREVOTE, round)} == {0, 1, 32}
    assert keeper.skip_round() == 32


def test_first_votes_of_rounds_left_are_kept_up_to_a_bound_and_still_make_quorums_and_evidence() -> None:
    keeper = VoteKeeper(H, SET)
    for validator in (0, 1):
        keeper.add_vote(Vote(PREVOTE, H, 0, V, validator, SIGNED))
        keeper.add_vote(Vote(PRECOMMIT, H, 0, V, validator, SIGNED))
    keeper.move_to(ROUNDS_KEPT)
    assert keeper.add_vote(Vote(PREVOTE, H, 0, W, 1, SIGNED)) is not None
    keeper.add_vote(Vote(PREVOTE, H, 0, V, 2, SIGNED))
    keeper.add_vote(Vote(PRECOMMIT, H, 0, V, 2, SIGNED))
    polka, commit = keeper.polka(0), keeper.commit()
    assert polka is not None
    assert commit is not None
    assert (polka.value, commit.value) == (V, V)
    keeper.move_to(ROUNDS_KEPT + 1)
    assert keeper.votes(PREVOTE, 0) == ()
    assert not keeper.has_use(Vote(PREVOTE, H, 0, V, 3, SIGNED))
    assert keeper.polka(0) == polka


def test_a_polka_that_arrives_after_its_round_becomes_what_we_propose() -> None:
    """The lock that only one validator knew of: it re-sends its polka, and the next proposer takes it up."""
    engine, _ = _engine(_proposal(), *TO_ROUND_1[:3], BlockChecked(H, V, True))
    engine.step(TimeoutFired(TimeoutStep.PRECOMMIT, H, 0))
    engine.step(_certificate(PREVOTE, V))
    assert (engine.state.valid_value, engine.state.valid_round) == (V, 0)
    assert engine.state.locked_value is None
    assert engine.step(BlockBuilt(H, 1, W)) == [
        Persist(V),
        SignProposal(Proposal(H, 1, V, 0, ME)),
        Broadcast(_certificate(PREVOTE, V).certificate),
    ]


def test_of_a_proposer_without_end_the_first_block_of_a_round_counts_and_those_that_a_quorum_names() -> None:
    engine, _ = _engine(*CHECKED)
    flood = [bytes([number]) * 32 for number in range(1, 20)]
    liar = TURNS[2]
    logged = 0
    for value in flood:
        said = ProposalReceived(Proposal(H, 2, value, -1, liar, SIGNED), True)
        logged += engine.remembers(said)
        engine.step(said)
    assert engine.values == {V, flood[0]}
    assert logged == 2  # the first, and the one that is evidence against it
    # A quorum decides on one that was not kept: it counts once its block comes again.
    assert not _commits(engine.step(_certificate(PRECOMMIT, flood[1], round=2)))
    again = ProposalReceived(Proposal(H, 2, flood[1], -1, liar, SIGNED), False)
    assert engine.remembers(again)
    assert CheckBlock(H, flood[1]) in engine.step(again)
    assert _commits(engine.step(BlockChecked(H, flood[1], True))) == [flood[1]]


def test_what_comes_early_is_logged_when_its_own_height_hears_it() -> None:
    engine, _ = _engine(*CHECKED)
    early = _vote(PREVOTE, OTHERS[0], V, height=H + 1)
    assert not engine.remembers(early)
    engine.step(early)
    assert Redeliver((early,)) in engine.step(HeightStarted(H + 1, SET, ME, TIMING, True))
    assert engine.remembers(early)


def _commits(effects: list[Effect]) -> list[bytes]:
    return [effect.value for effect in effects if isinstance(effect, Commit)]
