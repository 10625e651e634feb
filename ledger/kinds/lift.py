"""Two different authorities lift one freeze, by its own index; others of the same target stay."""

from ledger import agenda, restrictions
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers, Subject
from ledger.schema import Index, Payload
from ledger.state import State


class Lift(Payload, frozen=True):
    """`restriction` is the index that the freeze created."""

    restriction: Index


def check(ctx: Context, payload: Lift) -> None:
    restrictions.check_lift(ctx.state, payload.restriction)


def apply(ctx: Context, payload: Lift) -> tuple[int, ...]:
    restrictions.lift(ctx.state, payload.restriction, ctx.time_ms)
    agenda.wake_all(ctx.state)  # a redemption may have waited for this
    return (payload.restriction,)


def rests_on(state: State, payload: Lift) -> tuple[Subject, ...]:
    """The one freeze."""
    return (("restriction", payload.restriction),)


def moves(state: State, payload: Lift) -> tuple[Subject, ...]:
    """The freeze, and what it froze: approvals to freeze that given before its lift do not freeze it anew."""
    restriction = state.restrictions[payload.restriction]
    return (*rests_on(state, payload), restrictions.lifted(restriction.target, restriction.index))


KIND = Kind(
    71,
    "lift",
    Lane.ACTS,
    Signers.OFFICERS,
    Lift,
    check,
    apply,
    Cost(2_000),
    governed=True,
    rests_on=rests_on,
    moves=moves,
)
