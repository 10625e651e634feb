"""The gateway's door to the street: no stranger's connection ends it, wedges it, or takes all its places."""

import base64
import random
import resource
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from gateway import http1, street
from gateway.shares import Full, Shares, counted_as
from gateway.street import _affordable
from testing.front import Front, ScriptedNode, default_answer, gateway, network, until, until_asked

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
METHOD = b"\x02\x01\xff\x86\x84\x41\x01a"  # HPACK: a method that is the byte 0xFF
UPGRADE = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
CALL = b'{"jsonrpc":"2.0","id":1,"method":"parameter_get","params":["idle_ms"]}'
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
POST = HEAD + b"Content-Length: %d\r\n\r\n" % len(CALL) + CALL

# Each of these ended or could end a gateway whose server also speaks WebSocket and HTTP/2.
OPENINGS = {
    "h2c, settings that are not base64": UPGRADE + b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA0\r\n\r\n",
    "h2c, half a setting": UPGRADE + b"HTTP2-Settings: " + base64.urlsafe_b64encode(b"\0\1\0") + b"\r\n\r\n",
    "h2c, settings that are not text": UPGRADE + b"HTTP2-Settings: \xff\xff\r\n\r\n",
    "HTTP/2, the method 0xFF": PREFACE + len(METHOD).to_bytes(3, "big") + b"\x01\x05\0\0\0\x01" + METHOD,
    "HTTP/2, 1,001 priorities": PREFACE
    + b"".join(
        b"\x00\x00\x05\x02\x00" + (2 * number + 1).to_bytes(4, "big") + b"\x00\x00\x00\x00\x10"
        for number in range(1_001)
    ),
    "a WebSocket": b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nx",
    "a call": POST,
    "a call in chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "metrics": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
PIECES = (
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b":",
    b"\r\n\r\n",
    b"\xff",
    b"chunked",
    b"Content-Length: 3\r\n",
    b"0\r\n",
)


@asynccontextmanager
async def opened(front: Front) -> AsyncIterator[trio.SocketStream]:
    host, port = front.url.removeprefix("http://").split(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        yield stream


async def said(stream: trio.SocketStream) -> bytes:
    """What comes until the gateway closes."""
    data = b""
    with trio.fail_after(20):
        while part := await stream.receive_some():
            data += part
    return data


async def status(front: Front, sent: bytes) -> int:
    """The status of the answer, of a connection that the gateway closes."""
    async with opened(front) as stream:
        await stream.send_all(sent)
        return int((await said(stream)).split()[1])


async def answers(front: Front) -> bool:
    with trio.fail_after(5):
        reply = await front.call("parameter_get", ["idle_ms"])
    return bool(reply["result"]["value"] == 5)


@pytest.mark.parametrize("sent", OPENINGS.values(), ids=OPENINGS.keys())
async def test_no_opening_ends_it(sent: bytes) -> None:
    async with network() as front:
        async with opened(front) as stream:
            await stream.send_all(sent)
            with trio.move_on_after(0.3):
                await said(stream)
        assert await answers(front)


def mutated(rng: random.Random) -> bytes:
    """An opening with a few places changed, left out, or written into."""
    found = bytearray(rng.choice([*OPENINGS.values()]))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(found))
        match rng.randrange(4):
            case 0:
                found[at] = rng.randrange(256)
            case 1:
                found[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 2:
                del found[at : at + rng.randrange(1, 9)]
            case _:
                found[at:at] = rng.choice(PIECES)
    return bytes(found)


async def test_two_thousand_openings_neither_end_nor_wedge_it() -> None:
    rng = random.Random(6)
    with capture_logs() as logs:
        await _survive(rng)

    assert [entry for entry in logs if entry["event"] == "a connection failed"] == []
    assert logs  # they are captured


async def _survive(rng: random.Random) -> None:
    async with network() as front:
        for _ in range(20):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(_poke, front, [mutated(rng) for _ in range(5)])
            assert await answers(front)


async def _poke(front: Front, openings: list[bytes]) -> None:
    for sent in openings:
        try:
            async with opened(front) as stream:
                await stream.send_all(sent)
                await stream.send_eof()
                await said(stream)
        except trio.BrokenResourceError:
            continue


async def test_callers_without_a_request_get_a_share_of_the_places_and_lose_them_in_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http1, "IDLE_S_MAX", 0.2)
    async with network(connections=8, address_percent=50) as front:
        async with trio.open_nursery() as nursery:
            idle = [await trio.open_tcp_stream(*_place(front)) for _ in range(12)]
            turned_away = await said(idle[-1])
            for stream in idle[:-1]:
                nursery.start_soon(said, stream)
        for stream in idle:
            await stream.aclose()

        assert turned_away.startswith(b"HTTP/1.1 429")
        assert b"retry-after: 1\r\n" in turned_away.lower()
        assert await answers(front)


def _place(front: Front) -> tuple[str, int]:
    host, port = front.url.removeprefix("http://").split(":")
    return host, int(port)


async def test_a_shortage_of_descriptors_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street, "DESCRIPTORS_KEPT_MIN", 0)
    with tempfile.TemporaryDirectory(prefix="mohur-") as folder:
        async with gateway(Path(folder, "node.sock"), address_percent=100) as front:
            with no_descriptors():
                with trio.move_on_after(0.5):  # a socket that was made before is not accepted now
                    await front.http.get(f"{front.url}/health")
            assert (await front.http.get(f"{front.url}/health")).status_code == 503


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process one descriptor more than it has: a client's socket, and none to accept it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        highest = probe.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_there_are_fewer_places_than_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 256))

    assert (_affordable(1_024), _affordable(100)) == (192, 100)


REFUSED = {
    "a line that ends in LF": (HEAD.replace(b"\r\n", b"\n") + b"\n", 400),
    "one line that ends in LF": (HEAD + b"X: y\nContent-Length: 0\r\n\r\n", 400),
    "a folded header": (HEAD + b"X: y\r\n z\r\nContent-Length: 0\r\n\r\n", 400),
    "a CR alone": (HEAD + b"X: y\rz\r\nContent-Length: 0\r\n\r\n", 400),
    "a length beside chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n1", 400),
    "chunks of HTTP/1.0": (
        HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "no host": (b"GET /health HTTP/1.0\r\n\r\n", 400),
    "two hosts": (HEAD + b"Host: b\r\n\r\n", 400),
    "HTTP/2": (PREFACE, 505),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a large head": (HEAD + b"X: " + b"a" * 16_384 + b"\r\n\r\n", 431),
    "a large head without an end": (HEAD + b"X: " + b"a" * 20_000, 431),
    "ten thousand chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 10_000, 400),
}


@pytest.mark.parametrize(("sent", "expected"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_not_plain_http_is_refused_and_ends_its_connection(sent: bytes, expected: int) -> None:
    async with network() as front:
        assert await status(front, sent) == expected
        assert await answers(front)


@pytest.mark.parametrize(("limit", "sent"), [("HEAD_S_MAX", HEAD), ("BODY_S_MAX", POST[:-1])])
async def test_what_comes_too_slowly_is_given_up(
    monkeypatch: pytest.MonkeyPatch, limit: str, sent: bytes
) -> None:
    monkeypatch.setattr(http1, limit, 0.1)
    async with network() as front:
        assert await status(front, sent) == 408


async def test_requests_that_come_together_are_answered_in_order() -> None:
    async with network() as front, opened(front) as stream:
        await stream.send_all(POST + POST.replace(b'"id":1', b'"id":2') + POST[:-1] + POST[-1:])
        data = b""
        while data.count(b"idle_ms") < 3:
            data += await stream.receive_some()

    assert data.index(b'"id":2') > data.index(b'"id":1')


async def test_a_caller_that_waits_for_leave_to_send_its_body_is_given_it() -> None:
    async with network() as front, opened(front) as stream:
        await stream.send_all(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(CALL))
        first = await stream.receive_some()
        await stream.send_all(CALL)
        second = await stream.receive_some()

    assert (first.split()[1], second.split()[1]) == (b"100", b"200")


async def test_nothing_is_answered_any_further_for_a_caller_who_left() -> None:
    node = ScriptedNode(lambda query: None if query.method == "tx_wait" else default_answer(query))
    wait = b'{"jsonrpc":"2.0","id":1,"method":"tx_wait","params":["%s"]}' % (b"00" * 32)
    sent = HEAD + b"Content-Length: %d\r\n\r\n" % len(wait) + wait

    async def is_withdrawn() -> bool:
        return node.withdrawn == number

    async with network(node, waits=1) as front:
        for number in (1, 2):  # the second has the place of the first
            async with opened(front) as stream:
                await stream.send_all(sent)
                await until_asked(node, "tx_wait", number)
            await until(is_withdrawn)


def test_an_address_takes_its_share_and_leaves_the_rest() -> None:
    shares = Shares(8, 50)
    for _ in range(4):
        shares.take("192.0.2.1")
    with pytest.raises(Full) as own:
        shares.take("192.0.2.1")
    for number in range(4):
        shares.take(f"192.0.2.{number + 2}")
    with pytest.raises(Full) as everyone:
        shares.take("192.0.2.9")
    shares.give_back("192.0.2.1")
    shares.take("192.0.2.9")

    assert (own.value.own, own.value.limit) == (True, 4)
    assert (everyone.value.own, everyone.value.limit) == (False, 8)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
    ],
)
def test_a_caller_is_counted_by_its_address_or_its_network(host: str, expected: str) -> None:
    assert counted_as(host) == expected
