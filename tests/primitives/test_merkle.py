"""Merkle trees against a second, plain model; growth across levels; paths that cannot be forged."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primitives.hashing import EVIDENCE_LIST, RESULT_LIST, TX_LIST, ZERO_HASH
from primitives.limits import MERKLE_DEPTH_MAX
from primitives.merkle import (
    ARITY,
    GROUP_BYTES,
    Tree,
    leaf_hash,
    list_path,
    list_root,
    list_root_shown,
    node_hash,
    table_root,
    top_of_path,
)

BORDERS = [0, 1, 2, 15, 16, 17, 31, 32, 33, 255, 256, 257, 272, 273, 4095, 4096, 4097]


def model_top(leaves: Sequence[bytes]) -> bytes:
    """The top written out again from its definition, level by level, with nothing kept between calls."""
    if not leaves:
        return bytes(32)
    row, level = list(leaves), 0
    while len(row) > 1:
        level += 1
        groups = [row[start : start + 16] for start in range(0, len(row), 16)]
        row = [
            hashlib.sha256(
                b"mohur/1/node\0" + bytes([level]) + b"".join(group) + bytes(32 * (16 - len(group)))
            ).digest()
            for group in groups
        ]
    return row[0]


def leaf(number: int, version: int = 0) -> bytes:
    return leaf_hash(7, number, version.to_bytes(4, "big"))


def grown(count: int) -> Tree:
    tree = Tree()
    for number in range(count):
        tree.set_leaf(number, leaf(number))
    tree.update()
    return tree


@pytest.mark.parametrize("count", BORDERS)
def test_a_tree_agrees_with_the_model(count: int) -> None:
    assert grown(count).top() == model_top([leaf(number) for number in range(count)])


def test_a_tree_that_grows_leaf_by_leaf_agrees_at_every_size() -> None:
    tree, leaves = Tree(), []
    for number in range(600):
        leaves.append(leaf(number))
        tree.set_leaf(number, leaves[-1])
        tree.update()
        assert tree.top() == model_top(leaves)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.lists(st.integers(0, 2**20), max_size=8)), min_size=1, max_size=12
    )
)
def test_any_mix_of_growth_and_changes_agrees_with_the_model(steps: list[tuple[int, list[int]]]) -> None:
    tree, leaves = Tree(), []
    for version, (growth, changes) in enumerate(steps):
        for _ in range(growth):
            leaves.append(leaf(len(leaves), version))
            tree.set_leaf(len(leaves) - 1, leaves[-1])
        for change in changes if leaves else []:
            number = change % len(leaves)
            leaves[number] = leaf(number, version + 1000)
            tree.set_leaf(number, leaves[number])
        tree.update()
        assert tree.top() == model_top(leaves)
        assert tree.count == len(leaves)


@pytest.mark.parametrize(
    ("count", "depth"), [(0, 0), (1, 0), (2, 1), (16, 1), (17, 2), (256, 2), (257, 3), (4096, 3), (4097, 4)]
)
def test_the_depth_is_the_number_of_node_levels(count: int, depth: int) -> None:
    assert grown(count).depth == depth


@pytest.mark.parametrize("count", [1, 2, 16, 17, 256, 257, 300])
def test_the_path_of_every_leaf_leads_to_the_top(count: int) -> None:
    tree = grown(count)
    for number in range(count):
        path = tree.path(number)
        assert len(path) == tree.depth
        assert top_of_path(number, leaf(number), path) == tree.top()


@settings(max_examples=200)
@given(st.integers(2, 400), st.data())
def test_no_changed_path_leads_to_the_top(count: int, data: st.DataObject) -> None:
    tree = grown(count)
    number = data.draw(st.integers(0, count - 1))
    path = list(tree.path(number))
    level = data.draw(st.integers(0, len(path) - 1))
    bit = data.draw(st.integers(0, GROUP_BYTES * 8 - 1))
    group = bytearray(path[level])
    group[bit // 8] ^= 1 << (bit % 8)
    path[level] = bytes(group)
    try:
        reached = top_of_path(number, leaf(number), path)
    except ValueError:
        return
    assert reached != tree.top()


@settings(max_examples=200)
@given(st.integers(2, 400), st.data())
def test_a_leaf_is_proved_only_at_its_own_number(count: int, data: st.DataObject) -> None:
    tree = grown(count)
    number = data.draw(st.integers(0, count - 1))
    claimed = data.draw(st.integers(-3, count + 20_000).filter(lambda other: other != number))
    with pytest.raises(ValueError, match="path"):
        top_of_path(claimed, leaf(number), tree.path(number))


def test_a_leaf_never_stood_for_a_node() -> None:
    """A group offered as content of a leaf does not give the node above it, whatever the table or number."""
    tree = grown(16)
    (group,) = tree.path(0)
    assert node_hash(1, group) == tree.top()
    assert leaf_hash(1, 0, group) != tree.top()
    with pytest.raises(ValueError, match="does not contain"):
        top_of_path(0, leaf_hash(0, 0, group), (group,))


def test_a_node_of_one_level_never_stands_for_another_level() -> None:
    group = leaf(0) + bytes(GROUP_BYTES - 32)
    assert node_hash(1, group) != node_hash(2, group)


def test_a_shortened_path_proves_nothing() -> None:
    tree = grown(300)
    path = tree.path(5)
    assert top_of_path(5, leaf(5), path[:-1]) != tree.top()
    with pytest.raises(ValueError, match="does not contain"):
        top_of_path(5, leaf(5), path[1:])
    with pytest.raises(ValueError, match="too short"):
        top_of_path(16, leaf(0), tree.path(0)[:1])


def test_paths_are_bounded() -> None:
    with pytest.raises(ValueError, match=f"{MERKLE_DEPTH_MAX + 1} levels, at most {MERKLE_DEPTH_MAX}"):
        top_of_path(0, leaf(0), (bytes(GROUP_BYTES),) * (MERKLE_DEPTH_MAX + 1))
    with pytest.raises(ValueError, match="group of 511 bytes"):
        top_of_path(0, leaf(0), (bytes(GROUP_BYTES - 1),))


def test_a_tree_grows_only_at_its_end() -> None:
    tree = grown(3)
    for number in (-1, 4, 16):
        with pytest.raises(ValueError, match=f"leaf {number} of a tree of 3"):
            tree.set_leaf(number, leaf(0))
    with pytest.raises(ValueError, match="leaf of 31 bytes"):
        tree.set_leaf(0, bytes(31))


def test_a_tree_with_changes_answers_only_after_update() -> None:
    tree = grown(20)
    tree.set_leaf(4, leaf(4, 1))
    with pytest.raises(ValueError, match="update it first"):
        tree.top()
    with pytest.raises(ValueError, match="no path"):
        tree.path(4)
    tree.update()
    assert top_of_path(4, leaf(4, 1), tree.path(4)) == tree.top()


def test_a_leaf_that_is_not_there_has_no_path() -> None:
    for number in (-1, 20):
        with pytest.raises(ValueError, match="no path"):
            grown(20).path(number)


def test_the_empty_tree_is_zero_and_a_single_leaf_is_its_own_top() -> None:
    assert grown(0).top() == ZERO_HASH
    assert grown(1).top() == leaf(0)


# --- table roots and lists ------------------------------------------------------------------------------


def test_every_part_of_a_table_root_counts() -> None:
    base = (3, 32, 1000, 2, leaf(0))
    others = [(4, 32, 1000, 2, leaf(0)), (3, 64, 1000, 2, leaf(0)), (3, 32, 1001, 2, leaf(0))]
    others += [(3, 32, 1000, 3, leaf(0)), (3, 32, 1000, 2, leaf(1))]
    assert len({table_root(*base), *(table_root(*other) for other in others)}) == 6


def test_every_part_of_a_leaf_counts() -> None:
    leaves = {leaf_hash(1, 2, b"a"), leaf_hash(2, 2, b"a"), leaf_hash(1, 3, b"a"), leaf_hash(1, 2, b"b")}
    assert len(leaves) == 4


def test_a_list_root_agrees_with_its_definition() -> None:
    for count in (0, 1, 2, 16, 17, 257):
        items = [number.to_bytes(2, "big") for number in range(count)]
        leaves = [
            hashlib.sha256(b"mohur/1/leaf\0\0" + number.to_bytes(8, "big") + item).digest()
            for number, item in enumerate(items)
        ]
        depth = 0
        while ARITY**depth < count:
            depth += 1
        expected = hashlib.sha256(
            b"mohur/1/list/tx\0" + count.to_bytes(8, "big") + bytes([depth]) + model_top(leaves)
        ).digest()
        assert list_root(TX_LIST, items) == expected


@given(st.lists(st.binary(max_size=8), max_size=40), st.lists(st.binary(max_size=8), max_size=40))
def test_different_lists_have_different_roots(first: list[bytes], second: list[bytes]) -> None:
    assert (list_root(TX_LIST, first) == list_root(TX_LIST, second)) == (first == second)


def test_the_same_items_have_another_root_as_another_list() -> None:
    domains = (TX_LIST, EVIDENCE_LIST, RESULT_LIST)
    assert len({list_root(domain, items) for domain in domains for items in ([], [b"one"])}) == 6


def test_a_path_leads_from_its_item_to_the_root_of_the_list_and_nothing_else_does() -> None:
    for count in (1, 2, 16, 17, 257):
        items = [number.to_bytes(2, "big") for number in range(count)]
        root = list_root(TX_LIST, items)
        for number in {0, count // 2, count - 1}:
            path = list_path(items, number)
            assert list_root_shown(TX_LIST, count, number, items[number], path) == root
            assert list_root_shown(RESULT_LIST, count, number, items[number], path) != root
            assert list_root_shown(TX_LIST, count + 1, number, items[number], path) != root
        with pytest.raises(ValueError, match="of a list of"):
            list_root_shown(TX_LIST, count, count, items[0], list_path(items, 0))


def test_roots_are_pinned() -> None:
    """An accidental change of any hash in a tree changes this."""
    pinned = hashlib.sha256()
    for count in BORDERS:
        tree = grown(count)
        pinned.update(table_root(9, 32, count, tree.depth, tree.top()))
        pinned.update(list_root(TX_LIST, [number.to_bytes(4, "big") for number in range(count)]))
    assert pinned.hexdigest() == "51586f47f92996a1c481c301ca227a9a7e0e7734ac52490029ac30abdb7d87ef"
