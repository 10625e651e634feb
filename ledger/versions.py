"""What each version of the protocol contains, and how a chain enters one.

Kinds, parameters, tables and schemas are declared where they belong, with the version since which they are;
`rules(version)` puts together what one version has. Whatever decodes, admits, executes or serves asks the
rules of the version in force at that height. A version is entered by the first block that follows it, before
anything else in it: its tables and parameters come to be, its governed acts get their first policies, and
documents are rewritten to its schemas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ledger import kinds, parameters, proposals, schedule
from ledger.documents import Parameter, Policy, Rule
from ledger.kind import Kind
from ledger.limits import BlockLimits, block_limits_at
from ledger.parameters import Bounds
from ledger.policies import default_policies_at
from ledger.release import FIRST, UnknownVersion, holds, newest
from ledger.state import State


@dataclass(frozen=True, slots=True)
class Rules:
    """What one version of the protocol contains."""

    version: int
    kinds: Mapping[int, Kind]  # by number
    by_name: Mapping[str, Kind]
    bounds: Mapping[str, Bounds]  # of parameters, in the order in which a genesis writes them
    limits: BlockLimits

    @property
    def governed(self) -> tuple[str, ...]:
        """The names of the acts that need a policy, in the order of the default ones."""
        acts = default_policies_at(self.version)
        return tuple(act for act in acts if act in self.by_name and self.by_name[act].governed)


_rules: dict[int, Rules] = {}


def rules(version: int) -> Rules:
    """What `version` contains. Raises KeyError for a version that this software does not know."""
    found = _rules.get(version)
    if found is None or version > newest():
        if not FIRST <= version <= newest():
            raise KeyError(version)
        here = [kind for kind in kinds.DECLARED if holds(version, kind.since, kind.until)]
        found = _rules[version] = Rules(
            version,
            MappingProxyType({kind.number: kind for kind in here}),
            MappingProxyType({kind.name: kind for kind in here}),
            MappingProxyType(parameters.bounds_at(version)),
            block_limits_at(version),
        )
    return found


def rules_at(state: State, height: int) -> Rules:
    """The rules that the block of `height` follows. Raises UnknownVersion if this software has none."""
    version = schedule.version_at(state, height)
    if version > newest():
        raise UnknownVersion(version, height)
    return rules(version)


def begin_block(state: State, height: int, time_ms: int) -> None:
    """Enter the version that comes into force with the block of `height`, if one does."""
    due = schedule.due(state, height)
    if due is not None:
        _enter(state, due, height, time_ms)


def _enter(state: State, index: int, height: int, time_ms: int) -> None:
    before, after = rules(state.version), rules_at(state, height)
    schedule.replace_in_force(state, index)
    state.enter(after.version)
    for name, bounds in after.bounds.items():
        place = state.parameters.find(name)
        if place is None:
            state.parameters.append(Parameter(name, bounds.first))
        elif bounds.refusal(state.parameters[place].value) is not None:
            state.parameters.replace(place, Parameter(name, bounds.first))
    for act in after.governed:
        if state.policies.find(act) is None:
            state.policies.append(_first_policy(state, act))
    changed = [number for number, kind in before.kinds.items() if after.kinds.get(number) is not kind]
    proposals.expire_acts(state, changed, height, time_ms)


def _first_policy(state: State, act: str) -> Policy:
    """The default one, where the chain has the institutions that it names; else the network's."""
    rule, names = default_policies_at(state.version)[act]
    found = [state.institutions.find(name) for name in names]
    indices = sorted(index for index in found if index is not None)
    if len(indices) < len(names):
        return Policy(act, Rule.TWO_THIRDS_VOTING, ())
    return Policy(act, rule, tuple(indices))
