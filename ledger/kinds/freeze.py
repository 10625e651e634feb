"""Any one authority freezes an account, a holding, an instrument, a VASP or the whole market, at once.

Two freezes of one target are two: each is lifted by itself (`ledger.restrictions` has the rule). An authority
that has as many open on one target as there may be keeps no other from freezing it. Which authority acted
stands in the proposal, which is not served publicly.
"""

from ledger import restrictions
from ledger.cost import Cost
from ledger.documents import NONE, Target
from ledger.kind import Context, Kind, Lane, Signers, Subject, none
from ledger.schema import Index, Payload
from ledger.state import State


class Freeze(Payload, frozen=True):
    """`index` is that of the target in its table, 0 for the market."""

    target: Target
    index: Index


def check(ctx: Context, payload: Freeze) -> None:
    restrictions.check_target(ctx.state, payload.target, payload.index)
    restrictions.check_room(ctx.state, payload.target, payload.index, _authority(ctx))


def _authority(ctx: Context) -> int:
    """The institution that orders it: its maker's, whoever completes the policy."""
    if ctx.proposal != NONE:
        return ctx.state.proposals[ctx.proposal].institution
    return ctx.signers[0].owner


def apply(ctx: Context, payload: Freeze) -> tuple[int, ...]:
    return (restrictions.freeze(ctx.state, payload.target, payload.index, ctx.proposal, ctx.time_ms),)


def rests_on(state: State, payload: Freeze) -> tuple[Subject, ...]:
    """Freezes do not move it: two of one target are two."""
    return restrictions.rests_on(state, payload.target, payload.index)


KIND = Kind(
    70,
    "freeze",
    Lane.ACTS,
    Signers.OFFICERS,
    Freeze,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=rests_on,
    moves=none,
)
