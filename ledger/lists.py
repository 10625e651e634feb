"""The lists of holdings of many accounts, walked side by side, so that a batch costs what a list does.

`transfers.open_holding` says what opening is; here the same is done for thousands of accounts in the order of
their rows, and the same is found out of their lists.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ledger.rows import NO_ROW
from ledger.state import State
from ledger.tables import Indices
from ledger.transfers import add_holding, is_ended, take_over


class Lists(NamedTuple):
    """Every element of some lists, those of one list in its order: whose it is (a position among the accounts
    asked for), which holding, and whether that is finished."""

    owners: Indices
    holdings: Indices
    finished: npt.NDArray[np.bool_]


def walk(state: State, accounts: Indices, time_ms: int) -> Lists:
    """The lists of these different accounts."""
    owners, holdings = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    at = np.arange(len(accounts), dtype=np.int64)
    heads = state.accounts.column("first_holding")[accounts].astype(np.int64)
    following = state.holdings.column("next_holding")
    while True:
        going = heads != NO_ROW
        at, heads = at[going], heads[going]
        if len(heads) == 0:
            break
        owners.append(at)
        holdings.append(heads)
        heads = following[heads].astype(np.int64)
    found = np.concatenate(holdings)
    return Lists(np.concatenate(owners), found, _finished(state, found, time_ms))


def held_twice(state: State, lists: Lists, owners: Indices, instruments: Indices) -> set[tuple[int, int]]:
    """Those of the pairs (owner, instrument) of which the lists have a holding that is not finished."""
    wanted = np.unique((owners << 32) | instruments)
    live = ~lists.finished
    of = state.holdings.column("instrument")[lists.holdings[live]].astype(np.int64)
    held = (lists.owners[live] << 32) | of
    places = np.minimum(np.searchsorted(wanted, held), len(wanted) - 1)
    hits = wanted[places[wanted[places] == held]]
    return set(zip((hits >> 32).tolist(), (hits & 0xFFFFFFFF).tolist(), strict=True))


def open_all(state: State, pairs: list[tuple[int, int]], time_ms: int) -> tuple[int, ...]:
    """What `open_holding` would open for each (account, instrument) in turn; their indices."""
    accounts = sorted({account for account, _ in pairs})
    lists = walk(state, np.array(accounts, np.int64), time_ms)
    free: dict[int, list[int]] = {}
    owners, holdings = lists.owners[lists.finished], lists.holdings[lists.finished]
    for owner, holding in zip(owners[::-1].tolist(), holdings[::-1].tolist(), strict=True):
        free.setdefault(accounts[owner], []).append(holding)  # the first of the list is the last here
    opened = []
    for account, instrument in pairs:
        finished = free.get(account)
        if finished:
            opened.append(take_over(state, finished.pop(), instrument))
        else:
            opened.append(add_holding(state, account, instrument))
    return tuple(opened)


def _finished(state: State, holdings: Indices, time_ms: int) -> npt.NDArray[np.bool_]:
    """`transfers.is_finished` of each."""
    columns = state.holdings.column
    unused = (columns("balance")[holdings] | columns("locked")[holdings]) == 0
    empty: npt.NDArray[Any] = unused & (columns("flags")[holdings] == 0)
    instruments = columns("instrument")[holdings].astype(np.int64)
    present = np.flatnonzero(np.bincount(instruments[empty], minlength=len(state.instruments)))
    ended = np.zeros(max(len(state.instruments), 1), np.bool_)
    ended[[index for index in present.tolist() if is_ended(state.instruments[index], time_ms)]] = True
    return empty & ended[instruments]
