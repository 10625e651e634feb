"""`make bench ARGS=worst`: the worst legal block of each kind, checked and executed by one validator.

A block is filled as far as its bytes, its quota and its budget of cost allow, and the processor time is taken
that an honest validator needs to open, check and execute it, with no signature known before.
"""

import gc
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.grounds import CLIENTS, WORST, Worst
from ledger import parameters, versions
from ledger.codes import Code
from ledger.cost import cost_of
from ledger.kind import Lane
from ledger.kinds import BY_NAME
from ledger.transactions import Transaction
from node.sealed import open_block
from testing.ground import Ground

SHARE = 3  # of the first propose timeout, one part


@dataclass(frozen=True, slots=True)
class WorstBlock:
    """The heaviest block of one kind, of those that were tried. `of_limit` is its time to check and execute,
    in processor time, over a third of the first propose timeout; it must stay below 1."""

    kind: str
    what: str
    transactions: int
    bytes: int
    cost: int
    check_ms: float
    execute_ms: float
    of_limit: float
    codes: dict[str, int]

    def as_object(self) -> dict[str, Any]:
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def worst_blocks() -> Iterator[WorstBlock]:
    """The worst block of every kind."""
    for kind in BY_NAME:
        yield max((measure(kind, variant) for variant in WORST[kind]), key=lambda block: block.of_limit)


def measure(kind: str, worst: Worst) -> WorstBlock:
    """Fill one block and take the time."""
    ground = Ground(CLIENTS)
    transactions = _enough(ground, worst)
    replica = ground.replica()
    built = replica.build_block(ground.network.header_ms + 1_000, transactions, (), 0, lambda full_hash: True)
    cost = sum(cost_of(replica.state, transaction, replica.rules) for transaction in built.decoded())
    limit_ms = replica.parameters.propose_ms / SHARE
    gc.collect()
    started = time.process_time()
    block = open_block(built.raw)
    fault = replica.check_block(block, lambda full_hash: False)
    if fault is not None:
        raise ValueError(f"{kind}: a block that was built is not valid: {fault}")
    checked = time.process_time()
    applied = replica.execute(block)
    executed = time.process_time()
    codes = Counter(Code(result.code).word for result in applied.results)
    return WorstBlock(
        kind=kind,
        what=(worst.__doc__ or "").split("\n")[0],
        transactions=len(block.transactions),
        bytes=len(block.raw),
        cost=cost,
        check_ms=(checked - started) * 1_000,
        execute_ms=(executed - checked) * 1_000,
        of_limit=(executed - started) * 1_000 / limit_ms,
        codes=dict(codes.most_common()),
    )


def _enough(ground: Ground, worst: Worst) -> list[Transaction]:
    """As many transactions as a block can take, and not many more."""
    bytes_max = parameters.number(ground.network.state, "block_bytes")
    cost_max = parameters.number(ground.network.state, "block_cost")
    quota = parameters.number(ground.network.state, "acts_quota")
    rules = versions.rules(ground.network.state.version)
    found: list[Transaction] = []
    size = cost = 0
    for transaction in worst(ground):
        found.append(transaction)
        size += len(transaction.raw)
        cost += cost_of(ground.network.state, transaction, rules)
        full = transaction.definition.lane is Lane.ACTS and len(found) >= quota
        if full or size > bytes_max or cost > cost_max:
            break
    return found
