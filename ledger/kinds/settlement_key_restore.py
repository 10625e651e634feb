"""The voting institutions give a VASP its settlement key back, at once and whatever key it has now.

So what PVARA did with a key is undone without PVARA; and whoever has a VASP's key keeps it no longer than
they let him, for their proposal does not fail when he rotates.
"""

from ledger import replacements
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers, Subject
from ledger.kinds import settlement_key_replace
from ledger.kinds.settlement_key_replace import SettlementKeyReplace, check
from ledger.state import State


def apply(ctx: Context, payload: SettlementKeyReplace) -> tuple[int, ...]:
    signer = replacements.rotate(ctx.state, payload.vasp, payload.settlement_key, ctx.height)
    return (payload.vasp, signer)


def rests_on(state: State, payload: SettlementKeyReplace) -> tuple[Subject, ...]:
    """The VASP's key, whichever that is."""
    return (("settlement", payload.vasp),)


def moves(state: State, payload: SettlementKeyReplace) -> tuple[Subject, ...]:
    """The VASP's key, and the one that is in force now."""
    return (*rests_on(state, payload), *settlement_key_replace.rests_on(state, payload))


KIND = Kind(
    87,
    "settlement_key_restore",
    Lane.ACTS,
    Signers.OFFICERS,
    SettlementKeyReplace,
    check,
    apply,
    Cost(450),
    governed=True,
    rests_on=rests_on,
    claims=lambda state, payload: (("key", payload.settlement_key),),
    moves=moves,
)
