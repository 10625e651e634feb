"""What a bench prints: one record, percentiles, and the limit measured in the same run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figures:
    """`limit_per_second` is what one part alone can do on this machine, named by `limit`; `ratio` is ours
    to it. Latencies run from submission to the block that holds the result. `postings_ratio` is what
    writing down, hashing and storing the postings takes of a validator's share of the processor; None where
    they are few."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float
    bytes_per_transfer: float
    validators: int
    holdings: int
    batch: int
    seconds: float
    rss_anon_mb_max: float
    limit: str
    limit_per_second: float
    ratio: float
    postings_ratio: float | None = None

    def as_object(self) -> dict[str, Any]:
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` of a hundred values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
