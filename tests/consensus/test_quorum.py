"""Power arithmetic proved by enumeration, and the rotation of proposers."""

from collections import Counter
from itertools import product

from consensus.messages import Validator
from consensus.proposer import proposer, stride
from consensus.quorum import (
    has_honest,
    is_quorum,
    power_of,
    total_power,
    validators_fault,
    validators_hash,
)


def _set(*powers: int) -> tuple[Validator, ...]:
    return tuple(Validator(bytes([position + 1]) * 32, power) for position, power in enumerate(powers))


def test_two_quorums_always_share_an_honest_validator() -> None:
    for powers in product(range(1, 5), repeat=4):
        validators = _set(*powers)
        total = total_power(validators)
        subsets = [[p for p in range(4) if mask >> p & 1] for mask in range(16)]
        quorums = [set(s) for s in subsets if is_quorum(power_of(validators, s), total)]
        faulty = [set(s) for s in subsets if not has_honest(power_of(validators, s), total)]
        for one, other, liars in product(quorums, quorums, faulty):
            # Strictly less than a third may lie; exactly a third is not tolerated.
            if 3 * power_of(validators, liars) < total:
                assert one & other - liars


def test_the_honest_alone_make_a_quorum_when_less_than_a_third_is_faulty() -> None:
    for total in range(1, 200):
        for faulty in range(total):
            assert is_quorum(total - faulty, total) == (3 * faulty < total)


def test_more_than_a_third_holds_an_honest_validator_and_a_third_may_not() -> None:
    for total in range(1, 200):
        for power in range(total + 1):
            assert has_honest(power, total) == (power > total / 3)
    assert not has_honest(1, 3)
    assert has_honest(2, 4)


def test_quorum_boundaries_of_the_default_network() -> None:
    assert [is_quorum(power, 4) for power in range(5)] == [False, False, False, True, True]
    assert [is_quorum(power, 3) for power in range(4)] == [False, False, False, True]


def test_over_a_whole_rotation_each_validator_proposes_as_often_as_it_has_power() -> None:
    for powers in product(range(1, 6), repeat=4):
        validators = _set(*powers)
        total = total_power(validators)
        turns = Counter(proposer(validators, height, 2) for height in range(total))
        assert tuple(turns[position] for position in range(4)) == powers


def test_no_validator_with_less_than_a_third_proposes_twice_in_a_row() -> None:
    for powers in product((1, 2, 3, 7, 10), repeat=4):
        validators = _set(*powers)
        total = total_power(validators)
        for round in range(total):
            turn = proposer(validators, 5, round)
            if turn == proposer(validators, 5, round + 1):
                assert 3 * powers[turn] >= total


def test_the_stride_visits_every_position() -> None:
    for total in range(1, 300):
        assert len({turn * stride(total) % total for turn in range(total)}) == total


def test_the_validators_hash_tells_sets_apart() -> None:
    hashes = {validators_hash(_set(*powers)) for powers in product((1, 2, 3), repeat=3)}
    assert len(hashes) == 27


def test_a_set_names_what_is_wrong_with_it() -> None:
    assert validators_fault(_set(1, 1, 1)) is None
    assert "0 validators" in str(validators_fault(()))
    assert "power 0" in str(validators_fault(_set(1, 0)))
    assert "twice" in str(validators_fault((Validator(b"a" * 32, 1), Validator(b"a" * 32, 2))))
    assert "total power" in str(validators_fault(_set(2**53, 1)))
