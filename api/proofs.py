"""What proofs are made of, of one holding or of one transaction: enough to be verified offline.

A proof leads from the genesis' validators, over every change of the set, to a header with its commit
certificate, from that header's state root to a table's leaf, and to one row of the leaf. The row is restated
as the claim, so that a proof says one thing only.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.limits import CHANGES_MAX, COMMIT_CERTIFICATE_BYTES_MAX
from consensus.limits import VALIDATORS_MAX
from ledger.proofs import Group, StateProof
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


class Claim(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What is proven: the holding at `holding`, as it was after the block of `height`."""

    height: Count
    holding: Count
    account: Count
    instrument: Count
    balance: Count
    locked: Count
    flags: Count


class HoldingProof(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The claim and all that it rests on; `certified` is the block after the one whose state is shown."""

    version: Count
    genesis_hash: Annotated[bytes, Meta(min_length=32, max_length=32)]
    claim: Claim
    changes: Annotated[tuple[SetChange, ...], Meta(max_length=CHANGES_MAX)]
    certified: Certified
    state: StateProof


Hash32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Path = Annotated[tuple[Group, ...], Meta(max_length=MERKLE_DEPTH_MAX)]
ItemBytes = Annotated[bytes, Meta(max_length=BLOCK_BYTES_CAP)]


class Receipt(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Transaction `position` of the `count` in a block, and what became of it. `header` is the block's own;
    `certified` the block after it, whose header names that one as its parent and has its results_root, over
    the list of results and the roots of postings and events."""

    version: Count
    genesis_hash: Hash32
    position: Count
    count: Count
    transaction: ItemBytes
    transaction_path: Path
    result: ItemBytes
    result_path: Path
    postings_root: Hash32
    events_root: Hash32
    header: HeaderBytes
    changes: Annotated[tuple[SetChange, ...], Meta(max_length=CHANGES_MAX)]
    certified: Certified
