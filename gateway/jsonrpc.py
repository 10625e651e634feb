"""JSON-RPC 2.0: bodies in, bodies out; requests, notifications and batches as the specification has them.

`openrpc` dispatches and describes the methods; the envelope is handled here, because its own batches need
asyncio, it takes `id: null` for a notification, and it lets unknown parameters pass. A request is answered
whatever it holds: nothing a caller sends raises out of `answer`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
import trio
from jsonrpcobjects.objects import ErrorResponse, ParamsRequest, ResultResponse
from openrpc import OpenRPCError, RPCApp

from gateway.limits import ID_CHARACTERS_MAX, METHOD_CHARACTERS_MAX

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

DISCOVER = "rpc.discover"
QUERY = "query"  # the one parameter of every function behind a method: its declared query

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


@dataclass(frozen=True, slots=True)
class Method:
    """What the dispatcher knows of a method: its parameters in order, and how they become its query.

    `bind` raises RpcError (-32602) for parameters that are not the method's.
    """

    parameters: tuple[str, ...]
    bind: Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A valid request object. A notification has no id; `id: null` is an id."""

    method: str
    params: list[Any] | dict[str, Any]
    id: Id
    notification: bool


class Dispatcher:
    """Answers request bodies with the methods of one RPCApp; `observe` hears (method, code) of each call."""

    def __init__(
        self,
        app: RPCApp,
        methods: Mapping[str, Method],
        batch_max: int,
        observe: Callable[[str, int], None] = lambda method, code: None,
    ) -> None:
        self._app = app
        self._methods = methods
        self._batch_max = batch_max
        self._observe = observe

    async def answer(self, body: bytes) -> bytes | None:
        """The response body, or None when there is nothing to answer (notifications alone)."""
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            rule = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
            fault = RpcError(PARSE_ERROR, "Parse error", "parse_error", "body", f"{len(body)} bytes", rule)
            return encoded(self._failure(None, "", fault))
        if not isinstance(value, list):
            response = await self._respond(value)
            return None if response is None else encoded(response)
        if not 1 <= len(value) <= self._batch_max:
            rule = f"a batch holds 1 to {self._batch_max} requests"
            fault = invalid_request("batch", f"{len(value)} requests", rule)
            return encoded(self._failure(None, "", fault))
        responses = [response for response in await self._respond_all(value) if response is not None]
        return encoded(responses) if responses else None

    async def _respond_all(self, values: list[Any]) -> list[dict[str, Any] | None]:
        """The responses in the order of the requests, which are under way together."""
        responses: list[dict[str, Any] | None] = [None] * len(values)

        async def respond(position: int) -> None:
            responses[position] = await self._respond(values[position])

        async with trio.open_nursery() as nursery:
            for position in range(len(values)):
                nursery.start_soon(respond, position)
        return responses

    async def _respond(self, value: Any) -> dict[str, Any] | None:
        call = _parse(value)
        if isinstance(call, RpcError):
            return self._failure(_id_of(value), "", call)
        try:
            result = await self._perform(call)
        except RpcError as error:
            response = self._failure(call.id, call.method, error)
        else:
            self._observe(call.method, 0)
            response = {"jsonrpc": "2.0", "result": result, "id": call.id}
        return None if call.notification else response

    async def _perform(self, call: Call) -> Any:
        if call.method == DISCOVER:
            if call.params:
                raise invalid_params("params", "", f"{DISCOVER} takes none")
            params: dict[str, Any] = {}
        else:
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
            params = {QUERY: method.bind(_by_name(call.params, method.parameters))}
        request = ParamsRequest(id=0, method=call.method, params=params)
        response = await self._app.process_parsed_request(request, None)
        match response:
            case ResultResponse():
                return response.result
            case ErrorResponse():
                # The methods raise CallFailed, which carries the RpcError; anything else is a fault of ours.
                data = getattr(response.error, "data", None)
                if isinstance(data, RpcError):
                    raise data
        _log.error("method failed", method=call.method, response=repr(response))
        raise RpcError(INTERNAL_ERROR, "Internal error", "internal_error")

    def _failure(self, identity: Id, method: str, error: RpcError) -> dict[str, Any]:
        self._observe(method, error.code)
        return {
            "jsonrpc": "2.0",
            "error": {"code": error.code, "message": error.message, "data": error.data},
            "id": identity,
        }


class CallFailed(OpenRPCError):
    """Carries an RpcError out of a method through the RPCApp."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(error.code, error.message, error)


def failure_body(error: RpcError) -> bytes:
    """The body that says `error` about a request that was not even read."""
    return encoded(
        {
            "jsonrpc": "2.0",
            "error": {"code": error.code, "message": error.message, "data": error.data},
            "id": None,
        }
    )


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
