"""Kind 5, `account_update`: a VASP renews, or ends, what it knows of a client.

An `until` at or before now ends the account's eligibility at once, unless PVARA has restored it until later
(`kyc_restore`). Codes: stage_not_reached, frozen, not_found, not_authorised, wrong_status, out_of_range.
"""

from ledger import parameters, rights
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Target
from ledger.kind import Context, Kind, Lane, Signers
from ledger.rows import CLOSED
from ledger.schema import Hash32, Index, Payload, Seconds


class AccountUpdate(Payload, frozen=True):
    account: Index
    kyc: Hash32
    kyc_until: Seconds


def check(ctx: Context, payload: AccountUpdate) -> None:
    index, vasp = ctx.vasp()
    if vasp.frozen:
        raise Refused(Code.FROZEN, "vasp", Target.VASP)
    rights.require(vasp, rights.ACCOUNT_UPDATE, parameters.names(ctx.state, "aml_registered_services"))
    account = ctx.state.accounts.require(payload.account, "account")
    if account.vasp != index:
        raise Refused(Code.NOT_AUTHORISED, "account", payload.account)
    if account.flags & CLOSED:
        raise Refused(Code.WRONG_STATUS, "account", payload.account)
    if payload.kyc_until < account.kyc_floor and account.kyc_floor > ctx.time_s:
        raise Refused(Code.OUT_OF_RANGE, "account.kyc_floor", payload.kyc_until, account.kyc_floor)


def apply(ctx: Context, payload: AccountUpdate) -> tuple[int, ...]:
    ctx.state.accounts.set_field(payload.account, "kyc", payload.kyc)
    ctx.state.accounts.set_field(payload.account, "kyc_until", payload.kyc_until)
    return ()


KIND = Kind(5, "account_update", Lane.TRANSFERS, Signers.VASP, AccountUpdate, check, apply, Cost(30))
