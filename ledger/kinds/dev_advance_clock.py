"""Ledger time moves ahead of header time, on a development chain only, from the next block on."""

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers
from ledger.limits import ADVANCE_MS_MAX, TIME_MS_MAX
from ledger.schema import Payload


class DevAdvanceClock(Payload, frozen=True):
    """`advance_ms` is added to the clock offset; time never moves back."""

    advance_ms: Annotated[int, Meta(ge=1, le=ADVANCE_MS_MAX)]


def check(ctx: Context, payload: DevAdvanceClock) -> None:
    ctx.officers()
    chain = ctx.state.chain_record
    if not chain.development:
        raise Refused(Code.NOT_AUTHORISED, "chain", chain.name)
    moved = ctx.header_time_ms + chain.clock_offset_ms + payload.advance_ms
    if moved > TIME_MS_MAX:
        raise Refused(Code.OUT_OF_RANGE, "advance_ms", payload.advance_ms)


def apply(ctx: Context, payload: DevAdvanceClock) -> tuple[int, ...]:
    chain = ctx.state.chain_record
    ctx.state.chain.replace(0, replace(chain, clock_offset_ms=chain.clock_offset_ms + payload.advance_ms))
    return ()


KIND = Kind(35, "dev_advance_clock", Lane.ACTS, Signers.OFFICERS, DevAdvanceClock, check, apply, Cost(60))
