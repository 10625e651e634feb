"""A key is enrolled once, ever, whatever for; and no odd key is enrolled at all."""

import pytest

from ledger import enrolment
from ledger.codes import Code
from ledger.execution import Result, execute
from ledger.rows import AccountType, Role
from ledger.state import State
from primitives.signatures import public_key_of
from primitives.zip215 import P, small_order_encodings
from testing.keys import key, prove
from testing.ledger_network import said
from testing.world import GENESIS_HASH, START_MS, START_S, add_signer, add_vasp, new_state, transaction

BINANCE = 0
KYC = b"k" * 32


@pytest.fixture
def state() -> State:
    state = new_state()
    add_vasp(state, "binance")
    add_signer(state, "node mof", Role.NODE, 0)
    return state


def owner_proof(name: str, vasp: str = "binance", kyc: bytes = KYC, role: Role = Role.OWNER) -> bytes:
    return prove(GENESIS_HASH, name, role, vasp, kyc)


def open_accounts(state: State, *owners: tuple[bytes, bytes]) -> Result:
    """Self-custody accounts for these keys, each with its proof."""
    rows = tuple(
        (AccountType.SELF_CUSTODY, KYC, START_S + 86_400, 586, 1, owner_key, proof)
        for owner_key, proof in owners
    )
    sequence = state.signers[BINANCE].highest + 1
    tx = transaction(state, "account_open", {BINANCE: "binance"}, sequence, rows)
    return execute(state, tx, 1, START_MS, START_MS)


def owner(name: str) -> tuple[bytes, bytes]:
    return public_key_of(key(name)), owner_proof(name)


def test_a_new_key_becomes_a_signer_that_owns_its_account(state: State) -> None:
    result = open_accounts(state, owner("alice"))
    account, signer = result.created
    assert state.signers[signer].owner == account
    assert state.accounts[account].owner == signer + 1


@pytest.mark.parametrize("name", ["binance", "alice", "node mof"])
def test_a_key_in_use_is_refused(state: State, name: str) -> None:
    """A settlement key, another client's key, a validator's key."""
    open_accounts(state, owner("alice"))
    result = open_accounts(state, owner(name))
    assert (result.code, said(result).field) == (Code.KEY_ALREADY_ENROLLED, "rows[0].owner_key")


def test_a_key_twice_in_one_transaction_is_refused_and_nothing_is_opened(state: State) -> None:
    result = open_accounts(state, owner("alice"), owner("alice"))
    assert (result.code, said(result).field) == (Code.KEY_ALREADY_ENROLLED, "rows[1].owner_key")
    assert len(state.accounts) == 0


@pytest.mark.parametrize("last", ["alice", "binance"])
def test_what_is_cheap_is_asked_of_every_row_before_any_key_is_looked_into(
    state: State, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """One key too many, repeated or in use, must not cost the proofs of all the others."""
    looked: list[bytes] = []
    monkeypatch.setattr(enrolment, "enrolment_fault", lambda key: looked.append(key))
    monkeypatch.setattr(enrolment, "verify", lambda key, *rest: looked.append(key) or True)
    result = open_accounts(state, owner("alice"), owner("bob"), owner(last))
    assert (result.code, said(result).field) == (Code.KEY_ALREADY_ENROLLED, "rows[2].owner_key")
    assert looked == []


@pytest.mark.parametrize(
    "proof",
    [
        bytes(64),
        owner_proof("bob"),
        owner_proof("alice", vasp="htx"),
        owner_proof("alice", kyc=bytes(32)),
        owner_proof("alice", role=Role.SETTLEMENT),
    ],
)
def test_who_has_read_anothers_key_cannot_enrol_it(state: State, proof: bytes) -> None:
    """Not without its signature, and not with one that it made for another VASP, client or role."""
    result = open_accounts(state, (public_key_of(key("alice")), proof))
    assert (result.code, said(result).field) == (Code.BAD_PROOF, "rows[0].owner_key")
    assert (len(state.accounts), len(state.signers)) == (0, 2)


@pytest.mark.parametrize(
    "odd", [*small_order_encodings(), (2 + P).to_bytes(32, "little"), (2).to_bytes(32, "little")]
)
def test_an_odd_key_is_refused(state: State, odd: bytes) -> None:
    assert open_accounts(state, (odd, bytes(64))).code == Code.BAD_KEY
