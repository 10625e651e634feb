"""Proofs of records and of their absence: they verify against the state root alone, and nothing else does."""

import numpy as np
import pytest
from msgspec.structs import replace

from ledger import rows
from ledger.documents import Fixing
from ledger.proofs import Leaf, ProofError, StateProof, prove_record, proven_record, verify_state_proof
from ledger.state import State, state_root
from primitives.codec import pack, unpack
from primitives.merkle import leaf_hash, table_root
from testing import world


def state_of(count: int) -> State:
    state = world.new_state()
    more = np.zeros(count, rows.HOLDING)
    more["account"] = np.arange(count)
    more["balance"] = np.arange(count) + 1
    state.holdings.extend(more)
    for number in range(20):
        state.fixings.append(Fixing(2_800_000 + number, number, number))
    state.rehash()
    return state


@pytest.mark.parametrize("count", [1, 16, 17, 256, 257, 4_097])
def test_the_first_and_the_last_holding_are_proven(count: int) -> None:
    state = state_of(count)
    for index in {0, count - 1}:
        proof = unpack(pack(prove_record(state, state.holdings, index)), StateProof, 100_000)
        assert proven_record(proof, index, state.root()) == state.holdings[index]


def test_any_flipped_byte_of_a_proof_is_noticed() -> None:
    state = state_of(300)
    proof, root = prove_record(state, state.holdings, 200), state.root()
    leaf = proof.leaf
    assert leaf is not None
    for position in range(0, len(leaf.content), 37):
        bent = bytearray(leaf.content)
        bent[position] ^= 1
        with pytest.raises(ProofError):
            verify_state_proof(replace(proof, leaf=replace(leaf, content=bytes(bent))), root)
    for level in range(len(leaf.path)):
        for position in range(0, 512, 61):
            bent = bytearray(leaf.path[level])
            bent[position] ^= 1
            path = (*leaf.path[:level], bytes(bent), *leaf.path[level + 1 :])
            with pytest.raises(ProofError):
                verify_state_proof(replace(proof, leaf=replace(leaf, path=path)), root)


@pytest.mark.parametrize("change", [{"number": 11}, {"path": ()}, {"content": bytes(512)}])
def test_another_leaf_is_not_believed(change: dict[str, object]) -> None:
    state = state_of(300)
    proof = prove_record(state, state.holdings, 200)
    assert proof.leaf is not None
    with pytest.raises(ProofError):
        verify_state_proof(replace(proof, leaf=replace(proof.leaf, **change)), state.root())


@pytest.mark.parametrize(
    "change",
    [
        {"table": 13},
        {"count": 299},
        {"row_width": 64},
        {"depth": 3},
        {"top": bytes(32)},
        {"version": 2},
        {"table_roots": tuple((number, bytes(32)) for number in range(1, 17))},
    ],
)
def test_a_proof_that_says_something_else_is_refused(change: dict[str, object]) -> None:
    state = state_of(300)
    proof = replace(prove_record(state, state.holdings, 200), **change)
    with pytest.raises(ProofError):
        verify_state_proof(proof, state.root())


def test_the_roots_of_tables_ascend_by_number() -> None:
    state = state_of(3)
    proof = prove_record(state, state.holdings, 0)
    for roots in (proof.table_roots[::-1], (proof.table_roots[0], *proof.table_roots)):
        with pytest.raises(ProofError, match="must ascend"):
            verify_state_proof(replace(proof, table_roots=roots), state.root())


def test_a_proof_verifies_whatever_tables_its_state_has() -> None:
    """A proof made under a version with other tables: the numbers it carries are enough."""
    state = state_of(40)
    proof = prove_record(state, state.holdings, 20)
    fewer = tuple(pair for pair in proof.table_roots if pair[0] != 16)
    more = (*proof.table_roots, (77, bytes([7]) * 32))
    for version, roots in ((1, fewer), (9, more)):
        root = state_root(version, roots)
        verify_state_proof(replace(proof, version=version, table_roots=roots), root)


def test_a_proof_of_another_leaf_does_not_prove_a_row() -> None:
    state = state_of(300)
    with pytest.raises(ProofError, match="does not hold row"):
        proven_record(prove_record(state, state.holdings, 0), 200, state.root())
    with pytest.raises(ProofError, match="is not document"):
        proven_record(prove_record(state, state.fixings, 0), 1, state.root())


def test_a_row_past_the_count_is_not_proven_by_the_zeros_of_its_leaf() -> None:
    state = state_of(3)
    with pytest.raises(ProofError, match="one is shown for record 3 of 3"):
        proven_record(prove_record(state, state.holdings, 0), 3, state.root())


def test_each_record_of_each_table_is_proven_as_it_stands_and_the_one_after_the_last_proven_absent() -> None:
    """By one mechanism, rows and documents alike; a table without records proves that there is none."""
    state = state_of(20)
    root = state.root()
    empty = [table.name for table in state.tables if not len(table)]
    assert empty
    for table in state.tables:
        for index in range(len(table)):
            proof = unpack(pack(prove_record(state, table, index)), StateProof, 100_000)
            assert proven_record(proof, index, root) == table[index]
        for beyond in (len(table), len(table) + 1, 2**32 - 2):
            proof = unpack(pack(prove_record(state, table, beyond)), StateProof, 100_000)
            assert proof.leaf is None  # nothing of the table's records is shown
            assert proven_record(proof, beyond, root) is None


def test_absence_is_proven_by_the_count_alone_and_only_beyond_it() -> None:
    state = state_of(20)
    proof, root = prove_record(state, state.holdings, 20), state.root()
    assert proven_record(proof, 20, root) is None
    for index in (0, 19):
        with pytest.raises(ProofError, match="none is shown, yet record"):
            proven_record(proof, index, root)
    for count in (19, 0):
        with pytest.raises(ProofError, match="shape does not lead"):
            proven_record(replace(proof, count=count), 19, root)


def test_a_table_that_the_version_does_not_have_proves_nothing() -> None:
    state = state_of(3)
    roots, top = state.table_roots(), leaf_hash(77, 0, b"x")
    more = (*roots, (77, table_root(77, 0, 1, 0, top)))
    proof = StateProof(1, 77, 0, 1, 0, top, Leaf(0, b"x", ()), more)
    with pytest.raises(ProofError, match="has no table 77"):
        proven_record(proof, 0, state_root(1, more))
    later = replace(prove_record(state, state.fixings, 0), version=9)
    with pytest.raises(ProofError, match="version: 9, this software knows"):
        proven_record(later, 0, state_root(9, roots))
