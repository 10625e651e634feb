"""The proposals of one height: the first of a round stands, a second is evidence, far rounds are few."""

from collections.abc import Iterator
from dataclasses import dataclass

from consensus.messages import Proposal, ProposalEquivocation


@dataclass(frozen=True, slots=True)
class HeardProposal:
    """The first proposal of a round, with the verdict on its time."""

    proposal: Proposal
    timely: bool


class Proposals:
    """Those of the current round, of the next, and of each proposer's highest round beyond."""

    def __init__(self) -> None:
        self._by_round: dict[int, HeardProposal] = {}
        self._reported: set[int] = set()

    def of(self, round: int) -> HeardProposal | None:
        """The proposal that stands for `round`."""
        return self._by_round.get(round)

    def values(self) -> Iterator[bytes]:
        """The value of every proposal kept."""
        return (heard.proposal.value for heard in self._by_round.values())

    def move_to(self, round: int) -> None:
        """Forget the proposals of the rounds before `round`, which is now the current one."""
        self._by_round = {number: heard for number, heard in self._by_round.items() if number >= round}
        self._reported = {number for number in self._reported if number >= round}

    def add(self, proposal: Proposal, timely: bool, current: int) -> ProposalEquivocation | None:
        """Keep the first proposal of a round; returns evidence, once a round, if this one contradicts it."""
        if proposal.round < current:
            return None
        first = self._by_round.get(proposal.round)
        if first is None:
            if self._make_room(proposal, current):
                self._by_round[proposal.round] = HeardProposal(proposal, timely)
            return None
        if _content(first.proposal) == _content(proposal) or proposal.round in self._reported:
            return None
        self._reported.add(proposal.round)
        pair = sorted((first.proposal, proposal), key=_content)
        return ProposalEquivocation(pair[0], pair[1])

    def _make_room(self, proposal: Proposal, current: int) -> bool:
        """Beyond the next round, keep only each proposer's highest proposal."""
        if proposal.round <= current + 1:
            return True
        for number, heard in list(self._by_round.items()):
            if number > current + 1 and heard.proposal.proposer == proposal.proposer:
                if number > proposal.round:
                    return False
                del self._by_round[number]
        return True


def _content(proposal: Proposal) -> tuple[bytes, int]:
    """What a proposal says beyond its height, round and proposer."""
    return (proposal.value, proposal.pol_round)
