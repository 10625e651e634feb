"""The `mohur` command: one thin file per group of commands, nothing decided here."""

import sys
from typing import Annotated

import typer

from cli import audit, devnet, gateway, genesis_commands, keys, node, proof, query, receipt, tx, upgrade
from cli.output import EXIT_HELP, Exit, note

app = typer.Typer(
    name="mohur",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Mohur: a permissioned ledger for tokenised sovereign assets.\n\n"
        "To look around, start a local network with `mohur devnet up`, then ask its gateways "
        "with `mohur query`. Every command takes --help, and --json where it prints a result."
    ),
    epilog=EXIT_HELP,
)
app.add_typer(keys.app, name="keys")
app.add_typer(genesis_commands.app, name="genesis")
app.add_typer(node.app, name="node")
app.add_typer(gateway.app, name="gateway")
app.add_typer(devnet.app, name="devnet")
app.add_typer(tx.app, name="tx")
app.add_typer(query.app, name="query")
app.add_typer(upgrade.app, name="upgrade")
app.add_typer(receipt.app, name="receipt")
app.command("proof")(proof.proof)
app.command("verify")(proof.verify)
app.command("audit")(audit.audit)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"mohur {version('mohur')}")
        raise typer.Exit


@app.callback()
def mohur(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take what stands before every command: only --version."""


def main() -> None:
    """Run the command line; the process ends with one of the codes of `cli.output.Exit`."""
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        note("mohur: interrupted")
        sys.exit(int(Exit.INTERRUPTED))
    except MemoryError:
        note("mohur: the system gives no more memory: a limit on address space (ulimit -v) must be off")
        sys.exit(int(Exit.FAILED))
    except OSError as error:
        note(f"mohur: {error}")
        sys.exit(int(Exit.FAILED))


if __name__ == "__main__":
    main()
