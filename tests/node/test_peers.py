"""The mesh: who may join, one connection per pair, and what a slow or hostile peer can do."""

import random
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
import trio.testing

from config.pki import (
    Identity,
    client_context,
    create_authority,
    issue_node,
    save_certificate,
    server_context,
)
from node.limits import HANDSHAKES_MAX
from node.peers import HELLO_S, SILENCE_S, Link, Peer, PeerName, Peers, TlsTransport, Transport
from testing.memory_network import MemoryNetwork, say
from wire.frames import LIMITS, Channel, FrameReceiver, FrameSender
from wire.messages import (
    PROTOCOL_VERSION,
    Hello,
    Message,
    Status,
    Transactions,
    decode_message,
    encode_message,
)

GENESIS = b"g" * 32


class Recorder:
    """A node that only remembers what its peers did."""

    def __init__(self) -> None:
        self.heard_messages: list[tuple[str, Message]] = []
        self.events: list[str] = []

    def joined(self, peer: Peer) -> None:
        self.events.append(f"+{peer.name}")

    async def heard(self, peer: Peer, message: Message) -> None:
        self.heard_messages.append((peer.name, message))
        await trio.lowlevel.checkpoint()

    def left(self, peer: Peer) -> None:
        self.events.append(f"-{peer.name}")


def _admit_all(peer: PeerName) -> str | None:
    return None


def _peers(
    transport: Transport,
    name: str,
    dials: list[str],
    recorder: Recorder,
    genesis: bytes = GENESIS,
) -> Peers:
    return Peers(
        name=name,
        genesis_hash=genesis,
        transport=transport,
        dials=dials,
        fault_of=lambda peer: (
            None if peer.institution != "unknown" else f"{peer.node} is not in the registry"
        ),
        height=lambda: 7,
        handler=recorder,
        jitter=random.Random(1),
    )


async def _until(condition, seconds: float = 20) -> None:  # type: ignore[no-untyped-def]
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.01)


async def test_four_nodes_form_a_mesh_with_one_connection_per_pair(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    network = MemoryNetwork()
    names = ["mof-1", "pvara-1", "sbp-1", "secp-1"]
    recorders = {name: Recorder() for name in names}
    meshes = {}
    for name in names:
        dials = [other for other in names if other > name]
        meshes[name] = _peers(network.transport(name, name[:-2]), name, dials, recorders[name])
        await nursery.start(meshes[name].run)
    await _until(lambda: all(len(mesh.connected) == 3 for mesh in meshes.values()))
    meshes["sbp-1"].broadcast(Status(9, 0, 1))
    await _until(lambda: all(recorders[name].heard_messages for name in names if name != "sbp-1"))
    assert recorders["mof-1"].heard_messages == [("sbp-1", Status(9, 0, 1))]
    assert meshes["mof-1"].connected["sbp-1"].status == Status(9, 0, 1)
    assert len(network.streams) == 12
    nursery.cancel_scope.cancel()


async def test_a_broken_connection_is_dialled_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    network = MemoryNetwork()
    one, other = Recorder(), Recorder()
    first = _peers(network.transport("a-1", "a"), "a-1", ["b-1"], one)
    second = _peers(network.transport("b-1", "b"), "b-1", [], other)
    await nursery.start(first.run)
    await nursery.start(second.run)
    await _until(lambda: "b-1" in first.connected)
    await network.separate("a-1", "b-1")
    await _until(lambda: not first.connected and not second.connected)
    network.rejoin("a-1", "b-1")
    await _until(lambda: "b-1" in first.connected and "a-1" in second.connected)
    assert one.events == ["+b-1", "-b-1", "+b-1"]
    nursery.cancel_scope.cancel()


async def _stranger(
    nursery: trio.Nursery, name: PeerName, *messages: Message
) -> tuple[Recorder, Peers, trio.abc.Stream]:
    """A node, and a hand-made connection to it that says `messages`."""
    network = MemoryNetwork()
    recorder = Recorder()
    mesh = _peers(network.transport("a-1", "a"), "a-1", [], recorder)
    await nursery.start(mesh.run)
    link = network.connect(name, "a-1")
    await say(link.stream, *messages)
    return recorder, mesh, link.stream


HELLO = Hello(PROTOCOL_VERSION, GENESIS, "b-1", 3, 1)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        (PeerName("b", "b-1"), Hello(PROTOCOL_VERSION + 1, GENESIS, "b-1", 3, 1)),
        (PeerName("b", "b-1"), Hello(PROTOCOL_VERSION, b"x" * 32, "b-1", 3, 1)),
        (PeerName("b", "b-1"), Hello(PROTOCOL_VERSION, GENESIS, "c-1", 3, 1)),
        (PeerName("a", "a-1"), Hello(PROTOCOL_VERSION, GENESIS, "a-1", 3, 1)),
        (PeerName("unknown", "b-1"), HELLO),
        (PeerName("b", "b-1"), Status(1, 0, 0)),
    ],
    ids=["version", "genesis", "name", "ourselves", "registry", "no hello"],
)
async def test_a_peer_that_may_not_join_is_hung_up_on(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, name: PeerName, first: Message
) -> None:
    recorder, mesh, stream = await _stranger(nursery, name, first)
    with trio.fail_after(HELLO_S + 1):
        while await stream.receive_some(65536):
            pass
    assert recorder.events == []
    assert mesh.connected == {}
    nursery.cancel_scope.cancel()


async def test_a_peer_without_a_hello_is_hung_up_on(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    _, mesh, stream = await _stranger(nursery, PeerName("b", "b-1"))
    with trio.fail_after(HELLO_S + 1):
        while await stream.receive_some(65536):
            pass
    assert mesh.connected == {}
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("bad", [HELLO, b"\xff\xff\xff\xff"], ids=["second hello", "no frame"])
async def test_a_peer_that_breaks_the_protocol_is_hung_up_on(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, bad: Message | bytes
) -> None:
    recorder, _, stream = await _stranger(nursery, PeerName("b", "b-1"), HELLO)
    await _until(lambda: recorder.events == ["+b-1"])
    if isinstance(bad, bytes):
        await stream.send_all(bad)
    else:
        sender = FrameSender()
        sender.push(*encode_message(Status(1, 0, 0)))
        sender.take()
        sender.push(*encode_message(bad))
        await stream.send_all(sender.take())
    with trio.fail_after(1):
        while await stream.receive_some(65536):
            pass
    await _until(lambda: recorder.events == ["+b-1", "-b-1"])
    nursery.cancel_scope.cancel()


async def test_a_silent_peer_is_hung_up_on(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    recorder, _, _ = await _stranger(nursery, PeerName("b", "b-1"), HELLO)
    await _until(lambda: recorder.events == ["+b-1"])
    await trio.sleep(SILENCE_S + 1)
    assert recorder.events == ["+b-1", "-b-1"]
    nursery.cancel_scope.cancel()


async def test_a_new_connection_of_the_same_node_replaces_the_old_one(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    network = MemoryNetwork()
    recorder = Recorder()
    mesh = _peers(network.transport("a-1", "a"), "a-1", [], recorder)
    await nursery.start(mesh.run)
    streams = []
    for _ in range(2):
        link: Link = network.connect(PeerName("b", "b-1"), "a-1")
        await say(link.stream, HELLO)
        streams.append(link.stream)
        await trio.sleep(0.1)
    with trio.fail_after(1):
        while await streams[0].receive_some(65536):
            pass
    assert recorder.events == ["+b-1", "-b-1", "+b-1"]
    assert len(mesh.connected) == 1
    nursery.cancel_scope.cancel()


async def test_a_peer_that_does_not_read_costs_bounded_memory_and_is_dropped_when_its_votes_overflow() -> (
    None
):
    peer = Peer(PeerName("b", "b-1"), HELLO, FrameSender())
    channel, batch = encode_message(Transactions((bytes(200_000),)))
    while peer.send(channel, batch):
        pass
    assert peer.sender.waiting_bytes() <= LIMITS[Channel.TRANSACTIONS].waiting_bytes_max
    assert peer.closed_because == ""
    assert peer.say(Status(1, 0, 0))
    while peer.say(Status(1, 0, 0)):
        pass
    assert "votes" in peer.closed_because
    assert peer.scope.cancel_called


async def test_transactions_wait_behind_votes() -> None:
    peer = Peer(PeerName("b", "b-1"), HELLO, FrameSender())
    peer.say(Transactions((bytes(300_000),)))
    peer.say(Status(1, 0, 0))
    channel, data = FrameReceiver().feed(peer.sender.take())[0]
    assert isinstance(decode_message(channel, data), Status)


def _tls(
    folder: Path,
    name: str,
    listen: tuple[str, int],
    addresses: dict[str, tuple[str, int]],
    impostor: bool = False,
) -> TlsTransport:
    """A transport whose certificate names `name`; an impostor's is issued by another institution."""
    now = datetime.now(UTC)
    for institution in ("a", "b"):
        if institution not in AUTHORITIES:
            AUTHORITIES[institution] = create_authority("testnet", institution, now)
    institution = name[0]
    issuer = AUTHORITIES["a" if impostor else institution]
    issued = issue_node(issuer, Identity("testnet", institution, name), now)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    save_certificate(issued, certificate, key, b"correct horse battery")
    roots = {institution: authority.der for institution, authority in AUTHORITIES.items()}
    return TlsTransport(
        listen=listen,
        addresses=addresses,
        server=server_context(certificate, key, b"correct horse battery", roots.values()),
        client=client_context(certificate, key, b"correct horse battery", roots.values()),
        roots=lambda: roots,
        chain="testnet",
    )


AUTHORITIES: dict = {}  # type: ignore[type-arg]


async def _free_port() -> int:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    return port


async def test_two_nodes_join_over_real_tls(tmp_path: Path, nursery: trio.Nursery) -> None:
    port = await _free_port()
    address = ("127.0.0.1", port)
    one, other = Recorder(), Recorder()
    first = _peers(_tls(tmp_path, "a-1", ("127.0.0.1", 0), {"b-1": address}), "a-1", ["b-1"], one)
    second = _peers(_tls(tmp_path, "b-1", address, {}), "b-1", [], other)
    await nursery.start(second.run)
    await nursery.start(first.run)
    await _until(lambda: "b-1" in first.connected and "a-1" in second.connected)
    batch = Transactions((bytes(range(256)) * 3500,))
    first.broadcast(batch)
    await _until(lambda: other.heard_messages == [("a-1", batch)])
    assert second.connected["a-1"].institution == "a"
    nursery.cancel_scope.cancel()


async def test_a_certificate_of_another_institutions_root_is_refused(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    port = await _free_port()
    address = ("127.0.0.1", port)
    one, other = Recorder(), Recorder()
    first = _peers(
        _tls(tmp_path, "b-9", ("127.0.0.1", 0), {"a-1": address}, impostor=True), "b-9", ["a-1"], one
    )
    second = _peers(_tls(tmp_path, "a-1", address, {}), "a-1", [], other)
    await nursery.start(second.run)
    await nursery.start(first.run)
    await trio.sleep(0.5)
    assert one.events == other.events == []
    nursery.cancel_scope.cancel()


async def test_what_speaks_no_tls_is_refused(tmp_path: Path, nursery: trio.Nursery) -> None:
    port = await _free_port()
    mesh = _peers(_tls(tmp_path, "a-1", ("127.0.0.1", port), {}), "a-1", [], Recorder())
    await nursery.start(mesh.run)
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
    async with stream:
        with trio.fail_after(HELLO_S + 1):
            while await stream.receive_some(1000):
                pass
    assert mesh.connected == {}
    nursery.cancel_scope.cancel()


async def test_strangers_that_say_nothing_cost_a_bounded_number_of_connections(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    port = await _free_port()
    mesh = _peers(_tls(tmp_path, "a-1", ("127.0.0.1", port), {}), "a-1", [], Recorder())
    await nursery.start(mesh.run)
    silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(HANDSHAKES_MAX)]
    await trio.sleep(0.2)
    one_more = await trio.open_tcp_stream("127.0.0.1", port)
    with trio.fail_after(HELLO_S / 2), suppress(trio.BrokenResourceError):
        assert await one_more.receive_some(1) == b""
    for stream in (*silent, one_more):
        await trio.aclose_forcefully(stream)
    nursery.cancel_scope.cancel()
