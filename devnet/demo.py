"""`make demo`: four real validators carry a treasury bill from proposal to redemption, and say what happened.

Exits 0 if every chapter came true, 1 otherwise. With --json the last line is one JSON object.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import lmdb
import trio
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from client.errors import ClientError
from client.rpc import AsyncClient
from devnet.network import DevnetError
from devnet.processes import RunningNetwork, running_network
from devnet.scenario import CHAPTERS
from devnet.scenario.figures import CLIENTS, CLIENTS_MIN, TRADES
from devnet.scenario.story import Story
from devnet.watching import equal_roots, require

VALIDATORS = 4
COMMAND_S = 300
ID_WIDTH = 16  # of the column that shows ids: 64 digits in four lines

Chapter = Callable[[], Awaitable[str]]


@dataclass(slots=True)
class Report:
    """What --json prints; `steps` are the chapters in order."""

    ok: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)
    validators: int = 0
    height: int = 0
    transfers: int = 0
    state_root: str = ""
    roots_equal: bool = False
    refusals: dict[str, int] = field(default_factory=dict)
    restart_caught_up: bool = False
    audit_ok: bool = False
    proof_ok: bool = False
    seconds: float = 0.0

    def as_object(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `mohur ARGUMENTS` to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


class Demo:
    """The scenario with its audience: progress while it runs, a table of what happened at the end."""

    def __init__(
        self, console: Console, report: Report, *, clients: int = CLIENTS, trades: int = TRADES
    ) -> None:
        self.console = console
        self.report = report
        self.clients = clients
        self.trades = trades
        self.table = Table(
            "step",
            "what happened",
            "height",
            Column("its last transaction", max_width=ID_WIDTH, overflow="fold"),
            title="The life of a treasury bill",
        )
        self.balances = Table(
            "after",
            "who",
            Column("PKR", justify="right"),
            Column("units of the bill", justify="right"),
            title="What some clients had",
        )

    async def run(self, directory: Path) -> None:
        """Start the network in `directory` and play every chapter. Raises whatever went wrong."""
        with Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=self.console
        ) as progress:
            starting = progress.add_task("starting four validators", total=None)
            async with (
                running_network(directory, VALIDATORS) as running,
                AsyncClient(running.rpc_urls[0]) as client,
            ):
                progress.remove_task(starting)
                story = Story(running, client, clients=self.clients, trades=self.trades)
                self.report.validators = len(running.names)
                for name, chapter in CHAPTERS:
                    await self._play(progress, story, name, partial(chapter, story))
                for after, who, paisa, units in story.balances:
                    self.balances.add_row(after, who, f"{paisa / 100:,.2f}", f"{units:,}")
                self.report.refusals = story.refusals
                self.report.transfers = story.transfers
                self.report.restart_caught_up = story.restart_caught_up
                self.report.state_root, self.report.height = await equal_roots(running)
                self.report.roots_equal = True
                proof = directory / "holding.proof"
                await self._play(progress, story, "proof", lambda: self._proof(running, story, proof))
            await self._play(progress, None, "audit", lambda: self._audit(directory))

    async def _play(self, progress: Progress, story: Story | None, name: str, chapter: Chapter) -> None:
        task = progress.add_task(name, total=None)
        step: dict[str, Any] = {"name": name, "ok": False, "detail": ""}
        self.report.steps.append(step)
        before = None if story is None else story.actors.latest
        try:
            step["detail"] = await chapter()
        except BaseException as error:
            step["detail"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            progress.remove_task(task)
        step["ok"] = True
        height, transaction = "", ""
        if story is not None:
            height = str((await story.client.chain_status()).height)
            latest = story.actors.latest
            transaction = latest.hex() if latest is not None and latest != before else ""
        self.table.add_row(name, step["detail"], height, transaction)
        progress.console.print(f"[green]✓[/green] {name}: {step['detail']}")

    async def _proof(self, running: RunningNetwork, story: Story, proof: Path) -> str:
        """Chapter 9: the proof of one client's holding, verified offline; one flipped byte is refused."""
        holding = story.binance.self_custody[0].cash_holding
        genesis = running.network.genesis
        fetched = await trio.to_thread.run_sync(
            command, "proof", "holdings", str(holding), "--rpc", running.rpc_urls[0], "--output", str(proof)
        )
        require(fetched.returncode == 0, f"mohur proof: {fetched.stderr or fetched.stdout}")
        verified = await trio.to_thread.run_sync(command, "verify", str(proof), "--genesis", genesis)
        require(verified.returncode == 0, f"mohur verify: {verified.stderr or verified.stdout}")
        forged = forge(proof)
        refused = await trio.to_thread.run_sync(command, "verify", str(forged), "--genesis", genesis)
        require(refused.returncode != 0, "a proof with a flipped byte was verified")
        self.report.proof_ok = True
        return f"holding {holding} proven against the genesis alone; a flipped byte is refused"

    async def _audit(self, directory: Path) -> str:
        """Chapter 9, too: one validator's chain replayed from genesis; a copy with one flipped byte is found
        out."""
        node, genesis = directory / "secp", str(directory / "genesis.toml")
        audited = await trio.to_thread.run_sync(command, "audit", str(node), "--genesis", genesis)
        require(audited.returncode == 0, f"mohur audit: {audited.stderr or audited.stdout}")
        copy = directory / "tampered"
        shutil.copytree(node / "blocks", copy / "blocks")
        flip_stored_byte(copy / "blocks")
        tampered = await trio.to_thread.run_sync(command, "audit", str(copy), "--genesis", genesis)
        require(tampered.returncode != 0, "the audit passed a chain with a flipped byte")
        require("height" in tampered.stdout + tampered.stderr, "the audit does not name the height")
        self.report.audit_ok = True
        return "every signature, root and balance re-proved from genesis; a flipped byte is found"


def forge(proof: Path) -> Path:
    """A copy of the proof with one byte changed."""
    broken = bytearray(proof.read_bytes())
    broken[len(broken) // 2] ^= 1
    forged = proof.with_suffix(".forged")
    forged.write_bytes(broken)
    return forged


def flip_stored_byte(blocks: Path) -> None:
    """Change one byte of one stored value of a block store, past the store's own code."""
    with lmdb.open(str(blocks), max_dbs=16, map_size=1 << 40) as environment, environment.begin() as names:
        tables = [bytes(name) for name, _ in names.cursor()]
    with lmdb.open(str(blocks), max_dbs=16, map_size=1 << 40) as environment:
        table = environment.open_db(tables[0])
        with environment.begin(write=True) as writer:
            cursor = writer.cursor(table)
            require(cursor.last(), "the block store is empty")
            key, value = bytes(cursor.key()), bytearray(cursor.value())
            value[len(value) // 2] ^= 1
            writer.put(key, bytes(value), db=table)


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
    directory: Annotated[Path | None, typer.Option("--dir", help="Keep the network's files here.")] = None,
    clients: Annotated[
        int, typer.Option(min=CLIENTS_MIN, help="Clients of each VASP; fewer make a shorter demo.")
    ] = CLIENTS,
    trades: Annotated[int, typer.Option(min=2, help="Transfers in batches.")] = TRADES,
) -> None:
    """Carry a treasury bill from proposal to redemption on four real validators."""
    console = Console(stderr=as_json)
    report = Report()
    demo = Demo(console, report, clients=clients, trades=trades)
    started = time.monotonic()
    place = directory or Path(tempfile.mkdtemp(prefix="mohur-demo-"))
    failures: list[str] = []
    try:
        trio.run(demo.run, place)
        report.ok = True
    except* (DevnetError, ClientError) as errors:
        failures += [str(error) for error in _leaves(errors)]
    except* Exception as errors:
        traceback.print_exception(errors)
        failures += [f"{type(error).__name__}: {error}" for error in _leaves(errors)]
    finally:
        report.seconds = round(time.monotonic() - started, 1)
        if directory is None and report.ok:
            shutil.rmtree(place)
    console.print(demo.table)
    if demo.balances.rows:
        console.print(demo.balances)
    if failures:
        console.print(f"[red]failed[/red]: {escape('; '.join(failures))}\nfiles are kept in {place}")
    else:
        _print_totals(console, report)
    if as_json:
        print(json.dumps(report.as_object()))
    sys.exit(0 if report.ok else 1)


def _print_totals(console: Console, report: Report) -> None:
    refusals = ", ".join(f"{name} {code}" for name, code in sorted(report.refusals.items()))
    console.print(f"transfers {report.transfers:,}; height {report.height}; state root {report.state_root}")
    console.print(f"refused as they must be: {refusals}")
    console.print(f"{report.seconds} s")


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


if __name__ == "__main__":
    typer.run(main)
