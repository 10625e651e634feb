"""A VASP enters the register as APPLIED, with the settlement key that will sign for it."""

from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import NONE, Stage, Vasp
from ledger.enrolment import check_key, enrol
from ledger.identifiers import NAME
from ledger.kind import Context, Kind, Lane, Signers
from ledger.rows import Role
from ledger.schema import Name, Payload, Proof, PublicKey


class VaspRegister(Payload, frozen=True):
    """`proof` is the settlement key's own signature under its enrolment for this name."""

    name: Name
    title: Name
    settlement_key: PublicKey
    proof: Proof


def check(ctx: Context, payload: VaspRegister) -> None:
    if not NAME.fullmatch(payload.name):
        raise Refused(Code.BAD_IDENTIFIER, "name", payload.name)
    if payload.name in ctx.state.vasp_by_name:
        raise Refused(Code.ALREADY_EXISTS, "name", payload.name)
    about = (payload.name,)
    check_key(ctx.state, "settlement_key", payload.settlement_key, payload.proof, Role.SETTLEMENT, about)


def apply(ctx: Context, payload: VaspRegister) -> tuple[int, ...]:
    signer = enrol(ctx.state, payload.settlement_key, Role.SETTLEMENT, len(ctx.state.vasps), ctx.height)
    index = ctx.state.vasps.append(
        Vasp(
            name=payload.name,
            title=payload.title,
            signer=signer,
            stage=Stage.APPLIED,
            returns_to=Stage.APPLIED,
            noc_ms=0,
            goaml_ms=0,
            goaml_reference="",
            subsidiary_ms=0,
            subsidiary_name="",
            subsidiary_number="",
            applied_ms=0,
            applied_categories=(),
            licensed_ms=0,
            categories=(),
            accounts=0,
            frozen=False,
            replacement=NONE,
        )
    )
    return (index, signer)


KIND = Kind(
    40,
    "vasp_register",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspRegister,
    check,
    apply,
    Cost(450),
    governed=True,
    claims=lambda state, payload: (("vasp", payload.name), ("key", payload.settlement_key)),
)
