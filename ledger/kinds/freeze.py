"""Any one authority freezes an account, a holding, an instrument, a VASP or the whole market, at once.

Each is one field, so a freeze costs the same whatever it covers. A holding keeps a flag of its own beside
that of its account: lifting the one never lifts the other. Which authority acted stands in the proposal,
which is not served publicly.
"""

from msgspec.structs import replace

from ledger.codes import Code, Refused
from ledger.documents import Target
from ledger.kind import Context, Kind, Lane, Signers
from ledger.rows import FROZEN
from ledger.schema import Index, Payload
from ledger.state import State


class Freeze(Payload, frozen=True):
    """`index` is that of the target in its table, 0 for the market."""

    target: Target
    index: Index


def check(ctx: Context, payload: Freeze) -> None:
    if is_frozen(ctx.state, payload.target, payload.index):
        raise Refused(Code.WRONG_STATUS, "target", payload.target.name, "is frozen already")


def apply(ctx: Context, payload: Freeze) -> tuple[int, ...]:
    set_frozen(ctx.state, payload.target, payload.index, frozen=True)
    return (payload.index,)


def is_frozen(state: State, target: Target, index: int) -> bool:
    """Whether the target itself is frozen. Raises Refused(not_found) if there is none."""
    match target:
        case Target.ACCOUNT:
            return bool(state.accounts.require(index, "index").flags & FROZEN)
        case Target.HOLDING:
            return bool(state.holdings.require(index, "index").flags & FROZEN)
        case Target.INSTRUMENT:
            return state.instruments.require(index, "index").frozen
        case Target.VASP:
            return state.vasps.require(index, "index").frozen
        case Target.MARKET:
            if index != 0:
                raise Refused(Code.NOT_FOUND, "index", index, "there is one market, index 0")
            return state.chain_record.market_frozen


def set_frozen(state: State, target: Target, index: int, *, frozen: bool) -> None:
    """Write the one field that says so."""
    match target:
        case Target.ACCOUNT:
            flags = state.accounts[index].flags
            state.accounts.set_field(index, "flags", flags | FROZEN if frozen else flags & ~FROZEN)
        case Target.HOLDING:
            flags = state.holdings[index].flags
            state.holdings.set_field(index, "flags", flags | FROZEN if frozen else flags & ~FROZEN)
        case Target.INSTRUMENT:
            state.instruments.replace(index, replace(state.instruments[index], frozen=frozen))
        case Target.VASP:
            state.vasps.replace(index, replace(state.vasps[index], frozen=frozen))
        case Target.MARKET:
            state.chain.replace(0, replace(state.chain_record, market_frozen=frozen))


KIND = Kind(70, "freeze", Lane.ACTS, Signers.OFFICERS, Freeze, check, apply, governed=True)
