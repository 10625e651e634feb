"""Kind 8, `settlement_key_rotate`: a VASP replaces its settlement key, at whatever stage it stands.

The key that is replaced signs, and from then on nothing more: later transactions of this block, and those
that wait, are refused. The new one begins with a window of its own. A pending replacement of the key ends: it
is not lost. Codes: frozen (the VASP itself is), bad_key, key_already_enrolled, bad_proof, claimed.
"""

from ledger import replacements
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Target
from ledger.enrolment import check_key
from ledger.kind import Context, Kind, Lane, Signers
from ledger.proposals import check_unclaimed
from ledger.rows import Role
from ledger.schema import Payload, Proof, PublicKey


class SettlementKeyRotate(Payload, frozen=True):
    """`proof` is the new key's own signature under its enrolment for this VASP's name."""

    settlement_key: PublicKey
    proof: Proof


def check(ctx: Context, payload: SettlementKeyRotate) -> None:
    _, vasp = ctx.vasp()
    if vasp.frozen:
        raise Refused(Code.FROZEN, "vasp", Target.VASP)
    about = (vasp.name,)
    check_key(ctx.state, "settlement_key", payload.settlement_key, payload.proof, Role.SETTLEMENT, about)
    check_unclaimed(ctx.state, ("key", payload.settlement_key))


def apply(ctx: Context, payload: SettlementKeyRotate) -> tuple[int, ...]:
    index, _ = ctx.vasp()
    return (replacements.rotate(ctx.state, index, payload.settlement_key, ctx.height),)


KIND = Kind(
    8, "settlement_key_rotate", Lane.TRANSFERS, Signers.VASP, SettlementKeyRotate, check, apply, Cost(250)
)
