"""Four nodes in one process: they commit, survive crashes, catch up, and out-vote a liar."""

from pathlib import Path

import trio
import trio.testing

from tests.node.cluster import VALIDATORS, Cluster


async def test_four_nodes_commit_a_signed_transaction(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cluster = Cluster(tmp_path, nursery)
    await cluster.start(*VALIDATORS)
    height = await cluster.commit("mof-1", cluster.act())
    await cluster.reached(height)
    cluster.assert_agreement()
    offsets = {running.chain.replica.state.chain[0].clock_offset_ms for running in cluster.nodes.values()}
    assert offsets == {1}
    nursery.cancel_scope.cancel()
