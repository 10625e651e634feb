"""A passphrase is in its file and in the process that read it, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from typer.main import get_command

from cli.main import app
from testing.one_node import one_node
from tests.cli.test_calls import PASSPHRASE, keystore
from tests.cli.test_sending import payment

__all__ = ["keystore"]  # the fixture


async def test_a_passphrase_of_a_file_is_nowhere_else(
    keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, journal = tmp_path / "passphrase", tmp_path / "sent"
    secret.write_text(PASSPHRASE + "\n")
    secret.chmod(0o600)
    async with one_node() as (node, front):
        _, command = payment(node, monkeypatch, keystore)
        node.paused = True
        code = (
            "import client.wallet, cli.main;"
            f"client.wallet.Wallet.expiry = lambda self: {node.little.now_ms // 1000 + 600};"
            "cli.main.main()"
        )
        options = ("--pin", "--passphrase-file", str(secret), "--journal", str(journal), "--rpc", front.url)
        environment = {name: value for name, value in os.environ.items() if name != "MOHUR_PASSPHRASE"}
        process = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", code, *command, *options],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            with trio.fail_after(60):
                while not len(node.mempool):  # from here on the key is open and what it signed is on its way
                    await trio.sleep(0.01)
            process_files = Path("/proc", str(process.pid))
            seen = [(process_files / name).read_bytes() for name in ("cmdline", "environ")]
        finally:
            node.paused = False
            node.wake()
        said, _ = await trio.to_thread.run_sync(process.communicate)
    files = [path.read_bytes() for path in tmp_path.iterdir() if path != secret]  # noqa: ASYNC240

    assert process.returncode == 0, said
    assert str(secret).encode() in seen[0]
    assert [text for text in (*seen, said, *files) if PASSPHRASE.encode() in text] == []


def test_no_command_takes_a_passphrase_as_it_is() -> None:
    def options(command: object) -> list[str]:
        own = [name for one in getattr(command, "params", ()) for name in (*one.opts, one.envvar or "")]
        return own + [name for one in getattr(command, "commands", {}).values() for name in options(one)]

    naming = {str(name) for name in options(get_command(app)) if "pass" in str(name).lower()}
    assert naming == {"--passphrase-file"}
