"""`make bench ARGS="batch|signed|latency --json"`: measure a network of four validators on this machine."""

import json
from enum import StrEnum
from typing import Annotated

import trio
import typer
from rich.console import Console
from rich.table import Table

from bench.runs import run

COUNTS = {"batch": 120, "signed": 15_000, "latency": 150}


class Bench(StrEnum):
    """Signed batches, transfers signed one by one, finality at light load."""

    BATCH = "batch"
    SIGNED = "signed"
    LATENCY = "latency"


def main(
    bench: Bench,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
    holdings: Annotated[int, typer.Option(min=10, max=1_000_000, help="Holdings of cash.")] = 100_000,
    count: Annotated[int, typer.Option(min=0, max=100_000, help="Batches or transactions; 0: as usual.")] = 0,
) -> None:
    """Start a network, load it with what was signed before, check the work, print the figures."""
    console = Console(stderr=as_json)
    figures = trio.run(run, bench.value, holdings, count or COUNTS[bench.value])
    table = Table("figure", "value", title=f"bench {bench.value}")
    for name, value in figures.as_object().items():
        table.add_row(name, str(value))
    console.print(table)
    if as_json:
        print(json.dumps(figures.as_object()))


if __name__ == "__main__":
    typer.run(main)
