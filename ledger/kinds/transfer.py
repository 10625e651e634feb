"""Kind 1, `transfer`: one amount from one holding to another of the same instrument.

Signed by the sender's VASP for a custodial holding, by the owner for a self-custody one. Codes: not_found,
same_holding, instrument_mismatch, not_authorised, transfers_closed, frozen, wrong_status,
stage_not_reached, ineligible, overdraft.
"""

from ledger.balances import move
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers
from ledger.postings import Movement
from ledger.schema import Amount, Index, Payload
from ledger.transfers import check_transfer, mover_of


class Transfer(Payload, frozen=True):
    from_holding: Index
    to_holding: Index
    amount: Amount


def check(ctx: Context, payload: Transfer) -> None:
    check_transfer(
        ctx.state, mover_of(ctx), ctx.time_ms, payload.from_holding, payload.to_holding, payload.amount
    )


def apply(ctx: Context, payload: Transfer) -> tuple[int, ...]:
    move(ctx.state, Movement.TRANSFER, payload.from_holding, payload.to_holding, payload.amount)
    return ()


KIND = Kind(1, "transfer", Lane.TRANSFERS, Signers.HOLDER, Transfer, check, apply, Cost(45))
