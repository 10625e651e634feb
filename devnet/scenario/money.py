"""Chapter 3: The programme and its fixing, the currency, the clients' accounts and their cash."""

import hashlib

from client.transactions import transfer_rows
from devnet.scenario.figures import (
    CAP_CENTS,
    PAKISTAN,
    RATE_E4,
    SELF_CUSTODY,
    paisa,
)
from devnet.scenario.people import Vasp
from devnet.scenario.story import Story
from devnet.watching import require
from ledger.rows import AccountType


async def play(story: Story) -> str:
    """Chapter 3: The programme and its fixing, the currency, the clients' accounts and their cash."""
    (story.programme,) = await story.actors.enact(
        ["mof", "sbp", "pvara"], "programme_create", name="MTB-2026", cap_cents=CAP_CENTS
    )
    status = await story.client.chain_status()
    await story.actors.enact(["sbp"], "fixing_attest", rate_e4=RATE_E4, as_of_ms=status.ledger_time_ms)
    created = await story.actors.enact(["sbp"], "cash_define", currency="PKR")
    story.currency = created[0]
    for vasp in story.vasps:
        await _open_clients(story, vasp)
        cost = sum(paisa(units) for units in story.wanted(vasp))
        reserve = 1_000_000_000  # what the frozen, the foreign and the short client are given besides
        await story.actors.enact(
            ["sbp"],
            "cash_issue",
            holding=vasp.money,
            amount=cost + reserve,
            debit=hashlib.sha256(f"RTGS debit for {vasp.name}".encode()).digest(),
        )
        await _distribute_cash(story, vasp)
    supply = (await story.client.instrument_get(story.currency)).supply
    programme = await story.client.programme_get(story.programme)
    require(programme.used_cents == 0, "the programme is used before any issue")
    return f"cap USD 2 bn at 280.0000; PKR {supply / 100:,.2f} in cash against two funding debits"


async def _open_clients(story: Story, vasp: Vasp) -> None:
    """The clients, client money and holdings of cash; self-custody clients bring keys of their own."""
    owners = [story.actors.new_wallet(f"{vasp.name}-client-{n}") for n in range(SELF_CUSTODY)]
    await story.open_accounts(vasp, story.clients - SELF_CUSTODY - len(vasp.holders), owners=owners)
    for owner in owners:
        await story.client.align(owner)
    money = story.account_row(vasp, 0, AccountType.CLIENT_MONEY, None, PAKISTAN)
    vasp.money_account = (await story.actors.perform(vasp.wallet, "account_open", rows=[money])).created[0]
    accounts = [holder.account for holder in vasp.holders] + [vasp.money_account]
    opened = await story.open_holdings(vasp, accounts, story.currency)
    vasp.money = opened.pop()
    for holder, cash in zip(vasp.holders, opened, strict=True):
        holder.cash_holding = cash


async def _distribute_cash(story: Story, vasp: Vasp) -> None:
    spare = 100_000  # paisa that stay with each client
    amounts = [paisa(units) + spare for units in story.wanted(vasp)] + [spare] * len(vasp.self_custody)
    rows = [
        (vasp.money, holder.cash_holding, amount)
        for holder, amount in zip([*vasp.custodial, *vasp.self_custody], amounts, strict=True)
    ]
    result = await story.actors.perform(vasp.wallet, "transfer_batch", rows=transfer_rows(rows))
    require(not any(result.rows), f"{vasp.name}: cash was not distributed: {set(result.rows)}")
    for holder, amount in zip([*vasp.custodial, *vasp.self_custody], amounts, strict=True):
        holder.cash = amount
    story.transfers += len(rows)
