"""SBP reverses an issue of cash, in whole or in part, out of the holding into which it was issued."""

from msgspec.structs import replace

from ledger.codes import Code, Refused
from ledger.kind import Context, Kind, Lane, Signers
from ledger.schema import Amount, Hash32, Payload
from ledger.transfers import available, burn, check_unfrozen


class CashDestroy(Payload, frozen=True):
    """`debit` is the hash of the funding debit that is given back."""

    debit: Hash32
    amount: Amount


def check(ctx: Context, payload: CashDestroy) -> None:
    state = ctx.state
    index = state.debits.find(payload.debit)
    if index is None:
        raise Refused(Code.NOT_FOUND, "debit", payload.debit, "has funded no issue of cash")
    debit = state.debits[index]
    left = debit.amount - debit.destroyed
    if payload.amount > left:
        raise Refused(
            Code.OUT_OF_RANGE, "amount", payload.amount, f"{left} of this debit is not yet reversed"
        )
    holding = state.holdings[debit.holding]
    account = state.accounts[holding.account]
    check_unfrozen(state, holding, account, state.instruments[holding.instrument], "debit")
    if payload.amount > available(holding):
        raise Refused(Code.OVERDRAFT, "amount", payload.amount, f"at most {available(holding)} is available")


def apply(ctx: Context, payload: CashDestroy) -> tuple[int, ...]:
    index = ctx.state.debits.by_key[payload.debit]
    debit = ctx.state.debits[index]
    burn(ctx.state, debit.holding, payload.amount)
    ctx.state.debits.replace(index, replace(debit, destroyed=debit.destroyed + payload.amount))
    return (index,)


KIND = Kind(54, "cash_destroy", Lane.ACTS, Signers.OFFICERS, CashDestroy, check, apply, governed=True)
