"""The blocks of undecided heights by value id, bounded.

What is kept follows the engine, which bounds each proposer's share (`keep_only`). Should that still be too
much, the oldest are forgotten, but never those that consensus has locked or holds valid.
"""

from collections import OrderedDict
from collections.abc import Container, Iterable

from node.limits import BLOCKCACHE_BYTES_MAX, BLOCKS_MAX
from node.sealed import SealedBlock


class BlockCache:
    """Blocks by value id."""

    def __init__(self, count_max: int = BLOCKS_MAX, bytes_max: int = BLOCKCACHE_BYTES_MAX) -> None:
        self._held: OrderedDict[bytes, SealedBlock] = OrderedDict()
        self._bytes = 0
        self._count_max = count_max
        self._bytes_max = bytes_max

    def __len__(self) -> int:
        return len(self._held)

    def get(self, value: bytes) -> SealedBlock | None:
        return self._held.get(value)

    def put(self, held: SealedBlock, needed: Iterable[bytes | None] = ()) -> None:
        """Keep a block; the oldest go if there is no room, except those in `needed`."""
        if held.value in self._held:
            return
        self._held[held.value] = held
        self._bytes += len(held.raw)
        kept = {held.value, *needed}
        for value in [value for value in self._held if value not in kept]:
            if len(self._held) <= self._count_max and self._bytes <= self._bytes_max:
                break
            self._drop(value)

    def of_height(self, height: int) -> list[SealedBlock]:
        return [held for held in self._held.values() if held.height == height]

    def keep_only(self, values: Container[bytes]) -> None:
        """Forget every block but those of `values`."""
        for value in [value for value in self._held if value not in values]:
            self._drop(value)

    def forget_to(self, height: int) -> None:
        """Forget the blocks of every height up to `height`."""
        for value in [v for v, held in self._held.items() if held.height <= height]:
            self._drop(value)

    def _drop(self, value: bytes) -> None:
        self._bytes -= len(self._held.pop(value).raw)
