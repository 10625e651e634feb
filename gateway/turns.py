"""Turns at a bounded thing: callers who wait are served in turn, however many questions one of them has.

Addresses take turns, and the connections of an address take turns at its own. An address has at most so many
places at once, so that one with much to ask leaves places to the others.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from gateway.shares import Caller


class Turns:
    """`places` for questions under way, of which one address holds at most `each`."""

    def __init__(self, places: int, each: int) -> None:
        self._free = places
        self._each = each
        self._held: dict[str, int] = {}
        self._waiting: dict[str, dict[int, deque[trio.Event]]] = {}  # whoever's turn is next stands first

    @asynccontextmanager
    async def turn(self, caller: Caller) -> AsyncIterator[None]:
        """Wait for a place and have it while the block lasts."""
        come = trio.Event()
        self._waiting.setdefault(caller.address, {}).setdefault(caller.connection, deque()).append(come)
        self._serve()
        try:
            await come.wait()
        except BaseException:
            if not come.is_set():
                self._leave(caller, come)
            else:
                self._give_back(caller)
            raise
        try:
            yield
        finally:
            self._give_back(caller)

    def _serve(self) -> None:
        """Give every free place to the address whose turn it is, if it may have another one."""
        while self._free:
            ready = (address for address in self._waiting if self._held.get(address, 0) < self._each)
            address = next(ready, None)
            if address is None:
                return
            connections = self._waiting.pop(address)
            connection = next(iter(connections))
            questions = connections.pop(connection)
            questions.popleft().set()
            if questions:
                connections[connection] = questions
            if connections:
                self._waiting[address] = connections
            self._free -= 1
            self._held[address] = self._held.get(address, 0) + 1

    def _leave(self, caller: Caller, come: trio.Event) -> None:
        connections = self._waiting[caller.address]
        connections[caller.connection].remove(come)
        if not connections[caller.connection]:
            del connections[caller.connection]
        if not connections:
            del self._waiting[caller.address]

    def _give_back(self, caller: Caller) -> None:
        self._free += 1
        held = self._held.pop(caller.address) - 1
        if held:
            self._held[caller.address] = held
        self._serve()
