"""The ministry takes an offer back before its window is over: what was taken stays sold, the rest is free.

Units that nobody took are the treasury's once more and may be offered anew; those it still has at maturity
are cancelled without cash.
"""

from msgspec.structs import replace

from ledger import agenda
from ledger.balances import unlock
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import OfferStatus
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.schema import Index, Payload


class OfferWithdraw(Payload, frozen=True):
    offer: Index


def check(ctx: Context, payload: OfferWithdraw) -> None:
    offer = ctx.state.offers.require(payload.offer, "offer")
    if offer.status is not OfferStatus.OPEN or ctx.time_ms >= offer.closes_ms:
        raise Refused(Code.OFFER_CLOSED, "offer", payload.offer)


def apply(ctx: Context, payload: OfferWithdraw) -> tuple[int, ...]:
    state = ctx.state
    offer = state.offers[payload.offer]
    unsold = offer.units - offer.taken
    if unsold:
        unlock(state, state.instruments[offer.instrument].treasury_holding, unsold)
    state.offers.replace(payload.offer, replace(offer, status=OfferStatus.WITHDRAWN))
    agenda.cancel(state, offer.due, ctx.height)
    return (payload.offer,)


KIND = Kind(
    63,
    "offer_withdraw",
    Lane.ACTS,
    Signers.OFFICERS,
    OfferWithdraw,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("offer", "offer"),
)
