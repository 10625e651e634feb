"""SBP attests an exchange rate: PKR per USD, as of a ledger time that is not earlier than the last one's."""

from typing import Annotated

from msgspec import Meta

from ledger import parameters
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Fixing
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.limits import RATE_E4_MAX
from ledger.programmes import is_fresh, newest_fixing
from ledger.schema import Payload, TimeMs


class FixingAttest(Payload, frozen=True):
    """`rate_e4` is PKR per USD times 10**4."""

    rate_e4: Annotated[int, Meta(ge=1, le=RATE_E4_MAX)]
    as_of_ms: TimeMs


def check(ctx: Context, payload: FixingAttest) -> None:
    if payload.as_of_ms > ctx.time_ms:
        raise Refused(Code.OUT_OF_RANGE, "as_of_ms", payload.as_of_ms, ctx.time_ms)
    fixing = Fixing(payload.rate_e4, payload.as_of_ms, ctx.time_ms)
    if not is_fresh(ctx.state, fixing, ctx.time_ms):
        age = parameters.number(ctx.state, "fixing_max_age_s")
        raise Refused(Code.FIXING_STALE, "as_of_ms", payload.as_of_ms, age)
    last = newest_fixing(ctx.state)
    if last is not None and payload.as_of_ms < last.as_of_ms:
        raise Refused(Code.OUT_OF_RANGE, "fixing.as_of_ms", payload.as_of_ms, last.as_of_ms)


def apply(ctx: Context, payload: FixingAttest) -> tuple[int, ...]:
    return (ctx.state.fixings.append(Fixing(payload.rate_e4, payload.as_of_ms, ctx.time_ms)),)


KIND = Kind(
    51,
    "fixing_attest",
    Lane.ACTS,
    Signers.OFFICERS,
    FixingAttest,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("fixing"),
)
