"""What a family of instruments is: data and functions, by which its module answers for it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from ledger.agenda import What


class Act(IntEnum):
    """What may be done with the units of an instrument, where not all families admit it."""

    ISSUE = 1  # created to the treasury under a programme's cap
    OFFER = 2  # sold by the treasury at a fixed price
    REDEEM = 3  # paid out of a pool, at the end, to whoever holds it
    FUND = 4  # created and destroyed against debits of the payment system
    PAY = 5  # what another instrument is paid in


class Facts(NamedTuple):
    """What readers are told of any terms; 0 where the family has no such thing."""

    family: str
    face_minor: int
    issue_day: int
    maturity_day: int
    maturity_ms: int
    yield_e6: int
    price_e4: int


class Variant(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What every variant of terms shares: an array that begins with the family's number, its tag."""


@dataclass(frozen=True, slots=True)
class Family:
    """The answers of one family; each function takes its own variant of terms (see `ledger.terms`)."""

    right: str
    acts: frozenset[Act]
    check: Callable[[Any, int], None]
    falls_due: Callable[[Any], tuple[tuple[What, int, int], ...]]
    closes_ms: Callable[[Any], int]
    face_minor: Callable[[Any], int]
    price_e4: Callable[[Any, int | None], int]
    facts: Callable[[Any], Facts]
