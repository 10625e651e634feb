"""A key signs for one chain: the one beside it or given, whatever a gateway says that it serves."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.output import Exit
from client.errors import ClientError
from client.rpc import AsyncClient
from client.wallet import Wallet
from config.genesis_file import genesis_to_toml
from config.keys import KeyFileError, load_pin, pin_chain
from ledger.genesis import genesis_hash
from testing.front import Front
from testing.keys import key
from testing.little_chain import make_genesis
from testing.one_node import OneNode, one_node
from tests.cli import test_calls
from tests.cli.test_calls import PASSPHRASE, genesis_with_roots, keep_the_chains_time, keystore, mohur
from tests.client.test_thread import market_of

__all__ = ["keystore"]  # the fixture
OTHER = bytes(range(32))


@pytest.fixture(autouse=True)
def _no_pin_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_calls, "SIGNING", frozenset())


async def transfer(front: Front, node: OneNode, keystore: Path, *more: str) -> Any:
    payload = '{"from_holding": 0, "to_holding": 1, "amount": 1}'
    return await mohur(front, "tx", "send", "transfer", "-k", str(keystore), "-p", payload, "--json", *more)


async def test_a_key_pinned_to_one_chain_is_not_opened_for_a_gateway_that_names_another(
    keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(path: Path, passphrase: bytes) -> None:
        raise AssertionError("a key was opened")

    pin_chain(keystore, OTHER)
    monkeypatch.setattr("config.keys.read_passphrase", opened)
    async with one_node() as (node, front):
        ended = await transfer(front, node, keystore)
        insisting = await transfer(front, node, keystore, "--pin")

    error = json.loads(ended.stdout)["error"]
    assert (ended.exit_code, error["name"]) == (Exit.REFUSED, "wrong_chain")
    assert OTHER.hex() in error["message"]
    assert insisting.exit_code == Exit.REFUSED
    assert load_pin(keystore) == OTHER


@pytest.mark.parametrize("form", ["hash", "file"])
async def test_a_genesis_that_the_gateway_does_not_serve_is_refused(
    form: str, keystore: Path, tmp_path: Path
) -> None:
    file = tmp_path / "genesis.toml"
    file.write_text(genesis_to_toml(genesis_with_roots()))
    async with one_node() as (node, front):
        ended = await transfer(
            front, node, keystore, "--genesis", OTHER.hex() if form == "hash" else str(file)
        )
    assert (ended.exit_code, json.loads(ended.stdout)["error"]["name"]) == (Exit.REFUSED, "wrong_chain")


async def test_a_key_that_is_pinned_to_nothing_signs_nothing_by_itself(keystore: Path) -> None:
    async with one_node() as (node, front):
        ended = await transfer(front, node, keystore)
    assert (ended.exit_code, json.loads(ended.stdout)["error"]["name"]) == (Exit.CONFIG, "not_pinned")
    assert load_pin(keystore) is None


async def test_the_chain_is_shown_and_pinned_once_and_for_all(
    keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = genesis_hash(make_genesis())
    async with one_node() as (node, front):
        keep_the_chains_time(node, monkeypatch)
        market_of(node)
        given = await transfer(front, node, keystore, "--genesis", chain.hex())
        unpinned = load_pin(keystore)
        first = await transfer(front, node, keystore, "--pin")
        second = await transfer(front, node, keystore)

    assert unpinned is None
    assert load_pin(keystore) == chain
    for ended in (given, first, second):
        assert f"signs for the chain with genesis {chain.hex()}" in ended.stderr
        assert json.loads(ended.stdout)["error"]["result"]["block"]  # signed, sent and refused in a block


async def test_keys_are_pinned_without_a_gateway_and_to_one_chain_only(keystore: Path) -> None:
    async with one_node() as (_, front):
        done = await mohur(front, "keys", "pin", str(keystore), "--genesis", OTHER.hex())
        again = await mohur(front, "keys", "pin", str(keystore), "--genesis", OTHER.hex())
        other = await mohur(front, "keys", "pin", str(keystore), "--genesis", "11" * 32)
        nonsense = await mohur(front, "keys", "pin", str(keystore), "--genesis", "zz" * 32)
        absent = await mohur(front, "keys", "pin", "absent.pem", "--genesis", OTHER.hex())

    assert [run.exit_code for run in (done, again, other, nonsense, absent)] == [
        Exit.OK, Exit.OK, Exit.CONFIG, Exit.USAGE, Exit.CONFIG,
    ]  # fmt: skip
    assert keystore.with_suffix(".chain").stat().st_mode & 0o777 == 0o600


async def test_the_library_signs_for_no_other_chain_either(keystore: Path) -> None:
    pin_chain(keystore, OTHER)
    with pytest.raises(KeyFileError, match="signs for the chain with genesis 0001"):
        Wallet.from_keystore(keystore, PASSPHRASE.encode(), bytes(32))
    async with one_node() as (_, front), AsyncClient(front.url) as client:
        with pytest.raises(ClientError, match="this wallet signs for 0001"):
            await client.align(Wallet(key("htx"), OTHER))


@pytest.mark.parametrize("content", [b"", b"zz", b"00", b"\xff" * 64])
def test_a_file_that_is_no_pin_is_named_and_never_taken_for_none(keystore: Path, content: bytes) -> None:
    place = keystore.with_suffix(".chain")
    place.write_bytes(content)
    place.chmod(0o600)
    with pytest.raises(KeyFileError, match=r"htx\.chain: is not a genesis hash"):
        load_pin(keystore)
    place.chmod(0o666)
    with pytest.raises(KeyFileError, match="mode 0666"):
        load_pin(keystore)
