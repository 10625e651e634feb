"""PVARA issues its no-objection certificate: the VASP may register, incorporate and file."""

from msgspec.structs import replace

from ledger.cost import Cost
from ledger.documents import Stage
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.rights import require_stage
from ledger.schema import Index, Payload

FROM = (Stage.APPLIED,)


class VaspNoc(Payload, frozen=True):
    vasp: Index


def check(ctx: Context, payload: VaspNoc) -> None:
    require_stage(ctx.state.vasps.require(payload.vasp, "vasp"), "vasp_noc", FROM)


def apply(ctx: Context, payload: VaspNoc) -> tuple[int, ...]:
    vasp = ctx.state.vasps[payload.vasp]
    ctx.state.vasps.replace(
        payload.vasp, replace(vasp, stage=Stage.NOC, returns_to=Stage.NOC, noc_ms=ctx.time_ms)
    )
    return (payload.vasp,)


KIND = Kind(
    41,
    "vasp_noc",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspNoc,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("vasp", "vasp"),
)
