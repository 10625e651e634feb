"""An institution replaces the key of one of its officers by itself, under its own threshold.

The officer keeps his number. Nobody joins, goes or counts more than before, and title, threshold and roots
stay: all that is the network's to change (`institution_update`).
"""

from msgspec.structs import replace

from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import NONE
from ledger.enrolment import check_key, enrol, retire
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.rows import Role
from ledger.schema import Index, Payload, Proof, PublicKey


class OfficerKeyRotate(Payload, frozen=True):
    """`officer` is the signer whose key ends; `proof` is the new key's own signature under its enrolment for
    an officer of the institution."""

    officer: Index
    key: PublicKey
    proof: Proof


def check(ctx: Context, payload: OfficerKeyRotate) -> None:
    institution = ctx.state.institutions[_proposer(ctx)]
    if payload.officer not in institution.officers:
        raise Refused(Code.NOT_FOUND, "officer", payload.officer)
    check_key(ctx.state, "key", payload.key, payload.proof, Role.OFFICER, (institution.name,))


def apply(ctx: Context, payload: OfficerKeyRotate) -> tuple[int, ...]:
    state, index = ctx.state, _proposer(ctx)
    institution = state.institutions[index]
    number = int(state.signers.field(payload.officer, "number"))
    retire(state, payload.officer)
    signer = enrol(state, payload.key, Role.OFFICER, index, ctx.height, number)
    staying = tuple(officer for officer in institution.officers if officer != payload.officer)
    state.institutions.replace(index, replace(institution, officers=(*staying, signer)))
    return (index, signer)


def _proposer(ctx: Context) -> int:
    """The institution that proposes, or has proposed: the one that the act is about."""
    if ctx.proposal != NONE:
        return ctx.state.proposals[ctx.proposal].institution
    return ctx.officers()[0][1]


KIND = Kind(
    86,
    "officer_key_rotate",
    Lane.ACTS,
    Signers.OFFICERS,
    OfficerKeyRotate,
    check,
    apply,
    Cost(450),
    governed=True,
    rests_on=subject("officer", "officer"),
    claims=lambda state, payload: (("key", payload.key),),
)
