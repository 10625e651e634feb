"""The ledger as consensus sees it: builds, checks and executes blocks (`node.ports.Application`)."""

from consensus.messages import Certificate
from node.chain import Chain
from node.mempool import Mempool
from node.replica import AppliedBlock, StateDivergence
from node.sealed import SealedBlock


class LedgerApplication:
    """An `Application` over the chain and the pool of one node."""

    def __init__(self, chain: Chain, mempool: Mempool) -> None:
        self._chain = chain
        self._mempool = mempool

    def build(self, now_ms: int, proposer: int) -> SealedBlock:
        replica = self._chain.replica
        return replica.build_block(
            now_ms,
            self._mempool.ordered(replica.parameters.acts_quota),
            replica.outstanding_evidence(),
            proposer,
            self._mempool.verified.__contains__,
        )

    def check(self, block: SealedBlock) -> str | None:
        return self._chain.replica.check_block(
            block, None, self._mempool.verified.__contains__, self._mempool.decoded
        )

    def execute(self, block: SealedBlock, certificate: Certificate) -> AppliedBlock:
        return self._chain.apply(block, certificate)

    def divergence(self, block: SealedBlock) -> StateDivergence:
        fault = self.check(block) or "our check refused the block"
        return StateDivergence(block.height, fault, self._chain.replica.dump(block.header))
