"""A borrowing programme and its cap in US cents, within what all programmes together may reach."""

from ledger import parameters
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Programme
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.schema import Amount, Name, Payload


class ProgrammeCreate(Payload, frozen=True):
    name: Name
    cap_cents: Amount


def check(ctx: Context, payload: ProgrammeCreate) -> None:
    if payload.name in ctx.state.programmes.by_key:
        raise Refused(Code.ALREADY_EXISTS, "name", payload.name)
    cap = parameters.number(ctx.state, "programmes_cap_cents")
    total = payload.cap_cents + sum(programme.cap_cents for programme in ctx.state.programmes)
    if total > cap:
        raise Refused(Code.CAP_EXCEEDED, "cap_cents", payload.cap_cents, total, cap)


def apply(ctx: Context, payload: ProgrammeCreate) -> tuple[int, ...]:
    return (ctx.state.programmes.append(Programme(payload.name, payload.cap_cents, ctx.time_ms)),)


KIND = Kind(
    50,
    "programme_create",
    Lane.ACTS,
    Signers.OFFICERS,
    ProgrammeCreate,
    check,
    apply,
    Cost(2_000),
    governed=True,
    claims=subject("programme", "name"),
)
