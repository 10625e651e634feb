"""What the gateway's tests stand on: a node that says what a test tells it to, and a gateway before it."""

import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import trio

from api.declare import Question
from api.fields import Shown
from api.limits import REQUEST_BYTES_MAX
from api.outlook import SurvivalView
from api.reads import READS
from api.reads.institutions import ParameterReply
from api.reads.running import NodeHealthReply
from api.requests import WITHDRAW, BodyKind, FrameReader, Refusal, Response, decode_request, response_frame
from config.settings import GatewayLimits, GatewaySettings
from gateway.server import serve_gateway
from primitives.codec import pack, unpack

Answer = Shown | Refusal | None  # None: no answer, ever

HEALTHY = NodeHealthReply(
    version=1,
    knows=1,
    upgrade=None,
    height=7,
    node="mof-1",
    advancing=True,
    reason="",
    syncing=False,
    voting=True,
    round=0,
    last_block_age_ms=12,
    missing=(),
    peers=(),
    mempool_transactions=0,
    mempool_bytes=0,
    survives=SurvivalView(
        validators=4, power=4, losable_nodes=1, losable_institutions=1, deciding_nodes=3, could_stop=()
    ),
    unseen=(),
    standing=(),
)


def default_answer(question: Question) -> Answer:
    """Health is good, every parameter is 5, nothing else exists."""
    match question.method:
        case "node_health":
            return HEALTHY
        case "parameter_get":
            name: str = getattr(question, "name")  # noqa: B009
            return ParameterReply(height=7, name=name, value=5, meaning="of a test")
    return Refusal(300, "not_found", "query", question.method, "this node knows nothing")


class ScriptedNode:
    """Answers each question with what `answer` returns; `asked` keeps the questions, `withdrawn` counts waits
    that nobody waits for any more."""

    def __init__(self, answer: Callable[[Question], Answer] = default_answer) -> None:
        self.answer = answer
        self.asked: list[Question] = []
        self.withdrawn = 0

    async def serve(self, path: Path, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        path.unlink(missing_ok=True)  # noqa: ASYNC240
        await sock.bind(str(path))
        sock.listen()
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self._handle, [trio.SocketListener(sock)])
            task_status.started()
            await trio.sleep_forever()

    async def _handle(self, stream: trio.SocketStream) -> None:
        reader = FrameReader(REQUEST_BYTES_MAX)
        async with stream:
            while data := await stream.receive_some(65536):
                for body in reader.feed(data):
                    request = decode_request(body)
                    if request.query == WITHDRAW:
                        self.withdrawn += 1
                        continue
                    question = unpack(request.body, READS[request.query].query, REQUEST_BYTES_MAX)
                    self.asked.append(question)
                    reply = self.answer(question)
                    if reply is None:
                        continue
                    kind = BodyKind.REFUSED if isinstance(reply, Refusal) else BodyKind.ANSWER
                    await stream.send_all(response_frame(Response(request.number, kind, pack(reply))))


class Front:
    """A gateway that serves at `url`."""

    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        self.url = url
        self.http = http

    async def post(self, body: bytes | str | AsyncIterator[bytes]) -> httpx2.Response:
        return await self.http.post(self.url, content=body, headers={"content-type": "application/json"})

    async def call(self, method: str, params: Any = None, identity: Any = 1) -> dict[str, Any]:
        """The response object to one call."""
        request = {"jsonrpc": "2.0", "method": method, "id": identity}
        if params is not None:
            request["params"] = params
        response = await self.post(msgspec.json.encode(request))
        answer: dict[str, Any] = response.json()
        return answer


@asynccontextmanager
async def gateway(
    node_socket: Path,
    *,
    raw_blocks: bool = True,
    hosts: tuple[str, ...] = (),
    origins: tuple[str, ...] = (),
    **limits: Any,
) -> AsyncIterator[Front]:
    """A gateway of the node at `node_socket`, on a port of its own, as auditors have one."""
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        socket=node_socket,
        hosts=hosts,
        origins=origins,
        raw_blocks=raw_blocks,
        limits=GatewayLimits(**limits),
    )
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_gateway, settings, stop.wait)
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as http:
            yield Front(f"http://{settings.listen}", http)
        stop.set()


@asynccontextmanager
async def network(node: ScriptedNode | None = None, **settings: Any) -> AsyncIterator[Front]:
    """A gateway with a scripted node behind it, connected."""
    with tempfile.TemporaryDirectory(prefix="mohur-") as folder:
        path = Path(folder, "node.sock")
        async with trio.open_nursery() as nursery:
            await nursery.start((node or ScriptedNode()).serve, path)
            async with gateway(path, **settings) as front:
                await connected(front)
                yield front
            nursery.cancel_scope.cancel()


async def connected(front: Front) -> None:
    """Wait until the gateway has its node."""

    async def is_connected() -> bool:
        health = (await front.http.get(f"{front.url}/health")).json()
        return bool(health["connected"])

    await until(is_connected)


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 10) -> None:
    """Ask again and again, for what another process or another side of a socket brings about."""
    with trio.fail_after(timeout_s):
        while not await condition():
            await trio.sleep(0.01)


async def until_asked(node: ScriptedNode, method: str, count: int = 1) -> None:
    """Wait until the node has been asked so many questions of that method."""

    async def asked() -> bool:
        return sum(question.method == method for question in node.asked) >= count

    await until(asked)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
