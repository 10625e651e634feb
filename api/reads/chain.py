"""Reads of the chain itself: where it stands, one block, and raw blocks with their certificates."""

from api.declare import read, read_log
from api.fields import (
    BYTES_PAGE_DEFAULT,
    PAGE_DEFAULT,
    Blob,
    BytesLimit,
    Decimal,
    Hash,
    Height,
    Index,
    Key,
    Limit,
    Milliseconds,
    Position,
    Shown,
)
from api.refusals import Declined
from api.showing import shown
from api.sources import Log, View
from ledger.codes import Code
from ledger.schedule import version_at
from ledger.transactions import id_and_kind
from primitives.hashing import ZERO_HASH
from wire.blocks import decode_block


class ValidatorView(Shown, frozen=True):
    """A voting node by the registry; two blocks after a change its position in the list is its number in
    votes and headers."""

    node: Index
    name: str
    institution: str
    public_key: Key
    power: Decimal


class ChainStatusReply(Shown, frozen=True):
    """`state_root` is the root of the state after block `height`; `ledger_time_ms` is the header's time plus
    the chain's clock offset, and the time by which everything on the ledger is judged; `version` is that of
    the protocol which the next block follows."""

    height: Height
    chain: str
    development: bool
    genesis_hash: Hash
    block_id: Hash
    time_ms: Milliseconds
    ledger_time_ms: Milliseconds
    state_root: Hash
    market_frozen: bool
    validators: tuple[ValidatorView, ...]
    node: str
    node_version: str
    version: int


class BlockTransaction(Shown, frozen=True):
    """A transaction in a block, with its result's code (0: applied)."""

    tx_id: Hash
    kind: str
    code: int
    name: str


class ChainBlockReply(Shown, frozen=True):
    """`block` is the height of the block; `state_root` and `results_root` are those after `executed_height`;
    `proposer` is a position in that height's validator set. `transactions` is a page of the
    `transaction_count` that the block holds, and `next_cursor` the position where the next one begins."""

    height: Height
    block: Height
    block_id: Hash
    version: int
    genesis_hash: Hash
    time_ms: Milliseconds
    parent: Hash
    proposer: int
    txs_root: Hash
    evidence_root: Hash
    executed_height: Height
    state_root: Hash
    results_root: Hash
    validators_hash: Hash
    next_validators_hash: Hash
    params_hash: Hash
    evidence_count: int
    transaction_count: int
    transactions: tuple[BlockTransaction, ...]
    next_cursor: Position | None


class RawBlock(Shown, frozen=True):
    """The encoding of a block and of its commit certificate, as nodes store and sync them."""

    block: Height
    encoded: Blob
    certificate: Blob


class ChainRawReply(Shown, frozen=True):
    """Blocks in the order of their heights; `next_block` is where to go on, None after the last one."""

    height: Height
    items: tuple[RawBlock, ...]
    next_block: Height | None


class ChainReads:
    """Reads of the chain itself."""

    @read
    def chain_status(view: View) -> ChainStatusReply:
        """Where the chain stands: its last block, its state, its clock, its validators."""
        state = view.state
        chain = state.chain_record
        return shown(
            ChainStatusReply,
            chain,
            height=view.height,
            chain=chain.name,
            genesis_hash=view.genesis_hash,
            block_id=ZERO_HASH if view.header is None else view.header.hash(),
            time_ms=view.time_ms,
            ledger_time_ms=view.ledger_time_ms,
            state_root=state.root(),
            validators=tuple(
                shown(
                    ValidatorView,
                    node,
                    node=index,
                    institution=state.institutions[node.institution].name,
                )
                for index, node in enumerate(state.nodes)
                if node.power > 0
            ),
            node=view.node,
            node_version=view.version,
            version=version_at(state, view.height + 1),
        )

    @read_log
    def chain_block(
        view: View, block: Height | None = None, cursor: Position = 0, limit: Limit = PAGE_DEFAULT
    ) -> ChainBlockReply:
        """One block: its header, a page of its transactions and what became of each. Without a height, the
        latest."""
        log = view.archive.blocks
        number = view.height if block is None else block
        decoded = decode_block(_stored(log, number, view.height)[0])
        results = view.archive.results(number)
        listed = []
        end = min(cursor + limit, len(results))
        for raw, result in zip(decoded.transactions[cursor:end], results[cursor:end], strict=True):
            identity, kind = id_and_kind(raw)
            code = Code(result.code)
            listed.append(BlockTransaction(tx_id=identity, kind=kind, code=int(code), name=code.word))
        return shown(
            ChainBlockReply,
            decoded.header,
            height=view.height,
            block=number,
            block_id=decoded.header.hash(),
            evidence_count=len(decoded.evidence),
            transaction_count=len(results),
            transactions=tuple(listed),
            next_cursor=end if end < len(results) else None,
        )

    @read_log
    def chain_raw(
        view: View, from_block: Height, bytes_max: BytesLimit = BYTES_PAGE_DEFAULT
    ) -> ChainRawReply:
        """Raw blocks and certificates from a height on, for whoever verifies the chain by himself.

        As many as fit into `bytes_max`, and one at least. `docs/protocol.md` says what the bytes are.
        """
        log = view.archive.blocks
        items: list[RawBlock] = []
        size = 0
        number = from_block
        while number <= view.height or not items:
            encoded, certificate = _stored(log, number, view.height)
            size += len(encoded) + len(certificate)
            if items and size > bytes_max:
                break
            items.append(RawBlock(block=number, encoded=encoded, certificate=certificate))
            number += 1
        next_block = number if number <= view.height else None
        return ChainRawReply(height=view.height, items=tuple(items), next_block=next_block)


def _stored(log: Log, number: int, height: int) -> tuple[bytes, bytes]:
    """The block and the certificate of a height. Raises Declined if this node does not have them."""
    encoded = log.block(number) if 1 <= number <= height else None
    certificate = None if encoded is None else log.certificate(number)
    if encoded is None or certificate is None:
        raise Declined(Code.NOT_FOUND, "block", number, f"this node has the blocks {log.base()} to {height}")
    return encoded, certificate
