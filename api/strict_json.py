"""JSON that two readers read alike: UTF-8, each name once in an object, whole characters, not too deep."""

import codecs
import json
from typing import Any


def strict_json(data: bytes) -> Any:
    """The value that the text writes. Raises ValueError, which says what is wrong."""
    for mark, name in (
        (codecs.BOM_UTF8, "a byte order mark"),
        (codecs.BOM_UTF16_LE, "UTF-16"),
        (codecs.BOM_UTF16_BE, "UTF-16"),
    ):
        if data.startswith(mark):
            raise ValueError(f"begins with {name}: must be plain UTF-8")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: byte {error.start}") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"holds a lone surrogate U+{ord(error.object[error.start]):04X}") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{json.dumps(name[:40])} stands twice in one object")
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
