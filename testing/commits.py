"""Commits made up for a test of who listens to them."""

from collections.abc import Mapping, Sequence

from consensus.messages import Certificate, Validator, VoteType
from ledger.documents import NodeRole
from ledger.genesis import create_state
from ledger.parameters import read
from ledger.state import State
from ledger.versions import rules
from node.ports import Committed
from node.published import Published, RegisteredNode
from node.replica import AppliedBlock
from node.sealed import seal
from primitives.hashing import ZERO_HASH
from testing.little_chain import make_genesis
from wire.blocks import Block, Header

PARAMETERS = read(create_state(make_genesis()))


def commit_of(
    height: int = 1,
    ids: Sequence[bytes] = (),
    signers: Sequence[int] = (),
    *,
    retired: Sequence[int] = (),
    time_ms: int = 0,
    powers: Mapping[str, int] | None = None,
) -> Committed:
    """The commit of a block with transactions of these ids, first signed by `signers`; it ended the keys of
    `retired`."""
    header = Header(
        version=1,
        genesis_hash=ZERO_HASH,
        height=height,
        time_ms=time_ms,
        parent=ZERO_HASH,
        proposer=0,
        txs_root=ZERO_HASH,
        evidence_root=ZERO_HASH,
        executed_height=height - 1,
        state_root=ZERO_HASH,
        results_root=ZERO_HASH,
        validators_hash=ZERO_HASH,
        next_validators_hash=ZERO_HASH,
        params_hash=ZERO_HASH,
    )
    nodes = tuple(
        RegisteredNode(name, "mof", ZERO_HASH, power, NodeRole.VALIDATOR)
        for name, power in (powers or {}).items()
    )
    return Committed(
        seal(Block(header, (), ())),
        Certificate(VoteType.PRECOMMIT, height, 0, header.hash(), ()),
        AppliedBlock(height, (), b"", b"", b"", tuple(ids), tuple(signers), tuple(retired), bool(ids)),
        Published(
            height=height,
            header=header,
            genesis_hash=ZERO_HASH,
            time_ms=time_ms,
            state=State.empty().publish(),
            state_root=ZERO_HASH,
            version=1,
            rules=rules(1),
            scheduled=None,
            parameters=PARAMETERS,
            validators=tuple(Validator(ZERO_HASH, node.power) for node in nodes),
            voters=tuple(node.name for node in nodes),
            nodes=nodes,
            roots={},
        ),
    )
