"""What holds assets back: freezes, each open until it is lifted, and what they hold of the pay-outs they met.

The rule: an open freeze holds its target and what the target's units become. Nobody moves anything into or
out of a frozen account, holding, instrument, VASP or market; what frozen units are paid out as is held to
the exact amount, in whatever holding it was paid into, by the very freezes that held the units. A lift ends
one freeze. What no open freeze holds is then free, and nothing else. A freeze that comes after the redemption
would hold nothing, and there is none: what holders were paid is cash in their accounts, to be frozen there.

A payment stays in the account of its holder, so that freezes of the account, its VASP or the market hold it
as they are; only a freeze of the one holding has to follow it. The flags by which transfers ask are derived:
set while an open freeze holds the target.
"""

from collections import Counter

import numpy as np
from msgspec.structs import replace

from ledger.balances import lock, unlock
from ledger.codes import Code, InvariantError, Refused
from ledger.documents import ALL, NONE, OfferStatus, Restriction, RestrictionKind, Target
from ledger.kind import Subject
from ledger.limits import FREEZES_OPEN_MAX
from ledger.rows import FROZEN
from ledger.state import State


def check_target(state: State, target: Target, index: int) -> None:
    """Refuse a target that there is not, or that holds nothing any more. Raises Refused(not_found,
    wrong_status)."""
    match target:
        case Target.ACCOUNT:
            state.accounts.require(index, "index")
        case Target.HOLDING:
            state.holdings.require(index, "index")
        case Target.INSTRUMENT:
            state.instruments.require(index, "index")
        case Target.VASP:
            state.vasps.require(index, "index")
        case Target.MARKET:
            if index != 0:
                raise Refused(Code.NOT_FOUND, "index", index)
    instrument = _instrument(state, target, index)
    if instrument != NONE and (redeemed_ms := state.instruments[instrument].redeemed_ms):
        raise Refused(Code.WRONG_STATUS, "instrument.redeemed_ms", redeemed_ms)


def check_room(state: State, target: Target, index: int, institution: int) -> None:
    """Refuse one more freeze of the target by an institution that has as many open as it may; those of others
    do not count. Raises Refused(limit_exceeded)."""
    freezes = (state.restrictions[number] for number in _freezes(state, target, index))
    own = sum(state.proposals[freeze.proposal].institution == institution for freeze in freezes)
    if own >= FREEZES_OPEN_MAX:
        raise Refused(Code.LIMIT_EXCEEDED, "index", index)


def _instrument(state: State, target: Target, index: int) -> int:
    """The instrument whose units such a target holds, NONE if they may be of any."""
    if target is Target.HOLDING:
        return int(state.holdings.field(index, "instrument"))
    return index if target is Target.INSTRUMENT else NONE


def rests_on(state: State, target: Target, index: int) -> tuple[Subject, ...]:
    """What approvals to freeze it are for: the target since the last lift, while there are units to hold."""
    instrument = _instrument(state, target, index)
    held: tuple[Subject, ...] = () if instrument == NONE else (("held", instrument),)
    return (lifted(target, index), *held)


def lifted(target: Target, index: int) -> Subject:
    """What the lift of a freeze of it moves."""
    return ("target", int(target), index)


def freeze(state: State, target: Target, index: int, proposal: int, time_ms: int) -> int:
    """Hold all of the target back; the restriction's index. Others on the same target stand beside it."""
    opened = state.restrictions.append(
        Restriction(RestrictionKind.FREEZE, target, index, ALL, (), proposal, time_ms, 0)
    )
    _set_flag(state, target, index, frozen=True)
    return opened


def check_lift(state: State, index: int) -> None:
    """Refuse unless restriction `index` is an open freeze that was ordered, not one that follows from it."""
    restriction = state.restrictions.require(index, "restriction")
    if restriction.causes:
        raise Refused(Code.WRONG_STATUS, "restriction", index, restriction.causes[0])
    if restriction.ended_ms:
        raise Refused(Code.WRONG_STATUS, "restriction", index)


def lift(state: State, index: int, time_ms: int) -> None:
    """End the freeze, and what it alone holds."""
    ended = _end(state, index, time_ms)
    if not is_frozen(state, ended.target, ended.index):
        _set_flag(state, ended.target, ended.index, frozen=False)
    for number in state.restrictions.members(index):
        paid = state.restrictions[number]
        if all(state.restrictions[cause].ended_ms for cause in paid.causes):
            _end(state, number, time_ms)
            unlock(state, paid.index, paid.amount)


def hold_payment(state: State, source: int, target: int, amount: int, time_ms: int) -> None:
    """Hold back `amount`, which was just paid into the holding `target` for units of the holding `source`,
    by the freezes of `source`. Does nothing if there are none."""
    causes = _freezes(state, Target.HOLDING, source)
    if not causes:
        return
    lock(state, target, amount)
    state.restrictions.append(
        Restriction(RestrictionKind.FREEZE, Target.HOLDING, target, amount, causes, NONE, time_ms, 0)
    )


def check_all(state: State) -> None:
    """Assert that all flags and locked amounts are those that open restrictions and offers ask for, no more
    and no less. Raises InvariantError."""
    locked: Counter[int] = Counter()
    frozen: set[tuple[Target, int]] = set()
    for restriction in state.restrictions:
        if restriction.ended_ms:
            continue
        if restriction.amount == ALL:
            frozen.add((restriction.target, restriction.index))
        else:
            locked[restriction.index] += restriction.amount
    for offer in state.offers:
        if offer.status is OfferStatus.OPEN:
            locked[state.instruments[offer.instrument].treasury_holding] += offer.units - offer.taken
    flagged = {(Target.MARKET, 0)} if state.chain_record.market_frozen else set()
    flagged |= {(Target.INSTRUMENT, index) for index, item in enumerate(state.instruments) if item.frozen}
    flagged |= {(Target.VASP, index) for index, item in enumerate(state.vasps) if item.frozen}
    for target, table in ((Target.ACCOUNT, state.accounts), (Target.HOLDING, state.holdings)):
        flagged |= {(target, index) for index in np.flatnonzero(table.column("flags") & FROZEN).tolist()}
    if flagged != frozen:
        raise InvariantError(f"frozen flags {sorted(flagged ^ frozen)} differ from the open freezes")
    holdings = np.flatnonzero(state.holdings.column("locked")).tolist()
    found = {index: int(state.holdings.field(index, "locked")) for index in holdings}
    if found != {index: amount for index, amount in locked.items() if amount}:
        raise InvariantError("locked amounts differ from those of the open offers and restrictions")


def is_frozen(state: State, target: Target, index: int) -> bool:
    """Whether an open freeze holds all of this very target."""
    return bool(_freezes(state, target, index))


def _freezes(state: State, target: Target, index: int) -> tuple[int, ...]:
    return tuple(
        number
        for number in state.restrictions.members((target, index))
        if state.restrictions[number].amount == ALL
    )


def _end(state: State, index: int, time_ms: int) -> Restriction:
    ended = replace(state.restrictions[index], ended_ms=time_ms)
    state.restrictions.replace(index, ended)
    return ended


def _set_flag(state: State, target: Target, index: int, *, frozen: bool) -> None:
    """Write the one field by which transfers ask whether the target is frozen."""
    match target:
        case Target.ACCOUNT:
            flags = int(state.accounts.field(index, "flags"))
            state.accounts.set_field(index, "flags", flags | FROZEN if frozen else flags & ~FROZEN)
        case Target.HOLDING:
            flags = int(state.holdings.field(index, "flags"))
            state.holdings.set_field(index, "flags", flags | FROZEN if frozen else flags & ~FROZEN)
        case Target.INSTRUMENT:
            state.instruments.replace(index, replace(state.instruments[index], frozen=frozen))
        case Target.VASP:
            state.vasps.replace(index, replace(state.vasps[index], frozen=frozen))
        case Target.MARKET:
            state.chain.replace(0, replace(state.chain_record, market_frozen=frozen))
