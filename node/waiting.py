"""Waiting for a transaction or a height to be committed: event-driven, bounded, forgotten when given up."""

from typing import Any

import trio

from api.refusals import Declined
from ledger.codes import Code
from node.limits import WAITING_WAITERS_MAX
from node.ports import Committed


class Commitments:
    """Who waits for what on one node."""

    def __init__(self, height: int, waiters_max: int = WAITING_WAITERS_MAX) -> None:
        self._height = height
        self._waiters_max = waiters_max
        self._waiters = 0
        self._by_transaction: dict[bytes, list[trio.Event]] = {}
        self._by_height: dict[int, list[trio.Event]] = {}

    def committed(self, commit: Committed) -> None:
        height = self._height = commit.applied.height
        for identity in commit.applied.transaction_ids:
            for event in self._by_transaction.get(identity, ()):
                event.set()
        for reached in [waited for waited in self._by_height if waited <= height]:
            for event in self._by_height[reached]:
                event.set()

    async def wait_transaction(self, transaction_id: bytes, timeout_s: float) -> bool:
        """Whether a block with that transaction was committed, from now on, before the time ran out."""
        return await self._wait(self._by_transaction, transaction_id, timeout_s)

    async def wait_height(self, height: int, timeout_s: float) -> bool:
        """Whether `height` was committed before the time ran out."""
        if self._height >= height:
            await trio.lowlevel.checkpoint()
            return True
        return await self._wait(self._by_height, height, timeout_s)

    async def _wait(self, waiting: dict[Any, list[trio.Event]], key: Any, timeout_s: float) -> bool:
        if self._waiters >= self._waiters_max:
            raise Declined(
                Code.LIMIT_EXCEEDED, "waiters", self._waiters, "so many wait at this node already: try again"
            )
        event = trio.Event()
        self._waiters += 1
        waiting.setdefault(key, []).append(event)
        try:
            with trio.move_on_after(timeout_s):
                await event.wait()
            return event.is_set()
        finally:
            self._waiters -= 1
            waiting[key].remove(event)
            if not waiting[key]:
                del waiting[key]
