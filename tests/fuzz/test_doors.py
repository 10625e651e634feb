"""Every decoder under a structured fuzzer; `python -m testing.fuzz` goes on for as long as one likes.

What would be lost: a stranger's bytes that raise what nobody catches end a connection's task, or a node.
"""

import pytest

from testing.fuzz import cases, counted, doors, heavy, knock, memory_bound, memory_of

CASES = 400
DOORS = sorted(doors())


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("name", DOORS)
def test_a_door_opens_to_what_is_good_and_says_no_in_a_declared_way_to_all_else(name: str) -> None:
    door = doors()[name]
    assert any(knock(name, door, good) for good in door.corpus)
    opened = sum(knock(name, door, data) for data in cases(door, 7, CASES))
    assert opened < CASES or not door.declared


@pytest.mark.parametrize("name", DOORS)
def test_what_a_door_does_and_holds_grows_no_faster_than_what_comes(name: str) -> None:
    door = doors()[name]
    for small, large in heavy():
        assert memory_of(name, door, large) <= memory_bound(large)
        with counted() as few:
            knock(name, door, small)
        with counted() as many:
            knock(name, door, large)
        assert many[0] <= 4.5 * few[0] + 2_000
