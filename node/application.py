"""The ledger as consensus sees it: builds, checks and executes blocks (`node.ports.Application`)."""

from collections.abc import Callable

from consensus.messages import Certificate
from node.chain import Chain
from node.mempool import Mempool
from node.ports import GivenUp
from node.replica import AppliedBlock, StateDivergence
from node.sealed import SealedBlock


class LedgerApplication:
    """An `Application` over the chain and the pool of one node."""

    def __init__(self, chain: Chain, mempool: Mempool) -> None:
        self._chain = chain
        self._mempool = mempool

    def build(self, now_ms: int, proposer: int, cost_max: int) -> SealedBlock:
        replica = self._chain.replica
        return replica.build_block(
            now_ms,
            self._mempool.ordered(replica.parameters.acts_quota),
            replica.outstanding_evidence(),
            proposer,
            self._mempool.verified.__contains__,
            cost_max,
        )

    def check(self, block: SealedBlock, given_up: Callable[[], bool]) -> str | None:
        def is_verified(full_hash: bytes) -> bool:  # asked of every transaction before it is verified
            if given_up():
                raise GivenUp
            return full_hash in self._mempool.verified

        return self._chain.replica.check_block(block, is_verified, self._mempool.decoded)

    def execute(self, block: SealedBlock, certificate: Certificate) -> AppliedBlock:
        return self._chain.apply(block, certificate)

    def divergence(self, block: SealedBlock) -> StateDivergence:
        fault = self.check(block, lambda: False) or "our check refused the block"
        return StateDivergence(block.height, fault, self._chain.replica.dump(block.header))
