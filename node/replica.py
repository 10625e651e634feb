"""One replica of the chain in memory: builds, checks and executes blocks, knows every height's validators.

This is where the two cores meet: consensus values come in, plain values go to the ledger, and what the ledger
answers becomes validator sets and headers. No I/O and no clock; `node.chain` adds the stores.

Header H carries the state after H-1. A change of validators decided at H is in force at H+2.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from consensus.encoding import encode_evidence
from consensus.errors import VerificationError
from consensus.messages import Evidence, Validator
from consensus.quorum import validators_hash
from consensus.verification import accused, verify_evidence
from ledger import parameters as parameter_table
from ledger import schedule, versions
from ledger.admission import BlockAdmission, check_signatures
from ledger.codes import Refused
from ledger.cost import cost_of
from ledger.enrolment import retired_by, signer_of
from ledger.execution import BlockFacts, Offence, Result, apply_block, outcome_root
from ledger.genesis import Genesis, create_state, genesis_hash
from ledger.limits import TIME_MS_MAX
from ledger.postings import results_root
from ledger.release import UnknownVersion, newest
from ledger.state import TABLES, State
from ledger.transactions import Transaction
from ledger.validators import may_offend, validator_set
from ledger.words import sentence_of
from node.limits import OUTSTANDING_MAX
from node.sealed import Known, SealedBlock, seal
from primitives.codec import builtins, encode
from primitives.hashing import EVIDENCE_LIST, TX_LIST, ZERO_HASH
from primitives.merkle import list_root
from wire.blocks import Block, BlockBounds, Header, layout_of
from wire.limits import HEADER_BYTES_MAX

ITEM_BYTES = 5  # the longest msgpack head of one transaction or evidence


@dataclass(frozen=True, slots=True)
class AppliedBlock:
    """What executing a block gave. `work`: it was not empty, so one more should follow at once."""

    height: int
    results: tuple[Result, ...]
    results_bytes: bytes
    postings: bytes  # rows, as `ledger.postings` says
    events: bytes
    transaction_ids: tuple[bytes, ...]
    first_signers: tuple[int, ...]  # of the transactions: whose windows the block moved
    retired: tuple[int, ...]  # signers whose keys the block ended
    work: bool


class StateDivergence(Exception):
    """A decided header contradicts our own state: the node halts. `dump` is what an engineer needs."""

    def __init__(self, height: int, fault: str, dump: dict[str, object]) -> None:
        super().__init__(f"the decided header of height {height} contradicts our own state: {fault}")
        self.height = height
        self.fault = fault
        self.dump = dump


class Memory(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a replica knows beside its state; stored with every checkpoint of it."""

    genesis_hash: bytes
    height: int
    last_hash: bytes
    last_time_ms: int
    last_work: bool
    state_root: bytes
    results_root: bytes
    validator_sets: tuple[tuple[int, tuple[tuple[bytes, int], ...]], ...]  # (in force from height, set)


class Replica:
    """A replica after executing `height` (0: genesis). Everything is ready to build or check `height + 1`."""

    def __init__(self, genesis: Genesis, state: State, memory: Memory) -> None:
        self.genesis = genesis
        self.genesis_hash = genesis_hash(genesis)
        self.state = state
        self.height = memory.height
        self._read_state()
        self.last_hash = memory.last_hash
        self.last_time_ms = memory.last_time_ms
        self.last_work = memory.last_work
        self.state_root = memory.state_root
        self.results_root = memory.results_root
        self._sets: list[tuple[int, tuple[Validator, ...]]] = [
            (first, tuple(Validator(key, power) for key, power in members))
            for first, members in memory.validator_sets
        ]
        self._outstanding: dict[Offence, Evidence] = {}

    @classmethod
    def at_genesis(cls, genesis: Genesis) -> "Replica":
        """The replica before the first block."""
        state = create_state(genesis)
        state.rehash()
        members = tuple((key, power) for _, key, power in validator_set(state))
        memory = Memory(
            genesis_hash=genesis_hash(genesis),
            height=0,
            last_hash=ZERO_HASH,
            last_time_ms=genesis.time_ms,
            last_work=False,
            state_root=state.root(),
            results_root=results_root((), b"", b""),
            validator_sets=((1, members),),
        )
        return cls(genesis, state, memory)

    def _read_state(self) -> None:
        """What the next block stands on, of what the state says."""
        self.parameters = parameter_table.read(self.state)
        self._params_hash = parameter_table.parameters_hash(self.state)
        self.next_version = schedule.version_at(self.state, self.height + 1)
        known = self.next_version <= newest()
        self.rules = versions.rules(self.next_version if known else self.state.version)

    def require_known(self) -> None:
        """Raise UnknownVersion if the next block follows a version of the protocol that this software does
        not know: then it is neither built nor checked nor executed here."""
        if self.next_version > newest():
            raise UnknownVersion(self.next_version, self.height + 1)

    def memory(self) -> Memory:
        """What `Replica(genesis, state, memory)` needs to be this replica again."""
        return Memory(
            self.genesis_hash,
            self.height,
            self.last_hash,
            self.last_time_ms,
            self.last_work,
            self.state_root,
            self.results_root,
            tuple(
                (first, tuple((member.public_key, member.power) for member in members))
                for first, members in self._sets
            ),
        )

    # --- validator sets -----------------------------------------------------------------------------------

    def validators_at(self, height: int) -> tuple[Validator, ...]:
        """The validator set of `height`, at most two above ours. Raises ValueError for any other."""
        if not 1 <= height <= self.height + 2:
            raise ValueError(f"the validator set of height {height} is not known at height {self.height}")
        return next(members for first, members in reversed(self._sets) if first <= height)

    def validator_changes(self) -> tuple[tuple[int, tuple[Validator, ...]], ...]:
        """Every change of the set since genesis: (first height in force, set)."""
        return tuple(self._sets[1:])

    @property
    def validators(self) -> tuple[Validator, ...]:
        """The set that decides the next height."""
        return self.validators_at(self.height + 1)

    def node_names(self, members: Iterable[Validator]) -> tuple[str, ...]:
        """The names of the nodes that `members` are, or were: a key is enrolled for one node, ever."""
        owners = (signer_of(self.state, member.public_key) for member in members)
        return tuple(self.state.nodes[self.state.signers.field(owner, "owner")].name for owner in owners)

    # --- evidence -----------------------------------------------------------------------------------------

    def add_evidence(self, evidence: Evidence) -> str | None:
        """Keep evidence until a block holds it; why it is none, or None. Known evidence is no fault."""
        fault = self._evidence_fault(evidence, max(self.height, evidence.first.height) + 1)
        if fault is not None:
            return fault
        offence = self._offence(evidence)
        if not self._is_news(offence) or offence in self._outstanding:
            return None
        if sum(known.node == offence.node for known in self._outstanding) < OUTSTANDING_MAX:
            self._outstanding[offence] = evidence
        return None

    def outstanding_evidence(self) -> tuple[Evidence, ...]:
        """Evidence that the next block may hold and none holds yet, at most as much as one block takes."""
        ready = (evidence for offence, evidence in self._outstanding.items() if offence.height <= self.height)
        return tuple(islice(ready, self.rules.limits.evidence))

    def _evidence_fault(self, evidence: Evidence, height: int) -> str | None:
        """Why a block of `height` may not hold `evidence`, or None."""
        try:
            members = self.validators_at(evidence.first.height)
            verify_evidence(evidence, members, self.genesis_hash, height, self.parameters.evidence_age_blocks)
        except (ValueError, VerificationError) as error:
            return str(error)
        return None

    def _offence(self, evidence: Evidence) -> Offence:
        """Evidence as the ledger counts it: against the node whose key signed twice."""
        height = evidence.first.height
        key = self.validators_at(height)[accused(evidence)].public_key
        node = self.state.signers.field(signer_of(self.state, key), "owner")  # it may have another key by now
        return Offence(node, height)

    def _is_news(self, offence: Offence) -> bool:
        """Whether the state, and nothing else that we remember, says that no block holds it."""
        return may_offend(self.state.nodes[offence.node], offence.height)

    # --- building -----------------------------------------------------------------------------------------

    def build_block(
        self,
        now_ms: int,
        transactions: Iterable[Transaction],
        evidence: Iterable[Evidence],
        proposer_position: int,
        is_verified: Callable[[bytes], bool] = lambda full_hash: False,
        cost_max: int | None = None,
    ) -> SealedBlock:
        """The block of the next height. Transactions are taken in the order given, while they fit; one that
        would make the block invalid is left out, and one with which it would cost more than `cost_max`,
        unless it stands alone."""
        time_ms = max(now_ms, self.last_time_ms + 1)
        room = self.parameters.block_bytes - HEADER_BYTES_MAX
        proofs: dict[Offence, bytes] = {}
        for item in evidence:
            if self._evidence_fault(item, self.height + 1) is not None:
                continue
            offence, encoded = self._offence(item), encode_evidence(item)
            if not self._is_news(offence) or offence in proofs:
                continue
            if len(proofs) == self.rules.limits.evidence or len(encoded) + ITEM_BYTES > room:
                break
            proofs[offence] = encoded
            room -= len(encoded) + ITEM_BYTES
        taken: list[Transaction] = []
        admission = BlockAdmission(self.state, time_ms, self.rules)
        most = self.parameters.block_cost if cost_max is None else cost_max
        cheapest = self.rules.limits.transaction_cost + self.rules.limits.signature_cost
        for transaction in transactions:
            if len(transaction.raw) + ITEM_BYTES > room:
                continue
            if admission.is_full or (taken and admission.cost + cheapest > most):
                break
            if taken and admission.cost + cost_of(self.state, transaction, self.rules) > most:
                continue
            try:
                admission.check(transaction)
                self._verify(transaction, is_verified)
            except Refused:
                continue
            admission.take(transaction)
            room -= len(transaction.raw) + ITEM_BYTES
            taken.append(transaction)
        raws, encodings = tuple(transaction.raw for transaction in taken), tuple(proofs.values())
        header = _committed_to(self._header(time_ms, proposer_position), raws, encodings)
        return seal(Block(header, raws, encodings), tuple(taken))

    def _header(self, time_ms: int, proposer_position: int) -> Header:
        """The header that our own state asks for, without the roots of the body."""
        facts: dict[str, Any] = {
            "version": self.rules.version,
            "genesis_hash": self.genesis_hash,
            "height": self.height + 1,
            "time_ms": time_ms,
            "parent": self.last_hash,
            "proposer": proposer_position,
            "txs_root": ZERO_HASH,
            "evidence_root": ZERO_HASH,
            "executed_height": self.height,
            "state_root": self.state_root,
            "results_root": self.results_root,
            "validators_hash": validators_hash(self.validators_at(self.height + 1)),
            "next_validators_hash": validators_hash(self.validators_at(self.height + 2)),
            "params_hash": self._params_hash,
        }
        layout = layout_of(self.rules.version)
        return layout(**{name: facts[name] for name in layout.__struct_fields__})

    # --- checking -----------------------------------------------------------------------------------------

    @property
    def bounds(self) -> BlockBounds:
        """What a block of the next height may hold, as far as it shows before it is opened. No transaction
        costs less than what every one costs with one signature."""
        limits, parameters = self.rules.limits, self.parameters
        transactions = parameters.block_cost // (limits.transaction_cost + limits.signature_cost)
        return BlockBounds(parameters.block_bytes, transactions, limits.evidence)

    def decided_fault(self, block: SealedBlock) -> str | None:
        """What in a decided block contradicts our chain and state, as far as it shows before it is executed,
        or None."""
        return self.header_fault(block.header) or self._size_fault(block)

    def _size_fault(self, block: SealedBlock) -> str | None:
        if len(block.raw) > self.parameters.block_bytes:
            return f"block is {len(block.raw)} bytes, at most {self.parameters.block_bytes}"
        return None

    def header_fault(self, header: Header) -> str | None:
        """The first field of `header` that contradicts our chain and state, or None."""
        ours = self._header(header.time_ms, header.proposer)
        for name in header.__struct_fields__:
            if name not in ("txs_root", "evidence_root") and getattr(ours, name) != getattr(header, name):
                return f"{name} is {_shown(getattr(header, name))}, ours is {_shown(getattr(ours, name))}"
        if not self.last_time_ms < header.time_ms <= TIME_MS_MAX:
            return f"time_ms is {header.time_ms}, must be above {self.last_time_ms} and at most {TIME_MS_MAX}"
        if header.proposer >= len(self.validators):
            return f"proposer is {header.proposer}, of {len(self.validators)} validators"
        return None

    def check_block(
        self,
        block: SealedBlock,
        is_verified: Callable[[bytes], bool],
        known: Known = lambda raw: None,
    ) -> str | None:
        """Why `block` is not valid as the next one, or None (DESIGN 4, "Block validity").

        Whether it came from the proposer that it names is no part of it (`node.verifier.timely_from`).
        `is_verified` says of a transaction's full hash that its signatures are known good; `known` gives a
        transaction whose bytes were decoded before.
        """
        fault = self.header_fault(block.header)
        if fault is not None:
            return fault
        fault = self._size_fault(block)
        if fault is not None:
            return fault
        try:
            return self._evidence_list_fault(block) or self._transactions_fault(block, is_verified, known)
        except VerificationError as error:
            return str(error)

    def _evidence_list_fault(self, block: SealedBlock) -> str | None:
        most = self.rules.limits.evidence
        if len(block.evidence) > most:
            return f"{len(block.evidence)} pieces of evidence, at most {most}"
        seen: set[Offence] = set()
        for evidence in block.decoded_evidence():
            fault = self._evidence_fault(evidence, self.height + 1)
            if fault is not None:
                return fault
            offence = self._offence(evidence)
            if not self._is_news(offence) or offence in seen:
                return f"evidence against node {offence.node} at height {offence.height} is repeated"
            seen.add(offence)
        return None

    def _transactions_fault(
        self, block: SealedBlock, is_verified: Callable[[bytes], bool], known: Known
    ) -> str | None:
        """Everything that is cheap is asked of every transaction before a signature is verified of any."""
        admission = BlockAdmission(self.state, block.header.time_ms, self.rules)
        transactions = block.decoded(known)
        for position, transaction in enumerate(transactions):
            try:
                admission.admit(transaction)
            except Refused as refusal:
                return f"transaction {position}: {sentence_of(refusal)}"
        for position, transaction in enumerate(transactions):
            try:
                self._verify(transaction, is_verified)
            except Refused as refusal:
                return f"transaction {position}: {sentence_of(refusal)}"
        return None

    def _verify(self, transaction: Transaction, is_verified: Callable[[bytes], bool]) -> None:
        if not is_verified(transaction.full_hash):
            check_signatures(self.state, transaction, self.genesis_hash)

    # --- executing ----------------------------------------------------------------------------------------

    def execute(self, block: SealedBlock) -> AppliedBlock:
        """Execute a decided block. Raises StateDivergence, with nothing changed, if it contradicts us, and
        UnknownVersion as `require_known` does."""
        self.require_known()
        header = block.header
        fault = self.decided_fault(block)
        if fault is not None:
            raise StateDivergence(header.height, fault, self.dump(header))
        try:
            transactions, committed = block.decoded(), block.decoded_evidence()
        except VerificationError as error:
            raise StateDivergence(header.height, str(error), self.dump(header)) from error
        offences = tuple(map(self._offence, committed))
        outcome = apply_block(self.state, BlockFacts(header.height, header.time_ms, offences), transactions)
        self.height = header.height
        self.last_hash = block.value
        self.last_time_ms = header.time_ms
        self.last_work = bool(block.transactions)  # evidence can wait: a liar must not set the pace
        self.state_root = self.state.root()
        self.results_root = outcome_root(outcome)
        self._read_state()
        if outcome.validator_updates is not None:
            members = tuple(Validator(key, power) for _, key, power in outcome.validator_updates)
            self._sets.append((self.height + 2, members))
        oldest = self.height + 1 - self.parameters.evidence_age_blocks
        self._outstanding = {
            offence: evidence
            for offence, evidence in self._outstanding.items()
            if offence.height >= oldest and self._is_news(offence)
        }
        return AppliedBlock(
            self.height,
            outcome.results,
            encode_results(outcome.results),
            outcome.postings,
            outcome.events,
            tuple(transaction.id for transaction in transactions),
            tuple(transaction.signers[0] for transaction in transactions),
            retired_by(outcome.events),
            self.last_work,
        )

    def dump(self, header: Header) -> dict[str, object]:
        """What an engineer needs to find out why a decided header contradicts us."""
        ours = self._header(header.time_ms, header.proposer)
        return {
            "decided_header": {name: _shown(getattr(header, name)) for name in header.__struct_fields__},
            "our_header": {name: _shown(getattr(ours, name)) for name in ours.__struct_fields__},
            "executed_height": self.height,
            "table_roots": {TABLES[number].name: root.hex() for number, root in self.state.table_roots()},
            "genesis_hash": self.genesis_hash.hex(),
        }


def encode_results(results: Sequence[Result]) -> bytes:
    """Results as the block store keeps them."""
    return encode([builtins(result) for result in results])


def _committed_to(header: Header, transactions: Sequence[bytes], evidence: Sequence[bytes]) -> Header:
    """`header` committing to this body."""
    return msgspec.structs.replace(
        header, txs_root=list_root(TX_LIST, transactions), evidence_root=list_root(EVIDENCE_LIST, evidence)
    )


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
