"""What an operator can get wrong in his files: the process ends with its documented code and says what."""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from client.rpc import AsyncClient
from devnet.network import create_network, load_network
from devnet.processes import running_network
from devnet.watching import until
from node.app import ExitCode
from storage.signer import SignerStore

pytestmark = pytest.mark.processes

RUN_S = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(create_network(tmp_path_factory.mktemp("made") / "net").directory)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of a network's files, with all keys and certificates, in which a test may break one."""
    return shutil.copytree(made, tmp_path / "net")


def run(config: Path, kind: str = "node") -> tuple[int, str]:
    """Run a node or gateway to its end, which must come by itself; its exit code and all it said."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", kind, "run", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    return ended.returncode, ended.stdout


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def misspelt_setting(folder: Path) -> None:
    change(folder / "mof" / "node.toml", "listen =", "lisen =")


def two_wrong_settings(folder: Path) -> None:
    change(folder / "mof" / "node.toml", 'format = "json"', 'format = "xml"\nlevle = "info"')


def misspelt_parameter(folder: Path) -> None:
    change(folder / "genesis.toml", "[parameters]", "[parameters]\npropose_mss = 600 #")


def no_genesis(folder: Path) -> None:
    (folder / "genesis.toml").unlink()


def wrong_passphrase(folder: Path) -> None:
    (folder / "passphrase").write_text("not the one it was\n")


def passphrase_for_all_to_read(folder: Path) -> None:
    (folder / "passphrase").chmod(0o644)


def key_of_another(folder: Path) -> None:
    shutil.copy(folder / "sbp" / "key.pem", folder / "mof" / "key.pem")


def damaged_certificate(folder: Path) -> None:
    (folder / "mof" / "tls.crt").write_text("-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (misspelt_setting, ["node.toml: lisen: unknown key; did you mean 'listen'?", "listen: is required"]),
        (two_wrong_settings, ["log.format: 'xml'", "log.levle: unknown key; did you mean 'level'?"]),
        (misspelt_parameter, ["genesis.toml", "propose_mss: unknown key; did you mean 'propose_ms'?"]),
        (no_genesis, ["genesis.toml: cannot be read: No such file or directory"]),
        (wrong_passphrase, ["key.pem: cannot be decrypted: wrong passphrase or a damaged file"]),
        (passphrase_for_all_to_read, ["passphrase: mode 0644 lets others read it: must be 0600"]),
        (key_of_another, ["key.pem: is not the key that the chain of", "has for node 'mof'"]),
        (damaged_certificate, ["tls.crt"]),
    ],
)
def test_a_wrong_file_of_a_node_ends_it_with_3_and_is_named(
    folder: Path, break_it: Callable[[Path], None], words: list[str]
) -> None:
    break_it(folder)
    code, said = run(folder / "mof" / "node.toml")
    assert code == ExitCode.CONFIG, said
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert signed_nothing(folder / "mof")


def test_the_genesis_of_another_network_ends_a_new_node_with_3(folder: Path, tmp_path: Path) -> None:
    other = create_network(tmp_path / "other")
    shutil.copy(other.genesis, folder / "genesis.toml")
    code, said = run(folder / "mof" / "node.toml")
    assert code == ExitCode.CONFIG, said
    assert "or the genesis of another network" in said
    assert signed_nothing(folder / "mof")


async def test_the_genesis_of_another_network_ends_a_node_that_has_a_chain_with_3(tmp_path: Path) -> None:
    """Only the genesis' time differs: same keys, same officers, and yet it is another chain."""
    async with (
        running_network(tmp_path / "net", validators=1) as running,
        AsyncClient(running.rpc_urls[0]) as client,
    ):
        await until(client.chain_status, lambda status: status.height > 0, "no first block")
        network = running.network
    earlier_by_a_year(Path(network.genesis))
    code, said = await trio.to_thread.run_sync(run, network.nodes[0].node_toml)
    assert code == ExitCode.CONFIG, said
    assert f"genesis.toml: the stored chain is that of the genesis {network.genesis_hash}" in said


def earlier_by_a_year(genesis: Path) -> None:
    (year,) = re.findall(r"^time = (\d{4})-", genesis.read_text(), re.MULTILINE)
    change(genesis, f"time = {year}-", f"time = {int(year) - 1}-")


def test_an_address_in_use_ends_a_node_and_a_gateway_with_16(folder: Path) -> None:
    node = load_network(folder).node("mof")
    for kind, address in (("node", node.address), ("gateway", node.rpc.removeprefix("http://"))):
        host, port = address.split(":")
        with socket.create_server((host, int(port))):
            code, said = run(folder / "mof" / f"{kind}.toml", kind)
        assert code == ExitCode.ADDRESS, said
        assert "Traceback" not in said


def test_a_misspelt_setting_of_a_gateway_ends_it_with_3(folder: Path) -> None:
    change(folder / "mof" / "gateway.toml", "socket =", "sockett =")
    code, said = run(folder / "mof" / "gateway.toml", "gateway")
    assert code == ExitCode.CONFIG, said
    assert "gateway.toml: sockett: unknown key; did you mean 'socket'?" in said


def signed_nothing(folder: Path) -> bool:
    store = SignerStore(folder / "signer")
    try:
        return store.last() is None
    finally:
        store.close()
