"""A whole network of real processes: up, shaken, asked, and down without a trace."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from typer.testing import CliRunner

from cli.main import app
from devnet.network import load_network
from devnet.processes import running_network, stop_supervisor, supervisor_of

pytestmark = pytest.mark.processes


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def until(url: str, holds: Callable[[dict[str, Any]], bool], seconds: float = 30) -> dict[str, Any]:
    """Ask a gateway for the health of its node until `holds`; what it said then."""
    async with httpx2.AsyncClient(timeout=5.0) as http:
        with trio.fail_after(seconds):
            while True:
                node: dict[str, Any] = (await http.get(f"{url}/health")).json().get("node") or {}
                if node and holds(node):
                    return node
                await trio.sleep(0.05)


async def test_a_killed_node_comes_back_and_votes_and_the_network_ends_without_a_trace(
    tmp_path: Path,
) -> None:
    async with running_network(tmp_path / "net") as running:
        mof, pvara = running.network.node("mof"), running.network.node("pvara")
        first = await until(mof.rpc, lambda node: node["height"] >= 2)
        assert await running.kill_node("pvara") == -signal.SIGKILL
        await until(mof.rpc, lambda node: node["height"] >= first["height"] + 3)
        running.start_node("pvara")
        await running.wait_ready("pvara")
        back = await until(pvara.rpc, lambda node: node["voting"] and node["height"] > first["height"])
        assert back["node"] == "pvara"
        assert await running.stop_node("secp") == 0
        pids = [running.node_pid(name) for name in ("mof", "sbp", "pvara")]
        pids += [running.gateway_pid(name) for name in running.names]
    assert alive(pids) == []
    assert supervisor_of(tmp_path / "net") is None


def test_devnet_up_goes_on_where_it_was_and_goes_down_when_asked(tmp_path: Path) -> None:
    directory = tmp_path / "net"
    command = [sys.executable, "-m", "cli.main", "devnet", "up", "--validators", "1", "--json"]
    command += ["--dir", str(directory)]
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
            try:
                assert up.stdout is not None
                assert '"ok": true' in up.stdout.readline()
                assert supervisor_of(directory) == up.pid
                again = subprocess.run(command, capture_output=True, text=True, check=False)
                assert again.returncode == 1
                assert "a network runs here already" in again.stdout
                assert stop_supervisor(directory, 30)
                assert up.wait(10) == 0
            finally:
                if up.poll() is None:
                    os.kill(up.pid, signal.SIGKILL)


def devnet(verb: str, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["devnet", verb, *arguments, "--json"])
    assert result.exit_code == exit_code, result.stdout
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def test_devnet_up_survives_what_is_done_to_its_nodes_and_says_so(tmp_path: Path) -> None:
    directory = tmp_path / "net"
    here = ("--dir", str(directory))
    command = [sys.executable, "-m", "cli.main", "devnet", "up", "--json", *here]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert '"ok": true' in process.stdout.readline()
            pid = load_network(directory).node("sbp").node_run.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            assert process.stderr.readline() == (
                f"node sbp (process {pid}) ended with -9 (SIGKILL); "
                "3 of 4 nodes run with 30 of 40 of the power: the network still decides. "
                f"Start it again: mohur devnet heal sbp --dir {directory} "
                f"(its log: {directory}/sbp/node.log)\n"
            )
            assert (
                "is dead (it ended with -9" in devnet("kill", "sbp", *here, exit_code=1)["error"]["message"]
            )
            paused = devnet("pause", "pvara", *here)["pid"]
            assert states(devnet("status", *here, exit_code=1)) == ["runs", "dead", "paused", "runs"]
            assert devnet("kill", "pvara", *here)["pid"] == paused
            assert (
                "2 of 4 nodes run with 20 of 40 of the power: the network decides nothing until more run"
                in (process.stderr.readline())
            )
            assert devnet("heal", "sbp", *here)["done"] == ["node started again"]
            assert devnet("heal", "pvara", *here)["done"] == ["node started again"]
            advances(directory)
            devnet("pause", "secp", *here)
            assert devnet("heal", "secp", *here)["done"] == ["node goes on"]
            devnet("pause", "secp", *here)  # a paused node goes down with the others
            assert stop_supervisor(directory, 30)
            assert process.wait(10) == 0
            assert "does not run" in devnet("heal", "sbp", *here, exit_code=1)["error"]["message"]
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)


def states(status: dict[str, Any]) -> list[str]:
    return [node["node"] for node in status["nodes"]]


def advances(directory: Path) -> None:
    async def ask() -> None:
        rpc = load_network(directory).node("sbp").rpc
        first = await until(rpc, lambda node: bool(node["advancing"]))
        await until(rpc, lambda node: node["height"] > first["height"])

    trio.run(ask)
