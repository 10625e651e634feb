"""What is done to a node of a running network from outside, by `mohur devnet kill`, `pause` and `heal`.

A signal goes to the process that devnet.json names, if it is still that one. A process that is to be started
again is its supervisor's to start, as it dies with it: an empty file in the node's folder asks for that, and
the supervisor deletes it when it is done.
"""

import signal
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx2

from devnet.network import DevnetError, Network, NodeFiles, Started, load_network
from devnet.proc import see, send
from devnet.processes import supervisor_of

UNANSWERED_S = 2.0
SIGNAL_S = 10.0  # for what a signal does to be seen
HEAL_S = 60.0
POLL_S = 0.05


class Condition(StrEnum):
    """How a process of the network stands."""

    RUNS = "runs"
    PAUSED = "paused"
    DEAD = "dead"


def condition(run: Started) -> Condition:
    """How the process of `run` stands now. One that has another's number is dead."""
    seen = None if run.pid is None else see(run.pid)
    if seen is None or seen.ended or seen.started != run.started:
        return Condition.DEAD
    return Condition.PAUSED if seen.stopped else Condition.RUNS


def running(directory: Path) -> Network:
    """The network in `directory`. Raises DevnetError if it is down."""
    network = load_network(directory)
    if supervisor_of(directory) is None:
        raise DevnetError(
            f"{directory}: the network does not run: `mohur devnet up --dir {directory}` starts it"
        )
    return network


def kill(directory: Path, name: str) -> int:
    """SIGKILL to the node's process, and wait for its end; its number. Its gateway goes on.

    Raises DevnetError if the network or the node does not run.
    """
    return _signal(directory, name, signal.SIGKILL, Condition.DEAD)


def pause(directory: Path, name: str) -> int:
    """SIGSTOP to the node's process; its number. Raises DevnetError if it does not run or is paused."""
    node = running(directory).node(name)
    if condition(node.node_run) is Condition.PAUSED:
        raise DevnetError(
            f"{name}: is paused already: `mohur devnet heal {name} --dir {directory}` lets it go on"
        )
    return _signal(directory, name, signal.SIGSTOP, Condition.PAUSED)


def heal(directory: Path, name: str, seconds: float = HEAL_S) -> tuple[str, ...]:
    """Let the node and its gateway go on if they are paused, have them started if they are dead, and wait
    until the gateway reaches the node. What was done, in words; nothing if nothing was amiss.

    Raises DevnetError if the network is down, if what was started ends again, or if the time is over.
    """
    node = running(directory).node(name)
    deadline = time.monotonic() + seconds
    done = []
    for kind, run in node.runs.items():
        if condition(run) is Condition.PAUSED:
            if run.pid is not None and run.started is not None:
                send(run.pid, run.started, signal.SIGCONT)
            done.append(f"{kind} goes on")
    dead = [kind for kind, run in node.runs.items() if condition(run) is Condition.DEAD]
    if dead:
        node.heal_request.touch()
        _until(
            lambda: not running(directory).node(name).heal_request.exists(),
            deadline,
            f"{name}: the network's process did not start it again",
        )
        done += [f"{kind} started again" for kind in dead]
    _until(lambda: _reached(directory, name), deadline, f"{name}: its gateway does not reach its node")
    return tuple(done)


def health(rpc: str) -> dict[str, Any]:
    """What a gateway's /health says, flattened; `ok` False and why, if it does not answer."""
    try:
        body = httpx2.get(f"{rpc}/health", timeout=UNANSWERED_S).json()
    except (httpx2.HTTPError, ValueError) as error:
        return {"ok": False, "connected": False, "why": f"gateway: {error}"}
    node = body.get("node") or {}
    connected = bool(body.get("connected"))
    return {
        "ok": bool(body.get("ok")),
        "connected": connected,
        "height": node.get("height", ""),
        "why": node.get("reason") or ("" if connected else "the gateway does not reach its node"),
        "missing": node.get("missing", []),
    }


def ended_with(code: int) -> str:
    """An exit code in words: `-9 (SIGKILL)`."""
    try:
        return f"{code} ({signal.Signals(-code).name})" if code < 0 else str(code)
    except ValueError:
        return str(code)


def _signal(directory: Path, name: str, number: signal.Signals, wanted: Condition) -> int:
    node = running(directory).node(name)
    run = node.node_run
    if run.pid is None or run.started is None or not send(run.pid, run.started, number):
        raise DevnetError(_why_not(directory, node))
    _until(
        lambda: condition(run) in (wanted, Condition.DEAD),
        time.monotonic() + SIGNAL_S,
        f"{name}: process {run.pid} does not do as {number.name} says",
    )
    return run.pid


def _why_not(directory: Path, node: NodeFiles) -> str:
    """Why no signal reached the node's process, and what to do."""
    run = node.node_run
    seen = None if run.pid is None else see(run.pid)
    if seen is not None and seen.started != run.started:
        why = f"process {run.pid} is another one by now"
    else:
        why = "" if run.ended is None else f"it ended with {ended_with(run.ended)}"
    reason = f" ({why})" if why else ""
    return (
        f"{node.name}: its node is dead{reason}: `mohur devnet heal {node.name} --dir {directory}` starts it"
    )


def _reached(directory: Path, name: str) -> bool:
    """Whether the gateway reaches the node. Raises DevnetError if one of them has ended."""
    node = running(directory).node(name)
    for kind, run in node.runs.items():
        if condition(run) is Condition.DEAD:
            how = "" if run.ended is None else f" with {ended_with(run.ended)}"
            raise DevnetError(f"{name}: its {kind} ended again{how}: see {node.directory}/{kind}.log")
    return bool(health(node.rpc)["connected"])


def _until(holds: Callable[[], bool], deadline: float, otherwise: str) -> None:
    while not holds():
        if time.monotonic() >= deadline:
            raise DevnetError(otherwise)
        time.sleep(POLL_S)
