"""The mesh: one connection to each other node, an application hello on it, bounded queues behind it.

Of each pair exactly one side dials, so there is one connection per pair. A connection counts once both sides
have said hello and each has welcomed the other. When a new one comes for a node that is connected, that one
stays if it says anything within IN_USE_S, as every live node does each second: then two nodes run under one
name, and the newcomer is refused; else it was dead and makes room. A peer is who its certificate says and
its hello repeats, and `fault_of` says whether the ledger's registry knows it.

Nothing here blocks consensus: sending only queues, transactions and blocks that find no room are dropped
(they are said again), and a peer whose votes find no room is disconnected.
"""

import random
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import structlog
import trio

from config.pki import CertificateError, identity_and_root, trust
from config.sparing import Sparing
from ledger.release import newest
from node.limits import FAREWELL_BYTES_MAX, HANDSHAKES_MAX, PEERS_CONNECTIONS_MAX, STRANGERS_MAX
from wire.frames import Channel, FrameReceiver, FrameSender, PeerError
from wire.limits import REASON_CHARACTERS_MAX
from wire.messages import (
    PROTOCOL_VERSION,
    Hello,
    Message,
    Reception,
    Status,
    decode_message,
    encode_message,
)

HELLO_S = 5.0  # from an open connection to a welcome
IN_USE_S = 2.5  # in which a live peer says two statuses; well below HELLO_S
FAREWELL_S = 1.0  # for a peer to hear why it is refused
DIAL_S = 5.0
SILENCE_S = 30.0  # a peer says its status every second
SEND_S = 15.0  # for one piece of at most two frames
BACKOFF_FIRST_S = 0.05
BACKOFF_LAST_S = 1.0  # after a dial that found nobody, or a connection that broke
BACKOFF_REFUSED_LAST_S = 10.0  # after a refusal, which a moment does not mend
LIVED_S = 5.0  # a connection that lasted so long was a good one
RECEIVE_BYTES = 128 * 1024
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)

log = structlog.get_logger("peers")


@dataclass(frozen=True, slots=True)
class PeerName:
    """Whom the transport has authenticated at the other end, and the institution's root (DER) that issued its
    certificate."""

    institution: str
    node: str
    root: bytes = b""  # connections that a test makes by hand have none


@dataclass(frozen=True, slots=True)
class Link:
    """An open connection and who is at its other end."""

    stream: trio.abc.Stream
    peer: PeerName
    address: str = ""


class Ending(Enum):
    """How a connection that we dialled ended."""

    REFUSED = auto()  # one side did not welcome the other
    SHORT = auto()
    LONG = auto()  # it lasted LIVED_S at least


class Transport(Protocol):
    """How connections come about: TLS over TCP in a node, memory streams in tests."""

    async def dial(self, name: str) -> Link:
        """A connection to the node `name`. Raises OSError or PeerError."""
        ...

    async def serve(
        self, accept: Callable[[Link], Awaitable[None]], task_status: trio.TaskStatus[None]
    ) -> None:
        """Call `accept` with every connection made to us, each in a task of its own, for ever."""
        ...


class Peer:
    """One connected node: its queue and what it said about itself."""

    def __init__(self, name: PeerName, hello: Hello, sender: FrameSender) -> None:
        self.identity = name
        self.status = Status(hello.height, 0, 0)
        self.knows = hello.knows
        self.dropped = 0
        self.sender = sender
        self.wake = trio.Event()
        self.scope = trio.CancelScope()
        self.closed_because = ""
        self.gone = trio.Event()
        self.heard = trio.Event()  # something came since this was last made anew, or it is gone
        self.busy = False  # what it said is being taken in
        self.claims = 0  # other connections that came under its name while it lived

    @property
    def name(self) -> str:
        return self.identity.node

    async def is_alive(self) -> bool:
        """Returns True if the peer says something within IN_USE_S, or we are still at what it said."""
        if self.heard.is_set():
            self.heard = trio.Event()
        with trio.move_on_after(IN_USE_S):
            await self.heard.wait()
        return not self.gone.is_set() and (self.heard.is_set() or self.busy)

    def send(self, channel: Channel, data: bytes) -> bool:
        """Returns True if the encoded message was queued, False if it was dropped for want of room."""
        if self.sender.push(channel, data):
            self.wake.set()
            return True
        self.dropped += 1
        if channel is Channel.VOTES:
            self.close("it does not read its votes")
        return False

    def say(self, message: Message) -> bool:
        return self.send(*encode_message(message))

    def close(self, reason: str) -> None:
        if not self.closed_because:
            self.closed_because = reason
        self.scope.cancel()


class PeerHandler(Protocol):
    """What the node does about its peers. `heard` may wait: then only that peer waits."""

    def joined(self, peer: Peer) -> None: ...

    async def heard(self, peer: Peer, message: Message) -> None: ...

    def left(self, peer: Peer) -> None: ...


class Peers:
    """All connections of one node."""

    def __init__(
        self,
        *,
        name: str,
        genesis_hash: bytes,
        transport: Transport,
        dials: Iterable[str],
        fault_of: Callable[[PeerName], str | None],
        height: Callable[[], int],
        handler: PeerHandler,
        jitter: random.Random,
        connections_max: int = PEERS_CONNECTIONS_MAX,
    ) -> None:
        """`dials` are the nodes that we connect to (the others connect to us); `fault_of` says why a peer may
        not join, or None; `height` is our committed height, for the hello."""
        self._name = name
        self._genesis_hash = genesis_hash
        self._transport = transport
        self._dials = tuple(dials)
        self._fault_of = fault_of
        self._height = height
        self._handler = handler
        self._jitter = jitter
        self._connections_max = connections_max
        self._strangers = 0
        self._greeted: set[str] = set()  # names of which a newcomer is being greeted
        self._sparing = Sparing()
        self.connected: dict[str, Peer] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept and keep connections until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve)
            for name in self._dials:
                nursery.start_soon(self._keep_dialling, name)
            task_status.started()

    def broadcast(self, message: Message) -> None:
        """Queue the message for every connected peer, encoded once."""
        channel, data = encode_message(message)
        for peer in list(self.connected.values()):
            peer.send(channel, data)

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        await self._transport.serve(self._accept, task_status)

    async def _accept(self, link: Link) -> None:
        if self._strangers >= STRANGERS_MAX or len(self.connected) >= self._connections_max:
            self._warn("connection refused", link, "too many connections")
            await trio.aclose_forcefully(link.stream)
            return
        await self._converse(link)

    async def _keep_dialling(self, name: str) -> None:
        backoff = BACKOFF_FIRST_S
        while True:
            connected = self.connected.get(name)
            if connected is not None:  # it has dialled us
                await connected.gone.wait()
            try:
                with trio.fail_after(DIAL_S):
                    link = await self._transport.dial(name)
                if link.peer.node != name:
                    await trio.aclose_forcefully(link.stream)
                    raise PeerError(f"its certificate names {link.peer.node!r}")
            except (OSError, PeerError, trio.TooSlowError) as error:
                log.debug("dial failed", peer=name, reason=str(error) or type(error).__name__)
                backoff = min(2 * backoff, BACKOFF_LAST_S)
            else:
                match await self._converse(link):
                    case Ending.REFUSED:
                        backoff = min(2 * backoff, BACKOFF_REFUSED_LAST_S)
                    case Ending.SHORT:
                        backoff = min(2 * backoff, BACKOFF_LAST_S)
                    case Ending.LONG:
                        backoff = BACKOFF_FIRST_S
            await trio.sleep(backoff * self._jitter.uniform(0.5, 1.0))

    async def _converse(self, link: Link) -> Ending:
        """Speak on one connection until it ends; how it ended."""
        sender, receiver = FrameSender(), FrameReceiver()
        self._strangers += 1
        try:
            with trio.fail_after(HELLO_S):
                hello, early = await self._greet(link, sender, receiver)
        except (PeerError, trio.TooSlowError, *BROKEN) as error:
            self._warn("peer refused", link, str(error) or type(error).__name__)
            await trio.aclose_forcefully(link.stream)
            return Ending.REFUSED
        finally:
            self._strangers -= 1
        peer = Peer(link.peer, hello, sender)
        earlier = self.connected.pop(peer.name, None)
        if earlier is not None:
            earlier.close("it fell silent, and connected anew")
            self._handler.left(earlier)
        self.connected[peer.name] = peer
        began = trio.current_time()
        log.info("peer joined", peer=peer.name, height=hello.height)
        self._handler.joined(peer)
        try:
            await self._speak(link.stream, peer, receiver, early)
        finally:
            if self.connected.get(peer.name) is peer:
                del self.connected[peer.name]
                self._handler.left(peer)
            peer.gone.set()
            peer.heard.set()
            log.info("peer left", peer=peer.name, reason=peer.closed_because or "the node stops")
            await trio.aclose_forcefully(link.stream)
        return Ending.LONG if trio.current_time() >= began + LIVED_S else Ending.SHORT

    def _warn(self, event: str, link: Link, reason: str) -> None:
        """Say it, but of one peer once a minute: whoever is refused comes again."""
        times = self._sparing.due(event, link.peer.node)
        if times:
            log.warning(event, peer=link.peer.node, address=link.address, reason=reason, times=times)

    async def _greet(
        self, link: Link, sender: FrameSender, receiver: FrameReceiver
    ) -> tuple[Hello, list[tuple[Channel, bytes]]]:
        """The peer's hello, and whatever it said in the same breath as its welcome. Raises PeerError if
        either side does not welcome the other."""
        waiting: list[tuple[Channel, bytes]] = []
        ours = Hello(PROTOCOL_VERSION, self._genesis_hash, self._name, self._height(), newest())
        sender.push(*encode_message(ours))
        await link.stream.send_all(sender.take())
        hello = await _next(link.stream, receiver, waiting)
        if not isinstance(hello, Hello):
            raise PeerError(f"its first message is {type(hello).__name__}, must be Hello")
        fault = self._hello_fault(link.peer, hello) or await self._name_fault(link)
        sender.push(*encode_message(Reception((fault or "")[:REASON_CHARACTERS_MAX])))
        await link.stream.send_all(sender.take())
        if fault is not None:
            await _see_off(link.stream)
            raise PeerError(fault)
        reception = await _next(link.stream, receiver, waiting)
        if not isinstance(reception, Reception):
            raise PeerError(f"its second message is {type(reception).__name__}, must be Reception")
        if reception.reason:
            raise PeerError(f"it refuses us: {reception.reason}")
        return hello, waiting

    def _hello_fault(self, peer: PeerName, hello: Hello) -> str | None:
        if hello.version != PROTOCOL_VERSION:
            return f"it speaks version {hello.version}, we speak {PROTOCOL_VERSION}"
        if hello.genesis_hash != self._genesis_hash:
            return f"its genesis is {hello.genesis_hash.hex()}, ours {self._genesis_hash.hex()}"
        if hello.name != peer.node or hello.name == self._name:
            return f"its hello names {hello.name!r}, its certificate {peer.node!r}"
        return self._fault_of(peer)

    async def _name_fault(self, link: Link) -> str | None:
        """Why nobody may join under this name now, or None. One newcomer of a name is judged at a time."""
        name = link.peer.node
        earlier = self.connected.get(name)
        if earlier is None and name not in self._greeted:
            return None
        alive = True
        if earlier is not None and name not in self._greeted:
            self._greeted.add(name)
            try:
                alive = await earlier.is_alive()
            finally:
                self._greeted.remove(name)
        if not alive and self.connected.get(name) in (None, earlier):
            return None
        if earlier is not None:
            earlier.claims += 1
        times = self._sparing.due("twice", name)
        if times:
            log.error("a name is in use twice", name=name, address=link.address, times=times)
        return f"the name is in use twice: another connection of {name} is alive"

    async def _speak(
        self,
        stream: trio.abc.Stream,
        peer: Peer,
        receiver: FrameReceiver,
        early: list[tuple[Channel, bytes]],
    ) -> None:
        with peer.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_write, stream, peer)
                try:
                    await self._read(stream, peer, receiver, early)
                except PeerError as error:
                    peer.close(f"it broke the protocol: {error}")
                    log.warning("peer misbehaved", peer=peer.name, reason=str(error))
                except BROKEN:
                    peer.close("the connection broke")

    async def _read(
        self,
        stream: trio.abc.Stream,
        peer: Peer,
        receiver: FrameReceiver,
        messages: list[tuple[Channel, bytes]],
    ) -> None:
        while True:
            for channel, data in messages:
                message = decode_message(channel, data)
                if isinstance(message, Hello):
                    raise PeerError("a second hello")
                if isinstance(message, Status):
                    peer.status = message
                peer.busy = True
                await self._handler.heard(peer, message)
                peer.busy = False
            received: bytes | bytearray | None = None
            with trio.move_on_after(SILENCE_S):
                received = await stream.receive_some(RECEIVE_BYTES)
            if received is None:
                return peer.close(f"it said nothing for {SILENCE_S:.0f} s")
            if not received:
                return peer.close("it closed the connection")
            peer.heard.set()
            messages = receiver.feed(received)


async def _next(
    stream: trio.abc.Stream, receiver: FrameReceiver, waiting: list[tuple[Channel, bytes]]
) -> Message:
    """The next message; what came with it stays in `waiting`. Raises PeerError."""
    while not waiting:
        data = await stream.receive_some(RECEIVE_BYTES)
        if not data:
            raise PeerError("it closed the connection before its hello and its welcome")
        waiting.extend(receiver.feed(data))
    return decode_message(*waiting.pop(0))


async def _see_off(stream: trio.abc.Stream) -> None:
    """Let a peer that was refused hear why: what it has sent meanwhile is read, a little of it, so that the
    connection is not reset under our words."""
    left = FAREWELL_BYTES_MAX
    with trio.move_on_after(FAREWELL_S):
        while left > 0 and (data := await stream.receive_some(left)):
            left -= len(data)


async def _write(stream: trio.abc.Stream, peer: Peer) -> None:
    while True:
        data = peer.sender.take()
        if not data:
            await peer.wake.wait()
            peer.wake = trio.Event()
            continue
        try:
            with trio.fail_after(SEND_S):
                await stream.send_all(data)
        except BROKEN:
            return peer.close("the connection broke")
        except trio.TooSlowError:
            return peer.close(f"it took nothing for {SEND_S:.0f} s")


class TlsTransport:
    """TLS 1.3 over TCP, certificates both ways."""

    def __init__(
        self,
        *,
        listen: tuple[str, int],
        addresses: Mapping[str, tuple[str, int]],
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        roots: Callable[[], Mapping[str, Sequence[bytes]]],
        chain: str,
    ) -> None:
        """`addresses` are those of the nodes we dial; `roots` each institution's roots (DER) as they are now:
        asked at each handshake, so that a root that changes needs no restart."""
        self._listen = listen
        self._addresses = dict(addresses)
        self._server = server
        self._client = client
        self._roots = roots
        self._chain = chain
        self._trusted: set[bytes] = set()

    async def dial(self, name: str) -> Link:
        host, port = self._addresses[name]
        tcp = await trio.open_tcp_stream(host, port)
        return await self._authenticated(tcp, self._client, server_side=False)

    async def serve(
        self, accept: Callable[[Link], Awaitable[None]], task_status: trio.TaskStatus[None]
    ) -> None:
        handshakes = 0
        sparing = Sparing()

        def warn(address: str, reason: str) -> None:
            times = sparing.due("connection refused", address.rpartition(":")[0])
            if times:
                log.warning("connection refused", address=address, reason=reason, times=times)

        async def welcome(tcp: trio.SocketStream) -> None:
            nonlocal handshakes
            address = _address(tcp)  # which nobody can tell once it is closed
            if handshakes >= HANDSHAKES_MAX:
                warn(address, "too many handshakes")
                await trio.aclose_forcefully(tcp)
                return
            handshakes += 1
            try:
                with trio.fail_after(HELLO_S):
                    link = await self._authenticated(tcp, self._server, server_side=True)
            except (PeerError, trio.TooSlowError) as error:
                warn(address, str(error) or type(error).__name__)
                return
            finally:
                handshakes -= 1
            await accept(link)

        host, port = self._listen
        listeners = await trio.open_tcp_listeners(port, host=host)
        task_status.started()
        await trio.serve_listeners(welcome, listeners)

    async def _authenticated(
        self, tcp: trio.SocketStream, context: ssl.SSLContext, *, server_side: bool
    ) -> Link:
        address = _address(tcp)
        roots = self._trust()
        stream = trio.SSLStream(tcp, context, server_side=server_side, https_compatible=True)
        try:
            await stream.do_handshake()
            certificate = stream.getpeercert(binary_form=True)
            if certificate is None:
                raise PeerError("it has no certificate")
            identity, root = identity_and_root(certificate, roots)
            if identity.chain != self._chain:
                raise PeerError(f"its certificate is for chain {identity.chain!r}, ours is {self._chain!r}")
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(tcp)
            raise PeerError(f"no TLS: {error.__cause__ or error}") from error
        except CertificateError as error:
            await trio.aclose_forcefully(tcp)
            raise PeerError(str(error)) from error
        except BaseException:
            await trio.aclose_forcefully(tcp)
            raise
        return Link(stream, PeerName(identity.institution, identity.node, root), address)

    def _trust(self) -> Mapping[str, Sequence[bytes]]:
        """The roots as they are now. OpenSSL forgets none that it was given; `identity_and_root` does."""
        roots = self._roots()
        for institution, ders in roots.items():
            for der in ders:
                if der not in self._trusted:
                    self._trusted.add(der)
                    fault = trust(self._server, der) or trust(self._client, der)
                    if fault is not None:
                        log.warning("a root that cannot be used", institution=institution, reason=fault)
        return roots


def _address(tcp: trio.SocketStream) -> str:
    """The other end's address and port, or nothing if it has gone."""
    try:
        host, port = tcp.socket.getpeername()[:2]
    except OSError:
        return ""
    return f"{host}:{port}"
