"""JSON-RPC 2.0: bodies in, bodies out; requests, notifications and batches as the specification has them.

A request is answered whatever it holds: nothing a caller sends raises out of `answer`, but Full when there
is no room for it. Questions and waits have places of their own, so that those who wait shut out nobody who
asks. A batch is worked on for a bounded time and answered with bounded bytes; what is left of it is refused,
each call by itself.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
import trio

from gateway.limits import (
    BATCH_BYTES_MAX,
    BATCH_S_MAX,
    BATCH_UNDER_WAY_MAX,
    ID_CHARACTERS_MAX,
    METHOD_CHARACTERS_MAX,
)
from gateway.shares import Caller, Full, Shares

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# The range that the specification leaves to servers; ledger codes are positive.
NODE_UNAVAILABLE = -32001
NODE_BUSY = -32002
NODE_TIMEOUT = -32003
GATEWAY_BUSY = -32004
TOO_LARGE = -32005

ERRORS = {  # by code: the stable word, and the message
    PARSE_ERROR: ("parse_error", "Parse error"),
    INVALID_REQUEST: ("invalid_request", "Invalid Request"),
    METHOD_NOT_FOUND: ("method_not_found", "Method not found"),
    INVALID_PARAMS: ("invalid_params", "Invalid params"),
    INTERNAL_ERROR: ("internal_error", "Internal error"),
    NODE_UNAVAILABLE: ("node_unavailable", "Node unavailable"),
    NODE_BUSY: ("node_busy", "Node busy"),
    NODE_TIMEOUT: ("node_timeout", "Node timeout"),
    GATEWAY_BUSY: ("gateway_busy", "Gateway busy"),
    TOO_LARGE: ("too_large", "Too large"),
}
DISCOVER = "rpc.discover"

_log = structlog.get_logger("gateway")

Id = str | int | float | None


class RpcError(Exception):
    """What becomes an error object: `name` is its stable word; field, value and rule say what to mend."""

    def __init__(
        self, code: int, message: str, name: str, field: str = "", value: str = "", rule: str = ""
    ) -> None:
        self.code = code
        self.message = message
        self.data = {"name": name, "field": field, "value": value, "rule": rule}
        super().__init__(f"{code} {message}: {name} {field} {value} {rule}")


def invalid_params(field: str, value: str, rule: str) -> RpcError:
    return RpcError(INVALID_PARAMS, "Invalid params", "invalid_params", field, value, rule)


def invalid_request(field: str, value: str, rule: str) -> RpcError:
    return RpcError(INVALID_REQUEST, "Invalid Request", "invalid_request", field, value, rule)


def gateway_busy(what: str, full: Full) -> RpcError:
    """The error when there is no room for more of `what`."""
    whose = "one address" if full.own else "all callers together"
    rule = f"at most {full.limit} {what} at once for {whose}: try again"
    return RpcError(GATEWAY_BUSY, "Gateway busy", "gateway_busy", what, "", rule)


@dataclass(frozen=True, slots=True)
class Method:
    """What the dispatcher knows of a method: its parameters in order, how they become its query, and what
    answers that for a caller. One that `waits` takes up no place of those who ask.

    `bind` raises RpcError (-32602) for parameters that are not the method's, `perform` if there is no answer.
    """

    parameters: tuple[str, ...]
    bind: Callable[[dict[str, Any]], Any]
    perform: Callable[[Any, Caller], Awaitable[Any]]
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A valid request object. A notification has no id; `id: null` is an id."""

    method: str
    params: list[Any] | dict[str, Any]
    id: Id
    notification: bool


class Dispatcher:
    """Answers request bodies with `methods`, which `document` describes; `observe` hears (method, code) of
    each call."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        document: Mapping[str, Any],
        batch_max: int,
        questions: Shares,
        waits: Shares,
        observe: Callable[[str, int], None] = lambda method, code: None,
    ) -> None:
        self._methods = methods
        self._document = document
        self._batch_max = batch_max
        self._questions = questions
        self._waits = waits
        self._observe = observe

    async def answer(self, body: bytes, caller: Caller) -> bytes | None:
        """The response body, or None when there is nothing to answer (notifications alone). Raises Full."""
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            rule = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
            fault = RpcError(PARSE_ERROR, "Parse error", "parse_error", "body", f"{len(body)} bytes", rule)
            return self._failure(None, "", fault)
        if not isinstance(value, list):
            with (self._waits if self._is_wait(value) else self._questions).taken(caller.address):
                return await self._respond(value, caller)
        if not 1 <= len(value) <= self._batch_max:
            rule = f"a batch holds 1 to {self._batch_max} requests"
            return self._failure(None, "", invalid_request("batch", f"{len(value)} requests", rule))
        responses = [response for response in await self._respond_all(value, caller) if response is not None]
        return b"[" + b",".join(responses) + b"]" if responses else None

    async def _respond_all(self, values: list[Any], caller: Caller) -> list[bytes | None]:
        """The responses in the order of the requests, of which several are under way together."""
        responses: list[bytes | None] = [None] * len(values)
        budget = _Budget()
        waits = [position for position, value in enumerate(values) if self._is_wait(value)]
        asked = iter([position for position, value in enumerate(values) if not self._is_wait(value)])

        async def wait(position: int) -> None:
            try:
                with self._waits.taken(caller.address):
                    response = await self._respond(values[position], caller)
            except Full as full:
                response = self._failure(_id_of(values[position]), "", gateway_busy("waits", full))
            responses[position] = self._within(budget, values[position], response)

        async def ask() -> None:
            for position in asked:
                value = values[position]
                response = None if budget.spent() else await self._respond(value, caller)
                responses[position] = self._within(budget, value, response)

        async with trio.open_nursery() as nursery:
            for position in waits:
                nursery.start_soon(wait, position)
            if len(waits) < len(values):
                with self._questions.taken(caller.address):
                    async with trio.open_nursery() as asking:
                        for _ in range(BATCH_UNDER_WAY_MAX):
                            asking.start_soon(ask)
        return responses

    def _within(self, budget: "_Budget", value: Any, response: bytes | None) -> bytes | None:
        """The response, or the refusal of one for which the batch has no bytes or no time left."""
        why = budget.spent()
        if not why and response is not None:
            why = budget.spend(len(response))
        if not why or (isinstance(value, dict) and "id" not in value):
            return response
        return self._failure(
            _id_of(value), "", RpcError(TOO_LARGE, "Too large", "too_large", "batch", "", why)
        )

    def _is_wait(self, value: Any) -> bool:
        name = value.get("method") if isinstance(value, dict) else None
        method = self._methods.get(name) if isinstance(name, str) else None
        return method is not None and method.waits

    async def _respond(self, value: Any, caller: Caller) -> bytes | None:
        call = _parse(value)
        if isinstance(call, RpcError):
            return self._failure(_id_of(value), "", call)
        try:
            result = await self._perform(call, caller)
        except RpcError as error:
            response = self._failure(call.id, call.method, error)
        else:
            self._observe(call.method, 0)
            response = encoded({"jsonrpc": "2.0", "result": result, "id": call.id})
        return None if call.notification else response

    async def _perform(self, call: Call, caller: Caller) -> Any:
        if call.method == DISCOVER:
            if call.params:
                raise invalid_params("params", "", f"{DISCOVER} takes none")
            return self._document
        method = self._methods.get(call.method)
        if method is None:
            raise RpcError(
                METHOD_NOT_FOUND,
                "Method not found",
                "method_not_found",
                "method",
                call.method[:METHOD_CHARACTERS_MAX],
                f"is none of this server's methods: call {DISCOVER} for the list",
            )
        question = method.bind(_by_name(call.params, method.parameters))
        try:
            return await method.perform(question, caller)
        except RpcError:
            raise
        except Exception as error:
            _log.exception("method failed", method=call.method)
            raise RpcError(INTERNAL_ERROR, "Internal error", "internal_error") from error

    def _failure(self, identity: Id, method: str, error: RpcError) -> bytes:
        self._observe(method, error.code)
        return _failed(identity, error)


class _Budget:
    """What the answers to one batch may take in all."""

    def __init__(self) -> None:
        self._bytes = BATCH_BYTES_MAX
        self._until = trio.current_time() + BATCH_S_MAX

    def spent(self) -> str:
        """Return why nothing more is answered, or an empty text."""
        if self._bytes < 0:
            return f"the answers to a batch have at most {BATCH_BYTES_MAX} bytes: ask the rest by itself"
        if trio.current_time() > self._until:
            return f"the answers to a batch take at most {BATCH_S_MAX:g} s: ask the rest by itself"
        return ""

    def spend(self, amount: int) -> str:
        """Count so many bytes; return why they are not given, or an empty text."""
        self._bytes -= amount
        return self.spent() if self._bytes < 0 else ""


def failure_body(error: RpcError) -> bytes:
    """The body that says `error` about a request that was not even read."""
    return _failed(None, error)


def _failed(identity: Id, error: RpcError) -> bytes:
    said = {"code": error.code, "message": error.message, "data": error.data}
    return encoded({"jsonrpc": "2.0", "error": said, "id": identity})


def _parse(value: Any) -> Call | RpcError:
    """The call in a request object, or what is wrong with it."""
    if not isinstance(value, dict):
        return invalid_request("request", type(value).__name__, "must be an object")
    if value.get("jsonrpc") != "2.0":
        return invalid_request("jsonrpc", _short(value.get("jsonrpc")), 'must be "2.0"')
    method = value.get("method")
    if not isinstance(method, str):
        return invalid_request("method", _short(method), "must be text")
    params = value.get("params", [])
    if not isinstance(params, list | dict):
        return invalid_request("params", _short(params), "must be an array or an object")
    if "id" in value and not _is_id(value["id"]):
        return invalid_request(
            "id", _short(value["id"]), f"must be a number, null, or text up to {ID_CHARACTERS_MAX}"
        )
    return Call(method, params, value.get("id"), "id" not in value)


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= ID_CHARACTERS_MAX
    return value is None or type(value) in (int, float)


def _id_of(value: Any) -> Id:
    """The id to answer an invalid request with: its own if that much can be told, else null."""
    if isinstance(value, dict) and _is_id(value.get("id")):
        identity: Id = value.get("id")
        return identity
    return None


def _by_name(params: list[Any] | dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Parameters given by position, by name. Raises RpcError when there are too many."""
    if isinstance(params, dict):
        return params
    if len(params) > len(names):
        raise invalid_params(
            "params", f"{len(params)} values", f"takes at most {len(names)}: {', '.join(names)}"
        )
    return dict(zip(names, params, strict=False))


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, list | dict) else type(value).__name__
    return text if len(text) <= METHOD_CHARACTERS_MAX else text[: METHOD_CHARACTERS_MAX - 3] + "..."


def encoded(value: Any) -> bytes:
    """The JSON of a value."""
    return msgspec.json.encode(value)
