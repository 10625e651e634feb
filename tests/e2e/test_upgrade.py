"""A living network goes to another version of the protocol, under load, while one node has old software.

Version 2 exists for tests alone (`testing.version2`). Nodes run as processes: those with `cli.main` know
version 1, those with `testing.version2` both.
"""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from client.rpc import AsyncClient
from client.verification import ProofRefused
from config.genesis_file import genesis_to_toml, load_genesis
from devnet.network import POWER, Network, create_network, save_network
from devnet.processes import RunningNetwork, running_network
from devnet.scenario import CHAPTERS
from devnet.scenario.figures import CLIENTS_MIN
from devnet.scenario.load import Counter, commit_more, load
from devnet.scenario.story import Story
from devnet.watching import equal_roots, until
from ledger.documents import NodeRole, VersionStatus
from ledger.genesis import OBSERVER, GenesisNode, genesis_hash
from node.app import ExitCode
from storage.blocks import BlockStore
from testing import version2
from testing.joining import add_node
from testing.verifying import verify_alone

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

OLD, NEW = "cli.main", "testing.version2"
LATE = "secp"
NEWCOMER = "fmu"
AHEAD = 150  # blocks, from the act to the height: seconds under load
PARAMETERS = {"idle_ms": 100, "upgrade_notice_blocks": 20}
MARKET = CHAPTERS[:5]  # until clients hold cash and bills


async def test_a_living_network_upgrades_under_load(tmp_path: Path) -> None:
    directory = tmp_path / "net"
    with_newcomer(create_network(directory, parameters=PARAMETERS))
    async with running_network(directory) as running:
        async with AsyncClient(running.rpc_urls[0]) as client:
            story = Story(running, client, clients=CLIENTS_MIN)
            for _, play in MARKET:
                await play(story)
            await a_fifth_validator_is_admitted(story)
            holding = story.binance.custodial[0].cash_holding
            before = (await client.proof_get(holding)).proof
            await all_nodes_but_one_get_new_software(running)
            async with load(story) as counter:
                height = await the_institutions_schedule_it(story)
                await the_one_with_old_software_stops_before_the_height(running, height)
                await the_others_go_on_by_the_new_version(story, counter, height)
                await it_is_replaced_and_catches_up(running, client)
                await commit_more(counter, 3)
            await what_the_version_brings_is_there(story)
            after = (await client.proof_get(holding)).proof
        await equal_roots(running)
    await proofs_of_either_side_verify(directory, before, after)
    audit_replays_across_it(directory, height)


def with_newcomer(network: Network) -> None:
    """A node of fmu, known to the network from the start and without power."""
    network, public_key = add_node(network, NEWCOMER, "fmu", validates=True)
    genesis = load_genesis(Path(network.genesis))
    registered = GenesisNode(NEWCOMER, "fmu", public_key, 0, OBSERVER)
    genesis = msgspec.structs.replace(genesis, nodes=(*genesis.nodes, registered))
    Path(network.genesis).write_text(genesis_to_toml(genesis), encoding="utf-8")
    save_network(dataclasses.replace(network, genesis_hash=genesis_hash(genesis).hex()))


async def a_fifth_validator_is_admitted(story: Story) -> None:
    """It gets power by an act, votes two blocks later, and proofs lead over the change of the set."""
    (fmu,) = [each for each in (await story.client.institution_list()).items if each.name == "fmu"]
    await story.actors.enact(
        ["mof", "sbp", "pvara"],
        "node_update",
        node=NEWCOMER,
        institution=fmu.institution,
        role=NodeRole.VALIDATOR,
        power=POWER,
        public_key=b"",
        proof=b"",
    )
    async with AsyncClient(story.running.network.node(NEWCOMER).rpc) as newcomer:
        await until(newcomer.node_health, lambda health: health.voting, "the newcomer does not vote")
    assert len((await story.client.chain_status()).validators) == 5


async def all_nodes_but_one_get_new_software(running: RunningNetwork) -> None:
    """One at a time, as an operator would; the chain goes on."""
    for name in running.names:
        if name != LATE:
            assert await running.stop_node(name) == 0
            running.start_node(name, NEW)
            await running.wait_ready(name)


async def the_institutions_schedule_it(story: Story) -> int:
    """The height from which version 2 is in force; the node with old software is named."""
    height = (await story.client.chain_status()).height + AHEAD
    await story.actors.enact(["mof", "sbp", "pvara"], "upgrade_schedule", version=2, height=height)
    health = await until(
        story.client.node_health,
        lambda reply: reply.upgrade is not None and reply.upgrade.not_ready == (LATE,),
        f"it is not said that {LATE} alone is not ready",
    )
    assert (health.version, health.knows) == (1, 2)
    said = await mohur(OLD, "upgrade", "status", "--rpc", story.running.rpc_urls[1], "--json")
    status = msgspec.json.decode(said.stdout)
    assert (status["version"], status["scheduled"], status["from_height"]) == (1, 2, height)
    assert status["not_ready"] == [LATE]
    return height


async def the_one_with_old_software_stops_before_the_height(running: RunningNetwork, height: int) -> None:
    with trio.fail_after(60):
        ended = await running.wait_for_end()
    assert ended.startswith(f"node {LATE} ended with {int(ExitCode.UPGRADE)}:")
    assert f"block {height} follows version 2 of the protocol, this software knows versions 1 to 1" in ended
    assert "install a release of mohur that knows version 2" in ended
    store = BlockStore(Path(running.network.node(LATE).directory) / "blocks", readonly=True)
    assert store.height() == height - 1
    store.close()
    await running.stop_node(LATE)  # it has ended by itself


async def the_others_go_on_by_the_new_version(story: Story, counter: Counter, height: int) -> None:
    await until(
        story.client.chain_status, lambda status: status.height > height + 2, "the chain stands at the height"
    )
    await commit_more(counter, 5)
    assert (await story.client.chain_block(height - 1)).version == 1
    assert (await story.client.chain_block(height)).version == 2
    assert (await story.client.node_health()).upgrade is None


async def it_is_replaced_and_catches_up(running: RunningNetwork, client: AsyncClient) -> None:
    now = (await client.chain_status()).height
    running.start_node(LATE, NEW)
    await running.wait_ready(LATE)
    async with AsyncClient(running.network.node(LATE).rpc) as late:
        await until(late.chain_status, lambda status: status.height > now, f"{LATE} does not catch up")
        await until(late.node_health, lambda health: health.voting, f"{LATE} does not vote again")


async def what_the_version_brings_is_there(story: Story) -> None:
    schedule = (await story.client.version_list()).items
    assert [(entry.version, entry.status) for entry in schedule] == [
        (1, VersionStatus.REPLACED),
        (2, VersionStatus.IN_FORCE),
    ]
    assert (await story.client.parameter_get(version2.LIMIT)).value == 32
    with version2.known():
        created = await story.actors.enact(["sbp"], "greet", host=1, text="salaam")
    assert created == (0,)


async def proofs_of_either_side_verify(directory: Path, before: bytes, after: bytes) -> None:
    genesis = load_genesis(directory / "genesis.toml")
    old = verify_alone(before, genesis)
    with pytest.raises(ProofRefused, match="version: 2, this software knows 1 to 1"):
        verify_alone(after, genesis)
    with version2.known():
        assert verify_alone(before, genesis) == old
        assert verify_alone(after, genesis).holding == old.holding


def audit_replays_across_it(directory: Path, height: int) -> None:
    for name in ("mof", NEWCOMER, LATE):
        data, genesis = directory / name, directory / "genesis.toml"
        audited = run(NEW, "audit", data, "--genesis", genesis, "--json")
        assert audited.returncode == 0, audited.stdout + audited.stderr
        assert msgspec.json.decode(audited.stdout)["height"] > height
        refused = run(OLD, "audit", data, "--genesis", genesis, "--json")
        assert refused.returncode != 0
        assert f"block {height} follows version 2" in refused.stdout + refused.stderr


async def mohur(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return await trio.to_thread.run_sync(run, program, *arguments)


def run(program: str, *arguments: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
