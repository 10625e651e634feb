"""What a transaction costs, and that no block costs more than it may."""

import pytest

from ledger.admission import BlockAdmission, check_envelope
from ledger.codes import Code, Refused
from ledger.cost import cost_of
from ledger.documents import Parameter
from ledger.kinds import BY_NAME
from ledger.proposals import act_hash
from ledger.versions import rules
from ledger.words import words_of
from primitives.codec import pack
from testing.ledger_network import Network, client

LIMITS = rules(1).limits


def cost(network: Network, kind: str, signers: str, **fields: object) -> int:
    """What a transaction of this kind costs beside its envelope, its signatures and its bytes."""
    tx = network.tx(kind, signers, **fields)
    bare = LIMITS.transaction_cost + LIMITS.signature_cost * len(tx.signers)
    return cost_of(network.state, tx, rules(1)) - bare - -(-len(tx.raw) // LIMITS.bytes_a_unit)


@pytest.fixture
def network() -> Network:
    made = Network()
    made.define_money()
    made.license("htx")
    return made


def allow(network: Network, most: int) -> None:
    table = network.state.parameters
    table.replace(table.by_key["block_cost"], Parameter("block_cost", most))


def test_every_kind_says_what_it_costs() -> None:
    for kind in BY_NAME.values():
        assert kind.cost.flat > 0, kind.name


def test_a_transfer_costs_its_envelope_its_signature_its_bytes_and_its_kind(network: Network) -> None:
    tx = network.tx("transfer", "htx", from_holding=0, to_holding=1, amount=1)
    expected = LIMITS.transaction_cost + LIMITS.signature_cost + 1 + BY_NAME["transfer"].cost.flat
    assert len(tx.raw) <= LIMITS.bytes_a_unit
    assert cost_of(network.state, tx, rules(1)) == expected


def test_each_signature_and_each_byte_is_counted(network: Network) -> None:
    one = network.tx("freeze", "pvara1", target=1, index=0)
    two = network.tx("freeze", "pvara1 pvara2", target=1, index=0)
    assert len(one.raw) <= LIMITS.bytes_a_unit < len(two.raw) <= 2 * LIMITS.bytes_a_unit
    difference = cost_of(network.state, two, rules(1)) - cost_of(network.state, one, rules(1))
    assert difference == LIMITS.signature_cost + 1


@pytest.mark.parametrize(
    ("kind", "width", "fields"),
    [("transfer_batch", 16, {}), ("offer_take", 16, {"offer": 0}), ("holding_open", 8, {})],
)
def test_packed_rows_are_counted(network: Network, kind: str, width: int, fields: dict[str, int]) -> None:
    declared = BY_NAME[kind].cost
    for length, counted in ((width, 1), (5 * width, 5), (4 * width + 1, 5)):
        found = cost(network, kind, "htx", rows=bytes(length), **fields)
        assert found == declared.flat + counted * declared.each[0].units


def test_accounts_and_the_keys_of_their_owners_are_counted(network: Network) -> None:
    rows, keys = BY_NAME["account_open"].cost.each
    opened = tuple(
        network.proven("htx", row) for row in (client(1), client(2, 1, "ali"), client(3, 1, "sana"))
    )
    flat = BY_NAME["account_open"].cost.flat
    assert cost(network, "account_open", "htx", rows=opened) == flat + 3 * rows.units + 2 * keys.units


def test_an_approval_costs_the_act_that_it_may_complete(network: Network) -> None:
    account = network.accounts("htx", [client(1)])[0]
    until = network.time_ms // 1_000 + 1_000
    act = BY_NAME["kyc_restore"].cost
    own = BY_NAME["approve"].cost.flat
    proposal = network.ok("kyc_restore", "pvara1", accounts=(account,), kyc_until=until)[0]
    assert (
        cost(network, "approve", "pvara2", proposal=proposal, reason=0) == own + act.flat + act.each[0].units
    )
    assert cost(network, "approve", "pvara2", proposal=proposal + 1, reason=0) == own  # who opens it pays
    network.ok("approve", "pvara2", proposal=proposal, reason=0)
    assert cost(network, "approve", "pvara3", proposal=proposal, reason=0) == own  # it is decided


def test_a_block_takes_what_its_cost_allows_and_no_more(network: Network) -> None:
    txs = [network.tx("transfer", "htx", from_holding=0, to_holding=1, amount=amount) for amount in (1, 2, 3)]
    each = cost_of(network.state, txs[0], rules(1))
    allow(network, 2 * each)
    block = BlockAdmission(network.state, network.header_ms, rules(1))
    block.admit(txs[0])
    assert not block.is_full
    block.admit(txs[1])
    assert block.is_full
    with pytest.raises(Refused) as refused:
        block.admit(txs[2])
    assert refused.value.code is Code.LIMIT_EXCEEDED
    assert words_of(refused.value).rule == f"the block's cost would be {3 * each}, at most {2 * each}"
    assert block.cost == 2 * each


def test_what_alone_costs_more_than_a_block_may_is_not_admitted(network: Network) -> None:
    tx = network.tx("transfer_batch", "htx", rows=bytes(16 * 100))
    alone = cost_of(network.state, tx, rules(1))
    allow(network, alone)
    check_envelope(network.state, tx, network.hash, network.header_ms, rules(1))
    allow(network, alone - 1)
    with pytest.raises(Refused) as refused:
        check_envelope(network.state, tx, network.hash, network.header_ms, rules(1))
    assert refused.value.code is Code.LIMIT_EXCEEDED
    assert str(alone - 1) in words_of(refused.value).rule


def test_the_cost_is_that_of_the_state_before_the_block(network: Network) -> None:
    """A proposal that the block itself opens has paid for its effect; its approval in the block is cheap."""
    until = network.time_ms // 1_000 + 1_000
    account = network.accounts("htx", [client(1)])[0]
    opens = network.tx("kyc_restore", "pvara1", accounts=(account,), kyc_until=until)
    act = act_hash(opens.definition.number, pack(opens.payload))
    number = len(network.state.proposals)
    approves = network.tx("approve", "pvara2", proposal=number, act=act, reason=0)
    costs = [cost_of(network.state, tx, rules(1)) for tx in (opens, approves)]
    allow(network, sum(costs))
    network.block(opens, approves)
    assert network.state.accounts[account].kyc_until == until
