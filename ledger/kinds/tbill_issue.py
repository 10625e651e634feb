"""A treasury bill is issued to the treasury in the block that completes its policy, under a programme's cap.

Zero coupon, ACT/365; the price follows from the yield (`ledger.pricing`). The issue date is the ledger day
of execution, and transfers close when the day of maturity begins.
"""

from typing import Annotated

from msgspec import Meta

from ledger import agenda
from ledger.agenda import What
from ledger.calendar import day_of, start_of
from ledger.codes import Code, Refused
from ledger.documents import Instrument, InstrumentKind, InstrumentStatus, Register
from ledger.identifiers import isin_fault
from ledger.kind import Context, Kind, Lane, Signers
from ledger.limits import AMOUNT_MAX, SECURITIES_LIVE_MAX, TENOR_DAYS_MAX, TIME_MS_MAX
from ledger.positions import ensure_holding, open_pool_account, treasury_account
from ledger.pricing import YIELD_E6_MAX, tbill_price_e4
from ledger.programmes import check_cap
from ledger.schema import U8, Amount, Hash32, Index, Jurisdiction, Name, Payload, Text
from ledger.transfers import mint

FIXED_CURRENCY = "PKR"  # the currency of which SBP attests the rate against the dollar of the cap


class TbillIssue(Payload, frozen=True):
    """`cash` is the instrument in which it is paid; `face_minor` the face of one unit in that one's minor
    unit; `yield_e6` the yearly yield times 10**6; empty `jurisdictions` or `classes` admit any; `register`
    is native or immobilised, the latter with the depository's `reference`."""

    programme: Index
    cash: Index
    isin: Name
    face_minor: Amount
    units: Amount
    tenor_days: Annotated[int, Meta(ge=1, le=TENOR_DAYS_MAX)]
    yield_e6: Annotated[int, Meta(ge=0, le=YIELD_E6_MAX)]
    jurisdictions: Annotated[tuple[Jurisdiction, ...], Meta(max_length=256)]
    classes: Annotated[tuple[U8, ...], Meta(max_length=256)]
    terms_hash: Hash32
    register: Register
    reference: Text


def check(ctx: Context, payload: TbillIssue) -> None:
    state = ctx.state
    state.programmes.require(payload.programme, "programme")
    cash = state.instruments.require(payload.cash, "cash")
    if cash.kind is not InstrumentKind.CASH or cash.code != FIXED_CURRENCY:
        raise Refused(Code.INSTRUMENT_MISMATCH, "cash", cash.code, f"a bill is paid in {FIXED_CURRENCY}")
    fault = isin_fault(payload.isin)
    if fault is not None:
        raise Refused(Code.BAD_IDENTIFIER, "isin", payload.isin, fault)
    if payload.isin in state.instrument_by_isin:
        raise Refused(Code.ALREADY_EXISTS, "isin", payload.isin, "an instrument has this ISIN")
    if (payload.register is Register.IMMOBILISED) != bool(payload.reference):
        raise Refused(
            Code.OUT_OF_RANGE, "reference", payload.reference, "given when, and only when, immobilised"
        )
    face = payload.units * payload.face_minor
    if face > AMOUNT_MAX:
        raise Refused(Code.SUPPLY_EXCEEDED, "units", payload.units, f"{face} of face, at most {AMOUNT_MAX}")
    if start_of(day_of(ctx.time_ms) + payload.tenor_days) > TIME_MS_MAX:
        raise Refused(Code.OUT_OF_RANGE, "tenor_days", payload.tenor_days, "matures after the end of time")
    if state.instruments.grouped >= SECURITIES_LIVE_MAX:
        raise Refused(Code.LIMIT_EXCEEDED, "isin", payload.isin, f"at most {SECURITIES_LIVE_MAX} unredeemed")
    check_cap(state, payload.programme, face, ctx.time_ms)


def apply(ctx: Context, payload: TbillIssue) -> tuple[int, ...]:
    state = ctx.state
    index = len(state.instruments)
    treasury = treasury_account(state)
    issue_day = day_of(ctx.time_ms)
    maturity_day = issue_day + payload.tenor_days
    pool = open_pool_account(state)
    pool_cash = ensure_holding(state, pool, payload.cash)
    treasury_cash = ensure_holding(state, treasury, payload.cash)
    treasury_holding = ensure_holding(state, treasury, index)
    maturity_ms = start_of(maturity_day)
    agenda.schedule(state, maturity_ms, What.MATURITY, index)
    redemption = agenda.schedule(state, maturity_ms, What.REDEMPTION, index)
    state.instruments.append(
        Instrument(
            kind=InstrumentKind.TBILL,
            code=payload.isin,
            status=InstrumentStatus.ACTIVE,
            supply=0,
            frozen=False,
            jurisdictions=payload.jurisdictions,
            classes=payload.classes,
            cash=payload.cash,
            programme=payload.programme,
            face_minor=payload.face_minor,
            issue_day=issue_day,
            maturity_day=maturity_day,
            maturity_ms=maturity_ms,
            yield_e6=payload.yield_e6,
            price_e4=tbill_price_e4(payload.yield_e6, payload.tenor_days),
            terms_hash=payload.terms_hash,
            register=payload.register,
            reference=payload.reference,
            treasury_holding=treasury_holding,
            treasury_cash=treasury_cash,
            pool_cash=pool_cash,
            redemption=redemption,
            redeemed_ms=0,
        )
    )
    mint(state, treasury_holding, payload.units)
    return (index, treasury_holding, pool_cash)


KIND = Kind(60, "tbill_issue", Lane.ACTS, Signers.OFFICERS, TbillIssue, check, apply, governed=True)
