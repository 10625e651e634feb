"""PVARA licenses a VASP for categories of service; both dated facts and an application come first."""

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Stage
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.limits import CATEGORIES_MAX
from ledger.rights import require_stage
from ledger.schema import Index, Name, Payload

FROM = (Stage.LICENCE_APPLIED,)
Categories = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=CATEGORIES_MAX)]


class VaspLicense(Payload, frozen=True):
    """`categories` are some or all of those applied for."""

    vasp: Index
    categories: Categories


def check(ctx: Context, payload: VaspLicense) -> None:
    vasp = ctx.state.vasps.require(payload.vasp, "vasp")
    require_stage(vasp, "vasp_license", FROM)
    if not vasp.goaml_ms:
        raise Refused(Code.STAGE_NOT_REACHED, "vasp.goaml_ms", 0)
    if not vasp.subsidiary_ms:
        raise Refused(Code.STAGE_NOT_REACHED, "vasp.subsidiary_ms", 0)
    check_categories(payload.categories, vasp.applied_categories)


def check_categories(categories: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    """Refuse unless every category is allowed and none stands twice."""
    for number, category in enumerate(categories):
        if category not in allowed:
            raise Refused(Code.NOT_FOUND, "categories[]", category, number)
        if categories.count(category) > 1:
            raise Refused(Code.OUT_OF_RANGE, "categories[]", category, number)


def apply(ctx: Context, payload: VaspLicense) -> tuple[int, ...]:
    vasp = ctx.state.vasps[payload.vasp]
    ctx.state.vasps.replace(
        payload.vasp,
        replace(
            vasp,
            stage=Stage.LICENSED,
            returns_to=Stage.LICENSED,
            licensed_ms=ctx.time_ms,
            categories=payload.categories,
        ),
    )
    return (payload.vasp,)


KIND = Kind(
    45,
    "vasp_license",
    Lane.ACTS,
    Signers.OFFICERS,
    VaspLicense,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("vasp", "vasp"),
)
