"""`mohur tx`, `query`, `proof` and `verify` against a real gateway: what they print and how they end."""

import base64
import json
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from cli.main import app
from cli.output import Exit
from client import wallet as wallets
from config.genesis_file import genesis_to_toml
from config.keys import save_key
from config.pki import create_authority
from config.roots_file import load_roots
from ledger.genesis import Genesis
from ledger.proposals import act_hash
from testing.front import Front
from testing.keys import key
from testing.little_chain import ISIN, make_genesis, officers
from testing.one_node import OneNode, one_node
from tests.client.test_thread import market_of
from wire.blocks import decode_block

PASSPHRASE = "a passphrase of a test"
TWICE = '{"from_holding": 0, "to_holding": 1, "amount": 1, "amount": 1000}'
SIGNING = {("tx", name) for name in ("send", "approve", "reject", "withdraw")}
APPROVAL = json.dumps({"proposal": 0, "act": "00" * 32, "reason": 0})


async def mohur(front: Front, *arguments: str, answer: str = "") -> Result:
    """The command, in a thread of its own, its gateway and passphrase from the environment; `answer` is what
    a person types."""
    if arguments[:2] in SIGNING:
        arguments += ("--pin",)
    environment = {"MOHUR_RPC": front.url, "MOHUR_PASSPHRASE": PASSPHRASE, "COLUMNS": "200"}
    invoke = partial(CliRunner().invoke, app, arguments, env=environment, input=answer)
    return await trio.to_thread.run_sync(invoke)


async def said(front: Front, *arguments: str) -> dict[str, Any]:
    """What the command prints with --json."""
    result = await mohur(front, *arguments, "--json")
    printed: dict[str, Any] = json.loads(result.stdout)
    return printed


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "htx.pem"
    save_key(path, key("htx"), PASSPHRASE.encode())
    return path


def genesis_with_roots() -> Genesis:
    """The little chain's genesis with certificates that a genesis file can hold."""
    genesis = make_genesis()
    institutions = tuple(
        replace(each, ca_root=create_authority(genesis.chain, each.name, datetime.now(UTC)).der)
        for each in genesis.institutions
    )
    return replace(genesis, institutions=institutions)


def keep_the_chains_time(node: OneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The little chain's clock stands years back; the wallet's expiries must follow it."""
    monkeypatch.setattr(wallets.Wallet, "expiry", lambda self: node.little.now_ms // 1000 + 60)


async def test_a_transfer_is_sent_and_its_result_shown(
    keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_node() as (node, front):
        keep_the_chains_time(node, monkeypatch)
        market = market_of(node)
        node.little.act("cash_issue", ("sbp",), market.money, 5_000, b"d" * 32)
        payload = {"from_holding": market.money, "to_holding": market.wallets[0], "amount": 40}
        sent = await said(front, "tx", "send", "transfer", "-k", str(keystore), "-p", json.dumps(payload))
        batch = json.dumps({"rows": [[market.money, market.wallets[0], 2]]})
        await said(front, "tx", "send", "transfer_batch", "-k", str(keystore), "-p", batch)
        found = await said(front, "tx", "get", sent["tx_id"])
        holding = await said(front, "query", "holding_get", str(market.wallets[0]))

    assert (sent["ok"], sent["code"], sent["name"]) == (True, 0, "ok")
    assert found["status"] == "committed"
    assert holding["balance"] == "42"


async def test_a_refused_transaction_ends_with_its_own_exit_code(
    keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_node() as (node, front):
        keep_the_chains_time(node, monkeypatch)
        market = market_of(node)
        payload = {"from_holding": market.money, "to_holding": market.wallets[0], "amount": 40}
        command = ("tx", "send", "transfer", "-k", str(keystore), "-p", json.dumps(payload))
        refused = await mohur(front, *command)
        error = (await said(front, *command))["error"]

    assert refused.exit_code == Exit.REFUSED
    assert "overdraft" in refused.stderr
    assert (error["name"], error["result"]["code"]) == ("overdraft", 400)


async def test_an_approval_says_what_became_of_the_proposal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "sbp-2.pem"
    save_key(second, key("sbp officer 1"), PASSPHRASE.encode())
    async with one_node() as (node, front):
        keep_the_chains_time(node, monkeypatch)
        market_of(node)
        proposals = []
        signers = officers("mof", "pvara") | officers("sbp", count=1)
        everyone = officers("mof", "sbp", "pvara", "secp")
        node.little.commit(
            node.little.transaction("parameter_set", everyone, "programmes_cap_cents", 200_000_000_100)
        )
        for name in ("one", "two"):  # each takes all that is left under the cap
            made = node.little.commit(node.little.transaction("programme_create", signers, name, 100))
            proposals.append(str(made.results[0].created[0]))
        node.commit([])
        executed = await said(front, "tx", "approve", proposals[0], "-k", str(second), "--yes")
        command = ("tx", "approve", proposals[1], "-k", str(second), "--yes")
        failed = await mohur(front, *command)
        again = await mohur(front, *command)

    assert (executed["ok"], executed["proposal_status"]) == (True, "executed")
    assert failed.exit_code == Exit.FAILED
    assert "cap_exceeded" in failed.stderr
    assert again.exit_code == Exit.REFUSED


def proposed(node: OneNode) -> str:
    """A proposal of one officer of SBP's: its index."""
    made = node.little.commit(node.little.transaction("cash_define", officers("sbp", count=1), "PKR"))
    node.commit([])  # which shows it
    return str(made.results[0].created[0])


@pytest.mark.parametrize("kind", ["approve", "reject", "withdraw"])
async def test_an_answer_to_a_proposal_shows_the_act_before_it_asks_and_before_it_opens_the_key(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_node() as (node, front):
        keep_the_chains_time(node, monkeypatch)
        number = proposed(node)
        result = await mohur(front, "tx", kind, number, "-k", str(tmp_path / "missing.pem"))
        record = node.little.replica.state.proposals[int(number)]

    assert result.exit_code == Exit.FAILED  # nobody said yes
    assert "cash_define" in result.stderr
    assert "currency: PKR" in result.stderr
    assert act_hash(record.kind, record.payload).hex() in result.stderr
    assert (record.approvals[1:], record.objections) == ((), ())


async def test_who_says_yes_signs_what_he_was_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, checker = tmp_path / "sbp-1.pem", tmp_path / "sbp-2.pem"
    save_key(maker, key("sbp officer 0"), PASSPHRASE.encode())
    save_key(checker, key("sbp officer 1"), PASSPHRASE.encode())
    async with one_node() as (node, front):
        keep_the_chains_time(node, monkeypatch)
        number = proposed(node)
        record = node.little.replica.state.proposals[int(number)]
        reviewed = act_hash(record.kind, record.payload).hex()
        other = await mohur(front, "tx", "reject", number, "-k", str(checker), "--act", "00" * 32)
        objected = await said(front, "tx", "reject", number, "-k", str(checker), "--act", reviewed)
        withdrawn = await mohur(front, "tx", "withdraw", number, "-k", str(maker), answer="y\n")

    assert (other.exit_code, reviewed in other.stderr) == (Exit.FAILED, True)
    assert (objected["ok"], objected["proposal_status"]) == (True, "open")
    assert (withdrawn.exit_code, "withdrawn" in withdrawn.stdout) == (Exit.OK, True)


async def test_one_key_given_twice_is_a_wrong_command_line(
    keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = ("-k", str(keystore), "--with-keystore", str(keystore))
    async with one_node() as (node, front):
        keep_the_chains_time(node, monkeypatch)
        market_of(node)
        result = await mohur(front, "tx", "send", "approve", *twice, "-p", APPROVAL)
    assert result.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("tx", "send", "teleport", "-k", "KEYSTORE"), Exit.USAGE),
        (("tx", "send", "transfer", "-k", "KEYSTORE", "-p", "{"), Exit.USAGE),
        (("tx", "send", "transfer", "-k", "KEYSTORE", "-p", '{"amount": 0}'), Exit.USAGE),
        (("tx", "send", "transfer", "-k", "KEYSTORE", "-p", TWICE), Exit.USAGE),
        (("tx", "send", "cash_define", "-k", "KEYSTORE", "-p", '{"currency": "\\ud800"}'), Exit.USAGE),
        (("query", "chain_status", "--rpc", "nonsense"), Exit.UNREACHABLE),
        (("query", "chain_status", "--rpc", "http://[nonsense"), Exit.UNREACHABLE),
        (("tx", "send", "approve", "-k", "missing.pem", "-p", APPROVAL), Exit.CONFIG),
        (("tx", "get", "abc"), Exit.USAGE),
        (("tx", "get", "00" * 32), Exit.REFUSED),
        (("tx", "wait", "00" * 32, "--timeout", "0"), Exit.REFUSED),
        (("query", "holding_get", "x"), Exit.USAGE),
        (("query", "holding_get", "999"), Exit.REFUSED),
        (("query", "holding_list", "--limit", "5000"), Exit.USAGE),
        (("query", "holding_get", "1", "--rpc", "http://127.0.0.1:9"), Exit.UNREACHABLE),
    ],
)
async def test_every_way_to_fail_has_its_exit_code_and_says_why(
    arguments: tuple[str, ...], code: Exit, keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.calls.RETRY_S", 0.1)
    async with one_node() as (_, front):
        result = await mohur(front, *(str(keystore) if one == "KEYSTORE" else one for one in arguments))

    assert (result.exit_code, result.stderr != "") == (code, True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
async def test_a_payload_as_other_systems_write_files_is_named(
    encoding: str, keystore: Path, tmp_path: Path
) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes('{"amount": 1}'.encode(encoding))
    async with one_node() as (_, front):
        result = await mohur(front, "tx", "send", "transfer", "-k", str(keystore), "-p", f"@{file}")
    assert (result.exit_code, "must be plain UTF-8" in result.stderr) == (Exit.USAGE, True)


async def test_what_an_act_leaves_of_the_network_is_said_before_a_key_is_opened(keystore: Path) -> None:
    change = json.dumps({"name": "losable_nodes_min", "value": 1})
    command = ("tx", "send", "parameter_set", "-p", change, "-k", "no such key")
    async with one_node() as (_, front):
        dry = await said(front, *command, "--dry-run")
        unsigned = await mohur(front, *command)

    assert "losable_nodes_min goes from 0 to 1" in dry["outlook"]["words"][0]
    assert (unsigned.exit_code, "losable_nodes_min goes from 0 to 1" in unsigned.stderr) == (
        Exit.CONFIG,
        True,
    )


async def test_the_roots_in_force_are_written_down_for_a_newcomer(tmp_path: Path) -> None:
    file, genesis = tmp_path / "roots.toml", genesis_with_roots()
    async with one_node(genesis) as (node, front):
        written = await said(front, "node", "roots", str(file))

    later = load_roots(file, genesis)
    assert later.height == written["height"] == node.little.chain.height
    assert later.roots == {each.name: (each.ca_root,) for each in genesis.institutions}
    assert written["sha256"] == {
        each.name: [sha256(each.ca_root).hexdigest()] for each in genesis.institutions
    }


async def test_a_list_is_printed_as_a_table_and_names_its_height() -> None:
    async with one_node() as (node, front):
        market_of(node)
        result = await mohur(front, "query", "institution_list")
        by_code = await said(front, "query", "instrument_get", "PKR")

    assert f"5 at height {node.little.chain.height}" in result.stdout
    assert all(name in result.stdout for name in ("mof", "sbp", "pvara", "secp", "fmu"))
    assert by_code["code"] == "PKR"


async def test_a_proof_is_written_and_verifies_offline_and_a_changed_one_does_not(tmp_path: Path) -> None:
    file, genesis = tmp_path / "proof", tmp_path / "genesis.toml"
    async with one_node(genesis_with_roots()) as (node, front):
        market = market_of(node)
        written = await said(front, "proof", "holdings", str(market.clients[0]), "-o", str(file))
        genesis.write_text(genesis_to_toml(node.little.genesis))
        old = await mohur(front, "verify", str(file), "--genesis", str(genesis))
        command = ("verify", str(file), "--genesis", str(genesis), "--any-age", "--any-trust")
        kept = tmp_path / "checkpoint"
        good = await mohur(front, *command, "--checkpoint", str(kept), "--witness", front.url)
        since = await mohur(front, *command, "--since", str(kept))
        low = await mohur(front, *command, "--at-least-height", "100000")
        absent = tmp_path / "absent"
        await said(front, "proof", "holdings", "1000", "-o", str(absent))
        none = await said(front, "verify", str(absent), *command[2:])
        bill = tmp_path / "bill"
        await said(front, "proof", "instruments", str(market.bill), "-o", str(bill))
        document = await said(front, "verify", str(bill), *command[2:])
        kept.write_text("{}")
        broken = await mohur(front, *command, "--since", str(kept))
        content = bytearray(file.read_bytes())
        content[-40] ^= 1
        file.write_bytes(content)
        bad = await mohur(front, *command)

    assert written["bytes"] == len(content)
    assert (good.exit_code, bad.exit_code) == (Exit.OK, Exit.INVALID), good.output
    assert (since.exit_code, low.exit_code, broken.exit_code) == (Exit.OK, Exit.INVALID, Exit.CONFIG)
    assert old.exit_code == Exit.INVALID
    assert (none["exists"], none["count"]) == (False, len(node.little.replica.state.holdings))
    assert "value" not in none
    assert (document["exists"], document["value"]["code"]) == (True, ISIN)
    assert document["value"]["status"] == "active"
    assert "keys retired since may have leaked" in old.stderr


async def test_a_receipt_by_its_place_is_verified_with_a_witness_and_refused_by_one_of_another_chain(
    tmp_path: Path,
) -> None:
    here, beyond, genesis = tmp_path / "here", tmp_path / "beyond", tmp_path / "genesis.toml"
    async with one_node(genesis_with_roots()) as (node, front), one_node() as (elsewhere, other):
        market = market_of(node)
        transfer = node.little.transaction("transfer", market.vasp, market.money, market.wallets[0], 1)
        node.commit([transfer])
        height = node.little.chain.height
        written = await said(front, "receipt", "at", str(height), "0", "-o", str(here))
        absent = await said(front, "receipt", "at", str(height), "1", "-o", str(beyond))
        for _ in range(height + 2):
            elsewhere.commit([])
        genesis.write_text(genesis_to_toml(node.little.genesis))
        asked = ("--genesis", str(genesis), "--any-trust")
        kept = tmp_path / "checkpoint"
        good = await said(
            front, "receipt", "verify", str(here), *asked, "--witness", front.url, "--checkpoint", str(kept)
        )
        nothing = await said(front, "receipt", "verify", str(beyond), *asked)
        forged = await mohur(front, "receipt", "verify", str(here), *asked, "--witness", other.url)
        old = await mohur(front, "receipt", "verify", str(here), *asked, "--max-age", "1")
        low = await mohur(front, "receipt", "verify", str(here), *asked, "--at-least-height", "100000")
        since = await said(front, "receipt", "verify", str(here), *asked, "--since", str(kept))

    assert (written["exists"], absent["exists"]) == (True, False)
    assert (good["tx_id"], good["name"], good["witnesses"]) == (transfer.id.hex(), "overdraft", 1)
    assert "a quorum of them, if leaked" in good["rests_on"]
    assert (nothing["exists"], nothing["count"], nothing["position"]) == (False, 1, 1)
    assert {run.exit_code for run in (forged, old, low)} == {Exit.INVALID}
    assert "witness: " in forged.stderr
    assert "checkpoint of height" in since["rests_on"]


async def test_raw_blocks_are_fetched_page_by_page() -> None:
    async with one_node() as (node, front):
        market_of(node)
        first = await said(front, "query", "chain_raw", "1", "--bytes-max", "2000")
        more = await said(front, "query", "chain_raw", str(first["next_block"]), "--bytes-max", "2000")

    encoded = [item["encoded"] for item in first["items"] + more["items"]]
    blocks = [node_block.header.height for node_block in map(decode_block, map(base64.b64decode, encoded))]
    assert blocks == list(range(1, len(blocks) + 1))
    assert len(first["items"]) > 1
