"""The client against gateways that are away, busy or talk nonsense: it repeats what is safe to repeat."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import trio

from api.reads import Reads
from api.reads.institutions import ParameterReply
from client.errors import BadReply, CallRefused, Unreachable, Unsettled
from client.rpc import AsyncClient

Respond = Callable[[int, Any], Any]
REPLY = {"height": 7, "name": "idle_ms", "value": 5, "meaning": "of a test"}


class Script:
    """A gateway that answers request n with what `respond(n, body)` gives: an object, or an exception."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self.bodies: list[bytes] = []

    def client(self, retry_s: float = 5.0) -> AsyncClient:
        return AsyncClient("http://gateway", retry_s=retry_s, transport=httpx2.MockTransport(self._handle))

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(request.content)
        answer = self._respond(len(self.bodies), json.loads(request.content))
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(
            200, content=answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        )


def result(body: Any, value: Any = REPLY) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": body["id"], "result": value}


def error(body: Any, code: int, name: str) -> dict[str, Any]:
    data = {"name": name, "field": "f", "value": "v", "rule": "r"}
    return {"jsonrpc": "2.0", "id": body["id"], "error": {"code": code, "message": name, "data": data}}


@pytest.mark.parametrize(
    "not_now",
    [
        lambda body: httpx2.ConnectError("refused"),
        lambda body: httpx2.ReadError("reset"),
        lambda body: httpx2.RemoteProtocolError("closed"),
        lambda body: error(body, -32001, "node_unavailable"),
        lambda body: error(body, -32002, "node_busy"),
        lambda body: error(body, -32003, "node_timeout"),
        lambda body: error(body, -32004, "gateway_busy"),
    ],
)
async def test_what_will_pass_is_tried_again_with_the_same_bytes(
    not_now: Callable[[Any], Any], autojump_clock: trio.testing.MockClock
) -> None:
    script = Script(lambda number, body: not_now(body) if number < 4 else result(body))
    async with script.client() as client:
        reply = await client.parameter_get("idle_ms")

    assert reply == ParameterReply(**REPLY)
    assert len(script.bodies) == 4
    assert len(set(script.bodies)) == 1 or all(
        json.loads(body)["params"] == json.loads(script.bodies[0])["params"] for body in script.bodies
    )


async def test_a_refusal_of_the_ledger_is_not_tried_again() -> None:
    script = Script(lambda number, body: error(body, 400, "overdraft"))
    async with script.client() as client:
        with pytest.raises(CallRefused) as refused:
            await client.parameter_get("idle_ms")

    assert (refused.value.code, refused.value.name, refused.value.field) == (400, "overdraft", "f")
    assert (refused.value.value, refused.value.rule, len(script.bodies)) == ("v", "r", 1)


async def test_retries_end_with_what_was_wrong_last(autojump_clock: trio.testing.MockClock) -> None:
    async with Script(lambda number, body: httpx2.ConnectError("refused")).client(retry_s=3) as client:
        started = trio.current_time()
        with pytest.raises(Unreachable, match="refused"):
            await client.chain_status()
        assert 3 <= trio.current_time() - started <= 5
    async with Script(lambda number, body: error(body, -32001, "node_unavailable")).client(
        retry_s=3
    ) as client:
        with pytest.raises(CallRefused, match="node_unavailable"):
            await client.chain_status()


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>502 Bad Gateway</html>",
        b"[]",
        b"[" * 100_000,
        b'{"jsonrpc": "2.0", "id": 1, "id": 1, "result": {}}',
        b'{"jsonrpc": "2.0", "id": 1, "result": {"name": "\\ud800"}}',
        b"null",
        b"",
        b'{"jsonrpc": "2.0", "id": 99, "result": {}}',
        b'{"jsonrpc": "2.0", "id": 1, "result": {"height": "7"}}',
        b'{"jsonrpc": "2.0", "id": 1, "result": null}',
        b'{"jsonrpc": "2.0", "id": 1, "error": "no"}',
        b'{"jsonrpc": "2.0", "id": 1, "error": {"code": "x"}}',
    ],
)
async def test_an_answer_that_is_not_of_the_schema_is_a_bad_reply(answer: bytes) -> None:
    async with Script(lambda number, body: answer).client() as client:
        with pytest.raises(BadReply):
            await client.parameter_get("idle_ms")


async def test_a_reply_with_fields_of_a_newer_server_is_read() -> None:
    async with Script(lambda number, body: result(body, REPLY | {"more": 1})).client() as client:
        assert (await client.parameter_get("idle_ms")).value == 5


@pytest.mark.parametrize(
    "not_now",
    [
        lambda body: httpx2.ConnectError("refused"),
        lambda body: error(body, -32001, "node_unavailable"),
        lambda body: error(body, 110, "limit_exceeded"),
    ],
)
async def test_what_was_accepted_once_is_followed_until_time_is_up(
    not_now: Callable[[Any], Any], autojump_clock: trio.testing.MockClock
) -> None:
    accepted = {"height": 7, "tx_id": "00" * 32, "accepted": True, "duplicate": False, "result": None}
    applied = {"block": 8, "position": 0, "code": 0, "name": "ok", "field": "", "value": "", "rule": ""}
    committed = accepted | {"duplicate": True, "result": applied | {"created": [], "rows": []}}
    started = trio.current_time()

    def respond(number: int, body: Any) -> Any:
        if number == 1:
            return result(body, accepted)
        if trio.current_time() - started < 12:  # longer than one call is tried again
            return not_now(body)
        return result(body, committed) if body["method"] == "tx_submit" else error(body, 300, "not_found")

    async with Script(respond).client() as client:
        assert (await client.outcome(b"raw", bytes(32), chain=bytes(32))).block == 8
    async with Script(respond).client() as client:
        started = trio.current_time()
        with pytest.raises(Unsettled):
            await client.outcome(b"raw", bytes(32), chain=bytes(32), timeout_s=11)


async def test_a_batch_is_one_request_and_its_answers_are_put_in_order() -> None:
    def respond(number: int, body: Any) -> Any:
        answers = [result(body[0]), error(body[1], 300, "not_found"), result(body[2], REPLY | {"value": 6})]
        return list(reversed(answers))

    script = Script(respond)
    async with script.client() as client:
        first, second, third = await client.batch(
            [
                Reads.parameter_get.question(name="idle_ms"),
                Reads.holding_get.question(holding=1),
                Reads.parameter_get.question(name="idle_ms"),
            ]
        )

    assert isinstance(first, ParameterReply)
    assert isinstance(second, CallRefused)
    assert isinstance(third, ParameterReply)
    assert (first.value, second.name, third.value, len(script.bodies)) == (5, "not_found", 6, 1)


async def test_a_batch_that_is_refused_whole_is_one_refusal() -> None:
    refused = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Invalid Request"}}
    async with Script(lambda number, body: refused).client() as client:
        with pytest.raises(CallRefused, match="Invalid Request"):
            await client.batch([Reads.parameter_get.question(name="idle_ms")])
