"""Who is a peer when the ledger changes its mind: on running nodes, over streams in memory, by a clock that
stands."""

from pathlib import Path
from typing import Any

import trio
import trio.testing

from ledger.documents import NodeRole
from ledger.rows import Role
from node.ports import Committed
from node.runtime import Node
from testing.cluster import INSTITUTIONS, OFFICERS, VALIDATORS, Cluster, new_genesis
from testing.keys import prove, public

APPROVING = [institution * OFFICERS + number for institution in (0, 1, 2) for number in (0, 1)]
LAX = {"losable_nodes_min": 0, "losable_institutions_min": 0}


class Seen:
    """What one node shows at each commit: who votes next, and whom it has as peers then."""

    def __init__(self, node: Node) -> None:
        self.voters: dict[int, tuple[str, ...]] = {}
        self.peers: dict[int, set[str]] = {}
        self._node = node
        node.listeners.append(self)

    def committed(self, commit: Committed) -> None:
        height = commit.applied.height
        self.voters[height] = commit.published.voters
        self.peers[height] = set(self._node.peers.connected)


def node_update(cluster: Cluster, name: str, role: NodeRole, power: int, key: str = "") -> bytes:
    institution = name.split("-")[0]
    about = (INSTITUTIONS.index(institution), role, power)
    if not key:
        return cluster.act_of(APPROVING, "node_update", name, *about, b"", b"")
    proof = prove(cluster.genesis_hash, key, Role.NODE, institution, name)
    return cluster.act_of(APPROVING, "node_update", name, *about, public(key), proof)


def roots_of(cluster: Cluster, institution: str, *roots: tuple[bytes, int]) -> bytes:
    index = INSTITUTIONS.index(institution)
    return cluster.act_of(APPROVING, "institution_update", index, "", 0, (), (), roots)


async def until(condition: Any, seconds: float = 20) -> None:
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.05)


async def started(ram_path: Path, nursery: trio.Nursery, **changes: int) -> tuple[Cluster, Node]:
    """Four nodes that know each other, and the first of them."""
    cluster = Cluster(ram_path, nursery, new_genesis(**LAX, **changes))
    await cluster.start(*VALIDATORS)
    await cluster.reached(2)
    await until(lambda: all(len(each.node.peers.connected) == 3 for each in cluster.nodes.values()))
    return cluster, cluster.nodes["mof-1"].node


async def test_a_retired_validator_is_nobodys_peer_once_the_set_without_it_is_in_force(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster, mof = await started(ram_path, nursery)
    seen, retired = Seen(mof), cluster.nodes["secp-1"]
    height = await cluster.commit("mof-1", node_update(cluster, "secp-1", NodeRole.RETIRED, 0))
    await until(lambda: not retired.node.peers.connected)
    assert [len(seen.voters[at]) for at in (height, height + 1)] == [4, 3]
    assert "secp-1" in seen.peers[height + 1]  # its vote on this block counted
    await cluster.reached(height + 4, "mof-1", "sbp-1", "pvara-1")
    assert "secp-1" not in seen.peers[height + 3]
    await cluster.commit("mof-1", cluster.act())
    assert retired.height <= height + 2  # no blocks
    assert "secp-1" not in mof.peers.connected
    assert "secp-1" not in [peer.name for peer in mof.health().peers]
    nursery.cancel_scope.cancel()


async def test_a_root_that_is_removed_ends_the_connections_under_it(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """With overlap: nothing breaks while both count; without the old one its certificates open no door."""
    cluster, mof = await started(ram_path, nursery)
    seen, old, new = Seen(mof), b"root of secp", b"second root of secp"
    first = await cluster.commit("mof-1", roots_of(cluster, "secp", (old, 2**41), (new, 0)))
    await cluster.reached(first + 3)
    assert all("secp-1" in seen.peers[at] for at in range(first, first + 4))
    await cluster.commit("mof-1", roots_of(cluster, "secp", (new, 0)))
    await until(lambda: not cluster.nodes["secp-1"].node.peers.connected)
    await trio.sleep(15)
    assert "secp-1" not in mof.peers.connected
    cluster.network.roots["secp-1"] = new  # its operator puts the other certificate in place
    await until(lambda: "secp-1" in mof.peers.connected)
    await cluster.reached(mof.published.height + 2)
    nursery.cancel_scope.cancel()


async def test_a_root_whose_time_is_over_ends_the_connections_under_it(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster, mof = await started(ram_path, nursery, ca_root_overlap_s=10)
    until_ms = cluster.now_ms() + 30_000
    roots = ((b"root of secp", until_ms), (b"second root of secp", 0))
    await cluster.commit("mof-1", roots_of(cluster, "secp", *roots))
    assert "secp-1" in mof.peers.connected
    await until(lambda: "secp-1" not in mof.peers.connected, 60)
    assert 0 <= cluster.now_ms() - until_ms <= 3_000
    nursery.cancel_scope.cancel()


async def test_a_node_whose_key_was_replaced_greets_anew(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster, mof = await started(ram_path, nursery)
    before = mof.peers.connected["secp-1"]
    await cluster.commit("mof-1", node_update(cluster, "secp-1", NodeRole.VALIDATOR, 1, "another key"))
    await until(before.gone.is_set)
    assert "has another key on the ledger" in before.closed_because
    await until(lambda: "secp-1" in mof.peers.connected)
    nursery.cancel_scope.cancel()


async def test_health_names_whose_votes_are_missing_by_the_set_of_that_height(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The first in the order goes: on the next block its vote still counts, and the others keep their
    numbers."""
    cluster, _ = await started(ram_path, nursery)
    pvara = cluster.nodes["pvara-1"].node

    class Cut:
        """Leaves the node alone with the block after the act."""

        def committed(self, commit: Committed) -> None:
            if commit.published.nodes[0].power == 0:
                for peer in list(pvara.peers.connected.values()):
                    cluster.network.cut.add(frozenset(("pvara-1", peer.name)))
                    peer.close("cut")

    pvara.listeners.append(Cut())
    height = await cluster.commit("sbp-1", node_update(cluster, "mof-1", NodeRole.OBSERVER, 0))
    await until(lambda: not pvara.peers.connected and pvara.driver.engine.step_name == "prevote")
    assert pvara.published.height == height
    assert set(pvara.health().missing) == {"mof-1", "sbp-1", "secp-1"}
    nursery.cancel_scope.cancel()


async def test_a_node_knows_whose_votes_it_saw_and_health_names_whose_it_did_not(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A vote that comes too late for a certificate shows that its validator lives."""
    cluster, mof = await started(ram_path, nursery)
    await cluster.reached(6)
    assert all(mof.attendance.voted(name) >= mof.published.height - 1 for name in VALIDATORS)
    assert (mof.health().unseen, mof.health().survives.losable_nodes) == ((), 1)
    await cluster.kill("secp-1")
    last = mof.attendance.voted("secp-1")
    await cluster.reached(mof.published.height + 101, seconds=300)
    assert mof.attendance.voted("secp-1") == last
    assert mof.health().unseen == ("secp-1",)
    assert "0 more of the validators" in mof.health().standing[1]
    nursery.cancel_scope.cancel()
