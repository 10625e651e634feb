"""What a terminal is given to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("State Bank, 97.8873 %", "State Bank, 97.8873 %"),
        ("Société بینک", "Société بینک"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\r\t\0", "a\\x0ab\\x0d\\x09\\x00"),
        ("\u202eRKP", "\\u202eRKP"),
        ("Ba\u200bnk\ufeff", "Ba\\u200bnk\\ufeff"),
        ("e\u0301", "e\\u0301"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_does_not_stand_for_itself_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_what_is_shown_is_printable_and_shown_again_the_same(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(visible(text)) == visible(text)
