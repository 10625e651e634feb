"""The ministry offers units of its own at a fixed price for a time; what it offers is set aside."""

from typing import Annotated

from msgspec import Meta

from ledger import agenda, terms
from ledger.agenda import What
from ledger.balances import available, lock
from ledger.codes import Code, Refused
from ledger.cost import Cost, items
from ledger.documents import InstrumentStatus, Offer, OfferStatus
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.limits import OFFER_VASPS_MAX, OFFERS_OPEN_MAX, UNIT_COST_MIN
from ledger.pricing import PRICE_SCALE
from ledger.schema import Amount, Index, Payload, TimeMs
from ledger.terms import Act

PRICE_E4_MAX = 1_000 * PRICE_SCALE


class OfferOpen(Payload, frozen=True):
    """`price_e4` is per 100 of face, times 10**4; the window is ledger time from `opens_ms` to just before
    `closes_ms`; empty `vasps` (ascending indices) admits every VASP with the right to take."""

    instrument: Index
    price_e4: Annotated[int, Meta(ge=1, le=PRICE_E4_MAX)]
    units: Amount
    opens_ms: TimeMs
    closes_ms: TimeMs
    vasps: Annotated[tuple[Index, ...], Meta(max_length=OFFER_VASPS_MAX)]


def check(ctx: Context, payload: OfferOpen) -> None:
    state = ctx.state
    instrument = state.instruments.require(payload.instrument, "instrument")
    terms.require(instrument.terms, Act.OFFER, "instrument", instrument.code)
    if instrument.status is not InstrumentStatus.ACTIVE:
        raise Refused(Code.WRONG_STATUS, "instrument.status", instrument.status)
    if terms.cost_minor(instrument.terms, 1, payload.price_e4) < UNIT_COST_MIN:
        raise Refused(Code.OUT_OF_RANGE, "price_e4", payload.price_e4)
    if not payload.opens_ms < payload.closes_ms:
        raise Refused(Code.OUT_OF_RANGE, "opens_ms", payload.opens_ms, payload.closes_ms)
    if payload.closes_ms <= ctx.time_ms:
        raise Refused(Code.OUT_OF_RANGE, "closes_ms", payload.closes_ms, ctx.time_ms)
    ends_ms = terms.closes_ms(instrument.terms)
    if payload.closes_ms > ends_ms:
        raise Refused(Code.OUT_OF_RANGE, "instrument.maturity_ms", payload.closes_ms, ends_ms)
    for number, vasp in enumerate(payload.vasps):
        state.vasps.require(vasp, "vasps[]", number)
        if number and vasp <= payload.vasps[number - 1]:
            raise Refused(Code.OUT_OF_RANGE, "vasps[]", vasp, number)
    free = available(state.holdings[instrument.treasury_holding])
    if payload.units > free:
        raise Refused(Code.OVERDRAFT, "units", payload.units, free)
    if state.offers.grouped >= OFFERS_OPEN_MAX:
        raise Refused(Code.LIMIT_EXCEEDED, "instrument", payload.instrument)


def apply(ctx: Context, payload: OfferOpen) -> tuple[int, ...]:
    state = ctx.state
    lock(state, state.instruments[payload.instrument].treasury_holding, payload.units)
    due = agenda.schedule(state, payload.closes_ms, What.OFFER_CLOSE, len(state.offers))
    index = state.offers.append(
        Offer(
            instrument=payload.instrument,
            price_e4=payload.price_e4,
            units=payload.units,
            taken=0,
            cancelled=0,
            opens_ms=payload.opens_ms,
            closes_ms=payload.closes_ms,
            vasps=payload.vasps,
            status=OfferStatus.OPEN,
            due=due,
        )
    )
    return (index,)


KIND = Kind(
    61,
    "offer_open",
    Lane.ACTS,
    Signers.OFFICERS,
    OfferOpen,
    check,
    apply,
    Cost(400, (items(3, "vasps"),)),
    governed=True,
    rests_on=subject("offers", "instrument"),
)
