"""The parameters that the chain holds: one table of their names, defaults, bounds and meanings.

All of them are in state from genesis on, in the order of `Parameters`, so the position of a name is known.
They change by the governed act parameter_set. The timings of consensus are here too, because nodes that
disagree about them fail together (FACTS 3, cometbft #3202).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ledger import rights
from ledger.documents import Parameter
from primitives.codec import encode
from primitives.hashing import PARAMS, tagged_hash

if TYPE_CHECKING:
    from ledger.state import State

Value = int | str | tuple[str, ...]

MEBIBYTE = 1024 * 1024
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a parameter may be: an integer from `minimum` to `maximum`, or (both None) a list of `names`."""

    minimum: int | None
    maximum: int | None
    names: tuple[str, ...]
    meaning: str


def _number(default: int, minimum: int, maximum: int, meaning: str) -> int:
    number: int = field(default=default, metadata={"bounds": Bounds(minimum, maximum, (), meaning)})
    return number


def _names(default: tuple[str, ...], allowed: tuple[str, ...], meaning: str) -> tuple[str, ...]:
    names: tuple[str, ...] = field(default=default, metadata={"bounds": Bounds(None, None, allowed, meaning)})
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Every parameter, typed. The order of the fields is the order of the table in state."""

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
    # Limits.
    block_bytes: int = _number(4 * MEBIBYTE, 512 * 1024, 16 * MEBIBYTE, "largest encoded block")
    acts_quota: int = _number(1_000, 16, 100_000, "most acts of institutions in one block")
    expiry_horizon_s: int = _number(3_600, 60, 7 * DAY_S, "farthest valid_until of a transaction")
    # The ledger.
    agenda_block_cost: int = _number(
        4_096, 64, 1_000_000, "cost of due rows after which a block takes no more"
    )
    proposal_lifetime_s: int = _number(7 * DAY_S, 60, 365 * DAY_S, "after which an open proposal expires")
    proposals_open_max: int = _number(256, 16, 4_096, "open proposals at any time")
    programmes_cap_cents: int = _number(200_000_000_000, 1, 2**62, "sum of all programme caps, US cents")
    fixing_max_age_s: int = _number(7 * DAY_S, 60, 365 * DAY_S, "oldest fixing that a cap is computed at")
    aml_registered_services: tuple[str, ...] = _names(
        (rights.ACCOUNT_OPEN,), rights.SERVICES, "acts open to a VASP between goAML registration and licence"
    )
    aml_accounts_cap: int = _number(10, 0, 1_000_000, "accounts a VASP may open before its licence")


BOUNDS: Mapping[str, Bounds] = MappingProxyType({f.name: f.metadata["bounds"] for f in fields(Parameters)})
POSITIONS: Mapping[str, int] = MappingProxyType({name: i for i, name in enumerate(BOUNDS)})
DEFAULTS = Parameters()


def fault(name: str, value: Any) -> str | None:
    """Why `value` may not be the value of the parameter `name`, or None if it may."""
    bounds = BOUNDS.get(name)
    if bounds is None:
        return f"there is no parameter {name!r}"
    if bounds.minimum is None or bounds.maximum is None:
        return _names_fault(value, bounds.names)
    if type(value) is not int:
        return f"must be an integer from {bounds.minimum} to {bounds.maximum}"
    if not bounds.minimum <= value <= bounds.maximum:
        return f"{value} is not from {bounds.minimum} to {bounds.maximum}"
    return None


def _names_fault(value: Any, allowed: tuple[str, ...]) -> str | None:
    if not isinstance(value, tuple):
        return f"must be a list of names out of {', '.join(allowed)}"
    for item in value:
        if item not in allowed:
            return f"{item!r} is not one of {', '.join(allowed)}"
        if value.count(item) > 1:
            return f"{item!r} stands twice"
    return None


def records(overrides: Mapping[str, Value]) -> tuple[Parameter, ...]:
    """The whole table at genesis: defaults, except where `overrides` says otherwise."""
    return tuple(Parameter(name, overrides.get(name, getattr(DEFAULTS, name))) for name in BOUNDS)


def read(state: "State") -> Parameters:
    """Every parameter as it stands in `state`."""
    values: dict[str, Any] = {}
    for name, position in POSITIONS.items():
        record = state.parameters[position]
        if record.name != name:
            raise ValueError(f"parameter {position} is {record.name}, not {name}")
        values[name] = record.value
    return Parameters(**values)


def number(state: "State", name: str) -> int:
    """One integer parameter."""
    value = state.parameters[POSITIONS[name]].value
    if type(value) is not int:
        raise TypeError(f"parameter {name} is not a number")
    return value


def names(state: "State", name: str) -> tuple[str, ...]:
    """One parameter that is a list of names."""
    value = state.parameters[POSITIONS[name]].value
    if not isinstance(value, tuple):
        raise TypeError(f"parameter {name} is not a list of names")
    return value


def parameters_hash(parameters: Parameters) -> bytes:
    """What a header's params_hash commits to: every name and value, in order."""
    return tagged_hash(PARAMS, encode([[name, getattr(parameters, name)] for name in BOUNDS]))
