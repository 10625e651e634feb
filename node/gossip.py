"""Tells peers again what clients gave us and no block holds yet: the first telling may have found no room.

Each transaction is told again after REGOSSIP_FIRST_S, then after twice as long, and so on, until it no longer
waits: it is in a block, has expired, or has lost its sequence. One telling has its bound.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from node.limits import REGOSSIP_BYTES_MAX, REGOSSIP_FIRST_S, REGOSSIP_LAST_S


class Gossip:
    """What was told, and when each is told again."""

    def __init__(self) -> None:
        self._told: list[tuple[float, float, bytes]] = []  # when due, how long it waited for that, the bytes

    def told(self, transactions: Iterable[bytes], now_s: float) -> None:
        """These have just been told for the first time."""
        for raw in transactions:
            heappush(self._told, (now_s + REGOSSIP_FIRST_S, REGOSSIP_FIRST_S, raw))

    def again(self, waits: Callable[[bytes], bool], now_s: float) -> list[bytes]:
        """What is to be told again now, of that which still `waits`."""
        again: list[bytes] = []
        size = 0
        while self._told and self._told[0][0] <= now_s and size < REGOSSIP_BYTES_MAX:
            _, waited_s, raw = heappop(self._told)
            if waits(raw):
                again.append(raw)
                size += len(raw)
                longer_s = min(2 * waited_s, REGOSSIP_LAST_S)
                heappush(self._told, (now_s + longer_s, longer_s, raw))
        return again
