"""The gateway process: HTTP in front, its node's Unix socket behind, no key anywhere.

`run_gateway` serves until SIGTERM or SIGINT. POST / is JSON-RPC 2.0, GET /health says whether the node
answers and the chain advances, GET /metrics is for Prometheus.
"""

import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import anycorn
import structlog
import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.objects import to_object
from api.reads import Reads
from api.reads.running import NodeHealthReply
from config.logs import configure_logging
from config.settings import GatewaySettings, split_address
from gateway.description import create_app
from gateway.jsonrpc import GATEWAY_BUSY, TOO_LARGE, Dispatcher, RpcError, failure_body
from gateway.limits import BODY_S_MAX, HTTP_HEADER_BYTES_MAX
from gateway.metrics import Metrics
from gateway.upstream import NodeLink

EXIT_OK = 0
EXIT_CANNOT_LISTEN = 16  # as of a node: an address in use or out of reach

KEEP_ALIVE_S = 75.0
REQUESTS_PER_CONNECTION = 1_000_000
SHUTDOWN_S = 2.0
BACKLOG = 256

_log = structlog.get_logger("gateway")


class Gateway:
    """The HTTP face of one link to a node."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._limits = settings.limits
        self.link = NodeLink(settings.socket)
        self.metrics = Metrics()
        app, methods = create_app(
            self.link.ask, settings.limits, f"http://{settings.listen}", raw_blocks=settings.raw_blocks
        )
        self._dispatcher = Dispatcher(app, methods, settings.limits.batch, self.metrics.called)
        self._answering = 0
        self.asgi = Starlette(
            routes=[
                Route("/", self._rpc, methods=["POST"]),
                Route("/health", self._health, methods=["GET"]),
                Route("/metrics", self._metrics, methods=["GET"]),
            ]
        )

    async def _rpc(self, request: Request) -> Response:
        if self._answering >= self._limits.requests:
            self.metrics.refused("busy")
            rule = f"{self._limits.requests} requests are being answered: try again"
            return _json(
                failure_body(RpcError(GATEWAY_BUSY, "Gateway busy", "gateway_busy", "", "", rule)), 503
            )
        self._answering += 1
        started = trio.current_time()
        try:
            body = await self._body(request)
            if isinstance(body, Response):
                return body
            answer = await self._dispatcher.answer(body)
            self.metrics.answered(len(body), trio.current_time() - started)
        finally:
            self._answering -= 1
        return Response(status_code=204) if answer is None else _json(answer, 200)

    async def _body(self, request: Request) -> bytes | Response:
        """The request's body, or the response to one that is too large or too slow."""
        parts: list[bytes] = []
        size = 0
        declared = request.headers.get("content-length", "0")
        try:
            with trio.fail_after(BODY_S_MAX):
                if declared.isascii() and declared.isdigit() and int(declared[:20]) > self._limits.body_bytes:
                    return self._too_large(declared[:20])
                async with aclosing(request.stream()) as stream:
                    async for part in stream:
                        size += len(part)
                        if size > self._limits.body_bytes:
                            return self._too_large(f"more than {self._limits.body_bytes}")
                        parts.append(part)
        except trio.TooSlowError:
            self.metrics.refused("slow")
            return Response(status_code=408)
        except ClientDisconnect:
            self.metrics.refused("gone")
            return Response(status_code=400)
        return b"".join(parts)

    def _too_large(self, size: str) -> Response:
        self.metrics.refused("large")
        rule = f"a request holds at most {self._limits.body_bytes} bytes"
        error = RpcError(TOO_LARGE, "Request too large", "too_large", "body", f"{size} bytes", rule)
        response = _json(failure_body(error), 413)
        response.headers["connection"] = "close"
        return response

    async def _health(self, request: Request) -> Response:
        try:
            reply = await self._node_health()
        except RpcError as error:
            return JSONResponse({"ok": False, "connected": self.link.connected, "error": error.data}, 503)
        body = {"ok": reply.advancing, "connected": True, "node": to_object(reply)}
        return JSONResponse(body, 200 if reply.advancing else 503)

    async def _node_health(self) -> NodeHealthReply:
        reply = await self.link.ask(Reads.node_health.question())
        if not isinstance(reply, NodeHealthReply):
            raise TypeError(f"node_health was answered with {type(reply).__name__}")
        return reply

    async def _metrics(self, request: Request) -> Response:
        health: NodeHealthReply | None = None
        with suppress(RpcError):
            health = await self._node_health()
        text = self.metrics.exposition(health)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def serve_gateway(
    settings: GatewaySettings,
    stop: Callable[[], Awaitable[None]],
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` returns. Raises OSError if the address cannot be listened on."""
    listener = _listening(settings.listen)
    gateway = Gateway(settings)
    config = anycorn.Config()
    config.bind = [f"fd://{listener.detach()}"]  # which the server owns from here on
    config.backlog = BACKLOG
    config.accesslog = None
    config.errorlog = logging.getLogger("anycorn.error")
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
    config.h11_max_incomplete_size = HTTP_HEADER_BYTES_MAX
    config.graceful_timeout = SHUTDOWN_S
    config.shutdown_timeout = SHUTDOWN_S
    config.include_server_header = False
    config.websocket_max_message_size = HTTP_HEADER_BYTES_MAX
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[list[str]]) -> None:
            await anycorn.serve(
                gateway.asgi,  # type: ignore[arg-type]
                config,
                shutdown_trigger=stop,
                task_status=task_status,  # type: ignore[arg-type]
                mode="asgi",
            )
            nursery.cancel_scope.cancel()

        nursery.start_soon(gateway.link.run)
        binds = await nursery.start(serve)
        _log.info("gateway listens", addresses=binds, socket=str(settings.socket))
        task_status.started(binds)


def _listening(address: str) -> socket.socket:
    """A socket that listens there. Ours, so that a failure is an OSError before the server has begun."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


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


def _json(body: bytes, status: int) -> Response:
    return Response(body, status_code=status, media_type="application/json")
