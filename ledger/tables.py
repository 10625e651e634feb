"""The two kinds of table, and the journal through which every write to them can be taken back.

Leaves of the Merkle trees are set by `rehash`, once a block; only leaves that changed are hashed. A leaf of a
columnar table is 16 rows, absent ones zero; a leaf of a document table is one document's encoding.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeVar, overload
from weakref import ref

import msgspec
import numpy as np
import numpy.typing as npt

from ledger.codes import Code, InvariantError, Refused
from ledger.events import ABSENT, PRESENT, RECORD, UNWATCHED, Watch
from ledger.fields import FieldName
from ledger.limits import DOCUMENT_BYTES_MAX, TABLES_ROWS_MAX
from ledger.postings import Stream, StreamMark
from ledger.views import PAGE_ROWS, DocumentsView, RowsView
from primitives.codec import CodecError, builtins, convert, encode, unpack
from primitives.hashing import LEAF
from primitives.merkle import Tree, leaf_hash, table_root

LEAF_ROWS = 16

_ROWS_AT_FIRST = 1024

Indices = npt.NDArray[np.int64]
Column = npt.NDArray[Any]
D = TypeVar("D", bound=msgspec.Struct)
R = TypeVar("R", bound=tuple[Any, ...])


class FieldWas(NamedTuple):
    """One field of one row held `old`."""

    table: "ColumnarTable[Any]"
    row: int
    field: str
    old: Any


class ColumnWas(NamedTuple):
    """One field of many rows held `old`; an index that stands twice has the same old value twice."""

    table: "ColumnarTable[Any]"
    indices: Indices
    field: str
    old: Column


class RowsWere(NamedTuple):
    """The table had `count` rows."""

    table: "ColumnarTable[Any]"
    rows: int


class DocumentWas(NamedTuple):
    """The document `number` was `old`; None: there was none."""

    table: "DocumentTable[Any]"
    number: int
    old: Any


JournalEntry = FieldWas | ColumnWas | RowsWere | DocumentWas


class Mark(NamedTuple):
    """A savepoint: a position in the journal, and one in the stream of postings and events."""

    position: int
    stream: StreamMark


class Journal:
    """What every write replaced, in order, since the last `clear`; and the stream that says what it was."""

    __slots__ = ("_cleared", "entries", "stream")

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.stream = Stream()
        self._cleared = 0

    def mark(self) -> Mark:
        """A savepoint: all that is written from here on can be undone."""
        return Mark(self._cleared + len(self.entries), self.stream.mark())

    def since(self, mark: Mark) -> list[JournalEntry]:
        """What was written since `mark`, in order. Raises InvariantError for a mark cleared away."""
        return self.entries[self._position(mark) :]

    def undo(self, mark: Mark) -> None:
        """Take back every write since `mark`, the last first, and what the stream said of it. Raises
        InvariantError as `since` does."""
        keep = self._position(mark)
        for entry in reversed(self.entries[keep:]):
            match entry:
                case FieldWas(table, index, field, old):
                    table.restore_field(index, field, old)
                case ColumnWas(table, indices, field, old):
                    table.restore_column(indices, field, old)
                case RowsWere(table, count):
                    table.restore_count(count)
                case DocumentWas(documents, index, old):
                    documents.restore(index, old)
        del self.entries[keep:]
        self.stream.undo(mark.stream)

    def _position(self, mark: Mark) -> int:
        position = mark.position - self._cleared
        if not 0 <= position <= len(self.entries):
            raise InvariantError(f"savepoint {mark.position} is not in the journal")
        return position

    def clear(self) -> None:
        """Make all writes final; savepoints before this are void."""
        self._cleared += len(self.entries)
        self.entries = []
        self.stream.clear()


class DocumentTable(Sequence[D]):
    """Documents by dense index; frozen Structs that are appended or replaced whole. Reads like a sequence."""

    def __init__(
        self,
        number: int,
        name: str,
        schema: type[D],
        journal: Journal,
        key: Callable[[D], Hashable] | None = None,
        groups: Callable[[D], tuple[Hashable, ...]] | None = None,
    ) -> None:
        self.number = number
        self.name = name
        self.schema = schema
        self.by_key: dict[Any, int] = {}  # derived, never hashed; empty when the table has no key
        self.grouped = 0  # how many documents are in a group
        self._groups = groups
        self._members: dict[Hashable, set[int]] = {}  # of each group; derived, never hashed
        self._key = key
        self._journal = journal
        self._lifts: dict[type[Any], Callable[[Any], Any]] = {}  # from every older schema to the next
        self._watch = UNWATCHED
        self._documents: list[D] = []
        self._encodings: list[bytes] = []
        self._tree = Tree()
        self._dirty: set[int] = set()
        self._undrained: set[int] = set()
        self._unpublished: set[int] = set()
        self._view = DocumentsView[D](number, name, (), 0, self.by_key, {})

    def __len__(self) -> int:
        return len(self._documents)

    def __iter__(self) -> Iterator[D]:
        return iter(self._documents)

    @overload
    def __getitem__(self, index: int) -> D: ...
    @overload
    def __getitem__(self, index: slice) -> list[D]: ...
    def __getitem__(self, index: int | slice) -> D | list[D]:
        return self._documents[index]

    def require(self, index: int, field: FieldName, *position: int) -> D:
        """The document at `index`, which the transaction gave in `field` (of a list: at `position`). Raises
        Refused(not_found)."""
        if not 0 <= index < len(self._documents):
            raise Refused(Code.NOT_FOUND, field, index, *position, self.number)
        return self._documents[index]

    def find(self, key: Hashable) -> int | None:
        """The index of the document with this key."""
        return self.by_key.get(key)

    def members(self, group: Hashable) -> list[int]:
        """The indices of the documents in `group`, ascending."""
        return sorted(self._members.get(group, ()))

    def count_in(self, group: Hashable) -> int:
        """How many documents are in `group`."""
        return len(self._members.get(group, ()))

    def append(self, document: D) -> int:
        """Add `document` at the end; its index. Raises InvariantError if its key is taken."""
        document = self._lifted(document)
        index = len(self._documents)
        self._enter(index, document)
        self._documents.append(document)
        self._encodings.append(b"")
        self._journal.entries.append(DocumentWas(self, index, None))
        self._dirty.add(index)
        if self._watch.created:
            self._journal.stream.note(self.number, RECORD, index, ABSENT, PRESENT)
        return index

    def replace(self, index: int, document: D) -> None:
        """Put `document` where another one was. Raises InvariantError if its key is another: views find by
        the one index of keys, so a record keeps its key."""
        if not 0 <= index < len(self._documents):
            raise InvariantError(f"{self.name}: replacing document {index} of {len(self._documents)}")
        document = self._lifted(document)
        old = self._documents[index]
        if self._key is not None and self._key(document) != self._key(old):
            raise InvariantError(f"{self.name}: document {index} keeps its key")
        self._leave_groups(index, old)
        self._enter_groups(index, document)
        self._documents[index] = document
        self._journal.entries.append(DocumentWas(self, index, old))
        self._dirty.add(index)
        if self._watch.rewritten:
            self._journal.stream.note(self.number, RECORD, index, PRESENT, PRESENT)
        for number, field in enumerate(self._watch.fields, start=1):
            was, now = int(getattr(old, field, 0)), int(getattr(document, field))
            if was != now:
                self._journal.stream.note(self.number, number, index, was, now)

    def watch(self, watch: Watch) -> None:
        """From now on note changes of these fields."""
        self._watch = watch

    def revise(self, schema: type[Any], lift: Callable[[Any], Any]) -> None:
        """Change the schema: from now on all documents are of `schema`; those that are here, and whatever is
        still written in the schema before it, are turned by `lift`."""
        self._lifts[self.schema] = lift
        self.schema = schema
        for index, document in enumerate(self._documents):
            self.replace(index, document)

    def _lifted(self, document: D) -> D:
        while type(document) is not self.schema:
            lift = self._lifts.get(type(document))
            if lift is None:
                raise InvariantError(
                    f"{self.name}: a {type(document).__name__} among documents of {self.schema.__name__}"
                )
            document = lift(document)
        return document

    def restore(self, index: int, old: D | None) -> None:
        """Put `old` back, or take the last document away; for the journal alone."""
        self._leave_groups(index, self._documents[index])
        if old is None:
            if index != len(self._documents) - 1:
                raise InvariantError(f"{self.name}: undoing an append at {index} that is not the last")
            document = self._documents.pop()
            if self._key is not None:
                del self.by_key[self._key(document)]
            self._encodings.pop()
            self._dirty.discard(index)
        else:
            self._enter_groups(index, old)
            self._documents[index] = old
            self._dirty.add(index)

    def _enter(self, index: int, document: D) -> None:
        if self._key is not None:
            key = self._key(document)
            if self.by_key.setdefault(key, index) != index:
                raise InvariantError(f"{self.name}: the key of document {index} is taken")
        self._enter_groups(index, document)

    def _enter_groups(self, index: int, document: D) -> None:
        if self._groups is not None and (groups := self._groups(document)):
            for group in groups:
                self._members.setdefault(group, set()).add(index)
            self.grouped += 1

    def _leave_groups(self, index: int, document: D) -> None:
        if self._groups is not None and (groups := self._groups(document)):
            for group in groups:
                self._members[group].remove(index)
                if not self._members[group]:
                    del self._members[group]
            self.grouped -= 1

    def rehash(self) -> None:
        """Encode and hash what changed since the last time. Raises InvariantError for a document that `load`
        would not take."""
        for index in sorted(self._dirty):
            document = self._documents[index]
            encoding = self._encoded(index, document)
            if encoding != self._encodings[index]:
                self._encodings[index] = encoding
                self._tree.set_leaf(index, leaf_hash(self.number, index, encoding))
                self._undrained.add(index)
            if index >= len(self._view) or self._view[index] is not document:
                self._unpublished.add(index)  # a revision may leave the bytes as they were
        self._dirty = set()
        self._tree.update()

    def _encoded(self, index: int, document: D) -> bytes:
        value = builtins(document)
        encoding = encode(value)
        if len(encoding) > DOCUMENT_BYTES_MAX:
            raise InvariantError(
                f"{self.name}: document {index} has {len(encoding)} bytes, at most {DOCUMENT_BYTES_MAX}"
            )
        try:
            convert(value, self.schema)
        except CodecError as error:
            raise InvariantError(f"{self.name}: document {index} could not be read again: {error}") from error
        return encoding

    def root(self) -> bytes:
        self._must_be_hashed()
        return table_root(self.number, 0, len(self._documents), self._tree.depth, self._tree.top())

    def leaf_content(self, number: int) -> bytes:
        """The bytes of leaf `number` as hashed."""
        self._must_be_hashed()
        return self._encodings[number]

    def leaf_path(self, number: int) -> tuple[bytes, ...]:
        return self._tree.path(number)

    @property
    def depth(self) -> int:
        return self._tree.depth

    def top(self) -> bytes:
        """The hash on top of the table's tree, zero while it has no record."""
        self._must_be_hashed()
        return self._tree.top()

    def drain(self) -> list[tuple[int, bytes]]:
        """Every changed document as (index, encoding), of those changed since the last drain, ascending."""
        self._must_be_hashed()
        changed = [(index, self._encodings[index]) for index in sorted(self._undrained)]
        self._undrained = set()
        return changed

    def publish(self) -> DocumentsView[D]:
        """The documents as they are now, to be read while the table moves on."""
        self._must_be_hashed()
        if self._unpublished:
            before = self._view
            pages = list(before.pages)
            for page in sorted({index // PAGE_ROWS for index in self._unpublished}):
                pages[page : page + 1] = [tuple(self._documents[page * PAGE_ROWS : (page + 1) * PAGE_ROWS])]
            self._view = DocumentsView(
                self.number,
                self.name,
                pages,
                len(self._documents),
                self.by_key,
                self._groups_after(before),
            )
            self._unpublished = set()
        return self._view

    def _groups_after(self, before: DocumentsView[D]) -> Mapping[Hashable, tuple[int, ...]]:
        """The groups of now: those of `before`, but for what documents have entered and left since."""
        if self._groups is None:
            return before.groups
        moved: set[Hashable] = set()
        for index in self._unpublished:
            was = self._groups(before[index]) if index < len(before) else ()
            now = self._groups(self._documents[index])
            if was != now:
                moved.update(was, now)
        if not moved:
            return before.groups
        groups = dict(before.groups)
        for group in moved:
            groups[group] = tuple(self.members(group))
            if not groups[group]:
                del groups[group]
        return groups

    def load(self, encodings: Iterable[bytes], count: int) -> None:
        """Fill an empty table. Raises CodecError or InvariantError if `encodings` are not a table's."""
        for encoding in encodings:
            index = len(self._documents)
            document = unpack(encoding, self.schema, DOCUMENT_BYTES_MAX)
            self._enter(index, document)
            self._documents.append(document)
            self._encodings.append(encoding)
            self._tree.set_leaf(index, leaf_hash(self.number, index, encoding))
            self._unpublished.add(index)
        if len(self._documents) != count:
            raise InvariantError(f"{self.name}: {len(self._documents)} documents, their count says {count}")
        self._tree.update()

    def _must_be_hashed(self) -> None:
        if self._dirty:
            raise InvariantError(f"{self.name}: documents changed since the last rehash")


class ColumnarTable(Generic[R]):
    """Fixed-width rows by dense index, in one numpy array that doubles as it grows."""

    def __init__(
        self,
        number: int,
        name: str,
        dtype: np.dtype[Any],
        row_type: Callable[[Iterable[Any]], R],
        journal: Journal,
        key: str | None = None,
    ) -> None:
        self.number = number
        self.name = name
        self.dtype = dtype
        self.by_key: dict[bytes, int] = {}  # derived, never hashed; empty when the table has no key
        self._row_type = row_type
        self._key = key
        self._journal = journal
        self._watch = UNWATCHED
        self._watched: dict[str, int] = {}
        self._count = 0
        self._tree = Tree()
        self._data: npt.NDArray[Any]
        self._fields: dict[str, Column]
        self._readonly: dict[str, Column]
        self._dirty: npt.NDArray[np.bool_]  # by leaf
        self._undrained: npt.NDArray[np.bool_]  # by page
        self._shared: npt.NDArray[np.bool_]  # by page: with views that have no copy of their own
        self._sharers: list[ref[RowsView[R]]] = []  # the views made from `_data`
        self._unpublished: bool
        self._allocate(_ROWS_AT_FIRST)
        self._view = self._viewed()

    def watch(self, watch: Watch) -> None:
        """From now on note changes of these fields."""
        self._watch = watch
        self._watched = {field: number for number, field in enumerate(watch.fields, start=1)}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> R:
        """The row at `index`, plain integers and bytes."""
        if not 0 <= index < self._count:
            raise InvariantError(f"{self.name}: row {index} of {self._count}")
        return self._row_type(self._data.item(index))

    def require(self, index: int, field: FieldName, *position: int) -> R:
        """The row at `index`, which the transaction gave in `field` (of a list: at `position`). Raises
        Refused(not_found)."""
        if not 0 <= index < self._count:
            raise Refused(Code.NOT_FOUND, field, index, *position, self.number)
        return self._row_type(self._data.item(index))

    def find(self, key: bytes) -> int | None:
        """The index of the row with this key."""
        return self.by_key.get(key)

    def field(self, index: int, name: str) -> Any:
        """One field of one row."""
        if not 0 <= index < self._count:
            raise InvariantError(f"{self.name}: row {index} of {self._count}")
        return self._fields[name].item(index)

    def column(self, name: str) -> Column:
        """One field of every row, read only; do not keep it across an append."""
        return self._readonly[name][: self._count]

    def rows(self) -> npt.NDArray[Any]:
        """Every row as a structured array, read only; do not keep it across an append."""
        view = self._data[: self._count]
        view.flags.writeable = False
        return view

    def append(self, row: R) -> int:
        """Add one row at the end; its index."""
        index = self._count
        self._reserve(1)
        self._enter(index, row)
        self._data[index] = row
        self._journal.entries.append(RowsWere(self, index))
        self._count = index + 1
        self._touch(index)
        if self._watch.created:
            self._journal.stream.note(self.number, RECORD, index, ABSENT, PRESENT)
        return index

    def extend(self, rows: npt.NDArray[Any]) -> int:
        """Add many rows of this table's dtype at the end; the index of the first."""
        first, more = self._count, len(rows)
        if rows.dtype != self.dtype:
            raise InvariantError(f"{self.name}: rows of another layout: {rows.dtype}")
        self._reserve(more)
        if self._key is not None:
            for number in range(more):
                self._enter(first + number, self._row_type(rows.item(number)))
        self._data[first : first + more] = rows
        self._journal.entries.append(RowsWere(self, first))
        self._count = first + more
        if more:
            self._dirty[first // LEAF_ROWS : (self._count - 1) // LEAF_ROWS + 1] = True
            if self._watch.created:
                indices = np.arange(first, self._count, dtype=np.int64)
                self._journal.stream.note_many(self.number, RECORD, indices, ABSENT, PRESENT)
        return first

    def set_field(self, index: int, name: str, value: int | bytes) -> None:
        """Write one field of one row."""
        if not 0 <= index < self._count:
            raise InvariantError(f"{self.name}: row {index} of {self._count}")
        column = self._fields[name]
        old = column.item(index)
        self._journal.entries.append(FieldWas(self, index, name, old))
        self._before_row(index)
        column[index] = np.void(value) if isinstance(value, bytes) else value
        self._dirty[index // LEAF_ROWS] = True
        if name in self._watched and old != value:
            self._journal.stream.note(self.number, self._watched[name], index, old, int(value))

    def set_column(self, name: str, indices: Indices, values: Column | int) -> None:
        """Write one field of many rows; each index at most once."""
        self._remember(name, indices)
        column = self._fields[name]
        if name in self._watched:
            olds = column[indices]
            column[indices] = values
            changed = olds != column[indices]
            number, news = self._watched[name], column[indices[changed]]
            self._journal.stream.note_many(self.number, number, indices[changed], olds[changed], news)
        else:
            column[indices] = values

    def add_at(self, name: str, indices: Indices, amounts: Column) -> None:
        """Add to a u8 field of many rows, modulo 2**64; an index may stand many times."""
        self._remember(name, indices)
        np.add.at(self._fields[name], indices, amounts)

    def subtract_at(self, name: str, indices: Indices, amounts: Column) -> None:
        """Subtract from a u8 field of many rows, modulo 2**64; an index may stand many times."""
        self._remember(name, indices)
        np.subtract.at(self._fields[name], indices, amounts)

    def _remember(self, name: str, indices: Indices) -> None:
        if indices.dtype != np.int64:
            raise InvariantError(f"{self.name}: indices are {indices.dtype}, must be int64")
        if len(indices) == 0:
            return
        if int(indices.min()) < 0 or int(indices.max()) >= self._count:
            raise InvariantError(f"{self.name}: an index is not below {self._count}")
        self._journal.entries.append(ColumnWas(self, indices, name, self._fields[name][indices]))
        self._dirty[indices // LEAF_ROWS] = True
        self._before_rows(indices)

    def _before_row(self, index: int) -> None:
        """Call before a row is written that a view may have; those appended since are no view's."""
        if self._shared.item(index // PAGE_ROWS):
            self._part_with(np.array([index // PAGE_ROWS]))

    def _before_rows(self, indices: Indices) -> None:
        """Call before rows are written that a view may have."""
        pages = indices // PAGE_ROWS
        shared = self._shared[pages]
        if shared.any():
            self._part_with(np.unique(pages[shared]))

    def _part_with(self, pages: Indices) -> None:
        """Give every view that shares `pages` a copy, which is the view's own from now on."""
        self._shared[pages] = False
        views = [view for sharer in self._sharers if (view := sharer()) is not None]
        copied = self._data.view(np.uint8).reshape(-1, PAGE_ROWS * self.dtype.itemsize)[pages]
        copied.flags.writeable = False
        for view in views:
            view.keep(pages.tolist(), copied.view(self.dtype))

    def restore_field(self, index: int, name: str, old: Any) -> None:
        """Put back one field of a row; for the journal alone."""
        self._before_row(index)
        self._fields[name][index] = np.void(old) if isinstance(old, bytes) else old

    def restore_column(self, indices: Indices, name: str, old: Column) -> None:
        """Put back one field of several rows; for the journal alone."""
        self._before_rows(indices)
        self._fields[name][indices] = old

    def restore_count(self, count: int) -> None:
        """Take the rows from `count` on away and leave zeros."""
        if self._key is not None:
            keys = self._fields[self._key]
            for index in range(count, self._count):
                del self.by_key[keys.item(index)]
        self._before_rows(np.arange(count, self._count))
        self._data[count : self._count] = np.zeros((), self.dtype)
        self._count = count

    def _enter(self, index: int, row: Any) -> None:
        if self._key is not None:
            key = getattr(row, self._key)
            if self.by_key.setdefault(key, index) != index:
                raise InvariantError(f"{self.name}: key {key.hex()} of row {index} is taken")

    def _touch(self, index: int) -> None:
        self._dirty[index // LEAF_ROWS] = True

    def _reserve(self, more: int) -> None:
        wanted = self._count + more
        if wanted > TABLES_ROWS_MAX:
            raise InvariantError(f"{self.name}: {wanted} rows, at most {TABLES_ROWS_MAX}")
        capacity = len(self._data)
        if wanted <= capacity:
            return
        while capacity < wanted:
            capacity *= 2
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        data = np.zeros(capacity, self.dtype)
        dirty = np.zeros(capacity // LEAF_ROWS, np.bool_)
        undrained = np.zeros(-(-capacity // PAGE_ROWS), np.bool_)
        if self._count:
            data[: self._count] = self._data[: self._count]
        if hasattr(self, "_dirty"):
            dirty[: len(self._dirty)] = self._dirty
            undrained[: len(self._undrained)] = self._undrained
        self._data, self._dirty, self._undrained = data, dirty, undrained
        self._shared, self._sharers = np.zeros_like(undrained), []  # views have the old rows to themselves
        self._fields = {name: data[name] for name in self.dtype.names or ()}
        self._readonly = {name: column.view() for name, column in self._fields.items()}
        for column in self._readonly.values():
            column.flags.writeable = False

    def rehash(self) -> None:
        """Hash the leaves that changed since the last time."""
        leaves = np.flatnonzero(self._dirty)
        if len(leaves) == 0:
            return
        self._dirty[leaves] = False
        leaves = leaves[leaves < -(-self._count // LEAF_ROWS)]  # an undone append leaves its mark behind
        pages = leaves * LEAF_ROWS // PAGE_ROWS
        self._undrained[pages] = True
        self._unpublished = True
        width = LEAF_ROWS * self.dtype.itemsize
        content = self._data.view(np.uint8).data
        prefix = LEAF + self.number.to_bytes(1, "big")
        set_leaf = self._tree.set_leaf
        for leaf in leaves.tolist():
            digest = sha256(prefix + leaf.to_bytes(8, "big") + content[leaf * width : (leaf + 1) * width])
            set_leaf(leaf, digest.digest())
        self._tree.update()

    def root(self) -> bytes:
        self._must_be_hashed()
        return table_root(self.number, self.dtype.itemsize, self._count, self._tree.depth, self._tree.top())

    def leaf_content(self, number: int) -> bytes:
        """The bytes of leaf `number` as hashed: 16 rows, absent ones zero."""
        self._must_be_hashed()
        return self._data[number * LEAF_ROWS : (number + 1) * LEAF_ROWS].tobytes()

    def leaf_path(self, number: int) -> tuple[bytes, ...]:
        return self._tree.path(number)

    @property
    def depth(self) -> int:
        return self._tree.depth

    def top(self) -> bytes:
        """The hash on top of the table's tree, zero while it has no record."""
        self._must_be_hashed()
        return self._tree.top()

    def drain(self) -> list[tuple[int, bytes]]:
        """Every changed page as (page, bytes of its rows), of those changed since the last drain,
        ascending."""
        self._must_be_hashed()
        pages = np.flatnonzero(self._undrained).tolist()
        self._undrained[:] = False
        return [
            (page, self._data[page * PAGE_ROWS : min((page + 1) * PAGE_ROWS, self._count)].tobytes())
            for page in pages
        ]

    def publish(self) -> RowsView[R]:
        """The rows as they are now, to be read while the table moves on."""
        self._must_be_hashed()
        if self._unpublished:
            self._view = self._viewed()
        return self._view

    def _viewed(self) -> RowsView[R]:
        rows = self._data.view()
        rows.flags.writeable = False
        view = RowsView(self.number, self.name, rows, self._count, self._row_type, self.by_key)
        self._sharers = [sharer for sharer in self._sharers if sharer() is not None]
        self._sharers.append(ref(view))
        self._shared[: -(-self._count // PAGE_ROWS)] = True
        self._unpublished = False
        return view

    def load(self, pages: Iterable[bytes], count: int) -> None:
        """Fill an empty table from its pages in order. Raises InvariantError if they are not a table's."""
        self._reserve(count)
        for page in pages:
            rows = np.frombuffer(page, self.dtype)
            wanted = min(PAGE_ROWS, count - self._count)
            if len(rows) < wanted:
                raise InvariantError(f"{self.name}: a page of {len(rows)} rows, {wanted} are due")
            self._data[self._count : self._count + wanted] = rows[:wanted]
            self._count += wanted
        if self._count != count:
            raise InvariantError(f"{self.name}: {self._count} rows, their count says {count}")
        if self._key is not None:
            for index, key in enumerate(self._fields[self._key][:count].tolist()):
                if self.by_key.setdefault(key, index) != index:
                    raise InvariantError(f"{self.name}: key {key.hex()} of row {index} is taken")
        self._dirty[: -(-count // LEAF_ROWS)] = True
        self.rehash()
        self._undrained[:] = False

    def _must_be_hashed(self) -> None:
        if self._dirty.any():
            raise InvariantError(f"{self.name}: rows changed since the last rehash")
