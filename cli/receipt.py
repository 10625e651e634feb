"""`mohur receipt`: fetch the proof of what became of a transaction, and check it without asking anybody."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.calls import Rpc, calling
from cli.output import Json, show
from cli.proof import (
    TRUSTING_DAYS,
    AnyTrust,
    CheckpointFile,
    GenesisFile,
    LeastHeight,
    Since,
    TrustingDays,
    Witness,
    checked,
    vouching,
    write_file,
)
from cli.tx import TransactionId, id_of

if TYPE_CHECKING:
    from api.reads.running import ReceiptReply
    from client.trust import Trust

app = typer.Typer(no_args_is_help=True, help="Proofs that a transaction is in a block, and of its result.")

Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.")]


@app.command("get")
def get(tx_id: TransactionId, rpc: Rpc, output: Output, as_json: Json = False) -> None:
    """Fetch the receipt of a transaction that is in a block. Acts of officers have none."""
    with calling(rpc, as_json=as_json) as client:
        reply = client.receipt_get(id_of(tx_id, as_json))
    _write(reply, output, as_json)


@app.command("at")
def at(
    block: Annotated[int, typer.Argument(min=1, help="The block's height.")],
    position: Annotated[int, typer.Argument(min=0, help="A position in it; the first is 0.")],
    rpc: Rpc,
    output: Output,
    as_json: Json = False,
) -> None:
    """Fetch the receipt of the transaction at a position of a block, or the proof that it has none there."""
    with calling(rpc, as_json=as_json) as client:
        reply = client.receipt_at(block, position)
    _write(reply, output, as_json)


def _write(reply: "ReceiptReply", output: Path, as_json: bool) -> None:
    write_file(output, reply.receipt, as_json=as_json)
    values = {"ok": True, "file": str(output), "bytes": len(reply.receipt), "height": reply.block}
    show(values | {"position": reply.position, "exists": reply.exists}, as_json=as_json)


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt, as `mohur receipt get` wrote it.")],
    genesis: GenesisFile,
    since: Since = None,
    max_age: Annotated[
        int | None, typer.Option(min=1, help="Seconds that the block may be old; else it may be of any age.")
    ] = None,
    at_least_height: LeastHeight = 0,
    trusting_days: TrustingDays = TRUSTING_DAYS,
    any_trust: AnyTrust = False,
    witness: Witness = None,
    checkpoint: CheckpointFile = None,
    as_json: Json = False,
) -> None:
    """Verify a receipt offline, against the genesis or a checkpoint of yours; show what became of what, when.

    Ends with 6 if it does not verify, or rests on trust that is too old.
    """
    from client.receipts import verify_receipt
    from ledger.codes import Code

    def check(data: bytes, trust: "Trust", now_ms: int) -> Any:
        return verify_receipt(
            data,
            trust,
            now_ms=now_ms,
            max_age_ms=None if max_age is None else max_age * 1_000,
            least_height=at_least_height,
            trusting_ms=None if any_trust else trusting_days * 86_400_000,
        )

    verified = checked(file, genesis, since, check, witness or [], checkpoint, as_json=as_json)
    values = {
        "ok": True,
        "chain": verified.by.chain,
        "height": verified.height,
        "time_ms": verified.time_ms,
        "block_id": verified.block_id.hex(),
        "position": verified.position,
        "count": verified.count,
        "exists": verified.transaction is not None,
    }
    if verified.transaction is not None and verified.result is not None:
        values |= {
            "tx_id": verified.transaction.id.hex(),
            "kind": verified.transaction.definition.name,
            "code": verified.result.code,
            "name": Code(verified.result.code).word,
            "created": list(verified.result.created),
        }
    show(values | vouching(verified.by, witness or []), as_json=as_json)
