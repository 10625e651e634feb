"""Identifiers checked by alphabet and check digit only, so that no table of a release can split the chain."""

import re

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # of chains, institutions, nodes and VASPs: they stand in URIs

_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_CURRENCY = re.compile(r"[A-Z]{3}")


def has_isin_shape(text: str) -> bool:
    """Whether `text` is two letters, nine letters or digits, and a digit."""
    return _ISIN.fullmatch(text) is not None


def isin_check_digit(text: str) -> str:
    """The check digit that belongs to the first eleven characters of `text`, which has the shape of an ISIN
    (ISO 6166, Annex B)."""
    # Letters count as two digits (A is 10); from the right, every second digit of the body is doubled.
    digits = "".join(str(int(character, 36)) for character in text[:-1])
    total = 0
    for position, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if position % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return str(-total % 10)


def has_currency_shape(text: str) -> bool:
    """Whether `text` is shaped like a currency code (ISO 4217): three capital letters."""
    return _CURRENCY.fullmatch(text) is not None
