"""Scales of prices, yields and rates, and exact division: integers, rounded once, by a named rule.

Scales stand in the names: yields times 10**6 (93_784 is 9.3784%), prices per 100 of face times 10**4
(978_873 is 97.8873), rates of PKR per USD times 10**4 (2_800_000 is 280.0000).
"""

YIELD_SCALE = 1_000_000
PRICE_SCALE = 10_000
RATE_SCALE = 10_000
PAR_E4 = 100 * PRICE_SCALE  # 100.0000

YIELD_E6_MAX = 10 * YIELD_SCALE  # 1000% a year


def usd_cents_up(amount_minor: int, rate_e4: int) -> int:
    """An amount in paisa, in US cents at `rate_e4` PKR per USD, rounded up.

    Both currencies have a hundred minor units, so that paisa over (PKR per USD) are cents.
    """
    return -(-amount_minor * RATE_SCALE // rate_e4)


def divide_half_up(numerator: int, denominator: int) -> int:
    """The quotient of two positive integers, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)
