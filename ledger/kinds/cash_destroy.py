"""SBP reverses a funding debit, in whole or in part, out of any client money or institution's cash.

Cash moves between holdings and VASPs; whichever holding it ended in, it leaves against a debit that is still
outstanding. So the supply of a currency is always its debits less what was reversed of them.
"""

from msgspec.structs import replace

from ledger.balances import available, burn
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.kinds.cash_issue import TAKERS
from ledger.postings import Movement
from ledger.schema import Amount, Hash32, Index, Payload
from ledger.transfers import check_unfrozen


class CashDestroy(Payload, frozen=True):
    """`debit` is the hash of the funding debit that is given back, `holding` the one that gives."""

    debit: Hash32
    holding: Index
    amount: Amount


def check(ctx: Context, payload: CashDestroy) -> None:
    state = ctx.state
    index = state.debits.find(payload.debit)
    if index is None:
        raise Refused(Code.NOT_FOUND, "debit", payload.debit)
    debit = state.debits[index]
    left = debit.amount - debit.destroyed
    if payload.amount > left:
        raise Refused(Code.OUT_OF_RANGE, "amount", payload.amount, left)
    holding = state.holdings.require(payload.holding, "holding")
    instrument = state.instruments[debit.instrument]
    if holding.instrument != debit.instrument:
        raise Refused(Code.INSTRUMENT_MISMATCH, "holding", payload.holding, instrument.code)
    account = state.accounts[holding.account]
    if account.type not in TAKERS:
        raise Refused(Code.NOT_AUTHORISED, "account.type", account.type)
    check_unfrozen(state, holding, account, instrument, "holding")
    if payload.amount > available(holding):
        raise Refused(Code.OVERDRAFT, "amount", payload.amount, available(holding))


def apply(ctx: Context, payload: CashDestroy) -> tuple[int, ...]:
    index = ctx.state.debits.by_key[payload.debit]
    debit = ctx.state.debits[index]
    burn(ctx.state, Movement.DESTRUCTION, payload.holding, payload.amount)
    ctx.state.debits.replace(index, replace(debit, destroyed=debit.destroyed + payload.amount))
    return (index,)


KIND = Kind(
    54,
    "cash_destroy",
    Lane.ACTS,
    Signers.OFFICERS,
    CashDestroy,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("reversal", "debit"),
)
