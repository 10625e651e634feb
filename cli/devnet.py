"""`mohur devnet`: a local network of real processes, up until Ctrl-C."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import Exit, Json, fail, note, reported, show, table

if TYPE_CHECKING:
    from devnet.network import Network

app = typer.Typer(no_args_is_help=True, help="Start, stop and look at a local network of real processes.")

Directory = Annotated[Path, typer.Option("--dir", help="Folder of the network.")]
DEFAULT_DIRECTORY = Path("devnet-data")
DOWN_S = 30.0
UNANSWERED_S = 2.0


@app.command("up")
def up(
    validators: Annotated[
        int | None, typer.Option(min=1, max=32, help="How many a new network has; 4 if not said.")
    ] = None,
    directory: Directory = DEFAULT_DIRECTORY,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the network in the folder first.")] = False,
    as_json: Json = False,
) -> None:
    """Start a network (made if the folder holds none) and keep it up until Ctrl-C."""
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
    """Run until a signal comes (None) or a process ends by itself (what it said)."""
    import trio

    from devnet.processes import running_network

    died: str | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def supervise() -> None:
                nonlocal died
                async with running_network(directory, validators, fresh=fresh) as network:
                    _announce(network.network, as_json)
                    async with trio.open_nursery() as watching:

                        async def watch() -> None:
                            nonlocal died
                            died = await network.wait_for_end()
                            watching.cancel_scope.cancel()

                        watching.start_soon(watch)
                        await stop.wait()
                        watching.cancel_scope.cancel()
                nursery.cancel_scope.cancel()

            stop = trio.Event()
            nursery.start_soon(supervise)
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
    """Say whether the network in a folder runs, and what each of its nodes says of itself."""
    from devnet.network import DevnetError, load_network
    from devnet.processes import supervisor_of

    try:
        network = load_network(directory)
        pid = supervisor_of(directory)
    except DevnetError as error:
        fail(Exit.FAILED, "devnet", str(error), as_json=as_json)
    nodes = [
        {"name": node.name, "rpc": node.rpc, **(_ask(node.rpc) if pid is not None else {"ok": False})}
        for node in network.nodes
    ]
    rows = [
        (
            node["name"],
            node["rpc"],
            "yes" if node["ok"] else "NO",
            node.get("height", ""),
            node.get("why", ""),
        )
        for node in nodes
    ]

    def text() -> None:
        print(f"{network.directory}: " + (f"runs, process {pid}" if pid is not None else "does not run"))
        table(("node", "JSON-RPC", "advancing", "height", ""), rows)

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


def _ask(rpc: str) -> dict[str, Any]:
    """What a gateway's /health says, flattened; `ok` False and why, if it does not answer."""
    import httpx2

    try:
        body = httpx2.get(f"{rpc}/health", timeout=UNANSWERED_S).json()
    except (httpx2.HTTPError, ValueError) as error:
        return {"ok": False, "why": f"gateway: {error}"}
    node = body.get("node") or {}
    return {
        "ok": bool(body.get("ok")),
        "height": node.get("height", ""),
        "why": node.get("reason") or ("" if body.get("connected") else "the gateway does not reach its node"),
        "missing": node.get("missing", []),
    }


def _announce(network: "Network", as_json: bool) -> None:
    values = {
        "ok": True,
        "directory": network.directory,
        "pid": os.getpid(),
        "genesis_hash": network.genesis_hash,
        "rpc": {node.name: node.rpc for node in network.nodes},
    }

    def text() -> None:
        rows = [(node.name, node.rpc, node.node_pid, node.gateway_pid) for node in network.nodes]
        table(("node", "JSON-RPC", "node process", "gateway process"), rows)
        print(f"\nFolder {network.directory}; genesis hash {network.genesis_hash}")
        print("Up. Ctrl-C stops it.")

    show(values, as_json=as_json, text=text)
