"""Who must approve which act at first, and when a policy is met, or no longer can be: pure questions about
institutions and signatures."""

from collections.abc import Sequence

from ledger.documents import Approval, Institution, Policy, Rule
from ledger.release import FIRST

_ISSUE = (Rule.ALL_OF, ("mof", "sbp", "pvara"))
_PVARA = (Rule.ALL_OF, ("pvara",))
_SBP = (Rule.ALL_OF, ("sbp",))
_MOF = (Rule.ALL_OF, ("mof",))
_FREEZERS = ("pvara", "sbp", "fmu")
_NETWORK: tuple[Rule, tuple[str, ...]] = (Rule.TWO_THIRDS_VOTING, ())

Default = tuple[Rule, tuple[str, ...]]  # institutions by name

# Who approves each governed act unless a genesis says otherwise; also the list of all governed acts.
_FIRST: dict[str, Default] = {
    "vasp_register": _PVARA,
    "vasp_noc": _PVARA,
    "vasp_reject": _PVARA,
    "vasp_goaml": (Rule.ALL_OF, ("fmu",)),
    "vasp_subsidiary": (Rule.ALL_OF, ("secp",)),
    "vasp_license": _PVARA,
    "vasp_suspend": _PVARA,
    "vasp_reinstate": _PVARA,
    "vasp_revoke": _PVARA,
    "vasp_restore": _NETWORK,
    "programme_create": _ISSUE,
    "fixing_attest": _SBP,
    "cash_define": _SBP,
    "cash_issue": _SBP,
    "cash_destroy": (Rule.ALL_OF, ("sbp", "pvara")),
    "instrument_issue": _ISSUE,
    "offer_open": _MOF,
    "redemption_fund": _MOF,
    "offer_withdraw": _MOF,
    "freeze": (Rule.ANY_ONE_OF, _FREEZERS),
    "lift": (Rule.TWO_DIFFERENT_OF, _FREEZERS),
    "kyc_restore": _PVARA,
    "parameter_set": _NETWORK,
    "node_update": _NETWORK,
    "upgrade_schedule": _NETWORK,
    "upgrade_cancel": _NETWORK,
    "institution_update": _NETWORK,
    "settlement_key_replace": _PVARA,
    "officer_key_rotate": (Rule.PROPOSER, ()),
    "settlement_key_restore": _NETWORK,
}

# By the version of the protocol since which they are; a later one for the same act takes the place.
DEFAULT_POLICIES: dict[int, dict[str, Default]] = {FIRST: _FIRST}


def default_policies_at(version: int) -> dict[str, Default]:
    """The default policies of a version, in the order in which a genesis or an upgrade writes them."""
    found: dict[str, Default] = {}
    for since in sorted(DEFAULT_POLICIES):
        if since <= version:
            found.update(DEFAULT_POLICIES[since])
    return found


def may_sign(policy: Policy, institutions: Sequence[Institution], institution: int, proposer: int) -> bool:
    """Whether a signature of this institution counts under `policy`, if `proposer` has proposed."""
    return institution in _electorate(policy, institutions, proposer)


def approving(institutions: Sequence[Institution], signatures: Sequence[Approval]) -> tuple[int, ...]:
    """The institutions of which as many different officers as their threshold have signed, ascending. Only
    the signatures of those who are officers now count."""
    counted: dict[int, set[int]] = {}
    for signature in signatures:
        if signature.officer not in institutions[signature.institution].officers:
            continue
        counted.setdefault(signature.institution, set()).add(signature.officer)
    return tuple(
        sorted(index for index, officers in counted.items() if len(officers) >= institutions[index].threshold)
    )


def is_met(
    policy: Policy, institutions: Sequence[Institution], approvals: Sequence[Approval], proposer: int
) -> bool:
    """Whether the institutions that approve what `proposer` has proposed are enough."""
    electorate = _electorate(policy, institutions, proposer)
    agreed = [index for index in approving(institutions, approvals) if index in electorate]
    return _enough(policy.rule, len(agreed), len(electorate))


def is_lost(
    policy: Policy,
    institutions: Sequence[Institution],
    approvals: Sequence[Approval],
    objections: Sequence[Approval],
    proposer: int,
) -> bool:
    """Whether the policy can no longer be met: institutions that do not approve have objected, or too few of
    their officers are left who did not."""
    electorate = _electorate(policy, institutions, proposer)
    agreed = approving(institutions, approvals)
    against = approving(institutions, objections)
    opposed = {objection.officer for objection in objections}
    reachable = 0
    for index in electorate:
        institution = institutions[index]
        willing = sum(officer not in opposed for officer in institution.officers)
        reachable += index in agreed or (index not in against and willing >= institution.threshold)
    return not _enough(policy.rule, reachable, len(electorate))


def _electorate(policy: Policy, institutions: Sequence[Institution], proposer: int) -> tuple[int, ...]:
    if policy.rule is Rule.PROPOSER:
        return (proposer,)
    if policy.rule is Rule.TWO_THIRDS_VOTING:
        return tuple(index for index, institution in enumerate(institutions) if institution.voting)
    return policy.institutions


def _enough(rule: Rule, agreed: int, electorate: int) -> bool:
    match rule:
        case Rule.ALL_OF | Rule.PROPOSER:
            return agreed == electorate
        case Rule.ANY_ONE_OF:
            return agreed >= 1
        case Rule.TWO_DIFFERENT_OF:
            return agreed >= 2
        case Rule.TWO_THIRDS_VOTING:
            return 3 * agreed > 2 * electorate
