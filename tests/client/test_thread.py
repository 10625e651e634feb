"""The whole face, from wallet to state and back: client, gateway, Unix socket, queries, ledger."""

import base64
from dataclasses import replace
from typing import Any

import pytest
import trio

from api.reads import Reads
from api.reads.transactions import TransactionStatus
from client import rpc, transactions
from client.blocking import Client
from client.errors import CallRefused, TransactionRefused, Unreachable, Unsettled
from client.receipts import verify_receipt
from client.rpc import AsyncClient
from client.transactions import BadPayload
from client.trust import TRUSTING_MS, trust_genesis
from client.verification import ProofRefused
from client.wallet import sign_together
from consensus.encoding import decode_certificate
from consensus.messages import Validator
from consensus.verification import verify_certificate
from ledger.agenda import Progress, What
from ledger.documents import ProposalStatus, Stage, Target
from ledger.genesis import genesis_hash
from ledger.rows import Role
from ledger.transactions import decode_transaction
from primitives.hashing import ZERO_HASH
from testing import version2
from testing.keys import public
from testing.little_chain import Market, make_genesis, open_market, rows_of
from testing.one_node import OneNode, one_node
from testing.verifying import verify_alone
from wire.blocks import decode_block


def market_of(node: OneNode) -> Market:
    """A licensed VASP with clients, on the node's ledger; its header is the last block's."""
    market = open_market(node.little)
    node.commit([])
    return market


async def test_a_transfer_goes_through_and_its_resend_returns_the_first_result_and_changes_nothing() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        node.little.act("cash_issue", ("sbp",), market.money, 5_000, b"d" * 32)
        vasp = await client.align(node.wallet("htx"))
        signed = vasp.build("transfer", from_holding=market.money, to_holding=market.wallets[0], amount=1_500)

        result = await client.send(signed, vasp)
        again = await client.submit(signed.raw)
        holding = await client.holding_get(market.wallets[0])

    assert result.code == 0
    assert (again.duplicate, again.result, again.tx_id) == (True, result, signed.id)
    assert (holding.balance, holding.code, holding.frozen) == (1_500, "PKR", False)


async def test_a_refusal_inside_a_block_carries_its_code_and_rule() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        vasp = node.wallet("htx")

        with pytest.raises(TransactionRefused) as refused:
            await client.perform(
                vasp, "transfer", from_holding=market.money, to_holding=market.wallets[0], amount=7
            )
        sequences = (await client.signer_get(vasp.public_key)).highest

    assert refused.value.name == "overdraft"
    assert refused.value.rule
    assert sequences == vasp.take_sequence() - 1


async def test_a_refusal_before_any_block_is_an_error_and_the_sequence_is_used_again() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        vasp = await client.align(node.wallet("htx"))
        fields: dict[str, Any] = {
            "from_holding": market.money,
            "to_holding": market.wallets[0],
            "amount": 1,
        }
        good = vasp.build("transfer", **fields)
        bad = bytearray(good.raw)
        bad[-1] ^= 1

        with pytest.raises(CallRefused) as refused:
            await client.submit(bytes(bad))
        vasp.dropped(good.sequence)
        again = vasp.build("transfer", **fields)

    assert (refused.value.name, refused.value.code) == ("bad_signature", 103)
    assert again.sequence == good.sequence


async def test_another_chain_is_refused_by_its_hash() -> None:
    async with one_node() as (_, front), AsyncClient(front.url) as client:
        with pytest.raises(CallRefused) as refused:
            await client.submit(b"\x90", chain=bytes(32))
        with pytest.raises(CallRefused) as malformed:
            await client.submit(b"\x90")

    assert (refused.value.name, refused.value.field) == ("wrong_chain", "chain")
    assert malformed.value.name == "malformed"


async def test_several_are_submitted_at_once_and_each_stands_for_itself() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        node.little.act("cash_issue", ("sbp",), market.money, 5_000, b"d" * 32)
        vasp = await client.align(node.wallet("htx"))
        fields: dict[str, Any] = {"from_holding": market.money, "to_holding": market.wallets[0]}
        signed = [vasp.build("transfer", amount=amount, **fields) for amount in (1, 2, 3)]

        items = await client.submit_many([signed[0].raw, b"nonsense", signed[1].raw, signed[2].raw])
        results = [await client.tx_wait(one.id) for one in signed]

    assert [item.accepted for item in items] == [True, False, True, True]
    assert items[1].refusal is not None
    assert items[1].refusal.name == "malformed"
    assert [reply.status for reply in results] == [TransactionStatus.COMMITTED] * 3
    assert [reply.result.code for reply in results if reply.result] == [0, 0, 0]


async def test_a_batch_reports_the_code_of_each_row() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        node.little.act("cash_issue", ("sbp",), market.money, 5, b"d" * 32)
        rows = rows_of((market.money, market.wallets[0], 4), (market.money, market.wallets[1], 4))

        result = await client.perform(node.wallet("htx"), "transfer_batch", rows=rows)

    assert (result.code, result.rows) == (0, (0, 400))


async def test_officers_carry_a_proposal_to_its_execution_and_every_signature_is_served() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        first, second = node.wallet("pvara officer 0"), node.wallet("pvara officer 1")

        proposed = await client.perform(
            first,
            "vasp_register",
            name="binance",
            title="Binance",
            settlement_key=public("binance"),
            proof=node.little.prove("binance", Role.SETTLEMENT, "binance"),
        )
        opened = await client.proposal_get(proposed.created[0])
        with pytest.raises(TransactionRefused) as twice:
            await client.perform(first, "approve", **transactions.meant(opened), reason=7)
        await client.perform(second, "approve", **transactions.meant(opened), reason=7)
        executed = await client.proposal_get(proposed.created[0])
        vasp = await client.vasp_get("binance")
        listed = await client.proposal_list(status=ProposalStatus.EXECUTED)

    assert (opened.status, len(opened.approvals)) == (ProposalStatus.OPEN, 1)
    assert twice.value.name == "duplicate_officer"
    assert executed.status is ProposalStatus.EXECUTED
    assert [(one.institution, one.officer, one.reason) for one in executed.approvals] == [
        ("pvara", first.signer, 0),
        ("pvara", second.signer, 7),
    ]
    assert vasp.stage is Stage.APPLIED
    assert [item.proposal for item in listed.items] == [proposed.created[0]]


async def test_which_authority_froze_is_not_served() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        officers = [await client.align(node.wallet(f"fmu officer {number}")) for number in (0, 1)]
        signed = sign_together(
            officers, "freeze", transactions.payload("freeze", target=2, index=market.clients[0])
        )
        result = await client.send(signed, officers[0])
        proposal = await client.proposal_get(result.created[0])
        sent = await client.tx_get(signed.id)
        holding = await client.holding_get(market.clients[0])
        listed = await client.restriction_list(Target.HOLDING, market.clients[0])
        one = await client.restriction_get(result.created[1])
        elsewhere = await client.restriction_list(Target.ACCOUNT, market.clients[0])
        with pytest.raises(CallRefused, match="acts of officers"):
            await client.receipt_get(signed.id)

    assert proposal.act == "freeze"
    assert proposal.institution is None
    assert [(each.officer, each.institution) for each in proposal.approvals] == [(None, None)] * 2
    assert (sent.signers, sent.sequence) == (None, None)
    assert holding.frozen
    assert [item.restriction for item in listed.items] == [one.restriction] == [result.created[1]]
    assert (one.target, one.index, one.amount, one.ended_ms) == (Target.HOLDING, market.clients[0], 0, 0)
    assert one.proposal == result.created[0]
    assert elsewhere.items == ()


async def test_an_officers_sequences_are_told_to_his_own_key_alone() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market_of(node)
        officer, other = node.wallet("fmu officer 0"), node.wallet("fmu officer 1")
        polled = await client.signer_get(officer.public_key)
        now_ms = (await client.chain_status()).time_ms
        told = await client.signer_get(officer.public_key, now_ms, officer.ask(now_ms))
        errors = []
        for asked_ms, signature in (
            (now_ms, other.ask(now_ms)),  # another key's question
            (now_ms - 1, officer.ask(now_ms)),  # another time's
            (now_ms - 60_001, officer.ask(now_ms - 60_001)),  # one that somebody kept
        ):
            with pytest.raises(CallRefused) as refused:
                await client.signer_get(officer.public_key, asked_ms, signature)
            errors.append(refused.value.name)

    assert (polled.highest, polled.bitmap) == (None, None)
    assert told.highest is not None
    assert told.highest > 0
    assert errors == ["bad_signature", "bad_signature", "expired"]


async def test_an_officers_sequences_are_not_told_by_refusals_either() -> None:
    """A used sequence under a signature that is not his: the answer is the same as for an unused one."""
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market_of(node)
        officer = await client.align(node.wallet("fmu officer 0"))
        errors = []
        for sequence in (1, 10_000, 5):
            payload = transactions.payload("approve", proposal=0, act=bytes(32), reason=0)
            signed = officer.sign("approve", payload, sequence=sequence)
            spoiled = signed.raw[:-1] + bytes([signed.raw[-1] ^ 1])
            with pytest.raises(CallRefused) as refused:
                await client.submit(spoiled)
            errors.append(refused.value.name)

    assert errors == ["bad_signature"] * 3


async def test_a_refused_signature_does_not_tell_whose_it_was() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        officer = await client.align(node.wallet("fmu officer 0"))
        frozen = await client.perform(officer, "freeze", target=2, index=market.clients[0])
        read = await client.proposal_get(frozen.created[0])
        again = officer.build("approve", **transactions.meant(read), reason=0)
        with pytest.raises(TransactionRefused):
            await client.send(again, officer)
        reply = await client.tx_get(again.id)

    assert reply.result is not None
    assert (reply.result.name, reply.result.field) == ("duplicate_officer", "signers")
    assert reply.result.value == ""
    assert reply.signers is None


async def test_the_agenda_says_what_time_will_do_and_to_what() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        bill = await client.instrument_get(market.bill)
        pending = await client.agenda_list(progress=Progress.PENDING)
        waiting = await client.agenda_list(progress=Progress.WAITING)
        first = await client.agenda_list(progress=Progress.PENDING, limit=1)

    due = [(row.what, row.subject, row.due_ms) for row in pending.items]
    assert (What.REDEMPTION, market.bill, bill.maturity_ms) in due
    assert (What.MATURITY, market.bill, bill.maturity_ms) in due
    assert waiting.items == ()
    assert first.items == pending.items[:1]
    assert first.next_cursor == pending.items[1].row


async def test_a_proof_fetched_verifies_against_the_genesis_alone_and_not_with_a_byte_changed() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        reply = await client.proof_get("holdings", market.clients[0])
        holding = await client.holding_get(market.clients[0])
        genesis = node.little.genesis

    verified = verify_alone(reply.proof, genesis)
    assert (verified.name, verified.record) == ("holdings", market.clients[0])
    assert (verified.value.balance, verified.value.account) == (holding.balance, holding.account)
    assert verified.height == reply.proven_height
    spoiled = bytearray(reply.proof)
    spoiled[len(spoiled) // 2] ^= 1
    with pytest.raises(ProofRefused):
        verify_alone(bytes(spoiled), genesis)


async def test_a_receipt_proves_offline_what_became_of_a_transaction() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        node.little.act("cash_issue", ("sbp",), market.money, 5_000, b"d" * 32)
        vasp = await client.align(node.wallet("htx"))
        signed = vasp.build("transfer", from_holding=market.money, to_holding=market.wallets[0], amount=1)
        result = await client.send(signed, vasp)
        reply = await client.receipt_get(signed.id)
        genesis = node.little.genesis

    trust = trust_genesis(genesis)
    verified = verify_receipt(reply.receipt, trust, now_ms=trust.time_ms)
    assert (verified.height, verified.position) == (result.block, result.position)
    assert verified.transaction is not None
    assert verified.result is not None
    assert (verified.transaction.raw, verified.result.code) == (signed.raw, result.code)
    for position in range(len(reply.receipt)):
        spoiled = bytearray(reply.receipt)
        spoiled[position] ^= 1
        with pytest.raises(ProofRefused):
            verify_receipt(bytes(spoiled), trust, now_ms=trust.time_ms)
    with pytest.raises(ProofRefused, match="keys retired since may have leaked"):
        verify_receipt(reply.receipt, trust, now_ms=trust.time_ms + TRUSTING_MS + 1)
    later = replace(trust, height=verified.height + 2)
    with pytest.raises(ProofRefused, match="does not follow"):
        verify_receipt(reply.receipt, later, now_ms=trust.time_ms)


async def test_an_auditor_gets_the_whole_chain_in_pages_and_verifies_it_alone() -> None:
    """Without a certificate of a node, and from the genesis alone."""
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market_of(node)
        pages = [await client.chain_raw(1, bytes_max=4_000)]
        while (following := pages[-1].next_block) is not None:
            pages.append(await client.chain_raw(following, bytes_max=4_000))
        genesis = node.little.genesis
        beyond = await client.batch([Reads.chain_raw.question(pages[0].height + 1)])

    raw = [item for page in pages for item in page.items]
    validators = tuple(Validator(member.public_key, member.power) for member in genesis.nodes if member.power)
    assert len(pages) > 2
    assert [item.block for item in raw] == list(range(1, pages[0].height + 1))
    parent = ZERO_HASH
    for item in raw:
        block, certificate = decode_block(item.encoded), decode_certificate(item.certificate)
        assert block.header.parent == parent
        assert certificate.value == block.header.hash()
        verify_certificate(certificate, validators, genesis_hash(genesis))
        parent = certificate.value
    assert isinstance(beyond[0], CallRefused)
    assert beyond[0].name == "not_found"


async def test_every_read_is_answered_and_names_its_height() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        height = node.little.chain.height
        status = await client.chain_status()
        block = await client.chain_block()
        bill = await client.instrument_get("PK0012345671")
        money = await client.instrument_get(market.cash)
        programme = await client.programme_get("bills")
        replies = [
            status,
            block,
            bill,
            money,
            programme,
            await client.chain_block(1),
            await client.account_get(0),
            await client.holding_list(account=1),
            await client.holding_list(instrument=market.bill, limit=2),
            await client.instrument_list(),
            await client.offer_list(),
            await client.agenda_list(),
            await client.fixing_get(),
            await client.vasp_list(),
            await client.institution_list(),
            await client.policy_list(),
            await client.parameter_get("idle_ms"),
            await client.signer_get(0),
        ]

    assert [reply.height for reply in replies] == [height] * len(replies)
    assert status.state_root == node.little.replica.state.root()
    assert [validator.name for validator in status.validators] == ["mof", "sbp", "pvara", "secp"]
    assert block.block_id == status.block_id
    assert (bill.family, bill.face_minor, bill.price_e4) == ("discount", 500_000, 978_873)
    assert (money.family, money.cash, money.programme) == ("cash", None, None)
    assert programme.fixing is not None
    assert programme.cap_cents == 200_000_000_000
    assert programme.used_cents is None or programme.used_cents > 0


async def test_pages_of_a_list_join_to_the_whole() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        for query in ({}, {"instrument": market.bill}, {"account": 2}):
            whole = (await client.holding_list(limit=1000, **query)).items
            paged: list[Any] = []
            cursor: int | None = 0
            while cursor is not None:
                page = await client.holding_list(cursor=cursor, limit=2, **query)
                assert len(page.items) <= 2
                paged += page.items
                cursor = page.next_cursor
            assert tuple(paged) == whole
            assert whole


async def test_a_block_shows_its_transactions_by_page() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        node.little.act("cash_issue", ("sbp",), market.money, 5_000, b"d" * 32)
        vasp = await client.align(node.wallet("htx"))
        moves = [
            vasp.build("transfer", from_holding=market.money, to_holding=market.wallets[0], amount=amount)
            for amount in (1, 2, 9_999)
        ]
        node.commit([decode_transaction(signed.raw) for signed in moves])
        whole = await client.chain_block()
        first = await client.chain_block(whole.block, 0, 2)
        second = await client.chain_block(whole.block, 2, 2)
        beyond = await client.chain_block(whole.block, 4, 2)

    assert [item.tx_id for item in whole.transactions] == [signed.id for signed in moves]
    assert [item.name for item in whole.transactions] == ["ok", "ok", "overdraft"]
    assert first.transactions + second.transactions == whole.transactions
    assert {page.transaction_count for page in (whole, first, second, beyond)} == {3}
    assert (first.next_cursor, second.next_cursor, whole.next_cursor) == (2, None, None)
    assert (beyond.transactions, beyond.next_cursor) == ((), None)


async def test_what_is_not_there_is_not_found_by_name() -> None:
    async with one_node() as (_, front), AsyncClient(front.url) as client:
        for call in (
            client.chain_block(99),
            client.tx_get(bytes(32)),
            client.account_get(999),
            client.holding_get(999),
            client.holding_list(account=999),
            client.holding_list(instrument=999),
            client.instrument_get("PK0000000000"),
            client.programme_get(0),
            client.fixing_get(),
            client.vasp_get("nobody"),
            client.parameter_get("nothing"),
            client.proposal_get(0),
            client.proof_get("coupons", 0),
            client.receipt_get(bytes(32)),
            client.receipt_at(0, 0),
            client.signer_get(b"k" * 32),
        ):
            with pytest.raises(CallRefused) as refused:
                await call
            assert (refused.value.name, refused.value.code) == ("not_found", 300)
            assert refused.value.rule


async def test_a_wait_ends_with_the_block_and_not_before() -> None:
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        node.paused = True
        vasp = await client.align(node.wallet("htx"))
        signed = vasp.build("transfer", from_holding=market.money, to_holding=market.wallets[0], amount=1)
        await client.submit(signed.raw)

        early = await client.tx_wait(signed.id, timeout_ms=50)
        with pytest.raises(Unsettled):
            await client.outcome(signed.raw, signed.id, timeout_s=0.2)
        async with trio.open_nursery() as nursery:

            async def resume() -> None:
                await trio.sleep(0.05)
                node.paused = False
                node.wake()

            nursery.start_soon(resume)
            with trio.fail_after(5):
                late = await client.tx_wait(signed.id)

    assert (early.status, early.result) == (TransactionStatus.PENDING, None)
    assert late.status is TransactionStatus.COMMITTED


async def test_a_transaction_forgotten_by_its_node_is_sent_again_until_it_is_in_a_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rpc, "RESEND_MS", 100)
    async with one_node() as (node, front), AsyncClient(front.url) as client:
        market = market_of(node)
        node.paused = True
        vasp = await client.align(node.wallet("htx"))
        signed = vasp.build("transfer", from_holding=market.money, to_holding=market.wallets[0], amount=1)
        results = []
        async with trio.open_nursery() as nursery:

            async def carry() -> None:
                results.append(await client.outcome(signed.raw, signed.id))

            nursery.start_soon(carry)
            while node.mempool.get(signed.id) is None:
                await trio.sleep(0.01)
            node.lose_pool()
            node.paused = False

    assert results[0].code == 400


async def test_base64_and_hex_are_the_same_transaction() -> None:
    async with one_node() as (node, front):
        market = market_of(node)
        vasp = node.wallet("htx")
        async with AsyncClient(front.url) as client:
            await client.align(vasp)
        signed = vasp.build("transfer", from_holding=market.money, to_holding=market.wallets[0], amount=1)
        chain = node.little.replica.genesis_hash.hex()
        first = await front.call("tx_submit", {"chain": chain, "tx": base64.b64encode(signed.raw).decode()})
        second = await front.call("tx_submit", [chain, signed.raw.hex()])

    assert first["result"]["tx_id"] == second["result"]["tx_id"] == signed.id.hex()
    assert (first["result"]["duplicate"], second["result"]["duplicate"]) == (False, True)


async def test_the_synchronous_face_says_the_same() -> None:
    async with one_node() as (node, front):
        market = market_of(node)

        def use() -> tuple[int, str, str]:
            with Client(front.url) as client:
                wallet = node.wallet("htx")
                with pytest.raises(TransactionRefused) as refused:
                    client.perform(
                        wallet, "transfer", from_holding=market.money, to_holding=market.wallets[0], amount=1
                    )
                return client.chain_status().height, client.holding_get(market.money).code, refused.value.name

        height, code, refusal = await trio.to_thread.run_sync(use)

    assert (height, code, refusal) == (node.little.chain.height, "PKR", "overdraft")


async def test_a_gateway_that_is_not_there_is_unreachable_after_the_retries() -> None:
    async with AsyncClient("http://127.0.0.1:9", retry_s=0.1) as client:
        with pytest.raises(Unreachable):
            await client.chain_status()


async def test_a_client_goes_on_across_an_upgrade_that_changes_a_kind() -> None:
    """Its wallet was aligned under version 1; what version 2 refuses, or takes otherwise, it builds anew."""
    genesis = make_genesis(parameters=(("upgrade_notice_blocks", 4),))
    with version2.known():
        version2.declare_longer_advance()
        async with one_node(genesis) as (node, front), AsyncClient(front.url) as client:
            names = ("mof officer 2", "fmu officer 2")
            one, other = [await client.align(node.wallet(name)) for name in names]
            await client.perform(one, "dev_advance_clock", advance_ms=1)
            height = node.little.replica.height + 6
            node.little.act("upgrade_schedule", ("mof", "sbp", "pvara"), 2, height)
            while node.little.replica.height < height:
                node.commit([])
            assert (one.version, (await client.chain_status()).version) == (1, 2)
            with pytest.raises(BadPayload, match="reason"):
                await client.perform(one, "dev_advance_clock", advance_ms=1)
            assert one.version == 2
            await client.perform(other, "dev_advance_clock", advance_ms=1, reason=7)
            assert other.version == 2
