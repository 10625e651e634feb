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
from node.replica import Replica
from node.sealed import open_block
from primitives.signatures import public_key_of, sign, verify
from storage.blocks import BlockStore

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
