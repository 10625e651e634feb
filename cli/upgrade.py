"""`mohur upgrade`: which version of the protocol a chain follows, what is scheduled, who is not ready."""

import typer

from cli.calls import Rpc, calling
from cli.output import Json, show

app = typer.Typer(no_args_is_help=True, help="Versions of the protocol: what is in force, what is scheduled.")


@app.command("status")
def status(rpc: Rpc, as_json: Json = False) -> None:
    """Say which version is in force, which comes at which height, and which nodes do not know it yet."""
    with calling(rpc, as_json=as_json) as client:
        health = client.node_health()
    upgrade = health.upgrade
    values: dict[str, object] = {
        "height": health.height,
        "version": health.version,
        "node": health.node,
        "node_knows": health.knows,
        "scheduled": None if upgrade is None else upgrade.version,
        "from_height": None if upgrade is None else upgrade.from_height,
        "blocks_left": None if upgrade is None else upgrade.from_height - health.height,
        "not_ready": [] if upgrade is None else list(upgrade.not_ready),
    }
    show(values, as_json=as_json)
