"""The gateway process: HTTP in front, its node's Unix socket behind, no key anywhere.

`run_gateway` serves until SIGTERM or SIGINT. POST / is JSON-RPC 2.0, GET /health says whether the node
answers and the chain advances, GET /metrics is for Prometheus.
"""

import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
import trio

from api.objects import to_object
from api.reads import Reads
from api.reads.running import NodeHealthReply
from config.logs import configure_logging
from config.settings import GatewaySettings, split_address
from gateway.description import document, methods
from gateway.http1 import Allowance, HttpRequest, HttpResponse
from gateway.jsonrpc import TOO_LARGE, Dispatcher, RpcError, encoded, failure_body, gateway_busy
from gateway.limits import (
    ANSWER_BYTES_MIN,
    ANSWERS_BYTES_MAX,
    BODIES_BYTES_MAX,
    HEALTH_S_MAX,
    UNDER_WAY_MAX,
)
from gateway.metrics import Metrics
from gateway.origins import Origins, is_json
from gateway.shares import Caller, Full, Shares
from gateway.street import Street
from gateway.upstream import NodeLink

EXIT_OK = 0
EXIT_CANNOT_LISTEN = 16  # as of a node: an address in use or out of reach

BACKLOG = 256
RETRY_AFTER = (("retry-after", "1"),)
OURSELVES = Caller("")  # whom health and metrics are asked for
PATHS = {"/": "POST", "/health": "GET", "/metrics": "GET"}

_log = structlog.get_logger("gateway")


class Gateway:
    """The HTTP face of one link to a node."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._limits = settings.limits
        percent = settings.limits.address_percent
        self.link = NodeLink(settings.socket, UNDER_WAY_MAX if percent == 100 else UNDER_WAY_MAX // 2)
        self.metrics = Metrics()
        self._origins = Origins(settings.hosts, settings.origins)
        self._requests = Shares(settings.limits.requests, percent)
        self._dispatcher = Dispatcher(
            methods(self.link.ask, settings.limits, raw_blocks=settings.raw_blocks),
            document(f"http://{settings.listen}", raw_blocks=settings.raw_blocks),
            settings.limits.batch,
            self._requests,
            Shares(settings.limits.waits, percent),
            self.metrics.called,
        )

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        """Why a request is not answered, told by its head alone; else None."""
        verb = PATHS.get(request.path)
        refused = self._origins.refusal(request.headers)
        if refused:
            return self._not_admitted(403, refused)
        if verb is None:
            return HttpResponse(404)
        if request.method == "OPTIONS" and "origin" in request.headers:
            return HttpResponse(204, headers=self._origins.allowed(request.headers))
        if request.method != verb:
            return HttpResponse(405, headers=(("allow", verb),))
        if verb == "POST" and not is_json(request.headers.get("content-type", "")):
            return self._not_admitted(415, "content-type must be application/json")
        return None

    def _not_admitted(self, status: int, rule: str) -> HttpResponse:
        self.metrics.refused("foreign")
        return HttpResponse(status, f"{rule}\n".encode(), "text/plain; charset=utf-8")

    async def answer(self, request: HttpRequest, body: bytes) -> HttpResponse:
        """The response to a request, whose body is here."""
        try:
            if request.path == "/":
                return await self._rpc(request, body)
            with self._requests.taken(request.caller.address):
                return await (self._health() if request.path == "/health" else self._metrics())
        except Full as full:
            self.metrics.refused("busy")
            return self.full("requests", full)

    async def _rpc(self, request: HttpRequest, body: bytes) -> HttpResponse:
        started = trio.current_time()
        answer = await self._dispatcher.answer(body, request.caller)
        self.metrics.answered(len(body), trio.current_time() - started)
        allowed = self._origins.allowed(request.headers)
        return (
            HttpResponse(204, headers=allowed)
            if answer is None
            else HttpResponse(200, answer, headers=allowed)
        )

    async def _health(self) -> HttpResponse:
        try:
            reply = await self._node_health()
        except RpcError as error:
            said = {"ok": False, "connected": self.link.connected, "error": error.data}
            return HttpResponse(503, encoded(said))
        body = {"ok": reply.advancing, "connected": True, "node": to_object(reply)}
        return HttpResponse(200 if reply.advancing else 503, encoded(body))

    async def _node_health(self) -> NodeHealthReply:
        reply = await self.link.ask(Reads.node_health.question(), OURSELVES, HEALTH_S_MAX)
        if not isinstance(reply, NodeHealthReply):
            raise TypeError(f"node_health was answered with {type(reply).__name__}")
        return reply

    async def _metrics(self) -> HttpResponse:
        health: NodeHealthReply | None = None
        with suppress(RpcError):
            health = await self._node_health()
        return HttpResponse(200, self.metrics.exposition(health), "text/plain; version=0.0.4; charset=utf-8")

    def refused(self, reason: str) -> None:
        """Count a request that was refused before it was read."""
        self.metrics.refused(reason)

    def too_large(self, size: str) -> HttpResponse:
        """The response to a body above the limit."""
        rule = f"a request holds at most {self._limits.body_bytes} bytes"
        error = RpcError(TOO_LARGE, "Too large", "too_large", "body", f"{size} bytes", rule)
        return HttpResponse(413, failure_body(error))

    def full(self, what: str, full: Full) -> HttpResponse:
        """The response when there is no room for more of `what`: 429 for who has his share, else 503."""
        body = failure_body(gateway_busy(what, full))
        return HttpResponse(429 if full.own else 503, body, headers=RETRY_AFTER)


async def serve_gateway(
    settings: GatewaySettings,
    stop: Callable[[], Awaitable[None]],
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` returns. Raises OSError if the address cannot be listened on."""
    listener = _listening(settings.listen)
    gateway = Gateway(settings)
    limits, percent = settings.limits, settings.limits.address_percent
    allowance = Allowance(
        limits.body_bytes,
        bodies=Shares(BODIES_BYTES_MAX, percent, limits.body_bytes),
        answers=Shares(ANSWERS_BYTES_MAX, percent, ANSWER_BYTES_MIN),
    )
    street = Street(gateway, allowance, limits.connections, percent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.link.run)
        _log.info("gateway listens", address=settings.listen, socket=str(settings.socket))
        task_status.started([f"http://{settings.listen}"])
        await street.serve(listener, stop)
        nursery.cancel_scope.cancel()


def _listening(address: str) -> trio.SocketListener:
    """A socket that listens there."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(listener))


def run_gateway(settings: GatewaySettings) -> int:
    """Run the gateway process; its exit code."""
    configure_logging(settings.log)
    return trio.run(_main, settings)


async def _main(settings: GatewaySettings) -> int:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:

        async def stop() -> None:
            async for number in signals:
                _log.info("gateway stops", signal=signal.Signals(number).name)
                return

        try:
            await serve_gateway(settings, stop)
        except OSError as error:
            _log.error("gateway cannot listen", listen=settings.listen, error=str(error))
            return EXIT_CANNOT_LISTEN
    return EXIT_OK
