"""`mohur audit`: replay one validator's chain from genesis, and name the first thing that is wrong."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Exit, Json, fail, note, reported, show, table

if TYPE_CHECKING:
    from node.audit import AuditReport


def audit(
    directory: Annotated[
        Path,
        typer.Argument(help="The data directory of a node (it holds `blocks`); the node may be running."),
    ],
    genesis: Annotated[
        Path | None,
        typer.Option(help="The genesis file; else genesis.toml in the directory or in the one above it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Replay a validator's chain from genesis: every signature, certificate, root, policy and balance.

    Ends with 6 and names the height if anything is wrong. It reads only the directory and the genesis.
    """
    from config.genesis_file import load_genesis
    from ledger.codes import InvariantError
    from node.audit import audit as replay
    from storage.errors import StorageError

    with reported(as_json=as_json):
        if genesis is None:
            near = (directory / "genesis.toml", directory.parent / "genesis.toml")
            genesis = next((path for path in near if path.is_file()), None)
        if genesis is None:
            message = f"no genesis.toml in {directory} or above it: give --genesis"
            fail(Exit.USAGE, "genesis", message, as_json=as_json)
        checked = load_genesis(genesis)
    try:
        report = replay(directory, checked, _progress if sys.stderr.isatty() else lambda height, last: None)
    except (StorageError, InvariantError) as error:
        fail(Exit.FAILED, "audit", str(error), as_json=as_json)
    values = {**asdict(report), "ok": report.ok}
    show(values, as_json=as_json, text=lambda: _explain(report))
    if not report.ok:
        raise typer.Exit(int(Exit.INVALID))


def _progress(height: int, last: int) -> None:
    if height % 100 == 0 or height == last:
        note(f"height {height} of {last}")


def _explain(report: "AuditReport") -> None:
    table(
        ("what was proven", ""),
        [
            ("chain", report.chain),
            ("genesis hash", report.genesis_hash),
            ("blocks, from the first", report.height),
            ("transactions", f"{report.transactions}, of which {report.refused} refused"),
            ("signatures verified", report.signatures),
            ("movements summed again", report.movements),
            ("state root", report.state_root),
            (
                "checkpoint of height",
                "none" if report.checkpoint_height is None else report.checkpoint_height,
            ),
            *(
                (f"supply of {row.code}", f"{row.supply} in {row.holdings} holdings")
                for row in report.instruments
            ),
        ],
    )
    note("audit: everything agrees" if report.fault is None else f"audit: {report.fault}")
