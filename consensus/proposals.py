"""The proposals of one height: the first of a round stands, a second is evidence, far rounds are few."""

from collections.abc import Iterator
from dataclasses import dataclass

from consensus.limits import ROUNDS_KEPT
from consensus.messages import Proposal, ProposalEquivocation


@dataclass(frozen=True, slots=True)
class HeardProposal:
    """The first proposal of a round, with the verdict on its time."""

    proposal: Proposal
    timely: bool


class Proposals:
    """Those of `ROUNDS_KEPT` rounds before the current one, of the next, and one of each proposer beyond."""

    def __init__(self) -> None:
        self._round = 0
        self._by_round: dict[int, HeardProposal] = {}
        self._reported: set[int] = set()

    def of(self, round: int) -> HeardProposal | None:
        """The proposal that stands for `round`."""
        return self._by_round.get(round)

    def stands(self, proposal: Proposal) -> bool:
        """Returns True if this is the proposal that stands for its round."""
        heard = self._by_round.get(proposal.round)
        return heard is not None and _content(heard.proposal) == _content(proposal)

    def values(self) -> Iterator[bytes]:
        """The value of every proposal kept of the current round and after it."""
        return (heard.proposal.value for round, heard in self._by_round.items() if round >= self._round)

    def move_to(self, round: int) -> None:
        """Take `round` as the current one: forget the proposals of rounds long left."""
        self._round = round
        oldest = round - ROUNDS_KEPT
        self._by_round = {number: heard for number, heard in self._by_round.items() if number >= oldest}
        self._reported = {number for number in self._reported if number >= oldest}

    def has_use(self, proposal: Proposal) -> bool:
        """Returns True if `add` would remember anything of this proposal."""
        first = self._by_round.get(proposal.round)
        return self._has_room(proposal) if first is None else self._contradicts(first, proposal)

    def add(self, proposal: Proposal, timely: bool) -> ProposalEquivocation | None:
        """Keep the first proposal of a round; returns evidence, once a round, if this one contradicts it."""
        first = self._by_round.get(proposal.round)
        if first is None:
            if self._has_room(proposal):
                if proposal.round > self._round + 1:
                    for number in self._beyond(proposal.proposer):
                        del self._by_round[number]
                self._by_round[proposal.round] = HeardProposal(proposal, timely)
            return None
        if not self._contradicts(first, proposal):
            return None
        self._reported.add(proposal.round)
        pair = sorted((first.proposal, proposal), key=_content)
        return ProposalEquivocation(pair[0], pair[1])

    def _has_room(self, proposal: Proposal) -> bool:
        """Whether the first proposal of this round is kept: beyond the next round one of each proposer, and
        one further ahead only when it is at least twice as far."""
        if proposal.round <= self._round + 1:
            return proposal.round >= self._round - ROUNDS_KEPT
        return all(
            proposal.round - self._round >= 2 * (number - self._round)
            for number in self._beyond(proposal.proposer)
        )

    def _beyond(self, proposer: int) -> list[int]:
        """The rounds beyond the next one of which a proposal of `proposer` is kept."""
        return [
            number
            for number, heard in self._by_round.items()
            if number > self._round + 1 and heard.proposal.proposer == proposer
        ]

    def _contradicts(self, first: HeardProposal, second: Proposal) -> bool:
        return _content(first.proposal) != _content(second) and second.round not in self._reported


def _content(proposal: Proposal) -> tuple[bytes, int]:
    """What a proposal says beyond its height, round and proposer."""
    return (proposal.value, proposal.pol_round)
