"""The validator set as the registry of nodes has it, in plain values for consensus."""

from ledger.state import State


def validator_set(state: State) -> tuple[tuple[int, bytes, int], ...]:
    """(node, public key, power) of every node with power, in the order of the registry."""
    return tuple(
        (index, node.public_key, node.power) for index, node in enumerate(state.nodes) if node.power > 0
    )
