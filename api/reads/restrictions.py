"""Reads of restrictions: what is held back, since when, and what follows from it."""

from api.declare import read
from api.fields import PAGE_DEFAULT, Cursor, Decimal, Height, Index, Limit, Milliseconds, Shown
from api.showing import page_of, shown
from api.sources import View
from ledger.documents import Restriction, RestrictionKind, Target


class RestrictionView(Shown, frozen=True):
    """What holds back all of its target (`amount` 0), the one at `index` of its table, or an amount of a
    holding. `causes` are the freezes that it follows from; `proposal` is the one that ordered it, None where
    it follows. `ended_ms` is 0 while it is open."""

    restriction: Index
    kind: RestrictionKind
    target: Target
    index: Index
    amount: Decimal
    causes: tuple[Index, ...]
    proposal: Index | None
    opened_ms: Milliseconds
    ended_ms: Milliseconds


class RestrictionReply(RestrictionView, frozen=True):
    """A restriction as of `height`."""

    height: Height


class RestrictionListReply(Shown, frozen=True):
    """A page of restrictions."""

    height: Height
    items: tuple[RestrictionView, ...]
    next_cursor: Cursor | None


class RestrictionReads:
    """Reads of restrictions."""

    @read
    def restriction_get(view: View, restriction: Index) -> RestrictionReply:
        """One restriction: a freeze, or what follows from one."""
        record = view.state.restrictions.require(restriction, "restriction")
        return shown(RestrictionReply, record, restriction=restriction, height=view.height)

    @read
    def restriction_list(
        view: View,
        target: Target | None = None,
        index: Index = 0,
        cursor: Cursor = 0,
        limit: Limit = PAGE_DEFAULT,
    ) -> RestrictionListReply:
        """Restrictions in their order: the open ones of a target, or all that there ever were.

        A lift names a freeze by its `restriction`.
        """
        table = view.state.restrictions
        found = table.members((target, index)) if target is not None else range(len(table))
        indices, next_cursor = page_of((number for number in found if number >= cursor), limit)
        items = tuple(_view(number, table[number]) for number in indices)
        return RestrictionListReply(height=view.height, items=items, next_cursor=next_cursor)


def _view(index: int, record: Restriction) -> RestrictionView:
    return shown(RestrictionView, record, restriction=index)
