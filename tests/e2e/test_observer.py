"""An observer, a node without a key, follows the chain as a process and answers a gateway; it never votes."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from client.errors import CallRefused
from client.rpc import AsyncClient
from config.genesis_file import genesis_to_toml, load_genesis
from devnet.actors import Actors
from devnet.network import Network, create_network, save_network
from devnet.processes import RunningNetwork, running_network
from devnet.watching import equal_roots, until
from ledger.genesis import OBSERVER, GenesisNode, genesis_hash
from primitives.signatures import public_key_of
from testing.joining import add_node

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

WATCHER = "watcher"
QUICK = {"idle_ms": 200}


async def test_an_observer_without_a_key_follows_the_chain_and_serves_reads(tmp_path: Path) -> None:
    with_observer(create_network(tmp_path / "net", parameters=QUICK))
    async with running_network(tmp_path / "net") as running:
        async with AsyncClient(running.network.node(WATCHER).rpc) as client:
            await what_is_sent_to_it_reaches_a_block_and_can_be_read_there(running, client)
            await it_never_votes(client)
            await the_chain_goes_on_without_it_and_it_catches_up(running, client)
        await equal_roots(running)
    folder = tmp_path / "net" / WATCHER
    assert not [each.name for each in folder.iterdir() if each.name in ("signer", "key.pem", "key.pub")]


async def what_is_sent_to_it_reaches_a_block_and_can_be_read_there(
    running: RunningNetwork, client: AsyncClient
) -> None:
    actors = Actors(running.network, client)
    await actors.enact(["sbp"], "cash_define", currency="PKR")
    assert (await client.instrument_get("PKR")).code == "PKR"
    with pytest.raises(CallRefused) as refused:
        await client.instrument_get("USD")
    assert refused.value.name == "not_found"


async def it_never_votes(client: AsyncClient) -> None:
    health = await client.node_health()
    assert (health.node, health.advancing, health.voting) == (WATCHER, True, False)
    status = await client.chain_status()
    assert [validator.name for validator in status.validators] == ["mof", "sbp", "pvara", "secp"]
    proposers = {(await client.chain_block(height)).proposer for height in range(1, status.height + 1)}
    assert proposers <= {0, 1, 2, 3}


async def the_chain_goes_on_without_it_and_it_catches_up(
    running: RunningNetwork, client: AsyncClient
) -> None:
    assert await running.kill_node(WATCHER) == -signal.SIGKILL
    async with AsyncClient(running.rpc_urls[0]) as validator:
        left_at = (await validator.chain_status()).height
        now = await until(validator.chain_status, lambda it: it.height >= left_at + 3, "it stands still")
        health = await validator.node_health()
        assert (health.advancing, health.missing) == (True, ())
    running.start_node(WATCHER)
    await running.wait_ready(WATCHER)
    await until(client.chain_status, lambda it: it.height > now.height, "the observer does not catch up")


def with_observer(network: Network) -> None:
    """Add an observer of mof to the files of a network that has never run; its validators need no change."""
    network, _ = add_node(network, WATCHER, "mof", validates=False)
    genesis = load_genesis(Path(network.genesis))
    unused = public_key_of(Ed25519PrivateKey.generate())  # the registry asks for a key; an observer has none
    registered = GenesisNode(WATCHER, "mof", unused, 0, OBSERVER)
    genesis = structs.replace(genesis, nodes=(*genesis.nodes, registered))
    Path(network.genesis).write_text(genesis_to_toml(genesis), encoding="utf-8")
    save_network(replace(network, genesis_hash=genesis_hash(genesis).hex()))
