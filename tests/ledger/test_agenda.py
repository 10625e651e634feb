"""The agenda: in order, bounded in what one block takes, undone by savepoints, free where nothing is due."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import agenda, due, rows
from ledger.agenda import Moment, Outcome, Progress, What
from ledger.codes import InvariantError
from ledger.limits import DUE_STALE_MAX
from ledger.state import State
from testing import world
from testing.stores import KeptState

NOW = Moment(7, 1_000)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[What, int]]:
    """What was done, as (what, subject), by functions that stand in for those of the ledger. A redemption
    waits, an offer costs a thousand."""
    seen: list[tuple[What, int]] = []

    def doing(what: What, outcome: Outcome):
        def do(state: State, moment: Moment, subject: int, detail: int) -> Outcome:
            seen.append((what, subject))
            return outcome

        return do

    outcomes = {What.OFFER_CLOSE: Outcome(Progress.DONE, 1_000), What.REDEMPTION: agenda.WAITS}
    table = {what: doing(what, outcomes.get(what, agenda.DONE)) for what in What}
    monkeypatch.setattr(due, "DUE", table)
    return seen


def test_rows_are_taken_by_due_time_then_by_number_then_by_index(done: list[tuple[What, int]]) -> None:
    state = world.new_state()
    for due_ms, what, subject in (
        (900, What.MATURITY, 1),
        (1_000, What.REDEMPTION, 2),
        (1_000, What.PROPOSAL_EXPIRY, 3),
        (1_001, What.PROPOSAL_EXPIRY, 4),
        (900, What.PROPOSAL_EXPIRY, 5),
        (900, What.MATURITY, 0),
    ):
        agenda.schedule(state, due_ms, what, subject)
    due.begin_block(state, NOW)
    assert done == [
        (What.PROPOSAL_EXPIRY, 5),
        (What.MATURITY, 1),
        (What.MATURITY, 0),
        (What.PROPOSAL_EXPIRY, 3),
        (What.REDEMPTION, 2),
    ]
    assert state.due.pending() == [3]


def test_what_a_block_has_no_room_for_follows_in_the_next_in_order(done: list[tuple[What, int]]) -> None:
    state = world.new_state()
    world.change(state.parameters, state.parameters.by_key["agenda_block_cost"], value=2_001)
    for subject in range(5):
        agenda.schedule(state, 10, What.OFFER_CLOSE, subject)
    due.begin_block(state, NOW)
    assert [subject for _, subject in done] == [0, 1, 2]  # the third passes the limit, and is the last
    due.begin_block(state, Moment(8, 1_001))
    assert [subject for _, subject in done] == [0, 1, 2, 3, 4]
    assert [row.settled for row in map(state.agenda.__getitem__, range(5))] == [7, 7, 7, 8, 8]


def test_a_row_that_waits_is_looked_at_again_only_when_woken(done: list[tuple[What, int]]) -> None:
    state = world.new_state()
    row = agenda.schedule(state, 10, What.REDEMPTION, 1)
    other = agenda.schedule(state, 10, What.REDEMPTION, 2)
    for height in range(7, 20):
        due.begin_block(state, Moment(height, 1_000))
    assert [subject for _, subject in done] == [1, 2]
    agenda.wake(state, other)
    due.begin_block(state, Moment(20, 1_000))
    assert [subject for _, subject in done] == [1, 2, 2]
    agenda.wake_all(state)
    due.begin_block(state, Moment(21, 1_000))
    assert [subject for _, subject in done] == [1, 2, 2, 1, 2]
    assert state.agenda.field(row, "progress") == Progress.WAITING


def test_a_cancelled_row_is_never_taken_and_never_cancelled_twice(done: list[tuple[What, int]]) -> None:
    state = world.new_state()
    row = agenda.schedule(state, 10, What.MATURITY, 1)
    agenda.cancel(state, row, 3)
    due.begin_block(state, NOW)
    assert done == []
    assert state.agenda[row] == rows.Due(10, What.MATURITY, Progress.CANCELLED, 1, 0, 3)
    with pytest.raises(InvariantError):
        agenda.cancel(state, row, 4)
    agenda.wake(state, row)
    assert state.due.pending() == []


def test_a_function_that_costs_nothing_is_refused(done: list[tuple[What, int]]) -> None:
    state = world.new_state()
    agenda.schedule(state, 10, What.MATURITY, 1)
    due.DUE[What.MATURITY] = lambda state, moment, subject, detail: Outcome(Progress.DONE, 0)  # type: ignore
    with pytest.raises(InvariantError):
        due.begin_block(state, NOW)


Step = tuple[str, int]
steps = st.lists(
    st.tuples(st.sampled_from(["schedule", "cancel", "take", "wake", "wake_all"]), st.integers(0, 99)),
    max_size=25,
)


def perform(state: State, step: Step) -> None:
    """One step of a life of the agenda: what each would do to a ledger, and nothing else."""
    name, number = step
    open_rows = [
        row
        for row in range(len(state.agenda))
        if state.agenda.field(row, "progress") in (Progress.PENDING, Progress.WAITING)
    ]
    match name:
        case "schedule":
            agenda.schedule(state, number % 7, list(What)[number % len(What)], number)
        case "cancel" if open_rows:
            agenda.cancel(state, open_rows[number % len(open_rows)], 5)
        case "take":
            row = state.due.take(number % 9, state.mark().position)
            if row is not None:
                agenda.settle(state, row, Progress.WAITING if number % 2 else Progress.DONE, 6)
        case "wake" if open_rows:
            agenda.wake(state, open_rows[number % len(open_rows)])
        case "wake_all":
            agenda.wake_all(state)
        case _:
            pass


def rebuilt(state: State) -> list[int]:
    """The order in which an index that has seen only the table would take its rows."""
    index = agenda.DueIndex(state.agenda)
    index.rebuild()
    return index.pending()


@settings(max_examples=150, deadline=None)
@given(steps, steps, steps)
def test_the_index_equals_one_rebuilt_whatever_is_undone(
    first: list[Step], second: list[Step], third: list[Step]
) -> None:
    state = world.new_state()
    for step in first:
        perform(state, step)
    assert state.due.pending() == rebuilt(state)
    mark, before = state.mark(), rebuilt(state)
    for step in second:
        perform(state, step)
    inner, middle = state.mark(), rebuilt(state)
    for step in third:
        perform(state, step)
    assert state.due.pending() == rebuilt(state)
    state.undo(inner)
    assert state.due.pending() == rebuilt(state) == middle
    state.undo(mark)
    assert state.due.pending() == rebuilt(state) == before
    for step in third:
        perform(state, step)
    assert state.due.pending() == rebuilt(state)


def test_a_loaded_state_takes_the_same_rows_in_the_same_order(done: list[tuple[What, int]]) -> None:
    state, store = world.new_state(), KeptState()
    for number in range(600):
        agenda.schedule(state, number * 7 % 31, list(What)[number % 4], number)
    for row in range(0, 600, 3):
        agenda.cancel(state, row, 1)
    state.rehash()
    store.save(state.drain_changes())
    loaded = State.load(store)
    assert loaded.due.pending() == state.due.pending() != []
    for each in (state, loaded):
        due.begin_block(each, Moment(2, 20))
        each.rehash()
    assert loaded.root() == state.root()
    assert done[: len(done) // 2] == done[len(done) // 2 :]


def with_rows(count: int, due_ms: int, progress: Progress) -> State:
    """A state whose agenda has so many equal rows."""
    state = world.new_state()
    more = np.zeros(count, rows.AGENDA)
    more["due_ms"], more["what"], more["progress"] = due_ms, What.PROPOSAL_EXPIRY, progress
    state.agenda.extend(more)
    state.due.rebuild()
    state.rehash()
    return state


class Counted:
    """Counts what is read of a table."""

    def __init__(self, table) -> None:
        self.table, self.reads = table, 0

    def __len__(self) -> int:
        return len(self.table)

    def field(self, row: int, name: str) -> object:
        self.reads += 1
        return self.table.field(row, name)

    def column(self, name: str) -> object:
        raise AssertionError("a block reads no column of the agenda")


@pytest.mark.parametrize(
    ("due_ms", "progress"),
    [(2_000, Progress.PENDING), (10, Progress.DONE), (10, Progress.WAITING), (10, Progress.CANCELLED)],
)
def test_a_million_rows_of_which_none_is_due_are_not_looked_at(due_ms: int, progress: Progress) -> None:
    state = with_rows(1_000_000, due_ms, progress)
    counted = state.due._table = Counted(state.agenda)  # type: ignore[assignment]
    for height in range(1, 50):
        due.begin_block(state, Moment(height, 1_000))
    assert counted.reads == 0
    assert not state.agenda._dirty.any()


def test_of_a_million_rows_due_a_block_takes_its_share(done: list[tuple[What, int]]) -> None:
    state = with_rows(1_000_000, 10, Progress.PENDING)
    due.begin_block(state, NOW)
    assert len(done) == 4_096
    due.begin_block(state, Moment(8, 1_000))
    assert len(done) == 2 * 4_096


def test_settled_rows_leave_the_index() -> None:
    state = world.new_state()
    for number in range(10 * DUE_STALE_MAX):
        agenda.cancel(state, agenda.schedule(state, 10**9 + number, What.PROPOSAL_EXPIRY, number), 1)
        state.rehash()
    assert len(state.due) <= DUE_STALE_MAX + 1
