"""What is signed, and whether a message of another validator may be believed.

A signature is over tag + genesis hash + the strict encoding of what is said. The signer's position is not
part of it: the key says who signed.
"""

from collections.abc import Sequence
from itertools import pairwise

from consensus.errors import VerificationError
from consensus.messages import (
    NO_POL,
    Certificate,
    Evidence,
    Proposal,
    ProposalEquivocation,
    Validator,
    Vote,
    VoteEquivocation,
    VoteType,
)
from consensus.proposer import proposer
from consensus.quorum import is_quorum, power_of, total_power
from primitives.codec import encode
from primitives.hashing import PRECOMMIT, PREVOTE, PROPOSAL
from primitives.signatures import verify

_VOTE_TAGS = {VoteType.PREVOTE: PREVOTE, VoteType.PRECOMMIT: PRECOMMIT}


def vote_sign_bytes(
    type: VoteType, height: int, round: int, value: bytes | None, genesis_hash: bytes
) -> bytes:
    """What a validator signs to vote."""
    return _VOTE_TAGS[type] + genesis_hash + encode([height, round, value])


def proposal_sign_bytes(proposal: Proposal, genesis_hash: bytes) -> bytes:
    """What a proposer signs."""
    return (
        PROPOSAL
        + genesis_hash
        + encode([proposal.height, proposal.round, proposal.value, proposal.pol_round])
    )


def sign_bytes(message: Proposal | Vote, genesis_hash: bytes) -> bytes:
    """What the sender of `message` signs."""
    match message:
        case Proposal():
            return proposal_sign_bytes(message, genesis_hash)
        case Vote():
            return vote_sign_bytes(message.type, message.height, message.round, message.value, genesis_hash)


def verify_vote(vote: Vote, validators: Sequence[Validator], genesis_hash: bytes) -> None:
    """Raises VerificationError unless a member of this height's set signed the vote."""
    member = _member(vote.validator, validators, "vote.validator")
    if not verify(member.public_key, sign_bytes(vote, genesis_hash), vote.signature):
        raise VerificationError(
            f"vote.signature: not validator {vote.validator}'s for {vote.type.name.lower()} "
            f"at height {vote.height}, round {vote.round}"
        )


def verify_proposal(proposal: Proposal, validators: Sequence[Validator], genesis_hash: bytes) -> None:
    """Raises VerificationError unless the round's own proposer signed it and its POL round is earlier."""
    member = _member(proposal.proposer, validators, "proposal.proposer")
    turn = proposer(validators, proposal.height, proposal.round)
    if proposal.proposer != turn:
        raise VerificationError(
            f"proposal.proposer: {proposal.proposer}, but validator {turn} proposes "
            f"at height {proposal.height}, round {proposal.round}"
        )
    if not NO_POL <= proposal.pol_round < proposal.round:
        raise VerificationError(
            f"proposal.pol_round: {proposal.pol_round}, must be -1 or a round before {proposal.round}"
        )
    if not verify(member.public_key, sign_bytes(proposal, genesis_hash), proposal.signature):
        raise VerificationError(
            f"proposal.signature: not validator {proposal.proposer}'s "
            f"at height {proposal.height}, round {proposal.round}"
        )


def verify_certificate(
    certificate: Certificate, validators: Sequence[Validator], genesis_hash: bytes
) -> None:
    """Raises VerificationError unless the signatures are of distinct members of this height's set, in
    ascending order, hold more than two thirds of its power, and are all valid."""
    signers = [signer for signer, _ in certificate.signatures]
    for signer in signers:
        _member(signer, validators, "certificate.signatures")
    if any(later <= earlier for earlier, later in pairwise(signers)):
        raise VerificationError(
            f"certificate.signatures: validators {signers}, must ascend without repetition"
        )
    power, total = power_of(validators, signers), total_power(validators)
    if not is_quorum(power, total):
        raise VerificationError(
            f"certificate.signatures: power {power} of {total}, a quorum is more than two thirds"
        )
    signed = vote_sign_bytes(
        certificate.type, certificate.height, certificate.round, certificate.value, genesis_hash
    )
    for signer, signature in certificate.signatures:
        if not verify(validators[signer].public_key, signed, signature):
            raise VerificationError(
                f"certificate.signatures: not validator {signer}'s for "
                f"{certificate.type.name.lower()} at height {certificate.height}, round {certificate.round}"
            )


def verify_evidence(
    evidence: Evidence,
    validators: Sequence[Validator],
    genesis_hash: bytes,
    height: int,
    age_max: int,
) -> None:
    """Raises VerificationError unless `evidence` proves that one member of `validators`, the set of the
    evidence's own height, said two things at once, at most `age_max` heights before `height`."""
    first, second = evidence.first, evidence.second
    if not height - age_max <= first.height < height:
        raise VerificationError(
            f"evidence.height: {first.height}, must be {height - age_max} to {height - 1} in block {height}"
        )
    match evidence:
        case VoteEquivocation(first=one, second=other):
            _verify_two_votes(one, other)
            verify_vote(one, validators, genesis_hash)
            verify_vote(other, validators, genesis_hash)
        case ProposalEquivocation(first=said, second=also):
            _verify_two_proposals(said, also)
            verify_proposal(said, validators, genesis_hash)
            verify_proposal(also, validators, genesis_hash)
    if (first.height, first.round) != (second.height, second.round):
        raise VerificationError("evidence: the two messages are not of one height and round")


def accused(evidence: Evidence) -> int:
    """The position of the validator that `evidence` is against, in the set of its height."""
    match evidence:
        case VoteEquivocation(first=vote):
            return vote.validator
        case ProposalEquivocation(first=proposal):
            return proposal.proposer


def _verify_two_votes(first: Vote, second: Vote) -> None:
    if (first.type, first.validator) != (second.type, second.validator):
        raise VerificationError("evidence: the two votes are not of one validator and one type")
    if not (first.value or b"") < (second.value or b""):
        raise VerificationError("evidence: the first vote's value must sort before the second's, nil first")


def _verify_two_proposals(first: Proposal, second: Proposal) -> None:
    if first.proposer != second.proposer:
        raise VerificationError("evidence: the two proposals are not of one proposer")
    if not (first.value, first.pol_round) < (second.value, second.pol_round):
        raise VerificationError(
            "evidence: the first proposal must sort before the second, by value and POL round"
        )


def _member(position: int, validators: Sequence[Validator], field: str) -> Validator:
    if not 0 <= position < len(validators):
        raise VerificationError(f"{field}: {position}, the set has {len(validators)} validators")
    return validators[position]
