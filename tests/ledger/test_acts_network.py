"""Nodes and institutions change on a living chain: who comes and goes, with which keys, what never may."""

from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from ledger import enrolment
from ledger.codes import Code, Refused
from ledger.documents import NodeRole, ProposalStatus
from ledger.execution import BlockFacts, apply_block
from ledger.genesis import problems
from ledger.rows import RETIRED, Role
from ledger.survival import Strength
from ledger.validators import strength_of, validator_set
from testing.keys import public
from testing.ledger_network import Network, make_genesis, said

VOTERS = "mof1 mof2 sbp1 sbp2 secp1 secp2"
OTHERS = "sbp1 sbp2 pvara1 pvara2 secp1 secp2"
MOF, SBP = 0, 1


@pytest.fixture
def net() -> Network:
    return Network()


@pytest.fixture
def lax() -> Network:
    """A network that asks for no resilience at all."""
    names = ("losable_nodes_min", "losable_institutions_min")
    return Network(make_genesis(parameters=(*((name, 0) for name in names), ("deciding_nodes_min", 1))))


def node(name: str, **changes: Any) -> dict[str, Any]:
    """A node_update that leaves everything of one of the four nodes as it is, except for `changes`."""
    institution = ("mof", "sbp", "pvara", "secp", "fmu").index(name.partition("-")[0])
    unchanged = {"institution": institution, "role": NodeRole.VALIDATOR, "power": 1}
    return {"node": name, **unchanged, "public_key": b"", "proof": b"", **changes}


def key_for(net: Network, key: str, node_name: str) -> dict[str, bytes]:
    institution = node_name.partition("-")[0]
    return {"public_key": public(key), "proof": net.prove(key, Role.NODE, institution, node_name)}


def officers(net: Network, institution: str, *names: str) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((public(name), net.prove(name, Role.OFFICER, institution)) for name in names)


def institution(index: int, **changes: Any) -> dict[str, Any]:
    unchanged = {"title": "", "threshold": 0, "remove": (), "add": (), "ca_roots": ()}
    return {"institution": index, **unchanged, **changes}


# --- nodes ----------------------------------------------------------------------------------------------


def test_a_node_is_admitted_as_an_observer_and_made_a_validator(net: Network) -> None:
    observer = node("fmu-1", role=NodeRole.OBSERVER, power=0, **key_for(net, "new node", "fmu-1"))
    (index,) = net.enact("node_update", VOTERS, **observer)
    assert (index, net.state.nodes[4].name, net.state.nodes[4].role) == (4, "fmu-1", NodeRole.OBSERVER)
    assert len(validator_set(net.state)) == 4
    net.enact("node_update", VOTERS, **node("fmu-1"))
    assert validator_set(net.state)[4] == (4, public("new node"), 1)
    signer = net.state.signers[net.state.signers.by_key[public("new node")]]
    assert (signer.role, signer.owner) == (Role.NODE, 4)


def test_a_change_of_power_is_handed_to_consensus(lax: Network) -> None:
    before = validator_set(lax.state)
    tx = lax.tx("node_update", VOTERS, **node("sbp-1", power=5))
    outcome = apply_block(lax.state, BlockFacts(1, lax.header_ms + 1_000), [tx])
    assert outcome.validator_updates == (before[0], (1, public("node of sbp"), 5), *before[2:])
    assert apply_block(lax.state, BlockFacts(2, lax.header_ms + 2_000), []).validator_updates is None


def test_a_rotated_key_votes_and_the_old_one_is_never_enrolled_again(net: Network) -> None:
    net.enact("node_update", VOTERS, **node("sbp-1", **key_for(net, "second key", "sbp-1")))
    assert validator_set(net.state)[1] == (1, public("second key"), 1)
    old = net.state.signers.by_key[public("node of sbp")]
    assert net.state.signers[old].flags == RETIRED
    back = node("sbp-1", **key_for(net, "node of sbp", "sbp-1"))
    net.refused(Code.KEY_ALREADY_ENROLLED, "node_update", "mof1", **back)


def test_a_node_proves_its_key_for_itself_alone(net: Network) -> None:
    fields = key_for(net, "second key", "pvara-1")
    net.refused(Code.BAD_PROOF, "node_update", "mof1", **node("sbp-1", **fields))
    net.refused(Code.BAD_PROOF, "node_update", "mof1", **node("sbp-1", public_key=public("x"), proof=b""))
    net.refused(Code.MALFORMED, "node_update", "mof1", **node("sbp-1", power=2, proof=bytes(64)))


def test_the_key_of_a_node_signs_no_transaction(net: Network) -> None:
    net.enact("node_update", VOTERS, **node("mof-1", **key_for(net, "mof-key", "mof-1")))
    net.signers["mof-key"] = net.state.signers.by_key[public("mof-key")]
    net.refused(Code.NOT_AUTHORISED, "parameter_set", "mof-key", name="idle_ms", value=500)
    net.refused(Code.NOT_AUTHORISED, "transfer", "mof-key", from_holding=0, to_holding=1, amount=1)


def test_a_retired_node_keeps_its_name_and_may_return_with_its_key(lax: Network) -> None:
    retired = node("secp-1", role=NodeRole.RETIRED, power=0)
    lax.enact("node_update", VOTERS, **retired)
    assert lax.state.nodes[3].role is NodeRole.RETIRED
    assert [validator.node for validator in validator_set(lax.state)] == [0, 1, 2]
    lax.refused(Code.WRONG_STATUS, "node_update", "mof1", **retired)
    lax.enact("node_update", VOTERS, **node("secp-1"))
    assert validator_set(lax.state)[3] == (3, public("node of secp"), 1)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (node("mof-1"), Code.WRONG_STATUS),
        (node("mof-1", institution=1, power=2), Code.OUT_OF_RANGE),
        (node("mof-1", institution=9), Code.NOT_FOUND),
        (node("mof-1", power=0), Code.OUT_OF_RANGE),
        (node("mof-1", role=NodeRole.OBSERVER), Code.OUT_OF_RANGE),
        (node("mof-2"), Code.BAD_KEY),
        (node("mof-2", public_key=public("mof1"), role=NodeRole.RETIRED, power=0), Code.NOT_FOUND),
        (node("mof-1", public_key=public("mof1")), Code.KEY_ALREADY_ENROLLED),
        (node("mof-1", public_key=bytes(32)), Code.BAD_KEY),
        ({**node("mof-1"), "node": "Mof!"}, Code.BAD_IDENTIFIER),
    ],
)
def test_what_no_node_may_become_is_refused(net: Network, fields: dict[str, Any], code: Code) -> None:
    net.refused(code, "node_update", "mof1", **fields)


def test_the_last_validator_stays(lax: Network) -> None:
    for name in ("mof-1", "sbp-1", "pvara-1"):
        lax.enact("node_update", VOTERS, **node(name, role=NodeRole.OBSERVER, power=0))
    fields = node("secp-1", role=NodeRole.OBSERVER, power=0)
    assert (
        said(lax.refused(Code.OUT_OF_RANGE, "node_update", "mof1", **fields)).rule
        == "no validator would be left"
    )


# --- what the network survives --------------------------------------------------------------------------


def test_four_equal_validators_survive_one_and_three_decide(net: Network) -> None:
    assert strength_of(net.state.nodes) == Strength(4, 4, 1, 1, deciding_nodes=3, could_stop=())


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        (node("sbp-1", power=2), "losable_nodes_min"),  # 2 of 5: without it there is no quorum
        (node("sbp-1", power=10), "losable_nodes_min"),
        (node("secp-1", role=NodeRole.OBSERVER, power=0), "losable_nodes_min"),
        (node("secp-1", role=NodeRole.RETIRED, power=0), "losable_nodes_min"),
    ],
)
def test_what_the_network_would_not_survive_is_refused(
    net: Network, fields: dict[str, Any], parameter: str
) -> None:
    result = net.refused(Code.OUT_OF_RANGE, "node_update", "mof1", **fields)
    assert said(result)[:2] == (parameter.removesuffix("_min"), "0")


def test_a_node_that_may_be_down_gets_no_more_power_than_can_be_lost(net: Network) -> None:
    """A fifth of equal power may be down from the start; one of twice the power may not."""
    key = key_for(net, "new node", "fmu-1")
    result = net.refused(Code.OUT_OF_RANGE, "node_update", "mof1", **node("fmu-1", power=2, **key))
    assert said(result)[:2] == ("losable_nodes", "0")
    net.enact("node_update", VOTERS, **node("fmu-1", **key))
    assert strength_of(net.state.nodes) == Strength(5, 5, 1, 1, deciding_nodes=4, could_stop=())


def test_one_institution_does_not_get_a_third_through_two_nodes(net: Network) -> None:
    fields = node("mof-2", **key_for(net, "new node", "mof-2"))
    result = net.refused(Code.OUT_OF_RANGE, "node_update", "mof1", **fields)
    assert said(result)[:2] == ("losable_institutions", "0")


def test_no_validator_comes_to_decide_alone() -> None:
    """Where no loss is survived anyhow, one of three still may not get more than two thirds."""
    net = Network(make_genesis(parameters=(("losable_nodes_min", 0), ("losable_institutions_min", 0))))
    result = net.refused(Code.OUT_OF_RANGE, "node_update", "mof1", **node("sbp-1", power=7))
    assert said(result)[:2] == ("deciding_nodes", "1")
    net.enact("node_update", VOTERS, **node("sbp-1", power=6))


def test_a_network_that_survives_nothing_may_still_change_as_long_as_it_gets_no_worse(lax: Network) -> None:
    lax.enact("node_update", VOTERS, **node("secp-1", role=NodeRole.OBSERVER, power=0))
    for name in ("losable_nodes_min", "losable_institutions_min"):
        lax.enact("parameter_set", VOTERS, name=name, value=1)
    lax.enact("node_update", VOTERS, **node("sbp-1", **key_for(lax, "second key", "sbp-1")))


def test_a_genesis_gives_what_its_parameters_ask_for() -> None:
    genesis = make_genesis()
    weak = replace(genesis, nodes=genesis.nodes[:3])
    assert [problem.partition(":")[0] for problem in problems(weak)] == [
        "parameters.losable_nodes_min",
        "parameters.losable_institutions_min",
    ]
    asked = (("losable_nodes_min", 0), ("losable_institutions_min", 0), ("deciding_nodes_min", 3))
    assert problems(replace(weak, parameters=asked)) == []
    (problem,) = problems(replace(genesis, parameters=(("deciding_nodes_min", 4),)))
    assert problem.startswith("parameters.deciding_nodes_min: 4, but deciding_nodes of these nodes is 3")


def test_a_node_says_by_which_block_it_is_what_it_is(net: Network) -> None:
    assert net.state.nodes[1].since_height == 0
    net.enact("node_update", VOTERS, **node("sbp-1", **key_for(net, "second key", "sbp-1")))
    assert net.state.nodes[1].since_height == 0  # another key, the same role and power
    net.block()
    observer = node("fmu-1", role=NodeRole.OBSERVER, power=0, **key_for(net, "new node", "fmu-1"))
    net.enact("node_update", VOTERS, **observer)
    assert net.state.nodes[4].since_height == net.height
    net.block()
    net.enact("node_update", VOTERS, **node("fmu-1"))
    assert net.state.nodes[4].since_height == net.height


# --- institutions ---------------------------------------------------------------------------------------


def test_an_officer_joins_and_acts(net: Network) -> None:
    joined = institution(MOF, add=officers(net, "mof", "mof4"))
    assert net.enact("institution_update", OTHERS, **joined) == (MOF, len(net.state.signers) - 1)
    net.signers["mof4"] = len(net.state.signers) - 1
    assert net.state.institutions[MOF].officers == (0, 1, 2, net.signers["mof4"])
    assert net.state.signers[net.signers["mof4"]].number == 3
    net.enact("parameter_set", "mof1 mof4 sbp1 sbp2 secp1 secp2", name="idle_ms", value=700)


def test_an_officer_removed_signs_no_more(net: Network) -> None:
    net.enact("institution_update", OTHERS, **institution(MOF, remove=(net.signers["mof3"],)))
    assert net.state.institutions[MOF].officers == (0, 1)
    with pytest.raises(Refused, match="key_retired"):
        net.do("parameter_set", "mof3", name="idle_ms", value=700)


def test_an_officer_removed_earlier_in_the_block_is_refused_in_it(net: Network) -> None:
    removal = net.tx("institution_update", OTHERS, **institution(MOF, remove=(net.signers["mof3"],)))
    late = net.tx("parameter_set", "mof3", name="idle_ms", value=700)
    assert [result.code for result in net.block(removal, late)] == [Code.OK, Code.KEY_RETIRED]
    assert net.state.signers[net.signers["mof3"]].highest == 1  # used up all the same


def test_approvals_of_an_officer_who_is_removed_do_not_count(net: Network) -> None:
    fields = {"name": "bills", "cap_cents": 1_000}
    (proposal,) = net.ok("programme_create", "sbp1 sbp2 mof3", **fields)
    net.enact("institution_update", OTHERS, **institution(MOF, remove=(net.signers["mof3"],)))
    net.ok("approve", "pvara1 pvara2", proposal=proposal, reason=0)
    net.ok("approve", "mof1", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    net.ok("approve", "mof2", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.EXECUTED


def test_a_replaced_officer_frees_his_number_and_never_his_key(net: Network) -> None:
    swapped = institution(MOF, remove=(net.signers["mof2"],), add=officers(net, "mof", "mof2 again"))
    net.enact("institution_update", OTHERS, **swapped)
    new = net.state.institutions[MOF].officers[-1]
    assert net.state.signers[new].number == 1
    back = institution(MOF, add=officers(net, "mof", "mof2"))
    net.refused(Code.KEY_ALREADY_ENROLLED, "institution_update", "sbp1", **back)


@pytest.mark.parametrize("last", ["mof4", "mof2"])
def test_no_proof_is_verified_of_officers_of_whom_one_has_a_key_that_is_known(
    net: Network, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    added = institution(MOF, add=officers(net, "mof", "mof4", "mof5", last))
    verified: list[bytes] = []
    monkeypatch.setattr(enrolment, "verify", lambda key, *rest: verified.append(key) or True)
    net.refused(Code.KEY_ALREADY_ENROLLED, "institution_update", OTHERS, **added)
    assert verified == []


def test_the_others_restore_an_institution_that_lost_its_quorum(net: Network) -> None:
    lost = tuple(net.signers[name] for name in ("mof2", "mof3"))
    restored = institution(MOF, remove=lost, add=officers(net, "mof", "mof4", "mof5"))
    net.enact("institution_update", OTHERS, **restored)
    net.signers |= {"mof4": len(net.state.signers) - 2, "mof5": len(net.state.signers) - 1}
    net.enact("parameter_set", "mof4 mof5 sbp1 sbp2 secp1 secp2", name="idle_ms", value=700)


def test_one_institution_does_not_change_itself(net: Network) -> None:
    fields = institution(MOF, add=officers(net, "mof", "mof4"))
    (proposal,) = net.ok("institution_update", "mof1 mof2 mof3", **fields)
    assert net.proposal(proposal).status is ProposalStatus.OPEN


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, Code.WRONG_STATUS),
        ({"title": "Ministry of Finance", "threshold": 2}, Code.WRONG_STATUS),
        ({"threshold": 1}, Code.OUT_OF_RANGE),
        ({"threshold": 4}, Code.OUT_OF_RANGE),
        ({"remove": (0, 1)}, Code.OUT_OF_RANGE),
        ({"remove": (3,)}, Code.NOT_FOUND),
        ({"remove": (0, 0)}, Code.NOT_FOUND),
        ({"add": ((public("new"), bytes(64)),)}, Code.BAD_PROOF),
        ({"add": ((bytes(32), bytes(64)),)}, Code.BAD_KEY),
        ({"ca_roots": ((b"ca root of sbp", 0),)}, Code.ALREADY_EXISTS),
        ({"ca_roots": ((b"new", 0), (b"new", 0))}, Code.ALREADY_EXISTS),
        ({"ca_roots": ((b"new", 1),)}, Code.OUT_OF_RANGE),
        ({"ca_roots": ((b"new", 2**41),)}, Code.OUT_OF_RANGE),
    ],
)
def test_what_would_disable_an_institution_is_refused(
    net: Network, changes: dict[str, Any], code: Code
) -> None:
    net.refused(code, "institution_update", "sbp1", **institution(MOF, **changes))


def test_a_threshold_is_never_above_the_signers_of_one_transaction() -> None:
    """Else an institution could do nothing at once, whatever happens."""
    genesis = make_genesis()
    sbp, *others = sorted(genesis.institutions, key=lambda each: each.name != "sbp")
    many = tuple(public(f"sbp many {number}") for number in range(20))
    assert problems(replace(genesis, institutions=(*others, replace(sbp, officers=many, threshold=16)))) == []
    (problem,) = problems(replace(genesis, institutions=(*others, replace(sbp, officers=many, threshold=17))))
    assert problem == "institutions.sbp.threshold: 17, at most 16 sign one transaction"
    net = Network(replace(genesis, institutions=(*others, replace(sbp, officers=many))))
    proposer = {"mof1": 0, "mof2": 1}
    net.signers.update(proposer)
    index = len(others)
    result = net.refused(Code.OUT_OF_RANGE, "institution_update", "mof1", **institution(index, threshold=17))
    assert result.values == (17, 16)
    net.ok("institution_update", "mof1", **institution(index, threshold=16))


@pytest.mark.parametrize(
    ("changes", "field", "value", "rule"),
    [
        ({}, "institution", "0", "nothing would change"),
        ({"remove": (0, 1)}, "officers", "1", "the institution would have so few, its threshold is 2"),
        ({"threshold": 4}, "threshold", "4", "must be from 2 to 3, the officers there would be, at most 16"),
        (
            {"ca_roots": ((b"ca root of sbp", 0),)},
            "ca_roots[0]",
            sha256(b"ca root of sbp").hexdigest(),
            "the root with this SHA-256 is another institution's, or stands twice",
        ),
    ],
)
def test_a_refusal_names_what_the_officer_wrote(
    net: Network, changes: dict[str, Any], field: str, value: str, rule: str
) -> None:
    act = net.tx("institution_update", "sbp1", **institution(MOF, **changes))
    assert said(net.block(act)[0]) == (field, value, rule)


def test_an_institution_has_no_more_officers_than_signatures_have_room(net: Network) -> None:
    many = officers(net, "mof", *(f"newcomer {number}" for number in range(62)))
    result = net.refused(Code.LIMIT_EXCEEDED, "institution_update", "sbp1", **institution(MOF, add=many))
    assert said(result)[:2] == ("officers", "65")


def test_a_key_stands_once_among_those_who_join(net: Network) -> None:
    twice = officers(net, "mof", "mof4", "mof4")
    net.refused(Code.KEY_ALREADY_ENROLLED, "institution_update", "sbp1", **institution(MOF, add=twice))


def test_an_officer_proves_his_key_for_one_institution_alone(net: Network) -> None:
    fields = institution(SBP, add=officers(net, "mof", "mof4"))
    net.refused(Code.BAD_PROOF, "institution_update", "mof1", **fields)


def test_title_and_threshold_change_alone(net: Network) -> None:
    net.enact("institution_update", OTHERS, **institution(MOF, title="Finance Division", threshold=3))
    record = net.state.institutions[MOF]
    assert (record.title, record.threshold, record.officers) == ("Finance Division", 3, (0, 1, 2))


def test_the_nodes_of_an_institution_are_not_cut_off_from_one_block_to_the_next(net: Network) -> None:
    present, hour = b"ca root of mof", 3_600_000
    strange = ((b"x", 0),)
    soon = ((present, net.time_ms + hour - 1), (b"x", 0))
    for roots in (strange, soon):
        net.refused(Code.OUT_OF_RANGE, "institution_update", OTHERS, **institution(MOF, ca_roots=roots))
    (fmu,) = (n for n, one in enumerate(net.state.institutions) if one.name == "fmu")
    net.enact("institution_update", OTHERS, **institution(fmu, ca_roots=strange))  # it has no nodes


def test_roots_change_with_overlap(net: Network) -> None:
    until = net.time_ms + 86_400_000
    both = ((b"ca root of mof", until), (b"the second root", 0))
    net.enact("institution_update", OTHERS, **institution(MOF, ca_roots=both))
    old, new = net.state.institutions[MOF].ca_roots
    assert (old.der, old.until_ms, new.der, new.until_ms) == (b"ca root of mof", until, b"the second root", 0)
    assert old.from_ms < new.from_ms == net.header_ms
    net.enact("institution_update", OTHERS, **institution(MOF, ca_roots=((b"the second root", 0),)))
    assert net.state.institutions[MOF].ca_roots == (new,)


# --- an institution's own officers


def new_officer(net: Network, officer: str, name: str, of: str = "mof") -> dict[str, Any]:
    """The fields by which an officer of an institution gets the key of this name."""
    return {"officer": net.signers[officer], "key": public(name), "proof": net.prove(name, Role.OFFICER, of)}


def test_an_institution_changes_an_officers_key_by_itself(net: Network) -> None:
    index, new = net.enact("officer_key_rotate", "mof1 mof2", **new_officer(net, "mof2", "second"))
    assert (index, net.state.institutions[MOF].officers) == (MOF, (0, 2, new))
    assert (net.state.signers[new].number, net.state.signers[1].flags) == (1, RETIRED)
    net.signers["second"] = new
    net.enact("officer_key_rotate", "mof1 second", **new_officer(net, "mof3", "third"))
    with pytest.raises(Refused, match="key_retired"):
        net.do("officer_key_rotate", "mof2", **new_officer(net, "mof1", "fourth"))


def test_an_officers_key_takes_the_threshold_of_his_own_institution(net: Network) -> None:
    fields = new_officer(net, "mof2", "second")
    (proposal,) = net.ok("officer_key_rotate", "mof1", **fields)
    net.refused(Code.NOT_AUTHORISED, "approve", "sbp1", proposal=proposal, reason=0)
    net.refused(Code.NOT_AUTHORISED, "reject", "sbp1", proposal=proposal, reason=0)
    net.refused(Code.NOT_AUTHORISED, "officer_key_rotate", "mof1 sbp1", **fields)
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    net.ok("approve", "mof3", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.EXECUTED


def test_no_institution_touches_anothers_officers_and_nobody_joins(net: Network) -> None:
    net.refused(Code.NOT_FOUND, "officer_key_rotate", "sbp1 sbp2", **new_officer(net, "mof2", "x", "sbp"))
    net.refused(Code.BAD_PROOF, "officer_key_rotate", "mof1 mof2", **new_officer(net, "mof2", "x", "sbp"))
    taken = new_officer(net, "mof2", "mof3")
    net.refused(Code.KEY_ALREADY_ENROLLED, "officer_key_rotate", "mof1 mof2", **taken)
    odd = {**new_officer(net, "mof2", "x"), "key": bytes(32)}
    net.refused(Code.BAD_KEY, "officer_key_rotate", "mof1 mof2", **odd)
    net.enact("officer_key_rotate", "mof1 mof2", **new_officer(net, "mof2", "second"))
    net.refused(Code.NOT_FOUND, "officer_key_rotate", "mof1 mof3", **new_officer(net, "mof2", "third"))


def test_an_old_approval_of_one_rotation_is_not_for_the_next(net: Network) -> None:
    (old,) = net.ok("officer_key_rotate", "mof3", **new_officer(net, "mof2", "second"))
    net.enact("officer_key_rotate", "mof1 mof2", **new_officer(net, "mof2", "third"))
    assert (net.proposal(old).status, net.proposal(old).code) == (ProposalStatus.FAILED, Code.SUPERSEDED)


def test_officers_whom_the_others_remove_do_not_stay_by_taking_other_keys(net: Network) -> None:
    """Two thieves have the threshold of mof, and could rotate each time that the removal comes near."""
    thieves = net.signers["mof1"], net.signers["mof2"]
    fields = institution(MOF, remove=thieves, add=officers(net, "mof", "mof4"))
    (removal,) = net.ok("institution_update", "sbp1 sbp2 secp1 secp2", **fields)
    _, net.signers["a"] = net.enact("officer_key_rotate", "mof1 mof2", **new_officer(net, "mof1", "a"))
    _, net.signers["b"] = net.enact("officer_key_rotate", "a mof2", **new_officer(net, "a", "b"))
    net.ok("approve", "pvara1 pvara2", proposal=removal, reason=0)
    assert net.proposal(removal).status is ProposalStatus.EXECUTED
    left = net.state.institutions[MOF].officers
    assert {net.state.signers[officer].public_key for officer in left} == {public("mof3"), public("mof4")}
    assert net.state.signers[net.signers["b"]].flags == net.state.signers[thieves[1]].flags == RETIRED


def test_who_is_proposed_for_removal_is_an_officer_now(net: Network) -> None:
    net.enact("officer_key_rotate", "mof1 mof2", **new_officer(net, "mof2", "second"))
    gone = institution(MOF, remove=(net.signers["mof2"],))
    net.refused(Code.NOT_FOUND, "institution_update", "sbp1", **gone)


def test_a_node_of_an_open_proposal_keeps_its_name_for_its_institution(net: Network) -> None:
    observer = {"role": NodeRole.OBSERVER, "power": 0}
    mine = node("fmu-1", **observer, **key_for(net, "one", "fmu-1"))
    proof = net.prove("two", Role.NODE, "sbp", "fmu-1")
    rival = node("fmu-1", institution=SBP, **observer, public_key=public("two"), proof=proof)
    (first,) = net.ok("node_update", "mof1", **mine)
    net.refused(Code.CLAIMED, "node_update", "sbp1", **rival)
    net.ok("withdraw", "mof1", proposal=first, reason=0)
    (second,) = net.ok("node_update", "sbp1", **rival)
    net.refused(Code.CLAIMED, "node_update", "mof1", **mine)
    net.ok("withdraw", "sbp1", proposal=second, reason=0)
    net.enact("node_update", VOTERS, **mine)
    (change,) = net.ok("node_update", "mof1", **node("fmu-1", role=NodeRole.RETIRED, power=0))
    assert not net.proposal(change).claims  # a node that is there is anybody's to propose about
