"""Rules of consensus, each broken on purpose: what the random schedules must notice.

A mutant is a function that sets attributes, through `put(owner, name, value)`, so that one rule no longer
holds. A test runs the schedules against each; one that no schedule breaks says that the schedules are blind.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from consensus import height, quorum, rounds, timing, votes
from consensus.events import Broadcast, Persist
from consensus.height import Height
from consensus.messages import NO_POL, VoteType
from consensus.proposals import Proposals
from consensus.rounds import TABLE, Cast, Event, EventKind, RoundState, StateAndOutputs, Step, Transition
from consensus.votes import VoteKeeper

Put = Callable[[object, str, Any], None]


# --- the round state machine ------------------------------------------------------------------------------


def _row(
    put: Put, step: Step, kind: EventKind, act: Callable[[RoundState, Event], StateAndOutputs] | None
) -> None:
    table = dict(rounds.TABLE)
    if act is None:
        del table[(step, kind)]
    else:
        table[(step, kind)] = Transition(table[(step, kind)].lines, act)
    put(rounds, "TABLE", table)


def no_lock_at_a_polka(put: Put) -> None:
    """L36-L43 precommit without L38-L39: nothing is locked."""

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        after = replace(state, step=Step.PRECOMMIT, polka_seen=True)
        after = replace(after, valid_value=event.value, valid_round=state.round)
        return after, (Cast(VoteType.PRECOMMIT, event.value),)

    _row(put, Step.PREVOTE, EventKind.POLKA, act)


def lock_ignored_by_a_fresh_proposal(put: Put) -> None:
    """L22-L23 without the lock."""

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        value = event.value if event.acceptable else None
        return replace(state, step=Step.PREVOTE), (Cast(VoteType.PREVOTE, value),)

    _row(put, Step.PROPOSE, EventKind.PROPOSAL, act)


def freed_by_any_polka(put: Put) -> None:
    """L28-L29 without `lockedRound <= validRound`."""

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        value = event.value if event.acceptable else None
        return replace(state, step=Step.PREVOTE), (Cast(VoteType.PREVOTE, value),)

    _row(put, Step.PROPOSE, EventKind.PROPOSAL_WITH_POL, act)


def never_freed(put: Put) -> None:
    """L28-L29 without being freed by a later polka."""

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        free = state.locked_round == NO_POL or state.locked_value == event.value
        value = event.value if event.acceptable and free else None
        return replace(state, step=Step.PREVOTE), (Cast(VoteType.PREVOTE, value),)

    _row(put, Step.PROPOSE, EventKind.PROPOSAL_WITH_POL, act)


def timeout_prevote_precommits_the_valid_value(put: Put) -> None:
    """L61-L64 precommit what is locked instead of nil, though this round has no polka."""

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        return replace(state, step=Step.PRECOMMIT), (Cast(VoteType.PRECOMMIT, state.locked_value),)

    _row(put, Step.PREVOTE, EventKind.TIMEOUT_PREVOTE, act)


def nil_polka_precommits_the_lock(put: Put) -> None:
    """L44-L46 precommit what is locked instead of nil."""

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        return replace(state, step=Step.PRECOMMIT), (Cast(VoteType.PRECOMMIT, state.locked_value),)

    _row(put, Step.PREVOTE, EventKind.POLKA_NIL, act)


def nil_polka_releases_the_lock(put: Put) -> None:
    """As older protocols did: a nil polka frees from the lock, without a proof that others may follow."""

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        after = replace(state, step=Step.PRECOMMIT, locked_value=None, locked_round=NO_POL)
        return after, (Cast(VoteType.PRECOMMIT, None),)

    _row(put, Step.PREVOTE, EventKind.POLKA_NIL, act)
    put(rounds, "_check", lambda before, after: None)


def a_round_starts_without_the_lock(put: Put) -> None:
    """L11-L13 forget the lock with every round."""
    start = rounds.TABLE[(Step.PROPOSE, EventKind.START)].act

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        after, outputs = start(state, event)
        return replace(after, locked_value=None, locked_round=NO_POL), outputs

    table = {key: Transition(row.lines, act) if row.act is start else row for key, row in TABLE.items()}
    put(rounds, "TABLE", table)
    put(rounds, "_check", lambda before, after: None)


def late_polka_locks(put: Put) -> None:
    """L42-L43 in step precommit lock too, though nothing was precommitted."""

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        after = replace(state, polka_seen=True, locked_value=event.value, locked_round=state.round)
        return replace(after, valid_value=event.value, valid_round=state.round), ()

    _row(put, Step.PRECOMMIT, EventKind.POLKA, act)


def no_timeout_propose(put: Put) -> None:
    _row(put, Step.PROPOSE, EventKind.TIMEOUT_PROPOSE, None)


def no_timeout_prevote(put: Put) -> None:
    _row(put, Step.PREVOTE, EventKind.TIMEOUT_PREVOTE, None)


def no_timeout_precommit(put: Put) -> None:
    _row(put, Step.PRECOMMIT, EventKind.TIMEOUT_PRECOMMIT, None)


def no_nil_polka(put: Put) -> None:
    """L44-L46 do nothing: a nil polka waits for the timeout."""
    _row(put, Step.PREVOTE, EventKind.POLKA_NIL, None)


def invalid_blocks_are_voted_for(put: Put) -> None:
    """L23 without valid(v)."""
    act = rounds.TABLE[(Step.PROPOSE, EventKind.PROPOSAL)].act
    _row(
        put,
        Step.PROPOSE,
        EventKind.PROPOSAL,
        lambda state, event: act(state, replace(event, acceptable=True)),
    )


def proposes_afresh_over_the_valid_value(put: Put) -> None:
    """L16 always propose a new block."""
    start = rounds.TABLE[(Step.PROPOSE, EventKind.START)].act

    def act(state: RoundState, event: Event) -> StateAndOutputs:
        after, outputs = start(state, event)
        return after, tuple(
            rounds.Propose(None, NO_POL) if isinstance(o, rounds.Propose) else o for o in outputs
        )

    table = {key: Transition(row.lines, act) if row.act is start else row for key, row in TABLE.items()}
    put(rounds, "TABLE", table)
    put(Height, "_on_block_built", _built_alone)


def _built_alone(self: Any, input: Any) -> None:
    if input.round == self._state.round and self._building:
        self._building = False
        self._values.built(input.value)
        self._propose(input.value, NO_POL)


# --- power ------------------------------------------------------------------------------------------------


def a_quorum_is_half(put: Put) -> None:
    put(votes, "is_quorum", lambda power, total: 2 * power >= total)


def a_quorum_is_everyone(put: Put) -> None:
    put(votes, "is_quorum", lambda power, total: power == total)


def one_voice_skips_a_round(put: Put) -> None:
    """L55 on any message, a liar's among them."""
    put(votes, "has_honest", lambda power, total: power > 0)


def nobody_skips_a_round(put: Put) -> None:
    put(VoteKeeper, "skip_round", lambda self: None)


def a_vote_counts_as_often_as_it_comes(put: Put) -> None:
    add = VoteKeeper.add_vote

    def twice(self: VoteKeeper, vote: Any) -> Any:
        found = add(self, vote)
        kept = self._votes.get((vote.round, vote.type), {})
        if vote.validator in kept and vote.value is not None:
            powers = self._power[(vote.round, vote.type)]
            powers[vote.value] = powers.get(vote.value, 0) + self._validators[vote.validator].power
            if quorum.is_quorum(powers[vote.value], self._total):
                self._keep_certificate(self._certify(vote.type, vote.round, vote.value))
        return found

    put(VoteKeeper, "add_vote", twice)


# --- votes and certificates -------------------------------------------------------------------------------


def both_votes_of_a_liar_count(put: Put) -> None:
    """Counts the second of two contradicting votes too."""
    contradiction = VoteKeeper._contradiction

    def counted(self: VoteKeeper, first: Any, second: Any) -> Any:
        powers = self._power[(second.round, second.type)]
        powers[second.value] = powers.get(second.value, 0) + self._validators[second.validator].power
        if second.value is not None and quorum.is_quorum(powers[second.value], self._total):
            self._keep_certificate(self._certify(second.type, second.round, second.value))
        return contradiction(self, first, second)

    put(VoteKeeper, "_contradiction", counted)


def no_equivocation_is_reported(put: Put) -> None:
    put(VoteKeeper, "_contradiction", lambda self, first, second: None)
    put(Proposals, "_contradicts", lambda self, first, second: False)


def certificates_count_as_their_votes(put: Put) -> None:
    """Applies no certificate whole: votes that contradict kept ones leave it short of its quorum."""

    def votes_alone(self: VoteKeeper, certificate: Any) -> list[Any]:
        found = (self.add_vote(vote) for vote in votes._votes_of(certificate))
        return [evidence for evidence in found if evidence is not None]

    put(VoteKeeper, "add_certificate", votes_alone)


def polkas_of_earlier_rounds_are_not_taken(put: Put) -> None:
    """L42-L43 only in the round itself."""
    table = {key: row for key, row in TABLE.items() if key[1] is not EventKind.EARLIER_POLKA}
    put(rounds, "TABLE", table)


# --- the log, and saying again ----------------------------------------------------------------------------


def signs_before_the_log_is_durable(put: Put) -> None:
    sign = Height._sign

    def hasty(self: Height, message: Any) -> None:
        sign(self, message)
        self._effects = [effect for effect in self._effects if not isinstance(effect, Persist)]

    put(Height, "_sign", hasty)


def nothing_is_said_again(put: Put) -> None:
    put(Height, "_say_again", lambda self: None)


def only_our_own_is_said_again(put: Put) -> None:
    """Without the certificates that others may lack."""

    def own(self: Any) -> None:
        if self._begun.me is not None:
            self._effects += [Broadcast(message) for message in self._said.values() if message.signature]

    put(Height, "_say_again", own)


def timeouts_are_lost_in_a_restart(put: Put) -> None:
    put(Height, "_schedule_again", lambda self: None)


def timeouts_never_grow(put: Put) -> None:
    """L21, L35, L48 with one length for every round: slow networks never agree."""
    timeout_ms = timing.timeout_ms
    put(height, "timeout_ms", lambda begun, step, round: min(40, timeout_ms(begun, step, 0)))


def late_proposals_are_voted_for(put: Put) -> None:
    """Prevotes a fresh block whatever its time."""
    add = Proposals.add
    put(Proposals, "add", lambda self, proposal, timely: add(self, proposal, True))


def who_waits_for_the_commit_forgets_it(put: Put) -> None:
    """L49 only while the block is at hand when the quorum comes."""
    keep = VoteKeeper._keep_certificate

    def forgetful(self: VoteKeeper, certificate: Any) -> None:
        if certificate.type is VoteType.PRECOMMIT and certificate.round < self._round:
            return
        keep(self, certificate)

    put(VoteKeeper, "_keep_certificate", forgetful)


MUTANTS: dict[str, Callable[[Put], None]] = {
    mutant.__name__: mutant
    for mutant in (
        no_lock_at_a_polka,
        lock_ignored_by_a_fresh_proposal,
        freed_by_any_polka,
        never_freed,
        timeout_prevote_precommits_the_valid_value,
        nil_polka_precommits_the_lock,
        nil_polka_releases_the_lock,
        a_round_starts_without_the_lock,
        late_polka_locks,
        no_timeout_propose,
        no_timeout_prevote,
        no_timeout_precommit,
        invalid_blocks_are_voted_for,
        proposes_afresh_over_the_valid_value,
        a_quorum_is_half,
        a_quorum_is_everyone,
        one_voice_skips_a_round,
        nobody_skips_a_round,
        a_vote_counts_as_often_as_it_comes,
        both_votes_of_a_liar_count,
        no_equivocation_is_reported,
        certificates_count_as_their_votes,
        signs_before_the_log_is_durable,
        nothing_is_said_again,
        timeouts_are_lost_in_a_restart,
        timeouts_never_grow,
        late_proposals_are_voted_for,
        who_waits_for_the_commit_forgets_it,
    )
}

# What these cost is time alone: no rule breaks, and a decision comes all the same. The transcripts notice.
SLOWER: dict[str, Callable[[Put], None]] = {
    mutant.__name__: mutant
    for mutant in (no_nil_polka, polkas_of_earlier_rounds_are_not_taken, only_our_own_is_said_again)
}
