"""What a gateway counts for Prometheus: calls by method and code, bodies, time, and its link to the node."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from api.reads import READS

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """One gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "mohur_gateway_calls",
            "JSON-RPC calls by method and result code",
            ["method", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "mohur_gateway_request_seconds",
            "Time to answer an HTTP request",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._bytes = Counter(
            "mohur_gateway_received_bytes", "Bytes of request bodies", registry=self._registry
        )
        self._refused = Counter(
            "mohur_gateway_refused",
            "HTTP requests refused before they were read",
            ["reason"],
            registry=self._registry,
        )
        self._connected = Gauge(
            "mohur_gateway_node_connected", "1 while the node answers", registry=self._registry
        )

    def called(self, method: str, code: int) -> None:
        """Count a call; methods that do not exist count as one, so that callers cannot grow the metrics."""
        self._calls.labels(
            method if method in READS or method == "rpc.discover" else "unknown", str(code)
        ).inc()

    def answered(self, body_bytes: int, seconds: float) -> None:
        self._bytes.inc(body_bytes)
        self._seconds.observe(seconds)

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def exposition(self, connected: bool) -> bytes:
        """The text that Prometheus scrapes."""
        self._connected.set(connected)
        return generate_latest(self._registry)
