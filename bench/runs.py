"""The three benches: signed batches, transfers signed one by one, and finality at light load.

Each starts its own network, signs its load before the clock starts, and checks afterwards that the work was
done: every balance recomputed, state roots equal on all validators.
"""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import trio

from bench.ceilings import fsync_ms, postings_seconds, replay_rate, verify_rate
from bench.figures import Figures, percentile
from bench.load import Load
from bench.world import BALANCE, BATCH_ROWS, World
from client.rpc import AsyncClient
from client.transactions import Signed, payload, transfer_rows
from devnet.processes import running_network
from devnet.watching import equal_roots, require

VALIDATORS = 4
CORES = 2
SEED = 2026
IN_FLIGHT_BATCHES = 12
IN_FLIGHT_SINGLES = 1_500
OWNERS = 300
SUBMIT_MANY = 100
LATENCY_PAUSE_S = 0.05
DURABLE_STEPS = 4  # proposal, prevote, precommit and block, one after another

Row = tuple[int, int, int]


async def run(name: str, holdings: int, count: int) -> Figures:
    """One bench by its name; `count` is of batches or of transactions."""
    with tempfile.TemporaryDirectory(prefix="mohur-bench-") as directory:
        async with (
            running_network(Path(directory), VALIDATORS) as running,
            AsyncClient(running.rpc_urls[0]) as client,
        ):
            world = World(running, client)
            match name:
                case "batch":
                    return await _batch(world, holdings, count)
                case "signed":
                    return await _signed(world, holdings, count)
                case _:
                    return await _latency(world, holdings, count)


async def _batch(world: World, holdings: int, batches: int) -> Figures:
    await world.prepare(holdings, 0)
    draw = random.Random(SEED)
    rows = [_random_rows(draw, world.holdings, BATCH_ROWS) for _ in range(batches)]
    first = ((await world.client.signer_get(world.vasp.public_key)).highest or 0) + 1
    expiry = int(time.time()) + 3_000
    signed = [
        world.vasp.sign(
            "transfer_batch",
            payload("transfer_batch", rows=transfer_rows(batch)),
            sequence=first + number,
            valid_until=expiry,
        )
        for number, batch in enumerate(rows)
    ]
    load = Load(world.running, IN_FLIGHT_BATCHES, 1)
    before = (await world.client.chain_status()).height
    seconds = await load.run(signed, before)
    rss = world.anonymous_mb_max()
    await _check(world, [row for batch in rows for row in batch])
    network = world.running.network
    limit = replay_rate(
        Path(network.nodes[0].directory), Path(network.genesis), before + 1, batches * BATCH_ROWS
    )
    return _figures(
        "batch",
        load.latencies_ms,
        batches * BATCH_ROWS,
        seconds,
        signed,
        holdings,
        BATCH_ROWS,
        rss,
        (
            "one process executing and hashing the same blocks, times cores over validators",
            limit * CORES / VALIDATORS,
        ),
        postings_seconds(Path(network.nodes[0].directory), before + 1) / (seconds * CORES / VALIDATORS),
    )


async def _signed(world: World, holdings: int, count: int) -> Figures:
    await world.prepare(max(1, holdings - OWNERS), OWNERS)
    share = -(-count // OWNERS)
    rows: list[Row] = []
    signed: list[Signed] = []
    expiry = int(time.time()) + 3_000
    for number in range(share):  # every owner's first, every owner's second, and so on: windows stay open
        for position, owner in enumerate(world.owners):
            row = (world.owned[position], world.owned[(position + number + 1) % OWNERS], 1)
            rows.append(row)
            fields = payload("transfer", from_holding=row[0], to_holding=row[1], amount=1)
            signed.append(owner.sign("transfer", fields, sequence=number + 1, valid_until=expiry))
    load = Load(world.running, IN_FLIGHT_SINGLES, SUBMIT_MANY)
    seconds = await load.run(signed, (await world.client.chain_status()).height)
    rss = world.anonymous_mb_max()
    await _check(world, rows)
    return _figures(
        "signed",
        load.latencies_ms,
        len(signed),
        seconds,
        signed,
        holdings,
        1,
        rss,
        (
            "four validators that do nothing but verify signatures on these cores",
            verify_rate() * CORES / VALIDATORS,
        ),
    )


async def _latency(world: World, holdings: int, count: int) -> Figures:
    await world.prepare(max(1, holdings - 2), 2)
    owner, rows, latencies = world.owners[0], [], []
    signed = []
    started = time.perf_counter()
    for _ in range(count):
        row = (world.owned[0], world.owned[1], 1)
        fields = payload("transfer", from_holding=row[0], to_holding=row[1], amount=1)
        transaction = owner.sign("transfer", fields)
        before = time.perf_counter()
        await world.client.send(transaction, owner)
        latencies.append((time.perf_counter() - before) * 1_000)
        rows.append(row)
        signed.append(transaction)
        await trio.sleep(LATENCY_PAUSE_S)
    seconds = time.perf_counter() - started
    rss = world.anonymous_mb_max()
    await _check(world, rows)
    durable_ms = fsync_ms() * DURABLE_STEPS
    return _figures(
        "latency",
        latencies,
        count,
        seconds,
        signed,
        holdings,
        1,
        rss,
        (f"{DURABLE_STEPS} durable writes one after another, at light load", 1_000 / durable_ms),
    )


def _figures(
    name: str,
    latencies_ms: Sequence[float],
    transfers: int,
    seconds: float,
    signed: Sequence[Signed],
    holdings: int,
    batch: int,
    rss_mb: float,
    limit: tuple[str, float],
    postings_ratio: float | None = None,
) -> Figures:
    what, limit_per_second = limit
    ours = transfers / seconds if name != "latency" else 1_000 / percentile(latencies_ms, 50)
    return Figures(
        name=name,
        per_second=transfers / seconds,
        p50_ms=percentile(latencies_ms, 50),
        p99_ms=percentile(latencies_ms, 99),
        bytes_per_transfer=sum(len(transaction.raw) for transaction in signed) / transfers,
        validators=VALIDATORS,
        holdings=holdings,
        batch=batch,
        seconds=seconds,
        rss_anon_mb_max=rss_mb,
        limit=what,
        limit_per_second=limit_per_second,
        ratio=ours / limit_per_second,
        postings_ratio=postings_ratio,
    )


def _random_rows(draw: random.Random, holdings: Sequence[int], count: int) -> list[Row]:
    rows: list[Row] = []
    while len(rows) < count:
        payer, payee = draw.choice(holdings), draw.choice(holdings)
        if payer != payee:
            rows.append((payer, payee, draw.randint(1, 100)))
    return rows


async def _check(world: World, rows: Sequence[Row]) -> None:
    """Every balance against a plain sum of the rows, and the roots of all validators."""
    expected: Counter[int] = Counter(dict.fromkeys([*world.holdings, *world.owned], BALANCE))
    for payer, payee, amount in rows:
        expected[payer] -= amount
        expected[payee] += amount
    found = await world.balances()
    for holding, balance in expected.items():
        require(found.get(holding) == balance, f"holding {holding} has {found.get(holding)}, not {balance}")
    await equal_roots(world.running)
