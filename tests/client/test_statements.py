"""Statements and the stream through the whole face: what moved is told, and it adds up to what is held."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.reads.statements import Direction, StatementReply, StatementView
from api.reads.stream import PostingView
from client.errors import CallRefused
from client.rpc import AsyncClient
from ledger.calendar import day_of
from ledger.documents import Register
from ledger.limits import HOLDING_REST_MS
from ledger.postings import Movement
from ledger.terms.discount import Discount
from testing.little_chain import DAY_MS, Market, live, officers, open_market, rows_of
from testing.one_node import OneNode, one_node


@asynccontextmanager
async def lived() -> AsyncIterator[tuple[OneNode, AsyncClient, Market]]:
    """A node whose chain has seen a whole bill, and a client of it."""
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = open_market(node.little)
        live(node.little, market)
        node.commit([])
        yield node, client, market


async def pages(client: AsyncClient, **question: Any) -> list[StatementReply]:
    found = [await client.statement_get(**question)]
    while (cursor := found[-1].next_cursor) is not None:
        found.append(await client.statement_get(**question, cursor=cursor))
    return found


def adds_up(statement: StatementView) -> None:
    balance, locked = statement.opening_balance, statement.opening_locked
    for movement in statement.movements:
        match movement.direction:
            case Direction.IN:
                balance += movement.amount
            case Direction.OUT:
                balance -= movement.amount
            case Direction.LOCKED:
                locked += movement.amount
            case Direction.UNLOCKED:
                locked -= movement.amount
        assert (movement.balance, movement.locked) == (balance, locked)
    assert (statement.closing_balance, statement.closing_locked) == (balance, locked)


async def test_the_statement_of_every_holding_adds_up_from_nothing_to_what_it_has() -> None:
    async with lived() as (node, client, _):
        holdings = node.little.replica.state.holdings
        for holding in range(len(holdings)):
            row = holdings[holding]
            (statement,) = (await client.statement_get(holding=holding, limit=1000)).items
            adds_up(statement)
            assert (statement.opening_balance, statement.opening_locked) == (0, 0)
            assert (statement.closing_balance, statement.closing_locked) == (row.balance, row.locked)
            assert (statement.account, statement.instrument) == (row.account, row.instrument)
            assert statement.ended is None


async def test_a_statement_names_cause_counterparty_and_kind_of_each_movement() -> None:
    async with lived() as (_, client, market):
        (statement,) = (await client.statement_get(holding=market.clients[1])).items
        sold = await client.statement_get(holding=market.clients[2])
        assert [(each.movement, each.direction, each.amount) for each in statement.movements] == [
            (Movement.DELIVERY, Direction.IN, 51),
            (Movement.TRANSFER, Direction.OUT, 7),
            (Movement.RETIREMENT, Direction.OUT, 44),
        ]
        delivered, given, redeemed = statement.movements
        assert given.counterparty == market.clients[2]
        assert given.counterparty_account == sold.items[0].account
        assert given.tx_id is not None
        transaction = await client.tx_get(given.tx_id)
        assert [(each.amount, each.row) for each in transaction.movements] == [(7, given.row)]
        assert (redeemed.counterparty, redeemed.tx_id) == (None, None)
        assert redeemed.due is not None
        agenda = await client.agenda_list(cursor=redeemed.due, limit=1)
        assert agenda.items[0].what.name == "REDEMPTION"
        assert delivered.time_ms == (await client.chain_block(delivered.block)).time_ms


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_pages_of_a_vasps_day_join_and_each_adds_up(limit: int) -> None:
    async with lived() as (node, client, market):
        first, last = 8, node.little.chain.height - 2
        question = {"vasp": 0, "from_block": first, "to_block": last}
        (whole,) = await pages(client, **question, limit=1000)
        parts = await pages(client, **question, limit=limit)
    movements: dict[int, list[Any]] = {}
    ends: dict[int, tuple[int, int]] = {}
    for page in parts:
        assert (page.from_block, page.to_block) == (first, last)
        assert sum(len(each.movements) for each in page.items) <= limit
        for each in page.items:
            adds_up(each)
            assert ends.get(each.holding, (each.opening_balance, each.opening_locked)) == (
                each.opening_balance,
                each.opening_locked,
            )
            ends[each.holding] = (each.closing_balance, each.closing_locked)
            movements.setdefault(each.holding, []).extend(each.movements)
    assert len(parts) > 1
    assert movements == {each.holding: list(each.movements) for each in whole.items}
    assert {*movements} == {market.money, *market.clients, *market.wallets}


async def test_every_range_of_blocks_joins_the_ranges_before_and_after_it() -> None:
    async with lived() as (node, client, market):
        wallet, head = market.wallets[0], node.little.chain.height
        (whole,) = (await client.statement_get(holding=wallet)).items
        account = (await client.account_get(whole.account)).account
        for cut in range(1, head):
            before = await client.statement_get(holding=wallet, to_block=cut)
            after = await client.statement_get(holding=wallet, from_block=cut + 1)
            assert before.items[0].closing_balance == after.items[0].opening_balance
            assert before.items[0].movements + after.items[0].movements == whole.movements
        day = await client.statement_get(
            account=account,
            from_ms=whole.movements[1].time_ms,
            to_ms=whole.movements[1].time_ms + DAY_MS,
        )
        shown = next(each for each in day.items if each.holding == wallet)
        assert day.from_block == whole.movements[1].block
        assert shown.movements[0] == whole.movements[1]
        assert all(each.time_ms <= whole.movements[1].time_ms + DAY_MS for each in shown.movements)


async def test_the_history_of_a_holding_is_what_it_had_after_each_block_that_moved_it() -> None:
    async with lived() as (_, client, market):
        wallet = market.wallets[0]
        (statement,) = (await client.statement_get(holding=wallet)).items
        history = await client.holding_history(wallet)
        first = await client.holding_history(wallet, limit=1)
        assert first.next_block is not None
        rest = await client.holding_history(wallet, from_block=first.next_block)
    after = {each.block: (each.balance, each.locked) for each in statement.movements}
    assert {each.block: (each.balance, each.locked) for each in history.items} == after
    assert first.items + rest.items == history.items
    assert rest.opening_balance == first.items[-1].balance


async def test_whoever_follows_the_stream_misses_nothing_and_goes_on_when_more_comes() -> None:
    async with lived() as (node, client, market):
        followed: list[PostingView] = []
        block, row, more = 1, 0, True
        while more:
            page = await client.posting_list(block, row, limit=3)
            followed += page.items
            block, row, more = page.next_block, page.next_row, page.more
        node.commit(
            [node.little.transaction("transfer", market.vasp, market.wallets[0], market.wallets[1], 5)]
        )
        then = await client.posting_list(block, row)
        events = await client.event_list(limit=1000)
        paged = [await client.event_list(limit=7)]
        while paged[-1].more:
            paged.append(await client.event_list(paged[-1].next_block, paged[-1].next_row, limit=7))
    places = [(each.block, each.row) for each in followed]
    assert places == sorted({*places})
    assert [(each.movement, each.amount) for each in then.items] == [(Movement.TRANSFER, 5)]
    assert tuple(each for page in paged for each in page.items) == events.items
    assert {"instruments", "offers", "restrictions"} <= {each.table for each in events.items}
    opened = [each for each in events.items if each.table == "restrictions"]
    assert (opened[0].field, opened[0].old, opened[0].new) == ("record", 0, 1)


async def test_a_large_batch_shows_its_first_movements_and_where_the_rest_is() -> None:
    async with lived() as (node, client, market):
        rows = [(market.wallets[0], market.wallets[1], 1)] * 250
        batch = node.little.transaction("transfer_batch", market.vasp, rows_of(*rows))
        node.commit([batch])
        shown = await client.tx_get(batch.id)
        assert shown.result is not None
        assert shown.next_row is not None
        rest = await client.posting_list(shown.result.block, shown.next_row, limit=1000)
    assert len(shown.movements) == 100
    assert len(shown.movements) + len([each for each in rest.items if each.position == 0]) == 250


async def test_what_cannot_be_told_is_refused_by_name() -> None:
    async with lived() as (_, client, market):
        for question, name in (
            ({}, "malformed"),
            ({"holding": 1, "account": 1}, "malformed"),
            ({"holding": 999}, "not_found"),
            ({"account": 999}, "not_found"),
            ({"vasp": 999}, "not_found"),
            ({"holding": 1, "cursor": "x"}, "malformed"),
            ({"holding": 1, "from_block": 0}, "not_found"),
        ):
            with pytest.raises(CallRefused) as refused:
                await client.statement_get(**question)
            assert refused.value.name == name
        beyond = await client.statement_get(holding=market.money, from_block=10_000)
    assert beyond.items[0].opening_balance == beyond.items[0].closing_balance > 0
    assert beyond.items[0].movements == ()


async def test_a_statement_ends_where_another_instrument_takes_the_holding_over() -> None:
    async with lived() as (node, client, market):
        little = node.little
        old = market.clients[0]
        little.commit(
            little.transaction("dev_advance_clock", officers("mof", count=1), HOLDING_REST_MS + DAY_MS)
        )
        now_ms = little.now_ms + little.replica.state.chain_record.clock_offset_ms
        little.act("fixing_attest", ("sbp",), 2_800_000, now_ms)
        first = little.replica.state.instruments[market.bill]
        (bill, *_) = little.act(
            "instrument_issue", ("mof", "sbp", "pvara"),
            first.programme, market.cash, "PK0012345689", 10, (), (), bytes(32), Register.NATIVE, "",
            Discount(500_000, day_of(now_ms), day_of(now_ms) + 84, 93_784),
        )  # fmt: skip
        account = little.replica.state.holdings[old].account
        pair = account.to_bytes(4, "little") + bill.to_bytes(4, "little")
        opened = little.commit(little.transaction("holding_open", market.vasp, pair))
        assert opened.results[0].created == (old,)
        node.commit([])
        ended, begun = (await client.statement_get(holding=old)).items
        before, after = await pages(client, holding=old, limit=len(ended.movements) + 1)
        until = await client.statement_get(holding=old, to_block=opened.height - 1)
    assert (ended.instrument, ended.code, ended.ended) == (market.bill, "PK0012345671", opened.height)
    assert (begun.instrument, begun.code, begun.ended) == (bill, "PK0012345689", None)
    assert (ended.closing_balance, begun.opening_balance, begun.movements) == (0, 0, ())
    assert before.items + after.items == (ended, begun)
    assert [(each.instrument, each.ended) for each in until.items] == [(market.bill, None)]
    assert until.items[0].movements == ended.movements
