"""The FMU confirms that a VASP with a NOC is registered on goAML: a dated fact."""

from msgspec.structs import replace

from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Stage
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.rights import require_stage
from ledger.schema import Index, Name, Payload

FROM = (Stage.NOC, Stage.LICENCE_APPLIED)


class VaspGoaml(Payload, frozen=True):
    """`reference` is the registration's number on goAML."""

    vasp: Index
    reference: Name


def check(ctx: Context, payload: VaspGoaml) -> None:
    vasp = ctx.state.vasps.require(payload.vasp, "vasp")
    require_stage(vasp, "vasp_goaml", FROM)
    if vasp.goaml_ms:
        raise Refused(Code.ALREADY_EXISTS, "vasp.goaml_ms", vasp.goaml_ms)


def apply(ctx: Context, payload: VaspGoaml) -> tuple[int, ...]:
    vasp = ctx.state.vasps[payload.vasp]
    ctx.state.vasps.replace(
        payload.vasp, replace(vasp, goaml_ms=ctx.time_ms, goaml_reference=payload.reference)
    )
    return (payload.vasp,)


KIND = Kind(
    43,
    "vasp_goaml",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspGoaml,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("goaml", "vasp"),
)
