"""Proofs of holdings: they verify against the state root alone, and nothing else does."""

import numpy as np
import pytest
from msgspec.structs import replace

from ledger import rows
from ledger.codes import Code, Refused
from ledger.proofs import ProofError, StateProof, prove_holding, proven_holding, verify_state_proof
from ledger.state import State, state_root
from primitives.codec import pack, unpack
from testing import world


def state_of(count: int) -> State:
    state = world.new_state()
    more = np.zeros(count, rows.HOLDING)
    more["account"] = np.arange(count)
    more["balance"] = np.arange(count) + 1
    state.holdings.extend(more)
    state.rehash()
    return state


@pytest.mark.parametrize("count", [1, 16, 17, 256, 257, 4_097])
def test_the_first_and_the_last_holding_are_proven(count: int) -> None:
    state = state_of(count)
    for index in {0, count - 1}:
        proof = unpack(pack(prove_holding(state, index)), StateProof, 100_000)
        assert proven_holding(proof, index, state.root()) == state.holdings[index]


def test_a_holding_that_does_not_exist_has_no_proof() -> None:
    with pytest.raises(Refused) as refusal:
        prove_holding(state_of(3), 3)
    assert refusal.value.code is Code.NOT_FOUND


def test_any_flipped_byte_of_a_proof_is_noticed() -> None:
    state = state_of(300)
    proof, root = prove_holding(state, 200), state.root()
    for position in range(0, len(proof.content), 37):
        bent = bytearray(proof.content)
        bent[position] ^= 1
        with pytest.raises(ProofError):
            verify_state_proof(replace(proof, content=bytes(bent)), root)
    for level in range(len(proof.path)):
        for position in range(0, 512, 61):
            bent = bytearray(proof.path[level])
            bent[position] ^= 1
            path = (*proof.path[:level], bytes(bent), *proof.path[level + 1 :])
            with pytest.raises(ProofError):
                verify_state_proof(replace(proof, path=path), root)


@pytest.mark.parametrize(
    "change",
    [
        {"leaf": 11},
        {"table": 13},
        {"count": 299},
        {"row_width": 64},
        {"path": ()},
        {"version": 2},
        {"table_roots": tuple((number, bytes(32)) for number in range(1, 17))},
    ],
)
def test_a_proof_that_says_something_else_is_refused(change: dict[str, object]) -> None:
    state = state_of(300)
    proof = replace(prove_holding(state, 200), **change)
    with pytest.raises(ProofError):
        verify_state_proof(proof, state.root())


def test_the_roots_of_tables_ascend_by_number() -> None:
    state = state_of(3)
    proof = prove_holding(state, 0)
    for roots in (proof.table_roots[::-1], (proof.table_roots[0], *proof.table_roots)):
        with pytest.raises(ProofError, match="must ascend"):
            verify_state_proof(replace(proof, table_roots=roots), state.root())


def test_a_proof_verifies_whatever_tables_its_state_has() -> None:
    """A proof made under a version with other tables: the numbers it carries are enough."""
    state = state_of(40)
    proof = prove_holding(state, 20)
    fewer = tuple(pair for pair in proof.table_roots if pair[0] != 16)
    more = (*proof.table_roots, (77, bytes([7]) * 32))
    for version, roots in ((1, fewer), (9, more)):
        root = state_root(version, roots)
        verify_state_proof(replace(proof, version=version, table_roots=roots), root)


def test_a_proof_of_another_leaf_does_not_prove_a_holding() -> None:
    state = state_of(300)
    with pytest.raises(ProofError, match="does not hold holding"):
        proven_holding(prove_holding(state, 0), 200, state.root())


def test_a_holding_past_the_count_is_not_proven_by_the_zeros_of_its_leaf() -> None:
    state = state_of(3)
    with pytest.raises(ProofError, match="does not hold holding"):
        proven_holding(prove_holding(state, 0), 3, state.root())
