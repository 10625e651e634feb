"""The timeouts of one height that are running, by Trio's clock."""

import heapq

import trio

from consensus.events import TimeoutFired


class Timers:
    """Running timeouts; those of one moment fire in the order in which they were started."""

    def __init__(self) -> None:
        self._running: list[tuple[float, int, TimeoutFired]] = []
        self._started = 0

    def start(self, fired: TimeoutFired, duration_ms: int) -> None:
        """Let `fired` be due after so long."""
        self._started += 1
        heapq.heappush(self._running, (trio.current_time() + duration_ms / 1000, self._started, fired))

    @property
    def next_s(self) -> float:
        """When the next one is due; infinity when none runs."""
        return self._running[0][0] if self._running else float("inf")

    def take_due(self, now_s: float) -> TimeoutFired | None:
        """The first that is due by `now_s`, which no longer runs; None when none is."""
        if self.next_s > now_s:
            return None
        return heapq.heappop(self._running)[2]

    def clear(self) -> None:
        """Stop all of them."""
        self._running.clear()
