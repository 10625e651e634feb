"""PVARA has a VASP's settlement key replaced that is lost, after a public waiting time.

Until then the key in force is in force, and ends the replacement by rotating (`settlement_key_rotate`) unless
the VASP is frozen. A later replacement takes the place of one that is pending, and waits anew.
"""

from ledger import parameters, replacements
from ledger.cost import Cost
from ledger.enrolment import check_key
from ledger.kind import Context, Kind, Lane, Signers, Subject
from ledger.rows import Role
from ledger.schema import Index, Payload, Proof, PublicKey
from ledger.state import State


class SettlementKeyReplace(Payload, frozen=True):
    """`proof` is the new key's own signature under its enrolment for this VASP's name."""

    vasp: Index
    settlement_key: PublicKey
    proof: Proof


def check(ctx: Context, payload: SettlementKeyReplace) -> None:
    vasp = ctx.state.vasps.require(payload.vasp, "vasp")
    about = (vasp.name,)
    check_key(ctx.state, "settlement_key", payload.settlement_key, payload.proof, Role.SETTLEMENT, about)


def apply(ctx: Context, payload: SettlementKeyReplace) -> tuple[int, ...]:
    due_ms = ctx.time_ms + 1_000 * parameters.number(ctx.state, "settlement_key_wait_s")
    signer = replacements.announce(ctx.state, payload.vasp, payload.settlement_key, ctx.height, due_ms)
    return (payload.vasp, signer)


def rests_on(state: State, payload: SettlementKeyReplace) -> tuple[Subject, ...]:
    """The VASP's key in force: approvals to replace it are not for its successor."""
    return (("settlement", payload.vasp, state.vasps[payload.vasp].signer),)


KIND = Kind(
    85,
    "settlement_key_replace",
    Lane.ACTS,
    Signers.OFFICERS,
    SettlementKeyReplace,
    check,
    apply,
    Cost(450),
    governed=True,
    rests_on=rests_on,
    claims=lambda state, payload: (("key", payload.settlement_key),),
)
