"""A node's chain around the height of an upgrade: restarts, checkpoints, replay, audit, and old software."""

import dataclasses
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from msgspec.structs import replace

from ledger.codes import Code
from ledger.limits import BLOCK_LIMITS
from ledger.release import UnknownVersion
from node.audit import audit
from node.proofs import finish_proof, start_proof
from node.sealed import seal
from storage.signer import SignerStore
from testing import version2
from testing.cluster import MAP_BYTES, OFFICERS, VALIDATORS, Cluster, new_genesis
from testing.little_chain import LittleChain, Market, live, make_genesis, officers, open_market
from testing.verifying import verify_alone
from wire import blocks
from wire.blocks import Count, Hash, Header, decode_block

VOTERS = ("mof", "sbp", "pvara")
GENESIS = make_genesis(parameters=(("upgrade_notice_blocks", 4),))


def scheduled(little: LittleChain, ahead: int = 4) -> int:
    height = little.replica.height + 1 + ahead
    little.act("upgrade_schedule", VOTERS, 2, height)
    return height


def go_to(little: LittleChain, height: int) -> None:
    while little.replica.height < height:
        little.commit()


def proof_of(little: LittleChain, market: Market) -> bytes:
    started = start_proof(little.replica, "holdings", market.money)
    little.commit()
    proof = finish_proof(started, little.blocks)
    assert proof is not None
    return proof


@pytest.mark.parametrize("saved_at", [-2, -1, 0, 1])
def test_a_restart_at_any_height_around_the_upgrade_goes_on_alike(tmp_path: Path, saved_at: int) -> None:
    with version2.known():
        little = LittleChain(tmp_path / "restarted", GENESIS)
        steady = LittleChain(tmp_path / "steady", GENESIS)
        height = scheduled(little)
        assert scheduled(steady) == height
        for at in range(height - 2, height + 3):
            for chain in (little, steady):
                go_to(chain, at)
            if at == height + saved_at:
                little.chain.checkpoint()
            little.reopen()
            assert little.replica.state.version == (1 if at < height else 2)
            assert little.build().header == steady.build().header
        for chain in (little, steady):
            chain.act("greet", ("mof",), 0, "after")
        assert little.replica.state_root == steady.replica.state_root
        little.close()
        steady.close()


def test_header_and_rules_are_those_of_the_height(tmp_path: Path) -> None:
    with version2.known():
        little = LittleChain(tmp_path, GENESIS)
        height = scheduled(little)
        go_to(little, height - 2)
        versions = []
        for _ in range(3):
            block = little.build()
            versions.append(block.header.version)
            little.decide(block)
        assert versions == [1, 2, 2]
        block = little.build().block
        wrong = seal(replace(block, header=replace(block.header, version=1)))
        fault = little.replica.check_block(wrong, lambda full_hash: True)
        assert fault == "version is 1, ours is 2"
        little.close()


def test_old_software_stops_before_the_height_and_new_software_goes_on(tmp_path: Path) -> None:
    with version2.known():
        ahead = LittleChain(tmp_path / "ahead", GENESIS)
        height = scheduled(ahead)
        go_to(ahead, height - 1)
    little = LittleChain(tmp_path / "little", GENESIS)
    assert scheduled(little) == height
    go_to(little, height - 1)
    with version2.known():
        block = ahead.build()
        certificate = ahead.certify(block)
        ahead.chain.apply(block, certificate)
    root = little.replica.state_root
    with pytest.raises(UnknownVersion, match=f"block {height} follows version 2"):
        little.replica.require_known()
    with pytest.raises(UnknownVersion):
        little.chain.apply(block, certificate)
    assert (little.replica.height, little.blocks.height()) == (height - 1, height - 1)  # nothing was written
    assert little.replica.state_root == root
    little.chain.checkpoint()
    little.reopen()  # the state before the height is still its own
    little.close()
    with version2.known():
        little.open()
        little.chain.apply(block, certificate)
        assert little.replica.state_root == ahead.replica.state_root
        little.chain.checkpoint()
        little.close()
        ahead.close()
    for folder in ("little", "ahead"):  # a checkpoint of version 2, and a block of it to be replayed
        with pytest.raises(UnknownVersion):
            LittleChain(tmp_path / folder, GENESIS)


def test_a_cancelled_version_stops_nobody(tmp_path: Path) -> None:
    little = LittleChain(tmp_path, GENESIS)
    height = scheduled(little)
    little.act("upgrade_cancel", VOTERS, 1)
    go_to(little, height + 1)
    little.replica.require_known()
    assert little.replica.state.version == 1
    little.close()


def test_the_audit_replays_across_the_upgrade_and_old_proofs_hold(tmp_path: Path) -> None:
    with version2.known():
        little = LittleChain(tmp_path, GENESIS)
        market = open_market(little)
        before = proof_of(little, market)
        height = scheduled(little)
        go_to(little, height - 1)
        across = proof_of(little, market)  # of the last state of version 1, certified by a block of 2
        live(little, market)
        little.act("greet", ("sbp",), 1, "salaam")
        after = proof_of(little, market)
        little.chain.checkpoint()
        little.close()
        report = audit(tmp_path, GENESIS)
        assert report.ok, report.fault
        assert report.height == little.replica.height > height
        for proof in (before, across, after):
            assert verify_alone(proof, GENESIS).record == market.money


def test_a_transaction_of_the_version_to_come_waits_for_its_height(tmp_path: Path) -> None:
    with version2.known():
        little = LittleChain(tmp_path, GENESIS)
        height = scheduled(little)
        early = little.transaction("greet", officers("mof"), 0, "early")
        while little.replica.height < height - 1:
            assert little.build(early).transactions == ()
            little.commit()
        assert little.commit(early).results[0].code == Code.OK
        little.close()


class OtherHeader(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A layout of headers for version 2 of these tests: the same facts, the height second."""

    version: Count
    height: Count
    genesis_hash: Hash
    time_ms: Count
    parent: Hash
    proposer: Count
    txs_root: Hash
    evidence_root: Hash
    executed_height: Count
    state_root: Hash
    results_root: Hash
    validators_hash: Hash
    next_validators_hash: Hash
    params_hash: Hash

    encoded = Header.encoded
    hash = Header.hash


def test_a_version_may_lay_headers_out_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(blocks.LAYOUTS, 2, OtherHeader)
    with version2.known():
        little = LittleChain(tmp_path, GENESIS)
        market = open_market(little)
        old = proof_of(little, market)
        height = scheduled(little)
        go_to(little, height + 1)
        new = proof_of(little, market)
        little.reopen()
        stored = [little.blocks.block(at) for at in (height - 1, height)]
        layouts = [type(decode_block(block).header) for block in stored if block is not None]
        assert layouts == [Header, OtherHeader]
        assert verify_alone(old, GENESIS).height < height <= verify_alone(new, GENESIS).height
        little.close()


def test_a_version_may_narrow_the_limits_of_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = dataclasses.replace(BLOCK_LIMITS[1], transaction_bytes=400, signers=2, evidence=0)
    monkeypatch.setitem(BLOCK_LIMITS, 2, narrow)
    with version2.known():
        little = LittleChain(tmp_path, GENESIS)
        height = scheduled(little)
        go_to(little, height - 2)
        three = little.transaction("parameter_set", officers("mof", count=3), "idle_ms", 600)
        long = little.transaction("greet", officers("mof"), 0, "x" * 64)
        assert little.build(three).transactions == (three.raw,)
        little.commit()
        assert little.build(three, long).transactions == (long.raw,)  # the block of the height
        assert little.build(evidence=(little.equivocation("mof", 3),)).evidence == ()
        little.close()


async def test_nodes_with_old_software_stop_unsigned_before_the_height_and_go_on_with_new(
    ram_path: Path, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The whole network is late: it stands still before the height, and loses nothing by it."""
    cluster = Cluster(ram_path, nursery, new_genesis(upgrade_notice_blocks=4))
    await cluster.start(*VALIDATORS)
    height = cluster.nodes["mof-1"].height + 12
    voters = [institution * OFFICERS + officer for institution in (0, 1, 2) for officer in (0, 1)]
    await cluster.commit("mof-1", cluster.act_of(voters, "upgrade_schedule", 2, height))
    with trio.fail_after(60):
        for name in VALIDATORS:
            await cluster.nodes[name].stopped.wait()
    for name in VALIDATORS:
        stopped = cluster.nodes[name]
        assert isinstance(stopped.failure, UnknownVersion)
        assert (stopped.failure.version, stopped.failure.height) == (2, height)
        assert stopped.height == height - 1
        with closing(SignerStore(ram_path / name / "signer", map_bytes=MAP_BYTES)) as signer:
            last = signer.last()
        assert last is not None
        assert last.height < height
    with version2.known():
        await cluster.start(*VALIDATORS)
        await cluster.reached(height + 3)
        cluster.assert_agreement()
        assert {running.chain.replica.state.version for running in cluster.nodes.values()} == {2}
    nursery.cancel_scope.cancel()
