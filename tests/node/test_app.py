"""A node as a real process: it stops when asked, recovers from SIGKILL, and its exit code says why."""

import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from config.roots_file import LaterRoots
from devnet.network import Network, create_network, remove_network
from node.app import ExitCode, _roots
from storage.blocks import BlockStore
from storage.errors import StorageError
from storage.signer import SignerStore
from storage.state import StateStore

pytestmark = pytest.mark.processes

STOP_S = 5.0
START_S = 30.0


@pytest.fixture
def network(ram_path: Path) -> Iterator[Network]:
    made = create_network(ram_path / "net", validators=1)
    yield made
    remove_network(ram_path / "net")


class Process:
    """`mohur node run` on the network's only node."""

    def __init__(self, network: Network, **environment: str) -> None:
        self.node = network.nodes[0]
        self.log = Path(self.node.directory) / "test.log"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "node", "run", "--config", str(self.node.node_toml)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self, seconds: float) -> int:
        return self._process.wait(seconds)

    def logged(self, text: str) -> None:
        """Wait until the node has written `text` to its log."""
        limit = time.monotonic() + START_S
        while text not in self.log.read_text():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < limit, self.log.read_text()
            time.sleep(0.05)

    def committed(self, height: int) -> int:
        """Wait until the node has stored `height`; the height it then has."""
        limit = time.monotonic() + START_S
        while time.monotonic() < limit:
            assert self._process.poll() is None, self.log.read_text()
            found = _height(Path(self.node.directory))
            if found >= height:
                return found
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())


def _height(folder: Path) -> int:
    try:
        store = BlockStore(folder / "blocks", readonly=True)
    except StorageError:
        return 0
    try:
        return store.height()
    finally:
        store.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_node_in_time_with_its_state_saved(network: Network, number: signal.Signals) -> None:
    with Process(network) as process:
        process.committed(2)
        process.send(number)
        assert process.ended(STOP_S) == ExitCode.OK
    folder = Path(network.nodes[0].directory)
    states = StateStore(folder / "state", readonly=True)
    assert states.height() == _height(folder) >= 2
    states.close()
    assert not Path(network.nodes[0].socket).exists()


def test_a_node_killed_again_and_again_goes_on_where_it_was(network: Network) -> None:
    height = 0
    for _ in range(2):
        with Process(network) as process:
            height = process.committed(height + 2)
            process.send(signal.SIGKILL)
            assert process.ended(STOP_S) == -signal.SIGKILL
    with Process(network) as process:
        process.committed(height + 1)


def test_a_second_process_on_the_same_data_is_refused(network: Network) -> None:
    with Process(network) as process:
        process.committed(1)
        with Process(network) as second:
            assert second.ended(START_S) == ExitCode.ADDRESS
        assert "another process runs on this data directory" in process.log.read_text()
        process.committed(_height(Path(network.nodes[0].directory)) + 1)


def test_an_address_in_use_is_named(network: Network) -> None:
    host, _, port = network.nodes[0].address.partition(":")
    with socket.create_server((host, int(port))), Process(network) as process:
        assert process.ended(START_S) == ExitCode.ADDRESS
        assert network.nodes[0].address in process.log.read_text().splitlines()[-1]


def test_a_copy_without_its_signer_state_refuses_to_sign(network: Network) -> None:
    with Process(network) as process:
        process.committed(1)
    shutil.rmtree(Path(network.nodes[0].directory) / "signer")
    with Process(network) as process:
        assert process.ended(START_S) == ExitCode.SIGNER
        assert "floor" in process.log.read_text()


def test_a_signer_whose_floor_lies_ahead_keeps_silent_below_it(network: Network) -> None:
    folder = Path(network.nodes[0].directory)
    signer = SignerStore(folder / "signer")
    signer.initialise(1000)
    signer.close()
    with Process(network) as process:
        process.logged("silent in this step")
        assert _height(folder) == 0


def test_settings_that_are_wrong_are_named(network: Network) -> None:
    path = network.nodes[0].node_toml
    path.write_text(path.read_text() + "\n[limits]\ncheckpoint_block = 3\n")
    with Process(network) as process:
        assert process.ended(START_S) == ExitCode.CONFIG
        assert "checkpoint_blocks" in process.log.read_text()


def test_a_flipped_byte_in_the_block_log_stops_the_node_and_names_the_place(network: Network) -> None:
    folder = Path(network.nodes[0].directory)
    with Process(network) as process:
        process.committed(3)
        process.send(signal.SIGKILL)
        process.ended(STOP_S)
    shutil.rmtree(folder / "state")  # so that the start replays every block
    data = folder / "blocks" / "data.mdb"
    content = bytearray(data.read_bytes())
    chain = bytes.fromhex(network.genesis_hash)  # it stands in every header
    at = content.index(chain)
    while at >= 0:
        content[at] ^= 1
        at = content.find(chain, at + 1)
    data.write_bytes(bytes(content))
    with Process(network) as process:
        assert process.ended(START_S) == ExitCode.STORAGE_CORRUPT
        assert "height" in process.log.read_text()


def test_later_roots_count_until_the_chain_has_reached_their_height() -> None:
    """From then on the chain says what counts, also that a root of the file is none any more."""

    class Standing:
        def __init__(self, height: int) -> None:
            self.published = SimpleNamespace(height=height, roots={"mof": (b"first",), "sbp": (b"sbp",)})

    later = LaterRoots(812, {"mof": (b"second",)})
    for height, counts in ((0, (b"first", b"second")), (811, (b"first", b"second")), (812, (b"first",))):
        roots = _roots(Standing(height), later)  # type: ignore[arg-type]
        assert roots() == {"mof": counts, "sbp": (b"sbp",)}
    assert _roots(Standing(0), None)()["mof"] == (b"first",)  # type: ignore[arg-type]


def test_a_process_takes_memory_from_one_heap_whatever_thread_asks() -> None:
    """Without it a validator holds a fifth more than it needs. A process of its own: it cannot be undone."""
    asked = "from node.app import allocate_from_one_heap as one; raise SystemExit(one())"
    told = subprocess.run([sys.executable, "-c", asked], check=False).returncode
    assert told == (platform.libc_ver()[0] == "glibc")
