"""The node's socket against gateways that flood it, do not read, speak nonsense, or are simply slow."""

import os
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from api.declare import Question
from api.limits import RESPONSE_BYTES_MAX
from api.reads import Reads
from api.reads.running import NodeHealthReply, ProofReply, ReceiptReply
from api.refusals import Declined
from api.requests import (
    WITHDRAW,
    BodyKind,
    FrameReader,
    Refusal,
    Request,
    Response,
    decode_response,
    request_frame,
)
from api.sources import Submission
from ledger.codes import Code, InvariantError, Refused
from node import local
from node.limits import GATEWAYS_PERCENT_MAX, GATEWAYS_S_MAX, LOCAL_WAITERS_MAX
from node.local import serve_local
from node.view import View
from primitives.codec import pack, unpack
from storage.errors import StorageError
from testing.front import HEALTHY


class Nothing:
    """Services of a node with an empty log that never commits anything."""

    def __init__(self) -> None:
        self.waits = 0
        self.fault: Exception | None = None

    def view(self) -> View:
        if self.fault is not None:
            raise self.fault
        return View(None, self, None, bytes(32), "mof", "test")  # type: ignore[arg-type]

    def find(self, tx_id: bytes) -> tuple[int, int] | None:
        return None

    def submit(self, raw: bytes) -> tuple[Submission, Any]:
        raise Refused(Code.MALFORMED, "transaction", raw[:4], "of a test")

    def waiting(self, tx_id: bytes) -> None:
        return None

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        return work()

    async def wait_committed(self, tx_id: bytes, timeout_s: float) -> bool:
        self.waits += 1
        with trio.move_on_after(timeout_s):
            await trio.sleep_forever()
        return False

    async def wait_height(self, height: int, timeout_s: float) -> bool:
        await trio.sleep(timeout_s)
        return False

    async def prove(self, table: str, record: int) -> ProofReply:
        raise Declined(Code.NOT_FOUND, table, record, "of a test")

    async def receipt(self, tx_id: bytes) -> ReceiptReply:
        raise Declined(Code.NOT_FOUND, "tx_id", tx_id, "of a test")

    async def receipt_at(self, block: int, position: int) -> ReceiptReply:
        raise Declined(Code.NOT_FOUND, "block", block, "of a test")

    def health(self) -> NodeHealthReply:
        return HEALTHY


class Gateway:
    """One connection to the socket, as a gateway would have it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._reader = FrameReader(RESPONSE_BYTES_MAX)
        self._responses: list[Response] = []

    async def send(self, number: int, question: Question) -> None:
        await self.stream.send_all(request_frame(Request(number, question.method, pack(question))))

    async def receive(self) -> Response:
        while not self._responses:
            data = await self.stream.receive_some()
            assert data, "the node hung up"
            self._responses += [decode_response(body) for body in self._reader.feed(data)]
        return self._responses.pop(0)

    async def is_hung_up_on(self) -> bool:
        with trio.move_on_after(5):
            try:
                while await self.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
            return True
        return False


@asynccontextmanager
async def served(services: Nothing | None = None, **options: Any) -> AsyncIterator[Path]:
    """The path of a node's socket."""
    with tempfile.TemporaryDirectory(prefix="mohur-") as folder:
        path = Path(folder, "node.sock")
        async with trio.open_nursery() as nursery:
            await nursery.start(
                lambda task_status: serve_local(
                    path, services or Nothing(), task_status=task_status, **options
                )
            )
            yield path
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def gateway_to(path: Path) -> AsyncIterator[Gateway]:
    async with await trio.open_unix_socket(str(path)) as stream:
        yield Gateway(stream)


async def test_requests_are_answered_by_number_and_a_slow_one_holds_up_no_other() -> None:
    async with served() as path, gateway_to(path) as gateway:
        await gateway.send(1, Reads.tx_wait.question(tx_id=bytes(32), timeout_ms=60_000))
        await gateway.send(2, Reads.node_health.question())
        response = await gateway.receive()

    assert (response.number, response.kind) == (2, BodyKind.ANSWER)
    assert unpack(response.body, NodeHealthReply, 10_000) == HEALTHY


async def test_a_refusal_carries_the_ledgers_code_field_value_and_rule() -> None:
    async with served() as path, gateway_to(path) as gateway:
        await gateway.send(9, Reads.tx_submit.question(chain=bytes(32), tx=b"abcd"))
        malformed = await gateway.receive()
        await gateway.send(9, Reads.tx_submit.question(chain=b"\1" * 32, tx=b"abcd"))
        wrong = await gateway.receive()

    assert unpack(malformed.body, Refusal, 1000) == Refusal(
        100, "malformed", "transaction", "61626364", "of a test"
    )
    assert unpack(wrong.body, Refusal, 1000).name == "wrong_chain"


@pytest.mark.parametrize(
    ("name", "body"),
    [("no_such_query", b"\x90"), ("holding_get", b"\x90"), ("holding_get", b"\x91\xa1x"), ("tx_get", b"")],
)
async def test_an_unknown_or_ill_formed_query_is_refused_and_the_connection_goes_on(
    name: str, body: bytes
) -> None:
    async with served() as path, gateway_to(path) as gateway:
        await gateway.stream.send_all(request_frame(Request(1, name, body)))
        refused = await gateway.receive()
        await gateway.send(2, Reads.node_health.question())
        answered = await gateway.receive()

    assert unpack(refused.body, Refusal, 1000).name == "malformed"
    assert answered.kind is BodyKind.ANSWER


@pytest.mark.parametrize("sent", [b"\xff" * 8, b"\0\0\0\0", b"\0\0\0\1\xc1", b"GET / HTTP/1.1\r\n\r\n"])
async def test_a_gateway_that_breaks_the_framing_is_hung_up_on_and_others_are_served(sent: bytes) -> None:
    async with served() as path, gateway_to(path) as good, gateway_to(path) as bad:
        await bad.stream.send_all(sent)
        assert await bad.is_hung_up_on()

        await good.send(1, Reads.node_health.question())
        assert (await good.receive()).kind is BodyKind.ANSWER


async def test_waiters_are_limited_and_the_one_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LOCAL_WAITERS_MAX", 3)
    services = Nothing()
    async with served(services) as path, gateway_to(path) as gateway:
        for number in range(4):
            await gateway.send(number, Reads.tx_wait.question(tx_id=bytes(32), timeout_ms=60_000))
        response = await gateway.receive()

    assert (response.number, response.kind, services.waits) == (3, BodyKind.BUSY, 3)


async def test_connections_are_limited() -> None:
    async with served(connections_max=2) as path, gateway_to(path) as first, gateway_to(path) as second:
        for number, gateway in enumerate((first, second)):
            await gateway.send(number, Reads.node_health.question())
            await gateway.receive()
        async with gateway_to(path) as third:
            assert await third.is_hung_up_on()
        await first.send(7, Reads.node_health.question())
        assert (await first.receive()).number == 7


async def test_a_gateway_that_asks_and_does_not_read_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SEND_S_MAX", 0.1)
    async with served() as path, gateway_to(path) as deaf, gateway_to(path) as good:
        with trio.move_on_after(5) as flood:
            try:
                for number in range(1_000_000):
                    await deaf.send(number, Reads.node_health.question())
            except trio.BrokenResourceError:
                pass
        assert not flood.cancelled_caught
        await good.send(1, Reads.node_health.question())
        assert (await good.receive()).kind is BodyKind.ANSWER


async def test_a_gateway_that_is_killed_leaves_nothing_behind_and_others_are_served() -> None:
    """Its socket closes in the middle of a frame and of a wait, as SIGKILL would have it."""
    services = Nothing()
    async with served(services) as path, gateway_to(path) as good:
        for _ in range(20):
            async with gateway_to(path) as killed:
                await killed.send(1, Reads.tx_wait.question(tx_id=bytes(32), timeout_ms=60_000))
                await killed.stream.send_all(b"\0\0\1\0half of a frame")
        await good.send(1, Reads.node_health.question())
        assert (await good.receive()).kind is BodyKind.ANSWER


@pytest.mark.parametrize("fault", [StorageError, InvariantError])
async def test_a_fault_of_ours_is_said_without_its_details_and_ends_no_connection(
    fault: type[Exception],
) -> None:
    services = Nothing()
    services.fault = fault("blocks: /secret/path: is broken")
    async with served(services) as path, gateway_to(path) as gateway:
        await gateway.send(1, Reads.holding_get.question(holding=1))
        refusal = unpack((await gateway.receive()).body, Refusal, 1000)

        services.fault = None
        await gateway.send(2, Reads.node_health.question())
        assert (await gateway.receive()).kind is BodyKind.ANSWER

    assert (refusal.name, "secret" in str(refusal)) == ("storage_failed", False)


async def test_the_socket_is_closed_to_others_and_gone_afterwards() -> None:
    async with served() as path:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        kept = path

    assert mode & stat.S_IRWXO == 0
    assert not kept.exists()


async def test_a_socket_left_by_a_process_that_died_is_replaced_and_a_live_one_is_not() -> None:
    with tempfile.TemporaryDirectory(prefix="mohur-") as folder:
        path = Path(folder, "node.sock")
        left = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        await left.bind(str(path))
        left.close()
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: serve_local(path, Nothing(), task_status=task_status))
            with pytest.raises(OSError, match="another process"):
                await serve_local(path, Nothing())
            async with gateway_to(path) as gateway:
                await gateway.send(1, Reads.node_health.question())
                assert (await gateway.receive()).kind is BodyKind.ANSWER
            nursery.cancel_scope.cancel()


async def test_a_large_answer_comes_whole_and_holds_up_no_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole blocks are packed and framed in a thread."""
    monkeypatch.setattr(local, "FRAMED_HERE_BYTES_MAX", 100)
    large, small = Reads.node_health.question(), Reads.tx_get.question(bytes(32))
    async with served() as path, gateway_to(path) as gateway:
        for number in range(20):
            await gateway.send(number, large if number % 2 else small)
        responses = [await gateway.receive() for _ in range(20)]

    assert sorted(response.number for response in responses) == list(range(20))
    assert {unpack(r.body, NodeHealthReply, 10_000) for r in responses if r.number % 2} == {HEALTHY}


async def test_a_wait_that_is_withdrawn_ends_and_is_not_answered() -> None:
    services = Nothing()
    async with served(services) as path, gateway_to(path) as gateway:
        for number in range(LOCAL_WAITERS_MAX):
            await gateway.send(number, Reads.tx_wait.question(tx_id=bytes(32), timeout_ms=60_000))
        await gateway.stream.send_all(request_frame(Request(7, WITHDRAW, b"")))
        await gateway.stream.send_all(request_frame(Request(2**32 - 1, WITHDRAW, b"")))  # of no such wait
        await gateway.send(7, Reads.node_health.question())
        first = await gateway.receive()
        await gateway.send(8_000, Reads.tx_wait.question(tx_id=bytes(32), timeout_ms=1))
        second = await gateway.receive()

    assert (first.number, first.kind) == (7, BodyKind.ANSWER)
    assert (second.number, second.kind) == (8_000, BodyKind.REFUSED)  # it had a place, and waited


async def test_reads_beyond_their_share_of_the_nodes_time_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    share = local._Share()
    autojump_clock.jump(5.0)
    started = trio.current_time()
    share.used(5.0)
    await share.turn()
    first = trio.current_time() - started
    share.used(0.1)
    await share.turn()
    second = trio.current_time() - started - first

    assert first == pytest.approx(5.0 * 100 / GATEWAYS_PERCENT_MAX - 5.0 - GATEWAYS_S_MAX)
    assert second == pytest.approx(0.1 * 100 / GATEWAYS_PERCENT_MAX)


async def test_what_a_read_takes_is_counted_against_the_share_of_all_gateways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Counted(local._Share):
        def used(self, seconds: float) -> None:
            counted.append(seconds)

        async def turn(self) -> None:
            turns.append(1)
            await trio.lowlevel.checkpoint()

    counted: list[float] = []
    turns: list[int] = []
    monkeypatch.setattr(local, "_Share", Counted)
    questions = (Reads.holding_get.question(holding=1), Reads.chain_raw.question(from_block=1))
    async with served(Unreadable()) as path, gateway_to(path) as gateway:
        for question in (*questions, Reads.node_health.question()):
            await gateway.send(1, question)
            await gateway.receive()

    assert len(counted) == 2
    assert len(turns) >= 3


class Unreadable(Nothing):
    """A node whose storage fails whatever is read of it."""

    def view(self) -> View:
        return View(self, self, None, bytes(32), "mof", "test")  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        raise StorageError(f"{name}: of a test")
