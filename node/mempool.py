"""Transactions that wait for a block: checked once, in lanes, bounded, fair.

Acts of institutions come first, up to a quota; transfers share the rest by turns of bytes, of each VASP with
its clients and in it of each first signer. A signer has a share of the room, and so has a VASP with its
clients; in a full pool what is old makes room, and then what belongs to whoever has most. A transaction is
known by its id only once its signatures verify. Nothing here decides: the block's own rules do, and the pool
only repeats them early, so that a client hears at once.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from api.refusals import Declined
from api.sources import Submission
from ledger.codes import Code, Refused
from ledger.kind import Lane
from ledger.transactions import Transaction, decode_transaction
from node.door import Share
from node.limits import (
    AGED_BLOCKS,
    EVICTED_MAX,
    GROUP_PART,
    MEMPOOL_BYTES_MAX,
    MEMPOOL_TRANSACTIONS_MAX,
    PER_SIGNER_MAX,
    VERIFIED_MAX,
)
from node.ports import Committed

ACTS_RESERVE = 1024  # acts that find room in a pool full of transfers
ACTS_RESERVE_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class _Waiting:
    transaction: Transaction
    lane: Lane
    ours: bool  # a client gave it to us, not a peer
    group: Hashable  # whose share of the pool it takes
    since: int  # blocks that this pool had heard of when it came


class _Group:
    """What an institution, or a VASP with all its clients, has in the pool."""

    def __init__(self) -> None:
        self.size = 0
        self.heaviest = -1  # the signer who had most when last it was seen


class VerifiedCache:
    """Hashes of full transaction bytes whose signatures verified; the oldest are forgotten first.

    That stays true whatever becomes of the keys: a signer's key never changes, another key is another signer.
    Whether a signer may still sign is no part of it, and is asked of the state each time (`check_signers`).
    """

    def __init__(self, count_max: int = VERIFIED_MAX) -> None:
        self._hashes: OrderedDict[bytes, None] = OrderedDict()
        self._count_max = count_max

    def __contains__(self, full_hash: bytes) -> bool:
        return full_hash in self._hashes

    def add(self, full_hash: bytes) -> None:
        self._hashes[full_hash] = None
        if len(self._hashes) > self._count_max:
            self._hashes.popitem(last=False)


class Mempool:
    """The pool of one node.

    `check` verifies a transaction against the newest state (its second argument says that the signatures are
    known to be good, its third that room is scarce) and raises Refused; `share_of` says whose share of the
    pool a signer's transactions take; `is_committed` says whether an id is in a block; `still_open` says
    whether a signer's window takes, or may come to take, a sequence.
    """

    def __init__(
        self,
        *,
        check: Callable[[Transaction, bool, bool], None],
        share_of: Callable[[int], Share],
        is_committed: Callable[[bytes], bool],
        still_open: Callable[[int, int], bool],
        count_max: int = MEMPOOL_TRANSACTIONS_MAX,
        bytes_max: int = MEMPOOL_BYTES_MAX,
    ) -> None:
        self._check = check
        self._share_of = share_of
        self._groups: dict[Hashable, _Group] = {}
        self._sizes: dict[int, int] = {}  # by first signer
        self._blocks = 0
        self._is_committed = is_committed
        self._still_open = still_open
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._waiting: dict[bytes, _Waiting] = {}
        self._by_bytes: dict[bytes, Transaction] = {}
        self._acts: deque[bytes] = deque()
        self._turns: OrderedDict[int, deque[bytes]] = OrderedDict()  # by first signer
        self._sequences: dict[int, dict[int, bytes]] = {}  # by first signer
        self._expiries: list[tuple[int, bytes]] = []
        self._to_gossip: list[bytes] = []
        self._bytes = 0
        self.verified = VerifiedCache()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def bytes_held(self) -> int:
        return self._bytes

    def submit(self, raw: bytes, *, ours: bool) -> tuple[Submission, Transaction]:
        """Take in a transaction from a client (`ours`, to be told to the peers) or from a peer.

        Raises Refused, with the rule it breaks against the newest state, or Declined.
        """
        try:
            waiting = self._by_bytes.get(raw)
            if waiting is not None:
                return Submission.PENDING, waiting
            transaction = decode_transaction(raw)
            return self._pool(transaction, ours), transaction
        except (Refused, Declined):
            self.refused += 1
            raise

    def _pool(self, transaction: Transaction, ours: bool) -> Submission:
        try:
            crowded = 2 * self._bytes > self._bytes_max or 2 * len(self._waiting) > self._count_max
            self._check(transaction, transaction.full_hash in self.verified, crowded)
        except Refused:
            # What is in a block has used its sequence, and may have expired: only then is the index asked.
            if self._is_committed(transaction.id):
                return Submission.COMMITTED
            raise
        self.verified.add(transaction.full_hash)
        if transaction.id in self._waiting:
            return Submission.PENDING  # other bytes of the signatures, as good as those that wait
        signer, sequence = transaction.signers[0], transaction.sequence
        sequences = self._sequences.get(signer)
        if sequences is not None:
            if sequence in sequences:
                raise Declined(Code.SEQUENCE_USED, "sequence", sequence, "another transaction with it waits")
            if len(sequences) >= PER_SIGNER_MAX:
                raise Declined(
                    Code.LIMIT_EXCEEDED,
                    "signers",
                    signer,
                    f"at most {PER_SIGNER_MAX} transactions of one signer wait at once",
                )
        size = len(transaction.raw)
        lane = transaction.definition.lane
        share = self._share_of(signer)
        self._require_share(signer, share, lane, size)
        self._make_room(share.group, lane, size)
        self._waiting[transaction.id] = _Waiting(transaction, lane, ours, share.group, self._blocks)
        self._count(signer, share.group, size)
        self._by_bytes[transaction.raw] = transaction
        self._sequences.setdefault(signer, {})[sequence] = transaction.id
        self._bytes += size
        if lane is Lane.ACTS:
            self._acts.append(transaction.id)
        else:
            line = self._turns.setdefault(signer, deque())
            line.append(transaction.id)
            if len(line) > 2 * PER_SIGNER_MAX:
                self._turns[signer] = deque(identity for identity in line if identity in self._waiting)
        heappush(self._expiries, (transaction.valid_until, transaction.id))
        if ours:
            self._to_gossip.append(transaction.raw)
        return Submission.ACCEPTED

    def _require_share(self, signer: int, share: Share, lane: Lane, size: int) -> None:
        """Decline what is above the signer's own share, or that of its VASP with all the VASP's clients."""
        if self._sizes.get(signer, 0) + size > share.bytes_max:
            rule = f"at most {share.bytes_max} bytes of this signer wait at once"
            raise Declined(Code.LIMIT_EXCEEDED, "signers", signer, rule)
        group, most = self._groups.get(share.group), self._bytes_max // GROUP_PART
        if lane is Lane.TRANSFERS and group is not None and group.size + size > most:
            rule = f"at most {most} bytes of one VASP and its clients wait at once: try again"
            raise Declined(Code.LIMIT_EXCEEDED, "signers", signer, rule)

    def _make_room(self, group: Hashable, lane: Lane, size: int) -> None:
        """Decline what finds no room, unless something makes room for it: what is old, or what belongs to
        those who have more than its own group has with it."""
        count_max, bytes_max = self._count_max, self._bytes_max
        if lane is Lane.ACTS:  # whoever fills the pool must not keep a freeze out
            count_max, bytes_max = count_max + ACTS_RESERVE, bytes_max + ACTS_RESERVE_BYTES
        for _ in range(EVICTED_MAX):
            if len(self._waiting) < count_max and self._bytes + size <= bytes_max:
                return
            victim = self._victim(group, size)
            if victim is None:
                break
            self._forget(victim)
        raise Declined(Code.LIMIT_EXCEEDED, "transaction", size, "the node's pool is full: try again")

    def _victim(self, group: Hashable, size: int) -> bytes | None:
        """The oldest transfer if it has waited for long, else the newest of the heaviest signer of the group
        that has most."""
        oldest = next((i for i, waiting in self._waiting.items() if waiting.lane is Lane.TRANSFERS), None)
        if oldest is not None and self._waiting[oldest].since + AGED_BLOCKS <= self._blocks:
            return oldest
        largest = max(self._groups, key=lambda each: self._groups[each].size, default=None)
        ours = self._groups.get(group)
        if largest is None or self._groups[largest].size <= size + (0 if ours is None else ours.size):
            return None
        line = self._turns.get(self._groups[largest].heaviest, ())
        return next((identity for identity in reversed(line) if identity in self._waiting), None)

    def _count(self, signer: int, name: Hashable, size: int) -> None:
        """Add to what a signer and its group have, or take away."""
        self._sizes[signer] = self._sizes.get(signer, 0) + size
        group = self._groups.setdefault(name, _Group())
        group.size += size
        if self._sizes[signer] > self._sizes.get(group.heaviest, 0):
            group.heaviest = signer
        if not self._sizes[signer]:
            del self._sizes[signer]
        if not group.size:
            del self._groups[name]

    def ordered(self, acts_quota: int) -> Iterator[Transaction]:
        """The waiting transactions in the order for a block: acts up to the quota, then transfers by turns of
        bytes, those of each VASP with its clients, and among them those of each signer.

        They stay in the pool until they are committed, expire, or can no longer be included.
        """
        acts = [identity for identity in self._acts if identity in self._waiting]
        self._acts = deque(acts)
        for identity in acts[:acts_quota]:
            yield self._waiting[identity].transaction
        lines: dict[Hashable, dict[int, deque[bytes]]] = {}  # by group, by signer
        for signer in list(self._turns):
            line = deque(identity for identity in self._turns[signer] if identity in self._waiting)
            if line:
                self._turns[signer] = line
                lines.setdefault(self._waiting[line[0]].group, {})[signer] = deque(line)
            else:
                del self._turns[signer]
        if self._turns:
            self._turns.move_to_end(next(iter(self._turns)))  # another signer is first next time
        yield from self._by_turns(list(lines.values()))

    def _by_turns(self, groups: list[dict[int, deque[bytes]]]) -> Iterator[Transaction]:
        """Always the next of the group, and in it of the signer, of which the fewest bytes were taken."""
        turns = [
            (0, number, [(0, n, line) for n, line in enumerate(lines.values())])
            for number, lines in enumerate(groups)
        ]
        while turns:
            taken, number, signers = heappop(turns)
            of_signer, place, line = heappop(signers)
            waiting = self._waiting.get(line.popleft())
            size = 0 if waiting is None else len(waiting.transaction.raw)
            if line:
                heappush(signers, (of_signer + size, place, line))
            if signers:
                heappush(turns, (taken + size, number, signers))
            if waiting is not None:
                yield waiting.transaction

    def committed(self, commit: Committed) -> None:
        """Forget what is in the block, what can no longer be included after it, and what has expired.

        A transaction that never was in this pool can close a sequence that waits here: so the first signers
        of all the block's transactions are looked at. One that ends a key closes all that the key signed.
        """
        applied, time_ms = commit.applied, commit.block.header.time_ms
        self._blocks += 1
        for identity in applied.transaction_ids:
            self._forget(identity)
        for signer in set(applied.first_signers):
            for sequence, identity in list(self._sequences.get(signer, {}).items()):
                if not self._still_open(signer, sequence):
                    self._forget(identity)
        if applied.retired:
            self._forget_signed_by(set(applied.retired))
        while self._expiries and self._expiries[0][0] * 1000 < time_ms:
            self._forget(heappop(self._expiries)[1])
        if len(self._expiries) > 2 * len(self._waiting) + 1024:
            self._expiries = [
                (waiting.transaction.valid_until, identity) for identity, waiting in self._waiting.items()
            ]
            self._expiries.sort()
        if len(self._acts) > 2 * len(self._waiting) + 1024:  # a node that never builds never calls ordered
            self._acts = deque(identity for identity in self._acts if identity in self._waiting)

    def take_gossip(self) -> list[bytes]:
        """The raw bytes that clients gave us since the last call."""
        taken, self._to_gossip = self._to_gossip, []
        return taken

    def ours(self) -> list[bytes]:
        """The raw bytes of everything that clients gave us and that still waits: what a new peer lacks."""
        return [waiting.transaction.raw for waiting in self._waiting.values() if waiting.ours]

    def decoded(self, raw: bytes) -> Transaction | None:
        """The waiting transaction of exactly these bytes, or None."""
        return self._by_bytes.get(raw)

    def get(self, identity: bytes) -> Transaction | None:
        """The waiting transaction of that id, or None."""
        waiting = self._waiting.get(identity)
        return None if waiting is None else waiting.transaction

    def _forget_signed_by(self, signers: set[int]) -> None:
        """Forget all that one of these keys signed, alone or with others; only acts have several signers."""
        for signer in signers:
            for identity in list(self._sequences.get(signer, {}).values()):
                self._forget(identity)
        for identity in self._acts:
            waiting = self._waiting.get(identity)
            if waiting is not None and not signers.isdisjoint(waiting.transaction.signers):
                self._forget(identity)

    def _forget(self, identity: bytes) -> None:
        waiting = self._waiting.pop(identity, None)
        if waiting is None:
            return
        transaction = waiting.transaction
        self._bytes -= len(transaction.raw)
        self._count(transaction.signers[0], waiting.group, -len(transaction.raw))
        del self._by_bytes[transaction.raw]
        sequences = self._sequences[transaction.signers[0]]
        del sequences[transaction.sequence]
        if not sequences:
            del self._sequences[transaction.signers[0]]
            self._turns.pop(transaction.signers[0], None)
