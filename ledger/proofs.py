"""Proofs that a record stands in the state, or that no record of that index does.

A proof shows the shape of the record's table and all table roots, which the state root commits to and the
next block's header certifies; of a record that exists also its leaf, with the path to the table's top.
Records are numbered 0, 1, 2, ... without gaps and never deleted, so the table's count alone proves that a
higher one does not exist. That no record has a given key (a name, an ISIN) no proof shows: indexes by key
are not hashed.

A proof carries the version of the state and the numbers of its tables, so it verifies whatever tables later
versions add. The proof of a row shows the 15 rows beside it.
"""

from itertools import pairwise
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from ledger.limits import DOCUMENT_BYTES_MAX
from ledger.release import FIRST, newest
from ledger.schema import Hash32, Index
from ledger.state import TABLES, State, state_root
from ledger.tables import LEAF_ROWS, ColumnarTable, DocumentTable
from primitives.codec import CodecError, unpack
from primitives.limits import MERKLE_DEPTH_MAX
from primitives.merkle import GROUP_BYTES, leaf_hash, table_root, top_of_path


class ProofError(ValueError):
    """A proof that does not prove what it says."""


Group = Annotated[bytes, Meta(min_length=GROUP_BYTES, max_length=GROUP_BYTES)]
TableNumber = Annotated[int, Meta(ge=1, le=255)]
Depth = Annotated[int, Meta(ge=0, le=MERKLE_DEPTH_MAX)]


class Leaf(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Leaf `number` of a table has the bytes `content`; `path` leads from it to the table's top."""

    number: Index
    content: Annotated[bytes, Meta(max_length=DOCUMENT_BYTES_MAX)]
    path: Annotated[tuple[Group, ...], Meta(max_length=MERKLE_DEPTH_MAX)]


class StateProof(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """In a state of the protocol's version `version`, table `table` has `count` records of `row_width` bytes
    (0: documents) under a tree of `depth` levels and the hash `top`; `leaf` is one of its leaves, or None;
    `table_roots` are those of all tables, each after its table's number, ascending."""

    version: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    table: TableNumber
    row_width: Annotated[int, Meta(ge=0, le=4096)]
    count: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    depth: Depth
    top: Hash32
    leaf: Leaf | None
    table_roots: Annotated[tuple[tuple[TableNumber, Hash32], ...], Meta(min_length=1, max_length=255)]


def prove_record(state: State, table: DocumentTable[Any] | ColumnarTable[Any], index: int) -> StateProof:
    """The proof against `state.root()` of record `index` of one of its tables, or that there is none."""
    leaf = None
    if index < len(table):
        number = leaf_of(table, index)
        leaf = Leaf(number, table.leaf_content(number), table.leaf_path(number))
    width = table.dtype.itemsize if isinstance(table, ColumnarTable) else 0
    return StateProof(
        state.version, table.number, width, len(table), table.depth, table.top(), leaf, state.table_roots()
    )


def leaf_of(table: DocumentTable[Any] | ColumnarTable[Any], index: int) -> int:
    """The number of the leaf in which record `index` stands."""
    return index // LEAF_ROWS if isinstance(table, ColumnarTable) else index


def verify_state_proof(proof: StateProof, root: bytes) -> None:
    """Raise ProofError unless the table, and the leaf if one is shown, stand in the state whose root is
    `root`."""
    numbers = [number for number, _ in proof.table_roots]
    if any(first >= second for first, second in pairwise(numbers)):
        raise ProofError("table_roots: the numbers must ascend, each once")
    if state_root(proof.version, proof.table_roots) != root:
        raise ProofError("table_roots: they do not lead to the state root")
    found = table_root(proof.table, proof.row_width, proof.count, proof.depth, proof.top)
    if found != dict(proof.table_roots).get(proof.table):
        raise ProofError("table: its shape does not lead to its root")
    if proof.leaf is not None:
        _verify_leaf(proof, proof.leaf)


def _verify_leaf(proof: StateProof, leaf: Leaf) -> None:
    try:
        top = top_of_path(leaf.number, leaf_hash(proof.table, leaf.number, leaf.content), leaf.path)
    except ValueError as error:
        raise ProofError(f"path: {error}") from error
    if top != proof.top or len(leaf.path) != proof.depth:
        raise ProofError("leaf: it does not lead to the top of its table")


def proven_record(proof: StateProof, index: int, root: bytes) -> Any:
    """Record `index` of the table that `proof` names, verified, as that version decodes it; None if it is
    proven that there is none. Raises ProofError."""
    verify_state_proof(proof, root)
    leaf = proof.leaf
    if leaf is None:
        if index < proof.count:
            raise ProofError(f"leaf: none is shown, yet record {index} is one of {proof.count}")
        return None
    if index >= proof.count:
        raise ProofError(f"leaf: one is shown for record {index} of {proof.count}")
    spec = TABLES.get(proof.table)
    if spec is None or not spec.in_force(proof.version):
        raise ProofError(f"table: version {proof.version} has no table {proof.table}")
    if spec.dtype is None or spec.row_type is None:
        if proof.version > newest():  # whose documents may have another schema; rows keep their layout
            raise ProofError(f"version: {proof.version}, this software knows {FIRST} to {newest()}")
        if leaf.number != index or proof.row_width:
            raise ProofError(f"leaf: {leaf.number} is not document {index}")
        try:
            return unpack(leaf.content, spec.schema_at(proof.version), DOCUMENT_BYTES_MAX)
        except CodecError as error:
            raise ProofError(f"content: {error}") from error
    if proof.row_width != spec.dtype.itemsize or len(leaf.content) != LEAF_ROWS * proof.row_width:
        raise ProofError(f"content: {len(leaf.content)} bytes, must be {LEAF_ROWS} of {spec.dtype.itemsize}")
    if index // LEAF_ROWS != leaf.number:
        raise ProofError(f"leaf: {leaf.number} does not hold row {index}")
    return spec.row_type(np.frombuffer(leaf.content, spec.dtype).item(index % LEAF_ROWS))
