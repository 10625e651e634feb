"""Chapter 5: The offer is taken delivery versus payment; what is not sold is cancelled."""

from client.transactions import offer_rows, transfer_rows
from devnet.scenario.figures import PRICE_E4, SELF_CUSTODY_UNITS, UNITS, WINDOW_MS, paisa
from devnet.scenario.people import Vasp
from devnet.scenario.story import Story
from devnet.watching import require
from ledger.codes import Code
from ledger.documents import OfferStatus


async def play(story: Story) -> str:
    """Chapter 5: The offer is taken delivery versus payment; what is not sold is cancelled."""
    await _open_bill_holdings(story)
    status = await story.client.chain_status()
    opens = status.ledger_time_ms
    (story.offer,) = await story.actors.enact(
        ["mof"],
        "offer_open",
        instrument=story.bill,
        price_e4=PRICE_E4,
        units=UNITS,
        opens_ms=opens,
        closes_ms=opens + WINDOW_MS,
        vasps=(),
    )
    sold = 0
    for vasp in story.vasps:
        wanted = story.wanted(vasp)
        rows = [
            (holder.bill_holding, holder.cash_holding, units)
            for holder, units in zip(vasp.custodial, wanted, strict=True)
        ]
        result = await story.actors.perform(
            vasp.wallet, "offer_take", offer=story.offer, rows=offer_rows(rows)
        )
        require(not any(result.rows), f"{vasp.name}: a row of the offer was refused: {set(result.rows)}")
        for holder, units in zip(vasp.custodial, wanted, strict=True):
            holder.cash -= paisa(units)
            holder.units += units
        sold += sum(wanted)
        await _endow(story, vasp)
    short = story.binance.custodial[3]
    before = (short.cash, short.units)
    result = await story.actors.perform(
        story.binance.wallet,
        "offer_take",
        offer=story.offer,
        rows=offer_rows([(short.bill_holding, short.cash_holding, short.cash // 400_000 + 1_000)]),
    )
    require(result.rows == (Code.DVP_CASH_SHORT,), f"a short row got {result.rows}")
    story.refusals["dvp_cash_short"] = result.rows[0]
    require(await story.balances_of(short) == before, "a refused row changed a balance")
    await story.check_some()
    await story.advance(WINDOW_MS + 1_000)
    bill = await story.client.instrument_get(story.bill)
    offers = (await story.client.offer_list()).items
    require(offers[story.offer].status is OfferStatus.CLOSED, "the offer is open after its window")
    require(bill.supply == sold, f"supply is {bill.supply} after {sold} were sold")
    await story.note_balances("distribution")
    return f"{sold:,} units to {2 * story.clients:,} clients; {UNITS - sold:,} unsold units cancelled"


async def _open_bill_holdings(story: Story) -> None:
    """Holdings of the bill for every client, before the offer is taken."""
    for vasp in story.vasps:
        accounts = [holder.account for holder in vasp.holders]
        for holder, bill in zip(
            vasp.holders, await story.open_holdings(vasp, accounts, story.bill), strict=True
        ):
            holder.bill_holding = bill


async def _endow(story: Story, vasp: Vasp) -> None:
    """Self-custody clients take no offer, for only their own keys move their cash: they buy."""
    seller = max(vasp.custodial, key=lambda holder: holder.units)
    rows = [(seller.bill_holding, buyer.bill_holding, SELF_CUSTODY_UNITS) for buyer in vasp.self_custody]
    result = await story.actors.perform(vasp.wallet, "transfer_batch", rows=transfer_rows(rows))
    require(not any(result.rows), f"{vasp.name}: a sale was refused: {set(result.rows)}")
    for buyer in vasp.self_custody:
        seller.units -= SELF_CUSTODY_UNITS
        buyer.units += SELF_CUSTODY_UNITS
    story.transfers += len(rows)
