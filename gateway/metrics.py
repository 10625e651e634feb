"""What a gateway counts for Prometheus: calls by method and code, bodies, time, and its link to the node."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from api.reads import READS
from api.reads.running import NodeHealthReply

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
        self._connected = self._gauge("mohur_gateway_node_connected", "1 while the node answers")
        self._height = self._gauge("mohur_node_height", "Height of the node's last block")
        self._version = self._gauge("mohur_chain_version", "Version of the protocol in force")
        self._knows = self._gauge("mohur_node_knows_version", "Highest version that the node knows")
        self._scheduled = self._gauge("mohur_upgrade_version", "Version that is scheduled, 0 if none is")
        self._from_height = self._gauge("mohur_upgrade_height", "First height of the scheduled version")
        self._claimed = self._gauge("mohur_peer_names_claimed", "Names of live peers that others came under")
        self._not_ready = Gauge(
            "mohur_upgrade_not_ready",
            "1 for each node that does not know the scheduled version",
            ["node"],
            registry=self._registry,
        )

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self._registry)

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

    def exposition(self, health: NodeHealthReply | None) -> bytes:
        """The text that Prometheus scrapes; `health` is what the node says now, None without an answer."""
        self._connected.set(health is not None)
        self._not_ready.clear()
        if health is not None:
            self._height.set(health.height)
            self._version.set(health.version)
            self._knows.set(health.knows)
            self._claimed.set(sum(peer.claims > 0 for peer in health.peers))
            self._scheduled.set(0 if health.upgrade is None else health.upgrade.version)
            self._from_height.set(0 if health.upgrade is None else health.upgrade.from_height)
            for name in () if health.upgrade is None else health.upgrade.not_ready:
                self._not_ready.labels(name).set(1)
        return generate_latest(self._registry)
