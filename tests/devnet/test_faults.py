"""Nodes killed, paused and healed from outside: the right process or none, and errors that say what to do."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from devnet import faults
from devnet.faults import Condition, condition, ended_with
from devnet.network import DevnetError, Network, NodeFiles, Started, save_network
from devnet.proc import see, send
from devnet.processes import claimed

pytestmark = pytest.mark.processes


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as started:
        yield started
        started.kill()


def run_of(process: subprocess.Popen[bytes]) -> Started:
    seen = see(process.pid)
    assert seen is not None
    return Started(process.pid, seen.started)


def described(directory: Path, **runs: Started) -> Network:
    """A network on paper, whose one node is to run as `runs` says."""
    (directory / "sbp").mkdir(exist_ok=True)
    node = NodeFiles(
        name="sbp",
        institution="sbp",
        directory=str(directory / "sbp"),
        address="127.0.0.1:1",
        rpc="http://127.0.0.1:1",
        socket=str(directory / "sbp" / "node.sock"),
        **runs,
    )
    network = Network("mohur-dev", "00", str(directory), "", "", os.getpid(), (node,), {})
    save_network(network)
    return network


@contextmanager
def up(directory: Path, **runs: Started) -> Iterator[NodeFiles]:
    """The network that `runs` describes is up: this process holds its folder."""
    network = described(directory, **runs)
    with claimed(directory):
        yield network.nodes[0]


def test_a_process_runs_is_paused_and_is_dead(process: subprocess.Popen[bytes]) -> None:
    run = run_of(process)
    assert condition(run) is Condition.RUNS
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert condition(run) is Condition.PAUSED
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert condition(run) is Condition.DEAD  # before anybody has asked for its exit code, too
    process.wait()
    assert condition(run) is Condition.DEAD
    assert condition(Started(ended=-9)) is Condition.DEAD


def test_a_process_that_has_anothers_number_gets_no_signal(process: subprocess.Popen[bytes]) -> None:
    run = run_of(process)
    assert run.started is not None
    before = replace(run, started=run.started - 1)
    assert condition(before) is Condition.DEAD
    assert not send(process.pid, run.started - 1, signal.SIGKILL)
    assert send(process.pid, run.started, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not send(process.pid, run.started, signal.SIGKILL)


def test_a_node_is_paused_let_go_on_and_killed(
    tmp_path: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "health", lambda rpc: {"connected": True})
    run = run_of(process)
    with up(tmp_path, node_run=run, gateway_run=run_of_this()):
        assert faults.pause(tmp_path, "sbp") == process.pid
        assert condition(run) is Condition.PAUSED
        with pytest.raises(DevnetError, match="sbp: is paused already: `mohur devnet heal sbp"):
            faults.pause(tmp_path, "sbp")
        assert faults.heal(tmp_path, "sbp") == ("node goes on",)
        assert condition(run) is Condition.RUNS
        assert faults.heal(tmp_path, "sbp") == ()
        faults.pause(tmp_path, "sbp")
        assert faults.kill(tmp_path, "sbp") == process.pid
        assert process.wait() == -signal.SIGKILL


def run_of_this() -> Started:
    seen = see(os.getpid())
    assert seen is not None
    return Started(os.getpid(), seen.started)


def test_a_dead_node_a_strangers_process_and_a_wrong_name_are_told_apart(tmp_path: Path) -> None:
    this = run_of_this()
    assert this.started is not None
    with up(tmp_path, node_run=Started(ended=-9)):
        with pytest.raises(DevnetError, match=r"sbp: its node is dead \(it ended with -9 \(SIGKILL\)\): `mo"):
            faults.kill(tmp_path, "sbp")
        with pytest.raises(DevnetError, match="no node 'sbq': there are sbp"):
            faults.pause(tmp_path, "sbq")
    with (
        up(tmp_path, node_run=replace(this, started=this.started - 1)),
        pytest.raises(DevnetError, match=rf"dead \(process {os.getpid()} is another one by now\)"),
    ):
        faults.kill(tmp_path, "sbp")


@pytest.mark.parametrize("act", [faults.kill, faults.pause, faults.heal])
def test_nothing_is_done_to_a_network_that_is_down(
    tmp_path: Path, process: subprocess.Popen[bytes], act: Callable[[Path, str], object]
) -> None:
    described(tmp_path, node_run=run_of(process))
    with pytest.raises(DevnetError, match=r"the network does not run: `mohur devnet up --dir .*` starts it"):
        act(tmp_path, "sbp")


def test_a_dead_node_is_the_supervisors_to_start_and_none_that_does_is_named(tmp_path: Path) -> None:
    with (
        up(tmp_path, node_run=Started(ended=3), gateway_run=run_of_this()) as node,
        pytest.raises(DevnetError, match="sbp: the network's process did not start it again"),
    ):
        faults.heal(tmp_path, "sbp", seconds=0)
    assert node.heal_request.exists()


def test_a_node_that_ends_again_when_healed_is_named_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with up(tmp_path, node_run=Started(ended=3), gateway_run=run_of_this()) as node:
        monkeypatch.setattr(Path, "touch", lambda path: None)  # a supervisor has answered it already
        with pytest.raises(DevnetError, match=rf"node ended again with 3: see {node.directory}/node.log"):
            faults.heal(tmp_path, "sbp")


def test_the_commands_say_what_is_wrong_and_end_with_1(tmp_path: Path) -> None:
    for verb in ("kill", "pause", "heal"):
        result = CliRunner().invoke(app, ["devnet", verb, "sbp", "--dir", str(tmp_path / "none")])
        assert result.exit_code == 1
        assert "there is no network here" in result.stderr
    with up(tmp_path, node_run=Started(ended=-9)):
        status = CliRunner().invoke(app, ["devnet", "status", "--dir", str(tmp_path)])
    assert status.exit_code == 1
    assert "dead: -9 (SIGKILL)" in status.stdout


def test_an_exit_code_names_its_signal() -> None:
    assert [ended_with(code) for code in (3, -9, -1000)] == ["3", "-9 (SIGKILL)", "-1000"]
