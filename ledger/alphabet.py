"""The characters that a text on the ledger may have: a small alphabet of our own, frozen with the protocol.

Whoever reads a name must see what is there, in every terminal and in every year. So there are no controls, no
marks that combine, nothing of no width, nothing that turns the direction of writing, and no letter of one
script beside one of another that looks the same. Every character here is its own normal form and composes
with no other one here, so each text is in NFC by its letters alone. Nothing is asked of the interpreter,
whose Unicode tables change by release: the ranges were chosen from Unicode 14.0 and a test compares them
with the `unicodedata` at hand.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import msgspec
import msgspec.inspect


class Script(IntEnum):
    """To which writing a character belongs; COMMON stands beside letters of any."""

    COMMON = 0
    LATIN = 1
    URDU = 2


# first, last, script: ascending. Latin is that of Unicode's Latin-1 and Extended-A without what is made for
# compatibility or mistaken for another letter; Urdu is its alphabet, without Arabic doubles of its letters.
RANGES = (
    (0x0020, 0x0040, Script.COMMON),  # space to @
    (0x0041, 0x005A, Script.LATIN),
    (0x005B, 0x0060, Script.COMMON),
    (0x0061, 0x007A, Script.LATIN),
    (0x007B, 0x007E, Script.COMMON),
    (0x00C0, 0x00CF, Script.LATIN),
    (0x00D1, 0x00D6, Script.LATIN),
    (0x00D8, 0x00EF, Script.LATIN),
    (0x00F1, 0x00F6, Script.LATIN),
    (0x00F8, 0x0130, Script.LATIN),
    (0x0134, 0x0137, Script.LATIN),
    (0x0139, 0x013E, Script.LATIN),
    (0x0141, 0x0148, Script.LATIN),
    (0x014A, 0x017E, Script.LATIN),
    (0x060C, 0x060C, Script.URDU),  # comma
    (0x061B, 0x061B, Script.URDU),  # semicolon
    (0x061F, 0x061F, Script.URDU),  # question mark
    (0x0621, 0x0624, Script.URDU),
    (0x0626, 0x0628, Script.URDU),
    (0x062A, 0x063A, Script.URDU),
    (0x0641, 0x0642, Script.URDU),
    (0x0644, 0x0646, Script.URDU),
    (0x0648, 0x0648, Script.URDU),
    (0x0679, 0x0679, Script.URDU),
    (0x067E, 0x067E, Script.URDU),
    (0x0686, 0x0686, Script.URDU),
    (0x0688, 0x0688, Script.URDU),
    (0x0691, 0x0691, Script.URDU),
    (0x0698, 0x0698, Script.URDU),
    (0x06A9, 0x06A9, Script.URDU),
    (0x06AF, 0x06AF, Script.URDU),
    (0x06BA, 0x06BA, Script.URDU),
    (0x06BE, 0x06BE, Script.URDU),
    (0x06C1, 0x06C3, Script.URDU),
    (0x06CC, 0x06CC, Script.URDU),
    (0x06D2, 0x06D4, Script.URDU),
    (0x06F0, 0x06F9, Script.URDU),  # digits
)
_SCRIPTS: Mapping[int, Script] = MappingProxyType(
    {point: script for first, last, script in RANGES for point in range(first, last + 1)}
)


def fault(text: str) -> str | None:
    """Why `text` may not stand on the ledger, or None if it may."""
    if text.startswith(" ") or text.endswith(" ") or "  " in text:
        return "spaces stand alone and between words"
    scripts = set()
    for character in text:
        script = _SCRIPTS.get(ord(character))
        if script is None:
            return f"U+{ord(character):04X} is not in the alphabet of the ledger"
        scripts.add(script)
    if {Script.LATIN, Script.URDU} <= scripts:
        return "letters of two scripts"
    return None


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a value of a payload, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from texts_in(getattr(value, name))


def has_texts(type_: msgspec.inspect.Type) -> bool:
    """Whether a value of this type may have a text in it."""
    match type_:
        case msgspec.inspect.StrType():
            return True
        case msgspec.inspect.StructType(fields=fields):
            return any(has_texts(field.type) for field in fields)
        case msgspec.inspect.VarTupleType(item_type=item):
            return has_texts(item)
        case msgspec.inspect.TupleType(item_types=items) | msgspec.inspect.UnionType(types=items):
            return any(has_texts(item) for item in items)
        case _:
            return False
