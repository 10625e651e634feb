"""The gateway's methods: every read that the API declares, as JSON-RPC with an OpenRPC description."""

from collections.abc import Awaitable, Callable
from typing import Any

from openrpc import ContentDescriptor, Example, ExamplePairing, Info, RPCApp, Schema, Server

from api.declare import Question, Read
from api.fields import Shown
from api.objects import FieldFault, fields, from_params, schema, to_object
from api.reads import READS, Reads
from config.settings import GatewayLimits
from gateway.jsonrpc import CallFailed, Method, RpcError, invalid_params

API_VERSION = "1.0.0"

Ask = Callable[[Question], Awaitable[Shown]]


def create_app(
    ask: Ask, limits: GatewayLimits, url: str, *, raw_blocks: bool
) -> tuple[RPCApp, dict[str, Method]]:
    """The methods of a gateway whose node answers `ask`, which raises RpcError when there is no answer; with
    raw blocks, in which one reads who signed an act, only where its operator says so."""
    app = RPCApp(
        Info(
            title="Mohur",
            version=API_VERSION,
            description="The ledger of tokenised sovereign assets. Amounts are decimal strings, hashes and "
            "keys lower-case hex, transactions base64 or hex. Errors carry data {name, field, value, rule}; "
            "positive codes are the ledger's own.",
        ),
        Server(name="gateway", url=url),
    )
    methods: dict[str, Method] = {}
    for name, read in READS.items():
        if name == Reads.chain_raw.name and not raw_blocks:
            continue
        described = fields(read.query)
        app.method(
            name=name,
            summary=" ".join(read.description.partition("\n\n")[0].split()),
            description=" ".join(read.description.split()),
            params=[
                ContentDescriptor(name=field, schema=Schema.model_validate(shape), required=required)
                for field, shape, required in described
            ],
            result=ContentDescriptor(name="result", schema=Schema.model_validate(schema(read.reply))),
            examples=[_example(read)],
        )(_function(name, ask))
        methods[name] = Method(tuple(field for field, _, _ in described), _binder(read, limits))
    return app, methods


def _function(name: str, ask: Ask) -> Callable[[Any], Awaitable[dict[str, Any]]]:
    async def function(query: Any) -> dict[str, Any]:
        try:
            return to_object(await ask(query))
        except RpcError as error:
            raise CallFailed(error) from error

    function.__name__ = name
    return function


def _binder(read: Read[Any, Any], limits: GatewayLimits) -> Callable[[dict[str, Any]], Question]:
    def bind(params: dict[str, Any]) -> Question:
        try:
            question = from_params(params, read.query)
        except FieldFault as fault:
            raise invalid_params(fault.field, fault.value, fault.rule) from fault
        _check_limits(question, limits)
        return question

    return bind


def _check_limits(question: Question, limits: GatewayLimits) -> None:
    """The limits of this gateway, which may be tighter than the protocol's."""
    txs, limit = getattr(question, "txs", ()), getattr(question, "limit", 0)
    timeout_ms = getattr(question, "timeout_ms", 0)
    if len(txs) > limits.submit_many:
        raise invalid_params("txs", f"{len(txs)} items", f"at most {limits.submit_many} at once here")
    if timeout_ms > limits.wait_s * 1000:
        raise invalid_params("timeout_ms", str(timeout_ms), f"at most {limits.wait_s * 1000} here")
    if limit > limits.page:
        raise invalid_params("limit", str(limit), f"at most {limits.page} here")


def _example(read: Read[Any, Any]) -> ExamplePairing:
    """A call with what is required; without a result, which depends on the chain."""
    values = {"integer": 0, "string": "00" * 32, "array": ["00" * 32]}
    params = [
        Example(name=field, value=values.get(str(shape.get("type")), 0))
        for field, shape, required in fields(read.query)
        if required
    ]
    return ExamplePairing(name="call", params=params)
