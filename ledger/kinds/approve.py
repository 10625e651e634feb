"""An officer's approval of an open proposal; the one that completes the policy executes it."""

from ledger import proposals
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers
from ledger.schema import U16, Hash32, Index, Payload


class Approve(Payload, frozen=True):
    """`act` is the hash of the act that the signers mean (`ledger.proposals.act_hash`); `reason` is a code of
    the institution's own, kept with the signature."""

    proposal: Index
    act: Hash32
    reason: U16


def check(ctx: Context, payload: Approve) -> None:
    proposals.check_signature(ctx, payload.proposal, payload.act)


def apply(ctx: Context, payload: Approve) -> tuple[int, ...]:
    return proposals.approve(ctx, payload.proposal, payload.reason)


KIND = Kind(
    32,
    "approve",
    Lane.ACTS,
    Signers.OFFICERS,
    Approve,
    check,
    apply,
    Cost(150),
    completes=lambda payload: payload.proposal,
)
