"""Views of rows share the live table's memory: whatever is written at whatever moment, they never change."""

import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
import pytest

from ledger import rows, views
from ledger.state import State
from ledger.tables import ColumnarTable
from ledger.views import PAGE_ROWS, RowsView
from testing import world

COUNT = 2 * PAGE_ROWS + 5
LAST = COUNT - 1

Read = Callable[[RowsView[rows.Holding]], Any]

READS: dict[str, Read] = {
    "row": lambda view: view[LAST],
    "require": lambda view: view.require(LAST, "holding"),
    "field": lambda view: view.field(LAST, "balance"),
    "column": lambda view: view.column("balance").tolist(),
    "matching": lambda view: list(view.matching("balance", LAST, PAGE_ROWS + 1)),
}

Write = Callable[[ColumnarTable[rows.Holding]], object]


def every(first: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.arange(first, COUNT, dtype=np.int64)


WRITES: dict[str, Write] = {
    "one field": lambda table: table.set_field(LAST, "balance", 7),
    "a column": lambda table: table.set_column("balance", every(), 7),
    "debits": lambda table: table.subtract_at("balance", every(1), np.ones(COUNT - 1, np.uint64)),
    "credits": lambda table: table.add_at("balance", every(), np.ones(COUNT, np.uint64)),
    "a field put back": lambda table: table.restore_field(LAST, "balance", 7),
    "a column put back": lambda table: table.restore_column(every(), "balance", np.full(COUNT, 7, np.uint64)),
    "rows taken away": lambda table: table.restore_count(1),
}


@pytest.fixture
def state() -> State:
    """Holdings whose balance is their index."""
    made = world.new_state()
    opened = np.zeros(COUNT, rows.HOLDING)
    opened["balance"] = np.arange(COUNT)
    made.holdings.extend(opened)
    made.rehash()
    return made


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("read", READS)
def test_a_view_does_not_change_when_the_table_is_written(state: State, read: str, write: str) -> None:
    view = state.publish().holdings
    expected = READS[read](view)
    WRITES[write](state.holdings)
    assert READS[read](view) == expected


def during(read: Callable[[], Any], line: int, write: Callable[[], object]) -> tuple[Any, bool]:
    """What `read` says if all of `write` happens before its line of that number, and whether it has one."""
    passed = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal passed
        if frame.f_code.co_filename != views.__file__:
            return None
        if event == "line":
            passed += 1
            if passed == line:
                sys.settrace(None)
                write()
                sys.settrace(trace)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return read(), passed >= line
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("read", READS)
def test_a_reader_that_is_overtaken_at_any_line_reads_what_was(state: State, read: str) -> None:
    line, reached = 0, True
    while reached:
        line += 1
        look = partial(READS[read], state.publish().holdings)
        expected = look()
        said, reached = during(look, line, lambda: state.holdings.set_column("balance", every(), 0))
        assert said == expected, line
        state.holdings.set_column("balance", every(), np.arange(COUNT, dtype=np.uint64))
        state.rehash()
    assert line > 3


def test_each_view_keeps_the_page_of_its_own_time(state: State) -> None:
    kept = []
    for balance in (1, 2, 3):
        state.holdings.set_field(LAST, "balance", balance)
        state.rehash()
        kept.append(state.publish().holdings)
        state.holdings.set_field(0, "balance", balance)  # an earlier page, of every view so far
    assert [view.field(LAST, "balance") for view in kept] == [1, 2, 3]
    assert [view.field(0, "balance") for view in kept] == [0, 1, 2]
    state.holdings.set_field(PAGE_ROWS, "balance", 7)  # not written since any of them
    assert [view.field(PAGE_ROWS, "balance") for view in kept] == [PAGE_ROWS] * 3


def test_a_view_outlives_the_growth_of_its_table(state: State) -> None:
    view = state.publish().holdings
    state.holdings.extend(np.zeros(100 * PAGE_ROWS, rows.HOLDING))
    state.holdings.set_field(LAST, "balance", 7)
    assert (len(view), view.field(LAST, "balance")) == (COUNT, LAST)


def test_rows_are_in_memory_once_but_for_the_pages_that_the_block_writes(state: State) -> None:
    state.holdings.extend(np.zeros(100 * PAGE_ROWS, rows.HOLDING))
    state.rehash()
    page = PAGE_ROWS * rows.HOLDING.itemsize
    tracemalloc.start()
    try:
        view = state.publish().holdings
        published = tracemalloc.get_traced_memory()[0]
        for row in range(0, 50 * PAGE_ROWS, PAGE_ROWS):
            state.holdings.set_field(row, "flags", 0)
        written = tracemalloc.get_traced_memory()[0]
        state.rehash()
        del view
        state.publish()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert published < page
    assert 50 * page < written < 60 * page
    assert after < 10 * page
