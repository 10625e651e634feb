"""A VASP files its full licence application, naming the categories of service that it wants to offer."""

from msgspec.structs import replace

from ledger import rights
from ledger.cost import Cost
from ledger.documents import Stage
from ledger.kind import Context, Kind, Lane, Signers
from ledger.kinds.vasp_license import Categories, check_categories
from ledger.schema import Payload


class LicenceApply(Payload, frozen=True):
    categories: Categories


def check(ctx: Context, payload: LicenceApply) -> None:
    _, vasp = ctx.vasp()
    rights.require_stage(vasp, rights.LICENCE_APPLY, rights.RIGHTS[rights.LICENCE_APPLY].stages)
    check_categories(payload.categories, rights.CATEGORIES)


def apply(ctx: Context, payload: LicenceApply) -> tuple[int, ...]:
    index, vasp = ctx.vasp()
    ctx.state.vasps.replace(
        index,
        replace(
            vasp,
            stage=Stage.LICENCE_APPLIED,
            returns_to=Stage.LICENCE_APPLIED,
            applied_ms=ctx.time_ms,
            applied_categories=payload.categories,
        ),
    )
    return (index,)


KIND = Kind(7, "licence_apply", Lane.TRANSFERS, Signers.VASP, LicenceApply, check, apply, Cost(60))
