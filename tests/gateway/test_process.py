"""The gateway as a process: it starts without a node, stops when asked, says why when it cannot listen."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import trio

from testing.front import free_port, until

pytestmark = pytest.mark.processes


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    (folder / "gateway.toml").write_text(f'listen = "127.0.0.1:{port}"\nsocket = "node.sock"\n')
    command = [sys.executable, "-m", "cli.main", "gateway", "run", "--config", str(folder / "gateway.toml")]
    environment = {name: value for name, value in os.environ.items() if name != "MOHUR_PASSPHRASE"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True)


async def test_it_answers_without_its_node_and_stops_within_five_seconds_of_sigterm(tmp_path: Path) -> None:
    port = free_port()
    process = start(tmp_path, port)
    try:
        async with httpx2.AsyncClient(trust_env=False) as http:

            async def answers() -> bool:
                try:
                    reply = await http.get(f"http://127.0.0.1:{port}/health")
                except httpx2.TransportError:
                    return False
                return reply.status_code == 503

            await until(answers, timeout_s=20)
            process.send_signal(signal.SIGTERM)
            with trio.fail_after(5):
                code = await trio.to_thread.run_sync(process.wait)
    finally:
        process.kill()
        _, errors = process.communicate()

    assert (code, b"Traceback" in errors) == (0, False), errors


def test_an_address_in_use_is_said_and_ends_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(tmp_path, taken.getsockname()[1])
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 16
    assert b"cannot listen" in errors
    assert b"Traceback" not in errors
