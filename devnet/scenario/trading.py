"""Chapter 6: Batches of the VASPs, single transfers of self-custody clients, every refusal by its code."""

import time

import trio

from client.errors import CallRefused
from client.transactions import transfer_rows
from client.wallet import Wallet
from devnet.scenario.figures import BATCH_ROWS, ELSEWHERE, SINGLES
from devnet.scenario.people import Holder, Vasp
from devnet.scenario.story import Story
from devnet.watching import require
from ledger.rows import AccountType


async def play(story: Story) -> str:
    """Chapter 6: Batches of the VASPs, single transfers of self-custody clients, every refusal by its
    code."""
    for vasp in story.vasps:
        batches = _trades(story, vasp, story.trades // 2)
        for rows in batches:
            result = await story.actors.perform(vasp.wallet, "transfer_batch", rows=transfer_rows(rows))
            require(not any(result.rows), f"{vasp.name}: a trade was refused: {set(result.rows)}")
            story.transfers += len(rows)
    await _singles(story)
    await _refusals(story)
    await story.check_some()
    await story.note_balances("trading")
    return (
        f"{story.trades:,} transfers in batches, {SINGLES} signed one by one; "
        f"{len(story.refusals)} kinds of refusal, each by its code"
    )


def _trades(story: Story, vasp: Vasp, count: int) -> list[list[tuple[int, int, int]]]:
    """Batches of trades that all pass: nobody sells what only a later trade brings him."""
    everyone = [*story.binance.holders, *story.htx.holders]
    sellers = {id(holder): holder.units for holder in vasp.custodial}
    units = sum(sellers.values())
    require(count <= units, f"{vasp.name}: {count} trades of one unit, its clients hold {units}")
    rows: list[tuple[int, int, int]] = []
    while len(rows) < count:
        seller, buyer = story.random.choice(vasp.custodial), story.random.choice(everyone)
        if seller is buyer or sellers[id(seller)] == 0:
            continue
        sellers[id(seller)] -= 1
        seller.units -= 1
        buyer.units += 1
        rows.append((seller.bill_holding, buyer.bill_holding, 1))
    return [rows[start : start + BATCH_ROWS] for start in range(0, count, BATCH_ROWS)]


async def _singles(story: Story) -> None:
    """Each self-custody client signs his share of the single transfers; they run side by side."""
    owners = [*story.binance.self_custody, *story.htx.self_custody]
    share = SINGLES // len(owners)

    async def trade(seller: Holder, buyer: Holder) -> None:
        for _ in range(share):
            await story.actors.perform(
                seller.wallet,
                "transfer",
                from_holding=seller.bill_holding,
                to_holding=buyer.bill_holding,
                amount=1,
            )

    async with trio.open_nursery() as nursery:
        for number, seller in enumerate(owners):
            buyer = owners[(number + 1) % len(owners)]
            seller.units -= share
            buyer.units += share
            nursery.start_soon(trade, seller, buyer)
    story.transfers += SINGLES


async def _refusals(story: Story) -> None:
    one, other = story.binance.self_custody[0], story.htx.self_custody[0]
    story.note_refusal("overdraft", await story.transfer_refused(one, other.bill_holding, one.units + 1))
    await _resend_and_reuse(story, one, other)
    fields = {"from_holding": one.bill_holding, "to_holding": other.bill_holding, "amount": 1}
    signed = story.actors.sign(one.wallet, "transfer", **fields)
    story.note_refusal("wrong_chain", await story.actors.submit_refusal(signed.raw, bytes(32)))
    broken = signed.raw[:-1] + bytes([signed.raw[-1] ^ 1])
    story.note_refusal("bad_signature", await story.actors.submit_refusal(broken))
    story.note_refusal("malformed", await story.actors.submit_refusal(signed.raw[:-1]))
    one.wallet.dropped(signed.sequence)
    await _expired(story, one.wallet, fields)
    await _not_authorised(story, one, other)
    await _ineligible(story, one)
    account = story.frozen.account
    (story.freeze,) = await story.actors.enact(["pvara"], "freeze", target="account", index=account)
    story.note_refusal(
        "frozen", await _vasp_transfer_refused(story, story.binance, story.frozen, other.bill_holding)
    )


async def _resend_and_reuse(story: Story, one: Holder, other: Holder) -> None:
    """An identical resend returns the first result; another body in a used sequence is refused."""
    fields = {"from_holding": one.bill_holding, "to_holding": other.bill_holding, "amount": 1}
    signed = story.actors.sign(one.wallet, "transfer", **fields)
    first = await story.client.send(signed, one.wallet)
    one.units -= 1
    other.units += 1
    story.transfers += 1
    before = await story.balances_of(one)
    again = await story.client.submit(signed.raw)
    require(again.duplicate and again.result == first, "a resend did not return its first result")
    require(await story.balances_of(one) == before, "a resend changed a balance")
    reused = story.actors.sign(one.wallet, "transfer", sequence=signed.sequence, **{**fields, "amount": 2})
    story.note_refusal("sequence_used", await story.actors.submit_refusal(reused.raw))


async def _expired(story: Story, wallet: Wallet, fields: dict[str, int]) -> None:
    from_past = Wallet(
        wallet.private_key, wallet.genesis_hash, signer=wallet.signer, clock=lambda: time.time() - 3_600
    )
    sequence = wallet.take_sequence()
    late = story.actors.sign(from_past, "transfer", sequence=sequence, **fields)
    story.note_refusal("expired", await story.actors.submit_refusal(late.raw))
    wallet.dropped(sequence)


async def _not_authorised(story: Story, one: Holder, other: Holder) -> None:
    """A VASP moves neither another VASP's client nor a self-custody holding."""
    foreign = await _vasp_transfer_refused(story, story.htx, story.binance.custodial[0], other.bill_holding)
    own_key = await _vasp_transfer_refused(story, story.binance, one, other.bill_holding)
    for refused in (foreign, own_key):
        story.note_refusal("not_authorised", refused)


async def _ineligible(story: Story, seller: Holder) -> None:
    """A client of a jurisdiction that the bill's terms do not admit."""
    row = story.account_row(story.htx, 0, AccountType.CUSTODIAL, None, ELSEWHERE)
    account = (await story.actors.perform(story.htx.wallet, "account_open", rows=[row])).created[0]
    (holding,) = await story.open_holdings(story.htx, [account], story.bill)
    story.note_refusal("ineligible", await story.transfer_refused(seller, holding, 1))


async def _vasp_transfer_refused(story: Story, vasp: Vasp, seller: Holder, to_holding: int) -> CallRefused:
    return await story.actors.refusal(
        vasp.wallet, "transfer", from_holding=seller.bill_holding, to_holding=to_holding, amount=1
    )
