"""Blocks: each included transaction uses its sequence, results are exact, nothing raises, all conserves."""

import dataclasses
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import balances, conservation, rows, transfers
from ledger.codes import Code, InvariantError, Refused
from ledger.documents import Node, NodeRole, Stage
from ledger.execution import BlockFacts, BlockOutcome, Offence, Result, apply_block, outcome_root
from ledger.fields import FIELDS
from ledger.kinds import transfer
from ledger.kinds.account_open import AccountRow
from ledger.limits import OFFENDED_MAX
from ledger.postings import Movement
from ledger.rows import AccountType, Role
from ledger.state import State
from ledger.transactions import Transaction
from ledger.validators import count_offence, may_offend
from primitives.codec import pack, unpack
from testing import world
from testing.keys import NAMES, prove, public
from testing.ledger_network import said
from testing.world import GENESIS_HASH, START_MS, START_S, transaction

SBP, BINANCE, HTX, OWNER = 0, 1, 2, 3
KEYS = {SBP: "officer", BINANCE: "binance", HTX: "htx", OWNER: "owner"}


def market() -> State:
    """What `opening` says, hashed."""
    state = opening()
    state.rehash()
    return state


def opening() -> State:
    """Two licensed VASPs; accounts 0 (binance), 1 (htx), 2 (self-custody at binance), 100 bills each."""
    state = world.new_state()
    world.add_signer(state, "officer", Role.OFFICER, 0)
    world.add_vasp(state, "binance")
    world.add_vasp(state, "htx")
    world.add_instrument(state, "PK0012345671")
    world.add_instrument(state, "PK0012345689")
    world.add_signer(state, "owner", Role.OWNER, 2)
    for vasp, type, owner in (
        (0, AccountType.CUSTODIAL, 0),
        (1, AccountType.CUSTODIAL, 0),
        (0, AccountType.SELF_CUSTODY, OWNER + 1),
    ):
        account = world.add_account(state, vasp, type, owner=owner)
        world.add_holding(state, account, 0, 100)
    return state


def signed(state: State, kind: str, signer: int, sequence: int, *fields: object) -> Transaction:
    return transaction(state, kind, {signer: KEYS[signer]}, sequence, *fields)


def run(state: State, *transactions: Transaction, height: int = 1) -> BlockOutcome:
    return apply_block(state, BlockFacts(height, START_MS + height), transactions)


def result(state: State, *transactions: Transaction) -> Result:
    return run(state, *transactions).results[-1]


def batch(*moves: tuple[int, int, int]) -> bytes:
    return np.array(list(moves), rows.TRANSFER_ROW).tobytes()


def client(type: int = 0, key: bytes = b"", until: int = START_S + 10) -> AccountRow:
    kyc = b"c" * 32
    name = NAMES.get(key)
    proof = b"" if name is None else prove(GENESIS_HASH, name, Role.OWNER, "binance", kyc)
    return AccountRow(type, kyc, until, 586, 1, key, proof if key else b"")


def test_a_transfer_is_executed_and_its_sequence_used() -> None:
    state = market()
    assert result(state, signed(state, "transfer", BINANCE, 1, 0, 1, 30)) == Result(0, 0, (), (), b"")
    assert state.holdings.column("balance").tolist() == [70, 130, 100]
    assert (state.signers[BINANCE].highest, state.signers[BINANCE].bitmap) == (1, 1)


def test_a_refused_transaction_uses_its_sequence_and_changes_nothing_else() -> None:
    state = market()
    outcome = result(state, signed(state, "transfer", BINANCE, 5, 0, 1, 101))
    assert (outcome.code, outcome.field, outcome.values) == (Code.OVERDRAFT, FIELDS["amount"], (101, 100))
    assert said(outcome) == ("amount", "101", "at most 100 is available")
    assert state.holdings.column("balance").tolist() == [100, 100, 100]
    assert state.signers[BINANCE].highest == 5


def test_a_sequence_that_is_used_twice_is_a_result_and_not_an_error() -> None:
    state = market()
    outcome = run(
        state,
        signed(state, "transfer", BINANCE, 1, 0, 1, 1),
        signed(state, "transfer", BINANCE, 1, 0, 1, 2),
        signed(state, "transfer", BINANCE, 66, 0, 1, 2),
    )
    assert [r.code for r in outcome.results] == [Code.OK, Code.SEQUENCE_USED, Code.SEQUENCE_AHEAD]
    assert state.signers[BINANCE].highest == 1


def test_a_signer_that_does_not_exist_is_a_result_and_not_an_error() -> None:
    state = market()
    assert result(state, transaction(state, "transfer", {9: "x"}, 1, 0, 1, 1)).code == Code.UNKNOWN_SIGNER


@pytest.mark.parametrize(
    ("kind", "signer", "fields"),
    [
        ("transfer", SBP, (0, 1, 1)),
        ("transfer_batch", SBP, (batch((0, 1, 1)),)),
        ("account_open", SBP, ((client(),),)),
        ("account_open", OWNER, ((client(),),)),
        ("holding_open", SBP, (bytes(8),)),
        ("account_update", SBP, (0, bytes(32), 1)),
        ("account_update", OWNER, (2, bytes(32), 1)),
        ("transfer", HTX, (0, 1, 1)),
        ("transfer", OWNER, (0, 1, 1)),
        ("transfer", BINANCE, (2, 1, 1)),
        ("holding_open", HTX, (np.array([0, 1], "<u4").tobytes(),)),
        ("holding_open", OWNER, (np.array([0, 1], "<u4").tobytes(),)),
        ("account_update", HTX, (0, bytes(32), 1)),
    ],
)
def test_the_wrong_actor_is_not_authorised(kind: str, signer: int, fields: tuple[object, ...]) -> None:
    state = market()
    assert result(state, signed(state, kind, signer, 1, *fields)).code == Code.NOT_AUTHORISED


def test_a_kind_for_one_key_is_not_signed_by_two() -> None:
    state = market()
    both = transaction(state, "transfer", {BINANCE: "binance", HTX: "htx"}, 1, 0, 1, 1)
    assert result(state, both).code == Code.NOT_AUTHORISED


def test_rows_of_a_batch_have_codes_of_their_own() -> None:
    state = market()
    moves = batch((0, 1, 60), (0, 1, 60), (2, 1, 1), (0, 1, 40))
    outcome = result(state, signed(state, "transfer_batch", BINANCE, 1, moves))
    assert outcome.code == Code.OK
    assert np.frombuffer(outcome.rows, "<u2").tolist() == [0, Code.OVERDRAFT, Code.NOT_AUTHORISED, 0]
    assert state.holdings.column("balance").tolist() == [0, 200, 100]


def test_a_batch_that_passes_whole_has_no_row_codes() -> None:
    state = market()
    outcome = result(state, signed(state, "transfer_batch", BINANCE, 1, batch((0, 1, 1), (0, 1, 2))))
    assert (outcome.code, outcome.rows) == (Code.OK, b"")


@pytest.mark.parametrize("data", [b"", bytes(15), bytes(17)])
def test_a_batch_that_is_not_whole_rows_is_malformed(data: bytes) -> None:
    state = market()
    assert result(state, signed(state, "transfer_batch", BINANCE, 1, data)).code == Code.MALFORMED


def test_accounts_open_with_dense_indices_and_enrol_their_owners() -> None:
    state = market()
    own = public("new owner")
    outcome = result(state, signed(state, "account_open", BINANCE, 1, (client(), client(1, own), client(2))))
    assert (outcome.code, outcome.created) == (Code.OK, (3, 4, 5, 4))
    assert state.vasps[0].accounts == 3
    assert state.accounts[3].owner == rows.CUSTODIAL
    assert state.accounts[4].owner == 4 + 1
    assert (state.signers[4].public_key, state.signers[4].role, state.signers[4].owner) == (
        own,
        Role.OWNER,
        4,
    )
    assert state.accounts[5].first_holding == rows.NO_ROW


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (client(3), Code.MALFORMED),
        (client(4), Code.MALFORMED),
        (client(1), Code.MALFORMED),
        (client(0, public("new")), Code.MALFORMED),
        (client(1, public("htx")), Code.KEY_ALREADY_ENROLLED),
        (client(1, bytes(32)), Code.BAD_KEY),
        (client(1, b"k" * 31), Code.BAD_KEY),
        (client(0, b"", START_S), Code.OUT_OF_RANGE),
    ],
)
def test_a_bad_row_opens_no_account_at_all(row: AccountRow, code: Code) -> None:
    state = market()
    outcome = result(state, signed(state, "account_open", BINANCE, 1, (client(), row)))
    assert outcome.code == code
    assert said(outcome).field.startswith("rows[1].")
    assert (len(state.accounts), len(state.signers)) == (3, 4)


def test_a_key_is_not_enrolled_twice_in_one_batch() -> None:
    state = market()
    row = client(1, public("new owner"))
    outcome = result(state, signed(state, "account_open", BINANCE, 1, (row, row)))
    assert outcome.code == Code.KEY_ALREADY_ENROLLED


def test_before_the_licence_accounts_are_capped_and_distribution_is_closed() -> None:
    state = market()
    world.change(state.vasps, 0, stage=Stage.NOC)
    outcome = run(
        state,
        signed(state, "account_open", BINANCE, 1, (client(),) * 10),
        signed(state, "account_open", BINANCE, 2, (client(),)),
        signed(state, "transfer", HTX, 1, 1, 0, 1),
        signed(state, "holding_open", BINANCE, 3, np.array([0, 1], "<u4").tobytes()),
    )
    codes = [r.code for r in outcome.results]
    assert codes == [Code.OK, Code.CAP_EXCEEDED, Code.STAGE_NOT_REACHED, Code.STAGE_NOT_REACHED]
    assert "LICENSED" in said(outcome.results[2]).rule


def test_without_goaml_registration_no_account_is_opened() -> None:
    state = market()
    world.change(state.vasps, 0, stage=Stage.NOC, goaml_ms=0)
    assert (
        result(state, signed(state, "account_open", BINANCE, 1, (client(),))).code == Code.STAGE_NOT_REACHED
    )


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("account_open", ((client(),),)),
        ("holding_open", (np.array([0, 1], "<u4").tobytes(),)),
        ("account_update", (0, bytes(32), 1)),
    ],
)
def test_a_frozen_vasp_opens_and_updates_nothing(kind: str, fields: tuple[object, ...]) -> None:
    state = market()
    world.change(state.vasps, 0, frozen=True)
    assert result(state, signed(state, kind, BINANCE, 1, *fields)).code == Code.FROZEN


def test_holdings_of_an_account_form_a_list() -> None:
    state = market()
    outcome = result(
        state, signed(state, "holding_open", BINANCE, 1, np.array([0, 1, 2, 1], "<u4").tobytes())
    )
    assert outcome.created == (3, 4)
    assert list(state.holdings_of(0)) == [3, 0]
    assert (state.holding_of(0, 0), state.holding_of(0, 1), state.holding_of(1, 1)) == (0, 3, None)


def test_an_owner_opens_a_holding_of_its_own() -> None:
    state = market()
    outcome = result(state, signed(state, "holding_open", OWNER, 1, np.array([2, 1], "<u4").tobytes()))
    assert (outcome.code, outcome.created) == (Code.OK, (3,))


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([0, 0], Code.ALREADY_EXISTS),
        ([0, 1, 0, 1], Code.ALREADY_EXISTS),
        ([9, 0], Code.NOT_FOUND),
        ([0, 9], Code.NOT_FOUND),
        ([1, 1], Code.NOT_AUTHORISED),
    ],
)
def test_a_bad_pair_opens_no_holding_at_all(pairs: list[int], code: Code) -> None:
    state = market()
    data = np.array([2, 1, *pairs], "<u4").tobytes()
    assert result(state, signed(state, "holding_open", BINANCE, 1, data)).code == code
    assert len(state.holdings) == 3


def test_a_client_opens_at_most_256_holdings() -> None:
    state = market()
    for number in range(255):
        index = world.add_instrument(state, f"I{number}")
        transfers.open_holding(state, 0, index, START_MS)
    outcome = result(state, signed(state, "holding_open", BINANCE, 1, np.array([0, 1], "<u4").tobytes()))
    assert outcome.code == Code.LIMIT_EXCEEDED


def test_a_renewed_kyc_restores_eligibility() -> None:
    state = market()
    state.accounts.set_field(1, "kyc_until", START_S)
    outcome = run(
        state,
        signed(state, "transfer", BINANCE, 1, 0, 1, 1),
        signed(state, "account_update", HTX, 1, 1, b"n" * 32, START_S + 100),
        signed(state, "transfer", BINANCE, 2, 0, 1, 1),
    )
    assert [r.code for r in outcome.results] == [Code.INELIGIBLE, Code.OK, Code.OK]
    assert (state.accounts[1].kyc, state.accounts[1].kyc_until) == (b"n" * 32, START_S + 100)


def test_a_closed_account_is_neither_updated_nor_given_holdings() -> None:
    state = market()
    state.accounts.set_field(0, "flags", rows.CLOSED)
    outcome = run(
        state,
        signed(state, "account_update", BINANCE, 1, 0, bytes(32), 1),
        signed(state, "holding_open", BINANCE, 2, np.array([0, 1], "<u4").tobytes()),
    )
    assert [r.code for r in outcome.results] == [Code.WRONG_STATUS, Code.WRONG_STATUS]


def test_ledger_time_is_header_time_plus_the_clock_offset() -> None:
    state = market()
    world.change(state.chain, 0, clock_offset_ms=20_000)
    row = client(until=START_S + 10)
    assert result(state, signed(state, "account_open", BINANCE, 1, (row,))).code == Code.OUT_OF_RANGE


def test_evidence_is_counted_against_the_node() -> None:
    state = market()
    node = Node("n", 0, bytes(32), 1, NodeRole.VALIDATOR, 0, 0, ())
    state.nodes.append(node)
    facts = BlockFacts(7, START_MS, (Offence(0, 5), Offence(0, 3)))
    outcome = apply_block(state, facts, ())
    assert (state.nodes[0].offences, state.nodes[0].offended) == (2, (3, 5))
    assert outcome.validator_updates is None
    for wrong in (Offence(0, 5), Offence(1, 6), Offence(-1, 6)):
        with pytest.raises(InvariantError, match="evidence against node"):
            apply_block(state, BlockFacts(8, START_MS + 1, (wrong,)), ())


def test_what_was_counted_against_a_node_is_never_counted_again() -> None:
    state = market()
    state.nodes.append(Node("n", 0, bytes(32), 1, NodeRole.VALIDATOR, 0, 0, ()))
    chance, counted = Random(5), set()
    for _ in range(20 * OFFENDED_MAX):
        height = chance.randrange(1, 4 * OFFENDED_MAX)
        if may_offend(state.nodes[0], height):
            assert height not in counted
            count_offence(state, 0, height)
            counted.add(height)
        assert not any(may_offend(state.nodes[0], known) for known in counted)
    assert len(state.nodes[0].offended) == OFFENDED_MAX
    assert state.nodes[0].offences == len(counted) > OFFENDED_MAX


def test_results_are_committed_to_and_survive_encoding() -> None:
    state = market()
    moves = batch((0, 1, 60), (0, 1, 60))
    outcome = run(
        state,
        signed(state, "transfer", BINANCE, 1, 0, 1, 101),
        signed(state, "transfer_batch", BINANCE, 2, moves),
    )
    assert [unpack(pack(r), Result, 10_000) for r in outcome.results] == list(outcome.results)
    root = outcome_root(outcome)
    assert root != outcome_root(dataclasses.replace(outcome, results=outcome.results[::-1]))
    assert root != outcome_root(dataclasses.replace(outcome, results=outcome.results[:1]))


def test_the_same_blocks_give_the_same_root_on_every_replica() -> None:
    roots = set()
    for _ in range(2):
        state = market()
        run(state, signed(state, "transfer_batch", BINANCE, 1, batch((0, 1, 3), (0, 2, 4))))
        run(state, signed(state, "transfer", OWNER, 1, 2, 0, 50), height=2)
        roots.add(state.root())
    assert len(roots) == 1


indices = st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 2))
payloads = st.one_of(
    st.tuples(st.just("transfer"), st.tuples(indices, indices, st.integers(1, 2**63 - 1))),
    st.tuples(st.just("transfer_batch"), st.tuples(st.binary(max_size=64))),
    st.tuples(st.just("holding_open"), st.tuples(st.binary(min_size=8, max_size=24))),
    st.tuples(st.just("account_update"), st.tuples(indices, st.just(bytes(32)), st.integers(0, 2**32 - 1))),
    st.tuples(
        st.just("account_open"),
        st.tuples(
            st.lists(
                st.builds(
                    AccountRow,
                    st.integers(0, 255),
                    st.just(bytes(32)),
                    st.integers(0, 2**32 - 1),
                    st.integers(0, 999),
                    st.integers(0, 255),
                    st.binary(max_size=32),
                ),
                min_size=1,
                max_size=3,
            ).map(tuple)
        ),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(payloads, st.integers(0, 5), st.integers(1, 200)), max_size=8))
def test_execution_never_raises_and_always_conserves(
    block: list[tuple[tuple[str, tuple[object, ...]], int, int]],
) -> None:
    state = market()
    transactions = [
        transaction(state, kind, {signer: KEYS.get(signer, "nobody")}, sequence, *fields)
        for (kind, fields), signer, sequence in block
    ]
    outcome = run(state, *transactions)
    assert len(outcome.results) == len(transactions)
    conservation.check_all(state)


# --- conservation


def folded(state: State) -> conservation.Fold:
    """Every posting since the state was made."""
    fold = conservation.Fold()
    fold.add(state, state.stream.postings())
    fold.compare(state)
    return fold


@pytest.mark.parametrize("column", ["balance", "locked"])
def test_units_from_nowhere_are_noticed(column: str) -> None:
    state = opening()
    fold = folded(state)
    state.holdings.set_field(0, column, int(state.holdings.field(0, column)) + 1)
    with pytest.raises(InvariantError, match=f"holding 0: {column} counted"):
        fold.compare(state)


def test_balances_that_do_not_sum_to_the_supply_are_noticed() -> None:
    state = market()
    state.holdings.set_field(0, "balance", 101)
    with pytest.raises(InvariantError, match="balances sum to 301, its supply is 300"):
        conservation.check_all(state)


def test_a_supply_that_moves_alone_is_noticed() -> None:
    state = opening()
    fold = folded(state)
    state.rehash()
    mark = state.mark()
    world.change(state.instruments, 0, supply=299)
    with pytest.raises(InvariantError, match="its postings create 0, its supply changes by -1"):
        conservation.check_block(state, mark)
    with pytest.raises(InvariantError, match="300 was created and not destroyed, its supply is 299"):
        fold.compare(state)


def test_units_that_come_with_a_new_holding_are_noticed() -> None:
    state = opening()
    fold = folded(state)
    state.holdings.append(rows.Holding(0, 1, 5, 0, rows.NO_ROW, 0))
    with pytest.raises(InvariantError, match="holdings counted"):
        fold.compare(state)
    fold.add(state, b"")
    with pytest.raises(InvariantError, match="holding 3: balance counted 0, the ledger says 5"):
        fold.compare(state)


def test_units_that_change_their_instrument_are_noticed() -> None:
    state = market()
    other = world.add_holding(state, 0, 1, 0)
    state.rehash()
    mark = state.mark()
    balances.move(state, Movement.TRANSFER, 0, other, 10)
    with pytest.raises(InvariantError, match="from one instrument into another"):
        conservation.check_block(state, mark)


def test_more_locked_than_held_is_noticed() -> None:
    state = market()
    state.rehash()
    mark = state.mark()
    balances.lock(state, 0, 99)
    balances.move(state, Movement.TRANSFER, 0, 1, 1)
    state.holdings.set_field(0, "locked", 100)
    with pytest.raises(InvariantError, match="more locked"):
        conservation.check_block(state, mark)


def test_mint_move_and_burn_conserve() -> None:
    state = market()
    state.rehash()
    mark = state.mark()
    balances.mint(state, Movement.ISSUE, 0, 2**61)
    balances.move(state, Movement.TRANSFER, 0, 1, 2**60)
    some = np.array([1, 1, 2], np.int64)
    balances.move_many(
        state, Movement.TRANSFER, some, np.array([2, 0, 0], np.int64), np.array([5, 6, 7], np.uint64)
    )
    balances.burn(state, Movement.DESTRUCTION, 0, 2**59)
    conservation.check_block(state, mark)
    conservation.check_all(state)
    assert state.instruments[0].supply == 300 + 2**61 - 2**59


def test_a_holding_opened_and_filled_in_one_block_is_counted_once() -> None:
    state = market()
    state.rehash()
    mark = state.mark()
    holding = transfers.open_holding(state, 0, 1, START_MS)
    balances.mint(state, Movement.ISSUE, holding, 7)
    balances.move(state, Movement.TRANSFER, 0, 1, 5)
    conservation.check_block(state, mark)


def test_an_effect_that_is_refused_halfway_leaves_nothing() -> None:
    state = market()
    original = transfer.move

    def refusing(state: State, movement: Movement, source: int, target: int, amount: int) -> None:
        original(state, movement, source, target, amount)
        raise Refused(Code.NOT_AUTHORISED, "holding", source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "move", refusing)
        outcome = result(state, signed(state, "transfer", BINANCE, 1, 0, 1, 30))
    assert outcome.code == Code.NOT_AUTHORISED
    assert state.holdings.column("balance").tolist() == [100, 100, 100]
    assert state.signers[BINANCE].highest == 1


def test_a_block_that_does_not_conserve_halts() -> None:
    state = market()
    other = world.add_holding(state, 1, 1, 0)
    state.rehash()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "check_transfer", lambda *fields: None)
        with pytest.raises(InvariantError, match="from one instrument into another"):
            run(state, signed(state, "transfer", BINANCE, 1, 0, other, 1))
