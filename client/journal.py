"""A journal of what was signed: each transaction durable in a file before it is sent, marked once settled.

A client that dies between sending and hearing finds in the journal the bytes to send again; they have one
effect, where signing anew may have a second. A line is one JSON object: a transaction, or what became of one.
What is half written when a machine dies was not sent yet.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.errors import JournalError
from client.limits import JOURNAL_BYTES_MAX
from client.transactions import Signed
from ledger.codes import Refused
from ledger.transactions import decode_transaction

FILE_MODE = 0o600  # whoever reads it could send what is in it


@dataclass(frozen=True, slots=True)
class SentEntry:
    """One transaction of a journal, for the chain of `genesis_hash`."""

    genesis_hash: bytes
    kind: str
    valid_until: int
    tx_id: bytes
    raw: bytes


class SentJournal:
    """The journal in the file `path`, which is created when the first transaction is written down. Several
    processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, signed: Signed, genesis_hash: bytes) -> None:
        """Write a transaction down; durable when this returns. Raises JournalError: do not send it then."""
        entry = {"kind": signed.kind, "tx_id": signed.id.hex(), "raw": signed.raw.hex()}
        try:
            created = not self.path.exists()
            self._append({"genesis_hash": genesis_hash.hex(), **entry})
            if created:
                folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError as error:
            raise JournalError(f"{self.path}: cannot be written: {error.strerror}") from error

    def settle(self, tx_id: bytes, became: str) -> bool:
        """Returns whether it could be written down what became of a transaction. If not, it stays open and is
        sent again, which changes nothing."""
        try:
            self._append({"tx_id": tx_id.hex(), "became": became})
        except OSError:
            return False
        return True

    def unsettled(self) -> list[SentEntry]:
        """The transactions of which nothing says what became of them, in order. Raises JournalError."""
        waiting: dict[bytes, SentEntry] = {}
        for number, line in enumerate(self._lines(), 1):
            try:
                values = json.loads(line)
                tx_id = bytes.fromhex(values["tx_id"])
                if "became" in values:
                    waiting.pop(tx_id, None)
                else:
                    waiting[tx_id] = entry_of(
                        bytes.fromhex(values["raw"]), bytes.fromhex(values["genesis_hash"])
                    )
            except (ValueError, KeyError, TypeError, Refused) as error:
                raise JournalError(f"{self.path}: line {number}: is not one of a journal: {error}") from error
        return [*waiting.values()]

    def _lines(self) -> list[bytes]:
        """Its whole lines; none without the file. Raises JournalError."""
        try:
            with self.path.open("rb") as file:
                content = file.read(JOURNAL_BYTES_MAX + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JournalError(f"{self.path}: cannot be read: {error.strerror}") from error
        if len(content) > JOURNAL_BYTES_MAX:
            raise JournalError(f"{self.path}: above {JOURNAL_BYTES_MAX} bytes: once settled begin another")
        return content.split(b"\n")[:-1]

    def _append(self, values: dict[str, Any]) -> None:
        with self._locked() as descriptor:
            size = os.fstat(descriptor).st_size
            whole = size
            while whole and os.pread(descriptor, 1, whole - 1) != b"\n":
                whole -= 1
            if whole < size:
                os.ftruncate(descriptor, whole)  # half a line of a writer that died: it was not sent
            line = json.dumps(values).encode() + b"\n"
            written = 0
            try:
                while written < len(line):
                    written += os.pwrite(descriptor, line[written:], whole + written)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, whole)  # who hears that it was not written must find it so
                raise

    @contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def entry_of(raw: bytes, genesis_hash: bytes) -> SentEntry:
    """The entry of a transaction's bytes, read again from them. Raises Refused if they are none."""
    transaction = decode_transaction(raw)
    return SentEntry(genesis_hash, transaction.definition.name, transaction.valid_until, transaction.id, raw)
