"""What a transaction costs a validator to check and to execute, before anything of it is done.

A unit is about a microsecond on the machine of `docs/performance.md`. Each kind declares its cost from the
counts of its payload; to it come what every transaction costs, its signatures and its bytes. It is the cost
of the worst that such a transaction can do, whether it is then done or refused, so that a block's sum bounds
its time. It is asked of the state that decides what is fit for a block, never of what the block has written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.documents import ProposalStatus
from ledger.limits import PAYLOAD_BYTES_MAX
from primitives.codec import unpack

if TYPE_CHECKING:
    from ledger.state import Readable
    from ledger.transactions import Transaction
    from ledger.versions import Rules


@dataclass(frozen=True, slots=True)
class Each:
    """So many units for each of what is counted in a payload; `what` says it in words."""

    units: int
    what: str
    count: Callable[[Any], int]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a kind costs beside what every transaction costs: once, and for each of some things."""

    flat: int
    each: tuple[Each, ...] = ()

    def of(self, payload: Any) -> int:
        """The cost of this payload."""
        return self.flat + sum(each.units * each.count(payload) for each in self.each)


def items(units: int, field: str) -> Each:
    """For each element of the list `field`."""
    return Each(units, field, lambda payload: len(getattr(payload, field)))


def packed(units: int, field: str, width: int) -> Each:
    """For each row of `width` bytes that `field` packs, a rest counting as one."""
    return Each(units, f"{field}, {width} bytes", lambda payload: -(-len(getattr(payload, field)) // width))


def cost_of(state: "Readable", tx: "Transaction", rules: "Rules") -> int:
    """What `tx` costs in a block that follows `rules`, on `state`."""
    limits, kind = rules.limits, tx.definition
    cost = limits.transaction_cost + limits.signature_cost * len(tx.signers)
    cost += -(-len(tx.raw) // limits.bytes_a_unit) + kind.cost.of(tx.payload)
    return cost if kind.completes is None else cost + _act_cost(state, kind.completes(tx.payload), rules)


def _act_cost(state: "Readable", index: int, rules: "Rules") -> int:
    """What the effect of an open proposal costs. One that is not there yet may be opened by the same block:
    then the transaction that opens it has counted its effect."""
    if index >= len(state.proposals):
        return 0
    proposal = state.proposals[index]
    kind = rules.kinds.get(proposal.kind)
    if proposal.status is not ProposalStatus.OPEN or kind is None:
        return 0
    return kind.cost.of(unpack(proposal.payload, kind.payload, PAYLOAD_BYTES_MAX))
