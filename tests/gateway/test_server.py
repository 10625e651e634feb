"""The gateway over real sockets: what it answers, what it survives, and what it does without its node."""

import json
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from api.declare import Question
from api.examples import example
from api.fields import Shown
from api.objects import to_object
from api.reads import READS
from api.reads.transactions import TransactionResult, TxSubmitReply
from api.requests import Refusal
from gateway import jsonrpc, server, upstream
from gateway.description import document
from gateway.limits import BATCH_UNDER_WAY_MAX
from ledger.codes import Code
from testing.front import (
    HEALTHY,
    Front,
    ScriptedNode,
    connected,
    default_answer,
    gateway,
    network,
    until,
    until_asked,
)

GENESIS = bytes(range(32))
ISSUE_METHODS = frozenset(
    [
        "chain_status",
        "chain_block",
        "tx_submit",
        "tx_submitMany",
        "tx_get",
        "tx_wait",
        "account_get",
        "holding_get",
        "holding_list",
        "instrument_get",
        "instrument_list",
        "programme_get",
        "fixing_get",
        "vasp_get",
        "vasp_list",
        "institution_list",
        "policy_list",
        "parameter_get",
        "proposal_get",
        "proposal_list",
        "proof_get",
        "receipt_get",
        "receipt_at",
        "node_health",
    ]
)


async def test_a_call_is_answered_by_the_node() -> None:
    async with network() as front:
        reply = await front.call("parameter_get", {"name": "idle_ms"})

    assert reply == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"height": 7, "name": "idle_ms", "value": 5, "meaning": "of a test"},
    }


async def test_a_refusal_of_the_node_is_an_error_with_the_ledgers_code_and_data() -> None:
    async with network() as front:
        reply = await front.call("holding_get", [12])

    assert reply["error"] == {
        "code": 300,
        "message": "not_found",
        "data": {
            "name": "not_found",
            "field": "query",
            "value": "holding_get",
            "rule": "this node knows nothing",
        },
    }


async def test_a_transaction_passes_as_base64_or_hex_and_its_result_comes_back() -> None:
    def answer(query: Question) -> Shown:
        assert query.method == "tx_submit"
        result = TransactionResult(
            block=6,
            position=0,
            code=400,
            name="overdraft",
            field="amount",
            value="9",
            rule="r",
            created=(),
            rows=(),
        )
        return TxSubmitReply(height=7, tx_id=bytes(32), accepted=True, duplicate=True, result=result)

    node = ScriptedNode(lambda query: answer(query) if query.method == "tx_submit" else default_answer(query))
    async with network(node) as front:
        first = await front.call("tx_submit", {"chain": GENESIS.hex(), "tx": "3q2+7w=="})
        second = await front.call("tx_submit", {"chain": GENESIS.hex(), "tx": "deadbeef"})

    assert [query.tx for query in node.asked if query.method == "tx_submit"] == [b"\xde\xad\xbe\xef"] * 2
    assert first["result"] == second["result"]
    assert first["result"]["duplicate"] is True
    assert first["result"]["result"]["name"] == "overdraft"


WRONG_PARAMS: tuple[tuple[str, Any, str], ...] = (
    ("holding_get", {}, "holding"),
    ("holding_get", {"holding": "1"}, "holding"),
    ("holding_get", {"holding": True}, "holding"),
    ("holding_get", {"holding": 1.5}, "holding"),
    ("holding_get", {"holding": -1}, "holding"),
    ("holding_get", {"holding": 2**32}, "holding"),
    ("holding_get", {"holding": 10**30}, "holding"),
    ("holding_get", {"holding": 1, "extra": 2}, "extra"),
    ("holding_get", [1, 2], "params"),
    ("holding_list", {"limit": 0}, "limit"),
    ("holding_list", {"limit": 1001}, "limit"),
    ("tx_get", {"tx_id": "00"}, "tx_id"),
    ("tx_get", {"tx_id": "AB" * 32}, "tx_id"),
    ("tx_get", {"tx_id": None}, "tx_id"),
    ("tx_submit", {"chain": "00" * 32, "tx": "***"}, "tx"),
    ("tx_submit", {"chain": "00" * 32, "tx": ""}, "tx"),
    ("tx_submit", {"chain": "00" * 32, "tx": "00" * (256 * 1024 + 1)}, "tx"),
    ("tx_submit", {"chain": "zz" * 32, "tx": "00"}, "chain"),
    ("tx_submitMany", {"chain": "00" * 32, "txs": []}, "txs"),
    ("tx_submitMany", {"chain": "00" * 32, "txs": ["00", 7]}, "txs.1"),
    ("tx_wait", {"tx_id": "00" * 32, "timeout_ms": 60_001}, "timeout_ms"),
    ("proposal_list", {"status": "done"}, "status"),
    ("signer_get", {"signer": "abc"}, "signer"),
    ("chain_status", {"a": 1}, "a"),
)


async def test_wrong_parameters_are_refused_with_field_value_and_rule_and_never_reach_the_node() -> None:
    node = ScriptedNode()
    async with network(node) as front:
        asked = len(node.asked)
        for method, params, field in WRONG_PARAMS:
            reply = await front.call(method, params)
            assert reply["error"]["code"] == -32602, (method, params)
            assert reply["error"]["data"]["field"] == field
            assert reply["error"]["data"]["rule"]
            assert "pydantic" not in json.dumps(reply)
            assert "http" not in json.dumps(reply)
        assert len(node.asked) == asked


async def test_calls_of_a_batch_are_under_way_together_and_answered_in_order() -> None:
    """A wait that the node never answers holds up neither its own batch's order nor another request."""
    async with network() as front:
        calls = [
            {"jsonrpc": "2.0", "method": "parameter_get", "params": [f"p{number}"], "id": number}
            for number in range(50)
        ]
        response = await front.post(json.dumps(calls))

    assert [reply["result"]["name"] for reply in response.json()] == [f"p{number}" for number in range(50)]


async def test_a_long_wait_holds_up_no_other_call() -> None:
    node = ScriptedNode(lambda query: None if query.method == "tx_wait" else default_answer(query))
    async with network(node) as front, trio.open_nursery() as nursery:
        nursery.start_soon(front.call, "tx_wait", {"tx_id": "00" * 32, "timeout_ms": 60_000})
        await until_asked(node, "tx_wait")
        with trio.fail_after(5):
            reply = await front.call("parameter_get", ["idle_ms"])
        nursery.cancel_scope.cancel()

    assert reply["result"]["value"] == 5


async def test_a_body_above_the_limit_is_refused_whether_declared_or_streamed() -> None:
    async def streamed() -> Any:
        for _ in range(5):
            yield b" " * 500

    async with network(body_bytes=2048) as front:
        declared = await front.post(b" " * 2049)
        chunked = await front.post(streamed())
        fitting = await front.post(b" " * 2048)

    assert declared.status_code == chunked.status_code == 413
    assert declared.json()["error"]["data"]["name"] == "too_large"
    assert fitting.json()["error"]["code"] == -32700


async def test_notifications_alone_are_answered_with_no_content() -> None:
    async with network() as front:
        response = await front.post('{"jsonrpc": "2.0", "method": "chain_status"}')

    assert (response.status_code, response.content) == (204, b"")


async def test_other_paths_and_verbs_are_not_served() -> None:
    async with network() as front:
        assert (await front.http.get(front.url)).status_code == 405
        assert (await front.http.get(f"{front.url}/console")).status_code == 404
        assert (await front.http.delete(front.url)).status_code == 405


HOSTILE = (
    # A WebSocket upgrade with one byte behind it: hypercorn 0.18 dies of it, and its nursery with it.
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nx",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: %%\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFF\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"\x00" * 1000,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
)


@pytest.mark.parametrize("sent", HOSTILE, ids=range(len(HOSTILE)))
async def test_the_gateway_survives_hostile_bytes(sent: bytes) -> None:
    async with network() as front:
        host, port = front.url.removeprefix("http://").split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(sent)
        with trio.move_on_after(0.3):
            while await stream.receive_some():
                pass
        await stream.aclose()

        assert (await front.call("parameter_get", ["idle_ms"]))["result"]["value"] == 5


async def test_without_its_node_the_gateway_says_so_and_it_comes_back_with_the_node() -> None:
    with tempfile.TemporaryDirectory(prefix="mohur-") as folder:
        path = Path(folder, "node.sock")
        async with gateway(path) as front:
            reply = await front.call("parameter_get", ["idle_ms"])
            assert (reply["error"]["code"], reply["error"]["data"]["name"]) == (-32001, "node_unavailable")
            assert (await front.http.get(f"{front.url}/health")).status_code == 503

            for _ in range(2):  # the node starts, dies, and starts again
                async with trio.open_nursery() as nursery:
                    await nursery.start(ScriptedNode().serve, path)
                    await connected(front)
                    assert (await front.call("parameter_get", ["idle_ms"]))["result"]["value"] == 5
                    nursery.cancel_scope.cancel()

                async def is_gone() -> bool:
                    return "error" in await front.call("parameter_get", ["idle_ms"])

                await until(is_gone)


async def test_a_call_under_way_fails_at_once_when_the_node_dies() -> None:
    with tempfile.TemporaryDirectory(prefix="mohur-") as folder:
        path = Path(folder, "node.sock")
        node = ScriptedNode(lambda query: None if query.method == "parameter_get" else default_answer(query))
        replies: list[dict[str, Any]] = []

        async def ask(front: Front) -> None:
            replies.append(await front.call("parameter_get", ["idle_ms"]))

        async with gateway(path) as front, trio.open_nursery() as callers, trio.open_nursery() as nodes:
            await nodes.start(node.serve, path)
            await connected(front)
            callers.start_soon(ask, front)
            await until_asked(node, "parameter_get")
            nodes.cancel_scope.cancel()

    assert replies[0]["error"]["data"]["name"] == "node_unavailable"


async def test_a_node_that_does_not_answer_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "ANSWER_S_MAX", 0.1)
    node = ScriptedNode(lambda query: None if query.method == "parameter_get" else default_answer(query))
    async with network(node) as front:
        reply = await front.call("parameter_get", ["idle_ms"])

    assert (reply["error"]["code"], reply["error"]["data"]["name"]) == (-32003, "node_timeout")


async def test_a_node_that_hangs_is_told_of_before_a_probe_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.HEALTH_S_MAX <= 5.0
    monkeypatch.setattr(server, "HEALTH_S_MAX", 0.1)
    with trio.fail_after(10):
        async with network(ScriptedNode(lambda query: None)) as front:
            health = await front.http.get(f"{front.url}/health")
            metrics = await front.http.get(f"{front.url}/metrics")

    assert (health.status_code, health.json()["ok"], health.json()["connected"]) == (503, False, True)
    assert health.json()["error"]["name"] == "node_timeout"
    assert "mohur_gateway_node_connected 0.0" in metrics.text


async def test_more_requests_than_the_limit_are_told_to_come_back() -> None:
    node = ScriptedNode(lambda query: None if query.method == "parameter_get" else default_answer(query))
    async with network(node, requests=2, address_percent=100) as front, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(front.call, "parameter_get", ["idle_ms"])
        await until_asked(node, "parameter_get", 2)
        response = await front.post('{"jsonrpc": "2.0", "method": "chain_status", "id": 1}')
        nursery.cancel_scope.cancel()

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["error"]["data"]["name"] == "gateway_busy"


async def test_those_who_wait_shut_out_nobody_who_asks_and_one_address_waits_its_share() -> None:
    node = ScriptedNode(lambda query: None if query.method == "tx_wait" else default_answer(query))
    wait = {"jsonrpc": "2.0", "method": "tx_wait", "params": {"tx_id": "00" * 32}, "id": 1}
    async with network(node, requests=1, waits=8) as front, trio.open_nursery() as nursery:
        nursery.start_soon(front.post, json.dumps([wait, wait]))
        await until_asked(node, "tx_wait", 2)
        alone = await front.post(json.dumps(wait))
        together = await front.post(json.dumps([wait]))
        asked = await front.call("parameter_get", ["idle_ms"])
        nursery.cancel_scope.cancel()

    assert alone.status_code == 429
    assert together.json()[0]["error"]["data"]["name"] == "gateway_busy"
    assert asked["result"]["value"] == 5


async def test_the_answers_to_a_batch_have_bounded_bytes_and_what_is_left_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jsonrpc, "BATCH_BYTES_MAX", 1_000)
    call = {"jsonrpc": "2.0", "method": "parameter_get", "params": ["idle_ms"]}
    async with network() as front:
        response = await front.post(json.dumps([call | {"id": number} for number in range(100)]))

    given = [reply for reply in response.json() if "result" in reply]
    refused = [reply for reply in response.json() if "error" in reply]
    assert 5 < len(given) < 15
    assert {reply["error"]["data"]["name"] for reply in refused} == {"too_large"}
    assert [reply["id"] for reply in response.json()] == [*range(100)]


async def test_no_further_call_of_a_batch_is_begun_when_its_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jsonrpc, "BATCH_S_MAX", -1.0)
    node = ScriptedNode()
    call = {"jsonrpc": "2.0", "method": "parameter_get", "params": ["idle_ms"], "id": 1}
    async with network(node) as front:
        response = await front.post(json.dumps([call, call]))

    assert {reply["error"]["data"]["name"] for reply in response.json()} == {"too_large"}
    assert "parameter_get" not in [query.method for query in node.asked]


async def test_much_that_one_connection_asks_holds_up_no_other() -> None:
    """The node answers nothing of the first: of its places that one has half, and of those it keeps none that
    another connection of its address waits for."""
    node = ScriptedNode(lambda query: None if query.method == "holding_get" else default_answer(query))
    call = {"jsonrpc": "2.0", "method": "holding_get", "params": [1], "id": 1}
    async with network(node, address_percent=100) as front, trio.open_nursery() as nursery:
        nursery.start_soon(front.post, json.dumps([call] * 100))
        await until_asked(node, "holding_get", BATCH_UNDER_WAY_MAX)
        with trio.fail_after(5):
            reply = await front.call("parameter_get", ["idle_ms"])
        nursery.cancel_scope.cancel()

    assert reply["result"]["value"] == 5


FOREIGN: tuple[tuple[dict[str, str], int], ...] = (
    ({"host": "evil.example"}, 403),
    ({"host": "evil.example:8640"}, 403),
    ({"host": "127.0.0.1.evil.example"}, 403),
    ({"host": "gateway.example"}, 200),
    ({"host": "GATEWAY.example:8640"}, 200),
    ({"host": "localhost:1"}, 200),
    ({"host": "[::1]:8640"}, 200),
    ({"host": "[::1]"}, 200),
    ({"origin": "https://evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": "https://desk.example"}, 200),
    ({"host": "localhost:1", "origin": "http://localhost:1"}, 200),
    ({"content-type": "text/plain"}, 415),
    ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ({"content-type": "application/json; charset=utf-8"}, 200),
)


@pytest.mark.parametrize(("headers", "expected"), FOREIGN)
async def test_only_its_own_names_and_pages_and_json_are_answered(
    headers: dict[str, str], expected: int
) -> None:
    node = ScriptedNode()
    async with network(node, hosts=("gateway.example",), origins=("https://desk.example",)) as front:
        asked = len(node.asked)
        response = await front.http.post(
            front.url,
            content='{"jsonrpc": "2.0", "method": "parameter_get", "params": ["idle_ms"], "id": 1}',
            headers={"content-type": "application/json"} | headers,
        )
        assert (response.status_code, len(node.asked) - asked) == (expected, int(expected == 200))
        if expected == 200 and "origin" in headers:
            assert response.headers["access-control-allow-origin"] == headers["origin"]


async def test_what_an_error_repeats_of_a_request_is_short() -> None:
    async with network() as front:
        for params in ({"x" * 1_000_000: 1}, {"holding": "9" * 1_000_000}):
            response = await front.post(
                json.dumps({"jsonrpc": "2.0", "method": "holding_get", "params": params, "id": 1})
            )
            assert response.json()["error"]["code"] == -32602
            assert len(response.content) < 1_000


async def test_a_node_that_speaks_nonsense_is_hung_up_on_and_callers_are_told() -> None:
    with tempfile.TemporaryDirectory(prefix="mohur-") as folder:
        path = Path(folder, "node.sock")

        async def nonsense(stream: trio.SocketStream) -> None:
            with suppress(trio.BrokenResourceError):  # hung up on before it has read what it was asked
                await stream.send_all(b"\xff" * 64)
                await stream.receive_some()

        sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        await sock.bind(str(path))
        sock.listen()
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, nonsense, [trio.SocketListener(sock)])
            async with gateway(path) as front:
                await trio.sleep(0.1)
                reply = await front.call("parameter_get", ["idle_ms"])
            nursery.cancel_scope.cancel()

    assert reply["error"]["data"]["name"] == "node_unavailable"


async def test_discovery_describes_every_method_that_the_gateway_has() -> None:
    async with network() as front:
        document = (await front.call("rpc.discover"))["result"]

    described = {method["name"]: method for method in document["methods"]}
    assert set(described) >= ISSUE_METHODS
    assert set(described) == set(READS)
    assert [parameter["name"] for parameter in described["holding_list"]["params"]] == [
        "account",
        "instrument",
        "cursor",
        "limit",
    ]
    assert described["holding_list"]["params"][3]["schema"]["default"] == 100
    assert described["chain_status"]["params"] == described["node_health"]["params"] == []
    schemas = document["components"]["schemas"]
    for method in described.values():
        named = method["result"]["schema"]["$ref"].rpartition("/")[2]
        assert method["summary"]
        assert schemas[named]["properties"]
        assert {error["$ref"].rpartition("/")[2] for error in method["errors"]} <= {
            *document["components"]["errors"]
        }


async def test_every_example_of_the_description_is_asked_and_answered_as_it_says() -> None:
    def answer(question: Question) -> Shown:
        asked.append(question)
        shown: Shown = example(READS[question.method].reply)
        return shown

    asked: list[Question] = []
    async with network(ScriptedNode(answer)) as front:
        document = (await front.call("rpc.discover"))["result"]
        for method in document["methods"]:
            for shown in method["examples"]:
                asked.clear()
                params = {parameter["name"]: parameter["value"] for parameter in shown["params"]}
                by_name = await front.call(method["name"], params)
                by_position = await front.call(method["name"], [*params.values()])
                assert by_name["result"] == by_position["result"] == shown["result"]["value"], method["name"]
                assert [to_object(question) for question in asked] == [params] * 2


def test_the_description_is_made_of_the_reads_and_has_no_name_that_leads_nowhere() -> None:
    text = json.dumps(document("http://g", raw_blocks=True))
    described = json.loads(text)
    for reference in re.findall(r'"#/components/([a-z]+)/([A-Za-z_0-9]+)"', text):
        assert reference[1] in described["components"][reference[0]]
    assert [method["name"] for method in described["methods"]] == [*READS]


async def test_health_tells_whether_the_chain_advances() -> None:
    stalled = replace(HEALTHY, advancing=False, missing=("sbp-1",), reason="no quorum")
    node = ScriptedNode(lambda query: stalled)
    async with network(node) as front:
        response = await front.http.get(f"{front.url}/health")

    assert response.status_code == 503
    assert response.json()["node"]["missing"] == ["sbp-1"]


async def test_metrics_count_calls_by_method_and_code_and_strangers_cannot_grow_them() -> None:
    async with network() as front:
        await front.call("parameter_get", ["idle_ms"])
        for number in range(5):
            await front.call(f"invented_{number}")
        text = (await front.http.get(f"{front.url}/metrics")).text

    assert 'mohur_gateway_calls_total{code="0",method="parameter_get"} 1.0' in text
    assert 'mohur_gateway_calls_total{code="-32601",method="unknown"} 5.0' in text
    assert "mohur_gateway_node_connected 1.0" in text
    assert "invented" not in text


def test_the_gateway_loads_neither_the_node_nor_any_storage() -> None:
    """Not even by way of another module: what is not in the process cannot leak from it."""
    program = (
        "import sys, gateway.server\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in ('node', 'storage', 'lmdb')]\n"
        "sys.exit(' '.join(loaded) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_refusals_of_the_node_keep_their_place_among_the_errors() -> None:
    """Ledger codes are positive, JSON-RPC's own negative: no number means two things."""
    assert all(int(code) > 0 for code in Code if code is not Code.OK)
    assert Refusal(300, "not_found", "", "", "").code > 0
