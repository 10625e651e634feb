"""Family 2, discount: a treasury bill. It bears no coupon, is sold below its face and redeemed at it.

ACT/365 fixed (ISO 20022 A005), P = 100 / (1 + y * d / 365) with d the days from issue to maturity. Transfers
close when the day of maturity begins.
"""

from typing import Annotated

from msgspec import Meta

from ledger.agenda import What
from ledger.calendar import day_of, start_of
from ledger.codes import Code, Refused
from ledger.limits import TENOR_DAYS_MAX, TIME_MS_MAX, UNIT_COST_MIN
from ledger.pricing import PAR_E4, YIELD_E6_MAX, YIELD_SCALE, divide_half_up
from ledger.schema import Amount
from ledger.terms.family import Act, Facts, Family, Variant

YEAR_DAYS = 365
Day = Annotated[int, Meta(ge=0, le=day_of(TIME_MS_MAX))]


class Discount(Variant, frozen=True, tag=2):
    """`face_minor` is the face of one unit in the minor unit of its cash; `yield_e6` the yearly yield times
    10**6 at which it was approved; days are ledger days."""

    face_minor: Amount
    issue_day: Day
    maturity_day: Day
    yield_e6: Annotated[int, Meta(ge=0, le=YIELD_E6_MAX)]


def _check(terms: Discount, today: int) -> None:
    if terms.issue_day < today:
        raise Refused(Code.OUT_OF_RANGE, "terms.issue_day", terms.issue_day, today)
    tenor = terms.maturity_day - terms.issue_day
    if not 1 <= tenor <= TENOR_DAYS_MAX:
        raise Refused(Code.OUT_OF_RANGE, "terms.maturity_day", terms.maturity_day, terms.issue_day)
    if terms.face_minor * _price_e4(terms, None) < UNIT_COST_MIN * PAR_E4:
        raise Refused(Code.OUT_OF_RANGE, "terms.face_minor", terms.face_minor)


def _falls_due(terms: Discount) -> tuple[tuple[What, int, int], ...]:
    return (What.MATURITY, _closes_ms(terms), 0), (What.REDEMPTION, _closes_ms(terms), 0)


def _closes_ms(terms: Discount) -> int:
    return start_of(terms.maturity_day)


def _face_minor(terms: Discount) -> int:
    return terms.face_minor


def _price_e4(terms: Discount, yield_e6: int | None) -> int:
    return price_e4(terms.yield_e6 if yield_e6 is None else yield_e6, terms.maturity_day - terms.issue_day)


def price_e4(yield_e6: int, days: int) -> int:
    """P = 100 / (1 + y * d / 365), to four decimals, rounded half up."""
    # P * 10**4 = 10**6 * S * 365 / (S * 365 + y * d) with S the scale of the yield.
    return divide_half_up(PAR_E4 * YIELD_SCALE * YEAR_DAYS, YIELD_SCALE * YEAR_DAYS + yield_e6 * days)


def _facts(terms: Discount) -> Facts:
    return Facts(
        "discount",
        terms.face_minor,
        terms.issue_day,
        terms.maturity_day,
        _closes_ms(terms),
        terms.yield_e6,
        _price_e4(terms, None),
    )


FAMILY = Family(
    right="transfer_security",
    acts=frozenset({Act.ISSUE, Act.OFFER, Act.REDEEM}),
    check=_check,
    falls_due=_falls_due,
    closes_ms=_closes_ms,
    face_minor=_face_minor,
    price_e4=_price_e4,
    facts=_facts,
)
