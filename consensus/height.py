"""One validator's part in one height: everything that begins with it and ends with its decision.

Handlers hear an input, the vote keeper says what the votes add up to, the round state machine acts on it, and
what it puts out becomes effects. An input of another height, or after the decision, never comes here.
"""

from dataclasses import replace

from consensus import rounds
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
    ReportEvidence,
    ScheduleTimeout,
    SignProposal,
    SignVote,
    TimeoutFired,
    TimeoutStep,
    VoteReceived,
    WorkAvailable,
)
from consensus.messages import Certificate, Proposal, Vote, VoteType
from consensus.proposals import Proposals
from consensus.proposer import proposer
from consensus.rounds import Event, EventKind, RoundState, Step
from consensus.timing import timeout_ms
from consensus.values import Values
from consensus.votes import VoteKeeper


class Height:
    """A height under way, or decided."""

    def __init__(self, begun: HeightStarted) -> None:
        self.number = begun.height
        self._begun = begun
        self._state = RoundState(begun.height)
        self._keeper = VoteKeeper(begun.height, begun.validators)
        self._proposals = Proposals()
        self._values = Values()
        self._building = False
        self._said: dict[str, Proposal | Vote] = {}  # our latest of each kind; signed once it is fed back
        self._entered_by: tuple[Vote, ...] = ()  # the votes that brought us into this round
        self._diverged = False
        self._effects: list[Effect] = []

    # --- what others look at --------------------------------------------------------------------------

    @property
    def state(self) -> RoundState:
        """The round state: step, lock, valid value."""
        return self._state

    @property
    def decided(self) -> bool:
        return self._state.step is Step.COMMIT

    @property
    def values(self) -> frozenset[bytes]:
        """The values whose blocks are at hand."""
        return self._values.at_hand()

    @property
    def missing_voters(self) -> tuple[int, ...]:
        """The validators that the current step waits for: the proposer, or those whose vote is not known."""
        state = self._state
        match state.step:
            case Step.NEW_HEIGHT | Step.COMMIT:
                return ()
            case Step.PROPOSE:
                known = self._proposals.of(state.round) is not None
                return () if known else (self._proposer_of(state.round),)
            case Step.PREVOTE:
                return self._keeper.missing(VoteType.PREVOTE, state.round)
            case _:
                return self._keeper.missing(VoteType.PRECOMMIT, state.round)

    # --- in and out -----------------------------------------------------------------------------------

    def start(self) -> list[Effect]:
        """Begin round 0 at once if a block is wanted, else wait for what wants one."""
        if self._begun.work:
            self._begin()
        else:
            self._schedule(TimeoutStep.START)
        return self._taken()

    def step(self, input: Input) -> list[Effect]:
        """Hear an input of this height, which is not decided; returns what is to be done, in order."""
        match input:
            case WorkAvailable():
                self._begin()
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
            case HeightStarted():
                raise MisuseError(f"height {self.number} has started already")
        return self._taken()

    def remembers(self, input: Input) -> bool:
        """Returns True if hearing `input` may change what the height knows: then its log must hold it.

        What it has no room for, or has heard already, changes nothing, however often it comes.
        """
        if self._state.step is Step.NEW_HEIGHT:
            return True
        match input:
            case ProposalReceived(proposal=proposal):
                own = self._is_own("proposal", proposal.proposer, proposal)
                is_new = self._values.carrier(proposal.value) is None and self._wants(proposal)
                return own or is_new or self._proposals.has_use(proposal)
            case VoteReceived(vote=vote):
                own = self._is_own(vote.type.name.lower(), vote.validator, vote)
                return own or self._keeper.has_use(vote)
            case CertificateReceived(certificate=certificate):
                block_is_new = input.with_block and certificate.value not in self._values.at_hand()
                return block_is_new or self._keeper.has_use_of(certificate)
            case TimeoutFired():
                return input.step is not TimeoutStep.RESEND
            case _:
                return True

    def resume(self) -> list[Effect]:
        """Say what is still to be done after the log has been replayed (see `Engine.resume`)."""
        state = self._state
        if state.step is Step.COMMIT:
            self._effects.append(self._commit_effect())
            return self._taken()
        if state.step is Step.NEW_HEIGHT:
            self._schedule(TimeoutStep.START)
        else:
            self._say_again()
            self._sign_again()
            self._schedule_again()
        self._effects.extend(CheckBlock(self.number, value) for value in self._values.unanswered())
        return self._taken()

    def _taken(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    # --- one handler for each kind of input -----------------------------------------------------------

    def _on_proposal(self, input: ProposalReceived) -> None:
        proposal = input.proposal
        if proposal.proposer != self._proposer_of(proposal.round):
            raise MisuseError(
                f"round {proposal.round} has proposer {self._proposer_of(proposal.round)}: {proposal}"
            )
        self._hear_own("proposal", proposal.proposer, proposal)
        self._begin()
        wanted = self._wants(proposal)
        evidence = self._proposals.add(proposal, input.timely)
        if evidence is not None:
            self._effects.append(ReportEvidence(evidence))
        if wanted:
            self._values.take_in(proposal.value, proposal, self._needed())
        self._advance()

    def _on_vote(self, input: VoteReceived) -> None:
        vote = input.vote
        if not 0 <= vote.validator < len(self._begun.validators):
            raise MisuseError(f"vote of a validator outside the set: {vote}")
        self._hear_own(vote.type.name.lower(), vote.validator, vote)
        self._begin()
        evidence = self._keeper.add_vote(vote)
        if evidence is not None:
            self._effects.append(ReportEvidence(evidence))
        self._advance()

    def _on_certificate(self, input: CertificateReceived) -> None:
        certificate = input.certificate
        if not all(0 <= signer < len(self._begun.validators) for signer, _ in certificate.signatures):
            raise MisuseError(f"certificate of validators outside the set: {certificate}")
        if certificate.type is VoteType.PREVOTE:
            self._begin()
        self._effects.extend(ReportEvidence(found) for found in self._keeper.add_certificate(certificate))
        if input.with_block:
            self._values.take_in(certificate.value, None, self._needed())
        self._advance()

    def _on_timeout(self, input: TimeoutFired) -> None:
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
        if input.round != state.round or not self._building:
            return
        self._building = False
        self._values.built(input.value)
        if state.step is not Step.PROPOSE:
            return
        # A valid value may have become known while the block was built: it comes first (L15-L16).
        if state.valid_value is None:
            self._propose(input.value, -1)
        else:
            self._propose(state.valid_value, state.valid_round)

    def _on_block_checked(self, input: BlockChecked) -> None:
        if self._values.checked(input.value, input.valid):
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
        heard = self._proposals.of(state.round)
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
        if self._values.ask(value):
            self._effects.append(CheckBlock(self.number, value))
        return self._values.validity(value)

    # --- from outputs to effects ----------------------------------------------------------------------

    def _carry_out(self, output: rounds.Output) -> None:
        match output:
            case rounds.Wait(step=step):
                self._schedule(step)
            case rounds.Propose(value=None):
                self._building = True
                self._effects.append(BuildBlock(self.number, self._state.round))
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
        self._proposals.move_to(round)
        self._building = False
        mine = self._begun.me == self._proposer_of(round)
        self._apply(Event(EventKind.START, round, proposer=mine))

    def _propose(self, value: bytes, pol_round: int) -> None:
        me = self._begun.me
        if me is None:
            raise EngineFault("an observer proposes")
        proposal = Proposal(self.number, self._state.round, value, pol_round, me)
        self._say("proposal", proposal)
        polka = self._keeper.polka(pol_round)
        if polka is not None:
            self._effects.append(Broadcast(polka))

    def _cast(self, type: VoteType, value: bytes | None) -> None:
        me = self._begun.me
        if me is None:
            return
        self._say(type.name.lower(), Vote(type, self.number, self._state.round, value, me))

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
        if self._is_own(kind, speaker, message):
            self._said[kind] = message

    def _is_own(self, kind: str, speaker: int, message: Proposal | Vote) -> bool:
        """Whether this is what we said last of its kind, and its signature is not known yet."""
        return speaker == self._begun.me and self._said.get(kind) == replace(message, signature=b"")

    def _schedule(self, step: TimeoutStep) -> None:
        duration_ms = timeout_ms(self._begun.timing, step, self._state.round)
        self._effects.append(ScheduleTimeout(step, self.number, self._state.round, duration_ms))

    def _commit_effect(self) -> Commit:
        certificate = self._keeper.commit()
        if certificate is None:
            raise EngineFault("decided without a commit certificate")
        return Commit(certificate.height, certificate.value, certificate)

    # --- saying again ---------------------------------------------------------------------------------

    def _say_again(self) -> None:
        """Everything that others may lack to leave the round in which they are stuck: the votes that
        brought us here, the newest polka and the one behind our valid value, each before a proposal that
        carries the block, the commit certificate, and our own latest messages."""
        if self._begun.me is None:
            return
        again: dict[Proposal | Vote | Certificate, None] = {}
        heard = self._proposals.of(self._state.round)
        certificates = [self._keeper.commit(), *self._keeper.polkas()[-1:]]
        certificates.append(self._keeper.polka(self._state.valid_round))
        for vote in self._entered_by:
            again[vote] = None
        for certificate in certificates:
            if certificate is not None:
                again[certificate] = None  # first: whoever hears it keeps the block that comes next
                carrier = self._values.carrier(certificate.value)
                if carrier is not None:
                    again[carrier] = None
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
            self._effects.append(BuildBlock(self.number, state.round))

    # --- small questions ------------------------------------------------------------------------------

    def _proposer_of(self, round: int) -> int:
        return proposer(self._begun.validators, self.number, round)

    def _wants(self, proposal: Proposal) -> bool:
        """Whether the block that comes with `proposal` counts: with the first of a round when it is first
        heard, or while the round is not left, or whenever a polka or a commit names it. More than that a
        proposer cannot make us keep, however many blocks it proposes."""
        if proposal.value in self._named():
            return True
        if self._proposals.of(proposal.round) is None:
            return self._proposals.has_use(proposal)
        return proposal.round >= self._state.round and self._proposals.stands(proposal)

    def _named(self) -> set[bytes]:
        """The values that a certificate names."""
        return {known.value for known in (self._keeper.commit(), *self._keeper.polkas()) if known}

    def _needed(self) -> set[bytes | None]:
        """The values that the height may still need, whoever floods it."""
        state = self._state
        return {state.locked_value, state.valid_value, *self._proposals.values(), *self._named()}
