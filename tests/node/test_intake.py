"""The intake: a line for each peer and each signer, turns by bytes, and a price for what is refused."""

from collections import Counter

import pytest
import trio.testing

from ledger.kinds import BY_NAME
from ledger.transactions import assemble, decode_transaction, encode_body, first_signer
from node.intake import Intake
from node.limits import FINES_HALVE_S, INTAKE_BYTES_OF_PEER_MAX, INTAKE_ITEM_BYTES, INTAKE_OF_SIGNER_MAX

TRANSFER = BY_NAME["transfer"]


def transfer(signers: list[int], sequence: int = 1) -> bytes:
    body = encode_body(TRANSFER, signers, sequence, 1000, TRANSFER.payload(1, 2, 3))
    return assemble(body, [bytes(64)] * len(signers))


def many(signer: int, count: int) -> tuple[bytes, ...]:
    return tuple(transfer([signer], number) for number in range(1, count + 1))


async def _shares(intake: Intake, count: int) -> Counter[str]:
    return Counter(peer for peer, _ in await intake.take(count))


@pytest.mark.parametrize(
    "signers", [[0], [127], [128], [255], [256], [65_535], [65_536], [2**32 - 2], [5, 9], list(range(1, 17))]
)
def test_the_first_signer_is_read_off_the_head(signers: list[int]) -> None:
    raw = transfer(signers)
    if len(signers) < 16:
        assert first_signer(raw) == decode_transaction(raw).signers[0] == signers[0]
    for end in range(len(raw)):
        assert first_signer(raw[:end]) in (None, signers[0])
    assert first_signer(b"") is None
    assert first_signer(b"\x92\xa1ab") is None


async def test_peers_take_turns_by_bytes_however_much_one_sends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    intake = Intake()
    for signer in range(100):
        intake.put("flood", many(signer, 60))
    intake.put("honest", many(7, 30))
    taken = [peer for _ in range(20) for peer, _ in await intake.take(32)]
    assert Counter(taken)["honest"] == 30


async def test_a_full_line_drops_what_its_own_peer_sent_and_of_that_the_heaviest_signers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    intake = Intake()
    assert intake.put("flood", many(1, INTAKE_OF_SIGNER_MAX + 5)) == 5
    room = INTAKE_BYTES_OF_PEER_MAX // (len(transfer([1000])) + INTAKE_ITEM_BYTES)
    dropped = sum(intake.put("flood", many(1_000 + signer, 1)) for signer in range(room - 32))
    assert 0 < dropped < INTAKE_OF_SIGNER_MAX
    assert intake.put("flood", many(9_999_999, 1)) == 1
    assert intake.put("honest", many(1, 3)) == 0
    taken = [item for _ in range(room) if (item := await intake.take(1))]
    signers = Counter(first_signer(raw) for [(peer, raw)] in taken if peer == "flood")
    assert signers[9_999_999] == 1  # whoever took most made room
    assert sum(peer == "honest" for [(peer, _)] in taken) == 3


async def test_signers_of_one_peer_take_turns(autojump_clock: trio.testing.MockClock) -> None:
    intake = Intake()
    intake.put("peer", (*many(1, 50), *many(2, 2)))
    first = [first_signer(raw) for _, raw in await intake.take(4)]
    assert first == [1, 2, 1, 2]


async def test_fines_shorten_a_peers_turns_for_a_while(autojump_clock: trio.testing.MockClock) -> None:
    intake = Intake()

    async def shares() -> Counter[str]:
        for peer in ("fined", "other"):
            for signer in range(40):
                intake.put(peer, many(signer, 50))
        shares = await _shares(intake, 1_500)
        await intake.take(10_000)
        return shares

    even = await shares()
    assert abs(even["fined"] - even["other"]) < 300
    for _ in range(9):
        intake.fine("fined")
    fined = await shares()
    assert fined["fined"] < 300 < fined["other"]
    await trio.sleep(20 * FINES_HALVE_S)
    again = await shares()
    assert abs(again["fined"] - again["other"]) < 300


async def test_who_leaves_and_comes_again_has_its_fines_and_nothing_else(
    autojump_clock: trio.testing.MockClock,
) -> None:
    intake = Intake()
    intake.put("liar", many(1, 5))
    for _ in range(50):
        intake.fine("liar")
    intake.left("liar")
    intake.put("honest", many(1, 1))
    assert await intake.take(10) == [("honest", transfer([1]))]
    for signer in range(20):
        intake.put("liar", many(signer, 50))
        intake.put("honest", many(signer, 50))
    shares = await _shares(intake, 500)
    assert shares["liar"] < 100
    intake.left("never seen")


async def test_the_intake_waits_for_something_to_take(nursery: trio.Nursery) -> None:
    intake = Intake()
    taken: list[tuple[str, bytes]] = []

    async def take() -> None:
        taken.extend(await intake.take(5))

    nursery.start_soon(take)
    await trio.testing.wait_all_tasks_blocked()
    intake.put("peer", many(1, 1))
    await trio.testing.wait_all_tasks_blocked()
    assert taken == [("peer", transfer([1]))]
