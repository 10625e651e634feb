"""Chapter 4: The bill is issued in the block that completes its policy; the cap is exact to the rupee."""

import hashlib

from client.errors import CallRefused, TransactionRefused
from devnet.network import DevnetError
from devnet.scenario.figures import (
    FURTHER_UNITS,
    ISIN,
    PAKISTAN,
    PRICE_E4,
    RETAIL,
    SECOND_ISIN,
    TENOR_DAYS,
    UNIT_FACE,
    UNITS,
    YIELD_E6,
)
from devnet.scenario.story import Story
from devnet.watching import require
from ledger.calendar import day_of
from ledger.codes import Code


async def play(story: Story) -> str:
    """Chapter 4: The bill is issued in the block that completes its policy; the cap is exact to the rupee."""
    proposal = await story.actors.propose("mof", "instrument_issue", **await _bill(story, ISIN, UNITS))
    twice = await _approval_refused(story, proposal, "mof", 0)
    story.note_refusal("duplicate_officer", twice)
    await story.actors.approve(proposal, "mof", 1)
    for institution in ("sbp", "pvara"):
        for number in (0, 1):
            last = await story.actors.approve(proposal, institution, number)
    reply = await story.client.proposal_get(proposal)
    require(reply.status.name == "EXECUTED", f"the issue is {reply.status.name}: {reply.rule}")
    require(reply.decided_height == last.block, "the bill was not issued in the completing block")
    story.bill = reply.created[0]
    bill = await story.client.instrument_get(ISIN)
    require(bill.supply == UNITS, f"supply is {bill.supply}")
    require(bill.price_e4 == PRICE_E4, f"price is {bill.price_e4}")
    officer = await story.actors.officer("mof", 0)
    refused = await story.actors.refusal(
        officer, "instrument_issue", **await _bill(story, SECOND_ISIN, FURTHER_UNITS + 1)
    )
    require(refused.code == Code.CAP_EXCEEDED, f"550 bn + 5,000 was refused with {refused.name}")
    further = await story.actors.propose(
        "mof", "instrument_issue", **await _bill(story, SECOND_ISIN, FURTHER_UNITS)
    )
    await story.actors.answer(officer, "withdraw", further, 1)
    return (
        f"{ISIN}: {UNITS:,} units of PKR 5,000 at 97.8873; "
        "a further 550 bn fits the cap, 550 bn + 5,000 does not"
    )


async def _bill(story: Story, isin: str, units: int) -> dict[str, object]:
    """The fields of an instrument_issue; issue day is today, or tomorrow in a day's last hour."""
    now_ms = (await story.client.chain_status()).ledger_time_ms
    issue_day = day_of(now_ms + 3_600_000)
    return {
        "programme": story.programme,
        "cash": story.currency,
        "isin": isin,
        "units": units,
        "jurisdictions": (PAKISTAN,),
        "classes": (RETAIL,),
        "terms_hash": hashlib.sha256(b"terms of " + isin.encode()).digest(),
        "register": "native",
        "reference": "",
        "terms": {
            "variant": "discount",
            "face_minor": UNIT_FACE,
            "issue_day": issue_day,
            "maturity_day": issue_day + TENOR_DAYS,
            "yield_e6": YIELD_E6,
        },
    }


async def _approval_refused(story: Story, proposal: int, institution: str, number: int) -> CallRefused:
    try:
        await story.actors.approve(proposal, institution, number)
    except TransactionRefused as refused:
        return refused
    raise DevnetError("an officer's second signature was accepted")
