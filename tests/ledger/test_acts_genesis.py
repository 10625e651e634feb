"""Genesis, parameters and the registry of nodes."""

from typing import Any

import pytest
from msgspec.structs import replace

from ledger import parameters
from ledger.codes import Code
from ledger.documents import Rule
from ledger.genesis import Genesis, GenesisPolicy, create_state, genesis_hash, problems
from primitives.codec import pack, unpack
from testing.keys import public
from testing.ledger_network import Network, make_genesis

VOTERS = "mof1 mof2 sbp1 sbp2 secp1 secp2"


def changed_institution(genesis: Genesis, **changes: Any) -> Genesis:
    first, *rest = genesis.institutions
    return replace(genesis, institutions=(replace(first, **changes), *rest))


def changed_node(genesis: Genesis, **changes: Any) -> Genesis:
    first, *rest = genesis.nodes
    return replace(genesis, nodes=(replace(first, **changes), *rest))


GOOD = make_genesis()
MOF1 = public("mof1")
BAD = [
    (replace(GOOD, chain="Mohur!"), "chain:"),
    (replace(GOOD, chain_class="staging"), "chain_class:"),
    (replace(GOOD, time_ms=0), "time_ms:"),
    (replace(GOOD, treasury="imf"), "treasury:"),
    (replace(GOOD, institutions=(*GOOD.institutions, GOOD.institutions[0])), "institutions: 'mof' stands"),
    (changed_institution(GOOD, threshold=1), "institutions.mof.threshold:"),
    (changed_institution(GOOD, threshold=4), "institutions.mof.threshold:"),
    (changed_institution(GOOD, title=""), "institutions.mof.title:"),
    (changed_institution(GOOD, ca_root=b""), "institutions.mof.ca_root:"),
    (changed_institution(GOOD, officers=(MOF1, MOF1)), "institutions.mof.officers[1]: the key is"),
    (changed_institution(GOOD, officers=(MOF1, bytes(32))), "institutions.mof.officers[1]: public key"),
    (changed_node(GOOD, public_key=MOF1), "nodes.mof-1.public_key: the key is"),
    (changed_node(GOOD, institution="imf"), "nodes.mof-1.institution:"),
    (changed_node(GOOD, role="leader"), "nodes.mof-1.role:"),
    (changed_node(GOOD, power=0), "nodes.mof-1.power: a validator"),
    (changed_node(GOOD, role="observer"), "nodes.mof-1.power: 1, an observer"),
    (changed_node(GOOD, name="sbp-1"), "nodes: 'sbp-1' stands twice"),
    (replace(GOOD, nodes=()), "nodes: 0"),
    (replace(GOOD, policies=GOOD.policies[1:]), "policies: 'vasp_register' has none"),
    (replace(GOOD, policies=(*GOOD.policies, GOOD.policies[0])), "policies: 'vasp_register' stands"),
    (replace(GOOD, policies=(*GOOD.policies, GenesisPolicy("x", Rule.ALL_OF, ("mof",)))), "policies.x:"),
    (replace(GOOD, policies=(GenesisPolicy("lift", Rule.TWO_DIFFERENT_OF, ("mof",)),)), "policies.lift."),
    (replace(GOOD, policies=(GenesisPolicy("lift", Rule.ALL_OF, ()),)), "policies.lift.institutions: names"),
    (replace(GOOD, policies=(GenesisPolicy("lift", Rule.ALL_OF, ("imf",)),)), "policies.lift.instit"),
    (replace(GOOD, parameters=(("idle", 1),)), "parameters.idle: there is no such parameter"),
    (replace(GOOD, parameters=(("idle_ms", 1),)), "parameters.idle_ms: 1: must be from 10"),
    (replace(GOOD, parameters=(("idle_ms", 500), ("idle_ms", 600))), "parameters: 'idle_ms' stands twice"),
    (
        replace(GOOD, parameters=(("aml_registered_services", ("offer_take",)),)),
        "parameters.aml_registered_services: offer_take: is none of the names that the",
    ),
]  # fmt: skip


def test_a_good_genesis_has_no_problems() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(("genesis", "problem"), BAD, ids=[problem for _, problem in BAD])
def test_each_problem_is_named(genesis: Genesis, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems(genesis)), problems(genesis)
    with pytest.raises(ValueError, match=r".+"):
        create_state(genesis)


def test_all_problems_are_named_at_once() -> None:
    genesis = replace(changed_institution(GOOD, threshold=9), chain="!", parameters=(("nothing", 1),))
    assert len(problems(genesis)) == 3


def test_the_hash_covers_every_field_and_survives_a_round_trip() -> None:
    hashes = {genesis_hash(genesis) for genesis, _ in BAD} | {genesis_hash(GOOD)}
    assert len(hashes) == len(BAD) + 1
    assert genesis_hash(unpack(pack(GOOD), Genesis, 2**20)) == genesis_hash(GOOD)


def test_the_state_of_a_genesis_is_the_same_every_time() -> None:
    state = create_state(GOOD)
    assert state.root() == create_state(GOOD).root()
    assert len(state.signers) == 15 + 4  # officers and nodes
    treasury = state.institutions[0].treasury
    assert state.accounts[treasury].institution == 0
    assert [institution.treasury for institution in state.institutions][1:] == [-1] * 4


def test_parameters_are_read_as_the_genesis_set_them() -> None:
    state, plain = create_state(make_genesis(parameters=(("idle_ms", 250),))), create_state(make_genesis())
    read = parameters.read(state)
    assert read.idle_ms == 250
    assert read.propose_ms == parameters.read(plain).propose_ms == parameters.bounds_at(1)["propose_ms"].first
    assert read.aml_registered_services == ("account_open", "account_update")
    assert parameters.parameters_hash(state) != parameters.parameters_hash(plain)


def test_every_first_value_is_within_its_bounds() -> None:
    for bounds in parameters.bounds_at(1).values():
        assert bounds.refusal(bounds.first) is None


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("nothing", 1, Code.NOT_FOUND),
        ("idle_ms", 1, Code.OUT_OF_RANGE),
        ("idle_ms", ("account_open",), Code.OUT_OF_RANGE),
        ("aml_registered_services", 1, Code.OUT_OF_RANGE),
        ("aml_registered_services", ("transfer_security",), Code.NOT_FOUND),
        ("aml_registered_services", ("account_open", "account_open"), Code.OUT_OF_RANGE),
    ],
)
def test_a_parameter_is_set_within_its_bounds_only(name: str, value: Any, code: Code) -> None:
    Network().refused(code, "parameter_set", "mof1", name=name, value=value)


def test_services_before_the_licence_can_be_taken_away() -> None:
    net = Network()
    net.enact("parameter_set", VOTERS, name="aml_registered_services", value=())
    assert parameters.read(net.state).aml_registered_services == ()


def test_the_clock_moves_ledger_time_from_the_next_block_on() -> None:
    net = Network()
    net.ok("dev_advance_clock", "fmu1", advance_ms=1_000_000)
    before = net.header_ms
    (proposal,) = net.ok("cash_define", "sbp1", currency="PKR")
    assert net.proposal(proposal).created_ms == before + 1_000 + 1_000_000
    for _ in range(3):
        net.ok("dev_advance_clock", "mof1", advance_ms=20 * 366 * 86_400_000)
    net.refused(Code.OUT_OF_RANGE, "dev_advance_clock", "mof1", advance_ms=20 * 366 * 86_400_000)
