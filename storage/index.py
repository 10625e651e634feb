"""The index of movements: which segments of the log move a holding, and what it had before each.

It is derived from the block log and may be lost at any time: a node makes it again (`node.indexing`). Above
the segments stand levels of nodes, each over so many of those below, that say only which holdings move at
all; so the next segment that moves a holding is found in a few steps, however many lie between.
"""

import shutil
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from api.sources import Moving, Part
from primitives.codec import CodecError, decode, encode
from storage.environment import MAP_BYTES, Environment, Faults, Reader, Table, Writer
from storage.errors import StorageCorrupt, StorageError
from storage.limits import INDEX_VALUES_MAX, SEGMENT_HEIGHTS, SEGMENT_ROWS
from storage.segments import PARTS, Columns, Content, Takeover, Touched, part_rows

CHUNK_HOLDINGS = 2048  # whose records stand under one key
PRESENCE_HOLDINGS = 32_768  # whose bits stand under one key
LAYOUT = 1  # of the stored bytes: another one makes the index anew


class Shape(NamedTuple):
    """When a segment is full, and how many nodes of a level stand under one of the next."""

    rows: int = SEGMENT_ROWS
    heights: int = SEGMENT_HEIGHTS
    fanout: int = 64


SHAPE = Shape()


def _segment_place(key: bytes) -> str:
    return f"segment {int.from_bytes(key[:4], 'big')}"


def _end_place(key: bytes) -> str:
    return f"the segment that ends at height {int.from_bytes(key, 'big')}"


def _presence_place(key: bytes) -> str:
    return f"level {key[0]} node {int.from_bytes(key[1:5], 'big')}"


def _holding_place(key: bytes) -> str:
    return f"holding {int.from_bytes(key[:4], 'big')}"


SEGMENTS = Table("segments", _end_place)
HEIGHTS = Table("heights", _segment_place)
TOUCHED = Table("touched", _segment_place)
PRESENCE = Table("presence", _presence_place)
TAKEOVERS = Table("takeovers", _holding_place)
IDENTITY = Table("identity", lambda key: "the index")
INDEX_TABLES = (SEGMENTS, HEIGHTS, TOUCHED, PRESENCE, TAKEOVERS, IDENTITY)


class Segment(NamedTuple):
    """A segment as it is found: its number, the heights from `first` to `last`, how many postings it has."""

    number: int
    first: int
    last: int
    rows: int


class MovementIndex:
    """The index environment. Each method is one transaction and may be called from a worker thread."""

    def __init__(
        self,
        path: Path,
        identity: bytes,
        *,
        shape: Shape = SHAPE,
        map_bytes: int = MAP_BYTES,
        faults: Faults | None = None,
    ) -> None:
        """Open the index of the chain of that genesis hash; `began_anew` says why nothing of it was kept."""
        self.shape = shape
        self.began_anew: str | None = None
        try:
            self._environment = Environment(path, "index", INDEX_TABLES, map_bytes=map_bytes, faults=faults)
        except StorageCorrupt as error:
            shutil.rmtree(path)
            self._environment = Environment(path, "index", INDEX_TABLES, map_bytes=map_bytes, faults=faults)
            self.began_anew = str(error)
        own = encode([identity, LAYOUT, *shape])
        with self._environment.read() as reader:
            stored = reader.get(IDENTITY, b"index")
        if stored != own:
            if stored is not None:
                self.began_anew = "it is of another chain or layout"
            with self._environment.write() as writer:
                for table in INDEX_TABLES:
                    writer.clear(table)
                writer.put(IDENTITY, b"index", own)

    def last(self) -> int:
        """The last height that is in it, 0 when it is empty."""
        with self._environment.read() as reader:
            return _height_of(reader.last_key(SEGMENTS))

    def append(self, content: Content) -> None:
        """Add the next segment. Raises StorageError unless it begins where the last one ended."""
        with self._environment.write() as writer:
            end = writer.last_key(SEGMENTS)
            last = None if end is None else _segment(writer, end)
            if last is not None and content.first != last.last + 1:
                raise StorageError(f"index: height {content.first} does not follow height {last.last}")
            number = 0 if last is None else last.number + 1
            rows = int(content.ends[-1]) if len(content.ends) else 0
            writer.put(SEGMENTS, _key(content.last), encode([number, content.first, rows]))
            heights = content.heights.astype("<u8").tobytes() + content.ends.astype("<u4").tobytes()
            writer.put(HEIGHTS, _short(number), heights)
            _put_touched(writer, number, content.touched)
            for taken in content.takeovers:
                key = _short(taken.holding) + _key(taken.height) + _short(taken.row)
                writer.put(TAKEOVERS, key, _short(taken.instrument))
            self._raise_levels(writer, number)

    def clear(self) -> None:
        """Forget all of it."""
        with self._environment.write() as writer:
            for table in INDEX_TABLES:
                if table is not IDENTITY:
                    writer.clear(table)

    @contextmanager
    def reading(self) -> Iterator["IndexReader"]:
        """A view of the index that stands still, for the questions of one page."""
        with self._environment.read() as reader:
            yield IndexReader(reader, self.shape.fanout)

    def close(self) -> None:
        self._environment.close()

    def _raise_levels(self, writer: Writer, number: int) -> None:
        """Complete the nodes whose last child is this segment."""
        level = 0
        while (number + 1) % self.shape.fanout == 0:
            found: dict[bytes, Columns] = {}
            for child in range(number + 1 - self.shape.fanout, number + 1):
                prefix = bytes((level,)) + _short(child)
                for key, bits in writer.items(PRESENCE, prefix):
                    ours = np.frombuffer(bits, np.uint8)
                    theirs = found.get(key[5:])
                    found[key[5:]] = ours if theirs is None else theirs | ours
            number, level = number // self.shape.fanout, level + 1
            for block, joined in found.items():
                writer.put(PRESENCE, bytes((level,)) + _short(number) + block, joined.tobytes())


class IndexReader:
    """What is asked of the index for one page; it remembers the last values that it looked at."""

    def __init__(self, reader: Reader, fanout: int) -> None:
        self._reader = reader
        self._fanout = fanout
        self._values: OrderedDict[tuple[str, bytes], bytes | None] = OrderedDict()
        self._chunks: OrderedDict[bytes, Touched | None] = OrderedDict()
        end = reader.last_key(SEGMENTS)
        self._count = 0 if end is None else _segment(reader, end).number + 1
        self.last = _height_of(end)

    def moving(self, holding: int, height: int) -> Iterator[Moving]:
        """Where a holding moves: each segment that moves it, in order, from that of `height` on."""
        start = self._reader.first_from(SEGMENTS, _key(height))
        number = self._count if start is None else _segment_of(*start).number
        while (found := self._next(holding, number)) is not None:
            yield self._moving(holding, found)
            number = found + 1

    def takeovers(self, holding: int) -> list[Takeover]:
        """Where a holding was taken over, in order."""
        return [
            Takeover(
                holding, _height_of(key[4:12]), int.from_bytes(key[12:], "big"), int.from_bytes(value, "big")
            )
            for key, value in self._reader.items(TAKEOVERS, _short(holding))
        ]

    def _next(self, holding: int, number: int) -> int | None:
        """The first segment from `number` on that moves the holding, or None."""
        while number < self._count:
            level = self._highest(number)
            while level >= 0 and self._present(level, number // self._fanout**level, holding):
                level -= 1
            if level < 0:
                return number
            number += self._fanout**level
        return None

    def _highest(self, number: int) -> int:
        """The highest complete node that begins with this segment."""
        level, size = 0, self._fanout
        while number % size == 0 and number + size <= self._count:
            level, size = level + 1, size * self._fanout
        return level

    def _present(self, level: int, node: int, holding: int) -> bool:
        block, bit = divmod(holding, PRESENCE_HOLDINGS)
        bits = self._value(PRESENCE, bytes((level,)) + _short(node) + _short(block))
        return bits is not None and bool(bits[bit // 8] & 128 >> bit % 8)

    def _moving(self, holding: int, number: int) -> Moving:
        chunk = self._chunk(number, holding // CHUNK_HOLDINGS)
        at = 0 if chunk is None else int(np.searchsorted(chunk.holdings, holding))
        if chunk is None or at == len(chunk.holdings) or chunk.holdings[at] != holding:
            raise StorageCorrupt("index", f"segment {number}", f"holding {holding} is missing")
        stored = self._value(HEIGHTS, _short(number)) or b""
        count = len(stored) // 12
        heights, ends = np.frombuffer(stored, "<u8", count), np.frombuffer(stored, "<u4", count, count * 8)
        rows = int(ends[-1])
        size, mask = part_rows(rows), int(chunk.masks[at])
        parts = []
        for part in range(PARTS):
            if mask >> part & 1:
                begin = part * size
                where = int(np.searchsorted(ends, begin, "right"))
                skipped = int(ends[where - 1]) if where else 0
                parts.append(Part(int(heights[where]), begin - skipped, min(size, rows - begin)))
        return Moving(int(heights[-1]), int(chunk.balances[at]), int(chunk.locked[at]), tuple(parts))

    def _chunk(self, number: int, chunk: int) -> Touched | None:
        key = _short(number) + _short(chunk)
        if key in self._chunks:
            self._chunks.move_to_end(key)
        else:
            stored = self._reader.get(TOUCHED, key)
            self._chunks[key] = None if stored is None else _touched(stored)
            if len(self._chunks) > INDEX_VALUES_MAX:
                self._chunks.popitem(last=False)
        return self._chunks[key]

    def _value(self, table: Table, key: bytes) -> bytes | None:
        place = (table.name, key)
        if place in self._values:
            self._values.move_to_end(place)
        else:
            self._values[place] = self._reader.get(table, key)
            if len(self._values) > INDEX_VALUES_MAX:
                self._values.popitem(last=False)
        return self._values[place]


def _put_touched(writer: Writer, number: int, touched: Touched) -> None:
    holdings = touched.holdings
    if len(holdings) == 0:
        return
    chunks = range(int(holdings[0]) // CHUNK_HOLDINGS, int(holdings[-1]) // CHUNK_HOLDINGS + 1)
    cuts = np.searchsorted(holdings, [chunk * CHUNK_HOLDINGS for chunk in (*chunks, chunks.stop)]).tolist()
    for chunk, start, end in zip(chunks, cuts, cuts[1:], strict=False):
        if start < end:
            value = b"".join(
                (
                    _short(end - start),
                    holdings[start:end].astype("<u4").tobytes(),
                    touched.masks[start:end].astype("<u8").tobytes(),
                    touched.balances[start:end].astype("<i8").tobytes(),
                    touched.locked[start:end].astype("<i8").tobytes()
                    if touched.locked[start:end].any()
                    else b"",
                )
            )
            writer.put(TOUCHED, _short(number) + _short(chunk), value)
    blocks = holdings // PRESENCE_HOLDINGS
    for block in np.unique(blocks).tolist():
        bits = np.zeros(PRESENCE_HOLDINGS, bool)
        bits[holdings[blocks == block] % PRESENCE_HOLDINGS] = True
        writer.put(PRESENCE, b"\0" + _short(number) + _short(block), np.packbits(bits).tobytes())


def _touched(stored: bytes) -> Touched:
    count = int.from_bytes(stored[:4], "big")
    holdings = np.frombuffer(stored, "<u4", count, 4)
    masks = np.frombuffer(stored, "<u8", count, 4 + 4 * count)
    balances = np.frombuffer(stored, "<i8", count, 4 + 12 * count)
    rest = np.frombuffer(stored, "<i8", -1, 4 + 20 * count) if len(stored) > 4 + 20 * count else None
    return Touched(holdings, masks, balances, np.zeros(count, np.int64) if rest is None else rest)


def _segment(reader: Reader, end: bytes) -> Segment:
    return _segment_of(end, reader.get(SEGMENTS, end) or b"")


def _segment_of(end: bytes, stored: bytes) -> Segment:
    try:
        number, first, rows = decode(stored, 64)
    except (CodecError, ValueError, TypeError) as error:
        raise StorageCorrupt("index", _end_place(end), str(error)) from error
    return Segment(number, first, _height_of(end), rows)


def _key(height: int) -> bytes:
    return height.to_bytes(8, "big")


def _short(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _height_of(key: bytes | None) -> int:
    return 0 if key is None else int.from_bytes(key, "big")
