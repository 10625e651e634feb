"""The chain: which blocks are valid, what executing one leaves behind, what a start finds again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from consensus.messages import Proposal
from ledger import admission
from ledger.codes import Code
from ledger.cost import cost_of
from ledger.documents import ALL, Parameter
from ledger.genesis import genesis_hash
from ledger.limits import block_limits_at
from ledger.transactions import assemble, decode_transaction
from node.chain import Chain, OtherChain, StateDivergence
from node.limits import OUTSTANDING_MAX
from node.sealed import SealedBlock, seal
from node.verifier import timely_from
from primitives.hashing import EVIDENCE_LIST, TX_LIST
from primitives.merkle import list_root
from storage.environment import Environment, Table
from storage.errors import StorageCorrupt, StorageError, StorageFull
from storage.state import DOCUMENTS, META, PAGES
from testing.keys import public
from testing.little_chain import START_MS, LittleChain, live, make_genesis, officers, open_market, rows_of
from wire.blocks import Block, Header, roots_fault


def holding(header: Header, evidence: tuple[bytes, ...]) -> Header:
    """`header` with the root of that evidence."""
    return replace(header, evidence_root=list_root(EVIDENCE_LIST, evidence))


def nothing_known(full_hash: bytes) -> bool:
    return False


@pytest.fixture
def little(tmp_path: Path) -> Iterator[LittleChain]:
    chain = LittleChain(tmp_path)
    yield chain
    chain.close()


def fault_of(little: LittleChain, block: SealedBlock | Block) -> str | None:
    """Why a peer's block would not be taken."""
    if isinstance(block, Block):
        block = seal(block)
    return roots_fault(block.block) or little.replica.check_block(block, nothing_known)


def with_transactions(block: SealedBlock, *raws: bytes) -> Block:
    return Block(replace(block.header, txs_root=list_root(TX_LIST, raws)), raws, block.evidence)


# --- headers ----------------------------------------------------------------------------------------------


def test_the_first_header_carries_the_state_of_genesis(little: LittleChain) -> None:
    header = little.build().header
    assert (header.height, header.executed_height) == (1, 0)
    assert header.state_root == little.replica.state.root()
    assert header.parent == bytes(32)


def test_a_header_carries_the_state_and_results_after_the_block_before(little: LittleChain) -> None:
    little.commit(little.registration("htx"))
    header = little.build().header
    assert (header.height, header.executed_height) == (2, 1)
    assert header.state_root == little.replica.state.root()
    assert header.results_root == little.replica.results_root
    assert header.parent == little.replica.last_hash


EVIDENCE = block_limits_at(1).evidence

CHANGED: list[tuple[str, object]] = [
    ("version", 2),
    ("genesis_hash", bytes(32)),
    ("height", 3),
    ("time_ms", START_MS),
    ("parent", b"\1" * 32),
    ("proposer", 4),
    ("executed_height", 1),
    ("state_root", b"\1" * 32),
    ("results_root", b"\1" * 32),
    ("validators_hash", b"\1" * 32),
    ("next_validators_hash", b"\1" * 32),
    ("params_hash", b"\1" * 32),
    ("txs_root", b"\1" * 32),
    ("evidence_root", b"\1" * 32),
]


@pytest.mark.parametrize(("field", "value"), CHANGED)
def test_a_header_that_says_otherwise_in_any_field_is_not_valid(
    little: LittleChain, field: str, value: object
) -> None:
    block = little.build()
    assert fault_of(little, block) is None
    fault = fault_of(little, Block(replace(block.header, **{field: value}), (), ()))
    assert fault is not None
    assert fault.startswith(field)


def test_every_field_of_the_header_has_its_case() -> None:
    assert {field for field, _ in CHANGED} == set(Header.__struct_fields__)


def test_a_fresh_block_comes_in_time_only_from_the_proposer_that_it_names(little: LittleChain) -> None:
    block = little.build()
    for proposer, timely in ((0, True), (1, False)):
        proposal = Proposal(1, 0, block.value, -1, proposer)
        parameters = little.replica.parameters
        assert timely_from(block, proposal, block.header.time_ms, parameters) is timely


def test_time_is_strictly_increasing_even_if_the_clock_stands(little: LittleChain) -> None:
    little.decide(little.replica.build_block(START_MS + 5, (), (), 0))
    block = little.replica.build_block(START_MS, (), (), 0)
    assert block.header.time_ms == START_MS + 6
    assert fault_of(little, block) is None


# --- transactions in a block ------------------------------------------------------------------------------


def test_a_transaction_with_a_bad_signature_makes_the_block_invalid(little: LittleChain) -> None:
    good = little.registration("htx")
    bad = assemble(good.body, (good.signatures[0], bytes(64)))
    fault = fault_of(little, with_transactions(little.build(), bad))
    assert fault is not None
    assert "transaction 0: bad_signature" in fault
    assert fault_of(little, with_transactions(little.build(), good.raw)) is None


def test_signatures_known_to_be_good_are_not_verified_again(little: LittleChain) -> None:
    good = little.registration("htx")
    bad = decode_transaction(assemble(good.body, (good.signatures[0], bytes(64))))
    block = with_transactions(little.build(), bad.raw)
    assert little.replica.check_block(seal(block), lambda full_hash: full_hash == bad.full_hash) is None


def test_what_is_cheap_is_asked_of_all_before_any_signature_is_verified(
    little: LittleChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[bytes] = []
    monkeypatch.setattr(admission, "verify", lambda key, *rest: verified.append(key) or True)
    first, second = little.registration("htx"), little.registration("binance")
    fault = fault_of(little, with_transactions(little.build(), first.raw, second.raw, first.raw))
    assert fault is not None
    assert "transaction 2: repeated" in fault
    assert verified == []
    assert fault_of(little, with_transactions(little.build(), first.raw, second.raw)) is None
    assert len(verified) == len(first.signers) + len(second.signers)


def test_a_block_that_costs_more_than_it_may_is_neither_built_nor_taken(little: LittleChain) -> None:
    first, second = little.registration("htx"), little.registration("binance")
    costs = [cost_of(little.replica.state, tx, little.replica.rules) for tx in (first, second)]
    table = little.replica.state.parameters
    table.replace(table.by_key["block_cost"], Parameter("block_cost", sum(costs)))
    whole = with_transactions(little.build(), first.raw, second.raw)
    assert fault_of(little, whole) is None
    assert little.build(first, second).transactions == (first.raw, second.raw)
    table.replace(table.by_key["block_cost"], Parameter("block_cost", sum(costs) - 1))
    fault = fault_of(little, whole)
    assert fault is not None
    assert f"the block's cost would be {sum(costs)}, at most {sum(costs) - 1}" in fault
    assert little.build(first, second).transactions == (first.raw,)


def test_a_repeated_transaction_makes_the_block_invalid(little: LittleChain) -> None:
    transaction = little.registration("htx")
    fault = fault_of(little, with_transactions(little.build(), transaction.raw, transaction.raw))
    assert fault is not None
    assert "transaction 1: repeated" in fault


def test_a_used_sequence_makes_the_block_invalid(little: LittleChain) -> None:
    transaction = little.registration("htx")
    little.commit(transaction)
    fault = fault_of(little, with_transactions(little.build(), transaction.raw))
    assert fault is not None
    assert "transaction 0: sequence_used" in fault


def test_an_expired_transaction_makes_the_block_invalid(little: LittleChain) -> None:
    transaction = little.registration("htx")
    late = little.replica.build_block(little.now_ms + 61_000, (), (), 0)
    fault = fault_of(little, with_transactions(late, transaction.raw))
    assert fault is not None
    assert "transaction 0: expired" in fault


def test_an_act_after_a_transfer_makes_the_block_invalid(little: LittleChain) -> None:
    market = open_market(little)
    transfer = little.transaction("transfer", market.vasp, 0, 1, 1)
    act = little.transaction("cash_define", officers("sbp"), "USD")
    fault = fault_of(little, with_transactions(little.build(), transfer.raw, act.raw))
    assert fault is not None
    assert "transaction 1: lane_order" in fault
    assert fault_of(little, with_transactions(little.build(), act.raw, transfer.raw)) is None


def test_bytes_that_are_no_transaction_make_the_block_invalid(little: LittleChain) -> None:
    fault = fault_of(little, with_transactions(little.build(), b"\xc0"))
    assert fault is not None
    assert "transaction 0: malformed" in fault


def test_a_block_above_its_limit_is_invalid_and_never_built(tmp_path: Path) -> None:
    little = LittleChain(tmp_path, make_genesis(parameters=(("block_bytes", 512 * 1024),)))
    market = open_market(little)
    rows = rows_of(*((number, number + 1, 1) for number in range(8_000)))
    batches = [little.transaction("transfer_batch", market.vasp, rows) for _ in range(6)]
    block = little.build(*batches)
    assert len(block.transactions) == 4
    assert len(block.raw) <= 512 * 1024
    assert fault_of(little, block) is None
    fault = fault_of(little, with_transactions(block, *(batch.raw for batch in batches)))
    assert fault is not None
    assert "at most 524288" in fault
    little.close()


def test_what_would_make_the_block_invalid_is_left_out_when_building(little: LittleChain) -> None:
    good = little.registration("htx")
    bad = decode_transaction(assemble(good.body, (good.signatures[0], bytes(64))))
    ahead = little.transaction("cash_define", officers("sbp"), "PKR", sequence=500)
    block = little.build(bad, ahead, good, good)
    assert block.transactions == (good.raw,)
    assert fault_of(little, block) is None


def test_an_included_transaction_may_be_refused_and_the_block_stays_valid(little: LittleChain) -> None:
    applied = little.commit(little.transaction("cash_define", officers("pvara"), "PKR"))
    assert [result.code for result in applied.results] == [Code.NOT_AUTHORISED]
    assert applied.work


def test_an_empty_block_is_no_work(little: LittleChain) -> None:
    assert not little.commit().work


# --- validators -------------------------------------------------------------------------------------------


def test_a_change_of_validators_is_in_force_two_heights_later(little: LittleChain) -> None:
    little.commit()
    four = little.replica.validators_at(1)
    applied = little.set_power(3, 0)
    decided = applied.height
    assert applied.results[0].code == 0
    assert little.replica.validators_at(decided + 1) == four
    assert little.replica.validators_at(decided + 2) == four[:3]
    header = little.build().header
    assert header.validators_hash != header.next_validators_hash
    little.commit()
    assert little.replica.validators == four[:3]
    little.commit()
    little.reopen()
    assert little.replica.validators_at(decided + 1) == four
    assert little.replica.validators_at(decided + 2) == four[:3]


@pytest.mark.parametrize("height", [0, 3])
def test_the_set_of_a_height_out_of_reach_is_not_guessed(little: LittleChain, height: int) -> None:
    with pytest.raises(ValueError, match="not known"):
        little.replica.validators_at(height)


# --- evidence ---------------------------------------------------------------------------------------------


def test_evidence_is_committed_once_and_counted_against_its_node(little: LittleChain) -> None:
    little.commit()
    evidence = little.equivocation("secp", 1)
    assert little.replica.add_evidence(evidence) is None
    block = little.replica.build_block(little.now_ms, (), little.replica.outstanding_evidence(), 0)
    assert len(block.evidence) == 1
    assert fault_of(little, block) is None
    assert not little.decide(block).work  # it hurries nothing: a liar must not set the pace of an idle chain
    assert little.replica.outstanding_evidence() == ()
    assert little.replica.state.nodes[3].offences == 1
    again = little.build()
    again = Block(holding(again.header, block.evidence), (), block.evidence)
    for _ in range(2):
        fault = fault_of(little, again)
        assert fault is not None
        assert "is repeated" in fault
        little.chain.checkpoint()
        little.reopen()
    assert little.build(evidence=(evidence,)).evidence == ()


def test_false_evidence_makes_the_block_invalid(little: LittleChain) -> None:
    little.commit()
    evidence = little.equivocation("secp", 1)
    block = little.build(evidence=(evidence,))
    forged = (block.evidence[0][:-1] + bytes((block.evidence[0][-1] ^ 1,)),)
    fault = fault_of(little, Block(holding(block.header, forged), (), forged))
    assert fault is not None
    assert "signature" in fault
    twice = block.evidence * 2
    fault = fault_of(little, Block(holding(block.header, twice), (), twice))
    assert fault is not None
    assert "is repeated" in fault
    many = block.evidence * (EVIDENCE + 1)
    fault = fault_of(little, Block(holding(block.header, many), (), many))
    assert fault == f"{EVIDENCE + 1} pieces of evidence, at most {EVIDENCE}"


def test_evidence_of_this_height_waits_for_the_next(little: LittleChain) -> None:
    evidence = little.equivocation("secp", 1)
    assert little.replica.add_evidence(evidence) is None
    assert little.replica.outstanding_evidence() == ()
    assert little.build(evidence=(evidence,)).evidence == ()
    little.commit()
    assert little.replica.outstanding_evidence() == (evidence,)


def test_old_evidence_is_refused(tmp_path: Path) -> None:
    little = LittleChain(tmp_path, make_genesis(parameters=(("evidence_age_blocks", 1),)))
    little.commit()
    evidence = little.equivocation("secp", 1)
    assert len(little.build(evidence=(evidence,)).evidence) == 1
    little.commit()
    assert little.build(evidence=(evidence,)).evidence == ()
    little.close()


def test_evidence_too_old_to_be_committed_makes_room(tmp_path: Path) -> None:
    little = LittleChain(tmp_path, make_genesis(parameters=(("evidence_age_blocks", 8),)))
    for _ in range(8):
        little.commit()
    old = [little.equivocation("secp", height) for height in range(1, 9)]
    assert [little.replica.add_evidence(evidence) for evidence in old] == [None] * len(old)
    assert len(little.replica.outstanding_evidence()) == EVIDENCE
    for _ in range(8):
        little.commit()
    assert not little.replica._outstanding
    fresh = little.equivocation("secp", 16)
    assert little.replica.add_evidence(fresh) is None
    assert little.replica.outstanding_evidence() == (fresh,)
    little.close()


def test_an_equivocator_without_end_costs_bounded_memory(little: LittleChain) -> None:
    for height in range(1, OUTSTANDING_MAX + 5):
        little.commit()
        for number in range(5):
            assert little.replica.add_evidence(little.equivocation("secp", height, number)) is None
    assert len(little.replica._outstanding) == OUTSTANDING_MAX
    assert little.replica.add_evidence(little.equivocation("mof", 1)) is None
    assert little.equivocation("mof", 1) in little.replica._outstanding.values()


# --- divergence, durability, recovery ---------------------------------------------------------------------


def test_a_decided_header_that_contradicts_us_stops_the_node_and_stores_nothing(little: LittleChain) -> None:
    little.commit()
    block = little.build()
    wrong = seal(Block(replace(block.header, state_root=b"\1" * 32), (), ()))
    with pytest.raises(StateDivergence, match="state_root") as caught:
        little.decide(wrong)
    assert caught.value.height == 2
    assert caught.value.dump["executed_height"] == 1
    assert (little.chain.height, little.blocks.height()) == (1, 1)
    little.decide(block)


def test_a_start_replays_what_no_checkpoint_holds(little: LittleChain) -> None:
    market = open_market(little)
    live(little, market)
    before = little.replica.memory()
    assert little.states.height() is None
    little.reopen()
    assert little.replica.memory() == before
    little.chain.checkpoint()
    little.commit()
    before = little.replica.memory()
    little.reopen()
    assert little.states.height() == before.height - 1
    assert little.replica.memory() == before
    assert little.replica.state.root() == before.state_root


def test_checkpoints_hold_only_what_changed_and_together_the_whole_state(little: LittleChain) -> None:
    market = open_market(little)
    little.chain.checkpoint()
    live(little, market)
    little.chain.checkpoint()
    before = little.replica.memory()
    little.reopen()
    assert little.states.height() == before.height
    assert little.replica.memory() == before
    assert little.replica.state.signers.by_key[public("owner")] in market.owner


def test_a_checkpoint_is_due_after_so_many_blocks(little: LittleChain) -> None:
    for _ in range(3):
        little.commit()
    assert not little.chain.checkpoint_due(4)
    little.commit()
    assert little.chain.checkpoint_due(4)
    little.chain.checkpoint()
    assert not little.chain.checkpoint_due(4)


class FailAt:
    """Fails the nth point that a store's write reaches, once."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.point: str | None = None

    def reached(self, point: str) -> None:
        if self.number == 0:
            self.point = point
            self.number = -1
            raise StorageFull(point.partition(":")[0], f"a test at {point}")
        self.number -= 1


def test_whichever_write_fails_a_new_start_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    reference = LittleChain(tmp_path / "reference")
    blocks: list[SealedBlock] = []
    for number in range(3):
        act = reference.transaction("fixing_attest", officers("sbp"), 2_800_000 + number, START_MS)
        block = reference.build(act)
        reference.decide(block)
        blocks.append(block)
    root = reference.replica.state.root()
    reference.close()
    points = []
    for number in range(1_000):
        faults = FailAt(number)
        little = LittleChain(tmp_path / str(number), faults=faults)
        acknowledged = 0
        while little.chain.height < len(blocks):
            try:
                applied = little.decide(blocks[little.chain.height])
                acknowledged = applied.height
                if applied.height == 2:
                    little.chain.checkpoint()
            except StorageFull:
                little.reopen()
                assert little.chain.height >= acknowledged
                for height in range(1, acknowledged + 1):
                    assert little.blocks.results(height) is not None
        assert little.replica.state.root() == root
        little.reopen()
        assert little.replica.state.root() == root
        little.close()
        if faults.point is None:
            break
        points.append(faults.point)
    assert {point.partition(":")[0] for point in points} == {"blocks", "state"}


def test_a_block_that_is_not_durable_is_not_executed(tmp_path: Path) -> None:
    faults = FailAt(0)
    little = LittleChain(tmp_path, faults=faults)
    block = little.build()
    with pytest.raises(StorageFull):
        little.decide(block)
    assert (little.chain.height, little.blocks.height()) == (0, 0)
    little.decide(block)
    assert (little.chain.height, little.blocks.height()) == (1, 1)
    little.close()


def test_a_checkpoint_that_failed_is_part_of_the_next(tmp_path: Path) -> None:
    class Full:
        full = False

        def reached(self, point: str) -> None:
            if self.full and point == "state: commit":
                raise StorageFull("state", "a test")

    faults = Full()
    little = LittleChain(tmp_path, faults=faults)
    little.act("cash_define", ("sbp",), "PKR")
    faults.full = True
    with pytest.raises(StorageFull):
        little.chain.checkpoint()
    little.act("fixing_attest", ("sbp",), 2_800_000, START_MS)
    faults.full = False
    little.chain.checkpoint()
    before = little.replica.memory()
    little.reopen()
    assert little.states.height() == before.height
    assert little.replica.memory() == before
    little.close()


def test_a_stored_block_that_is_not_the_one_decided_is_named(little: LittleChain) -> None:
    little.commit()
    little.commit()
    little.close()
    file = little.folder / "blocks" / "data.mdb"
    data = file.read_bytes()
    file.write_bytes(data.replace(genesis_hash(make_genesis()), bytes(32)))
    with pytest.raises(StorageCorrupt, match="blocks of height 1"):
        little.open()
    file.write_bytes(data)
    little.open()


@pytest.mark.parametrize("table", [DOCUMENTS, PAGES])
def test_a_stored_state_with_another_root_is_refused(little: LittleChain, table: Table) -> None:
    """Even when whoever changed it wrote the right checksum."""
    open_market(little)
    little.chain.checkpoint()
    little.close()
    environment = Environment(little.folder / "state", "state", (DOCUMENTS, PAGES, META))
    with environment.write() as writer:
        key, value = next(item for item in writer.items(table) if b"HTX" in item[1] or table is PAGES)
        writer.put(table, key, value.replace(b"HTX", b"HTY") if table is DOCUMENTS else value[:-1] + b"\1")
    environment.close()
    with pytest.raises(StorageCorrupt, match="checkpoint of height"):
        little.open()
    environment = Environment(little.folder / "state", "state", (DOCUMENTS, PAGES, META))
    with environment.write() as writer:
        writer.put(table, key, value)
    environment.close()
    little.open()


def test_a_state_ahead_of_its_blocks_is_refused(little: LittleChain, tmp_path: Path) -> None:
    little.commit()
    little.chain.checkpoint()
    other = LittleChain(tmp_path / "other")
    with pytest.raises(StorageCorrupt, match="its block is not stored"):
        Chain.open(little.genesis, other.blocks, little.states)
    other.close()


def test_a_chain_of_another_genesis_is_refused(little: LittleChain) -> None:
    little.commit()
    other = make_genesis(time_ms=START_MS + 1)
    with pytest.raises((StateDivergence, StorageError)):
        Chain.open(other, little.blocks, little.states)


def test_a_checkpoint_of_another_genesis_is_refused(little: LittleChain) -> None:
    little.commit()
    little.chain.checkpoint()
    with pytest.raises(OtherChain, match="the stored chain is that of the genesis"):
        Chain.open(make_genesis(time_ms=START_MS + 1), little.blocks, little.states)


def test_a_frozen_holder_is_paid_into_frozen_cash(little: LittleChain) -> None:
    market = open_market(little)
    live(little, market)
    state = little.replica.state
    assert state.instruments[market.bill].supply == 0
    paid = little.replica.state.holdings[market.wallets[1]]
    assert paid.balance >= paid.locked > 0
    assert [state.restrictions[index].amount for index in (0, 1)] == [ALL, paid.locked]
