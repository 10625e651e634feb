"""The pool: lanes, turns, bounds, duplicates, and forgetting."""

from dataclasses import dataclass, field

import pytest

from api.refusals import Declined
from api.sources import Submission
from ledger.codes import Code, Refused
from ledger.kinds import BY_NAME
from ledger.transactions import Transaction, assemble, decode_transaction, encode_body
from node.door import Share
from node.limits import AGED_BLOCKS, GROUP_PART, PER_SIGNER_MAX
from node.mempool import ACTS_RESERVE, Mempool, VerifiedCache
from testing.commits import commit_of

SIGNATURE = bytes(64)


def transfer(signer: int, sequence: int, amount: int = 1, valid_until: int = 1000, mark: int = 0) -> bytes:
    body = encode_body(
        BY_NAME["transfer"], [signer], sequence, valid_until, BY_NAME["transfer"].payload(1, 2, amount)
    )
    return assemble(body, [bytes((mark,)) * 64])


def act(signer: int, sequence: int, *others: int) -> bytes:
    kind = BY_NAME["dev_advance_clock"]
    signers = [signer, *others]
    return assemble(encode_body(kind, signers, sequence, 1000, kind.payload(1)), [SIGNATURE] * len(signers))


@dataclass
class World:
    """What the pool asks of the ledger."""

    committed: set[bytes] = field(default_factory=set)
    closed: set[tuple[int, int]] = field(default_factory=set)
    refuse: bool = False
    verifications: int = 0
    crowded: bool = False
    shares: dict[int, Share] = field(default_factory=dict)

    def check(self, transaction: Transaction, verified: bool, crowded: bool) -> None:
        self.verifications += not verified
        self.crowded = crowded
        if self.refuse:
            raise Refused(Code.BAD_SIGNATURE, "signatures", 0)

    def pool(self, **limits: int) -> Mempool:
        return Mempool(
            check=self.check,
            share_of=lambda signer: self.shares.get(signer, Share(signer, 2**20)),
            is_committed=self.committed.__contains__,
            still_open=lambda signer, sequence: (signer, sequence) not in self.closed,
            **limits,
        )


def _order(pool: Mempool, quota: int = 100) -> list[tuple[int, int]]:
    return [(transaction.signers[0], transaction.sequence) for transaction in pool.ordered(quota)]


def test_acts_come_first_up_to_their_quota() -> None:
    pool = World().pool()
    for raw in (transfer(7, 1), act(1, 1), act(2, 1), act(3, 1)):
        pool.submit(raw, ours=True)
    assert _order(pool) == [(1, 1), (2, 1), (3, 1), (7, 1)]
    assert _order(pool, quota=1) == [(1, 1), (7, 1)]


def test_signers_of_transfers_take_turns() -> None:
    pool = World().pool()
    for sequence in (1, 2, 3):
        pool.submit(transfer(5, sequence), ours=True)
    pool.submit(transfer(6, 1), ours=True)
    pool.submit(transfer(7, 1), ours=True)
    first = _order(pool)
    assert {signer for signer, _ in first[:3]} == {5, 6, 7}
    assert first[3:] == [(5, 2), (5, 3)]
    assert _order(pool)[0][0] != first[0][0]  # and the next block begins with another signer


def test_a_resend_is_a_duplicate_and_is_verified_once() -> None:
    world = World()
    pool = world.pool()
    assert pool.submit(transfer(5, 1), ours=True)[0] is Submission.ACCEPTED
    assert pool.submit(transfer(5, 1), ours=True)[0] is Submission.PENDING
    assert world.verifications == 1
    assert len(pool) == 1


def test_what_is_in_a_block_is_said_to_be() -> None:
    world = World()
    pool = world.pool()
    raw = transfer(5, 1)
    world.committed.add(decode_transaction(raw).id)
    world.refuse = True  # its sequence is used
    assert pool.submit(raw, ours=True)[0] is Submission.COMMITTED
    assert len(pool) == 0


def test_other_signature_bytes_for_a_waiting_body_must_verify() -> None:
    world = World()
    pool = world.pool()
    pool.submit(transfer(5, 1), ours=True)
    world.refuse = True
    with pytest.raises(Refused, match="bad_signature"):
        pool.submit(transfer(5, 1, mark=9), ours=True)


def test_what_is_refused_is_not_remembered() -> None:
    world = World(refuse=True)
    pool = world.pool()
    with pytest.raises(Refused):
        pool.submit(transfer(5, 1), ours=True)
    assert len(pool) == 0
    assert pool.take_gossip() == []
    world.refuse = False
    assert pool.submit(transfer(5, 1), ours=True)[0] is Submission.ACCEPTED


def test_a_sequence_waits_once() -> None:
    pool = World().pool()
    pool.submit(transfer(5, 1), ours=True)
    with pytest.raises(Declined) as refused:
        pool.submit(transfer(5, 1, amount=2), ours=True)
    assert refused.value.code is Code.SEQUENCE_USED


def test_one_signer_has_as_many_as_its_window_holds() -> None:
    pool = World().pool()
    for sequence in range(1, PER_SIGNER_MAX + 1):
        pool.submit(transfer(5, sequence), ours=True)
    with pytest.raises(Declined) as refused:
        pool.submit(transfer(5, PER_SIGNER_MAX + 1), ours=True)
    assert refused.value.code is Code.LIMIT_EXCEEDED
    assert pool.submit(transfer(6, 1), ours=True)[0] is Submission.ACCEPTED


@pytest.mark.parametrize("limits", [{"count_max": 3}, {"bytes_max": 3 * len(transfer(5, 1))}])
def test_the_pool_is_bounded_and_takes_again_when_there_is_room(limits: dict[str, int]) -> None:
    pool = World().pool(**limits)
    for signer in (1, 2, 3):
        pool.submit(transfer(signer, 1), ours=True)
    with pytest.raises(Declined) as refused:
        pool.submit(transfer(4, 1), ours=True)
    assert refused.value.code is Code.LIMIT_EXCEEDED
    pool.committed(commit_of(1, [decode_transaction(transfer(1, 1)).id], [1], time_ms=0))
    assert pool.submit(transfer(4, 1), ours=True)[0] is Submission.ACCEPTED


@pytest.mark.parametrize("limits", [{"count_max": 3}, {"bytes_max": 3 * len(transfer(5, 1))}])
def test_a_pool_full_of_transfers_still_takes_acts(limits: dict[str, int]) -> None:
    pool = World().pool(**limits)
    for signer in (1, 2, 3):
        pool.submit(transfer(signer, 1), ours=True)
    assert pool.submit(act(4, 1), ours=True)[0] is Submission.ACCEPTED
    assert _order(pool)[0] == (4, 1)


def test_acts_are_bounded_too() -> None:
    pool = World().pool(count_max=3)
    for signer in range(3 + ACTS_RESERVE):
        pool.submit(act(signer, 1), ours=True)
    with pytest.raises(Declined) as refused:
        pool.submit(act(10_000, 1), ours=True)
    assert refused.value.code is Code.LIMIT_EXCEEDED


def test_committed_stale_and_expired_transactions_are_forgotten() -> None:
    world = World()
    pool = world.pool()
    for raw in (
        transfer(5, 1),
        transfer(5, 2),
        transfer(5, 3),
        transfer(6, 1, valid_until=50),
        transfer(6, 2),
    ):
        pool.submit(raw, ours=True)
    world.closed.add((5, 2))
    pool.committed(commit_of(1, [decode_transaction(transfer(5, 1)).id], [5], time_ms=50_001))
    assert sorted(_order(pool)) == [(5, 3), (6, 2)]
    assert pool.bytes_held == 2 * len(transfer(5, 1))


def test_an_expiry_is_kept_until_it_has_passed() -> None:
    pool = World().pool()
    pool.submit(transfer(6, 1, valid_until=50), ours=True)
    pool.committed(commit_of(1, [], [], time_ms=50_000))
    assert len(pool) == 1


def test_only_what_clients_gave_us_is_told_to_peers_and_once() -> None:
    pool = World().pool()
    pool.submit(transfer(5, 1), ours=True)
    pool.submit(transfer(6, 1), ours=False)
    assert pool.take_gossip() == [transfer(5, 1)]
    assert pool.take_gossip() == []
    assert pool.ours() == [transfer(5, 1)]


def test_the_cache_of_verified_hashes_is_bounded() -> None:
    cache = VerifiedCache(2)
    for mark in (b"a", b"b", b"c"):
        cache.add(mark)
    assert [mark in cache for mark in (b"a", b"b", b"c")] == [False, True, True]


def test_bytes_that_are_no_transaction_are_refused() -> None:
    with pytest.raises(Refused) as refused:
        World().pool().submit(b"\xc1", ours=True)
    assert refused.value.code is Code.MALFORMED


def test_what_another_nodes_transaction_made_stale_is_forgotten() -> None:
    world = World()
    pool = world.pool()
    pool.submit(transfer(5, 1), ours=True)
    world.closed.add((5, 1))  # by another transaction, which this pool never saw
    pool.committed(commit_of(1, [b"x" * 32], [5], time_ms=0))
    assert len(pool) == 0


def test_a_node_that_never_proposes_keeps_no_trace_of_what_is_done() -> None:
    world = World()
    pool = world.pool()
    for number in range(1, 5000):
        raw = (transfer(5, number), act(1, number))[number % 2]
        pool.submit(raw, ours=False)
        pool.committed(commit_of(1, [decode_transaction(raw).id], [5, 1], time_ms=0))
    assert len(pool._acts) + sum(map(len, pool._turns.values())) < 2000


def test_what_a_key_signed_that_a_block_ended_is_forgotten_alone_or_with_others() -> None:
    pool = World().pool()
    for raw in (
        transfer(7, 1),
        transfer(7, 2),
        transfer(8, 1),
        act(1, 1),
        act(1, 2, 3),
        act(3, 1),
        act(2, 1),
    ):
        pool.submit(raw, ours=True)
    pool.committed(commit_of(1, [b"x" * 32], [9], retired=(3, 7)))
    assert _order(pool) == [(1, 1), (2, 1), (8, 1)]
    assert pool.ours() == [transfer(8, 1), act(1, 1), act(2, 1)]
    assert pool.bytes_held == len(transfer(8, 1)) + 2 * len(act(1, 1))


# --- shares

SIZE = len(transfer(5, 1))
BATCH = BY_NAME["transfer_batch"]


def batch(signer: int, sequence: int, rows: int) -> bytes:
    body = encode_body(BATCH, [signer], sequence, 1000, BATCH.payload(bytes(16 * rows)))
    return assemble(body, [SIGNATURE])


def _refused(pool: Mempool, raw: bytes) -> str:
    with pytest.raises(Declined) as refused:
        pool.submit(raw, ours=True)
    assert refused.value.code is Code.LIMIT_EXCEEDED
    return str(refused.value)


def test_a_signer_has_so_many_bytes_and_no_more() -> None:
    world = World(shares={5: Share("a", 3 * SIZE)})
    pool = world.pool()
    for sequence in (1, 2, 3):
        pool.submit(transfer(5, sequence), ours=True)
    assert "of this signer wait at once" in _refused(pool, transfer(5, 4))
    pool.committed(commit_of(1, [decode_transaction(transfer(5, 1)).id], [5], time_ms=0))
    pool.submit(transfer(5, 4), ours=True)


def test_a_vasp_with_all_its_clients_has_a_part_of_the_pool() -> None:
    """A dozen keys of one VASP's clients leave the others their room."""
    world = World(shares={signer: Share("vasp", 2**20) for signer in range(12)})
    pool = world.pool(bytes_max=GROUP_PART * 10 * SIZE)
    for signer in range(10):
        pool.submit(transfer(signer, 1), ours=True)
    assert "one VASP and its clients" in _refused(pool, transfer(10, 1))
    assert pool.submit(act(11, 1), ours=True)[0] is Submission.ACCEPTED  # acts have room of their own
    assert pool.submit(transfer(50, 1), ours=True)[0] is Submission.ACCEPTED


def test_turns_count_bytes_and_are_of_vasps_before_they_are_of_signers() -> None:
    world = World(shares={1: Share("a", 2**20), 2: Share("a", 2**20), 3: Share("b", 2**20)})
    pool = world.pool()
    for raw in (batch(1, 1, 100), batch(1, 2, 100), transfer(2, 1), *(transfer(3, n) for n in range(1, 31))):
        pool.submit(raw, ours=True)
    order = _order(pool)
    large = len(batch(1, 1, 100))
    between = order[order.index((1, 1)) + 1 : order.index((1, 2))]
    assert sum(signer == 3 for signer, _ in between) >= large // SIZE
    assert (2, 1) in between


def test_in_a_full_pool_whoever_has_most_makes_room_and_its_newest_goes() -> None:
    world = World(
        shares={signer: Share("few" if signer > 90 else signer % 2, 2**20) for signer in range(100)}
    )
    pool = world.pool(count_max=10)
    for sequence in range(1, 7):
        pool.submit(transfer(1, sequence), ours=True)
    for signer in (2, 4, 6, 8):
        pool.submit(transfer(signer, 1), ours=True)
    assert pool.submit(transfer(91, 1), ours=True)[0] is Submission.ACCEPTED
    assert len(pool) == 10
    assert sorted(_order(pool))[:5] == [(1, sequence) for sequence in range(1, 6)]
    assert "pool is full" in _refused(pool, transfer(3, 1))  # of the group that has most
    assert world.crowded


def test_what_has_waited_for_long_makes_room_first() -> None:
    pool = World().pool(count_max=4)
    for signer in (1, 2, 3, 4):
        pool.submit(transfer(signer, 1, valid_until=2**31), ours=True)
    assert "pool is full" in _refused(pool, transfer(5, 1, valid_until=2**31))
    for height in range(1, AGED_BLOCKS + 1):
        pool.committed(commit_of(height, [], [], time_ms=0))
    pool.submit(transfer(5, 1, valid_until=2**31), ours=True)
    assert sorted(_order(pool)) == [(2, 1), (3, 1), (4, 1), (5, 1)]


def test_room_is_given_back_to_signers_and_groups() -> None:
    pool = World().pool()
    for signer in (1, 2):
        pool.submit(transfer(signer, 1), ours=True)
    pool.committed(commit_of(1, [decode_transaction(transfer(n, 1)).id for n in (1, 2)], [1, 2], time_ms=0))
    assert (pool._sizes, pool._groups) == ({}, {})
