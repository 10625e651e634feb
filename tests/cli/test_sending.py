"""What a script may read from the end of `mohur tx send`: done, nothing happened, or resend the bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from api.reads.transactions import TxSubmitReply
from cli.output import Exit
from client.blocking import Client
from client.errors import Unreachable
from client.journal import SentJournal
from client.rpc import AsyncClient
from client.transactions import Signed
from client.wallet import Wallet
from config.keys import save_key
from testing.front import Front
from testing.keys import key
from testing.little_chain import Market
from testing.one_node import OneNode, one_node
from tests.cli.test_calls import PASSPHRASE, keep_the_chains_time, keystore, mohur, said
from tests.client.test_thread import market_of

__all__ = ["keystore"]  # the fixture


def payment(node: OneNode, monkeypatch: pytest.MonkeyPatch, keystore: Path) -> tuple[Market, tuple[str, ...]]:
    """A market with money, and the command that pays 40 of it."""
    keep_the_chains_time(node, monkeypatch)
    market = market_of(node)
    node.little.act("cash_issue", ("sbp",), market.money, 5_000, b"d" * 32)
    payload = {"from_holding": market.money, "to_holding": market.wallets[0], "amount": 40}
    return market, ("tx", "send", "transfer", "-k", str(keystore), "-p", json.dumps(payload))


async def paid(front: Front, market: Market) -> str:
    balance: str = (await said(front, "query", "holding_get", str(market.wallets[0])))["balance"]
    return balance


def lose_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every submission arrives, and no answer to one comes back."""
    submit = AsyncClient.submit

    async def lost(self: AsyncClient, raw: bytes, chain: bytes | None = None) -> TxSubmitReply:
        await submit(self, raw, chain)
        unreachable = Unreachable("the connection was lost")
        unreachable.unanswered = True
        raise unreachable

    monkeypatch.setattr(AsyncClient, "submit", lost)
    monkeypatch.setitem(AsyncClient.send.__kwdefaults__, "timeout_s", 0.2)


async def test_a_lost_answer_ends_with_7_and_the_bytes_and_their_resend_pays_once(
    keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_node() as (node, front):
        market, command = payment(node, monkeypatch, keystore)
        with monkeypatch.context() as patched:
            lose_answers(patched)
            lost = await mohur(front, *command, "--json")
        error = json.loads(lost.stdout)["error"]
        resent = [await mohur(front, "tx", "resend", "--raw", error["raw"], "--json") for _ in range(2)]
        balance = await paid(front, market)

    assert (lost.exit_code, error["name"]) == (Exit.UNKNOWN, "unsettled")
    assert [again.exit_code for again in resent] == [Exit.OK, Exit.OK]
    assert json.loads(resent[1].stdout)["transactions"][0]["tx_id"] == error["tx_id"]
    assert balance == "40"


async def test_nothing_new_is_signed_while_the_journal_holds_what_nobody_knows_of(
    keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = ("--journal", str(tmp_path / "sent"))
    async with one_node() as (node, front):
        market, command = payment(node, monkeypatch, keystore)
        with monkeypatch.context() as patched:
            lose_answers(patched)
            lost = await mohur(front, *command, *journal)
        again = [await mohur(front, *command, *journal) for _ in range(2)]  # what a loop in a shell would do
        resent = await said(front, "tx", "resend", *journal)
        nothing = await said(front, "tx", "resend", *journal)
        balance = await paid(front, market)
        after = await mohur(front, *command, *journal)

    assert {run.exit_code for run in (lost, *again)} == {Exit.UNKNOWN}
    assert "tx resend --journal" in again[0].stderr
    assert [each["became"] for each in resent["transactions"]] == ["committed"]
    assert nothing == {"ok": True, "transactions": []}
    assert (balance, after.exit_code) == ("40", Exit.OK)


async def test_a_command_killed_after_it_has_sent_is_settled_by_its_journal(
    keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "sent"
    async with one_node() as (node, front):
        market, command = payment(node, monkeypatch, keystore)
        node.paused = True
        process = start(front, node, *command, "--journal", str(journal), stderr=subprocess.DEVNULL)
        try:
            with trio.fail_after(60):
                while not len(node.mempool):
                    await trio.sleep(0.01)
        finally:
            process.kill()
            process.wait()
        node.paused = False
        resent = await said(front, "tx", "resend", "--journal", str(journal))
        balance = await paid(front, market)

    assert [each["became"] for each in resent["transactions"]] == ["committed"]
    assert (balance, SentJournal(journal).unsettled()) == ("40", [])


def start(front: Front, node: OneNode, *command: str, **options: Any) -> "subprocess.Popen[str]":
    """The command in a process of its own, by the chain's clock."""
    code = (
        "import client.wallet, cli.main;"
        f"client.wallet.Wallet.expiry = lambda self: {node.little.now_ms // 1000 + 600};"
        "cli.main.main()"
    )
    environment = os.environ | {"MOHUR_RPC": front.url, "MOHUR_PASSPHRASE": PASSPHRASE}
    return subprocess.Popen(
        [sys.executable, "-c", code, *command, "--pin"], env=environment, text=True, **options
    )


@pytest.mark.parametrize("as_json", [(), ("--json",)])
async def test_what_is_done_is_done_though_nobody_can_read_of_it(
    as_json: tuple[str, ...], keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_node() as (node, front):
        market, command = payment(node, monkeypatch, keystore)
        full = os.open("/dev/full", os.O_WRONLY)
        process = start(front, node, *command, *as_json, stdout=full, stderr=subprocess.PIPE)
        os.close(full)
        _, said_aside = await trio.to_thread.run_sync(process.communicate)
        balance = await paid(front, market)

    assert (process.returncode, balance) == (Exit.OK, "40")
    assert "it is done, but standard output takes no more" in said_aside
    assert "Traceback" not in said_aside


async def test_what_is_done_is_done_though_its_proposal_cannot_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Client, proposal: int) -> None:
        raise Unreachable("the gateway is gone")

    officer = tmp_path / "sbp.pem"
    save_key(officer, key("sbp officer 0"), PASSPHRASE.encode())
    monkeypatch.setattr(Client, "proposal_get", gone, raising=False)
    async with one_node() as (node, front):
        keep_the_chains_time(node, monkeypatch)
        payload = json.dumps({"name": "one", "cap_cents": 100})
        done = await mohur(front, "tx", "send", "programme_create", "-k", str(officer), "-p", payload)

    assert (done.exit_code, "cannot be shown: the gateway is gone" in done.stderr) == (Exit.OK, True)


async def test_ctrl_c_after_signing_ends_with_the_bytes(
    keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Client, signed: Signed, by: Wallet) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "send", interrupted)
    async with one_node() as (node, front):
        _, command = payment(node, monkeypatch, keystore)
        ended = await mohur(front, *command, "--json")

    assert ended.exit_code == Exit.UNKNOWN
    assert json.loads(ended.stdout)["error"]["raw"]


async def test_what_was_never_sent_ends_with_5_and_leaves_no_open_line(
    keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(self: AsyncClient, raw: bytes, chain: bytes | None = None) -> TxSubmitReply:
        raise Unreachable("no connection")

    monkeypatch.setattr(AsyncClient, "submit", away)
    async with one_node() as (node, front):
        _, command = payment(node, monkeypatch, keystore)
        ended = await mohur(front, *command, "--journal", str(tmp_path / "sent"))

    assert ended.exit_code == Exit.UNREACHABLE
    assert SentJournal(tmp_path / "sent").unsettled() == []


async def test_what_is_not_waited_for_is_open_in_the_journal_until_it_is_resent(
    keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = ("--journal", str(tmp_path / "sent"))
    async with one_node() as (node, front):
        _, command = payment(node, monkeypatch, keystore)
        accepted = await said(front, *command, "--no-wait", *journal)
        (entry,) = SentJournal(tmp_path / "sent").unsettled()
        resent = await said(front, "tx", "resend", *journal)

    assert (accepted["raw"], accepted["tx_id"]) == (entry.raw.hex(), entry.tx_id.hex())
    assert (resent["ok"], resent["transactions"][0]["code"]) == (True, 0)


@pytest.mark.parametrize(
    "arguments", [(), ("--raw", "zz"), ("--raw", "00"), ("--raw", "00", "--journal", "x")]
)
async def test_a_resend_of_nothing_is_a_wrong_command_line(arguments: tuple[str, ...]) -> None:
    async with one_node() as (_, front):
        assert (await mohur(front, "tx", "resend", *arguments)).exit_code == Exit.USAGE


async def test_a_resend_that_settles_nothing_ends_with_7(
    keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = ("--journal", str(tmp_path / "sent"))
    monkeypatch.setitem(AsyncClient.resend.__kwdefaults__, "timeout_s", 0.2)
    async with one_node() as (node, front):
        _, command = payment(node, monkeypatch, keystore)
        node.paused = True
        await said(front, *command, "--no-wait", *journal)
        node.lose_pool()
        ended = await mohur(front, "tx", "resend", *journal, "--json")

    (open_one,) = json.loads(ended.stdout)["error"]["transactions"]
    assert (ended.exit_code, open_one["became"]) == (Exit.UNKNOWN, "unknown")
    assert len(SentJournal(tmp_path / "sent").unsettled()) == 1
