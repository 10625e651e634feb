"""Sync's bookkeeping: ranges over several peers, claims that are only claims, bounds."""

from node.limits import SYNC_WINDOW, WINDOW_BYTES_MAX
from node.sync import DISTRUST_MS, GRACE_MS, REQUEST_BLOCKS, REQUEST_MS, Sync
from testing.commits import commit_of
from wire.messages import SyncRequest, SyncResponse

POWERS = {"mof-1": 1, "sbp-1": 1, "pvara-1": 1, "secp-1": 1}


def _blocks(first: int, count: int, size: int = 1) -> SyncResponse:
    return SyncResponse(first, tuple((bytes(size), b"c") for _ in range(count)))


def test_different_ranges_are_asked_of_different_peers() -> None:
    sync = Sync(10, POWERS)
    for peer in ("mof-1", "sbp-1", "pvara-1"):
        sync.claimed(peer, 1000)
    requests = sync.requests(0)
    assert sorted(request.first for _, request in requests) == [11 + REQUEST_BLOCKS * i for i in range(3)]
    assert {request.count for _, request in requests} == {REQUEST_BLOCKS}
    assert len({peer for peer, _ in requests}) == 3
    assert sync.requests(1) == []


def test_one_height_behind_is_normal_for_a_moment() -> None:
    sync = Sync(10, POWERS)
    sync.claimed("mof-1", 11)
    assert sync.requests(0) == []
    assert sync.requests(GRACE_MS) == [("mof-1", SyncRequest(11, 1))]


def test_a_height_is_asked_for_at_most_a_window_ahead() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("mof-1", 10**9)
    asked = 0
    for now in range(100):
        for peer, request in sync.requests(now):
            asked = request.first + request.count - 1
            sync.received(peer, _blocks(request.first, request.count), now)
    assert asked == SYNC_WINDOW


def test_a_peer_that_does_not_deliver_is_not_believed_and_another_is_asked() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("liar", 50)
    assert sync.requests(0) == [("liar", SyncRequest(1, REQUEST_BLOCKS))]
    sync.claimed("mof-1", 20)
    assert sync.requests(REQUEST_MS) == [("mof-1", SyncRequest(1, REQUEST_BLOCKS))]
    assert sync.target(REQUEST_MS) == 20
    assert sync.target(REQUEST_MS + DISTRUST_MS) == 50


def test_an_empty_answer_is_no_answer() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("liar", 50)
    sync.requests(0)
    assert sync.received("liar", SyncResponse(1, ()), 1) is None
    assert sync.target(1) == 0


def test_an_answer_to_another_question_is_named() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("mof-1", 50)
    sync.requests(0)
    fault = sync.received("mof-1", _blocks(2, 1), 1)
    assert fault is not None
    assert "asked for 16 blocks from 1" in fault


def test_an_answer_nobody_asked_for_changes_nothing() -> None:
    sync = Sync(0, POWERS)
    assert sync.received("mof-1", _blocks(1, 1), 0) is None
    assert sync.take(1) is None


def test_what_a_distrusted_peer_sent_is_forgotten() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("mof-1", 5)
    sync.requests(0)
    sync.received("mof-1", _blocks(1, 5), 1)
    assert sync.take(1) is not None
    sync.distrust("mof-1", 2)
    assert sync.take(1) is None


def test_downloaded_bytes_are_bounded() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("mof-1", 100)
    sync.requests(0)
    sync.received("mof-1", _blocks(1, 16, WINDOW_BYTES_MAX // 4), 0)
    assert sum(sync.take(height) is not None for height in range(1, 17)) <= 4
    assert sync.take(1) is not None


def test_applied_blocks_are_dropped_and_the_next_range_follows() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("mof-1", 40)
    sync.requests(0)
    sync.received("mof-1", _blocks(1, 16), 0)
    for height in range(1, 17):
        sync.committed(commit_of(height, powers=POWERS))
    assert sync.take(16) is None
    assert sync.requests(1) == [("mof-1", SyncRequest(17, REQUEST_BLOCKS))]


def test_one_liar_cannot_keep_us_from_voting_two_peers_can() -> None:
    sync = Sync(10, POWERS)
    sync.claimed("secp-1", 10**9)
    sync.claimed("mof-1", 11)
    assert not sync.is_behind(0)
    sync.claimed("mof-1", 12)
    assert sync.is_behind(0)


def test_distrust_doubles_with_each_offence() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("liar", 50)
    sync.distrust("liar", 0)
    sync.distrust("liar", DISTRUST_MS)
    assert sync.target(3 * DISTRUST_MS - 1) == 0
    assert sync.target(3 * DISTRUST_MS) == 50


def test_observers_cannot_keep_a_validator_from_voting() -> None:
    sync = Sync(10, {"mof-1": 4, "sbp-1": 1, "pvara-1": 1, "secp-1": 1})
    for observer in range(20):
        sync.claimed(f"observer-{observer}", 1000)
    assert not sync.is_behind(0)
    sync.claimed("sbp-1", 1000)
    sync.claimed("secp-1", 1000)  # two nodes, but less than a third of the power
    assert not sync.is_behind(0)
    sync.claimed("mof-1", 12)
    assert sync.is_behind(0)


def test_an_answer_that_comes_late_over_a_slow_line_is_used() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("mof-1", 50)
    sync.requests(0)
    assert sync.requests(REQUEST_MS) == []  # it is not believed now
    assert sync.received("mof-1", _blocks(1, 1), REQUEST_MS + 1) is None
    assert sync.take(1) is not None
    sync.committed(commit_of(1, powers=POWERS))
    assert sync.requests(REQUEST_MS + 2) == [("mof-1", SyncRequest(2, REQUEST_BLOCKS))]
    assert sync.received("mof-1", _blocks(1, 1), REQUEST_MS + 3) is not None  # an answer comes once


def test_what_does_not_verify_does_not_make_up_for_an_offence() -> None:
    sync = Sync(0, POWERS)
    sync.claimed("liar", 50)
    sync.distrust("liar", 0)
    sync.requests(DISTRUST_MS)
    sync.received("liar", _blocks(1, 1), DISTRUST_MS)
    sync.distrust("liar", DISTRUST_MS)  # the block was not what it claims
    assert sync.target(3 * DISTRUST_MS - 1) == 0
    sync.requests(3 * DISTRUST_MS)
    sync.received("liar", _blocks(1, 1), 3 * DISTRUST_MS)
    sync.committed(commit_of(1, powers=POWERS))  # this one was
    sync.distrust("liar", 3 * DISTRUST_MS)
    assert sync.target(4 * DISTRUST_MS) == 50
