"""Prices, costs, cents, identifiers and ledger days, against published figures."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.calendar import day_of, start_of, text_of
from ledger.identifiers import has_currency_shape, has_isin_shape, isin_check_digit
from ledger.limits import UNIT_COST_MIN
from ledger.pricing import usd_cents_up
from ledger.terms import cost_minor
from ledger.terms.discount import Discount, price_e4


def test_sbp_auction_of_march_2013_gives_its_published_price() -> None:
    assert price_e4(93_784, 84) == 978_873


def test_price_rounds_half_up_at_the_fourth_decimal() -> None:
    # 100 / (1 + y d / 365) = 99.99995 exactly when y d = 365 * 5e-7 / 0.9999995; just beside it:
    assert price_e4(0, 84) == 1_000_000
    # 200% for one year: 33.3333...; 33 1/3 rounds down. 500%: 16.66666... rounds up.
    assert price_e4(2_000_000, 365) == 333_333
    assert price_e4(5_000_000, 365) == 166_667


@given(st.integers(0, 10_000_000), st.integers(1, 3_660))
def test_price_is_the_exact_fraction_rounded_half_up(yield_e6: int, days: int) -> None:
    exact = 100 / (1 + Fraction(yield_e6, 10**6) * days / 365)
    assert price_e4(yield_e6, days) == int(exact * 10**4 + Fraction(1, 2))


@pytest.mark.parametrize(
    ("units", "paisa"), [(1, 489_436), (2, 978_873), (3, 1_468_309), (2_000_000, 978_873_000_000)]
)
def test_cost_is_rounded_down_so_that_the_remainder_stays_with_the_payer(units: int, paisa: int) -> None:
    bill = Discount(500_000, 0, 84, 93_784)
    assert cost_minor(bill, units, 978_873) == paisa == units * 500_000 * 978_873 // 10**6


@given(st.integers(1, 10**9), st.integers(1, 10**7), st.lists(st.integers(1, 10**6), min_size=1, max_size=9))
def test_however_units_are_cut_into_rows_rounding_takes_less_than_a_basis_point(
    face_minor: int, price: int, rows: list[int]
) -> None:
    bill = Discount(face_minor, 0, 84, 0)
    assume(cost_minor(bill, 1, price) >= UNIT_COST_MIN)
    paid = sum(cost_minor(bill, units, price) for units in rows)
    exact = Fraction(sum(rows) * face_minor * price, 10**6)
    assert 0 <= exact - paid < exact / 10_000


def test_cents_are_rounded_up() -> None:
    assert usd_cents_up(560 * 10**9 * 100, 2_800_000) == 200_000_000_000
    assert usd_cents_up(560 * 10**9 * 100 + 1, 2_800_000) == 200_000_000_001
    assert usd_cents_up(0, 2_800_000) == 0


def is_isin(text: str) -> bool:
    """Whether shape and check digit are an ISIN's."""
    return has_isin_shape(text) and text[-1] == isin_check_digit(text)


@pytest.mark.parametrize("isin", ["PK0012345671", "US0378331005", "GB0002634946", "DE0005557508"])
def test_real_isins_pass(isin: str) -> None:
    assert is_isin(isin)


@pytest.mark.parametrize(
    "text",
    ["PK0012345670", "PK0012345617", "pk0012345671", "PK00123456", "PK 0012345671", "", "PK001234567١"],
)
def test_other_texts_are_no_isin(text: str) -> None:
    assert not is_isin(text)


def test_every_single_wrong_digit_of_an_isin_is_found() -> None:
    right = "PK0012345671"
    for place in range(2, 12):
        for digit in "0123456789":
            if digit != right[place]:
                assert not is_isin(right[:place] + digit + right[place + 1 :])


def test_currency_codes_are_three_capital_letters() -> None:
    assert has_currency_shape("PKR")
    assert not has_currency_shape("pkr")
    assert not has_currency_shape("PKRX")


@given(st.integers(0, 4_000_000_000_000))
def test_a_ledger_day_is_the_calendar_day_at_utc_plus_five(time_ms: int) -> None:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time_ms)
    assert text_of(day_of(time_ms)) == moment.astimezone(timezone(timedelta(hours=5))).date().isoformat()
    assert start_of(day_of(time_ms)) <= time_ms < start_of(day_of(time_ms) + 1)
