"""The node's Unix socket: answers its gateways, within bounds that keep consensus out of their reach.

A gateway parses what strangers send, so the node treats it as one: frames, requests under way, waiters and
replies are limited for each connection, a gateway that does not read is hung up on, and whatever it asks
costs the node one bounded piece of work at a time. The worst it can do is to slow down its own node.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog
import trio

from api import queries as wire
from api.limits import REQUEST_BYTES_MAX
from api.requests import (
    FrameError,
    FrameReader,
    Refusal,
    Request,
    Response,
    Status,
    decode_request,
    response_frame,
)
from ledger.codes import Code, Refused
from ledger.transactions import Transaction
from node import queries
from node.limits import LOCAL_CONNECTIONS_MAX, LOCAL_WAITERS_MAX, PROOF_S_MAX, QUEUE_MAX, SEND_S_MAX
from node.mempool import Submission
from node.proofs import StartedProof, finish_proof
from node.queries import View
from primitives.codec import CodecError, pack, unpack
from storage.errors import StorageError

WORKERS = 16  # requests of one connection being answered at once
SUBMITS_PER_TURN = 64  # transactions of a tx_submitMany between two turns of the event loop
RECEIVE_BYTES = 64 * 1024
SOCKET_MODE = 0o660

_log = structlog.get_logger("local")


class Services(Protocol):
    """What the socket needs of the node around it. Whatever is not `async` is short and reads or changes
    the state's surroundings on the event loop; it is called only right after `quiet`."""

    async def quiet(self) -> None:
        """Return once no block is being executed; the state stands still until the caller next awaits."""

    def view(self) -> View:
        """The state after the last executed block."""

    def submit(self, raw: bytes) -> tuple[Submission, Transaction]:
        """Take in a client's transaction. Raises Refused."""

    def waiting(self, tx_id: bytes) -> Transaction | None:
        """The transaction of that id in the mempool."""

    async def wait_committed(self, tx_id: bytes, timeout_s: float) -> bool:
        """Wait until a block with that transaction has been executed and its results stored."""

    async def wait_height(self, height: int, timeout_s: float) -> bool:
        """Wait until the block of `height` has been executed and its results stored."""

    def health(self) -> wire.NodeHealthReply:
        """Whether the chain advances, and if not, whose votes are missing."""

    def start_proof(self, holding: int) -> StartedProof:
        """`node.proofs.start_proof` on the node's replica. Raises Refused."""


async def serve_local(
    path: Path,
    services: Services,
    connections_max: int = LOCAL_CONNECTIONS_MAX,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the socket at `path` until cancelled; then it is gone. Raises OSError if it cannot be made."""
    listener = trio.SocketListener(await _listen(path))
    connections = 0

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal connections
        if connections >= connections_max:
            _log.warning("gateway refused", connections=connections)
            await stream.aclose()
            return
        connections += 1
        try:
            await _Connection(stream, services).run()
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

    def __init__(self, stream: trio.SocketStream, services: Services) -> None:
        self._stream = stream
        self._services = services
        self._waiters = 0
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
                _log.warning("gateway does not speak our protocol", error=str(error))
                return
            if not data:
                return
            for request in requests:
                if request.query != "tx_wait":
                    await self._put.send(request)
                elif self._waiters < LOCAL_WAITERS_MAX:
                    self._waiters += 1
                    nursery.start_soon(self._wait, request)
                else:
                    rule = f"{LOCAL_WAITERS_MAX} callers of this gateway wait already: try again"
                    refusal = Refusal(0, "node_busy", "tx_wait", str(self._waiters), rule)
                    await self._respond(Response(request.number, Status.BUSY, pack(refusal)))

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            async for frame in self._frames:
                with trio.fail_after(SEND_S_MAX):
                    await self._stream.send_all(frame)
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            _log.warning("gateway does not read", error=type(error).__name__)
        scope.cancel()

    async def _work(self) -> None:
        async for request in self._requests:
            await self._respond(await answer(self._services, request))
            await trio.lowlevel.checkpoint()

    async def _wait(self, request: Request) -> None:
        try:
            await self._respond(await answer(self._services, request))
        finally:
            self._waiters -= 1

    async def _respond(self, response: Response) -> None:
        try:
            frame = response_frame(response)
        except FrameError as error:
            refusal = Refusal(int(Code.LIMIT_EXCEEDED), "limit_exceeded", "reply", "", str(error))
            frame = response_frame(Response(response.number, Status.REFUSED, pack(refusal)))
        await self._send.send(frame)


async def answer(services: Services, request: Request) -> Response:
    """The response to one request; a fault of ours is logged and refused, never raised."""
    try:
        declared = wire.QUERIES.get(request.query)
        if declared is None:
            raise Refused(Code.MALFORMED, "query", request.query, "there is no such query")
        try:
            query = unpack(request.body, declared[0], REQUEST_BYTES_MAX)
        except CodecError as error:
            raise Refused(Code.MALFORMED, request.query, "", str(error)) from error
        reply = await _reply(services, query)
        return Response(request.number, Status.ANSWER, pack(reply))
    except Refused as refused:
        refusal = Refusal(int(refused.code), refused.code.word, refused.field, refused.value, refused.rule)
    except StorageError as error:
        _log.error("query failed", query=request.query, error=str(error))
        refusal = Refusal(0, "storage_failed", "query", request.query, "the node cannot read its storage")
    return Response(request.number, Status.REFUSED, pack(refusal))


async def _reply(services: Services, query: wire.Message) -> wire.Message:
    match query:
        case wire.TxSubmit():
            await services.quiet()
            return _submit(services, query)
        case wire.TxSubmitMany():
            return await _submit_many(services, query)
        case wire.TxGet():
            await services.quiet()
            return _transaction(services, query.tx_id)
        case wire.TxWait():
            if services.view().archive.find(query.tx_id) is None:
                await services.wait_committed(query.tx_id, query.timeout_ms / 1000)
            await services.quiet()
            return _transaction(services, query.tx_id)
        case wire.ChainBlock():
            view = services.view()
            return await _in_thread(partial(queries.answer_block, view.archive.blocks, view.height, query))
        case wire.ProofGet():
            return await _prove(services, query)
        case wire.NodeHealth():
            return services.health()
        case _:
            await services.quiet()
            return queries.answer_read(services.view(), query)


_reading = trio.CapacityLimiter(2)


async def _in_thread(read: Callable[[], wire.Message]) -> wire.Message:
    return await trio.to_thread.run_sync(read, limiter=_reading)


async def _prove(services: Services, query: wire.ProofGet) -> wire.ProofReply:
    """The proof of a holding as it stands, once the next block has certified that state."""
    await services.quiet()
    started = services.start_proof(query.holding)
    certified = await services.wait_height(started.height + 1, PROOF_S_MAX)
    view = services.view()
    blocks = view.archive.blocks
    proof = (
        await trio.to_thread.run_sync(finish_proof, started, blocks, limiter=_reading) if certified else None
    )
    if proof is None:
        rule = f"no block after {started.height} has certified this state within {PROOF_S_MAX:g} s"
        raise Refused(Code.WRONG_STATUS, "holding", query.holding, rule)
    return wire.ProofReply(
        height=view.height, holding=query.holding, proven_height=started.height, proof=proof
    )


def _check_chain(services: Services, chain: bytes) -> None:
    ours = services.view().genesis_hash
    if chain != ours:
        raise Refused(Code.WRONG_CHAIN, "chain", chain, f"this node serves the chain {ours.hex()}")


def _submit(services: Services, query: wire.TxSubmit) -> wire.TxSubmitReply:
    _check_chain(services, query.chain)
    submission, transaction = services.submit(query.tx)
    view = services.view()
    return wire.TxSubmitReply(
        height=view.height,
        tx_id=transaction.id,
        accepted=True,
        duplicate=submission is not Submission.ACCEPTED,
        result=_first_result(view, submission, transaction),
    )


async def _submit_many(services: Services, query: wire.TxSubmitMany) -> wire.TxSubmitManyReply:
    _check_chain(services, query.chain)
    items = []
    for position, raw in enumerate(query.txs):
        if position % SUBMITS_PER_TURN == 0:
            await trio.lowlevel.checkpoint()
            await services.quiet()
        items.append(_submitted(services, raw))
    return wire.TxSubmitManyReply(height=services.view().height, items=tuple(items))


def _submitted(services: Services, raw: bytes) -> wire.SubmittedView:
    try:
        submission, transaction = services.submit(raw)
    except Refused as refused:
        refusal = wire.RefusalView(
            code=int(refused.code),
            name=refused.code.word,
            field=refused.field,
            value=refused.value,
            rule=refused.rule,
        )
        return wire.SubmittedView(tx_id=None, accepted=False, duplicate=False, result=None, refusal=refusal)
    return wire.SubmittedView(
        tx_id=transaction.id,
        accepted=True,
        duplicate=submission is not Submission.ACCEPTED,
        result=_first_result(services.view(), submission, transaction),
        refusal=None,
    )


def _first_result(
    view: View, submission: Submission, transaction: Transaction
) -> wire.TransactionResult | None:
    if submission is not Submission.COMMITTED:
        return None
    reply = queries.committed(view, transaction.id)
    return None if reply is None else reply.result


def _transaction(services: Services, tx_id: bytes) -> wire.TxReply:
    view = services.view()
    reply = queries.committed(view, tx_id)
    if reply is not None:
        return reply
    transaction = services.waiting(tx_id)
    if transaction is None:
        rule = "this node has not seen it in a block, nor does it wait for one here"
        raise Refused(Code.NOT_FOUND, "tx_id", tx_id, rule)
    return queries.pending(view, transaction)
