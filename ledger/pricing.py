"""Prices of treasury bills and what units of them cost: exact integers, rounded once, by a named rule.

Scales stand in the names: yields times 10**6 (93_784 is 9.3784%), prices per 100 of face times 10**4
(978_873 is 97.8873), rates of PKR per USD times 10**4 (2_800_000 is 280.0000).
"""

YIELD_SCALE = 1_000_000
PRICE_SCALE = 10_000
RATE_SCALE = 10_000
PAR_E4 = 100 * PRICE_SCALE  # 100.0000
YEAR_DAYS = 365  # ACT/365 fixed (ISO 20022 A005)

YIELD_E6_MAX = 10 * YIELD_SCALE  # 1000% a year


def tbill_price_e4(yield_e6: int, days: int) -> int:
    """P = 100 / (1 + y * d / 365), to four decimals, rounded half up."""
    # P * 10**4 = 10**6 * S * 365 / (S * 365 + y * d) with S the scale of the yield.
    return _divide_half_up(PAR_E4 * YIELD_SCALE * YEAR_DAYS, YIELD_SCALE * YEAR_DAYS + yield_e6 * days)


def cost_minor(units: int, face_minor: int, price_e4: int) -> int:
    """What `units` cost in the minor unit of the cash, rounded down: the remainder stays with the payer."""
    return units * face_minor * price_e4 // PAR_E4


def usd_cents_up(amount_minor: int, rate_e4: int) -> int:
    """An amount in paisa, in US cents at `rate_e4` PKR per USD, rounded up.

    Both currencies have a hundred minor units, so that paisa over (PKR per USD) are cents.
    """
    return -(-amount_minor * RATE_SCALE // rate_e4)


def _divide_half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
