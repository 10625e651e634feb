"""What is asked of the institutions: which root certificates their nodes may come under now."""

from collections.abc import Mapping

from ledger.state import State


def roots_in_force(state: State, header_time_ms: int) -> Mapping[str, tuple[bytes, ...]]:
    """The roots (DER) of each institution, by its name, that have not ended."""
    time_ms = header_time_ms + state.chain_record.clock_offset_ms
    return {
        institution.name: tuple(
            root.der for root in institution.ca_roots if not root.until_ms or time_ms < root.until_ms
        )
        for institution in state.institutions
    }
