"""A bounded buffer for messages of the next height, which come before we have executed this one."""

from collections import deque

from consensus.events import CertificateReceived, Input, ProposalReceived, VoteReceived
from consensus.limits import CERTIFICATES_MAX, PER_VALIDATOR_MAX, VALIDATORS_MAX

Early = ProposalReceived | VoteReceived | CertificateReceived


class EarlyMessages:
    """The newest few messages of each validator, and the newest few certificates, in order of arrival."""

    def __init__(self) -> None:
        self._arrived = 0
        self._by_sender: dict[int, deque[tuple[int, Early]]] = {}

    def add(self, early: Early) -> None:
        """Keep `early`, at the price of the same sender's oldest message when its share is full."""
        sender = _sender(early)
        if not -1 <= sender < VALIDATORS_MAX:
            return
        limit = CERTIFICATES_MAX if sender == -1 else PER_VALIDATOR_MAX
        queue = self._by_sender.setdefault(sender, deque(maxlen=limit))
        if all(early != kept for _, kept in queue):
            queue.append((self._arrived, early))
            self._arrived += 1

    def values(self) -> frozenset[bytes]:
        """The values of the proposals kept."""
        kept = (early for queue in self._by_sender.values() for _, early in queue)
        return frozenset(early.proposal.value for early in kept if isinstance(early, ProposalReceived))

    def take(self, height: int) -> tuple[Early, ...]:
        """Everything kept for `height`, in order of arrival; the buffer is empty afterwards."""
        kept = sorted(
            (entry for queue in self._by_sender.values() for entry in queue), key=lambda entry: entry[0]
        )
        self._by_sender = {}
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


def _sender(early: Early) -> int:
    match early:
        case ProposalReceived(proposal=proposal):
            return proposal.proposer
        case VoteReceived(vote=vote):
            return vote.validator
        case CertificateReceived():
            return -1  # anyone may pass on a certificate
