"""What is fit for a block: signatures, sequences, expiry, lanes and novelty."""

from dataclasses import replace

import pytest

from ledger.admission import BlockAdmission, check_envelope
from ledger.codes import Code, Refused
from ledger.rows import Role
from ledger.state import State
from ledger.versions import rules
from ledger.words import words_of
from testing import world
from testing.world import GENESIS_HASH, START_MS, START_S, transaction


def market() -> State:
    state = world.new_state()
    world.add_vasp(state, "binance")
    world.add_vasp(state, "htx")
    for number in range(3):
        world.add_signer(state, f"officer-{number}", Role.OFFICER, 0)
    state.rehash()
    return state


def transfer(state: State, sequence: int, signer: int = 0, amount: int = 1, valid_for_s: int = 60):
    return transaction(
        state,
        "transfer",
        {signer: ("binance", "htx")[signer]},
        sequence,
        0,
        1,
        amount,
        valid_for_s=valid_for_s,
    )


def refusal(call: object, *arguments: object) -> Code:
    with pytest.raises(Refused) as refused:
        call(*arguments)  # type: ignore[operator]
    assert words_of(refused.value).rule
    return refused.value.code


def test_a_good_transaction_is_fit() -> None:
    state = market()
    check_envelope(state, transfer(state, 1), GENESIS_HASH, START_MS, rules(1))


def test_a_signature_for_another_chain_is_bad() -> None:
    state = market()
    assert (
        refusal(check_envelope, state, transfer(state, 1), b"x" * 32, START_MS, rules(1))
        is Code.BAD_SIGNATURE
    )


def test_every_signature_must_verify() -> None:
    state = market()
    tx = transaction(state, "transfer", {0: "binance", 1: "binance"}, 1, 0, 1, 1)
    assert refusal(check_envelope, state, tx, GENESIS_HASH, START_MS, rules(1)) is Code.BAD_SIGNATURE


def test_a_signature_verified_before_is_not_verified_again() -> None:
    state = market()
    tx = replace(transfer(state, 1), signatures=(bytes(64),))
    assert refusal(check_envelope, state, tx, GENESIS_HASH, START_MS, rules(1)) is Code.BAD_SIGNATURE
    check_envelope(state, tx, GENESIS_HASH, START_MS, rules(1), True)


def test_a_signer_must_be_enrolled() -> None:
    state = market()
    tx = transaction(state, "transfer", {99: "binance"}, 1, 0, 1, 1)
    assert refusal(check_envelope, state, tx, GENESIS_HASH, START_MS, rules(1)) is Code.UNKNOWN_SIGNER
    assert refusal(BlockAdmission(state, START_MS, rules(1)).admit, tx) is Code.UNKNOWN_SIGNER


@pytest.mark.parametrize(
    ("time_ms", "code"),
    [
        ((START_S + 60) * 1_000, None),
        ((START_S + 60) * 1_000 + 1, Code.EXPIRED),
        ((START_S + 60 - 3_600) * 1_000, None),
        ((START_S + 60 - 3_600) * 1_000 - 1, Code.EXPIRY_TOO_FAR),
    ],
)
def test_expiry_is_exact_at_both_ends(time_ms: int, code: Code | None) -> None:
    state = market()
    tx = transfer(state, 1)
    if code is None:
        check_envelope(state, tx, GENESIS_HASH, time_ms, rules(1))
        BlockAdmission(state, time_ms, rules(1)).admit(tx)
    else:
        assert refusal(check_envelope, state, tx, GENESIS_HASH, time_ms, rules(1)) is code
        assert refusal(BlockAdmission(state, time_ms, rules(1)).admit, tx) is code


def test_sequences_are_used_up_within_a_block() -> None:
    state = market()
    admission = BlockAdmission(state, START_MS, rules(1))
    admission.admit(transfer(state, 64))
    admission.admit(transfer(state, 128))
    assert refusal(admission.admit, transfer(state, 64, amount=2)) is Code.SEQUENCE_STALE
    assert refusal(admission.admit, transfer(state, 128, amount=2)) is Code.SEQUENCE_USED
    assert refusal(admission.admit, transfer(state, 193)) is Code.SEQUENCE_AHEAD
    admission.admit(transfer(state, 64, signer=1))
    assert state.signers[0].highest == 0


def test_a_transaction_stands_once_in_a_block() -> None:
    state = market()
    admission = BlockAdmission(state, START_MS, rules(1))
    admission.admit(transfer(state, 1))
    assert refusal(admission.admit, transfer(state, 1)) is Code.REPEATED


def act(state: State, sequence: int):
    return transaction(state, "withdraw", {2: "officer-0"}, sequence, 0, bytes(32), 0)


def test_acts_of_institutions_stand_first() -> None:
    state = market()
    admission = BlockAdmission(state, START_MS, rules(1))
    admission.admit(act(state, 1))
    admission.admit(transfer(state, 1))
    assert refusal(admission.admit, act(state, 2)) is Code.LANE_ORDER


def test_acts_are_limited_by_their_quota() -> None:
    state = market()
    position = state.parameters.find("acts_quota")
    assert position is not None
    world.change(state.parameters, position, value=1)
    admission = BlockAdmission(state, START_MS, rules(1))
    admission.admit(act(state, 1))
    assert refusal(admission.admit, act(state, 2)) is Code.LIMIT_EXCEEDED
    admission.admit(transfer(state, 1))


def test_what_is_refused_uses_nothing_up() -> None:
    state = market()
    admission = BlockAdmission(state, START_MS, rules(1))
    assert refusal(admission.admit, transfer(state, 1, valid_for_s=-1)) is Code.EXPIRED
    admission.admit(transfer(state, 1))
