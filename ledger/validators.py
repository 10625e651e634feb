"""The validator set as the registry of nodes has it, in plain values for consensus."""

from typing import NamedTuple

from ledger.state import State


class VotingNode(NamedTuple):
    """A node that votes: its index in the registry, its key, its power."""

    node: int
    public_key: bytes
    power: int


def validator_set(state: State) -> tuple[VotingNode, ...]:
    """Every node with power, in the order of the registry."""
    return tuple(
        VotingNode(index, node.public_key, node.power)
        for index, node in enumerate(state.nodes)
        if node.power > 0
    )
