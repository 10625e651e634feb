"""Whether the chain advances as this node sees it, and if not, why not: never green while stalled."""

from collections.abc import Sequence
from dataclasses import dataclass

from node.limits import STALLED_MS_MIN


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """What the verdict is made of. `missing` are the validators that the current step waits for."""

    height: int
    round: int
    step: str
    last_block_age_ms: int
    idle_ms: int
    syncing: bool
    target: int
    connected: int
    missing: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    advancing: bool
    reason: str


def verdict(facts: HealthFacts) -> Verdict:
    """Advancing, or what is known about why not."""
    limit_ms = max(STALLED_MS_MIN, 3 * facts.idle_ms)
    if facts.last_block_age_ms <= limit_ms:
        return Verdict(True, "")
    stalled = f"no block for {facts.last_block_age_ms / 1000:.1f} s after height {facts.height}"
    if facts.syncing:
        return Verdict(False, f"{stalled}: catching up to height {facts.target}")
    if facts.connected == 0:
        return Verdict(False, f"{stalled}: no peer is connected")
    where = f"round {facts.round}, step {facts.step}"
    if facts.missing:
        return Verdict(False, f"{stalled}: {where} waits for {', '.join(facts.missing)}")
    return Verdict(False, f"{stalled}: {where}")
