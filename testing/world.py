"""A small ledger built straight into its tables, for tests that need accounts and balances and no history."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from ledger import balances, documents, parameters, rows, terms, transfers
from ledger.documents import InstrumentStatus, Register, Stage
from ledger.kinds import BY_NAME
from ledger.postings import Movement
from ledger.state import State
from ledger.tables import DocumentTable
from ledger.terms import Act, Terms
from ledger.terms.discount import Discount
from ledger.transactions import Transaction, assemble, decode_transaction, encode_body, sign_input
from primitives.signatures import public_key_of, sign
from testing.keys import key

GENESIS_HASH = sha256(b"a chain for tests").digest()
START_MS = 1_700_000_000_000
START_S = START_MS // 1_000
PAKISTAN = 586
BILL_TERMS = Discount(500_000, 19_000, 40_000, 0)  # matures long after any test


def new_state() -> State:
    """A state with the chain's record and the default parameters, nothing else."""
    state = State.empty()
    state.chain.append(documents.ChainRecord("test", True, START_MS, 0, 0, False, GENESIS_HASH))
    for name, bounds in parameters.bounds_at(state.version).items():
        state.parameters.append(documents.Parameter(name, bounds.first))
    state.versions.append(documents.Version(1, 1, documents.VersionStatus.IN_FORCE, 0))
    return state


def add_signer(state: State, name: str, role: rows.Role, owner: int) -> int:
    return state.signers.append(rows.Signer(public_key_of(key(name)), role, 0, 0, owner, 0, 0, 0))


def add_vasp(
    state: State, name: str, stage: Stage = Stage.LICENSED, categories: tuple[str, ...] = ("exchange",)
) -> int:
    """A VASP whose settlement key is `key(name)`."""
    signer = add_signer(state, name, rows.Role.SETTLEMENT, len(state.vasps))
    return state.vasps.append(
        documents.Vasp(
            name, name, signer, stage, stage, 1, 1, "", 1, "", "", 1, categories, 1, categories, 0, False,
            documents.NONE,
        )
    )  # fmt: skip


def add_instrument(state: State, code: str, terms: Terms = BILL_TERMS) -> int:
    return state.instruments.append(
        documents.Instrument(
            code=code,
            status=InstrumentStatus.ACTIVE,
            supply=0,
            frozen=False,
            jurisdictions=(),
            classes=(),
            cash=-1,
            programme=-1,
            terms_hash=bytes(32),
            register=Register.NATIVE,
            reference="",
            treasury_holding=-1,
            treasury_cash=-1,
            pool_cash=-1,
            redemption=-1,
            redeemed_ms=0,
            terms=terms,
        )
    )


def add_account(
    state: State,
    vasp: int,
    type: rows.AccountType = rows.AccountType.CUSTODIAL,
    *,
    owner: int = rows.CUSTODIAL,
    kyc_until: int = rows.FOREVER,
    jurisdiction: int = PAKISTAN,
    investor_class: int = 1,
    flags: int = 0,
) -> int:
    return state.accounts.append(
        rows.Account(
            vasp,
            owner,
            bytes(32),
            kyc_until,
            jurisdiction,
            investor_class,
            type,
            rows.NO_ROW,
            flags,
            rows.NO_ROW,
        )
    )


def add_holding(
    state: State, account: int, instrument: int, balance: int, locked: int = 0, flags: int = 0
) -> int:
    index = transfers.open_holding(state, account, instrument, START_MS)
    if balance:
        balances.mint(state, Movement.ISSUE, index, balance)
        if terms.may(state.instruments[instrument].terms, Act.FUND):
            debit = sha256(len(state.debits).to_bytes(4, "big")).digest()
            state.debits.append(documents.FundingDebit(debit, instrument, index, balance, 0, START_MS))
    if locked:
        state.holdings.set_field(index, "locked", locked)
    if flags:
        state.holdings.set_field(index, "flags", flags)
    return index


def change(table: DocumentTable[Any], index: int, **fields: object) -> None:
    """Replace some fields of one document."""
    table.replace(index, replace(table[index], **fields))


def transaction(
    state: State, kind: str, signers: dict[int, str], sequence: int, *fields: object, valid_for_s: int = 60
) -> Transaction:
    """A signed transaction; `signers` maps indices to the names of keys."""
    definition = BY_NAME[kind]
    body = encode_body(
        definition,
        sorted(signers),
        sequence,
        START_S + valid_for_s,
        definition.payload(*fields),
    )
    message = sign_input(GENESIS_HASH, body)
    return decode_transaction(
        assemble(body, [sign(key(signers[index]), message) for index in sorted(signers)])
    )


def add_clients(
    state: State, accounts: Iterable[Mapping[str, Any]], holdings: Iterable[Mapping[str, Any]]
) -> None:
    """Add what a plain model says there is: accounts with vasp, type, until, jurisdiction, class, frozen and
    closed; holdings with account, instrument, balance, locked and frozen."""
    for account in accounts:
        add_account(
            state,
            account["vasp"],
            rows.AccountType(account["type"]),
            owner=99 if account["type"] == rows.AccountType.SELF_CUSTODY else 0,
            kyc_until=account["until"],
            jurisdiction=account["jurisdiction"],
            investor_class=account["class"],
            flags=account["frozen"] * rows.FROZEN + account["closed"] * rows.CLOSED,
        )
    for holding in holdings:
        add_holding(
            state,
            holding["account"],
            holding["instrument"],
            holding["balance"],
            holding["locked"],
            holding["frozen"] * rows.FROZEN,
        )
