"""`mohur proof` and `mohur verify`: fetch the proof of a holding, and check it without asking anybody."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.calls import Rpc, calling
from cli.output import Exit, Json, fail, reported, show

TRUSTING_DAYS = 14  # as client.trust.TRUSTING_MS, which is loaded only when it is needed


def proof(
    holding: Annotated[int, typer.Argument(min=0, help="The holding's index.")],
    rpc: Rpc,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    as_json: Json = False,
) -> None:
    """Fetch the proof of a holding. It shows the state after the last block, certified by the next one."""
    with calling(rpc, as_json=as_json) as client:
        reply = client.proof_get(holding)
    try:
        output.write_bytes(reply.proof)
    except OSError as error:
        fail(Exit.FAILED, "write", f"{output}: cannot be written: {error.strerror}", as_json=as_json)
    values = {"ok": True, "file": str(output), "bytes": len(reply.proof), "height": reply.proven_height}
    show(values, as_json=as_json)


def verify(
    file: Annotated[Path, typer.Argument(help="A proof, as `mohur proof` wrote it.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file: which chain it is.")],
    since: Annotated[
        Path | None, typer.Option(help="A checkpoint of yours to trust in place of the genesis' validators.")
    ] = None,
    max_age: Annotated[int, typer.Option(min=1, help="Seconds that what is proven may be old.")] = 3_600,
    any_age: Annotated[bool, typer.Option(help="However old: it is shown as of its time.")] = False,
    at_least_height: Annotated[int, typer.Option(min=0, help="The least height proven.")] = 0,
    trusting_days: Annotated[
        int, typer.Option(min=1, help="Days that the genesis or checkpoint may be old.")
    ] = TRUSTING_DAYS,
    any_trust: Annotated[
        bool, typer.Option(help="However old: you know that no quorum of retired keys has leaked.")
    ] = False,
    witness: Annotated[
        list[str] | None, typer.Option(help="URL of another gateway that must know the same block.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File to write, to verify --since from now on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify a proof offline, against the genesis or a checkpoint of yours; show what it proves, as of when.

    Ends with 6 if it does not verify, is too old, or rests on trust that is too old.
    """
    from api.limits import PROOF_BYTES_MAX
    from client.limits import CHECKPOINT_BYTES_MAX
    from client.trust import CheckpointError, checkpoint_bytes, checkpoint_of, trust_genesis
    from client.verification import ProofRefused, verify_proof
    from config.genesis_file import load_genesis

    with reported(as_json=as_json):
        known = load_genesis(genesis)
    try:
        trust = trust_genesis(known)
        if since is not None:
            trust = checkpoint_of(read_file(since, CHECKPOINT_BYTES_MAX, "since", as_json=as_json), known)
        verified = verify_proof(
            read_file(file, PROOF_BYTES_MAX, "proof", as_json=as_json),
            trust,
            now_ms=time.time_ns() // 1_000_000,
            max_age_ms=None if any_age else max_age * 1_000,
            least_height=at_least_height,
            trusting_ms=None if any_trust else trusting_days * 86_400_000,
        )
    except CheckpointError as error:
        fail(Exit.CONFIG, "since", f"{since}: {error}", as_json=as_json)
    except ProofRefused as error:
        fail(Exit.INVALID, "proof_refused", f"{file}: {error}", as_json=as_json)
    for url in witness or ():
        with calling(url, as_json=as_json) as client:
            seen = client.chain_block(verified.certified_height).block_id
        if seen != verified.block_id:
            knows = f"witness: {url} knows {seen.hex()} at height {verified.certified_height}"
            fail(Exit.INVALID, "proof_refused", f"{knows}, not {verified.block_id.hex()}", as_json=as_json)
    if checkpoint is not None:
        try:
            checkpoint.write_bytes(checkpoint_bytes(verified.checkpoint))
        except OSError as error:
            fail(Exit.FAILED, "write", f"{checkpoint}: cannot be written: {error.strerror}", as_json=as_json)
    values = asdict(verified)
    del values["checkpoint"]
    show({"ok": True, **values, "witnesses": len(witness or ())}, as_json=as_json)


def read_file(file: Path, bytes_max: int, what: str, *, as_json: bool) -> bytes:
    """The bytes of a file, one more than `bytes_max` if it has more; what cannot be read ends the command."""
    try:
        with file.open("rb") as opened:
            return opened.read(bytes_max + 1)
    except OSError as error:
        fail(Exit.CONFIG, what, f"{file}: cannot be read: {error.strerror}", as_json=as_json)
