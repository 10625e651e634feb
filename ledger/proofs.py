"""Proofs that a record stands in the state: its leaf, the path to its table's root, and all table roots.

A proof needs the state root alone to be checked, which the next block's header certifies. It carries the
version of the state and the numbers of its tables, so it verifies whatever tables later versions add. The
proof of a holding shows the 15 rows beside it; holdings are pseudonymous and public.
"""

from itertools import pairwise
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from ledger.rows import HOLDING, Holding
from ledger.schema import Hash32, Index
from ledger.state import NUMBERS, State, state_root
from ledger.tables import LEAF_ROWS
from primitives.limits import MERKLE_DEPTH_MAX
from primitives.merkle import GROUP_BYTES, leaf_hash, table_root, top_of_path


class ProofError(ValueError):
    """A proof that does not prove what it says."""


Group = Annotated[bytes, Meta(min_length=GROUP_BYTES, max_length=GROUP_BYTES)]


TableNumber = Annotated[int, Meta(ge=1, le=255)]


class StateProof(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """In a state of the protocol's version `version`, leaf `leaf` of table `table` has the bytes `content`;
    the table has `count` records of `row_width` bytes; `path` leads from the leaf up; `table_roots` are those
    of all tables, each after its table's number, ascending."""

    version: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    table: TableNumber
    leaf: Index
    content: Annotated[bytes, Meta(max_length=1024 * 1024)]
    row_width: Annotated[int, Meta(ge=0, le=4096)]
    count: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    path: Annotated[tuple[Group, ...], Meta(max_length=MERKLE_DEPTH_MAX)]
    table_roots: Annotated[tuple[tuple[TableNumber, Hash32], ...], Meta(min_length=1, max_length=255)]


def prove_holding(state: State, index: int) -> StateProof:
    """The proof of one holding against `state.root()`. Raises Refused(not_found)."""
    state.holdings.require(index, "holding")
    leaf = index // LEAF_ROWS
    return StateProof(
        state.version,
        NUMBERS["holdings"],
        leaf,
        state.holdings.leaf_content(leaf),
        HOLDING.itemsize,
        len(state.holdings),
        state.holdings.leaf_path(leaf),
        state.table_roots(),
    )


def verify_state_proof(proof: StateProof, root: bytes) -> None:
    """Raise ProofError unless the leaf stands in the state whose root is `root`."""
    numbers = [number for number, _ in proof.table_roots]
    if any(first >= second for first, second in pairwise(numbers)):
        raise ProofError("table_roots: the numbers must ascend, each once")
    if state_root(proof.version, proof.table_roots) != root:
        raise ProofError("table_roots: they do not lead to the state root")
    try:
        top = top_of_path(proof.leaf, leaf_hash(proof.table, proof.leaf, proof.content), proof.path)
    except ValueError as error:
        raise ProofError(f"path: {error}") from error
    found = table_root(proof.table, proof.row_width, proof.count, len(proof.path), top)
    if found != dict(proof.table_roots).get(proof.table):
        raise ProofError("content: it does not lead to the root of its table")


def proven_holding(proof: StateProof, index: int, root: bytes) -> Holding:
    """The holding at `index` as `proof` shows it, verified. Raises ProofError."""
    verify_state_proof(proof, root)
    if proof.table != NUMBERS["holdings"] or proof.row_width != HOLDING.itemsize:
        raise ProofError(f"table: {proof.table} is not the table of holdings")
    if len(proof.content) != LEAF_ROWS * HOLDING.itemsize:
        raise ProofError(f"content: {len(proof.content)} bytes, must be {LEAF_ROWS * HOLDING.itemsize}")
    if index >= proof.count or index // LEAF_ROWS != proof.leaf:
        raise ProofError(f"leaf: {proof.leaf} does not hold holding {index} of {proof.count}")
    return Holding._make(np.frombuffer(proof.content, HOLDING).item(index % LEAF_ROWS))
