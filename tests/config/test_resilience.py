"""What a network survives, against enumeration of every set of validators that could be lost."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.resilience import resilience
from consensus.quorum import is_quorum
from ledger.genesis import Genesis, GenesisInstitution, GenesisNode
from ledger.survival import survives


def genesis(nodes: list[tuple[str, int]], voting: int = 4) -> Genesis:
    """Nodes as (institution, power); nothing else matters here."""
    names = sorted({institution for institution, _ in nodes})
    return Genesis(
        version=1,
        chain="test",
        chain_class="development",
        time_ms=1,
        institutions=tuple(
            GenesisInstitution(name, name, place < voting, 2, (), b"") for place, name in enumerate(names)
        ),
        nodes=tuple(
            GenesisNode(f"n{place}", institution, bytes(32), power, "validator" if power else "observer")
            for place, (institution, power) in enumerate(nodes)
        ),
        policies=(),
        parameters=(),
        treasury=names[0],
    )


@pytest.mark.parametrize(
    ("validators", "tolerated"), [(1, 0), (2, 0), (3, 0), (4, 1), (6, 1), (7, 2), (10, 3)]
)
def test_equal_validators_tolerate_fewer_than_a_third(validators: int, tolerated: int) -> None:
    result = resilience(genesis([(f"i{number}", 10) for number in range(validators)]))
    assert result.strength.losable_nodes == tolerated
    assert result.strength.losable_institutions == tolerated


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 20)), min_size=1, max_size=7))
def test_any_so_many_nodes_may_fail_and_not_one_more(nodes: list[tuple[str, int]]) -> None:
    powers = [power for _, power in nodes if power]
    if not powers:
        return
    tolerated = resilience(genesis(nodes)).strength.losable_nodes
    total = sum(powers)

    def all_survived(count: int) -> bool:
        return all(3 * sum(lost) < total for lost in combinations(powers, count))

    assert all_survived(tolerated)
    assert not all_survived(tolerated + 1)


def test_an_institution_with_two_of_five_nodes_may_not_fail_as_a_whole() -> None:
    result = resilience(genesis([("a", 10), ("a", 10), ("b", 10), ("c", 10), ("d", 10)]))
    assert result.strength.losable_nodes == 1
    assert result.strength.losable_institutions == 0
    assert {share.name: share.may_fail for share in result.institutions} == {
        "a": False,
        "b": True,
        "c": True,
        "d": True,
    }


def test_what_is_survived_is_that_a_quorum_is_left() -> None:
    """The ledger and consensus know nothing of each other, so each has the inequality."""
    for total in range(1, 40):
        for lost in range(total + 1):
            assert survives(lost, total) == is_quorum(total - lost, total)


def test_exactly_a_third_is_too_much_to_lose() -> None:
    assert not survives(10, 30)
    assert survives(9, 30)


def test_an_observer_counts_for_nothing() -> None:
    result = resilience(genesis([("a", 10), ("b", 10), ("c", 10), ("d", 10), ("e", 0)]))
    assert (result.strength.validators, result.strength.losable_nodes) == (4, 1)
    assert [share.name for share in result.institutions] == ["a", "b", "c", "d"]


def test_changes_to_the_network_need_more_than_two_thirds_of_the_voting() -> None:
    result = resilience(genesis([(name, 10) for name in "abcd"], voting=3))
    assert (result.voting, result.voting_needed) == (3, 3)
