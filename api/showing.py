"""From a record of the ledger to what is shown of it: same-named fields as they are, the rest by name.

A class of what is shown names each field once, with its bounds and its JSON form. `shown` takes from the
record whatever it has under the same name, so that only what differs is written out. A record's field that
no class names stays unseen: nothing is served because somebody added it (tests/house/test_showing.py keeps
the list of what is withheld, and why).
"""

from collections.abc import Callable, Iterator
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from api.fields import Shown
from api.refusals import Declined
from ledger.codes import Code
from ledger.documents import NONE
from ledger.fields import FieldName

S = TypeVar("S", bound=Shown)


def shown(kind: type[S], record: object, /, **derived: Any) -> S:
    """The record as `kind` shows it: `derived` by name, every other field the record's own.

    Where `kind` allows None, an index of the record that refers to nothing is None.
    """
    values = derived
    for name, may_be_none in _fields(kind):
        if name not in derived:
            value = getattr(record, name)
            values[name] = None if may_be_none and value == NONE else value
    return kind(**values)


@cache
def _fields(kind: type[Shown]) -> tuple[tuple[str, bool], ...]:
    hints = get_type_hints(kind)
    return tuple((name, NoneType in get_args(hints[name])) for name in kind.__struct_fields__)


def page_of(indices: Iterator[int], limit: int) -> tuple[list[int], int | None]:
    """The first `limit` indices, and the one after them, where the next page starts."""
    page: list[int] = []
    for index in indices:
        if len(page) == limit:
            return page, index
        page.append(index)
    return page, None


def documents_of(
    table: Any, cursor: int, limit: int, show: Callable[[int, Any], S]
) -> tuple[tuple[S, ...], int | None]:
    """A page of a document table as `show(index, document)` shows each, and where the next page starts."""
    indices, next_cursor = page_of(iter(range(cursor, len(table))), limit)
    return tuple(show(index, table[index]) for index in indices), next_cursor


def index_of(table: Any, key: int | str, field: FieldName) -> int:
    """The index of a document named by index or by key. Raises Refused or Declined (not_found)."""
    if isinstance(key, str):
        found: int | None = table.find(key)
        if found is None:
            raise Declined(Code.NOT_FOUND, field, key, f"names no record of {table.name}")
        return found
    table.require(key, field)
    return key
