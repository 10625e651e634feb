"""A VASP takes an offer for its clients in one signed batch; rows settle alone, delivery versus payment.

`rows` are 16 bytes each: securities holding u4, cash holding u4, units u8, little-endian. The batch itself
is refused with stage_not_reached, offer_closed, not_authorised, frozen, malformed or limit_exceeded; a row
alone with not_found, instrument_mismatch, not_authorised, frozen, ineligible, wrong_status,
offer_exhausted or dvp_cash_short.
"""

from typing import Annotated

from msgspec import Meta

from ledger import parameters, rights
from ledger.cost import Cost, packed
from ledger.kind import Context, Kind, Lane, Signers
from ledger.limits import TAKE_ROWS_MAX
from ledger.schema import Index, Payload
from ledger.settlement import TAKE_ROW, check_offer, settle_offer, take_rows
from ledger.transfers import mover_of


class OfferTake(Payload, frozen=True):
    offer: Index
    rows: Annotated[bytes, Meta(max_length=TAKE_ROWS_MAX * TAKE_ROW.itemsize)]


def check(ctx: Context, payload: OfferTake) -> None:
    index, vasp = ctx.vasp()
    rights.require(vasp, rights.OFFER_TAKE, parameters.names(ctx.state, "aml_registered_services"))
    check_offer(ctx.state, payload.offer, index, ctx.time_ms)
    take_rows(payload.rows)


def apply(ctx: Context, payload: OfferTake) -> tuple[int, ...]:
    rows = take_rows(payload.rows)
    ctx.report_rows(settle_offer(ctx.state, mover_of(ctx), ctx.time_ms, payload.offer, rows))
    return ()


KIND = Kind(
    6,
    "offer_take",
    Lane.TRANSFERS,
    Signers.VASP,
    OfferTake,
    check,
    apply,
    Cost(200, (packed(10, "rows", TAKE_ROW.itemsize),)),
)
