"""How long a round waits, and whether a proposal's time is near enough to ours (CometBFT ADR-112).

All times are integer milliseconds; nothing here reads a clock.
"""

from consensus.events import TimeoutStep, Timing
from consensus.limits import MESSAGE_DELAY_MS_MAX


def timeout_ms(timing: Timing, step: TimeoutStep, round: int) -> int:
    """The length of a timeout of `round`: base + round * delta; idle and resend do not grow."""
    match step:
        case TimeoutStep.START:
            return timing.idle_ms
        case TimeoutStep.PROPOSE:
            return timing.propose_ms + round * timing.propose_delta_ms
        case TimeoutStep.PREVOTE:
            return timing.prevote_ms + round * timing.prevote_delta_ms
        case TimeoutStep.PRECOMMIT:
            return timing.precommit_ms + round * timing.precommit_delta_ms
        case TimeoutStep.RESEND:
            return timing.resend_ms


def message_delay_at(message_delay_ms: int, round: int) -> int:
    """The message delay allowed in `round`: a tenth more each round, rounded down, so that a delay set too
    low in the parameters cannot stop the chain (ADR-112, "adaptive message delay")."""
    delay_ms = message_delay_ms
    for _ in range(round):
        if delay_ms >= MESSAGE_DELAY_MS_MAX:
            return MESSAGE_DELAY_MS_MAX
        grown_ms = delay_ms * 11 // 10
        delay_ms = max(grown_ms, delay_ms + 1)
    return min(delay_ms, MESSAGE_DELAY_MS_MAX)


def is_timely(
    block_time_ms: int, received_ms: int, precision_ms: int, message_delay_ms: int, round: int
) -> bool:
    """Whether a proposal with `block_time_ms`, received at `received_ms` of our clock, is timely:
    block time - precision <= received <= block time + delay(round) + precision."""
    latest_ms = block_time_ms + message_delay_at(message_delay_ms, round) + precision_ms
    return block_time_ms - precision_ms <= received_ms <= latest_ms
