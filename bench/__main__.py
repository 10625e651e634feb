"""`make bench ARGS="batch|signed|latency|worst --json"`: measure four validators, or one, on this machine."""

import json
from enum import StrEnum
from typing import Annotated

import trio
import typer
from rich.console import Console
from rich.table import Table

from bench.runs import run
from bench.worst import worst_blocks

COUNTS = {"batch": 120, "signed": 15_000, "latency": 150}


class Bench(StrEnum):
    """Signed batches, transfers signed one by one, finality at light load, the worst block of each kind."""

    BATCH = "batch"
    SIGNED = "signed"
    LATENCY = "latency"
    WORST = "worst"


def main(
    bench: Bench,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
    holdings: Annotated[int, typer.Option(min=10, max=1_000_000, help="Holdings of cash.")] = 100_000,
    count: Annotated[int, typer.Option(min=0, max=100_000, help="Batches or transactions; 0: as usual.")] = 0,
) -> None:
    """Start a network, load it with what was signed before, check the work, print the figures."""
    console = Console(stderr=as_json)
    if bench is Bench.WORST:
        _worst(console, as_json)
        return
    figures = trio.run(run, bench.value, holdings, count or COUNTS[bench.value])
    table = Table("figure", "value", title=f"bench {bench.value}")
    for name, value in figures.as_object().items():
        table.add_row(name, str(value))
    console.print(table)
    if as_json:
        print(json.dumps(figures.as_object()))


def _worst(console: Console, as_json: bool) -> None:
    """Measure the worst block of each kind; exit 1 if one takes longer than it may."""
    table = Table(
        "kind", "transactions", "bytes", "cost", "check ms", "execute ms", "of limit", title="worst"
    )
    found = []
    for block in worst_blocks():
        found.append(block.as_object())
        table.add_row(
            block.kind,
            f"{block.transactions:,}",
            f"{block.bytes:,}",
            f"{block.cost:,}",
            f"{block.check_ms:.0f}",
            f"{block.execute_ms:.0f}",
            f"{block.of_limit:.2f}",
        )
    console.print(table)
    if as_json:
        print(json.dumps({"name": "worst", "blocks": found}))
    if any(block["of_limit"] >= 1 for block in found):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
