"""What is on a node's disk, looked at from outside, and what a power cut or a bad sector does to it.

A disk that fails is `storage.environment.Faults`, which a store takes when it is opened: it raises where the
test says, as a full disk or a failing one would.
"""

from storage.blocks import BlockStore


def results_height(store: BlockStore) -> int:
    """The last height whose results are stored, 0 when there is none."""
    height = store.height()
    while height and store.results(height) is None:
        height -= 1
    return height
