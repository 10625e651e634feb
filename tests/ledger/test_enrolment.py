"""A key is enrolled once, ever, whatever for; and no odd key is enrolled at all."""

import pytest

from ledger.codes import Code
from ledger.documents import Node
from ledger.execution import Result, execute
from ledger.rows import AccountType
from ledger.state import State
from primitives.signatures import public_key_of
from primitives.zip215 import P, small_order_encodings
from testing.keys import key
from testing.ledger_network import said
from testing.world import START_MS, START_S, add_vasp, new_state, transaction

BINANCE = 0


@pytest.fixture
def state() -> State:
    state = new_state()
    add_vasp(state, "binance")
    state.nodes.append(Node("mof", 0, public_key_of(key("node mof")), 10, "validator", 0, ()))
    return state


def open_accounts(state: State, *owner_keys: bytes) -> Result:
    rows = tuple(
        (AccountType.SELF_CUSTODY, bytes(32), START_S + 86_400, 586, 1, owner_key) for owner_key in owner_keys
    )
    sequence = state.signers[BINANCE].highest + 1
    tx = transaction(state, "account_open", {BINANCE: "binance"}, sequence, rows)
    return execute(state, tx, 1, START_MS, START_MS)


def test_a_new_key_becomes_a_signer_that_owns_its_account(state: State) -> None:
    result = open_accounts(state, public_key_of(key("alice")))
    account, signer = result.created
    assert state.signers[signer].owner == account
    assert state.accounts[account].owner == signer + 1


@pytest.mark.parametrize("name", ["binance", "alice", "node mof"])
def test_a_key_in_use_is_refused(state: State, name: str) -> None:
    """A settlement key, another client's key, a validator's key."""
    open_accounts(state, public_key_of(key("alice")))
    result = open_accounts(state, public_key_of(key(name)))
    assert (result.code, said(result).field) == (Code.KEY_ALREADY_ENROLLED, "rows[0].owner_key")


def test_a_key_twice_in_one_transaction_is_refused_and_nothing_is_opened(state: State) -> None:
    result = open_accounts(state, public_key_of(key("alice")), public_key_of(key("alice")))
    assert (result.code, said(result).field) == (Code.KEY_ALREADY_ENROLLED, "rows[1].owner_key")
    assert len(state.accounts) == 0


@pytest.mark.parametrize(
    "odd", [*small_order_encodings(), (2 + P).to_bytes(32, "little"), (2).to_bytes(32, "little")]
)
def test_an_odd_key_is_refused(state: State, odd: bytes) -> None:
    assert open_accounts(state, odd).code == Code.BAD_KEY
