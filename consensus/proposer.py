"""Whose turn it is to propose: a weighted rotation computed from the set, the height and the round alone.

Every unit of power owns one position on a circle. Turn `height + round` stands at position
`turn * stride mod total`, where the stride is the number nearest to total / golden ratio that shares no
factor with the total. Over `total` turns each validator proposes exactly as often as it has power, and
because the stride of a circle of any size is about as far from a whole turn as can be, a validator with
less than a third of the power does not get two turns in a row: a silent or lying proposer costs one round,
not as many as it has power.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from math import gcd

from consensus.messages import Validator
from consensus.quorum import total_power


def proposer(validators: Sequence[Validator], height: int, round: int) -> int:
    """The position of the validator that proposes in `round` of `height`."""
    divisor = gcd(*(member.power for member in validators))
    total = total_power(validators) // divisor
    place = (height + round) * stride(total) % total
    for position, member in enumerate(validators):
        place -= member.power // divisor
        if place < 0:
            return position
    raise AssertionError("unreachable: a place is below the total power")


@lru_cache(maxsize=64)
def stride(total: int) -> int:
    """The number coprime to `total` that is nearest to total / golden ratio, the smaller of two."""
    golden = max(1, total * 618_034 // 1_000_000)
    for distance in count():
        for candidate in (golden - distance, golden + distance):
            if candidate >= 1 and gcd(candidate, total) == 1:
                return candidate
    raise AssertionError("unreachable: 1 is coprime to every total")
