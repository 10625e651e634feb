"""`mohur proof` and `mohur verify`: fetch the proof of a holding, and check it without asking anybody."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.calls import Rpc, calling
from cli.output import Exit, Json, fail, reported, show


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
    genesis: Annotated[Path, typer.Option(help="The genesis file, the only thing that is trusted.")],
    as_json: Json = False,
) -> None:
    """Verify a proof offline against the genesis alone, and show what it proves.

    Ends with 6 if it does not verify.
    """
    from api.limits import PROOF_BYTES_MAX
    from client.verification import ProofRefused, verify_proof
    from config.genesis_file import load_genesis

    with reported(as_json=as_json):
        trusted = load_genesis(genesis)
    try:
        with file.open("rb") as opened:
            proof_bytes = opened.read(PROOF_BYTES_MAX + 1)
    except OSError as error:
        fail(Exit.CONFIG, "proof", f"{file}: cannot be read: {error.strerror}", as_json=as_json)
    try:
        verified = verify_proof(proof_bytes, trusted)
    except ProofRefused as error:
        fail(Exit.INVALID, "proof_refused", f"{file}: {error}", as_json=as_json)
    show({"ok": True, **asdict(verified)}, as_json=as_json)
