"""What a verifier trusts before it reads a proof: the validators of genesis, or of a checkpoint of its own.

Whoever holds enough keys that once were validators' can sign another history of the chain for whoever starts
that far back (weak subjectivity). So trust has an age: a genesis or checkpoint is good for TRUSTING_MS, the
time for which validators are asked to keep retired keys safe; older trust is renewed by verifying a proof
within that time and keeping the checkpoint that comes of it.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from client.limits import CHECKPOINT_BYTES_MAX
from consensus.messages import Validator
from consensus.quorum import validators_fault
from ledger.genesis import Genesis, genesis_hash

TRUSTING_MS = 14 * 86_400_000


class CheckpointError(ValueError):
    """What was read is no checkpoint. The text names the field and the rule."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The validators that decide the block of `height` and, until a proof shows otherwise, those after it.
    `time_ms` is the header time of that block; at height 0 that of the genesis, whose validators decide
    block 1."""

    chain: str
    genesis_hash: bytes
    height: int
    time_ms: int
    validators: tuple[Validator, ...]


def trust_genesis(genesis: Genesis) -> Trust:
    """Trust in the genesis file alone."""
    members = tuple(Validator(node.public_key, node.power) for node in genesis.nodes if node.power > 0)
    return Trust(genesis.chain, genesis_hash(genesis), 0, genesis.time_ms, members)


def rests_on(trust: Trust, now_ms: int) -> str:
    """What a proof rests on that is verified by `trust` at `now_ms`, to be said to whoever relies on it. Only
    a witness or a checkpoint of his own tells him of another history that keys retired since have signed."""
    days = max(0, now_ms - trust.time_ms) // 86_400_000
    if trust.height == 0:
        return (
            f"the keys of the genesis' validators, {days} days old: a quorum of them, if leaked, could have"
            " signed another history; a witness or a checkpoint of your own would tell"
        )
    return f"the validators of your checkpoint of height {trust.height}, {days} days old"


def checkpoint_bytes(trust: Trust) -> bytes:
    """A file that `checkpoint_of` reads: JSON, hashes and keys in hex. Whoever can write to it is trusted."""
    values = asdict(trust) | {
        "genesis_hash": trust.genesis_hash.hex(),
        "validators": [[member.public_key.hex(), member.power] for member in trust.validators],
    }
    return json.dumps(values, indent=1).encode() + b"\n"


def checkpoint_of(data: bytes, genesis: Genesis) -> Trust:
    """The checkpoint in `data`, of the chain of `genesis`. Raises CheckpointError."""
    if len(data) > CHECKPOINT_BYTES_MAX:
        raise CheckpointError(f"{len(data)} bytes, at most {CHECKPOINT_BYTES_MAX}")
    try:
        values = json.loads(data)
    except ValueError as error:
        raise CheckpointError(f"not JSON: {error}") from error
    if not isinstance(values, dict) or set(values) != set(Trust.__slots__):
        raise CheckpointError(f"must be an object of exactly {', '.join(sorted(Trust.__slots__))}")
    for field in ("height", "time_ms"):
        if type(values[field]) is not int or values[field] < 0:
            raise CheckpointError(f"{field}: must be an integer of at least 0")
    expected = genesis_hash(genesis)
    if values["genesis_hash"] != expected.hex():
        raise CheckpointError(f"genesis_hash: must be that of the genesis given, {expected.hex()}")
    validators = _validators(values["validators"])
    return Trust(genesis.chain, expected, values["height"], values["time_ms"], validators)


def _validators(members: Any) -> tuple[Validator, ...]:
    try:
        found = tuple(Validator(bytes.fromhex(key), power) for key, power in members)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"validators: must be pairs of a key in hex and a power: {error}") from error
    fault = validators_fault(found)
    if fault is not None:
        raise CheckpointError(f"validators: {fault}")
    return found
