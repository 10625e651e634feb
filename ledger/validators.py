"""The validator set as the registry of nodes has it, and what a set survives, in plain values.

One inequality says what a set survives: validators may be silent, or lie, while the others still hold more
than two thirds of the power (arXiv 1807.04938: fewer than a third may lie).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace

from ledger.codes import InvariantError
from ledger.documents import Node
from ledger.limits import OFFENDED_MAX
from ledger.state import Readable, State


class VotingNode(NamedTuple):
    """A node that votes: its index in the registry, its key, its power."""

    node: int
    public_key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class Strength:
    """How many validators, and how many whole institutions, may be lost whichever they are; and how few
    validators, the heaviest, decide a block by themselves (0: there is no validator)."""

    losable_nodes: int
    losable_institutions: int
    deciding_nodes: int


def validator_set(state: Readable) -> tuple[VotingNode, ...]:
    """Every node with power, in the order of the registry."""
    return tuple(
        VotingNode(index, node.public_key, node.power)
        for index, node in enumerate(state.nodes)
        if node.power > 0
    )


def may_offend(node: Node, height: int) -> bool:
    """Whether evidence of `height` may still be committed against `node`: one piece a height, and none from
    below the lowest height that a full record still knows. What was committed once is thus refused for ever,
    however old evidence may be."""
    if height in node.offended:
        return False
    return len(node.offended) < OFFENDED_MAX or height > node.offended[0]


def count_offence(state: State, index: int, height: int) -> None:
    """Count a proven equivocation at `height` against a node. Raises InvariantError if there is no such node,
    or if that was counted before."""
    if not 0 <= index < len(state.nodes):
        raise InvariantError(f"evidence against node {index} of {len(state.nodes)}")
    node = state.nodes[index]
    if height in node.offended:
        raise InvariantError(f"evidence against node {index} at height {height} is committed twice")
    offended = tuple(sorted((*node.offended, height))[-OFFENDED_MAX:])
    state.nodes.replace(index, replace(node, offences=node.offences + 1, offended=offended))


def strength(nodes: Iterable[Node]) -> Strength:
    """What the validators among `nodes` survive."""
    powers = []
    shares: dict[int, int] = {}
    for node in nodes:
        if node.power > 0:
            powers.append(node.power)
            shares[node.institution] = shares.get(node.institution, 0) + node.power
    return Strength(losable(powers), losable(tuple(shares.values())), _deciding(powers))


def survives(lost: int, total: int) -> bool:
    """Whether the network goes on, and agrees, when validators of power `lost` fail or lie."""
    return 3 * (total - lost) > 2 * total


def losable(powers: Sequence[int]) -> int:
    """How many may be lost even if they are the heaviest."""
    total, lost = sum(powers), 0
    for count, power in enumerate(sorted(powers, reverse=True)):
        lost += power
        if not survives(lost, total):
            return count
    return len(powers)


def _deciding(powers: Sequence[int]) -> int:
    """How few, the heaviest, are a quorum."""
    total, gained = sum(powers), 0
    for count, power in enumerate(sorted(powers, reverse=True), start=1):
        gained += power
        if survives(total - gained, total):
            return count
    return 0
