"""The values of one height whose blocks are at hand: who carries each, what was asked of it, the verdict."""

from collections.abc import Container

from consensus.limits import VALUES_MAX
from consensus.messages import Proposal


class Values:
    """Values by id, each proposer's share bounded."""

    def __init__(self) -> None:
        self._at_hand: dict[bytes, Proposal | None] = {}  # with the proposal that can carry it to others
        self._checking: dict[bytes, None] = {}  # asked, not answered
        self._valid: dict[bytes, bool] = {}

    def at_hand(self) -> frozenset[bytes]:
        """The values whose blocks are to be kept."""
        return frozenset(self._at_hand)

    def carrier(self, value: bytes) -> Proposal | None:
        """The proposal that can carry the block of `value` to others."""
        return self._at_hand.get(value)

    def unanswered(self) -> tuple[bytes, ...]:
        """The values that were asked for and not answered, in the order of asking."""
        return tuple(self._checking)

    def ask(self, value: bytes) -> bool:
        """Whether `value` is to be checked now: it is at hand and was never asked for. It then was."""
        if value not in self._at_hand or value in self._valid or value in self._checking:
            return False
        self._checking[value] = None
        return True

    def validity(self, value: bytes) -> bool | None:
        """The verdict on `value`; None while there is none or its block is not at hand."""
        return self._valid.get(value) if value in self._at_hand else None

    def checked(self, value: bytes, valid: bool) -> bool:
        """Whether the verdict on `value`, which is taken in, was asked for."""
        if value not in self._checking:
            return False
        del self._checking[value]
        self._valid[value] = valid
        return True

    def built(self, value: bytes) -> None:
        """Take in a value that we built, and know to be valid."""
        self._at_hand.setdefault(value, None)
        self._valid[value] = True

    def take_in(self, value: bytes, carrier: Proposal | None, needed: Container[bytes | None]) -> None:
        """Take in a value whose block is at hand; `carrier` can bring it to others. One more value of a
        proposer may cost its own oldest that is not `needed`."""
        if value not in self._at_hand and carrier is not None:
            self._forget_values_of(carrier.proposer, needed)
        self._at_hand[value] = self._at_hand.get(value) or carrier

    def _forget_values_of(self, sender: int, needed: Container[bytes | None]) -> None:
        """Make room for one more value of a proposer, at the price of its own oldest that nothing needs: one
        that proposes without end must not push out what the others vote on."""
        spare = [
            value
            for value, carrier in self._at_hand.items()
            if carrier is not None and carrier.proposer == sender and value not in needed
        ]
        for value in spare[: max(0, len(spare) + 1 - VALUES_MAX)]:
            del self._at_hand[value]
            self._checking.pop(value, None)
