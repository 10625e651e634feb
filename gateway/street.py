"""The door to the street: accepts connections within bounds, and outlives whatever comes in by them.

Each connection has a task of its own, and what goes wrong in it ends there. A shortage of descriptors is
waited out. Who comes when all places, or all those of his address, are taken is told so and seen off.
"""

import resource
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
import trio

from config.sparing import Sparing
from gateway.http1 import Allowance, HttpResponse, Service, Visit, refusal_bytes
from gateway.limits import (
    ACCEPT_PAUSE_S_MAX,
    DESCRIPTORS_KEPT_MIN,
    FAREWELLS_MAX,
    LINGER_BYTES_MAX,
    LINGER_S_MAX,
    SHUTDOWN_S_MAX,
)
from gateway.shares import Caller, Full, Shares, counted_as

_log = structlog.get_logger("gateway")


class Street:
    """Serves `service` to whoever comes, at most so many at once, of which one address has a share."""

    def __init__(
        self, service: Service, allowance: Allowance, connections: int, address_percent: int
    ) -> None:
        self._service = service
        self._allowance = allowance
        self._places = Shares(_affordable(connections), address_percent)
        self._visits: set[Visit] = set()
        self._farewells = 0
        self._sparing = Sparing()
        self._number = 0

    async def serve(self, listener: trio.SocketListener, stop: Callable[[], Awaitable[None]]) -> None:
        """Serve until `stop` returns; then what is under way has a moment to end."""
        async with trio.open_nursery() as visitors:
            async with listener, trio.open_nursery() as doors:
                doors.start_soon(self._accept, listener, visitors)
                await stop()
                doors.cancel_scope.cancel()
            for visit in self._visits:
                visit.finish()
            visitors.cancel_scope.deadline = trio.current_time() + SHUTDOWN_S_MAX

    async def _accept(self, listener: trio.SocketListener, visitors: trio.Nursery) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                # No descriptor is free, or the caller has gone already. One that ends makes room.
                if times := self._sparing.due("cannot accept a connection", str(error.errno)):
                    _log.warning("cannot accept a connection", error=str(error), times=times)
                await trio.sleep(ACCEPT_PAUSE_S_MAX)
                continue
            try:
                address = counted_as(stream.socket.getpeername()[0])
            except OSError:
                stream.socket.close()
                continue
            try:
                self._places.take(address)
            except Full as full:
                self._service.refused("connections")
                if times := self._sparing.due("connection refused", address):
                    _log.warning("connection refused", address=address, reason=str(full), times=times)
                self._see_off(stream, self._service.full("connections", full), visitors)
            else:
                visitors.start_soon(self._visit, stream, address)

    async def _visit(self, stream: trio.SocketStream, address: str) -> None:
        self._number += 1
        visit = Visit(stream, Caller(address, self._number), self._service, self._allowance)
        self._visits.add(visit)
        try:
            async with stream:
                await visit.serve()
        except Exception as error:
            if times := self._sparing.due("a connection failed", type(error).__name__):
                _log.exception("a connection failed", address=address, times=times)
        finally:
            self._visits.discard(visit)
            self._places.give_back(address)

    def _see_off(self, stream: trio.SocketStream, response: HttpResponse, visitors: trio.Nursery) -> None:
        if self._farewells >= FAREWELLS_MAX:
            stream.socket.close()
            return
        self._farewells += 1
        visitors.start_soon(self._farewell, stream, response)

    async def _farewell(self, stream: trio.SocketStream, response: HttpResponse) -> None:
        """Say why, and read a little, lest the system takes the answer back with the connection."""
        try:
            with trio.move_on_after(LINGER_S_MAX), suppress(trio.BrokenResourceError):
                async with stream:
                    await stream.send_all(refusal_bytes(response))
                    await stream.send_eof()
                    await stream.receive_some(LINGER_BYTES_MAX)
        finally:
            self._farewells -= 1


def _affordable(connections: int) -> int:
    """As many connections as there are descriptors for, beside those that the process needs itself."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, soft - DESCRIPTORS_KEPT_MIN))
