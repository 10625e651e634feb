"""PVARA restores the KYC of clients whose VASP let it end, so that no VASP can lock a client in.

Until then the VASP may not let it end again; it may renew it. A later restoration replaces this one.
"""

from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from ledger.codes import Code, Refused
from ledger.cost import Cost, items
from ledger.kind import Context, Kind, Lane, Signers, Subject
from ledger.limits import KYC_RESTORE_ROWS_MAX
from ledger.rows import CLOSED, NO_ROW
from ledger.schema import Index, Payload, Seconds
from ledger.state import State


class KycRestore(Payload, frozen=True):
    """`accounts` ascend; `kyc_until` is in seconds of ledger time, after now."""

    accounts: Annotated[tuple[Index, ...], Meta(min_length=1, max_length=KYC_RESTORE_ROWS_MAX)]
    kyc_until: Seconds


def check(ctx: Context, payload: KycRestore) -> None:
    if payload.kyc_until <= ctx.time_s:
        raise Refused(Code.OUT_OF_RANGE, "kyc_until", payload.kyc_until, ctx.time_s)
    for number, (first, second) in enumerate(pairwise(payload.accounts), start=1):
        if first >= second:
            raise Refused(Code.OUT_OF_RANGE, "accounts[]", second, number)
    for number, index in enumerate(payload.accounts):
        account = ctx.state.accounts.require(index, "accounts[]", number)
        if account.vasp == NO_ROW or account.flags & CLOSED:
            raise Refused(Code.WRONG_STATUS, "accounts[]", index, number)


def apply(ctx: Context, payload: KycRestore) -> tuple[int, ...]:
    for index in payload.accounts:
        ctx.state.accounts.set_field(index, "kyc_until", payload.kyc_until)
        ctx.state.accounts.set_field(index, "kyc_floor", payload.kyc_until)
    return ()


def rests_on(state: State, payload: KycRestore) -> tuple[Subject, ...]:
    """What PVARA says of each of the clients: what it says last is what holds."""
    return tuple(("kyc", account) for account in payload.accounts)


KIND = Kind(
    72,
    "kyc_restore",
    Lane.ACTS,
    Signers.OFFICERS,
    KycRestore,
    check,
    apply,
    Cost(300, (items(11, "accounts"),)),
    governed=True,
    rests_on=rests_on,
)
