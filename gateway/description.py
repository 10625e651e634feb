"""The gateway's methods: every read that the API declares, as JSON-RPC with an OpenRPC description."""

from collections.abc import Awaitable, Callable
from typing import Any

from api.declare import Question, Read, ReadFrom
from api.examples import example
from api.fields import Shown
from api.objects import FieldFault, Named, fields, from_params, hints, schema, to_object
from api.reads import READS, Reads
from config.settings import GatewayLimits
from gateway.jsonrpc import ERRORS, Method, invalid_params
from gateway.shares import Caller
from ledger.codes import Code

OPENRPC = "1.3.2"
API_VERSION = "1.0.0"
ABOUT = (
    "The ledger of tokenised sovereign assets. Amounts are decimal strings, hashes and keys lower-case hex, "
    "transactions base64 or hex. Errors carry data {name, field, value, rule}; positive codes are the "
    "ledger's own."
)
# What a read may be refused with by the ledger; whatever submits, or waits, with any of its codes.
READING_CODES = (Code.MALFORMED, Code.NOT_FOUND, Code.LIMIT_EXCEEDED)

Ask = Callable[[Question, Caller], Awaitable[Shown]]


def served(*, raw_blocks: bool) -> dict[str, Read[Any, Any]]:
    """The reads that a gateway serves: raw blocks, in which one reads who signed an act, only where its
    operator says so."""
    return {name: read for name, read in READS.items() if raw_blocks or name != Reads.chain_raw.name}


def methods(ask: Ask, limits: GatewayLimits, *, raw_blocks: bool) -> dict[str, Method]:
    """The methods of a gateway whose node answers `ask`, which raises RpcError when there is no answer."""

    async def perform(question: Question, caller: Caller) -> dict[str, Any]:
        return to_object(await ask(question, caller))

    return {
        name: Method(tuple(hints(read.query)), _binder(read, limits), perform, waits=read.waits)
        for name, read in served(raw_blocks=raw_blocks).items()
    }


def document(url: str, *, raw_blocks: bool) -> dict[str, Any]:
    """The OpenRPC description of them, made of the declarations of the reads alone."""
    named: Named = {}
    described = [_described(name, read, named) for name, read in served(raw_blocks=raw_blocks).items()]
    errors = {word: {"code": code, "message": message} for code, (word, message) in ERRORS.items()}
    errors |= {code.word: {"code": int(code), "message": code.word} for code in Code if code is not Code.OK}
    return {
        "openrpc": OPENRPC,
        "info": {"title": "Mohur", "version": API_VERSION, "description": ABOUT},
        "servers": [{"name": "gateway", "url": url}],
        "methods": described,
        "components": {"schemas": {name: shape for name, (_, shape) in named.items()}, "errors": errors},
    }


def _described(name: str, read: Read[Any, Any], named: Named) -> dict[str, Any]:
    codes = [code for code in Code if code is not Code.OK] if read.source is ReadFrom.NODE else READING_CODES
    words = [word for word, _ in ERRORS.values()] + [code.word for code in codes]
    return {
        "name": name,
        "summary": " ".join(read.description.partition("\n\n")[0].split()),
        "description": " ".join(read.description.split()),
        "paramStructure": "either",
        "params": [
            {"name": field, "schema": shape, "required": required}
            for field, shape, required in fields(read.query, named)
        ],
        "result": {"name": "result", "schema": schema(read.reply, named)},
        "errors": [{"$ref": f"#/components/errors/{word}"} for word in words],
        "examples": [_example(read)],
    }


def _example(read: Read[Any, Any]) -> dict[str, Any]:
    """A call with every parameter, and a result of the shape that is told: the values are made up."""
    asked, told = to_object(example(read.query)), to_object(example(read.reply))
    return {
        "name": read.name,
        "params": [{"name": field, "value": value} for field, value in asked.items()],
        "result": {"name": "result", "value": told},
    }


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
