"""How much of a programme's cap is used: face authorised and unredeemed, never price, in US cents.

It is computed at the newest fixing, which must be within its age limit, and rounded up. A later move of
the rate stops new issues only.
"""

from ledger import parameters, terms
from ledger.codes import Code, Refused
from ledger.documents import Fixing
from ledger.pricing import usd_cents_up
from ledger.state import Readable


def newest_fixing(state: Readable) -> Fixing | None:
    """The fixing attested last; attestations are in order of their dates."""
    return state.fixings[-1] if len(state.fixings) else None


def is_fresh(state: Readable, fixing: Fixing, time_ms: int) -> bool:
    """Whether `fixing` may still be computed with."""
    return time_ms - fixing.as_of_ms <= 1_000 * parameters.number(state, "fixing_max_age_s")


def face_outstanding(state: Readable, programme: int) -> int:
    """Face authorised under the programme and unredeemed, in paisa."""
    return sum(
        instrument.supply * terms.face_minor(instrument.terms)
        for instrument in (state.instruments[index] for index in state.instruments.members(programme))
    )


def used_cents(state: Readable, programme: int, fixing: Fixing, more_minor: int = 0) -> int:
    """Use of the cap at `fixing` if `more_minor` of face were issued too, in US cents, rounded up once."""
    return usd_cents_up(face_outstanding(state, programme) + more_minor, fixing.rate_e4)


def check_cap(state: Readable, programme: int, more_minor: int, time_ms: int) -> None:
    """Refuse unless `more_minor` of face fits under the cap. Raises Refused(fixing_stale, cap_exceeded)."""
    fixing = newest_fixing(state)
    if fixing is None:
        raise Refused(Code.FIXING_STALE, "programme", programme)
    if not is_fresh(state, fixing, time_ms):
        raise Refused(
            Code.FIXING_STALE,
            "fixing.as_of_ms",
            fixing.as_of_ms,
            parameters.number(state, "fixing_max_age_s"),
        )
    cap = state.programmes[programme].cap_cents
    used = used_cents(state, programme, fixing, more_minor)
    if used > cap:
        raise Refused(Code.CAP_EXCEEDED, "units", more_minor, used, cap, programme)
