"""What a distribution of voting power can lose, in plain values: for a genesis, for acts, and for health.

One inequality answers all: validators may be silent, or lie, while the others still hold more than two thirds
of the power (arXiv 1807.04938: fewer than a third may lie). It is that of `consensus.quorum`, of which the
ledger knows nothing; `tests/config/test_resilience.py` compares the two.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from ledger.fields import FieldName

Who = TypeVar("Who", int, str)  # how an institution is called: by its index, or in a genesis by its name


@dataclass(frozen=True, slots=True)
class Strength(Generic[Who]):
    """How many `validators`, and how many whole institutions, may be lost whichever they are; how few
    validators, the heaviest, decide a block by themselves (0: there is no validator); and the institutions
    without whose nodes no block is decided, which could stop the network alone."""

    validators: int
    power: int
    losable_nodes: int
    losable_institutions: int
    deciding_nodes: int
    could_stop: tuple[Who, ...]


# Measures of strength that parameters bound, and the parameter of each: its value is the least.
LEAST: Mapping[FieldName, str] = MappingProxyType(
    {
        "losable_nodes": "losable_nodes_min",
        "losable_institutions": "losable_institutions_min",
        "deciding_nodes": "deciding_nodes_min",
    }
)


def strength(shares: Iterable[tuple[Who, int]]) -> Strength[Who]:
    """What validators survive whose institutions and powers are `shares`; power 0 is no validator's."""
    powers = []
    institutions: dict[Who, int] = {}
    for institution, power in shares:
        if power > 0:
            powers.append(power)
            institutions[institution] = institutions.get(institution, 0) + power
    total = sum(powers)
    return Strength(
        validators=len(powers),
        power=total,
        losable_nodes=losable(powers, total),
        losable_institutions=losable(tuple(institutions.values()), total),
        deciding_nodes=_deciding(powers, total),
        could_stop=tuple(name for name, power in institutions.items() if not survives(power, total)),
    )


def survives(lost: int, total: int) -> bool:
    """Whether the network goes on, and agrees, when validators of power `lost` fail or lie."""
    return 3 * (total - lost) > 2 * total


def losable(powers: Sequence[int], total: int, lost: int = 0) -> int:
    """How many of `powers` may be lost even if they are the heaviest, when `lost` of `total` is gone."""
    for count, power in enumerate(sorted(powers, reverse=True)):
        lost += power
        if not survives(lost, total):
            return count
    return len(powers)


def _deciding(powers: Sequence[int], total: int) -> int:
    """How few, the heaviest, are a quorum."""
    gained = 0
    for count, power in enumerate(sorted(powers, reverse=True), start=1):
        gained += power
        if survives(total - gained, total):
            return count
    return 0
