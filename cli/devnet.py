"""`mohur devnet`: a local network of real processes, up until Ctrl-C, to kill, pause and heal nodes of."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Exit, Json, fail, note, reported, show, table, told

if TYPE_CHECKING:
    from devnet.network import Network, NodeFiles

app = typer.Typer(
    no_args_is_help=True, help="A local network of real processes: start, look at, torment, stop."
)

Directory = Annotated[Path, typer.Option("--dir", help="Folder of the network.")]
NodeName = Annotated[str, typer.Argument(metavar="NAME", help="The node, as `mohur devnet status` names it.")]
DEFAULT_DIRECTORY = Path("devnet-data")
DOWN_S = 30.0


@app.command("up")
def up(
    validators: Annotated[
        int | None, typer.Option(min=1, max=32, help="How many a new network has; 4 if not said.")
    ] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the network in the folder first.")] = False,
    as_json: Json = False,
) -> None:
    """Start a network (made if the folder holds none) and keep it up until Ctrl-C.

    It survives the death of its processes, and says on standard error which died, whether the network still
    decides, and how to heal it. It ends by itself only when no node runs any more.
    """
    import trio

    from devnet.network import DevnetError
    from storage.errors import StorageError

    died: str | None = None
    with reported(as_json=as_json):
        try:
            died = trio.run(_up, directory, validators, fresh, as_json)
        except* (DevnetError, StorageError) as group:
            died = _first(group)
    if died is not None:
        fail(Exit.FAILED, "devnet", died, as_json=as_json)
    note("The network is down.")


def _first(error: BaseException) -> str:
    """The message of the first error in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


async def _up(directory: Path, validators: int | None, fresh: bool, as_json: bool) -> str | None:
    """Run until a signal comes (None) or no node runs any more (which died, and what it said)."""
    import trio

    from devnet.processes import running_network
    from devnet.supervising import supervise, voting_powers

    died: str | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def keep_up() -> None:
                nonlocal died
                async with running_network(directory, validators, fresh=fresh) as network:
                    _announce(network.network, as_json)
                    async with trio.open_nursery() as watching:

                        async def watch() -> None:
                            nonlocal died
                            died = await supervise(network, note, voting_powers)
                            watching.cancel_scope.cancel()

                        watching.start_soon(watch)
                        await stop.wait()
                        watching.cancel_scope.cancel()
                nursery.cancel_scope.cancel()

            stop = trio.Event()
            nursery.start_soon(keep_up)
            async for _ in signals:
                if stop.is_set():
                    nursery.cancel_scope.cancel()  # asked twice: end at once
                stop.set()
    return died


@app.command("down")
def down(directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Stop the network in a folder, wherever it was started."""
    from devnet.network import DevnetError
    from devnet.processes import stop_supervisor

    try:
        stopped = stop_supervisor(directory, DOWN_S)
    except DevnetError as error:
        fail(Exit.FAILED, "devnet", str(error), as_json=as_json)
    text = "stopped" if stopped else "was not running"
    show({"ok": True, "stopped": stopped}, as_json=as_json, text=lambda: print(f"{directory}: {text}"))


@app.command("status")
def status(directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Say whether the network in a folder runs, and of each node how its processes stand and what it says."""
    from devnet.faults import health
    from devnet.network import DevnetError, load_network
    from devnet.processes import supervisor_of

    try:
        network = load_network(directory)
        pid = supervisor_of(directory)
    except DevnetError as error:
        fail(Exit.FAILED, "devnet", str(error), as_json=as_json)
    nodes = [
        {
            "name": node.name,
            "rpc": node.rpc,
            **_processes(node),
            **(health(node.rpc) if pid is not None else {"ok": False}),
        }
        for node in network.nodes
    ]
    rows = [
        (
            node["name"],
            _words(node["node"], node["node_exit_code"]),
            _words(node["gateway"], node["gateway_exit_code"]),
            node["rpc"],
            "yes" if node["ok"] else "NO",
            node.get("height", ""),
            node.get("why", ""),
        )
        for node in nodes
    ]

    def text() -> None:
        print(f"{network.directory}: " + (f"runs, process {pid}" if pid is not None else "does not run"))
        table(("name", "node", "gateway", "JSON-RPC", "advancing", "height", ""), rows)

    ok = pid is not None and all(node["ok"] for node in nodes)
    values = {
        "ok": ok,
        "running": pid is not None,
        "pid": pid,
        "genesis_hash": network.genesis_hash,
        "nodes": nodes,
    }
    show(values, as_json=as_json, text=text)
    if not ok:
        raise typer.Exit(int(Exit.FAILED))


def _processes(node: "NodeFiles") -> dict[str, str | int | None]:
    """How each process of a node stands, and with what code it ended if it died by itself."""
    from devnet.faults import condition

    found: dict[str, str | int | None] = {}
    for kind, run in node.runs.items():
        found |= {kind: condition(run).value, f"{kind}_exit_code": run.ended}
    return found


def _words(state: str, exit_code: int | None) -> str:
    from devnet.faults import ended_with

    return state if exit_code is None else f"{state}: {ended_with(exit_code)}"


@app.command("kill")
def kill(name: NodeName, directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """End a node's process at once (SIGKILL), as a power cut would; its gateway goes on."""
    from devnet import faults

    with _explained(as_json):
        pid = faults.kill(directory, name)
    _did(name, f"node process {pid} killed", directory, as_json, pid=pid)


@app.command("pause")
def pause(name: NodeName, directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Stop a node's process where it stands (SIGSTOP), as one that hangs; its connections stay open."""
    from devnet import faults

    with _explained(as_json):
        pid = faults.pause(directory, name)
    _did(name, f"node process {pid} paused", directory, as_json, pid=pid)


@app.command("heal")
def heal(name: NodeName, directory: Directory = DEFAULT_DIRECTORY, as_json: Json = False) -> None:
    """Let a paused node go on, start a dead one or its gateway, and wait until that reaches the node."""
    from devnet import faults

    with _explained(as_json):
        done = faults.heal(directory, name)
    text = f"{name}: {', '.join(done) or 'nothing was amiss'}"
    told({"ok": True, "name": name, "done": list(done)}, as_json=as_json, text=lambda: print(text))


@contextmanager
def _explained(as_json: bool) -> Iterator[None]:
    from devnet.network import DevnetError

    try:
        yield
    except DevnetError as error:
        fail(Exit.FAILED, "devnet", str(error), as_json=as_json)


def _did(name: str, what: str, directory: Path, as_json: bool, *, pid: int) -> None:
    told(
        {"ok": True, "name": name, "pid": pid},
        as_json=as_json,
        text=lambda: print(f"{name}: {what}; `mohur devnet heal {name} --dir {directory}` heals it"),
    )


def _announce(network: "Network", as_json: bool) -> None:
    values = {
        "ok": True,
        "directory": network.directory,
        "pid": os.getpid(),
        "genesis_hash": network.genesis_hash,
        "rpc": {node.name: node.rpc for node in network.nodes},
    }

    def text() -> None:
        rows = [(node.name, node.rpc, node.node_run.pid, node.gateway_run.pid) for node in network.nodes]
        table(("node", "JSON-RPC", "node process", "gateway process"), rows)
        print(f"\nFolder {network.directory}; genesis hash {network.genesis_hash}")
        print("Up. Ctrl-C stops it.")

    show(values, as_json=as_json, text=text)
