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
from api.reads.transactions import SubmittedView, TransactionResult, TxSubmitReply
from client.errors import BadReply, CallRefused, NotCommitted, TransactionRefused, Unreachable
from client.limits import BACKOFF_S_MAX, BACKOFF_S_MIN, CONNECTIONS_MAX
from client.transactions import BadPayload, Signed
from client.wallet import Wallet

RETRY_S = 10.0
CALL_S = 90.0  # longer than the longest tx_wait
RESEND_MS = 2_000  # a node that lost its pool is given the bytes again after so long
COMMIT_S = 30.0
# The gateway's own codes for "not now": no node, node busy, node slow, gateway busy.
PASSING_CODES = frozenset({-32001, -32002, -32003, -32004})

P = ParamSpec("P")
R = TypeVar("R", bound=Shown)


class AsyncClient(Reads):
    """A gateway at `url`, spoken to under Trio: `async with AsyncClient(url) as client`.

    Every read of `api.reads` is a method: `await client.holding_get(5)`.
    """

    def __init__(
        self, url: str, *, retry_s: float = RETRY_S, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.url = url
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
        self, raw: bytes, tx_id: bytes, *, chain: bytes | None = None, timeout_s: float = COMMIT_S
    ) -> TransactionResult:
        """Submit and stay until the transaction is in a block, sending the same bytes again whenever the node
        no longer knows them. Raises CallRefused if no block may hold it, NotCommitted when time is up.

        Once the bytes were accepted a block may hold them: from then on a gateway that is away or full is
        waited for until time is up, however long a call alone is tried again.
        """
        deadline = trio.current_time() + timeout_s
        accepted = False
        while (left_s := deadline - trio.current_time()) > 0:
            with trio.move_on_after(left_s):
                try:
                    submitted = await self.submit(raw, chain)
                    accepted = True
                    if submitted.result is not None:
                        return submitted.result
                    wait_ms = max(1, min(RESEND_MS, int(left_s * 1000)))
                    reply = await self.tx_wait(tx_id, wait_ms)
                    if reply.result is not None:
                        return reply.result
                except Unreachable:
                    if not accepted:
                        raise
                except CallRefused as refused:
                    if not accepted or not _may_pass(refused):
                        raise
                    if refused.name != "not_found":
                        await trio.sleep(BACKOFF_S_MAX)
        raise NotCommitted(f"transaction {tx_id.hex()}: not in a block after {timeout_s:g} s")

    async def send(
        self, signed: Signed, wallet: Wallet | None = None, *, timeout_s: float = COMMIT_S
    ) -> TransactionResult:
        """Carry a transaction to its result and tell the wallet. Raises TransactionRefused if the ledger
        refused it inside a block, CallRefused if it never got into one."""
        try:
            result = await self.outcome(
                signed.raw,
                signed.id,
                chain=None if wallet is None else wallet.genesis_hash,
                timeout_s=timeout_s,
            )
        except CallRefused as refused:
            if wallet is not None and refused.name in ("sequence_used", "sequence_stale"):
                wallet.settled(signed.sequence)
            elif wallet is not None and refused.code > 0:
                wallet.dropped(signed.sequence)
            raise
        if wallet is not None:
            wallet.settled(signed.sequence)
        if result.code:
            raise TransactionRefused(result.code, result.name, result.field, result.value, result.rule)
        return result

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
        by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
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
        """One call, repeated until it is answered otherwise than by `not now`."""
        deadline = trio.current_time() + self._retry_s
        delay = BACKOFF_S_MIN
        while True:
            request = self._request(name, params)
            try:
                answer = await self._post(request)
                if not isinstance(answer, dict) or answer.get("id") not in (request["id"], None):
                    raise BadReply(f"{name}: the answer is not to this request")
                if "error" not in answer:
                    return answer.get("result")
                refusal = _refusal(answer)
                if refusal.code not in PASSING_CODES or trio.current_time() >= deadline:
                    raise refusal
            except Unreachable:
                if trio.current_time() >= deadline:
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
        except httpx2.TransportError as error:
            raise Unreachable(f"{self.url}: {type(error).__name__}: {error}") from error
        try:
            return json.loads(response.content)
        except ValueError as error:
            raise BadReply(
                f"{self.url}: HTTP {response.status_code}, not JSON: {response.content[:80]!r}"
            ) from error


def _read(read: Read[Any, R], result: Any) -> R:
    try:
        return from_object(result, read.reply)
    except FieldFault as fault:
        raise BadReply(f"{read.name}: result: {fault}") from fault


def _may_pass(refused: CallRefused) -> bool:
    """Whether a refusal says nothing about a transaction that was accepted before."""
    return refused.code in PASSING_CODES or refused.name in ("not_found", "limit_exceeded")


def _refusal(answer: dict[str, Any]) -> CallRefused:
    error = answer.get("error")
    if not isinstance(error, dict) or type(error.get("code")) is not int:
        raise BadReply(f"not a JSON-RPC error: {str(error)[:80]}")
    data = error.get("data")
    said = data if isinstance(data, dict) else {}
    name = str(said.get("name") or error.get("message") or "")
    return CallRefused(
        error["code"], name, str(said.get("field", "")), str(said.get("value", "")), str(said.get("rule", ""))
    )
