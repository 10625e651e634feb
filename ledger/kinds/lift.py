"""Two different authorities lift one freeze, by its own index; others of the same target stay."""

from ledger import agenda, restrictions
from ledger.kind import Context, Kind, Lane, Signers
from ledger.schema import Index, Payload


class Lift(Payload, frozen=True):
    """`restriction` is the index that the freeze created."""

    restriction: Index


def check(ctx: Context, payload: Lift) -> None:
    restrictions.check_lift(ctx.state, payload.restriction)


def apply(ctx: Context, payload: Lift) -> tuple[int, ...]:
    restrictions.lift(ctx.state, payload.restriction, ctx.time_ms)
    agenda.wake_all(ctx.state)  # a redemption may have waited for this
    return (payload.restriction,)


KIND = Kind(71, "lift", Lane.ACTS, Signers.OFFICERS, Lift, check, apply, governed=True)
