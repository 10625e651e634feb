"""Processes of a local network: watched, ended when asked, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from devnet.network import DevnetError, Started, create_network, load_network
from devnet.proc import see
from devnet.processes import Child, RunningNetwork, claimed, open_network, supervisor_of

pytestmark = pytest.mark.processes
SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "child.log"


@pytest.fixture
def sleeper(log: Path) -> Iterator[Child]:
    child = Child("sleeper", SLEEPER, log)
    yield child
    child.end_now()


def seen_within(seconds: float, path: Path, text: str) -> None:
    deadline = time.monotonic() + seconds
    while text not in (path.read_text() if path.exists() else ""):
        assert time.monotonic() < deadline, f"{text!r} is not in {path}"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_child_is_stopped_by_sigterm(sleeper: Child) -> None:
    assert sleeper.exit_code is None
    assert await sleeper.stop() == -signal.SIGTERM


async def test_a_child_that_is_paused_is_stopped_by_sigterm_too(sleeper: Child) -> None:
    sleeper.send(signal.SIGSTOP)
    with trio.fail_after(5):
        assert await sleeper.stop() == -signal.SIGTERM


async def test_a_child_that_ignores_sigterm_is_killed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devnet.processes.STOP_S", 0.2)
    child = Child("stubborn", STUBBORN, log)
    try:
        seen_within(10, log, "up")
        with trio.fail_after(10):
            assert await child.stop() == -signal.SIGKILL
    finally:
        child.end_now()


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent_code = (
        "import sys, time; from pathlib import Path; from devnet.processes import Child\n"
        f"child = Child('c', {SLEEPER!r}, Path(sys.argv[1]))\n"
        "Path(sys.argv[2]).write_text(f'{child.pid} ')\n"
        "time.sleep(600)\n"
    )
    log, pid_file = tmp_path / "child.log", tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", parent_code, str(log), str(pid_file)]) as parent:
        try:
            seen_within(20, log, "up")
            seen_within(20, pid_file, " ")
            pid = int(pid_file.read_text())
            assert not gone(pid)
        finally:
            os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while not gone(pid):
        assert time.monotonic() < deadline, f"process {pid} outlived its parent"
        time.sleep(0.01)


async def test_a_child_is_refused_outside_the_main_thread(log: Path) -> None:
    with pytest.raises(DevnetError, match="started from the main thread"):
        await trio.to_thread.run_sync(Child, "sleeper", SLEEPER, log)


def test_a_folder_has_one_supervisor_at_a_time(tmp_path: Path) -> None:
    network = create_network(tmp_path / "net")
    directory = Path(network.directory)
    assert supervisor_of(directory) is None
    refusal = pytest.raises(DevnetError, match="a network runs here already")
    with claimed(directory), refusal, claimed(directory):
        pass
    with claimed(directory):
        pass


def test_fresh_makes_a_new_network_and_otherwise_the_old_one_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "net"
    first = open_network(directory)
    assert open_network(directory) == first
    second = open_network(directory, fresh=True)
    assert second.genesis_hash != first.genesis_hash


def test_an_old_network_of_another_size_is_not_run_in_place_of_the_one_asked_for(tmp_path: Path) -> None:
    directory = tmp_path / "net"
    open_network(directory, 1)
    assert open_network(directory) == open_network(directory, 1)
    with pytest.raises(DevnetError, match="has a network of 1, not of 2: leave out"):
        open_network(directory, 2)
    assert len(open_network(directory, 2, fresh=True).nodes) == 2


async def test_a_node_that_ends_by_itself_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = create_network(tmp_path / "net")
    network.node("mof").node_toml.write_text("lisen = 1\n")
    running = RunningNetwork(network)
    try:
        running.start_node("mof")
        with pytest.raises(DevnetError, match=r"node mof ended with 3:(?s:.)*did you mean 'listen'"):
            await running.wait_ready("mof")
        (death,) = running.take_dead()
        assert (death.kind, death.node, death.exit_code) == ("node", "mof", 3)
        assert "did you mean 'listen'" in death.words
        assert load_network(Path(network.directory)).node("mof").node_run == Started(ended=3)
        assert running.take_dead() == ()
        running.start_missing("mof")
        started = load_network(Path(network.directory)).node("mof")
        seen = see(running.node_pid("mof"))
        assert seen is not None
        assert started.node_run == Started(running.node_pid("mof"), seen.started)
        assert started.gateway_run.pid == running.gateway_pid("mof")
        with trio.fail_after(20):
            await running.kill_node("mof")
        assert running.network.node("mof").node_run == Started()  # ended on purpose, it has not died
    finally:
        running.end_now()


async def test_process_ids_are_in_devnet_json_while_they_run(tmp_path: Path) -> None:
    running = RunningNetwork(create_network(tmp_path / "net"))
    try:
        running.start_gateway("mof")
        assert running.network.node("mof").gateway_run.pid == running.gateway_pid("mof")
        assert running.network.pid == os.getpid()
        with trio.fail_after(20):
            await running.kill_gateway("mof")
        assert running.network.node("mof").gateway_run == Started()
        with pytest.raises(DevnetError, match="mof: is not running"):
            await running.stop_gateway("mof")
    finally:
        running.end_now()
    assert running.network.pid is None
