"""PVARA turns an applicant down before it is licensed; it remembers the stage it had."""

from msgspec.structs import replace

from ledger.cost import Cost
from ledger.documents import Stage
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.rights import require_stage
from ledger.schema import Index, Payload

FROM = (
    Stage.APPLIED,
    Stage.NOC,
    Stage.LICENCE_APPLIED,
)


class VaspReject(Payload, frozen=True):
    vasp: Index


def check(ctx: Context, payload: VaspReject) -> None:
    require_stage(ctx.state.vasps.require(payload.vasp, "vasp"), "vasp_reject", FROM)


def apply(ctx: Context, payload: VaspReject) -> tuple[int, ...]:
    vasp = ctx.state.vasps[payload.vasp]
    ctx.state.vasps.replace(payload.vasp, replace(vasp, stage=Stage.REJECTED))
    return (payload.vasp,)


KIND = Kind(
    42,
    "vasp_reject",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspReject,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("vasp", "vasp"),
)
