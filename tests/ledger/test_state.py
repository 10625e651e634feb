"""Tables, journal and root: what is undone was never there, and what is stored comes back the same."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import rows, transfers
from ledger.codes import Code, InvariantError, Refused
from ledger.state import TABLES, Readable, State, state_root
from ledger.tables import PAGE_ROWS, ColumnarTable, DocumentTable
from ledger.words import words_of
from testing import world
from testing.stores import KeptState


def contents(state: State) -> object:
    """Everything a state says, comparable."""
    return (
        [list(table) for table in state.tables if isinstance(table, DocumentTable)],
        [table.rows().tobytes() for table in state.tables if isinstance(table, ColumnarTable)],
        [dict(table.by_key) for table in state.tables],
    )


def records(state: Readable) -> list[list[Any]]:
    """All records of all tables, of a state or of a view of it."""
    tables = [getattr(state, spec.name) for spec in TABLES.values()]
    return [[table[index] for index in range(len(table))] for table in tables]


Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["vasp", "retitle", "signer", "account", "holding", "many", "balance", "column", "moves", "key"]
        ),
        st.integers(0, 2**16),
        st.integers(0, 2**40),
    ),
    max_size=40,
)


def perform(state: State, step: Step, fresh: list[int]) -> None:
    """Do one write of each sort that the tables offer."""
    name, where, value = step
    fresh[0] += 1
    holdings = len(state.holdings)
    match name:
        case "vasp":
            world.add_vasp(state, f"vasp-{fresh[0]}")
        case "retitle" if len(state.vasps):
            world.change(state.vasps, where % len(state.vasps), title=f"new-{fresh[0]}")
        case "signer":
            world.add_signer(state, f"signer-{fresh[0]}", rows.Role.OWNER, where)
        case "account":
            world.add_account(state, rows.NO_ROW)
        case "holding" if len(state.accounts):
            transfers.open_holding(state, where % len(state.accounts), 0, 0)
        case "many":
            more = np.zeros(where % 40, rows.HOLDING)
            more["balance"] = value
            state.holdings.extend(more)
        case "balance" if holdings:
            state.holdings.set_field(where % holdings, "balance", value)
        case "column" if holdings:
            some = np.arange(0, holdings, 1 + where % 7, dtype=np.int64)
            state.holdings.set_column("balance", some, np.full(len(some), value, np.uint64))
        case "moves" if holdings:
            some = (np.arange(20, dtype=np.int64) * where) % holdings
            state.holdings.add_at("balance", some, np.full(20, value, np.uint64))
            state.holdings.subtract_at("balance", some[::2].copy(), np.full(10, value, np.uint64))
        case "key" if len(state.accounts):
            state.accounts.set_field(where % len(state.accounts), "kyc", value.to_bytes(32, "little"))
        case _:
            pass


@settings(max_examples=60, deadline=None)
@given(steps, steps, steps)
def test_undo_leaves_exactly_what_was_there(first: list[Step], second: list[Step], third: list[Step]) -> None:
    state, fresh = world.new_state(), [0]
    world.add_instrument(state, "PK0012345671")
    for step in first:
        perform(state, step, fresh)
    state.rehash()
    before, root, mark = copy.deepcopy(contents(state)), state.root(), state.mark()
    for step in second:
        perform(state, step, fresh)
    middle, second_mark = copy.deepcopy(contents(state)), state.mark()
    for step in third:
        perform(state, step, fresh)
    state.undo(second_mark)
    assert contents(state) == middle
    state.undo(mark)
    assert contents(state) == before
    state.rehash()
    assert state.root() == root


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, min_size=1, max_size=4))
def test_incremental_root_equals_that_of_the_state_loaded_from_its_changes(blocks: list[list[Step]]) -> None:
    state, store, fresh = world.new_state(), KeptState(), [0]
    world.add_instrument(state, "PK0012345671")
    published = []
    for block in blocks:
        for number, step in enumerate(block):
            mark = state.mark()
            perform(state, step, fresh)
            if number % 3 == 2:
                state.undo(mark)
        state.rehash()
        store.save(state.drain_changes())
        published.append((state.publish(), state.root(), records(state)))
        loaded = State.load(store)
        assert contents(loaded) == contents(state)
        assert loaded.root() == state.root()
        assert loaded.drain_changes().documents == []
        assert loaded.drain_changes().pages == []
        assert records(loaded.publish()) == records(state)
    for view, root, was in published:
        assert (view.root(), records(view)) == (root, was)


def test_a_record_keeps_its_key() -> None:
    state = world.new_state()
    world.add_vasp(state, "htx")
    with pytest.raises(InvariantError, match="keeps its key"):
        world.change(state.vasps, 0, name="other")


def test_a_key_that_is_younger_than_a_view_is_not_found_in_it() -> None:
    state = world.new_state()
    state.rehash()
    view = state.publish()
    vasp = world.add_vasp(state, "htx")
    signer = world.add_signer(state, "owner", rows.Role.OWNER, 0)
    key = state.signers[signer].public_key
    assert (view.vasps.find("htx"), view.signers.find(key)) == (None, None)
    state.rehash()
    assert (view.vasps.find("htx"), view.signers.find(key)) == (None, None)
    assert (state.publish().vasps.find("htx"), state.publish().signers.find(key)) == (vasp, signer)


def test_drained_pages_are_copies_of_changed_pages_alone() -> None:
    state = world.new_state()
    state.holdings.extend(np.zeros(3 * PAGE_ROWS + 5, rows.HOLDING))
    state.rehash()
    state.drain_changes()
    state.holdings.set_field(PAGE_ROWS + 1, "balance", 7)
    state.rehash()
    changes = state.drain_changes()
    assert [(table, page) for table, page, _ in changes.pages] == [(state.holdings.number, 1)]
    kept = changes.pages[0][2]
    state.holdings.set_field(PAGE_ROWS + 1, "balance", 8)
    assert np.frombuffer(kept, rows.HOLDING)["balance"][1] == 7


def test_a_root_asked_for_before_rehash_is_an_error() -> None:
    state = world.new_state()
    with pytest.raises(InvariantError, match="since the last rehash"):
        state.root()


def test_a_savepoint_does_not_survive_rehash() -> None:
    state = world.new_state()
    world.add_vasp(state, "late")
    mark = state.mark()
    world.add_vasp(state, "later")
    state.rehash()
    with pytest.raises(InvariantError, match="not in the journal"):
        state.undo(mark._replace(position=mark.position - 1))


def test_rows_cannot_be_written_past_the_journal() -> None:
    state = world.new_state()
    world.add_account(state, rows.NO_ROW)
    with pytest.raises(ValueError, match="read-only"):
        state.accounts.column("flags")[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        state.accounts.rows()["flags"][0] = 1


def test_a_key_is_taken_once() -> None:
    state = world.new_state()
    world.add_signer(state, "one", rows.Role.OWNER, 0)
    with pytest.raises(InvariantError, match="taken"):
        world.add_signer(state, "one", rows.Role.OWNER, 1)


def test_what_a_transaction_names_must_exist() -> None:
    state = world.new_state()
    for table in (state.vasps, state.accounts):
        with pytest.raises(Refused) as refusal:
            table.require(0, "rows[].account", 3)
        assert (refusal.value.code, words_of(refusal.value).field) == (Code.NOT_FOUND, "rows[3].account")


def test_every_table_counts_in_the_state_root() -> None:
    state = world.new_state()
    state.rehash()
    roots = list(state.table_roots())
    assert [number for number, _ in roots] == [table.number for table in state.tables]
    for position, (number, _) in enumerate(roots):
        other = [*roots]
        other[position] = (number, bytes(32))
        assert state_root(1, tuple(other)) != state.root()
    assert state_root(1, tuple(roots)) == state.root() != state_root(2, tuple(roots))


def test_a_stored_document_of_another_schema_does_not_load() -> None:
    state, store = world.new_state(), KeptState()
    state.rehash()
    store.save(state.drain_changes())
    store.kept[state.chain.number][0] = b"\x91\x00"
    with pytest.raises(ValueError, match=r"Expected `array` of length|length"):
        State.load(store)


def test_a_missing_page_does_not_load() -> None:
    state, store = world.new_state(), KeptState()
    state.holdings.extend(np.zeros(2 * PAGE_ROWS, rows.HOLDING))
    state.rehash()
    store.save(state.drain_changes())
    del store.kept[state.holdings.number][1]
    with pytest.raises(InvariantError, match="their count says"):
        State.load(store)


def test_row_layouts_are_packed_and_of_protocol_width() -> None:
    assert (rows.ACCOUNT.itemsize, rows.HOLDING.itemsize, rows.SIGNER.itemsize) == (64, 32, 64)
    assert rows.TRANSFER_ROW.itemsize == 16
    for dtype, row in (
        (rows.ACCOUNT, rows.Account),
        (rows.HOLDING, rows.Holding),
        (rows.SIGNER, rows.Signer),
    ):
        assert dtype.names == row._fields
        assert sum(dtype[name].itemsize for name in dtype.names) == dtype.itemsize


def test_tables_stand_in_the_order_of_their_numbers() -> None:
    numbers = [table.number for table in State.empty().tables]
    assert numbers == sorted(number for number, spec in TABLES.items() if spec.in_force(1))
