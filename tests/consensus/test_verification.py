"""Signatures, certificates and evidence with real keys; strict bytes of everything said or heard."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consensus.encoding import (
    decode_certificate,
    decode_evidence,
    decode_input,
    decode_message,
    encode_certificate,
    encode_evidence,
    encode_input,
    encode_message,
)
from consensus.errors import VerificationError
from consensus.events import (
    BlockBuilt,
    BlockChecked,
    CertificateReceived,
    HeightStarted,
    Input,
    ProposalReceived,
    TimeoutFired,
    TimeoutStep,
    Timing,
    VoteReceived,
    WorkAvailable,
)
from consensus.messages import (
    Certificate,
    Proposal,
    ProposalEquivocation,
    Validator,
    Vote,
    VoteEquivocation,
    VoteType,
)
from consensus.proposer import proposer
from consensus.timing import is_timely, message_delay_at
from consensus.verification import (
    sign_bytes,
    verify_certificate,
    verify_evidence,
    verify_proposal,
    verify_vote,
)
from primitives.codec import CodecError, encode
from primitives.signatures import public_key_of, sign

GENESIS = b"g" * 32
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n + 1]) * 32) for n in range(4)]
SET = tuple(Validator(public_key_of(key), 1) for key in KEYS)
V, W = b"v" * 32, b"w" * 32


def _vote(validator: int, value: bytes | None = V, type: VoteType = VoteType.PRECOMMIT) -> Vote:
    vote = Vote(type, 9, 2, value, validator)
    return replace(vote, signature=sign(KEYS[validator], sign_bytes(vote, GENESIS)))


def _proposal(value: bytes = V, pol_round: int = 1) -> Proposal:
    turn = proposer(SET, 9, 2)
    proposal = Proposal(9, 2, value, pol_round, turn)
    return replace(proposal, signature=sign(KEYS[turn], sign_bytes(proposal, GENESIS)))


def _certificate(*signers: int) -> Certificate:
    return Certificate(VoteType.PRECOMMIT, 9, 2, V, tuple((n, _vote(n).signature) for n in signers))


def test_a_signed_vote_verifies_and_any_change_to_it_does_not() -> None:
    vote = _vote(1)
    verify_vote(vote, SET, GENESIS)
    for changed in (
        replace(vote, height=8),
        replace(vote, round=1),
        replace(vote, value=W),
        replace(vote, value=None),
        replace(vote, validator=2),
        replace(vote, type=VoteType.PREVOTE),
        replace(vote, validator=4),
    ):
        with pytest.raises(VerificationError):
            verify_vote(changed, SET, GENESIS)
    with pytest.raises(VerificationError):
        verify_vote(vote, SET, b"h" * 32)


def test_a_proposal_comes_from_the_rounds_proposer_with_an_earlier_pol_round() -> None:
    proposal = _proposal()
    verify_proposal(proposal, SET, GENESIS)
    other = (proposal.proposer + 1) % 4
    forged = replace(proposal, proposer=other)
    forged = replace(forged, signature=sign(KEYS[other], sign_bytes(forged, GENESIS)))
    with pytest.raises(VerificationError, match="proposer"):
        verify_proposal(forged, SET, GENESIS)
    with pytest.raises(VerificationError, match="pol_round"):
        verify_proposal(_proposal(pol_round=2), SET, GENESIS)
    with pytest.raises(VerificationError, match="signature"):
        verify_proposal(replace(proposal, value=W), SET, GENESIS)


def test_a_certificate_needs_a_quorum_in_order_without_repetition_and_every_signature() -> None:
    verify_certificate(_certificate(0, 2, 3), SET, GENESIS)
    with pytest.raises(VerificationError, match="quorum"):
        verify_certificate(_certificate(0, 2), SET, GENESIS)
    with pytest.raises(VerificationError, match="ascend"):
        verify_certificate(_certificate(0, 3, 2), SET, GENESIS)
    with pytest.raises(VerificationError, match="ascend"):
        verify_certificate(_certificate(0, 2, 2), SET, GENESIS)
    good = _certificate(0, 1, 2, 3)
    bad = replace(good, signatures=(*good.signatures[:3], (3, bytes(64))))
    with pytest.raises(VerificationError, match="validator 3"):
        verify_certificate(bad, SET, GENESIS)


def test_evidence_is_two_ordered_contradicting_messages_of_one_validator_and_not_too_old() -> None:
    evidence = VoteEquivocation(_vote(1, None), _vote(1, V))
    verify_evidence(evidence, SET, GENESIS, height=10, age_max=5)
    verify_evidence(ProposalEquivocation(_proposal(V), _proposal(W)), SET, GENESIS, height=10, age_max=5)
    for height in (9, 15):
        with pytest.raises(VerificationError, match="height"):
            verify_evidence(evidence, SET, GENESIS, height=height, age_max=5)
    for wrong in (
        VoteEquivocation(_vote(1, V), _vote(1, None)),
        VoteEquivocation(_vote(1, V), _vote(1, V)),
        VoteEquivocation(_vote(1, None), _vote(2, V)),
        VoteEquivocation(_vote(1, None), _vote(1, V, VoteType.PREVOTE)),
        VoteEquivocation(_vote(1, None), replace(_vote(1, V), signature=bytes(64))),
        ProposalEquivocation(_proposal(W), _proposal(V)),
    ):
        with pytest.raises(VerificationError):
            verify_evidence(wrong, SET, GENESIS, height=10, age_max=5)


TIMING = Timing(1, 2, 3, 4, 5, 6, 7, 8)
INPUTS: list[Input] = [
    HeightStarted(9, SET, 2, TIMING, True),
    HeightStarted(9, SET, None, TIMING, False),
    WorkAvailable(9),
    ProposalReceived(_proposal(pol_round=-1), False),
    VoteReceived(_vote(1, None)),
    CertificateReceived(_certificate(0, 1, 2), True),
    TimeoutFired(TimeoutStep.RESEND, 9, 2),
    BlockBuilt(9, 0, V),
    BlockChecked(9, V, False),
]


@pytest.mark.parametrize("input", INPUTS, ids=lambda input: type(input).__name__)
def test_every_input_survives_its_bytes_and_no_other_bytes_give_it(input: Input) -> None:
    data = encode_input(input)
    assert decode_input(data) == input
    for wrong in (b"", data[:-1], data + b"\0", b"\xc0", encode([99]), encode([True, 9])):
        with pytest.raises(CodecError):
            decode_input(wrong)


def test_messages_and_evidence_survive_their_bytes() -> None:
    for message in (_vote(1), _vote(2, None), _proposal(), _certificate(0, 1, 2)):
        assert decode_message(encode_message(message)) == message
    for evidence in (
        VoteEquivocation(_vote(1, None), _vote(1, V)),
        ProposalEquivocation(_proposal(V), _proposal(W)),
    ):
        assert decode_evidence(encode_evidence(evidence)) == evidence
    assert decode_certificate(encode_certificate(_certificate(0, 1, 2))) == _certificate(0, 1, 2)


def test_one_kind_is_not_taken_for_another() -> None:
    with pytest.raises(CodecError):
        decode_message(encode_input(WorkAvailable(1)))
    with pytest.raises(CodecError):
        decode_input(encode_message(_vote(1)))
    with pytest.raises(CodecError):
        decode_evidence(encode_message(_vote(1)))
    with pytest.raises(CodecError):
        decode_certificate(encode_message(_vote(1)))


@pytest.mark.parametrize(
    "vote",
    [
        replace(_vote(1), height=-1),
        replace(_vote(1), round=2**31),
        replace(_vote(1), value=b"short"),
        replace(_vote(1), validator=256),
        replace(_vote(1), signature=b""),
    ],
)
def test_a_field_out_of_bounds_is_refused(vote: Vote) -> None:
    with pytest.raises(CodecError):
        decode_message(encode_message(vote))


def test_timeliness_allows_a_tenth_more_delay_each_round_at_both_exact_edges() -> None:
    assert [message_delay_at(500, round) for round in range(4)] == [500, 550, 605, 665]
    assert is_timely(1000, 500, 500, 500, 0)
    assert not is_timely(1000, 499, 500, 500, 0)
    assert is_timely(1000, 2000, 500, 500, 0)
    assert not is_timely(1000, 2001, 500, 500, 0)
    assert is_timely(1000, 2050, 500, 500, 1)
    assert message_delay_at(500, 10**9) == 600_000
