"""`mohur gateway`: run the JSON-RPC server beside a node."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import reported

app = typer.Typer(no_args_is_help=True, help="Run a JSON-RPC gateway. It holds no key.")


@app.callback()
def gateway() -> None:
    """Keep `run` a subcommand, so that the group can grow."""


@app.command("run")
def run(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The gateway's settings (gateway.toml).")
    ] = Path("gateway.toml"),
) -> None:
    """Run a gateway until SIGTERM or Ctrl-C."""
    from config.logs import configure_logging
    from config.settings import load_gateway_settings

    with reported(as_json=False):
        settings = load_gateway_settings(config)
    configure_logging(settings.log)
    from gateway.server import run_gateway

    raise typer.Exit(run_gateway(settings))
