"""The asynchronous client: every method of the gateway, typed, retried until answered.

Each call may be repeated at will: reads change nothing, and a transaction's bytes have one effect however
often they arrive. So a call that finds no gateway, or a gateway without its node, is tried again until
`retry_s` has passed. `send` carries one transaction to its result, across restarts of either.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import httpx2
import trio

from api.declare import Question, Read
from api.fields import Shown
from api.objects import FieldFault, from_object, to_object
from api.reads import READS, Reads
from api.reads.chain import ChainStatusReply
from api.reads.transactions import SubmittedView, TransactionResult, TxSubmitReply
from api.strict_json import strict_json
from client.errors import (
    BadReply,
    CallRefused,
    ClientError,
    Lapsed,
    TransactionRefused,
    Unreachable,
    Unsettled,
)
from client.journal import SentEntry, SentJournal
from client.limits import BACKOFF_S_MAX, BACKOFF_S_MIN, CONNECTIONS_MAX, LAPSE_MS_MIN
from client.transactions import BadPayload, Signed
from client.wallet import Wallet

RETRY_S = 10.0
CALL_S = 90.0  # longer than the longest tx_wait
RESEND_MS = 2_000  # a node that lost its pool is given the bytes again after so long
COMMIT_S = 30.0
# The gateway's own codes for "not now": no node, node busy, node slow, gateway busy.
PASSING_CODES = frozenset({-32001, -32002, -32003, -32004})
# Those after which a node may have what it was sent: fault of the server, node lost, node slow.
OPEN_CODES = frozenset({-32603, -32001, -32003})
NOTHING_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)

P = ParamSpec("P")
R = TypeVar("R", bound=Shown)


class AsyncClient(Reads):
    """A gateway at `url`, spoken to under Trio: `async with AsyncClient(url) as client`.

    Every read of `api.reads` is a method: `await client.holding_get(5)`. With a `journal` what `send` and
    `perform` sign is durable before it is sent.
    """

    def __init__(
        self,
        url: str,
        *,
        retry_s: float = RETRY_S,
        journal: SentJournal | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self.journal = journal
        self._retry_s = retry_s
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(CALL_S, connect=5.0),
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
            transport=transport,
            trust_env=False,
        )
        self._number = 0
        self._genesis_hash: bytes | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    # --- reads: the methods of `Reads` -------------------------------------------------------------------

    def bound(self, read: Read[P, R]) -> Callable[P, Awaitable[R]]:
        """A declared read as a method of this client."""

        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self._ask(read, read.question(*args, **kwargs))

        call.__name__, call.__doc__ = read.function.__name__, read.description
        return call

    async def discover(self) -> dict[str, Any]:
        """The gateway's OpenRPC document."""
        document = await self._call("rpc.discover", {})
        if not isinstance(document, dict):
            raise BadReply("rpc.discover: the result is not an object")
        return document

    # --- transactions -----------------------------------------------------------------------------------

    async def genesis_hash(self) -> bytes:
        """The identity of the gateway's chain, asked once. Check it against your own genesis file."""
        if self._genesis_hash is None:
            self._genesis_hash = (await self.chain_status()).genesis_hash
        return self._genesis_hash

    async def align(self, wallet: Wallet) -> Wallet:
        """Give the wallet its signer index and its counter from the ledger, and the version by which it
        builds; after `unknown_version`, which an upgrade may bring, align again."""
        status = await self.chain_status()
        if status.genesis_hash != wallet.genesis_hash:
            raise ClientError(
                f"{self.url} serves the chain with genesis {status.genesis_hash.hex()},"
                f" and this wallet signs for {wallet.genesis_hash.hex()}"
            )
        asked = wallet.ask(status.time_ms)  # an officer's window is told to his own key alone
        wallet.align(await self.signer_get(wallet.public_key, status.time_ms, asked))
        wallet.version = status.version
        return wallet

    async def submit(self, raw: bytes, chain: bytes | None = None) -> TxSubmitReply:
        """Hand in a transaction's bytes. Raises CallRefused with the ledger's code."""
        chain = await self.genesis_hash() if chain is None else chain
        return await self.tx_submit(chain, raw)

    async def submit_many(
        self, raws: Iterable[bytes], chain: bytes | None = None
    ) -> tuple[SubmittedView, ...]:
        """Hand in several; one item for each, in order. A refused one refuses no other."""
        chain = await self.genesis_hash() if chain is None else chain
        return (await self.tx_submit_many(chain, tuple(raws))).items

    async def outcome(
        self,
        raw: bytes,
        tx_id: bytes,
        *,
        chain: bytes | None = None,
        timeout_s: float = COMMIT_S,
        resent: bool = False,
    ) -> TransactionResult:
        """Submit and stay until the transaction is in a block, sending the same bytes again whenever the node
        no longer knows them. `resent` says that they were sent before.

        Raises CallRefused or Unreachable if no node has taken the bytes: nothing happened. Once a node may
        have, a block may hold them: from then on a gateway that is away, full or of another opinion is waited
        for until time is up, and whatever ends it is Unsettled.
        """
        deadline = trio.current_time() + timeout_s
        taken = resent
        while (left_s := deadline - trio.current_time()) > 0:
            with trio.move_on_after(left_s):
                try:
                    submitted = await self.submit(raw, chain)
                    taken = True
                    if submitted.result is not None:
                        return submitted.result
                    wait_ms = max(1, min(RESEND_MS, int(left_s * 1000)))
                    reply = await self.tx_wait(tx_id, wait_ms)
                    if reply.result is not None:
                        return reply.result
                except (BadReply, Unreachable, CallRefused) as error:
                    taken = taken or error.unanswered
                    if not taken:
                        error.of(raw, tx_id)
                        raise
                    if not _may_pass(error):
                        raise Unsettled(f"transaction {tx_id.hex()}: {error}").of(raw, tx_id) from error
                    if isinstance(error, CallRefused) and error.name != "not_found":
                        await trio.sleep(BACKOFF_S_MAX)
        raise Unsettled(f"transaction {tx_id.hex()}: not in a block after {timeout_s:g} s").of(raw, tx_id)

    async def send(
        self, signed: Signed, wallet: Wallet | None = None, *, timeout_s: float = COMMIT_S
    ) -> TransactionResult:
        """Carry a transaction to its result, by way of the journal if there is one, and tell the wallet.
        Raises TransactionRefused if the ledger refused it inside a block, CallRefused or Unreachable if it
        never got into one, Unsettled if that is not known."""
        chain = await self.genesis_hash() if wallet is None else wallet.genesis_hash
        await self._written_down(signed, chain)
        try:
            result = await self.outcome(signed.raw, signed.id, chain=chain, timeout_s=timeout_s)
        except (CallRefused, Unreachable) as error:
            refused = error
        else:
            if wallet is not None:
                wallet.settled(signed.sequence)
            return await self._in_a_block(signed.raw, signed.id, result)
        _tell(wallet, signed, refused)
        await self._not_sent(refused)
        raise refused

    async def hand_in(self, signed: Signed, wallet: Wallet) -> TxSubmitReply:
        """Submit a transaction by way of the journal and do not wait; it stays open there until it is resent.
        Raises as `send` does."""
        chain = wallet.genesis_hash
        await self._written_down(signed, chain)
        try:
            return await self.submit(signed.raw, chain)
        except (BadReply, CallRefused, Unreachable) as error:
            refused = error.of(signed.raw, signed.id)
        if refused.unanswered:
            text = f"transaction {signed.id.hex()}: {refused}"
            raise Unsettled(text).of(signed.raw, signed.id) from refused
        await self._not_sent(refused)
        raise refused

    async def resend(self, entry: SentEntry, *, timeout_s: float = COMMIT_S) -> TransactionResult:
        """Carry a transaction that was sent before, perhaps, to its result, and mark it in the journal.

        Raises TransactionRefused as `send`, Lapsed if it is in no block and none may hold it any more, else
        Unsettled."""
        try:
            result = await self.outcome(
                entry.raw, entry.tx_id, chain=entry.genesis_hash, timeout_s=timeout_s, resent=True
            )
        except Unsettled as error:
            unsettled = error
        else:
            return await self._in_a_block(entry.raw, entry.tx_id, result)
        if not await self._is_over(entry):
            raise unsettled
        await self._became(entry.tx_id, "lapsed")
        lapsed = Lapsed(f"transaction {entry.tx_id.hex()}: in no block, and its time is over")
        raise lapsed.of(entry.raw, entry.tx_id)

    async def perform(
        self, wallet: Wallet, kind: str, /, *, timeout_s: float = COMMIT_S, **fields: Any
    ) -> TransactionResult:
        """Build, sign and send a transaction of `kind` from its payload's fields. If the chain has gone to
        another version of the protocol since the wallet was aligned, it is built once more, by that one."""
        if not wallet.aligned:
            await self.align(wallet)
        built = wallet.version
        try:
            return await self.send(wallet.build(kind, **fields), wallet, timeout_s=timeout_s)
        except (CallRefused, BadPayload) as error:
            if isinstance(error, CallRefused) and error.name != "unknown_version":
                raise
            refused = error
        if (await self.align(wallet)).version == built:
            raise refused
        return await self.send(wallet.build(kind, **fields), wallet, timeout_s=timeout_s)

    async def _written_down(self, signed: Signed, chain: bytes) -> None:
        if self.journal is not None:
            await trio.to_thread.run_sync(self.journal.add, signed, chain)

    async def _became(self, tx_id: bytes, what: str) -> bool:
        """Whether the journal, if there is one, says from now on what became of a transaction."""
        return self.journal is None or await trio.to_thread.run_sync(self.journal.settle, tx_id, what)

    async def _not_sent(self, error: ClientError) -> None:
        """Mark a transaction that no node took. Raises Unsettled if the journal goes on to hold it as one to
        be sent."""
        if not await self._became(error.tx_id, "refused"):
            text = f"transaction {error.tx_id.hex()}: {error}; the journal cannot say so, a resend sends it"
            raise Unsettled(text).of(error.raw, error.tx_id) from error

    async def _in_a_block(self, raw: bytes, tx_id: bytes, result: TransactionResult) -> TransactionResult:
        await self._became(tx_id, f"in block {result.block}, {result.name}")
        if result.code:
            raise TransactionRefused(result).of(raw, tx_id)
        return result

    async def _is_over(self, entry: SentEntry) -> bool:
        """Whether a node whose time is beyond the transaction's knows it in no block. Both are asked in one
        request, of one node, and the time is beyond by more than two answers of a node can lie apart."""
        try:
            status, found = await self.batch(
                [Reads.chain_status.question(), Reads.tx_get.question(entry.tx_id)]
            )
        except ClientError:
            return False
        return (
            isinstance(status, ChainStatusReply)
            and status.genesis_hash == entry.genesis_hash
            and status.time_ms >= entry.valid_until * 1000 + LAPSE_MS_MIN
            and isinstance(found, CallRefused)
            and found.name == "not_found"
        )

    # --- calls ------------------------------------------------------------------------------------------

    async def ask(self, question: Question) -> Shown:
        """Any question: `Reads.holding_get.question(5)`."""
        return await self._ask(READS[question.method], question)

    async def batch(self, questions: Sequence[Question]) -> list[Shown | CallRefused]:
        """Several questions in one request; for each, in order, its reply or the error that answers it."""
        if not questions:
            return []
        requests = [self._request(question.method, to_object(question)) for question in questions]
        answers = await self._post(requests)
        if not isinstance(answers, list):
            raise (
                _refusal(answers)
                if isinstance(answers, dict)
                else BadReply("a batch is answered by an array")
            )
        told = [answer for answer in answers if isinstance(answer, dict)]
        by_id = {answer["id"]: answer for answer in told if isinstance(answer.get("id"), int)}
        replies: list[Shown | CallRefused] = []
        for request, question in zip(requests, questions, strict=True):
            answer = by_id.get(request["id"])
            if answer is None:
                raise BadReply(f"{question.method}: the batch holds no answer to it")
            if "error" in answer:
                replies.append(_refusal(answer))
            else:
                replies.append(_read(READS[question.method], answer.get("result")))
        return replies

    async def _ask(self, read: Read[Any, R], question: Question) -> R:
        return _read(read, await self._call(read.name, to_object(question)))

    async def _call(self, name: str, params: dict[str, Any]) -> Any:
        """One call, repeated until it is answered otherwise than by `not now`. What it raises is `unanswered`
        if any try of it may have reached a node that did not say so."""
        deadline = trio.current_time() + self._retry_s
        delay = BACKOFF_S_MIN
        unanswered = False
        while True:
            request = self._request(name, params)
            try:
                answer = await self._post(request)
                if not isinstance(answer, dict) or answer.get("id") not in (request["id"], None):
                    raise BadReply(f"{name}: the answer is not to this request")
                if "error" not in answer:
                    return answer.get("result")
                raise _refusal(answer)
            except (BadReply, CallRefused, Unreachable) as error:
                error.unanswered = unanswered = unanswered or error.unanswered
                if not _is_passing(error) or trio.current_time() >= deadline:
                    raise
            await trio.sleep(delay)
            delay = min(delay * 2, BACKOFF_S_MAX)

    def _request(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        return {"jsonrpc": "2.0", "method": name, "params": params, "id": self._number}

    async def _post(self, body: Any) -> Any:
        try:
            response = await self._http.post(
                self.url, content=json.dumps(body).encode(), headers={"content-type": "application/json"}
            )
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            unreachable = Unreachable(f"{self.url}: {type(error).__name__}: {error}")
            unreachable.unanswered = not isinstance(error, NOTHING_SENT)
            raise unreachable from error
        try:
            return strict_json(response.content)
        except ValueError as error:
            raise BadReply(
                f"{self.url}: HTTP {response.status_code}, not JSON: {response.content[:80]!r}"
            ) from error


def _read(read: Read[Any, R], result: Any) -> R:
    try:
        return from_object(result, read.reply)
    except FieldFault as fault:
        raise BadReply(f"{read.name}: result: {fault}") from fault


def _tell(wallet: Wallet | None, signed: Signed, error: ClientError) -> None:
    """Tell the wallet that no node took what it signed, if an answer says so."""
    if wallet is None or not isinstance(error, CallRefused):
        return
    if error.name in ("sequence_used", "sequence_stale"):
        wallet.settled(signed.sequence)
    elif error.code > 0:
        wallet.dropped(signed.sequence)


def _is_passing(error: ClientError) -> bool:
    """Whether what went wrong with a call will pass by itself."""
    return isinstance(error, Unreachable) or (isinstance(error, CallRefused) and error.code in PASSING_CODES)


def _may_pass(error: ClientError) -> bool:
    """Whether an error says nothing about a transaction that a node may have taken before."""
    return _is_passing(error) or (
        isinstance(error, CallRefused) and error.name in ("not_found", "limit_exceeded")
    )


def _refusal(answer: dict[str, Any]) -> CallRefused:
    error = answer.get("error")
    if not isinstance(error, dict) or type(error.get("code")) is not int:
        raise BadReply(f"not a JSON-RPC error: {str(error)[:80]}")
    data = error.get("data")
    said = data if isinstance(data, dict) else {}
    name = str(said.get("name") or error.get("message") or "")
    refused = CallRefused(
        error["code"], name, str(said.get("field", "")), str(said.get("value", "")), str(said.get("rule", ""))
    )
    refused.unanswered = refused.code in OPEN_CODES
    return refused
