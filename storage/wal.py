"""The consensus write-ahead log: every input of the engine, and the bytes of every block seen at a height.

What `append` returned for is durable; a validator signs nothing that depends on more than that.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from storage.environment import MAP_BYTES, Environment, Faults, Table, Writer
from storage.errors import StorageCorrupt


def _entry_place(key: bytes) -> str:
    return f"height {int.from_bytes(key[:8], 'big')} entry {int.from_bytes(key[8:], 'big')}"


def _block_place(key: bytes) -> str:
    return f"height {int.from_bytes(key[:8], 'big')} value {key[8:].hex()}"


ENTRIES = Table("entries", _entry_place)
BLOCKS = Table("blocks", _block_place)


class WriteAheadLog:
    """The WAL environment. Each method is one transaction and may be called from a worker thread."""

    def __init__(self, path: Path, *, map_bytes: int = MAP_BYTES, faults: Faults | None = None) -> None:
        self._environment = Environment(path, "wal", (ENTRIES, BLOCKS), map_bytes=map_bytes, faults=faults)

    def append(
        self, height: int, entries: Sequence[bytes], blocks: Mapping[bytes, bytes] | None = None
    ) -> None:
        """Add entries, and block bytes by value id, to the log of `height` in one durable commit."""
        with self._environment.write() as writer:
            _put_blocks(writer, height, blocks or {})
            last = writer.last_key(ENTRIES, _height_key(height))
            number = 0 if last is None else int.from_bytes(last[8:], "big") + 1
            for offset, entry in enumerate(entries):
                writer.put(ENTRIES, _height_key(height) + (number + offset).to_bytes(8, "big"), entry)

    def read(self, height: int) -> list[bytes]:
        """The entries of `height` in the order in which they were appended."""
        entries = []
        with self._environment.read() as reader:
            for expected, (key, entry) in enumerate(reader.items(ENTRIES, _height_key(height))):
                if int.from_bytes(key[8:], "big") != expected:
                    raise StorageCorrupt("wal", f"height {height} entry {expected}", "it is missing")
                entries.append(entry)
        return entries

    def blocks(self, height: int) -> dict[bytes, bytes]:
        """The blocks seen at `height`, by value id."""
        with self._environment.read() as reader:
            return {key[8:]: block for key, block in reader.items(BLOCKS, _height_key(height))}

    def height(self) -> int:
        """The greatest height that has an entry, 0 when there is none."""
        with self._environment.read() as reader:
            last = reader.last_key(ENTRIES)
            return 0 if last is None else int.from_bytes(last[:8], "big")

    def forget_below(self, height: int) -> None:
        """Drop the log of every height below `height`, whose blocks are decided, durable and executed."""
        with self._environment.write() as writer:
            writer.delete_below(ENTRIES, _height_key(height))
            writer.delete_below(BLOCKS, _height_key(height))

    def close(self) -> None:
        self._environment.close()


def _put_blocks(writer: Writer, height: int, blocks: Mapping[bytes, bytes]) -> None:
    for value, block in blocks.items():
        writer.put(BLOCKS, _height_key(height) + value, block)


def _height_key(height: int) -> bytes:
    return height.to_bytes(8, "big")
