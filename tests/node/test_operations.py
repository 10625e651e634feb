"""How often one transaction is decoded, encoded and hashed on its way through four nodes: a bound."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
import trio.testing

from primitives import codec, merkle
from testing.cluster import VALIDATORS, Cluster


class Counted:
    """Stands where the codec has msgpack, and counts the work on whatever holds `mark`."""

    def __init__(self, mark: bytes) -> None:
        self.mark = mark
        self.count: Counter[str] = Counter()

    def packb(self, value: Any, **options: Any) -> bytes:
        packed: bytes = msgpack.packb(value, **options)
        if self.mark in packed:
            comparing = sys._getframe(1).f_code.co_name == "decode"
            self.count["encoded again to compare" if comparing else "encoded"] += 1
        return packed

    def unpackb(self, data: bytes, **options: Any) -> Any:
        self.count["decoded"] += self.mark in data
        return msgpack.unpackb(data, **options)

    def Unpacker(self) -> msgpack.Unpacker:
        return msgpack.Unpacker()

    def leaf_hash(self, table: int, number: int, content: bytes) -> bytes:
        self.count["leaves of its block"] += self.mark in content
        return merkle_leaf_hash(table, number, content)


merkle_leaf_hash = merkle.leaf_hash


async def test_one_transaction_through_four_nodes(
    ram_path: Path,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start(*VALIDATORS)
    await cluster.reached(1)
    raw = cluster.act()
    counted = Counted(raw)
    monkeypatch.setattr(codec, "msgpack", counted)
    monkeypatch.setattr(merkle, "leaf_hash", counted.leaf_hash)
    node = cluster.nodes["mof-1"].node
    _, transaction = node.submit(raw)
    assert await node.wait_committed(transaction.id, 20)
    await cluster.reached(node.published.height + 1)
    monkeypatch.undo()
    assert counted.count == {
        "decoded": 4,  # by each pool; a block's items are walked
        "encoded again to compare": 4,
        "encoded": 1,  # into its block
        "leaves of its block": 4,  # by each node
    }
    nursery.cancel_scope.cancel()
