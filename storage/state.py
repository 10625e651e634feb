"""Checkpoints of the ledger's state: pages of columnar rows, documents, and the height they belong to.

A checkpoint is one transaction that writes what changed since the last one and names its height, so the
store always holds the whole state of exactly one height.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from primitives.codec import CodecError, decode, encode
from storage.environment import MAP_BYTES, Environment, Faults, Reader, Table
from storage.errors import StorageCorrupt, StorageError
from storage.limits import META_BYTES_MAX


class Changes(Protocol):
    """What the ledger's state hands over: records and pages changed since it was last asked."""

    @property
    def documents(self) -> Sequence[tuple[int, int, bytes]]:
        """Every changed document, as (table id, index, encoded document)."""

    @property
    def pages(self) -> Sequence[tuple[int, int, bytes]]:
        """Every changed page, as (table id, page number, rows); the last page of a table may be shorter"""

    @property
    def counts(self) -> Mapping[int, int]:
        """The number of records of every table"""


def _record_place(word: str, key: bytes) -> str:
    return f"table {key[0]} {word} {int.from_bytes(key[1:9], 'big')}"


def _document_place(key: bytes) -> str:
    return _record_place("document", key)


def _page_place(key: bytes) -> str:
    return _record_place("page", key)


def _meta_place(key: bytes) -> str:
    return "the checkpoint"


DOCUMENTS = Table("documents", _document_place)
PAGES = Table("pages", _page_place)
META = Table("meta", _meta_place)
_CHECKPOINT = b"checkpoint"


class StateStore:
    """The state environment. `save` may be called from a worker thread."""

    def __init__(
        self, path: Path, readonly: bool = False, *, map_bytes: int = MAP_BYTES, faults: Faults | None = None
    ) -> None:
        self._environment = Environment(
            path, "state", (DOCUMENTS, PAGES, META), readonly=readonly, map_bytes=map_bytes, faults=faults
        )

    def save(self, height: int, changes: Changes, meta: bytes) -> None:
        """Bring the stored state to `height`. Raises StorageError unless that is above the stored height."""
        with self._environment.write() as writer:
            stored = _checkpoint(writer)
            if stored is not None and height <= stored[0]:
                raise StorageError(f"state: checkpoint of height {height} after that of height {stored[0]}")
            for table, index, document in sorted(changes.documents, key=_place_of):
                writer.put(DOCUMENTS, _key(table, index), document)
            for table, page, rows in sorted(changes.pages, key=_place_of):
                writer.put(PAGES, _key(table, page), rows)
            counts = sorted(changes.counts.items())
            writer.put(META, _CHECKPOINT, encode([height, counts, meta]))

    def height(self) -> int | None:
        """The height of the checkpoint, or None when there is none."""
        with self._environment.read() as reader:
            stored = _checkpoint(reader)
            return None if stored is None else stored[0]

    def load(self) -> "tuple[int, bytes, StoredState] | None":
        """The checkpoint's height, its meta bytes, and a source of its records; None when there is none."""
        with self._environment.read() as reader:
            stored = _checkpoint(reader)
        if stored is None:
            return None
        height, counts, meta = stored
        return height, meta, StoredState(self._environment, counts)

    def close(self) -> None:
        self._environment.close()


class StoredState:
    """The records of a checkpoint, in order; read it before the next `save`."""

    def __init__(self, environment: Environment, counts: Mapping[int, int]) -> None:
        self._environment = environment
        self._counts = counts

    def count(self, table: int) -> int:
        return self._counts.get(table, 0)

    def documents(self, table: int) -> Iterable[bytes]:
        """Every document of a table. Raises StorageCorrupt when one is missing."""
        number = 0
        for document in self._records(DOCUMENTS, table):
            number += 1
            yield document
        if number != self.count(table):
            raise StorageCorrupt(
                "state",
                f"table {table}",
                f"{number} documents are stored, the checkpoint counts {self.count(table)}",
            )

    def rows(self, table: int) -> Iterable[bytes]:
        """Every page of a table."""
        return self._records(PAGES, table)

    def _records(self, kind: Table, table: int) -> Iterator[bytes]:
        with self._environment.read() as reader:
            for expected, (key, value) in enumerate(reader.items(kind, bytes((table,)))):
                if key != _key(table, expected):
                    raise StorageCorrupt("state", kind.place(_key(table, expected)), "it is missing")
                yield value


def _checkpoint(reader: Reader) -> tuple[int, dict[int, int], bytes] | None:
    stored = reader.get(META, _CHECKPOINT)
    if stored is None:
        return None
    try:
        height, counts, meta = decode(stored, META_BYTES_MAX)
        return height, dict(counts), meta
    except (CodecError, ValueError, TypeError) as error:
        raise StorageCorrupt("state", _meta_place(_CHECKPOINT), str(error)) from error


def _place_of(record: tuple[int, int, bytes]) -> tuple[int, int]:
    return record[0], record[1]


def _key(table: int, number: int) -> bytes:
    return bytes((table,)) + number.to_bytes(8, "big")
