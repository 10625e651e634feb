"""The parameters that the chain holds: one table of their names, first values, bounds and meanings.

Those of the genesis' version are in state from genesis on, in the order of `Parameters`; those that a later
version brings are appended by its upgrade. They change by the governed act parameter_set. The timings of
consensus are here too, because nodes that disagree about them fail together (FACTS 3, cometbft #3202).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ledger import rights
from ledger.codes import Code, InvariantError, Refused
from ledger.release import FIRST, holds
from primitives.codec import encode
from primitives.hashing import PARAMS, tagged_hash

if TYPE_CHECKING:
    from ledger.state import Readable

Value = int | str | tuple[str, ...]

MEBIBYTE = 1024 * 1024
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a parameter may be: an integer from `minimum` to `maximum`, or (both None) a list of `names`.

    `first` is its value until something else is decided; the versions of the protocol from `since` to
    `until` (None: still) have it.
    """

    first: Value
    minimum: int | None
    maximum: int | None
    names: tuple[str, ...]
    meaning: str
    since: int = FIRST
    until: int | None = None

    def refusal(self, value: Any) -> Refused | None:
        """Why `value` may not be the parameter's, or None if it may."""
        if self.minimum is None or self.maximum is None:
            return _names_refusal(value, self.names)
        if type(value) is not int:
            return Refused(Code.OUT_OF_RANGE, "value", len(value))
        if not self.minimum <= value <= self.maximum:
            return Refused(Code.OUT_OF_RANGE, "value", value, self.minimum, self.maximum)
        return None


def _number(
    first: int, minimum: int, maximum: int, meaning: str, since: int = FIRST, until: int | None = None
) -> int:
    bounds = Bounds(first, minimum, maximum, (), meaning, since, until)
    number: int = field(default=first, metadata={"bounds": bounds})
    return number


def _names(
    first: tuple[str, ...],
    allowed: tuple[str, ...],
    meaning: str,
    since: int = FIRST,
    until: int | None = None,
) -> tuple[str, ...]:
    bounds = Bounds(first, None, None, allowed, meaning, since, until)
    names: tuple[str, ...] = field(default=first, metadata={"bounds": bounds})
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Every parameter, typed; one that the version in force does not have keeps its first value here. The
    order of the fields is the order in which a genesis, or an upgrade, writes them to the table in state."""

    # Consensus.
    propose_ms: int = _number(600, 10, 60_000, "timeout of the propose step in round 0")
    propose_delta_ms: int = _number(200, 1, 60_000, "added to it in every later round")
    prevote_ms: int = _number(200, 10, 60_000, "timeout of the prevote step in round 0")
    prevote_delta_ms: int = _number(100, 1, 60_000, "added to it in every later round")
    precommit_ms: int = _number(200, 10, 60_000, "timeout of the precommit step in round 0")
    precommit_delta_ms: int = _number(100, 1, 60_000, "added to it in every later round")
    resend_ms: int = _number(500, 10, 60_000, "how often a stuck round's messages are sent again")
    idle_ms: int = _number(1_000, 10, 60_000, "between blocks when there is nothing to put into them")
    message_delay_ms: int = _number(500, 10, 60_000, "a proposal's longest timely journey in round 0")
    precision_ms: int = _number(500, 1, 60_000, "how far validators' clocks may be apart")
    evidence_age_blocks: int = _number(100_000, 1, 10_000_000, "older evidence of equivocation is refused")
    losable_nodes_min: int = _number(
        1, 0, 64, "validators that the network must survive losing, whichever they are, after a node_update"
    )
    losable_institutions_min: int = _number(1, 0, 64, "the same of whole institutions, with all their nodes")
    deciding_nodes_min: int = _number(
        2, 1, 64, "as many validators, at least, must it take to decide a block"
    )
    # Limits.
    block_bytes: int = _number(4 * MEBIBYTE, 512 * 1024, 16 * MEBIBYTE, "largest encoded block")
    block_cost: int = _number(
        200_000,
        50_000,
        10_000_000,
        "most cost of one block, in about microseconds",
    )
    acts_quota: int = _number(1_000, 16, 100_000, "most acts of institutions in one block")
    expiry_horizon_s: int = _number(3_600, 60, 7 * DAY_S, "farthest valid_until of a transaction")
    upgrade_notice_blocks: int = _number(
        10_000, 4, 10_000_000, "blocks, at least, from the act that schedules a version to its first block"
    )
    ca_root_overlap_s: int = _number(
        3_600, 1, 30 * DAY_S, "for which a CA root stays beside the one that takes its place"
    )
    # The ledger.
    agenda_block_cost: int = _number(
        4_096, 64, 1_000_000, "cost of due rows after which a block takes no more"
    )
    proposal_lifetime_s: int = _number(7 * DAY_S, 60, 365 * DAY_S, "after which an open proposal expires")
    proposals_open_max: int = _number(
        256, 16, 4_096, "open proposals at any time, each institution's an equal part of them"
    )
    programmes_cap_cents: int = _number(200_000_000_000, 1, 2**62, "sum of all programme caps, US cents")
    fixing_max_age_s: int = _number(7 * DAY_S, 60, 365 * DAY_S, "oldest fixing that a cap is computed at")
    settlement_key_wait_s: int = _number(
        3 * DAY_S,
        60,
        365 * DAY_S,
        "from the act that replaces a lost settlement key to the new key's first block",
    )
    aml_registered_services: tuple[str, ...] = _names(
        (rights.ACCOUNT_OPEN, rights.ACCOUNT_UPDATE),
        rights.services(FIRST),
        "acts open to a VASP between goAML registration and licence",
    )
    aml_accounts_cap: int = _number(10, 0, 1_000_000, "accounts a VASP may open before its licence")


_TYPED = tuple(field.name for field in fields(Parameters))
_declared: dict[str, tuple[Bounds, ...]] = {f.name: (f.metadata["bounds"],) for f in fields(Parameters)}
BOUNDS: Mapping[str, tuple[Bounds, ...]] = MappingProxyType(_declared)  # of every version, ascending


def declare(name: str, bounds: Bounds) -> None:
    """Know a parameter, or from a later version on other bounds of one. Raises InvariantError if a version
    would have two."""
    earlier = _declared.get(name, ())
    if earlier:
        last = earlier[-1]
        if bounds.since <= max(last.since, last.until or FIRST):
            raise InvariantError(f"parameter {name} is declared already for version {bounds.since}")
        earlier = (*earlier[:-1], replace(last, until=last.until or bounds.since - 1))
    _declared[name] = (*earlier, bounds)


def bounds_at(version: int) -> dict[str, Bounds]:
    """The parameters that a version of the protocol has, in the order of `Parameters`."""
    return {
        name: bounds
        for name, declared in BOUNDS.items()
        for bounds in declared
        if holds(version, bounds.since, bounds.until)
    }


def _names_refusal(value: Any, allowed: tuple[str, ...]) -> Refused | None:
    if not isinstance(value, tuple):
        return Refused(Code.OUT_OF_RANGE, "value[]", value)
    for position, item in enumerate(value):
        if item not in allowed:
            return Refused(Code.NOT_FOUND, "value[]", item, position)
        if value.count(item) > 1:
            return Refused(Code.OUT_OF_RANGE, "value[]", item, position)
    return None


def read(state: "Readable") -> Parameters:
    """Every parameter as it stands in `state`."""
    found = ((name, state.parameters.find(name)) for name in _TYPED)
    values: dict[str, Any] = {
        name: state.parameters[index].value for name, index in found if index is not None
    }
    return Parameters(**values)


def number(state: "Readable", name: str) -> int:
    """One integer parameter, as it is in force."""
    value = _value(state, name)
    if type(value) is not int:
        raise TypeError(f"parameter {name} is not a number")
    return value


def names(state: "Readable", name: str) -> tuple[str, ...]:
    """One parameter that is a list of names, as it is in force."""
    value = _value(state, name)
    if not isinstance(value, tuple):
        raise TypeError(f"parameter {name} is not a list of names")
    return value


def hold(state: "Readable") -> None:
    """Execute a block by the values as they stand now: what it changes is in force from the next one on."""
    state.parameters_held = {record.name: record.value for record in state.parameters}


def release(state: "Readable") -> None:
    """Read the table again: the block is executed."""
    state.parameters_held = None


def _value(state: "Readable", name: str) -> Any:
    if state.parameters_held is not None and name in state.parameters_held:
        return state.parameters_held[name]
    index = state.parameters.find(name)
    if index is None:
        raise InvariantError(f"there is no parameter {name}")
    return state.parameters[index].value


def parameters_hash(state: "Readable") -> bytes:
    """What a header's params_hash commits to: every name and value that is in force, in the table's order."""
    in_force = bounds_at(state.version)
    return tagged_hash(
        PARAMS,
        encode([[record.name, record.value] for record in state.parameters if record.name in in_force]),
    )
