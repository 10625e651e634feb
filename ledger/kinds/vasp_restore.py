"""The voting institutions return a VASP that PVARA rejected, suspended or revoked to the stage it had.

PVARA alone turns a VASP away; without this nobody else could ever undo it.
"""

from msgspec.structs import replace

from ledger.cost import Cost
from ledger.documents import Stage
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.rights import require_stage
from ledger.schema import Index, Payload

FROM = (Stage.REJECTED, Stage.SUSPENDED, Stage.REVOKED)


class VaspRestore(Payload, frozen=True):
    vasp: Index


def check(ctx: Context, payload: VaspRestore) -> None:
    require_stage(ctx.state.vasps.require(payload.vasp, "vasp"), "vasp_restore", FROM)


def apply(ctx: Context, payload: VaspRestore) -> tuple[int, ...]:
    vasp = ctx.state.vasps[payload.vasp]
    ctx.state.vasps.replace(payload.vasp, replace(vasp, stage=vasp.returns_to))
    return (payload.vasp,)


KIND = Kind(
    49,
    "vasp_restore",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspRestore,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("vasp", "vasp"),
)
