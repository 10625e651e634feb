"""Power arithmetic: what a quorum is, what one honest voice is, and the hash of a validator set.

With n units of power of which fewer than a third lie: two quorums share an honest validator, and more than
a third of the power holds at least one. `tests/consensus/test_quorum.py` proves both by enumeration.
"""

from collections.abc import Iterable, Sequence

from consensus.limits import POWER_TOTAL_MAX, VALIDATORS_MAX
from consensus.messages import Validator
from primitives.codec import encode
from primitives.hashing import VALIDATORS, tagged_hash


def total_power(validators: Sequence[Validator]) -> int:
    """The power of the whole set."""
    return sum(validator.power for validator in validators)


def power_of(validators: Sequence[Validator], members: Iterable[int]) -> int:
    """The power of the validators at the given positions, which must be distinct."""
    return sum(validators[member].power for member in members)


def is_quorum(power: int, total: int) -> bool:
    """Returns True if `power` is more than two thirds of `total`: the paper's 2f+1."""
    return 3 * power > 2 * total


def has_honest(power: int, total: int) -> bool:
    """Returns True if `power` is more than one third of `total`: the paper's f+1."""
    return 3 * power > total


def validators_hash(validators: Sequence[Validator]) -> bytes:
    """What a header commits to: H(VALIDATORS, [[public key, power], ...])."""
    return tagged_hash(VALIDATORS, encode([[member.public_key, member.power] for member in validators]))


def validators_fault(validators: Sequence[Validator]) -> str | None:
    """Why these cannot be a validator set, or None: empty, too many, a power below 1, a key twice."""
    if not 1 <= len(validators) <= VALIDATORS_MAX:
        return f"{len(validators)} validators, must be 1 to {VALIDATORS_MAX}"
    for position, member in enumerate(validators):
        if member.power < 1:
            return f"validator {position} has power {member.power}, must be at least 1"
    if len({member.public_key for member in validators}) != len(validators):
        return "a public key stands twice in the validator set"
    if total_power(validators) > POWER_TOTAL_MAX:
        return f"total power {total_power(validators)}, must be at most {POWER_TOTAL_MAX}"
    return None
