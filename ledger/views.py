"""Tables as they stood between two blocks: what everyone reads but the one who executes blocks.

A view of documents is a list of pages that nobody writes to. A view of rows shares the memory of the live
table, and before a page is written for the first time after a publication the views that share it are given a
copy of how it stood. So rows are in memory once, but for those that the block being executed has written; a
view may be read from any thread, while the next block is being executed and long after, and never changes.

Rule: whoever reads a row of a view reads the shared memory first and looks for a kept page last. The page is
kept before the memory is written, so that what was read while it was written is not used.

The index of keys is the live table's: a record's key never changes, so whatever a view has is found there,
and what is younger than the view it can tell by its own length.
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
        shared: npt.NDArray[Any],
        count: int,
        row_type: Callable[[Iterable[Any]], R],
        by_key: Mapping[bytes, int],
    ) -> None:
        """`shared` and `by_key` are the live table's, which calls `keep` before it writes to a page."""
        self.number = number
        self.name = name
        self._shared = shared
        self._kept: dict[int, npt.NDArray[Any]] = {}  # by page: the rows as they stood
        self._count = count
        self._row_type = row_type
        self._by_key = by_key

    def keep(self, numbers: Sequence[int], pages: npt.NDArray[Any]) -> None:
        """Have `pages`, which are about to be written, as they are now; but for those written before."""
        for number, page in zip(numbers, pages, strict=True):
            self._kept.setdefault(number, page)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> R:
        """The row at `index`, plain integers and bytes."""
        self._check(index)
        row = self._shared.item(index)
        kept = self._kept.get(index // PAGE_ROWS)
        return self._row_type(row if kept is None else kept.item(index % PAGE_ROWS))

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
        value = self._shared[name].item(index)
        kept = self._kept.get(index // PAGE_ROWS)
        return value if kept is None else kept[name].item(index % PAGE_ROWS)

    def column(self, name: str) -> npt.NDArray[Any]:
        """One field of every row, copied."""
        column = self._shared[name][: self._count].copy()
        for number, page in list(self._kept.items()):
            part = column[number * PAGE_ROWS : (number + 1) * PAGE_ROWS]
            part[:] = page[name][: len(part)]
        return column

    def matching(self, name: str, value: int, start: int) -> Iterator[int]:
        """The rows from `start` on whose field is `value`, ascending; a page is looked at when its turn
        comes."""
        column = self._shared[name]
        for first in range(start - start % PAGE_ROWS, self._count, PAGE_ROWS):
            found = column[first : first + PAGE_ROWS] == value
            kept = self._kept.get(first // PAGE_ROWS)
            if kept is not None:
                found = kept[name] == value
            for offset in np.flatnonzero(found).tolist():
                if start <= first + offset < self._count:
                    yield first + offset

    def _check(self, index: int) -> None:
        if not 0 <= index < self._count:
            raise InvariantError(f"{self.name}: row {index} of {self._count}")
