"""A bounded buffer for messages of the next height, which come before we have executed this one."""

from collections import deque

from consensus.events import CertificateReceived, Input, ProposalReceived, VoteReceived
from consensus.limits import CERTIFICATES_MAX, EARLY_PROPOSALS_MAX, PER_VALIDATOR_MAX, VALIDATORS_MAX
from consensus.messages import Certificate, Proposal, Vote

Early = ProposalReceived | VoteReceived | CertificateReceived


class EarlyMessages:
    """The first few proposals of each validator, which bring blocks, its newest few votes, and the newest few
    certificates, in order of arrival."""

    def __init__(self) -> None:
        self._arrived = 0
        self._kept: dict[tuple[type[Early], int], deque[tuple[int, Early]]] = {}

    def has_use(self, early: Early) -> bool:
        """Returns True if `add` would keep `early`."""
        sender = _sender(early)
        if not -1 <= sender < VALIDATORS_MAX:
            return False
        queue = self._kept.get((type(early), sender), ())
        if any(_said(early) == _said(kept) for _, kept in queue):
            return False
        return not isinstance(early, ProposalReceived) or len(queue) < EARLY_PROPOSALS_MAX

    def add(self, early: Early) -> None:
        """Keep `early`, at the price of the same sender's oldest vote when its share is full."""
        if not self.has_use(early):
            return
        limit = CERTIFICATES_MAX if isinstance(early, CertificateReceived) else PER_VALIDATOR_MAX
        queue = self._kept.setdefault((type(early), _sender(early)), deque(maxlen=limit))
        queue.append((self._arrived, early))
        self._arrived += 1

    def values(self) -> frozenset[bytes]:
        """The values of the proposals kept."""
        kept = (early for queue in self._kept.values() for _, early in queue)
        return frozenset(early.proposal.value for early in kept if isinstance(early, ProposalReceived))

    def take(self, height: int) -> tuple[Early, ...]:
        """Everything kept for `height`, in order of arrival; the buffer is empty afterwards."""
        kept = sorted((entry for queue in self._kept.values() for entry in queue), key=lambda entry: entry[0])
        self._kept = {}
        self._arrived = 0
        return tuple(early for _, early in kept if height_of(early) == height)


def height_of(input: Input) -> int:
    """The height that an input speaks of."""
    match input:
        case ProposalReceived(proposal=proposal):
            return proposal.height
        case VoteReceived(vote=vote):
            return vote.height
        case CertificateReceived(certificate=certificate):
            return certificate.height
        case _:
            return input.height


def _said(early: Early) -> Vote | Proposal | Certificate:
    """What was said, without what we know of how it came."""
    match early:
        case ProposalReceived(proposal=proposal):
            return proposal
        case VoteReceived(vote=vote):
            return vote
        case CertificateReceived(certificate=certificate):
            return certificate


def _sender(early: Early) -> int:
    match early:
        case ProposalReceived(proposal=proposal):
            return proposal.proposer
        case VoteReceived(vote=vote):
            return vote.validator
        case CertificateReceived():
            return -1  # anyone may pass on a certificate
