"""A security is issued to the treasury in the block that completes its policy, under a programme's cap.

Its dates, its face and what it bears are its terms (`ledger.terms`), recorded as they were approved; the rest
is the head that all instruments share. What the terms let fall due goes into the agenda.
"""

from typing import Annotated

from msgspec import Meta

from ledger import agenda, terms
from ledger.agenda import What
from ledger.balances import mint
from ledger.calendar import day_of
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import NONE, Instrument, InstrumentStatus, Register
from ledger.identifiers import has_isin_shape, isin_check_digit
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.limits import AMOUNT_MAX, CLASSES_MAX, JURISDICTIONS_MAX, SECURITIES_LIVE_MAX
from ledger.positions import ensure_holding, open_pool_account, treasury_account
from ledger.postings import Movement
from ledger.programmes import check_cap
from ledger.schema import U8, Amount, Hash32, Index, Jurisdiction, Name, Payload, Text
from ledger.state import CURRENCY
from ledger.terms import Act, Terms
from ledger.transfers import open_holding

FIXED_CURRENCY = "PKR"  # the currency of which SBP attests the rate against the dollar of the cap


class InstrumentIssue(Payload, frozen=True):
    """`cash` is the instrument in which it is paid; empty `jurisdictions` or `classes` admit any; `register`
    is native or immobilised, the latter with the depository's `reference`."""

    programme: Index
    cash: Index
    isin: Name
    units: Amount
    jurisdictions: Annotated[tuple[Jurisdiction, ...], Meta(max_length=JURISDICTIONS_MAX)]
    classes: Annotated[tuple[U8, ...], Meta(max_length=CLASSES_MAX)]
    terms_hash: Hash32
    register: Register
    reference: Text
    terms: Terms


def check(ctx: Context, payload: InstrumentIssue) -> None:
    state = ctx.state
    terms.require(payload.terms, Act.ISSUE, "terms", terms.facts(payload.terms).family)
    state.programmes.require(payload.programme, "programme")
    cash = state.instruments.require(payload.cash, "cash")
    terms.require(cash.terms, Act.PAY, "cash", cash.code)
    if cash.code != FIXED_CURRENCY:
        raise Refused(Code.INSTRUMENT_MISMATCH, "cash", cash.code)
    if not has_isin_shape(payload.isin):
        raise Refused(Code.BAD_IDENTIFIER, "isin", payload.isin)
    check_digit = isin_check_digit(payload.isin)
    if payload.isin[-1] != check_digit:
        raise Refused(Code.BAD_IDENTIFIER, "isin", payload.isin, check_digit)
    if payload.isin in state.instrument_by_isin:
        raise Refused(Code.ALREADY_EXISTS, "isin", payload.isin)
    if (payload.register is Register.IMMOBILISED) != bool(payload.reference):
        raise Refused(Code.OUT_OF_RANGE, "reference", payload.reference)
    face = payload.units * terms.face_minor(payload.terms)
    if face > AMOUNT_MAX:
        raise Refused(Code.SUPPLY_EXCEEDED, "units", payload.units, face)
    terms.check(payload.terms, day_of(ctx.time_ms))
    if state.instruments.grouped - state.instruments.count_in(CURRENCY) >= SECURITIES_LIVE_MAX:
        raise Refused(Code.LIMIT_EXCEEDED, "isin", payload.isin)
    check_cap(state, payload.programme, face, ctx.time_ms)


def apply(ctx: Context, payload: InstrumentIssue) -> tuple[int, ...]:
    state = ctx.state
    index = len(state.instruments)
    treasury = treasury_account(state)
    pool = open_pool_account(state)
    pool_cash = open_holding(state, pool, payload.cash, ctx.time_ms)
    treasury_cash = ensure_holding(state, treasury, payload.cash, ctx.time_ms)
    treasury_holding = open_holding(state, treasury, index, ctx.time_ms)
    redemption = NONE
    for what, due_ms, detail in terms.falls_due(payload.terms):
        row = agenda.schedule(state, due_ms, what, index, detail)
        if what is What.REDEMPTION:
            redemption = row
    state.instruments.append(
        Instrument(
            code=payload.isin,
            status=InstrumentStatus.ACTIVE,
            supply=0,
            frozen=False,
            jurisdictions=payload.jurisdictions,
            classes=payload.classes,
            cash=payload.cash,
            programme=payload.programme,
            terms_hash=payload.terms_hash,
            register=payload.register,
            reference=payload.reference,
            treasury_holding=treasury_holding,
            treasury_cash=treasury_cash,
            pool_cash=pool_cash,
            redemption=redemption,
            redeemed_ms=0,
            terms=payload.terms,
        )
    )
    mint(state, Movement.ISSUE, treasury_holding, payload.units)
    return (index, treasury_holding, pool_cash)


KIND = Kind(
    60,
    "instrument_issue",
    Lane.ACTS,
    Signers.OFFICERS,
    InstrumentIssue,
    check,
    apply,
    Cost(14_000),
    governed=True,
    claims=subject("code", "isin"),
)
