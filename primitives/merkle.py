"""Sixteen-ary Merkle trees: incremental ones for the ledger's tables, one-shot ones for lists.

leaf = H(LEAF, table, number, content); node = H(NODE, level, 16 children), absent children zero;
the top of an empty tree is zero, of a tree with one leaf that leaf. The depth is the number of node levels.
"""

from collections.abc import Sequence
from hashlib import sha256

from primitives.hashing import HASH_BYTES, LEAF, NODE, TABLE, ZERO_HASH, tagged_hash
from primitives.limits import MERKLE_DEPTH_MAX

ARITY = 16
GROUP_BYTES = ARITY * HASH_BYTES
LIST_TABLE = 0  # the table number under which the items of a list are hashed


def leaf_hash(table: int, number: int, content: bytes) -> bytes:
    """The leaf of a table: `table` below 2**8, `number` of the page or document below 2**64."""
    return sha256(LEAF + table.to_bytes(1, "big") + number.to_bytes(8, "big") + content).digest()


def node_hash(level: int, group: bytes) -> bytes:
    """The node above 16 children, given as their 512 bytes; `level` is 1 just above the leaves."""
    return sha256(NODE + level.to_bytes(1, "big") + group).digest()


def table_root(table: int, row_width: int, count: int, depth: int, top: bytes) -> bytes:
    """The root of one table; `row_width` in bytes (0 for documents), `count` of records."""
    return tagged_hash(
        TABLE,
        table.to_bytes(1, "big"),
        row_width.to_bytes(4, "big"),
        count.to_bytes(8, "big"),
        depth.to_bytes(1, "big"),
        top,
    )


class Tree:
    """A tree whose leaves are set by number; `update` rehashes only the paths above changed leaves."""

    __slots__ = ("_count", "_dirty", "_levels")

    def __init__(self) -> None:
        self._levels: list[bytearray] = [bytearray()]  # each padded with zeros to whole groups
        self._count = 0
        self._dirty: set[int] = set()

    @property
    def count(self) -> int:
        """The number of leaves."""
        return self._count

    @property
    def depth(self) -> int:
        return _depth(self._count)

    def set_leaf(self, number: int, leaf: bytes) -> None:
        """Put `leaf` at `number`, which is at most `count` (trees grow by one at the end)."""
        if not 0 <= number <= self._count:
            raise ValueError(f"leaf {number} of a tree of {self._count}")
        if len(leaf) != HASH_BYTES:
            raise ValueError(f"leaf of {len(leaf)} bytes")
        if number == self._count:
            self._count += 1
        level = self._levels[0]
        if len(level) < self._count * HASH_BYTES:
            level.extend(bytes(GROUP_BYTES))
        level[number * HASH_BYTES : (number + 1) * HASH_BYTES] = leaf
        self._dirty.add(number)

    def update(self) -> None:
        """Rehash every node above a changed leaf."""
        dirty = self._dirty
        for level_number in range(1, self.depth + 1):
            below = self._levels[level_number - 1]
            if level_number == len(self._levels):
                # A tree grows only past a full one: the old top has a changed sibling under the new node.
                self._levels.append(bytearray())
            here = self._levels[level_number]
            wanted = -(-len(below) // GROUP_BYTES // ARITY) * GROUP_BYTES
            if len(here) < wanted:
                here.extend(bytes(wanted - len(here)))
            prefix = NODE + level_number.to_bytes(1, "big")
            parents = {number // ARITY for number in dirty}
            for parent in parents:
                group = below[parent * GROUP_BYTES : (parent + 1) * GROUP_BYTES]
                here[parent * HASH_BYTES : (parent + 1) * HASH_BYTES] = sha256(prefix + group).digest()
            dirty = parents
        self._dirty = set()

    def top(self) -> bytes:
        """The topmost hash after `update`. Raises ValueError if leaves changed since."""
        if self._dirty:
            raise ValueError("tree has changed leaves: update it first")
        if self._count == 0:
            return ZERO_HASH
        return bytes(self._levels[self.depth][:HASH_BYTES])

    def path(self, number: int) -> tuple[bytes, ...]:
        """The groups of 16 hashes, 512 bytes each, from the leaf's own group up; empty for a single leaf."""
        if self._dirty or not 0 <= number < self._count:
            raise ValueError(f"no path for leaf {number} of {self._count}")
        groups = []
        for level in self._levels[: self.depth]:
            number //= ARITY
            groups.append(bytes(level[number * GROUP_BYTES : (number + 1) * GROUP_BYTES]))
        return tuple(groups)


def _depth(count: int) -> int:
    depth, reach = 0, 1
    while reach < count:
        depth, reach = depth + 1, reach * ARITY
    return depth


def top_of_path(number: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The top that `path` leads to from `leaf`. Raises ValueError if the path does not contain the leaf,
    has groups of another size, is longer than MERKLE_DEPTH_MAX, or is too short for `number`."""
    if len(path) > MERKLE_DEPTH_MAX:
        raise ValueError(f"path of {len(path)} levels, at most {MERKLE_DEPTH_MAX}")
    current = leaf
    for level, group in enumerate(path, start=1):
        if len(group) != GROUP_BYTES:
            raise ValueError(f"group of {len(group)} bytes in a path, must be {GROUP_BYTES}")
        slot = number % ARITY
        if group[slot * HASH_BYTES : (slot + 1) * HASH_BYTES] != current:
            raise ValueError(f"path does not contain its leaf at level {level}")
        current = node_hash(level, group)
        number //= ARITY
    if number:
        raise ValueError("path is too short for the leaf's number")
    return current


def list_root(domain: bytes, items: Sequence[bytes]) -> bytes:
    """The root that commits to the items, their order and their number; `domain` is the tag of what they
    are, so that no root of one list is ever one of another."""
    tree = _list_tree(items)
    return list_root_of(domain, len(items), tree.depth, tree.top())


def list_top(items: Sequence[bytes]) -> tuple[int, bytes]:
    """The depth of the list's tree and its top, which prove how many items it has (`list_root_of`)."""
    tree = _list_tree(items)
    return tree.depth, tree.top()


def list_path(items: Sequence[bytes], number: int) -> tuple[bytes, ...]:
    """The path from the item at `number` to the top of the list's tree."""
    return _list_tree(items).path(number)


def list_root_shown(domain: bytes, count: int, number: int, item: bytes, path: Sequence[bytes]) -> bytes:
    """The root of a list of `count` items to which `path` leads from `item` at `number`. Raises ValueError
    as `top_of_path` does, or if `number` is not below `count`."""
    if number >= count:
        raise ValueError(f"item {number} of a list of {count}")
    top = top_of_path(number, leaf_hash(LIST_TABLE, number, item), path)
    return list_root_of(domain, count, len(path), top)


def _list_tree(items: Sequence[bytes]) -> Tree:
    tree = Tree()
    for number, item in enumerate(items):
        tree.set_leaf(number, leaf_hash(LIST_TABLE, number, item))
    tree.update()
    return tree


def list_root_of(domain: bytes, count: int, depth: int, top: bytes) -> bytes:
    """The root of a list of `count` items under a tree of `depth` levels and the hash `top`."""
    return tagged_hash(domain, count.to_bytes(8, "big"), depth.to_bytes(1, "big"), top)
