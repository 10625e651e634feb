"""The audit: a whole bill's life replays and sums; whatever is changed on disk is named with its height."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.limits import PROOF_BYTES_MAX
from api.proofs import RecordProof
from client.trust import TRUSTING_MS, CheckpointError, checkpoint_bytes, checkpoint_of, trust_genesis
from client.verification import CLOCK_MS, ProofRefused, VerifiedRecord, verify_proof
from consensus.encoding import encode_certificate
from consensus.messages import VoteType
from ledger import conservation
from ledger.codes import InvariantError
from ledger.rows import Holding
from node.audit import audit
from node.proofs import finish_proof, start_proof
from primitives.codec import pack, unpack
from storage.blocks import BLOCKS, CERTIFICATES, EVENTS, POSTINGS, RESULTS, TABLES, BlockStore
from storage.environment import Environment, Table, Writer
from storage.errors import StorageError
from storage.state import DOCUMENTS, META, PAGES
from testing.little_chain import (
    VOTING,
    LittleChain,
    Market,
    live,
    make_genesis,
    open_market,
    rows_of,
)
from testing.verifying import verify_alone
from wire.blocks import Block, decode_block


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Market]:
    """The data directory of a node whose chain has seen a whole bill; copied, never changed."""
    folder = tmp_path_factory.mktemp("finished")
    little = LittleChain(folder)
    market = open_market(little)
    little.chain.checkpoint()
    live(little, market)
    little.close()
    return folder, market


@pytest.fixture
def folder(finished: tuple[Path, Market], tmp_path: Path) -> Path:
    for store in ("blocks", "state"):
        (tmp_path / store).mkdir()
        (tmp_path / store / "data.mdb").write_bytes((finished[0] / store / "data.mdb").read_bytes())
    return tmp_path


def change(folder: Path, table: Table, height: int, changed: Callable[[bytes], bytes]) -> None:
    """Change a value of the block store and its checksum with it."""
    environment = Environment(folder / "blocks", "blocks", TABLES)
    with environment.write() as writer:
        stored = writer.get(table, height.to_bytes(8, "big"))
        assert stored is not None
        value = changed(stored)
        assert value != stored
        writer.put(table, height.to_bytes(8, "big"), value)
    environment.close()


def fault_of(folder: Path) -> str:
    report = audit(folder, make_genesis())
    assert report.fault is not None
    assert report.height == max(report.fault.height - 1, 0)
    assert not report.ok
    return str(report.fault)


def test_a_whole_bill_is_proven_from_genesis(finished: tuple[Path, Market]) -> None:
    report = audit(finished[0], make_genesis())
    assert report.ok
    blocks = BlockStore(finished[0] / "blocks", readonly=True)
    assert report.height == blocks.height()
    blocks.close()
    assert report.movements == 18
    assert report.refused == 1
    assert report.checkpoint_height == 13
    assert [(each.code, each.supply) for each in report.instruments] == [
        ("PKR", 2_000_000_000 + 700_000_000 - 1_000),
        ("PK0012345671", 0),
    ]


def test_a_chain_before_its_first_block_is_proven_too(tmp_path: Path) -> None:
    LittleChain(tmp_path).close()
    report = audit(tmp_path, make_genesis())
    assert (report.ok, report.height, report.checkpoint_height) == (True, 0, None)


def test_a_folder_without_a_chain_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing is stored"):
        audit(tmp_path, make_genesis())


def test_another_genesis_fails_at_the_first_block(folder: Path) -> None:
    other = make_genesis(chain="other")
    report = audit(folder, other)
    assert report.fault is not None
    assert report.fault.height == 1


@pytest.mark.parametrize("height", [1, 13, 20])
@pytest.mark.parametrize("table", [BLOCKS, CERTIFICATES, RESULTS])
def test_one_flipped_byte_is_named_with_its_height(folder: Path, table: Table, height: int) -> None:
    store = BlockStore(folder / "blocks", readonly=True)
    value = {BLOCKS: store.block, CERTIFICATES: store.certificate, RESULTS: store.results}[table](height)
    store.close()
    assert value is not None
    file = folder / "blocks" / "data.mdb"
    data = file.read_bytes()
    assert value in data
    flipped = value[:-1] + bytes((value[-1] ^ 1,))
    file.write_bytes(data.replace(value, flipped))
    assert fault_of(folder).startswith(f"height {height}: blocks: {table.name} of height {height}")


def change_block(data: bytes, change_it: Callable[[Block], Block]) -> bytes:
    return change_it(decode_block(data)).encoded()


def test_one_changed_amount_is_named_with_its_height_even_under_a_right_checksum(
    folder: Path, finished: tuple[Path, Market]
) -> None:
    wallet = finished[1].wallets[0]
    row = rows_of((finished[1].money, wallet, 100_000_000))
    more = rows_of((finished[1].money, wallet, 100_000_001))
    heights = [height for height in range(1, 28) if row in stored_block(folder, height)]
    assert len(heights) == 1
    change(folder, BLOCKS, heights[0], lambda data: data.replace(row, more))
    assert fault_of(folder) == f"height {heights[0]}: block: txs_root does not commit to the transactions"


def stored_block(folder: Path, height: int) -> bytes:
    store = BlockStore(folder / "blocks", readonly=True)
    block = store.block(height)
    store.close()
    assert block is not None
    return block


def test_a_changed_certificate_is_named_with_its_height(folder: Path) -> None:
    change(folder, CERTIFICATES, 9, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    assert fault_of(folder).startswith("height 9: certificate: certificate.signatures: not validator 3's")


def test_a_certificate_of_another_block_is_named(folder: Path) -> None:
    store = BlockStore(folder / "blocks", readonly=True)
    other = store.certificate(8)
    store.close()
    assert other is not None
    change(folder, CERTIFICATES, 9, lambda data: other)
    assert fault_of(folder) == "height 9: certificate: of another block"


def test_a_certificate_of_prevotes_is_none(tmp_path: Path) -> None:
    little = LittleChain(tmp_path)
    block = little.build()
    polka = little.certify(block, type=VoteType.PREVOTE)
    little.decide(block)
    little.close()
    change(tmp_path, CERTIFICATES, 1, lambda data: encode_certificate(polka))
    assert fault_of(tmp_path) == "height 1: certificate: of prevotes, a commit needs precommits"


def test_two_of_four_validators_are_no_certificate(tmp_path: Path) -> None:
    little = LittleChain(tmp_path)
    little.decide(little.build(), VOTING[:2])
    little.close()
    assert "a quorum is more than two thirds" in fault_of(tmp_path)


def test_a_changed_result_is_named(folder: Path) -> None:
    change(folder, RESULTS, 9, lambda data: data.replace(b"\x95\x00", b"\x95\x01", 1))
    assert fault_of(folder) == "height 9: results: executing the block gives others than those stored"


def test_a_changed_header_is_named(folder: Path) -> None:
    def later(block: Block) -> Block:
        return Block(
            replace(block.header, time_ms=block.header.time_ms + 1), block.transactions, block.evidence
        )

    change(folder, BLOCKS, 9, lambda data: change_block(data, later))
    assert fault_of(folder) == "height 9: certificate: of another block"


@pytest.mark.parametrize("table", [POSTINGS, EVENTS])
def test_a_changed_row_of_the_stream_is_named_with_its_height(folder: Path, table: Table) -> None:
    environment = Environment(folder / "blocks", "blocks", TABLES)
    with environment.write() as writer:
        key, rows = list(writer.items(table))[-1]
        writer.put(table, key, rows[:-1] + bytes((rows[-1] ^ 1,)))
    environment.close()
    height = int.from_bytes(key[:8], "big")
    assert fault_of(folder) == (
        f"height {height}: {table.name}: executing the block gives others than those stored"
    )


def test_a_state_that_is_not_that_of_the_blocks_is_named(folder: Path) -> None:
    def tamper(writer: Writer) -> None:
        key, value = next(item for item in writer.items(DOCUMENTS) if b"HTX" in item[1])
        writer.put(DOCUMENTS, key, value.replace(b"HTX", b"HTY"))

    environment = Environment(folder / "state", "state", (DOCUMENTS, PAGES, META))
    with environment.write() as writer:
        tamper(writer)
    environment.close()
    report = audit(folder, make_genesis())
    assert report.fault is not None
    assert "checkpoint of height 13: its root is not the one recorded" in report.fault.what


# --- the fold of postings ---------------------------------------------------------------------------------


def test_a_balance_that_no_posting_explains_is_found(tmp_path: Path) -> None:
    little = LittleChain(tmp_path)
    market = open_market(little)
    fold = conservation.Fold()
    with pytest.raises(InvariantError, match="0 holdings counted"):
        fold.compare(little.replica.state)
    live(little, market)
    batch = little.transaction(
        "transfer_batch", market.vasp, rows_of((market.wallets[0], market.wallets[2], 5))
    )
    applied = little.commit(batch)
    with pytest.raises(InvariantError, match=f"holding {market.wallets[0]}: balance counted"):
        fold.add(little.replica.state, applied.postings)
    little.close()


# --- proofs -----------------------------------------------------------------------------------------------


def proof_of(little: LittleChain, holding: int) -> bytes:
    started = start_proof(little.replica, "holdings", holding)
    assert finish_proof(started, little.blocks) is None
    little.commit()
    proof = finish_proof(started, little.blocks)
    assert proof is not None
    return proof


def balance_of(verified: VerifiedRecord) -> int:
    assert isinstance(verified.value, Holding)
    return verified.value.balance


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int, int]:
    """A proof over two changes of the validator set; the holding, and the height that it shows."""
    little = LittleChain(tmp_path_factory.mktemp("proven"))
    market = open_market(little)
    for power in (0, 2):
        little.set_power(3, power)
        little.commit()
    little.commit()
    little.act("cash_issue", ("sbp",), market.money, 4_711, b"d" * 32)
    height = little.chain.height
    proof = proof_of(little, market.money)
    little.close()
    return proof, market.money, height


def test_a_proof_shows_one_holding_against_the_genesis_alone(proven: tuple[bytes, int, int]) -> None:
    proof, holding, height = proven
    verified = verify_alone(proof, make_genesis())
    assert (verified.name, verified.record, verified.height) == ("holdings", holding, height)
    assert (balance_of(verified), verified.by.signers, verified.by.validators) == (4_711, 4, 4)
    assert len(unpack(proof, RecordProof, PROOF_BYTES_MAX).changes) == 2


def test_a_proof_is_of_one_chain_only(proven: tuple[bytes, int, int]) -> None:
    with pytest.raises(ProofRefused, match="genesis_hash"):
        verify_alone(proven[0], make_genesis(chain="other"))


def test_no_byte_of_a_proof_can_be_flipped(proven: tuple[bytes, int, int]) -> None:
    proof, genesis = proven[0], make_genesis()
    step = 7  # every region, many times over
    for position in [*range(0, 400), *range(400, len(proof), step), *range(len(proof) - 40, len(proof))]:
        flipped = bytearray(proof)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(ProofRefused):
            verify_alone(bytes(flipped), genesis)


@pytest.mark.parametrize(
    ("change_it", "rule"),
    [
        (lambda proof: replace(proof, version=2), "version: 2"),
        (lambda proof: replace(proof, record=16), "one is shown for record 16"),
        (lambda proof: replace(proof, state=replace(proof.state, leaf=None)), "none is shown, yet record"),
        (lambda proof: replace(proof, changes=()), "decided by other validators"),
        (lambda proof: replace(proof, changes=proof.changes[:1]), "decided by other validators"),
        (lambda proof: replace(proof, changes=proof.changes[::-1]), "decided by other validators"),
        (lambda proof: replace(proof, certified=proof.changes[0].last), "does not follow"),
        (
            lambda proof: replace(
                proof, certified=replace(proof.certified, certificate=proof.changes[0].last.certificate)
            ),
            "certificate",
        ),
        (
            lambda proof: replace(
                proof,
                changes=(replace(proof.changes[0], members=proof.changes[1].members), *proof.changes[1:]),
            ),
            "does not name these",
        ),
        (lambda proof: replace(proof, state=replace(proof.state, table=13)), "state: "),
        (lambda proof: replace(proof, state=replace(proof.state, count=99)), "state: "),
    ],
)
def test_a_proof_whose_parts_do_not_fit_is_refused(
    proven: tuple[bytes, int, int], change_it: Callable[[RecordProof], RecordProof], rule: str
) -> None:
    proof = unpack(proven[0], RecordProof, PROOF_BYTES_MAX)
    with pytest.raises(ProofRefused, match=rule):
        verify_alone(pack(change_it(proof)), make_genesis())


def test_an_old_balance_is_not_taken_for_todays(proven: tuple[bytes, int, int]) -> None:
    """A proof of what was is as true as one of what is: who verifies it says how old it may be."""
    proof, _, height = proven
    trust = trust_genesis(make_genesis())
    moment = verify_alone(proof, make_genesis()).by.time_ms
    fresh = verify_proof(proof, trust, now_ms=moment + 5_000, max_age_ms=5_000, least_height=height)
    assert (fresh.height, fresh.by.time_ms, fresh.by.age_ms) == (height, moment, 5_000)
    with pytest.raises(ProofRefused, match="is of 5001 ms ago, at most 5000"):
        verify_proof(proof, trust, now_ms=moment + 5_001, max_age_ms=5_000)
    with pytest.raises(ProofRefused, match=f"height: {height}, at least {height + 1}"):
        verify_proof(proof, trust, now_ms=moment, max_age_ms=5_000, least_height=height + 1)
    with pytest.raises(ProofRefused, match="ahead of this verifier's clock"):
        verify_proof(proof, trust, now_ms=moment - CLOCK_MS - 1, max_age_ms=None)


def test_validators_of_long_ago_are_not_trusted_for_ever(proven: tuple[bytes, int, int]) -> None:
    """A quorum of keys that were retired long ago and leaked signs any history from the genesis on: whoever
    starts there must know it, or start from a checkpoint of his own."""
    proof = proven[0]
    trust = trust_genesis(make_genesis())
    late = trust.time_ms + TRUSTING_MS + 1
    with pytest.raises(ProofRefused, match="trust: of height 0"):
        verify_proof(proof, trust, now_ms=late, max_age_ms=None)
    assert verify_proof(proof, trust, now_ms=late, max_age_ms=None, trusting_ms=None).by.signers == 4


def test_a_checkpoint_leads_on_and_refuses_what_is_before_it(proven: tuple[bytes, int, int]) -> None:
    """The history that retired keys forge begins before the checkpoint: it does not lead there."""
    proof = proven[0]
    genesis = make_genesis()
    whole = verify_alone(proof, genesis)
    kept = checkpoint_of(checkpoint_bytes(whole.by.checkpoint), genesis)
    assert kept == whole.by.checkpoint
    again = verify_proof(proof, kept, now_ms=whole.by.time_ms, max_age_ms=0)
    assert (again.value, again.by.checkpoint) == (whole.value, whole.by.checkpoint)
    decoded = unpack(proof, RecordProof, PROOF_BYTES_MAX)
    bare = pack(replace(decoded, changes=()))  # what led to the checkpoint is not asked for again
    assert verify_proof(bare, kept, now_ms=whole.by.time_ms, max_age_ms=0).value == whole.value
    later = dataclasses.replace(kept, height=kept.height + 1)
    with pytest.raises(ProofRefused, match="does not follow"):
        verify_proof(proof, later, now_ms=whole.by.time_ms, max_age_ms=None)
    others = dataclasses.replace(kept, validators=kept.validators[1:])
    with pytest.raises(ProofRefused, match="decided by other validators"):
        verify_proof(proof, others, now_ms=whole.by.time_ms, max_age_ms=None)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"height": "7"}, "height: must be an integer"),
        ({"genesis_hash": "00" * 32}, "genesis_hash: must be that of the genesis given"),
        ({"validators": []}, "validators: 0 validators"),
        ({"validators": [["zz", 1]]}, "validators: must be pairs"),
        ({"surplus": 1}, "must be an object of exactly"),
    ],
)
def test_what_is_no_checkpoint_is_refused_by_field(
    proven: tuple[bytes, int, int], change: dict[str, object], rule: str
) -> None:
    good = json.loads(checkpoint_bytes(verify_alone(proven[0], make_genesis()).by.checkpoint))
    with pytest.raises(CheckpointError, match=rule):
        checkpoint_of(json.dumps(good | change).encode(), make_genesis())


def test_a_header_of_this_proof_under_prevotes_is_refused(tmp_path: Path) -> None:
    little = LittleChain(tmp_path)
    market = open_market(little)
    started = start_proof(little.replica, "holdings", market.money)
    block = little.build()
    polka = little.certify(block, type=VoteType.PREVOTE)
    little.decide(block)
    proof = finish_proof(started, little.blocks)
    assert proof is not None
    decoded = unpack(proof, RecordProof, PROOF_BYTES_MAX)
    forged = replace(decoded, certified=replace(decoded.certified, certificate=encode_certificate(polka)))
    with pytest.raises(ProofRefused, match="of prevotes"):
        verify_alone(pack(forged), make_genesis())
    little.close()
