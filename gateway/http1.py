"""HTTP/1.1 of one connection: requests read within bounds of bytes and time, each answered before the next.

`h11` knows the protocol; what it is lenient about is refused before it sees it: lines that end in a bare LF,
folded headers, a length beside chunks, a head or a body that is too large, too slow or in too many pieces.
Upgrades are not offered, so neither WebSocket nor HTTP/2 is spoken. A caller that leaves is noticed while its
answer is being made, and nothing is made for it any further.
"""

import re
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import h11
import trio

from gateway.limits import (
    AHEAD_BYTES_MAX,
    BODY_S_MAX,
    CHUNKS_MAX,
    HEAD_S_MAX,
    HTTP_HEADER_BYTES_MAX,
    IDLE_S_MAX,
    LINGER_BYTES_MAX,
    LINGER_S_MAX,
    SENT_BYTES_PER_S_MIN,
    SENT_S_MAX,
)
from gateway.shares import Caller, Full, Shares

RECEIVE_BYTES = 64 * 1024
END = b"\r\n\r\n"
BARE_LF = re.compile(rb"(?<!\r)\n")
FOLDED_OR_BARE_CR = re.compile(rb"\r\n[ \t]|\r(?!\n)")
SINGLE = frozenset(["host", "content-length", "content-type", "transfer-encoding", "origin", "expect"])
VERSIONS = frozenset([b"1.0", b"1.1"])

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The head of a request, of which each name in `SINGLE` came at most once."""

    method: str
    path: str
    headers: dict[str, str]
    caller: Caller


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What is answered; a `media` type goes with a body."""

    status: int
    body: bytes = b""
    media: str = "application/json"
    headers: Headers = ()


class Service(Protocol):
    """What stands behind the connections."""

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        """Why a request is not answered, told by its head alone, before its body is read; else None."""

    def answer(self, request: HttpRequest, body: bytes) -> Awaitable[HttpResponse]:
        """The response to a request; cancelled when its caller leaves."""

    def refused(self, reason: str) -> None:
        """Count a request that was refused before it was read."""

    def too_large(self, size: str) -> HttpResponse:
        """The response to a body above the limit."""

    def full(self, what: str, full: Full) -> HttpResponse:
        """The response when there is no room for more of `what`."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What all connections share: the bytes of bodies and of answers that are held at once."""

    body_bytes: int  # of one request
    bodies: Shares
    answers: Shares


class _Refused(Exception):
    """Not a request that is answered: `response` says why, and the connection ends with it."""

    def __init__(self, reason: str, response: HttpResponse) -> None:
        self.reason = reason
        self.response = response
        super().__init__(reason)


class _Gone(Exception):
    """The caller left, or does not read what it asked for."""


@dataclass(slots=True)
class _Exchange:
    """One request on its way: h11's view of it, and how much of its body is held."""

    connection: h11.Connection
    request: HttpRequest
    held: int = 0
    pieces: list[bytes] = field(default_factory=list)


class Visit:
    """One connection of a caller; `serve` returns when it is over and raises nothing that a caller causes."""

    def __init__(
        self, stream: trio.SocketStream, caller: Caller, service: Service, allowance: Allowance
    ) -> None:
        self._stream = stream
        self._caller = caller
        self._service = service
        self._allowance = allowance
        self._ahead = b""  # received and not yet read: the next request of a caller that does not wait
        self._finishing = False
        self._idle = trio.CancelScope()  # about the wait for the next request

    def finish(self) -> None:
        """Let the request under way be answered, and read no more."""
        self._finishing = True
        self._idle.cancel()

    async def serve(self) -> None:
        try:
            while not self._finishing and await self._serve_one():
                pass
        except (_Gone, trio.BrokenResourceError, trio.ClosedResourceError):
            self._service.refused("gone")

    async def _serve_one(self) -> bool:
        """Read and answer one request; whether another may follow."""
        try:
            exchange = await self._head()
            if exchange is None:
                return False
            response = self._service.admit(exchange.request)
            if response is None:
                response = await self._answer(exchange)
            with self._room("bytes of answers", self._allowance.answers, len(response.body)):
                last = exchange.connection.their_state is not h11.DONE or self._finishing
                await self._write(_encoded(exchange.connection, response, last))
        except _Refused as refused:
            self._service.refused(refused.reason)
            last = True
            await self._write(refusal_bytes(refused.response))
        else:
            last = last or exchange.connection.our_state is not h11.DONE
        if last:
            await self._linger()
        return not last

    # --- reading ----------------------------------------------------------------------------------------

    async def _head(self) -> _Exchange | None:
        """The next request's head, or None if none comes. Raises _Refused."""
        raw = self._ahead
        if not raw:
            with trio.move_on_after(IDLE_S_MAX) as self._idle:
                raw = await self._receive()
        if not raw:
            return None
        with self._in_time(HEAD_S_MAX):
            checked = 0
            while True:
                end = raw.find(END, max(0, checked - len(END)))
                head = raw if end < 0 else raw[: end + len(END)]
                if len(head) > HTTP_HEADER_BYTES_MAX:
                    raise _Refused("large", _plain(431, f"a head has at most {HTTP_HEADER_BYTES_MAX} bytes"))
                if not head[:1].isalpha() or BARE_LF.search(head, max(0, checked - 1)):
                    raise _malformed("lines end in CR LF, and the first begins with a method")
                if end >= 0:
                    break
                checked = len(raw)
                data = await self._receive()
                if not data:
                    raise _Gone
                raw += data
        self._ahead = b""
        return self._exchange(head, raw[len(head) :])

    def _exchange(self, head: bytes, rest: bytes) -> _Exchange:
        if FOLDED_OR_BARE_CR.search(head):
            raise _malformed("a header is one line")
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HTTP_HEADER_BYTES_MAX)
        connection.receive_data(head)
        event = _next(connection)
        if not isinstance(event, h11.Request) or event.http_version not in VERSIONS:
            raise _Refused("malformed", _plain(505, "this server speaks HTTP/1.1"))
        names = [line.partition(b":")[0].lower().decode("latin-1") for line in head.splitlines()[1:]]
        for name in SINGLE:
            if names.count(name) > 1:  # h11 would take two lengths that say the same for one
                raise _malformed(f"{name} stands there twice")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        if "host" not in headers:
            raise _malformed("host is required")
        if "transfer-encoding" in headers and ("content-length" in headers or event.http_version == b"1.0"):
            raise _malformed("a body has a length or comes in chunks of HTTP/1.1, not both")
        if rest:  # of which nothing would mean that the caller has left
            connection.receive_data(rest)
        path = event.target.decode("latin-1").partition("?")[0]
        return _Exchange(connection, HttpRequest(event.method.decode("ascii"), path, headers, self._caller))

    async def _read_body(self, exchange: _Exchange) -> bytes:
        """The whole body. Raises _Refused."""
        connection, most = exchange.connection, self._allowance.body_bytes
        declared = exchange.request.headers.get("content-length", "0")[:20]
        if int(declared) > most:
            raise _Refused("large", self._service.too_large(declared))
        with self._in_time(BODY_S_MAX):
            while not isinstance(event := _next(connection), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    await self._hold(exchange, bytes(event.data))
                    continue
                if connection.they_are_waiting_for_100_continue:
                    going_on = h11.InformationalResponse(status_code=100, headers=[])
                    await self._write(connection.send(going_on) or b"")
                data = await self._receive()
                if not data:
                    raise _Gone
                connection.receive_data(data)
        self._ahead = bytes(connection.trailing_data[0])
        return b"".join(exchange.pieces)

    async def _hold(self, exchange: _Exchange, piece: bytes) -> None:
        if exchange.held + len(piece) > self._allowance.body_bytes:
            raise _Refused("large", self._service.too_large(f"more than {self._allowance.body_bytes}"))
        if len(exchange.pieces) >= CHUNKS_MAX:
            raise _malformed(f"a body comes in at most {CHUNKS_MAX} chunks")
        try:
            self._allowance.bodies.take(self._caller.address, len(piece))
        except Full as full:
            raise _Refused("busy", self._service.full("bytes of bodies", full)) from full
        exchange.held += len(piece)
        exchange.pieces.append(piece)
        await trio.lowlevel.checkpoint()

    async def _receive(self) -> bytes:
        return bytes(await self._stream.receive_some(RECEIVE_BYTES))

    @contextmanager
    def _room(self, what: str, shares: Shares, amount: int) -> Iterator[None]:
        try:
            shares.take(self._caller.address, amount)
        except Full as full:
            raise _Refused("busy", self._service.full(what, full)) from full
        try:
            yield
        finally:
            shares.give_back(self._caller.address, amount)

    @contextmanager
    def _in_time(self, seconds: float) -> Iterator[None]:
        try:
            with trio.fail_after(seconds):
                yield
        except trio.TooSlowError:
            raise _Refused("slow", _plain(408, "the request did not arrive in time")) from None

    # --- answering --------------------------------------------------------------------------------------

    async def _answer(self, exchange: _Exchange) -> HttpResponse:
        """Read the body and have it answered, for as long as the caller is there."""
        try:
            body = await self._read_body(exchange)
            exchange.pieces.clear()
            answered: HttpResponse | None = None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, nursery.cancel_scope)
                answered = await self._service.answer(exchange.request, body)
                nursery.cancel_scope.cancel()
        finally:
            if exchange.held:
                self._allowance.bodies.give_back(self._caller.address, exchange.held)
        if answered is None:
            raise _Gone
        return answered

    async def _watch(self, scope: trio.CancelScope) -> None:
        """Cancel when the caller leaves. One that sends so much ahead is not watched any further."""
        while len(self._ahead) < AHEAD_BYTES_MAX:
            try:
                data = await self._receive()
            except trio.BrokenResourceError:
                data = b""
            if not data:
                scope.cancel()
                return
            self._ahead += data

    async def _write(self, data: bytes) -> None:
        """Send it all at a pace that holds its memory for a bounded time. Raises _Gone."""
        with trio.move_on_after(SENT_S_MAX + len(data) / SENT_BYTES_PER_S_MIN):
            await self._stream.send_all(data)
            return
        raise _Gone

    async def _linger(self) -> None:
        """Let what was said last arrive: a socket that is closed with bytes unread takes it back."""
        await self._stream.send_eof()
        left = LINGER_BYTES_MAX
        with trio.move_on_after(LINGER_S_MAX):
            while left > 0 and (data := await self._receive()):
                left -= len(data)


def refusal_bytes(response: HttpResponse) -> bytes:
    """The whole of a response that is given without a request, before the connection ends."""
    return _encoded(h11.Connection(h11.SERVER), response, True)


def _encoded(connection: h11.Connection, response: HttpResponse, last: bool) -> bytes:
    headers = list(response.headers)
    if response.body:
        headers.append(("content-type", response.media))
    if response.status != 204:
        headers.append(("content-length", str(len(response.body))))
    if last:
        headers.append(("connection", "close"))
    parts = [connection.send(h11.Response(status_code=response.status, headers=headers)) or b""]
    if response.body:
        parts.append(connection.send(h11.Data(data=response.body)) or b"")
    parts.append(connection.send(h11.EndOfMessage()) or b"")
    return b"".join(parts)


def _next(connection: h11.Connection) -> object:
    """The next event of h11. Raises _Refused for what is not HTTP."""
    try:
        return connection.next_event()
    except h11.RemoteProtocolError as error:
        raise _Refused("malformed", _plain(error.error_status_hint, str(error))) from error


def _malformed(rule: str) -> _Refused:
    return _Refused("malformed", _plain(400, rule))


def _plain(status: int, text: str) -> HttpResponse:
    return HttpResponse(status, f"{text}\n".encode(), "text/plain; charset=utf-8")
