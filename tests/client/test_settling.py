"""What a client knows of a transaction once it is signed: done, nothing happened, or not known, not lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from client.errors import (
    CallRefused,
    ClientError,
    JournalError,
    Lapsed,
    TransactionRefused,
    Unreachable,
    Unsettled,
)
from client.journal import SentJournal
from client.rpc import AsyncClient
from client.transactions import Signed
from client.wallet import Wallet
from ledger.transactions import decode_transaction
from testing.keys import key
from testing.one_node import one_node
from tests.client.test_rpc import Script, error, result
from tests.client.test_thread import market_of

GENESIS = bytes(range(32))
TRANSFER: dict[str, Any] = {"from_holding": 1, "to_holding": 2, "amount": 3}
ACCEPTED = {"height": 7, "tx_id": "00" * 32, "accepted": True, "duplicate": False, "result": None}
APPLIED = {
    "block": 8, "position": 0, "code": 0, "name": "ok", "field": "", "value": "", "rule": "",
    "created": [], "rows": [],
}  # fmt: skip


def wallet() -> Wallet:
    return Wallet(key("htx"), GENESIS, signer=3, clock=lambda: 1_000.0)


def lost(body: Any) -> Any:
    return httpx2.ReadError("reset")


def never_connected(body: Any) -> Any:
    return httpx2.ConnectError("refused")


async def raised_by(respond: Callable[[int, Any], Any], journal: SentJournal | None = None) -> ClientError:
    """What `perform` raises before a gateway of this script."""
    script = Script(respond)
    client = AsyncClient(
        "http://gateway", retry_s=3, journal=journal, transport=httpx2.MockTransport(script._handle)
    )
    async with client:
        with pytest.raises(ClientError) as caught:
            await client.perform(wallet(), "transfer", **TRANSFER)
    return caught.value


@pytest.mark.parametrize(
    "open_answer",
    [
        lost,
        lambda body: httpx2.ReadTimeout("slow"),
        lambda body: httpx2.RemoteProtocolError("closed"),
        lambda body: error(body, -32001, "node_unavailable"),
        lambda body: error(body, -32003, "node_timeout"),
        lambda body: error(body, -32603, "internal_error"),
        lambda body: b"<html>502 Bad Gateway</html>",
        lambda body: {"jsonrpc": "2.0", "id": body["id"], "result": {"height": "7"}},
    ],
)
async def test_what_a_node_may_have_taken_is_unsettled_and_carries_what_was_signed(
    open_answer: Callable[[Any], Any], autojump_clock: trio.testing.MockClock
) -> None:
    unsettled = await raised_by(lambda number, body: open_answer(body))

    sent = decode_transaction(unsettled.raw)
    assert isinstance(unsettled, Unsettled)
    assert (sent.id, sent.signers, sent.sequence) == (unsettled.tx_id, (3,), 1)


@pytest.mark.parametrize(
    "name", ["expired", "limit_exceeded", "sequence_used", "key_retired", "not_authorised"]
)
async def test_a_refusal_after_a_lost_answer_is_no_refusal_of_what_was_sent_before(
    name: str, autojump_clock: trio.testing.MockClock
) -> None:
    unsettled = await raised_by(lambda number, body: lost(body) if number == 1 else error(body, 104, name))
    assert isinstance(unsettled, Unsettled)


async def test_a_refusal_after_acceptance_is_no_refusal_of_what_was_accepted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def respond(number: int, body: Any) -> Any:
        if number == 1:
            return result(body, ACCEPTED)
        return error(body, 300, "not_found") if body["method"] == "tx_wait" else error(body, 104, "expired")

    assert isinstance(await raised_by(respond), Unsettled)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (never_connected, Unreachable),
        (lambda body: httpx2.ConnectTimeout("slow"), Unreachable),
        (lambda body: error(body, -32004, "gateway_busy"), CallRefused),
        (lambda body: error(body, -32002, "node_busy"), CallRefused),
        (lambda body: error(body, 103, "bad_signature"), CallRefused),
        (lambda body: error(body, 110, "limit_exceeded"), CallRefused),
    ],
)
async def test_what_no_node_has_taken_did_not_happen_and_is_carried_all_the_same(
    answer: Callable[[Any], Any],
    kind: type[ClientError],
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
) -> None:
    journal = SentJournal(tmp_path / "sent")
    refused = await raised_by(lambda number, body: answer(body), journal)

    assert isinstance(refused, kind)
    assert decode_transaction(refused.raw).id == refused.tx_id
    assert journal.unsettled() == []


async def test_what_was_signed_is_in_the_journal_before_it_is_sent(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    journal = SentJournal(tmp_path / "sent")
    found: list[int] = []

    def respond(number: int, body: Any) -> Any:
        found.append(len(journal.unsettled()))
        return lost(body)

    unsettled = await raised_by(respond, journal)

    (entry,) = journal.unsettled()
    assert found[0] == 1
    assert (entry.raw, entry.tx_id, entry.genesis_hash) == (unsettled.raw, unsettled.tx_id, GENESIS)
    assert (entry.kind, entry.valid_until) == ("transfer", 1_600)
    assert (tmp_path / "sent").stat().st_mode & 0o777 == 0o600


async def test_a_client_that_died_resends_the_same_bytes_and_the_first_result_settles_them(
    tmp_path: Path,
) -> None:
    journal = SentJournal(tmp_path / "sent")
    async with one_node() as (node, front), AsyncClient(front.url, journal=journal) as client:
        market = market_of(node)
        node.little.act("cash_issue", ("sbp",), market.money, 5_000, b"d" * 32)
        purse = await client.align(node.wallet("htx"))
        fields = {"from_holding": market.money, "to_holding": market.wallets[0]}
        first = purse.build("transfer", amount=1_500, **fields)
        journal.add(first, purse.genesis_hash)
        node.paused = True
        await client.submit(first.raw)  # and here it dies
        node.paused = False
        dear = purse.build("transfer", amount=9_000, **fields)
        journal.add(dear, purse.genesis_hash)  # or here, before it was sent

        entries = journal.unsettled()
        settled = await client.resend(entries[0])
        again = await client.resend(entries[0])
        with pytest.raises(TransactionRefused, match="overdraft"):
            await client.resend(entries[1])
        balance = (await client.holding_get(market.wallets[0])).balance

    assert (settled.code, again, balance) == (0, settled, 1_500)
    assert journal.unsettled() == []


async def test_what_is_sent_by_way_of_the_journal_is_marked(tmp_path: Path) -> None:
    journal = SentJournal(tmp_path / "sent")
    async with one_node() as (node, front), AsyncClient(front.url, journal=journal) as client:
        market = market_of(node)
        with pytest.raises(TransactionRefused) as refused:
            await client.perform(
                node.wallet("htx"),
                "transfer",
                from_holding=market.money,
                to_holding=market.wallets[0],
                amount=7,
            )

    assert decode_transaction(refused.value.raw).id == refused.value.tx_id
    assert journal.unsettled() == []
    assert "overdraft" in (tmp_path / "sent").read_text()


def chain_at(time_s: int, found: str = "not_found") -> Callable[[int, Any], Any]:
    """A chain whose last block is of that time, refuses what is sent as expired, and knows nothing."""
    status = {
        "height": 9, "chain": "c", "development": False, "genesis_hash": GENESIS.hex(), "block_id": "00" * 32,
        "time_ms": time_s * 1000, "ledger_time_ms": time_s * 1000, "state_root": "00" * 32,
        "market_frozen": False, "validators": [], "node": "mof", "node_version": "0", "version": 1,
    }  # fmt: skip

    def respond(number: int, body: Any) -> Any:
        if isinstance(body, list):
            return [result(body[0], status), error(body[1], 300, found)]
        return error(body, 104, "expired")

    return respond


async def test_what_is_in_no_block_and_over_has_lapsed_and_not_a_moment_sooner(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    journal = SentJournal(tmp_path / "sent")
    signed = wallet().build("transfer", **TRANSFER)
    journal.add(signed, GENESIS)
    (entry,) = journal.unsettled()
    for respond in (chain_at(1_600), chain_at(1_659), chain_at(1_660, "internal_error")):
        script = Script(respond)
        async with script.client() as client:
            client.journal = journal
            with pytest.raises(Unsettled):
                await client.resend(entry)
    assert journal.unsettled() == [entry]
    async with Script(chain_at(1_660)).client() as client:
        client.journal = journal
        with pytest.raises(Lapsed):
            await client.resend(entry)
    assert journal.unsettled() == []


def filled(path: Path, count: int = 2) -> list[Signed]:
    purse, journal = wallet(), SentJournal(path)
    signed = [purse.build("transfer", **TRANSFER) for _ in range(count)]
    for one in signed:
        journal.add(one, GENESIS)
    return signed


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_half_a_line_of_a_machine_that_died_was_not_sent_and_hides_nothing(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "sent"
    first, second = filled(path)
    path.write_bytes(path.read_bytes()[:-cut])

    assert [entry.tx_id for entry in SentJournal(path).unsettled()] == [first.id]
    SentJournal(path).add(second, GENESIS)
    assert [entry.tx_id for entry in SentJournal(path).unsettled()] == [first.id, second.id]


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"tx_id": 7}', '{"tx_id": "00", "raw": "00"}'])
def test_a_line_that_is_none_of_a_journal_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "sent"
    filled(path, 1)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(JournalError, match="sent: line 2: "):
        SentJournal(path).unsettled()


async def test_what_cannot_be_written_down_is_not_sent(tmp_path: Path) -> None:
    script = Script(lambda number, body: result(body, ACCEPTED))
    async with script.client() as client:
        client.journal = SentJournal(tmp_path / "absent" / "sent")
        with pytest.raises(JournalError, match="cannot be written"):
            await client.send(wallet().build("transfer", **TRANSFER), wallet())
    assert script.bodies == []


async def test_a_refusal_that_the_journal_does_not_hold_is_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SentJournal, "settle", lambda self, tx_id, became: False)
    unsettled = await raised_by(
        lambda number, body: error(body, 110, "limit_exceeded"), SentJournal(tmp_path / "sent")
    )
    assert isinstance(unsettled, Unsettled)


async def test_a_full_disk_leaves_no_line_that_a_resend_would_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sent"
    (first,) = filled(path, 1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(JournalError, match="No space left"):
            SentJournal(path).add(wallet().build("transfer", **TRANSFER), GENESIS)
        assert not SentJournal(path).settle(first.id, "ok")
    assert [entry.tx_id for entry in SentJournal(path).unsettled()] == [first.id]


def test_the_same_bytes_are_read_from_the_journal_as_were_signed(tmp_path: Path) -> None:
    (signed,) = filled(tmp_path / "sent", 1)
    line = json.loads((tmp_path / "sent").read_text())
    assert (bytes.fromhex(line["raw"]), line["tx_id"]) == (signed.raw, signed.id.hex())
