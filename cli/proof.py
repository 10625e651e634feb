"""`mohur proof` and `mohur verify`: fetch the proof of a record, and check it without asking anybody."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from cli.calls import Rpc, calling
from cli.output import Exit, Json, fail, reported, show

if TYPE_CHECKING:
    from client.trust import Trust
    from client.verification import Vouched

TRUSTING_DAYS = 14  # as client.trust.TRUSTING_MS, which is loaded only when it is needed

# What `mohur verify` and `mohur receipt verify` ask alike.
GenesisFile = Annotated[Path, typer.Option("--genesis", help="The genesis file: which chain it is.")]
Since = Annotated[
    Path | None, typer.Option(help="A checkpoint of yours to trust in place of the genesis' validators.")
]
LeastHeight = Annotated[int, typer.Option(min=0, help="The least height proven.")]
TrustingDays = Annotated[int, typer.Option(min=1, help="Days that the genesis or checkpoint may be old.")]
AnyTrust = Annotated[
    bool, typer.Option(help="However old: you know that no quorum of retired keys has leaked.")
]
Witness = Annotated[
    list[str] | None, typer.Option(help="URL of another gateway that must know the same block.")
]
CheckpointFile = Annotated[Path | None, typer.Option(help="File to write, to verify --since from now on.")]


class Verified(Protocol):
    """What was proven, and by which block it is vouched for."""

    @property
    def by(self) -> "Vouched": ...


V = TypeVar("V", bound=Verified)


def proof(
    table: Annotated[
        str, typer.Argument(help="A table of the state: holdings, accounts, instruments, vasps...")
    ],
    record: Annotated[int, typer.Argument(min=0, help="The record's index.")],
    rpc: Rpc,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    as_json: Json = False,
) -> None:
    """Fetch the proof of a record, or that there is none of that index.

    It shows the state after the last block, certified by the next one.
    """
    with calling(rpc, as_json=as_json) as client:
        reply = client.proof_get(table, record)
    write_file(output, reply.proof, as_json=as_json)
    values = {"ok": True, "file": str(output), "bytes": len(reply.proof), "height": reply.proven_height}
    show(values | {"exists": reply.exists}, as_json=as_json)


def verify(
    file: Annotated[Path, typer.Argument(help="A proof, as `mohur proof` wrote it.")],
    genesis: GenesisFile,
    since: Since = None,
    max_age: Annotated[int, typer.Option(min=1, help="Seconds that what is proven may be old.")] = 3_600,
    any_age: Annotated[bool, typer.Option(help="However old: it is shown as of its time.")] = False,
    at_least_height: LeastHeight = 0,
    trusting_days: TrustingDays = TRUSTING_DAYS,
    any_trust: AnyTrust = False,
    witness: Witness = None,
    checkpoint: CheckpointFile = None,
    as_json: Json = False,
) -> None:
    """Verify a proof offline, against the genesis or a checkpoint of yours; show what it proves, as of when.

    Ends with 6 if it does not verify, is too old, or rests on trust that is too old.
    """
    from client.verification import verify_proof

    def check(data: bytes, trust: "Trust", now_ms: int) -> Any:
        return verify_proof(
            data,
            trust,
            now_ms=now_ms,
            max_age_ms=None if any_age else max_age * 1_000,
            least_height=at_least_height,
            trusting_ms=None if any_trust else trusting_days * 86_400_000,
        )

    verified = checked(file, genesis, since, check, witness or [], checkpoint, as_json=as_json)
    values = {
        "ok": True,
        "chain": verified.by.chain,
        "height": verified.height,
        "state_root": verified.state_root.hex(),
        "table": verified.name or verified.table,
        "record": verified.record,
        "exists": verified.value is not None,
        "count": verified.count,
        **({} if verified.value is None else {"value": fields_of(verified.value)}),
    }
    show(values | vouching(verified.by, witness or []), as_json=as_json)


def checked(
    file: Path,
    genesis: Path,
    since: Path | None,
    check: "Callable[[bytes, Trust, int], V]",
    witnesses: list[str],
    checkpoint: Path | None,
    *,
    as_json: bool,
) -> V:
    """What `check` finds proven by a file under the trust given, once all witnesses know the same block; the
    checkpoint that comes of it is written. Whatever fails ends the command."""
    from api.limits import PROOF_BYTES_MAX
    from client.limits import CHECKPOINT_BYTES_MAX
    from client.trust import CheckpointError, checkpoint_bytes, checkpoint_of, trust_genesis
    from client.verification import ProofRefused, require_witness
    from config.genesis_file import load_genesis

    with reported(as_json=as_json):
        known = load_genesis(genesis)
    try:
        trust = trust_genesis(known)
        if since is not None:
            trust = checkpoint_of(_read_file(since, CHECKPOINT_BYTES_MAX, "since", as_json=as_json), known)
        data = _read_file(file, PROOF_BYTES_MAX, "proof", as_json=as_json)
        verified = check(data, trust, time.time_ns() // 1_000_000)
        for url in witnesses:
            with calling(url, as_json=as_json) as client:
                block_id = client.chain_block(verified.by.certified_height).block_id
            require_witness(verified.by, block_id, url)
    except CheckpointError as error:
        fail(Exit.CONFIG, "since", f"{since}: {error}", as_json=as_json)
    except ProofRefused as error:
        fail(Exit.INVALID, "proof_refused", f"{file}: {error}", as_json=as_json)
    if checkpoint is not None:
        write_file(checkpoint, checkpoint_bytes(verified.by.checkpoint), as_json=as_json)
    return verified


def vouching(by: "Vouched", witnesses: list[str]) -> dict[str, Any]:
    """What is shown of the block that vouches for what was proven."""
    return {
        "certified_height": by.certified_height,
        "certified_id": by.block_id.hex(),
        "certified_ms": by.time_ms,
        "age_ms": by.age_ms,
        "signers": by.signers,
        "validators": by.validators,
        "rests_on": by.rests_on,
        "witnesses": len(witnesses),
    }


def fields_of(value: Any) -> Any:
    """A record's fields by name, those of what it contains too; an enumeration's member is its name."""
    from enum import IntEnum

    names = getattr(value, "__struct_fields__", None) or getattr(value, "_fields", None)
    if names:
        return {name: fields_of(getattr(value, name)) for name in names}
    if isinstance(value, tuple):
        return [fields_of(item) for item in value]
    return value.name.lower() if isinstance(value, IntEnum) else value


def write_file(file: Path, data: bytes, *, as_json: bool) -> None:
    """Write a file; what cannot be written ends the command."""
    try:
        file.write_bytes(data)
    except OSError as error:
        fail(Exit.FAILED, "write", f"{file}: cannot be written: {error.strerror}", as_json=as_json)


def _read_file(file: Path, bytes_max: int, what: str, *, as_json: bool) -> bytes:
    """The bytes of a file, one more than `bytes_max` if it has more; what cannot be read ends the command."""
    try:
        with file.open("rb") as opened:
            return opened.read(bytes_max + 1)
    except OSError as error:
        fail(Exit.CONFIG, what, f"{file}: cannot be read: {error.strerror}", as_json=as_json)
