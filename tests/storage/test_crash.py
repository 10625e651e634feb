"""Stores that die: killed at random moments, and with each of their writes failing in turn.

A workload does what a node does for each height - log, sign, append, execute, checkpoint - and acknowledges
each call once it has returned. After every death the stores are opened again: what was acknowledged is there,
the stores agree with each other, and the signer never gave two signatures for one step.
"""

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ledger.events import EVENT_BYTES
from ledger.postings import POSTING_BYTES
from storage.blocks import BlockStore
from storage.environment import Faults
from storage.errors import DoubleSignRefused, StorageFull
from storage.signer import SignerStore
from storage.state import StateStore
from storage.wal import WriteAheadLog
from testing.disk import results_height

KILLS = 300
CHECKPOINT_EVERY = 2


def content(name: str, height: int, size: int) -> bytes:
    return (hashlib.sha256(f"{name} {height}".encode()).digest() * (size // 32 + 1))[:size]


def transaction_ids(height: int) -> list[bytes]:
    return [content(f"transaction {position}", height, 32) for position in range(4)]


@dataclass
class Change:
    """One document and one page a height; so the state of a height is known from its number."""

    height: int

    @property
    def documents(self) -> list[tuple[int, int, bytes]]:
        return [(1, number, content("document", number, 700)) for number in range(self.height)]

    @property
    def pages(self) -> list[tuple[int, int, bytes]]:
        return [(2, 0, content("page", self.height, 8192))]

    @property
    def counts(self) -> dict[int, int]:
        return {1: self.height, 2: 256}


class Stores:
    """A node's four stores in one folder."""

    def __init__(self, folder: Path, faults: Faults | None = None) -> None:
        self.blocks = BlockStore(folder / "blocks", faults=faults)
        self.state = StateStore(folder / "state", faults=faults)
        self.wal = WriteAheadLog(folder / "wal", faults=faults)
        self.signer = SignerStore(folder / "signer", faults=faults)

    def close(self) -> None:
        for store in (self.blocks, self.state, self.wal, self.signer):
            store.close()


Acknowledge = Callable[[str, int, bytes], None]


def put_results(stores: Stores, height: int) -> None:
    stores.blocks.put_results(
        height,
        content("results", height, 300),
        transaction_ids(height),
        postings=content("postings", height, 1_500 * POSTING_BYTES),
        events=content("events", height, 5 * EVENT_BYTES),
    )


def recover(stores: Stores) -> None:
    """What a node does on start: execute what is stored and not executed."""
    height = stores.blocks.height()
    if height and results_height(stores.blocks) < height:
        put_results(stores, height)


def run_height(stores: Stores, acknowledge: Acknowledge) -> None:
    """One height of a node's life, each call acknowledged when it has returned."""
    height = stores.blocks.height() + 1
    block = content("block", height, 9000)
    stores.wal.append(height, [content("entry", height, 80)], {content("value", height, 32): block})
    acknowledge("wal", height, b"")
    for step in (0, 1, 2):
        message = os.urandom(16)
        try:
            stores.signer.claim(height, 0, step, message)
        except DoubleSignRefused:
            continue  # signed before the crash
        acknowledge("sign", height * 3 + step, message)
    stores.blocks.append(height, block, content("certificate", height, 300))
    acknowledge("block", height, b"")
    put_results(stores, height)
    acknowledge("results", height, b"")
    if height % CHECKPOINT_EVERY == 0 and (stores.state.height() or 0) < height:
        stores.state.save(height, Change(height), content("meta", height, 40))
        acknowledge("state", height, b"")
    stores.wal.forget_below(height)
    acknowledge("forget", height, b"")


@dataclass
class Acknowledged:
    """All that was ever acknowledged, over all lives of the node."""

    greatest: dict[str, int] = field(default_factory=dict)
    signed: dict[int, bytes] = field(default_factory=dict)

    def add(self, what: str, number: int, message: bytes) -> None:
        if what == "sign":
            assert self.signed.setdefault(number, message) == message, f"two signatures for step {number}"
        self.greatest[what] = max(self.greatest.get(what, 0), number)


def check(stores: Stores, acknowledged: Acknowledged) -> None:
    """Every acknowledged thing is stored, whole; the stores are in the order that recovery relies on."""
    height = stores.blocks.height()
    assert height >= acknowledged.greatest.get("block", 0)
    assert height - 1 <= results_height(stores.blocks) <= height
    assert results_height(stores.blocks) >= acknowledged.greatest.get("results", 0)
    assert (stores.state.height() or 0) <= height
    assert (stores.state.height() or 0) >= acknowledged.greatest.get("state", 0)
    assert stores.wal.height() <= height + 1
    for recent in range(max(1, height - 2), height + 1):
        assert stores.blocks.block(recent) == content("block", recent, 9000)
        assert stores.blocks.certificate(recent) == content("certificate", recent, 300)
    for recent in range(max(1, height - 2), results_height(stores.blocks) + 1):
        assert stores.blocks.results(recent) == content("results", recent, 300)
        assert stores.blocks.postings(recent) == content("postings", recent, 1_500 * POSTING_BYTES)
        assert stores.blocks.events(recent) == content("events", recent, 5 * EVENT_BYTES)
        for position, transaction_id in enumerate(transaction_ids(recent)):
            assert stores.blocks.find_transaction(transaction_id) == (recent, position)
    if (open_height := acknowledged.greatest.get("wal", 0)) > height:
        assert content("entry", open_height, 80) in stores.wal.read(open_height)
        assert stores.wal.blocks(open_height) == {
            content("value", open_height, 32): content("block", open_height, 9000)
        }
    loaded = stores.state.load()
    if loaded is not None:
        saved, meta, source = loaded
        assert meta == content("meta", saved, 40)
        assert list(source.documents(1)) == [document for _, _, document in Change(saved).documents]
        assert list(source.rows(2)) == [content("page", saved, 8192)]
    last = stores.signer.last()
    if acknowledged.signed:
        assert last is not None
        newest = max(acknowledged.signed)
        position = last.height * 3 + last.step
        assert position >= newest
        if position == newest:
            assert last.sign_bytes == acknowledged.signed[newest]


def live(folder: Path, pipe: int) -> None:
    """A child's life: runs heights until it is killed."""

    def acknowledge(what: str, number: int, message: bytes) -> None:
        os.write(pipe, f"{what} {number} {message.hex()}\n".encode())

    stores = Stores(folder)
    recover(stores)
    acknowledge("start", 0, b"")
    while True:
        run_height(stores, acknowledge)


def kill_one(folder: Path, delay_s: float, started: bool) -> list[tuple[str, int, bytes]]:
    """Start a child on `folder`, SIGKILL it after `delay_s`, counted from its start-up or from the moment
    that it has `started` to work; what it acknowledged."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            live(folder, writing)
        except Exception as error:
            os.write(writing, f"failed: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(status)
    os.close(writing)
    first = os.read(reading, 1) if started else b""
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        lines = (first + pipe.read()).decode().splitlines()
    assert os.WIFSIGNALED(status), lines[-1:]
    said = []
    for line in lines:
        what, number, message = line.split(" ")
        said.append((what, int(number), bytes.fromhex(message)))
    return said


def test_killed_at_300_random_moments_it_loses_nothing_and_never_signs_twice(tmp_path: Path) -> None:
    draw = random.Random(20260419)
    first = Stores(tmp_path)
    first.signer.initialise(1)
    first.close()
    acknowledged = Acknowledged()
    count = 0
    for number in range(KILLS):
        for said in kill_one(tmp_path, draw.uniform(0.001, 0.04), number % 4 != 0):
            acknowledged.add(*said)
            count += 1
        stores = Stores(tmp_path)
        check(stores, acknowledged)
        stores.close()
    # The kills must have hit a working node, not one that was still starting.
    assert count > 2 * KILLS
    assert acknowledged.greatest["state"] > CHECKPOINT_EVERY


class FailAt:
    """Fails the nth point that a write reaches: before it, within it, at its commit, or just after it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.point: str | None = None

    def reached(self, point: str) -> None:
        if self.number == 0:
            self.point = point
            self.number = -1
            raise StorageFull(point.partition(":")[0], f"a test at {point}")
        self.number -= 1


@pytest.mark.parametrize("reopen", [True, False])
def test_each_write_fails_in_turn_and_the_node_goes_on(tmp_path: Path, reopen: bool) -> None:
    """Whether the process starts again or only waits for room: the same write then succeeds."""
    points = set()
    for number in range(10_000):
        folder = tmp_path / str(number)
        prepared = Stores(folder)
        prepared.signer.initialise(1)
        prepared.close()
        faults = FailAt(number)
        acknowledged = Acknowledged()
        stores = Stores(folder, faults)
        while stores.blocks.height() < CHECKPOINT_EVERY:
            try:
                recover(stores)
                run_height(stores, acknowledged.add)
            except StorageFull:
                if reopen:
                    stores.close()
                    stores = Stores(folder)
                check(stores, acknowledged)
        recover(stores)
        check(stores, acknowledged)
        assert stores.state.height() in (CHECKPOINT_EVERY, None)
        stores.close()
        if faults.point is None:
            break
        points.add(faults.point)
    assert {point.partition(":")[0] for point in points} == {"blocks", "state", "wal", "signer"}
    assert {point.split(" ")[1] for point in points} == {"begin", "put", "delete", "commit", "committed"}
