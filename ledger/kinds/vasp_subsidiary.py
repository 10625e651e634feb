"""The SECP confirms a VASP's local subsidiary, by name and number: a dated fact, in any order with goAML."""

from msgspec.structs import replace

from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Stage
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.rights import require_stage
from ledger.schema import Index, Name, Payload

FROM = (Stage.NOC, Stage.LICENCE_APPLIED)


class VaspSubsidiary(Payload, frozen=True):
    """`name` and `number` are those of the company register."""

    vasp: Index
    name: Name
    number: Name


def check(ctx: Context, payload: VaspSubsidiary) -> None:
    vasp = ctx.state.vasps.require(payload.vasp, "vasp")
    require_stage(vasp, "vasp_subsidiary", FROM)
    if vasp.subsidiary_ms:
        raise Refused(Code.ALREADY_EXISTS, "vasp.subsidiary_ms", vasp.subsidiary_ms)


def apply(ctx: Context, payload: VaspSubsidiary) -> tuple[int, ...]:
    vasp = ctx.state.vasps[payload.vasp]
    ctx.state.vasps.replace(
        payload.vasp,
        replace(
            vasp,
            subsidiary_ms=ctx.time_ms,
            subsidiary_name=payload.name,
            subsidiary_number=payload.number,
        ),
    )
    return (payload.vasp,)


KIND = Kind(
    44,
    "vasp_subsidiary",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspSubsidiary,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("subsidiary", "vasp"),
)
