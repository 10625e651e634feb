"""A VASP enters the register as APPLIED, with the settlement key that will sign for it."""

import re

from ledger.codes import Code, Refused
from ledger.documents import Stage, Vasp
from ledger.kind import Context, Kind, Lane, Signers
from ledger.rows import Role, Signer
from ledger.schema import Name, Payload, PublicKey
from primitives.signatures import enrolment_fault

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class VaspRegister(Payload, frozen=True):
    name: Name
    title: Name
    settlement_key: PublicKey


def check(ctx: Context, payload: VaspRegister) -> None:
    if not NAME.fullmatch(payload.name):
        raise Refused(Code.BAD_IDENTIFIER, "name", payload.name)
    if payload.name in ctx.state.vasp_by_name:
        raise Refused(Code.ALREADY_EXISTS, "name", payload.name)
    fault = enrolment_fault(payload.settlement_key)
    if fault is not None:
        raise Refused(Code.BAD_KEY, "settlement_key", payload.settlement_key, fault)
    if payload.settlement_key in ctx.state.signer_by_key or any(
        node.public_key == payload.settlement_key for node in ctx.state.nodes
    ):
        raise Refused(Code.KEY_ALREADY_ENROLLED, "settlement_key", payload.settlement_key)


def apply(ctx: Context, payload: VaspRegister) -> tuple[int, ...]:
    signer = ctx.state.signers.append(
        Signer(
            public_key=payload.settlement_key,
            role=Role.SETTLEMENT,
            number=0,
            flags=0,
            owner=len(ctx.state.vasps),
            highest=0,
            enrolled_at=ctx.height,
            bitmap=0,
        )
    )
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
    governed=True,
    claims=lambda state, payload: (("vasp", payload.name), ("key", payload.settlement_key)),
)
