"""The validator set as the registry of nodes has it, in plain values, and what is held against members."""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from ledger.codes import InvariantError
from ledger.documents import Node
from ledger.limits import OFFENDED_MAX
from ledger.state import Readable, State
from ledger.survival import Strength, strength


class VotingNode(NamedTuple):
    """A node that votes: its index in the registry, its key, its power."""

    node: int
    public_key: bytes
    power: int


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


def strength_of(nodes: Iterable[Node]) -> Strength[int]:
    """What the validators among `nodes` survive."""
    return strength((node.institution, node.power) for node in nodes)
