"""The maker takes an open proposal back."""

from ledger import proposals
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers
from ledger.schema import U16, Hash32, Index, Payload


class Withdraw(Payload, frozen=True):
    """`act` is the hash of the act that the signers mean (`ledger.proposals.act_hash`); `reason` is a code of
    the institution's own, kept with the signature."""

    proposal: Index
    act: Hash32
    reason: U16


def check(ctx: Context, payload: Withdraw) -> None:
    proposals.check_withdrawal(ctx, payload.proposal, payload.act)


def apply(ctx: Context, payload: Withdraw) -> tuple[int, ...]:
    proposals.withdraw(ctx, payload.proposal, payload.reason)
    return ()


KIND = Kind(34, "withdraw", Lane.ACTS, Signers.OFFICERS, Withdraw, check, apply, Cost(150))
