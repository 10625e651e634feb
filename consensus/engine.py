"""The consensus engine of one validator: inputs in, effects out, nothing else.

An `Engine` goes from height to height: what one height is about stands in its `Height`, and what comes before
its height has begun waits in `EarlyMessages`. The same inputs in the same order always give the same effects:
after a crash, a fresh engine is stepped through the logged inputs of the height, its effects are dropped, and
`resume` says what is still to be done.
"""

from consensus.early import Early, EarlyMessages, height_of
from consensus.errors import MisuseError
from consensus.events import (
    Effect,
    HeightStarted,
    Input,
    Redeliver,
)
from consensus.height import Height
from consensus.quorum import validators_fault
from consensus.rounds import RoundState

_BEFORE_THE_FIRST = RoundState(0)


class Engine:
    """One validator's, or observer's, part in consensus, height after height."""

    def __init__(self) -> None:
        self._early = EarlyMessages()
        self._height: Height | None = None

    # --- what health shows ----------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The height under way, or decided last; 0 before the first."""
        return 0 if self._height is None else self._height.number

    @property
    def round(self) -> int:
        return self.state.round

    @property
    def step_name(self) -> str:
        return self.state.step.name.lower()

    @property
    def state(self) -> RoundState:
        """The round state: step, lock, valid value."""
        return _BEFORE_THE_FIRST if self._height is None else self._height.state

    @property
    def missing_voters(self) -> tuple[int, ...]:
        """The validators that the current step waits for: the proposer, or those whose vote is not known."""
        return () if self._height is None else self._height.missing_voters

    @property
    def values(self) -> frozenset[bytes]:
        """The values whose blocks are to be kept: those at hand, and those proposed for the next height."""
        at_hand = frozenset[bytes]() if self._height is None else self._height.values
        return at_hand | self._early.values()

    # --- in and out -----------------------------------------------------------------------------------

    def step(self, input: Input) -> list[Effect]:
        """Hear `input`; returns what is to be done, in order.

        Raises MisuseError if the caller broke the contract, EngineFault if we did.
        """
        if isinstance(input, HeightStarted):
            return self._start(input)
        number = height_of(input)
        if number == self.height + 1 and isinstance(input, Early):
            self._early.add(input)
        height = self._height
        if height is None or number != height.number or height.decided:
            return []
        return height.step(input)

    def has_use(self, said: Early) -> bool:
        """Returns True if hearing `said`, of which nothing need be verified, may change anything at this
        height or at the next: if not, neither its signatures nor its block are worth a look."""
        if height_of(said) == self.height + 1:
            return self._early.has_use(said)
        return self.remembers(said)

    def remembers(self, input: Input) -> bool:
        """Returns True if the log of the height under way must hold `input`: hearing it may change what is
        known of this height. What comes early is not logged before its own height hears it."""
        if isinstance(input, HeightStarted):
            return True
        height = self._height
        if height is None or height_of(input) != height.number or height.decided:
            return False
        return height.remembers(input)

    def resume(self) -> list[Effect]:
        """After the log has been replayed: say again what was said, sign what was about to be signed,
        start the timeouts that were running, and ask again what was not answered.

        The signer gives the same signature for the same bytes and refuses others: a refusal means silence.
        """
        return [] if self._height is None else self._height.resume()

    def _start(self, input: HeightStarted) -> list[Effect]:
        if input.height <= self.height:
            raise MisuseError(f"height {input.height} started after height {self.height}")
        fault = validators_fault(input.validators)
        if fault is not None:
            raise MisuseError(f"height {input.height}: {fault}")
        if input.me is not None and not 0 <= input.me < len(input.validators):
            raise MisuseError(f"me is {input.me} of {len(input.validators)} validators")
        self._height = Height(input)
        early = self._early.take(input.height)
        effects = self._height.start()
        return [*effects, Redeliver(early)] if early else effects
