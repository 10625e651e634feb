"""A parameter that an act changes is in force from the next block on, for whatever reads it.

Lost otherwise: of two transactions of one block the order, which the proposer chooses, says by which rules
the second stands: a notice of upgrades cut to four blocks, and an upgrade within it, in one block.
"""

import pytest

from ledger import parameters
from ledger.codes import Code
from ledger.documents import ProposalStatus
from testing.ledger_network import Network, client

VOTERS = "mof1 mof2 sbp1 sbp2 secp1 secp2"


@pytest.fixture
def net() -> Network:
    return Network()


def test_the_notice_of_an_upgrade_is_not_cut_in_the_block_of_the_upgrade(net: Network) -> None:
    soon = {"version": 2, "height": net.height + 6}
    results = net.block(
        net.tx("parameter_set", VOTERS, name="upgrade_notice_blocks", value=4),
        net.tx("upgrade_schedule", VOTERS, **soon),
    )
    assert [result.code for result in results] == [Code.OK, Code.OUT_OF_RANGE]
    assert results[1].values[1] == 10_000
    net.enact("upgrade_schedule", VOTERS, **soon)


def test_a_proposal_lives_by_the_lifetime_before_its_block(net: Network) -> None:
    net.block(
        net.tx("parameter_set", VOTERS, name="proposal_lifetime_s", value=60),
        net.tx("cash_define", "sbp1", currency="PKR"),
    )
    (later,) = net.ok("cash_define", "sbp2", currency="PKR")
    lives = [(each.expires_ms - each.created_ms) // 1_000 for each in net.state.proposals][1:]
    assert lives == [7 * 86_400, 60]
    assert net.proposal(later).status is ProposalStatus.OPEN


def test_a_vasps_service_ends_with_the_block_that_takes_it_away(net: Network) -> None:
    vasp = net.register("binance")
    net.enact("vasp_noc", "pvara1 pvara2", vasp=vasp)
    net.enact("vasp_goaml", "fmu1 fmu2", vasp=vasp, reference="G-1")
    taken = net.tx("parameter_set", VOTERS, name="aml_registered_services", value=())
    results = net.block(taken, net.tx("account_open", "binance", rows=(client(1),)))
    assert [result.code for result in results] == [Code.OK, Code.OK]
    net.refused(Code.STAGE_NOT_REACHED, "account_open", "binance", rows=(client(2),))


def test_after_the_block_every_reader_finds_the_new_value(net: Network) -> None:
    net.enact("parameter_set", VOTERS, name="acts_quota", value=17)
    assert parameters.number(net.state, "acts_quota") == parameters.read(net.state).acts_quota == 17
