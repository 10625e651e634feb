"""What a pool asks of the state beside the rules of blocks: roles, shares, and in a crowd who can pay."""

from pathlib import Path

import pytest
import trio
import trio.testing

from ledger.codes import Code, Refused
from node.door import Share, check_payable, check_roles, share_of
from node.limits import OFFICER_BYTES_MAX, OWNER_BYTES_MAX, SETTLEMENT_BYTES_MAX
from testing.cluster import Cluster
from testing.ledger_network import Network, client


class Market(Network):
    """Two VASPs; one has a custodial client and alice, who keeps her own key, each with a holding of cash."""

    def __init__(self) -> None:
        super().__init__()
        self.define_money()
        self.binance, self.htx = self.license("binance"), self.license("htx")
        first, second, alice = self.accounts("binance", [client(1), client(2, account_type=1, owner="alice")])
        self.signers["alice"] = alice
        self.client, self.own = self.holdings("binance", [(first, 0), (second, 0)])


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


def _code(call: object, *args: object) -> Code:
    with pytest.raises(Refused) as refused:
        call(*args)  # type: ignore[operator]
    return refused.value.code


def test_a_kind_is_taken_from_the_roles_that_may_send_it(market: Market) -> None:
    transfer = {"from_holding": 0, "to_holding": 1, "amount": 1}
    for signer in ("alice", "binance"):
        check_roles(market.state, market.tx("transfer", signer, **transfer))
    for signer in ("mof1", "alice binance"):
        assert (
            _code(check_roles, market.state, market.tx("transfer", signer, **transfer)) is Code.NOT_AUTHORISED
        )
    advance = market.tx("dev_advance_clock", "alice", advance_ms=1)
    assert _code(check_roles, market.state, advance) is Code.NOT_AUTHORISED


def test_a_clients_share_is_that_of_its_vasp(market: Market) -> None:
    def share(name: str) -> Share:
        return share_of(market.state, market.signers[name])

    assert share("binance") == Share(("vasp", market.binance), SETTLEMENT_BYTES_MAX)
    assert share("alice") == Share(("vasp", market.binance), OWNER_BYTES_MAX)
    assert share("htx") == Share(("vasp", market.htx), SETTLEMENT_BYTES_MAX)
    assert share("sbp1") == share("sbp2") == Share(("institution", 1), OFFICER_BYTES_MAX)


def test_a_transfer_is_payable_by_who_has_the_money(market: Market) -> None:
    def asked(signer: str, holding: int, amount: int = 5) -> None:
        tx = market.tx("transfer", signer, from_holding=holding, to_holding=0, amount=amount)
        check_payable(market.state, tx)

    assert _code(asked, "alice", market.own) is Code.OVERDRAFT
    assert _code(asked, "binance", market.client) is Code.OVERDRAFT
    assert _code(asked, "alice", market.client) is Code.NOT_AUTHORISED
    assert _code(asked, "htx", market.client) is Code.NOT_AUTHORISED
    assert _code(asked, "binance", market.own) is Code.NOT_AUTHORISED
    assert _code(asked, "binance", 10_000) is Code.NOT_FOUND
    market.state.holdings.set_field(market.own, "balance", 5)
    asked("alice", market.own)
    market.state.holdings.set_field(market.own, "balance", 0)
    check_payable(market.state, market.tx("dev_advance_clock", "mof1", advance_ms=1))


async def test_a_node_asks_it_of_what_it_is_given(
    ram_path: Path,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(ram_path, nursery)
    await cluster.start("mof-1")
    node = cluster.nodes["mof-1"].node
    assert _code(node.submit, cluster.act_of([0], "transfer", 1, 2, 3)) is Code.NOT_AUTHORISED
    asked: list[object] = []
    monkeypatch.setattr("node.runtime.check_payable", lambda state, transaction: asked.append(transaction))
    node.submit(cluster.act())
    assert asked == []
    node.mempool._count_max = 1
    node.submit(cluster.act(signer=1))
    assert len(asked) == 1
    nursery.cancel_scope.cancel()
