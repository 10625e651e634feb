"""The round state machine: one table of every transition of Algorithm 1 of the Tendermint paper
(arXiv 1807.04938), keyed to its line numbers L11-L65.

It knows one validator's height, round, step, lock and valid value, and nothing of messages, power or
signatures: `consensus.engine` decides which events hold and carries out what comes back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from consensus.errors import EngineFault
from consensus.events import TimeoutStep
from consensus.messages import NO_POL, VoteType


class Step(IntEnum):
    """Where a validator stands within a height."""

    NEW_HEIGHT = 0  # round 0 has not begun
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    COMMIT = 4  # decided


class EventKind(Enum):
    """What can happen to a round; the paper's line numbers stand in TABLE."""

    START = "a round begins"
    PROPOSAL = "a proposal without POL for this round"
    PROPOSAL_WITH_POL = "a proposal for this round, and the polka of its POL round"
    PREVOTES_ANY = "a quorum of prevotes of this round for anything"
    POLKA = "a quorum of prevotes of this round for a valid value at hand"
    POLKA_NIL = "a quorum of prevotes of this round for nil"
    EARLIER_POLKA = "a quorum of prevotes of an earlier round for a valid value at hand"
    PRECOMMITS_ANY = "a quorum of precommits of this round for anything"
    COMMIT = "a quorum of precommits of any round for a valid value at hand"
    SKIP = "more than a third of the power has voted in later rounds"
    TIMEOUT_PROPOSE = "timeoutPropose"
    TIMEOUT_PREVOTE = "timeoutPrevote"
    TIMEOUT_PRECOMMIT = "timeoutPrecommit"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that holds in `round`."""

    kind: EventKind
    round: int
    value: bytes | None = None
    acceptable: bool = False  # a proposal's block is valid and, without POL, timely
    pol_round: int = NO_POL
    proposer: bool = False  # START: it is our turn


@dataclass(frozen=True, slots=True)
class RoundState:
    """The paper's variables of one validator at one height, and the "for the first time" of L34, L36, L47."""

    height: int
    round: int = 0
    step: Step = Step.NEW_HEIGHT
    locked_value: bytes | None = None
    locked_round: int = NO_POL
    valid_value: bytes | None = None
    valid_round: int = NO_POL
    polka_seen: bool = False
    prevote_wait: bool = False
    precommit_wait: bool = False


@dataclass(frozen=True, slots=True)
class Propose:
    """Propose `value`, or a fresh block when it is None."""

    value: bytes | None
    pol_round: int


@dataclass(frozen=True, slots=True)
class Cast:
    """Vote in the state's round."""

    type: VoteType
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Schedule a timeout of the state's round."""

    step: TimeoutStep


@dataclass(frozen=True, slots=True)
class Enter:
    """Go to a later round (a START event follows)."""

    round: int


@dataclass(frozen=True, slots=True)
class Decide:
    """The height is decided by the precommits of `round`."""

    round: int
    value: bytes


Output = Propose | Cast | Wait | Enter | Decide
StateAndOutputs = tuple[RoundState, tuple[Output, ...]]


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of the table: the paper's lines, and what they do."""

    lines: str
    act: Callable[[RoundState, Event], StateAndOutputs]


def apply(state: RoundState, event: Event) -> StateAndOutputs:
    """The next state and what is to be done; an event that has no row, or whose round is not the one its
    row speaks of, changes nothing."""
    transition = TABLE.get((state.step, event.kind))
    if transition is None or not _speaks_of(state, event):
        return state, ()
    after, outputs = transition.act(state, event)
    _check(state, after)
    return after, outputs


def _speaks_of(state: RoundState, event: Event) -> bool:
    match event.kind:
        case EventKind.START:
            return event.round > state.round or state.step is Step.NEW_HEIGHT
        case EventKind.SKIP:
            return event.round > state.round
        case EventKind.EARLIER_POLKA:
            return event.round < state.round
        case EventKind.COMMIT:
            return True
        case _:
            return event.round == state.round


def _start(state: RoundState, event: Event) -> StateAndOutputs:
    """L11-L21. The proposer waits too (L20 lets only the others wait): its own block may never come."""
    after = replace(
        state,
        round=event.round,
        step=Step.PROPOSE,
        polka_seen=False,
        prevote_wait=False,
        precommit_wait=False,
    )
    wait = Wait(TimeoutStep.PROPOSE)
    return after, (wait, Propose(state.valid_value, state.valid_round)) if event.proposer else (wait,)


def _proposal(state: RoundState, event: Event) -> StateAndOutputs:
    """L22-L27: prevote the value if it is acceptable and no lock stands against it."""
    free = state.locked_round == NO_POL or state.locked_value == event.value
    value = event.value if event.acceptable and free else None
    return replace(state, step=Step.PREVOTE), (Cast(VoteType.PREVOTE, value),)


def _proposal_with_pol(state: RoundState, event: Event) -> StateAndOutputs:
    """L28-L33: a polka at or after our lock frees us from it."""
    if not 0 <= event.pol_round < state.round:
        return state, ()
    free = state.locked_round <= event.pol_round or state.locked_value == event.value
    value = event.value if event.acceptable and free else None
    return replace(state, step=Step.PREVOTE), (Cast(VoteType.PREVOTE, value),)


def _prevotes_any(state: RoundState, event: Event) -> StateAndOutputs:
    """L34-L35."""
    if state.prevote_wait:
        return state, ()
    return replace(state, prevote_wait=True), (Wait(TimeoutStep.PREVOTE),)


def _polka_in_prevote(state: RoundState, event: Event) -> StateAndOutputs:
    """L36-L43 in step prevote: lock and precommit."""
    after = replace(
        state,
        step=Step.PRECOMMIT,
        polka_seen=True,
        locked_value=event.value,
        locked_round=state.round,
        valid_value=event.value,
        valid_round=state.round,
    )
    return after, (Cast(VoteType.PRECOMMIT, event.value),)


def _polka_in_precommit(state: RoundState, event: Event) -> StateAndOutputs:
    """L36 and L42-L43 in step precommit: too late to lock, in time to know the valid value."""
    if state.polka_seen:
        return state, ()
    return replace(state, polka_seen=True, valid_value=event.value, valid_round=state.round), ()


def _earlier_polka(state: RoundState, event: Event) -> StateAndOutputs:
    """L42-L43 for a polka that arrives after its round, as re-sent certificates do.

    The paper counts on gossip to deliver it in time. The valid value only chooses what we propose, and
    whoever hears that proposal checks it against the polka itself (L28), so taking it late is safe; without
    it, a lock that only one validator knows of could keep a height from ever being decided.
    """
    if event.round <= state.valid_round:
        return state, ()
    return replace(state, valid_value=event.value, valid_round=event.round), ()


def _polka_nil(state: RoundState, event: Event) -> StateAndOutputs:
    """L44-L46."""
    return replace(state, step=Step.PRECOMMIT), (Cast(VoteType.PRECOMMIT, None),)


def _precommits_any(state: RoundState, event: Event) -> StateAndOutputs:
    """L47-L48."""
    if state.precommit_wait:
        return state, ()
    return replace(state, precommit_wait=True), (Wait(TimeoutStep.PRECOMMIT),)


def _commit(state: RoundState, event: Event) -> StateAndOutputs:
    """L49-L54. Starting the next height is the node's part: it executes the block first."""
    if event.value is None:
        raise EngineFault("a commit event without a value")
    return replace(state, step=Step.COMMIT), (Decide(event.round, event.value),)


def _skip(state: RoundState, event: Event) -> StateAndOutputs:
    """L55-L56."""
    return state, (Enter(event.round),)


def _timeout_propose(state: RoundState, event: Event) -> StateAndOutputs:
    """L57-L60."""
    return replace(state, step=Step.PREVOTE), (Cast(VoteType.PREVOTE, None),)


def _timeout_prevote(state: RoundState, event: Event) -> StateAndOutputs:
    """L61-L64."""
    return replace(state, step=Step.PRECOMMIT), (Cast(VoteType.PRECOMMIT, None),)


def _timeout_precommit(state: RoundState, event: Event) -> StateAndOutputs:
    """L65-L67."""
    return state, (Enter(state.round + 1),)


TABLE: dict[tuple[Step, EventKind], Transition] = {
    (Step.NEW_HEIGHT, EventKind.START): Transition("L10-L21", _start),
    (Step.NEW_HEIGHT, EventKind.COMMIT): Transition("L49-L54", _commit),
    #
    (Step.PROPOSE, EventKind.START): Transition("L11-L21", _start),
    (Step.PROPOSE, EventKind.PROPOSAL): Transition("L22-L27", _proposal),
    (Step.PROPOSE, EventKind.PROPOSAL_WITH_POL): Transition("L28-L33", _proposal_with_pol),
    (Step.PROPOSE, EventKind.EARLIER_POLKA): Transition("L42-L43", _earlier_polka),
    (Step.PROPOSE, EventKind.PRECOMMITS_ANY): Transition("L47-L48", _precommits_any),
    (Step.PROPOSE, EventKind.COMMIT): Transition("L49-L54", _commit),
    (Step.PROPOSE, EventKind.SKIP): Transition("L55-L56", _skip),
    (Step.PROPOSE, EventKind.TIMEOUT_PROPOSE): Transition("L57-L60", _timeout_propose),
    (Step.PROPOSE, EventKind.TIMEOUT_PRECOMMIT): Transition("L65-L67", _timeout_precommit),
    #
    (Step.PREVOTE, EventKind.START): Transition("L11-L21", _start),
    (Step.PREVOTE, EventKind.PREVOTES_ANY): Transition("L34-L35", _prevotes_any),
    (Step.PREVOTE, EventKind.POLKA): Transition("L36-L43", _polka_in_prevote),
    (Step.PREVOTE, EventKind.EARLIER_POLKA): Transition("L42-L43", _earlier_polka),
    (Step.PREVOTE, EventKind.POLKA_NIL): Transition("L44-L46", _polka_nil),
    (Step.PREVOTE, EventKind.PRECOMMITS_ANY): Transition("L47-L48", _precommits_any),
    (Step.PREVOTE, EventKind.COMMIT): Transition("L49-L54", _commit),
    (Step.PREVOTE, EventKind.SKIP): Transition("L55-L56", _skip),
    (Step.PREVOTE, EventKind.TIMEOUT_PREVOTE): Transition("L61-L64", _timeout_prevote),
    (Step.PREVOTE, EventKind.TIMEOUT_PRECOMMIT): Transition("L65-L67", _timeout_precommit),
    #
    (Step.PRECOMMIT, EventKind.START): Transition("L11-L21", _start),
    (Step.PRECOMMIT, EventKind.POLKA): Transition("L36, L42-L43", _polka_in_precommit),
    (Step.PRECOMMIT, EventKind.EARLIER_POLKA): Transition("L42-L43", _earlier_polka),
    (Step.PRECOMMIT, EventKind.PRECOMMITS_ANY): Transition("L47-L48", _precommits_any),
    (Step.PRECOMMIT, EventKind.COMMIT): Transition("L49-L54", _commit),
    (Step.PRECOMMIT, EventKind.SKIP): Transition("L55-L56", _skip),
    (Step.PRECOMMIT, EventKind.TIMEOUT_PRECOMMIT): Transition("L65-L67", _timeout_precommit),
}


def _check(before: RoundState, after: RoundState) -> None:
    """What every transition keeps, said apart from the code that keeps it."""
    if (after.round, after.step) < (before.round, before.step):
        raise EngineFault(f"went back from {before} to {after}")
    if not NO_POL <= after.locked_round <= after.valid_round <= after.round:
        raise EngineFault(f"locked round, valid round and round out of order in {after}")
    if after.locked_round < before.locked_round or after.valid_round < before.valid_round:
        raise EngineFault(f"lock or valid value went back from {before} to {after}")
    if (after.locked_value is None) != (after.locked_round == NO_POL):
        raise EngineFault(f"a lock without its value in {after}")
    if (after.valid_value is None) != (after.valid_round == NO_POL):
        raise EngineFault(f"a valid round without its value in {after}")
