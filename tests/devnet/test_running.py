"""A whole network of real processes: up, shaken, asked, and down without a trace."""

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
