"""A network is kept up whatever dies in it; it says what died, whether it still decides, and how to heal."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from devnet.network import Network, NodeFiles, Started, with_runs
from devnet.proc import see
from devnet.processes import Death
from devnet.supervising import Powers, outlook, supervise

NAMES = ("mof", "sbp", "pvara", "secp")
DEAD = Started(ended=-9)


def alive() -> Started:
    seen = see(os.getpid())
    assert seen is not None
    return Started(os.getpid(), seen.started)


class Running:
    """A network in which what is told dies, and nothing is a process."""

    def __init__(self, directory: Path) -> None:
        self.network = with_runs(_on_paper(directory), os.getpid(), dict.fromkeys(NAMES, (alive(), alive())))
        self.dying: list[Death] = []
        self.started: list[str] = []

    def kill(self, name: str, kind: str = "node") -> None:
        self.dying.append(Death(kind, name, 77, -9, "its last words"))

    def take_dead(self) -> Sequence[Death]:
        deaths, self.dying = self.dying, []
        for death in deaths:
            self._set(death.node, f"{death.kind}_run", DEAD)
        return deaths

    def start_missing(self, name: str) -> None:
        self.started.append(name)
        self._set(name, "node_run", alive())

    def _set(self, name: str, run: str, to: Started) -> None:
        nodes = [replace(node, **{run: to}) if node.name == name else node for node in self.network.nodes]
        self.network = replace(self.network, nodes=tuple(nodes))


def _on_paper(directory: Path) -> Network:
    for name in NAMES:
        (directory / name).mkdir()
    nodes = tuple(NodeFiles(name, name, str(directory / name), "", "", "") for name in NAMES)
    return Network("mohur-dev", "00", str(directory), "", "", os.getpid(), nodes, {})


async def equal(_: Network) -> Powers:
    return dict.fromkeys(NAMES, 10)


async def test_a_death_is_said_in_one_line_and_the_network_goes_on(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    running, said = Running(tmp_path), []
    with trio.move_on_after(10) as scope:
        running.kill("sbp")
        await supervise(running, said.append, equal)
    assert scope.cancelled_caught
    assert said == [
        "node sbp (process 77) ended with -9 (SIGKILL); 3 of 4 nodes run with 30 of 40 of the power: "
        f"the network still decides. Start it again: mohur devnet heal sbp --dir {tmp_path} "
        f"(its log: {tmp_path}/sbp/node.log)"
    ]


async def test_what_is_asked_for_is_started_and_the_one_who_asked_is_answered(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    running, said = Running(tmp_path), []
    request = running.network.node("sbp").heal_request
    request.touch()  # left by a network that went down before it could answer
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise, running, said.append, equal)
        await trio.sleep(1)
        assert (running.started, request.exists()) == ([], False)
        for name in NAMES:
            running.kill(name)
        request.touch()  # though all are dead, this one is about to run
        await trio.sleep(1)
        assert (running.started, request.exists()) == (["sbp"], False)
        nursery.cancel_scope.cancel()
    assert said[-1] == "sbp: started again, as asked"


async def test_when_no_node_runs_any_more_it_ends_with_the_last_words(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    running, said = Running(tmp_path), []
    for name in NAMES:
        running.kill(name)
    with trio.fail_after(10):
        ended = await supervise(running, said.append, equal)
    assert ended.startswith("node mof (process 77) ended with -9 (SIGKILL); no node runs any more:\nits last")
    assert (said, ended.count("its last words")) == ([], 4)


async def test_dead_gateways_end_nothing(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    running, said = Running(tmp_path), []
    for name in NAMES:
        running.kill(name, "gateway")
    with trio.move_on_after(10) as scope:
        await supervise(running, said.append, equal)
    assert scope.cancelled_caught
    assert ["4 of 4 nodes run" in line for line in said] == [True] * 4


@pytest.mark.parametrize(
    ("powers", "words"),
    [
        (dict.fromkeys(NAMES, 10), "3 of 4 nodes run with 30 of 40 of the power: the network still decides"),
        (
            {"mof": 10, "sbp": 15, "pvara": 10, "secp": 10},  # two thirds are not more than two thirds
            "3 of 4 nodes run with 30 of 45 of the power: the network decides nothing until more run",
        ),
        (
            None,
            "3 of 4 nodes run; nobody answers who votes, so whether the network still decides is not known",
        ),
    ],
)
def test_the_outlook_is_by_power_and_not_by_heads(tmp_path: Path, powers: Powers | None, words: str) -> None:
    running = Running(tmp_path)
    running.kill("sbp")
    running.take_dead()
    assert outlook(running.network, powers) == words
