"""Processes of a running network die, stop and come back; consensus goes on, and each says what it lacks.

One network serves several stories, each a function of its own: starting four validators costs seconds. A
second network runs beside it all the while.
"""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import trio

from api.reads.chain import ChainBlockReply
from client.errors import CallRefused, Unreachable
from client.rpc import AsyncClient
from devnet.network import DevnetError, Network
from devnet.processes import RunningNetwork, running_network
from devnet.watching import equal_roots, until
from node.app import ExitCode
from storage.signer import SignerStore

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

NODE_UNAVAILABLE = -32001
STOP_S = 5.0
QUICK = {"idle_ms": 200}  # blocks without work come often, so that nothing here waits long for the next


async def test_processes_come_and_go_and_the_chain_goes_on(tmp_path: Path) -> None:
    async with (
        running_network(tmp_path / "net", parameters=QUICK) as running,
        running_network(tmp_path / "neighbour", validators=1, parameters=QUICK) as neighbour,
    ):
        await a_gateway_that_dies_leaves_consensus_as_it_was(running)
        await a_gateway_whose_node_is_down_says_so(running)
        await a_node_that_is_asked_to_stop_stops_in_time_and_goes_on_later(running)
        floor = await a_node_without_its_signer_state_does_not_sign(running)
        await the_neighbour_is_a_network_of_its_own(running, neighbour)
        await equal_roots(running)
    first_and_last_signed_above(running.network, "pvara", floor)


async def a_gateway_that_dies_leaves_consensus_as_it_was(running: RunningNetwork) -> None:
    node_pid = running.node_pid("sbp")
    assert await running.kill_gateway("sbp") == -signal.SIGKILL
    async with AsyncClient(running.network.node("sbp").rpc, retry_s=0) as dead:
        with pytest.raises(Unreachable):
            await dead.chain_status()
    await proposes_again(running, "sbp")
    assert running.node_pid("sbp") == node_pid
    for name in ("mof", "pvara", "secp"):
        async with AsyncClient(running.network.node(name).rpc, retry_s=0) as client:
            assert (await client.chain_status()).node == name
    running.start_gateway("sbp")
    await running.wait_ready("sbp")
    await follows(running, "sbp")


async def a_gateway_whose_node_is_down_says_so(running: RunningNetwork) -> None:
    rpc = running.network.node("secp").rpc
    gateway_pid = running.gateway_pid("secp")
    assert await running.kill_node("secp") == -signal.SIGKILL
    async with AsyncClient(rpc, retry_s=0) as client:
        with pytest.raises(CallRefused) as refused:
            await client.chain_status()
    assert (refused.value.code, refused.value.name) == (NODE_UNAVAILABLE, "node_unavailable")
    assert "ask again" in refused.value.rule
    async with httpx2.AsyncClient() as http:
        health = await http.get(f"{rpc}/health")
    assert health.status_code == httpx2.codes.SERVICE_UNAVAILABLE
    assert health.json()["connected"] is False
    assert health.json()["error"]["name"] == "node_unavailable"
    running.start_node("secp")
    await running.wait_ready("secp")
    assert running.gateway_pid("secp") == gateway_pid
    await follows(running, "secp")


async def a_node_that_is_asked_to_stop_stops_in_time_and_goes_on_later(running: RunningNetwork) -> None:
    before = await height(running, "pvara")
    with trio.fail_after(STOP_S):
        assert await running.stop_node("pvara") == 0
    await reaches(running, "mof", before + 3)
    running.start_node("pvara")
    await running.wait_ready("pvara")
    await follows(running, "pvara")
    await proposes_again(running, "pvara")


async def a_node_without_its_signer_state_does_not_sign(running: RunningNetwork) -> int:
    """As after restoring a backup, which holds no signer state. The floor from which it may sign again."""
    files = running.network.node("pvara")
    assert await running.stop_node("pvara") == 0
    shutil.rmtree(Path(files.directory) / "signer")
    running.start_node("pvara")
    with pytest.raises(DevnetError, match=f"ended with {int(ExitCode.SIGNER)}:") as ended:
        await running.wait_ready("pvara")
    assert "mohur node init --floor HEIGHT" in str(ended.value)
    await running.stop_node("pvara")  # it has ended by itself
    store = SignerStore(Path(files.directory) / "signer")
    assert (store.floor(), store.last()) == (None, None)
    store.close()

    # What the message says to do: it stopped below this height, so it has signed nothing from here on.
    floor = await height(running, "mof") + 2
    command = ["node", "init", "--config", str(files.node_toml), "--floor", str(floor)]
    initialised = await trio.to_thread.run_sync(mohur, *command)
    assert initialised.returncode == 0, initialised.stderr
    running.start_node("pvara")
    await running.wait_ready("pvara")
    await reaches(running, "pvara", floor)
    await proposes_again(running, "pvara")
    return floor


async def the_neighbour_is_a_network_of_its_own(running: RunningNetwork, neighbour: RunningNetwork) -> None:
    async with AsyncClient(running.rpc_urls[0]) as ours, AsyncClient(neighbour.rpc_urls[0]) as theirs:
        here, there = await ours.chain_status(), await theirs.chain_status()
        assert (len(here.validators), len(there.validators)) == (4, 1)
        assert here.genesis_hash != there.genesis_hash
        await until(theirs.chain_status, lambda status: status.height > there.height + 1, "it stands still")


def first_and_last_signed_above(network: Network, name: str, floor: int) -> None:
    store = SignerStore(Path(network.node(name).directory) / "signer")
    try:
        last = store.last()
        assert store.floor() == floor
        assert last is not None
        assert last.height >= floor
    finally:
        store.close()


# --- waiting ----------------------------------------------------------------------------------------------


async def height(running: RunningNetwork, name: str) -> int:
    async with AsyncClient(running.network.node(name).rpc) as client:
        return (await client.chain_status()).height


async def reaches(running: RunningNetwork, name: str, wanted: int) -> None:
    async with AsyncClient(running.network.node(name).rpc) as client:
        await until(client.chain_status, lambda status: status.height >= wanted, f"{name} is below {wanted}")


async def follows(running: RunningNetwork, name: str) -> None:
    """Wait until a node is past the height that another has now."""
    await reaches(running, name, await height(running, "mof") + 1)


async def proposes_again(running: RunningNetwork, name: str) -> None:
    """Wait for a block, above the present height, whose proposer is `name`: its votes and proposals count."""
    position = running.names.index(name)
    async with AsyncClient(running.network.node("mof").rpc) as client:
        first = (await client.chain_status()).height + 1

        async def proposers() -> list[ChainBlockReply]:
            last = (await client.chain_status()).height
            return [await client.chain_block(block) for block in range(first, last + 1)]

        await until(
            proposers,
            lambda blocks: any(block.proposer == position for block in blocks),
            f"{name} proposes no block",
        )


def mohur(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
