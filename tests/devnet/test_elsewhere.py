"""A network runs wherever it is started: what lies in the current folder is not taken for our packages."""

from pathlib import Path

import pytest

from devnet.demo import command
from devnet.processes import running_network

pytestmark = pytest.mark.processes


@pytest.fixture
def strange_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files of our packages' names that end whoever imports them."""
    for name in ("cli", "node", "gateway", "config"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger was imported')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_nodes_and_gateways_start_in_a_strange_folder(strange_folder: Path) -> None:
    async with running_network(strange_folder / "net", 1) as running:
        await running.wait_ready("mof")


def test_commands_of_the_demo_run_in_a_strange_folder(strange_folder: Path) -> None:
    result = command("--version")
    assert (result.returncode, result.stdout.split()[0]) == (0, "mohur"), result.stderr
