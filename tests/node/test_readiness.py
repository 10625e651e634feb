"""Who is ready for a scheduled version: what nodes say they know, and what operators are told of it."""

from dataclasses import replace

import msgspec
import structlog.testing
from prometheus_client.parser import text_string_to_metric_families

from api.reads.running import UpgradeView
from gateway.metrics import Metrics
from ledger.documents import NodeRole
from node.published import RegisteredNode
from node.readiness import Readiness
from testing import version2
from testing.commits import commit_of
from testing.front import HEALTHY

NODES = tuple(RegisteredNode(name, name, bytes(32), 1, NodeRole.VALIDATOR) for name in ("mof", "sbp", "secp"))
PLAIN = replace(commit_of().published, nodes=NODES)
SCHEDULED = replace(PLAIN, scheduled=(2, 900))


def test_without_a_schedule_nobody_is_late() -> None:
    assert Readiness("mof").upgrade(PLAIN) is None


def test_nodes_that_know_less_or_were_never_heard_are_not_ready() -> None:
    readiness = Readiness("mof")
    readiness.said("sbp", 2)
    assert readiness.upgrade(SCHEDULED) == UpgradeView(2, 900, ("mof", "secp"))
    readiness.said("secp", 3)
    assert readiness.upgrade(SCHEDULED) == UpgradeView(2, 900, ("mof",))
    readiness.said("sbp", 1)  # its operator went back to the older release
    assert readiness.upgrade(SCHEDULED) == UpgradeView(2, 900, ("mof", "sbp"))


def test_a_node_knows_what_its_software_knows() -> None:
    with version2.known():
        readiness = Readiness("mof")
    assert readiness.upgrade(SCHEDULED) == UpgradeView(2, 900, ("sbp", "secp"))


def values(metrics: Metrics) -> dict[str, float]:
    said = metrics.exposition(msgspec.structs.replace(HEALTHY, upgrade=UpgradeView(2, 900, ("secp",))))
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(said.decode())
        for sample in family.samples
    }


def test_metrics_name_who_is_late_and_forget_them_when_they_are_ready() -> None:
    metrics = Metrics()
    found = values(metrics)
    assert (found["mohur_upgrade_version"], found["mohur_upgrade_height"]) == (2, 900)
    assert (found["mohur_chain_version"], found["mohur_node_knows_version"]) == (1, 1)
    assert found["mohur_upgrade_not_readysecp"] == 1
    assert b"secp" not in metrics.exposition(HEALTHY)
    assert b"mohur_gateway_node_connected 0.0" in metrics.exposition(None)


def test_a_node_that_will_stop_says_so_once_when_it_is_scheduled() -> None:
    readiness = Readiness("mof")
    commit = replace(commit_of(), published=SCHEDULED)
    with structlog.testing.capture_logs() as lines:
        for each in (commit_of(), commit, commit):
            readiness.committed(each)
    assert [(line["log_level"], line["version"], line["from_height"]) for line in lines] == [
        ("error", 2, 900)
    ]
    with structlog.testing.capture_logs() as lines, version2.known():
        Readiness("mof").committed(commit)
    assert [line["log_level"] for line in lines] == ["info"]


def test_it_is_said_that_a_version_is_in_force_or_was_cancelled() -> None:
    for after, event in (
        (PLAIN, "the version that was scheduled is cancelled"),
        (replace(PLAIN, version=2), "a version of the protocol is in force"),
    ):
        readiness = Readiness("mof")
        readiness.committed(replace(commit_of(), published=SCHEDULED))
        with structlog.testing.capture_logs() as lines:
            for _ in range(2):
                readiness.committed(replace(commit_of(), published=after))
        assert [(line["event"], line["version"], line["from_height"]) for line in lines] == [(event, 2, 900)]
