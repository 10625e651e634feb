"""Chapter 8: Maturity, the wait for the funding, redemption to all in one block."""

import hashlib

from api.reads.instruments import InstrumentReply
from devnet.network import DevnetError
from devnet.scenario.figures import (
    UNIT_FACE,
)
from devnet.scenario.story import Story
from devnet.watching import require, until
from ledger.codes import Code
from ledger.documents import InstrumentStatus


async def play(story: Story) -> str:
    """Chapter 8: Maturity, the wait for the funding, redemption to all in one block."""
    bill = await story.client.instrument_get(story.bill)
    status = await story.client.chain_status()
    await story.advance(bill.maturity_ms - status.ledger_time_ms + 1_000)
    bill = await story.client.instrument_get(story.bill)
    require(bill.status is InstrumentStatus.MATURED_UNPAID, f"the bill is {bill.status.name} at maturity")
    one, other = story.binance.self_custody[0], story.htx.self_custody[0]
    closed = await story.transfer_refused(one, other.bill_holding, 1)
    require(closed.code == Code.TRANSFERS_CLOSED, f"a transfer after maturity met {closed.name}")
    due = bill.redemption_due
    treasury = await _balance(story, bill.treasury_cash)
    if treasury < due:
        await story.actors.enact(
            ["sbp"],
            "cash_issue",
            holding=bill.treasury_cash,
            amount=due - treasury,
            debit=hashlib.sha256(b"RTGS debit for redemption").digest(),
        )
    await story.actors.enact(["mof"], "redemption_fund", instrument=story.bill, amount=due)
    paid = await _redeemed(story)
    require(paid.supply == 0, f"supply is {paid.supply} after redemption")
    for holder in (*story.binance.holders, *story.htx.holders):
        holder.cash += holder.units * UNIT_FACE
        holder.units = 0
    await _check_all(story)
    require((await story.client.account_get(story.frozen.account)).frozen, "the frozen holder is free")
    await story.actors.enact(["sbp", "fmu"], "lift", restriction=story.freeze)
    held = await story.client.holding_get(story.frozen.cash_holding)
    require(not (held.frozen or held.locked), "the lift left something frozen")
    await story.note_balances("maturity")
    return f"PKR {due / 100:,.2f} to every holder in one block; supply zero; the frozen one free when lifted"


async def _balance(story: Story, holding: int | None) -> int:
    if holding is None:
        raise DevnetError("the bill has no such holding of the treasury")
    return (await story.client.holding_get(holding)).balance


async def _redeemed(story: Story) -> InstrumentReply:
    return await until(
        lambda: story.client.instrument_get(story.bill),
        lambda bill: bill.status is InstrumentStatus.REDEEMED,
        "the bill is not redeemed after its funding",
    )


async def _check_all(story: Story) -> None:
    """Every client's balances against our own sums, page by page."""
    expected = {}
    for holder in (*story.binance.holders, *story.htx.holders):
        expected[holder.cash_holding] = holder.cash
        expected[holder.bill_holding] = holder.units
    for instrument in (story.currency, story.bill):
        cursor: int | None = 0
        while cursor is not None:
            page = await story.client.holding_list(instrument=instrument, cursor=cursor, limit=1_000)
            for item in page.items:
                wanted = expected.pop(item.holding, item.balance)
                require(
                    item.balance == wanted,
                    f"holding {item.holding} has {item.balance}, should have {wanted}",
                )
            cursor = page.next_cursor
    require(not expected, f"{len(expected)} holdings are not listed")
