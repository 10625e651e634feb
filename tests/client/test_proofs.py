"""Proofs and receipts over what a chain meets: changes of its validators, an upgrade, forged histories."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from api.limits import PROOF_BYTES_MAX
from api.proofs import Certified, Receipt, RecordProof
from api.refusals import Declined
from client.receipts import VerifiedReceipt, verify_receipt
from client.trust import TRUSTING_MS, trust_genesis
from client.verification import ProofRefused, VerifiedRecord, require_witness, verify_proof
from consensus.encoding import encode_certificate
from ledger.documents import NodeRole
from ledger.genesis import Genesis
from ledger.proofs import prove_record
from ledger.rows import Role
from node.proofs import finish_proof, make_receipt, start_proof
from node.sealed import seal
from primitives.codec import pack, unpack
from testing import version2
from testing.keys import public
from testing.little_chain import VOTING, LittleChain, make_genesis, officers, open_market
from testing.verifying import verify_alone
from wire.blocks import decode_block

UPGRADES_SOON = make_genesis(parameters=(("upgrade_notice_blocks", 4),))
DAY_MS = 86_400_000


def proof_of(little: LittleChain, table: str, record: int) -> bytes:
    started = start_proof(little.replica, table, record)
    little.commit()
    proof = finish_proof(started, little.blocks)
    assert proof is not None
    return proof


def receipt_of(little: LittleChain, height: int, position: int = 0) -> bytes:
    """The receipt as the node gives it now; the block after `height` is there."""
    chain, changes = little.replica.genesis_hash, little.replica.validator_changes()
    return make_receipt(little.blocks, chain, changes, height, position).receipt


def verified(receipt: bytes, genesis: Genesis, **asked: Any) -> VerifiedReceipt:
    asked = {"now_ms": 2**53, "trusting_ms": None} | asked
    return verify_receipt(receipt, trust_genesis(genesis), **asked)


# --- receipts over changes of the set and an upgrade -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paid:
    """Transfers before, at, between and after two changes of the set; and the height of each."""

    little: LittleChain
    heights: tuple[int, ...]


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paid]:
    little = LittleChain(tmp_path_factory.mktemp("paid"))
    market = open_market(little)
    little.act("cash_issue", ("sbp",), market.money, 4_711, b"d" * 32)
    heights = []

    def pay() -> None:
        transfer = little.transaction("transfer", market.vasp, market.money, market.wallets[0], 5)
        little.commit(transfer)
        heights.append(little.replica.height)

    pay()
    for power in (0, 2):
        little.set_power(3, power)
        pay()  # decided by the old set, certified by the new one's first block
        pay()
    little.commit()
    yield Paid(little, tuple(heights))
    little.close()


def test_a_receipt_of_either_side_of_a_set_change_verifies_from_the_genesis(paid: Paid) -> None:
    over = []
    for height in paid.heights:
        receipt = receipt_of(paid.little, height)
        found = verified(receipt, paid.little.genesis)
        assert (found.height, found.by.certified_height) == (height, height + 1)
        assert found.result is not None
        assert found.result.code == 0
        over.append(len(unpack(receipt, Receipt, PROOF_BYTES_MAX).changes))
    assert over[0] == 0
    assert over[-1] == 2


def test_a_receipt_without_a_change_that_it_rests_on_is_refused(paid: Paid) -> None:
    receipt = unpack(receipt_of(paid.little, paid.heights[-1]), Receipt, PROOF_BYTES_MAX)
    for changes in ((), receipt.changes[:1], receipt.changes[::-1]):
        with pytest.raises(ProofRefused, match="decided by other validators"):
            verified(pack(replace(receipt, changes=changes)), paid.little.genesis)


def test_a_checkpoint_from_a_receipt_leads_on_to_later_ones_and_to_proofs(paid: Paid) -> None:
    early, late = (verified(receipt_of(paid.little, at), paid.little.genesis) for at in paid.heights[::4])
    trust = early.by.checkpoint
    assert (
        "checkpoint of height"
        in verify_receipt(
            receipt_of(paid.little, late.height), trust, now_ms=trust.time_ms + DAY_MS
        ).by.rests_on
    )
    with pytest.raises(ProofRefused, match="does not follow"):
        verify_receipt(receipt_of(paid.little, early.height), late.by.checkpoint, now_ms=late.by.time_ms)


def test_a_receipt_is_as_old_and_as_high_as_is_asked_for(paid: Paid) -> None:
    receipt, genesis = receipt_of(paid.little, paid.heights[0]), paid.little.genesis
    found = verified(receipt, genesis)
    asked = {"now_ms": found.time_ms + 60_000, "least_height": found.height}
    assert verified(receipt, genesis, max_age_ms=60_000, **asked).height == found.height
    with pytest.raises(ProofRefused, match="is of 60000 ms ago, at most 59999"):
        verified(receipt, genesis, max_age_ms=59_999, **asked)
    with pytest.raises(ProofRefused, match=f"height: {found.height}, at least {found.height + 1}"):
        verified(receipt, genesis, least_height=found.height + 1)
    with pytest.raises(ProofRefused, match="ahead of this verifier's clock"):
        verified(receipt, genesis, now_ms=found.time_ms - DAY_MS)


def test_receipts_verify_on_either_side_of_an_upgrade(tmp_path: Path) -> None:
    with version2.known():
        little = LittleChain(tmp_path, UPGRADES_SOON)
        market = open_market(little)
        little.act("cash_issue", ("sbp",), market.money, 100, b"d" * 32)
        upgrade = little.replica.height + 5
        little.act("upgrade_schedule", VOTING, 2, upgrade)
        heights = []
        while little.replica.height < upgrade + 2:
            little.commit(little.transaction("transfer", market.vasp, market.money, market.wallets[0], 1))
            heights.append(little.replica.height)
        little.commit()
        receipts = [receipt_of(little, height) for height in heights]
        assert heights[0] < upgrade - 1  # one whose block and the next are of version 1, one of each, ...
        found = [verified(receipt, UPGRADES_SOON) for receipt in receipts]
        assert [one.height for one in found] == heights
        assert {one.result.code for one in found if one.result is not None} == {0}
        little.close()
    before = [receipt for receipt, height in zip(receipts, heights, strict=True) if height < upgrade - 1]
    assert [verified(receipt, UPGRADES_SOON).height for receipt in before] == heights[: len(before)]
    with pytest.raises(ProofRefused, match="version: 2, this software knows"):
        verified(receipts[-1], UPGRADES_SOON)


def test_a_record_of_a_longer_form_and_one_of_a_later_table_verify_after_an_upgrade(tmp_path: Path) -> None:
    with version2.known():
        little = LittleChain(tmp_path, UPGRADES_SOON)
        upgrade = little.replica.height + 5
        little.act("upgrade_schedule", VOTING, 2, upgrade)
        old = proof_of(little, "institutions", 1)
        with pytest.raises(Declined, match="names no table"):
            start_proof(little.replica, "greetings", 0)
        while little.replica.height < upgrade:
            little.commit()
        little.act("greet", ("sbp",), 1, "salaam")
        new, greeting = proof_of(little, "institutions", 1), proof_of(little, "greetings", 0)
        beyond = proof_of(little, "greetings", 1)
        little.close()
        assert verify_alone(new, UPGRADES_SOON).value.motto == "salaam"
        assert verify_alone(greeting, UPGRADES_SOON).value.text == "salaam"
        assert verify_alone(beyond, UPGRADES_SOON).value is None
        before = verify_alone(old, UPGRADES_SOON)
        assert not hasattr(before.value, "motto")
    assert verify_alone(old, UPGRADES_SOON) == before


# --- what a block does not hold, and what is not shown ------------------------------------------------------


def test_a_block_is_proven_to_have_no_transaction_past_its_last(paid: Paid) -> None:
    height, genesis = paid.heights[0], paid.little.genesis
    absent = receipt_of(paid.little, height, 1)
    found = verified(absent, genesis)
    assert (found.transaction, found.result, found.count, found.position) == (None, None, 1, 1)
    receipt = unpack(absent, Receipt, PROOF_BYTES_MAX)
    present = unpack(receipt_of(paid.little, height), Receipt, PROOF_BYTES_MAX)
    for forged, rule in (
        (replace(receipt, position=0), "entry: none is shown, yet the block has 1"),
        (replace(receipt, count=0), "count: it does not lead to the block's txs_root"),
        (replace(receipt, depth=1), "count: it does not lead to the block's txs_root"),
        (replace(receipt, top=bytes(32)), "count: it does not lead to the block's txs_root"),
        (replace(present, position=1), "transaction: item 1 of a list of 1"),
    ):
        with pytest.raises(ProofRefused, match=rule):
            verified(pack(forged), genesis)


def test_an_empty_block_is_proven_to_be_empty(paid: Paid) -> None:
    height = paid.heights[-1] + 1
    paid.little.commit()
    assert verified(receipt_of(paid.little, height), paid.little.genesis).count == 0


def test_no_byte_of_an_absence_can_be_flipped(paid: Paid) -> None:
    absent = receipt_of(paid.little, paid.heights[0], 7)
    for position in range(len(absent)):
        bent = bytearray(absent)
        bent[position] ^= 1
        try:
            found = verified(bytes(bent), paid.little.genesis)
        except ProofRefused:
            continue
        assert (found.transaction, found.count, found.position) == (None, 1, 6)  # which is as true


def test_an_act_of_officers_has_no_receipt_by_its_position_either(paid: Paid) -> None:
    little = paid.little
    height = 1  # the registration of the VASP
    with pytest.raises(Declined, match="acts of officers have no receipts"):
        receipt_of(little, height)


def test_what_would_show_who_froze_has_no_proof(tmp_path: Path) -> None:
    """Not the freeze, nor what stands beside it: a hash shown beside a record can be guessed."""
    little = LittleChain(tmp_path)
    market = open_market(little)
    freeze = little.commit(little.transaction("freeze", officers("fmu"), 2, market.clients[0]))
    (proposal, *_) = freeze.results[0].created
    state = little.replica.state
    last = len(state.signers) - 1
    for table, record in (
        ("proposals", proposal),
        ("proposals", proposal - 1),
        ("signers", 0),
        ("signers", last),
    ):
        with pytest.raises(Declined, match="whose officers acted"):
            start_proof(little.replica, table, record)
    assert verify_alone(proof_of(little, "proposals", len(state.proposals)), little.genesis).value is None
    little.close()


def test_a_proposal_of_a_group_without_a_freeze_is_proven(tmp_path: Path) -> None:
    little = LittleChain(tmp_path)
    open_market(little)
    found = verify_alone(proof_of(little, "proposals", 1), little.genesis)
    assert found.value == little.replica.state.proposals[1]
    little.close()


# --- history that retired keys forge ------------------------------------------------------------------------


ALL = (*VOTING, *(f"new {name}" for name in VOTING))


def rotate(little: LittleChain, name: str) -> None:
    """Give a node a new key, which from the next block but one decides in place of the old."""
    record = little.replica.state.nodes[VOTING.index(name)]
    proof = little.prove(f"new {name} node", Role.NODE, name, record.name)
    key = public(f"new {name} node")
    fields = (record.name, record.institution, NodeRole.VALIDATOR, record.power, key, proof)
    little.commit(little.transaction("node_update", officers(*VOTING), *fields), names=ALL)


@dataclass(frozen=True, slots=True)
class Histories:
    """The chain, whose validators have all changed their keys since, and another from the same genesis that a
    quorum of the retired keys signed: what each proves of one holding, and what is known of the true one."""

    genesis: Genesis
    true: VerifiedRecord
    forged: bytes
    forged_receipt: bytes
    known: dict[int, bytes]  # the ids of the true chain's blocks, by height: what a witness says


def forge(little: LittleChain, holding: int) -> bytes:
    """With validators' retired keys alone: a header over a state in which the holding is rich."""
    state = little.replica.state
    state.holdings.set_field(holding, "balance", 10**15)
    state.rehash()
    block = little.build()
    header = replace(block.header, state_root=state.root())
    signed = little.certify(seal(replace(block.block, header=header)))
    certified = Certified(header.encoded(), encode_certificate(signed))
    shown = prove_record(state, state.holdings, holding)
    return pack(RecordProof(1, little.replica.genesis_hash, holding, (), certified, shown))


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Histories]:
    little = LittleChain(tmp_path_factory.mktemp("true"))
    market = open_market(little)
    for name in VOTING:
        rotate(little, name)
    for _ in range(3):
        little.commit(names=ALL)
    started = start_proof(little.replica, "holdings", market.money)
    little.commit(names=ALL)
    proof = finish_proof(started, little.blocks)
    assert proof is not None
    other = LittleChain(tmp_path_factory.mktemp("forged"))
    open_market(other)
    while other.replica.height <= little.replica.height:
        other.commit()
    other.commit(other.transaction("transfer", market.vasp, market.money, market.wallets[0], 1))
    height = other.replica.height
    other.commit()
    receipt = receipt_of(other, height)
    for _ in range(5):
        little.commit(names=ALL)
    stored = ((height, little.blocks.block(height)) for height in range(1, little.replica.height + 1))
    yield Histories(
        little.genesis,
        verify_alone(proof, little.genesis),
        forge(other, market.money),
        receipt,
        {height: decode_block(block).header.hash() for height, block in stored if block is not None},
    )
    little.close()
    other.close()


def test_history_forged_by_retired_keys_is_refused_by_a_checkpoint_of_ones_own(histories: Histories) -> None:
    kept = histories.true.by.checkpoint
    later = dataclasses.replace(kept, height=kept.height + 100)
    for trust, rule in ((kept, "decided by other validators"), (later, "does not follow")):
        with pytest.raises(ProofRefused, match=rule):
            verify_proof(histories.forged, trust, now_ms=kept.time_ms, max_age_ms=None)
        with pytest.raises(ProofRefused, match=rule):
            verify_receipt(histories.forged_receipt, trust, now_ms=kept.time_ms)


def test_history_forged_by_retired_keys_is_refused_when_the_genesis_is_too_old(histories: Histories) -> None:
    trust = trust_genesis(histories.genesis)
    late = trust.time_ms + TRUSTING_MS + 1
    with pytest.raises(ProofRefused, match="keys retired since may have leaked"):
        verify_proof(histories.forged, trust, now_ms=late, max_age_ms=None)
    with pytest.raises(ProofRefused, match="keys retired since may have leaked"):
        verify_receipt(histories.forged_receipt, trust, now_ms=late)


def test_history_forged_by_retired_keys_is_refused_by_a_witness(histories: Histories) -> None:
    trust = trust_genesis(histories.genesis)
    record = verify_proof(histories.forged, trust, now_ms=trust.time_ms + DAY_MS, max_age_ms=None)
    receipt = verify_receipt(histories.forged_receipt, trust, now_ms=trust.time_ms + DAY_MS)
    for by in (record.by, receipt.by):
        with pytest.raises(ProofRefused, match=r"witness: https://sbp\.example knows"):
            require_witness(by, histories.known[by.certified_height], "https://sbp.example")
    by = histories.true.by
    require_witness(by, histories.known[by.certified_height], "https://sbp.example")


def test_who_starts_at_the_genesis_without_a_witness_is_told_what_he_rests_on(histories: Histories) -> None:
    """He cannot tell the two histories apart, and what he gets says so; a checkpoint needs no such words."""
    trust = trust_genesis(histories.genesis)
    asked: dict[str, Any] = {"now_ms": trust.time_ms + 3 * DAY_MS, "max_age_ms": None}
    found = verify_proof(histories.forged, trust, **asked)
    assert found.value.balance == 10**15
    for by in (found.by, verify_receipt(histories.forged_receipt, trust, **asked).by):
        assert by.rests_on == (
            "the keys of the genesis' validators, 3 days old: a quorum of them, if leaked, could have signed"
            " another history; a witness or a checkpoint of your own would tell"
        )
