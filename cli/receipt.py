"""`mohur receipt`: fetch the proof of what became of a transaction, and check it without asking anybody."""

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.calls import Rpc, calling
from cli.output import Exit, Json, fail, reported, show
from cli.proof import TRUSTING_DAYS, read_file
from cli.tx import TransactionId, id_of

app = typer.Typer(no_args_is_help=True, help="Proofs that a transaction is in a block, and of its result.")


@app.command("get")
def get(
    tx_id: TransactionId,
    rpc: Rpc,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    as_json: Json = False,
) -> None:
    """Fetch the receipt of a transaction that is in a block. Acts of officers have none."""
    with calling(rpc, as_json=as_json) as client:
        reply = client.receipt_get(id_of(tx_id, as_json))
    try:
        output.write_bytes(reply.receipt)
    except OSError as error:
        fail(Exit.FAILED, "write", f"{output}: cannot be written: {error.strerror}", as_json=as_json)
    values = {"ok": True, "file": str(output), "bytes": len(reply.receipt), "height": reply.block}
    show(values, as_json=as_json)


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt, as `mohur receipt get` wrote it.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file: which chain it is.")],
    since: Annotated[
        Path | None, typer.Option(help="A checkpoint of yours to trust in place of the genesis' validators.")
    ] = None,
    trusting_days: Annotated[
        int, typer.Option(min=1, help="Days that the genesis or checkpoint may be old.")
    ] = TRUSTING_DAYS,
    any_trust: Annotated[
        bool, typer.Option(help="However old: you know that no quorum of retired keys has leaked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Verify a receipt offline, against the genesis or a checkpoint of yours; show what became of what, when.

    Ends with 6 if it does not verify, or rests on trust that is too old.
    """
    from api.limits import PROOF_BYTES_MAX
    from client.limits import CHECKPOINT_BYTES_MAX
    from client.receipts import verify_receipt
    from client.trust import CheckpointError, checkpoint_of, trust_genesis
    from client.verification import ProofRefused
    from config.genesis_file import load_genesis
    from ledger.codes import Code

    with reported(as_json=as_json):
        known = load_genesis(genesis)
    try:
        trust = trust_genesis(known)
        if since is not None:
            trust = checkpoint_of(read_file(since, CHECKPOINT_BYTES_MAX, "since", as_json=as_json), known)
        verified = verify_receipt(
            read_file(file, PROOF_BYTES_MAX, "receipt", as_json=as_json),
            trust,
            now_ms=time.time_ns() // 1_000_000,
            trusting_ms=None if any_trust else trusting_days * 86_400_000,
        )
    except CheckpointError as error:
        fail(Exit.CONFIG, "since", f"{since}: {error}", as_json=as_json)
    except ProofRefused as error:
        fail(Exit.INVALID, "proof_refused", f"{file}: {error}", as_json=as_json)
    values = {
        "ok": True,
        "chain": verified.chain,
        "height": verified.height,
        "time_ms": verified.time_ms,
        "block_id": verified.block_id.hex(),
        "position": verified.position,
        "tx_id": verified.transaction.id.hex(),
        "kind": verified.transaction.definition.name,
        "code": verified.result.code,
        "name": Code(verified.result.code).word,
        "created": list(verified.result.created),
        "signers": verified.signers,
        "validators": verified.validators,
    }
    show(values, as_json=as_json)
