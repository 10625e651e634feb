"""The node's Unix socket: answers its gateways, within bounds that keep consensus out of their reach.

A gateway parses what strangers send, so the node treats it as one: frames, requests under way, waiters and
replies are limited for each connection, a gateway that does not read is hung up on, and whatever it asks
costs the node one bounded piece of work at a time. The worst it can do is to slow down its own node.
"""

import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
import trio

from api.declare import Question, Read, ReadFrom
from api.limits import REQUEST_BYTES_MAX
from api.reads import READS
from api.refusals import Declined, said
from api.requests import (
    WITHDRAW,
    BodyKind,
    FrameError,
    FrameReader,
    Refusal,
    Request,
    Response,
    decode_request,
    response_frame,
)
from api.sources import Services, View
from config.sparing import Sparing
from ledger.codes import Code, InvariantError, Refused
from node.limits import (
    FRAMED_HERE_BYTES_MAX,
    GATEWAYS_PERCENT_MAX,
    GATEWAYS_S_MAX,
    LOCAL_CONNECTIONS_MAX,
    LOCAL_WAITERS_MAX,
    QUEUE_MAX,
    SEND_S_MAX,
)
from node.running import reading
from primitives.codec import CodecError, pack, unpack
from storage.errors import StorageError

WORKERS = 16  # requests of one connection being answered at once
RECEIVE_BYTES = 64 * 1024
SOCKET_MODE = 0o660


_log = structlog.get_logger("local")


async def serve_local(
    path: Path,
    services: Services,
    connections_max: int = LOCAL_CONNECTIONS_MAX,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the socket at `path` until cancelled; then it is gone. Raises OSError if it cannot be made."""
    listener = trio.SocketListener(await _listen(path))
    connections = 0
    share = _Share()
    sparing = Sparing()

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal connections
        if connections >= connections_max:
            if times := sparing.due("gateway refused", ""):
                _log.warning("gateway refused", connections=connections, times=times)
            await stream.aclose()
            return
        connections += 1
        try:
            await _Connection(stream, services, share, sparing).run()
        finally:
            connections -= 1

    try:
        await trio.serve_listeners(handle, [listener], task_status=_Started(task_status))
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


class _Started:
    """Tells that the listeners are up, without handing them out."""

    def __init__(self, task_status: trio.TaskStatus[None]) -> None:
        self._task_status = task_status

    def started(self, value: object = None) -> None:
        self._task_status.started()


async def _listen(path: Path) -> trio.socket.SocketType:
    """A listening socket at `path`; one left by a process that died is replaced, a live one is an error."""
    sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        if _is_socket(path):
            if await _answers(path):
                raise OSError(f"{path}: another process serves this socket")
            os.unlink(path)
        await sock.bind(str(path))
        os.chmod(path, SOCKET_MODE)
        sock.listen(LOCAL_CONNECTIONS_MAX)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_socket(path: Path) -> bool:
    return path.exists() and stat.S_ISSOCK(path.stat().st_mode)


async def _answers(path: Path) -> bool:
    try:
        stream = await trio.open_unix_socket(str(path))
    except OSError:
        return False
    await stream.aclose()
    return True


class _Connection:
    """One gateway's connection: a reader, a writer, and so many workers that neither can be flooded."""

    def __init__(
        self, stream: trio.SocketStream, services: Services, share: "_Share", sparing: Sparing
    ) -> None:
        self._stream = stream
        self._services = services
        self._share = share
        self._sparing = sparing
        self._waiters: dict[int, trio.CancelScope] = {}  # by the number of the request
        self._send, self._frames = trio.open_memory_channel[bytes](0)
        self._put, self._requests = trio.open_memory_channel[Request](QUEUE_MAX)

    async def run(self) -> None:
        try:
            async with self._stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                for _ in range(WORKERS):
                    nursery.start_soon(self._work)
                await self._read(nursery)
                nursery.cancel_scope.cancel()
        finally:
            for channel in (self._send, self._frames, self._put, self._requests):
                channel.close()

    async def _read(self, nursery: trio.Nursery) -> None:
        reader = FrameReader(REQUEST_BYTES_MAX)
        while True:
            try:
                data = await self._stream.receive_some(RECEIVE_BYTES)
                requests = [decode_request(body) for body in reader.feed(data)]
            except trio.BrokenResourceError:
                return
            except (FrameError, CodecError) as error:
                if times := self._sparing.due("gateway does not speak our protocol", ""):
                    _log.warning("gateway does not speak our protocol", error=str(error), times=times)
                return
            if not data:
                return
            for request in requests:
                read = READS.get(request.query)
                if request.query == WITHDRAW:
                    if request.number in self._waiters:
                        self._waiters[request.number].cancel()
                elif read is None or not read.waits:
                    await self._put.send(request)
                elif len(self._waiters) < LOCAL_WAITERS_MAX and request.number not in self._waiters:
                    self._waiters[request.number] = trio.CancelScope()
                    nursery.start_soon(self._wait, request)
                else:
                    rule = f"{LOCAL_WAITERS_MAX} callers of this gateway wait already: try again"
                    refusal = Refusal(0, "node_busy", request.query, str(len(self._waiters)), rule)
                    await self._respond(Response(request.number, BodyKind.BUSY, pack(refusal)))

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            async for frame in self._frames:
                with trio.fail_after(SEND_S_MAX):
                    await self._stream.send_all(frame)
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            if times := self._sparing.due("gateway does not read", ""):
                _log.warning("gateway does not read", error=type(error).__name__, times=times)
        scope.cancel()

    async def _work(self) -> None:
        async for request in self._requests:
            await self._share.turn()
            await self._respond(await answer(self._services, request, self._share))

    async def _wait(self, request: Request) -> None:
        try:
            with self._waiters[request.number]:
                response = await answer(self._services, request, self._share)
        finally:
            withdrawn = self._waiters.pop(request.number).cancel_called
        if not withdrawn:
            await self._respond(response)

    async def _respond(self, response: Response) -> None:
        try:
            if len(response.body) <= FRAMED_HERE_BYTES_MAX:
                frame = response_frame(response)
            else:
                frame = await reading(response_frame, response)
        except FrameError as error:
            refusal = Refusal(int(Code.LIMIT_EXCEEDED), "limit_exceeded", "reply", "", str(error))
            frame = response_frame(Response(response.number, BodyKind.REFUSED, pack(refusal)))
        await self._send.send(frame)


class _Share:
    """The part of a core's time that gateways' reads have, all of them together: who used it up waits."""

    def __init__(self) -> None:
        self._paid_until = 0.0

    async def turn(self) -> None:
        """Wait until the time used is no further ahead than it may be."""
        await trio.sleep_until(self._paid_until - GATEWAYS_S_MAX)

    def used(self, seconds: float) -> None:
        """Count time that was worked; it is paid for by as much more as the share is smaller than a core."""
        since = trio.current_time() - seconds
        self._paid_until = max(self._paid_until, since) + seconds * 100 / GATEWAYS_PERCENT_MAX


async def answer(services: Services, request: Request, share: _Share) -> Response:
    """The response to one request; a fault of ours is logged and refused, never raised."""
    try:
        read = READS.get(request.query)
        if read is None:
            raise Declined(Code.MALFORMED, "query", request.query, "there is no such query")
        try:
            question = unpack(request.body, read.query, REQUEST_BYTES_MAX)
        except CodecError as error:
            raise Declined(Code.MALFORMED, request.query, "", str(error)) from error
        return Response(request.number, BodyKind.ANSWER, await _reply(services, read, question, share))
    except (Refused, Declined) as refused:
        refusal = Refusal(int(refused.code), refused.code.word, *said(refused))
    except (StorageError, InvariantError) as error:
        _log.error("query failed", query=request.query, error=str(error))
        refusal = Refusal(0, "storage_failed", "query", request.query, "the node cannot read its storage")
    return Response(request.number, BodyKind.REFUSED, pack(refusal))


async def _reply(services: Services, read: Read[Any, Any], question: Question, share: _Share) -> bytes:
    if read.source is ReadFrom.NODE:
        return pack(await read.answer(services, question))
    spent: list[float] = []

    def work(view: View) -> bytes:
        started = time.thread_time()
        try:
            return pack(read.answer(view, question))
        finally:
            spent.append(time.thread_time() - started)

    view = services.view()
    try:
        return work(view) if read.source is ReadFrom.STATE else await reading(work, view)
    finally:
        share.used(sum(spent))
