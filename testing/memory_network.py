"""A network in memory: nodes of one process joined by Trio's memory streams, without TLS."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import trio
import trio.testing

from node.peers import Link, PeerName
from wire.frames import FrameSender
from wire.messages import Message, encode_message


class MemoryNetwork:
    """Everyone who listens, by node name. `cut` names pairs that cannot connect."""

    def __init__(self) -> None:
        self._listeners: dict[str, trio.MemorySendChannel[Link]] = {}
        self.institutions: dict[str, str] = {}
        self.roots: dict[str, bytes] = {}  # that issued a node's certificate, if another
        self.cut: set[frozenset[str]] = set()
        self.streams: list[tuple[frozenset[str], trio.abc.Stream]] = []

    def transport(self, name: str, institution: str) -> "MemoryTransport":
        self.institutions[name] = institution
        return MemoryTransport(self, name, institution)

    async def separate(self, one: str, other: str) -> None:
        """Break the connections between two nodes and let none come about."""
        pair = frozenset((one, other))
        self.cut.add(pair)
        for joined, stream in list(self.streams):
            if joined == pair:
                await trio.aclose_forcefully(stream)

    def rejoin(self, one: str, other: str) -> None:
        self.cut.discard(frozenset((one, other)))

    def connect(self, dialler: PeerName, name: str) -> Link:
        listener = self._listeners.get(name)
        pair = frozenset((dialler.node, name))
        if listener is None or pair in self.cut:
            raise OSError(f"nobody listens as {name}")
        near, far = trio.testing.memory_stream_pair()
        self.streams += [(pair, near), (pair, far)]
        try:
            listener.send_nowait(Link(far, self._authenticated(dialler)))
        except (trio.WouldBlock, trio.BrokenResourceError) as error:
            raise OSError(f"{name} does not accept") from error
        return Link(near, self._authenticated(PeerName(self.institutions[name], name)))

    def _authenticated(self, name: PeerName) -> PeerName:
        """As TLS would have it: with the root that issued the certificate, of `testing.cluster`."""
        return replace(name, root=self.roots.get(name.node, b"root of " + name.institution.encode()))


class MemoryTransport:
    """One node's way into the network."""

    def __init__(self, network: MemoryNetwork, name: str, institution: str) -> None:
        self._network = network
        self._me = PeerName(institution, name)

    async def dial(self, name: str) -> Link:
        await trio.lowlevel.checkpoint()
        return self._network.connect(self._me, name)

    async def serve(
        self, accept: Callable[[Link], Awaitable[None]], task_status: trio.TaskStatus[None]
    ) -> None:
        send, receive = trio.open_memory_channel[Link](16)
        self._network._listeners[self._me.node] = send
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                async for link in receive:
                    nursery.start_soon(accept, link)
        finally:
            if self._network._listeners.get(self._me.node) is send:
                del self._network._listeners[self._me.node]


async def say(stream: trio.abc.Stream, *messages: Message) -> None:
    """Say messages on a connection that a test made by hand."""
    sender = FrameSender()
    for message in messages:
        sender.push(*encode_message(message))
    while data := sender.take():
        await stream.send_all(data)
