"""Tables as they stood between two blocks: what everyone reads but the one who executes blocks.

A view is a list of pages that nobody writes to. Publishing copies the pages that changed since the last time
and shares the others, so it costs what the block wrote; a view may be read from any thread, while the next
block is being executed and long after, and never changes. What it shares with the live table is the index of
keys alone: a record's key never changes, so whatever a view has is found there, and what is younger than the
view it can tell by its own length.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from ledger.codes import Code, InvariantError, Refused
from ledger.fields import FieldName

PAGE_ROWS = 256  # rows copied, stored and loaded together; not protocol

D = TypeVar("D", bound=msgspec.Struct)
R = TypeVar("R", bound=tuple[Any, ...])
D_co = TypeVar("D_co", bound=msgspec.Struct, covariant=True)
R_co = TypeVar("R_co", bound=tuple[Any, ...], covariant=True)


class Documents(Protocol[D_co]):
    """What can be read of a table of documents, live or published."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[D_co]: ...

    def __getitem__(self, index: int, /) -> D_co: ...

    def require(self, index: int, field: FieldName, *position: int) -> D_co:
        """The document at `index`, which is asked for in `field`. Raises Refused(not_found)."""

    def find(self, key: Hashable) -> int | None:
        """The index of the document with this key."""

    def members(self, group: Hashable) -> Sequence[int]:
        """The indices of the documents in `group`, ascending."""


class Rows(Protocol[R_co]):
    """What can be read of a columnar table, live or published."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> R_co: ...

    def require(self, index: int, field: FieldName, *position: int) -> R_co:
        """The row at `index`, which is asked for in `field`. Raises Refused(not_found)."""

    def find(self, key: bytes) -> int | None:
        """The index of the row with this key."""

    def field(self, index: int, name: str) -> Any:
        """One field of one row."""


class DocumentsView(Generic[D]):
    """The documents of one table as they stood."""

    def __init__(
        self,
        number: int,
        name: str,
        pages: Sequence[tuple[D, ...]],
        count: int,
        by_key: Mapping[Any, int],
        groups: Mapping[Hashable, tuple[int, ...]],
    ) -> None:
        """`by_key` is the live table's; all else is never written again."""
        self.number = number
        self.name = name
        self.pages = pages
        self.groups = groups
        self._count = count
        self._by_key = by_key

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[D]:
        return (document for page in self.pages for document in page)

    def __getitem__(self, index: int) -> D:
        if index < 0:
            index += self._count
        if not 0 <= index < self._count:
            raise IndexError(f"{self.name}: document {index} of {self._count}")
        return self.pages[index // PAGE_ROWS][index % PAGE_ROWS]

    def require(self, index: int, field: FieldName, *position: int) -> D:
        """The document at `index`, which is asked for in `field`. Raises Refused(not_found)."""
        if not 0 <= index < self._count:
            raise Refused(Code.NOT_FOUND, field, index, *position, self.number)
        return self[index]

    def find(self, key: Hashable) -> int | None:
        """The index of the document with this key."""
        index = self._by_key.get(key)
        return index if index is not None and index < self._count else None

    def members(self, group: Hashable) -> tuple[int, ...]:
        """The indices of the documents in `group`, ascending."""
        return self.groups.get(group, ())


class RowsView(Generic[R]):
    """The rows of one table as they stood."""

    def __init__(
        self,
        number: int,
        name: str,
        pages: Sequence[npt.NDArray[Any]],
        count: int,
        row_type: Callable[[Iterable[Any]], R],
        by_key: Mapping[bytes, int],
    ) -> None:
        """`by_key` is the live table's; all else is never written again."""
        self.number = number
        self.name = name
        self.pages = pages
        self._count = count
        self._row_type = row_type
        self._by_key = by_key

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> R:
        """The row at `index`, plain integers and bytes."""
        self._check(index)
        return self._row_type(self.pages[index // PAGE_ROWS].item(index % PAGE_ROWS))

    def require(self, index: int, field: FieldName, *position: int) -> R:
        """The row at `index`, which is asked for in `field`. Raises Refused(not_found)."""
        if not 0 <= index < self._count:
            raise Refused(Code.NOT_FOUND, field, index, *position, self.number)
        return self[index]

    def find(self, key: bytes) -> int | None:
        """The index of the row with this key."""
        index = self._by_key.get(key)
        return index if index is not None and index < self._count else None

    def field(self, index: int, name: str) -> Any:
        """One field of one row."""
        self._check(index)
        return self.pages[index // PAGE_ROWS][name].item(index % PAGE_ROWS)

    def column(self, name: str) -> npt.NDArray[Any]:
        """One field of every row, copied."""
        columns = [page[name] for page in self.pages]
        return np.concatenate(columns)[: self._count] if columns else np.zeros(0, np.int64)

    def matching(self, name: str, value: int, start: int) -> Iterator[int]:
        """The rows from `start` on whose field is `value`, ascending; a page is looked at when its turn
        comes."""
        first = start // PAGE_ROWS
        for number, page in enumerate(self.pages[first:], start=first):
            for offset in np.flatnonzero(page[name] == value).tolist():
                index = number * PAGE_ROWS + offset
                if start <= index < self._count:
                    yield index

    def _check(self, index: int) -> None:
        if not 0 <= index < self._count:
            raise InvariantError(f"{self.name}: row {index} of {self._count}")
