"""What time does: for each `What` of the agenda the function that does it, and the beginning of every block.

A function here takes the row's subject and detail, may write whatever the ledger's primitives write, and
returns what became of it (`agenda.DONE`, `agenda.WAITS`, or an Outcome with its cost). It never raises
Refused. To add one: a number in `agenda.What`, the function, its line in DUE, and in MOVES the topics of what
it moves: approvals given before it are not for what is there after it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ledger import agenda, maturity, offers, parameters, proposals, replacements
from ledger.agenda import Moment, Outcome, What
from ledger.codes import InvariantError
from ledger.state import State

DUE: Mapping[What, Callable[[State, Moment, int, int], Outcome]] = MappingProxyType(
    {
        What.PROPOSAL_EXPIRY: proposals.expire,
        What.OFFER_CLOSE: offers.close,
        What.MATURITY: maturity.mature,
        What.REDEMPTION: maturity.redeem,
        What.KEY_REPLACEMENT: replacements.take_effect,
    }
)

MOVES: Mapping[What, tuple[str, ...]] = MappingProxyType(
    {
        What.PROPOSAL_EXPIRY: (),
        What.OFFER_CLOSE: ("offer",),
        What.MATURITY: ("offers",),
        What.REDEMPTION: ("funding", "held"),
        What.KEY_REPLACEMENT: (),  # who is about to give the old key back must still be able to
    }
)


def begin_block(state: State, moment: Moment) -> None:
    """Do what is due, in the order of the agenda, until the block's share of cost is used up; what is left
    follows in the next block. One row may pass the share, so that what costs more than it is done, too."""
    left = parameters.number(state, "agenda_block_cost")
    while left > 0:
        row = state.due.take(moment.time_ms, state.mark().position)
        if row is None:
            return
        state.stream.begin_due(row)
        due = state.agenda[row]
        what = What(due.what)
        outcome = DUE[what](state, moment, due.subject, due.detail)
        if outcome.cost < 1 or outcome.progress not in (agenda.Progress.DONE, agenda.Progress.WAITING):
            raise InvariantError(f"row {row} of the agenda ended as {outcome}")
        agenda.settle(state, row, outcome.progress, moment.height)
        left -= outcome.cost
        if outcome.progress is agenda.Progress.DONE:
            moved = tuple((topic, due.subject) for topic in MOVES[what])
            left -= proposals.overtake(state, moment, row, what, moved)
