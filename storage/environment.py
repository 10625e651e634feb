"""One LMDB environment: opening it, transactions that begin and commit in one call, checksummed values.

Every value is stored behind a SHA-256 over its table, key and bytes, so that a flipped bit, or a value that
landed under another key, is noticed when it is read and named. A write transaction belongs to the thread
that began it (LMDB's rule), so each write of a store is one method call and may run in a worker thread.
Readers live for one call too: an idle reader would keep LMDB from reusing pages.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lmdb

from primitives.hashing import CHECKSUM, HASH_BYTES, tagged_hash
from storage.errors import StorageCorrupt, StorageError, StorageFull
from storage.limits import READERS_MAX, ROOM_BYTES_MIN, TABLES_MAX

MAP_BYTES = 2**40  # reserved address space, never resized; the file grows only as it is filled


class Faults(Protocol):
    """A test's hand in the store: called at each point of each write, may raise to fail it there."""

    def reached(self, point: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Table:
    """A named table; `place` says in words what a key of it stands for."""

    name: str
    place: Callable[[bytes], str]


class Reader:
    """One transaction's view of an environment; every value read is checked."""

    def __init__(self, environment: str, transaction: lmdb.Transaction, handles: dict[str, Any]) -> None:
        self._environment = environment
        self._transaction = transaction
        self._handles = handles

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The value under `key`, or None. Raises StorageCorrupt when it is not what was written."""
        stored = self._transaction.get(key, db=self._handles[table.name])
        return None if stored is None else self._checked(table, key, bytes(stored))

    def first_key(self, table: Table) -> bytes | None:
        cursor = self._transaction.cursor(db=self._handles[table.name])
        return bytes(cursor.key()) if cursor.first() else None

    def last_key(self, table: Table, prefix: bytes = b"") -> bytes | None:
        """The greatest key that starts with `prefix`, or None."""
        cursor = self._transaction.cursor(db=self._handles[table.name])
        after = _successor(prefix)
        found = cursor.prev() if after is not None and cursor.set_range(after) else cursor.last()
        if not found:
            return None
        key = bytes(cursor.key())
        return key if key.startswith(prefix) else None

    def items(self, table: Table, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys that start with `prefix`, in order, with their values."""
        cursor = self._transaction.cursor(db=self._handles[table.name])
        present = cursor.set_range(prefix) if prefix else cursor.first()
        while present:
            key = bytes(cursor.key())
            if not key.startswith(prefix):
                return
            yield key, self._checked(table, key, bytes(cursor.value()))
            present = cursor.next()

    def items_from(self, table: Table, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys from `start` on, in order, with their values."""
        cursor = self._transaction.cursor(db=self._handles[table.name])
        present = cursor.set_range(start)
        while present:
            key = bytes(cursor.key())
            yield key, self._checked(table, key, bytes(cursor.value()))
            present = cursor.next()

    def first_from(self, table: Table, start: bytes) -> tuple[bytes, bytes] | None:
        """The first key from `start` on, with its value, or None."""
        return next(self.items_from(table, start), None)

    def _checked(self, table: Table, key: bytes, stored: bytes) -> bytes:
        value = stored[HASH_BYTES:]
        if stored[:HASH_BYTES] != _checksum(table, key, value):
            raise StorageCorrupt(
                self._environment,
                f"{table.name} of {table.place(key)}",
                "the stored bytes do not match their checksum",
            )
        return value


class Writer(Reader):
    """A write transaction: what it puts becomes durable when its block ends, all of it or nothing."""

    def __init__(
        self,
        environment: str,
        transaction: lmdb.Transaction,
        handles: dict[str, Any],
        faults: Faults | None,
    ) -> None:
        super().__init__(environment, transaction, handles)
        self._faults = faults

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        if self._faults is not None:
            self._faults.reached(f"{self._environment}: put {table.name}")
        self._transaction.put(key, _checksum(table, key, value) + value, db=self._handles[table.name])

    def delete(self, table: Table, key: bytes) -> None:
        if self._faults is not None:
            self._faults.reached(f"{self._environment}: delete {table.name}")
        self._transaction.delete(key, db=self._handles[table.name])

    def clear(self, table: Table) -> None:
        """Delete every key of a table."""
        if self._faults is not None:
            self._faults.reached(f"{self._environment}: delete {table.name}")
        self._transaction.drop(self._handles[table.name], delete=False)

    def delete_below(self, table: Table, key: bytes) -> int:
        """Delete every key before `key`; how many there were."""
        if self._faults is not None:
            self._faults.reached(f"{self._environment}: delete {table.name}")
        cursor = self._transaction.cursor(db=self._handles[table.name])
        count = 0
        while cursor.first() and bytes(cursor.key()) < key:
            cursor.delete()
            count += 1
        return count


class Environment:
    """One LMDB environment with its tables. At most one object per path in a process (LMDB's rule)."""

    def __init__(
        self,
        path: Path,
        name: str,
        tables: tuple[Table, ...],
        *,
        readonly: bool = False,
        map_bytes: int = MAP_BYTES,
        faults: Faults | None = None,
    ) -> None:
        """Open the environment in the folder `path`; created there unless `readonly`.

        Raises StorageError when it cannot be opened, StorageCorrupt when what is there is no environment.
        """
        self.name = name
        self.path = path
        self._faults = faults
        if readonly and not (path / "data.mdb").is_file():
            raise StorageError(f"{name}: nothing is stored in {path}")
        with _translated(name, path):
            if not readonly:
                path.mkdir(parents=True, exist_ok=True)
            self._lmdb = lmdb.open(
                str(path),
                map_size=map_bytes,
                readonly=readonly,
                create=not readonly,
                max_readers=READERS_MAX,
                max_dbs=TABLES_MAX,
                mode=0o600,
            )
            try:
                _made_whole(path / "data.mdb", self._lmdb)
                self._lmdb.reader_check()  # slots of readers that died
                if not readonly:
                    # Created in one transaction: each alone would cost a sync of its own.
                    with self._lmdb.begin(write=True) as transaction:
                        for table in tables:
                            self._lmdb.open_db(table.name.encode(), transaction)
                self._handles: dict[str, Any] = {
                    table.name: self._lmdb.open_db(table.name.encode(), create=False) for table in tables
                }
            except BaseException:
                self._lmdb.close()
                raise

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """A view of the newest committed state, for one call."""
        with _translated(self.name, self.path), self._lmdb.begin() as transaction:
            yield Reader(self.name, transaction, self._handles)

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """One write transaction, durable when the block ends without an exception, else without trace."""
        with _translated(self.name, self.path):
            self._reached("begin")
            with self._lmdb.begin(write=True) as transaction:
                yield Writer(self.name, transaction, self._handles, self._faults)
                self._reached("commit")
            self._reached("committed")

    def close(self) -> None:
        """Close the environment; closing twice is harmless."""
        self._lmdb.close()

    def _reached(self, point: str) -> None:
        if self._faults is not None:
            self._faults.reached(f"{self.name}: {point}")


def _made_whole(file: Path, opened: lmdb.Environment) -> None:
    """Give a file that was cut off its length again. LMDB reads it through memory, and what lies behind its
    end would kill the process; zeros are found by what checks them. Nothing that is stored is changed, even
    if another process writes at this moment."""
    end = (opened.info()["last_pgno"] + 1) * opened.stat()["psize"]
    if file.stat().st_size >= end:
        return
    with suppress(OSError):  # not ours to write, or no room: read it as it is
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.posix_fallocate(descriptor, end - 1, 1)
        finally:
            os.close(descriptor)


@contextmanager
def _translated(name: str, path: Path) -> Iterator[None]:
    """Say LMDB's and the system's errors in our own words."""
    try:
        yield
    except (lmdb.MapFullError, lmdb.DiskError) as error:
        raise StorageFull(name, str(error)) from error
    except (
        lmdb.CorruptedError,
        lmdb.PageNotFoundError,
        lmdb.InvalidError,
        lmdb.VersionMismatchError,
        lmdb.IncompatibleError,
        lmdb.BadChecksumError,
        lmdb.ProblemError,
    ) as error:
        raise StorageCorrupt(name, "the structure of its file", str(error)) from error
    except lmdb.Error as error:
        if os.strerror(errno.EIO) in str(error) and _room(path) < ROOM_BYTES_MIN:
            raise StorageFull(name, str(error)) from error  # LMDB's word for a write of which half found room
        raise StorageError(f"{name}: {error}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(name, str(error)) from error
        raise StorageError(f"{name}: {error}") from error


def _room(path: Path) -> int:
    """Bytes that are free for us on the disk of `path`."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return ROOM_BYTES_MIN
    return disk.f_bavail * disk.f_frsize


def _checksum(table: Table, key: bytes, value: bytes) -> bytes:
    # Table names and keys are short; their lengths keep the parts apart.
    name = table.name.encode()
    return tagged_hash(CHECKSUM, bytes((len(name), len(key))), name, key, value)


def _successor(prefix: bytes) -> bytes | None:
    """The first key after all that start with `prefix`, or None if there is no such key."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None
