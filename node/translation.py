"""From the ledger's plain values to those of consensus: the only place where the two cores' words meet."""

from consensus.events import Timing
from ledger.parameters import Parameters


def timing_of(parameters: Parameters) -> Timing:
    """The timeouts of consensus, which the ledger's parameters hold."""
    return Timing(
        propose_ms=parameters.propose_ms,
        propose_delta_ms=parameters.propose_delta_ms,
        prevote_ms=parameters.prevote_ms,
        prevote_delta_ms=parameters.prevote_delta_ms,
        precommit_ms=parameters.precommit_ms,
        precommit_delta_ms=parameters.precommit_delta_ms,
        resend_ms=parameters.resend_ms,
        idle_ms=parameters.idle_ms,
    )
