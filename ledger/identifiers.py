"""Identifiers checked by alphabet and check digit only, so that no table of a release can split the chain."""

import re

_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_CURRENCY = re.compile(r"[A-Z]{3}")


def isin_fault(text: str) -> str | None:
    """Why `text` is not an ISIN (ISO 6166), or None if it is one."""
    if not _ISIN.fullmatch(text):
        return "an ISIN is two letters, nine letters or digits and a check digit"
    # Letters count as two digits (A is 10); from the right, every second digit of the body is doubled.
    digits = "".join(str(int(character, 36)) for character in text[:-1])
    total = 0
    for position, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if position % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    expected = -total % 10
    if expected != int(text[-1]):
        return f"the check digit is {text[-1]}, by Luhn it must be {expected}"
    return None


def currency_fault(text: str) -> str | None:
    """Why `text` is not shaped like a currency code (ISO 4217), or None if it is."""
    return None if _CURRENCY.fullmatch(text) else "a currency code is three capital letters"
