"""Kind 3, `account_open`: a VASP opens accounts for its clients, or for the clients' money it holds together.

A self-custody account names its owner's public key, which is enrolled as a signer here, once ever and with
its own signature (`ledger.enrolment`). Returns the accounts' indices, then those of the signers enrolled.
Before the licence there is a cap, and nobody is in self-custody. Codes: stage_not_reached, cap_exceeded,
frozen, malformed, bad_key, key_already_enrolled, bad_proof, out_of_range (a KYC that has ended).
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from ledger import parameters, rights
from ledger.codes import Code, Refused
from ledger.cost import Cost, Each, items
from ledger.documents import Target
from ledger.enrolment import check_key, enrol
from ledger.kind import Context, Kind, Lane, Signers
from ledger.limits import ACCOUNT_OPEN_ROWS_MAX
from ledger.proposals import check_unclaimed
from ledger.rows import CUSTODIAL, NO_ROW, Account, AccountType, Role
from ledger.schema import U8, Hash32, Jurisdiction, Payload, ProofOrNone, PublicKeyOrNone, Seconds

TYPES = (AccountType.CUSTODIAL, AccountType.SELF_CUSTODY, AccountType.CLIENT_MONEY)


class AccountRow(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One account; `kyc` is a salted commitment; `owner_key` and its `proof` of possession, for this VASP's
    name and this `kyc`, are empty unless the type is SELF_CUSTODY."""

    type: U8
    kyc: Hash32
    kyc_until: Seconds
    jurisdiction: Jurisdiction
    investor_class: U8
    owner_key: PublicKeyOrNone
    proof: ProofOrNone


class AccountOpen(Payload, frozen=True):
    rows: Annotated[tuple[AccountRow, ...], Meta(min_length=1, max_length=ACCOUNT_OPEN_ROWS_MAX)]


def check(ctx: Context, payload: AccountOpen) -> None:
    state = ctx.state
    _, vasp = ctx.vasp()
    if vasp.frozen:
        raise Refused(Code.FROZEN, "vasp", Target.VASP)
    services = parameters.names(state, "aml_registered_services")
    rights.require(vasp, rights.ACCOUNT_OPEN, services)
    if any(row.type == AccountType.SELF_CUSTODY for row in payload.rows):
        rights.require(vasp, rights.SELF_CUSTODY_OPEN, services)
    if rights.is_capped(vasp):
        cap = parameters.number(state, "aml_accounts_cap")
        if vasp.accounts + len(payload.rows) > cap:
            raise Refused(Code.CAP_EXCEEDED, "rows", vasp.accounts + len(payload.rows), cap)
    keys = set()
    for number, row in enumerate(payload.rows):
        _check_row(ctx, number, row)
        if row.owner_key:
            if row.owner_key in keys or state.signers.find(row.owner_key) is not None:
                raise Refused(Code.KEY_ALREADY_ENROLLED, "rows[].owner_key", row.owner_key, number)
            check_unclaimed(state, ("key", row.owner_key))
            keys.add(row.owner_key)
    for number, row in enumerate(payload.rows):  # what is dear comes last
        if row.owner_key:
            about = (vasp.name, row.kyc)
            check_key(state, "rows[].owner_key", row.owner_key, row.proof, Role.OWNER, about, number)


def _check_row(ctx: Context, number: int, row: AccountRow) -> None:
    if row.type not in TYPES:
        raise Refused(Code.MALFORMED, "rows[].type", row.type, number)
    if row.kyc_until <= ctx.time_s:
        raise Refused(Code.OUT_OF_RANGE, "rows[].kyc_until", row.kyc_until, number, ctx.time_s)
    if bool(row.owner_key) != (row.type == AccountType.SELF_CUSTODY):
        raise Refused(Code.MALFORMED, "rows[].owner_key", row.owner_key, number)
    if row.proof and not row.owner_key:
        raise Refused(Code.MALFORMED, "rows[].proof", row.proof, number)


def apply(ctx: Context, payload: AccountOpen) -> tuple[int, ...]:
    state = ctx.state
    index, vasp = ctx.vasp()
    accounts, signers = [], []
    for row in payload.rows:
        owner = CUSTODIAL
        if row.owner_key:
            signer = enrol(state, row.owner_key, Role.OWNER, len(state.accounts), ctx.height)
            signers.append(signer)
            owner = signer + 1
        accounts.append(
            state.accounts.append(
                Account(
                    index,
                    owner,
                    row.kyc,
                    row.kyc_until,
                    row.jurisdiction,
                    row.investor_class,
                    row.type,
                    NO_ROW,
                    0,
                    NO_ROW,
                )
            )
        )
    state.vasps.replace(index, replace(vasp, accounts=vasp.accounts + len(accounts)))
    return (*accounts, *signers)


def _keys(payload: AccountOpen) -> int:
    return sum(bool(row.owner_key) for row in payload.rows)


KIND = Kind(
    3,
    "account_open",
    Lane.TRANSFERS,
    Signers.VASP,
    AccountOpen,
    check,
    apply,
    Cost(60, (items(12, "rows"), Each(95, "owner_key of rows", _keys))),
)
