"""When a policy is met and when it is lost."""

import pytest

from ledger.documents import NONE, Approval, Institution, Policy, Rule
from ledger.policies import approving, is_lost, is_met, may_sign


def institution(name: str, number: int, *, voting: bool) -> Institution:
    officers = tuple(range(3 * number, 3 * number + 3))
    return Institution(name, name, voting, 2, officers, NONE, b"ca")


# Officers of institution i are the signers 3i, 3i + 1, 3i + 2.
INSTITUTIONS = [
    institution(name, number, voting=name != "fmu")
    for number, name in enumerate(["mof", "sbp", "pvara", "secp", "fmu"])
]


MOF = 0


def signed(*officers: int) -> tuple[Approval, ...]:
    return tuple(Approval(officer, officer // 3, 1, 1, 0) for officer in officers)


def policy(rule: Rule, *names: int) -> Policy:
    return Policy("an_act", rule, names)


def test_an_institution_approves_at_its_threshold_of_different_officers() -> None:
    assert approving(INSTITUTIONS, signed(0)) == ()
    assert approving(INSTITUTIONS, signed(0, 0)) == ()
    assert approving(INSTITUTIONS, signed(0, 2)) == (0,)
    assert approving(INSTITUTIONS, signed(3, 4, 0, 1, 6)) == (0, 1)


@pytest.mark.parametrize(
    ("rule", "names", "officers", "met"),
    [
        (Rule.ALL_OF, (0, 1, 2), (0, 1, 3, 4, 6, 7), True),
        (Rule.ALL_OF, (0, 1, 2), (0, 1, 3, 4, 6), False),
        (Rule.ALL_OF, (0, 1), (0, 1, 9, 10), False),  # secp does not stand in for sbp
        (Rule.ANY_ONE_OF, (1, 2, 4), (12, 13), True),
        (Rule.ANY_ONE_OF, (1, 2, 4), (12, 3, 6), False),  # three officers, one of each
        (Rule.ANY_ONE_OF, (1, 2, 4), (0, 1), False),
        (Rule.TWO_DIFFERENT_OF, (1, 2, 4), (3, 4, 5), False),
        (Rule.TWO_DIFFERENT_OF, (1, 2, 4), (3, 4, 12, 13), True),
        (Rule.TWO_DIFFERENT_OF, (1, 2, 4), (3, 4, 0, 1), False),
        (Rule.TWO_THIRDS_VOTING, (), (0, 1, 3, 4), False),
        (Rule.TWO_THIRDS_VOTING, (), (0, 1, 3, 4, 6, 7), True),
        (Rule.TWO_THIRDS_VOTING, (), (0, 1, 3, 4, 12, 13), False),  # fmu does not vote
        (Rule.PROPOSER, (), (0, 2), True),
        (Rule.PROPOSER, (), (0, 3, 4, 6, 7, 9, 10), False),  # nobody stands in for mof, which proposed
    ],
)
def test_a_policy_is_met_by_enough_institutions(
    rule: Rule, names: tuple[int, ...], officers: tuple[int, ...], met: bool
) -> None:
    assert is_met(policy(rule, *names), INSTITUTIONS, signed(*officers), MOF) is met


def test_exactly_two_thirds_is_not_more_than_two_thirds() -> None:
    three = INSTITUTIONS[:3]
    assert not is_met(policy(Rule.TWO_THIRDS_VOTING), three, signed(0, 1, 3, 4), MOF)
    assert is_met(policy(Rule.TWO_THIRDS_VOTING), three, signed(0, 1, 3, 4, 6, 7), MOF)


def test_only_institutions_that_count_may_sign() -> None:
    assert may_sign(policy(Rule.ALL_OF, 0, 1), INSTITUTIONS, 1, MOF)
    assert not may_sign(policy(Rule.ALL_OF, 0, 1), INSTITUTIONS, 2, MOF)
    assert may_sign(policy(Rule.TWO_THIRDS_VOTING), INSTITUTIONS, 3, MOF)
    assert not may_sign(policy(Rule.TWO_THIRDS_VOTING), INSTITUTIONS, 4, MOF)
    assert may_sign(policy(Rule.PROPOSER), INSTITUTIONS, MOF, MOF)
    assert not may_sign(policy(Rule.PROPOSER), INSTITUTIONS, 1, MOF)


@pytest.mark.parametrize(
    ("rule", "names", "approvals", "objections", "lost"),
    [
        (Rule.ALL_OF, (0, 1, 2), (), (3, 4), True),
        (Rule.ALL_OF, (0, 1, 2), (), (3, 6), False),  # one officer each is no institution
        (Rule.ANY_ONE_OF, (1, 2, 4), (), (3, 4, 6, 7), False),
        (Rule.ANY_ONE_OF, (1, 2, 4), (), (3, 4, 6, 7, 12, 13), True),
        (Rule.TWO_DIFFERENT_OF, (1, 2, 4), (), (3, 4), False),
        (Rule.TWO_DIFFERENT_OF, (1, 2, 4), (), (3, 4, 6, 7), True),
        (Rule.TWO_THIRDS_VOTING, (), (), (0, 1), False),
        (Rule.TWO_THIRDS_VOTING, (), (), (0, 1, 3, 4), True),
        (Rule.PROPOSER, (), (), (3, 4, 6, 7), False),
        (Rule.PROPOSER, (), (), (1, 2), True),
    ],
)
def test_a_policy_is_lost_when_those_left_are_not_enough(
    rule: Rule,
    names: tuple[int, ...],
    approvals: tuple[int, ...],
    objections: tuple[int, ...],
    lost: bool,
) -> None:
    assert is_lost(policy(rule, *names), INSTITUTIONS, signed(*approvals), signed(*objections), MOF) is lost
