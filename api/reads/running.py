"""What only a running node can tell: proofs, which the next block certifies, and its health."""

from api.declare import ask
from api.fields import Blob, Hash, Height, Index, Milliseconds, Name, Position, Shown
from api.outlook import SurvivalView
from api.sources import Services


class ProofReply(Shown, frozen=True):
    """`proof` is the encoded proof (api.proofs) of record `record` of `table`, or, where `exists` is false,
    that there is none; it shows the state after block `proven_height`."""

    height: Height
    table: Name
    record: Index
    exists: bool
    proven_height: Height
    proof: Blob


class ReceiptReply(Shown, frozen=True):
    """`receipt` is the encoded proof (api.proofs) that the transaction is in `block` at `position`, and of
    its result; or, where `exists` is false, that the block has none at `position`."""

    height: Height
    block: Height
    position: Position
    exists: bool
    receipt: Blob


class PeerView(Shown, frozen=True):
    """A peer of this node: whether it is connected, the height it last told of, and how many others
    came under its name while it was alive (more than none: a name is in use twice)."""

    name: str
    institution: str
    connected: bool
    height: Height
    claims: int


class UpgradeView(Shown, frozen=True):
    """A version of the protocol that is scheduled: the first height that follows it, and the nodes that do
    not know it, or of which this node has heard nothing."""

    version: int
    from_height: Height
    not_ready: tuple[str, ...]


class NodeHealthReply(Shown, frozen=True):
    """`advancing` is false when no block was committed for longer than expected; then `reason` says what is
    known and `missing` names the validators whose votes this height lacks. `version` is that of the protocol
    which the next block follows, `knows` the highest that the node's software knows. `survives` is what the
    network can lose, `unseen` the validators of whose votes this node saw none in the last 100 blocks, and
    `standing` says both in words."""

    height: Height
    node: str
    advancing: bool
    reason: str
    syncing: bool
    voting: bool
    round: int
    last_block_age_ms: Milliseconds
    missing: tuple[str, ...]
    peers: tuple[PeerView, ...]
    mempool_transactions: int
    mempool_bytes: int
    version: int
    knows: int
    upgrade: UpgradeView | None
    survives: SurvivalView
    unseen: tuple[str, ...]
    standing: tuple[str, ...]


class RunningReads:
    """Proofs and health."""

    @ask("proof_get")
    async def proof_get(node: Services, table: Name, record: Index) -> ProofReply:
        """The proof of one record of a table of the state, or that there is none of that index, to be
        verified offline against the genesis (`mohur verify`)."""
        return await node.prove(table, record)

    @ask("receipt_get")
    async def receipt_get(node: Services, tx_id: Hash) -> ReceiptReply:
        """The proof that a transaction is in a block, and of its result, to be verified offline
        (`mohur receipt verify`); acts of officers have none."""
        return await node.receipt(tx_id)

    @ask("receipt_at")
    async def receipt_at(node: Services, block: Height, position: Position) -> ReceiptReply:
        """The same of the transaction at a position of a block, or the proof that it has none there."""
        return await node.receipt_at(block, position)

    @ask("node_health")
    async def node_health(node: Services) -> NodeHealthReply:
        """Whether the chain advances as this node sees it, and if not, whose votes are missing."""
        return node.health()
