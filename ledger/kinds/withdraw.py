"""The maker takes an open proposal back."""

from ledger import proposals
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers
from ledger.schema import U16, Index, Payload


class Withdraw(Payload, frozen=True):
    """`reason` is a code of the institution's own, kept with the signature."""

    proposal: Index
    reason: U16


def check(ctx: Context, payload: Withdraw) -> None:
    proposals.check_withdrawal(ctx, payload.proposal)


def apply(ctx: Context, payload: Withdraw) -> tuple[int, ...]:
    proposals.withdraw(ctx, payload.proposal, payload.reason)
    return ()


KIND = Kind(34, "withdraw", Lane.ACTS, Signers.OFFICERS, Withdraw, check, apply, Cost(150))
