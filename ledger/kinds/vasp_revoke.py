"""PVARA revokes a VASP, which remembers the stage it had; its clients' holdings may still leave it."""

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
    Stage.SUSPENDED,
)


class VaspRevoke(Payload, frozen=True):
    vasp: Index


def check(ctx: Context, payload: VaspRevoke) -> None:
    require_stage(ctx.state.vasps.require(payload.vasp, "vasp"), "vasp_revoke", FROM)


def apply(ctx: Context, payload: VaspRevoke) -> tuple[int, ...]:
    vasp = ctx.state.vasps[payload.vasp]
    ctx.state.vasps.replace(payload.vasp, replace(vasp, stage=Stage.REVOKED))
    return (payload.vasp,)


KIND = Kind(
    48,
    "vasp_revoke",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspRevoke,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("vasp", "vasp"),
)
