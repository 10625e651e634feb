"""The processes of a local network: started, watched, stopped, killed and started again.

Every node and gateway is a child that dies with this process, even by SIGKILL (prctl PR_SET_PDEATHSIG). The
kernel sends that signal when the *thread* that forked ends, so children are forked from the main thread only.
"""

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import trio

from devnet.network import (
    MANIFEST,
    VALIDATING,
    DevnetError,
    Network,
    NodeFiles,
    Started,
    create_network,
    load_network,
    remove_network,
    save_network,
    with_runs,
)
from devnet.proc import see
from ledger.parameters import Value

PROGRAM = "cli.main"
READY_S = 60.0  # for a process to answer; far above what it takes
STOP_S = 10.0  # after SIGTERM, before SIGKILL; a node stops within 5
POLL_S = 0.05
LOG_LINES_SHOWN = 15
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Death:
    """A process of the network that ended though nobody stopped it, and the end of its log."""

    kind: str
    node: str
    pid: int
    exit_code: int
    words: str


class Child:
    """One running process of the network."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        """Fork and execute `command`, its output appended to `log`."""
        if threading.current_thread() is not threading.main_thread():
            raise DevnetError("children are started from the main thread: they would die with any other")
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with(os.getpid()),
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops its children
            )
        self._pidfd = os.pidfd_open(self._process.pid)
        seen = see(self._process.pid)
        self.started = None if seen is None else seen.started

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while the process runs; minus the signal's number if one ended it."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.exit_code is None:
            self._process.send_signal(number)

    async def wait(self) -> int:
        """The exit code, once it has ended."""
        while self._process.poll() is None:
            await trio.lowlevel.wait_readable(self._pidfd)
        return self._process.wait()

    async def stop(self) -> int:
        """SIGTERM, also to one that is paused, and SIGKILL if that is not enough; the exit code."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        with trio.move_on_after(STOP_S):
            return await self.wait()
        self.send(signal.SIGKILL)
        return await self.wait()

    def end_now(self) -> None:
        """SIGKILL and reap, whatever else happens: the last resort of a block that is left."""
        if self._pidfd >= 0:
            self.send(signal.SIGKILL)
            self._process.wait()
            os.close(self._pidfd)
            self._pidfd = -1

    def last_lines(self) -> str:
        """The end of the process's log, for a message to a person."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES_SHOWN:])


class RunningNetwork:
    """A network whose processes this one owns. Inside `running_network` only."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._nodes: dict[str, Child] = {}
        self._gateways: dict[str, Child] = {}
        self._ended: dict[tuple[str, str], int] = {}  # by kind and node

    @property
    def network(self) -> Network:
        """The files of the network, with the process ids as they are now."""
        return self._network

    def include(self, network: Network) -> None:
        """Take over the files of the network as they are now, with nodes that joined it."""
        self._network = network

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self._network.nodes)

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        return tuple(node.rpc for node in self._network.nodes)

    def start_node(self, name: str, program: str = PROGRAM) -> None:
        """Start one node's process; `wait_ready` says when it answers. `program` is the module of the command
        line: another one stands for another release."""
        node = self._network.node(name)
        self._start(self._nodes, node, "node", node.node_toml, program)

    def start_gateway(self, name: str) -> None:
        """Start the gateway beside a node."""
        node = self._network.node(name)
        self._start(self._gateways, node, "gateway", node.gateway_toml, PROGRAM)

    async def stop_node(self, name: str) -> int:
        """Send SIGTERM and wait; returns the exit code."""
        return await self._end(self._nodes, name, Child.stop)

    async def stop_gateway(self, name: str) -> int:
        return await self._end(self._gateways, name, Child.stop)

    async def kill_node(self, name: str) -> int:
        """SIGKILL and wait: what a power cut looks like from inside."""
        return await self._end(self._nodes, name, _kill)

    async def kill_gateway(self, name: str) -> int:
        return await self._end(self._gateways, name, _kill)

    def signal_node(self, name: str, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP and SIGCONT to make a node slow."""
        self._running(self._nodes, name).send(number)

    def node_pid(self, name: str) -> int:
        return self._running(self._nodes, name).pid

    def gateway_pid(self, name: str) -> int:
        return self._running(self._gateways, name).pid

    async def start(self) -> None:
        """Start everything and wait until every gateway reaches its node and the chain advances."""
        for name in self.names:
            self.start_node(name)
        for name in self.names:
            self.start_gateway(name)
        async with trio.open_nursery() as nursery:
            for name in self.names:
                nursery.start_soon(self.wait_ready, name)

    async def stop(self) -> None:
        """Stop everything, gateways first, all at once."""
        for children in (self._gateways, self._nodes):
            async with trio.open_nursery() as nursery:
                for name in list(children):
                    nursery.start_soon(self._end, children, name, Child.stop)

    async def wait_ready(self, name: str, seconds: float = READY_S) -> None:
        """Wait until the gateway of `name` reaches its node and that sees the chain advance.

        Raises DevnetError with the end of the log if a process ends meanwhile, or the time is over.
        """
        node = self._network.node(name)
        answer = "no answer"
        with trio.move_on_after(seconds):
            async with httpx2.AsyncClient(timeout=5.0) as http:
                while True:
                    for children in (self._nodes, self._gateways):
                        self._check_running(children, name)
                    try:
                        response = await http.get(f"{node.rpc}/health")
                        answer = response.text
                        if response.status_code == httpx2.codes.OK:
                            return
                    except httpx2.TransportError as error:
                        answer = repr(error)
                    await trio.sleep(POLL_S)
        log = self._running(self._nodes, name).last_lines()
        raise DevnetError(f"{name}: not ready after {seconds:g} s: {answer}\n{log}")

    def take_dead(self) -> tuple[Death, ...]:
        """What ended that nobody stopped, since this was asked last; it can be started again."""
        deaths = []
        for kind, children in (("node", self._nodes), ("gateway", self._gateways)):
            for name, child in list(children.items()):
                code = child.exit_code
                if code is not None:
                    deaths.append(Death(kind, name, child.pid, code, child.last_lines()))
                    self._ended[kind, name] = code
                    del children[name]
                    child.end_now()
        if deaths:
            self._record(supervisor=os.getpid())
        return tuple(deaths)

    def start_missing(self, name: str) -> None:
        """Start what does not run of a node and its gateway."""
        if name not in self._nodes:
            self.start_node(name)
        if name not in self._gateways:
            self.start_gateway(name)

    def end_now(self) -> None:
        """Leave no process behind."""
        for child in [*self._gateways.values(), *self._nodes.values()]:
            child.end_now()
        self._gateways.clear()
        self._nodes.clear()
        self._record(supervisor=None)

    def _start(
        self, children: dict[str, Child], node: NodeFiles, kind: str, settings: Path, program: str
    ) -> None:
        if node.name in children:
            raise DevnetError(f"{kind} {node.name} runs already")
        log = Path(node.directory) / f"{kind}.log"
        command = [sys.executable, "-P", "-m", program, kind, "run", "--config", str(settings)]
        children[node.name] = Child(f"{kind} {node.name}", command, log)
        self._ended.pop((kind, node.name), None)
        self._record(supervisor=os.getpid())

    async def _end(
        self, children: dict[str, Child], name: str, end: Callable[[Child], Awaitable[int]]
    ) -> int:
        child = self._running(children, name)
        del children[name]  # what is ended on purpose is not reported as having died
        try:
            return await end(child)
        finally:
            child.end_now()
            self._record(supervisor=os.getpid())

    def _record(self, supervisor: int | None) -> None:
        runs = {
            name: (self._run("node", self._nodes, name), self._run("gateway", self._gateways, name))
            for name in self.names
        }
        self._network = with_runs(self._network, supervisor, runs)
        save_network(self._network)

    def _run(self, kind: str, children: Mapping[str, Child], name: str) -> Started:
        child = children.get(name)
        if child is None:
            return Started(ended=self._ended.get((kind, name)))
        return Started(child.pid, child.started)

    def _running(self, children: Mapping[str, Child], name: str) -> Child:
        self._network.node(name)
        if name not in children:
            raise DevnetError(f"{name}: is not running")
        return children[name]

    def _check_running(self, children: Mapping[str, Child], name: str) -> None:
        child = children.get(name)
        if child is not None and child.exit_code is not None:
            raise DevnetError(f"{child.name} ended with {child.exit_code}:\n{child.last_lines()}")


@asynccontextmanager
async def running_network(
    directory: Path,
    validators: int | None = None,
    *,
    fresh: bool = False,
    parameters: Mapping[str, Value] | None = None,
) -> AsyncIterator[RunningNetwork]:
    """A network in `directory`, running while the block lasts: made if there is none, or if `fresh`.

    Without `fresh` an existing network goes on where it stopped. Raises DevnetError if it runs already, or
    has not as many `validators` as are asked for.
    """
    with claimed(directory):
        running = RunningNetwork(open_network(directory, validators, fresh=fresh, parameters=parameters))
        try:
            await running.start()
            yield running
            await running.stop()
        finally:
            running.end_now()


def open_network(
    directory: Path,
    validators: int | None = None,
    *,
    fresh: bool = False,
    parameters: Mapping[str, Value] | None = None,
) -> Network:
    """The network in `directory`, made if there is none, or anew if `fresh`; None makes the usual four.

    Raises DevnetError if the network that is there has another number of validators.
    """
    if fresh and (directory / MANIFEST).exists():
        remove_network(directory)
    if not (directory / MANIFEST).exists():
        return create_network(directory, len(VALIDATING) if validators is None else validators, parameters)
    network = load_network(directory)
    if validators not in (None, len(network.nodes)):
        raise DevnetError(
            f"{directory}: has a network of {len(network.nodes)}, not of {validators}: "
            "leave out --validators to run it, or make it anew with --fresh"
        )
    return network


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Hold the folder: one supervisor at a time. The kernel lets go when its holder dies."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DevnetError(f"{directory}: a network runs here already") from error
        yield
    finally:
        os.close(descriptor)


def supervisor_of(directory: Path) -> int | None:
    """The process that runs the network in `directory`, or None if nothing holds the folder."""
    try:
        with claimed(directory):
            return None
    except DevnetError:
        return load_network(directory).pid


def stop_supervisor(directory: Path, seconds: float) -> bool:
    """Returns True once the process that runs the network has stopped as asked, False if none runs.

    Raises DevnetError if it still runs after `seconds`.
    """
    load_network(directory)
    pid = supervisor_of(directory)
    if pid is None:
        return False
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        ended, _, _ = select.select([pidfd], [], [], seconds)
    finally:
        os.close(pidfd)
    if not ended:
        raise DevnetError(f"{directory}: process {pid} still runs {seconds:g} s after SIGTERM")
    return True


async def _kill(child: Child) -> int:
    child.send(signal.SIGKILL)
    return await child.wait()


def _die_with(parent: int) -> Callable[[], None]:
    """What the child does between fork and exec: die with its parent, at once if that is already gone."""

    def prepare() -> None:
        if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(1)

    return prepare
