"""The anti-replay window of one signer (RFC 4303, section 3.4.3), as pure functions of two integers.

`highest` is the highest sequence used; bit i of `bitmap` says that `highest - i` is used. Sequences start
at 1, and a fresh window is (0, 0). Sixty-four may be in flight in any order, with gaps.
"""

from ledger.codes import Code
from ledger.limits import SEQUENCE_MAX, WINDOW

_MASK = (1 << WINDOW) - 1


def check(highest: int, bitmap: int, sequence: int) -> Code:
    """OK if `sequence` may be used now; otherwise SEQUENCE_USED, SEQUENCE_STALE or SEQUENCE_AHEAD."""
    if sequence > highest:
        return Code.OK if sequence <= min(highest + WINDOW, SEQUENCE_MAX) else Code.SEQUENCE_AHEAD
    behind = highest - sequence
    if behind >= WINDOW or sequence < 1:
        return Code.SEQUENCE_STALE
    return Code.SEQUENCE_USED if bitmap >> behind & 1 else Code.OK


def use(highest: int, bitmap: int, sequence: int) -> tuple[int, int]:
    """The window once `sequence`, which `check` allowed, is used."""
    if sequence > highest:
        return sequence, (bitmap << (sequence - highest) | 1) & _MASK
    return highest, bitmap | 1 << (highest - sequence)
