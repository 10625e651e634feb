"""The gateway's link to its node: pipelined questions over the Unix socket, taken up again when it returns.

While there is no connection every question fails at once with `node_unavailable`; one that was under way when
the connection broke fails too, and may be asked again (submitting is idempotent).
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
import trio

from api.declare import Question, Read
from api.fields import Shown
from api.limits import RESPONSE_BYTES_MAX
from api.reads import READS
from api.requests import (
    WITHDRAW,
    BodyKind,
    FrameError,
    FrameReader,
    Refusal,
    Request,
    Response,
    decode_response,
    request_frame,
)
from config.sparing import Sparing
from gateway.jsonrpc import INTERNAL_ERROR, NODE_BUSY, NODE_TIMEOUT, NODE_UNAVAILABLE, RpcError
from gateway.limits import ANSWER_S_MAX, FRAMES_AHEAD_MAX, RECONNECT_S_MAX, RECONNECT_S_MIN, UNDER_WAY_MAX
from gateway.shares import Caller
from gateway.turns import Turns
from primitives.codec import CodecError, pack, unpack

WAIT_MARGIN_S = 5.0
RECEIVE_BYTES = 64 * 1024

_log = structlog.get_logger("gateway")


class _Pending:
    """A question that waits for its response."""

    __slots__ = ("answered", "response")

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.response: Response | None = None  # None: the connection broke


class NodeLink:
    """One connection to the node's socket, kept up by `run`; `ask` may be called by many tasks at once, of
    which several are under way and callers take turns; `each`: how many of one address."""

    def __init__(self, socket_path: Path, each: int = UNDER_WAY_MAX) -> None:
        self._path = socket_path
        self._pending: dict[int, _Pending] = {}
        self._number = 0
        self._frames: trio.MemorySendChannel[bytes] | None = None
        self._sparing = Sparing()
        self._turns = Turns(UNDER_WAY_MAX, each)

    @property
    def connected(self) -> bool:
        return self._frames is not None

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        delay = RECONNECT_S_MIN
        while True:
            try:
                stream = await trio.open_unix_socket(str(self._path))
            except OSError as error:
                if delay == RECONNECT_S_MIN:
                    _log.warning("node unavailable", socket=str(self._path), error=str(error))
                await trio.sleep(delay)
                delay = min(delay * 2, RECONNECT_S_MAX)
                continue
            delay = RECONNECT_S_MIN
            if times := self._sparing.due("connected to node", ""):
                _log.info("connected to node", socket=str(self._path), times=times)
            async with stream:
                await self._serve(stream)
            if times := self._sparing.due("connection to node lost", ""):
                _log.warning("connection to node lost", socket=str(self._path), times=times)
            await trio.sleep(delay)

    async def ask(self, question: Question, caller: Caller, within_s: float | None = None) -> Shown:
        """The node's reply to `question`, which is no wait's if `within_s` is given. Raises RpcError if it
        refuses, or if there is no answer in time."""
        read = READS[question.method]
        timeout_s = ANSWER_S_MAX if within_s is None else within_s
        if read.waits:
            timeout_ms: int = getattr(question, "timeout_ms")  # noqa: B009
            timeout_s = timeout_ms / 1000 + WAIT_MARGIN_S
        if self._frames is None:
            raise _unavailable(self._path)
        with trio.move_on_after(timeout_s):
            if read.waits:
                return _reply(read, await self._exchange(question))
            async with self._turns.turn(caller):
                return _reply(read, await self._exchange(question))
        rule = f"the node did not answer within {timeout_s:g} s; ask again"
        raise RpcError(NODE_TIMEOUT, "Node timeout", "node_timeout", "", "", rule)

    async def _exchange(self, question: Question) -> Response:
        number = self._number
        self._number = (number + 1) % 2**32
        pending = self._pending[number] = _Pending()
        try:
            try:
                frame = request_frame(Request(number, question.method, pack(question)))
            except FrameError as error:
                raise RpcError(NODE_BUSY, "Node busy", "limit_exceeded", "params", "", str(error)) from error
            frames = self._frames
            if frames is None:
                raise _unavailable(self._path)
            try:
                await frames.send(frame)
            except trio.BrokenResourceError:
                raise _unavailable(self._path) from None
            await pending.answered.wait()
        except trio.Cancelled:
            if READS[question.method].waits:
                self._withdraw(number)
            raise
        finally:
            del self._pending[number]
        if pending.response is None:
            raise _unavailable(self._path)
        return pending.response

    def _withdraw(self, number: int) -> None:
        """Tell the node that nobody waits any more; if there is no room to, its wait ends by itself."""
        if self._frames is not None:
            with suppress(trio.WouldBlock, trio.BrokenResourceError):
                self._frames.send_nowait(request_frame(Request(number, WITHDRAW, b"")))

    async def _serve(self, stream: trio.SocketStream) -> None:
        """Carry frames both ways until the connection ends, for whatever reason."""
        send, receive = trio.open_memory_channel[bytes](FRAMES_AHEAD_MAX)
        self._frames = send
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, stream, receive, nursery.cancel_scope)
                await self._read(stream)
                nursery.cancel_scope.cancel()
        finally:
            self._frames = None
            receive.close()
            for pending in self._pending.values():
                pending.answered.set()

    async def _write(
        self, stream: trio.SocketStream, frames: trio.MemoryReceiveChannel[bytes], scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError):
            async for frame in frames:
                await stream.send_all(frame)
        scope.cancel()

    async def _read(self, stream: trio.SocketStream) -> None:
        reader = FrameReader(RESPONSE_BYTES_MAX)
        while True:
            try:
                data = await stream.receive_some(RECEIVE_BYTES)
                responses = [decode_response(body) for body in reader.feed(data)]
            except trio.BrokenResourceError:
                return
            except (FrameError, CodecError) as error:
                if times := self._sparing.due("node does not speak our protocol", ""):
                    _log.error("node does not speak our protocol", error=str(error), times=times)
                return
            if not data:
                return
            for response in responses:
                pending = self._pending.get(response.number)
                if pending is not None and not pending.answered.is_set():
                    pending.response = response
                    pending.answered.set()


def _reply(read: Read[Any, Any], response: Response) -> Shown:
    try:
        if response.kind is BodyKind.ANSWER:
            reply: Shown = unpack(response.body, read.reply, RESPONSE_BYTES_MAX)
            return reply
        refusal = unpack(response.body, Refusal, RESPONSE_BYTES_MAX)
    except CodecError as error:
        _log.error("node's answer is not of its schema", query=read.name, error=str(error))
        raise RpcError(INTERNAL_ERROR, "Internal error", "internal_error") from error
    if response.kind is BodyKind.BUSY:
        raise RpcError(NODE_BUSY, "Node busy", refusal.name, refusal.field, refusal.value, refusal.rule)
    code = refusal.code or INTERNAL_ERROR
    raise RpcError(code, refusal.name, refusal.name, refusal.field, refusal.value, refusal.rule)


def _unavailable(path: Path) -> RpcError:
    rule = "the gateway has no connection to its node and tries again; ask again in a moment"
    return RpcError(NODE_UNAVAILABLE, "Node unavailable", "node_unavailable", "socket", path.name, rule)
