"""A living network goes to another version of the protocol, under load, while one node has old software.

Version 2 exists for tests alone (`testing.version2`). Nodes run as processes: those with `cli.main` know
version 1, those with `testing.version2` both.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from api.reads.nodes import CaRootView
from client.rpc import AsyncClient
from client.verification import ProofRefused
from client.wallet import Wallet
from config.genesis_file import load_genesis
from config.keys import load_key, new_key
from config.settings import load_node_settings, settings_to_toml
from devnet.network import POWER, NodeFiles, create_network
from devnet.processes import RunningNetwork, running_network
from devnet.scenario import CHAPTERS
from devnet.scenario.figures import CLIENTS_MIN
from devnet.scenario.load import Counter, commit_more, load
from devnet.scenario.story import Story
from devnet.watching import equal_roots, until
from ledger.codes import Code
from ledger.documents import NodeRole, VersionStatus
from ledger.rows import Role
from node.app import ExitCode
from storage.blocks import BlockStore
from testing import version2
from testing.joining import add_node, issue_certificate, new_authority
from testing.verifying import verify_alone

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

OLD, NEW = "cli.main", "testing.version2"
LATE = "secp"
NEWCOMER = "fmu"
ROTATED = "sbp"
VOTERS = ["mof", "sbp", "pvara"]
OVERLAP_MS = 2 * 3_600_000
AHEAD = 150  # blocks, from the act to the height: seconds under load
PARAMETERS = {"idle_ms": 100, "upgrade_notice_blocks": 20}
MARKET = CHAPTERS[:5]  # until clients hold cash and bills


async def test_a_living_network_upgrades_under_load(tmp_path: Path) -> None:
    directory = tmp_path / "net"
    create_network(directory, parameters=PARAMETERS)
    async with running_network(directory) as running:
        async with AsyncClient(running.rpc_urls[0]) as client:
            story = Story(running, client, clients=CLIENTS_MIN)
            for _, play in MARKET:
                await play(story)
            old_root, new_root = await an_institution_gets_a_second_root(story)
            await a_validator_gets_another_key_and_certificate(story)
            await the_old_root_is_retired(story, old_root, new_root)
            await a_fifth_validator_is_admitted_under_a_later_root(story)
            await an_officer_joins_and_another_goes(story)
            holding = story.binance.custodial[0].cash_holding
            before = (await client.proof_get("holdings", holding)).proof
            await all_nodes_but_one_get_new_software(running)
            async with load(story) as counter:
                height = await the_institutions_schedule_it(story)
                await the_one_with_old_software_stops_before_the_height(running, height)
                await the_others_go_on_by_the_new_version(story, counter, height)
                await it_is_replaced_and_catches_up(running, client)
                await commit_more(counter, 3)
            await what_the_version_brings_is_there(story)
            after = (await client.proof_get("holdings", holding)).proof
        await equal_roots(running)
    await proofs_of_either_side_verify(directory, before, after)
    audit_replays_across_it(directory, height)


async def an_institution_gets_a_second_root(story: Story) -> tuple[bytes, bytes]:
    """Beside the one that it has: certificates under either are taken, and nobody restarts for it."""
    (old,) = [root.der for root in (await _roots_of(story, ROTATED)) if root.in_force]
    new = new_authority(story.running.network, ROTATED)
    ends = (await story.client.chain_status()).ledger_time_ms + OVERLAP_MS
    await _give_roots(story, ROTATED, (old, ends), (new, 0))
    assert [root.in_force for root in await _roots_of(story, ROTATED)] == [True, True]
    return old, new


async def the_old_root_is_retired(story: Story, old: bytes, new: bytes) -> None:
    """Its node has a certificate under the new one by now: nobody's connection ends."""
    await _give_roots(story, ROTATED, (new, 0))
    assert [root.der for root in await _roots_of(story, ROTATED)] == [new] != [old]
    for name in story.running.names:
        await _votes(story.running, name)
        await _reaches_everyone(story.running, name)


async def a_fifth_validator_is_admitted_under_a_later_root(story: Story) -> None:
    """A node that no genesis names, nor the root of its certificate: it learns the roots from a gateway, its
    key signs its enrolment, it votes two blocks later."""
    running = story.running
    await _give_roots(story, "fmu", (new_authority(running.network, "fmu"), 0))
    roots = Path(running.network.directory) / "roots.toml"
    await mohur(OLD, "node", "roots", roots, "--rpc", running.rpc_urls[0])
    joined, public_key = add_node(running.network, NEWCOMER, "fmu", validates=True, roots=roots)
    files = joined.node(NEWCOMER)
    prepared = await mohur(OLD, "node", "init", "--config", files.node_toml)
    assert prepared.returncode == 0, prepared.stderr
    await story.actors.enact(VOTERS, "node_update", **await _key_of(story, files, "fmu", public_key))
    running.include(joined)
    running.start_node(NEWCOMER)
    running.start_gateway(NEWCOMER)
    await running.wait_ready(NEWCOMER)
    await _votes(running, NEWCOMER)
    assert len((await story.client.chain_status()).validators) == 5
    await _reaches_everyone(running, NEWCOMER)


async def an_officer_joins_and_another_goes(story: Story) -> None:
    """The newcomer's signature counts at once; the key that went signs nothing more."""
    newcomer, gone = story.actors.new_wallet("pvara-newcomer"), await story.actors.officer("pvara", 2)
    change = {
        "institution": await _index_of(story, "pvara"),
        "title": "",
        "threshold": 0,
        "remove": [(await story.client.signer_get(gone.public_key)).signer],
        "add": [{"key": newcomer.public_key, "proof": newcomer.prove(Role.OFFICER, "pvara")}],
        "ca_roots": [],
    }
    await story.actors.enact(VOTERS, "institution_update", **change)
    value = {"name": "evidence_age_blocks", "value": 90_000}
    await story.actors.perform(newcomer, "parameter_set", **value)
    refused = await story.actors.refusal(gone, "parameter_set", **value)
    assert refused.code == Code.KEY_RETIRED


async def a_validator_gets_another_key_and_certificate(story: Story) -> None:
    """The old key votes no more; the operator puts the new one in its place, and a certificate under the new
    root, and starts the node again."""
    running, files = story.running, story.running.network.node(ROTATED)
    directory = Path(files.directory)
    public_key = new_key(directory / "key-2.pem", running.network.passphrase())
    fields = await _key_of(story, files, ROTATED, public_key, "key-2.pem")
    await story.actors.enact(VOTERS, "node_update", **fields)
    height = (await story.client.chain_status()).height
    assert await running.stop_node(ROTATED) == 0
    update = {"key": directory / "key-2.pem", "key_from_height": height}
    settings = load_node_settings(files.node_toml).model_copy(update=update)
    files.node_toml.write_text(settings_to_toml(settings, "With another key."), encoding="utf-8")
    issue_certificate(running.network, files)
    running.start_node(ROTATED)
    await running.wait_ready(ROTATED)
    await _votes(running, ROTATED)
    assert public_key in [each.public_key for each in (await story.client.chain_status()).validators]


async def _key_of(
    story: Story, files: NodeFiles, institution: str, public_key: bytes, name: str = "key.pem"
) -> dict[str, object]:
    """The fields of the node_update that gives a validator this key."""
    key = Wallet(
        load_key(Path(files.directory) / name, story.running.network.passphrase()), story.actors.genesis_hash
    )
    return {
        "node": files.name,
        "institution": await _index_of(story, institution),
        "role": NodeRole.VALIDATOR,
        "power": POWER,
        "public_key": public_key,
        "proof": key.prove(Role.NODE, institution, files.name),
    }


async def _index_of(story: Story, name: str) -> int:
    (found,) = [each for each in (await story.client.institution_list()).items if each.name == name]
    return found.institution


async def _roots_of(story: Story, name: str) -> Sequence[CaRootView]:
    (found,) = [each for each in (await story.client.ca_root_list()).items if each.name == name]
    return found.ca_roots


async def _give_roots(story: Story, name: str, *roots: tuple[bytes, int]) -> None:
    """These are all the roots that the institution has from now on, each with its end."""
    change = {"title": "", "threshold": 0, "remove": [], "add": []}
    listed = [{"der": der, "until_ms": until_ms} for der, until_ms in roots]
    institution = await _index_of(story, name)
    await story.actors.enact(VOTERS, "institution_update", institution=institution, **change, ca_roots=listed)


async def _votes(running: RunningNetwork, name: str) -> None:
    async with AsyncClient(running.network.node(name).rpc) as node:
        await until(node.node_health, lambda health: health.voting, f"{name} does not vote")


async def _reaches_everyone(running: RunningNetwork, name: str) -> None:
    async with AsyncClient(running.network.node(name).rpc) as node:
        await until(
            node.node_health,
            lambda health: all(peer.connected for peer in health.peers),
            f"{name} is not connected with everyone",
        )


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
    await story.actors.enact(VOTERS, "upgrade_schedule", version=2, height=height)
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
        while not (deaths := running.take_dead()):
            await trio.sleep(0.05)
    (death,) = deaths
    assert (death.kind, death.node, death.exit_code) == ("node", LATE, int(ExitCode.UPGRADE))
    knows = f"block {height} follows version 2 of the protocol, this software knows versions 1 to 1"
    assert knows in death.words
    assert "install a release of mohur that knows version 2" in death.words
    store = BlockStore(Path(running.network.node(LATE).directory) / "blocks", readonly=True)
    assert store.height() == height - 1
    store.close()


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
        assert verify_alone(after, genesis).record == old.record


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
