"""Statements through the index of movements, against a plain fold over every posting of the chain.

The chains are real ones, their segments tiny: a few rows or heights each, two or three nodes under one.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import walking
from api.reads import statements
from api.reads.statements import Direction, StatementReads, StatementReply
from api.refusals import Declined
from api.sources import Moving
from ledger.codes import InvariantError
from ledger.postings import Form, Movement, posting_rows
from ledger.rows import NO_ROW
from node.indexing import Indexer
from node.ports import Committed
from node.view import Archive, View
from storage.errors import StorageFull
from storage.index import INDEX_TABLES, PRESENCE, IndexReader, Shape
from testing.cluster import run_inline
from testing.little_chain import LittleChain, Market, live, open_market, rows_of

MOVED = ("block", "row", "direction", "amount", "counterparty", "balance", "locked")


class Living:
    """A chain with an index beside it, which hears of every block unless it is told otherwise."""

    def __init__(self, folder: Path, shape: Shape, sequences: dict[int, int]) -> None:
        self.little = LittleChain(folder, shape=shape, sequences=sequences)
        self.listen()

    def listen(self) -> None:
        """A node's index as it starts: from the log."""
        little = self.little
        self.indexer = Indexer(little.chain.published, little.blocks, little.index, run_inline)
        self.catch_up()

    def catch_up(self) -> None:
        trio.run(self.indexer.catch_up)

    def restart(self) -> None:
        self.little.reopen()
        self.listen()

    def commit(self, *transactions: Any, heard: bool = True) -> None:
        little = self.little
        block = little.build(*transactions)
        certificate = little.certify(block)
        applied = little.chain.apply(block, certificate)
        published = little.chain.publish()
        if heard:
            self.indexer.committed(Committed(block, certificate, applied, published))
            self.catch_up()

    def view(self) -> View:
        published = self.little.chain.publish()
        archive = Archive(self.little.blocks, self.little.index)
        return View(published.state, archive, published.header, published.genesis_hash, "mof", "test")


@dataclass
class Plain:
    """What one holding has and what moved, by looking at every posting there is."""

    balance: int = 0
    locked: int = 0
    moved: list[tuple[Any, ...]] = field(default_factory=list)


def folded(little: LittleChain, first: int, last: int) -> dict[int, tuple[tuple[int, int], Plain]]:
    """By holding: balance and locked amount before height `first`, and what moved until `last`."""
    holdings = {index: Plain() for index in range(len(little.replica.state.holdings))}
    opening = dict.fromkeys(holdings, (0, 0))
    for height in range(1, last + 1):
        if height == first:
            opening = {index: (plain.balance, plain.locked) for index, plain in holdings.items()}
        for row, (_, number, _, source, target, amount) in enumerate(
            posting_rows(little.blocks.postings(height)).tolist()
        ):
            form = Movement(number).form
            sides = ((source, target), (target, source)) if source != target else ((source, target),)
            for side, other in sides:
                if side == NO_ROW:
                    continue
                plain = holdings[side]
                if form is Form.LOCKS:
                    direction, plain.locked = Direction.LOCKED, plain.locked + amount
                elif form is Form.UNLOCKS:
                    direction, plain.locked = Direction.UNLOCKED, plain.locked - amount
                elif side == target:
                    direction, plain.balance = Direction.IN, plain.balance + amount
                else:
                    direction, plain.balance = Direction.OUT, plain.balance - amount
                counterparty = None if other == NO_ROW or source == target else other
                if height >= first:
                    plain.moved.append(
                        (height, row, direction, amount, counterparty, plain.balance, plain.locked)
                    )
    if first > last:
        opening = {index: (plain.balance, plain.locked) for index, plain in holdings.items()}
    return {index: (opening[index], plain) for index, plain in holdings.items()}


def pages(view: View, **question: Any) -> Iterator[StatementReply]:
    cursor = None
    while True:
        read = StatementReads.statement_get
        page: StatementReply = read.answer(view, read.question(**question, cursor=cursor))
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


def told(found: Iterator[StatementReply]) -> dict[int, Plain]:
    """By holding: what the pages say it had at the end, and every movement; parts must join."""
    holdings: dict[int, Plain] = {}
    for page in found:
        for item in page.items:
            plain = holdings.setdefault(item.holding, Plain(item.opening_balance, item.opening_locked))
            assert (plain.balance, plain.locked) == (item.opening_balance, item.opening_locked)
            plain.balance, plain.locked = item.closing_balance, item.closing_locked
            plain.moved += [tuple(getattr(each, name) for name in MOVED) for each in item.movements]
    return holdings


def compare(living: Living, question: dict[str, Any], first: int, last: int, limit: int) -> None:
    little, view = living.little, living.view()
    expected = folded(little, first, min(last, little.chain.height))
    found = list(pages(view, **question, from_block=first, to_block=last, limit=limit))
    openings: dict[int, tuple[int, int]] = {}
    for page in found:
        assert sum(len(item.movements) for item in page.items) <= limit
        for item in page.items:
            openings.setdefault(item.holding, (item.opening_balance, item.opening_locked))
    for holding, plain in told(iter(found)).items():
        opening, wanted = expected[holding]
        assert openings[holding] == opening
        assert plain.moved == wanted.moved
        assert (plain.balance, plain.locked) == (wanted.balance, wanted.locked)
    asked = told(iter(found)).keys()
    state = view.state
    for holding, (opening, wanted) in expected.items():
        theirs = state.accounts[state.holdings[holding].account].vasp == 0
        if question == {"vasp": 0} and theirs:
            assert holding in asked or (not wanted.moved and opening == (0, 0))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("batch"), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=9)),
        st.tuples(st.just("empty"), st.integers(1, 6)),
        st.tuples(st.just("restart"), st.booleans()),
    ),
    max_size=9,
)
SHAPES = st.builds(Shape, st.integers(1, 20), st.integers(1, 8), st.integers(2, 3))


def play(living: Living, market: Market, steps: list[tuple[str, Any]]) -> None:
    places = (market.money, *market.wallets)
    for name, what in steps:
        if name == "batch":
            rows = [(places[one], places[other], 1 + one) for one, other in what if one != other]
            if rows:
                living.commit(living.little.transaction("transfer_batch", market.vasp, rows_of(*rows)))
        elif name == "empty":
            for number in range(what):
                living.commit(heard=number % 2 == 0)
        else:
            if what:
                living.little.index.clear()
            living.restart()


@dataclass
class Template:
    """A chain that has lived, on disk, to go on from."""

    folder: Path
    market: Market
    sequences: dict[int, int]

    @contextmanager
    def copied(self, shape: Shape) -> Iterator[Living]:
        with tempfile.TemporaryDirectory(prefix="mohur-", dir=self.folder.parent) as folder:
            for store in ("blocks", "state"):
                shutil.copytree(self.folder / store, Path(folder, store))
            living = Living(Path(folder), shape, dict(self.sequences))
            try:
                yield living
            finally:
                living.little.close()


@pytest.fixture
def template(ram_path: Path) -> Template:
    little = LittleChain(ram_path / "template")
    market = open_market(little)
    live(little, market)
    little.chain.checkpoint()
    little.close()
    return Template(little.folder, market, little.sequences)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, SHAPES, st.data())
def test_statements_of_any_chain_say_what_a_fold_of_all_postings_says(
    template: Template, steps: list[tuple[str, Any]], shape: Shape, data: st.DataObject
) -> None:
    with template.copied(shape) as living:
        market = template.market
        play(living, market, steps)
        head = living.little.chain.height
        holdings = len(living.little.replica.state.holdings)
        for _ in range(4):
            first = data.draw(st.integers(1, head + 2))
            last = data.draw(st.integers(first - 1, head + 2))
            question = data.draw(
                st.one_of(
                    st.just({"vasp": 0}),
                    st.builds(lambda holding: {"holding": holding}, st.integers(0, holdings - 1)),
                )
            )
            compare(living, question, first, last, data.draw(st.integers(1, 12)))


def stored(little: LittleChain) -> dict[str, list[tuple[bytes, bytes]]]:
    """Every byte of the index."""
    with little.index._environment.read() as reader:
        return {table.name: list(reader.items(table)) for table in INDEX_TABLES}


SMALL = Shape(9, 5, 2)


def test_an_index_made_anew_from_the_log_is_the_one_that_heard_every_block(template: Template) -> None:
    with template.copied(SMALL) as living:
        rows = [(template.market.wallets[0], template.market.wallets[1], 1)] * 7
        for number in range(12):
            batch = living.little.transaction("transfer_batch", template.market.vasp, rows_of(*rows))
            living.commit(*([batch] if number % 3 else []))
        heard, last = stored(living.little), living.little.index.last()
        assert last > living.little.chain.height - SMALL.heights
        living.little.index.clear()
        living.restart()
        assert stored(living.little) == heard


def test_an_index_beyond_its_log_is_thrown_away(template: Template) -> None:
    with template.copied(SMALL) as living:
        for _ in range(12):
            living.commit()
        living.little.close()
        for store in ("blocks", "state"):
            shutil.rmtree(living.little.folder / store)
            shutil.copytree(template.folder / store, living.little.folder / store)
        living.little.open()
        assert living.little.index.last() > living.little.chain.height
        living.listen()
        assert living.little.index.last() <= living.little.chain.height
        compare(living, {"vasp": 0}, 1, living.little.chain.height, 100)


def test_an_index_of_another_shape_or_that_is_no_environment_is_made_anew(template: Template) -> None:
    with template.copied(SMALL) as living:
        heard = stored(living.little)
        for spoil in (b"", b"not LMDB" * 4096):
            living.little.close()
            if spoil:
                (living.little.folder / "index" / "data.mdb").write_bytes(spoil)
            living.little.shape = SMALL if spoil else Shape(50, 50, 2)
            living.little.open()
            assert living.little.index.began_anew is not None
            living.listen()
        assert stored(living.little) == heard


def test_a_corrupt_segment_makes_the_index_anew_and_stops_nobody(template: Template) -> None:
    with template.copied(SMALL) as living:
        environment = living.little.index._environment
        with environment.write() as writer:
            keys = [key for key, _ in writer.items(PRESENCE)]
            for key in keys:
                writer._transaction.put(key, bytes(40), db=environment._handles[PRESENCE.name])
        for _ in range(3 * SMALL.heights * SMALL.fanout):
            living.commit()
        assert living.little.index.last() > 0
        compare(living, {"vasp": 0}, 1, living.little.chain.height, 100)


@pytest.mark.parametrize("point", ["begin", "put touched", "put presence", "commit"])
def test_a_segment_that_could_not_be_stored_is_missing_whole_and_made_again(
    template: Template, point: str
) -> None:
    class Failing:
        def reached(self, where: str) -> None:
            if where == f"index: {point}":
                raise StorageFull("index", "a test")

    with template.copied(SMALL) as living:
        market, little = template.market, living.little
        last = little.index.last()
        little.index._environment._faults = Failing()
        rows = [(market.wallets[0], market.wallets[1], 1)] * 9
        with pytest.raises(StorageFull):
            living.commit(little.transaction("transfer_batch", market.vasp, rows_of(*rows)))
        assert little.index.last() == last
        living.restart()
        assert little.index.last() == little.chain.height
        compare(living, {"vasp": 0}, 1, little.chain.height, 100)


def test_a_page_ends_early_rather_than_read_or_look_at_more_than_its_bounds(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    with template.copied(SMALL) as living:
        head = living.little.chain.height
        question = {"vasp": 0, "from_block": 1, "to_block": head}
        whole = list(pages(living.view(), **question, limit=1000))
        monkeypatch.setattr(statements, "STATEMENT_HOLDINGS_MAX", 1)
        by_holding = list(pages(living.view(), **question, limit=1000))
        monkeypatch.setattr(statements, "STATEMENT_HOLDINGS_MAX", 1000)
        monkeypatch.setattr(statements, "STATEMENT_ROWS_MAX", 0)
        by_rows = list(pages(living.view(), **question, limit=1000))
    assert len(whole) == 1
    assert len(by_holding) >= len(whole[0].items)
    assert len(by_rows) > 1
    assert told(iter(by_holding)) == told(iter(by_rows)) == told(iter(whole))


def test_a_statement_is_refused_while_the_index_is_far_behind(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    with template.copied(SMALL) as living:
        living.little.index.clear()
        for name in ("TAIL_HEIGHTS_MAX", "TAIL_ROWS_MAX"):
            with monkeypatch.context() as patched:
                patched.setattr(walking, name, 3)
                with pytest.raises(Declined, match="still makes its index"):
                    list(pages(living.view(), holding=template.market.money))
        assert next(pages(living.view(), holding=template.market.money)).items


def test_a_statement_that_its_own_movements_contradict_is_never_told(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that is wrong, and reads well, would else put a wrong balance over right movements."""
    moving = IndexReader.moving

    def wrong(self: IndexReader, holding: int, height: int) -> Iterator[Moving]:
        for number, stretch in enumerate(moving(self, holding, height)):
            yield stretch._replace(balance=stretch.balance + number)

    with template.copied(SMALL) as living:
        everything = {"vasp": 0, "limit": 1000}
        assert sum(len(page.items) for page in pages(living.view(), **everything))
        monkeypatch.setattr(IndexReader, "moving", wrong)
        with pytest.raises(InvariantError, match="index of movements"):
            list(pages(living.view(), **everything))


def test_a_view_older_than_the_index_is_told_as_it_was(template: Template) -> None:
    with template.copied(Shape(1, 1, 2)) as living:
        market, before = template.market, living.view()
        questions = [{"vasp": 0}, {"vasp": 0, "from_block": before.height + 3}]
        expected = [list(pages(before, **question, limit=1000)) for question in questions]
        rows = [(market.wallets[0], market.wallets[1], 1)] * 3
        for _ in range(3):
            living.commit(living.little.transaction("transfer_batch", market.vasp, rows_of(*rows)))
        assert living.little.index.last() > before.height
        assert [list(pages(before, **question, limit=1000)) for question in questions] == expected
