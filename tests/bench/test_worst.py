"""Of every kind the worst block is built and measured (`make bench ARGS=worst`)."""

from bench.grounds import WORST
from bench.worst import measure
from ledger.kinds import BY_NAME
from ledger.parameters import Parameters


def test_every_kind_has_its_worst_block() -> None:
    assert set(WORST) == set(BY_NAME)


def test_the_worst_block_of_a_kind_is_legal_and_fills_the_budget() -> None:
    budget = Parameters().block_cost
    for kind in ("offer_take", "vasp_noc"):
        block = measure(kind, WORST[kind][0])
        assert 0.8 * budget < block.cost <= budget
        assert block.codes == {"ok": block.transactions}
