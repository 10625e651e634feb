"""Readers beside the driver: at every line of a block's execution they see the block before it, whole."""

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from types import FrameType
from typing import Any

import pytest

import node
from api.declare import ReadFrom
from api.reads import READS
from api.reads.transactions import TransactionReads
from api.refusals import Declined
from api.sources import View
from ledger import tables
from ledger.codes import Refused
from ledger.documents import Target
from ledger.execution import Result
from ledger.state import TABLES, Readable
from node.limits import DECODED_BLOCKS_MAX
from node.view import Archive
from node.view import View as NodeView
from primitives.codec import pack
from testing.little_chain import LittleChain, Market, live, officers, open_market, public
from testing.one_node import OneNode


@pytest.fixture
def little(tmp_path: Path) -> Iterator[LittleChain]:
    opened = LittleChain(tmp_path)
    yield opened
    opened.close()


def view_of(little: LittleChain) -> View:
    published = little.chain.publish()
    archive = Archive(little.blocks, little.index)
    return NodeView(published.state, archive, published.header, published.genesis_hash, "mof", "test")


QUESTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "chain_status": ({},),
    "signer_get": ({"signer": public("htx")}, {"signer": public("nobody yet")}, {"signer": 0}),
    "account_get": ({"account": 0}, {"account": 3}),
    "holding_get": ({"holding": 0}, {"holding": 4}),
    "holding_list": ({}, {"account": 3}, {"instrument": 0}, {"instrument": 1, "cursor": 2, "limit": 2}),
    "instrument_get": ({"instrument": "PKR"}, {"instrument": 1}),
    "instrument_list": ({},),
    "offer_list": ({},),
    "agenda_list": ({}, {"progress": 1}, {"progress": 3, "cursor": 1}),
    "programme_get": ({"programme": "bills"},),
    "fixing_get": ({},),
    "vasp_get": ({"vasp": "htx"}, {"vasp": "nobody"}),
    "vasp_list": ({},),
    "institution_list": ({},),
    "policy_list": ({},),
    "node_list": ({}, {"cursor": 1, "limit": 2}),
    "ca_root_list": ({},),
    "version_list": ({},),
    "parameter_get": ({"name": "idle_ms"},),
    "proposal_get": ({"proposal": 0},),
    "proposal_list": ({}, {"status": 1}),
    "act_preview": ({"kind": "parameter_set", "payload": b"\x92\xa7idle_ms\x05"},),
    "restriction_get": ({"restriction": 0},),
    "restriction_list": ({}, {"target": Target.HOLDING, "index": 2}),
}


def answers(view: View) -> list[bytes | tuple[Any, ...]]:
    """What every read of the state says."""
    said: list[bytes | tuple[Any, ...]] = []
    for name, questions in QUESTIONS.items():
        for question in questions:
            try:
                said.append(pack(READS[name].answer(view, READS[name].question(**question))))
            except (Refused, Declined) as refused:
                said.append((name, refused.code))
    return said


@contextmanager
def at_every_line(look: Callable[[], None]) -> Iterator[None]:
    """Look whenever another line of the tables is about to run, as a thread that is switched to would."""
    looking = False

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal looking
        if looking or frame.f_code.co_filename != tables.__file__:
            return None
        looking = True
        try:
            look()
        finally:
            looking = False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def test_every_read_of_the_state_is_asked() -> None:
    assert set(QUESTIONS) == {name for name, read in READS.items() if read.source is ReadFrom.STATE}


def test_at_every_line_of_a_block_a_reader_sees_the_block_before(little: LittleChain) -> None:
    """Nothing is mocked but the moment: the reads are those of the socket, the blocks a bill's life."""
    looked = 0
    decide = little.decide

    def decide_and_read(*args: Any) -> Any:
        nonlocal looked
        view = view_of(little)
        expected = answers(view)
        names = list(QUESTIONS)
        lines = 0

        def look() -> None:
            nonlocal lines, looked
            lines += 1
            looked += 1
            # One read a line, in turn: all of them at every line would take minutes.
            position = lines % len(names)
            start = sum(len(QUESTIONS[name]) for name in names[:position])
            for offset, question in enumerate(QUESTIONS[names[position]]):
                read = READS[names[position]]
                try:
                    said: Any = pack(read.answer(view, read.question(**question)))
                except (Refused, Declined) as refused:
                    said = (read.name, refused.code)
                assert said == expected[start + offset], (read.name, question)

        with at_every_line(look):
            applied = decide(*args)
        assert answers(view) == expected  # nor does a view change later
        assert answers(view_of(little)) != expected
        return applied

    market: Market = open_market(little)
    little.decide = decide_and_read  # type: ignore[method-assign]
    live(little, market)
    assert looked > 5_000


def records(state: Readable) -> list[list[Any]]:
    tables = [getattr(state, spec.name) for spec in TABLES.values()]
    return [[table[index] for index in range(len(table))] for table in tables]


def test_a_published_view_is_the_state_itself(little: LittleChain) -> None:
    market = open_market(little)
    live(little, market)
    live_state, view = little.replica.state, little.chain.publish().state
    assert records(view) == records(live_state)
    assert view.root() == live_state.root()
    little.chain.checkpoint()
    little.reopen()
    loaded = little.chain.publish().state
    assert records(loaded) == records(view)


def test_what_a_block_did_not_write_is_shared_with_the_view_before(little: LittleChain) -> None:
    open_market(little)
    before = little.chain.publish().state
    little.commit()
    after = little.chain.publish().state
    assert after.holdings is before.holdings
    assert after.institutions is before.institutions


def test_a_reader_cannot_write_what_is_published(little: LittleChain) -> None:
    open_market(little)
    holdings = little.chain.publish().state.holdings
    rows = little.replica.state.holdings.rows()
    with pytest.raises(ValueError, match="read-only"):
        rows["balance"] = 0
    column = holdings.column("balance")
    column[:] = 0
    assert holdings.column("balance").any()


OF_THE_DRIVER = {
    "app", "application", "audit", "chain", "driver", "handover", "host", "proofs", "published", "replica",
    "verifier",
}  # fmt: skip


def test_only_the_rooms_of_the_driver_name_the_replica() -> None:
    """Whoever else needs the live chain hands a job to the driver (`node.handover`)."""
    found = set()
    for path in Path(node.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        inside = {
            id(part)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "between_blocks"
            for part in ast.walk(call)
        }
        if any(
            isinstance(part, ast.Attribute) and part.attr == "replica" and id(part) not in inside
            for part in ast.walk(tree)
        ):
            found.add(path.stem)
    assert found <= OF_THE_DRIVER


async def test_a_block_that_is_not_at_hand_is_decoded_in_a_thread(tmp_path: Path) -> None:
    """A transaction of one of the last blocks is told at once: its block is kept as it was executed."""
    little = LittleChain(tmp_path)
    try:
        one = OneNode(little)
        market = open_market(little)
        one.commit([])
        first = little.transaction("cash_issue", officers("sbp"), market.money, 5_000, b"d" * 32)
        one.commit([first])
        threads: list[int] = []
        transaction = Archive.transaction

        def noted(archive: Archive, height: int, position: int) -> tuple[bytes, Result]:
            threads.append(get_ident())
            return transaction(archive, height, position)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Archive, "transaction", noted)
            near = await TransactionReads.tx_get.answer(one, TransactionReads.tx_get.question(first.id))
            for _ in range(DECODED_BLOCKS_MAX):
                one.commit([])
            far = await TransactionReads.tx_get.answer(one, TransactionReads.tx_get.question(first.id))
            again = await TransactionReads.tx_submit.answer(
                one, TransactionReads.tx_submit.question(one.view().genesis_hash, first.raw)
            )
    finally:
        little.close()
    assert near.result == far.result == again.result
    assert threads[0] == get_ident()
    assert threads[1] != get_ident()
