"""The ministry moves cash of the treasury into a bill's redemption pool; what is left over comes back."""

from ledger import agenda, terms
from ledger.balances import available, move
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import InstrumentStatus
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.postings import Movement
from ledger.schema import Amount, Index, Payload
from ledger.terms import Act
from ledger.transfers import check_unfrozen


class RedemptionFund(Payload, frozen=True):
    instrument: Index
    amount: Amount


def check(ctx: Context, payload: RedemptionFund) -> None:
    state = ctx.state
    instrument = state.instruments.require(payload.instrument, "instrument")
    terms.require(instrument.terms, Act.REDEEM, "instrument", instrument.code)
    if instrument.status is InstrumentStatus.REDEEMED:
        raise Refused(Code.WRONG_STATUS, "instrument.redeemed_ms", instrument.redeemed_ms)
    cash = state.instruments[instrument.cash]
    for index in (instrument.treasury_cash, instrument.pool_cash):
        holding = state.holdings[index]
        check_unfrozen(state, holding, state.accounts[holding.account], cash, "instrument")
    free = available(state.holdings[instrument.treasury_cash])
    if payload.amount > free:
        raise Refused(Code.OVERDRAFT, "amount", payload.amount, free)
    owed = instrument.supply * terms.face_minor(instrument.terms)
    needed = max(0, owed - int(state.holdings.field(instrument.pool_cash, "balance")))
    if payload.amount > needed:  # what is in the pool comes back at redemption alone
        raise Refused(Code.OUT_OF_RANGE, "amount", payload.amount, needed, owed)


def apply(ctx: Context, payload: RedemptionFund) -> tuple[int, ...]:
    instrument = ctx.state.instruments[payload.instrument]
    move(ctx.state, Movement.FUNDING, instrument.treasury_cash, instrument.pool_cash, payload.amount)
    agenda.wake(ctx.state, instrument.redemption)
    return (payload.instrument,)


KIND = Kind(
    62,
    "redemption_fund",
    Lane.ACTS,
    Signers.OFFICERS,
    RedemptionFund,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("funding", "instrument"),
)
