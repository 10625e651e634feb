"""How much of a block's budget we use when we propose: what the others can check within a round.

The budget in state bounds what a block may cost; this is our own habit, and no rule: a round that failed
though its block was heard halves what we propose, a block decided at once lets it grow back. A round whose
proposer was silent says nothing about blocks.
"""

from node.limits import PACE_HALVINGS_MAX, PACE_PART_MIN


class Pace:
    """The part of the budget that a block of ours takes."""

    def __init__(self) -> None:
        self._part = 1.0
        self._heard: set[int] = set()  # rounds of the height under way whose block we have heard

    def heard(self, round: int) -> None:
        """Note that the block of this round came."""
        self._heard.add(round)

    def limit(self, budget: int, round: int) -> int:
        """What a block that we build in `round` may cost."""
        return int(budget * max(PACE_PART_MIN, self._part * 0.5 ** self._failed(round)))

    def decided(self, round: int, work: bool) -> None:
        """Note in which round the height was decided; `work`: its block was not empty."""
        failed = self._failed(round)
        if failed:
            self._part = max(PACE_PART_MIN, self._part * 0.5**failed)
        elif work:
            self._part = min(1.0, 1.5 * self._part)
        self._heard.clear()

    def _failed(self, round: int) -> int:
        """How many rounds before this one failed although their block was there."""
        return min(PACE_HALVINGS_MAX, sum(heard < round for heard in self._heard))
