"""The mesh: who may join, one connection per pair, and what a slow or hostile peer can do."""

import random
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
import structlog.testing
import trio
import trio.testing

from config.limits import SUBJECTS_A_MINUTE_MAX
from config.pki import (
    Identity,
    client_context,
    create_authority,
    issue_node,
    save_certificate,
    server_context,
)
from config.sparing import AGAIN_S, Sparing
from node.limits import HANDSHAKES_MAX
from node.peers import (
    BACKOFF_REFUSED_LAST_S,
    HELLO_S,
    IN_USE_S,
    LIVED_S,
    SILENCE_S,
    Link,
    Peer,
    PeerName,
    Peers,
    TlsTransport,
    Transport,
)
from testing.memory_network import MemoryNetwork, say
from wire.frames import LIMITS, Channel, FrameReceiver, FrameSender
from wire.messages import (
    PROTOCOL_VERSION,
    Hello,
    Message,
    Reception,
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


def _after_the_greeting() -> FrameSender:
    """A sender whose numbers go on where the hello and the welcome ended."""
    sender = FrameSender()
    for message in (HELLO, WELCOME):
        sender.push(*encode_message(message))
    sender.take()
    return sender


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
WELCOME = Reception("")


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
    recorder, _, stream = await _stranger(nursery, PeerName("b", "b-1"), HELLO, WELCOME)
    await _until(lambda: recorder.events == ["+b-1"])
    if isinstance(bad, bytes):
        await stream.send_all(bad)
    else:
        sender = _after_the_greeting()
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
    recorder, _, _ = await _stranger(nursery, PeerName("b", "b-1"), HELLO, WELCOME)
    await _until(lambda: recorder.events == ["+b-1"])
    await trio.sleep(SILENCE_S + 1)
    assert recorder.events == ["+b-1", "-b-1"]
    nursery.cancel_scope.cancel()


async def _statuses(stream: trio.abc.Stream) -> None:
    """Say a status each second, as every live node does."""
    sender = _after_the_greeting()
    while True:
        sender.push(*encode_message(Status(3, 0, 1)))
        await stream.send_all(sender.take())
        await trio.sleep(1)


async def _said(stream: trio.abc.Stream) -> list[Message]:
    """Everything that the other side says until it hangs up."""
    receiver = FrameReceiver()
    messages: list[Message] = []
    with trio.fail_after(2 * HELLO_S):
        while data := await stream.receive_some(65536):
            messages += [decode_message(*item) for item in receiver.feed(data)]
    return messages


async def test_a_new_connection_takes_the_place_of_one_that_fell_silent(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A machine that lost its power leaves a connection that looks open: its node gets in again at once."""
    recorder, mesh, stream = await _stranger(nursery, PeerName("b", "b-1"), HELLO, WELCOME)
    await _until(lambda: recorder.events == ["+b-1"])
    network = MemoryNetwork()
    network.transport("a-1", "a")
    near, far = trio.testing.memory_stream_pair()
    began = trio.current_time()
    nursery.start_soon(mesh._accept, Link(far, PeerName("b", "b-1")))
    await say(near, HELLO, WELCOME)
    await _until(lambda: recorder.events == ["+b-1", "-b-1", "+b-1"])
    assert trio.current_time() - began <= IN_USE_S + 0.1
    with trio.fail_after(1):
        while await stream.receive_some(65536):
            pass
    assert mesh.connected["b-1"].claims == 0
    nursery.cancel_scope.cancel()


async def test_a_copied_certificate_does_not_displace_a_peer_that_is_alive(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else whoever holds a copy of a validator's certificate cuts it off from its peers, again and again."""
    recorder, mesh, stream = await _stranger(nursery, PeerName("b", "b-1"), HELLO, WELCOME)
    await _until(lambda: recorder.events == ["+b-1"])
    nursery.start_soon(_statuses, stream)
    for _ in range(12):
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(mesh._accept, Link(far, PeerName("b", "b-1"), "192.0.2.7:4242"))
        await say(near, HELLO, WELCOME)
        last = (await _said(near))[-1]
        assert isinstance(last, Reception)
        assert "the name is in use twice" in last.reason
    assert recorder.events == ["+b-1"]
    assert mesh.connected["b-1"].claims == 12
    lines = [
        line for line in capsys.readouterr().out.splitlines() if "in use twice" in line and "name" in line
    ]
    assert 1 <= len([line for line in lines if "a name is in use twice" in line]) <= 2
    nursery.cancel_scope.cancel()


async def test_newcomers_of_one_name_are_judged_one_at_a_time(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    recorder, mesh, _ = await _stranger(nursery, PeerName("b", "b-1"), HELLO, WELCOME)
    await _until(lambda: recorder.events == ["+b-1"])
    streams = []
    for _ in range(2):
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(mesh._accept, Link(far, PeerName("b", "b-1")))
        await say(near, HELLO, WELCOME)
        streams.append(near)
        await trio.sleep(0.01)
    last = (await _said(streams[1]))[-1]
    assert isinstance(last, Reception)
    assert last.reason
    await _until(lambda: recorder.events == ["+b-1", "-b-1", "+b-1"])
    nursery.cancel_scope.cancel()


async def test_who_is_not_welcomed_has_not_joined(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A client of TLS 1.3 believes that it is connected before the other side has looked at it."""
    recorder, mesh, stream = await _stranger(nursery, PeerName("b", "b-1"), HELLO, Reception("not you"))
    await _said(stream)
    assert recorder.events == []
    assert mesh.connected == {}
    nursery.cancel_scope.cancel()


async def _dial_times(
    nursery: trio.Nursery, *answers: Message, seconds: float, lasts: float = 0
) -> list[float]:
    """When a node dialled within `seconds` another that answers each hello so, and hangs up after `lasts`."""
    network = MemoryNetwork()
    times: list[float] = []

    async def answer(link: Link) -> None:
        times.append(trio.current_time())
        await say(link.stream, *answers)
        with trio.move_on_after(lasts):
            while await link.stream.receive_some(65536):
                pass
        await trio.aclose_forcefully(link.stream)

    await nursery.start(network.transport("b-1", "b").serve, answer)
    mesh = _peers(network.transport("a-1", "a"), "a-1", ["b-1"], Recorder())
    await nursery.start(mesh.run)
    await trio.sleep(seconds)
    nursery.cancel_scope.cancel()
    return times


async def test_a_refused_dial_is_tried_ever_more_rarely(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Two nodes with one identity fought for ever at thirty lines a second."""
    times = await _dial_times(nursery, HELLO, Reception("the name is in use twice"), seconds=300)
    assert times[-1] - times[-2] >= BACKOFF_REFUSED_LAST_S / 2
    assert len([at for at in times if at > times[0] + 60]) <= 2 * 240 / BACKOFF_REFUSED_LAST_S


async def test_a_good_connection_that_breaks_is_dialled_again_at_once(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    times = await _dial_times(nursery, HELLO, WELCOME, seconds=40, lasts=LIVED_S + 1)
    assert len(times) >= 6
    assert all(later - earlier < LIVED_S + 1.2 for earlier, later in pairwise(times))


async def test_what_is_said_sparingly_is_said_once_a_minute_and_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sparing = Sparing()
    assert [sparing.due("refused", "b-1") for _ in range(5)] == [1, 0, 0, 0, 0]
    assert sparing.due("refused", "c-1") == 1
    await trio.sleep(AGAIN_S)
    assert sparing.due("refused", "b-1") == 5


async def test_of_what_happens_to_ever_new_ones_a_few_are_named_a_minute_and_the_rest_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sparing = Sparing()
    said = [sparing.due("refused", f"192.0.2.{number}") for number in range(200)]
    assert (sum(said), said[0]) == (SUBJECTS_A_MINUTE_MAX, 1)
    assert sparing.due("left", "192.0.2.1") == 1
    await trio.sleep(AGAIN_S)
    assert sparing.due("refused", "198.51.100.1") == 1 + 200 - SUBJECTS_A_MINUTE_MAX


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
        roots=lambda: {institution: (der,) for institution, der in roots.items()},
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
    assert second.connected["a-1"].identity.institution == "a"
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
    with structlog.testing.capture_logs() as lines:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        async with stream:
            host, own_port = stream.socket.getsockname()
            with trio.fail_after(HELLO_S + 1):
                while await stream.receive_some(1000):
                    pass
        await _until(lambda: [line["event"] for line in lines] == ["connection refused"])
    assert lines[0]["address"] == f"{host}:{own_port}"
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
