"""An officer's objection to an open proposal; it is REJECTED once its policy can no longer be met."""

from ledger import proposals
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers
from ledger.schema import U16, Hash32, Index, Payload


class Reject(Payload, frozen=True):
    """`act` is the hash of the act that the signers mean (`ledger.proposals.act_hash`); `reason` is a code of
    the institution's own, kept with the signature."""

    proposal: Index
    act: Hash32
    reason: U16


def check(ctx: Context, payload: Reject) -> None:
    proposals.check_signature(ctx, payload.proposal, payload.act)


def apply(ctx: Context, payload: Reject) -> tuple[int, ...]:
    proposals.reject(ctx, payload.proposal, payload.reason)
    return ()


KIND = Kind(33, "reject", Lane.ACTS, Signers.OFFICERS, Reject, check, apply, Cost(150))
