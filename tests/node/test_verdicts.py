"""Whether a block is valid follows from committed state: restarted or not, with caches or without."""

from pathlib import Path
from random import Random

import msgspec
import pytest

from consensus.encoding import encode_evidence
from consensus.messages import VoteEquivocation
from ledger.documents import NodeRole
from ledger.kinds.institution_update import NewOfficer
from ledger.rows import Role
from ledger.state import State
from ledger.transactions import Transaction, decode_transaction
from node.replica import Memory, Replica
from node.sealed import SealedBlock, open_block, seal
from primitives.codec import unpack
from primitives.hashing import EVIDENCE_LIST, TX_LIST
from primitives.merkle import list_root
from storage.limits import META_BYTES_MAX
from testing.keys import public
from testing.little_chain import VOTING, LittleChain, officers
from wire.blocks import Block

HEIGHTS = 24
AGES = (1, 2, 3, 30)
KINDS = {"parameter_set": ("mof", "sbp", "pvara"), "node_update": ("mof", "sbp", "secp")}


def candidate(
    replica: Replica, now_ms: int, evidence: tuple[VoteEquivocation, ...], transactions: tuple[bytes, ...]
) -> SealedBlock:
    """A block that holds just this, whatever its own builder would have left out."""
    header = replica.build_block(now_ms, (), (), 0).header
    proofs = tuple(map(encode_evidence, evidence))
    header = msgspec.structs.replace(
        header, evidence_root=list_root(EVIDENCE_LIST, proofs), txs_root=list_root(TX_LIST, transactions)
    )
    return seal(Block(header, transactions, proofs))


def restarted(little: LittleChain) -> Replica:
    """The replica that a node which stops here loads when it starts again."""
    little.chain.checkpoint()
    loaded = little.states.load()
    if loaded is None:
        return Replica.at_genesis(little.genesis)
    _, meta, source = loaded
    return Replica(little.genesis, State.load(source), unpack(meta, Memory, META_BYTES_MAX))


def verdicts(replica: Replica, blocks: list[SealedBlock]) -> list[str | None]:
    """What `replica` says of the blocks; the same with every cache that a node has, and with none."""
    said = []
    for block in blocks:
        fresh = open_block(block.raw)
        cold = replica.check_block(fresh, lambda full_hash: False)
        good = {raw: decode_transaction(raw) for raw in block.transactions if verifies(replica, raw)}
        hashes = {transaction.full_hash for transaction in good.values()}
        warm = replica.check_block(open_block(block.raw), hashes.__contains__, good.get)
        assert warm == cold == replica.check_block(fresh, hashes.__contains__, good.get)
        said.append(cold)
    return said


def verifies(replica: Replica, raw: bytes) -> bool:
    """Whether a pool would hold this transaction as verified."""
    built = replica.build_block(replica.last_time_ms + 1_000, (decode_transaction(raw),), (), 0)
    return bool(built.transactions)


def act(little: LittleChain, kind: str, *fields: object) -> Transaction:
    return little.transaction(kind, officers(*KINDS[kind]), *fields)


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_at_any_height_changes_no_verdict(tmp_path: Path, seed: int) -> None:
    little, chance = LittleChain(tmp_path), Random(seed)
    known: list[VoteEquivocation] = []
    old: list[bytes] = []
    repeated = 0
    for height in range(1, HEIGHTS):
        live = little.replica
        blocks = [candidate(live, little.now_ms, (piece,), ()) for piece in known]
        blocks += [
            candidate(live, little.now_ms, tuple(chance.choices(known, k=3)), ()) for _ in "ab" if known
        ]
        blocks += [candidate(live, little.now_ms, (), (raw,)) for raw in old[-4:]]
        ours = verdicts(live, blocks)
        assert verdicts(restarted(little), blocks) == ours
        repeated += sum("is repeated" in (fault or "") for fault in ours)
        transactions = []
        if chance.random() < 0.5:
            transactions.append(act(little, "parameter_set", "evidence_age_blocks", chance.choice(AGES)))
        if chance.random() < 0.3:
            node, power = chance.randrange(4), chance.randrange(2)
            role = NodeRole.VALIDATOR if power else NodeRole.OBSERVER
            transactions.append(act(little, "node_update", VOTING[node], node, role, power, b"", b""))
        found = tuple(piece for piece in chance.sample(known, min(len(known), 3)) if chance.random() < 0.7)
        block = little.build(*transactions, evidence=found)
        little.decide(block)
        old += [transaction.raw for transaction in transactions]
        members = {member.public_key for member in little.replica.validators_at(height)}
        for name in VOTING:
            if chance.random() < 0.6:
                try:
                    known.append(little.equivocation(name, height, chance.randrange(2)))
                except ValueError:
                    assert len(members) < len(VOTING)
    assert repeated > 5
    little.close()


def rotation(little: LittleChain) -> tuple[Transaction, Transaction, Transaction]:
    """What a VASP's key signed, the rotation that ends the key, and what an officer whose key goes signed."""
    _, _, signer = little.commit(little.registration("htx")).results[0].created
    proof = little.prove("second", Role.SETTLEMENT, "htx")
    rotate = little.transaction("settlement_key_rotate", {signer: "htx"}, public("second"), proof)
    waiting = little.transaction("licence_apply", {signer: "htx"}, ("custody",))
    act = little.transaction("parameter_set", {2: "mof officer 2"}, "idle_ms", 700)
    return waiting, rotate, act


def replaced_officer(little: LittleChain) -> Transaction:
    new = NewOfficer(public("mof again"), little.prove("mof again", Role.OFFICER, "mof"))
    fields = (0, "", 0, (2,), (new,), ())
    return little.transaction("institution_update", officers("sbp", "pvara", "secp"), *fields)


def test_what_a_replaced_key_signed_is_in_no_block_whoever_remembers_its_signature(tmp_path: Path) -> None:
    little = LittleChain(tmp_path)
    waiting, rotate, act = rotation(little)
    held = {transaction.raw: transaction for transaction in (act, waiting)}
    hashes = {transaction.full_hash for transaction in held.values()}

    def said(replica: Replica) -> list[str | None]:
        """Of a block with each, by one who remembers everything and by one who remembers nothing."""
        raws = [candidate(replica, little.now_ms, (), (raw,)).raw for raw in held]
        warm = [replica.check_block(open_block(raw), hashes.__contains__, held.get) for raw in raws]
        assert warm == [replica.check_block(open_block(raw), lambda full: False) for raw in raws]
        built = replica.build_block(little.now_ms, held.values(), (), 0, hashes.__contains__)
        assert [fault is None for fault in warm] == [raw in built.transactions for raw in held]
        return warm

    assert said(little.replica) == said(restarted(little)) == [None, None]
    assert little.commit(replaced_officer(little), rotate).retired == (2, next(iter(waiting.signers)))
    faults = said(little.replica)
    assert faults == said(restarted(little))
    assert all("key_retired" in (fault or "") for fault in faults)
    little.close()
