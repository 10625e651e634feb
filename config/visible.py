"""Text as a terminal may show it: whatever does not stand for itself is written out as an escape.

Peers, gateways and ledgers send texts. None of them moves a cursor, colours a line, starts a new one, turns
the direction of reading or hides between letters on the screen of an operator.
"""

import unicodedata


def visible(text: str) -> str:
    """The same text with every control, format, combining and otherwise unprintable character escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _stands_for_itself(character) else _escape(character) for character in text)


def _stands_for_itself(character: str) -> bool:
    return character.isprintable() and not unicodedata.combining(character)


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
