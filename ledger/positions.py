"""The ledger's own positions: accounts of institutions and pools, and their holdings."""

from ledger import rows
from ledger.codes import InvariantError
from ledger.documents import NONE
from ledger.rows import Account, AccountType
from ledger.state import State
from ledger.transfers import open_holding

_NO_KYC = bytes(32)


def open_institution_account(state: State, institution: int) -> int:
    """An account of an institution, moved only by the institutions' acts; its index."""
    return _open_account(state, AccountType.INSTITUTION, institution)


def open_pool_account(state: State) -> int:
    """A redemption pool, moved only by the ledger; its index."""
    return _open_account(state, AccountType.POOL, rows.NO_ROW)


def ensure_holding(state: State, account: int, instrument: int, time_ms: int) -> int:
    """The account's holding in `instrument`, opened if there is none; its index."""
    found = state.holding_of(account, instrument)
    if found is not None:
        return found
    return open_holding(state, account, instrument, time_ms)


def treasury_account(state: State) -> int:
    """The account of the institution that issues."""
    account = state.institutions[state.chain_record.treasury_institution].treasury
    if account == NONE:
        raise InvariantError("the treasury institution has no account")
    return account


def _open_account(state: State, account_type: AccountType, institution: int) -> int:
    return state.accounts.append(
        Account(
            vasp=rows.NO_ROW,
            owner=rows.CUSTODIAL,
            kyc=_NO_KYC,
            kyc_until=rows.FOREVER,
            jurisdiction=0,
            investor_class=0,
            type=account_type,
            first_holding=rows.NO_ROW,
            flags=0,
            institution=institution,
        )
    )
