"""Two different authorities lift a freeze; only the target itself is released, nothing beside it."""

from ledger import agenda
from ledger.codes import Code, Refused
from ledger.documents import Target
from ledger.kind import Context, Kind, Lane, Signers
from ledger.kinds.freeze import is_frozen, set_frozen
from ledger.schema import Index, Payload


class Lift(Payload, frozen=True):
    """`index` is that of the target in its table, 0 for the market."""

    target: Target
    index: Index


def check(ctx: Context, payload: Lift) -> None:
    if not is_frozen(ctx.state, payload.target, payload.index):
        raise Refused(Code.WRONG_STATUS, "target", payload.target.name, "is not frozen")


def apply(ctx: Context, payload: Lift) -> tuple[int, ...]:
    set_frozen(ctx.state, payload.target, payload.index, frozen=False)
    agenda.wake_all(ctx.state)  # a redemption may have waited for this
    return (payload.index,)


KIND = Kind(71, "lift", Lane.ACTS, Signers.OFFICERS, Lift, check, apply, governed=True)
