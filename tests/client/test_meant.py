"""What an officer's client signs under a proposal is what it was shown, whatever a gateway would have."""

import pytest
from msgspec.structs import replace

from client import transactions
from client.errors import TransactionRefused
from client.rpc import AsyncClient
from ledger.kinds.parameter_set import ParameterSet
from primitives.codec import pack
from testing.little_chain import officers
from testing.one_node import one_node


async def test_a_gateway_that_shows_another_act_gets_a_signature_that_the_ledger_refuses() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        node.commit([node.little.transaction("parameter_set", officers("mof", "sbp"), "idle_ms", 60_000)])
        read = await client.proposal_get(0)
        officer = node.wallet("pvara officer 0")
        harmless = replace(read, payload=pack(ParameterSet("idle_ms", 1_000)))
        with pytest.raises(TransactionRefused) as refused:
            await client.perform(officer, "approve", **transactions.meant(harmless), reason=0)
        await client.perform(officer, "approve", **transactions.meant(read), reason=0)
        after = await client.proposal_get(read.proposal)

    assert refused.value.name == "other_act"
    assert len(after.approvals) == len(read.approvals) + 1
    assert transactions.act_of(read) == ParameterSet("idle_ms", 60_000)
    assert transactions.act_of(harmless) == ParameterSet("idle_ms", 1_000)


async def test_an_act_that_this_software_cannot_read_is_not_signed() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        node.commit([node.little.transaction("cash_define", officers("sbp", count=1), "PKR")])
        read = await client.proposal_get(0)

    for unknown in (replace(read, kind=99), replace(read, act="cash_issue"), replace(read, payload=b"\xff")):
        with pytest.raises(transactions.BadPayload, match="cannot read"):
            transactions.act_of(unknown)
