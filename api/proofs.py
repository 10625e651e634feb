"""What proofs are made of, of one record or of one transaction, or that there is none of that number.

A proof leads from the genesis' validators, over every change of the set, to a header with its commit
certificate, and from there to one record of the state (`ledger.proofs`) or one transaction of a block:
enough to be verified offline.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.limits import CHANGES_MAX, COMMIT_CERTIFICATE_BYTES_MAX
from consensus.limits import VALIDATORS_MAX
from ledger.proofs import Depth, Group, StateProof
from primitives.limits import MERKLE_DEPTH_MAX
from wire.blocks import Count
from wire.limits import BLOCK_BYTES_CAP, HEADER_BYTES_MAX

PROOF_VERSION = 1

Member = tuple[
    Annotated[bytes, Meta(min_length=32, max_length=32)], Annotated[int, Meta(ge=1, le=2**53)]
]  # public key, power
HeaderBytes = Annotated[bytes, Meta(min_length=1, max_length=HEADER_BYTES_MAX)]
CertificateBytes = Annotated[bytes, Meta(min_length=1, max_length=COMMIT_CERTIFICATE_BYTES_MAX)]


class Certified(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The encodings of a header and of a commit certificate for it."""

    header: HeaderBytes
    certificate: CertificateBytes


class SetChange(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The last header that the old validator set decided, which commits to the new one, and the new one."""

    last: Certified
    members: Annotated[tuple[Member, ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]


Hash32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Path = Annotated[tuple[Group, ...], Meta(max_length=MERKLE_DEPTH_MAX)]
SetChanges = Annotated[tuple[SetChange, ...], Meta(max_length=CHANGES_MAX)]
ItemBytes = Annotated[bytes, Meta(max_length=BLOCK_BYTES_CAP)]


class RecordProof(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Record `record` of the table that `state` names, or that there is none; `certified` is the block after
    the one whose state is shown."""

    version: Count
    genesis_hash: Hash32
    record: Count
    changes: SetChanges
    certified: Certified
    state: StateProof


class Included(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A transaction and its result with their paths in their block's lists, and the roots of the block's
    postings and events, which the results_root commits to with the list of results."""

    transaction: ItemBytes
    transaction_path: Path
    result: ItemBytes
    result_path: Path
    postings_root: Hash32
    events_root: Hash32


class Receipt(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Transaction `position` of a block whose list of transactions has `count` items under a tree of `depth`
    levels and the hash `top`; `entry` is None if there is none. `header` is the block's own; `certified` the
    block after it, whose header names that one as its parent and has its results_root."""

    version: Count
    genesis_hash: Hash32
    position: Count
    count: Count
    depth: Depth
    top: Hash32
    entry: Included | None
    header: HeaderBytes
    changes: SetChanges
    certified: Certified
