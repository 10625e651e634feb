"""The consensus engine of one validator: inputs in, effects out, nothing else.

`step` hears facts, asks the vote keeper what they add up to, lets the round state machine act on it, and
says what is to be done. The same inputs in the same order always give the same effects: after a crash, a
fresh engine is stepped through the logged inputs of the height, its effects are dropped, and `resume` says
what is still to be done.
"""

from dataclasses import dataclass, replace

from consensus import rounds
from consensus.early import EarlyMessages
from consensus.errors import EngineFault, MisuseError
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
from consensus.limits import VALUES_MAX
from consensus.messages import Certificate, Proposal, ProposalEquivocation, Vote, VoteType
from consensus.proposer import proposer
from consensus.quorum import validators_fault
from consensus.rounds import Event, EventKind, RoundState, Step
from consensus.timing import timeout_ms
from consensus.votes import VoteKeeper


@dataclass(frozen=True, slots=True)
class _Heard:
    """The first proposal of a round, with the verdict on its time."""

    proposal: Proposal
    timely: bool


class Engine:
    """One validator's, or observer's, part in consensus, height after height."""

    def __init__(self) -> None:
        self._early = EarlyMessages()
        self._effects: list[Effect] = []
        self._begun: HeightStarted | None = None
        self._state = RoundState(0)
        self._at_hand: dict[bytes, Proposal | None] = {}  # values whose block is here, with who carries it

    # --- what health shows ----------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The height under way, or decided last; 0 before the first."""
        return self._state.height

    @property
    def round(self) -> int:
        return self._state.round

    @property
    def step_name(self) -> str:
        return self._state.step.name.lower()

    @property
    def state(self) -> RoundState:
        """The round state: step, lock, valid value."""
        return self._state

    @property
    def missing_voters(self) -> tuple[int, ...]:
        """The validators that the current step waits for: the proposer, or those whose vote is not known."""
        state = self._state
        if self._begun is None or state.step in (Step.NEW_HEIGHT, Step.COMMIT):
            return ()
        match state.step:
            case Step.PROPOSE:
                return () if state.round in self._proposals else (self._proposer_of(state.round),)
            case Step.PREVOTE:
                return self._keeper.missing(VoteType.PREVOTE, state.round)
            case _:
                return self._keeper.missing(VoteType.PRECOMMIT, state.round)

    @property
    def values(self) -> frozenset[bytes]:
        """The values whose blocks are to be kept: those at hand, and those proposed for the next height."""
        return frozenset(self._at_hand) | self._early.values()

    # --- in and out -----------------------------------------------------------------------------------

    def step(self, input: Input) -> list[Effect]:
        """Hear `input`; returns what is to be done, in order.

        Raises MisuseError if the caller broke the contract, EngineFault if we did.
        """
        self._effects = []
        match input:
            case HeightStarted():
                self._on_height_started(input)
            case WorkAvailable():
                self._on_work_available(input)
            case ProposalReceived():
                self._on_proposal(input)
            case VoteReceived():
                self._on_vote(input)
            case CertificateReceived():
                self._on_certificate(input)
            case TimeoutFired():
                self._on_timeout(input)
            case BlockBuilt():
                self._on_block_built(input)
            case BlockChecked():
                self._on_block_checked(input)
        effects, self._effects = self._effects, []
        return effects

    def resume(self) -> list[Effect]:
        """After the log has been replayed: say again what was said, sign what was about to be signed,
        start the timeouts that were running, and ask again what was not answered.

        The signer gives the same signature for the same bytes and refuses others: a refusal means silence.
        """
        self._effects = []
        state = self._state
        if self._begun is None:
            return []
        if state.step is Step.COMMIT:
            self._effects.append(self._commit_effect())
        elif state.step is Step.NEW_HEIGHT:
            self._schedule(TimeoutStep.START)
        else:
            self._say_again()
            self._sign_again()
            self._schedule_again()
        if state.step is not Step.COMMIT:
            self._effects.extend(CheckBlock(state.height, value) for value in self._checking)
        effects, self._effects = self._effects, []
        return effects

    # --- one handler for each kind of input -----------------------------------------------------------

    def _on_height_started(self, input: HeightStarted) -> None:
        if input.height <= self._state.height:
            raise MisuseError(f"height {input.height} started after height {self._state.height}")
        fault = validators_fault(input.validators)
        if fault is not None:
            raise MisuseError(f"height {input.height}: {fault}")
        if input.me is not None and not 0 <= input.me < len(input.validators):
            raise MisuseError(f"me is {input.me} of {len(input.validators)} validators")
        self._begun = input
        self._state = RoundState(input.height)
        self._keeper = VoteKeeper(input.height, input.validators)
        self._proposals: dict[int, _Heard] = {}  # by round: current, next, and each proposer's highest
        self._proposal_reported: set[int] = set()
        self._at_hand = {}
        self._checking: dict[bytes, None] = {}  # asked by CheckBlock, not answered
        self._valid: dict[bytes, bool] = {}
        self._building = False
        self._said: dict[str, Proposal | Vote] = {}  # our latest of each kind; signed once it is fed back
        self._entered_by: tuple[Vote, ...] = ()  # the votes that brought us into this round
        self._diverged = False
        early = self._early.take(input.height)
        if input.work:
            self._begin()
        else:
            self._schedule(TimeoutStep.START)
        if early:
            self._effects.append(Redeliver(early))

    def _on_work_available(self, input: WorkAvailable) -> None:
        if self._under_way(input.height):
            self._begin()

    def _on_proposal(self, input: ProposalReceived) -> None:
        proposal = input.proposal
        if proposal.height == self._state.height + 1:
            self._early.add(input)
        if not self._under_way(proposal.height):
            return
        if proposal.proposer != self._proposer_of(proposal.round):
            raise MisuseError(
                f"round {proposal.round} has proposer {self._proposer_of(proposal.round)}: {proposal}"
            )
        self._hear_own("proposal", proposal.proposer, proposal)
        self._begin()
        self._keep_proposal(proposal, input.timely)
        self._take_in(proposal.value, proposal)
        self._advance()

    def _on_vote(self, input: VoteReceived) -> None:
        vote = input.vote
        if vote.height == self._state.height + 1:
            self._early.add(input)
        if not self._under_way(vote.height):
            return
        if not 0 <= vote.validator < len(self._height_started.validators):
            raise MisuseError(f"vote of a validator outside the set: {vote}")
        self._hear_own(vote.type.name.lower(), vote.validator, vote)
        self._begin()
        evidence = self._keeper.add_vote(vote)
        if evidence is not None:
            self._effects.append(ReportEvidence(evidence))
        self._advance()

    def _on_certificate(self, input: CertificateReceived) -> None:
        certificate = input.certificate
        if certificate.height == self._state.height + 1:
            self._early.add(input)
        if not self._under_way(certificate.height):
            return
        if not all(
            0 <= signer < len(self._height_started.validators) for signer, _ in certificate.signatures
        ):
            raise MisuseError(f"certificate of validators outside the set: {certificate}")
        if certificate.type is VoteType.PREVOTE:
            self._begin()
        self._effects.extend(ReportEvidence(found) for found in self._keeper.add_certificate(certificate))
        if input.with_block:
            self._take_in(certificate.value, None)
        self._advance()

    def _on_timeout(self, input: TimeoutFired) -> None:
        if not self._under_way(input.height):
            return
        match input.step:
            case TimeoutStep.START:
                self._begin()
            case TimeoutStep.PROPOSE:
                self._apply(Event(EventKind.TIMEOUT_PROPOSE, input.round))
            case TimeoutStep.PREVOTE:
                self._apply(Event(EventKind.TIMEOUT_PREVOTE, input.round))
            case TimeoutStep.PRECOMMIT:
                self._apply(Event(EventKind.TIMEOUT_PRECOMMIT, input.round))
            case TimeoutStep.RESEND:
                self._say_again()
                self._schedule(TimeoutStep.RESEND)
        self._advance()

    def _on_block_built(self, input: BlockBuilt) -> None:
        state = self._state
        if not self._under_way(input.height) or input.round != state.round or not self._building:
            return
        self._building = False
        self._take_in(input.value, None)
        self._valid[input.value] = True
        if state.step is not Step.PROPOSE:
            return
        # A valid value may have become known while the block was built: it comes first (L15-L16).
        if state.valid_value is None:
            self._propose(input.value, -1)
        else:
            self._propose(state.valid_value, state.valid_round)

    def _on_block_checked(self, input: BlockChecked) -> None:
        if not self._under_way(input.height) or input.value not in self._checking:
            return
        del self._checking[input.value]
        self._valid[input.value] = input.valid
        self._advance()

    # --- from what is known to events -----------------------------------------------------------------

    def _advance(self) -> None:
        """Apply every event that holds, until none changes anything."""
        while any(self._apply(event) for event in self._events()):
            pass

    def _apply(self, event: Event) -> bool:
        """Apply one event; returns whether it changed anything."""
        before = self._state
        self._state, outputs = rounds.apply(before, event)
        for output in outputs:
            self._carry_out(output)
        return bool(outputs) or self._state != before

    def _events(self) -> list[Event]:
        """The events that hold now, in the order in which they are tried."""
        state = self._state
        if state.step is Step.COMMIT:
            return []
        events = self._commit_events()
        if state.step is Step.NEW_HEIGHT:
            return events
        later = self._keeper.skip_round()
        if later is not None:
            events.append(Event(EventKind.SKIP, later))
        return events + self._proposal_events() + self._vote_events()

    def _commit_events(self) -> list[Event]:
        certificate = self._keeper.commit()
        if certificate is None:
            return []
        valid = self._validity(certificate.value)
        if valid is False and not self._diverged:
            self._diverged = True
            self._effects.append(Diverged(certificate.height, certificate.value, certificate))
        return [Event(EventKind.COMMIT, certificate.round, certificate.value)] if valid else []

    def _proposal_events(self) -> list[Event]:
        state = self._state
        heard = self._proposals.get(state.round)
        if heard is None or state.step is not Step.PROPOSE:
            return []
        value, pol_round = heard.proposal.value, heard.proposal.pol_round
        if pol_round < 0:
            # Only a fresh value is judged by its time; one with a POL was, by those who made the POL.
            valid = self._validity(value) if heard.timely else False
            kind = EventKind.PROPOSAL
        else:
            polka = self._keeper.polka(pol_round)
            if polka is None or polka.value != value:
                return []
            valid = self._validity(value)
            kind = EventKind.PROPOSAL_WITH_POL
        if valid is None:
            return []
        return [Event(kind, state.round, value, acceptable=valid, pol_round=pol_round)]

    def _vote_events(self) -> list[Event]:
        state, keeper, events = self._state, self._keeper, []
        polka = keeper.polka(state.round)
        if polka is not None and self._validity(polka.value):
            events.append(Event(EventKind.POLKA, state.round, polka.value))
        if keeper.quorum_nil(VoteType.PREVOTE, state.round):
            events.append(Event(EventKind.POLKA_NIL, state.round))
        if keeper.quorum_any(VoteType.PREVOTE, state.round):
            events.append(Event(EventKind.PREVOTES_ANY, state.round))
        events += [
            Event(EventKind.EARLIER_POLKA, earlier.round, earlier.value)
            for earlier in keeper.polkas()
            if state.valid_round < earlier.round < state.round and self._validity(earlier.value)
        ]
        if keeper.quorum_any(VoteType.PRECOMMIT, state.round):
            events.append(Event(EventKind.PRECOMMITS_ANY, state.round))
        return events

    def _validity(self, value: bytes) -> bool | None:
        """Whether the block of `value` is valid; None until it is at hand and checked (this asks for it)."""
        if value not in self._at_hand:
            return None
        if value not in self._valid and value not in self._checking:
            self._checking[value] = None
            self._effects.append(CheckBlock(self._state.height, value))
        return self._valid.get(value)

    # --- from outputs to effects ----------------------------------------------------------------------

    def _carry_out(self, output: rounds.Output) -> None:
        match output:
            case rounds.Wait(step=step):
                self._schedule(step)
            case rounds.Propose(value=None):
                self._building = True
                self._effects.append(BuildBlock(self._state.height, self._state.round))
            case rounds.Propose(value=bytes() as value, pol_round=pol_round):
                self._propose(value, pol_round)
            case rounds.Cast(type=type, value=value):
                self._cast(type, value)
            case rounds.Enter(round=round):
                self._enter(round)
            case rounds.Decide():
                self._effects.append(self._commit_effect())

    def _begin(self) -> None:
        """Start round 0, unless it has begun."""
        if self._state.step is Step.NEW_HEIGHT:
            self._enter(0)
            self._schedule(TimeoutStep.RESEND)
            self._advance()

    def _enter(self, round: int) -> None:
        before = self._state.round
        if round > before:
            by_precommits = round == before + 1 and self._keeper.quorum_any(VoteType.PRECOMMIT, before)
            self._entered_by = (
                self._keeper.votes(VoteType.PRECOMMIT, before)
                if by_precommits
                else self._keeper.votes_from(round)
            )
        self._keeper.move_to(round)
        self._proposals = {number: heard for number, heard in self._proposals.items() if number >= round}
        self._proposal_reported = {number for number in self._proposal_reported if number >= round}
        self._building = False
        mine = self._height_started.me == self._proposer_of(round)
        self._apply(Event(EventKind.START, round, proposer=mine))

    def _propose(self, value: bytes, pol_round: int) -> None:
        me = self._height_started.me
        if me is None:
            raise EngineFault("an observer proposes")
        proposal = Proposal(self._state.height, self._state.round, value, pol_round, me)
        self._say("proposal", proposal)
        polka = self._keeper.polka(pol_round)
        if polka is not None:
            self._effects.append(Broadcast(polka))

    def _cast(self, type: VoteType, value: bytes | None) -> None:
        me = self._height_started.me
        if me is None:
            return
        self._say(type.name.lower(), Vote(type, self._state.height, self._state.round, value, me))

    def _say(self, kind: str, message: Proposal | Vote) -> None:
        """Sign `message`, once the log is durable, and with it the block that we stand by."""
        said = self._said.get(kind)
        if said is not None and said.round >= message.round:
            raise EngineFault(f"would sign {message} after {said}")
        self._said[kind] = message
        self._sign(message)

    def _sign(self, message: Proposal | Vote) -> None:
        match message:
            case Proposal():
                self._effects += [Persist(message.value), SignProposal(message)]
            case Vote(type=VoteType.PRECOMMIT):
                self._effects += [Persist(message.value), SignVote(message)]
            case Vote():
                self._effects += [Persist(None), SignVote(message)]

    def _hear_own(self, kind: str, speaker: int, message: Proposal | Vote) -> None:
        said = self._said.get(kind)
        if speaker == self._height_started.me and said == replace(message, signature=b""):
            self._said[kind] = message

    def _schedule(self, step: TimeoutStep) -> None:
        duration_ms = timeout_ms(self._height_started.timing, step, self._state.round)
        self._effects.append(ScheduleTimeout(step, self._state.height, self._state.round, duration_ms))

    def _commit_effect(self) -> Commit:
        certificate = self._keeper.commit()
        if certificate is None:
            raise EngineFault("decided without a commit certificate")
        return Commit(certificate.height, certificate.value, certificate)

    # --- saying again ---------------------------------------------------------------------------------

    def _say_again(self) -> None:
        """Everything that others may lack to leave the round in which they are stuck: the votes that
        brought us here, the newest polka and the one behind our valid value, each with a proposal that
        carries the block, the commit certificate, and our own latest messages."""
        if self._height_started.me is None:
            return
        again: dict[Proposal | Vote | Certificate, None] = {}
        heard = self._proposals.get(self._state.round)
        certificates = [self._keeper.commit(), *self._keeper.polkas()[-1:]]
        certificates.append(self._keeper.polka(self._state.valid_round))
        for vote in self._entered_by:
            again[vote] = None
        for certificate in certificates:
            if certificate is not None:
                carrier = self._at_hand.get(certificate.value)
                if carrier is not None:
                    again[carrier] = None
                again[certificate] = None
        if heard is not None:
            again[heard.proposal] = None
        for message in self._said.values():
            if message.signature:
                again[message] = None
        self._effects.extend(Broadcast(message) for message in again)

    def _sign_again(self) -> None:
        for kind in ("proposal", "prevote", "precommit"):
            message = self._said.get(kind)
            if message is not None and not message.signature and message.round == self._state.round:
                self._sign(message)

    def _schedule_again(self) -> None:
        state = self._state
        self._schedule(TimeoutStep.RESEND)
        if state.step is Step.PROPOSE:
            self._schedule(TimeoutStep.PROPOSE)
        if state.step is Step.PREVOTE and state.prevote_wait:
            self._schedule(TimeoutStep.PREVOTE)
        if state.precommit_wait:
            self._schedule(TimeoutStep.PRECOMMIT)
        if self._building:
            self._effects.append(BuildBlock(state.height, state.round))

    # --- small questions ------------------------------------------------------------------------------

    @property
    def _height_started(self) -> HeightStarted:
        if self._begun is None:
            raise MisuseError("no height has started")
        return self._begun

    def _under_way(self, height: int) -> bool:
        """Whether `height` is ours and not yet decided."""
        return (
            self._begun is not None and height == self._state.height and self._state.step is not Step.COMMIT
        )

    def _proposer_of(self, round: int) -> int:
        return proposer(self._height_started.validators, self._state.height, round)

    def _keep_proposal(self, proposal: Proposal, timely: bool) -> None:
        """The first proposal of a round stands; a second, different one is evidence."""
        if proposal.round < self._state.round:
            return
        first = self._proposals.get(proposal.round)
        if first is None:
            if self._make_room(proposal):
                self._proposals[proposal.round] = _Heard(proposal, timely)
            return
        if _content(first.proposal) == _content(proposal) or proposal.round in self._proposal_reported:
            return
        self._proposal_reported.add(proposal.round)
        pair = sorted((first.proposal, proposal), key=_content)
        self._effects.append(ReportEvidence(ProposalEquivocation(pair[0], pair[1])))

    def _make_room(self, proposal: Proposal) -> bool:
        """Beyond the next round, keep only each proposer's highest proposal."""
        if proposal.round <= self._state.round + 1:
            return True
        for number, heard in list(self._proposals.items()):
            if number > self._state.round + 1 and heard.proposal.proposer == proposal.proposer:
                if number > proposal.round:
                    return False
                del self._proposals[number]
        return True

    def _take_in(self, value: bytes, proposal: Proposal | None) -> None:
        """The block of `value` is at hand; `proposal` can carry it to others."""
        if value not in self._at_hand and proposal is not None:
            self._forget_values_of(proposal.proposer)
        self._at_hand[value] = self._at_hand.get(value) or proposal

    def _forget_values_of(self, sender: int) -> None:
        """Make room for one more value of a proposer, at the price of its own oldest that nothing needs: one
        that proposes without end must not push out what the others vote on."""
        state = self._state
        needed = {state.locked_value, state.valid_value}
        needed.update(heard.proposal.value for heard in self._proposals.values())
        needed.update(known.value for known in (self._keeper.commit(), *self._keeper.polkas()) if known)
        spare = [
            value
            for value, carrier in self._at_hand.items()
            if carrier is not None and carrier.proposer == sender and value not in needed
        ]
        for value in spare[: max(0, len(spare) + 1 - VALUES_MAX)]:
            del self._at_hand[value]
            self._checking.pop(value, None)


def _content(proposal: Proposal) -> tuple[bytes, int]:
    """What a proposal says beyond its height, round and proposer."""
    return (proposal.value, proposal.pol_round)
