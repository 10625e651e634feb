"""Replays a recorded chain: `python -m testing.replay FILE`. Whoever runs the ledger must come to its roots.

Nothing of the command line, the storage or the network is needed for it, so that it runs wherever the
consensus-critical packages do: `testing.pythons` runs it under every Python that is installed.
"""

import platform
import sys
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from consensus.errors import VerificationError
from ledger.codes import Refused
from ledger.genesis import Genesis
from ledger.transactions import decode_transaction
from node.replica import Replica, StateDivergence
from node.sealed import open_block
from primitives.codec import CodecError, unpack
from testing.limits import RECORDING_BYTES_MAX

RECORDED = Path(__file__).parents[1] / "tests" / "replay" / "recorded.chain"


class Unfit(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Bytes that are no transaction, and why: the code, the field's number and the values that it quotes."""

    raw: bytes
    refusal: tuple[int, int, tuple[Any, ...]]


class Recording(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A whole chain, and the roots after its last block; every header has those before it."""

    genesis: Genesis
    blocks: tuple[bytes, ...]
    state_root: bytes
    results_root: bytes
    refused: tuple[Unfit, ...]


class Differs(Exception):
    """This software does not come to what was recorded."""

    def __init__(self, where: str, fault: str) -> None:
        super().__init__(
            f"the recorded chain differs at {where}: {fault}. If bytes or rules of the protocol were "
            "changed on purpose, `make record` writes the chain anew; if not, two validators would part here"
        )


def replay(data: bytes) -> Replica:
    """The replica after every block of the recording. Raises Differs."""
    try:
        recording = unpack(data, Recording, RECORDING_BYTES_MAX)
        replica = Replica.at_genesis(recording.genesis)
    except (CodecError, Refused, ValueError) as error:
        raise Differs("genesis", str(error)) from error
    for height, raw in enumerate(recording.blocks, 1):
        try:
            block = open_block(raw)
            fault = replica.check_block(block, lambda full_hash: False)
            if fault is not None:
                raise Differs(f"height {height}", fault)
            replica.execute(block)
        except (CodecError, VerificationError, StateDivergence) as error:
            raise Differs(f"height {height}", str(error)) from error
    for name in ("state_root", "results_root"):
        ours, theirs = getattr(replica, name), getattr(recording, name)
        if ours != theirs:
            raise Differs("its end", f"{name} is {theirs.hex()}, ours is {ours.hex()}")
    for place, unfit in enumerate(recording.refused):
        refusal = refusal_of(unfit.raw)
        if refusal != unfit.refusal:
            raise Differs(f"unfit transaction {place}", f"{unfit.refusal} became {refusal}")
    return replica


def refusal_of(raw: bytes) -> tuple[int, int, tuple[Any, ...]]:
    """Why these bytes are no transaction; (0, 0, ()) if they are one."""
    try:
        decode_transaction(raw)
    except Refused as refusal:
        return int(refusal.code), refusal.field_number, tuple(refusal.values)
    return 0, 0, ()


def main() -> NoReturn:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RECORDED
    try:
        replica = replay(path.read_bytes())
    except Differs as difference:
        sys.exit(f"Python {platform.python_version()}: {difference}")
    print(
        f"Python {platform.python_version()}: {replica.height} blocks, state root {replica.state_root.hex()}"
    )
    sys.exit(0)


if __name__ == "__main__":
    main()
