"""PVARA suspends a VASP, which remembers the stage it may be reinstated to."""

from msgspec.structs import replace

from ledger.cost import Cost
from ledger.documents import Stage
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.rights import require_stage
from ledger.schema import Index, Payload

FROM = (
    Stage.NOC,
    Stage.LICENCE_APPLIED,
    Stage.LICENSED,
)


class VaspSuspend(Payload, frozen=True):
    vasp: Index


def check(ctx: Context, payload: VaspSuspend) -> None:
    require_stage(ctx.state.vasps.require(payload.vasp, "vasp"), "vasp_suspend", FROM)


def apply(ctx: Context, payload: VaspSuspend) -> tuple[int, ...]:
    vasp = ctx.state.vasps[payload.vasp]
    ctx.state.vasps.replace(payload.vasp, replace(vasp, stage=Stage.SUSPENDED))
    return (payload.vasp,)


KIND = Kind(
    46,
    "vasp_suspend",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspSuspend,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("vasp", "vasp"),
)
