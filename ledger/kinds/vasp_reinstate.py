"""PVARA ends a suspension: the VASP returns to the stage it had."""

from msgspec.structs import replace

from ledger.cost import Cost
from ledger.documents import Stage
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.rights import require_stage
from ledger.schema import Index, Payload

FROM = (Stage.SUSPENDED,)


class VaspReinstate(Payload, frozen=True):
    vasp: Index


def check(ctx: Context, payload: VaspReinstate) -> None:
    require_stage(ctx.state.vasps.require(payload.vasp, "vasp"), "vasp_reinstate", FROM)


def apply(ctx: Context, payload: VaspReinstate) -> tuple[int, ...]:
    vasp = ctx.state.vasps[payload.vasp]
    ctx.state.vasps.replace(payload.vasp, replace(vasp, stage=vasp.returns_to))
    return (payload.vasp,)


KIND = Kind(
    47,
    "vasp_reinstate",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspReinstate,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("vasp", "vasp"),
)
