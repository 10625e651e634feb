"""What one part alone can do on this machine, measured in the same run: the limits of the ratios."""

import os
import statistics
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.genesis_file import load_genesis
from devnet.network import DevnetError
from devnet.watching import require
from ledger.postings import POSTING_BYTES, Movement, Stream, StreamRows, posting_rows, results_root
from node.replica import Replica
from node.sealed import open_block
from primitives.signatures import public_key_of, sign, verify
from storage.blocks import BlockStore
from storage.index import MovementIndex
from storage.segments import Balances, make_segment

VERIFICATIONS = 5_000
FSYNCS = 200


def replay_rate(node_directory: Path, genesis_file: Path, first: int, transfers: int) -> float:
    """Transfers a second of one process that executes and hashes the very blocks of this run, those from
    `first` on holding `transfers`, with no network, no signatures and no disk."""
    replica = Replica.at_genesis(load_genesis(genesis_file))
    blocks = BlockStore(node_directory / "blocks", readonly=True)
    started = time.perf_counter()
    try:
        for height in range(1, blocks.height() + 1):
            stored = blocks.block(height)
            if stored is None:
                raise DevnetError(f"block {height} is missing")
            if height == first:
                started = time.perf_counter()
            replica.execute(open_block(stored))
    finally:
        blocks.close()
    return transfers / (time.perf_counter() - started)


def postings_seconds(node_directory: Path, first: int) -> float:
    """Processor seconds that the postings of this run's blocks, those from `first` on, take a node: to be
    written down, hashed, stored and indexed, done once more with nothing else."""
    blocks = BlockStore(node_directory / "blocks", readonly=True)
    try:
        kept = {height: blocks.postings(height) for height in range(first, blocks.height() + 1)}
    finally:
        blocks.close()
    with tempfile.TemporaryDirectory(dir=node_directory) as folder:
        copy = BlockStore(Path(folder))
        index = MovementIndex(Path(folder, "index"), b"")
        waiting: list[StreamRows] = []
        balances, spent = Balances(), 0.0
        try:
            for height, postings in kept.items():
                copy.append(height, b"", b"")
                rows = posting_rows(postings)
                sides = rows["from"].copy(), rows["to"].copy(), rows["amount"].copy()
                started = time.process_time()
                stream = Stream()
                stream.post_many(Movement.TRANSFER, *sides)
                results_root((), stream.postings(), b"")
                copy.put_results(height, b"", [], postings=stream.postings())
                waiting.append(StreamRows(height, 0, stream.postings()))
                count = sum(len(part.rows) for part in waiting) // POSTING_BYTES
                if count >= index.shape.rows or height == max(kept):
                    index.append(make_segment(waiting[0].height, height, waiting, [], balances))
                    waiting = []
                spent += time.process_time() - started
        finally:
            copy.close()
            index.close()
    return spent


def verify_rate() -> float:
    """Signatures a second that one core verifies."""
    key = Ed25519PrivateKey.generate()
    public_key, message = public_key_of(key), bytes(100)
    signature = sign(key, message)
    started = time.perf_counter()
    valid = sum(verify(public_key, message, signature) for _ in range(VERIFICATIONS))
    require(valid == VERIFICATIONS, "a good signature is refused")
    return VERIFICATIONS / (time.perf_counter() - started)


def fsync_ms() -> float:
    """The median of one small durable write."""
    with tempfile.TemporaryFile() as file:
        taken = []
        for _ in range(FSYNCS):
            started = time.perf_counter()
            file.write(bytes(512))
            file.flush()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - started) * 1_000)
    return statistics.median(taken)
