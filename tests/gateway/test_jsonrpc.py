"""The examples of the JSON-RPC 2.0 specification, section 7, word for word, and what it leaves to be read."""

import json
from typing import Any

import pytest
import trio

from config.settings import GatewayLimits
from gateway.description import methods
from gateway.jsonrpc import Dispatcher, Method
from gateway.shares import Caller, Shares

WHO = Caller("192.0.2.1")


class Calculator:
    """The methods of the specification's examples; `updates` counts the notifications performed."""

    def __init__(self) -> None:
        self.updates: list[Any] = []
        methods = {}
        for name, names, function in (
            ("subtract", ("minuend", "subtrahend"), lambda given: given["minuend"] - given["subtrahend"]),
            ("sum", ("a", "b", "c"), lambda given: sum(given.values())),
            ("update", ("a", "b", "c", "d", "e"), self.updates.append),
            ("notify_hello", ("a",), self.updates.append),
            ("notify_sum", ("a", "b", "c"), self.updates.append),
            ("get_data", (), lambda given: ["hello", 5]),
            ("fail", (), lambda given: 1 // 0),
        ):
            methods[name] = Method(names, dict, _performing(function))
        self.dispatcher = Dispatcher(methods, {}, 10, Shares(8, 100), Shares(8, 100))


def _performing(function: Any) -> Any:
    async def perform(query: Any, caller: Caller) -> Any:
        return function(query)

    return perform


def stripped(value: Any) -> Any:
    """Without `error.data`, which the specification leaves to the server."""
    if isinstance(value, list):
        return [stripped(item) for item in value]
    if isinstance(value, dict) and "error" in value:
        return value | {"error": {key: item for key, item in value["error"].items() if key != "data"}}
    return value


async def answer(body: str) -> Any:
    reply = await Calculator().dispatcher.answer(body.encode(), WHO)
    return None if reply is None else stripped(json.loads(reply))


SPECIFICATION: tuple[tuple[str, str, str | None], ...] = (
    (
        "positional parameters",
        '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
        '{"jsonrpc": "2.0", "result": 19, "id": 1}',
    ),
    (
        "positional parameters, the other way round",
        '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
        '{"jsonrpc": "2.0", "result": -19, "id": 2}',
    ),
    (
        "named parameters",
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
        '{"jsonrpc": "2.0", "result": 19, "id": 3}',
    ),
    (
        "named parameters, the other way round",
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
        '{"jsonrpc": "2.0", "result": 19, "id": 4}',
    ),
    ("a notification", '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
    ("a notification of a method that is not there", '{"jsonrpc": "2.0", "method": "foobar"}', None),
    (
        "a call of a method that is not there",
        '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
        '{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}',
    ),
    (
        "a call with invalid JSON",
        '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
        '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}',
    ),
    (
        "a call with an invalid request object",
        '{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
        '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}',
    ),
    (
        "a batch with invalid JSON",
        '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]',
        '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}',
    ),
    (
        "an empty batch",
        "[]",
        '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}',
    ),
    (
        "an invalid batch, not empty",
        "[1]",
        '[{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}]',
    ),
    (
        "an invalid batch",
        "[1,2,3]",
        '[{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},'
        '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},'
        '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}]',
    ),
    (
        "a batch",
        '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},'
        '{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},'
        '{"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},'
        '{"foo": "boo"},'
        '{"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},'
        '{"jsonrpc": "2.0", "method": "get_data", "id": "9"}]',
        '[{"jsonrpc": "2.0", "result": 7, "id": "1"},'
        '{"jsonrpc": "2.0", "result": 19, "id": "2"},'
        '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},'
        '{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},'
        '{"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}]',
    ),
    (
        "a batch of notifications",
        '[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},'
        '{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]',
        None,
    ),
)


@pytest.mark.parametrize(
    ("request_body", "response_body"),
    [pytest.param(sent, received, id=name) for name, sent, received in SPECIFICATION],
)
async def test_the_specifications_example_is_answered_word_for_word(
    request_body: str, response_body: str | None
) -> None:
    assert await answer(request_body) == (None if response_body is None else json.loads(response_body))


async def test_a_notification_is_performed() -> None:
    calculator = Calculator()

    await calculator.dispatcher.answer(b'{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}', WHO)

    assert calculator.updates == [{"a": 7}]


async def test_an_id_of_null_is_a_request_and_not_a_notification() -> None:
    assert await answer('{"jsonrpc": "2.0", "method": "get_data", "id": null}') == {
        "jsonrpc": "2.0",
        "result": ["hello", 5],
        "id": None,
    }


@pytest.mark.parametrize("identity", ["0", "-7", "1.5", '"a"', '""'])
async def test_an_id_comes_back_as_it_was(identity: str) -> None:
    reply = await answer(f'{{"jsonrpc": "2.0", "method": "get_data", "id": {identity}}}')

    assert reply["id"] == json.loads(identity)


@pytest.mark.parametrize("identity", ["true", "[]", "{}", f'"{"x" * 257}"'])
async def test_an_id_of_another_type_is_an_invalid_request(identity: str) -> None:
    reply = await answer(f'{{"jsonrpc": "2.0", "method": "get_data", "id": {identity}}}')

    assert (reply["error"]["code"], reply["id"]) == (-32600, None)


@pytest.mark.parametrize(
    "body",
    [
        '{"method": "get_data", "id": 1}',
        '{"jsonrpc": "1.0", "method": "get_data", "id": 1}',
        '{"jsonrpc": 2.0, "method": "get_data", "id": 1}',
        '{"jsonrpc": "2.0", "id": 1}',
        '{"jsonrpc": "2.0", "method": null, "id": 1}',
        '{"jsonrpc": "2.0", "method": "get_data", "params": null, "id": 1}',
        '{"jsonrpc": "2.0", "method": "get_data", "params": "abc", "id": 1}',
    ],
)
async def test_an_invalid_request_keeps_its_id(body: str) -> None:
    reply = await answer(body)

    assert (reply["error"]["code"], reply["id"]) == (-32600, 1)


@pytest.mark.parametrize(
    "body", ["", "nonsense", "\ufeff[]", "NaN", '"\\ud800"', "[" * 1_000_000, '{"a":' * 100_000]
)
async def test_what_is_not_json_is_a_parse_error(body: str) -> None:
    assert (await answer(body))["error"]["code"] == -32700


async def test_bytes_that_are_not_utf8_are_a_parse_error() -> None:
    reply = await Calculator().dispatcher.answer(b'{"jsonrpc": "2.0", "method": "\xff\xfe", "id": 1}', WHO)

    assert reply is not None
    assert json.loads(reply)["error"]["code"] == -32700


async def test_too_many_positional_parameters_are_refused() -> None:
    reply = await answer('{"jsonrpc": "2.0", "method": "subtract", "params": [1, 2, 3], "id": 1}')

    assert reply["error"]["code"] == -32602


async def test_a_batch_above_the_limit_is_refused_whole() -> None:
    calculator = Calculator()
    one = '{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}'

    reply = await calculator.dispatcher.answer(f"[{','.join([one] * 11)}]".encode(), WHO)

    assert reply is not None
    assert json.loads(reply)["error"]["data"]["rule"] == "a batch holds 1 to 10 requests"
    assert calculator.updates == []


async def test_a_fault_of_ours_is_an_internal_error_that_tells_nothing() -> None:
    reply = await Calculator().dispatcher.answer(b'{"jsonrpc": "2.0", "method": "fail", "id": 1}', WHO)

    assert reply is not None
    error = json.loads(reply)["error"]
    assert error["code"] == -32603
    assert "ZeroDivision" not in reply.decode()


async def _unasked(question: Any, caller: Caller) -> Any:
    raise AssertionError("nothing is asked")


def test_raw_blocks_are_a_method_only_where_the_operator_says_so() -> None:
    served = [methods(_unasked, GatewayLimits(), raw_blocks=raw).keys() for raw in (False, True)]
    assert served[1] - served[0] == {"chain_raw"}


def test_no_depth_of_nesting_raises() -> None:
    served = methods(_unasked, GatewayLimits(), raw_blocks=True)
    dispatcher = Dispatcher(served, {}, 10, Shares(8, 100), Shares(8, 100))

    async def main() -> None:
        for depth in range(900, 1_010):
            value = "[" * depth + "]" * depth
            call = f'{{"jsonrpc": "2.0", "method": "holding_get", "params": {{"holding": {value}}}, "id": 1}}'
            for body in (call, f"[{call}]"):
                reply = json.loads(await dispatcher.answer(body.encode(), WHO) or b"")
                error = (reply[0] if isinstance(reply, list) else reply)["error"]
                assert error["code"] in (-32602, -32700)

    trio.run(main)
