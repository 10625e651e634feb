"""From a peer's message to an input of the engine: verified against the set of its own height, once."""

from typing import Any

from consensus.encoding import decode_certificate
from consensus.errors import VerificationError
from consensus.events import CertificateReceived, ProposalReceived, VoteReceived
from consensus.messages import Certificate, Proposal, VoteType
from consensus.timing import is_timely
from consensus.verification import verify_certificate, verify_proposal, verify_vote
from ledger.parameters import Parameters
from node.blockcache import BlockCache
from node.examiner import Opened, Proposed
from node.inbox import Heard
from node.limits import SEEN_MAX
from node.replica import Replica
from node.sealed import SealedBlock, open_block
from node.sync import Downloaded
from wire.blocks import ANY, Header, header_within
from wire.messages import (
    CertificateMessage,
    ProposalMessage,
    VoteMessage,
    certificate_of,
    proposal_of,
    vote_of,
)

Said = VoteReceived | ProposalReceived | CertificateReceived


class Verifier:
    """Knows what was verified before in the height under way, and which blocks are at hand."""

    def __init__(self, replica: Replica, blocks: BlockCache) -> None:
        self._replica = replica
        self._blocks = blocks
        self._seen: set[tuple[Any, ...]] = set()

    def is_known(self, heard: Heard) -> bool:
        """Whether the engine has heard this very message, and the block that came with it is at hand."""
        message = heard.message
        here = not isinstance(message, ProposalMessage) or self._blocks.get(message.value) is not None
        return here and _identity(message) in self._seen

    def said(self, heard: Heard) -> Said:
        """The input that a peer's message would be, with nothing of it verified."""
        match heard.message:
            case VoteMessage() as message:
                return VoteReceived(vote_of(message))
            case CertificateMessage() as message:
                certificate = certificate_of(message)
                return CertificateReceived(certificate, self._blocks.get(certificate.value) is not None)
            case ProposalMessage() as message:
                return ProposalReceived(proposal_of(message), timely=False)

    def verified(self, heard: Heard) -> Said | Proposed:
        """The input that a peer's message is; Proposed when its block is yet to be opened (`open`, `opened`).

        Raises VerificationError or CodecError if the message is not what it claims to be.
        """
        message, replica = heard.message, self._replica
        validators = replica.validators_at(message.height)
        said = self.said(heard)
        match said:
            case VoteReceived(vote=vote):
                verify_vote(vote, validators, replica.genesis_hash)
            case CertificateReceived(certificate=certificate):
                verify_certificate(certificate, validators, replica.genesis_hash)
            case ProposalReceived(proposal=proposal):
                proposed = self._proposed(proposal, heard)
                block = self._blocks.get(proposal.value)
                return proposed if block is None else self._heard_with(block, proposed)
        self._remember(message)
        return said

    def open(self, raw: bytes) -> SealedBlock:
        """The block of a proposal that `verified` let through; may be called off the event loop. Raises as it
        does."""
        return open_block(raw, self._replica.bounds)

    def opened(self, found: Opened, needed: tuple[bytes | None, ...]) -> ProposalReceived:
        """The input that a proposal is whose block was opened; it is kept, at no cost to those `needed`."""
        self._blocks.put(found.block, needed)
        return self._heard_with(found.block, found.proposed)

    def proved(self, height: int, item: Downloaded) -> tuple[SealedBlock, Certificate]:
        """The block of `height` and the certificate that proves it was decided. Raises as `verified` does."""
        header = header_within(item.block, ANY)
        certificate = decode_certificate(item.certificate)
        decided = (VoteType.PRECOMMIT, height, header.hash())
        if (certificate.type, certificate.height, certificate.value) != decided:
            raise VerificationError("its certificate is not a commit of this block")
        verify_certificate(certificate, self._replica.validators_at(height), self._replica.genesis_hash)
        return open_block(item.block), certificate

    def clear(self) -> None:
        """Forget what was verified: its height is decided."""
        self._seen.clear()

    def _proposed(self, proposal: Proposal, heard: Heard) -> Proposed:
        """Cheap checks on raw bytes first, then the signature; the body is for another hour."""
        replica = self._replica
        raw = heard.message.block if isinstance(heard.message, ProposalMessage) else b""
        header = header_within(raw, replica.bounds)
        validators = replica.validators_at(proposal.height)
        verify_proposal(proposal, validators, replica.genesis_hash)
        _compare(header, proposal)
        return Proposed(heard, proposal, validators[proposal.proposer].public_key, raw)

    def _heard_with(self, block: SealedBlock, proposed: Proposed) -> ProposalReceived:
        self._remember(proposed.heard.message)
        proposal, received_ms = proposed.proposal, proposed.heard.received_ms
        return ProposalReceived(proposal, timely_from(block, proposal, received_ms, self._replica.parameters))

    def _remember(self, message: VoteMessage | ProposalMessage | CertificateMessage) -> None:
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.add(_identity(message))


def _compare(header: Header, proposal: Proposal) -> None:
    """Raises VerificationError unless this is the header of the block that is proposed."""
    if header.hash() != proposal.value:
        raise VerificationError("the block is not the one that the proposal names")
    if header.height != proposal.height:
        raise VerificationError(f"the block is of height {header.height}, its proposal of {proposal.height}")


def timely_from(block: SealedBlock, proposal: Proposal, received_ms: int, parameters: Parameters) -> bool:
    """Whether a fresh block came in time, and from the proposer that it names.

    The name is judged here, not with the block: it is a fact of the proposal, and a block that others decide
    on must be valid or not for everyone alike.
    """
    return block.header.proposer == proposal.proposer and is_timely(
        block.header.time_ms,
        received_ms,
        parameters.precision_ms,
        parameters.message_delay_ms,
        proposal.round,
    )


def _identity(message: VoteMessage | ProposalMessage | CertificateMessage) -> tuple[Any, ...]:
    """What makes two messages the same; the block that comes with a proposal is not part of it."""
    place = (type(message), message.height, message.round, message.value)
    match message:
        case VoteMessage():
            return (*place, message.type, message.validator, message.signature)
        case ProposalMessage():
            return (*place, message.pol_round, message.signature)
        case CertificateMessage():
            return (*place, message.type)
